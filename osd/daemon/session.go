package daemon

import (
	"encoding/json"
	"errors"
	"fmt"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
	"ebofs/osd/cls"
	_ "ebofs/osd/cls/all" // what clients may call
	"ebofs/osd/ops"
	"ebofs/osd/pg"
)

// session is a client's connection.
type session struct {
	conn *msgr.Conn
	id   ceph.EntityID
	addr ceph.Addr
	caps cephx.OSDCaps
	all  bool // no caps: everything is allowed
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

func (d *dispatcher) HandleConnect(*msgr.Conn) {}

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

// HandleRefused is told that a monitor is not reached.
func (d *dispatcher) HandleRefused(c *msgr.Conn, err error) {
	d.osd().log.Debug("not connected", "peer", c.Peer().Addrs, "err", err)
	d.osd().mon.Reset(c)
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
	s, ok := c.Attached().(*session)
	if !ok {
		return
	}
	switch p := p.(type) {
	case *msg.OSDOp:
		in.Hold()
		o.request(s, in, p)
	case *msg.OSDMap:
		// The monitors are asked for maps, not whoever comes by.
	case *msg.Command:
		o.tell(s, in, p)
	case *msg.MgrConfigure:
		o.configured(c)
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
	case *msg.MgrMap:
		o.takeMgrMap(p)
	default:
		o.mon.Handle(p)
	}
}

// request hands a client's request to its PG, or lets it wait for a map.
func (o *OSD) request(s *session, in *msg.Message, m *msg.OSDOp) {
	o.mu.Lock()
	if o.mu.m == nil || m.Epoch > o.mu.m.Epoch {
		o.mu.waiting = append(o.mu.waiting, func() { o.request(s, in, m) })
		o.mu.Unlock()
		return
	}
	g := o.mu.pgs[m.PG.PG]
	pool := o.mu.m.Pools[m.PG.PG.Pool]
	name := o.mu.m.PoolNames[m.PG.PG.Pool]
	blocked := o.mu.m.Blocklist
	now := o.mu.m
	o.mu.Unlock()
	if g == nil || pool == nil {
		in.Release() // not here: the client learns it from the map, and asks who has it
		return
	}
	req := &ops.Request{OSDOp: m, Client: s.id, Addr: s.addr, ReqID: m.ReqID}
	if req.ReqID.Tid == 0 {
		req.ReqID = ceph.ReqID{Name: s.id, Tid: in.TID, Incarnation: int32(m.Inc)}
	}
	if _, writes, _ := req.Mode(); writes {
		own(m) // what is written is the store's for good, the message is not
	}
	reply := func(r *msg.OSDOpReply) {
		out := msg.Pack(r)
		out.TID = in.TID
		_ = s.conn.Send(out)
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

// own gives operations memory of their own for their input.
func own(m *msg.OSDOp) {
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

// tell answers `ceph tell osd.N`.
func (o *OSD) tell(s *session, in *msg.Message, p *msg.Command) {
	answer := func(result ceph.Errno, text string, output []byte) {
		out := msg.Pack(&msg.CommandReply{Answer: msg.Answer{Result: int32(result), Text: text, Output: output}})
		out.TID = in.TID
		_ = s.conn.Send(out)
	}
	var c struct {
		Prefix string `json:"prefix"`
	}
	if len(p.Words) != 1 || json.Unmarshal([]byte(p.Words[0]), &c) != nil {
		answer(ceph.EINVAL, "a command is one JSON object", nil)
		return
	}
	switch {
	case !s.all && !o.allowedTell(s):
		answer(ceph.EACCES, "access denied", nil)
	case c.Prefix == "get_command_descriptions":
		answer(0, "", []byte(`{"cmd000":{"sig":["version"],"help":"report version of this OSD","module":"osd","perm":"r","flags":0},"cmd001":{"sig":["status"],"help":"status of this OSD","module":"osd","perm":"r","flags":0}}`))
	case c.Prefix == "version":
		answer(0, "", []byte(`{"version":"ebofs, speaking Ceph 16.2 (pacific)","release":"pacific","release_type":"stable"}`))
	case c.Prefix == "status":
		o.mu.Lock()
		text := fmt.Sprintf(`{"cluster_fsid":"%v","osd_fsid":"%v","whoami":%d,"state":"active","newest_map":%d,"num_pgs":%d}`, o.id.fsid, o.id.uuid, o.cfg.ID, o.mu.m.Epoch, len(o.mu.pgs))
		o.mu.Unlock()
		answer(0, "", []byte(text))
	default:
		answer(ceph.EINVAL, "command not known", nil)
	}
}

// allowedTell: who may do anything here may also ask.
func (o *OSD) allowedTell(s *session) bool {
	return s.caps.Allow(cephx.OSDRequest{Read: true, Write: true, From: s.addr.IP.Addr()})
}
