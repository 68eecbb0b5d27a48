package daemon

import (
	"errors"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
	"ebofs/osd/cls"
	_ "ebofs/osd/cls/all" // what clients may call
	"ebofs/osd/ops"
	"ebofs/osd/pg"
	"ebofs/osd/track"
)

// session is a client's connection.
type session struct {
	conn     *msgr.Conn
	id       ceph.EntityID
	addr     ceph.Addr
	caps     cephx.OSDCaps
	epoch    ceph.Epoch           // of the newest map it has, as far as known; guarded by OSD.mu
	backoffs map[ceph.PG]*backoff // likewise
	turn     chan struct{}        // likewise: what waited goes first, until this is closed; nil: nothing did
	all      bool                 // no caps: everything is allowed
}

// Send queues a message. If the session is gone the client asks again.
func (s *session) Send(p msg.Payload) { _ = s.conn.Send(msg.Pack(p)) }

// Client returns who it is.
func (s *session) Client() ceph.EntityID { return s.id }

// Addr returns where it is.
func (s *session) Addr() ceph.Addr { return s.addr }

// dispatcher is the OSD as its messenger sees it.
type dispatcher OSD

func (d *dispatcher) osd() *OSD { return (*OSD)(d) }

// HandleAccept begins a client's session.
func (d *dispatcher) HandleAccept(c *msgr.Conn) error {
	o := d.osd()
	p := c.Peer()
	s := &session{conn: c, id: p.ID, all: p.Auth.AllowAll}
	if len(p.Addrs) > 0 {
		s.addr = p.Addrs[0]
	}
	if !s.all {
		var err error
		if s.caps, err = cephx.ParseOSDCaps(p.Auth.Caps); err != nil {
			o.log.Warn("caps do not parse and grant nothing", "peer", p.ID, "err", err)
		}
	}
	c.Attach(s)
	o.mu.Lock()
	o.mu.sessions[s] = struct{}{}
	o.mu.Unlock()
	return nil
}

// HandleConnect is told of a session that was opened.
func (d *dispatcher) HandleConnect(c *msgr.Conn) {
	if c.Peer().ID.Type == ceph.TypeMon {
		d.osd().tellAgain()
		d.osd().logAgain()
	}
}

// HandleReset ends a session; its watches wait for the client to come back.
func (d *dispatcher) HandleReset(c *msgr.Conn) {
	o := d.osd()
	if o.mon.Reset(c) || o.managerGone(c) {
		return
	}
	s, ok := c.Attached().(*session)
	if !ok {
		return
	}
	o.mu.Lock()
	delete(o.mu.sessions, s)
	o.mu.waiting = s.forget(o.mu.waiting) // the client asks again
	for _, p := range o.mu.places {
		p.waiting = s.forget(p.waiting)
	}
	var list []*pg.PG
	for _, p := range o.mu.pgs {
		list = append(list, p)
	}
	o.mu.Unlock()
	for _, p := range list {
		p.Reset(s)
	}
}

func (d *dispatcher) HandleRemoteReset(*msgr.Conn) {}

// HandleRefused is told that somebody is not reached.
func (d *dispatcher) HandleRefused(c *msgr.Conn, err error) {
	d.osd().log.Debug("not connected", "peer", c.Peer().Addrs, "err", err)
	if l, ok := c.Attached().(*link); ok {
		d.osd().refused(l, err)
		return
	}
	if d.osd().mon.Reset(c) {
		d.osd().turnedAway.Store(&err)
	}
}

// TurnedAway returns why the last session with a monitor could not be opened, nil if
// none was refused.
func (o *OSD) TurnedAway() error {
	if err := o.turnedAway.Load(); err != nil {
		return *err
	}
	return nil
}

// HandleMessage does what is asked.
func (d *dispatcher) HandleMessage(c *msgr.Conn, in *msg.Message) {
	o := d.osd()
	p, err := msg.Unpack(in)
	if err != nil {
		if !errors.Is(err, denc.ErrIncompatible) {
			o.log.Warn("message is malformed", "peer", c.Peer().ID, "err", err)
			c.MarkDown()
		}
		return
	}
	if o.mon.Owns(c) {
		o.fromMonitor(in, p)
		return
	}
	if l, ok := c.Attached().(*link); ok {
		switch p := p.(type) {
		case *msg.OSDPing:
			o.answered(l, p)
		case *msg.OSDOpReply:
			o.fetched(in, p)
		}
		return
	}
	s, ok := c.Attached().(*session)
	if !ok { // another OSD, which this one has called
		if p, ok := p.(*msg.OSDOpReply); ok {
			o.fetched(in, p)
		}
		return
	}
	switch p := p.(type) {
	case *msg.OSDOp:
		in.Hold()
		o.request(s, in, p)
	case *msg.OSDBackoff: // an acknowledgement; what came before it was dropped anyway
	case *msg.OSDMap:
		// The monitors are asked for maps, not whoever comes by.
	case *msg.Command:
		o.tell(s, in, p)
	case *msg.OSDScrub2:
		if s.id.Type == ceph.TypeMgr {
			o.takeScrub(p)
		}
	case *msg.MgrConfigure:
		o.configured(c)
	case *msg.OSDPing:
		o.answerPing(s, p)
	}
}

// fromMonitor takes what monitors send.
func (o *OSD) fromMonitor(in *msg.Message, p msg.Payload) {
	switch p := p.(type) {
	case *msg.MonCommandAck:
		p.Output = append([]byte(nil), p.Output...)
		o.mon.Answer(in.TID, p)
	case *msg.OSDMap:
		o.takeMap(p)
	case *msg.OSDPGCreate2:
		o.takeOrders(p)
	case *msg.MgrMap:
		o.takeMgrMap(p)
	case *msg.OSDScrub2:
		o.takeScrub(p)
	case *msg.LogAck:
		o.logged(p)
	default:
		o.mon.Handle(p)
	}
}

// request takes a client's request: it is followed from now on.
func (o *OSD) request(s *session, in *msg.Message, m *msg.OSDOp) {
	req := &ops.Request{OSDOp: m, Client: s.id, Addr: s.addr, ReqID: m.ReqID}
	if req.ReqID.Tid == 0 {
		req.ReqID = ceph.ReqID{Name: s.id, Tid: in.TID, Incarnation: int32(m.Inc)}
	}
	w := &arrival{session: s, in: in, req: req}
	var writes bool
	if w.reads, writes, _ = req.Mode(); writes {
		w.writes, w.input = true, own(m) // what is written is the store's for good, the message is not
	}
	req.Op = o.track.Start(req.ReqID, s.addr, m)
	req.Alone = !in.More && o.track.Alone()
	o.mu.Lock()
	for s.turn != nil { // or it would overtake those before it
		turn := s.turn
		o.mu.Unlock()
		<-turn
		o.mu.Lock()
	}
	o.placeLocked(w)
}

// arrival is a request with where it came from.
type arrival struct {
	*session
	in            *msg.Message
	req           *ops.Request
	reads, writes bool
	input         int // bytes that it brings
}

// lists reports whether a request is about its PG: its hash is a cursor then.
func (w *arrival) lists() bool {
	for i := range w.req.Ops {
		if w.req.Ops[i].Code.Kind() == msg.KindPG {
			return true
		}
	}
	return false
}

// drop forgets a request: the client makes it again.
func (w *arrival) drop() {
	w.req.Op.Drop()
	w.in.Release()
}

// forget drops the session's requests and returns the others.
func (s *session) forget(list []*arrival) []*arrival {
	return slices.DeleteFunc(list, func(w *arrival) bool {
		if w.session == s {
			w.drop()
		}
		return w.session == s
	})
}

// placeAgain places requests that waited for what there is now, in their order.
// setMap has given their sessions turn.
func (o *OSD) placeAgain(list []*arrival, turn chan struct{}) {
	for _, w := range list {
		o.mu.Lock()
		o.placeLocked(w)
	}
	o.mu.Lock()
	for _, w := range list {
		w.turn = nil
	}
	o.mu.Unlock()
	close(turn)
}

// placeLocked hands a request to its PG, or lets it wait for that or for a map. It
// unlocks OSD.mu.
func (o *OSD) placeLocked(w *arrival) {
	s, in, req, m := w.session, w.in, w.req, w.req.OSDOp
	if o.mu.m == nil || m.Epoch > o.mu.m.Epoch {
		req.Op.Mark(track.WaitingMap)
		req.Alone = false
		o.count.delayedForMap.Add(1)
		o.mu.waiting = append(o.mu.waiting, w)
		o.mu.Unlock()
		return
	}
	g := o.mu.pgs[m.PG.PG]
	pool := o.mu.m.Pools[m.PG.PG.Pool]
	if at := o.mu.places[m.PG.PG]; pool == nil || at != nil && m.Epoch < at.split || !w.lists() && pool.PG(m.Hash) != m.PG.PG.Seed {
		old := m.Epoch < o.mu.m.Epoch
		o.mu.Unlock()
		if old {
			o.share(s, m.Epoch)
		}
		w.drop() // the object is elsewhere since the PG was split: the client finds out
		return
	}
	if p := o.mu.places[m.PG.PG]; g == nil && p != nil {
		if o.keptBackLocked(s, m.PG.PG, p) {
			o.mu.Unlock()
			w.drop()
			return
		}
		req.Op.Mark(track.WaitingPG)
		req.Alone = false
		p.waiting = append(p.waiting, w)
		o.mu.Unlock()
		return
	}
	name := o.mu.m.PoolNames[m.PG.PG.Pool]
	blocked := o.mu.m.Blocklist
	now := o.mu.m
	o.mu.Unlock()
	if m.Epoch < now.Epoch {
		o.share(s, m.Epoch)
	}
	if g == nil {
		w.drop() // not here: the client learns it from the map, and asks who has it
		return
	}
	req.Op.Mark(track.Queued)
	reply := func(r *msg.OSDOpReply) {
		if r == nil {
			w.drop()
			return
		}
		out := msg.Pack(r)
		out.TID = in.TID
		_ = s.conn.Send(out)
		if ceph.Errno(r.Result) == ceph.EIO {
			o.unreadable(m)
		}
		if t, ok := req.Op.Done(); ok {
			o.count.finished(w, r, t)
			o.grew(w.input)
		}
		in.Release()
	}
	if _, yes := blocked[s.addr]; yes {
		reply(refusal(now.Epoch, m, ceph.EBLOCKLISTED))
		return
	}
	if !s.all && !o.allowed(s, req, name, pool.Applications) {
		reply(refusal(now.Epoch, m, ceph.EPERM))
		return
	}
	g.Submit(req, s, reply)
}

// own gives operations memory of their own for their input, and returns how much.
func own(m *msg.OSDOp) int {
	n := 0
	for i := range m.Ops {
		n += len(m.Ops[i].Data)
	}
	buf := make([]byte, 0, n)
	for i := range m.Ops {
		if d := m.Ops[i].Data; len(d) > 0 {
			at := len(buf)
			buf = append(buf, d...)
			m.Ops[i].Data = buf[at:len(buf):len(buf)]
		}
	}
	return n
}

// allowed evaluates the caps for every operation of a request.
func (o *OSD) allowed(s *session, r *ops.Request, pool string, apps map[string]map[string]string) bool {
	read, write, _ := r.Mode()
	q := cephx.OSDRequest{Pool: pool, Apps: apps, Namespace: r.Locator.Namespace, Object: r.Name, Read: read, Write: write, From: s.addr.IP.Addr()}
	for _, c := range r.Calls() {
		m, err := cls.Find(c.Class, c.Method)
		if err != nil {
			continue // refused for what it is
		}
		q.Calls = append(q.Calls, cephx.ClassCall{Class: c.Class, Method: c.Method, Read: m.Reads, Write: m.Writes})
	}
	return s.caps.Allow(q)
}

// refusal answers a request that is not looked at.
func refusal(epoch ceph.Epoch, m *msg.OSDOp, e ceph.Errno) *msg.OSDOpReply {
	r := &msg.OSDOpReply{Name: m.Name, PG: m.PG.PG, Flags: uint64(m.Flags&^(msg.FlagAck|msg.FlagOnNVRAM) | msg.FlagOnDisk), Result: int32(e), Epoch: epoch, Retry: m.Retry}
	r.Ops = append(r.Ops, m.Ops...)
	for i := range r.Ops {
		r.Ops[i].Data = nil
	}
	return r
}
