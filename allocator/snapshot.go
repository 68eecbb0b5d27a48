package allocator

import (
	"fmt"
	"slices"
)

// Bitmap copies the bitmap of a loaded zone to dst, 1 = used or in limbo,
// 0 behind the end; dst is grown as needed. A zone without a used block counts
// as loaded; any other that is not answers NeedZone.
func (a *Allocator) Bitmap(zone int, dst []uint64) ([]uint64, error) {
	b, err := a.ensure(zone)
	if err != nil {
		return dst, err
	}
	dst = append(dst[:0], b.bits...)
	if tail := b.blocks % 64; tail != 0 {
		dst[len(dst)-1] &^= allOnes << tail
	}
	return dst, nil
}

// Snapshot is the bitmap the checkpoint of epoch writes for a zone, and its
// summary: Bitmap without the limbo of epochs up to epoch and without the
// blocks of except, which is sorted and names what is used now but not in that
// epoch's bitmaps: extents given out for later epochs, and blocks the root
// record names itself.
//
// The caller promises to make the bitmap durable with epoch; once Durable said
// so, and if the zone did not change since, it may be evicted (I6).
func (a *Allocator) Snapshot(zone int, epoch uint64, dst []uint64, except []Extent) ([]uint64, ZoneSummary, error) {
	dst, err := a.Bitmap(zone, dst)
	if err != nil {
		return dst, ZoneSummary{}, err
	}
	b := a.zones[zone].body
	all := true // the bitmap says what RAM does
	for _, l := range b.lists {
		if l.epoch > epoch {
			all = false
			continue
		}
		for _, r := range l.runs {
			lo, n := unpackRun(r)
			clearBits(dst, lo, n)
		}
	}
	here := a.ZoneExtent(zone)
	k, _ := slices.BinarySearchFunc(except, here.Start, func(e Extent, start uint64) int {
		if e.End() <= start {
			return -1
		}
		return 1
	})
	for ; k < len(except) && except[k].Start < here.End(); k++ {
		lo, end := max(except[k].Start, here.Start), min(except[k].End(), here.End())
		clearBits(dst, uint32(lo-here.Start), uint32(end-lo))
		all = false
	}
	if all {
		b.clean, b.epoch = b.version, epoch
	}
	return dst, a.summarize(b, dst), nil
}

// summarize counts a bitmap of the zone of b.
func (a *Allocator) summarize(b *zoneBody, bits []uint64) ZoneSummary {
	s := ZoneSummary{Free: b.blocks - countBits(bits, 0, b.blocks)}
	for i := range b.stripes {
		if allClear(bits, a.lead+i*a.cfg.StripeBlocks, a.cfg.StripeBlocks) {
			s.FreeStripes++
		}
	}
	return s
}

// Changed appends the zones whose durable bitmap is not what RAM says, in
// order; a checkpoint takes a Snapshot of each (or logs their changes).
func (a *Allocator) Changed(dst []int) []int {
	for i := range a.zones {
		if b := a.zones[i].body; b != nil && b.clean != b.version {
			dst = append(dst, i)
		}
	}
	return dst
}

// evictable reports whether a durable bitmap says all that RAM does.
func (a *Allocator) evictable(b *zoneBody) bool {
	return b != nil && b.bits != nil && b.clean == b.version && b.epoch <= a.durable
}

// Evict drops the bitmap of a zone. It is ErrBusy if a durable snapshot does
// not say all of it, which includes zones that are not loaded.
func (a *Allocator) Evict(zone int) error {
	if zone < 0 || zone >= len(a.zones) || !a.evictable(a.zones[zone].body) {
		return fmt.Errorf("evict zone %d: %w", zone, ErrBusy)
	}
	a.zones[zone].body = nil
	a.loaded--
	for c := range a.cursors {
		if a.cursors[c].zone == zone {
			a.cursors[c].zone = -1
		}
	}
	return nil
}

// Victim names a zone to evict, or -1 while no more than MaxResidentZones are
// loaded or none may go. A zone used since the last pass gets a second chance;
// a zone a class is filling stays.
func (a *Allocator) Victim() int {
	if a.loaded <= a.cfg.MaxResidentZones {
		return -1
	}
	for range 2 * len(a.zones) {
		i := a.hand
		a.hand = (a.hand + 1) % len(a.zones)
		b := a.zones[i].body
		if !a.evictable(b) || a.othersZone(classes, i) {
			continue
		}
		if b.ref {
			b.ref = false
			continue
		}
		return i
	}
	return -1
}

// LoadedZones returns the number of zones whose bitmap is in RAM.
func (a *Allocator) LoadedZones() int { return a.loaded }
