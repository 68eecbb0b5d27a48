package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/osdmap"
)

func init() {
	add("mon", "r", "df [detail:CephChoices=detail]", "show how full cluster and pools are", cmdDF)
}

// rawJSON is how full OSDs are.
type rawJSON struct {
	Total int64   `json:"total_bytes"`
	Avail int64   `json:"total_avail_bytes"`
	Used  int64   `json:"total_used_bytes"`
	Raw   int64   `json:"total_used_raw_bytes"`
	Ratio float64 `json:"total_used_raw_ratio"`
}

func (r *rawJSON) add(total, avail, used int64) {
	r.Total, r.Avail, r.Used, r.Raw = r.Total+total, r.Avail+avail, r.Used+used, r.Raw+used
	r.Ratio = percent(r.Raw, r.Total) / 100
}

func (r *rawJSON) row(t *table, name string) {
	t.row(name, bytesText(r.Total), bytesText(r.Avail), bytesText(r.Used), bytesText(r.Raw), fmt.Sprintf("%.2f", 100*r.Ratio))
}

type dfStats struct {
	rawJSON
	OSDs     int `json:"num_osds"`
	PerPool  int `json:"num_per_pool_osds"`
	PerOmaps int `json:"num_per_pool_omap_osds"`
}

type dfPool struct {
	Name  string      `json:"name"`
	ID    ceph.PoolID `json:"id"`
	Stats dfPoolStats `json:"stats"`
}

// dfPoolStats is what a pool holds; what has a pointer is shown in detail only.
type dfPoolStats struct {
	Stored     int64   `json:"stored"`
	StoredData *int64  `json:"stored_data,omitempty"`
	StoredOmap *int64  `json:"stored_omap,omitempty"`
	Objects    int64   `json:"objects"`
	KBUsed     int64   `json:"kb_used"`
	Used       int64   `json:"bytes_used"`
	DataUsed   *int64  `json:"data_bytes_used,omitempty"`
	OmapUsed   *int64  `json:"omap_bytes_used,omitempty"`
	Percent    float64 `json:"percent_used"`
	Avail      int64   `json:"max_avail"`
	*dfMore
}

type dfMore struct {
	QuotaObjects uint64 `json:"quota_objects"`
	QuotaBytes   uint64 `json:"quota_bytes"`
	Dirty        int64  `json:"dirty"`
	Reads        int64  `json:"rd"`
	ReadBytes    int64  `json:"rd_bytes"`
	Writes       int64  `json:"wr"`
	WriteBytes   int64  `json:"wr_bytes"`
	Compressed   int64  `json:"compress_bytes_used"`
	Under        int64  `json:"compress_under_bytes"`
	Raw          int64  `json:"stored_raw"`
	AvailRaw     int64  `json:"avail_raw"`
}

func cmdDF(c *call) error {
	sum := c.m.stats.summary(c.st.OSD)
	_, detail := c.str("detail")
	j := struct {
		Stats   dfStats             `json:"stats"`
		ByClass map[string]*rawJSON `json:"stats_by_class"`
		Pools   []dfPool            `json:"pools"`
	}{ByClass: map[string]*rawJSON{}, Pools: []dfPool{}}
	p, err := newPlaces(c.st.OSD)
	if err != nil {
		return err
	}
	j.Stats.OSDs, j.Stats.PerPool, j.Stats.PerOmaps = len(sum.OSDs), len(sum.OSDs), len(sum.OSDs)
	for id, s := range sum.OSDs {
		if c.st.OSD.Weights[id] == 0 {
			continue
		}
		j.Stats.add(s.KB<<10, s.KBAvail<<10, s.KBUsed<<10)
		if class := p.class[id]; class != "" {
			if j.ByClass[class] == nil {
				j.ByClass[class] = &rawJSON{}
			}
			j.ByClass[class].add(s.KB<<10, s.KBAvail<<10, s.KBUsed<<10)
		}
	}
	free := newFree(c.st.OSD, sum)
	for _, id := range sortedPools(c.st.OSD) {
		j.Pools = append(j.Pools, c.dfPool(id, sum, free.pool(id), detail))
	}
	return c.print(j, func() string {
		t := columns(left("CLASS"), right("SIZE", "AVAIL", "USED", "RAW USED", "%RAW USED"))
		for _, class := range slices.Sorted(maps.Keys(j.ByClass)) {
			j.ByClass[class].row(t, class)
		}
		j.Stats.row(t, "TOTAL")
		return "--- RAW STORAGE ---\n" + t.String() + " \n--- POOLS ---\n" + c.poolTable(j.Pools, detail)
	})
}

func (c *call) dfPool(id ceph.PoolID, sum *summary, avail int64, detail bool) dfPool {
	p, o := c.st.OSD.Pools[id], sum.Pools[id]
	size := int64(max(p.Size, 1))
	omap := o.OmapBytes
	stored := o.Bytes + omap
	used := stored * size
	x := dfPool{Name: c.st.OSD.PoolNames[id], ID: id, Stats: dfPoolStats{Stored: stored, Objects: o.Objects, Used: used, KBUsed: (used + 1023) >> 10, Avail: avail}}
	if t := used + avail*size; t > 0 {
		x.Stats.Percent = float64(used) / float64(t)
	}
	if !detail {
		return x
	}
	data, dataUsed, omapUsed := o.Bytes, o.Bytes*size, omap*size
	x.Stats.StoredData, x.Stats.StoredOmap, x.Stats.DataUsed, x.Stats.OmapUsed = &data, &omap, &dataUsed, &omapUsed
	x.Stats.dfMore = &dfMore{
		QuotaObjects: p.QuotaObjects, QuotaBytes: p.QuotaBytes, Dirty: o.Dirty, Reads: o.Reads, ReadBytes: o.ReadKB << 10, Writes: o.Writes, WriteBytes: o.WriteKB << 10,
		Raw: used, AvailRaw: avail * size,
	}
	return x
}

func (c *call) poolTable(pools []dfPool, detail bool) string {
	share := func(p dfPool) string {
		if p.Stats.Percent == 0 {
			return "0"
		}
		return fmt.Sprintf("%.2f", 100*p.Stats.Percent)
	}
	limit := func(n uint64, text string) string { return word(n == 0, "N/A", text) }
	t := columns(left("POOL"), right("ID", "PGS", "STORED", "OBJECTS", "USED", "%USED", "MAX AVAIL"))
	if detail {
		t = columns(left("POOL"), right("ID", "PGS", "STORED", "(DATA)", "(OMAP)", "OBJECTS", "USED", "(DATA)", "(OMAP)", "%USED", "MAX AVAIL", "QUOTA OBJECTS", "QUOTA BYTES", "DIRTY", "USED COMPR", "UNDER COMPR"))
	}
	for _, p := range pools {
		s := p.Stats
		name, id, pgs := p.Name, fmt.Sprint(p.ID), fmt.Sprint(c.st.OSD.Pools[p.ID].PGNum)
		if !detail {
			t.row(name, id, pgs, bytesText(s.Stored), objectsText(s.Objects), bytesText(s.Used), share(p), bytesText(s.Avail))
			continue
		}
		t.row(name, id, pgs, bytesText(s.Stored), bytesText(*s.StoredData), bytesText(*s.StoredOmap), objectsText(s.Objects), bytesText(s.Used), bytesText(*s.DataUsed), bytesText(*s.OmapUsed), share(p), bytesText(s.Avail),
			limit(s.QuotaObjects, objectsText(int64(s.QuotaObjects))), limit(s.QuotaBytes, bytesText(int64(s.QuotaBytes))), "N/A", bytesText(s.Compressed), bytesText(s.Under))
	}
	return t.String()
}

// free tells how much more pools can take.
type free struct {
	m     *osdmap.Map
	sum   *summary
	p     *places
	rules map[uint8]int64
}

func newFree(m *osdmap.Map, sum *summary) *free {
	p, err := newPlaces(m)
	if err != nil {
		p = nil
	}
	return &free{m: m, sum: sum, p: p, rules: map[uint8]int64{}}
}

// pool returns the bytes that a pool can take until the first of its OSDs is full:
// each gets its share by weight of what is written.
func (f *free) pool(id ceph.PoolID) int64 {
	pool := f.m.Pools[id]
	raw, ok := f.rules[pool.CrushRule]
	if !ok {
		raw = f.rule(pool.CrushRule)
		f.rules[pool.CrushRule] = raw
	}
	return raw / int64(max(pool.Size, 1))
}

func (f *free) rule(id uint8) int64 {
	if f.p == nil || int(id) >= len(f.p.m.Rules) || f.p.m.Rules[id] == nil {
		return 0
	}
	weights, total := map[int32]float64{}, 0.0
	for _, s := range f.p.dump.Rules {
		if s.ID != int(id) {
			continue
		}
		for _, step := range s.Steps {
			if step.Item == nil {
				continue
			}
			name, class, _ := strings.Cut(*step.ItemName, "~")
			root, ok := f.p.find(name)
			if !ok {
				continue
			}
			for _, d := range f.p.devices(root) {
				if class != "" && f.p.class[d] != class || !f.m.Exists(d) || !f.m.IsUp(d) {
					continue
				}
				w := float64(f.p.weight[d]) * float64(f.m.Weights[d])
				weights[d] += w
				total += w
			}
		}
	}
	least := -1.0
	for d, w := range weights {
		s, ok := f.sum.OSDs[d]
		if !ok || w == 0 {
			continue
		}
		reserve := float64(s.KB<<10) * (1 - float64(f.m.FullRatio))
		can := max(0, float64(s.KBAvail<<10)-reserve) / (w / total)
		if least < 0 || can < least {
			least = can
		}
	}
	return int64(max(least, 0))
}
