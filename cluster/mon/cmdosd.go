package mon

import (
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
	add("osd", "r", "osd getcrushmap", "get CRUSH map", cmdGetCrush)
	add("osd", "rw", "osd setcrushmap [prior_version:CephInt]", "set crush map from input file", cmdSetCrush)
	add("osd", "r", "osd ls [epoch:CephInt=0]", "show all OSD ids", cmdOSDLs)
	add("osd", "r", "osd perf", "print dump of OSD perf summary stats", cmdOSDPerf)
	add("osd", "r", "osd metadata [id:CephOsdName]", "fetch metadata for osd {id} (default all)", cmdOSDMetadata)
	add("osd", "r", "osd find id:CephOsdName", "find osd <id> in the CRUSH map and show its location", cmdOSDFind)
	add("osd", "r", "osd map pool:CephPoolname object:CephObjectname [nspace:CephString]", "find pg for <object> in <pool> with [namespace]", cmdOSDMap)
	add("osd", "r", "osd getmaxosd", "show largest OSD id", cmdGetMaxOSD)
}

func cmdOSDStat(c *call) error {
	total, up, in := counts(c.st.OSD)
	return c.print(map[string]any{"epoch": c.st.OSD.Epoch, "num_osds": total, "num_up_osds": up, "osd_up_since": c.st.OSD.LastUp.Sec, "num_in_osds": in, "osd_in_since": c.st.OSD.LastIn.Sec, "num_remapped_pgs": 0}, func() string {
		return fmt.Sprintf("%d osds: %d up, %d in; epoch: e%d\n", total, up, in, c.st.OSD.Epoch)
	})
}

// at returns the map of the epoch that was asked for, and its bytes.
func (c *call) at() (*osdmap.Map, []byte, error) {
	e := ceph.Epoch(c.num("epoch", 0))
	if e == 0 || e == c.st.OSD.Epoch {
		return c.st.OSD, c.st.Full, nil
	}
	kv, err := c.m.cfg.Quorum.Get(c.m.ctx, epochKey(prefixFull, e))
	if err != nil {
		return nil, nil, err
	}
	if kv.Rev == 0 {
		return nil, nil, fail(ceph.ENOENT, "there is no map for epoch %d, there are %d to %d", e, c.st.Oldest, c.st.OSD.Epoch)
	}
	m, err := osdmap.Decode(kv.Value)
	return m, kv.Value, err
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
		fmt.Fprintf(&b, "epoch %d\nfsid %v\ncreated %v\nmodified %v\nflags %s\ncrush_version %d\nfull_ratio %g\nbackfillfull_ratio %g\nnearfull_ratio %g\nrequire_osd_release %s\n",
			m.Epoch, m.FSID, m.Created, m.Modified, d.Flags, m.CrushVersion, m.FullRatio, m.BackfillFullRatio, m.NearFullRatio, osdmap.ReleaseName(m.RequireRelease))
		for _, id := range sortedPools(m) {
			p := m.Pools[id]
			kind := "replicated"
			if p.IsErasure() {
				kind = "erasure"
			}
			fmt.Fprintf(&b, "pool %d '%s' %s size %d min_size %d crush_rule %d object_hash rjenkins pg_num %d pgp_num %d last_change %d", id, m.PoolNames[id], kind, p.Size, p.MinSize, p.CrushRule, p.PGNum, p.PGPNum, p.LastChange)
			if apps := slices.Sorted(maps.Keys(p.Applications)); len(apps) > 0 {
				fmt.Fprintf(&b, " application %s", strings.Join(apps, ","))
			}
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "max_osd %d\n", m.MaxOSD)
		for osd := range m.MaxOSD {
			if m.Exists(osd) {
				fmt.Fprintf(&b, "osd.%d %s %s weight %g up_from %d up_thru %d down_at %d %v %v %v\n", osd, word(m.IsUp(osd), "up", "down"), word(m.Weights[osd] > 0, "in", "out"),
					float64(m.Weights[osd])/float64(crush.One), m.Infos[osd].UpFrom, m.Infos[osd].UpThru, m.Infos[osd].DownAt, m.Client[osd], m.Cluster[osd], m.UUIDs[osd])
			}
		}
		return b.String()
	})
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
	c.out, c.text = c.st.OSD.Crush, fmt.Sprint(c.st.OSD.CrushVersion)
	return nil
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

func cmdOSDPerf(c *call) error {
	sum := c.m.stats.summary(c.st.OSD)
	type perf struct {
		ID    int32 `json:"id"`
		Stats struct {
			Commit uint32 `json:"commit_latency_ms"`
			Apply  uint32 `json:"apply_latency_ms"`
		} `json:"perf_stats"`
	}
	list := []perf{}
	for _, id := range slices.Sorted(maps.Keys(sum.OSDs)) {
		p := perf{ID: id}
		p.Stats.Commit, p.Stats.Apply = sum.OSDs[id].CommitMillis, sum.OSDs[id].ApplyMillis
		list = append(list, p)
	}
	return c.print(map[string]any{"osdstats": map[string]any{"osd_perf_infos": list}}, func() string {
		b := "osd  commit_latency(ms)  apply_latency(ms)\n"
		for _, p := range list {
			b += fmt.Sprintf("%3d  %18d  %17d\n", p.ID, p.Stats.Commit, p.Stats.Apply)
		}
		return b
	})
}

func cmdOSDMetadata(c *call) error {
	one := func(id int32) map[string]any {
		out := map[string]any{"id": id}
		for k, v := range c.st.Meta[id] {
			out[k] = v
		}
		return out
	}
	if s, ok := c.str("id"); ok {
		id, err := osdID(s)
		if err != nil {
			return err
		}
		if !c.st.OSD.Exists(id) {
			return fail(ceph.ENOENT, "osd.%d does not exist", id)
		}
		return c.print(one(id), nil)
	}
	all := []map[string]any{}
	for _, id := range c.ids(c.st.OSD) {
		all = append(all, one(id))
	}
	return c.print(all, nil)
}

func cmdOSDFind(c *call) error {
	s, _ := c.str("id")
	id, err := osdID(s)
	if err != nil {
		return err
	}
	if !c.st.OSD.Exists(id) {
		return fail(ceph.ENOENT, "osd.%d does not exist", id)
	}
	return c.print(map[string]any{"osd": id, "osd_fsid": c.st.OSD.UUIDs[id].String(), "host": c.st.Meta[id]["hostname"], "addrs": c.st.OSD.Client[id].String()}, nil)
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
	return c.print(map[string]any{"epoch": c.st.OSD.Epoch, "pool": name, "pool_id": id, "objname": object, "raw_pgid": raw, "pgid": pg.String(), "up": at.Up, "up_primary": at.UpPrimary, "acting": at.Acting, "acting_primary": at.ActingPrimary}, func() string {
		return fmt.Sprintf("osdmap e%d pool '%s' (%d) object '%s' -> pg %s (%v) -> up (%v, p%d) acting (%v, p%d)\n", c.st.OSD.Epoch, name, id, object, raw, pg, at.Up, at.UpPrimary, at.Acting, at.ActingPrimary)
	})
}

func cmdGetMaxOSD(c *call) error {
	return c.print(map[string]any{"epoch": c.st.OSD.Epoch, "max_osd": c.st.OSD.MaxOSD}, func() string {
		return fmt.Sprintf("max_osd = %d in epoch %d\n", c.st.OSD.MaxOSD, c.st.OSD.Epoch)
	})
}
