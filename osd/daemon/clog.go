package daemon

import (
	"fmt"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
)

// keptLines bounds the lines for the cluster's log that no monitor has yet: the
// oldest go first, as what matters is said again.
const keptLines = 200

// clog says something in the cluster's log.
func (o *OSD) clog(priority uint16, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	id := ceph.EntityID{Type: ceph.TypeOSD, Num: int64(o.cfg.ID)}
	o.mu.Lock()
	o.mu.line++
	l := msg.LogEntry{
		Name: ceph.EntityName{Type: ceph.TypeOSD, ID: fmt.Sprint(o.cfg.ID)}, Rank: id, Addrs: o.msgr.Addrs(), Stamp: ceph.MakeTime(o.cfg.Now()),
		Seq: o.mu.line, Priority: priority, Text: text, Channel: "cluster",
	}
	o.mu.lines = append(o.mu.lines, l)
	if n := len(o.mu.lines) - keptLines; n > 0 {
		o.mu.lines = o.mu.lines[n:]
	}
	o.mu.Unlock()
	o.log.Info("cluster log", "osd", o.cfg.ID, "text", text)
	o.sendLog(l)
}

// unreadable says that a client's request met damage: it is in the log before
// somebody scrubs. Once in ten seconds is enough, for a client may try for ever.
func (o *OSD) unreadable(m *msg.OSDOp) {
	now := o.cfg.Now().Unix()
	if last := o.damageSaid.Load(); now-last < 10 || !o.damageSaid.CompareAndSwap(last, now) {
		return
	}
	o.clog(msg.LogError, "%v: request on %q failed with an input/output error: ceph pg deep-scrub %v says what is damaged", m.PG.PG, m.Name, m.PG.PG)
}

func (o *OSD) sendLog(list ...msg.LogEntry) {
	if len(list) > 0 {
		_ = o.mon.Send(&msg.Log{Paxos: msg.NewPaxos(0), FSID: o.fsid(), Entries: list})
	}
}

// logAgain sends what may have been lost with a session.
func (o *OSD) logAgain() {
	o.mu.Lock()
	list := append([]msg.LogEntry(nil), o.mu.lines...)
	o.mu.Unlock()
	o.sendLog(list...)
}

// logged takes the word of a monitor that it has lines.
func (o *OSD) logged(p *msg.LogAck) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.mu.lines) > 0 && o.mu.lines[0].Seq <= p.Last {
		o.mu.lines = o.mu.lines[1:]
	}
}

// fsid returns the cluster's id; the zero one before there is a map.
func (o *OSD) fsid() ceph.UUID {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.m == nil {
		return ceph.UUID{}
	}
	return o.mu.m.FSID
}
