package mon

import (
	"crypto/rand"
	"fmt"
	"math"
	"maps"
	"slices"
	"strings"
	"time"

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
	add("osd", "r", "osd tree [epoch:CephInt=0] [states:CephChoices…=up|down|in|out|destroyed]", "print OSD tree", cmdOSDTree)
	add("osd", "r", "osd df [output_method:CephChoices=plain|tree]", "show OSD utilization", cmdOSDDf)
	add("osd", "r", "osd perf", "print dump of OSD perf summary stats", cmdOSDPerf)
	add("osd", "r", "osd metadata [id:CephOsdName]", "fetch metadata for osd {id} (default all)", cmdOSDMetadata)
	add("osd", "r", "osd find id:CephOsdName", "find osd <id> in the CRUSH map and show its location", cmdOSDFind)
	add("osd", "r", "osd map pool:CephPoolname object:CephObjectname [nspace:CephString]", "find pg for <object> in <pool> with [namespace]", cmdOSDMap)
	add("osd", "r", "osd getmaxosd", "show largest OSD id", cmdGetMaxOSD)
	add("osd", "rw", "osd new uuid:CephUUID [id:CephOsdName]", "Create a new OSD", cmdOSDNew)
	add("osd", "rw", "osd create [uuid:CephUUID] [id:CephOsdName]", "create new osd (with optional UUID and ID)", cmdOSDNew)
	add("osd", "rw", "osd down ids:CephString…", "set osd(s) <id> [<id>...] down", cmdOSDDown)
	add("osd", "rw", "osd out ids:CephString…", "set osd(s) <id> [<id>...] out", func(c *call) error { return c.weigh(0, "out") })
	add("osd", "rw", "osd in ids:CephString…", "set osd(s) <id> [<id>...] in", func(c *call) error { return c.weigh(crush.One, "in") })
	add("osd", "rw", "osd reweight id:CephOsdName weight:CephFloat=0.0|1.0", "reweight osd to 0.0 < <weight> < 1.0", cmdReweight)
	add("osd", "rw", "osd rm ids:CephString…", "remove osd(s) <id> [<id>...]", cmdOSDRm)
	add("osd", "rw", "osd purge id:CephOsdName [force:CephBool] [yes_i_really_mean_it:CephBool]",
		"purge all osd data from the monitors including the OSD id and CRUSH position", cmdOSDPurge)
	add("osd", "rw", "osd set key:CephChoices="+flagChoices()+" [yes_i_really_mean_it:CephBool]", "set <key>", func(c *call) error { return c.flags(true) })
	add("osd", "rw", "osd unset key:CephChoices="+flagChoices(), "unset <key>", func(c *call) error { return c.flags(false) })
	add("osd", "r", "osd blocklist ls", "show blocklisted clients", cmdBlocklistLs)
	add("osd", "rw", "osd blocklist blocklistop:CephChoices=add|rm addr:CephEntityAddr [expire:CephFloat=0.0]", "add or remove a client from the blocklist", cmdBlocklist)
}

// flagNames are the flags operators set.
var flagNames = []struct {
	name string
	bit  osdmap.Flags
}{
	{"pauserd", osdmap.FlagPauseRead}, {"pausewr", osdmap.FlagPauseWrite}, {"pause", osdmap.FlagPauseRead | osdmap.FlagPauseWrite},
	{"noup", osdmap.FlagNoUp}, {"nodown", osdmap.FlagNoDown}, {"noout", osdmap.FlagNoOut}, {"noin", osdmap.FlagNoIn},
	{"nobackfill", osdmap.FlagNoBackfill}, {"norebalance", osdmap.FlagNoRebalance}, {"norecover", osdmap.FlagNoRecover},
	{"noscrub", osdmap.FlagNoScrub}, {"nodeep-scrub", osdmap.FlagNoDeepScrub}, {"notieragent", osdmap.FlagNoTierAgent},
	{"nosnaptrim", osdmap.FlagNoSnapTrim}, {"pglog_hardlimit", osdmap.FlagPGLogHardLimit},
}

func flagChoices() string {
	var all []string
	for _, f := range flagNames {
		all = append(all, f.name)
	}
	return strings.Join(all, "|")
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

type treeNode struct {
	ID       int32    `json:"id"`
	Class    string   `json:"device_class,omitempty"`
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	TypeID   int32    `json:"type_id"`
	Weight   *float64 `json:"crush_weight,omitempty"`
	Depth    int      `json:"depth"`
	Exists   *int     `json:"exists,omitempty"`
	Status   string   `json:"status,omitempty"`
	Reweight *float64 `json:"reweight,omitempty"`
	Affinity *float64 `json:"primary_affinity,omitempty"`
	Children []int32  `json:"children,omitempty"`
}

// tree returns the nodes of the CRUSH tree in the order in which they are shown,
// and OSDs that are in none.
func (c *call) tree(m *osdmap.Map) (nodes, stray []treeNode, err error) {
	cm, err := crush.Decode(m.Crush)
	if err != nil {
		return nil, nil, err
	}
	d, err := cm.Dump()
	if err != nil {
		return nil, nil, err
	}
	buckets := map[int32]*crush.DumpBucket{}
	inside, placed := map[int32]bool{}, map[int32]bool{}
	for i := range d.Buckets {
		b := &d.Buckets[i]
		if strings.Contains(b.Name, "~") {
			continue
		}
		buckets[b.ID] = b
		for _, it := range b.Items {
			inside[it.ID] = true
		}
	}
	class := map[int32]string{}
	for _, dev := range d.Devices {
		class[dev.ID] = dev.Class
	}
	osd := func(id int32, weight float64, depth int) treeNode {
		placed[id] = true
		n := treeNode{ID: id, Class: class[id], Name: fmt.Sprintf("osd.%d", id), Type: "osd", Depth: depth, Weight: &weight, Exists: new(int), Status: word(m.IsUp(id), "up", "down"), Reweight: new(float64), Affinity: new(float64)}
		if m.Exists(id) {
			*n.Exists = 1
			*n.Reweight = float64(m.Weights[id]) / float64(crush.One)
			*n.Affinity = 1
			if len(m.Affinity) > 0 {
				*n.Affinity = float64(m.Affinity[id]) / osdmap.DefaultAffinity
			}
		}
		return n
	}
	var walk func(id int32, weight float64, depth int)
	walk = func(id int32, weight float64, depth int) {
		if id >= 0 {
			nodes = append(nodes, osd(id, weight, depth))
			return
		}
		b := buckets[id]
		if b == nil {
			return
		}
		w := float64(b.Weight) / float64(crush.One)
		n := treeNode{ID: id, Name: b.Name, Type: b.TypeName, TypeID: int32(b.TypeID), Depth: depth, Weight: &w}
		for _, it := range slices.Backward(b.Items) {
			n.Children = append(n.Children, it.ID)
		}
		nodes = append(nodes, n)
		for _, it := range b.Items {
			walk(it.ID, float64(it.Weight)/float64(crush.One), depth+1)
		}
	}
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(buckets))) {
		if !inside[id] {
			walk(id, 0, 0)
		}
	}
	for _, id := range c.ids(m) {
		if !placed[id] {
			stray = append(stray, osd(id, 0, 0))
		}
	}
	return nodes, stray, nil
}

func cmdOSDTree(c *call) error {
	m, _, err := c.at()
	if err != nil {
		return err
	}
	nodes, stray, err := c.tree(m)
	if err != nil {
		return err
	}
	if nodes == nil {
		nodes = []treeNode{}
	}
	if stray == nil {
		stray = []treeNode{}
	}
	return c.print(map[string]any{"nodes": nodes, "stray": stray}, func() string {
		var b strings.Builder
		fmt.Fprintf(&b, "%-4s %-5s  %-9s %-22s %-6s  %-8s  %s\n", "ID", "CLASS", "WEIGHT", "TYPE NAME", "STATUS", "REWEIGHT", "PRI-AFF")
		for _, n := range append(nodes, stray...) {
			name := strings.Repeat("    ", n.Depth) + n.Name
			if n.Type != "osd" {
				name = strings.Repeat("    ", n.Depth) + n.Type + " " + n.Name
			}
			fmt.Fprintf(&b, "%4d %5s  %9.5f %-22s", n.ID, n.Class, *n.Weight, name)
			if n.Type == "osd" {
				fmt.Fprintf(&b, " %6s  %8.5f  %7.5f", n.Status, *n.Reweight, *n.Affinity)
			}
			b.WriteByte('\n')
		}
		return b.String()
	})
}

func cmdOSDDf(c *call) error {
	sum := c.m.stats.summary(c.st.OSD)
	type node struct {
		ID          int32   `json:"id"`
		Name        string  `json:"name"`
		Type        string  `json:"type"`
		Reweight    float64 `json:"reweight"`
		KB          int64   `json:"kb"`
		KBUsed      int64   `json:"kb_used"`
		KBData      int64   `json:"kb_used_data"`
		KBOmap      int64   `json:"kb_used_omap"`
		KBMeta      int64   `json:"kb_used_meta"`
		KBAvail     int64   `json:"kb_avail"`
		Utilization float64 `json:"utilization"`
		PGs         uint32  `json:"pgs"`
		Status      string  `json:"status"`
	}
	j := struct {
		Nodes   []node `json:"nodes"`
		Stray   []node `json:"stray"`
		Summary struct {
			KB      int64   `json:"total_kb"`
			KBUsed  int64   `json:"total_kb_used"`
			KBAvail int64   `json:"total_kb_avail"`
			Average float64 `json:"average_utilization"`
		} `json:"summary"`
	}{Nodes: []node{}, Stray: []node{}}
	for _, id := range c.ids(c.st.OSD) {
		s := sum.OSDs[id]
		n := node{ID: id, Name: fmt.Sprintf("osd.%d", id), Type: "osd", Reweight: float64(c.st.OSD.Weights[id]) / float64(crush.One), KB: s.KB, KBUsed: s.KBUsed, KBData: s.KBData, KBOmap: s.KBOmap, KBMeta: s.KBMeta, KBAvail: s.KBAvail, PGs: s.PGs, Status: word(c.st.OSD.IsUp(id), "up", "down")}
		if s.KB > 0 {
			n.Utilization = 100 * float64(s.KBUsed) / float64(s.KB)
		}
		j.Nodes = append(j.Nodes, n)
		j.Summary.KB += s.KB
		j.Summary.KBUsed += s.KBUsed
		j.Summary.KBAvail += s.KBAvail
	}
	if j.Summary.KB > 0 {
		j.Summary.Average = 100 * float64(j.Summary.KBUsed) / float64(j.Summary.KB)
	}
	return c.print(j, func() string {
		var b strings.Builder
		fmt.Fprintf(&b, "%-3s %-8s %9s %9s %9s %6s %4s %s\n", "ID", "REWEIGHT", "SIZE", "USE", "AVAIL", "%USE", "PGS", "STATUS")
		for _, n := range j.Nodes {
			fmt.Fprintf(&b, "%3d %8.5f %9s %9s %9s %6.2f %4d %6s\n", n.ID, n.Reweight, bytesText(n.KB*1024), bytesText(n.KBUsed*1024), bytesText(n.KBAvail*1024), n.Utilization, n.PGs, n.Status)
		}
		fmt.Fprintf(&b, "             %9s %9s %9s %6.2f TOTAL\n", bytesText(j.Summary.KB*1024), bytesText(j.Summary.KBUsed*1024), bytesText(j.Summary.KBAvail*1024), j.Summary.Average)
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

// cmdOSDNew makes an OSD, or finds the one of that uuid.
func cmdOSDNew(c *call) error {
	var uuid ceph.UUID
	if s, ok := c.str("uuid"); ok {
		var err error
		if uuid, err = ceph.ParseUUID(s); err != nil {
			return fail(ceph.EINVAL, "%v", err)
		}
	} else if _, err := rand.Read(uuid[:]); err != nil {
		return err
	}
	want := int32(-1)
	if s, ok := c.str("id"); ok {
		var err error
		if want, err = osdID(s); err != nil {
			return err
		}
	}
	var id int32
	err := c.change(func(ch *Change) error {
		m := ch.State.OSD
		for osd := range m.MaxOSD {
			if m.Exists(osd) && m.UUIDs[osd] == uuid {
				if want >= 0 && want != osd {
					return fail(ceph.EEXIST, "uuid %v belongs to osd.%d", uuid, osd)
				}
				id = osd
				return nil
			}
		}
		if want >= 0 && m.Exists(want) && !m.UUIDs[want].IsZero() {
			return fail(ceph.EEXIST, "osd.%d has another uuid", want)
		}
		if id = want; id < 0 {
			for id = 0; id < m.MaxOSD && m.Exists(id); id++ {
			}
		}
		inc := ch.Inc()
		if id >= m.MaxOSD {
			inc.MaxOSD = id + 1
		}
		inc.States = map[int32]osdmap.State{id: (osdmap.Exists | osdmap.New) &^ m.State(id)}
		inc.UUIDs = map[int32]ceph.UUID{id: uuid}
		return nil
	})
	if err != nil {
		return err
	}
	return c.print(map[string]any{"osdid": id}, func() string { return fmt.Sprintf("%d\n", id) })
}

// each calls f for the OSDs named; those that do not exist are an error.
func (c *call) each(f func(ch *Change, osd int32) (string, error)) error {
	var said []string
	err := c.change(func(ch *Change) error {
		said = nil
		for _, s := range c.strs("ids") {
			id, err := osdID(s)
			if err != nil {
				return err
			}
			if !ch.State.OSD.Exists(id) {
				return fail(ceph.ENOENT, "osd.%d does not exist", id)
			}
			text, err := f(ch, id)
			if err != nil {
				return err
			}
			said = append(said, text)
		}
		return nil
	})
	c.text = strings.TrimSpace(strings.Join(said, " "))
	return err
}

func cmdOSDDown(c *call) error {
	return c.each(func(ch *Change, osd int32) (string, error) {
		if !ch.State.OSD.IsUp(osd) {
			return fmt.Sprintf("osd.%d is already down.", osd), nil
		}
		c.m.down(ch, osd, "an operator said so")
		return fmt.Sprintf("marked down osd.%d.", osd), nil
	})
}

func (c *call) weigh(w crush.Weight, what string) error {
	return c.each(func(ch *Change, osd int32) (string, error) {
		if (ch.State.OSD.Weights[osd] > 0) == (w > 0) {
			return fmt.Sprintf("osd.%d is already %s.", osd, what), nil
		}
		ch.weigh(osd, w)
		return fmt.Sprintf("marked %s osd.%d.", what, osd), nil
	})
}

func (ch *Change) weigh(osd int32, w crush.Weight) {
	inc := ch.Inc()
	if inc.Weights == nil {
		inc.Weights = map[int32]crush.Weight{}
	}
	inc.Weights[osd] = w
	if w > 0 {
		inc.LastIn = ch.Now
	}
}

func cmdReweight(c *call) error {
	s, _ := c.str("id")
	id, err := osdID(s)
	if err != nil {
		return err
	}
	w, err := c.weight()
	if err != nil {
		return err
	}
	err = c.change(func(ch *Change) error {
		if !ch.State.OSD.Exists(id) {
			return fail(ceph.ENOENT, "osd.%d does not exist", id)
		}
		ch.weigh(id, w)
		return nil
	})
	c.text = fmt.Sprintf("reweighted osd.%d to %g (%x)", id, c.float("weight", 0), w)
	return err
}

// remove takes an OSD out of the map.
func (ch *Change) remove(osd int32) error {
	m := ch.State.OSD
	if m.IsUp(osd) {
		return fail(ceph.EBUSY, "osd.%d is still up; must be down before removal", osd)
	}
	inc := ch.Inc()
	if inc.States == nil {
		inc.States = map[int32]osdmap.State{}
	}
	inc.States[osd] = m.States[osd]
	if inc.UUIDs == nil {
		inc.UUIDs = map[int32]ceph.UUID{}
	}
	inc.UUIDs[osd] = ceph.UUID{}
	ch.weigh(osd, 0)
	ch.Delete(osdKey(osd))
	return nil
}

func cmdOSDRm(c *call) error {
	return c.each(func(ch *Change, osd int32) (string, error) {
		return fmt.Sprintf("removed osd.%d", osd), ch.remove(osd)
	})
}

func cmdOSDPurge(c *call) error {
	s, _ := c.str("id")
	id, err := osdID(s)
	if err != nil {
		return err
	}
	if !c.flag("yes_i_really_mean_it") {
		return fail(ceph.EPERM, "Are you SURE? this will remove osd.%d, its key and its place in the CRUSH map. Pass --yes-i-really-mean-it if you really do.", id)
	}
	err = c.change(func(ch *Change) error {
		if !ch.State.OSD.Exists(id) {
			return nil
		}
		if err := ch.remove(id); err != nil {
			return err
		}
		ch.Delete(prefixAuth + fmt.Sprintf("osd.%d", id))
		return ch.Crush(func(e *crush.Editor) error { return ignoreMissing(e.Remove(fmt.Sprintf("osd.%d", id))) })
	})
	c.text = fmt.Sprintf("purged osd.%d", id)
	return err
}

func (c *call) flags(set bool) error {
	name, _ := c.str("key")
	var bit osdmap.Flags
	for _, f := range flagNames {
		if f.name == name {
			bit = f.bit
		}
	}
	err := c.change(func(ch *Change) error {
		now := ch.State.OSD.Flags
		next := now | bit
		if !set {
			next = now &^ bit
		}
		if next != now {
			ch.Inc().Flags = int32(next)
		}
		return nil
	})
	c.text = fmt.Sprintf("%s is %s", name, word(set, "set", "unset"))
	return err
}

func cmdBlocklistLs(c *call) error {
	type entry struct {
		Addr  string `json:"addr"`
		Until string `json:"until"`
	}
	list := []entry{}
	for _, a := range slices.SortedFunc(maps.Keys(c.st.OSD.Blocklist), ceph.Addr.Compare) {
		list = append(list, entry{fmt.Sprintf("%v/%d", a.IP, a.Nonce), c.st.OSD.Blocklist[a].String()})
	}
	c.text = fmt.Sprintf("listed %d entries", len(list))
	return c.print(list, func() string {
		var b strings.Builder
		for _, e := range list {
			fmt.Fprintf(&b, "%s %s\n", e.Addr, e.Until)
		}
		return b.String()
	})
}

func cmdBlocklist(c *call) error {
	op, _ := c.str("blocklistop")
	text, _ := c.str("addr")
	addr, err := ceph.ParseAddr(text)
	if err != nil {
		return fail(ceph.EINVAL, "%v", err)
	}
	if !strings.Contains(text, "v2:") && !strings.Contains(text, "v1:") {
		addr.Type = ceph.AddrAny
	}
	now, expire := c.m.cfg.Now(), c.float("expire", 3600)
	if expire > math.MaxUint32-float64(now.Unix()) {
		return fail(ceph.EINVAL, "expire: %g seconds from now is after 2106, the last year a map knows", expire)
	}
	until := ceph.MakeTime(now.Add(time.Duration(expire * float64(time.Second))))
	err = c.change(func(ch *Change) error {
		inc := ch.Inc()
		if op == "rm" {
			if _, ok := ch.State.OSD.Blocklist[addr]; !ok {
				return fail(ceph.ENOENT, "%s isn't blocklisted", text)
			}
			inc.OldBlocklist = []ceph.Addr{addr}
			return nil
		}
		inc.Blocklist = map[ceph.Addr]ceph.Time{addr: until}
		c.text = fmt.Sprintf("blocklisting %s until %v (%g sec)", text, until, expire)
		return nil
	})
	if op == "rm" {
		c.text = "un-blocklisting " + text
	}
	return err
}
