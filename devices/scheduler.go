package devices

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"ebofs/internal/perf"
)

// Scheduler is a Device that knows what its I/O is for and has background
// classes stand back: how many of their calls run at once follows what they do
// to the others (see limiter). Foreground calls never wait here. A context
// without a class means ClassRead for reads and ClassData for the rest.
//
// It counts calls and bytes of each class, and the times of background calls and
// of every 64th other one.
type Scheduler struct {
	Device
	limit   limiter
	classes [NumClasses]classCounts
}

type classCounts struct {
	began, ended     atomic.Int64 // reads and writes
	bytes, flushes   atomic.Int64
	waits, waitNanos atomic.Int64
	took             perf.Histogram
}

// NewScheduler returns dev behind a scheduler. Close closes dev.
func NewScheduler(dev Device) *Scheduler {
	s := &Scheduler{Device: dev}
	s.limit.init()
	return s
}

// Read reads once the class of ctx may.
func (s *Scheduler) Read(ctx context.Context, b Block, v Vec) error {
	return s.do(ctx, OpRead, b, v)
}

// Write writes once the class of ctx may.
func (s *Scheduler) Write(ctx context.Context, b Block, v Vec) error {
	return s.do(ctx, OpWrite, b, v)
}

// Flush is counted with the class of ctx. It waits for nothing here: what it
// makes durable is with the device already.
func (s *Scheduler) Flush(ctx context.Context) error {
	s.classes[classOf(ctx, ClassData)].flushes.Add(1)
	return s.Device.Flush(ctx)
}

// timedEvery is how many foreground calls there are to one whose time is taken:
// reading the clock twice can cost more than all the rest of this.
const timedEvery = 64

func (s *Scheduler) do(ctx context.Context, op Op, b Block, v Vec) error {
	class := ClassRead
	if op == OpWrite {
		class = ClassData
	}
	class = classOf(ctx, class)
	c := &s.classes[class]
	if class.Background() {
		return s.behind(ctx, op, b, v, class, c)
	}
	defer c.ended.Add(1)
	n := VecBytes(v)
	c.bytes.Add(int64(n))
	beside := s.limit.inside.Load() > 0
	timed := c.began.Add(1)%timedEvery == 0 || s.limit.quiet[class].Load() == 0
	if !timed && (!beside || n > small) {
		return s.move(ctx, op, b, v)
	}
	begin := time.Now()
	err := s.move(ctx, op, b, v)
	took := time.Since(begin)
	if timed {
		c.took.Record(uint64(took))
	}
	if n <= small {
		s.limit.judge(class, begin, took, beside || s.limit.inside.Load() > 0)
	}
	return err
}

// behind makes a background call.
func (s *Scheduler) behind(ctx context.Context, op Op, b Block, v Vec, class Class, c *classCounts) error {
	if err := s.await(ctx, class, c); err != nil {
		return err
	}
	c.began.Add(1)
	c.bytes.Add(int64(VecBytes(v)))
	begin := time.Now()
	err := s.move(ctx, op, b, v)
	c.took.Record(uint64(time.Since(begin)))
	c.ended.Add(1)
	busy := false
	for class := range ClassCheckpoint {
		busy = busy || s.classes[class].inside() > 0
	}
	s.limit.leave(busy)
	return err
}

func (s *Scheduler) move(ctx context.Context, op Op, b Block, v Vec) error {
	if op == OpWrite {
		return s.Device.Write(ctx, b, v)
	}
	return s.Device.Read(ctx, b, v)
}

func (c *classCounts) inside() int64 { return c.began.Load() - c.ended.Load() }

// await waits until a background call may run, and counts the waiting.
func (s *Scheduler) await(ctx context.Context, class Class, c *classCounts) error {
	if s.limit.try() {
		return nil
	}
	begin := time.Now()
	err := s.limit.enter(ctx, class)
	c.waits.Add(1)
	c.waitNanos.Add(int64(time.Since(begin)))
	return err
}

// Zero passes on to the device.
func (s *Scheduler) Zero(ctx context.Context, b Block, n uint64) error {
	if z, ok := s.Device.(Zeroer); ok {
		return z.Zero(ctx, b, n)
	}
	return fmt.Errorf("zero: %w", errors.ErrUnsupported)
}

// Discard passes on to the device.
func (s *Scheduler) Discard(ctx context.Context, b Block, n uint64) error {
	if d, ok := s.Device.(Discarder); ok {
		return d.Discard(ctx, b, n)
	}
	return fmt.Errorf("discard: %w", errors.ErrUnsupported)
}

// ClassStats is what a Scheduler has counted of one class.
type ClassStats struct {
	Calls, Bytes int64 // reads and writes
	Flushes      int64
	Inside       int64           // on the device now
	Waits        int64           // calls that had to wait for their turn
	WaitNanos    int64           // how long, all of them
	Took         *perf.Histogram // nanoseconds on the device, of every 64th call in front, and all behind
}

// Class returns what was counted of class c.
func (s *Scheduler) Class(c Class) ClassStats {
	x := &s.classes[c]
	return ClassStats{x.began.Load(), x.bytes.Load(), x.flushes.Load(), x.inside(), x.waits.Load(), x.waitNanos.Load(), &x.took}
}

// BackgroundLimit is how many background calls may be on the device at once now.
func (s *Scheduler) BackgroundLimit() int { return s.limit.now() }
