package allocator

// unloadLooks bounds the zones one Unload looks at: each costs the comparison of a
// bitmap while nothing can be allocated.
const unloadLooks = 64

// Unload drops bitmaps while more than most are loaded, and returns the zones they
// were of. known returns what the caller would give Load for a zone, nil if it
// cannot. A zone goes only if its bitmap says no more than that: nothing of it is in
// limbo, set aside, or placed since. One used since the last pass gets a second
// chance, one that a class is filling stays.
func (a *Allocator) Unload(most int, known func(zone int) []uint64) (dropped []int) {
	looks := unloadLooks
	for range 2 * len(a.zones) {
		if a.loaded <= most || looks == 0 {
			break
		}
		i := a.hand
		a.hand = (a.hand + 1) % len(a.zones)
		b := a.loadedBody(i)
		switch {
		case b == nil || b.limbo.count != 0 || len(b.lists) != 0 || a.othersZone(classes, i):
			continue
		case b.ref:
			b.ref = false
			continue
		}
		looks--
		if !b.says(known(i)) {
			continue
		}
		a.zones[i].body = nil
		a.loaded--
		dropped = append(dropped, i)
	}
	return dropped
}

// says reports whether used is the bitmap of a loaded zone.
func (b *zoneBody) says(used []uint64) bool {
	if len(used) != len(b.bits) {
		return false
	}
	for i, w := range used {
		if i == len(used)-1 && b.blocks%64 != 0 {
			w |= allOnes << (b.blocks % 64)
		}
		if w != b.bits[i] {
			return false
		}
	}
	return true
}
