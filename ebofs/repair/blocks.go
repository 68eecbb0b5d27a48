package repair

import (
	"math/bits"

	"ebofs/ebofs/layout"
)

// blockSet is a set of blocks of the zones, one bit each. The zero set is empty and
// grows with addLazy only.
type blockSet struct {
	first uint64
	words []uint64
}

func newBlockSet(p *layout.Placement) blockSet {
	return blockSet{p.ZoneStart, make([]uint64, (p.ZoneEnd-p.ZoneStart+63)/64)}
}

func (s *blockSet) has(b uint64) bool {
	i := (b - s.first) / 64
	return i < uint64(len(s.words)) && s.words[i]>>((b-s.first)%64)&1 != 0
}

// add adds [b, b+n) and reports whether none of them was in the set.
func (s *blockSet) add(b, n uint64) (fresh bool) {
	fresh = true
	for i := b - s.first; n > 0; {
		sh := i % 64
		k := min(n, 64-sh)
		mask := ^uint64(0) >> (64 - k) << sh
		w := &s.words[i/64]
		fresh = fresh && *w&mask == 0
		*w |= mask
		i, n = i+k, n-k
	}
	return fresh
}

// addLazy adds b and takes the memory for a set when it is first called.
func (s *blockSet) addLazy(p *layout.Placement, b uint64) {
	if s.words == nil {
		*s = newBlockSet(p)
	}
	s.add(b, 1)
}

// any reports whether one of [b, b+n) is in the set.
func (s *blockSet) any(b, n uint64) bool {
	for i := b; i < b+n; i++ {
		if s.has(i) {
			return true
		}
	}
	return false
}

// zone returns the words of zone z, bit 0 being its first block.
func (s *blockSet) zone(p *layout.Placement, z uint32) []uint64 {
	start, n := p.Zone(z)
	w := make([]uint64, (n+63)/64)
	for i := range uint64(n) {
		if b := start + i; s.has(b) {
			w[i/64] |= 1 << (i % 64)
		}
	}
	return w
}

func countBits(w []uint64) uint32 {
	n := 0
	for _, x := range w {
		n += bits.OnesCount64(x)
	}
	return uint32(n)
}

// idSet is a set of object ids.
type idSet map[uint64]*[64]uint64

// add reports whether id is new.
func (s idSet) add(id uint64) bool {
	p := s[id>>12]
	if p == nil {
		p = new([64]uint64)
		s[id>>12] = p
	}
	w, bit := &p[id>>6&63], uint64(1)<<(id&63)
	fresh := *w&bit == 0
	*w |= bit
	return fresh
}
