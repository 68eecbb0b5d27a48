package daemon

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/osdmap"
	"ebofs/osd/pg"
)

// doomed is a PG of the store that is to go.
type doomed struct {
	pg    ceph.PG
	phase pg.Phase
	// epoch is of the map that has no such pool any more.
	epoch ceph.Epoch
}

// dropDeleted has the PGs of the store removed whose pool was deleted. Only follow
// calls it, when none of them is open. A pool that the map has never heard of is not
// deleted: the monitors may have been set back to what they were long ago.
func (o *OSD) dropDeleted(m *osdmap.Map) {
	var list []doomed
	for id := range o.stored {
		if m.Pools[id.Pool] == nil && int64(id.Pool) <= int64(m.PoolMax) {
			delete(o.stored, id)
			list = append(list, doomed{id, pg.Whole, m.Epoch})
		}
	}
	if list == nil {
		return
	}
	o.mu.Lock()
	o.mu.doomed = append(o.mu.doomed, list...)
	for _, d := range list {
		delete(o.mu.away, d.pg)
	}
	o.mu.Unlock()
	kick(o.removes)
}

// removeDeleted removes PGs in the background, one after the other. What a stop
// interrupts goes on with the next start.
func (o *OSD) removeDeleted() {
	for {
		o.mu.Lock()
		list := o.mu.doomed
		o.mu.doomed = nil
		o.mu.Unlock()
		for _, d := range list {
			if err := o.remove(d); err != nil && o.ctx.Err() == nil {
				o.log.Warn("pg of a deleted pool is not removed", "osd", o.cfg.ID, "pg", d.pg, "err", err)
			}
			if o.ctx.Err() != nil {
				return
			}
		}
		select {
		case <-o.ctx.Done():
			return
		case <-o.removes:
		}
	}
}

// remove removes one PG, unless it has changed in a map that is newer than the one
// without its pool.
func (o *OSD) remove(d doomed) error {
	if d.phase == pg.Whole {
		st, err := pg.ReadStored(o.ctx, o.cfg.Store, pg.Collection(d.pg), d.pg)
		if err != nil {
			return err
		}
		if now := st.Status(); max(now.Created, now.Last.Epoch) > d.epoch {
			o.log.Warn("pg of a pool that the map does not have is kept: it is newer than the map", "osd", o.cfg.ID, "pg", d.pg, "last", now.Last, "epoch", d.epoch)
			return nil
		}
	}
	objects := 0
	if err := pg.Remove(o.ctx, o.cfg.Store, d.pg, d.phase, func(n int) { objects += n }); err != nil {
		return err
	}
	o.log.Info("pg of a deleted pool is removed", "osd", o.cfg.ID, "pg", d.pg, "objects", objects)
	kick(o.soon)
	return nil
}
