package rbd

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// trashSpec is an image in the trash. (TrashImageSpec)
type trashSpec struct {
	source  uint8 // who removed it: 0 a user, 1 mirroring, 2 migration, 3 a removal under way
	name    string
	deleted ceph.Time
	until   ceph.Time // when it may go
	state   uint8     // 0 normal, 1 moving, 2 removing, 3 restoring
}

func (t trashSpec) encode(e *denc.Encoder) {
	m := e.Begin(2, 1)
	e.U8(t.source)
	e.Str(t.name)
	t.deleted.Encode(e)
	t.until.Encode(e)
	e.U8(t.state)
	e.End(m)
}

func decodeTrashSpec(d *denc.Decoder) trashSpec {
	s := d.Begin(2)
	t := trashSpec{source: d.U8(), name: d.Str(), deleted: ceph.DecodeTime(d), until: ceph.DecodeTime(d)}
	if s.Version >= 2 {
		t.state = d.U8()
	}
	d.End(s)
	return t
}

func storeTrash(c cls.Context, id string, t trashSpec) error {
	return put(c, idPrefix+id, t, func(e *denc.Encoder, t trashSpec) { t.encode(e) })
}

// trashed is an image on its way into the trash.
type trashed struct {
	id   string
	spec trashSpec
}

func decodeTrashed(d *denc.Decoder) trashed { return trashed{d.Str(), decodeTrashSpec(d)} }

func addTrash(c cls.Context, t trashed) error {
	switch there, err := has(c, idPrefix+t.id); {
	case err != nil:
		return err
	case there:
		return ceph.EEXIST
	}
	return storeTrash(c, t.id, t.spec)
}

func removeTrash(c cls.Context, id string) error { return c.OmapRm(idPrefix + id) }

func getTrash(c cls.Context, id string, out *denc.Encoder) error {
	t, err := get(c, idPrefix+id, decodeTrashSpec)
	t.encode(out)
	return err
}

// listTrash returns a map of ids to specs.
func listTrash(c cls.Context, s span, out *denc.Encoder) error {
	return list(c, idPrefix, s, out, (*denc.Encoder).Raw)
}

// trashState is a change of state, of an image in an expected one.
type trashState struct {
	id           string
	to, expected uint8
}

func decodeTrashState(d *denc.Decoder) trashState { return trashState{d.Str(), d.U8(), d.U8()} }

func setTrashState(c cls.Context, s trashState) error {
	t, err := get(c, idPrefix+s.id, decodeTrashSpec)
	switch {
	case err != nil:
		return err
	case t.state == s.to:
		return nil
	case t.state != s.expected:
		return ceph.ESTALE
	}
	t.state = s.to
	return storeTrash(c, s.id, t)
}
