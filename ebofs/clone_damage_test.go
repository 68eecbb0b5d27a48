package ebofs

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"ebofs/devices"
)

// sourceOf is the object of the zoo that a kind of tree node is damaged of.
var sourceOf = map[string]string{"attrs": "attrs", "omap": "map", "extents": "wide"}

// nodesOfZoo returns a closed store and, for each kind of tree an object has, a
// leaf of it.
func nodesOfZoo(t *testing.T) (*devices.Mem, model, []place) {
	t.Helper()
	base := newMem(160)
	s := newStore(t, base, FormatOptions{}, Options{Inline: true})
	m := zoo(t, s)
	closeStore(t, s)
	var list []place
	for kind, name := range sourceOf {
		for _, p := range anatomy(t, base) {
			if p.kind == kind+" level 0" && p.objects[name] {
				list = append(list, p)
				break
			}
		}
	}
	if len(list) != len(sourceOf) {
		t.Fatalf("found %v", list)
	}
	return base, m, list
}

func hurtNode(t *testing.T, dev devices.Device, p place) {
	t.Helper()
	damage(t, dev, p.block, 1, func(b []byte) { b[len(b)/3] ^= 4 })
}

func sourceIn(p place) string { return sourceOf[strings.TrimSuffix(p.kind, " level 0")] }

// TestCloneOfDamaged: what cannot be read is not cloned, and nothing changes.
func TestCloneOfDamaged(t *testing.T) {
	base, m, nodes := nodesOfZoo(t)
	for _, p := range nodes {
		dev, name := base.Snapshot(), sourceIn(p)
		hurtNode(t, dev, p)
		s := open(t, dev, Options{Inline: true})
		for _, to := range []string{"new", "small1"} {
			x := NewTxn()
			x.Clone(mainColl, oid(name), oid(to))
			if err := s.Apply(bg, x); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: clone to %s: %v", p.kind, to, err)
			}
		}
		if name == "wide" {
			x := NewTxn()
			x.CloneRange(mainColl, oid(name), oid("small1"), 0, 20*chunkBytes, 0)
			if err := s.Apply(bg, x); !errors.Is(err, ErrCorrupt) {
				t.Errorf("clone of a range: %v", err)
			}
		}
		if ok, err := s.Exists(bg, mainColl, oid("new")); ok || err != nil {
			t.Errorf("%s: the refused clone is there: %v, %v", p.kind, ok, err)
		}
		checkSpace(t, s)
		closeStore(t, s)
		s = open(t, dev, Options{ReadOnly: true})
		for name := range readAll(t, s, m) {
			if !p.objects[name] {
				t.Errorf("%s: %s cannot be read", p.kind, name)
			}
		}
		closeStore(t, s)
	}
}

// TestReplayCloneOfDamaged: a clone in the log whose source can no longer be read is
// lost, for good and alone: it fails, may be removed, and all else is there.
func TestReplayCloneOfDamaged(t *testing.T) {
	base, m, nodes := nodesOfZoo(t)
	for _, p := range nodes {
		name := sourceIn(p)
		dev := base.Snapshot()
		s := open(t, dev, Options{Inline: true})
		apply(t, s, func(x *Txn) {
			x.Clone(mainColl, oid(name), oid("new"))
			x.Clone(mainColl, oid(name), oid("small1"))
		})
		image := dev.Snapshot()
		s.Abandon()
		hurtNode(t, image, p)
		s = open(t, image, Options{Inline: true})
		lost := func(what string) {
			t.Helper()
			for _, to := range []string{"new", "small1"} {
				if _, err := s.Stat(bg, mainColl, oid(to)); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s, %s: stat of %s: %v", p.kind, what, to, err)
				}
			}
			for n, err := range readAll(t, s, m) {
				if !p.objects[n] && n != "small1" {
					t.Errorf("%s, %s: %v", p.kind, what, err)
				}
			}
		}
		lost("after the replay")
		mustCheckpoint(t, s)
		lost("after a checkpoint")
		closeStore(t, s)
		hurtNode(t, image, p) // sound again
		s = open(t, image, Options{Inline: true})
		lost("though it can be read again")
		apply(t, s, func(x *Txn) {
			x.Remove(mainColl, oid("new"))
			x.Remove(mainColl, oid("small1"))
			x.Clone(mainColl, oid(name), oid("new"))
		})
		if err := compareObject(s, mainColl, "new", m[name]); err != nil {
			t.Error(err)
		}
		checkSpace(t, s)
		closeStore(t, s)
		fsck(t, image)
	}
}

// TestRemoveUnreadable: an object that cannot be read can be removed. What its
// damaged nodes name stays used, and nothing else is lost.
func TestRemoveUnreadable(t *testing.T) {
	base, m, nodes := nodesOfZoo(t)
	for _, p := range nodes {
		dev, name := base.Snapshot(), sourceIn(p)
		hurtNode(t, dev, p)
		s := open(t, dev, Options{Inline: true})
		apply(t, s, func(x *Txn) { x.Remove(mainColl, oid(name)) })
		mustCheckpoint(t, s)
		left := m.clone()
		delete(left, name)
		for n, err := range readAll(t, s, left) {
			t.Errorf("%s: object %s: %v", p.kind, n, err)
		}
		checkSpace(t, s)
		closeStore(t, s)
		s = open(t, dev, Options{Inline: true})
		if err := compare(s, mainColl, left); err != nil {
			t.Errorf("%s: %v", p.kind, err)
		}
		closeStore(t, s)
	}
}

// TestReplayOnDamaged: changes in the log of an object that can no longer be found
// are lost with it. A reader sees it fail, and so do all later mounts.
func TestReplayOnDamaged(t *testing.T) {
	base, m, _ := nodesOfZoo(t)
	var leaf place
	for _, p := range anatomy(t, base) {
		if p.kind == "objects level 0" {
			leaf = p
		}
	}
	s := open(t, base, Options{Inline: true})
	x := NewTxn()
	for name := range leaf.objects {
		x.Write(mainColl, oid(name), 10, []byte("lost"))
	}
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
	image := base.Snapshot()
	s.Abandon()
	hurtNode(t, image, leaf)
	for _, o := range []Options{{ReadOnly: true}, {Inline: true}, {Inline: true}} {
		s := open(t, image, o)
		failed := readAll(t, s, m)
		for name, err := range failed {
			if !leaf.objects[name] {
				t.Errorf("%+v: object %s: %v", o, name, err)
			}
		}
		if len(failed) != len(leaf.objects) {
			t.Errorf("%+v: %d objects fail, %d lie on the leaf: %v", o, len(failed), len(leaf.objects), fmt.Sprint(failed))
		}
		closeStore(t, s)
	}
}
