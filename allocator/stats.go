package allocator

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"ebofs/internal/planted"
)

// FreeRuns is a histogram of free runs, which end at zone boundaries. Runs of
// 2^k to 2^(k+1)-1 blocks are counted in element k.
type FreeRuns struct {
	Runs   [32]uint64 // number of runs
	Blocks [32]uint64 // blocks in them
	// UnknownZones and UnknownBlocks are zones with used blocks that are not
	// loaded, and the free blocks in them.
	UnknownZones  int
	UnknownBlocks uint64
}

// Histogram counts the free runs of the zones that are known.
func (a *Allocator) Histogram() FreeRuns {
	var h FreeRuns
	h.UnknownZones, h.UnknownBlocks = a.eachRun(h.Add)
	return h
}

// Add counts a run.
func (h *FreeRuns) Add(r Extent) {
	k := bits.Len64(r.Blocks) - 1
	h.Runs[k]++
	h.Blocks[k] += r.Blocks
}

// LargestFree returns the length in blocks of the longest free run known.
func (a *Allocator) LargestFree() uint64 {
	var most uint64
	a.eachRun(func(r Extent) { most = max(most, r.Blocks) })
	return most
}

// RunsOf appends the free runs of a zone in order. A zone without a used block
// counts as loaded; any other that is not answers NeedZone. What is in limbo is not
// free.
func (a *Allocator) RunsOf(zone int, dst []Extent) ([]Extent, error) {
	b := a.loadedBody(zone)
	switch {
	case b != nil:
		words := b.bits
		if planted.On(planted.TrimLimbo) {
			words = slices.Clone(words)
			b.limbo.clearIn(words)
		}
		for lo, n := findClear(words, 0, b.blocks, 1, b.blocks); n > 0; lo, n = findClear(words, lo+n, b.blocks, 1, b.blocks) {
			dst = append(dst, a.extent(zone, lo, n))
		}
	case a.zones[zone].free == a.zoneBlocks(zone):
		dst = append(dst, a.ZoneExtent(zone))
	default:
		return dst, NeedZone{zone}
	}
	return dst, nil
}

// eachRun calls fn for each free run in order and returns the zones it could
// not look into and their free blocks.
func (a *Allocator) eachRun(fn func(Extent)) (unknown int, blocks uint64) {
	for i := range a.zones {
		z := &a.zones[i]
		b := a.loadedBody(i)
		switch {
		case b != nil:
			for lo, n := findClear(b.bits, 0, b.blocks, 1, b.blocks); n > 0; lo, n = findClear(b.bits, lo+n, b.blocks, 1, b.blocks) {
				fn(a.extent(i, lo, n))
			}
		case z.free == a.zoneBlocks(i):
			fn(a.ZoneExtent(i))
		default:
			unknown++
			blocks += uint64(z.free)
		}
	}
	return unknown, blocks
}

// Score says how scattered free space is: 1 - (free blocks in whole free
// stripes / free blocks). 0 is best, also when nothing is free.
func (a *Allocator) Score() float64 {
	if a.free == 0 {
		return 0
	}
	return 1 - float64(a.freeStripes)*float64(a.cfg.StripeBlocks)/float64(a.free)
}

// Check recounts everything and returns the first contradiction, as ErrCorrupt.
func (a *Allocator) Check() error {
	var free, limbo, freeStripes uint64
	var loaded int
	listed := map[uint64]int{}
	for i := range a.zones {
		z := &a.zones[i]
		free += uint64(z.free)
		freeStripes += uint64(z.freeStripes)
		if z.body == nil {
			continue
		}
		if z.body.bits != nil {
			loaded++
		}
		limbo += uint64(z.body.limbo.count)
		if err := a.checkZone(i, z.body, listed); err != nil {
			return fmt.Errorf("zone %d: %w", i, err)
		}
	}
	for _, g := range a.groups {
		if len(g.zones) != listed[g.epoch] || g.epoch <= a.durable {
			return fmt.Errorf("limbo of epoch %d in %d zones, want %d; durable %d: %w",
				g.epoch, len(g.zones), listed[g.epoch], a.durable, ErrCorrupt)
		}
		delete(listed, g.epoch)
	}
	if free != a.free || limbo != a.limbo || freeStripes != a.freeStripes || loaded != a.loaded || len(listed) != 0 {
		return fmt.Errorf("free %d limbo %d stripes %d loaded %d, want %d %d %d %d; %d epochs without group: %w",
			a.free, a.limbo, a.freeStripes, a.loaded, free, limbo, freeStripes, loaded, len(listed), ErrCorrupt)
	}
	return nil
}

// checkZone recounts one zone and notes in listed of which epochs it has limbo.
func (a *Allocator) checkZone(i int, b *zoneBody, listed map[uint64]int) error {
	z := &a.zones[i]
	limbo := make([]uint64, wordsFor(b.blocks))
	for _, l := range b.lists {
		for _, r := range l.runs {
			lo, n := unpackRun(r)
			if !allClear(limbo, lo, n) {
				return fmt.Errorf("%v is in limbo twice: %w", a.extent(i, lo, n), ErrCorrupt)
			}
			setBits(limbo, lo, n)
		}
		listed[l.epoch]++
	}
	n := countBits(limbo, 0, b.blocks)
	b.limbo.clearIn(limbo)
	if left := countBits(limbo, 0, b.blocks); n != b.limbo.count || left != 0 {
		return fmt.Errorf("limbo of %d blocks, lists have %d, %d elsewhere: %w", b.limbo.count, n, left, ErrCorrupt)
	}
	if b.bits == nil {
		if z.free+b.limbo.count > b.blocks {
			return fmt.Errorf("%d free and %d limbo of %d: %w", z.free, b.limbo.count, b.blocks, ErrCorrupt)
		}
		return nil
	}
	if s := a.summarize(b, b.bits); s != (ZoneSummary{z.free, z.freeStripes}) {
		return fmt.Errorf("free %d stripes %d, want %d %d: %w", z.free, z.freeStripes, s.Free, s.FreeStripes, ErrCorrupt)
	}
	b.limbo.setIn(limbo)
	for w := range limbo {
		if limbo[w]&^b.bits[w] != 0 {
			return fmt.Errorf("limbo at word %d is not in the bitmap: %w", w, ErrCorrupt)
		}
	}
	for g := range b.grids {
		gr := &b.grids[g]
		if lo, n := findClear(gr.taken, 0, gr.limit, gr.bound+1, max(gr.bound+1, gr.limit)); n > 0 {
			return fmt.Errorf("run bound %d of grain %d, %d~%d is free: %w", gr.bound, g, lo, n, ErrCorrupt)
		}
	}
	for s := range b.stripes {
		n := countBits(b.bits, a.lead+s*a.cfg.StripeBlocks, a.cfg.StripeBlocks)
		if uint32(b.stripeUsed[s]) != n || allClear(b.broken, s, 1) != (n == 0) {
			return fmt.Errorf("stripe %d has %d used blocks, want %d: %w", s, b.stripeUsed[s], n, ErrCorrupt)
		}
	}
	return nil
}

// String lists free space, limbo by epoch and what is not loaded, for scripts.
func (a *Allocator) String() string {
	var sb strings.Builder
	var free []Extent
	a.eachRun(func(r Extent) { free = appendExtent(free, r) })
	fmt.Fprintf(&sb, "free   %v\n", free)
	for _, g := range a.groups {
		fmt.Fprintf(&sb, "limbo  %v of epoch %d\n", a.limboOf(g), g.epoch)
	}
	for i := range a.zones {
		if z := &a.zones[i]; a.loadedBody(i) == nil && z.free != a.zoneBlocks(i) {
			fmt.Fprintf(&sb, "zone %d not loaded, %d blocks and %d stripes free\n", i, z.free, z.freeStripes)
		}
	}
	return sb.String()
}

// Stripe is a stripe in part in use.
type Stripe struct {
	Start uint64 // block
	Used  uint32 // blocks used or in limbo
}

// SparseIn appends the stripes of a zone that are neither free nor full, by address.
// A zone that has none by its summary need not be loaded; any other that is not
// answers NeedZone.
func (a *Allocator) SparseIn(zone int, dst []Stripe) ([]Stripe, error) {
	size := a.cfg.StripeBlocks
	z := &a.zones[zone]
	b := a.loadedBody(zone)
	if b == nil {
		if z.free <= z.freeStripes*size {
			return dst, nil
		}
		return dst, NeedZone{zone}
	}
	for s, n := range b.stripeUsed {
		if n > 0 && uint32(n) < size {
			dst = append(dst, Stripe{a.zoneStart(zone) + uint64(a.lead) + uint64(s)*uint64(size), uint32(n)})
		}
	}
	return dst, nil
}

// Sparse returns up to most stripes that are neither free nor full, those with
// the fewest blocks in use first, by address among equals. Zones that are not
// loaded are left out; skip, if not nil, says of a stripe's first block that it is
// not wanted.
func (a *Allocator) Sparse(most int, skip func(start uint64) bool) []Stripe {
	size := a.cfg.StripeBlocks
	counts := make([]int, size)
	for i := range a.zones {
		if b := a.loadedBody(i); b != nil {
			for _, n := range b.stripeUsed {
				if n > 0 && uint32(n) < size {
					counts[n]++
				}
			}
		}
	}
	limit, sum := uint32(0), 0
	for limit+1 < size && sum < 2*most { // some will be skipped
		limit++
		sum += counts[limit]
	}
	var out []Stripe
	for i := range a.zones {
		b := a.loadedBody(i)
		if b == nil {
			continue
		}
		for s, n := range b.stripeUsed {
			if n == 0 || uint32(n) > limit {
				continue
			}
			start := a.zoneStart(i) + uint64(a.lead) + uint64(s)*uint64(size)
			if skip == nil || !skip(start) {
				out = append(out, Stripe{start, uint32(n)})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Stripe) int { return int(a.Used) - int(b.Used) })
	return out[:min(most, len(out))]
}
