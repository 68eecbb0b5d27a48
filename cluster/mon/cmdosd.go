package mon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/osdmap"
)

func init() {
	add("osd", "r", "osd stat", "print summary of OSD map", cmdOSDStat)
	add("osd", "r", "osd dump [epoch:CephInt=0]", "print summary of OSD map", cmdOSDDump)
	add("osd", "r", "osd getmap [epoch:CephInt=0]", "get OSD map", cmdOSDGetMap)
	add("osd", "r", "osd getcrushmap [epoch:CephInt=0]", "get CRUSH map", cmdGetCrush)
	add("osd", "rw", "osd setcrushmap [prior_version:CephInt]", "set crush map from input file", cmdSetCrush)
	add("osd", "r", "osd ls [epoch:CephInt=0]", "show all OSD ids", cmdOSDLs)
	add("osd", "r", "osd map pool:CephPoolname object:CephObjectname [nspace:CephString]", "show the PG and the OSDs of an object", cmdOSDMap)
	add("osd", "r", "osd getmaxosd", "show largest OSD id", cmdGetMaxOSD)
}

func cmdOSDStat(c *call) error {
	n := newOSDCounts(c.st.OSD)
	return c.print(n, func() string { return fmt.Sprintf("%s; epoch: e%d\n", n.line(c.st.OSD, c.ago), c.st.OSD.Epoch) })
}

// at returns the map of the epoch that was asked for, and its bytes.
func (c *call) at() (*osdmap.Map, []byte, error) {
	e := ceph.Epoch(c.num("epoch", 0))
	if e == 0 || e == c.st.OSD.Epoch {
		return c.st.OSD, c.st.Full, nil
	}
	m, err := c.m.mapAt(c.m.ctx, c.st, e)
	if err != nil {
		return nil, nil, err
	}
	return m, m.Encode(), nil
}

// mapAt makes the map of an epoch from the full map before it that is kept.
func (m *Monitor) mapAt(ctx context.Context, st *State, e ceph.Epoch) (*osdmap.Map, error) {
	base := e
	for ; base > 0 && st.revs[epochKey(prefixFull, base)] == 0; base-- {
		if st.Incs[base] == nil {
			return nil, fail(ceph.ENOENT, "there is no map for epoch %d", e)
		}
	}
	kv, err := m.cfg.Quorum.Get(ctx, epochKey(prefixFull, base))
	if err != nil {
		return nil, err
	}
	if kv.Rev == 0 { // it was the newest, and is not any more
		if newer := m.State(); newer.Rev > st.Rev {
			return m.mapAt(ctx, newer, e)
		}
		return nil, fail(ceph.EAGAIN, "map of epoch %d is being replaced", base)
	}
	om, err := osdmap.Decode(kv.Value)
	for next := base + 1; err == nil && next <= e; next++ {
		var inc *osdmap.Incremental
		if inc, err = osdmap.DecodeIncremental(st.Incs[next]); err == nil {
			om, err = om.Next(inc)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("map of epoch %d: %w", e, err)
	}
	return om, nil
}

func cmdOSDDump(c *call) error {
	m, _, err := c.at()
	if err != nil {
		return err
	}
	d, err := m.Dump()
	if err != nil {
		return err
	}
	return c.print(d, func() string {
		var b strings.Builder
		fmt.Fprintf(&b, "epoch %d\nfsid %v\ncreated %v\nmodified %v\nflags %s\ncrush_version %d\nfull_ratio %g\nbackfillfull_ratio %g\nnearfull_ratio %g\nrequire_min_compat_client %s\nmin_compat_client %s\nrequire_osd_release %s\nstretch_mode_enabled %v\n",
			m.Epoch, m.FSID, m.Created, m.Modified, d.Flags, m.CrushVersion, m.FullRatio, m.BackfillFullRatio, m.NearFullRatio, d.RequireMinClient, d.MinClient, d.RequireRelease, d.Stretch.Enabled)
		for _, id := range sortedPools(m) {
			b.WriteString(poolLine(m, id) + "\n")
		}
		fmt.Fprintf(&b, "\nmax_osd %d\n", m.MaxOSD)
		for osd := range m.MaxOSD {
			if m.Exists(osd) {
				i := m.Infos[osd]
				fmt.Fprintf(&b, "osd.%d %s %s weight %g up_from %d up_thru %d down_at %d last_clean_interval [%d,%d) %v %v %s %v\n", osd, word(m.IsUp(osd), "up  ", "down"), word(m.Weights[osd] > 0, "in ", "out"),
					float64(m.Weights[osd])/float64(crush.One), i.UpFrom, i.UpThru, i.DownAt, i.CleanBegin, i.CleanEnd, m.Client[osd], m.Cluster[osd], strings.Join(m.StateNames(osd), ","), m.UUIDs[osd])
			}
		}
		for _, a := range slices.SortedFunc(maps.Keys(m.Blocklist), ceph.Addr.Compare) {
			fmt.Fprintf(&b, "blocklist %v/%d expires %v\n", a.IP, a.Nonce, m.Blocklist[a])
		}
		return b.String()
	})
}

// poolLine is a pool in one line.
func poolLine(m *osdmap.Map, id ceph.PoolID) string {
	p := m.Pools[id]
	d := m.DumpPool(id)
	var b strings.Builder
	fmt.Fprintf(&b, "pool %d '%s' %s size %d min_size %d crush_rule %d object_hash rjenkins pg_num %d pgp_num %d", id, m.PoolNames[id], word(p.IsErasure(), "erasure", "replicated"), p.Size, p.MinSize, p.CrushRule, p.PGNum, p.PGPNum)
	if p.PGNumTarget != p.PGNum {
		fmt.Fprintf(&b, " pg_num_target %d", p.PGNumTarget)
	}
	if p.PGPNumTarget != p.PGPNum {
		fmt.Fprintf(&b, " pgp_num_target %d", p.PGPNumTarget)
	}
	fmt.Fprintf(&b, " autoscale_mode %s last_change %d flags %s", d.Autoscale, p.LastChange, d.FlagsNames)
	if p.QuotaBytes > 0 {
		fmt.Fprintf(&b, " max_bytes %d", p.QuotaBytes)
	}
	if p.QuotaObjects > 0 {
		fmt.Fprintf(&b, " max_objects %d", p.QuotaObjects)
	}
	fmt.Fprintf(&b, " stripe_width %d", p.StripeWidth)
	for _, name := range slices.Sorted(maps.Keys(d.Options)) {
		fmt.Fprintf(&b, " %s %v", name, d.Options[name])
	}
	if apps := slices.Sorted(maps.Keys(p.Applications)); len(apps) > 0 {
		fmt.Fprintf(&b, " application %s", strings.Join(apps, ","))
	}
	return b.String()
}

func word(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func cmdOSDGetMap(c *call) error {
	m, p, err := c.at()
	if err == nil {
		c.out, c.text = p, fmt.Sprintf("got osdmap epoch %d", m.Epoch)
	}
	return err
}

func cmdGetCrush(c *call) error {
	m, _, err := c.at()
	if err == nil {
		c.out, c.text = m.Crush, fmt.Sprint(m.CrushVersion)
	}
	return err
}

func cmdSetCrush(c *call) error {
	m, err := crush.Decode(c.input)
	if err != nil {
		return fail(ceph.EINVAL, "Failed to parse crushmap: %v", err)
	}
	if err := m.Validate(); err != nil {
		return fail(ceph.EINVAL, "crush map is not valid: %v", err)
	}
	if v := c.num("prior_version", -1); v >= 0 && v != int64(c.st.OSD.CrushVersion) {
		return fail(ceph.EPERM, "prior_version %d but crush version is %d", v, c.st.OSD.CrushVersion)
	}
	err = c.change(func(ch *Change) error { ch.crush = m; return nil })
	c.text = fmt.Sprint(c.st.OSD.CrushVersion)
	return err
}

func (c *call) ids(m *osdmap.Map) []int32 {
	ids := []int32{}
	for osd := range m.MaxOSD {
		if m.Exists(osd) {
			ids = append(ids, osd)
		}
	}
	return ids
}

func cmdOSDLs(c *call) error {
	m, _, err := c.at()
	if err != nil {
		return err
	}
	ids := c.ids(m)
	return c.print(ids, func() string {
		var b strings.Builder
		for _, id := range ids {
			fmt.Fprintln(&b, id)
		}
		return b.String()
	})
}

func cmdOSDMap(c *call) error {
	name, _ := c.str("pool")
	object, _ := c.str("object")
	ns, _ := c.str("nspace")
	id, ok := poolByName(c.st.OSD, name)
	if !ok {
		return fail(ceph.ENOENT, "pool %s does not exist", name)
	}
	pg, hash, err := c.st.OSD.Object(object, ceph.Locator{Pool: id, Namespace: ns, Hash: -1})
	if err != nil {
		return err
	}
	pl, err := osdmap.NewPlacer(c.st.OSD)
	if err != nil {
		return err
	}
	var w osdmap.Work
	at, err := pl.Place(&w, pg)
	if err != nil {
		return err
	}
	raw := fmt.Sprintf("%d.%x", id, hash)
	if ns != "" {
		object = ns + "/" + object
	}
	return c.print(struct {
		Epoch         ceph.Epoch  `json:"epoch"`
		Pool          string      `json:"pool"`
		ID            ceph.PoolID `json:"pool_id"`
		Object        string      `json:"objname"`
		Raw           string      `json:"raw_pgid"`
		PG            string      `json:"pgid"`
		Up            []int32     `json:"up"`
		UpPrimary     int32       `json:"up_primary"`
		Acting        []int32     `json:"acting"`
		ActingPrimary int32       `json:"acting_primary"`
	}{c.st.OSD.Epoch, name, id, object, raw, pg.String(), list(at.Up), at.UpPrimary, list(at.Acting), at.ActingPrimary}, func() string {
		return fmt.Sprintf("osdmap e%d pool '%s' (%d) object '%s' -> pg %s (%v) -> up (%s, p%d) acting (%s, p%d)\n", c.st.OSD.Epoch, name, id, object, raw, pg, osds(at.Up), at.UpPrimary, osds(at.Acting), at.ActingPrimary)
	})
}

func cmdGetMaxOSD(c *call) error {
	return c.print(map[string]any{"epoch": c.st.OSD.Epoch, "max_osd": c.st.OSD.MaxOSD}, func() string {
		return fmt.Sprintf("max_osd = %d in epoch %d\n", c.st.OSD.MaxOSD, c.st.OSD.Epoch)
	})
}
