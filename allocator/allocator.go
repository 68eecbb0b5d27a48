package allocator

import (
	"fmt"
	"math"
	"math/bits"
)

// Config is the geometry an Allocator works in. All sizes are in blocks.
type Config struct {
	// First is the first block of zone 0.
	First uint64
	// Blocks is the number of blocks in all zones.
	Blocks uint64
	// ZoneBlocks is the size of every zone but the last: a multiple of
	// StripeBlocks, at most 2^31.
	ZoneBlocks uint32
	// StripeBlocks is the size of a stripe, at most 65535. It need not be a
	// power of two.
	StripeBlocks uint32
	// AlignBlocks is the offset of the first stripe boundary from block 0.
	AlignBlocks uint64
	// Hard says that partial stripes are never to be written: whole stripes only
	// are given out.
	Hard bool
	// MaxResidentZones is the number of loaded zones above which Victim names
	// one to evict. 0 means 256: 16 MiB at zones of 1 GiB, which is as much
	// free space as 256 GiB of writes can use up without a read.
	MaxResidentZones int
}

const defaultResidentZones = 256

// validate returns what is wrong with c, or nil.
func (c *Config) validate() error {
	switch {
	case c.Blocks == 0:
		return fmt.Errorf("allocator: no blocks: %w", ErrInvalid)
	case c.First > math.MaxUint64-c.Blocks:
		return fmt.Errorf("allocator: %d blocks behind block %d: %w", c.Blocks, c.First, ErrInvalid)
	case c.StripeBlocks == 0 || c.StripeBlocks > math.MaxUint16:
		return fmt.Errorf("allocator: stripe of %d blocks, want 1..%d: %w", c.StripeBlocks, math.MaxUint16, ErrInvalid)
	case c.ZoneBlocks == 0 || c.ZoneBlocks > 1<<31 || c.ZoneBlocks%c.StripeBlocks != 0:
		return fmt.Errorf("allocator: zone of %d blocks, want a multiple of the stripe of %d up to 2^31: %w",
			c.ZoneBlocks, c.StripeBlocks, ErrInvalid)
	case (c.Blocks-1)/uint64(c.ZoneBlocks) >= math.MaxInt32:
		return fmt.Errorf("allocator: %d blocks in zones of %d: too many zones: %w", c.Blocks, c.ZoneBlocks, ErrInvalid)
	}
	return nil
}

// ZoneSummary is what is kept of a zone that is not loaded.
type ZoneSummary struct {
	Free        uint32 // blocks
	FreeStripes uint32 // stripes without a used block
}

// Allocator is the free space of one device. See the package comment for its
// nouns and invariants. It is not safe for concurrent use.
type Allocator struct {
	cfg  Config
	lead uint32 // blocks of a zone before its first stripe

	zoneDiv, stripeDiv divisor

	zones  []zone
	loaded int
	hand   int // CLOCK hand of Victim

	// Totals over all zones.
	free, limbo  uint64
	freeStripes  uint64
	totalStripes uint64
	reserved     uint64

	groups  []limboGroup // ascending by epoch
	durable uint64       // highest epoch Durable was called with

	cursors [classes]cursor
	change  uint64   // source of zone versions
	tried   []uint64 // bitmap over zones, used within one search
}

// cursor is where the next search of a class begins.
type cursor struct {
	zone int // -1: none
	pos  uint32
}

// New returns the allocator of zones described by zones, one summary each.
// With nil every block is free.
func New(cfg Config, zones []ZoneSummary) (*Allocator, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.MaxResidentZones == 0 {
		cfg.MaxResidentZones = defaultResidentZones
	}
	n := int((cfg.Blocks-1)/uint64(cfg.ZoneBlocks)) + 1
	if zones != nil && len(zones) != n {
		return nil, fmt.Errorf("allocator: %d zone summaries for %d zones: %w", len(zones), n, ErrInvalid)
	}
	a := &Allocator{
		cfg:   cfg,
		zones: make([]zone, n),
		tried: make([]uint64, wordsFor(uint32(n))),
	}
	s := uint64(cfg.StripeBlocks)
	a.zoneDiv, a.stripeDiv = newDivisor(cfg.ZoneBlocks), newDivisor(cfg.StripeBlocks)
	a.lead = uint32((cfg.AlignBlocks%s + s - cfg.First%s) % s)
	for i := range a.zones {
		z := &a.zones[i]
		z.free, z.freeStripes = a.zoneBlocks(i), a.zoneStripes(i)
		a.totalStripes += uint64(z.freeStripes)
		if zones != nil {
			if zones[i].Free > z.free || zones[i].FreeStripes > z.freeStripes ||
				uint64(zones[i].FreeStripes)*s > uint64(zones[i].Free) ||
				zones[i].Free == z.free && zones[i].FreeStripes != z.freeStripes {
				return nil, fmt.Errorf("allocator: zone %d: %d blocks and %d stripes free of %d and %d: %w",
					i, zones[i].Free, zones[i].FreeStripes, z.free, z.freeStripes, ErrCorrupt)
			}
			z.free, z.freeStripes = zones[i].Free, zones[i].FreeStripes
		}
		a.free += uint64(z.free)
		a.freeStripes += uint64(z.freeStripes)
	}
	for c := range a.cursors {
		a.cursors[c].zone = -1
	}
	// Data shall keep off the zone metadata will go to, from the first block on.
	a.cursors[Meta].zone = a.pick(Meta, byBlock, 1)
	return a, nil
}

// zoneBlocks returns the size of zone i.
func (a *Allocator) zoneBlocks(i int) uint32 {
	return uint32(min(uint64(a.cfg.ZoneBlocks), a.cfg.Blocks-uint64(i)*uint64(a.cfg.ZoneBlocks)))
}

// zoneStripes returns the number of whole stripes in zone i.
func (a *Allocator) zoneStripes(i int) uint32 {
	n := a.zoneBlocks(i)
	if n < a.lead {
		return 0
	}
	return (n - a.lead) / a.cfg.StripeBlocks
}

// zoneStart returns the first block of zone i.
func (a *Allocator) zoneStart(i int) uint64 {
	return a.cfg.First + uint64(i)*uint64(a.cfg.ZoneBlocks)
}

// extent returns the blocks [lo, lo+n) of zone i as an extent.
func (a *Allocator) extent(i int, lo, n uint32) Extent {
	return Extent{a.zoneStart(i) + uint64(lo), uint64(n)}
}

// inZones reports whether e is a non-empty extent inside the zones.
func (a *Allocator) inZones(e Extent) bool {
	rel := e.Start - a.cfg.First // wraps below First, to more than Blocks
	return rel < a.cfg.Blocks && e.Blocks-1 < a.cfg.Blocks-rel
}

// outside returns the error for an extent that is not inZones.
func (a *Allocator) outside(what string, e Extent) error {
	return fmt.Errorf("%s: extent %v outside %d~%d: %w", what, e, a.cfg.First, a.cfg.Blocks, ErrInvalid)
}

// cut splits the part of e in its first zone off: blocks [lo, lo+n) of zone i.
func (a *Allocator) cut(e Extent) (i int, lo, n uint32, rest Extent) {
	rel := e.Start - a.cfg.First
	q := a.zoneDiv.quo(rel)
	lo = uint32(rel - q*uint64(a.cfg.ZoneBlocks))
	n = uint32(min(e.Blocks, uint64(a.cfg.ZoneBlocks-lo)))
	return int(q), lo, n, Extent{e.Start + uint64(n), e.Blocks - uint64(n)}
}

// divisor divides by a constant, by a shift if that is a power of two: a
// division is a third of what an operation costs otherwise.
type divisor struct {
	n     uint64
	shift uint8
	pow2  bool
}

func newDivisor(n uint32) divisor {
	return divisor{uint64(n), uint8(bits.TrailingZeros32(n)), n&(n-1) == 0}
}

func (d divisor) quo(x uint64) uint64 {
	if d.pow2 {
		return x >> d.shift
	}
	return x / d.n
}

// Zones returns the number of zones.
func (a *Allocator) Zones() int { return len(a.zones) }

// ZoneOf returns the zone block b lies in, or -1 if it lies in none.
func (a *Allocator) ZoneOf(b uint64) int {
	if b < a.cfg.First || b-a.cfg.First >= a.cfg.Blocks {
		return -1
	}
	return int(a.zoneDiv.quo(b - a.cfg.First))
}

// ZoneExtent returns the blocks of a zone.
func (a *Allocator) ZoneExtent(zone int) Extent { return a.extent(zone, 0, a.zoneBlocks(zone)) }

// Summary returns the counts of a zone as they are in RAM; limbo is not free.
func (a *Allocator) Summary(zone int) ZoneSummary {
	z := &a.zones[zone]
	return ZoneSummary{z.free, z.freeStripes}
}

// FreeBlocks returns the number of blocks that can be given out.
func (a *Allocator) FreeBlocks() uint64 { return a.free }

// LimboBlocks returns the number of blocks in limbo.
func (a *Allocator) LimboBlocks() uint64 { return a.limbo }

// UsedBlocks returns the number of blocks that are neither free nor in limbo.
func (a *Allocator) UsedBlocks() uint64 { return a.cfg.Blocks - a.free - a.limbo }

// FreeStripes returns the number of stripes known to be wholly free.
func (a *Allocator) FreeStripes() uint64 { return a.freeStripes }

// TotalStripes returns the number of whole stripes in all zones.
func (a *Allocator) TotalStripes() uint64 { return a.totalStripes }

// Reserve sets n free blocks aside and reports whether there were that many.
// Reservations are counts, not places: allocating does not use them up. A job
// reserves its upper bound, allocates, and gives the reservation back.
func (a *Allocator) Reserve(n uint64) bool {
	if n > a.Avail() {
		return false
	}
	a.reserved += n
	return true
}

// Unreserve gives n reserved blocks back; more than are reserved count as all.
func (a *Allocator) Unreserve(n uint64) { a.reserved -= min(n, a.reserved) }

// Reserved returns the number of reserved blocks.
func (a *Allocator) Reserved() uint64 { return a.reserved }

// Avail returns the free blocks that are not reserved.
func (a *Allocator) Avail() uint64 { return a.free - min(a.reserved, a.free) }
