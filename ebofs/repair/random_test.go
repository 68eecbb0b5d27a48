package repair

import (
	"flag"
	"math/rand"
	"testing"

	"ebofs/ebofs/layout"
)

var seeds = flag.Int("seeds", 0, "so many seeds of random damage")

// TestRandomDamage damages many things at once: the repair ends with a store in
// which nothing but marks is wrong, no wrong byte is read, and the way back is exact.
func TestRandomDamage(t *testing.T) {
	n := 40
	if testing.Short() {
		n = 8
	}
	if *seeds > 0 {
		n = *seeds
	}
	doubtful := 0
	for seed := range int64(n) {
		rnd := rand.New(rand.NewSource(seed))
		o, few := sample(), 14
		if seed%3 == 2 {
			o, few = cloned(), 30
		}
		dev := o.dev.Snapshot()
		for range 1 + rnd.Intn(12) {
			p := o.places[rnd.Intn(len(o.places))]
			if rnd.Intn(2) == 0 { // what there is little of
				p = o.places[rnd.Intn(few)]
			}
			b, blocks := p.block, p.blocks
			if rnd.Intn(8) == 0 { // something of another kind, whole
				q := o.places[rnd.Intn(len(o.places))]
				d := &device{dev: dev, pool: testPool}
				buf, err := d.read(bg, q.block, min(q.blocks, blocks))
				if err != nil {
					t.Fatal(err)
				}
				change(t, dev, b, len(buf)/layout.BlockSize, func(p []byte) { copy(p, buf) })
				continue
			}
			h := harms[rnd.Intn(len(harms))]
			change(t, dev, b, blocks, h.do)
		}
		was := dev.Hash()
		file := new(memFile)
		res, err := runUndo(dev, file, Options{Mode: All, Overwrite: true, Deep: true})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		clean(t, dev)
		if res.Doubtful { // said so; wrong is only what is older
			doubtful++
		} else {
			compare(t, dev, o.want)
		}
		if t.Failed() {
			t.Fatalf("seed %d: %v", seed, res.Actions)
		}
		if len(file.p) > 0 {
			if _, err := ApplyUndo(bg, file, dev); err != nil || dev.Hash() != was {
				t.Fatalf("seed %d: undo: %v, same %v", seed, err, dev.Hash() == was)
			}
		}
	}
	if doubtful > n/4 {
		t.Errorf("%d of %d repairs in doubt", doubtful, n)
	}
	t.Logf("%d of %d in doubt", doubtful, n)
}
