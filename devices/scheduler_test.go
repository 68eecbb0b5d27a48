package devices

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowDevice holds nothing and serves one call after the other, in the order they
// come, at 1 GB/s and 20 µs a call.
type slowDevice struct {
	Device
	turn chan struct{}
}

func newSlow() *slowDevice { return &slowDevice{nullDevice{}, make(chan struct{}, 1)} }

func (d *slowDevice) serve(v Vec) {
	d.turn <- struct{}{} // who waits gets it in order
	time.Sleep(20*time.Microsecond + time.Duration(VecBytes(v)))
	<-d.turn
}

func (d *slowDevice) Read(_ context.Context, _ Block, v Vec) error {
	d.serve(v)
	return nil
}

func (d *slowDevice) Write(_ context.Context, _ Block, v Vec) error {
	d.serve(v)
	return nil
}

// besides runs a reader of single blocks beside a checkpoint that has so many
// writes of 1 MiB at once ready, on a slow device, and returns what the reads
// took, sorted, how long each write took on the whole, and the limit at the end.
func besides(t *testing.T, through func(Device) Device, writers int, think time.Duration) (reads []time.Duration, perWrite time.Duration, limit int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		const writes = 600
		dev := through(newSlow())
		ctx, p := context.Background(), make([]byte, 1<<20)
		read := func() time.Duration {
			begin := time.Now()
			if err := dev.Read(ctx, 0, Vec{p[:BlockSize]}); err != nil {
				t.Error(err)
			}
			return time.Since(begin)
		}
		for range 20 { // the device is quiet
			read()
		}
		background := WithClass(ctx, ClassCheckpoint)
		begin := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		left := writes
		for range writers {
			wg.Go(func() {
				for {
					mu.Lock()
					n := left
					left--
					mu.Unlock()
					if n <= 0 {
						return
					}
					if err := dev.Write(background, 0, Vec{p}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		done := make(chan struct{})
		go func() {
			wg.Wait()
			close(done)
		}()
		for {
			select {
			case <-done:
				perWrite = time.Since(begin) / writes
				if s, ok := dev.(*Scheduler); ok {
					limit = s.BackgroundLimit()
				}
				slices.Sort(reads)
				return
			case <-time.After(think):
				reads = append(reads, read())
			}
		}
	})
	return reads, perWrite, limit
}

// TestReadBesideCheckpoint: with 16 writes of 1 MiB ready at all times, a read
// waits for one or two of them and not for all, and the checkpoint still has
// the device to itself otherwise. Time is that of the test's own clock.
func TestReadBesideCheckpoint(t *testing.T) {
	plain := func(d Device) Device { return d }
	scheduled := func(d Device) Device { return NewScheduler(d) }
	const write = 20*time.Microsecond + 1<<20 // what one takes
	for _, think := range []time.Duration{50 * time.Microsecond, 3 * time.Millisecond, 20 * time.Millisecond} {
		t.Run(think.String(), func(t *testing.T) {
			before, wasPer, _ := besides(t, plain, 16, think)
			after, isPer, limit := besides(t, scheduled, 16, think)
			at := func(list []time.Duration, q float64) time.Duration { return list[int(q*float64(len(list)-1))] }
			t.Logf("reads p50 %v p99 %v max %v without, p50 %v p99 %v max %v with; a write %v and %v; limit %d",
				at(before, 0.5), at(before, 0.99), at(before, 1), at(after, 0.5), at(after, 0.99), at(after, 1), wasPer, isPer, limit)
			if at(before, 0.5) < 15*write {
				t.Errorf("without a scheduler half of the reads took less than %v: the test shows nothing", at(before, 0.5))
			}
			if at(after, 0.5) > 5*write/2 || at(after, 0.9) > 4*write || at(after, 1) > (maxBackground/4+1)*write {
				t.Errorf("with it the reads took up to p50 %v, p90 %v, %v", at(after, 0.5), at(after, 0.9), at(after, 1))
			}
			if isPer > wasPer*5/4 {
				t.Errorf("a write of the checkpoint took %v, %v without a scheduler", isPer, wasPer)
			}
		})
	}
}

// TestAlone: background calls that are alone soon have the whole depth.
func TestAlone(t *testing.T) {
	_, _, limit := besides(t, func(d Device) Device { return NewScheduler(d) }, 2*maxBackground, time.Hour)
	if limit != maxBackground {
		t.Errorf("limit %d after 600 calls without anybody else, want %d", limit, maxBackground)
	}
}

// TestClassOrder: who waits is let in by class, and the last class now and then.
func TestClassOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewScheduler(newSlow())
		s.limit.mu.limit = 1
		s.limit.mu.halved = time.Now().Add(time.Hour)
		var mu sync.Mutex
		var order []Class
		var wg sync.WaitGroup
		call := func(c Class) {
			wg.Go(func() {
				ctx := WithClass(context.Background(), c)
				if err := s.Read(ctx, 0, Vec{heapAligned(BlockSize)}); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, c)
				s.limit.mu.Lock()
				s.limit.mu.limit, s.limit.mu.alone = 1, 0
				s.limit.mu.Unlock()
				mu.Unlock()
			})
			synctest.Wait()
		}
		call(ClassScrub) // is let in at once
		for range 10 {
			call(ClassScrub)
			call(ClassCheckpoint)
		}
		call(ClassClean)
		call(ClassLog) // nobody in front waits
		wg.Wait()
		logAt := slices.Index(order, ClassLog)
		if logAt > 1 {
			t.Errorf("a call of the log came after %d background calls", logAt)
		}
		order = slices.Delete(order, logAt, logAt+1)
		scrubs := 0
		for _, c := range order[1:11] {
			if c == ClassScrub {
				scrubs++
			}
		}
		if scrubs != 1 {
			t.Errorf("of the first ten that waited %d were of the last class, want 1: %v", scrubs, order)
		}
		if k := slices.Index(order, ClassClean); k < 10 || k > 14 {
			t.Errorf("a call of the middle class was number %d: %v", k, order)
		}
		x := s.Class(ClassScrub)
		if x.Calls != 11 || x.Bytes != 11*BlockSize || x.Waits != 10 || x.WaitNanos == 0 || x.Inside != 0 || x.Took.Count() != 11 {
			t.Errorf("counted %+v", x)
		}
	})
}

// TestGiveUp: who no longer waits is passed over and takes nobody's place.
func TestGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewScheduler(newSlow())
		s.limit.mu.limit = 1
		background := WithClass(context.Background(), ClassClean)
		v := func() Vec { return Vec{heapAligned(BlockSize)} }
		over, cancel := context.WithCancel(background)
		errs := make(chan error, 3)
		for _, ctx := range []context.Context{background, over, background} {
			go func() { errs <- s.Write(ctx, 0, v()) }()
			synctest.Wait()
		}
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("gave up with %v", err)
		}
		if err := errors.Join(<-errs, <-errs); err != nil {
			t.Error(err)
		}
		if n := s.limit.inside.Load(); n != 0 || len(s.limit.mu.waiting[ClassClean]) != 0 {
			t.Errorf("%d inside, %d waiting when all is over", n, len(s.limit.mu.waiting[ClassClean]))
		}
	})
}

// TestJudge: what is compared with what before and after the device was quiet.
func TestJudge(t *testing.T) {
	var l limiter
	l.init()
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		took   time.Duration
		beside bool
		times  int
		limit  int
	}{
		{900, true, 1, 4},         // nothing to compare with but itself
		{400, true, 1, 4},         // the quickest so far
		{900, true, 1, 2},         // slow beside that
		{500, false, 1, 2},        // the device quiet at last
		{900, true, goodInRow, 3}, // quick beside that
		{1001, true, 1, 1},        // slow
		{5000, true, 9, 1},        // never below one
		{1000, false, 100, 1},     // it became slower by itself
		{1900, true, goodInRow * 20, maxBackground},
	} {
		for range c.times {
			now = now.Add(time.Second)
			l.judge(ClassRead, now, c.took, c.beside)
		}
		if l.now() != c.limit {
			t.Errorf("limit %d after %+v", l.now(), c)
		}
	}
	// What began before the limit came down says nothing about the new one.
	l.judge(ClassRead, now.Add(time.Second), 9000, true)
	l.judge(ClassRead, now, 9000, true)
	if l.now() != maxBackground/2 {
		t.Errorf("limit %d after one slow call and an older one", l.now())
	}
}

// TestSchedulerOverhead: the foreground allocates nothing.
func TestSchedulerOverhead(t *testing.T) {
	s := NewScheduler(nullDevice{})
	ctx, v := WithClass(context.Background(), ClassLog), Vec{heapAligned(BlockSize)}
	if n := testing.AllocsPerRun(100, func() {
		_ = s.Write(ctx, 1, v)
		_ = s.Read(context.Background(), 1, v)
		_ = s.Flush(ctx)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// nullDevice does nothing, to measure what is above it.
type nullDevice struct{ Device }

func (nullDevice) Read(context.Context, Block, Vec) error  { return nil }
func (nullDevice) Write(context.Context, Block, Vec) error { return nil }
func (nullDevice) Flush(context.Context) error             { return nil }

func BenchmarkOverheadScheduler(b *testing.B) {
	for name, dev := range map[string]Device{"without": nullDevice{}, "with": NewScheduler(nullDevice{})} {
		b.Run(name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(WithClass(context.Background(), ClassLog))
			defer cancel()
			v := Vec{heapAligned(BlockSize)}
			b.ReportAllocs()
			for b.Loop() {
				_ = dev.Write(ctx, 1, v)
			}
		})
	}
}
