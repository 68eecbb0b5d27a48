package ops

import (
	"context"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/osd"
)

// Trim drops deleted snapshots from the clones of a head; removed tells which. The
// clones without any left go, and a whiteout that has lost its last one. There is
// nothing to do if the outcome does not write. A clone that the store has lost is
// taken for trimmed.
func (e *Env) Trim(ctx context.Context, name ceph.HObject, head *State, removed func(ceph.SnapID) bool) *Outcome {
	out := &Outcome{env: e, Head: head}
	if head == nil {
		return out
	}
	st, t := head.copy(), &osd.Transaction{}
	var keep []Clone
	for _, c := range st.Clones {
		left := slices.DeleteFunc(slices.Clone(c.Snaps), removed)
		if len(left) == len(c.Snaps) && len(left) > 0 {
			keep = append(keep, c)
			continue
		}
		out.Writes = true
		clone := name
		clone.Snap = c.ID
		cs, err := e.Load(ctx, clone)
		if err != nil {
			return &Outcome{env: e, Head: head, Result: errno(err)}
		}
		if len(left) == 0 {
			if cs != nil {
				t.Remove(e.Coll, Key(clone))
			}
			// What is the same in the clone before and in this one, and in this one
			// and the next, is the same in the clone before and the next.
			if n := len(keep); n > 0 {
				keep[n-1].Overlap = intersect(keep[n-1].Overlap, c.Overlap)
			}
			continue
		}
		c.Snaps = left
		keep = append(keep, c)
		if cs != nil {
			cs.Snaps = left
			t.SetAttr(e.Coll, Key(clone), StateAttr, encodeState(cs))
		}
	}
	if !out.Writes {
		return out
	}
	out.Stats = negative(head)
	st.Clones = keep
	if out.Head = st; st.Whiteout && len(keep) == 0 {
		t.Remove(e.Coll, Key(name))
		out.Head = nil
	}
	out.trim = t
	out.key = Key(name)
	return out
}

// sealTrim finishes a trim as version at.
func (o *Outcome) sealTrim(at ceph.EVersion) *osd.Transaction {
	if o.Head != nil {
		o.Head.Version = at
		o.UserVersion = o.Head.UserVersion
		o.trim.SetAttr(o.env.Coll, o.key, StateAttr, encodeState(o.Head))
	}
	o.Stats.count(o.Head, 1)
	return o.trim
}
