package pg

import (
	"context"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/osd/ops"
	"ebofs/osd/track"
)

// slot is an object in use. Requests start in the order in which they came:
//
//	idle ──▶ readers > 0 ──▶ idle        any number of reads side by side
//	idle ──▶ writing ──▶ uncommitted > 0 the next write may start, a read not
//
// Its fields are guarded by PG.mu, but state while writing is set or readers are
// at work.
type slot struct {
	name        ceph.HObject
	state       *ops.State // nil: there is no head
	loaded      bool       // state is what the store has, or will have
	readers     int
	writing     bool
	uncommitted int
	queue       []*work
}

func (s *slot) idle() bool {
	return s.readers == 0 && !s.writing && s.uncommitted == 0 && len(s.queue) == 0
}

// work is a request on its way.
type work struct {
	req    *ops.Request
	from   Session
	reply  func(*msg.OSDOpReply)
	writes bool
	waits  bool // has to read the store before it can write
	// run does something else than the request says: work of the PG's own.
	run    func(ctx context.Context, e *ops.Env, head *ops.State) *ops.Outcome
	unread bool // run does without the object's State: it may be unreadable
	slot   *slot
}

// drop forgets work that has not begun: a client asks again.
func (w *work) drop() {
	if w.reply != nil {
		w.reply(nil)
	}
}

// slotLocked returns the slot of an object, and makes room for it.
func (p *PG) slotLocked(name ceph.HObject) *slot {
	if s := p.mu.slots[name]; s != nil {
		return s
	}
	if len(p.mu.slots) >= p.cfg.Slots {
		for k, s := range p.mu.slots { // some idle one: the order of a map is as good as any
			if s.idle() {
				delete(p.mu.slots, k)
				break
			}
		}
	}
	s := &slot{name: name}
	p.mu.slots[name] = s
	return s
}

// startLocked takes what may start now off a slot's queue. Whoever calls it runs
// what it returns, without PG.mu.
func (p *PG) startLocked(s *slot) (ready []*work) {
	for len(s.queue) > 0 {
		w := s.queue[0]
		switch {
		case w.writes && (s.readers > 0 || s.writing):
			return ready
		case !w.writes && (s.writing || s.uncommitted > 0):
			return ready
		case w.writes:
			s.writing = true
		default:
			s.readers++
		}
		s.queue[0] = nil
		if s.queue = s.queue[1:]; len(s.queue) == 0 {
			s.queue = nil
		}
		p.wg.Add(1)
		ready = append(ready, w)
	}
	return ready
}

// Submit takes a request of a client. It is answered by reply, once, later or
// before Submit returns; with nil, if it is dropped, as when the PG is closed, and the
// client will ask again. What has begun when the PG is closed may not be answered.
// Requests of one session on
// one object happen in the order of their Submits.
func (p *PG) Submit(req *ops.Request, from Session, reply func(*msg.OSDOpReply)) {
	if e := req.Refuse(); e != 0 {
		reply(p.newReply(req, e))
		return
	}
	_, writes, _ := req.Mode()
	w := &work{req: req, from: from, reply: reply, writes: writes}
	list := false
	for i := range req.Ops {
		c := req.Ops[i].Code
		w.waits = w.waits || c.Reads() || c == msg.OpCopyFrom || c == msg.OpCopyFrom2 || c == msg.OpRollback
		list = list || c.Kind() == msg.KindPG
	}
	if list && !writes {
		p.mu.Lock()
		closed := p.mu.closed
		if !closed {
			p.wg.Add(1)
			go p.list(w)
		}
		p.mu.Unlock()
		if closed {
			reply(nil)
		}
		return
	}
	p.enqueue(w)
}

// enqueue lets work wait for its object, or does it.
func (p *PG) enqueue(w *work) {
	p.mu.Lock()
	if p.mu.closed {
		p.mu.Unlock()
		w.drop()
		return
	}
	w.slot = p.slotLocked(w.req.Head())
	w.slot.queue = append(w.slot.queue, w)
	ready := p.startLocked(w.slot)
	if len(ready) == 0 {
		w.req.Op.Mark(track.WaitingObject)
	}
	one := len(ready) == 1
	quick := one && ready[0].writes && !ready[0].waits && w.slot.loaded // nothing of it waits for a device
	p.mu.Unlock()
	switch {
	case quick:
		p.write(ready[0])
	case one && !ready[0].writes && ready[0].req.Alone:
		p.read(ready[0])
	default:
		p.run(ready)
	}
}

// run does work on goroutines of its own: it may have to wait for the device.
func (p *PG) run(ready []*work) {
	for _, w := range ready {
		if w.writes {
			go p.write(w)
		} else {
			go p.read(w)
		}
	}
}

// load makes sure that a slot's state is there. The slot is the caller's.
func (p *PG) load(s *slot) error {
	p.mu.Lock()
	loaded := s.loaded
	p.mu.Unlock()
	if loaded {
		return nil
	}
	st, err := p.env.Load(p.ctx, s.name)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.loaded {
		s.state, s.loaded = st, true
		p.adoptLocked(s.name, st)
	}
	return nil
}
