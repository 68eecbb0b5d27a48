package daemon

import (
	"maps"
	"slices"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/osd/pg"
)

// absentAfter is for how long a PG that is not in the store is nothing to report:
// the order to make it may be on its way.
const absentAfter = 10 * time.Second

// report tells how the OSD and its PGs are, and returns the number
// of the report, 0 if there was none.
func (o *OSD) report(m *osdmap.Map) uint64 {
	st, err := o.cfg.Store.Statfs(o.ctx)
	if err != nil {
		return 0
	}
	now := o.cfg.Now()
	out := &msg.PGStats{Paxos: msg.NewPaxos(0), FSID: m.FSID, Epoch: m.Epoch, PGs: map[ceph.PG]msg.PGStat{}}
	open, trimming := map[ceph.PG]*pg.PG{}, map[ceph.PG]msg.PGState{}
	o.mu.Lock()
	o.mu.reported++
	seq := o.mu.reported
	for id, p := range o.mu.places {
		state := o.stateLocked(m, id, p, now)
		if state == 0 {
			continue
		}
		if state != p.state {
			p.state, p.changed = state, now
			if state == msg.PGIncomplete {
				o.log.Warn("the map puts a pg here that is not in the store and was not ordered: what it holds is elsewhere", "osd", o.cfg.ID, "pg", id)
			}
		}
		out.PGs[id] = p.stat(m, o.cfg.ID, seq, now)
		if p.pg != nil {
			open[id], trimming[id] = p.pg, p.trimming
		}
	}
	for id, a := range o.mu.away {
		out.PGs[id] = a.stat(now)
	}
	beacon := &msg.OSDBeacon{Paxos: msg.NewPaxos(uint64(m.Epoch)), MinLastEpochClean: m.Epoch, Interval: 300}
	out.OSD.Peers = slices.Sorted(maps.Keys(o.mu.peers))
	beacon.PGs = slices.SortedFunc(maps.Keys(o.mu.pgs), ceph.PG.Compare)
	o.mu.Unlock()
	for id, p := range open {
		r := out.PGs[id]
		o.holdAll(&r, m, id, p, trimming[id])
		out.PGs[id] = r
	}
	used := st.TotalBytes - st.FreeBytes
	from := m.Infos[o.cfg.ID].UpFrom
	out.OSD = msg.OSDStat{
		Peers: out.OSD.Peers,
		KB:    int64(st.TotalBytes >> 10), KBUsed: int64(used >> 10), KBAvail: int64(st.FreeBytes >> 10), KBData: int64(used >> 10),
		UpFrom: from, Seq: uint64(from)<<32 | seq, PGs: uint32(len(open)), OSDs: 1,
		Store: msg.StoreStatfs{Total: int64(st.TotalBytes), Available: int64(st.FreeBytes), Allocated: int64(used), Stored: int64(used)},
	}
	o.sendStats(m, out)
	_ = o.mon.Send(beacon)
	return out.OSD.Seq
}

// stateLocked returns the state of a PG as it is reported, or 0 if there is
// nothing to say yet.
func (o *OSD) stateLocked(m *osdmap.Map, id ceph.PG, p *place, now time.Time) msg.PGState {
	pool := m.Pools[id.Pool]
	switch {
	case pool == nil:
		return 0
	case !p.alone(): // copies on other OSDs are not kept
		return msg.PGPeering
	case p.absent && now.Sub(p.seen) < absentAfter:
		return 0
	case p.absent: // what it holds is elsewhere
		return msg.PGIncomplete
	case pool.MinSize > 1:
		return msg.PGPeered | msg.PGUndersized | msg.PGDegraded
	case o.mu.pgs[id] == nil:
		return msg.PGPeering
	case pool.Size > 1:
		return msg.PGActive | msg.PGUndersized | msg.PGDegraded
	default:
		return msg.PGActive | msg.PGClean
	}
}

// hold adds to a report what a PG holds.
func hold(r *msg.PGStat, s pg.Status) {
	r.Version, r.LogStart, r.OnDiskLogStart, r.Created = s.Last, s.LogStart, s.LogStart, s.Created
	r.Sum, r.LogSize, r.OnDiskLogSize = s.Stats.Sum(), int64(s.LogEntries), int64(s.LogEntries)
}

// holdAll adds what an open PG holds, and what goes on in it.
func (o *OSD) holdAll(r *msg.PGStat, m *osdmap.Map, id ceph.PG, p *pg.PG, trimming msg.PGState) pg.Status {
	s := p.Status()
	hold(r, s)
	o.holdScrubs(r, id, s.Scrubs)
	holdSnaps(r, m.RemovedSnapsQueue[id.Pool], trimming, p)
	return s
}

// stat is a PG as its primary reports it, but for what it holds.
func (p *place) stat(m *osdmap.Map, me int32, seq uint64, at time.Time) msg.PGStat {
	now, changed := ceph.MakeTime(at), ceph.MakeTime(p.changed)
	s := msg.PGStat{
		ReportedSeq: seq, ReportedEpoch: m.Epoch, State: p.state, MappingEpoch: p.since,
		Up: p.up, Acting: p.acting, UpPrimary: p.upPrimary, ActingPrimary: me,
		LastFresh: now, LastChange: changed, LastUnstale: now,
	}
	if p.state&msg.PGActive != 0 {
		s.LastActive, s.LastPeered, s.LastBecameActive, s.LastBecamePeered = now, now, changed, changed
	}
	if p.state&msg.PGUndersized == 0 {
		s.LastFullsized = now
	}
	if p.state&msg.PGDegraded == 0 {
		s.LastUndegraded = now
	}
	if p.state&msg.PGClean != 0 {
		s.LastClean, s.LastEpochClean = now, m.Epoch
	}
	return s
}
