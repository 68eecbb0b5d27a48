package mon

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
)

// session is a peer with what it has subscribed to.
type session struct {
	conn *msgr.Conn
	mu   sync.Mutex
	subs map[string]*sub
}

// sub is a subscription: the next version to send.
type sub struct {
	next uint64
	once bool
	sent time.Time // since when something was, at all
}

// onceLasts is for how long who asks once for OSD maps gets more than the first, and then
// one more. A client asks when it has lost an OSD, and takes the first map for an
// answer: one that says something else, or names an OSD that dies before it is reached,
// would leave it with nobody to send to until it looks again, after objecter_timeout
// and a tick: 15 s.
const onceLasts = 30 * time.Second

// has reports whether something is subscribed to.
func (s *session) has(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subs[what] != nil
}

// incsAtOnce is how many increments one message carries.
const incsAtOnce = 40

// dispatcher is the Monitor as its messenger sees it.
type dispatcher Monitor

func (d *dispatcher) mon() *Monitor { return (*Monitor)(d) }

// HandleAccept begins a session.
func (d *dispatcher) HandleAccept(c *msgr.Conn) error {
	m := d.mon()
	s := &session{conn: c, subs: map[string]*sub{}}
	c.Attach(s)
	m.mu.Lock()
	m.mu.sessions[s] = struct{}{}
	m.mu.Unlock()
	return nil
}

// HandleReset ends it.
func (d *dispatcher) HandleReset(c *msgr.Conn) {
	m := d.mon()
	if s, ok := c.Attached().(*session); ok {
		m.mu.Lock()
		delete(m.mu.sessions, s)
		m.mu.Unlock()
	}
}

func (d *dispatcher) HandleConnect(*msgr.Conn)        {}
func (d *dispatcher) HandleRemoteReset(*msgr.Conn)    {}
func (d *dispatcher) HandleRefused(*msgr.Conn, error) {}

// HandleMessage answers what can be answered at once, and starts the rest.
func (d *dispatcher) HandleMessage(c *msgr.Conn, in *msg.Message) {
	m := d.mon()
	s, ok := c.Attached().(*session)
	if !ok {
		return
	}
	p, err := msg.Unpack(in)
	if err != nil {
		if errors.Is(err, denc.ErrIncompatible) {
			m.log.Debug("message is not known", "from", c.Peer().ID, "err", err)
			return
		}
		m.log.Warn("message is malformed", "from", c.Peer().ID, "err", err)
		c.MarkDown()
		return
	}
	m.handle(s, in, p)
}

// reply sends the answer to a request.
func (s *session) reply(in *msg.Message, p msg.Payload) {
	out := msg.Pack(p)
	out.TID, out.Priority = in.TID, msg.PriorityHigh
	_ = s.conn.Send(out) // a session that is gone asks again
}

func (s *session) send(p msg.Payload) {
	out := msg.Pack(p)
	out.Priority = msg.PriorityHigh
	_ = s.conn.Send(out)
}

// handle does one message.
func (m *Monitor) handle(s *session, in *msg.Message, p msg.Payload) {
	st := m.State()
	switch p := p.(type) {
	case *msg.MonGetMap:
		s.send(&msg.MonMap{Map: st.MonMapRaw})
	case *msg.MonSubscribe:
		m.subscribe(s, st, p)
	case *msg.MonGetVersion:
		m.version(s, st, p)
	case *msg.MonCommand:
		if !m.ours(p.FSID) {
			s.reply(in, &msg.MonCommandAck{Paxos: p.Paxos, Result: int32(ceph.EPERM), Text: "wrong fsid", Words: p.Words})
			return
		}
		in.Hold()
		m.command(s, in, p.Request, false, func(a msg.Answer, version uint64) {
			s.reply(in, &msg.MonCommandAck{Paxos: msg.NewPaxos(version), Result: a.Result, Text: a.Text, Words: p.Words, Output: a.Output})
		})
	case *msg.Command:
		in.Hold()
		m.command(s, in, p.Request, true, func(a msg.Answer, _ uint64) { s.reply(in, &msg.CommandReply{Answer: a}) })
	case *msg.PoolOp:
		in.Hold()
		m.background(in, func() { m.poolOp(s, in, p) })
	case *msg.StatFS:
		if m.ours(p.FSID) && m.allowed(s, "pg", "r") { // else no word, as Ceph
			s.reply(in, m.statfs(st, p))
		}
	case *msg.GetPoolStats:
		if m.ours(p.FSID) && m.allowed(s, "pg", "r") {
			s.reply(in, m.poolStats(st, p))
		}
	case *msg.Auth:
		m.auth(s, in, p)
	case *msg.Ping:
		s.reply(in, &msg.Ping{Status: m.pingStatus(st)})
	case *msg.MonPeer:
		m.fromPeer(s, p)
	case *msg.Log:
		in.Hold()
		m.background(in, func() { m.takeLog(s, in, p) })
	default:
		m.handleOSD(s, in, p)
	}
}

func (m *Monitor) ours(fsid ceph.UUID) bool { return fsid == m.State().MonMap.FSID }

// background runs f on a goroutine of its own, as soon as fewer than
// commandsAtOnce run.
func (m *Monitor) background(in *msg.Message, f func()) {
	m.wg.Go(func() {
		defer in.Release()
		select {
		case m.slots <- struct{}{}:
			defer func() { <-m.slots }()
			f()
		case <-m.ctx.Done():
		}
	})
}

// subscribe takes subscriptions and sends what is due.
func (m *Monitor) subscribe(s *session, st *State, p *msg.MonSubscribe) {
	s.mu.Lock()
	for what, w := range p.What {
		if !m.maySubscribe(s, what) {
			m.log.Debug("subscription is not allowed", "from", s.conn.Peer().ID, "what", what)
			continue // as Ceph, without a word
		}
		s.subs[what] = &sub{next: w.Start, once: w.Flags&msg.SubscribeOnce != 0}
	}
	// A client that knows the monitors may be one that comes back, and does not say what it
	// had asked once: librados, shown the newest change, asks for those before that it lacks.
	if s.subs["osdmap"] == nil && p.What["monmap"].Start > 0 && s.conn.Peer().ID.Type == ceph.TypeClient && m.maySubscribe(s, "osdmap") {
		s.subs["osdmap"] = &sub{next: uint64(st.OSD.Epoch), once: true}
	}
	s.mu.Unlock()
	m.publish(s, m.State()) // st may be older than the subscription: what came since was not sent to it
}

// maySubscribe reports whether a session may have a map or the log. The map of the
// monitors and its own options everybody needs to be told where things are.
func (m *Monitor) maySubscribe(s *session, what string) bool {
	switch {
	case what == "osdmap":
		return m.allowed(s, "osd", "r")
	case what == "osd_pg_creates":
		return m.allowed(s, "osd", "w")
	case strings.HasPrefix(what, "log-"):
		return m.allowed(s, "log", "r")
	}
	return true
}

// publish sends a session what its subscriptions ask for and it has not got.
func (m *Monitor) publish(s *session, st *State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for what, w := range s.subs {
		if m.publishOne(s, st, what, w) && w.once && (what != "osdmap" || m.cfg.Now().Sub(w.sent) > onceLasts) {
			delete(s.subs, what)
		}
	}
}

// publishAll is publish for every session.
func (m *Monitor) publishAll() {
	m.mu.Lock()
	st, list := m.mu.state, slices.Collect(maps.Keys(m.mu.sessions))
	m.mu.Unlock()
	for _, s := range list {
		m.publish(s, st)
	}
}

func (m *Monitor) publishOne(s *session, st *State, what string, w *sub) (sent bool) {
	switch what {
	case "monmap":
		if e := uint64(st.MonMap.Epoch); e >= w.next {
			s.send(&msg.MonMap{Map: st.MonMapRaw})
			w.next, sent = e+1, true
		}
	case "config":
		v := st.configFor(s.conn.Peer().Auth.Name)
		if key := configKey(v); w.sent.IsZero() || key != w.next {
			s.send(&msg.Config{Values: v})
			w.next, sent = key, true
		}
	case "osdmap":
		if m.reboots.Load() == 0 || w.next == 0 {
			sent = m.publishMap(s, st, w)
		}
	case "mgrmap":
		mm := &msg.MgrMap{Epoch: 1}
		if wantsManager(st, s.conn.Peer()) {
			mm = m.managerMap()
		}
		if w.next <= uint64(mm.Epoch) {
			s.send(mm)
			w.next, sent = uint64(mm.Epoch)+1, true
		}
	case "osd_pg_creates":
		sent = m.publishCreates(s, st, w)
	default:
		if level, ok := strings.CutPrefix(what, "log-"); ok {
			sent = m.publishLog(s, st, level, w)
		}
	}
	if sent && w.sent.IsZero() {
		w.sent = m.cfg.Now()
	}
	return sent
}

// publishMap sends OSD maps: the newest, or what changed since.
func (m *Monitor) publishMap(s *session, st *State, w *sub) bool {
	newest := uint64(st.OSD.Epoch)
	out := &msg.OSDMap{FSID: st.MonMap.FSID, Oldest: st.Oldest, Newest: st.OSD.Epoch}
	switch {
	case w.next > newest:
		return false
	case w.next == 0 || w.next < uint64(st.Oldest):
		out.Full = map[ceph.Epoch][]byte{st.OSD.Epoch: st.Full}
		w.next = newest + 1
	default:
		out.Incrementals = map[ceph.Epoch][]byte{}
		for n := 0; n < incsAtOnce && w.next <= newest; n++ {
			out.Incrementals[ceph.Epoch(w.next)] = st.Incs[ceph.Epoch(w.next)]
			w.next++
		}
	}
	s.send(out)
	if w.next <= newest {
		return m.publishMap(s, st, w)
	}
	return true
}

// version answers which versions of a map there are.
func (m *Monitor) version(s *session, st *State, p *msg.MonGetVersion) {
	r := &msg.MonGetVersionReply{Handle: p.Handle}
	switch p.What {
	case "osdmap":
		r.Newest, r.Oldest = uint64(st.OSD.Epoch), uint64(st.Oldest)
	case "monmap":
		r.Newest, r.Oldest = uint64(st.MonMap.Epoch), 1
	case "mdsmap", "fsmap":
		r.Newest, r.Oldest = 1, 1
	case "mgrmap":
		r.Newest, r.Oldest = 1, 1
	default:
		return // as Ceph
	}
	s.send(r)
}

// auth answers an entity that wants more tickets or keys.
func (m *Monitor) auth(s *session, in *msg.Message, p *msg.Auth) {
	login := cephxLogin(m)
	out, err := login.Request(s.conn.Peer().Auth, m.cfg.Now(), p.Payload)
	r := &msg.AuthReply{Protocol: p.Protocol, GlobalID: s.conn.Peer().Auth.GlobalID, Payload: out}
	if err != nil {
		r.Result = int32(ceph.EINVAL)
		var e ceph.Errno
		if errors.As(err, &e) {
			r.Result = int32(e)
		}
		r.Text = err.Error()
	}
	s.reply(in, r)
}
