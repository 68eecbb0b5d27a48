package allocator

import (
	"fmt"

	"ebofs/internal/planted"
)

// zone is what is always in RAM of a zone, 16 bytes.
type zone struct {
	free        uint32 // blocks, without limbo
	freeStripes uint32 // of a zone that is not loaded: at least so many (I5)
	body        *zoneBody
}

// zoneBody is the rest, there while the zone is loaded or RAM knows something
// the device does not. All positions are relative to the zone.
//
//	not loaded: bits == nil; marked, released = changes the bitmap lacks
//	loaded:     bits != nil; marked, released are empty
type zoneBody struct {
	blocks  uint32
	stripes uint32
	// The blocks from stripeStart to stripeEnd are in stripes, the rest are edges.
	stripeStart, stripeEnd uint32

	bits       []uint64 // 1 = used or in limbo; 1 behind the end
	stripeUsed []uint16 // used and limbo blocks of each stripe
	broken     []uint64 // 1 = stripe not wholly free
	grids      [2]grid  // over bits and broken

	limbo    blockSet
	lists    []epochRuns // limbo again, by ascending epoch
	marked   blockSet    // used since, in a zone that is not loaded
	released blockSet    // free since, in a zone that is not loaded

	version uint64 // changes with every change the durable bitmap must learn
	clean   uint64 // version a snapshot wrote in full, 0 if none did
	epoch   uint64 // epoch of that snapshot
	ref     bool   // used since the hand passed
	grown   bool   // not loaded, and the count of free stripes may be too low
}

// bodyOf returns the body of zone i, making one if there is none.
func (a *Allocator) bodyOf(i int) *zoneBody {
	z := &a.zones[i]
	if z.body == nil {
		n := a.zoneStripes(i)
		z.body = &zoneBody{blocks: a.zoneBlocks(i), stripes: n, stripeStart: a.lead, stripeEnd: a.lead + n*a.cfg.StripeBlocks}
	}
	return z.body
}

// Loaded reports whether the bitmap of zone is in RAM.
func (a *Allocator) Loaded(zone int) bool {
	b := a.zones[zone].body
	return b != nil && b.bits != nil
}

// loadedBody returns the body of zone i if it is loaded, else nil.
func (a *Allocator) loadedBody(i int) *zoneBody {
	if b := a.zones[i].body; b != nil && b.bits != nil {
		return b
	}
	return nil
}

// ensure returns the body of zone i, loaded. A zone without a used block is
// loaded on the spot; any other answers NeedZone.
func (a *Allocator) ensure(i int) (*zoneBody, error) {
	if b := a.loadedBody(i); b != nil {
		b.ref = true
		return b, nil
	}
	if a.zones[i].free != a.zoneBlocks(i) {
		return nil, NeedZone{i}
	}
	b := a.bodyOf(i)
	if err := a.fill(i, b, make([]uint64, wordsFor(b.blocks))); err != nil {
		return nil, err
	}
	return b, nil
}

// Load gives the allocator the bitmap of a zone, 1 = used, as read from the
// device. What was freed, marked or released since New or Evict is applied to
// it, whether or not used says so already. Blocks that are used but stand in
// no durable bitmap (those the root record names) must be set in used, unless
// MarkUsed named them since New. The result must fit the zone's counts; if not
// the zone stays unloaded and the error is ErrCorrupt. used is not retained.
func (a *Allocator) Load(zone int, used []uint64) error {
	if zone < 0 || zone >= len(a.zones) {
		return fmt.Errorf("load zone %d of %d: %w", zone, len(a.zones), ErrInvalid)
	}
	if a.Loaded(zone) {
		return fmt.Errorf("load zone %d: already loaded: %w", zone, ErrInvalid)
	}
	b := a.bodyOf(zone)
	if len(used) != wordsFor(b.blocks) {
		return fmt.Errorf("load zone %d: bitmap of %d words, want %d: %w", zone, len(used), wordsFor(b.blocks), ErrInvalid)
	}
	return a.fill(zone, b, append([]uint64(nil), used...))
}

// Lose takes a zone whose bitmap cannot be read as loaded and wholly used, but
// for what has been or will be freed there. ErrInvalid if it is loaded.
func (a *Allocator) Lose(zone int) error {
	if zone < 0 || zone >= len(a.zones) || a.Loaded(zone) {
		return fmt.Errorf("lose zone %d of %d: %w", zone, len(a.zones), ErrInvalid)
	}
	z, b := &a.zones[zone], a.bodyOf(zone)
	a.free -= uint64(z.free)
	a.freeStripes -= uint64(z.freeStripes)
	z.free, z.freeStripes = 0, 0
	b.released = blockSet{}
	used := make([]uint64, wordsFor(b.blocks))
	for i := range used {
		used[i] = allOnes
	}
	return a.fill(zone, b, used)
}

// fill makes bits the bitmap of zone i, which is not loaded.
func (a *Allocator) fill(i int, b *zoneBody, bits []uint64) error {
	z := &a.zones[i]
	changed := b.marked.count != 0 || b.released.count != 0 || b.grown
	b.released.clearIn(bits)
	b.marked.setIn(bits)
	b.limbo.setIn(bits)
	if tail := b.blocks % 64; tail != 0 {
		bits[len(bits)-1] |= allOnes << tail
	}
	if free := b.blocks - countBits(bits, 0, b.blocks); free != z.free {
		return fmt.Errorf("zone %d: bitmap has %d free blocks, want %d: %w", i, free, z.free, ErrCorrupt)
	}
	freeStripes, stripeUsed, broken := a.countStripes(b, bits)
	if freeStripes < z.freeStripes || !changed && freeStripes != z.freeStripes {
		return fmt.Errorf("zone %d: bitmap has %d free stripes, want %d: %w", i, freeStripes, z.freeStripes, ErrCorrupt)
	}
	a.freeStripes += uint64(freeStripes - z.freeStripes)
	z.freeStripes = freeStripes
	a.setBitmap(b, bits, stripeUsed, broken)
	b.marked, b.released, b.grown = blockSet{}, blockSet{}, false
	b.ref = true
	a.loaded++
	a.touch(b)
	if !changed && len(b.lists) == 0 {
		b.clean, b.epoch = b.version, a.durable
	}
	return nil
}

// countStripes returns how many stripes of the zone of b are free in bits, and what
// is used of each.
func (a *Allocator) countStripes(b *zoneBody, bits []uint64) (free uint32, used []uint16, broken []uint64) {
	used, broken = make([]uint16, b.stripes), make([]uint64, wordsFor(b.stripes))
	for s := range b.stripes {
		n := countBits(bits, a.lead+s*a.cfg.StripeBlocks, a.cfg.StripeBlocks)
		used[s] = uint16(n)
		if n == 0 {
			free++
		} else {
			setBits(broken, s, 1)
		}
	}
	return free, used, broken
}

// setBitmap makes bits, counted by countStripes, the bitmap of the zone of b.
func (a *Allocator) setBitmap(b *zoneBody, bits []uint64, used []uint16, broken []uint64) {
	b.bits, b.stripeUsed, b.broken = bits, used, broken
	b.grids[byBlock] = grid{bits, b.blocks, 0, 1, newDivisor(1), b.blocks}
	b.grids[byStripe] = grid{broken, b.stripes, a.lead, a.cfg.StripeBlocks, a.stripeDiv, b.stripes}
}

// touch notes that the durable bitmap of a zone is out of date.
func (a *Allocator) touch(b *zoneBody) {
	a.change++
	b.version = a.change
	b.ref = true
}

// setUsed takes free blocks of loaded zone i.
func (a *Allocator) setUsed(i int, b *zoneBody, lo, n uint32) {
	if !planted.On(planted.AllocTwice) {
		setBits(b.bits, lo, n)
	}
	a.touch(b)
	z := &a.zones[i]
	z.free -= n
	a.free -= uint64(n)
	for lo, n = b.clip(lo, n); n > 0; {
		s, part := a.stripeAt(lo, n)
		if b.stripeUsed[s] == 0 {
			if !planted.On(planted.AllocStripes) {
				b.broken[s/64] |= 1 << (s % 64)
			}
			z.freeStripes--
			a.freeStripes--
		}
		b.stripeUsed[s] += uint16(part)
		lo, n = lo+part, n-part
	}
}

// setFree gives used blocks of loaded zone i back.
func (a *Allocator) setFree(i int, b *zoneBody, lo, n uint32) {
	clearBits(b.bits, lo, n)
	b.grids[byBlock].bound = b.blocks
	z := &a.zones[i]
	z.free += n
	a.free += uint64(n)
	for lo, n = b.clip(lo, n); n > 0; {
		s, part := a.stripeAt(lo, n)
		b.stripeUsed[s] -= uint16(part)
		if b.stripeUsed[s] == 0 {
			b.broken[s/64] &^= 1 << (s % 64)
			b.grids[byStripe].bound = b.stripes
			z.freeStripes++
			a.freeStripes++
		}
		lo, n = lo+part, n-part
	}
}

// stripeAt returns the stripe of a zone block lo lies in, and how many of the
// n blocks from lo on do.
func (a *Allocator) stripeAt(lo, n uint32) (s, part uint32) {
	lo -= a.lead
	s = uint32(a.stripeDiv.quo(uint64(lo)))
	return s, min(n, (s+1)*a.cfg.StripeBlocks-lo)
}

// clip returns the part of a range that lies in stripes, not in edges.
func (b *zoneBody) clip(lo, n uint32) (uint32, uint32) {
	from, to := max(lo, b.stripeStart), min(lo+n, b.stripeEnd)
	if from >= to {
		return 0, 0
	}
	return from, to - from
}
