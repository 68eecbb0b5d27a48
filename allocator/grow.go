package allocator

import "fmt"

// Grow appends free blocks, so that there are blocks in all: the last zone becomes
// longer, up to Config.ZoneBlocks, and zones follow.
func (a *Allocator) Grow(blocks uint64) error {
	cfg := a.cfg
	cfg.Blocks = blocks
	if err := cfg.validate(); err != nil {
		return err
	}
	if blocks < a.cfg.Blocks {
		return fmt.Errorf("allocator: grow from %d to %d blocks: %w", a.cfg.Blocks, blocks, ErrInvalid)
	}
	last := len(a.zones) - 1
	had, stripes := a.zoneBlocks(last), a.zoneStripes(last)
	a.cfg = cfg
	a.lengthen(last, had, stripes)
	n := int((blocks-1)/uint64(cfg.ZoneBlocks)) + 1
	for i := last + 1; i < n; i++ {
		z := zone{free: a.zoneBlocks(i), freeStripes: a.zoneStripes(i)}
		a.zones = append(a.zones, z)
		a.free += uint64(z.free)
		a.freeStripes += uint64(z.freeStripes)
		a.totalStripes += uint64(z.freeStripes)
	}
	a.tried = make([]uint64, wordsFor(uint32(n)))
	return nil
}

// lengthen makes zone i, which had so many blocks and stripes, as long as the
// configuration says now.
func (a *Allocator) lengthen(i int, had, stripes uint32) {
	z, b := &a.zones[i], a.zones[i].body
	free := z.free == had
	add, addStripes := a.zoneBlocks(i)-had, a.zoneStripes(i)-stripes
	if add == 0 {
		return
	}
	z.free += add
	a.free += uint64(add)
	a.totalStripes += uint64(addStripes)
	if b != nil {
		b.blocks, b.stripes = a.zoneBlocks(i), a.zoneStripes(i)
		b.stripeEnd = a.lead + b.stripes*a.cfg.StripeBlocks
		for _, s := range []*blockSet{&b.limbo, &b.marked, &b.released} {
			if s.words != nil {
				s.words = append(s.words, make([]uint64, wordsFor(b.blocks)-len(s.words))...)
			}
		}
	}
	if b == nil || b.bits == nil {
		// A stripe that begins among the old blocks is free for sure only if they are.
		if !free && addStripes > 0 && a.lead+stripes*a.cfg.StripeBlocks < had {
			addStripes--
			a.bodyOf(i).grown = true
		}
		z.freeStripes += addStripes
		a.freeStripes += uint64(addStripes)
		return
	}
	bits := make([]uint64, wordsFor(b.blocks))
	copy(bits, b.bits)
	clearBits(bits, had, uint32(len(b.bits))*64-had) // 1 behind the end that was
	if tail := b.blocks % 64; tail != 0 {
		bits[len(bits)-1] |= allOnes << tail
	}
	n, used, broken := a.countStripes(b, bits)
	a.setBitmap(b, bits, used, broken)
	a.freeStripes += uint64(n) - uint64(z.freeStripes)
	z.freeStripes = n
	a.touch(b)
}
