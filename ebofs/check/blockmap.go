package check

import (
	"math/bits"
	"sync/atomic"

	"ebofs/ebofs/layout"
)

// blockMap is what is known of the blocks of some zones: claimed by an owner,
// claimed twice, used according to the bitmaps. Claims may come from several
// goroutines. Each zone begins on a word of its own.
type blockMap struct {
	place *layout.Placement
	first uint32 // zones [first, end)
	end   uint32
	words int // per zone

	claimed, twice, used []uint64

	counts []uint32 // extents that map a block which may be shared; nil: none are
}

// zonesFor returns how many zones a map of so many bytes covers, at least one;
// with counts it takes ten times as much.
func zonesFor(place *layout.Placement, bytes int64, counts bool) uint32 {
	per := int64(place.ZoneBlocks+63) / 64 * 8 * 3
	if counts {
		per += 4 * int64(place.ZoneBlocks)
	}
	return uint32(max(1, min(int64(place.Zones), bytes/per)))
}

func newBlockMap(place *layout.Placement, zones uint32, counts bool) *blockMap {
	m := &blockMap{place: place, words: int(place.ZoneBlocks+63) / 64}
	n := m.words * int(zones)
	m.claimed, m.twice, m.used = make([]uint64, n), make([]uint64, n), make([]uint64, n)
	if counts {
		m.counts = make([]uint32, uint64(zones)*uint64(place.ZoneBlocks))
	}
	return m
}

// window empties the map and moves it to zones from first on.
func (m *blockMap) window(first uint32) {
	clear(m.claimed)
	clear(m.twice)
	clear(m.used)
	clear(m.counts)
	m.first, m.end = first, min(first+uint32(len(m.claimed)/m.words), m.place.Zones)
}

// each calls fn for the words [b, b+n) covers inside the window: the index of the
// word, the bits of it, and the block of its bit 0.
func (m *blockMap) each(b, n uint64, fn func(word int, mask uint64, base uint64)) {
	for n > 0 {
		z, _ := m.place.ZoneOf(b)
		start, zoneLen := m.place.Zone(z)
		at := b - start
		k := min(n, uint64(zoneLen)-at)
		if z >= m.first && z < m.end {
			w := int(z-m.first) * m.words
			for rest := k; rest > 0; {
				sh := at % 64
				c := min(rest, 64-sh)
				mask := ^uint64(0) >> (64 - c) << sh
				fn(w+int(at/64), mask, start+at-sh)
				at, rest = at+c, rest-c
			}
		}
		b, n = b+k, n-k
	}
}

// claim marks n blocks from b, all inside zones, and calls dup for those that were
// claimed before.
func (m *blockMap) claim(b, n uint64, dup func(block uint64)) {
	m.each(b, n, func(w int, mask, base uint64) {
		if again := atomic.OrUint64(&m.claimed[w], mask) & mask; again != 0 {
			atomic.OrUint64(&m.twice[w], again)
			for ; again != 0; again &= again - 1 {
				dup(base + uint64(bits.TrailingZeros64(again)))
			}
		}
	})
}

// set and clear change the used bits; one goroutine.
func (m *blockMap) set(b, n uint64) {
	m.each(b, n, func(w int, mask, _ uint64) { m.used[w] |= mask })
}

func (m *blockMap) clear(b, n uint64) {
	m.each(b, n, func(w int, mask, _ uint64) { m.used[w] &^= mask })
}

// zone returns the words of zone z, which is in the window.
func (m *blockMap) zone(list []uint64, z uint32) []uint64 {
	i := int(z-m.first) * m.words
	return list[i : i+m.words]
}

// runs calls fn for every maximal run of set bits, as blocks of the device.
func (m *blockMap) runs(z uint32, words []uint64, fn func(b, n uint64)) {
	start, _ := m.place.Zone(z)
	var from, n uint64
	for i, w := range words {
		for ; w != 0; w &= w - 1 {
			b := start + uint64(i*64+bits.TrailingZeros64(w))
			if n > 0 && b == from+n {
				n++
				continue
			}
			if n > 0 {
				fn(from, n)
			}
			from, n = b, 1
		}
	}
	if n > 0 {
		fn(from, n)
	}
}

// count returns the number of set bits.
func count(words []uint64) uint64 {
	n := 0
	for _, w := range words {
		n += bits.OnesCount64(w)
	}
	return uint64(n)
}
