package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/osdmap"
)

func cmdPGStat(c *call) error {
	j := c.pgMap(c.m.stats.summary(c.st.OSD))
	return c.print(map[string]any{"pg_ready": true, "pg_summary": j}, func() string {
		var states []string
		for _, s := range j.States {
			states = append(states, fmt.Sprintf("%d %s", s.Count, s.Name))
		}
		return fmt.Sprintf("%d pgs: %s; %s data, %s used, %s / %s avail\n", j.PGs, strings.Join(states, ", "), bytesText(j.Data), bytesText(j.Used), bytesText(j.Avail), bytesText(j.Total))
	})
}

type pgJSON struct {
	ID      string  `json:"pgid"`
	Version string  `json:"version"`
	State   string  `json:"state"`
	Objects int64   `json:"num_objects"`
	Bytes   int64   `json:"num_bytes"`
	Log     int64   `json:"log_size"`
	Up      []int32 `json:"up"`
	UpP     int32   `json:"up_primary"`
	Acting  []int32 `json:"acting"`
	ActingP int32   `json:"acting_primary"`
}

func cmdPGDump(c *call) error {
	sum := c.m.stats.summary(c.st.OSD)
	list := []pgJSON{}
	for _, id := range slices.SortedFunc(maps.Keys(sum.PGs), ceph.PG.Compare) {
		s := sum.PGs[id]
		list = append(list, pgJSON{id.String(), s.Version.String(), stateName(s.State), s.Sum.Objects, s.Sum.Bytes, s.LogSize, s.Up, s.UpPrimary, s.Acting, s.ActingPrimary})
	}
	c.text = "dumped all"
	return c.print(map[string]any{"pg_ready": true, "pg_map": map[string]any{"version": sum.Version, "last_osdmap_epoch": c.st.OSD.Epoch, "pg_stats": list}}, func() string {
		var b strings.Builder
		fmt.Fprintf(&b, "version %d\nlast_osdmap_epoch %d\n%-8s %8s %12s %8s %-24s %-12s %-12s\n", sum.Version, c.st.OSD.Epoch, "PG_STAT", "OBJECTS", "BYTES", "LOG", "STATE", "UP", "ACTING")
		for _, p := range list {
			fmt.Fprintf(&b, "%-8s %8d %12d %8d %-24s %-12v %-12v\n", p.ID, p.Objects, p.Bytes, p.Log, p.State, p.Up, p.Acting)
		}
		return b.String()
	})
}

func cmdPGMap(c *call) error {
	text, _ := c.str("pgid")
	pg, err := ceph.ParsePG(text)
	if err != nil {
		return fail(ceph.EINVAL, "%v", err)
	}
	pl, err := osdmap.NewPlacer(c.st.OSD)
	if err != nil {
		return err
	}
	pool := c.st.OSD.Pools[pg.Pool]
	if pool == nil || pg.Seed >= pool.PGNum {
		return fail(ceph.ENOENT, "pg '%s' does not exist", text)
	}
	var w osdmap.Work
	at, err := pl.Place(&w, pg)
	if err != nil {
		return err
	}
	return c.print(map[string]any{"epoch": c.st.OSD.Epoch, "raw_pgid": pg.String(), "pgid": pg.String(), "up": at.Up, "acting": at.Acting}, func() string {
		return fmt.Sprintf("osdmap e%d pg %v (%v) -> up %v acting %v\n", c.st.OSD.Epoch, pg, pg, at.Up, at.Acting)
	})
}

func sortedPools(m *osdmap.Map) []ceph.PoolID { return slices.Sorted(maps.Keys(m.Pools)) }
