package mon

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/osdmap"
)

func init() {
	add("osd", "r", "osd perf", "show how long OSDs take to commit and apply", cmdOSDPerf)
	add("osd", "r", "osd blocked-by", "count the PGs that wait for each OSD", cmdBlockedBy)
	add("osd", "r", "osd metadata [id:CephOsdName]", "show what OSDs say of themselves", cmdOSDMetadata)
	add("osd", "r", "osd count-metadata property:CephString", "count OSDs by what they say of themselves", func(c *call) error {
		s, _ := c.str("property")
		return c.print(tally(s, c.osdMeta()), nil)
	})
	add("osd", "r", "osd versions", "check running versions of OSDs", func(c *call) error { return c.print(tally("ceph_version", c.osdMeta()), nil) })
	add("osd", "r", "osd find id:CephOsdName", "show where an OSD is", cmdOSDFind)
	add("osd", "r", "osd info [id:CephOsdName]", "show what the map says of OSDs", cmdOSDInfo)
	add("osd", "r", "osd numa-status", "show NUMA status of OSDs", cmdNUMA)
	add("mgr", "r", "osd status [bucket:CephString]", "show OSDs and how full they are", cmdOSDStatus)
	add("osd", "r", "osd utilization", "show how evenly PGs lie on OSDs", cmdUtilization)
	add("osd", "r", "osd last-stat-seq id:CephOsdName", "show the number of the last report of an OSD", cmdLastSeq)
}

// theOSD reads the argument id: an OSD that exists.
func (c *call) theOSD() (int32, error) {
	s, _ := c.str("id")
	id, err := osdID(s)
	if err == nil && !c.st.OSD.Exists(id) {
		err = fail(ceph.ENOENT, "osd.%d does not exist", id)
	}
	return id, err
}

func cmdOSDPerf(c *call) error {
	sum := c.m.stats.summary(c.st.OSD)
	type perf struct {
		ID    int32    `json:"id"`
		Stats perfJSON `json:"perf_stats"`
	}
	out := []perf{}
	t := columns(left("osd"), right("commit_latency(ms)", "apply_latency(ms)"))
	t.columns[0].right = true
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(sum.OSDs))) {
		s := sum.OSDs[id]
		out = append(out, perf{id, newPerf(s)})
		t.row(fmt.Sprint(id), fmt.Sprint(s.CommitMillis), fmt.Sprint(s.ApplyMillis))
	}
	return c.print(struct {
		Ready bool `json:"pg_ready"`
		Stats struct {
			Infos []perf `json:"osd_perf_infos"`
		} `json:"osdstats"`
	}{true, struct {
		Infos []perf `json:"osd_perf_infos"`
	}{out}}, t.String)
}

func cmdBlockedBy(c *call) error {
	sum := c.m.stats.summary(c.st.OSD)
	count := map[int32]int{}
	for _, s := range sum.PGs {
		for _, id := range s.BlockedBy {
			count[id]++
		}
	}
	type info struct {
		ID  int32 `json:"id"`
		Num int   `json:"num_blocked"`
	}
	out := []info{}
	t := columns(right("osd", "num_blocked"))
	for _, id := range slices.Sorted(maps.Keys(count)) {
		out = append(out, info{id, count[id]})
		t.row(fmt.Sprint(id), fmt.Sprint(count[id]))
	}
	return c.print(map[string]any{"pg_ready": true, "osd_blocked_by": map[string]any{"osd_blocked_by_infos": out}}, t.String)
}

func (c *call) osdMeta() (all []map[string]string) {
	for _, id := range c.ids(c.st.OSD) {
		if m := c.st.Meta[id]; m != nil {
			all = append(all, m)
		}
	}
	return all
}

func cmdOSDMetadata(c *call) error {
	one := func(id int32) map[string]any {
		out := map[string]any{"id": id}
		for k, v := range c.st.Meta[id] {
			out[k] = v
		}
		return out
	}
	if _, ok := c.str("id"); ok {
		id, err := c.theOSD()
		if err != nil {
			return err
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
	id, err := c.theOSD()
	if err != nil {
		return err
	}
	p, err := newPlaces(c.st.OSD)
	if err != nil {
		return err
	}
	return c.print(struct {
		OSD      int32             `json:"osd"`
		Addrs    addrsJSON         `json:"addrs"`
		UUID     string            `json:"osd_fsid"`
		Host     string            `json:"host,omitempty"`
		Location map[string]string `json:"crush_location"`
	}{id, newAddrs(c.st.OSD.Client[id]), c.st.OSD.UUIDs[id].String(), c.st.Meta[id]["hostname"], p.location(id)}, nil)
}

func cmdOSDInfo(c *call) error {
	line := func(id int32) string {
		m := c.st.OSD
		i := m.Infos[id]
		return fmt.Sprintf("osd.%d %s %s weight %g up_from %d up_thru %d down_at %d last_clean_interval [%d,%d) %v %v %s %v\n", id, word(m.IsUp(id), "up  ", "down"), word(m.Weights[id] > 0, "in ", "out"),
			float64(m.Weights[id])/0x10000, i.UpFrom, i.UpThru, i.DownAt, i.CleanBegin, i.CleanEnd, m.Client[id], m.Cluster[id], strings.Join(m.StateNames(id), ","), m.UUIDs[id])
	}
	if _, ok := c.str("id"); ok {
		id, err := c.theOSD()
		if err != nil {
			return err
		}
		return c.print(c.st.OSD.DumpOSD(id), func() string { return line(id) })
	}
	all := []osdmap.DumpOSD{}
	var b strings.Builder
	for _, id := range c.ids(c.st.OSD) {
		all = append(all, c.st.OSD.DumpOSD(id))
		b.WriteString(line(id))
	}
	return c.print(all, b.String)
}

func cmdNUMA(c *call) error {
	type row struct {
		OSD  int32  `json:"osd"`
		Host string `json:"host"`
	}
	out := []row{}
	t := columns(right("OSD"), left("HOST"), right("NETWORK", "STORAGE", "AFFINITY"), left("CPUS"))
	for _, id := range c.ids(c.st.OSD) {
		if !c.st.OSD.IsUp(id) {
			continue
		}
		host := c.st.Meta[id]["hostname"]
		out = append(out, row{id, host})
		t.row(fmt.Sprint(id), host, "-", "-", "-", "-")
	}
	return c.print(out, t.String)
}

// cmdOSDStatus is text whatever the format, as that of the module of a manager.
func cmdOSDStatus(c *call) error {
	sum := c.m.stats.summary(c.st.OSD)
	only := map[int32]bool{}
	bucket, filtered := c.str("bucket")
	if filtered {
		p, err := newPlaces(c.st.OSD)
		if err != nil {
			return err
		}
		at, ok := p.find(bucket)
		if !ok {
			return fail(ceph.EINVAL, "Bucket not found or empty: '%s'", bucket)
		}
		for _, id := range p.devices(at) {
			only[id] = true
		}
	}
	t := columns(left("ID", "HOST", "USED", "AVAIL", "WR OPS", "WR DATA", "RD OPS", "RD DATA", "STATE"))
	for i := range t.columns {
		t.columns[i].right = i != 1 && i != 8
		t.columns[i].hleft = true
	}
	for _, id := range c.ids(c.st.OSD) {
		if filtered && !only[id] {
			continue
		}
		s := sum.OSDs[id]
		t.row(fmt.Sprint(id), c.st.Meta[id]["hostname"], unitText(s.KBUsed<<10), unitText(s.KBAvail<<10), "0", "0", "0", "0", strings.Join(c.st.OSD.StateNames(id), ","))
	}
	c.out = []byte(t.String())
	return nil
}

// unitText writes bytes in four digits: 3804M.
func unitText(n int64) string {
	const units = " kMGTPE"
	u := 0
	for n >= 10000 && u < len(units)-1 {
		n, u = n>>10, u+1
	}
	return strings.TrimSpace(fmt.Sprint(n) + units[u:u+1])
}

func cmdUtilization(c *call) error {
	sum := c.m.stats.summary(c.st.OSD)
	count := map[int32]int{}
	for _, id := range c.ids(c.st.OSD) {
		if c.st.OSD.Weights[id] > 0 && c.st.OSD.IsUp(id) {
			count[id] = 0
		}
	}
	total := 0
	for _, s := range sum.PGs {
		for _, id := range s.Acting {
			if _, ok := count[id]; ok {
				count[id]++
				total++
			}
		}
	}
	j := struct {
		Avg    float64 `json:"avg_pgs"`
		Dev    float64 `json:"std_dev"`
		Base   float64 `json:"expected_baseline_std_dev"`
		Min    int32   `json:"min_osd"`
		MinPGs int     `json:"min_osd_pgs"`
		Max    int32   `json:"max_osd"`
		MaxPGs int     `json:"max_osd_pgs"`
	}{Min: -1, Max: -1}
	if n := float64(len(count)); n > 0 {
		j.Avg = float64(total) / n
		j.Base = math.Sqrt(j.Avg * (1 - 1/n))
		for _, id := range slices.Sorted(maps.Keys(count)) {
			d := float64(count[id]) - j.Avg
			j.Dev += d * d / n
			if j.Min < 0 || count[id] < j.MinPGs {
				j.Min, j.MinPGs = id, count[id]
			}
			if j.Max < 0 || count[id] > j.MaxPGs {
				j.Max, j.MaxPGs = id, count[id]
			}
		}
		j.Dev = math.Sqrt(j.Dev)
	}
	return c.print(j, func() string {
		of := func(n int) float64 {
			if j.Avg == 0 {
				return 0
			}
			return float64(n) / j.Avg
		}
		return fmt.Sprintf("avg %.6g\nstddev %.6g (expected baseline %.6g)\nmin osd.%d with %d pgs (%.6g * mean)\nmax osd.%d with %d pgs (%.6g * mean)\n", j.Avg, j.Dev, j.Base, j.Min, j.MinPGs, of(j.MinPGs), j.Max, j.MaxPGs, of(j.MaxPGs))
	})
}

func cmdLastSeq(c *call) error {
	id, err := c.theOSD()
	if err != nil {
		return err
	}
	seq := c.m.stats.summary(c.st.OSD).OSDs[id].Seq
	return c.print(seq, func() string { return fmt.Sprintf("%d\n", seq) })
}
