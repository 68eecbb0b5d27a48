package devicetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"ebofs/devices"
)

// zeroer: zeroed blocks read as zeros, and nothing else changes.
func (s *suite) zeroer(t *testing.T) {
	z, ok := s.d.(devices.Zeroer)
	if !ok || s.d.Geometry().ZeroBytes == 0 {
		t.Skip("no such ability")
	}
	s.write(0, s.blocks, 1, nil)
	for _, c := range [][2]uint64{{3, 2}, {70, 50}, {s.blocks - 1, 1}} {
		s.must(z.Zero(ctx, devices.Block(c[0]), c[1]))
		clear(s.gen[c[0]:][:c[1]])
	}
	s.check(0, s.blocks, nil)
	s.write(71, 3, 2, nil)
	s.must(s.d.Flush(ctx))
	s.check(0, s.blocks, nil)
	s.badRange(t, "zero", z.Zero)
}

// discarder: other blocks stay, and what was discarded can be written again.
func (s *suite) discarder(t *testing.T) {
	x, ok := s.d.(devices.Discarder)
	if !ok || s.d.Geometry().DiscardBytes == 0 {
		t.Skip("no such ability")
	}
	s.write(0, s.blocks, 1, nil)
	s.must(x.Discard(ctx, 16, 64))
	s.check(0, 16, nil)
	s.check(80, s.blocks-80, nil)
	s.write(16, 64, 2, nil)
	s.must(s.d.Flush(ctx))
	s.check(0, s.blocks, nil)
	s.badRange(t, "discard", x.Discard)
}

func (s *suite) badRange(t *testing.T, name string, do func(c context.Context, b devices.Block, n uint64) error) {
	for _, c := range [][2]uint64{{0, 0}, {s.blocks, 1}, {s.blocks - 1, 2}, {1, 1<<64 - 1}} {
		if err := do(ctx, devices.Block(c[0]), c[1]); !errors.Is(err, devices.ErrRange) {
			t.Errorf("%s %d~%d: %v", name, c[0], c[1], err)
		}
	}
	s.check(0, s.blocks, nil)
}

// durableWriter: a durable write needs no flush.
func (s *suite) durableWriter(t *testing.T) {
	w, ok := s.d.(devices.DurableWriter)
	if !ok {
		t.Skip("no such ability")
	}
	v, release := s.vec(3, nil)
	defer release()
	eachBlock(v, func(i uint64, p []byte) {
		s.gen[7+i] = 5
		tag(p, 7+i, 5)
	})
	s.must(w.WriteDurable(ctx, 7, v))
	s.check(0, s.blocks, nil)
	if s.c.Crash == nil {
		return
	}
	for _, d := range s.c.Crash(t, s.d) {
		c := *s
		c.d = d
		c.check(7, 3, nil)
		s.must(d.Close())
	}
}

// submitter: every request is done once, and does what Read and Write do.
func (s *suite) submitter(t *testing.T) {
	x, ok := s.d.(devices.Submitter)
	if !ok {
		t.Skip("no such ability")
	}
	const n = 64
	var wg sync.WaitGroup
	var done [n]int
	var mu sync.Mutex
	batch := func(write bool) {
		rs := make([]devices.Request, n)
		var frames []*devices.Frame
		for i := range rs {
			f := s.pool.Get(2 * devices.BlockSize)
			frames = append(frames, f)
			if write {
				eachBlock(f.Vec(), func(k uint64, p []byte) { tag(p, uint64(2*i)+k, 9) })
			}
			wg.Add(1)
			rs[i] = devices.Request{Write: write, B: devices.Block(2 * i), V: f.Vec(), Done: func(err error) {
				if err != nil {
					t.Errorf("request %d: %v", i, err)
				}
				mu.Lock()
				done[i]++
				mu.Unlock()
				wg.Done()
			}}
		}
		x.Submit(ctx, rs)
		clear(rs)
		wg.Wait()
		for i, f := range frames {
			eachBlock(f.Vec(), func(k uint64, p []byte) {
				if what := diff(p, uint64(2*i)+k, 9); what != "" {
					t.Errorf("block %d: %s", uint64(2*i)+k, what)
				}
			})
			f.Release()
		}
	}
	batch(true)
	batch(false)
	for i, k := range done {
		if k != 2 {
			t.Errorf("request %d was done %d times in two batches", i, k)
		}
	}
}
