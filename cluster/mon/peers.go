package mon

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
)

// peers are the other monitors of the map. Each is sent a sign of life, and what
// OSDs tell this one; who is silent counts as down.
type peers struct {
	mu struct {
		sync.Mutex
		conns map[string]*msgr.Conn
		tried map[string]time.Time // when each was dialled last
		heard map[string]time.Time
		told  map[string]*msgr.Conn // the session on which each was told everything
	}
}

func (p *peers) init() {
	p.mu.conns, p.mu.tried, p.mu.heard = map[string]*msgr.Conn{}, map[string]time.Time{}, map[string]time.Time{}
	p.mu.told = map[string]*msgr.Conn{}
}

// peerAuth begins the login at another monitor, under the key they share.
func (m *Monitor) peerAuth(ceph.EntityType) (msgr.ClientAuth, error) {
	e := m.State().Entities[monName]
	c, err := cephx.NewClient(cephx.ClientOptions{
		Name: monName, Key: e.Key, Methods: m.cfg.Methods, MonModes: m.cfg.Modes, Modes: m.cfg.Modes, Services: uint32(ceph.TypeMon), Now: m.cfg.Now, Rand: rand.Reader,
	})
	if err != nil {
		return nil, err
	}
	return c.Handshake(ceph.TypeMon)
}

// tellPeers sends a message to every other monitor, as far as there are sessions,
// and opens those that are missing.
func (m *Monitor) tellPeers(p *msg.MonPeer) {
	st := m.State()
	p.Name = m.cfg.Name
	for _, name := range st.MonMap.Ranks {
		if name == m.cfg.Name {
			continue
		}
		if c := m.peerConn(name, st.MonMap.Monitors[name].Addrs); c != nil {
			_ = c.Send(msg.Pack(p)) // the next one tells it
		}
	}
}

// peerConn returns the session with a monitor, nil if it is not to be dialled yet.
func (m *Monitor) peerConn(name string, at ceph.AddrVec) *msgr.Conn {
	m.peers.mu.Lock()
	defer m.peers.mu.Unlock()
	if c := m.peers.mu.conns[name]; c != nil && !c.Closed() {
		return c
	}
	if m.ctx.Err() != nil || time.Since(m.peers.mu.tried[name]) < m.cfg.PeerEvery/2 {
		return nil
	}
	m.peers.mu.tried[name] = time.Now()
	c, err := m.msgr.Connect(at, ceph.TypeMon, msgr.LossyClient)
	if err != nil {
		m.log.Debug("monitor is not reached", "mon", name, "err", err)
		return nil
	}
	m.peers.mu.conns[name] = c
	return c
}

// forward hands what an OSD has told this monitor to the others.
func (m *Monitor) forward(osd int32, in *msg.Message) {
	if len(m.State().MonMap.Ranks) > 1 {
		m.tellPeers(&msg.MonPeer{OSD: osd, Type: in.Type, Version: in.Version, Compat: in.Compat, Front: in.Front})
	}
}

// fromPeer takes what another monitor sends.
func (m *Monitor) fromPeer(s *session, p *msg.MonPeer) {
	if peer := s.conn.Peer(); peer.ID.Type != ceph.TypeMon || !m.allowed(s, "mon", "x") {
		return
	}
	m.peers.mu.Lock()
	m.peers.mu.heard[p.Name] = m.cfg.Now()
	m.peers.mu.Unlock()
	if p.OSD < 0 {
		return
	}
	inner, err := p.Payload()
	if err != nil {
		m.log.Warn("message of a monitor is malformed", "mon", p.Name, "err", err)
		return
	}
	m.heardOf(p.OSD, inner)
}

// heardOf takes what an OSD has told this monitor or another, or what another has
// for it.
func (m *Monitor) heardOf(osd int32, p msg.Payload) {
	switch p := p.(type) {
	case *msg.OSDBeacon:
		m.stats.beacon(osd, m.cfg.Now())
	case *msg.MgrReport:
		m.heardHealth(osd, p)
	case *msg.PGStats:
		if m.ours(p.FSID) {
			m.stats.report(osd, p, m.cfg.Now())
			m.statsChanged()
		}
	case *msg.OSDScrub2: // for the OSD, from a monitor it has no session with
		m.toOSD(osd, p)
	case *msg.OSDFailure:
		if m.knowsFailed(osd, p) && m.stats.failed(p.Target, m.host(m.State(), osd), p, m.cfg.Now()) {
			m.wg.Go(func() { m.markFailed(p) })
		}
	}
}

// newcomers are the sessions that have begun since the last call.
func (p *peers) newcomers() (list []*msgr.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, c := range p.mu.conns {
		if c.Ready() && p.mu.told[name] != c {
			p.mu.told[name] = c
			list = append(list, c)
		}
	}
	return list
}

// tellAll tells newcomers what this monitor knows of OSDs, which report nothing
// twice that has not changed.
func (m *Monitor) tellAll() {
	list := m.peers.newcomers()
	if len(list) == 0 {
		return
	}
	st := m.State()
	for osd, p := range m.stats.all(st.MonMap.FSID, st.OSD.Epoch) {
		in := msg.Pack(p)
		for _, c := range list {
			_ = c.Send(msg.Pack(&msg.MonPeer{Name: m.cfg.Name, OSD: osd, Type: in.Type, Version: in.Version, Compat: in.Compat, Front: in.Front})) // a session that ends begins anew
		}
	}
}

// keepPeers sends signs of life.
func (m *Monitor) keepPeers() {
	t := time.NewTicker(m.cfg.PeerEvery)
	defer t.Stop()
	for {
		m.tellPeers(&msg.MonPeer{OSD: -1})
		m.tellAll()
		select {
		case <-m.ctx.Done():
			return
		case <-t.C:
		}
	}
}

// quorum returns the ranks of the monitors that serve: this one, and those that it
// hears of. At first nobody has been heard of, and all get the time to be.
func (m *Monitor) quorum(st *State) []int {
	now := m.cfg.Now()
	m.peers.mu.Lock()
	defer m.peers.mu.Unlock()
	var ranks []int
	for r, name := range st.MonMap.Ranks {
		last, heard := m.peers.mu.heard[name]
		if !heard {
			last = m.start
		}
		if name == m.cfg.Name || now.Sub(last) < 4*m.cfg.PeerEvery {
			ranks = append(ranks, r)
		}
	}
	if len(ranks) == 0 { // this monitor has been taken out of the map
		ranks = []int{0}
	}
	return slices.Clip(ranks)
}
