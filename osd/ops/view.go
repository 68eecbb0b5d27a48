package ops

import (
	"context"

	"ebofs/cluster/ceph"
	"ebofs/osd"
)

// view is an object as a request has made it so far: State and content in the
// store, and above them what is pending. Steps go into txn in the order they are
// made; the pending parts are kept besides so that they can be read.
type view struct {
	env   *Env
	ctx   context.Context
	name  ceph.HObject
	key   osd.ObjectID
	from  osd.ObjectID // what is read below: the object, or what it is becoming
	txn   *osd.Transaction
	state *State // never nil; of a missing object the zero value

	before *State // as the store has it, nil: missing; not changed

	exists  bool // for the client: there and no whiteout
	stored  bool // there in the store, once txn is done
	changed bool // the State has to be written
	user    bool // what a client can see was changed: a new user version
	below   bool // content of the store is still visible under what is pending

	visible uint64    // bytes of the store's data that have not been cut off
	data    []segment // written since, in order

	attrs      map[string][]byte // set since; nil: removed
	attrsBelow bool              // the store's attrs are visible

	omap      map[string][]byte // likewise
	omapCut   []keyRange        // ranges removed since
	omapBelow bool              // the store's map is visible
	header    []byte            // set since, if headerSet
	headerSet bool

	copied  uint64       // user version of the object that this has become a copy of
	touched []osd.Extent // ranges whose content is not what it was; for overlaps
}

// segment is bytes written; without data, n zeros.
type segment struct {
	off, n uint64
	data   []byte
}

type keyRange struct{ first, last string } // last "": no bound

// newView opens h, whose stored state is st, nil if it is missing.
func newView(ctx context.Context, env *Env, h ceph.HObject, st *State, txn *osd.Transaction) *view {
	v := &view{env: env, ctx: ctx, name: h, key: Key(h), from: Key(h), txn: txn, before: st}
	if st == nil {
		v.state = &State{}
		return v
	}
	v.state = st.copy()
	v.stored = true
	v.exists = !st.Whiteout
	v.below, v.attrsBelow, v.omapBelow = v.exists, v.exists, v.exists
	v.visible = st.Size
	return v
}

// create makes the object exist, empty if it did not.
func (v *view) create() {
	if v.exists {
		return
	}
	v.exists, v.changed, v.user = true, true, true
	v.state.Whiteout = false
	if !v.stored {
		v.stored = true
		v.txn.Touch(v.env.Coll, v.key)
	}
}

// remove makes the object missing. One with clones stays as a whiteout.
func (v *view) remove() {
	v.touch(0, v.state.Size)
	v.exists, v.changed, v.user = false, true, true
	v.forget()
	if v.stored {
		v.txn.Remove(v.env.Coll, v.key)
		v.stored = false
	}
	keep := v.state.SnapSet
	v.state.Info = Info{Version: v.state.Version, UserVersion: v.state.UserVersion, LastReq: v.state.LastReq, MTime: v.state.MTime}
	v.state.SnapSet = keep
	if len(keep.Clones) > 0 {
		v.state.Whiteout = true
		v.stored = true
		v.txn.Touch(v.env.Coll, v.key)
	}
}

// forget drops all content: what is pending and what is below.
func (v *view) forget() {
	v.below, v.attrsBelow, v.omapBelow = false, false, false
	v.data, v.attrs, v.omap, v.omapCut = nil, nil, nil, nil
	v.header, v.headerSet, v.visible = nil, false, 0
}

// touch notes that [off, off+n) is no longer what it was.
func (v *view) touch(off, n uint64) {
	if n > 0 {
		v.touched = append(v.touched, osd.Extent{Off: off, Len: n})
	}
}

// must returns ENOENT if the object is missing.
func (v *view) must() error {
	if !v.exists {
		return ceph.ENOENT
	}
	return nil
}
