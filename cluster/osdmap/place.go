package osdmap

import (
	"errors"
	"fmt"
	"math/bits"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
)

// ErrNoPool is wrapped when a PG or an object is of a pool that is not there.
var ErrNoPool = errors.New("no such pool")

// NoOSD is the primary of a PG that has none.
const NoOSD = -1

// Placer finds where objects and PGs of one map are. The map must not be changed
// while it is used; any number of goroutines may use it, each with its own Work.
type Placer struct {
	m      *Map
	mapper *crush.Mapper
}

// Work is the memory of a placement, for one goroutine. The zero value is ready.
type Work struct {
	crush           crush.Work
	raw, up, acting []int32
}

// Placement is where a PG is. Lists of erasure coded pools have crush.None where
// a shard has no OSD; primaries may be NoOSD. The lists belong to the Work and are
// good until its next placement.
type Placement struct {
	Up            []int32
	UpPrimary     int32
	Acting        []int32
	ActingPrimary int32
}

// NewPlacer prepares m.
func NewPlacer(m *Map) (*Placer, error) {
	c, err := crush.Decode(m.Crush)
	if err != nil {
		return nil, fmt.Errorf("place with map %d: %w", m.Epoch, err)
	}
	mapper, err := crush.NewMapper(c)
	if err != nil {
		return nil, fmt.Errorf("place with map %d: %w", m.Epoch, err)
	}
	return &Placer{m, mapper}, nil
}

// stableMod is x modulo n in such a way that a growing n splits each part in two
// and moves nothing else.
func stableMod(x, n uint32) uint32 {
	if n == 0 {
		return 0
	}
	mask := uint32(1)<<bits.Len32(n-1) - 1
	if x&mask < n {
		return x & mask
	}
	return x & (mask >> 1)
}

// separator stands between namespace and name in what is hashed.
const separator = 0x1f

// Hash returns the placement hash of an object of the pool; ok is false if the
// pool's hash is unknown.
func (p *Pool) Hash(name string, at ceph.Locator) (hash uint32, ok bool) {
	if at.Hash >= 0 {
		return uint32(at.Hash), true
	}
	if at.Key != "" {
		name = at.Key
	}
	text := make([]byte, 0, 128)
	if at.Namespace != "" {
		text = append(append(text, at.Namespace...), separator)
	}
	return p.ObjectHash.Sum(append(text, name...))
}

// PG returns the seed of the PG that holds objects of that hash.
func (p *Pool) PG(hash uint32) uint32 { return stableMod(hash, p.PGNum) }

// input returns what CRUSH maps for objects of that hash in the pool id.
func (p *Pool) input(hash uint32, id ceph.PoolID) uint32 {
	seed := stableMod(hash, p.PGPNum)
	if p.Flags&PoolHashPSPool != 0 {
		return crush.Hash2(seed, uint32(id))
	}
	return seed + uint32(id)
}

// Object returns the PG of an object and its whole hash.
func (m *Map) Object(name string, at ceph.Locator) (pg ceph.PG, hash uint32, err error) {
	p := m.Pools[at.Pool]
	if p == nil {
		return pg, 0, fmt.Errorf("pool %d: %w", at.Pool, ErrNoPool)
	}
	hash, ok := p.Hash(name, at)
	if !ok {
		return pg, 0, fmt.Errorf("pool %d: unknown object hash %d", at.Pool, p.ObjectHash)
	}
	return ceph.PG{Pool: at.Pool, Seed: p.PG(hash)}, hash, nil
}

// Place returns where a PG is. The seed may be a whole hash.
func (p *Placer) Place(w *Work, pg ceph.PG) (Placement, error) {
	pool := p.m.Pools[pg.Pool]
	if pool == nil {
		return Placement{UpPrimary: NoOSD, ActingPrimary: NoOSD}, fmt.Errorf("PG %s: %w", pg, ErrNoPool)
	}
	x := pool.input(pg.Seed, pg.Pool)
	pg.Seed = pool.PG(pg.Seed)
	w.raw = p.raw(w, pool, pg.Pool, x)
	w.raw = p.upmap(w.raw, pg)
	w.up = p.keep(w.up[:0], w.raw, pool, p.m.IsUp)
	r := Placement{Up: w.up, UpPrimary: p.primary(w.up, pool, x)}
	w.acting = p.keep(w.acting[:0], p.m.PGTemp[pg], pool, p.m.IsUp)
	r.Acting, r.ActingPrimary = w.acting, first(w.acting)
	if len(w.acting) == 0 {
		r.Acting, r.ActingPrimary = r.Up, r.UpPrimary
	}
	if osd, ok := p.m.PrimaryTemp[pg]; ok {
		r.ActingPrimary = osd
	}
	return r, nil
}

// raw returns what CRUSH says, less OSDs that do not exist.
func (p *Placer) raw(w *Work, pool *Pool, id ceph.PoolID, x uint32) []int32 {
	rule, ok := p.mapper.FindRule(pool.CrushRule, pool.Type, int(pool.Size))
	if !ok {
		return w.raw[:0]
	}
	r := p.mapper.Map(&w.crush, crush.Request{Rule: rule, X: x, Size: int(pool.Size), Reweights: p.m.Weights, Args: p.mapper.Args(int64(id))})
	return p.keep(w.raw[:0], r.Devices, pool, p.m.Exists)
}

// keep appends those of osds that are ok. Others leave a gap in erasure coded pools.
func (p *Placer) keep(to, osds []int32, pool *Pool, ok func(int32) bool) []int32 {
	for _, osd := range osds {
		switch {
		case ok(osd):
			to = append(to, osd)
		case pool.IsErasure():
			to = append(to, crush.None)
		}
	}
	return to
}

func first(osds []int32) int32 {
	for _, osd := range osds {
		if osd != crush.None {
			return osd
		}
	}
	return NoOSD
}

// out reports whether the OSD is one that holds nothing.
func (p *Placer) out(osd int32) bool {
	return osd >= 0 && int(osd) < len(p.m.Weights) && p.m.Weights[osd] == 0
}

// upmap makes the exceptions for pg. One that leads to an OSD that is out is
// ignored; a whole list that does ends it.
func (p *Placer) upmap(raw []int32, pg ceph.PG) []int32 {
	if osds, ok := p.m.Upmap[pg]; ok {
		for _, osd := range osds {
			if p.out(osd) {
				return raw
			}
		}
		raw = append(raw[:0], osds...)
	}
	for _, r := range p.m.UpmapItems[pg] {
		if p.out(r.To) {
			continue
		}
		at, there := -1, false
		for i, osd := range raw {
			if osd == r.To {
				there = true
				break
			}
			if osd == r.From && at < 0 {
				at = i
			}
		}
		if !there && at >= 0 {
			raw[at] = r.To
		}
	}
	return raw
}

// primary returns the primary of an up set: the first OSD, but one of low affinity
// is passed over for some inputs. In replicated pools it is moved to the front.
func (p *Placer) primary(up []int32, pool *Pool, x uint32) int32 {
	if len(p.m.Affinity) == 0 {
		return first(up)
	}
	at, passed, low := -1, -1, false
	for i, osd := range up {
		if osd == crush.None {
			continue
		}
		affinity := uint32(DefaultAffinity)
		if int(osd) < len(p.m.Affinity) {
			affinity = p.m.Affinity[osd]
		}
		low = low || affinity != DefaultAffinity
		if affinity < DefaultAffinity && crush.Hash2(x, uint32(osd))>>16 >= affinity {
			if passed < 0 {
				passed = i
			}
			continue
		}
		if at < 0 {
			at = i
		}
	}
	if at < 0 {
		at = passed
	}
	if !low || at < 0 {
		return first(up)
	}
	osd := up[at]
	if !pool.IsErasure() {
		copy(up[1:at+1], up[:at])
		up[0] = osd
	}
	return osd
}
