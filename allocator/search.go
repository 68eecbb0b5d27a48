package allocator

import (
	"errors"
	"fmt"
)

// grain is the unit of a search: what is counted, and what is given out.
type grain uint8

const (
	byBlock grain = iota
	byStripe
)

// grid is a zone seen in units of a grain. Unit u is the blocks
// [offset + u*size, offset + (u+1)*size) of the zone.
type grid struct {
	taken  []uint64 // 1: not wholly free
	limit  uint32   // units
	offset uint32   // blocks
	size   uint32   // blocks
	div    divisor  // by size
	bound  uint32   // no run of free units is longer than this
}

// from returns the first unit at or after block pos.
func (g *grid) from(pos uint32) uint32 {
	if pos <= g.offset {
		return 0
	}
	return uint32(g.div.quo(uint64(pos-g.offset) + uint64(g.size) - 1))
}

// amount returns how many free units of a grain zone i has.
func (a *Allocator) amount(i int, g grain) uint32 {
	if g == byStripe {
		return a.zones[i].freeStripes
	}
	return a.zones[i].free
}

// run takes one run of least to most units: near hint, else behind the cursor,
// else in the zone pick names, else, if everywhere, in any zone.
func (a *Allocator) run(class Class, g grain, least, most uint32, hint uint64, everywhere bool) (Extent, error) {
	if hint != 0 {
		i := a.ZoneOf(hint)
		if e, ok := a.runIn(class, i, g, uint32(hint-a.zoneStart(i)), least, most); ok {
			return e, nil
		}
	}
	c := &a.cursors[class]
	if e, ok := a.runIn(class, c.zone, g, c.pos, least, most); ok {
		return e, nil
	}
	clear(a.tried)
	i := a.pick(class, g, least)
	if i >= 0 {
		if _, err := a.ensure(i); err != nil {
			return Extent{}, err
		}
		if e, ok := a.runIn(class, i, g, 0, least, most); ok {
			return e, nil
		}
	}
	if everywhere {
		return a.runAnywhere(class, g, least, most)
	}
	return Extent{}, ErrNoSpace
}

// runAnywhere takes one run from the first zone that has it, loaded zones first.
func (a *Allocator) runAnywhere(class Class, g grain, least, most uint32) (Extent, error) {
	for i := range a.zones {
		if e, ok := a.runIn(class, i, g, 0, least, most); ok {
			return e, nil
		}
	}
	for i := range a.zones {
		if a.loadedBody(i) != nil || a.amount(i, g) < least && !(g == byStripe && a.inexact(i)) {
			continue
		}
		if _, err := a.ensure(i); err != nil {
			return Extent{}, err
		}
		if e, ok := a.runIn(class, i, g, 0, least, most); ok {
			return e, nil
		}
	}
	return Extent{}, fmt.Errorf("allocate a run of %v, %d blocks and %d stripes free: %w", class, a.free, a.freeStripes, ErrNoSpace)
}

// runIn takes the first run of least to most units that begins at or after
// block pos of zone i, if that is loaded and has one; zone -1 has none.
func (a *Allocator) runIn(class Class, i int, g grain, pos, least, most uint32) (Extent, bool) {
	if i < 0 {
		return Extent{}, false
	}
	b := a.loadedBody(i)
	if b == nil || b.grids[g].bound < least {
		return Extent{}, false
	}
	gr := &b.grids[g]
	lo, n := findClear(gr.taken, gr.from(pos), gr.limit, least, most)
	if n == 0 {
		if pos == 0 {
			gr.bound = least - 1
		}
		return Extent{}, false
	}
	return a.takeUnits(class, i, b, g, lo, n), true
}

// smallBlocks is from where on a request is large: 1 MiB, which a device takes at
// full speed.
const smallBlocks = 256

// small reports whether n units of data go to the first place that holds them. What
// lies low then stays full of small pieces, and long runs are left for large ones;
// next fit would cut all of them up. On hard geometry there is a cleaner for that.
func (a *Allocator) small(class Class, g grain, n uint32) bool {
	return class == Big && g == byStripe && !a.cfg.Hard && n*a.cfg.StripeBlocks < smallBlocks
}

// allocUnits appends extents of exactly n units to buf, one run if there is
// one where run looks first, else the longest runs of all loaded zones first.
// On an error nothing is taken and buf is returned as it was.
func (a *Allocator) allocUnits(class Class, g grain, n uint32, hint uint64, buf []Extent) ([]Extent, error) {
	if g == byStripe && uint64(n) > a.freeStripes {
		return buf, a.missingStripes(class, n)
	}
	if hint == 0 && a.small(class, g, n) {
		for i := range a.zones {
			if a.othersZone(class, i) {
				continue
			}
			if e, ok := a.runIn(class, i, g, 0, n, n); ok {
				return append(buf, e), nil
			}
		}
	}
	e, err := a.run(class, g, n, n, hint, false)
	if err == nil {
		return append(buf, e), nil
	}
	if !isNoSpace(err) {
		return buf, err
	}
	out, need := buf, n
	for least := n; need > 0 && least > 0; least /= 2 {
		for i := 0; i < len(a.zones) && need > 0; i++ {
			b := a.loadedBody(i)
			if b == nil && a.zones[i].free == a.zoneBlocks(i) {
				b, _ = a.ensure(i) // reads nothing
			}
			if b != nil && b.grids[g].bound >= min(least, need) {
				need, out = a.gather(class, i, b, g, least, need, out, len(buf))
			}
		}
	}
	clear(a.tried)
	for need > 0 {
		i := a.pick(class, g, 1)
		if i < 0 {
			err = fmt.Errorf("%d units missing that the zones count: %w", need, ErrCorrupt)
			break
		}
		var b *zoneBody
		if b, err = a.ensure(i); err != nil {
			break
		}
		setBits(a.tried, uint32(i), 1)
		for least := min(need, b.grids[g].bound); least > 0 && need > 0; least = min(least/2, b.grids[g].bound) {
			need, out = a.gather(class, i, b, g, least, need, out, len(buf))
		}
	}
	if need == 0 {
		return out, nil
	}
	for _, e := range out[len(buf):] {
		a.release(e)
	}
	return buf, err
}

// missingStripes returns the error for n stripes that are not known to be free:
// the first zone whose count may be too low, or ErrNoSpace.
func (a *Allocator) missingStripes(class Class, n uint32) error {
	for i := range a.zones {
		if a.inexact(i) {
			return NeedZone{i}
		}
	}
	return a.noSpace(class, int(n*a.cfg.StripeBlocks))
}

// inexact reports whether zone i may have more free stripes than are counted.
func (a *Allocator) inexact(i int) bool {
	b := a.zones[i].body
	return b != nil && b.bits == nil && (b.released.count != 0 || b.marked.count != 0 || b.grown)
}

// gather takes runs of least to need units from loaded zone i, in address order, and
// returns what is still needed. Extents of out before base are not touched.
func (a *Allocator) gather(class Class, i int, b *zoneBody, g grain, least, need uint32, out []Extent, base int) (uint32, []Extent) {
	gr := &b.grids[g]
	for pos := uint32(0); need > 0; {
		lo, n := findClear(gr.taken, pos, gr.limit, min(least, need), need)
		if n == 0 {
			gr.bound = min(gr.bound, least-1)
			break
		}
		e := a.takeUnits(class, i, b, g, lo, n)
		pos, need = lo+n, need-n
		if k := len(out); k > base && out[k-1].End() == e.Start {
			out[k-1].Blocks += e.Blocks
		} else {
			out = append(out, e)
		}
	}
	return need, out
}

// pick returns the zone in which class shall search next, among those not
// tried with at least least free units: for META the lowest with an eighth of
// it free, else the one with most that is no other class's, else the one with
// most, else -1.
func (a *Allocator) pick(class Class, g grain, least uint32) int {
	best, own := -1, -1
	for i := range a.zones {
		n := a.amount(i, g)
		if n < least || n == 0 || a.tried[i/64]>>(i%64)&1 != 0 {
			continue
		}
		if class == Meta && uint64(n)*8 >= uint64(a.whole(i, g)) {
			return i
		}
		if best < 0 || n > a.amount(best, g) {
			best = i
		}
		if (own < 0 || n > a.amount(own, g)) && !a.othersZone(class, i) {
			own = i
		}
	}
	if own >= 0 {
		return own
	}
	return best
}

// whole returns how many units zone i has.
func (a *Allocator) whole(i int, g grain) uint32 {
	if g == byStripe {
		return a.zoneStripes(i)
	}
	return a.zoneBlocks(i)
}

// othersZone reports whether another class is filling zone i.
func (a *Allocator) othersZone(class Class, i int) bool {
	for c := range a.cursors {
		if Class(c) != class && a.cursors[c].zone == i {
			return true
		}
	}
	return false
}

func isNoSpace(err error) bool { return errors.Is(err, ErrNoSpace) }
