package ops

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
)

// ScrubLog is what the last scrub of a PG has found.
type ScrubLog struct {
	OSD      int32
	Interval ceph.Epoch // since when the PG has been as it is
	Damaged  []Damage   // in the order of objects
}

// opScrubList lists damaged objects, or heads with damaged clones, behind a cursor.
// Without a scrub there is nothing to tell.
func opScrubList(r *run, in, out *msg.Op) (ceph.Errno, error) {
	if r.env.Scrubbed == nil {
		return 0, ceph.ENOENT
	}
	l := r.env.Scrubbed()
	if l == nil {
		return 0, ceph.ENOENT
	}
	d := denc.NewDecoder(in.Data)
	s := d.Begin(1)
	interval, snapsets := d.U32(), d.U32()
	after := objectName{name: d.Str(), namespace: d.Str(), snap: ceph.SnapID(d.U64())} // a cursor has no key
	most := d.U64()
	d.End(s)
	if d.Err() != nil {
		return 0, ceph.EINVAL
	}
	if interval != 0 && ceph.Epoch(interval) != l.Interval {
		return 0, ceph.EAGAIN
	}
	var e denc.Encoder
	m := e.Begin(1, 1)
	e.U32(uint32(l.Interval))
	count := e.Len()
	e.U32(0)
	n, skip := uint32(0), after != objectName{}
	for i := range l.Damaged {
		x := &l.Damaged[i]
		bits := x.Copy
		if snapsets != 0 {
			bits = x.Snaps
		}
		if skip { // up to the one the client has
			n := nameOf(x.Object)
			n.key = ""
			skip = n != after
			continue
		}
		if bits == 0 || uint64(n) >= most {
			continue
		}
		b := e.Open()
		if snapsets != 0 {
			x.encodeSnaps(&e)
		} else {
			x.encodeCopy(&e, l.OSD)
		}
		e.End(b)
		n++
	}
	le.PutUint32(e.Bytes()[count:], n)
	e.End(m)
	out.Data = e.Bytes()
	return 0, nil
}

// objectName is an object within its PG.
type objectName struct {
	name, namespace, key string
	snap                 ceph.SnapID
}

func nameOf(h ceph.HObject) objectName { return objectName{h.Name, h.Namespace, h.Key, h.Snap} }

func (n objectName) encode(e *denc.Encoder) {
	m := e.Begin(1, 1)
	e.Str(n.name)
	e.Str(n.namespace)
	e.Str(n.key)
	e.U64(uint64(n.snap))
	e.End(m)
}

// encodeCopy writes the damage of a copy: inconsistent_obj v2 with one shard.
func (x *Damage) encodeCopy(e *denc.Encoder, osd int32) {
	m := e.Begin(2, 2)
	e.U64(0) // copies do not differ from each other: there is one
	nameOf(x.Object).encode(e)
	e.U64(x.Version)
	e.U32(1)
	k := e.Begin(1, 1)
	e.I32(osd)
	e.I8(-1)
	e.End(k)
	s := e.Begin(3, 3)
	e.U64(x.Copy)
	e.Bool(true) // the primary's
	e.U32(0)     // attrs
	e.U64(x.Size)
	for range 2 { // no digests of omap and data: the store has sums of blocks
		e.Bool(false)
		e.U32(0)
	}
	e.Bool(false) // its info was not chosen over others'
	e.End(s)
	e.U64(x.Copy)
	e.End(m)
}

// encodeSnaps writes the damage of clones: inconsistent_snapset v2.
func (x *Damage) encodeSnaps(e *denc.Encoder) {
	m := e.Begin(2, 1)
	e.U64(x.Snaps)
	nameOf(x.Object).encode(e)
	for _, list := range [][]ceph.SnapID{x.Extra, x.Missing} {
		putSnaps(e, list)
	}
	e.Blob(nil) // no snapset in the form of others
	e.End(m)
}
