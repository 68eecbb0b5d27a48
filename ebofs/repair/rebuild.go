package repair

import (
	"fmt"
	"slices"

	"ebofs/btree"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// rebuild makes a new checkpoint of what can be used of the present one. Nothing
// that the present one uses is overwritten before the superblock, so an interrupted
// rebuild leaves things as they were.
func (r *repairer) rebuild(rootErr error) error {
	if r.o.Mode == All && rootErr == nil && r.onlySupers() {
		return r.restoreSlots()
	}
	// The store finds owners anew once it is mounted.
	r.root.Owners = btree.Root{}
	r.sb.Features.Incompat &^= layout.FeatOwnerIndex
	r.sb.Features.Incompat |= layout.FeatDenseOnodes
	r.busy, r.shared = newBlockSet(&r.place), blockSet{}
	r.used = newBlockSet(&r.place)
	r.loadUsed()
	s, err := r.look()
	if err != nil {
		return err
	}
	if err := r.mayDrop(s); err != nil {
		return err
	}
	r.sink = newSink(r, r.sb.Epoch+1)
	if err := r.mend(s); err != nil {
		return err
	}
	if err := r.sink.flush(r.ctx); err != nil {
		return err
	}
	t, err := r.recount(s)
	if err != nil {
		return err
	}
	before := r.root.Counters
	r.root.Counters = t.counters
	r.root.NextObjectID = max(r.root.NextObjectID, s.maxID+1)
	if err := r.writeSpace(t); err != nil {
		return err
	}
	if before != t.counters {
		r.res.did(Action{Code: check.Counter, What: "recounted the totals"})
	}
	r.res.did(Action{Code: check.ZoneBitmap, What: fmt.Sprintf("wrote bitmaps, zone table and root record anew: %d blocks free of %d", t.free, r.place.ZoneEnd-r.place.ZoneStart)})
	if !r.sb.Clean() && r.logged.Records > 0 {
		if err := r.replay(); err != nil {
			return fmt.Errorf("the structure is repaired; replay the log: %w", err)
		}
	}
	return nil
}

// onlySupers reports whether nothing but labels and superblocks was found wrong.
func (r *repairer) onlySupers() bool {
	rep := r.o.Found
	if rep == nil || !rep.Complete || rep.Omitted > 0 || r.preset != nil || r.salvaged {
		return false
	}
	if r.replayed && rep.Counts.LogReplayed != rep.Counts.LogRecords {
		return false // it was not looked at what the log would bring
	}
	for i := range rep.Problems {
		switch rep.Problems[i].Code {
		case check.LabelBad, check.LabelOther, check.SuperBad, check.DataDamaged, check.ObjectDamaged, check.LogMissing:
		default:
			return false
		}
	}
	return true
}

// mend carries out what the survey asks for and sets the roots of r.root.
func (r *repairer) mend(s *survey) error {
	for _, x := range [...]struct {
		t    *treeFix
		edit func(t *btree.Tree) error
	}{
		{&s.objects, func(t *btree.Tree) error { return r.mendObjects(s, t) }},
		{&s.colls, func(t *btree.Tree) error { return r.mendCollections(s, t) }},
		{&s.trash, nil},
	} {
		root, err := r.mendTree(x.t, *r.root.Root(x.t.kind), x.edit)
		if err != nil {
			return fmt.Errorf("tree %v: %w", x.t.kind, err)
		}
		*r.root.Root(x.t.kind) = root
	}
	return nil
}

// mendTree makes the new version of a tree: its usable leaves under new inner nodes,
// then the changes to items.
func (r *repairer) mendTree(f *treeFix, root btree.Root, edit func(t *btree.Tree) error) (btree.Root, error) {
	cfg := r.cfg(f.kind)
	var err error
	switch {
	case f.empty:
		root = btree.Root{}
	case f.regraft:
		leaves := make([]btree.Leaf, len(f.leaves))
		for i := range f.leaves {
			leaves[i] = f.leaves[i].Leaf
		}
		if root, err = btree.Graft(r.ctx, cfg, &f.own, r.sink, leaves); err != nil {
			return root, err
		}
	}
	t := btree.New(cfg, loader{r}, f.own, root)
	for _, k := range f.drop {
		t.Delete(k)
	}
	if edit != nil {
		if err := edit(t); err != nil {
			return root, err
		}
	}
	if !t.Dirty() {
		return root, nil
	}
	t.Freeze()
	return t.Reconcile(r.ctx, r.sink)
}

// mendObjects carries out the fixes of objects.
func (r *repairer) mendObjects(s *survey, objects *btree.Tree) error {
	for i, f := range s.fixes {
		if err := r.mendObject(s, f, objects); err != nil {
			return fmt.Errorf("object %s: %w", f.name, err)
		}
		r.progress("repair of objects", uint64(i+1), uint64(len(s.fixes)))
	}
	return r.markLogged(s, objects)
}

func (r *repairer) mendObject(s *survey, f *objectFix, objects *btree.Tree) error {
	a := Action{Code: f.why, Lost: true}
	if f.remove {
		objects.Delete(f.key)
		a.Gone, a.What = 1, fmt.Sprintf("removed an entry whose key names nothing: %x", f.key)
		r.res.did(a)
		return nil
	}
	var on layout.Onode
	if f.replace {
		s.maxID++
		on = layout.Onode{ID: s.maxID}
	} else {
		val, ok, err := objects.Get(r.ctx, f.key, nil)
		if err != nil || !ok {
			return fmt.Errorf("its onode was there a moment ago (%v): %w", ok, err)
		}
		if on, err = layout.DecodeOnode(val); err != nil {
			return err
		}
	}
	a.Object = []check.Object{{Name: f.name}}
	if k, err := layout.DecodeObjectKey(f.key); err == nil {
		a.Object[0].Key = k.String()
	}
	for _, x := range [...]struct {
		fix  *treeFix
		root *btree.Root
	}{{f.attrs, &on.Attrs}, {f.omap, &on.Omap}} {
		if x.fix == nil {
			continue
		}
		root, err := r.mendTree(x.fix, *x.root, nil)
		if err != nil {
			return err
		}
		*x.root = root
		f.isolate = f.isolate || x.fix.lossy()
	}
	if f.extents != nil {
		lost, err := r.mendExtents(f.extents, &on)
		if err != nil {
			return err
		}
		if lost < 0 {
			f.isolate = true
		}
		a.Object[0].Length = uint64(max(lost, 0)) * layout.BlockSize
		a.Lost = f.isolate || lost != 0
		a.What = fmt.Sprintf("object %s: %d blocks of data are lost and marked; the rest is readable", f.name, max(lost, 0))
		if lost == 0 {
			a.What = fmt.Sprintf("object %s: its map of extents is mended, nothing is lost", f.name)
		}
	} else if !f.isolate {
		a.Lost, a.What = false, fmt.Sprintf("object %s: its trees are mended, nothing is lost", f.name)
	}
	if f.isolate {
		on.Flags |= layout.OnodeDamaged
		a.What = fmt.Sprintf("object %s: set apart: what is left of it is kept, reads fail, it can be removed", f.name)
	}
	val, err := on.Append(nil)
	if err != nil {
		return err
	}
	objects.Put(f.key, val)
	r.res.did(a)
	return nil
}

// lossy reports whether something of a tree is gone.
func (t *treeFix) lossy() bool {
	if t.empty || len(t.drop) > 0 {
		return true
	}
	for i := range t.holes {
		if t.holes[i].err != nil {
			return true
		}
	}
	return false
}

// markLogged makes objects that the log changes or clones and that are lost with
// their leaf known as damaged, before the log brings them back as if they were new;
// and those that records change which cannot be replayed.
func (r *repairer) markLogged(s *survey, objects *btree.Tree) error {
	mark := slices.Clone(r.unjoined)
	for _, keys := range [...][]string{r.logged.Keys, r.logged.Sources} {
		for _, key := range keys {
			if s.lostKey([]byte(key)) {
				mark = append(mark, key)
			}
		}
	}
	for _, key := range mark {
		s.maxID++
		on := layout.Onode{ID: s.maxID}
		val, ok, err := objects.Get(r.ctx, []byte(key), nil)
		if err != nil {
			return err
		}
		if ok {
			if on, err = layout.DecodeOnode(val); err != nil {
				return err
			}
		}
		on.Flags |= layout.OnodeDamaged
		if val, err = on.Append(nil); err != nil {
			return err
		}
		objects.Put([]byte(key), val)
	}
	return nil
}

func (s *survey) lostKey(key []byte) bool {
	for _, h := range s.holes {
		if string(key) >= string(h[0]) && (h[1] == nil || string(key) < string(h[1])) {
			return true
		}
	}
	return false
}
