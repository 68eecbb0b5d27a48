package ebofs

import (
	"sync"
	"sync/atomic"
)

// latch is opened once, and stays open. It has a channel only if somebody waits: most
// loads end before anybody could. The zero latch is closed.
type latch struct {
	open atomic.Bool
	mu   sync.Mutex
	ch   chan struct{} // closed once open
}

// wait returns a channel that is closed as soon as the latch is open.
func (l *latch) wait() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ch == nil {
		if l.ch = make(chan struct{}); l.open.Load() {
			close(l.ch)
		}
	}
	return l.ch
}

// release opens the latch.
func (l *latch) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open.Store(true); l.ch != nil {
		close(l.ch)
	}
}
