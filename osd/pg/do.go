package pg

import (
	"errors"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/osd"
	"ebofs/osd/ops"
	"ebofs/osd/track"
)

// environment is the env as it is now: what a pool's snapshots are may change.
func (p *PG) environment() *ops.Env {
	e := p.env
	if p.cfg.PoolSnaps != nil {
		e.PoolSnaps = p.cfg.PoolSnaps()
	}
	return &e
}

// read does a request that changes nothing.
func (p *PG) read(w *work) {
	defer p.wg.Done()
	s := w.slot
	var out *ops.Outcome
	w.req.Op.Mark(track.Started)
	w.req.Op.Mark(track.Device)
	err := p.load(s)
	if err == nil {
		out = ops.Run(p.ctx, p.environment(), w.req, s.state)
	}
	p.mu.Lock()
	if out != nil {
		p.countLocked(out.Stats)
	}
	s.readers--
	ready := p.startLocked(s)
	p.mu.Unlock()
	p.run(ready)
	if err != nil {
		w.reply(p.newReply(w.req, ceph.EIO))
		return
	}
	w.reply(p.readReply(w.req, out))
	p.effects(w, out)
}

// list does a request about the PG itself.
func (p *PG) list(w *work) {
	defer p.wg.Done()
	w.req.Op.Mark(track.Started)
	w.req.Op.Mark(track.Device)
	out := ops.Run(p.ctx, p.environment(), w.req, nil)
	r := p.readReply(w.req, out)
	p.mu.Lock()
	r.Replay, r.BadReplay, r.UserVersion = p.mu.last, p.mu.last, p.mu.lastUser
	p.mu.Unlock()
	w.reply(r)
}

// write does a request that may change the object.
func (p *PG) write(w *work) {
	defer p.wg.Done()
	s := w.slot
	w.req.Op.Mark(track.Started)
	if p.repeated(w) {
		p.release(s)
		return
	}
	if w.waits || !s.loaded {
		w.req.Op.Mark(track.Device)
	}
	if w.unread {
		w.run(p.ctx, &p.env, nil)
		p.release(s)
		return
	}
	if err := p.load(s); err != nil {
		p.release(s)
		w.reply(p.newReply(w.req, ceph.EIO))
		return
	}
	var out *ops.Outcome
	if w.run != nil {
		out = w.run(p.ctx, p.environment(), s.state)
		out.Early = out.Result < 0 // nobody repeats it
	} else {
		out = ops.Run(p.ctx, p.environment(), w.req, s.state)
	}
	if out.Early || out.Result >= 0 && !out.Writes { // refused, or a watch that was renewed
		p.release(s)
		w.reply(p.readReply(w.req, out))
		p.effects(w, out)
		return
	}
	switch e := p.refuseFull(w.req, out); e {
	case 0:
	case ceph.EAGAIN:
		p.release(s)
		w.reply(nil)
		return
	default:
		out.Fail(e)
	}
	p.commit(w, out)
}

// release ends a write of which nothing is to be committed.
func (p *PG) release(s *slot) {
	p.mu.Lock()
	s.writing = false
	ready := p.startLocked(s)
	p.mu.Unlock()
	p.run(ready)
}

// repeated answers a request that is in the log or its dups already, at once or when
// it is durable.
func (p *PG) repeated(w *work) bool {
	p.mu.Lock()
	n := p.mu.log.find(w.req.ReqID)
	if n == nil || w.req.ReqID.Tid == 0 {
		p.mu.Unlock()
		return false
	}
	answer := func() { w.reply(p.writeReply(w.req, &n.Entry)) }
	if !n.durable {
		w.req.Op.Mark(track.Committing)
		n.waiters = append(n.waiters, answer)
		p.mu.Unlock()
		return true
	}
	p.mu.Unlock()
	answer()
	return true
}

// commit gives a request its version, puts it into the log and queues it. A
// request that failed is in the log too, so that it fails again when repeated.
func (p *PG) commit(w *work, out *ops.Outcome) {
	s := w.slot
	happened := out.Result >= 0
	w.req.Op.Mark(track.Committing)
	p.order.Lock()
	p.mu.Lock()
	at := ceph.EVersion{Version: p.mu.last.Version + 1, Epoch: p.cfg.Epoch()}
	if happened && out.Clones() {
		at.Version++ // the clone's is the one before
	}
	user := p.mu.lastUser
	p.mu.Unlock()

	txn := &osd.Transaction{}
	n := &logged{Entry: Entry{Version: at, Object: s.name, ReqID: w.req.ReqID, Result: int32(out.Result), MTime: w.req.MTime, UserVersion: user}}
	if happened {
		txn = out.Seal(w.req, at, user)
		n.UserVersion = out.UserVersion
	}
	n.note(out)

	p.mu.Lock()
	before, stats := p.mu.last, p.mu.stats
	if n.Prior = before; !happened && out.Result != ceph.ENOENT && s.state != nil && !s.state.Whiteout {
		n.Prior, n.UserVersion = s.state.Version, s.state.UserVersion
	}
	if happened {
		p.mu.stats.add(out.Stats)
	}
	n.Stats = p.mu.stats
	if p.mu.last = at; happened {
		p.mu.lastUser = max(user, n.UserVersion)
	}
	p.mu.log.add(n)
	c := p.mu.log.cut(p.logLength(), p.known())
	s.uncommitted++
	p.mu.Unlock()
	txn.OmapSet(p.env.Coll, metaObject(p.cfg.PG), map[string][]byte{n.key(): n.bytes()})
	c, err := p.queue(txn, c, func(err error) { p.committed(w, n, out, err) })

	p.mu.Lock()
	if err != nil { // nothing happened
		p.mu.log.drop(n)
		p.mu.last, p.mu.lastUser, p.mu.stats = before, user, stats
		s.uncommitted--
		s.loaded = false
	} else if happened {
		s.state, s.loaded = out.Head, true
	}
	if err == nil && c != nil {
		p.mu.log.forget(c)
	}
	s.writing = false
	ready := p.startLocked(s)
	p.mu.Unlock()
	p.order.Unlock()
	p.run(ready)
	switch {
	case err == nil:
	case refused(err):
		r := p.newReply(w.req, ceph.ENOSPC)
		if !errors.Is(err, osd.ErrNoSpace) {
			r.Result = int32(ceph.EFBIG)
		}
		w.reply(r)
	default: // who asked asks again, where the PG is then
		p.failed(err)
	}
}

// committed is called by the store.
func (p *PG) committed(w *work, n *logged, out *ops.Outcome, err error) {
	if err != nil {
		p.failed(err)
		return
	}
	s := w.slot
	p.mu.Lock()
	n.durable = true
	waiters := n.waiters
	n.waiters = nil
	s.uncommitted--
	ready := p.startLocked(s)
	p.mu.Unlock()
	p.run(ready)
	w.req.Op.Mark(track.Committed)
	w.reply(p.writeReply(w.req, &n.Entry))
	for _, f := range waiters {
		f()
	}
	if out.Result >= 0 {
		p.effects(w, out)
	}
}

// note keeps what a repeated request has to be told.
func (n *Entry) note(out *ops.Outcome) {
	for i := range out.Ops {
		if o := &out.Ops[i]; o.Result != 0 || len(o.Data) > 0 || o.Code == msg.OpTruncate {
			n.Results = make([]int32, len(out.Ops))
			n.Outputs = make([][]byte, len(out.Ops))
			n.Codes = make([]msg.OpCode, len(out.Ops))
			break
		}
	}
	for i := range n.Results {
		n.Results[i], n.Outputs[i], n.Codes[i] = out.Ops[i].Result, out.Ops[i].Data, out.Ops[i].Code
	}
}

func (s *Stats) add(d ops.Delta) {
	s.Objects += d.Objects
	s.Clones += d.Clones
	s.Bytes += d.Bytes
	s.Whiteouts += d.Whiteouts
	s.OmapObjects += d.OmapObjects
	s.Reads += d.ReadOps
	s.ReadKB += (d.ReadBytes + 1023) / 1024
	s.Writes += d.WriteOps
	s.WriteKB += (d.WriteBytes + 1023) / 1024
}

// take takes off what a part holds. What was done stays with the whole.
func (s *Stats) take(d ops.Delta) {
	s.Objects -= d.Objects
	s.Clones -= d.Clones
	s.Bytes -= d.Bytes
	s.Whiteouts -= d.Whiteouts
	s.OmapObjects -= d.OmapObjects
}

// countLocked counts what a read has done.
func (p *PG) countLocked(d ops.Delta) {
	p.mu.stats.Reads += d.ReadOps
	p.mu.stats.ReadKB += (d.ReadBytes + 1023) / 1024
}

// newReply answers a request that was not begun with a result and nothing else.
func (p *PG) newReply(req *ops.Request, result ceph.Errno) *msg.OSDOpReply {
	const drop = msg.FlagAck | msg.FlagOnNVRAM | msg.FlagOnDisk
	r := &msg.OSDOpReply{
		Name: req.Name, PG: req.PG.PG, Flags: uint64(req.Flags&^drop | msg.FlagOnDisk),
		Result: int32(result), Epoch: p.cfg.Epoch(), Retry: req.Retry, Ops: make([]msg.Op, len(req.Ops)),
	}
	for i := range req.Ops {
		r.Ops[i] = req.Ops[i]
		r.Ops[i].Data = nil
	}
	return r
}

// readReply answers with what was read, and the object's version; the PG's if
// what was looked for in the object is not there.
func (p *PG) readReply(req *ops.Request, out *ops.Outcome) *msg.OSDOpReply {
	r := p.newReply(req, out.Result)
	if out.Early {
		for i := range out.Ops {
			r.Ops[i].Result = out.Ops[i].Result
		}
		return r
	}
	r.Flags |= uint64(msg.FlagAck)
	r.Ops = out.Ops
	if out.Result == ceph.ENOENT {
		p.mu.Lock()
		defer p.mu.Unlock()
		r.UserVersion, r.BadReplay = p.mu.lastUser, p.mu.last
		return r
	}
	r.UserVersion = out.UserVersion
	r.BadReplay = ceph.EVersion{Version: out.UserVersion}
	return r
}

// writeReply answers from the log.
func (p *PG) writeReply(req *ops.Request, n *Entry) *msg.OSDOpReply {
	r := p.newReply(req, ceph.Errno(n.Result))
	r.Flags |= uint64(msg.FlagAck)
	for i := range r.Ops {
		if i < len(n.Results) {
			r.Ops[i].Result, r.Ops[i].Data = n.Results[i], n.Outputs[i]
			r.Ops[i].Code = n.Codes[i]
		}
	}
	r.Replay, r.UserVersion = n.Version, n.UserVersion
	switch {
	case n.priorTold():
		r.BadReplay = n.Prior
	case n.UserVersion == 0:
		r.BadReplay = n.Version
	default:
		r.BadReplay = ceph.EVersion{Version: n.UserVersion, Epoch: n.Version.Epoch}
	}
	return r
}
