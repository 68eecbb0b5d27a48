package layout

import (
	"fmt"
)

const (
	// MinDeviceBytes is the smallest main device: head, tail, a log of 4 MiB and
	// 16 zones of at least 1 MiB, with a little air.
	MinDeviceBytes = 32 << 20
	// MinLogDeviceBytes is the smallest device that holds nothing but a log.
	MinLogDeviceBytes = 16 << 20

	// headBlocks (5 MiB) and tailBlocks (4 MiB) are the areas that hold superblock
	// slots and nothing else. Partition tools and accidents write up to 2 MiB at
	// either end; the slots keep 3 MiB away from both.
	headBlocks = 5 << 20 / BlockSize
	tailBlocks = 4 << 20 / BlockSize

	minRingBytes     = 4 << 20
	defaultRingFloor = 64 << 20
	defaultRingCeil  = 4 << 30

	targetZoneBytes = 1 << 30
	minZoneBytes    = 1 << 20
	minZones        = 16 // by default
	leastZones      = 8  // with wide stripes or on request: room for both classes to move
	// MaxZoneBlocks bounds a zone at 16 GiB, so that its bitmap is at most 512 KiB.
	MaxZoneBlocks = 1 << 22
	// MaxStripeBytes bounds what is filled as a whole; wider than RAID sets in use.
	MaxStripeBytes = 64 << 20
)

// PlanOptions is what mkfs decides about a device. Zero fields mean the default.
type PlanOptions struct {
	StripeBytes uint32 // filled as a whole; a multiple of 4 KiB; default 64 KiB
	AlignBytes  uint64 // offset of the first stripe boundary; a multiple of 4 KiB; taken modulo the stripe
	Hard        bool   // partial stripes cost a read-modify-write: none is written
	Slack       uint8  // percent of the zones never reported as free; default 8 if Hard, else 1
	LogBytes    uint64 // size of the log; default device/32 within 64 MiB..4 GiB, at most device/8, at least 4 MiB
	ExternalLog bool   // the log lives on another device: no ring here
	ZoneBytes   uint64 // target size of a zone; default 1 GiB, and at least 16 zones
}

// Placement says where everything lies on one device. All numbers are blocks.
// Zones are equal spans from ZoneStart on; the last may be shorter. Blocks inside
// zones that are not theirs to give (label copies, a ring that had to move behind
// one) are named by Fixed and count as used for ever.
type Placement struct {
	Blocks    uint64    // size of the device
	Labels    []uint64  // label and its copies, ascending; Labels[0] is 0
	Slots     [4]uint64 // superblock slots H0, H1, Z0, Z1
	HeadEnd   uint64    // end of the head area
	TailStart uint64    // start of the tail area

	StripeBlocks uint32
	AlignBlocks  uint64 // first stripe boundary, < StripeBlocks

	RingStart, RingBlocks uint64 // WAL ring; RingBlocks 0: no ring on this device

	ZoneStart  uint64 // first block of zone 0
	ZoneBlocks uint32 // size of every zone but possibly the last; 0: no zones (log device)
	Zones      uint32
	ZoneEnd    uint64 // end of the last zone

	HardStripes  bool   // stripes are never written in part
	SlackPercent uint8  // of the zones
	SlackBlocks  uint64 // never reported as free
}

// SlotBlocks returns the superblock slots H0, H1, Z0, Z1 of a device of so many
// blocks: 3 and 4 MiB from its start, 4 and 3 MiB from its end. Generation g is
// written to H(g%2) and Z(g%2).
func SlotBlocks(deviceBlocks uint64) [4]uint64 {
	const mib = 1 << 20 / BlockSize
	if deviceBlocks < 10*mib {
		return [4]uint64{3 * mib, 4 * mib, 3 * mib, 4 * mib}
	}
	return [4]uint64{3 * mib, 4 * mib, deviceBlocks - 4*mib, deviceBlocks - 3*mib}
}

// LabelBlocks returns where the label and its copies lie on a device of so many
// blocks: block 0, and 3 MiB behind 1, 10, 100 and 1000 GiB as far as the device
// reaches beyond the tail area.
func LabelBlocks(deviceBlocks uint64) []uint64 {
	const gib, mib = 1 << 30 / BlockSize, 1 << 20 / BlockSize
	at := []uint64{0}
	for _, g := range [...]uint64{1, 10, 100, 1000} {
		if b := g*gib + 3*mib; b+1+2*tailBlocks <= deviceBlocks {
			at = append(at, b)
		}
	}
	return at
}

// SlotsOf returns the two slots (near the start, near the end) generation gen is
// written to.
func (p *Placement) SlotsOf(gen uint64) (head, tail uint64) {
	return p.Slots[gen%2], p.Slots[2+gen%2]
}

// Plan lays out a main device of deviceBlocks blocks. It returns ErrTooSmall,
// naming the size and the minimum, or ErrInvalid for options that contradict each
// other or the device.
func Plan(deviceBlocks uint64, o PlanOptions) (Placement, error) {
	p, err := planAreas(deviceBlocks, &o, MinDeviceBytes)
	if err != nil {
		return Placement{}, err
	}
	if err := p.planRing(&o); err != nil {
		return Placement{}, err
	}
	if err := p.planZones(&o); err != nil {
		return Placement{}, err
	}
	return p, nil
}

// PlanLog lays out a device that holds nothing but the log. The ring is the
// largest span between label copies, or LogBytes of it.
func PlanLog(deviceBlocks uint64, o PlanOptions) (Placement, error) {
	p, err := planAreas(deviceBlocks, &o, MinLogDeviceBytes)
	if err != nil {
		return Placement{}, err
	}
	var best Extent
	for _, g := range p.gaps() {
		if g.Blocks > best.Blocks {
			best = g
		}
	}
	if want := o.LogBytes / BlockSize; want > 0 {
		if want < minRingBytes/BlockSize || want > best.Blocks {
			return Placement{}, fmt.Errorf("log of %d bytes: not within %d..%d: %w", o.LogBytes, minRingBytes, best.Blocks*BlockSize, ErrInvalid)
		}
		best.Blocks = want
	}
	p.RingStart, p.RingBlocks = best.Addr.Block(), p.stripesDown(best.Blocks)
	return p, nil
}

// planAreas validates what both kinds of device share and places labels, slots,
// head and tail area.
func planAreas(blocks uint64, o *PlanOptions, min uint64) (Placement, error) {
	if blocks < min/BlockSize {
		return Placement{}, fmt.Errorf("%d bytes, need at least %d: %w", blocks*BlockSize, min, ErrTooSmall)
	}
	if blocks > MaxBlock {
		return Placement{}, fmt.Errorf("device of %d blocks, at most %d: %w", blocks, uint64(MaxBlock), ErrInvalid)
	}
	if o.StripeBytes == 0 {
		o.StripeBytes = 64 << 10
	}
	if o.StripeBytes%BlockSize != 0 || o.StripeBytes > MaxStripeBytes {
		return Placement{}, fmt.Errorf("stripe of %d bytes: not a multiple of %d up to %d: %w", o.StripeBytes, BlockSize, MaxStripeBytes, ErrInvalid)
	}
	if o.AlignBytes%BlockSize != 0 {
		return Placement{}, fmt.Errorf("alignment %d: not a multiple of %d: %w", o.AlignBytes, BlockSize, ErrInvalid)
	}
	p := Placement{
		Blocks:       blocks,
		Labels:       LabelBlocks(blocks),
		Slots:        SlotBlocks(blocks),
		StripeBlocks: o.StripeBytes / BlockSize,
	}
	p.AlignBlocks = o.AlignBytes / BlockSize % uint64(p.StripeBlocks)
	least := (headBlocks + tailBlocks + minRingBytes/BlockSize) + 4*uint64(p.StripeBlocks)
	if blocks < least {
		return Placement{}, fmt.Errorf("%d bytes, need at least %d for stripes of %d: %w", blocks*BlockSize, least*BlockSize, o.StripeBytes, ErrTooSmall)
	}
	p.HeadEnd = p.alignUp(headBlocks)
	p.TailStart = p.alignDown(blocks - tailBlocks)
	return p, nil
}

// alignUp and alignDown move b to a stripe boundary; alignDown needs b ≥ AlignBlocks.
func (p *Placement) alignUp(b uint64) uint64 {
	if b <= p.AlignBlocks {
		return p.AlignBlocks
	}
	s := uint64(p.StripeBlocks)
	return (b-p.AlignBlocks+s-1)/s*s + p.AlignBlocks
}

func (p *Placement) alignDown(b uint64) uint64 {
	s := uint64(p.StripeBlocks)
	return (b-p.AlignBlocks)/s*s + p.AlignBlocks
}

// stripesDown rounds a length down to whole stripes, or, if it is shorter than
// one, leaves it.
func (p *Placement) stripesDown(n uint64) uint64 {
	if s := uint64(p.StripeBlocks); n >= s {
		return n / s * s
	}
	return n
}

// gaps returns the stripe-aligned spans between head, label copies and tail.
func (p *Placement) gaps() []Extent {
	var gs []Extent
	from := p.HeadEnd
	add := func(to uint64) {
		if to > from {
			gs = append(gs, Extent{MakeAddr(0, from), to - from})
		}
	}
	for _, l := range p.Labels[1:] {
		add(p.alignDown(l))
		from = p.alignUp(l + 1)
	}
	add(p.TailStart)
	return gs
}

// planRing places the ring in the first span that is free of label copies and
// large enough. That is right behind the head area unless the ring reaches beyond
// 1 GiB.
func (p *Placement) planRing(o *PlanOptions) error {
	if o.ExternalLog {
		if o.LogBytes != 0 {
			return fmt.Errorf("log of %d bytes here and an external log: %w", o.LogBytes, ErrInvalid)
		}
		return nil
	}
	size := p.Blocks * BlockSize
	want := o.LogBytes
	if want == 0 {
		want = max(minRingBytes, min(size/8, max(defaultRingFloor, min(defaultRingCeil, size/32))))
	} else if want < minRingBytes || want > size/2 {
		return fmt.Errorf("log of %d bytes: not within %d..%d: %w", want, minRingBytes, size/2, ErrInvalid)
	}
	s := uint64(p.StripeBlocks)
	want = (want/BlockSize + s - 1) / s * s
	for _, g := range p.gaps() {
		if g.Blocks >= want {
			p.RingStart, p.RingBlocks = g.Addr.Block(), want
			return nil
		}
	}
	return fmt.Errorf("log of %d bytes does not fit between the label copies: %w", want*BlockSize, ErrInvalid)
}

// planZones divides what is left into zones.
func (p *Placement) planZones(o *PlanOptions) error {
	p.ZoneStart = p.HeadEnd
	if p.RingStart == p.ZoneStart {
		p.ZoneStart += p.RingBlocks
	}
	s := uint64(p.StripeBlocks)
	if need := leastZones * max(s, minZoneBytes/BlockSize); p.ZoneStart+need > p.TailStart {
		return fmt.Errorf("%d bytes, need at least %d for stripes of %d: %w",
			p.Blocks*BlockSize, (p.Blocks-p.TailStart+p.ZoneStart+need)*BlockSize, s*BlockSize, ErrTooSmall)
	}
	area := p.TailStart - p.ZoneStart
	target := o.ZoneBytes / BlockSize
	if target == 0 {
		target = min(targetZoneBytes/BlockSize, area/minZones)
	}
	target = max(target, minZoneBytes/BlockSize)
	n := (target + s/2) / s * s // nearest multiple
	if o.ZoneBytes == 0 && n > target && area/n < minZones {
		n = target / s * s
	}
	n = min(max(n, (minZoneBytes/BlockSize+s-1)/s*s), MaxZoneBlocks/s*s)
	p.ZoneBlocks = uint32(n)
	p.ZoneEnd = p.ZoneStart + area/s*s
	zones := (p.ZoneEnd - p.ZoneStart + n - 1) / n
	if zones < leastZones || zones > MaxZones {
		return fmt.Errorf("%d zones of %d bytes: not within %d..%d: %w", zones, n*BlockSize, leastZones, MaxZones, ErrInvalid)
	}
	p.Zones = uint32(zones)
	if o.Slack > MaxSlack {
		return fmt.Errorf("slack of %d percent, at most %d: %w", o.Slack, MaxSlack, ErrInvalid)
	}
	p.setSlack(o.Hard, o.Slack)
	return nil
}

// MaxSlack is the largest share of the zones, in percent, that may be held back.
const MaxSlack = 50

// setSlack decides what is never reported as free; percent 0 is the default.
func (p *Placement) setSlack(hard bool, percent uint8) {
	switch {
	case percent != 0:
	case hard:
		percent = 8 // filling up makes cleaning expensive
	default:
		percent = 1
	}
	p.HardStripes, p.SlackPercent = hard, percent
	p.SlackBlocks = (p.ZoneEnd - p.ZoneStart) / 100 * uint64(percent)
}

// Zone returns the first block and the length of zone z.
func (p *Placement) Zone(z uint32) (start uint64, blocks uint32) {
	start = p.ZoneStart + uint64(z)*uint64(p.ZoneBlocks)
	return start, uint32(min(uint64(p.ZoneBlocks), p.ZoneEnd-start))
}

// ZoneOf returns the zone of block b of this device; ok is false if b is in none.
func (p *Placement) ZoneOf(b uint64) (z uint32, ok bool) {
	if b < p.ZoneStart || b >= p.ZoneEnd || p.ZoneBlocks == 0 {
		return 0, false
	}
	return uint32((b - p.ZoneStart) / uint64(p.ZoneBlocks)), true
}

// Fixed returns the extents inside zones that are used for ever, ascending:
// label copies, and the ring if it lies between zones. Their device index is 0.
func (p *Placement) Fixed() []Extent {
	var f []Extent
	add := func(start, n uint64) {
		lo, hi := max(start, p.ZoneStart), min(start+n, p.ZoneEnd)
		if lo < hi {
			f = append(f, Extent{MakeAddr(0, lo), hi - lo})
		}
	}
	ring := p.RingBlocks == 0
	for _, l := range p.Labels[1:] {
		if !ring && p.RingStart < l {
			add(p.RingStart, p.RingBlocks)
			ring = true
		}
		add(l, 1)
	}
	if !ring {
		add(p.RingStart, p.RingBlocks)
	}
	return f
}
