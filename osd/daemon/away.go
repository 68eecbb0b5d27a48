package daemon

import (
	"context"
	"slices"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/osd"
	"ebofs/osd/pg"
)

// away is a PG of the store that the map puts on another OSD. That one cannot get
// it: nothing is copied between OSDs. It comes back with the map, or is moved by
// `ebofs pg`; until then it is reported as down.
type away struct {
	mapping
	primary int32
	epoch   ceph.Epoch // of the first map that puts it there
	since   time.Time
	holds   pg.Status
}

// storedPGs returns the PGs in a store, and what is left of those that were being
// removed.
func storedPGs(ctx context.Context, s osd.ObjectStore) (map[ceph.PG]*away, []doomed, error) {
	list, err := s.Collections(ctx)
	if err != nil {
		return nil, nil, err
	}
	out := map[ceph.PG]*away{}
	var rest []doomed
	for _, c := range list {
		switch id, phase, ok := pg.ParseCollection(c); {
		case !ok:
		case phase == pg.Whole:
			out[id] = nil
		case phase == pg.Removing:
			rest = append(rest, doomed{pg: id, phase: phase})
		}
	}
	return out, rest, nil
}

// lookAway finds out which PGs of the store are away. Only follow calls it, and
// nobody else changes what is stored.
func (o *OSD) lookAway(m *osdmap.Map, placer *osdmap.Placer, here map[ceph.PG]mapping) {
	var w osdmap.Work
	for id, was := range o.stored {
		if _, ok := here[id]; ok || m.Pools[id.Pool] == nil {
			o.setAway(id, nil)
			continue
		}
		at, err := placer.Place(&w, id)
		if err != nil || was != nil && slices.Equal(was.acting, at.Acting) && slices.Equal(was.up, at.Up) {
			continue
		}
		a := &away{
			mapping: mapping{slices.Clone(at.Up), slices.Clone(at.Acting), at.UpPrimary},
			primary: at.ActingPrimary, epoch: m.Epoch, since: o.cfg.Now(),
		}
		if was != nil {
			a.holds = was.holds
		} else if s, err := pg.ReadStored(o.ctx, o.cfg.Store, pg.Collection(id), id); err == nil {
			a.holds = s.Status()
			o.log.Warn("the map puts a pg on another osd, which cannot get it", "osd", o.cfg.ID, "pg", id, "acting", a.acting)
		}
		o.setAway(id, a)
	}
}

func (o *OSD) setAway(id ceph.PG, a *away) {
	o.stored[id] = a
	o.mu.Lock()
	defer o.mu.Unlock()
	if a == nil {
		delete(o.mu.away, id)
	} else {
		o.mu.away[id] = a
	}
}

// stat is the PG as it is reported: whoever is its primary knows better.
func (a *away) stat(at time.Time) msg.PGStat {
	s := msg.PGStat{
		ReportedSeq: 0, ReportedEpoch: a.epoch, State: msg.PGDown, MappingEpoch: a.epoch,
		Up: a.up, Acting: a.acting, UpPrimary: a.upPrimary, ActingPrimary: a.primary,
		LastFresh: ceph.MakeTime(at), LastChange: ceph.MakeTime(a.since), LastUnstale: ceph.MakeTime(at), LastFullsized: ceph.MakeTime(at), LastUndegraded: ceph.MakeTime(at),
	}
	hold(&s, a.holds)
	return s
}
