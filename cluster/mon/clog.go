package mon

import (
	"fmt"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
)

// levels of the cluster's log by the names of subscriptions.
var levels = map[string]uint16{"debug": msg.LogDebug, "info": msg.LogInfo, "sec": msg.LogSec, "warn": msg.LogWarn, "error": msg.LogError}

// line makes a line of the log by this monitor.
func (m *Monitor) line(now ceph.Time, channel string, priority uint16, format string, args ...any) msg.LogEntry {
	return msg.LogEntry{
		Name: ceph.EntityName{Type: ceph.TypeMon, ID: m.cfg.Name}, Rank: ceph.EntityID{Type: ceph.TypeMon, Num: 0}, Addrs: m.msgr.Addrs(),
		Stamp: now, Priority: priority, Text: fmt.Sprintf(format, args...), Channel: channel,
	}
}

// takeLog enters what a daemon has to say into the log.
func (m *Monitor) takeLog(s *session, in *msg.Message, p *msg.Log) {
	if !m.ours(p.FSID) || len(p.Entries) == 0 {
		return
	}
	last := uint64(0)
	_, err := m.change(m.ctx, func(c *Change) error {
		for _, l := range p.Entries {
			last = max(last, l.Seq)
			c.Log(l)
		}
		return nil
	})
	if err != nil {
		m.log.Warn("log of a daemon is not stored", "from", s.conn.Peer().ID, "err", err)
		return // it says it again
	}
	s.reply(in, &msg.LogAck{FSID: p.FSID, Last: last})
}

// publishLog sends lines of a level or above that are newer than what was sent;
// at first the newest.
func (m *Monitor) publishLog(s *session, st *State, level string, w *sub) bool {
	least, ok := levels[level]
	if !ok || len(st.Log) == 0 {
		return false
	}
	end := st.logFirst + uint64(len(st.Log))
	if w.next == 0 {
		w.next = end // from now on
		return false
	}
	out := &msg.Log{Paxos: msg.NewPaxos(end - 1), FSID: st.MonMap.FSID}
	for ; w.next < end; w.next++ {
		if w.next < st.logFirst {
			w.next = st.logFirst
		}
		if l := st.Log[w.next-st.logFirst]; l.Priority >= least {
			out.Entries = append(out.Entries, l)
		}
	}
	if len(out.Entries) == 0 {
		return false
	}
	s.send(out)
	return true
}
