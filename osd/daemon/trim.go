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

// trimRetry is when a PG is tried again that could not be trimmed wholly.
const trimRetry = time.Minute

// trimSnaps removes what deleted snapshots have left, in the background: one PG at
// a time and in it one object after the other.
func (o *OSD) trimSnaps() {
	var retry <-chan time.Time
	for {
		select {
		case <-o.ctx.Done():
			return
		case <-o.trims:
		case <-retry:
		}
		retry = nil
		o.mu.Lock()
		list := slices.SortedFunc(maps.Keys(o.mu.pgs), ceph.PG.Compare)
		o.mu.Unlock()
		for _, id := range list {
			if err := o.trimPG(id); err != nil && o.ctx.Err() == nil {
				o.log.Warn("snapshots are not trimmed", "pg", id, "err", err)
				retry = time.After(trimRetry)
			}
		}
	}
}

// trimPG does what there is to do in one PG.
func (o *OSD) trimPG(id ceph.PG) error {
	o.mu.Lock()
	p, m, at := o.mu.pgs[id], o.mu.m, o.mu.places[id]
	o.mu.Unlock()
	if p == nil || at == nil || m.Flags&osdmap.FlagNoSnapTrim != 0 {
		return nil
	}
	queue := m.RemovedSnapsQueue[id.Pool]
	purged := intervals(p.Purged())
	left := queue.Without(purged)
	if len(left) == 0 {
		return nil
	}
	o.setTrimming(at, msg.PGSnaptrim)
	defer kick(o.soon)
	n, err := p.Trim(o.ctx, func(s ceph.SnapID) bool { return left.Contains(uint64(s)) })
	o.count.trimmed.Add(uint64(n))
	if err == nil {
		var list []msg.Interval
		for _, i := range purged.Within(queue).With(left) {
			list = append(list, msg.Interval(i))
		}
		err = p.SetPurged(o.ctx, list)
	}
	if err != nil {
		o.setTrimming(at, msg.PGSnaptrimError)
		return err
	}
	o.setTrimming(at, 0)
	return nil
}

func (o *OSD) setTrimming(p *place, state msg.PGState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p.trimming = state
}

// removed tells snapshots that are deleted and may not be purged everywhere yet.
func (o *OSD) removed(pool ceph.PoolID, s ceph.SnapID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.m.RemovedSnapsQueue[pool].Contains(uint64(s))
}

// holdSnaps adds to a report which snapshots are trimmed and which are to be.
func holdSnaps(r *msg.PGStat, queue osdmap.Intervals, trimming msg.PGState, p *pg.PG) {
	// Of what is off the queue nothing is said: Ceph's monitor takes nothing off it
	// while a report names what it has taken off before.
	purged := intervals(p.Purged()).Within(queue)
	r.PurgedSnaps = nil
	for _, i := range purged {
		r.PurgedSnaps = append(r.PurgedSnaps, msg.Interval(i))
	}
	r.SnapTrimQueue = uint32(queue.Without(purged).Len())
	if r.State&msg.PGActive == 0 {
		return
	}
	if r.State |= trimming; trimming == 0 && r.SnapTrimQueue > 0 {
		r.State |= msg.PGSnaptrimWait
	}
}

func intervals(list []msg.Interval) osdmap.Intervals {
	out := make(osdmap.Intervals, 0, len(list))
	for _, i := range list {
		out = append(out, osdmap.Interval(i))
	}
	return out
}
