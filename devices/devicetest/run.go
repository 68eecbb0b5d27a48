package devicetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"ebofs/devices"
)

// Config says how to get at the device under test.
type Config struct {
	// New returns a new device of that many blocks (at least), all zeros. The
	// suite closes it.
	New func(t *testing.T, blocks uint64) devices.Device
	// Reopen opens a device that was closed once more, with its content; nil if
	// the content does not outlive Close.
	Reopen func(t *testing.T, d devices.Device) devices.Device
	// Crash returns states that a crash now could leave, closed after use by
	// the suite; nil if that cannot be simulated.
	Crash func(t *testing.T, d devices.Device) []devices.Device
}

// Run runs the suite.
func Run(t *testing.T, c Config) {
	for _, test := range []struct {
		name   string
		blocks uint64
		run    func(s *suite, t *testing.T)
	}{
		{"Geometry", 64, (*suite).geometry},
		{"Zeros", 64, (*suite).zeros},
		{"ReadWrite", 300, (*suite).readWrite},
		{"Edges", 64, (*suite).edges},
		{"Range", 64, (*suite).ranges},
		{"Retain", 64, (*suite).retain},
		{"Large", 3000, (*suite).large},
		{"Concurrent", 512, (*suite).concurrent},
		{"Cancelled", 64, (*suite).cancelled},
		{"Zeroer", 128, (*suite).zeroer},
		{"Discarder", 128, (*suite).discarder},
		{"DurableWriter", 64, (*suite).durableWriter},
		{"Submitter", 256, (*suite).submitter},
		{"Close", 64, (*suite).close},
		{"Reopen", 64, (*suite).reopen},
		{"Crash", 64, (*suite).crash},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &suite{c: c, t: t, d: c.New(t, test.blocks), pool: devices.NewPool(devices.PoolOptions{})}
			s.blocks = s.d.Geometry().Blocks
			s.gen = make([]uint32, s.blocks)
			t.Cleanup(func() { // also when the test is skipped
				if err := s.d.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
				if err := s.pool.Close(); err != nil {
					t.Error(err)
				}
			})
			test.run(s, t)
		})
	}
}

// suite is one device under test and what it should contain.
type suite struct {
	c      Config
	t      *testing.T
	d      devices.Device
	pool   *devices.Pool
	blocks uint64
	gen    []uint32 // generation of the tag of each block; 0: zeros
}

var ctx = context.Background()

// must fails the test on an error.
func (s *suite) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// vec returns memory for n blocks, in one slice or, with r, in many.
func (s *suite) vec(n uint64, r *rand.Rand) (v devices.Vec, release func()) {
	f := s.pool.Get(int(n) * devices.BlockSize)
	if r == nil {
		return f.Vec(), f.Release
	}
	for p := f.Bytes(); len(p) > 0; {
		k := min(len(p), devices.BlockSize*(1+r.IntN(5)))
		v = append(v, p[:k])
		p = p[k:]
	}
	return v, f.Release
}

// write tags blocks [b, b+n) with a new generation and writes them.
func (s *suite) write(b, n uint64, gen uint32, r *rand.Rand) {
	s.t.Helper()
	v, release := s.vec(n, r)
	defer release()
	eachBlock(v, func(i uint64, p []byte) {
		s.gen[b+i] = gen
		tag(p, b+i, gen)
	})
	s.must(s.d.Write(ctx, devices.Block(b), v))
}

// check reads blocks [b, b+n) and compares them with what they should be.
func (s *suite) check(b, n uint64, r *rand.Rand) {
	s.t.Helper()
	v, release := s.vec(n, r)
	defer release()
	eachBlock(v, func(_ uint64, p []byte) { p[0], p[4095] = 0xee, 0xee })
	s.must(s.d.Read(ctx, devices.Block(b), v))
	eachBlock(v, func(i uint64, p []byte) {
		s.t.Helper()
		if what := diff(p, b+i, s.gen[b+i]); what != "" {
			s.t.Fatalf("block %d: %s", b+i, what)
		}
	})
}

func (s *suite) geometry(t *testing.T) {
	g := s.d.Geometry()
	s.must(g.Validate())
	if again := s.d.Geometry(); again != g {
		t.Errorf("geometry changed from %+v to %+v", g, again)
	}
}

func (s *suite) zeros(*testing.T) { s.check(0, s.blocks, nil) }

// readWrite compares random I/O with a model.
func (s *suite) readWrite(*testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	for i := range uint32(300) {
		b := r.Uint64N(s.blocks)
		n := 1 + r.Uint64N(min(s.blocks-b, 40))
		s.write(b, n, i+1, pick(r))
		b = r.Uint64N(s.blocks)
		s.check(b, 1+r.Uint64N(min(s.blocks-b, 40)), pick(r))
		if i%50 == 0 {
			s.must(s.d.Flush(ctx))
		}
	}
	s.check(0, s.blocks, nil)
}

// edges writes the first and the last block and their neighbours.
func (s *suite) edges(*testing.T) {
	s.write(0, s.blocks, 1, nil)
	for i, b := range []uint64{0, s.blocks - 1, 1, s.blocks - 2} {
		s.write(b, 1, uint32(i)+2, nil)
		s.check(0, s.blocks, nil)
	}
}

// ranges: bad I/O is refused and has no effect.
func (s *suite) ranges(t *testing.T) {
	s.write(0, s.blocks, 1, nil)
	f := s.pool.Get(4 * devices.BlockSize)
	defer f.Release()
	p := f.Bytes()
	for _, c := range []struct {
		name string
		b    uint64
		v    devices.Vec
	}{
		{"behind the end", s.blocks, devices.Vec{p}},
		{"across the end", s.blocks - 3, devices.Vec{p}},
		{"far away", 1<<64 - 2, devices.Vec{p}},
		{"no memory", 0, devices.Vec{}},
		{"empty slice", 0, devices.Vec{p[:4096], p[:0]}},
		{"part of a block", 0, devices.Vec{p[:4096], p[4096:8000]}},
		{"memory not aligned", 0, devices.Vec{p[512 : 512+4096]}},
	} {
		if err := s.d.Write(ctx, devices.Block(c.b), c.v); !errors.Is(err, devices.ErrRange) {
			t.Errorf("write %s: %v", c.name, err)
		}
		if err := s.d.Read(ctx, devices.Block(c.b), c.v); !errors.Is(err, devices.ErrRange) {
			t.Errorf("read %s: %v", c.name, err)
		}
	}
	s.check(0, s.blocks, nil)
}

// retain: the device does not look at memory after Write returned.
func (s *suite) retain(*testing.T) {
	f := s.pool.Get(2 * devices.BlockSize)
	defer f.Release()
	for i := range uint64(2) {
		tag(f.Bytes()[i*devices.BlockSize:][:devices.BlockSize], 3+i, 1)
		s.gen[3+i] = 1
	}
	s.must(s.d.Write(ctx, 3, f.Vec()))
	clear(f.Bytes())
	s.must(s.d.Flush(ctx))
	s.check(0, s.blocks, nil)
}

// large exceeds what one system call takes in slices, and reads it in one.
func (s *suite) large(t *testing.T) {
	f := s.pool.Get(2500 * devices.BlockSize)
	defer f.Release()
	v := make(devices.Vec, 2500)
	for i := range v {
		v[i] = f.Bytes()[i*devices.BlockSize:][:devices.BlockSize]
		tag(v[i], 100+uint64(i), 1)
		s.gen[100+i] = 1
	}
	s.must(s.d.Write(ctx, 100, v))
	s.check(0, s.blocks, nil)
	s.check(0, s.blocks, rand.New(rand.NewPCG(2, 0)))
}

// concurrent runs readers, writers and flushes at once, each writer on blocks
// of its own.
func (s *suite) concurrent(*testing.T) {
	const workers = 8
	share := s.blocks / workers
	var wg sync.WaitGroup
	for w := range uint64(workers) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(w, 3))
			for i := range uint32(60) {
				b := w*share + r.Uint64N(share)
				n := 1 + r.Uint64N(min(8, (w+1)*share-b))
				s.write(b, n, i+1, pick(r))
				s.check(b, n, pick(r))
				if i%16 == 0 {
					s.must(s.d.Flush(ctx))
				}
			}
		})
	}
	wg.Wait()
	s.check(0, s.blocks, nil)
}

// cancelled: a context that is over starts nothing.
func (s *suite) cancelled(t *testing.T) {
	over, cancel := context.WithDeadline(ctx, time.Unix(0, 0))
	defer cancel()
	s.write(0, 4, 1, nil)
	v, release := s.vec(4, nil)
	defer release()
	clear(v[0])
	for name, err := range map[string]error{
		"read": s.d.Read(over, 0, v), "write": s.d.Write(over, 0, v), "flush": s.d.Flush(over),
	} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.check(0, s.blocks, nil)
	s.must(s.d.Flush(ctx))
}

// close: nothing works afterwards, and closing twice is no error.
func (s *suite) close(t *testing.T) {
	v, release := s.vec(1, nil)
	defer release()
	s.must(s.d.Close())
	for name, err := range map[string]error{
		"read": s.d.Read(ctx, 0, v), "write": s.d.Write(ctx, 0, v), "flush": s.d.Flush(ctx),
	} {
		if !errors.Is(err, devices.ErrClosed) {
			t.Errorf("%s after close: %v", name, err)
		}
	}
}

func pick(r *rand.Rand) *rand.Rand {
	if r.IntN(2) == 0 {
		return nil
	}
	return r
}
