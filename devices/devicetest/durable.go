package devicetest

import (
	"testing"

	"ebofs/devices"
)

// reopen: what was flushed is there after Close, whoever opens it.
func (s *suite) reopen(t *testing.T) {
	if s.c.Reopen == nil {
		t.Skip("does not outlive Close")
	}
	s.write(5, 20, 1, nil)
	s.must(s.d.Flush(ctx))
	s.must(s.d.Close())
	s.d = s.c.Reopen(t, s.d)
	s.check(0, s.blocks, nil)
	s.write(24, 3, 2, nil)
	s.check(0, s.blocks, nil)
}

// crash: what was flushed is there, what was not is old, new or torn at
// TearBytes, and nothing else has changed. States do not disturb the device.
func (s *suite) crash(t *testing.T) {
	if s.c.Crash == nil {
		t.Skip("no crash can be simulated")
	}
	s.write(0, 32, 1, nil)
	s.must(s.d.Flush(ctx))
	s.write(10, 8, 2, nil) // not flushed
	s.write(40, 1, 2, nil) // likewise
	states := s.c.Crash(t, s.d)
	if len(states) == 0 {
		t.Fatal("no states")
	}
	lost, kept := false, false
	for _, d := range states {
		c := *s
		c.d = d
		c.check(0, 10, nil)
		c.check(18, 22, nil)
		c.check(41, s.blocks-41, nil)
		for _, b := range []uint64{10, 11, 12, 13, 14, 15, 16, 17, 40} {
			old, now := c.sectors(t, b)
			lost, kept = lost || old, kept || now
		}
		s.must(d.Close())
	}
	if !lost || !kept {
		t.Errorf("%d states; some lost something: %v, some kept something: %v", len(states), lost, kept)
	}
	s.check(0, s.blocks, nil)
}

// sectors tells whether block b, which is of generation 2 now and was of 1 or
// zeros before, has old and new sectors. A sector of neither kind is the
// garbage that a torn write may leave; more than one in a block is too many.
func (s *suite) sectors(t *testing.T, b uint64) (old, now bool) {
	f, g := s.pool.Get(devices.BlockSize), s.pool.Get(2*devices.BlockSize)
	defer f.Release()
	defer g.Release()
	s.must(s.d.Read(ctx, devices.Block(b), f.Vec()))
	was, is := g.Bytes()[:devices.BlockSize], g.Bytes()[devices.BlockSize:]
	clear(was)
	if b < 32 {
		tag(was, b, 1)
	}
	tag(is, b, 2)
	step := min(int(s.d.Geometry().TearBytes), devices.BlockSize)
	garbage := 0
	for at := 0; at < devices.BlockSize; at += step {
		switch string(f.Bytes()[at : at+step]) {
		case string(was[at : at+step]):
			old = true
		case string(is[at : at+step]):
			now = true
		default:
			garbage++
		}
	}
	if garbage > 1 {
		t.Errorf("block %d: %d sectors neither old nor new", b, garbage)
	}
	return old, now
}
