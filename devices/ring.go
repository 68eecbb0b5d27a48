package devices

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"ebofs/devices/internal/uring"
)

const (
	// ringDepth is how many calls of one file the kernel has at a time. Devices
	// take a few hundred; what comes beyond waits here, in order.
	ringDepth = 128
	// wakeUser is the number of the read that wakes the owner.
	wakeUser = 1 << 32
)

// ring is the io_uring of one file and the goroutine that owns it. Whoever has
// calls pushes them; the owner hands them to the kernel in batches, and ends
// those that are done.
//
//	caller ─ push ─► [ head ] ─ take ─► owner ─ Enter ─► kernel
//	   ▲ ready, Done                      │ ▲               │
//	   └──────────────────────────────────┘ └──── Reap ─────┘
//
// The owner sleeps in the kernel, until a call is done or, if it has nothing to
// hand over, until somebody pushes: then head is asleep, and whoever replaces
// that writes to an eventfd the ring reads.
type ring struct {
	head   atomic.Pointer[call] // what was pushed, the newest first
	wakeup int                  // eventfd
	over   chan struct{}        // closed when the owner has ended
	ended  atomic.Int64         // calls

	// The owner's.
	workers *workers
	queue   *uring.Ring
	waiting callList // taken, not with the kernel yet
	slots   []*call  // with the kernel, by user number
	free    []uint64 // user numbers not in use
	armed   bool     // the kernel has the read of wakeup
	word    [8]byte  // that it reads into
}

// asleep stands in ring.head while the owner sleeps.
var asleep call

// newRing starts the owner of a ring for file fd. Calls that are not whole
// after one attempt go to w.
func newRing(fd int, w *workers) (*ring, error) {
	r := &ring{over: make(chan struct{}), workers: w}
	made := make(chan error)
	go r.own(fd, made)
	if err := <-made; err != nil {
		return nil, err
	}
	return r, nil
}

// push hands over the calls of l.
func (r *ring) push(l callList) {
	// The owner wants the newest first, as head has single calls.
	var newest *call
	oldest := l.first
	for c := l.take(); c != nil; c = l.take() {
		c.next = newest
		newest = c
	}
	if newest != nil {
		r.pushChain(newest, oldest)
	}
}

func (r *ring) pushChain(newest, oldest *call) {
	for {
		head := r.head.Load()
		if oldest.next = head; head == &asleep {
			oldest.next = nil
		}
		if r.head.CompareAndSwap(head, newest) {
			if head == &asleep {
				r.wake()
			}
			return
		}
	}
}

// do makes one call and waits for it.
func (r *ring) do(c *call) error {
	r.pushChain(c, c)
	return c.wait()
}

func (r *ring) wake() {
	one := [8]byte{0: 1}
	if _, err := unix.Write(r.wakeup, one[:]); err != nil && err != unix.EINTR {
		panic(fmt.Sprintf("devices: eventfd of a ring: %v", err))
	}
}

// close ends the owner; no call may be on its way.
func (r *ring) close() {
	stop := new(call) // of no file
	r.pushChain(stop, stop)
	<-r.over
	// Not by the owner: it may have seen stop before it was woken for it.
	if err := unix.Close(r.wakeup); err != nil {
		panic(fmt.Sprintf("devices: closing an eventfd: %v", err))
	}
}

// own is the owner: it makes the ring, says so, and serves until close.
func (r *ring) own(fd int, made chan<- error) {
	runtime.LockOSThread() // the ring belongs to this thread
	defer runtime.UnlockOSThread()
	err := r.open(fd)
	made <- err
	if err != nil {
		return
	}
	defer close(r.over)
	reap := r.reaped
	for stop := false; ; {
		stop = r.take() || stop
		r.fill()
		wait := 1
		if r.waiting.first == nil {
			if stop && len(r.free) == ringDepth {
				break
			}
			r.arm()
			if !r.head.CompareAndSwap(nil, &asleep) {
				wait = 0 // somebody pushed
			}
		}
		err := r.queue.Enter(wait)
		r.head.CompareAndSwap(&asleep, nil)
		if n := r.queue.Reap(reap); n == 0 && err != nil {
			r.excuse(err)
		}
	}
	r.shut()
}

func (r *ring) open(fd int) (err error) {
	if r.queue, err = uring.New(2*ringDepth, fd); err != nil {
		return err
	}
	if r.wakeup, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return errors.Join(fmt.Errorf("eventfd: %w", err), r.queue.Close())
	}
	r.slots = make([]*call, ringDepth)
	for i := range uint64(ringDepth) {
		r.free = append(r.free, i)
	}
	return nil
}

// shut takes the read of wakeup back and gives the queue away.
func (r *ring) shut() {
	if r.armed {
		r.wake()
	}
	for r.armed {
		if err := r.queue.Enter(1); r.queue.Reap(r.reaped) == 0 && err != nil {
			r.excuse(err)
		}
	}
	if err := r.queue.Close(); err != nil {
		panic(fmt.Sprintf("devices: closing a ring: %v", err))
	}
}

// excuse lets pass what the kernel may say when it is short of memory. Anything
// else is our mistake; going on would mean memory the kernel may write to.
func (r *ring) excuse(err error) {
	if err != unix.EAGAIN && err != unix.EBUSY && err != unix.ENOMEM {
		panic(fmt.Sprintf("devices: io_uring_enter: %v", err))
	}
	time.Sleep(time.Millisecond)
}

// arm has the ring read wakeup, so that a push wakes the owner.
func (r *ring) arm() {
	if !r.armed {
		r.armed = true
		r.queue.ReadFrom(r.wakeup, r.word[:], wakeUser)
	}
}

// take moves what was pushed to waiting, the oldest first, and tells whether
// the owner is to end.
func (r *ring) take() (stop bool) {
	c := r.head.Swap(nil)
	var oldest *call
	for c != nil {
		next := c.next
		c.next = oldest
		oldest, c = c, next
	}
	for oldest != nil {
		c, oldest = oldest, oldest.next
		if c.f == nil {
			stop = true
			continue
		}
		r.waiting.add(c)
	}
	return stop
}

// fill hands waiting calls to the queue while there is room.
func (r *ring) fill() {
	for len(r.free) > 0 {
		c := r.waiting.take()
		if c == nil {
			return
		}
		user := r.free[len(r.free)-1]
		r.free = r.free[:len(r.free)-1]
		r.slots[user] = c
		off := int64(c.b) * BlockSize
		if len(c.v) == 1 {
			r.queue.Transfer(c.dir == writev, c.v[0], off, user)
			continue
		}
		for _, p := range c.v {
			iov := unix.Iovec{Base: unsafe.SliceData(p)}
			iov.SetLen(len(p))
			c.iov = append(c.iov, iov)
		}
		r.queue.TransferVec(c.dir == writev, c.iov, off, user)
	}
}

// reaped ends the call of a result, or passes on what is not whole.
func (r *ring) reaped(user uint64, n int, err error) {
	if user == wakeUser {
		r.armed = false
		return
	}
	r.ended.Add(1)
	c := r.slots[user]
	r.slots[user] = nil
	r.free = append(r.free, user)
	switch {
	case err == unix.EINTR || err == unix.EAGAIN || err == nil && n != VecBytes(c.v):
		c.moved = n
		r.workers.start(callList{c, c})
	default:
		c.finish(err)
	}
}
