package bench

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/internal/perf"
)

// call does one call of one caller and says how many operations and bytes of
// the user that was.
type call func(ctx context.Context) (ops int, bytes int64, err error)

// errExhausted ends a slice early: what was prepared for it is used up.
var errExhausted = errors.New("nothing left to measure")

// side is what was measured of raw or engine, over all slices of a cell.
type side struct {
	ops, bytes int64
	elapsed    time.Duration
	cpu        time.Duration
	latency    perf.Histogram // of calls, nanoseconds
}

// rawThreads is how many threads of Go there are at least while callers do nothing but
// block, which keeps them.
const rawThreads = 64

// runRaw is run of callers of the raw device: their calls block, as the log's do.
// GOMAXPROCS in the environment wins.
func (s *side) runRaw(ctx context.Context, depth int, d time.Duration, caller func(w int) call) error {
	if os.Getenv("GOMAXPROCS") == "" {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(rawThreads, runtime.GOMAXPROCS(0))))
	}
	return s.run(devices.WithClass(ctx, devices.ClassLog), depth, d, caller)
}

// run lets depth callers call for d, or until errExhausted.
func (s *side) run(ctx context.Context, depth int, d time.Duration, caller func(w int) call) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	calls := make([]call, depth)
	for w := range calls {
		calls[w] = caller(w)
	}
	var wg sync.WaitGroup
	var ops, bytes atomic.Int64
	start := time.Now()
	end := start.Add(d)
	for _, c := range calls {
		wg.Go(func() {
			for now := time.Now(); now.Before(end); {
				n, size, err := c(ctx)
				if errors.Is(err, errExhausted) {
					return
				}
				if err == nil {
					err = ctx.Err()
				}
				if err != nil {
					cancel(err)
					return
				}
				ops.Add(int64(n))
				bytes.Add(size)
				t := time.Now()
				s.latency.Record(uint64(t.Sub(now)))
				now = t
			}
		})
	}
	wg.Wait()
	s.elapsed += time.Since(start)
	s.ops += ops.Load()
	s.bytes += bytes.Load()
	return context.Cause(ctx)
}

// perSecond returns a rate, 0 if no time passed.
func (s *side) perSecond(n float64) float64 {
	if s.elapsed <= 0 {
		return 0
	}
	return n / s.elapsed.Seconds()
}

// each returns n per operation, 0 if there was none.
func (s *side) each(n float64) float64 {
	if s.ops == 0 {
		return 0
	}
	return n / float64(s.ops)
}

// cpuTime is the processor time of the process so far, user and system.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
