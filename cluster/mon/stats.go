package mon

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

const (
	// minReporters is from how many hosts an OSD has to be reported, grace for how
	// long, before it is marked down.
	minReporters = 2
	failureGrace = 20 * time.Second
)

// stats is what OSDs report, in RAM: whoever starts anew is told again.
type stats struct {
	now func() time.Time
	mu  struct {
		sync.Mutex
		osds    map[int32]msg.OSDStat
		pgs     map[ceph.PG]msg.PGStat
		seen    map[int32]time.Time
		reports map[int32]map[string]time.Time // failures: target, host of the reporter, since when
		pools   map[poolOnOSD]msg.StoreStatfs
		slow    map[int32]msg.HealthMetric // OSDs with slow requests
		version uint64
		// samples are sums of what clients did, the oldest first: rates are the
		// difference of two.
		samples []sample
	}
}

// poolOnOSD is the part of a pool that is on an OSD.
type poolOnOSD struct {
	pool ceph.PoolID
	osd  int32
}

// sample is what had been done by a time.
type sample struct {
	at    time.Time
	pools map[ceph.PoolID]msg.ObjectSum
}

const (
	sampleEvery = time.Second
	rateSpan    = 10 * time.Second // over which a rate is taken
	rateStale   = 15 * time.Second // nobody has reported: nothing is known of rates
)

func newStats(now func() time.Time) *stats {
	s := &stats{now: now}
	s.mu.osds, s.mu.pgs, s.mu.pools = map[int32]msg.OSDStat{}, map[ceph.PG]msg.PGStat{}, map[poolOnOSD]msg.StoreStatfs{}
	s.mu.slow = map[int32]msg.HealthMetric{}
	s.mu.seen, s.mu.reports = map[int32]time.Time{}, map[int32]map[string]time.Time{}
	return s
}

// report takes what an OSD says of itself and its PGs.
func (s *stats) report(osd int32, p *msg.PGStats, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.osds[osd].Seq <= p.OSD.Seq { // another monitor may hand on an older one
		s.mu.osds[osd] = p.OSD
	}
	s.mu.seen[osd] = now
	for id, st := range p.PGs {
		// Who has a PG that is somewhere else reports it too, below its primary.
		if old, ok := s.mu.pgs[id]; ok && cmp.Or(cmp.Compare(old.ReportedEpoch, st.ReportedEpoch), cmp.Compare(old.ReportedSeq, st.ReportedSeq)) > 0 {
			continue
		}
		st.LocationCounts = slices.Clone(st.LocationCounts)
		s.mu.pgs[id] = st
	}
	maps.DeleteFunc(s.mu.pools, func(k poolOnOSD, _ msg.StoreStatfs) bool { return k.osd == osd })
	for id, fs := range p.PerPool {
		s.mu.pools[poolOnOSD{id, osd}] = fs
	}
	s.mu.version++
	s.sampleLocked(now)
}

// all returns what is known, as each OSD would report it: its PGs are those it
// serves.
func (s *stats) all(fsid ceph.UUID, epoch ceph.Epoch) map[int32]*msg.PGStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[int32]*msg.PGStats{}
	for osd, st := range s.mu.osds {
		out[osd] = &msg.PGStats{Paxos: msg.NewPaxos(0), FSID: fsid, OSD: st, Epoch: epoch, PGs: map[ceph.PG]msg.PGStat{}, PerPool: map[ceph.PoolID]msg.StoreStatfs{}}
	}
	for pg, st := range s.mu.pgs {
		if p := out[st.ActingPrimary]; p != nil {
			p.PGs[pg] = st
		}
	}
	for k, st := range s.mu.pools {
		if p := out[k.osd]; p != nil {
			p.PerPool[k.pool] = st
		}
	}
	return out
}

// sampleLocked notes what has been done so far, once in sampleEvery.
func (s *stats) sampleLocked(now time.Time) {
	list := s.mu.samples
	if len(list) > 0 && now.Sub(list[len(list)-1].at) < sampleEvery {
		return
	}
	one := sample{now, map[ceph.PoolID]msg.ObjectSum{}}
	for id, st := range s.mu.pgs {
		sum := one.pools[id.Pool]
		sum.Add(&st.Sum)
		one.pools[id.Pool] = sum
	}
	list = append(list, one)
	for len(list) > 2 && now.Sub(list[0].at) > rateSpan {
		list = list[1:]
	}
	s.mu.samples = slices.Clone(list)
}

// rateLocked returns what is done to a pool in a second, by the samples.
func (s *stats) rateLocked(pool ceph.PoolID, now time.Time) (r msg.ObjectSum) {
	list := s.mu.samples
	if len(list) < 2 || now.Sub(list[len(list)-1].at) > rateStale {
		return r
	}
	a, b := list[0].pools[pool], list[len(list)-1].pools[pool]
	span := list[len(list)-1].at.Sub(list[0].at).Seconds()
	per := func(now, then int64) int64 { return int64(float64(max(0, now-then)) / span) }
	r.Reads, r.ReadKB, r.Writes, r.WriteKB = per(b.Reads, a.Reads), per(b.ReadKB, a.ReadKB), per(b.Writes, a.Writes), per(b.WriteKB, a.WriteKB)
	r.RecoveredObjects, r.RecoveredBytes, r.RecoveredKeys = per(b.RecoveredObjects, a.RecoveredObjects), per(b.RecoveredBytes, a.RecoveredBytes), per(b.RecoveredKeys, a.RecoveredKeys)
	return r
}

func (s *stats) beacon(osd int32, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.seen[osd] = now
	delete(s.mu.reports, osd)
}

// silent returns for how long an OSD has not been heard of. The time of one that
// nobody here has heard begins now.
func (s *stats) silent(osd int32, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.mu.seen[osd]
	if !ok {
		s.mu.seen[osd] = now
		return 0
	}
	return now.Sub(t)
}

// failed counts a report, and says whether it is enough.
func (s *stats) failed(target int32, host string, p *msg.OSDFailure, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Flags&msg.FailureFailed == 0 { // taken back
		delete(s.mu.reports[target], host)
		return false
	}
	if p.Flags&msg.FailureImmediate != 0 {
		delete(s.mu.reports, target)
		return true
	}
	if s.mu.reports[target] == nil {
		s.mu.reports[target] = map[string]time.Time{}
	}
	since := now.Add(-time.Duration(p.FailedFor) * time.Second)
	if t, ok := s.mu.reports[target][host]; !ok || since.Before(t) {
		s.mu.reports[target][host] = since
	}
	n := 0
	for _, t := range s.mu.reports[target] {
		if now.Sub(t) >= failureGrace {
			n++
		}
	}
	if n < minReporters {
		return false
	}
	delete(s.mu.reports, target)
	return true
}

// summary is the sum of all that is reported for a map.
type summary struct {
	Version uint64
	PGs     map[ceph.PG]msg.PGStat // of pools that exist; those nobody reported are unknown
	Unknown int
	States  map[msg.PGState]int
	Pools   map[ceph.PoolID]msg.ObjectSum
	OSDs    map[int32]msg.OSDStat // of OSDs that exist
	Sum     msg.ObjectSum
	Store   msg.StoreStatfs
	Rates   map[ceph.PoolID]msg.ObjectSum // what is done in a second
	Rate    msg.ObjectSum                 // to all pools

	PoolStatfs map[poolOnOSD]msg.StoreStatfs
}

// stale is how long after its primary went away a PG's report counts.
func (s *stats) summary(m *osdmap.Map) *summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &summary{
		Version: s.mu.version, PGs: map[ceph.PG]msg.PGStat{}, States: map[msg.PGState]int{},
		Pools: map[ceph.PoolID]msg.ObjectSum{}, OSDs: map[int32]msg.OSDStat{}, Rates: map[ceph.PoolID]msg.ObjectSum{}, PoolStatfs: maps.Clone(s.mu.pools),
	}
	now := s.now()
	for id, pool := range m.Pools {
		sum := out.Pools[id]
		for seed := range pool.PGNum {
			pg := ceph.PG{Pool: id, Seed: seed}
			st, ok := s.mu.pgs[pg]
			if !ok {
				out.Unknown++
				continue
			}
			if !m.IsUp(st.ActingPrimary) {
				st.State |= msg.PGStale
			}
			out.PGs[pg] = st
			out.States[st.State]++
			sum.Add(&st.Sum)
		}
		out.Pools[id] = sum
		out.Sum.Add(&sum)
		rate := s.rateLocked(id, now)
		out.Rates[id] = rate
		out.Rate.Add(&rate)
	}
	for osd := range m.MaxOSD {
		if st, ok := s.mu.osds[osd]; ok && m.Exists(osd) {
			out.OSDs[osd] = st
			if m.Weights[osd] > 0 {
				out.Store.Total += st.KB * 1024
				out.Store.Available += st.KBAvail * 1024
				out.Store.Allocated += st.KBUsed * 1024
			}
		}
	}
	return out
}

// forget drops what is gone from the map.
func (s *stats) forget(m *osdmap.Map) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.mu.pgs, func(pg ceph.PG, _ msg.PGStat) bool { p := m.Pools[pg.Pool]; return p == nil || pg.Seed >= p.PGNum })
	maps.DeleteFunc(s.mu.pools, func(k poolOnOSD, _ msg.StoreStatfs) bool { return m.Pools[k.pool] == nil || !m.Exists(k.osd) })
	maps.DeleteFunc(s.mu.osds, func(osd int32, _ msg.OSDStat) bool { return !m.Exists(osd) })
}

// statfs answers how full the cluster is.
func (m *Monitor) statfs(st *State, p *msg.StatFS) msg.Payload {
	sum := m.stats.summary(st.OSD)
	r := &msg.StatFSReply{FSID: st.MonMap.FSID, Version: sum.Version, KB: uint64(sum.Store.Total) / 1024, KBUsed: uint64(sum.Store.Allocated) / 1024, KBAvail: uint64(sum.Store.Available) / 1024}
	r.Objects = uint64(sum.Sum.Objects)
	if p.Pool != nil {
		o := sum.Pools[*p.Pool]
		r.Objects, r.KBUsed = uint64(o.Objects), uint64(o.Bytes)/1024
	}
	return r
}

// poolStats answers what pools hold.
func (m *Monitor) poolStats(st *State, p *msg.GetPoolStats) msg.Payload {
	sum := m.stats.summary(st.OSD)
	r := &msg.GetPoolStatsReply{Paxos: msg.NewPaxos(sum.Version), FSID: st.MonMap.FSID, Pools: map[string]msg.PoolStat{}, PerPool: true}
	for _, name := range p.Pools {
		if id, ok := poolByName(st.OSD, name); ok {
			r.Pools[name] = msg.PoolStat{Sum: sum.Pools[id]}
		}
	}
	return r
}

func poolByName(m *osdmap.Map, name string) (ceph.PoolID, bool) {
	for id, n := range m.PoolNames {
		if n == name {
			return id, true
		}
	}
	return 0, false
}
