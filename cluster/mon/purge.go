package mon

import (
	"context"

	"ebofs/cluster/ceph"
	"ebofs/cluster/osdmap"
)

// publishPurged takes deleted snapshots off the queue of the map once every PG of
// their pool says that nothing of them is left.
func (m *Monitor) publishPurged(ctx context.Context) error {
	st := m.State()
	if len(st.OSD.RemovedSnapsQueue) == 0 {
		return nil
	}
	purged := m.stats.purged(st.OSD)
	if len(purged) == 0 {
		return nil
	}
	_, err := m.change(ctx, func(c *Change) error {
		for id, list := range purged {
			if list = list.Within(c.State.OSD.RemovedSnapsQueue[id]); len(list) == 0 {
				continue
			}
			inc := c.Inc()
			if inc.PurgedSnaps == nil {
				inc.PurgedSnaps = map[ceph.PoolID]osdmap.Intervals{}
			}
			inc.PurgedSnaps[id] = list
		}
		return nil
	})
	return err
}

// purged returns what of the queue all PGs of its pool have reported as purged.
func (s *stats) purged(m *osdmap.Map) map[ceph.PoolID]osdmap.Intervals {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[ceph.PoolID]osdmap.Intervals{}
	for id, left := range m.RemovedSnapsQueue {
		pool := m.Pools[id]
		if pool == nil {
			continue
		}
		for seed := uint32(0); seed < pool.PGNum && len(left) > 0; seed++ {
			var has osdmap.Intervals
			for _, i := range s.mu.pgs[ceph.PG{Pool: id, Seed: seed}].PurgedSnaps {
				has = has.With(osdmap.Intervals{osdmap.Interval(i)})
			}
			left = left.Within(has)
		}
		if len(left) > 0 {
			out[id] = left
		}
	}
	return out
}
