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
	"ebofs/osd/ops"
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
	kick(o.newer)
}

// kick wakes who waits on a channel with room for one.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
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
		list, m, told := o.mu.queue, o.mu.m, len(o.mu.told) > 0
		o.mu.queue = nil
		o.mu.Unlock()
		o.count.mapMessages.Add(uint64(len(list)))
		if (told || o.resplit.Load()) && m != nil {
			o.setMap(m)
		}
		for _, p := range list {
			o.keepIncrements(p)
			steps, err := apply(m, p)
			if err != nil {
				o.log.Warn("osd map is not applied", "osd", o.cfg.ID, "err", err)
				o.mon.Subscribe("osdmap", msg.Subscription{}) // from the whole again
			}
			for _, m = range steps { // each: a PG may have been elsewhere in between
				o.setMap(m)
			}
		}
		if m != nil && len(list) > 0 {
			o.mon.Got("osdmap", uint64(m.Epoch))
			o.alive()
			o.measure(m)
			if !o.isUp() {
				o.boot(m)
			}
		}
	}
}

func (o *OSD) isUp() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.up
}

// apply returns the maps that follow m by what came, one by one.
func apply(m *osdmap.Map, p *msg.OSDMap) (steps []*osdmap.Map, err error) {
	for _, e := range slices.Sorted(maps.Keys(p.Full)) {
		if m == nil || e > m.Epoch {
			if m, err = osdmap.Decode(p.Full[e]); err != nil {
				return steps, err
			}
			steps = append(steps, m)
		}
	}
	for _, e := range slices.Sorted(maps.Keys(p.Incrementals)) {
		if m == nil || e <= m.Epoch {
			continue
		}
		inc, err := osdmap.DecodeIncremental(p.Incrementals[e])
		if err != nil {
			return steps, err
		}
		if m, err = m.Next(inc); err != nil {
			return steps, err
		}
		steps = append(steps, m)
	}
	return steps, nil
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
	again := o.mu.asked == m.Epoch || o.mu.stopping
	o.mu.asked = m.Epoch
	o.mu.Unlock()
	if again || !m.Exists(o.cfg.ID) {
		return
	}
	at := o.msgr.Addrs()
	_ = o.mon.Send(&msg.OSDBoot{
		Paxos: msg.NewPaxos(uint64(m.Epoch)),
		Super: msg.Superblock{Cluster: m.FSID, OSD: o.cfg.ID, Current: m.Epoch, Oldest: 1, Newest: m.Epoch, OSDID: o.id.UUID},
		// One port serves all four: nothing is copied between OSDs yet.
		HBBack: at, Cluster: at, HBFront: at, Features: msgr.Features16,
		Metadata: o.metadata(),
	})
}

// metadata is what the OSD says of itself at boot: what is the same for every one,
// and what it was given.
func (o *OSD) metadata() map[string]string {
	m := map[string]string{
		"hostname": o.cfg.Host, "ceph_version": version, "ceph_release": "pacific", "ceph_version_short": "16.2",
		"osd_objectstore": "ebofs", "arch": runtime.GOARCH, "os": runtime.GOOS,
	}
	maps.Copy(m, o.cfg.Metadata)
	return m
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
		case <-o.soon:
		case <-o.filled:
			o.mu.Lock()
			m, up := o.mu.m, o.mu.up
			o.mu.Unlock()
			if up {
				o.measure(m)
			}
			continue
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
			o.alive()
			o.measure(m)
			o.report(m)
			if o.resplit.Load() {
				kick(o.newer)
			}
		}
	}
}
