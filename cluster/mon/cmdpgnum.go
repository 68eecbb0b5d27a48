package mon

import (
	"strconv"

	"ebofs/cluster/ceph"
	"ebofs/cluster/osdmap"
)

// setPGNum raises the number of PGs of a pool: each that becomes too large is split
// by its OSD, where it is. As nothing is copied between OSDs, no PG may move: the
// number by which PGs are placed follows only if none does.
func (c *call) setPGNum(ch *Change, id ceph.PoolID, val string) error {
	p := ch.Pool(id)
	n, err := strconv.ParseUint(val, 10, 32)
	switch {
	case err != nil:
		return fail(ceph.EINVAL, "error parsing integer value '%s'", val)
	case uint32(n) == p.PGNum:
		return nil
	case p.Flags&osdmap.PoolNoPGChange != 0:
		return fail(ceph.EPERM, "pool pg_num change is disabled; you must unset nopgchange flag for the pool first")
	case n == 0 || n > maxPGs:
		return fail(ceph.ERANGE, "'pg_num' must be greater than 0 and less than or equal to %d", maxPGs)
	case uint32(n) < p.PGNum:
		return fail(ceph.EOPNOTSUPP, "pg_num of a pool cannot be lowered from %d to %d: merging PGs is not offered in this release", p.PGNum, n)
	case p.Flags&osdmap.PoolCreating != 0:
		return fail(ceph.EBUSY, "pool is still being created: its PGs have to exist before they can be split")
	}
	follows := p.PGPNum == p.PGNum
	p.PGNum, p.PGNumTarget, p.PGNumPending = uint32(n), uint32(n), uint32(n)
	if !follows {
		return nil
	}
	p.PGPNum, p.PGPNumTarget = uint32(n), uint32(n)
	moved, err := ch.moved(id)
	if err == nil && moved > 0 {
		p.PGPNum, p.PGPNumTarget = ch.State.OSD.Pools[id].PGPNum, ch.State.OSD.Pools[id].PGPNum
	}
	return err
}

// setPGPNum changes the number by which PGs are placed, if that moves none.
func (c *call) setPGPNum(ch *Change, id ceph.PoolID, val string) error {
	p := ch.Pool(id)
	n, err := strconv.ParseUint(val, 10, 32)
	switch {
	case err != nil:
		return fail(ceph.EINVAL, "error parsing integer value '%s'", val)
	case p.Flags&osdmap.PoolNoPGChange != 0:
		return fail(ceph.EPERM, "pool pgp_num change is disabled; you must unset nopgchange flag for the pool first")
	case n == 0:
		return fail(ceph.EINVAL, "specified pgp_num must > 0, but you set to 0")
	case uint32(n) > p.PGNum:
		return fail(ceph.EINVAL, "specified pgp_num %d > pg_num %d", n, p.PGNum)
	}
	p.PGPNum, p.PGPNumTarget = uint32(n), uint32(n)
	moved, err := ch.moved(id)
	if err == nil && moved > 0 {
		return fail(ceph.EOPNOTSUPP, "pgp_num %d would move %d PGs to other OSDs, and nothing is copied between OSDs in this release", n, moved)
	}
	return err
}

// moved returns how many PGs of a pool the change places elsewhere than their
// objects are.
func (c *Change) moved(id ceph.PoolID) (n int, err error) {
	next, err := c.State.OSD.Next(c.Inc())
	if err != nil {
		return 0, err
	}
	now, err := osdmap.NewPlacer(c.State.OSD)
	if err != nil {
		return 0, err
	}
	then, err := osdmap.NewPlacer(next)
	if err != nil {
		return 0, err
	}
	var a, b osdmap.Work
	for seed := range next.Pools[id].PGNum {
		was, err := now.Place(&a, ceph.PG{Pool: id, Seed: seed}) // a part is where the PG is that it is split off
		if err != nil {
			return n, err
		}
		is, err := then.Place(&b, ceph.PG{Pool: id, Seed: seed})
		if err != nil {
			return n, err
		}
		if was.ActingPrimary != is.ActingPrimary {
			n++
		}
	}
	return n, nil
}
