package daemon

import (
	"errors"
	"maps"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/osd"
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
		if pool == nil || old != nil && old.Pools[id.Pool] != nil && old.Pools[id.Pool].PGNum == pool.PGNum && !o.unsplit[id] {
			continue
		}
		if !o.tooLarge(id, pool.PGNum) {
			continue
		}
		o.closePG(id)
		again := o.unsplit[id]
		parts, err := pg.Split(o.ctx, o.cfg.Store, id, pool.PGNum, m.Epoch)
		done[id] = true
		for _, part := range parts {
			o.stored[part], done[part] = nil, true
		}
		switch {
		case o.ctx.Err() != nil:
			return done
		case err != nil && !errors.Is(err, osd.ErrNoSpace):
			o.fail(err)
			return done
		case err == nil:
			o.log.Info("pg is split", "osd", o.cfg.ID, "pg", id, "parts", parts, "epoch", m.Epoch)
		case !again:
			o.clog(msg.LogError, "%v cannot be split for want of space, and is not served", id)
		}
		for _, x := range append(parts, id) { // those that are still too large are not served
			if delete(o.unsplit, x); err != nil && o.tooLarge(x, pool.PGNum) {
				o.unsplit[x] = true
			}
		}
	}
	o.resplit.Store(len(o.unsplit) > 0)
	return done
}

// tooLarge reports whether a PG of the store has objects of others among pgNum PGs.
func (o *OSD) tooLarge(id ceph.PG, pgNum uint32) bool {
	spec, err := o.cfg.Store.Collection(o.ctx, pg.Collection(id))
	return err == nil && int(spec.Bits) < id.Bits(pgNum)
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
