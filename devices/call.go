package devices

import (
	"sync"

	"golang.org/x/sys/unix"
)

// call is one read or write that its caller does not make itself: it goes
// through the ring, or a worker makes it. It is inside the gate of its file.
type call struct {
	next *call // in a queue

	f       *File
	dir     direction
	b       Block
	v       Vec         // also keeps the memory alive for the kernel
	moved   int         // bytes done so far
	done    func(error) // nil: somebody waits in wait
	outcome error       // for who waits, valid after ready
	ready   chan struct{}
	iov     []unix.Iovec // v for the kernel, while the ring has it
}

// calls recycles them: a read through the ring allocates nothing.
var calls = sync.Pool{New: func() any { return &call{ready: make(chan struct{}, 1)} }}

func newCall(f *File, dir direction, b Block, v Vec, done func(error)) *call {
	c := calls.Get().(*call)
	c.f, c.dir, c.b, c.v, c.done = f, dir, b, v, done
	return c
}

// wait returns what became of c, which is gone afterwards. The caller is still
// inside the gate.
func (c *call) wait() error {
	<-c.ready
	err := c.outcome
	c.recycle()
	return err
}

// finish ends c with err of the system call.
func (c *call) finish(err error) {
	if err != nil {
		err = c.f.ioError(c.dir.op(), c.b, vecBlocks(c.v), err)
	}
	if c.done == nil {
		c.outcome = err
		c.ready <- struct{}{}
		return
	}
	f, done := c.f, c.done
	c.recycle()
	done(err)
	f.async.depth.Add(-1)
	f.calls.leave()
}

func (c *call) recycle() {
	clear(c.iov)
	*c = call{ready: c.ready, iov: c.iov[:0]}
	calls.Put(c)
}

// block makes what is left of c by blocking system calls.
func (c *call) block() {
	off := int64(c.b) * BlockSize
	if c.moved > 0 {
		c.finish(c.f.rest(c.dir, off, c.v, c.moved))
	} else {
		c.finish(c.f.transfer(c.dir, off, c.v))
	}
}

// callList is calls in order. The zero value is empty.
type callList struct {
	first, last *call
}

func (l *callList) add(c *call) {
	c.next = nil
	if l.first == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
}

// take removes the first call; nil if there is none.
func (l *callList) take() *call {
	c := l.first
	if c != nil {
		l.first, c.next = c.next, nil
	}
	return c
}
