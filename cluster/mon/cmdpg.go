package mon

import (
	"fmt"
	"maps"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

func init() {
	add("pg", "r", "pg ls [pool:CephInt] [states:CephString…]", "list PGs, of a pool, in states", cmdPGLs)
	add("pg", "r", "pg ls-by-pool poolstr:CephString [states:CephString…]", "list the PGs of a pool", cmdPGLsByPool)
	add("pg", "r", "pg ls-by-primary osd:CephOsdName [pool:CephInt] [states:CephString…]", "list the PGs that an OSD serves", cmdPGLsByPrimary)
	add("pg", "r", "pg ls-by-osd osd:CephOsdName [pool:CephInt] [states:CephString…]", "list the PGs of an OSD", cmdPGLsByOSD)
	add("pg", "r", "pg dump_stuck [stuckops:CephChoices…=inactive|unclean|stale|undersized|degraded] [threshold:CephInt]", "list PGs that have been in a bad state for long", cmdPGStuck)
	add("pg", "r", "pg map pgid:CephPgid", "show the OSDs of a PG", cmdPGMap)
	add("pg", "r", "pg debug debugop:CephChoices=unfound_objects_exist|degraded_pgs_exist", "say whether there are such PGs or objects", cmdPGDebug)
	add("pg", "r", "pg getmap", "refused: PGs are not kept as a map", cmdPGGetMap)
}

func sortedPools(m *osdmap.Map) []ceph.PoolID { return slices.Sorted(maps.Keys(m.Pools)) }

// active reports whether a PG serves: one that is stale did when last heard of.
func active(s msg.PGState) bool { return s&msg.PGActive != 0 }

// pgid reads the argument of that name, a PG that exists.
func (c *call) pgid() (ceph.PG, error) {
	text, _ := c.str("pgid")
	return c.pgNamed(text)
}

func (c *call) pgNamed(text string) (ceph.PG, error) {
	pg, err := ceph.ParsePG(text)
	if err != nil {
		return pg, fail(ceph.EINVAL, "invalid pgid '%s'", text)
	}
	if pool := c.st.OSD.Pools[pg.Pool]; pool == nil || pg.Seed >= pool.PGNum {
		return pg, fail(ceph.ENOENT, "pg '%s' does not exist", text)
	}
	return pg, nil
}

// stateNames returns the bits of states by their names.
func stateNames(names []string) (bits []msg.PGState, err error) {
	for _, n := range names {
		found := false
		for bit := msg.PGState(1); bit != 0; bit <<= 1 {
			if bit.String() == n && bit.String() != "unknown" {
				bits, found = append(bits, bit), true
			}
		}
		if !found && n != "all" && n != "unknown" {
			return nil, fail(ceph.EINVAL, "'%s' is not a valid pg state", n)
		}
	}
	return bits, nil
}

// listPGs answers with the PGs that are wanted and have one of the states asked for.
func (c *call) listPGs(want func(ceph.PG, *msg.PGStat) bool) error {
	bits, err := stateNames(c.strs("states"))
	if err != nil {
		return err
	}
	sum := c.m.stats.summary(c.st.OSD)
	list := []pgJSON{}
	for _, id := range slices.SortedFunc(maps.Keys(sum.PGs), ceph.PG.Compare) {
		s := sum.PGs[id]
		if want(id, &s) && (len(bits) == 0 || slices.ContainsFunc(bits, func(b msg.PGState) bool { return s.State&b != 0 })) {
			list = append(list, newPG(id, s))
		}
	}
	return c.print(struct {
		Ready bool     `json:"pg_ready"`
		PGs   []pgJSON `json:"pg_stats"`
	}{true, list}, func() string { return c.pgTable(list) + omapNote })
}

const omapNote = "\n* NOTE: Omap statistics are gathered during deep scrub and may be inaccurate soon afterwards depending on utilization. See http://docs.ceph.com/en/latest/dev/placement-group/#omap-statistics for further details.\n"

// pgTable shows PGs line by line.
func (c *call) pgTable(list []pgJSON) string {
	t := columns(left("PG"), right("OBJECTS", "DEGRADED", "MISPLACED", "UNFOUND", "BYTES", "OMAP_BYTES*", "OMAP_KEYS*", "LOG"), under("STATE"),
		right("SINCE", "VERSION", "REPORTED"), under("UP", "ACTING"), left("SCRUB_STAMP", "DEEP_SCRUB_STAMP"))
	sum := c.m.stats.summary(c.st.OSD)
	for _, p := range list {
		id, err := ceph.ParsePG(p.ID)
		if err != nil {
			continue // cannot be
		}
		s := &p.Sum
		t.row(p.ID, fmt.Sprint(s.Objects), fmt.Sprint(s.Degraded), fmt.Sprint(s.Misplaced), fmt.Sprint(s.Unfound), fmt.Sprint(s.Bytes), fmt.Sprint(s.OmapBytes), fmt.Sprint(s.OmapKeys), fmt.Sprint(p.LogSize),
			p.State, shortAge(c.m.cfg.Now().Sub(sum.PGs[id].LastChange.Std())), p.Version, fmt.Sprintf("%d:%d", p.ReportedEpoch, p.ReportedSeq), fmt.Sprintf("%sp%d", osds(p.Up), p.UpPrimary), fmt.Sprintf("%sp%d", osds(p.Acting), p.ActingPrimary),
			p.LastScrubStamp, p.LastDeepScrubStamp)
	}
	return t.String()
}

// inPool filters by the argument of that name, −1 or none: all.
func (c *call) inPool() (func(ceph.PG) bool, error) {
	id := ceph.PoolID(c.num("pool", -1))
	if id >= 0 && c.st.OSD.Pools[id] == nil {
		return nil, fail(ceph.ENOENT, "pool %d does not exist", id)
	}
	return func(pg ceph.PG) bool { return id < 0 || pg.Pool == id }, nil
}

func cmdPGLs(c *call) error {
	in, err := c.inPool()
	if err != nil {
		return err
	}
	return c.listPGs(func(pg ceph.PG, _ *msg.PGStat) bool { return in(pg) })
}

func cmdPGLsByPool(c *call) error {
	name, _ := c.str("poolstr")
	id, ok := poolByName(c.st.OSD, name)
	if !ok {
		return fail(ceph.ENOENT, "pool %s does not exist", name)
	}
	return c.listPGs(func(pg ceph.PG, _ *msg.PGStat) bool { return pg.Pool == id })
}

// upOSD reads the argument osd, one that is up.
func (c *call) upOSD() (int32, error) {
	s, _ := c.str("osd")
	id, err := osdID(s)
	if err == nil && !c.st.OSD.IsUp(id) {
		err = fail(ceph.EAGAIN, "osd %d is not up", id)
	}
	return id, err
}

func cmdPGLsByPrimary(c *call) error {
	id, err := c.upOSD()
	if err != nil {
		return err
	}
	in, err := c.inPool()
	if err != nil {
		return err
	}
	return c.listPGs(func(pg ceph.PG, s *msg.PGStat) bool { return in(pg) && s.ActingPrimary == id })
}

func cmdPGLsByOSD(c *call) error {
	id, err := c.upOSD()
	if err != nil {
		return err
	}
	in, err := c.inPool()
	if err != nil {
		return err
	}
	return c.listPGs(func(pg ceph.PG, s *msg.PGStat) bool {
		return in(pg) && (slices.Contains(s.Acting, id) || slices.Contains(s.Up, id))
	})
}

// stuck tells whether a PG has been so for too long.
func stuck(what string, s *msg.PGStat) (bool, ceph.Time) {
	switch what {
	case "inactive":
		return !active(s.State), s.LastActive
	case "unclean":
		return s.State&msg.PGClean == 0, s.LastClean
	case "stale":
		return s.State&msg.PGStale != 0, s.LastUnstale
	case "undersized":
		return s.State&msg.PGUndersized != 0, s.LastFullsized
	default:
		return s.State&msg.PGDegraded != 0, s.LastUndegraded
	}
}

func cmdPGStuck(c *call) error {
	kinds := c.strs("stuckops")
	if len(kinds) == 0 {
		kinds = []string{"unclean"}
	}
	before := c.m.cfg.Now().Unix() - c.num("threshold", 60)
	sum := c.m.stats.summary(c.st.OSD)
	list := []pgJSON{}
	t := columns(left("PG_STAT", "STATE"), right("UP", "UP_PRIMARY", "ACTING", "ACTING_PRIMARY"))
	for _, id := range slices.SortedFunc(maps.Keys(sum.PGs), ceph.PG.Compare) {
		s := sum.PGs[id]
		if slices.ContainsFunc(kinds, func(k string) bool { is, since := stuck(k, &s); return is && int64(since.Sec) < before }) {
			list = append(list, newPG(id, s))
			t.row(id.String(), stateName(s.State), osds(s.Up), fmt.Sprint(s.UpPrimary), osds(s.Acting), fmt.Sprint(s.ActingPrimary))
		}
	}
	c.text = "ok"
	return c.print(struct {
		Ready bool     `json:"pg_ready"`
		PGs   []pgJSON `json:"stuck_pg_stats"`
	}{true, list}, func() string {
		if len(list) == 0 {
			return ""
		}
		return t.String()
	})
}

func cmdPGMap(c *call) error {
	pg, err := c.pgid()
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
	return c.print(struct {
		Epoch  ceph.Epoch `json:"epoch"`
		Raw    string     `json:"raw_pgid"`
		PG     string     `json:"pgid"`
		Up     []int32    `json:"up"`
		Acting []int32    `json:"acting"`
	}{c.st.OSD.Epoch, pg.String(), pg.String(), list(at.Up), list(at.Acting)}, func() string {
		return fmt.Sprintf("osdmap e%d pg %v (%v) -> up %s acting %s\n", c.st.OSD.Epoch, pg, pg, osds(at.Up), osds(at.Acting))
	})
}

func cmdPGDebug(c *call) error {
	op, _ := c.str("debugop")
	sum := c.m.stats.summary(c.st.OSD)
	yes := sum.Sum.Unfound > 0
	if op == "degraded_pgs_exist" {
		yes = slices.ContainsFunc(slices.Collect(maps.Keys(sum.States)), func(s msg.PGState) bool { return s&msg.PGDegraded != 0 })
	}
	c.out = []byte(word(yes, "TRUE", "FALSE") + "\n")
	return nil
}

// cmdPGGetMap refuses: the map is in RAM, and nobody else reads its encoding.
func cmdPGGetMap(*call) error {
	return fail(ceph.EOPNOTSUPP, "statistics of PGs are not kept as a map: use pg dump")
}
