package repair

import (
	"errors"
	"testing"

	"ebofs/btree"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// TestNoRoom: an object whose lost blocks need more placeholders than there may be,
// or than there is space for, is set apart; the repair goes on.
func TestNoRoom(t *testing.T) {
	dev := sample().dev.Snapshot()
	forge(t, dev, func(f *forger) {
		key, on := f.onode("large3")
		idx, _ := f.firstChunk(key, &on)
		f.setChunk(key, &on, idx, []byte("garbage"))
		f.put(key, &on)
	})
	if _, err := Run(bg, dev, Options{Mode: All, PlaceholderBlocks: 8}); err != nil {
		t.Fatal(err)
	}
	clean(t, dev)
	if hurt := compare(t, dev, sample().want); len(hurt) != 1 || !hurt["large3"] {
		t.Errorf("hurt: %v", hurt)
	}
	rep := mustCheck(t, dev)
	if len(rep.Problems) != 1 || rep.Problems[0].Code != check.ObjectDamaged {
		t.Errorf("not set apart as a whole: %v", rep.Problems)
	}

	forge(t, sample().dev.Snapshot(), func(f *forger) {
		defer func(was [2]uint64) { f.r.sink.failed = was }(f.r.sink.failed)
		f.r.sink.failed = [2]uint64{1, 1} // full
		key, on := f.onode("large4")
		idx, before := f.firstChunk(key, &on)
		x := btree.New(f.r.cfg(layout.TreeExtents), loader{f.r}, layout.OwnerOf(key, on.ID), on.Extents)
		room := 100
		k, _ := layout.DecodeUint64Key(idx)
		lost, err := f.r.mendChunk(x, k, blocksOf(on.Size), &chunkFix{lost: 1 << 12, away: 1 << 12, move: 3 << 20}, &room)
		if !errors.Is(err, btree.ErrNoRun) || lost != 0 {
			t.Fatalf("%d lost, %v", lost, err)
		}
		val, _, err := x.Get(bg, idx, nil)
		f.must(err)
		var c layout.Chunk
		f.must(layout.DecodeChunk(val, &c))
		for _, i := range []int{12, 20, 21} {
			if before.Addr[i] == 0 || c.Addr[i] != 0 {
				t.Errorf("block %d is mapped to %v, before to %v", i, c.Addr[i], before.Addr[i])
			}
			before.Addr[i], before.CRC[i], before.Flags[i] = 0, 0, 0
		}
		if c != before {
			t.Error("other blocks have changed")
		}
	})
}
