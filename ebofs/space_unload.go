package ebofs

import "ebofs/allocator"

// residentZone is what a loaded zone of 1 GiB costs: both pictures of it, and what
// the allocator counts of its stripes.
const residentZone = 100 << 10

// unload drops the bitmaps of zones that nothing has used of late, as far as more are
// loaded than the budget allows. It is for the checkpointer, right after a
// checkpoint: what the bitmap on the device does not say keeps a zone. The cleaner
// reads those again that are worth a look (loadSparse).
func (s *space) unload() {
	s.load.Lock()
	defer s.load.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, z := range s.a.Unload(s.resident, s.savedLocked) {
		s.zones[z].bits, s.zones[z].loaded = nil, false
	}
}

// savedLocked returns what loadZone would make of zone z, nil if that is not
// certain. load and mu are held.
func (s *space) savedLocked(z int) []uint64 {
	zs := &s.zones[z]
	if zs.lost || zs.dirty || !zs.loaded {
		return nil
	}
	return s.withOwn(z, zs.bits)
}

// withOwn returns a copy of a bitmap of zone z with own and fixed blocks marked used.
// load is held.
func (s *space) withOwn(z int, bits []uint64) []uint64 {
	used := append([]uint64(nil), bits...)
	start, blocks := s.place.Zone(uint32(z))
	for _, list := range [][]allocator.Extent{s.own, s.fixed} {
		for _, e := range list {
			if e.Start < start+uint64(blocks) && e.Start+e.Blocks > start {
				s.split(e, func(ez int, first, n uint64) {
					if ez == z {
						setBits(used, first, n)
					}
				})
			}
		}
	}
	return used
}
