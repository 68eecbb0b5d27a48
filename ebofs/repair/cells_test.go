package repair

import (
	"errors"
	"fmt"
	"testing"

	"ebofs/ebofs"
	"ebofs/ebofs/check"
)

// TestCells damages each kind of block in each way: repaired, a deep check finds
// nothing but marks, objects that do not depend on the block are as before, nothing
// wrong is read, and the undo file brings the damaged image back byte for byte.
func TestCells(t *testing.T) {
	cells(t, sample(), []string{"label", "superblock 0", "root record", "zone table", "bitmap", "objects leaf", "objects inner", "omap leaf", "omap inner",
		"attrs leaf", "attrs inner", "extents leaf", "extents inner", "attrs value", "omap value", "data"})
}

// TestCellsClones does the same in a store with clones: a block they share costs all
// of them, and their counts cost nothing.
func TestCellsClones(t *testing.T) {
	cells(t, cloned(), []string{"root record", "bitmap", "objects leaf", "extents leaf", "data", "shared data", "trash leaf", "trash extents leaf", "refs leaf", "refs inner"})
}

func cells(t *testing.T, o *original, kinds []string) {
	seen := map[string]int{}
	for _, p := range o.places {
		if seen[p.kind]++; seen[p.kind] > 2 || testing.Short() && seen[p.kind] > 1 {
			continue
		}
		for _, h := range harms {
			t.Run(fmt.Sprintf("%s/%d/%s", p.kind, p.block, h.name), func(t *testing.T) {
				dev := o.dev.Snapshot()
				change(t, dev, p.block, p.blocks, h.do)
				rep, err := check.Run(bg, dev, check.Options{Level: check.Deep})
				if err != nil {
					rep = nil
				}
				res, err := runUndo(dev, new(memFile), Options{Mode: All, Deep: true, Overwrite: true, Found: rep})
				if err != nil {
					t.Fatal(err)
				}
				if rep != nil && !rep.OK() && len(res.Actions) == 0 {
					t.Errorf("nothing was done about %v", rep.Problems)
				}
				marks := clean(t, dev)
				hurt := compare(t, dev, o.want)
				for name := range hurt {
					if !p.objects[name] {
						t.Errorf("object %s does not depend on the block and fails", name)
					}
				}
				lossless := p.objects == nil || p.kind == "extents inner" || p.kind == "omap inner" || p.kind == "attrs inner"
				if lossless && (len(hurt) > 0 || marks > 0) {
					t.Errorf("%d objects hurt, %d marks, and nothing had to be lost: %v", len(hurt), marks, res.Actions)
				}
				if !lossless && len(hurt) == 0 {
					t.Errorf("no object is hurt")
				}
				// The store goes on, and what is marked can be removed.
				s := open(t, dev, ebofs.Options{})
				for name := range hurt {
					if _, err := get(s, object(name)); errors.Is(err, ebofs.ErrNotFound) {
						continue
					}
					apply(t, s, func(x *ebofs.Txn) { x.Remove(coll, object(name)) })
				}
				apply(t, s, func(x *ebofs.Txn) { x.Write(coll, object("new"), 0, fill(5, 300000)) })
				if err := s.Close(bg); err != nil {
					t.Fatal(err)
				}
				if n := clean(t, dev); n > 0 {
					t.Errorf("%d marks left after everything that is marked was removed", n)
				}
			})
			t.Run(fmt.Sprintf("undo/%s/%d/%s", p.kind, p.block, h.name), func(t *testing.T) {
				dev := o.dev.Snapshot()
				change(t, dev, p.block, p.blocks, h.do)
				damaged := dev.Hash()
				file := new(memFile)
				if _, err := runUndo(dev, file, Options{Mode: All, Deep: true, Overwrite: true}); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if _, err := ApplyUndo(bg, file, dev); err != nil {
						t.Fatal(err)
					}
					if dev.Hash() != damaged {
						t.Fatal("the image is not what it was")
					}
				}
			})
		}
	}
	t.Log(seen)
	for _, kind := range kinds {
		if seen[kind] == 0 {
			t.Errorf("no %s in the store", kind)
		}
	}
}
