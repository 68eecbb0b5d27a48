package ebofs

import (
	"maps"
	"math/rand/v2"
	"testing"

	"ebofs/ebofs/layout"
)

// TestEditsAgainstMap compares edits with a map of blocks: over two open epochs, the
// older of which is frozen, folded and settled, time and again.
func TestEditsAgainstMap(t *testing.T) {
	type entry struct {
		d     decided
		epoch uint64
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var o overlay
		want := map[uint64]entry{}
		check := func(what string, o *overlay, want map[uint64]entry, epoch uint64) {
			t.Helper()
			got, fresh := map[uint64]decided{}, map[layout.Addr]bool{}
			for k, e := range o.edits.all() {
				last := -1
				for i, d := range e.all() {
					if int(i) <= last {
						t.Fatalf("seed %d: %s: block %d after %d", seed, what, i, last)
					}
					last = int(i)
					got[k*layout.ChunkBlocks+i] = d
				}
				e.each(epoch, func(d decided) { fresh[d.addr] = true })
			}
			for b, w := range want {
				if d, ok := o.lookup(b); !ok || d != w.d || got[b] != w.d {
					t.Fatalf("seed %d: %s: block %d is %v, %v, want %v", seed, what, b, d, got[b], w.d)
				}
				if w.d.addr != 0 && fresh[w.d.addr] != (w.epoch == epoch) {
					t.Fatalf("seed %d: %s: block %d of epoch %d is one of %d: %v", seed, what, b, w.epoch, epoch, fresh[w.d.addr])
				}
			}
			if len(got) != len(want) {
				t.Fatalf("seed %d: %s: %d blocks, want %d", seed, what, len(got), len(want))
			}
		}
		next := layout.Addr(1)
		for epoch := uint64(1); epoch < 12; epoch++ {
			change := func() {
				for range rng.IntN(60) {
					b, d := rng.Uint64N(3*layout.ChunkBlocks), decided{next, uint32(next), 0}
					if next++; rng.IntN(8) == 0 {
						d = decided{} // a hole
					}
					dead := o.place(b, d, epoch)
					if old := want[b]; old.epoch == epoch && dead != old.d || old.epoch != epoch && dead != (decided{}) {
						t.Fatalf("seed %d: epoch %d: block %d leaves %v dead, was %v", seed, epoch, b, dead, old)
					}
					want[b] = entry{d, epoch}
				}
			}
			change()
			check("live", &o, want, epoch)
			frozen, then := o.freeze(), maps.Clone(want)
			epoch++
			change() // while the older epoch is folded
			check("frozen", &frozen, then, epoch-1)
			check("before it is settled", &o, want, epoch)
			o.settle(epoch - 1)
			maps.DeleteFunc(want, func(_ uint64, e entry) bool { return e.epoch < epoch })
			check("settled", &o, want, epoch)
			check("frozen, after it is settled", &frozen, then, epoch-1)
			if rng.IntN(2) == 0 {
				o.settle(epoch)
				clear(want)
				check("all settled", &o, want, epoch)
			}
		}
	}
}
