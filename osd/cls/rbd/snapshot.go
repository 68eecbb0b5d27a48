package rbd

import (
	"crypto/rand"
	"math"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// Keys of a header about its snapshots.
const (
	keySnapSeq = "snap_seq"   // u64: newest id there has been
	keyLimit   = "snap_limit" // u64: how many there may be; missing: any number
)

// getSnapContext returns what writes of the image have to carry.
func getSnapContext(c cls.Context, _ cls.Nothing, out *denc.Encoder) error {
	seq, err := get(c, keySnapSeq, u64)
	if err != nil {
		return err
	}
	ids, err := snapshotIDs(c)
	slices.Reverse(ids)
	out.U64(seq)
	denc.PutSlice(out, ids, func(e *denc.Encoder, id ceph.SnapID) { e.U64(uint64(id)) })
	return err
}

// newSnapshot is what snapshot_add takes.
type newSnapshot struct {
	name      string
	id        ceph.SnapID
	namespace namespace
}

func decodeNewSnapshot(d *denc.Decoder) newSnapshot {
	s := newSnapshot{name: d.Str(), id: snapID(d)}
	if d.Left() > 0 {
		s.namespace = decodeNamespace(d)
	}
	return s
}

// addSnapshot remembers the image as it is. Its size, flags and overlap become
// those of the snapshot.
func addSnapshot(c cls.Context, n newSnapshot) error {
	switch {
	case n.namespace.kind == snapGroup, n.namespace.kind == snapMirror:
		return ceph.EOPNOTSUPP
	case n.namespace.kind != snapUser && n.namespace.kind != snapTrash, n.id > ceph.MaxSnap:
		return ceph.EINVAL
	}
	seq, err := get(c, keySnapSeq, u64)
	if err != nil {
		return err
	}
	if uint64(n.id) < seq {
		return ceph.ESTALE
	}
	limit, err := getOr(c, keyLimit, u64, math.MaxUint64)
	if err != nil {
		return err
	}
	all, err := snapshots(c)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].id == n.id || all[i].name == n.name && all[i].namespace == n.namespace {
			return ceph.EEXIST
		}
	}
	if uint64(len(all)) >= limit {
		return ceph.EDQUOT
	}
	s := snapshot{id: n.id, name: n.name, namespace: n.namespace, taken: c.Now()}
	if s.size, err = get(c, keySize, u64); err != nil {
		return err
	}
	if s.flags, err = getOr(c, keyFlags, u64, 0); err != nil {
		return err
	}
	p, err := loadParent(c)
	if err != nil {
		return err
	}
	s.overlap = p.overlap
	if n.namespace.kind == snapTrash {
		if err := setOpFeatures(c, masked{opSnapTrash, opSnapTrash}); err != nil {
			return err
		}
	}
	if err := putU64(c, keySnapSeq, uint64(n.id)); err != nil {
		return err
	}
	return s.store(c)
}

// getSnapshot returns a SnapshotInfo.
func getSnapshot(c cls.Context, id ceph.SnapID, out *denc.Encoder) error {
	if id == ceph.NoSnap {
		return ceph.EINVAL
	}
	s, err := loadSnapshot(c, id)
	m := out.Begin(1, 1)
	out.U64(uint64(s.id))
	s.namespace.encode(out)
	out.Str(s.name)
	out.U64(s.size)
	s.taken.Encode(out)
	out.U32(s.children)
	out.End(m)
	return err
}

func getSnapshotName(c cls.Context, id ceph.SnapID, out *denc.Encoder) error {
	if id == ceph.NoSnap {
		return ceph.EINVAL
	}
	s, err := loadSnapshot(c, id)
	out.Str(s.name)
	return err
}

func getSnapshotTime(c cls.Context, id ceph.SnapID, out *denc.Encoder) error {
	if id == ceph.NoSnap {
		return ceph.EINVAL
	}
	s, err := loadSnapshot(c, id)
	s.taken.Encode(out)
	return err
}

// snapshotName is a name for a snapshot.
type snapshotName struct {
	id   ceph.SnapID
	name string
}

func decodeSnapshotName(d *denc.Decoder) snapshotName { return snapshotName{snapID(d), d.Str()} }

func renameSnapshot(c cls.Context, n snapshotName) error {
	all, err := snapshots(c)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].namespace.kind == snapUser && all[i].name == n.name {
			return ceph.EEXIST
		}
	}
	s, err := loadSnapshot(c, n.id)
	if err != nil {
		return err
	}
	if s.namespace.kind != snapUser {
		return ceph.EINVAL
	}
	s.name = n.name
	return s.store(c)
}

// removeSnapshot forgets a snapshot that nobody needs, and what only it needed.
func removeSnapshot(c cls.Context, id ceph.SnapID) error {
	s, err := loadSnapshot(c, id)
	if err != nil {
		return err
	}
	if s.protection != unprotected || s.children > 0 {
		return ceph.EBUSY
	}
	if err := c.OmapRm(hexKey(snapPrefix, id)); err != nil {
		return err
	}
	left, err := snapshots(c)
	if err != nil {
		return err
	}
	p, err := loadParent(c)
	if err != nil {
		return err
	}
	var done uint64
	if p.overlap == nil && !anyOverlap(left) {
		if p.exists() {
			if err := c.OmapRm(keyParent); err != nil {
				return err
			}
		}
		done |= opCloneChild
	}
	if !slices.ContainsFunc(left, func(s snapshot) bool { return s.namespace.kind == snapTrash }) {
		done |= opSnapTrash
	}
	return setOpFeatures(c, masked{0, done})
}

func anyOverlap(all []snapshot) bool {
	return slices.ContainsFunc(all, func(s snapshot) bool { return s.overlap != nil })
}

// trashSnapshot hides a snapshot that has children until it can be removed.
func trashSnapshot(c cls.Context, id ceph.SnapID) error {
	s, err := loadSnapshot(c, id)
	switch {
	case err != nil:
		return err
	case s.namespace.kind == snapTrash:
		return ceph.EEXIST
	case s.protection != unprotected:
		return ceph.EBUSY
	}
	if err := setOpFeatures(c, masked{opSnapTrash, opSnapTrash}); err != nil {
		return err
	}
	var name ceph.UUID
	_, _ = rand.Read(name[:]) // never fails
	s.namespace = namespace{snapTrash, s.name, s.namespace.kind}
	s.name = name.String()
	return s.store(c)
}

func getLimit(c cls.Context, _ cls.Nothing, out *denc.Encoder) error {
	limit, err := getOr(c, keyLimit, u64, math.MaxUint64)
	out.U64(limit)
	return err
}

func setLimit(c cls.Context, limit uint64) error {
	if err := must(c); err != nil {
		return err
	}
	if limit == math.MaxUint64 {
		return c.OmapRm(keyLimit)
	}
	ids, err := snapshotIDs(c)
	if err != nil {
		return err
	}
	if uint64(len(ids)) > limit {
		return ceph.ERANGE
	}
	return putU64(c, keyLimit, limit)
}

func getProtection(c cls.Context, id ceph.SnapID, out *denc.Encoder) error {
	if id == ceph.NoSnap {
		return ceph.EINVAL
	}
	s, err := loadSnapshot(c, id)
	if err == nil && s.protection > protected {
		err = ceph.EIO
	}
	out.U8(s.protection)
	return err
}

// protection is a state of protection for a snapshot.
type protection struct {
	id    ceph.SnapID
	state uint8
}

func decodeProtection(d *denc.Decoder) protection { return protection{snapID(d), d.U8()} }

// setProtection protects a snapshot so that it can be cloned, or ends that.
func setProtection(c cls.Context, p protection) error {
	if err := must(c); err != nil {
		return err
	}
	if err := needs(c, featureLayering); err != nil {
		return err
	}
	if p.id == ceph.NoSnap || p.state > protected {
		return ceph.EINVAL
	}
	s, err := loadSnapshot(c, p.id)
	if err != nil {
		return err
	}
	s.protection = p.state
	return s.store(c)
}
