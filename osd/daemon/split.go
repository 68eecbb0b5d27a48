package daemon

import (
	"maps"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/osdmap"
	"ebofs/osd/pg"
)

// splitPGs makes the PGs of the store as large as they are in m, whose pools may
// have more PGs than before, and returns those that were split and made by it. They
// are closed then. Only follow calls it.
func (o *OSD) splitPGs(m *osdmap.Map) map[ceph.PG]bool {
	o.mu.Lock()
	old := o.mu.m
	o.mu.Unlock()
	done := map[ceph.PG]bool{}
	for _, id := range slices.SortedFunc(maps.Keys(o.stored), ceph.PG.Compare) {
		pool := m.Pools[id.Pool]
		if pool == nil || old != nil && old.Pools[id.Pool] != nil && old.Pools[id.Pool].PGNum == pool.PGNum {
			continue
		}
		spec, err := o.cfg.Store.Collection(o.ctx, pg.Collection(id))
		if err != nil || int(spec.Bits) >= id.Bits(pool.PGNum) {
			continue
		}
		o.closePG(id)
		parts, err := pg.Split(o.ctx, o.cfg.Store, id, pool.PGNum, m.Epoch)
		done[id] = true
		for _, part := range parts {
			o.stored[part], done[part] = nil, true
		}
		if err != nil { // half of it must not be served
			if o.ctx.Err() == nil {
				o.fail(err)
			}
			return done
		}
		o.log.Info("pg is split", "osd", o.cfg.ID, "pg", id, "parts", parts, "epoch", m.Epoch)
	}
	return done
}

// closePG closes a PG that is open. Requests wait until it is open again.
func (o *OSD) closePG(id ceph.PG) {
	o.mu.Lock()
	var p *pg.PG
	if at := o.mu.places[id]; at != nil {
		p, at.pg, at.unserved = at.pg, nil, o.cfg.Now()
	}
	delete(o.mu.pgs, id)
	o.mu.Unlock()
	if p != nil {
		p.Close()
	}
}
