package devices

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"ebofs/devices/internal/aio"
)

const (
	// ringDepth is how many calls of one file the kernel has at a time. Devices
	// take a few hundred; what comes beyond waits here, in order.
	ringDepth = 128
	// ringGather is how many calls are handed over at once, for a hand-over costs
	// more than a call. Fewer go while the kernel has fewer than so many: it should
	// not run dry. See docs/decisions/async-io.md.
	ringGather = 4
	// ringSend is the most that goes in one system call.
	ringSend = 16
	// stopUser is the number of the request that ends the reaper.
	stopUser = 1 << 32
)

// ring is the asynchronous I/O of one file. Callers hand over their own calls and each
// other's; one goroutine, the reaper, ends those that are done.
//
//	caller ─ do, push ─► waiting ─ fill ─► Submit ─► kernel
//	   ▲ ready, Done                                   │
//	   └──────────────── reaper ◄──── Wait ────────────┘
type ring struct {
	workers *workers
	queue   *aio.Ring
	nowait  bool          // what would have to wait to be handed over goes to workers
	ended   atomic.Int64  // calls, without those that workers made after all
	over    chan struct{} // closed when the reaper has ended

	mu struct {
		sync.Mutex
		waiting callList // not with the kernel yet
		n       int      // of them
		slots   []slot   // by user number
		free    []uint64 // user numbers not in use
	}
}

// slot is a call the kernel has, and how it was told of it.
type slot struct {
	c *call
	q aio.Request
}

// newRing makes a ring for file fd and starts its reaper. Calls that are not
// whole after one attempt go to w; with nowait those that would have to wait to be
// handed over, too.
func newRing(fd int, nowait bool, w *workers) (*ring, error) {
	q, err := aio.New(2*ringDepth, fd, nowait)
	if err != nil {
		return nil, err
	}
	r := &ring{workers: w, queue: q, nowait: nowait, over: make(chan struct{})}
	r.mu.slots = make([]slot, ringDepth)
	for i := range uint64(ringDepth) {
		r.mu.free = append(r.mu.free, i)
	}
	go r.reap()
	return r, nil
}

// do makes one call and waits for it.
func (r *ring) do(c *call) error {
	r.mu.Lock()
	r.addLocked(c)
	if r.dueLocked() {
		r.send()
	} else {
		r.mu.Unlock()
	}
	return c.wait()
}

// dueLocked tells whether what waits is to be handed over now. If not, the kernel
// has calls, and when the next of them is done the reaper hands it over.
func (r *ring) dueLocked() bool {
	inside := len(r.mu.slots) - len(r.mu.free)
	return r.mu.n >= ringGather || inside < ringGather
}

func (r *ring) addLocked(c *call) {
	r.mu.waiting.add(c)
	r.mu.n++
}

// push hands over the calls of l.
func (r *ring) push(l callList) {
	r.mu.Lock()
	for c := l.take(); c != nil; c = l.take() {
		r.addLocked(c)
	}
	r.send()
}

// close ends the reaper; no call may be on its way.
func (r *ring) close() {
	stop := new(aio.Request)
	r.queue.Nothing(stop, stopUser)
	r.submit([]*aio.Request{stop})
	<-r.over
	if err := r.queue.Close(); err != nil {
		panic(fmt.Sprintf("devices: closing a ring: %v", err))
	}
}

// reap is the reaper.
func (r *ring) reap() {
	defer close(r.over)
	results := make([]aio.Result, ringDepth)
	var done []outcome
	for stop := false; !stop; {
		n, err := r.queue.Wait(results)
		if err != nil {
			panic(fmt.Sprintf("devices: io_getevents: %v", err)) // the kernel may still write to memory
		}
		r.mu.Lock()
		for i := range results[:n] {
			x := &results[i]
			if x.User == stopUser {
				stop = true
				continue
			}
			moved, err := x.Moved()
			done = append(done, outcome{r.releaseLocked(x.User), moved, err})
		}
		r.mu.Unlock()
		for i := range done {
			r.end(done[i])
		}
		clear(done)
		done = done[:0]
		r.mu.Lock()
		r.send()
		// Those who waited go on here and now, and ask for more: with this thread back
		// in the kernel another would have to be woken first, to find them.
		runtime.Gosched()
		r.mu.Lock()
		r.send() // what they left waiting
	}
}

// send hands over what waits, as far as there is room. It gives up r.mu.
func (r *ring) send() {
	var list [ringSend]*aio.Request
	for more := true; more; {
		n := r.fillLocked(list[:])
		more = n == len(list)
		r.mu.Unlock()
		if n > 0 {
			r.submit(list[:n])
		}
		if more {
			r.mu.Lock()
		}
	}
}

// fillLocked gives waiting calls their slots while there are any and list has room,
// and returns how many it has put there.
func (r *ring) fillLocked(list []*aio.Request) (n int) {
	for ; n < len(list) && len(r.mu.free) > 0; n++ {
		c := r.mu.waiting.take()
		if c == nil {
			break
		}
		r.mu.n--
		user := r.mu.free[len(r.mu.free)-1]
		r.mu.free = r.mu.free[:len(r.mu.free)-1]
		s := &r.mu.slots[user]
		s.c = c
		list[n] = &s.q
		off := int64(c.b) * BlockSize
		if len(c.v) == 1 {
			r.queue.Transfer(&s.q, c.dir == writev, c.v[0], off, user)
			continue
		}
		for _, p := range c.v {
			iov := unix.Iovec{Base: unsafe.SliceData(p)}
			iov.SetLen(len(p))
			c.iov = append(c.iov, iov)
		}
		r.queue.TransferVec(&s.q, c.dir == writev, c.iov, off, user)
	}
	return n
}

// releaseLocked returns the call of a slot, which is free then.
func (r *ring) releaseLocked(user uint64) *call {
	s := &r.mu.slots[user]
	c := s.c
	s.c = nil
	r.mu.free = append(r.mu.free, user)
	return c
}

// submit hands over the requests of list. Workers make the calls of those the kernel
// does not take, and learn why.
func (r *ring) submit(list []*aio.Request) {
	for len(list) > 0 {
		n, err := r.queue.Submit(list)
		list = list[n:]
		switch err {
		case nil:
		case unix.EAGAIN, unix.EINTR:
			time.Sleep(time.Millisecond) // a shortage of memory
		default:
			user := list[0].User()
			if user == stopUser {
				panic(fmt.Sprintf("devices: io_submit: %v", err)) // New has tried the like
			}
			list = list[1:]
			r.mu.Lock()
			c := r.releaseLocked(user)
			r.mu.Unlock()
			r.workers.start(callList{c, c})
			r.mu.Lock()
			r.send() // what waited for it
		}
	}
}

// outcome is what became of a call in the kernel: the bytes moved, or why not.
type outcome struct {
	c   *call
	n   int
	err error
}

// end ends the call of o, or passes on what is not whole. Nor is an error final where
// the kernel was asked not to wait: before Linux 5.5 EIO can stand for that.
func (r *ring) end(o outcome) {
	switch c := o.c; {
	case o.err == unix.EINTR || o.err == unix.EAGAIN || o.err != nil && r.nowait || o.err == nil && o.n != VecBytes(c.v):
		c.moved = o.n
		r.workers.start(callList{c, c})
	default:
		r.ended.Add(1)
		c.finish(o.err)
	}
}
