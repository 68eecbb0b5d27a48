package devices

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// ringDepths says when calls go through the ring. Below, the caller's own blocking call
// costs less: nobody is to be woken but its thread, and there is no batch to gather. With
// more threads of Go (GOMAXPROCS) more blocking calls run at once. See
// docs/decisions/threads.md for the figures.
func ringDepths(procs int) (from, until int64) {
	from = int64(min(max(2*procs+1, 5), 32)) // a lone caller is below the half of it
	return from, from / 2
}

// ringBytes is the largest call that goes through the ring: whoever hands over a
// larger one, others' too, would be busy with it for long. A call of so many blocks has
// no more slices than the kernel takes.
const ringBytes = 256 << 10

// ringUse is a choice for tests.
type ringUse uint8

const (
	ringDeep   ringUse = iota // as ringDepths says
	ringAlways                // every call it can take
	ringNever                 // as if the kernel refused
)

// asyncState is what a File knows of its ring.
type asyncState struct {
	use   ringUse     // constant once open, as from and until
	from  int64       // the depth from which on calls take the ring
	until int64       // and below which they block again
	deep  atomic.Bool // what holds between the two
	ring  atomic.Pointer[ring]

	depth atomic.Int64 // calls in flight that fit, however they are made

	asked atomic.Bool // somebody starts it
	once  sync.Once
	err   error // why there is none; valid after once

	workers workers
}

var (
	errNoRingHere = errors.New("asynchronous I/O: not for this file")
	errRingOff    = errors.New("asynchronous I/O: switched off")
)

// Ring makes the ring, which else is made when it is first of use, and returns
// why there is none: deep queues are then served by blocking calls.
func (f *File) Ring() error {
	a := &f.async
	a.once.Do(func() {
		fd, real := f.sys.(descriptor)
		switch {
		case a.use == ringNever:
			a.err = errRingOff
		case !real || !f.direct:
			a.err = errNoRingHere // through the page cache whoever hands over waits for the data
		default:
			var r *ring
			if r, a.err = newRing(int(fd), !f.block, &a.workers); a.err == nil {
				a.ring.Store(r)
			}
		}
	})
	return a.err
}

// RingCalls returns how many reads and writes went through the ring.
func (f *File) RingCalls() int64 {
	if r := f.async.ring.Load(); r != nil {
		return r.ended.Load()
	}
	return 0
}

// ringFor returns the ring if a call that fits is better made through it, being
// one of n in flight. The log's own calls are not: one goroutine makes one
// after the other, and whoever waits for them should not wait for a batch.
func (f *File) ringFor(ctx context.Context, n int64) *ring {
	a := &f.async
	if a.use != ringAlways {
		if n < a.until || n < a.from && !a.deep.Load() {
			if n < a.until && a.deep.Load() {
				a.deep.Store(false)
			}
			return nil
		}
		if classOf(ctx, ClassRead) == ClassLog {
			return nil
		}
		if !a.deep.Load() {
			a.deep.Store(true)
		}
	}
	if a.ring.Load() == nil && a.asked.CompareAndSwap(false, true) {
		go f.Ring() // others go on meanwhile; Close waits for it
	}
	return a.ring.Load()
}

// fits tells whether v is for the ring.
func fits(v Vec) bool { return VecBytes(v) <= ringBytes }

// Submit starts the requests: through the ring, or, where there is none and for
// long ones, by workers that make blocking calls.
func (f *File) Submit(ctx context.Context, rs []Request) {
	if f.calls.enter() { // or the ring could end before it is woken below
		defer f.calls.leave()
	}
	_ = f.Ring()
	ring := f.async.ring.Load()
	var through, block callList
	for i := range rs {
		r := &rs[i]
		dir := direction(r.Write)
		if err := f.enter(ctx, dir, r.B, r.V); err != nil {
			go r.Done(err)
			continue
		}
		f.async.depth.Add(1)
		if c := newCall(f, dir, r.B, r.V, r.Done); ring != nil && fits(r.V) {
			through.add(c)
		} else {
			block.add(c)
		}
	}
	if through.first != nil { // or somebody may be closing the ring
		ring.push(through)
	}
	f.async.workers.start(block)
}

// close ends the ring and the workers of a file nobody is inside of.
func (a *asyncState) close() {
	a.once.Do(func() { a.err = ErrClosed }) // waits for whoever makes it
	if r := a.ring.Load(); r != nil {
		r.close()
	}
	a.workers.wg.Wait()
}
