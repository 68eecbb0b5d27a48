package ops

import (
	"context"
	"errors"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd"
	"ebofs/osd/cls"
)

// Outcome is what a request came to.
type Outcome struct {
	Result ceph.Errno // 0 or more, or a negative errno
	// Early tells that the request failed before its first operation, or because of
	// the source of a copy: it is answered as if it had not been begun.
	Early bool
	// Ops are those of the request, with results and outputs.
	Ops []msg.Op
	// UserVersion is the object's, before Seal that of what was read.
	UserVersion uint64

	// Writes tells that there is something to be queued: Seal makes it.
	Writes bool
	// Head is the object's State once the request has happened; nil: it is gone.
	Head *State
	// Stats is how the request changes what the PG holds.
	Stats Delta
	// Effects are done once the request is committed, in order.
	Effects []Effect

	trim *osd.Transaction // of a trim; else there is a view
	key  osd.ObjectID     // likewise

	env       *Env
	view      *view
	snapc     SnapContext
	user      bool
	returnVec bool
}

// Delta is a change of what a PG holds.
type Delta struct {
	Objects, Clones, Bytes, Whiteouts, OmapObjects int64
	ReadOps, ReadBytes, WriteOps, WriteBytes       int64
}

// run is a request under way.
type run struct {
	env *Env
	ctx context.Context
	req *Request
	v   *view
	out *Outcome

	reads  bool
	writes bool // the request may change the object
	idle   bool // the operation found nothing to do: no new version for it
}

// Mode returns whether a request reads and whether it writes, by its operations
// and not by its flags; an error if it calls a method that does not exist.
func (r *Request) Mode() (reads, writes bool, err error) {
	for i := range r.Ops {
		o := &r.Ops[i]
		if o.Code != msg.OpCall {
			reads = reads || o.Code.Reads()
			writes = writes || o.Code.Writes()
			continue
		}
		class, method, _, bad := callArgs(o)
		if bad != nil {
			reads = true
			continue
		}
		m, err := cls.Find(class, method)
		if err != nil {
			return reads, writes, err
		}
		reads, writes = reads || m.Reads, writes || m.Writes
	}
	return reads, writes, nil
}

// Refuse returns why a request is answered without being looked at, 0 if it is
// not. What it depends on is in the request alone.
func (r *Request) Refuse() ceph.Errno {
	_, writes, unknown := r.Mode()
	total := 0
	list := false
	for i := range r.Ops {
		total += len(r.Ops[i].Data)
		c := r.Ops[i].Code
		list = list || c.Kind() == msg.KindPG
		if (c == msg.OpListSnaps) != (r.Snap == ceph.SnapDir) {
			return ceph.EINVAL
		}
	}
	switch {
	case len(r.Ops) == 0, r.Flags&msg.FlagParallelExec != 0:
		return ceph.EINVAL
	case unknown != nil:
		return errno(unknown)
	case len(r.Name) > MaxNameBytes || len(r.Locator.Key) > MaxNameBytes || len(r.Locator.Namespace) > MaxNamespaceBytes:
		return ceph.ENAMETOOLONG
	case r.Name == "" && !list:
		return ceph.EINVAL
	case writes && r.Snap != ceph.NoSnap:
		return ceph.EINVAL
	case total > MaxWriteBytes:
		return ceph.EMSGSIZE
	}
	return 0
}

// Run carries out a request on the object whose head has the State head, nil if
// there is no head. What it needs of the store is read; nothing is changed. An
// error is one of the store's that says nothing about the request: the outcome
// then has EIO.
func Run(ctx context.Context, env *Env, req *Request, head *State) *Outcome {
	out := &Outcome{Ops: make([]msg.Op, len(req.Ops)), env: env, returnVec: req.Flags&msg.FlagReturnVec != 0}
	for i := range req.Ops {
		out.Ops[i] = req.Ops[i]
		out.Ops[i].Data = nil
	}
	r := &run{env: env, ctx: ctx, req: req, out: out}
	r.reads, r.writes, _ = req.Mode()
	if err := r.open(head); err != nil {
		out.Result, out.Early = errno(err), true
		return out
	}
	out.UserVersion = r.v.state.UserVersion
	if err := r.all(); err != 0 {
		out.Result, out.UserVersion = err, 0
		return out
	}
	r.finish()
	return out
}

// open finds the object a request is about: the head, or what a snapshot shows.
func (r *run) open(head *State) error {
	if r.isList() {
		r.v = &view{env: r.env, ctx: r.ctx, state: &State{}}
		return nil
	}
	name := r.req.Head()
	if r.writes {
		if head != nil {
			r.out.Stats = negative(head)
		}
		r.snapContext()
		if head != nil && r.req.Flags&msg.FlagOrderSnap != 0 && r.out.snapc.Seq < head.Seq {
			return ceph.EOLDSNAPC
		}
	}
	st := head
	if !r.writes && r.req.Snap != ceph.NoSnap && r.req.Snap != ceph.SnapDir {
		var err error
		if name, st, err = r.env.resolve(r.ctx, name, head, r.req.Snap); err != nil {
			return err
		}
	}
	r.v = newView(r.ctx, r.env, name, st, &osd.Transaction{})
	if !r.v.exists && !r.writes && (r.req.Snap != ceph.SnapDir || st == nil) {
		return ceph.ENOENT
	}
	return nil
}

// isList reports whether the request is about the PG, not an object.
func (r *run) isList() bool {
	for i := range r.req.Ops {
		if r.req.Ops[i].Code.Kind() == msg.KindPG {
			return true
		}
	}
	return false
}

// all does the operations in order.
func (r *run) all() ceph.Errno {
	var last ceph.Errno // what the operation before came to
	for i := range r.req.Ops {
		in, out := &r.req.Ops[i], &r.out.Ops[i]
		res, err := r.one(in, out)
		e := errno(err)
		if e == 0 {
			e = res
		}
		if e == 0 && (keeps(in.Code) || in.Code == msg.OpZero && r.idle) {
			e = last
		}
		out.Result = int32(e)
		source := errors.As(err, new(fetchError))
		if source {
			out.Result = int32(ceph.EINPROGRESS)
		}
		switch {
		case e >= 0:
			last = e
		case in.Flags&msg.OpFlagFailOK != 0 && e != ceph.EAGAIN:
			last = 0
		default:
			r.out.Early = source
			return e
		}
	}
	if last > 0 && (!r.writes || r.out.returnVec || !r.v.user && !r.v.changed && r.v.txn.Len() == 0) {
		r.out.Result = last
	}
	return 0
}

// keeps reports whether an operation that succeeds says what the one before it said,
// such as the 1 of a comparison. It is how an OSD of Ceph has always answered.
func keeps(c msg.OpCode) bool {
	switch c {
	case msg.OpStat, msg.OpAssertVersion, msg.OpOmapGetKeys, msg.OpOmapGetVals, msg.OpOmapGetByKeys, msg.OpOmapGetHeader:
		return true
	}
	return false
}

// one does an operation; res is a positive result, as methods and listings give.
func (r *run) one(in, out *msg.Op) (res ceph.Errno, err error) {
	do, ok := table[in.Code]
	if !ok {
		return 0, ceph.EOPNOTSUPP
	}
	r.idle = false
	res, err = do(r, in, out)
	if err == nil && seen(in.Code) && !r.idle {
		r.v.user = true
		r.v.changed = r.v.changed || r.v.stored
	}
	return res, err
}

// seen reports whether an operation counts as a change that clients can see, even
// if it set what was there before.
func seen(c msg.OpCode) bool {
	switch c {
	case msg.OpWatch, msg.OpUndirty, msg.OpStartSync:
		return false
	}
	return c.Writes() && c&msg.ModeCache == 0
}

// finish makes the outcome of a request that succeeded.
func (r *run) finish() {
	out := r.out
	if !r.writes {
		return
	}
	if r.onlyPings() {
		return
	}
	out.Writes, out.view, out.user = true, r.v, r.v.user
	if !out.returnVec {
		for i := range out.Ops {
			out.Ops[i].Data = nil
		}
	} else {
		for i := range out.Ops {
			if o := &out.Ops[i]; len(o.Data) > maxReturnBytes {
				o.Result, o.Data = int32(ceph.EOVERFLOW), nil
				out.Result, out.Writes = ceph.EOVERFLOW, false
			}
		}
	}
}

// onlyPings reports whether a request does nothing but renew watches, which is
// not worth a write.
func (r *run) onlyPings() bool {
	for i := range r.req.Ops {
		if o := &r.req.Ops[i]; o.Code != msg.OpWatch || o.Watch().Op != msg.WatchPing {
			return false
		}
	}
	return true
}

// Add adds what a head and its clones count.
func (d *Delta) Add(head *State) { d.count(head, 1) }

// negative is what goes when the object goes.
func negative(s *State) (d Delta) {
	d.count(s, -1)
	return d
}

// count adds by times what an object and its clones count.
func (d *Delta) count(s *State, by int64) {
	if s == nil {
		return
	}
	if s.Whiteout {
		d.Whiteouts += by
	}
	d.Objects += by
	d.Bytes += by * int64(s.Size)
	if s.HasOmap {
		d.OmapObjects += by
	}
	for _, c := range s.Clones {
		d.Objects += by
		d.Clones += by
		bytes := int64(c.Size)
		for _, x := range c.Overlap {
			bytes -= int64(x.Len)
		}
		d.Bytes += by * bytes
	}
}

// Grows reports whether the request makes the object larger, or makes one. A clone
// it takes does not count.
func (o *Outcome) Grows() bool {
	v := o.view
	if v == nil {
		return false
	}
	if v.before == nil {
		return v.stored
	}
	return v.state.Size > v.before.Size
}

// Fail makes a request fail that could happen, for a reason outside of it.
func (o *Outcome) Fail(e ceph.Errno) {
	o.Result, o.Writes, o.UserVersion, o.Effects = e, false, 0, nil
	for i := range o.Ops {
		o.Ops[i].Data = nil
	}
}

// Clones reports whether Seal will make a clone of the head.
func (o *Outcome) Clones() bool {
	if o.view == nil {
		return false
	}
	b := o.view.before
	return (o.view.changed || o.view.txn.Len() > 0) && b != nil && !b.Whiteout && len(o.snapc.Snaps) > 0 && o.snapc.Snaps[0] > b.Seq
}

// Seal finishes a request that writes as version at, the PG's newest user version
// being user: it makes the clone that the snapshot context asks for, gives the
// object its versions and returns the transaction. It is called once.
func (o *Outcome) Seal(req *Request, at ceph.EVersion, user uint64) *osd.Transaction {
	if o.trim != nil {
		return o.sealTrim(at)
	}
	v := o.view
	if v.changed || v.txn.Len() > 0 {
		o.snapshot()
	}
	st := v.state
	if v.stored {
		if o.user {
			st.UserVersion = max(user, st.UserVersion) + 1
			st.UserVersion = max(st.UserVersion, at.Version, v.copied)
			if !req.MTime.IsZero() {
				st.MTime = req.MTime
			}
		}
		if v.changed {
			st.Version, st.LastReq, st.LocalMTime = at, req.ReqID, o.env.now()
			v.txn.SetAttr(o.env.Coll, v.key, StateAttr, encodeState(st))
		}
		o.Head = st
		o.UserVersion = st.UserVersion
	} else if o.UserVersion = 0; o.user && v.before != nil {
		o.UserVersion = max(max(user, v.before.UserVersion)+1, at.Version)
	}
	o.Stats.count(o.Head, 1)
	return v.txn
}

func encodeState(s *State) []byte {
	e := denc.NewEncoder(make([]byte, 0, 192))
	s.Encode(e)
	return e.Bytes()
}
