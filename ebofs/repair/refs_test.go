package repair

import (
	"testing"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

// rootsOf returns the root record of a closed store.
func rootsOf(t testing.TB, dev devices.Device) (layout.Superblock, layout.RootRecord) {
	t.Helper()
	f, err := ebofs.Find(bg, dev)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := ebofs.ReadRoots(bg, dev, &f.Super)
	if err != nil {
		t.Fatal(err)
	}
	return f.Super, roots.Record
}

// TestRefsKept: counts that are right are not written again.
func TestRefsKept(t *testing.T) {
	o := cloned()
	_, before := rootsOf(t, o.dev)
	if before.Refs.Ptr.Level == 0 || before.Trash.Count == 0 {
		t.Fatalf("refs of level %d and %d removed objects make no test", before.Refs.Ptr.Level, before.Trash.Count)
	}
	dev := o.dev.Snapshot()
	p := o.first("zone table")
	change(t, dev, p.block, p.blocks, clearAll)
	if _, err := Run(bg, dev, Options{Mode: All}); err != nil {
		t.Fatal(err)
	}
	if _, after := rootsOf(t, dev); after.Refs.Ptr != before.Refs.Ptr || after.Counters != before.Counters {
		t.Errorf("refs %+v, %+v before; counters %+v, %+v", after.Refs, before.Refs, after.Counters, before.Counters)
	}
	clean(t, dev)
}

// TestRefsWindows counts in windows of a few groups: the result is the same.
func TestRefsWindows(t *testing.T) {
	o := cloned()
	for _, groups := range []int{1, 2, 7, 30} {
		for _, lose := range []bool{false, true} {
			dev := o.dev.Snapshot()
			p := o.first("zone table")
			if lose {
				p = o.first("refs inner")
			}
			change(t, dev, p.block, p.blocks, clearAll)
			if _, err := Run(bg, dev, Options{Mode: All, RefGroups: groups}); err != nil {
				t.Fatal(err)
			}
			if n := clean(t, dev); n > 0 {
				t.Errorf("windows of %d groups: %d marks", groups, n)
			}
			if hurt := compare(t, dev, o.want); len(hurt) > 0 {
				t.Errorf("windows of %d groups: lost %v", groups, hurt)
			}
		}
	}
}

// TestRefsGivenUp: a store that could not read counts goes on and frees none of
// their blocks. A repair gets them back.
func TestRefsGivenUp(t *testing.T) {
	o := cloned()
	dev := o.dev.Snapshot()
	p := o.first("refs leaf")
	change(t, dev, p.block, p.blocks, clearAll)
	s := open(t, dev, ebofs.Options{})
	want := map[string]*content{}
	for n, c := range o.want {
		want[n] = c
	}
	for _, n := range []string{"src", "dst", "part"} { // all that shares with each other
		apply(t, s, func(x *ebofs.Txn) { x.Remove(coll, object(n)) })
		delete(want, n)
	}
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	if mustCheck(t, dev).OK() {
		t.Fatal("the check finds nothing")
	}
	free := func() uint64 {
		s := open(t, dev, ebofs.Options{ReadOnly: true})
		defer s.Close(bg)
		st, err := s.Statfs()
		if err != nil {
			t.Fatal(err)
		}
		return st.Free
	}
	before := free()
	if _, err := Run(bg, dev, Options{Mode: All}); err != nil {
		t.Fatal(err)
	}
	if n := clean(t, dev); n > 0 {
		t.Errorf("%d marks", n)
	}
	if hurt := compare(t, dev, want); len(hurt) > 0 {
		t.Errorf("lost: %v", hurt)
	}
	if got := free(); got < before+3<<20 {
		t.Errorf("%d bytes are free, %d before the repair", got, before)
	}
}

// TestClonesGo removes everything of a repaired store in every order of three: no
// block stays behind, and none goes too early.
func TestClonesGo(t *testing.T) {
	o := cloned()
	damaged := o.dev.Snapshot()
	p := o.first("refs inner")
	change(t, damaged, p.block, p.blocks, clearAll)
	if _, err := Run(bg, damaged, Options{Mode: All}); err != nil {
		t.Fatal(err)
	}
	for turn := range 3 {
		dev := damaged.Snapshot()
		want := map[string]*content{}
		for n, c := range o.want {
			want[n] = c
		}
		for i := range clonesOf {
			n := clonesOf[(i*4+turn*5)%len(clonesOf)]
			s := open(t, dev, ebofs.Options{})
			apply(t, s, func(x *ebofs.Txn) { x.Remove(coll, object(n)) })
			apply(t, s, func(x *ebofs.Txn) { x.Write(coll, object("other"), 0, fill(int64(i), 5<<20)) })
			if err := s.Close(bg); err != nil {
				t.Fatal(err)
			}
			delete(want, n)
			if hurt := compare(t, dev, want); len(hurt) > 0 {
				t.Fatalf("removed %s: lost %v", n, hurt)
			}
		}
		clean(t, dev)
		sb, root := rootsOf(t, dev)
		if root.Refs.Kind != btree.RootEmpty || root.Counters.DataBlocks != 5<<20/layout.BlockSize || root.Counters.TrashObjects != 0 {
			t.Errorf("left: %+v, refs %+v", root.Counters, root.Refs)
		}
		if sb.Features.Incompat&layout.FeatSharedBlocks == 0 {
			t.Error("the feature is gone")
		}
		if sb.Features.Incompat&layout.FeatDenseOnodes == 0 {
			t.Error("dense onodes without their feature")
		}
	}
}
