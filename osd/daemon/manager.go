package daemon

import (
	"errors"
	"strconv"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
	"ebofs/cluster/osdmap"
)

// manager is the session with the active manager. Where there is one it takes the
// statistics; where there is none the monitors do. Its fields are guarded by
// OSD.mu.
type manager struct {
	m    *msg.MgrMap // the newest; nil: none has come
	at   ceph.AddrVec
	conn *msgr.Conn
	open bool // it has told us to report
}

// takeMgrMap follows the map of the managers.
func (o *OSD) takeMgrMap(m *msg.MgrMap) {
	m.Active, m.Rest = append(ceph.AddrVec(nil), m.Active...), nil
	o.mu.Lock()
	old := o.mu.mgr.conn
	o.mu.mgr.m = m
	gone := old != nil && !o.mu.mgr.at.Equal(m.Active)
	if gone {
		o.mu.mgr.conn, o.mu.mgr.open = nil, false
	}
	o.mu.Unlock()
	o.mon.Got("mgrmap", uint64(m.Epoch))
	if gone {
		old.MarkDown()
	}
	o.callManager()
}

// callManager opens a session with the manager unless there is one. A manager that
// does not know this OSD yet closes the first session; the next report opens
// another.
func (o *OSD) callManager() {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := &o.mu.mgr
	if g.conn != nil || g.m == nil || !g.m.Available || g.m.Active.Msgr2().IsBlank() || !o.mu.up {
		return
	}
	conn, err := o.msgr.Connect(g.m.Active, ceph.TypeMgr, msgr.LossyClient)
	if err != nil {
		if !errors.Is(err, msgr.ErrClosed) {
			o.log.Warn("manager is not reached", "osd", o.cfg.ID, "addr", g.m.Active, "err", err)
		}
		return
	}
	// What a manager asks for is done: it is let in by the monitors alone.
	conn.Attach(&session{conn: conn, id: ceph.EntityID{Type: ceph.TypeMgr, Num: int64(g.m.GID)}, all: true})
	g.conn, g.at, g.open = conn, g.m.Active, false
	_ = conn.Send(msg.Pack(&msg.MgrOpen{Daemon: strconv.Itoa(int(o.cfg.ID))}))
}

// configured is told that the manager wants reports.
func (o *OSD) configured(c *msgr.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c == o.mu.mgr.conn {
		o.mu.mgr.open = true
		kick(o.soon)
	}
}

// managerGone is told that a session is over, and returns whether it was the
// manager's.
func (o *OSD) managerGone(c *msgr.Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c != o.mu.mgr.conn {
		return c.Peer().ID.Type == ceph.TypeMgr
	}
	o.mu.mgr.conn, o.mu.mgr.open = nil, false
	return true
}

// sendStats sends statistics to who takes them. Until the manager has answered
// nobody does.
func (o *OSD) sendStats(m *osdmap.Map, p *msg.PGStats) {
	health := &msg.MgrReport{Daemon: strconv.Itoa(int(o.cfg.ID))}
	var news bool
	health.Health, news = o.slow(m)
	o.mu.Lock()
	g := o.mu.mgr
	o.mu.Unlock()
	switch {
	case g.open:
		_ = g.conn.Send(msg.Pack(health))
		_ = g.conn.Send(msg.Pack(p))
	case g.m != nil && g.m.Epoch <= 1 && g.m.Active.Msgr2().IsBlank(): // there never was a manager
		_ = o.mon.Send(p)
		if news { // a monitor remembers; one that is new hears of slow requests only
			_ = o.mon.Send(health)
		}
	default:
		o.callManager()
	}
}
