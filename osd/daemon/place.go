package daemon

import (
	"errors"
	"maps"
	"slices"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/osd"
	"ebofs/osd/ops"
	"ebofs/osd/pg"
)

// place is a PG that the newest map puts here: this OSD is its acting primary. Its
// fields are guarded by OSD.mu.
type place struct {
	mapping
	unserved time.Time   // since when it is not served; zero: it is
	split    ceph.Epoch  // since when it is as large as it is; 0: before this OSD started
	since    ceph.Epoch  // this OSD has been its primary from then on
	seen     time.Time   // since when this OSD knows of it
	absent   bool        // it is not in the store, and nobody has ordered it
	pg       *pg.PG      // nil: not in the store, or copies elsewhere would have to be kept
	waiting  []*arrival  // for the PG to be served
	state    msg.PGState // as last reported
	changed  time.Time   // when it became that

	trimming msg.PGState // snaptrim while that goes on, snaptrim_error if it failed
}

// mapping is where a map puts a PG.
type mapping struct {
	up, acting []int32
	upPrimary  int32
}

// alone reports whether no other OSD keeps a copy: nothing is copied between OSDs,
// and what others take for a copy must not stay behind.
func (m mapping) alone() bool { return len(m.acting) == 1 }

// logEntries is how many entries the logs of all PGs may have together, half a
// kilobyte each in RAM; leastLog is what each has at least. Of older requests dups are
// kept, dupEntries of all PGs together, 65 bytes each in RAM: with up to 363 PGs as many
// as a PG wants. A PG goes by it when it trims next, in steps of 256.
const (
	logEntries = 50_000
	leastLog   = 250
	dupEntries = 1_000_000
)

// shareLogs returns how many entries each of so many PGs may have in its log, and how
// many requests it may know, dups included.
func shareLogs(pgs int) (entries, known int) {
	pgs = max(1, pgs)
	entries = max(leastLog, logEntries/pgs)
	return entries, entries + dupEntries/pgs
}

// setMap makes m the map. PGs that are here now are opened, or made if the
// monitors have said so; those that are not are closed; requests that waited for it
// go on.
//
// A PG is served once the map says that this OSD was up in the time it has been
// primary (up_thru): whoever is primary later has to know that there were writes.
func (o *OSD) setMap(m *osdmap.Map) {
	o.count.mapEpochs.Add(1)
	placer, err := osdmap.NewPlacer(m)
	if err != nil {
		o.log.Error("osd map cannot be used", "epoch", m.Epoch, "err", err)
		return
	}
	me := m.IsUp(o.cfg.ID) && m.Client[o.cfg.ID].Equal(o.msgr.Addrs())
	var here map[ceph.PG]mapping
	if me {
		here = o.here(m, placer)
	}
	split := o.splitPGs(m)
	o.mu.Lock()
	was, told := maps.Clone(o.mu.places), maps.Clone(o.mu.told)
	o.mu.Unlock()
	opened, absent := map[ceph.PG]*pg.PG{}, map[ceph.PG]bool{}
	for id, at := range here {
		if p := was[id]; o.unsplit[id] || !at.alone() || p != nil && p.pg != nil {
			continue
		}
		p, err := o.open(m, id, told[id])
		if err != nil {
			o.log.Error("pg is not opened", "pg", id, "err", err)
		} else if absent[id] = p == nil; p != nil {
			opened[id] = p
			o.stored[id] = nil
		}
	}

	o.mu.Lock()
	if o.mu.places == nil { // closed meanwhile
		o.mu.Unlock()
		for _, p := range opened {
			p.Close()
		}
		return
	}
	var gone []*pg.PG
	var again []*arrival
	var created []ceph.PG
	for id, p := range o.mu.places {
		at, still := here[id]
		if p.pg != nil && (!still || !at.alone()) {
			gone = append(gone, p.pg)
			p.pg = nil
			delete(o.mu.pgs, id)
		}
		if !still { // clients ask who has it now
			for _, w := range p.waiting {
				w.drop()
			}
			delete(o.mu.places, id)
		}
	}
	var want ceph.Epoch
	news := false
	for id, at := range here {
		p := o.mu.places[id]
		if p == nil {
			p = &place{since: m.Epoch, seen: o.cfg.Now(), unserved: o.cfg.Now()}
			o.mu.places[id] = p
		}
		p.mapping, p.absent = at, absent[id]
		if split[id] {
			p.split = m.Epoch
		}
		if opened[id] != nil {
			p.pg = opened[id]
		}
		switch {
		case p.pg == nil:
		case m.Pools[id.Pool].MinSize > 1: // it wants more copies than there are
			delete(o.mu.pgs, id)
		case m.Infos[o.cfg.ID].UpThru < p.since:
			want = max(want, p.since)
		default:
			// Map and PGs in one moment: a request of this epoch finds its PG, or waited.
			news = news || o.mu.pgs[id] == nil
			o.mu.pgs[id] = p.pg
			p.unserved = time.Time{}
			again = append(again, p.waiting...)
			p.waiting = nil
			if o.mu.told[id] != nil {
				created = append(created, id)
				delete(o.mu.told, id)
				o.mu.created[id] = struct{}{}
			}
		}
	}
	for id, order := range o.mu.told { // the monitors tell who it is now
		if _, ok := here[id]; !ok && order.epoch <= m.Epoch {
			delete(o.mu.told, id)
		}
	}
	for id := range o.mu.created {
		if p := m.Pools[id.Pool]; p == nil || p.Flags&osdmap.PoolCreating == 0 {
			delete(o.mu.created, id)
		}
	}
	for id, p := range o.mu.places {
		if o.mu.pgs[id] == nil && p.unserved.IsZero() {
			p.unserved = o.cfg.Now()
		}
	}
	o.mu.m, o.mu.placer, o.mu.up, o.mu.want = m, placer, me, want
	entries, known := shareLogs(len(o.mu.places))
	o.logLength.Store(int64(entries))
	o.known.Store(int64(known))
	// Those for a PG came before those for a map.
	again, o.mu.waiting = append(again, o.mu.waiting...), nil
	turn := make(chan struct{})
	for _, w := range again {
		w.turn = turn
	}
	o.unblockLocked()
	o.signalLocked()
	o.mu.Unlock()

	o.placeAgain(again, turn)
	for _, p := range gone {
		p.Close()
	}
	o.dropDeleted(m)
	if me {
		o.lookAway(m, placer, here)
	}
	if news {
		kick(o.soon)
	}
	if len(m.RemovedSnapsQueue) > 0 {
		kick(o.trims)
	}
	for _, id := range created {
		_ = o.mon.Send(&msg.OSDPGCreated{Paxos: msg.NewPaxos(uint64(m.Epoch)), PG: id})
	}
}

// here returns the PGs this OSD is the acting primary of.
func (o *OSD) here(m *osdmap.Map, placer *osdmap.Placer) map[ceph.PG]mapping {
	out := map[ceph.PG]mapping{}
	var w osdmap.Work
	for id, pool := range m.Pools {
		for seed := range pool.PGNum {
			pg := ceph.PG{Pool: id, Seed: seed}
			if at, err := placer.Place(&w, pg); err == nil && at.ActingPrimary == o.cfg.ID {
				out[pg] = mapping{slices.Clone(at.Up), slices.Clone(at.Acting), at.UpPrimary}
			}
		}
	}
	return out
}

// order is a PG that the monitors told this OSD to make.
type order struct {
	epoch   ceph.Epoch // of the map by which they did
	created ceph.Epoch
}

// takeOrders notes which PGs are to be made. A PG that the map puts here and that
// is neither in the store nor to be made is somewhere else, with what it holds.
func (o *OSD) takeOrders(p *msg.OSDPGCreate2) {
	o.mu.Lock()
	for id, c := range p.PGs {
		o.mu.told[id.PG] = &order{p.Epoch, c.Created}
	}
	o.mu.Unlock()
	o.mon.Got("osd_pg_creates", uint64(p.Epoch))
	kick(o.newer)
}

// open opens a PG. If the store has none it is made, if that was ordered; else
// there is none.
func (o *OSD) open(m *osdmap.Map, id ceph.PG, told *order) (*pg.PG, error) {
	pool := m.Pools[id.Pool]
	_, err := o.cfg.Store.Collection(o.ctx, pg.Collection(id))
	switch {
	case err == nil:
	case !errors.Is(err, osd.ErrNotFound):
		return nil, err
	case told == nil:
		return nil, nil
	default:
		var t osd.Transaction
		now := ceph.MakeTime(o.cfg.Now()) // there is nothing in it that a scrub could find
		pg.Create(&t, id, pool.PGNum, pg.Info{Created: told.created, Scrubs: pg.Scrubs{At: now, DeepAt: now, CleanAt: now}})
		if err := osd.Apply(o.ctx, o.cfg.Store, &t); err != nil {
			return nil, err
		}
	}
	return pg.Open(o.ctx, pg.Config{
		Store: o.cfg.Store, PG: id, PGNum: pool.PGNum, Epoch: o.epoch, Failed: o.fail, Now: o.cfg.Now,
		Full:      func() pg.Full { return o.fullOf(id.Pool) },
		Fetch:     o.fetch,
		LogLength: func() int { return int(o.logLength.Load()) },
		Known:     func() int { return int(o.known.Load()) },
		Removed:   func(s ceph.SnapID) bool { return o.removed(id.Pool, s) },
		PoolSnaps: func() ops.SnapContext { return o.poolSnaps(id.Pool) },
	})
}

// alive asks for the up_thru that PGs wait for, and is repeated: the session with
// the monitor may have been lost with it.
func (o *OSD) alive() {
	o.mu.Lock()
	m, want := o.mu.m, o.mu.want
	o.mu.Unlock()
	if want > 0 {
		_ = o.mon.Send(&msg.OSDAlive{Paxos: msg.NewPaxos(uint64(m.Epoch)), Want: want})
	}
}

// tellAgain tells a monitor what may have been lost with the session before.
func (o *OSD) tellAgain() {
	o.alive()
	o.mu.Lock()
	m, list := o.mu.m, slices.Collect(maps.Keys(o.mu.created))
	o.mu.Unlock()
	for _, id := range list {
		_ = o.mon.Send(&msg.OSDPGCreated{Paxos: msg.NewPaxos(uint64(m.Epoch)), PG: id})
	}
}
