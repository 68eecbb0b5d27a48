package rbd

import (
	"fmt"
	"strconv"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// Kinds of snapshots.
const (
	snapUser   = 0
	snapGroup  = 1
	snapTrash  = 2 // to be removed once no child needs it
	snapMirror = 3
)

// namespace says what a snapshot is for. One in the trash keeps what it was.
// (SnapshotNamespace)
type namespace struct {
	kind     uint32
	name     string // of one in the trash: its old name
	original uint32 // and its old kind
}

func (n namespace) encode(e *denc.Encoder) {
	m := e.Begin(1, 1)
	e.U32(n.kind)
	if n.kind == snapTrash {
		e.Str(n.name)
		e.U32(n.original)
	}
	e.End(m)
}

func decodeNamespace(d *denc.Decoder) namespace {
	s := d.Begin(1)
	n := namespace{kind: d.U32()}
	if n.kind == snapTrash {
		n.name, n.original = d.Str(), d.U32()
	}
	d.End(s)
	return n
}

// States of protection.
const (
	unprotected  = 0
	unprotecting = 1
	protected    = 2
)

// snapshot is the image as it was when a snapshot was taken. (cls_rbd_snap, v8)
type snapshot struct {
	id         ceph.SnapID
	name       string
	size       uint64
	protection uint8
	flags      uint64
	namespace  namespace
	taken      ceph.Time
	children   uint32
	overlap    *uint64 // with the parent; nil: it has none
}

func (s *snapshot) encode(e *denc.Encoder) {
	m := e.Begin(8, 8)
	e.U64(uint64(s.id))
	e.Str(s.name)
	e.U64(s.size)
	e.U8(s.protection)
	e.U64(s.flags)
	s.namespace.encode(e)
	s.taken.Encode(e)
	e.U32(s.children)
	putOptional(e, s.overlap)
	e.End(m)
}

func decodeSnapshot(d *denc.Decoder) (s snapshot) {
	b := d.Begin(8)
	if b.Version < 8 {
		d.Failf("snapshot v%d", b.Version)
	}
	s.id = snapID(d)
	s.name = d.Str()
	s.size = d.U64()
	s.protection = d.U8()
	s.flags = d.U64()
	s.namespace = decodeNamespace(d)
	s.taken = ceph.DecodeTime(d)
	s.children = d.U32()
	s.overlap = optional(d)
	d.End(b)
	return s
}

// putOptional writes a number that may be missing.
func putOptional(e *denc.Encoder, v *uint64) {
	e.Bool(v != nil)
	if v != nil {
		e.U64(*v)
	}
}

func optional(d *denc.Decoder) *uint64 {
	if d.U8() == 0 {
		return nil
	}
	v := d.U64()
	return &v
}

// snapPrefix stands in front of the ids of snapshots, in 16 hexadecimal digits.
const snapPrefix = "snapshot_"

func hexKey(prefix string, id ceph.SnapID) string { return fmt.Sprintf("%s%016x", prefix, uint64(id)) }

func loadSnapshot(c cls.Context, id ceph.SnapID) (snapshot, error) {
	return get(c, hexKey(snapPrefix, id), decodeSnapshot)
}

func (s *snapshot) store(c cls.Context) error {
	return put(c, hexKey(snapPrefix, s.id), s, func(e *denc.Encoder, s *snapshot) { s.encode(e) })
}

// snapshots returns all of them, oldest first.
func snapshots(c cls.Context) (all []snapshot, err error) {
	err = each(c, snapPrefix, "", func(_ string, value []byte) (bool, error) {
		s, err := stored(value, decodeSnapshot)
		all = append(all, s)
		return true, err
	})
	return all, err
}

// snapshotIDs is snapshots without looking at what they are.
func snapshotIDs(c cls.Context) (ids []ceph.SnapID, err error) {
	err = each(c, snapPrefix, "", func(key string, _ []byte) (bool, error) {
		id, err := strconv.ParseUint(key, 16, 64)
		if err != nil {
			return false, ceph.EIO
		}
		ids = append(ids, ceph.SnapID(id))
		return true, nil
	})
	return ids, err
}
