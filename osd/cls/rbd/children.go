package rbd

import (
	"cmp"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// childPrefix stands in front of the ids of snapshots that have clones.
const childPrefix = "snap_children_"

// child is a clone of a snapshot. (ChildImageSpec)
type child struct {
	pool      int64
	image     string
	namespace string
}

func (a child) compare(b child) int {
	return cmp.Or(cmp.Compare(a.pool, b.pool), strings.Compare(a.namespace, b.namespace), strings.Compare(a.image, b.image))
}

func (a child) encode(e *denc.Encoder) {
	m := e.Begin(2, 1)
	e.I64(a.pool)
	e.Str(a.image)
	e.Str(a.namespace)
	e.End(m)
}

func decodeChild(d *denc.Decoder) child {
	s := d.Begin(2)
	a := child{pool: d.I64(), image: d.Str()}
	if s.Version >= 2 {
		a.namespace = d.Str()
	}
	d.End(s)
	return a
}

func putChildren(e *denc.Encoder, all []child) {
	denc.PutSlice(e, all, func(e *denc.Encoder, a child) { a.encode(e) })
}

func decodeChildren(d *denc.Decoder) []child { return denc.Slice(d, 18, decodeChild) }

// snapshotChild is a snapshot and a clone of it.
type snapshotChild struct {
	snap  ceph.SnapID
	child child
}

func decodeSnapshotChild(d *denc.Decoder) snapshotChild {
	return snapshotChild{snapID(d), decodeChild(d)}
}

// load returns the snapshot, its clones, and where the one is or belongs.
func (s snapshotChild) load(c cls.Context) (snap snapshot, all []child, at int, there bool, err error) {
	if snap, err = loadSnapshot(c, s.snap); err != nil {
		return snap, nil, 0, false, err
	}
	if all, err = getOr(c, hexKey(childPrefix, s.snap), decodeChildren, nil); err != nil {
		return snap, nil, 0, false, err
	}
	at, there = slices.BinarySearchFunc(all, s.child, child.compare)
	return snap, all, at, there, nil
}

// attachChild notes that a snapshot has a clone, which keeps it.
func attachChild(c cls.Context, s snapshotChild) error {
	snap, all, at, there, err := s.load(c)
	switch {
	case err != nil:
		return err
	case snap.namespace.kind == snapTrash:
		return ceph.ENOENT // it is as good as removed
	case there:
		return ceph.EEXIST
	}
	all = slices.Insert(all, at, s.child)
	if err := put(c, hexKey(childPrefix, s.snap), all, putChildren); err != nil {
		return err
	}
	snap.children = uint32(len(all))
	if err := snap.store(c); err != nil {
		return err
	}
	return setOpFeatures(c, masked{opCloneParent, opCloneParent})
}

// detachChild is the inverse of attachChild.
func detachChild(c cls.Context, s snapshotChild) error {
	snap, all, at, there, err := s.load(c)
	switch {
	case err != nil:
		return err
	case !there:
		return ceph.ENOENT
	}
	all = slices.Delete(all, at, at+1)
	snap.children = uint32(len(all))
	if err := snap.store(c); err != nil {
		return err
	}
	key := hexKey(childPrefix, s.snap)
	if len(all) > 0 {
		return put(c, key, all, putChildren)
	}
	if err := c.OmapRm(key); err != nil {
		return err
	}
	last := true
	err = each(c, childPrefix, "", func(string, []byte) (bool, error) { last = false; return false, nil })
	if err != nil || !last {
		return err
	}
	return setOpFeatures(c, masked{0, opCloneParent})
}

func listChildren(c cls.Context, id ceph.SnapID, out *denc.Encoder) error {
	all, err := get(c, hexKey(childPrefix, id), decodeChildren)
	putChildren(out, all)
	return err
}

// Format 1 of cloning keeps all clones of a pool in one object, rbd_children.

// decodeCloneKey returns pool, image and snapshot of a parent as they are encoded: the
// key of its clones.
func decodeCloneKey(d *denc.Decoder) string {
	pool, image, snap := d.I64(), d.Str(), d.U64()
	var e denc.Encoder
	e.I64(pool)
	e.Str(image)
	e.U64(snap)
	return string(e.Bytes())
}

// clone is a clone and the key of its parent.
type clone struct{ key, id string }

func decodeClone(d *denc.Decoder) clone { return clone{decodeCloneKey(d), d.Str()} }

func decodeIDs(d *denc.Decoder) []string { return denc.Slice(d, 4, (*denc.Decoder).Str) }

func putIDs(e *denc.Encoder, ids []string) { denc.PutSlice(e, ids, (*denc.Encoder).Str) }

func addClone(c cls.Context, a clone) error {
	ids, err := getOr(c, a.key, decodeIDs, nil)
	if err != nil {
		return err
	}
	at, there := slices.BinarySearch(ids, a.id)
	if there {
		return ceph.EEXIST
	}
	return put(c, a.key, slices.Insert(ids, at, a.id), putIDs)
}

func removeClone(c cls.Context, a clone) error {
	ids, err := get(c, a.key, decodeIDs)
	if err != nil {
		return err
	}
	at, there := slices.BinarySearch(ids, a.id)
	if !there {
		return ceph.ENOENT
	}
	if ids = slices.Delete(ids, at, at+1); len(ids) == 0 {
		return c.OmapRm(a.key)
	}
	return put(c, a.key, ids, putIDs)
}

func getClones(c cls.Context, key string, out *denc.Encoder) error {
	ids, err := get(c, key, decodeIDs)
	putIDs(out, ids)
	return err
}
