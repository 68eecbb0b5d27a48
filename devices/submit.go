package devices

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// When calls go through the ring. Below, the caller's own blocking call costs
// less: there is nobody to hand over to and no batch to gather. See
// docs/decisions/io-uring.md for the figures.
//
// With more threads of Go (GOMAXPROCS) more blocking calls run at once, and the
// one owner of a ring has more of them to serve.
func ringDepths(procs int) (from, until int64) {
	from = int64(min(max(4*procs, 12), 32))
	return from, from / 2
}

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
	from  int64       // calls in flight, with the one that asks, from which on it takes the ring
	until int64       // and below which calls block again
	deep  atomic.Bool // between the two
	ring  atomic.Pointer[ring]

	asked atomic.Bool // somebody starts it
	once  sync.Once
	err   error // why there is none; valid after once

	workers workers
}

var (
	errNoRingHere = errors.New("io_uring: not for this file")
	errRingOff    = errors.New("io_uring: switched off")
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
			a.err = errNoRingHere // the page cache would cost a kernel thread a call
		default:
			var r *ring
			if r, a.err = newRing(int(fd), &a.workers); a.err == nil {
				a.ring.Store(r)
			}
		}
	})
	return a.err
}

// ringFor returns the ring if a call of v is better made through it, while n
// calls are in flight.
func (f *File) ringFor(n int64, v Vec) *ring {
	a := &f.async
	if n < a.from {
		if n >= a.until && a.deep.Load() {
			return a.fit(v)
		}
		if a.use != ringAlways {
			if a.deep.Load() {
				a.deep.Store(false)
			}
			return nil
		}
	}
	if !a.deep.Load() {
		a.deep.Store(true)
	}
	if a.ring.Load() == nil && a.asked.CompareAndSwap(false, true) {
		go f.Ring() // others go on meanwhile; Close waits for it
	}
	return a.fit(v)
}

// fit returns the ring if there is one and it takes v as one request.
func (a *asyncState) fit(v Vec) *ring {
	if len(v) > maxVectors || VecBytes(v) > maxTransfer {
		return nil
	}
	return a.ring.Load()
}

// Submit starts the requests: all through the ring, or by workers that make
// blocking calls.
func (f *File) Submit(ctx context.Context, rs []Request) {
	_ = f.Ring()
	var through, block callList
	for i := range rs {
		r := &rs[i]
		dir := direction(r.Write)
		if _, err := f.enter(ctx, dir, r.B, r.V); err != nil {
			go r.Done(err)
			continue
		}
		c := newCall(f, dir, r.B, r.V, r.Done)
		if f.async.fit(r.V) != nil {
			through.add(c)
		} else {
			block.add(c)
		}
	}
	if through.first != nil {
		f.async.ring.Load().push(through)
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
