package ebofs_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

// hurt flips one byte of a block.
func hurt(t *testing.T, dev devices.Device, block uint64) {
	t.Helper()
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	f := pool.Get(4096)
	defer f.Release()
	if err := dev.Read(bg, devices.Block(block), f.Vec()); err != nil {
		t.Fatal(err)
	}
	f.Bytes()[1234] ^= 0x10
	if err := dev.Write(bg, devices.Block(block), f.Vec()); err != nil {
		t.Fatal(err)
	}
}

// filledStore is a closed store of n objects in collection "c".
func filledStore(t *testing.T, n int) *devices.Mem {
	t.Helper()
	dev := devices.NewMem(devices.MemOptions{Blocks: 64 << 20 / 4096})
	mustFormat(t, dev)
	s := mustOpen(t, dev, ebofs.Options{Inline: true})
	x := ebofs.NewTxn()
	x.MkColl("c", ebofs.CollSpec{Shard: -1, Pool: 1})
	for i := range n {
		x.Write("c", obj(fmt.Sprintf("object-%04d", i)), 0, []byte("small"))
	}
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	return dev
}

// objectsRoot returns the root of the object tree and where it lies.
func objectsRoot(t *testing.T, dev devices.Device) (layout.Addr, *btree.Page) {
	t.Helper()
	f, err := ebofs.Find(bg, dev)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ebofs.ReadRoots(bg, dev, &f.Super)
	if err != nil {
		t.Fatal(err)
	}
	root := r.Record.Objects.Ptr
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	fr := pool.Get(int(root.Blocks) * 4096)
	defer fr.Release()
	p := fr.Bytes()[:int(root.Blocks)*4096]
	if err := dev.Read(bg, devices.Block(layout.Addr(root.Addr).Block()), devices.Vec{p}); err != nil {
		t.Fatal(err)
	}
	page, err := btree.ParsePage(bytes.Clone(p))
	if err != nil {
		t.Fatal(err)
	}
	return layout.Addr(root.Addr), page
}

// TestListSound: one damaged leaf of the object tree costs the listing of its
// objects, no others.
func TestListSound(t *testing.T) {
	const n = 1000
	dev := filledStore(t, n)
	_, page := objectsRoot(t, dev)
	if page.Len() < 3 {
		t.Fatalf("root of %d children", page.Len())
	}
	leaf, lost, _ := page.Child(1)
	hurt(t, dev, layout.Addr(leaf.Addr).Block())

	s := mustOpen(t, dev, ebofs.Options{ReadOnly: true})
	defer s.Close(bg)
	if _, _, err := s.List(bg, "c", nil, nil, 2*n); !errors.Is(err, ebofs.ErrCorrupt) {
		t.Fatalf("list over a damaged leaf: %v", err)
	}
	seen, last := 0, ""
	err := s.ListSound(bg, "c", nil, func(o *ebofs.ObjectID) error {
		if key := string(o.AppendKey(nil)); key <= last {
			t.Fatal("out of order")
		} else {
			last = key
		}
		seen++
		return nil
	})
	if !errors.Is(err, ebofs.ErrCorrupt) || seen != n-int(lost) {
		t.Fatalf("%d objects listed, %d of %d are behind the damage; %v", seen, lost, n, err)
	}

	// From an object on, and no further than the caller wants.
	ids, _, err := s.List(bg, "c", nil, nil, 5)
	if err != nil || len(ids) != 5 {
		t.Fatal(len(ids), err)
	}
	enough := errors.New("enough")
	var got []ebofs.ObjectID
	err = s.ListSound(bg, "c", &ids[2], func(o *ebofs.ObjectID) error {
		if got = append(got, *o); len(got) == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || len(got) != 3 || got[0] != ids[2] || got[2] != ids[4] {
		t.Errorf("from the third object on: %v, %v", got, err)
	}
	if err := s.ListSound(bg, "none", nil, nil); !errors.Is(err, ebofs.ErrNotFound) {
		t.Errorf("list of a collection that is not there: %v", err)
	}
}

// TestListSoundEdges: the damage may be the first node, the last one, or all there is.
func TestListSoundEdges(t *testing.T) {
	const n = 1000
	for what, c := range map[string]struct {
		block func(root layout.Addr, page *btree.Page) layout.Addr
		says  string
	}{
		"first": {func(_ layout.Addr, p *btree.Page) layout.Addr { c, _, _ := p.Child(0); return layout.Addr(c.Addr) }, "objects below key"},
		"last": {func(_ layout.Addr, p *btree.Page) layout.Addr {
			c, _, _ := p.Child(p.Len() - 1)
			return layout.Addr(c.Addr)
		}, "objects from key"},
		"root": {func(root layout.Addr, _ *btree.Page) layout.Addr { return root }, "all objects"},
	} {
		dev := filledStore(t, n)
		root, page := objectsRoot(t, dev)
		hurt(t, dev, c.block(root, page).Block())
		s := mustOpen(t, dev, ebofs.Options{ReadOnly: true})
		seen := 0
		err := s.ListSound(bg, "c", nil, func(*ebofs.ObjectID) error { seen++; return nil })
		if !errors.Is(err, ebofs.ErrCorrupt) || !strings.Contains(err.Error(), c.says) || (seen == 0) != (what == "root") || seen == n {
			t.Errorf("%s node: %d objects, %v", what, seen, err)
		}
		if err := s.Close(bg); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLabelLost: a store whose block 0 is somebody else's is read, not written.
func TestLabelLost(t *testing.T) {
	dev := filledStore(t, 10)
	if err := dev.Zero(bg, 0, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := ebofs.Open(bg, dev, ebofs.Options{}); !errors.Is(err, ebofs.ErrLabelLost) {
		t.Fatalf("writable open: %v", err)
	}
	s := mustOpen(t, dev, ebofs.Options{ReadOnly: true})
	defer s.Close(bg)
	if ids, _, err := s.List(bg, "c", nil, nil, 100); err != nil || len(ids) != 10 {
		t.Fatal(len(ids), err)
	}
}

// TestLabelOfAnother: nor is one written to whose block 0 is another store's label.
func TestLabelOfAnother(t *testing.T) {
	dev, other := filledStore(t, 10), filledStore(t, 1)
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	f := pool.Get(4096)
	defer f.Release()
	if err := errors.Join(other.Read(bg, 0, f.Vec()), dev.Write(bg, 0, f.Vec())); err != nil {
		t.Fatal(err)
	}
	if _, err := ebofs.Open(bg, dev, ebofs.Options{}); !errors.Is(err, ebofs.ErrLabelLost) {
		t.Fatalf("writable open: %v", err)
	}
	s := mustOpen(t, dev, ebofs.Options{ReadOnly: true})
	defer s.Close(bg)
	if ids, _, err := s.List(bg, "c", nil, nil, 100); err != nil || len(ids) != 10 {
		t.Fatal(len(ids), err)
	}
}

// TestRootsOutside: a superblock that names what cannot be is not followed.
func TestRootsOutside(t *testing.T) {
	dev := filledStore(t, 10)
	f, err := ebofs.Find(bg, dev)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(sb *layout.Superblock){
		"no root record":         func(sb *layout.Superblock) { sb.Root.Blocks = 0 },
		"one of too many blocks": func(sb *layout.Superblock) { sb.Root.Blocks = layout.MaxRootBlocks + 1 },
		"before the zones":       func(sb *layout.Superblock) { sb.ZoneStart = sb.Root.Addr.Block() + 1 },
		"behind the zones":       func(sb *layout.Superblock) { sb.ZoneEnd = sb.Root.Addr.Block() },
		"another epoch":          func(sb *layout.Superblock) { sb.Root.Epoch++ },
		"more zones":             func(sb *layout.Superblock) { sb.Zones++ },
	} {
		sb := f.Super
		change(&sb)
		if r, err := ebofs.ReadRoots(bg, dev, &sb); !errors.Is(err, ebofs.ErrCorrupt) || r.Sound() != (what == "more zones") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestZoneTableLost: without the zone table nothing is known of free space, and
// everything can be read.
func TestZoneTableLost(t *testing.T) {
	dev := filledStore(t, 10)
	f, err := ebofs.Find(bg, dev)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ebofs.ReadRoots(bg, dev, &f.Super)
	if err != nil {
		t.Fatal(err)
	}
	hurt(t, dev, r.Record.ZoneTables[0].Addr.Block())
	if _, err := ebofs.Open(bg, dev, ebofs.Options{}); !errors.Is(err, ebofs.ErrCorrupt) {
		t.Fatalf("writable open: %v", err)
	}
	s := mustOpen(t, dev, ebofs.Options{ReadOnly: true})
	defer s.Close(bg)
	if s.Degraded() == "" {
		t.Error("a store without zone table calls itself whole")
	}
	p := make([]byte, 10)
	if n, err := s.Read(bg, "c", obj("object-0003"), 0, p); err != nil || string(p[:n]) != "small" {
		t.Fatal(string(p[:n]), err)
	}
}
