package daemon

import (
	"maps"
	"runtime"
	"slices"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
	"ebofs/cluster/osdmap"
	"ebofs/osd"
	"ebofs/osd/ops"
	"ebofs/osd/pg"
)

// takeMap queues maps that have come: applying them may make PGs, which waits for
// the store.
func (o *OSD) takeMap(p *msg.OSDMap) {
	for _, list := range []map[ceph.Epoch][]byte{p.Full, p.Incrementals} {
		for e, b := range list {
			list[e] = slices.Clone(b) // the message's memory is used again
		}
	}
	o.mu.Lock()
	o.mu.queue = append(o.mu.queue, p)
	o.mu.Unlock()
	select {
	case o.newer <- struct{}{}:
	default:
	}
}

// follow applies maps as they come.
func (o *OSD) follow() {
	for {
		select {
		case <-o.ctx.Done():
			return
		case <-o.newer:
		}
		o.mu.Lock()
		list, m := o.mu.queue, o.mu.m
		o.mu.queue = nil
		o.mu.Unlock()
		o.count.mapMessages.Add(uint64(len(list)))
		next := m
		for _, p := range list {
			var err error
			if next, err = apply(next, p); err != nil {
				o.log.Warn("osd map is not applied", "osd", o.cfg.ID, "err", err)
				next = m
				o.mon.Subscribe("osdmap", msg.Subscription{}) // from the whole again
			}
		}
		if next != nil && next != m {
			o.setMap(next)
		}
	}
}

// apply returns the newest map that maps that came make of m.
func apply(m *osdmap.Map, p *msg.OSDMap) (*osdmap.Map, error) {
	for _, e := range slices.Sorted(maps.Keys(p.Full)) {
		if m == nil || e > m.Epoch {
			full, err := osdmap.Decode(p.Full[e])
			if err != nil {
				return m, err
			}
			m = full
		}
	}
	for _, e := range slices.Sorted(maps.Keys(p.Incrementals)) {
		if m == nil || e <= m.Epoch {
			continue
		}
		inc, err := osdmap.DecodeIncremental(p.Incrementals[e])
		if err != nil {
			return m, err
		}
		next, err := m.Next(inc)
		if err != nil {
			return m, err
		}
		m = next
	}
	return m, nil
}

// setMap makes m the map: PGs that are here now are opened, those that are not are
// closed, requests that waited for it go on.
func (o *OSD) setMap(m *osdmap.Map) {
	o.count.mapEpochs.Add(1)
	placer, err := osdmap.NewPlacer(m)
	if err != nil {
		o.log.Error("osd map cannot be used", "epoch", m.Epoch, "err", err)
		return
	}
	o.mu.Lock()
	have := maps.Clone(o.mu.pgs)
	o.mu.Unlock()
	here := o.here(m, placer)
	made := map[ceph.PG]*pg.PG{}
	for id := range here {
		if have[id] == nil {
			p, err := o.open(m, id)
			if err != nil {
				o.log.Error("pg is not opened", "pg", id, "err", err)
				continue
			}
			made[id] = p
		}
	}
	var gone []*pg.PG
	me := m.IsUp(o.cfg.ID) && m.Client[o.cfg.ID].Equal(o.msgr.Addrs())
	o.mu.Lock()
	if o.mu.pgs == nil { // closed meanwhile
		o.mu.Unlock()
		for _, p := range made {
			p.Close()
		}
		return
	}
	for id, p := range o.mu.pgs {
		if !here[id] {
			gone = append(gone, p)
			delete(o.mu.pgs, id)
		}
	}
	// Map and PGs in one moment: a request of this epoch finds its PG, or waited.
	maps.Copy(o.mu.pgs, made)
	o.mu.m, o.mu.placer, o.mu.up = m, placer, me
	waiting := o.mu.waiting
	o.mu.waiting = nil
	o.signalLocked()
	o.mu.Unlock()
	for _, p := range gone {
		p.Close()
	}
	o.mon.Got("osdmap", uint64(m.Epoch))
	for _, f := range waiting {
		f()
	}
	if !me {
		o.boot(m)
	}
}

// here returns the PGs this OSD is the acting primary of.
func (o *OSD) here(m *osdmap.Map, placer *osdmap.Placer) map[ceph.PG]bool {
	out := map[ceph.PG]bool{}
	var w osdmap.Work
	for id, pool := range m.Pools {
		for seed := range pool.PGNum {
			pg := ceph.PG{Pool: id, Seed: seed}
			if at, err := placer.Place(&w, pg); err == nil && at.ActingPrimary == o.cfg.ID {
				out[pg] = true
			}
		}
	}
	return out
}

// open opens a PG, and makes it if the store has none.
func (o *OSD) open(m *osdmap.Map, id ceph.PG) (*pg.PG, error) {
	pool := m.Pools[id.Pool]
	if _, err := o.cfg.Store.Collection(o.ctx, pg.Collection(id)); err != nil {
		var t osd.Transaction
		pg.Create(&t, id, pool.PGNum, pg.Info{Created: m.Epoch})
		if err := osd.Apply(o.ctx, o.cfg.Store, &t); err != nil {
			return nil, err
		}
	}
	return pg.Open(o.ctx, pg.Config{
		Store: o.cfg.Store, PG: id, PGNum: pool.PGNum, Epoch: o.epoch, Failed: o.fail, Now: o.cfg.Now,
		PoolSnaps: func() ops.SnapContext { return o.poolSnaps(id.Pool) },
	})
}

func (o *OSD) epoch() ceph.Epoch {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.m == nil {
		return 0
	}
	return o.mu.m.Epoch
}

// poolSnaps returns the snapshot context of a pool with snapshots of its own.
func (o *OSD) poolSnaps(id ceph.PoolID) (c ops.SnapContext) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.mu.m.Pools[id]
	if p == nil || p.Flags&osdmap.PoolSnaps == 0 {
		return c
	}
	c.Seq = p.SnapSeq
	for _, s := range slices.Backward(slices.Sorted(maps.Keys(p.Snaps))) {
		c.Snaps = append(c.Snaps, s)
	}
	return c
}

// boot asks to be marked up.
func (o *OSD) boot(m *osdmap.Map) {
	o.mu.Lock()
	again := o.mu.asked == m.Epoch || o.ctx.Err() != nil
	o.mu.asked = m.Epoch
	o.mu.Unlock()
	if again || !m.Exists(o.cfg.ID) {
		return
	}
	at := o.msgr.Addrs()
	_ = o.mon.Send(&msg.OSDBoot{
		Paxos: msg.NewPaxos(uint64(m.Epoch)),
		Super: msg.Superblock{Cluster: m.FSID, OSD: o.cfg.ID, Current: m.Epoch, Oldest: 1, Newest: m.Epoch, OSDID: o.id.uuid},
		// One port serves all four: nothing is copied between OSDs yet.
		HBBack: at, Cluster: at, HBFront: at, Features: msgr.Features16,
		Metadata: map[string]string{
			"hostname": o.cfg.Host, "ceph_version": version, "ceph_release": "pacific", "ceph_version_short": "16.2",
			"osd_objectstore": "ebofs", "arch": runtime.GOARCH, "os": runtime.GOOS,
		},
	})
}

// keepTime reports, and boots again if a monitor has forgotten.
func (o *OSD) keepTime() {
	t := time.NewTicker(o.cfg.Report)
	defer t.Stop()
	for {
		select {
		case <-o.ctx.Done():
			return
		case <-t.C:
		}
		o.mu.Lock()
		m, up := o.mu.m, o.mu.up
		if !up {
			o.mu.asked = 0
		}
		o.mu.Unlock()
		switch {
		case m == nil:
		case !up:
			o.boot(m)
		default:
			o.report(m)
		}
	}
}
