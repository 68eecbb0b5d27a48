package crush

import "slices"

// verdict is how one descent ended.
type verdict uint8

const (
	taken    verdict = iota
	rejected         // nothing usable there; another round may find something
	hopeless         // the map leads nowhere from there
)

// indep fills slots positions, each independently of the others: what cannot be
// found leaves None in its place and moves nothing else.
func (c *chooser) indep(b *node, slots int) {
	w := c.w
	for range slots {
		c.add(undefined, None)
	}
	left := slots
	if item, ok := w.forced(b, c.typ); ok {
		c.put(0, item, w.forcedDevice())
		left--
	}
	for round := int32(0); left > 0 && round < c.tries && w.draws >= 0; round++ {
		for slot := range slots {
			if w.out[c.base+slot] != undefined {
				continue
			}
			d := descent{c: c, typ: c.typ, slot: uint32(slot), round: uint32(round), chosen: w.out[c.base:], leaf: c.leaf}
			switch item, leaf, v := d.run(b); v {
			case taken:
				c.put(slot, item, leaf)
				left--
			case hopeless:
				c.put(slot, None, None)
				left--
			}
		}
	}
	for slot := range slots {
		if w.out[c.base+slot] == undefined {
			c.put(slot, None, None)
		}
	}
}

func (c *chooser) put(slot int, item, leaf int32) {
	c.w.out[c.base+slot] = item
	if c.leaf {
		c.w.leaves[c.base+slot] = leaf
	}
}

// descent is one try of one slot.
type descent struct {
	c                   *chooser
	typ                 int32
	slot, parent, round uint32
	position            int
	chosen              []int32
	leaf                bool
}

func (d descent) run(in *node) (item, leaf int32, v verdict) {
	c, w := d.c, d.c.w
	for w.spend() && len(in.items) > 0 {
		// In a permutation a stride of the number of slots would meet the same
		// items again where it divides their number.
		stride := uint32(c.want)
		if in.alg == Uniform && len(in.items)%c.want == 0 {
			stride++
		}
		r := d.slot + d.parent + d.round*stride
		item = in.choose(w.req.Args, w.req.X, r, d.position)
		typ, known := w.p.typeOf(item)
		if !known {
			return 0, 0, hopeless
		}
		if typ != d.typ {
			if in = w.p.bucket(item); in == nil {
				return 0, 0, hopeless
			}
			continue
		}
		if slices.Contains(d.chosen, item) {
			return 0, 0, rejected
		}
		leaf = item
		if d.leaf && item < 0 {
			if leaf, v = d.below(item, r); v != taken {
				return 0, 0, rejected
			}
		}
		if d.typ == 0 && w.isOut(item) {
			return 0, 0, rejected
		}
		return item, leaf, taken
	}
	return 0, 0, rejected
}

// below looks for a device in a bucket that was chosen.
func (d descent) below(item int32, r uint32) (leaf int32, v verdict) {
	v = rejected
	for round := int32(0); v == rejected && round < d.c.leafTries && d.c.w.draws >= 0; round++ {
		next := descent{c: d.c, slot: d.slot, parent: r, round: uint32(round), position: int(d.slot)}
		leaf, _, v = next.run(d.c.w.p.bucket(item))
	}
	return leaf, v
}
