package mon

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

func init() {
	for _, r := range []struct {
		name string
		set  func(*osdmap.Incremental, float32)
	}{
		{"full", func(i *osdmap.Incremental, v float32) { i.FullRatio = v }},
		{"backfillfull", func(i *osdmap.Incremental, v float32) { i.BackfillFullRatio = v }},
		{"nearfull", func(i *osdmap.Incremental, v float32) { i.NearFullRatio = v }},
	} {
		add("osd", "rw", "osd set-"+r.name+"-ratio ratio:CephFloat=0.0|1.0", "set usage ratio at which OSDs are marked "+r.name, func(c *call) error {
			ratio := c.float("ratio", 0)
			c.text = fmt.Sprintf("osd set-%s-ratio %v", r.name, ratio)
			return c.change(func(ch *Change) error { r.set(ch.Inc(), float32(ratio)); return nil })
		})
	}
}

// A full OSD makes every pool full that may place data on it, and a full pool takes
// nothing that makes it larger. Of the three degrees a thing has the worst only.
const (
	osdFullness  = osdmap.Full | osdmap.BackfillFull | osdmap.NearFull
	poolFullness = osdmap.PoolFull | osdmap.PoolBackfillFull | osdmap.PoolNearFull
)

// degrees of fullness, the worst first, with the health checks of OSDs and pools.
var degrees = []struct {
	osd               osdmap.State
	pool              osdmap.PoolFlags
	name, is          string // "N … osd(s)", "osd.0 is …"
	osdCheck, inPools check
}{
	{osdmap.Full, osdmap.PoolFull, "full", "full", check{Code: "OSD_FULL", Severity: healthErr}, check{Code: "POOL_FULL", Severity: healthWarn}},
	{osdmap.BackfillFull, osdmap.PoolBackfillFull, "backfillfull", "backfill full", check{Code: "OSD_BACKFILLFULL", Severity: healthWarn}, check{Code: "POOL_BACKFILLFULL", Severity: healthWarn}},
	{osdmap.NearFull, osdmap.PoolNearFull, "nearfull", "near full", check{Code: "OSD_NEARFULL", Severity: healthWarn}, check{Code: "POOL_NEARFULL", Severity: healthWarn}},
}

// osdFull takes what an OSD says of its space.
func (m *Monitor) osdFull(s *session, osd int32, p *msg.OSDFull) {
	want := osdmap.State(p.State) & osdFullness
	_, err := m.change(m.ctx, func(c *Change) error {
		now := c.State.OSD
		if !now.IsUp(osd) || !now.Client[osd].Equal(s.conn.Peer().Addrs) {
			return nil
		}
		turn := now.States[osd]&osdFullness ^ want
		if turn == 0 {
			return nil
		}
		inc := c.Inc()
		if inc.States == nil {
			inc.States = map[int32]osdmap.State{}
		}
		inc.States[osd] |= turn
		return nil
	})
	if err != nil {
		m.log.Warn("fullness of an OSD is not stored", "osd", osd, "err", err)
	}
}

// markPools gives pools the flags that follow from how full OSDs and quotas are in
// the map that the change makes.
func (c *Change) markPools() error {
	if !c.fullMatters() {
		return nil
	}
	next, err := c.State.OSD.Next(c.inc)
	if err != nil {
		return err
	}
	cm, err := crush.Decode(next.Crush)
	if err != nil {
		return err
	}
	for _, id := range sortedPools(next) {
		p := next.Pools[id]
		want := p.Flags &^ poolFullness
		if p.Flags&osdmap.PoolFullQuota != 0 {
			want |= osdmap.PoolFull
		} else {
			want |= worst(next, devicesOf(cm, cm.Rule(int(p.CrushRule))))
		}
		if want != p.Flags {
			c.Pool(id).Flags = want
		}
	}
	return nil
}

// fullMatters reports whether anything is full before or after the change.
func (c *Change) fullMatters() bool {
	for osd, s := range c.State.OSD.States {
		if (s|c.inc.States[int32(osd)])&osdFullness != 0 {
			return true
		}
	}
	const any = poolFullness | osdmap.PoolFullQuota
	for id, p := range c.State.OSD.Pools {
		if p.Flags&any != 0 || c.inc.Pools[id] != nil && c.inc.Pools[id].Flags&any != 0 {
			return true
		}
	}
	return false
}

// worst returns the flag of a pool on these OSDs; those that are down or out do not
// count.
func worst(m *osdmap.Map, osds map[int32]bool) osdmap.PoolFlags {
	for _, d := range degrees {
		for osd := range osds {
			if m.IsUp(osd) && m.Weights[osd] > 0 && m.States[osd]&d.osd != 0 {
				return d.pool
			}
		}
	}
	return 0
}

// devicesOf returns the devices below what a rule takes.
func devicesOf(m *crush.Map, r *crush.Rule) map[int32]bool {
	out := map[int32]bool{}
	if r == nil {
		return out
	}
	seen := map[int32]bool{}
	var walk func(item int32)
	walk = func(item int32) {
		if item >= 0 {
			out[item] = true
			return
		}
		b := m.Bucket(item)
		if b == nil || seen[item] {
			return
		}
		seen[item] = true
		for _, i := range b.Items {
			walk(i)
		}
	}
	for _, s := range r.Steps {
		if s.Op == crush.Take {
			walk(s.Arg1)
		}
	}
	return out
}

// overQuota reports whether a pool holds as much as it may, and of what.
func overQuota(p *osdmap.Pool, sum msg.ObjectSum) (why string) {
	switch {
	case p.QuotaBytes > 0 && sum.Bytes >= int64(p.QuotaBytes):
		return "max_bytes: " + bytesText(int64(p.QuotaBytes))
	case p.QuotaObjects > 0 && sum.Objects >= int64(p.QuotaObjects):
		return fmt.Sprintf("max_objects: %d", p.QuotaObjects)
	}
	return ""
}

// checkQuotas marks pools that have come to their quota, and those that are below
// it again.
func (m *Monitor) checkQuotas(ctx context.Context) error {
	st := m.State()
	limited := false
	for _, p := range st.OSD.Pools {
		limited = limited || p.QuotaBytes|p.QuotaObjects != 0 || p.Flags&osdmap.PoolFullQuota != 0
	}
	if !limited {
		return nil
	}
	sum := m.stats.summary(st.OSD)
	turns := func(now *osdmap.Map) (ids []ceph.PoolID) {
		for _, id := range sortedPools(now) {
			p := now.Pools[id]
			if (p.Flags&osdmap.PoolFullQuota != 0) != (overQuota(p, sum.Pools[id]) != "") {
				ids = append(ids, id)
			}
		}
		return ids
	}
	if len(turns(st.OSD)) == 0 {
		return nil
	}
	_, err := m.change(ctx, func(c *Change) error {
		for _, id := range turns(c.State.OSD) {
			p, name := c.Pool(id), c.State.OSD.PoolNames[id]
			if why := overQuota(p, sum.Pools[id]); why != "" {
				p.Flags |= osdmap.PoolFullQuota
				c.Log(m.line(c.Now, "cluster", msg.LogWarn, "pool '%s' is full (reached quota's %s)", name, why))
				continue
			}
			p.Flags &^= osdmap.PoolFullQuota
			c.Log(m.line(c.Now, "cluster", msg.LogInfo, "pool '%s' no longer out of quota; removing NO_QUOTA flag", name))
		}
		return nil
	})
	return err
}

// fullChecks are the health checks of space.
func fullChecks(m *osdmap.Map) (list []check) {
	for _, d := range degrees {
		var osds, pools []string
		for osd := range m.MaxOSD {
			if m.Exists(osd) && m.States[osd]&d.osd != 0 {
				osds = append(osds, fmt.Sprintf("osd.%d is %s", osd, d.is))
			}
		}
		for _, id := range slices.Sorted(maps.Keys(m.Pools)) {
			p := m.Pools[id]
			if p.Flags&d.pool == 0 {
				continue
			}
			why := ""
			if d.pool == osdmap.PoolFull {
				if why = " (no space)"; p.Flags&osdmap.PoolFullQuota != 0 {
					why = " (running out of quota)"
				}
			}
			pools = append(pools, fmt.Sprintf("pool '%s' is %s%s", m.PoolNames[id], d.name, why))
		}
		for _, x := range []struct {
			check
			what   string
			detail []string
		}{{d.osdCheck, d.name + " osd(s)", osds}, {d.inPools, "pool(s) " + d.name, pools}} {
			if x.Count = len(x.detail); x.Count > 0 {
				x.Summary, x.Detail = fmt.Sprintf("%d %s", x.Count, x.what), x.detail
				list = append(list, x.check)
			}
		}
	}
	return list
}
