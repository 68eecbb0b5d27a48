package msgr

import (
	"context"
	"sync"
)

// throttle is room for a number of bytes and messages. Who waits is served in
// order. Something larger than all of it fits when nothing else is there.
type throttle struct {
	maxBytes, maxMessages int

	mu struct {
		sync.Mutex
		bytes, messages int
		waiting         []*waiter
	}
}

type waiter struct {
	bytes int
	ready chan struct{}
}

func newThrottle(bytes, messages int) *throttle {
	return &throttle{maxBytes: bytes, maxMessages: messages}
}

func (t *throttle) fitsLocked(n int) bool {
	return t.mu.messages == 0 || t.mu.messages < t.maxMessages && n <= t.maxBytes-t.mu.bytes
}

func (t *throttle) addLocked(n int) {
	t.mu.bytes += n
	t.mu.messages++
}

// take waits until a message of n bytes fits, or ctx ends.
func (t *throttle) take(ctx context.Context, n int) error {
	t.mu.Lock()
	if len(t.mu.waiting) == 0 && t.fitsLocked(n) {
		t.addLocked(n)
		t.mu.Unlock()
		return nil
	}
	w := &waiter{n, make(chan struct{})}
	t.mu.waiting = append(t.mu.waiting, w)
	t.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, o := range t.mu.waiting {
		if o == w {
			t.mu.waiting = append(t.mu.waiting[:i], t.mu.waiting[i+1:]...)
			t.admitLocked()
			return ctx.Err()
		}
	}
	t.giveLocked(n) // it was served while we gave up
	return ctx.Err()
}

// give returns the room of a message of n bytes.
func (t *throttle) give(n int) {
	t.mu.Lock()
	t.giveLocked(n)
	t.mu.Unlock()
}

func (t *throttle) giveLocked(n int) {
	t.mu.bytes -= n
	t.mu.messages--
	t.admitLocked()
}

func (t *throttle) admitLocked() {
	for len(t.mu.waiting) > 0 && t.fitsLocked(t.mu.waiting[0].bytes) {
		w := t.mu.waiting[0]
		t.mu.waiting = t.mu.waiting[1:]
		t.addLocked(w.bytes)
		close(w.ready)
	}
}

// empty reports whether nothing has room.
func (t *throttle) empty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.messages == 0
}
