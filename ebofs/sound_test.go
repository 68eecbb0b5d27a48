package ebofs_test

import (
	"errors"
	"fmt"
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

// TestListSound: one damaged leaf of the object tree costs the listing of its
// objects, no others.
func TestListSound(t *testing.T) {
	const n = 1000
	dev := filledStore(t, n)
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
	if err := dev.Read(bg, devices.Block(layout.Addr(root.Addr).Block()), devices.Vec{fr.Bytes()[:int(root.Blocks)*4096]}); err != nil {
		t.Fatal(err)
	}
	page, err := btree.ParsePage(append([]byte(nil), fr.Bytes()[:int(root.Blocks)*4096]...))
	fr.Release()
	if err != nil || page.Len() < 3 {
		t.Fatalf("root of %d children, %v", page.Len(), err)
	}
	leaf, lost, _ := page.Child(1)
	hurt(t, dev, layout.Addr(leaf.Addr).Block())

	s := mustOpen(t, dev, ebofs.Options{ReadOnly: true})
	defer s.Close(bg)
	if _, _, err := s.List(bg, "c", nil, nil, 2*n); !errors.Is(err, ebofs.ErrCorrupt) {
		t.Fatalf("list over a damaged leaf: %v", err)
	}
	seen, last := 0, ""
	err = s.ListSound(bg, "c", nil, func(o *ebofs.ObjectID) error {
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
