package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
)

func init() {
	add("pg", "r", "pg dump [dumpcontents:CephChoices…=all|summary|sum|delta|pools|osds|pgs|pgs_brief]", "show PGs, pools and OSDs as reported", cmdPGDump)
	add("pg", "r", "pg dump_json [dumpcontents:CephChoices…=all|summary|sum|pools|osds|pgs]", "show PGs, pools and OSDs as reported, in JSON", cmdPGDumpJSON)
	add("pg", "r", "pg dump_pools_json", "show pools as reported, in JSON", cmdPGDumpPools)
}

// pgDump is all that is known of PGs; each part is there if it was asked for.
type pgDump struct {
	Version    uint64        `json:"version"`
	Stamp      string        `json:"stamp"`
	Epoch      ceph.Epoch    `json:"last_osdmap_epoch"`
	Scan       ceph.Epoch    `json:"last_pg_scan"`
	Sum        poolSumJSON   `json:"pg_stats_sum"`
	OSDSum     osdJSON       `json:"osd_stats_sum"`
	Delta      deltaJSON     `json:"pg_stats_delta"`
	PGs        *[]pgJSON     `json:"pg_stats,omitempty"`
	Pools      *[]pgPoolJSON `json:"pool_stats,omitempty"`
	OSDs       *[]osdJSON    `json:"osd_stats,omitempty"`
	PoolStatfs *[]poolFSJSON `json:"pool_statfs,omitempty"`
	primaries  map[int32]int // how many PGs an OSD is primary of
}

type deltaJSON struct {
	poolSumJSON
	Stamp string `json:"stamp_delta"`
}

type pgPoolJSON struct {
	ID  ceph.PoolID `json:"poolid"`
	PGs uint32      `json:"num_pg"`
	poolSumJSON
}

type poolFSJSON struct {
	Pool ceph.PoolID `json:"poolid"`
	OSD  int32       `json:"osd"`
	storeJSON
}

// dumpPGs gathers everything.
func (c *call) dumpPGs() *pgDump {
	sum := c.m.stats.summary(c.st.OSD)
	now := ceph.MakeTime(c.m.cfg.Now())
	d := &pgDump{Version: sum.Version, Stamp: now.String(), Epoch: c.st.OSD.Epoch, PGs: &[]pgJSON{}, Pools: &[]pgPoolJSON{}, OSDs: &[]osdJSON{}, PoolStatfs: &[]poolFSJSON{}, primaries: map[int32]int{}}
	pools := map[ceph.PoolID]*poolSumJSON{}
	for id := range c.st.OSD.Pools {
		o := sum.Pools[id]
		pools[id] = &poolSumJSON{Sum: newSum(&o)}
	}
	for _, id := range slices.SortedFunc(maps.Keys(sum.PGs), ceph.PG.Compare) {
		s := sum.PGs[id]
		*d.PGs = append(*d.PGs, newPG(id, s))
		pools[id.Pool].add(&s)
		d.Sum.add(&s)
		d.primaries[s.ActingPrimary]++
	}
	d.Sum.Sum = newSum(&sum.Sum)
	rate := sum.Rate
	d.Delta.Sum = newSum(&rate)
	d.Delta.Stamp = "0.000000"
	for _, id := range slices.Backward(sortedPools(c.st.OSD)) {
		*d.Pools = append(*d.Pools, pgPoolJSON{id, c.st.OSD.Pools[id].PGNum, *pools[id]})
	}
	var all msg.OSDStat
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(sum.OSDs))) {
		s := sum.OSDs[id]
		*d.OSDs = append(*d.OSDs, newOSD(&id, s))
		addOSD(&all, &s)
	}
	d.OSDSum = newOSD(nil, all)
	for key, s := range sum.PoolStatfs {
		*d.PoolStatfs = append(*d.PoolStatfs, poolFSJSON{key.pool, key.osd, storeJSON(s)})
	}
	slices.SortFunc(*d.PoolStatfs, func(a, b poolFSJSON) int {
		if a.Pool != b.Pool {
			return int(a.Pool - b.Pool)
		}
		return int(a.OSD - b.OSD)
	})
	return d
}

type pgDumpAnswer struct {
	Ready bool    `json:"pg_ready"`
	Map   *pgDump `json:"pg_map"`
}

func cmdPGDump(c *call) error {
	what := c.strs("dumpcontents")
	if len(what) == 0 {
		what = []string{"all"}
	}
	c.text = "dumped " + strings.Join(what, ",")
	d := c.dumpPGs()
	is := func(s string) bool { return slices.Contains(what, s) }
	head := func() string {
		return fmt.Sprintf("version %d\nstamp %s\nlast_osdmap_epoch %d\nlast_pg_scan %d\n", d.Version, d.Stamp, d.Epoch, d.Scan)
	}
	switch {
	case is("all"):
		return c.print(pgDumpAnswer{true, d}, func() string {
			return head() + c.pgDumpTable(d) + "\n" + d.poolTable(true) + "\n" + d.osdTable() + omapNote
		})
	case is("summary") || is("sum"):
		d.PGs, d.Pools, d.OSDs, d.PoolStatfs = nil, nil, nil, nil
		return c.print(pgDumpAnswer{true, d}, func() string { return head() + d.sumTable() + omapNote })
	case is("delta"):
		return c.print(map[string]any{"pg_ready": true, "delta": map[string]any{"pg_stats_delta": d.Delta}}, nil)
	}
	out := map[string]any{"pg_ready": true}
	var b strings.Builder
	if is("pgs") {
		out["pg_stats"] = d.PGs
		b.WriteString(c.pgDumpTable(d) + omapNote)
	} else if is("pgs_brief") {
		out["pg_stats"] = d.brief()
		b.WriteString(d.briefTable())
	}
	if is("pools") {
		out["pool_stats"] = d.Pools
		b.WriteString(d.poolTable(false) + omapNote)
	}
	if is("osds") {
		out["osd_stats"], out["pool_statfs"] = d.OSDs, d.PoolStatfs
		b.WriteString(d.osdTable())
	}
	return c.print(out, b.String)
}

func cmdPGDumpJSON(c *call) error {
	c.text = "dumped all"
	if c.format == "" || c.format == "plain" {
		c.format = "json"
	}
	return c.print(pgDumpAnswer{true, c.dumpPGs()}, nil)
}

func cmdPGDumpPools(c *call) error {
	c.text = "dumped pools"
	if c.format == "" || c.format == "plain" {
		c.format = "json"
	}
	return c.print(map[string]any{"pg_ready": true, "pool_stats": c.dumpPGs().Pools}, nil)
}

type briefJSON struct {
	ID            string  `json:"pgid"`
	State         string  `json:"state"`
	Up            []int32 `json:"up"`
	Acting        []int32 `json:"acting"`
	UpPrimary     int32   `json:"up_primary"`
	ActingPrimary int32   `json:"acting_primary"`
}

func (d *pgDump) brief() []briefJSON {
	out := []briefJSON{}
	for _, p := range *d.PGs {
		out = append(out, briefJSON{p.ID, p.State, p.Up, p.Acting, p.UpPrimary, p.ActingPrimary})
	}
	return out
}

func (d *pgDump) briefTable() string {
	t := columns(left("PG_STAT"), under("STATE", "UP"), right("UP_PRIMARY"), under("ACTING"), right("ACTING_PRIMARY"))
	for _, p := range *d.PGs {
		t.row(p.ID, p.State, osds(p.Up), fmt.Sprint(p.UpPrimary), osds(p.Acting), fmt.Sprint(p.ActingPrimary))
	}
	return t.String()
}

// pgDumpTable is every PG with all that a line takes.
func (c *call) pgDumpTable(d *pgDump) string {
	t := columns(left("PG_STAT"), right("OBJECTS", "MISSING_ON_PRIMARY", "DEGRADED", "MISPLACED", "UNFOUND", "BYTES", "OMAP_BYTES*", "OMAP_KEYS*", "LOG", "DISK_LOG"),
		under("STATE"), left("STATE_STAMP"), right("VERSION", "REPORTED"), under("UP"), right("UP_PRIMARY"), under("ACTING"), right("ACTING_PRIMARY", "LAST_SCRUB"), left("SCRUB_STAMP"),
		right("LAST_DEEP_SCRUB"), left("DEEP_SCRUB_STAMP"), right("SNAPTRIMQ_LEN"))
	for _, p := range *d.PGs {
		row := append([]string{p.ID}, sumCells(&p.Sum, p.LogSize, p.OnDiskLogSize)...)
		t.row(append(row, p.State, p.LastChange, p.Version, fmt.Sprintf("%d:%d", p.ReportedEpoch, p.ReportedSeq), osds(p.Up), fmt.Sprint(p.UpPrimary), osds(p.Acting), fmt.Sprint(p.ActingPrimary),
			p.LastScrub, p.LastScrubStamp, p.LastDeepScrub, p.LastDeepScrubStamp, fmt.Sprint(p.SnapTrimQueue))...)
	}
	return t.String()
}

// sumCells are the columns of a sum of objects.
func sumCells(s *sumJSON, log, disk int64) (cells []string) {
	for _, n := range []int64{s.Objects, s.MissingOnPrimary, s.Degraded, s.Misplaced, s.Unfound, s.Bytes, s.OmapBytes, s.OmapKeys, log, disk} {
		cells = append(cells, fmt.Sprint(n))
	}
	return cells
}

var sumColumns = []string{"OBJECTS", "MISSING_ON_PRIMARY", "DEGRADED", "MISPLACED", "UNFOUND", "BYTES", "OMAP_BYTES*", "OMAP_KEYS*", "LOG", "DISK_LOG"}

// poolTable shows pools, and all of them together.
func (d *pgDump) poolTable(sum bool) string {
	t := columns(left("POOLID"), right(sumColumns...))
	for _, p := range *d.Pools {
		t.row(append([]string{fmt.Sprint(p.ID)}, sumCells(&p.Sum, p.Log, p.OnDisk)...)...)
	}
	if sum {
		t.row(append([]string{"sum"}, sumCells(&d.Sum.Sum, d.Sum.Log, d.Sum.OnDisk)...)...)
	}
	return t.String()
}

func (d *pgDump) osdTable() string {
	t := columns(left("OSD_STAT"), under("USED", "AVAIL", "USED_RAW", "TOTAL", "HB_PEERS"), right("PG_SUM", "PRIMARY_PG_SUM"))
	kb := func(n int64) string { return bytesText(n << 10) }
	for _, o := range *d.OSDs {
		t.row(fmt.Sprint(*o.OSD), kb(o.KBUsed), kb(o.KBAvail), kb(o.KBUsed), kb(o.KB), osds(o.Peers), fmt.Sprint(o.PGs), fmt.Sprint(d.primaries[*o.OSD]))
	}
	o := d.OSDSum
	t.row("sum", kb(o.KBUsed), kb(o.KBAvail), kb(o.KBUsed), kb(o.KB), "", "", "")
	return t.String()
}

func (d *pgDump) sumTable() string {
	t := columns(left("PG_STAT"), right(sumColumns...))
	t.row(append([]string{"sum"}, sumCells(&d.Sum.Sum, d.Sum.Log, d.Sum.OnDisk)...)...)
	o := columns(left("OSD_STAT"), under("USED", "AVAIL", "USED_RAW", "TOTAL"))
	kb := func(n int64) string { return bytesText(n << 10) }
	o.row("sum", kb(d.OSDSum.KBUsed), kb(d.OSDSum.KBAvail), kb(d.OSDSum.KBUsed), kb(d.OSDSum.KB))
	return t.String() + o.String()
}
