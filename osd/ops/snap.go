package ops

import (
	"context"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd"
)

// snapContext chooses the snapshot context of a write: the request's, unless the
// pool has snapshots of its own and the request does not insist.
func (r *run) snapContext() {
	c := SnapContext{Seq: r.req.SnapSeq, Snaps: r.req.Snaps}
	if r.env.PoolSnaps.Seq != 0 && r.req.Flags&msg.FlagEnforceSnapC == 0 {
		c = r.env.PoolSnaps
	}
	if r.env.Removed != nil {
		c.Snaps = slices.DeleteFunc(slices.Clone(c.Snaps), r.env.Removed)
	}
	r.out.snapc = c
}

// resolve finds what head looked like at snapshot s: a clone, or the head
// itself. ENOENT if nothing was there.
func (e *Env) resolve(ctx context.Context, head ceph.HObject, st *State, s ceph.SnapID) (ceph.HObject, *State, error) {
	if st == nil {
		return head, nil, ceph.ENOENT
	}
	if s > st.Seq {
		if st.Whiteout {
			return head, nil, ceph.ENOENT
		}
		return head, st, nil
	}
	for i := range st.Clones {
		c := &st.Clones[i]
		if c.ID < s {
			continue
		}
		if !slices.Contains(c.Snaps, s) {
			return head, nil, ceph.ENOENT // it came to be later, or the snapshot is gone
		}
		name := head
		name.Snap = c.ID
		clone, err := e.Load(ctx, name)
		if err == nil && clone == nil {
			err = ceph.EIO // the SnapSet promised it
		}
		return name, clone, err
	}
	return head, nil, ceph.ENOENT // it came to be after s: else there were a clone
}

// snapshot makes the clone that a change of the head asks for, in front of that
// change, and brings the overlaps up to date.
func (o *Outcome) snapshot() {
	v, c := o.view, o.snapc
	before := v.before
	if o.Clones() {
		var keep []ceph.SnapID
		for _, s := range c.Snaps {
			if s > before.Seq {
				keep = append(keep, s)
			}
		}
		clone := Clone{ID: c.Seq, Size: before.Size, Snaps: keep}
		if before.Size > 0 {
			clone.Overlap = []osd.Extent{{Off: 0, Len: before.Size}}
		}
		v.state.Clones = append(v.state.Clones, clone)
		name := v.name
		name.Snap = c.Seq
		t := &osd.Transaction{}
		t.Clone(o.env.Coll, v.key, Key(name))
		st := before.copy()
		st.Watches, st.Snaps, st.SnapSet = nil, keep, SnapSet{}
		t.SetAttr(o.env.Coll, Key(name), StateAttr, encodeState(st))
		t.Append(v.txn)
		v.txn = t
		if !v.stored { // removed: what stays behind holds the clone
			v.state.Whiteout, v.stored, v.changed = true, true, true
			v.txn.Touch(o.env.Coll, v.key)
		}
	}
	if v.stored && c.Seq > v.state.Seq {
		v.state.Seq, v.changed = c.Seq, true
	}
	if n := len(v.state.Clones); n > 0 && len(v.touched) > 0 {
		newest := &v.state.Clones[n-1]
		for _, x := range v.touched {
			newest.Overlap = subtract(newest.Overlap, x)
		}
	}
}

// rollback makes the head what it was at a snapshot.
func opRollback(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	v := r.v
	if r.idle = v.before == nil; r.idle {
		return 0, nil
	}
	name, st, err := r.env.resolve(r.ctx, v.name, v.before, in.SnapID())
	if err != nil {
		if errno(err) != ceph.ENOENT {
			return 0, err
		}
		if !v.exists {
			return 0, nil
		}
		if len(v.state.Watches) > 0 {
			return 0, ceph.EBUSY
		}
		v.remove()
		return 0, nil
	}
	if name.Snap == ceph.NoSnap {
		return 0, nil
	}
	return 0, v.become(name, st)
}

// become replaces the object by one of its clones. What has been the same from
// that clone on stays so (I3).
func (v *view) become(name ceph.HObject, st *State) error {
	differs := []osd.Extent{{Off: 0, Len: max(v.state.Size, st.Size)}}
	for _, x := range v.state.sameSince(name.Snap) {
		differs = subtract(differs, x)
	}
	for _, x := range differs {
		v.touch(x.Off, x.Len)
	}
	v.txn.Clone(v.env.Coll, Key(name), v.key)
	v.exists, v.stored, v.changed, v.user = true, true, true, true
	v.state.Whiteout, v.state.Size, v.state.HasOmap = false, st.Size, st.HasOmap
	v.state.TruncateSeq, v.state.TruncateLen = st.TruncateSeq, st.TruncateLen
	v.forget()
	v.from = Key(name)
	v.below, v.attrsBelow, v.omapBelow, v.visible = true, true, true, st.Size
	return nil
}

// sameSince returns what is the same in a clone, all newer ones and the head as
// it was before the request.
func (s *SnapSet) sameSince(clone ceph.SnapID) (same []osd.Extent) {
	for _, c := range s.Clones {
		switch {
		case c.ID < clone:
		case c.ID == clone:
			same = c.Overlap
		default:
			same = intersect(same, c.Overlap)
		}
	}
	return same
}

// opListSnaps lists clones and, if it is there, the head.
func opListSnaps(r *run, _, out *msg.Op) (ceph.Errno, error) {
	st := r.v.state
	var e denc.Encoder
	m := e.Begin(2, 1)
	n := len(st.Clones)
	if r.v.exists {
		n++
	}
	e.U32(uint32(n))
	put := func(c Clone) {
		m := e.Begin(1, 1)
		e.U64(uint64(c.ID))
		up := slices.Clone(c.Snaps)
		slices.Sort(up)
		putSnaps(&e, up)
		denc.PutSlice(&e, c.Overlap, putExtent)
		e.U64(c.Size)
		e.End(m)
	}
	for _, c := range st.Clones {
		put(c)
	}
	if r.v.exists {
		put(Clone{ID: ceph.NoSnap, Size: st.Size})
	}
	e.U64(uint64(st.Seq))
	e.End(m)
	out.Data = e.Bytes()
	return 0, nil
}

// intersect returns what is in both of two sorted lists.
func intersect(a, b []osd.Extent) (out []osd.Extent) {
	for len(a) > 0 && len(b) > 0 {
		lo, hi := max(a[0].Off, b[0].Off), min(a[0].Off+a[0].Len, b[0].Off+b[0].Len)
		if lo < hi {
			out = append(out, osd.Extent{Off: lo, Len: hi - lo})
		}
		if a[0].Off+a[0].Len < b[0].Off+b[0].Len {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}
