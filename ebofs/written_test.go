package ebofs

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"ebofs/devices"
)

// TestWritten compares what a store says it wrote, by purpose, with what its
// devices saw, to the byte: over random transactions with checkpoints, a grow, clean
// stops and recoveries, with and without a log device.
func TestWritten(t *testing.T) { eachSeed(t, 8, writtenAddsUp) }

func writtenAddsUp(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 77))
	var seen atomic.Int64
	device := func(mib uint64) *devices.Mem {
		return devices.NewMem(devices.MemOptions{Blocks: mib << 20 / blockSize, Hook: func(_ context.Context, op devices.Op, _ devices.Block, n uint64) error {
			if op == devices.OpWrite {
				seen.Add(int64(n) * blockSize)
			}
			return nil
		}})
	}
	mem := device(160)
	f := FormatOptions{SizeBytes: 96 << 20, LogBytes: 8 << 20}
	o := quiet()
	o.Inline = seed%2 == 0
	if seed%4 > 1 {
		f.LogDevice, f.LogBytes = device(64), 0
		o.LogDevice = f.LogDevice
	}
	format(t, mem, f)

	g := &generator{Rand: rng, names: 9, maxSize: 3 << 18}
	m := model{}
	var all Written
	for mount := range 4 {
		seen.Store(0)
		s := open(t, mem, o)
		if mount == 0 {
			apply(t, s, func(x *Txn) { x.MkColl(mainColl, mainSpec) })
		}
		if mount == 2 && o.LogDevice == nil {
			if _, err := s.Grow(bg, 160<<20); err != nil {
				t.Fatal(err)
			}
		}
		for range 25 {
			g.step(t, s, m)
			if g.IntN(6) == 0 {
				mustCheckpoint(t, s)
			}
		}
		x := NewTxn()
		x.OmapSet(mainColl, oid("long"), map[string][]byte{"value": make([]byte, 150_001)})
		x.Write(mainColl, oid("direct"), 4096, make([]byte, 300_000))
		if err := s.Apply(bg, x); err != nil {
			t.Fatal(err)
		}
		// An inline store may be left as a crash leaves it: nothing of it goes on.
		if crash := o.Inline && mount%2 == 0; !crash {
			closeStore(t, s)
		}
		w := s.Metrics().Written
		if got, want := w.Total(), seen.Load(); got != want {
			t.Fatalf("mount %d: the store counts %d bytes written, its devices saw %d: %v", mount, got, want, w)
		}
		all = all.Add(w)
	}
	for p, n := range all {
		if n == 0 && Purpose(p) != WriteClean {
			t.Errorf("nothing was counted as %v: %v", Purpose(p), all)
		}
	}
}
