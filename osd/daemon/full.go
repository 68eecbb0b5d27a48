package daemon

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/osd/pg"
)

// failsafeRatio is the default of Config.FailsafeRatio.
const failsafeRatio = 0.97

const fullness = osdmap.Full | osdmap.BackfillFull | osdmap.NearFull

// measure looks how full the store is, and tells the monitors if the map says
// otherwise.
func (o *OSD) measure(m *osdmap.Map) {
	st, err := o.cfg.Store.Statfs(o.ctx)
	if err != nil || st.TotalBytes == 0 {
		return
	}
	o.grown.Store(0)
	o.grownMost.Store(max(int64(st.TotalBytes/512), 1<<20))
	ratio := 1 - float64(st.FreeBytes)/float64(st.TotalBytes)
	o.failsafe.Store(ratio > o.cfg.FailsafeRatio)
	want := degree(m, ratio, o.cfg.FailsafeRatio)
	if want == osdmap.Full {
		o.reclaim()
	}
	if m.IsUp(o.cfg.ID) && m.States[o.cfg.ID]&fullness != want {
		_ = o.mon.Send(&msg.OSDFull{Paxos: msg.NewPaxos(uint64(m.Epoch)), Epoch: m.Epoch, State: uint32(want)})
	}
}

// grew counts bytes that were written. After some thousandth of the store it is
// measured anew: a fast client fills a small one between two reports.
func (o *OSD) grew(bytes int) {
	if most := o.grownMost.Load(); most > 0 && o.grown.Add(int64(bytes)) > most {
		kick(o.filled)
	}
}

// reclaim has the store hand out what deletes have freed, which it would do at its
// next checkpoint: on a full OSD clients wait for that.
func (o *OSD) reclaim() {
	if o.cfg.Reclaim == nil || !o.reclaiming.CompareAndSwap(false, true) {
		return
	}
	o.wg.Go(func() {
		defer o.reclaiming.Store(false)
		if err := o.cfg.Reclaim(o.ctx); err != nil && o.ctx.Err() == nil {
			o.log.Warn("space of deletes is not reclaimed", "osd", o.cfg.ID, "err", err)
		}
	})
}

// degree is the state of an OSD that is full to a ratio. Where nothing is written any
// more, the cluster is full, whatever ratio it was told.
func degree(m *osdmap.Map, ratio, failsafe float64) osdmap.State {
	switch {
	case ratio > min(float64(m.FullRatio), failsafe):
		return osdmap.Full
	case ratio > float64(m.BackfillFullRatio):
		return osdmap.BackfillFull
	case ratio > float64(m.NearFullRatio):
		return osdmap.NearFull
	}
	return 0
}

// fullOf says what stands against the growing of a pool.
func (o *OSD) fullOf(id ceph.PoolID) pg.Full {
	f := pg.Full{Failsafe: o.failsafe.Load()}
	o.mu.Lock()
	defer o.mu.Unlock()
	if p := o.mu.m.Pools[id]; p != nil {
		f.Pool, f.Quota = p.Flags&osdmap.PoolFull != 0, p.Flags&osdmap.PoolFullQuota != 0
	}
	return f
}
