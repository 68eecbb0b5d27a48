package daemon

import (
	"maps"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/osd/pg"
)

// report tells how the OSD and its PGs are, and returns the number
// of the report, 0 if there was none.
func (o *OSD) report(m *osdmap.Map) uint64 {
	st, err := o.cfg.Store.Statfs(o.ctx)
	if err != nil {
		return 0
	}
	o.mu.Lock()
	list := maps.Clone(o.mu.pgs)
	o.mu.reported++
	seq := o.mu.reported
	o.mu.Unlock()
	used := st.TotalBytes - st.FreeBytes
	now := ceph.MakeTime(o.cfg.Now())
	out := &msg.PGStats{Paxos: msg.NewPaxos(0), FSID: m.FSID, Epoch: m.Epoch, PGs: map[ceph.PG]msg.PGStat{}}
	out.OSD = msg.OSDStat{
		KB: int64(st.TotalBytes >> 10), KBUsed: int64(used >> 10), KBAvail: int64(st.FreeBytes >> 10), KBData: int64(used >> 10),
		UpFrom: m.Infos[o.cfg.ID].UpFrom, Seq: uint64(m.Infos[o.cfg.ID].UpFrom)<<32 | seq, PGs: uint32(len(list)), OSDs: 1,
		Store: msg.StoreStatfs{Total: int64(st.TotalBytes), Available: int64(st.FreeBytes), Allocated: int64(used), Stored: int64(used)},
	}
	for id, p := range list {
		out.PGs[id] = o.pgStat(m, id, p.Status(), seq, now)
	}
	o.sendStats(out)
	_ = o.mon.Send(&msg.OSDBeacon{Paxos: msg.NewPaxos(uint64(m.Epoch)), MinLastEpochClean: m.Epoch, Interval: 300})
	return out.OSD.Seq
}

// pgStat is a PG as its primary reports it: it is whole, or has too few copies.
func (o *OSD) pgStat(m *osdmap.Map, id ceph.PG, s pg.Status, seq uint64, now ceph.Time) msg.PGStat {
	acting := []int32{o.cfg.ID}
	state := msg.PGActive | msg.PGClean
	if pool := m.Pools[id.Pool]; pool != nil && pool.Size > 1 {
		state = msg.PGActive | msg.PGUndersized | msg.PGDegraded
	}
	return msg.PGStat{
		Version: s.Last, ReportedSeq: seq, ReportedEpoch: m.Epoch, State: state, LogStart: s.LogStart, OnDiskLogStart: s.LogStart,
		Created: s.Created, LastEpochClean: m.Epoch, Sum: s.Stats.Sum(), LogSize: int64(s.LogEntries), OnDiskLogSize: int64(s.LogEntries),
		Up: acting, Acting: acting, UpPrimary: o.cfg.ID, ActingPrimary: o.cfg.ID, MappingEpoch: m.Epoch,
		LastFresh: now, LastChange: now, LastActive: now, LastClean: now, LastUnstale: now, LastPeered: now, LastUndegraded: now, LastFullsized: now,
	}
}
