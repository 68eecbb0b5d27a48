package devices

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxBackground is how many background calls a device has at once when
	// nobody else wants it: enough to keep a disk of many channels busy.
	maxBackground = 16
	// slower is how much longer than on a quiet device a foreground call may
	// take beside background calls before those are made fewer. Twice is what one
	// write of the same size ahead of it in the queue costs.
	slower = 2
	// goodInRow is how many foreground calls in a row have to be quick before
	// there is one background call more.
	goodInRow = 8
	// aloneInRow is how many background calls per one that may run have to end
	// while nobody else is there before there is one more: somebody who reads now
	// and then must not find the queue full each time.
	aloneInRow = 4
	// everyOlder makes one grant in so many go to the least urgent class that
	// waits, so that it is slow and not starved.
	everyOlder = 8
)

// limiter keeps background calls from filling the queue of a device in front of
// others. How many it lets through at once, limit, follows what they do to the
// foreground: a call that took more than twice what such calls take on a quiet
// device halves it, quick ones raise it by one, and so do background calls that
// ran while nobody else did. It is never below one: a checkpoint always goes
// on, as fast as one call after the other.
//
// mu is a leaf and not held across I/O.
type limiter struct {
	inside atomic.Int64 // background calls on the device; written under mu

	// quiet is the mean time of small calls on a quiet device, in nanoseconds, by
	// class. Before there was one it is below zero: the shortest beside others.
	quiet [NumClasses]atomic.Int64

	mu struct {
		sync.Mutex
		limit   int
		halved  time.Time // when limit was halved last
		good    int       // quick foreground calls since limit changed
		alone   int       // background calls since limit changed or a foreground call ended
		grants  int
		waiting [NumClasses][]*waiter
	}
}

// waiter is one background call that waits.
type waiter struct {
	granted chan struct{}
}

func (l *limiter) init() { l.mu.limit = maxBackground / 4 }

// try lets a background call in if there is room.
func (l *limiter) try() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tryLocked()
}

func (l *limiter) tryLocked() bool {
	room := int(l.inside.Load()) < l.mu.limit
	if room {
		l.inside.Add(1)
	}
	return room
}

// enter waits until a background call of class c may run.
func (l *limiter) enter(ctx context.Context, c Class) error {
	l.mu.Lock()
	if l.tryLocked() {
		l.mu.Unlock()
		return nil
	}
	w := &waiter{make(chan struct{})}
	l.mu.waiting[c] = append(l.mu.waiting[c], w)
	l.mu.Unlock()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-w.granted: // meanwhile; somebody else may have it
		l.inside.Add(-1)
		l.grantLocked()
	default:
		list := l.mu.waiting[c]
		for i := range list {
			if list[i] == w {
				l.mu.waiting[c] = append(list[:i], list[i+1:]...)
				break
			}
		}
	}
	return ctx.Err()
}

// leave ends a background call. busy says whether foreground calls are on the
// device.
func (l *limiter) leave(busy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inside.Add(-1)
	if busy {
		l.mu.alone = 0
	} else if l.mu.alone++; l.mu.alone >= aloneInRow*l.mu.limit {
		l.moreLocked()
	}
	l.grantLocked()
}

// small bounds the calls whose time is compared, in bytes: that of larger ones
// is mostly their own transfer.
const small = 64 << 10

// judge takes note of a small foreground call of class c that began then and
// took so long. beside says that background calls were on the device.
func (l *limiter) judge(c Class, began time.Time, took time.Duration, beside bool) {
	// A figure lost in a race is no matter.
	q := &l.quiet[c]
	mean := q.Load()
	switch {
	case beside && mean > 0:
	case beside:
		if mean == 0 || int64(took) < -mean {
			q.Store(-int64(took))
			mean = -int64(took)
		}
		mean = -mean
	case mean <= 0:
		q.Store(int64(took))
		return
	default: // of about 16 calls
		q.Store(mean + (int64(took)-mean)/16)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.alone = 0
	if int64(took) <= slower*mean {
		if l.mu.good++; l.mu.good >= goodInRow {
			l.moreLocked()
			l.grantLocked()
		}
		return
	}
	l.mu.good = 0
	if began.After(l.mu.halved) { // what began before suffered from the old limit
		l.mu.limit = max(1, l.mu.limit/2)
		l.mu.halved = began.Add(took)
	}
}

func (l *limiter) moreLocked() {
	l.mu.good, l.mu.alone = 0, 0
	l.mu.limit = min(l.mu.limit+1, maxBackground)
}

// grantLocked lets in who waits, the most urgent first, mostly.
func (l *limiter) grantLocked() {
	for int(l.inside.Load()) < l.mu.limit {
		c := l.nextLocked()
		if c < 0 {
			return
		}
		l.mu.grants++
		w := l.mu.waiting[c][0]
		l.mu.waiting[c][0] = nil
		l.mu.waiting[c] = l.mu.waiting[c][1:]
		l.inside.Add(1)
		close(w.granted)
	}
}

// nextLocked returns the class whose turn it is, -1 if nobody waits.
func (l *limiter) nextLocked() int {
	first, last := -1, -1
	for c := range l.mu.waiting {
		if len(l.mu.waiting[c]) > 0 {
			if last = c; first < 0 {
				first = c
			}
		}
	}
	if l.mu.grants%everyOlder == everyOlder-1 {
		return last
	}
	return first
}

// now is how many background calls may run at once.
func (l *limiter) now() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.limit
}
