package mon

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"sync"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
)

// manager is where OSDs of Ceph's report to: they send statistics to a manager and
// to nobody else. It takes their reports and does nothing besides. OSDs of ours
// report to the monitor, and clients are told that there is no manager.
type manager struct {
	once  sync.Once
	msgr  *msgr.Messenger // nil: it cannot listen
	epoch ceph.Epoch      // of the map with it: later in each life of the monitor
}

// managerGID is the number by which the manager's map names it.
const managerGID = 1

// reportEvery is how often OSDs are told to report, in seconds.
const reportEvery = 5

// wantsManager reports whether a peer is an OSD that reports to managers only.
func wantsManager(st *State, peer msgr.Peer) bool {
	meta := st.Meta[int32(peer.ID.Num)]
	return peer.ID.Type == ceph.TypeOSD && meta != nil && meta["osd_objectstore"] != "ebofs"
}

// managerMap returns the map for OSDs that want a manager, and begins to be one.
func (m *Monitor) managerMap() *msg.MgrMap {
	g := &m.manager
	g.once.Do(func() {
		g.epoch = ceph.Epoch(m.start.Unix())
		if err := m.startManager(); err != nil {
			m.log.Error("osds of ceph have nobody to report to", "err", err)
			g.msgr = nil
		}
	})
	out := &msg.MgrMap{Epoch: g.epoch}
	if g.msgr != nil {
		out.Active, out.GID, out.Available, out.Name, out.Features = g.msgr.Addrs(), managerGID, true, m.cfg.Name, msgr.Features16
	}
	return out
}

func (m *Monitor) startManager() (err error) {
	server := &cephx.Server{Service: ceph.TypeMgr, Methods: m.cfg.Methods, Modes: m.cfg.Modes, Keys: m.keys, Now: m.cfg.Now, Rand: rand.Reader}
	m.manager.msgr, err = msgr.New(msgr.Options{
		Type: ceph.TypeMgr, GID: managerGID, Nonce: uint32(m.start.Unix()), Dispatcher: (*reports)(m), Transport: m.cfg.Transport, Log: m.log,
		ServerAuth: func() msgr.ServerAuth { return server.Handshake() },
	})
	if err != nil {
		return err
	}
	if err := m.manager.msgr.Bind(netip.AddrPortFrom(m.cfg.Addr.Addr(), 0)); err != nil {
		return err
	}
	return m.manager.msgr.Start()
}

// closeManager ends it; nobody begins it any more.
func (m *Monitor) closeManager() {
	m.manager.once.Do(func() {})
	if m.manager.msgr != nil {
		m.manager.msgr.Shutdown()
	}
}

// reports is the manager as its messenger sees it.
type reports Monitor

// HandleAccept lets OSDs in.
func (r *reports) HandleAccept(c *msgr.Conn) error {
	if c.Peer().ID.Type != ceph.TypeOSD {
		return errors.New("the manager here is for OSDs")
	}
	return nil
}

func (r *reports) HandleConnect(*msgr.Conn)        {}
func (r *reports) HandleReset(*msgr.Conn)          {}
func (r *reports) HandleRemoteReset(*msgr.Conn)    {}
func (r *reports) HandleRefused(*msgr.Conn, error) {}

// HandleMessage takes a report.
func (r *reports) HandleMessage(c *msgr.Conn, in *msg.Message) {
	m := (*Monitor)(r)
	p, err := msg.Unpack(in)
	if err != nil {
		if !errors.Is(err, denc.ErrIncompatible) {
			m.log.Warn("report is malformed", "from", c.Peer().ID, "err", err)
			c.MarkDown()
		}
		return
	}
	switch p := p.(type) {
	case *msg.MgrOpen:
		_ = c.Send(msg.Pack(&msg.MgrConfigure{Period: reportEvery, Threshold: 5}))
	case *msg.MgrClose:
		_ = c.Send(msg.Pack(p))
	case *msg.MgrReport:
		m.heardHealth(int32(c.Peer().ID.Num), p)
	case *msg.PGStats:
		if m.ours(p.FSID) {
			m.stats.report(int32(c.Peer().ID.Num), p, m.cfg.Now())
		}
	}
}
