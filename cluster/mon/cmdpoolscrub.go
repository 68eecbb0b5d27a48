package mon

import (
	"fmt"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
)

func init() {
	for _, k := range scrubKinds {
		want := msg.OSDScrub2{Deep: k.deep, Repair: k.repair}
		add("osd", "rw", "osd pool "+k.name+" who:CephPoolname…", k.help+" all PGs of pools", func(c *call) error { return c.scrubPools(want) })
	}
	for _, f := range forces {
		add("pg", "rw", "pg "+f.name+" pgid:CephPgid…", f.help+" of PGs before those of others", func(c *call) error { return c.force(f, c.strs("pgid")) })
		add("pg", "rw", "pg cancel-"+f.name+" pgid:CephPgid…", f.help+" of PGs in their turn again", func(c *call) error { return c.unforce(f, c.strs("pgid")) })
		add("osd", "rw", "osd pool "+f.name+" who:CephPoolname…", f.help+" of pools before that of others", func(c *call) error { return c.ofPools(func(pgs []string) error { return c.force(f, pgs) }) })
		add("osd", "rw", "osd pool cancel-"+f.name+" who:CephPoolname…", f.help+" of pools in its turn again", func(c *call) error { return c.ofPools(func(pgs []string) error { return c.unforce(f, pgs) }) })
	}
}

// pools reads the argument who.
func (c *call) pools() (ids []ceph.PoolID, err error) {
	for _, name := range c.strs("who") {
		id, ok := poolByName(c.st.OSD, name)
		if !ok {
			return nil, fail(ceph.ENOENT, "unrecognized pool '%s'", name)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// scrubPools has the primaries of all PGs of pools scrub them.
func (c *call) scrubPools(want msg.OSDScrub2) error {
	ids, err := c.pools()
	if err != nil {
		return err
	}
	primaries, err := primaryOf(c.st.OSD)
	if err != nil {
		return err
	}
	byOSD := map[int32][]ceph.PG{}
	for pg, osd := range primaries {
		if slices.Contains(ids, pg.Pool) {
			byOSD[osd] = append(byOSD[osd], pg)
		}
	}
	for osd, list := range byOSD {
		slices.SortFunc(list, ceph.PG.Compare)
		if !c.m.sendScrub(c.st, osd, want, list) {
			return fail(ceph.EAGAIN, "osd.%d is not currently connected", osd)
		}
	}
	return nil
}

// forces are what can be asked to be done first.
var forces = []forced{
	{"force-recovery", "recovery", "recover", "doesn't require recovery", "recovery not forced", msg.PGDegraded, msg.PGForcedRecovery},
	{"force-backfill", "backfill", "backfill", "doesn't require backfilling", "backfill not forced", msg.PGDegraded | msg.PGBackfilling | msg.PGBackfillWait, msg.PGForcedBackfill},
}

type forced struct {
	name, help, verb string
	no, not          string // of a PG that does not need it, that is not forced
	need, is         msg.PGState
}

// force is refused where it would mean anything: OSDs have no order to change.
func (c *call) force(f forced, pgs []string) error {
	return c.forcing(pgs, func(pg ceph.PG, s msg.PGState) (string, error) {
		if s&f.need == 0 {
			return fmt.Sprintf("pg %v %s; ", pg, f.no), nil
		}
		return "", fail(ceph.EOPNOTSUPP, "pg %v: OSDs %s PGs in an order of their own in this release", pg, f.verb)
	})
}

func (c *call) unforce(f forced, pgs []string) error {
	return c.forcing(pgs, func(pg ceph.PG, s msg.PGState) (string, error) {
		if s&f.is == 0 {
			return fmt.Sprintf("pg %v %s; ", pg, f.not), nil
		}
		return "", fail(ceph.EOPNOTSUPP, "pg %v: OSDs %s PGs in an order of their own in this release", pg, f.verb)
	})
}

func (c *call) forcing(pgs []string, f func(ceph.PG, msg.PGState) (string, error)) error {
	sum := c.m.stats.summary(c.st.OSD)
	var b strings.Builder
	for _, s := range pgs {
		pg, err := c.pgNamed(s)
		if err != nil {
			return err
		}
		text, err := f(pg, sum.PGs[pg].State)
		if err != nil {
			return err
		}
		b.WriteString(text)
	}
	c.text = b.String()
	return nil
}

// ofPools calls f with the PGs of the pools that are named.
func (c *call) ofPools(f func(pgs []string) error) error {
	ids, err := c.pools()
	if err != nil {
		return err
	}
	var pgs []string
	for _, id := range ids {
		for seed := range c.st.OSD.Pools[id].PGNum {
			pgs = append(pgs, ceph.PG{Pool: id, Seed: seed}.String())
		}
	}
	return f(pgs)
}
