package layout

import (
	"errors"
	"fmt"
)

// ErrNoGain is returned for a device that did not become larger by enough to be
// worth a grow.
var ErrNoGain = errors.New("nothing to gain")

// Grow lays the same store out for a device of more blocks. Nothing moves: zones
// keep their size and number, the last one becomes longer, others follow. The label
// gets the copies that now fit, the superblocks get new slots near the new end, and
// what was the tail area becomes space of zones.
//
// It returns ErrInvalid for a smaller size and for one that would need more zones
// than a checkpoint writes well, ErrNoGain if the new tail area would lie within the
// old one or leave no room for the new zone table (TableSpace).
func (p *Placement) Grow(blocks uint64) (Placement, error) {
	n := *p
	switch {
	case blocks < p.Blocks:
		return n, fmt.Errorf("%d bytes, the store has %d and does not shrink: %w", blocks*BlockSize, p.Blocks*BlockSize, ErrInvalid)
	case p.Zones == 0:
		return n, fmt.Errorf("a log device does not grow: %w", ErrInvalid)
	case blocks > MaxBlock:
		return n, fmt.Errorf("device of %d blocks, at most %d: %w", blocks, uint64(MaxBlock), ErrInvalid)
	}
	n.Blocks, n.Labels, n.Slots = blocks, LabelBlocks(blocks), SlotBlocks(blocks)
	n.TailStart = n.alignDown(blocks - tailBlocks)
	s := uint64(n.StripeBlocks)
	n.ZoneEnd = max(p.ZoneEnd, n.ZoneStart+(n.TailStart-n.ZoneStart)/s*s)
	zones := (n.ZoneEnd - n.ZoneStart + uint64(n.ZoneBlocks) - 1) / uint64(n.ZoneBlocks)
	if most := n.mostZones(); zones > max(most, uint64(p.Zones)) {
		return n, fmt.Errorf("%d zones of %d bytes, at most %d: the store was made for a smaller device; grow it to %d bytes, or copy it: %w",
			zones, uint64(n.ZoneBlocks)*BlockSize, most, (n.ZoneStart+most*uint64(n.ZoneBlocks)+tailBlocks)*BlockSize, ErrInvalid)
	}
	n.Zones = uint32(zones)
	n.setSlack(p.HardStripes, p.SlackPercent)
	if _, ok := n.TableSpace(p.Blocks); !ok || n.Slots[2] < p.Blocks {
		return n, fmt.Errorf("the device is only %d bytes larger than the store: %w", (blocks-p.Blocks)*BlockSize, ErrNoGain)
	}
	return n, nil
}

// mostZones is how many zones a store may grow to: its zone table, which lies in one
// piece, takes an eighth of a zone at most.
func (p *Placement) mostZones() uint64 {
	table := max(uint64(p.ZoneBlocks)/8, 1) * BlockSize
	return min((table-HeaderBytes-zoneTableFixed)/ZoneEntryBytes, MaxZones)
}

// TableSpace returns where the zone table fits behind block from, at the beginning
// of a stripe, in one zone and beside what is Fixed: the table of a grown store must
// not take blocks the store had before, of which there may be none.
func (p *Placement) TableSpace(from uint64) (e Extent, ok bool) {
	t := ZoneTable{Zones: make([]ZoneEntry, p.Zones)}
	blocks, s := uint64(t.Blocks()), uint64(p.StripeBlocks)
	n := (blocks + s - 1) / s * s // nothing else is in its stripes
	for at := p.alignUp(from); at+n <= p.ZoneEnd; {
		next := at
		z, _ := p.ZoneOf(at)
		if start, size := p.Zone(z); at+n > start+uint64(size) {
			next = start + uint64(size)
		}
		for _, f := range p.Fixed() {
			if b := f.Addr.Block(); next < b+f.Blocks && b < next+n {
				next = p.alignUp(b + f.Blocks)
			}
		}
		if next == at {
			return Extent{MakeAddr(0, at), blocks}, true
		}
		at = next
	}
	return Extent{}, false
}
