package ebofs

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestUnloadZones writes all over a device of many zones of which hardly one may stay
// loaded: the bitmaps go again, and the store stays sound over checkpoints, crashes
// and clean stops, with kept epochs too.
func TestUnloadZones(t *testing.T) {
	eachSeed(t, 4, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 21))
		g := &generator{Rand: rng, names: 40, maxSize: 1 << 20}
		dev := newMem(640)
		opt := quiet()
		opt.Inline = seed%2 == 0
		format(t, dev, FormatOptions{KeepEpochs: int(seed % 3), LogBytes: 16 << 20})
		mount := func() *Store {
			s := open(t, dev, opt)
			s.space.resident = 1
			return s
		}
		s := mount()
		apply(t, s, func(x *Txn) { x.MkColl(mainColl, mainSpec) })
		m := model{}
		for i := range 24 { // in every zone
			name := fmt.Sprint("large", i)
			data := make([]byte, 16<<20)
			apply(t, s, func(x *Txn) { x.Write(mainColl, oid(name), 0, data) })
			mustCheckpoint(t, s)
		}
		for range 4 { // limbo goes, and second chances
			mustCheckpoint(t, s)
		}
		used := 0
		s.space.mu.Lock()
		for z := range s.space.zones {
			if !s.space.zones[z].entry.Bitmap.IsNone() {
				used++
			}
		}
		// The stash, which no bitmap knows, lies in one or two; one is being filled.
		n := s.space.a.LoadedZones()
		s.space.mu.Unlock()
		if used < 10 || n > 5 {
			t.Errorf("%d zones are loaded, %d of %d are in use", n, used, s.place.Zones)
		}
		for i := range 24 {
			apply(t, s, func(x *Txn) { x.Remove(mainColl, oid(fmt.Sprint("large", i))) })
		}
		for round := range 16 {
			for range 12 {
				g.step(t, s, m)
			}
			switch round % 5 {
			case 3:
				s.Abandon()
				s = mount()
			case 4:
				closeStore(t, s)
				fsck(t, dev)
				s = mount()
			default:
				mustCheckpoint(t, s)
			}
			mustCheckpoint(t, s)
			mustCheckpoint(t, s)
			checkSpace(t, s)
			mustCompare(t, s, m)
		}
		closeStore(t, s)
		fsck(t, dev)
	})
}
