package ebofs

import (
	"context"
	"fmt"

	"ebofs/allocator"
	"ebofs/ebofs/layout"
	"ebofs/internal/invariants"
	"ebofs/internal/planted"
)

// save brings the durable picture of the space up to date with a checkpoint
// and writes it: bitmaps of the zones that changed, the zone table, and the
// root record that names both. It returns the pointer for the superblock.
//
// The blocks it writes to are named by what it writes (own blocks), so nothing
// here changes a bitmap.
func (s *space) save(ck *checkpoint) (layout.Ref, error) {
	if err := s.book(ck); err != nil {
		return layout.Ref{}, err
	}
	take := func(blocks int) (allocator.Extent, error) {
		start, err := ck.sink.take(uint64(blocks))
		return allocator.Extent{Start: start, Blocks: uint64(blocks)}, err
	}
	self := layout.Self{FSID: s.fsid, Epoch: ck.epoch}

	// Bitmaps, encoded at once; their places are chosen on the way.
	var own []allocator.Extent
	for z := range s.zones {
		zs := &s.zones[z]
		if !zs.dirty {
			if r := zs.entry.Bitmap; !r.IsNone() {
				own = append(own, allocator.Extent{Start: r.Addr.Block(), Blocks: uint64(r.Blocks)})
			}
			continue
		}
		invariants.Check(zs.bits != nil, "zone %d is written and was not read", z)
		zs.dirty = false
		zs.entry.Flushed, zs.entry.Bitmap = ck.epoch, layout.Ref{}
		_, blocks := s.place.Zone(uint32(z))
		bm := layout.ZoneBitmap{Zone: uint32(z), Blocks: blocks, Bits: zs.bits}
		if bm.Used() == 0 {
			continue
		}
		e, err := take(bm.EncodedBlocks())
		if err != nil {
			return layout.Ref{}, fmt.Errorf("bitmap of zone %d: %w", z, err)
		}
		own = append(own, e)
		p := make([]byte, e.Blocks*blockSize)
		self.Addr = layout.MakeAddr(0, e.Start)
		if zs.entry.Bitmap, err = bm.Encode(p, self); err != nil {
			return layout.Ref{}, err
		}
		if err := ck.meta.add(e.Start, p, WriteSpace); err != nil {
			return layout.Ref{}, err
		}
	}

	table := layout.ZoneTable{Zones: make([]layout.ZoneEntry, len(s.zones))}
	tableAt, rootAt, err := s.placeRoot(ck, uint64(table.Blocks()))
	if err != nil {
		return layout.Ref{}, fmt.Errorf("zone table and root record: %w", err)
	}
	own = append(own, tableAt, rootAt)

	if err := s.recount(ck.ctx, own); err != nil {
		return layout.Ref{}, err
	}
	for z := range s.zones {
		table.Zones[z] = s.zones[z].entry
	}
	p := make([]byte, tableAt.Blocks*blockSize)
	self.Addr = layout.MakeAddr(0, tableAt.Start)
	ref, err := table.Encode(p, self)
	if err != nil {
		return layout.Ref{}, err
	}
	ck.root.ZoneTables = []layout.Ref{ref}
	q := make([]byte, rootAt.Blocks*blockSize)
	self.Addr = layout.MakeAddr(0, rootAt.Start)
	if ref, err = ck.root.Encode(q, self); err != nil {
		return layout.Ref{}, err
	}
	if err := s.writeRoot(ck, tableAt.Start, p, rootAt.Start, q); err != nil {
		return layout.Ref{}, err
	}

	// Blocks the previous checkpoint owned and this one does not.
	kept := make(map[uint64]bool, len(own))
	for _, e := range own {
		kept[e.Start] = true
	}
	for _, e := range s.own {
		if !kept[e.Start] {
			if err := s.free(e, ck.epoch); err != nil {
				return layout.Ref{}, err
			}
		}
	}
	s.load.Lock()
	s.own = own
	s.load.Unlock()
	return ref, nil
}

// placeRoot decides where zone table and root record go.
func (s *space) placeRoot(ck *checkpoint, blocks uint64) (table, root allocator.Extent, err error) {
	table.Blocks = blocks
	name := func() { // the record is as long as it will be
		ck.root.ZoneTables = []layout.Ref{{Addr: layout.MakeAddr(0, table.Start), Blocks: uint32(table.Blocks), Epoch: ck.epoch}}
		root.Blocks = uint64(ck.root.Blocks())
	}
	name()
	switch {
	case ck.relay.grows():
		// The longer table of a grown store lies in what it gains.
		e, _ := s.place.TableSpace(ck.relay.from.Blocks)
		table.Start = e.Addr.Block()
	case s.hard:
		// One behind the other, as they are written.
		table.Start, err = ck.sink.take(table.Blocks + root.Blocks)
		root.Start = table.End()
		name()
		return table, root, err
	default:
		if table.Start, err = ck.sink.take(table.Blocks); err != nil {
			return table, root, err
		}
	}
	name()
	root.Start, err = ck.sink.take(root.Blocks)
	return table, root, err
}

// writeRoot gathers zone table p and root record q for their places.
func (s *space) writeRoot(ck *checkpoint, tableAt uint64, p []byte, rootAt uint64, q []byte) error {
	if !s.hard || !ck.relay.grows() {
		if err := ck.meta.add(tableAt, p, WriteSpace); err != nil {
			return err
		}
		return ck.meta.add(rootAt, q, WriteSpace)
	}
	// The table begins a stripe of its own, see TableSpace.
	if err := ck.meta.add(rootAt, q, WriteSpace); err != nil {
		return err
	}
	if err := ck.nodePack.seal(); err != nil {
		return err
	}
	unit := int(s.place.StripeBlocks) * blockSize
	p = append(p, make([]byte, (unit-len(p)%unit)%unit)...)
	return ck.meta.add(tableAt, p, WriteSpace)
}

// book enters what the checkpoint uses and gives up into the zones' bits, and
// sends what was given up into limbo. A block used twice or freed twice is our
// own mistake, one that lies nowhere a damaged pointer with a right checksum; it
// is caught here, before anything on the device depends on it.
func (s *space) book(ck *checkpoint) error {
	mark := func(list []allocator.Extent, used bool) error {
		for _, e := range list {
			ck.turns.did(extentTime)
			err := s.inZones(e)
			if err != nil {
				return err
			}
			s.split(e, func(z int, first, n uint64) {
				if err == nil {
					err = s.ensure(ck.ctx, z)
				}
				if err != nil {
					return
				}
				zs := &s.zones[z]
				if zs.lost {
					return
				}
				set := countBits(zs.bits, first, n)
				if used && set != 0 || !used && set != n {
					err = fmt.Errorf("blocks %v: %d of %d were in use before being %s: %w", e, set, n, verb(used), ErrCorrupt)
					return
				}
				if used {
					setBits(zs.bits, first, n)
				} else {
					clearBits(zs.bits, first, n)
				}
				zs.dirty = !planted.On(planted.BookForgotten)
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := mark(ck.frees, false); err != nil {
		return err
	}
	if err := mark(ck.allocs, true); err != nil {
		return err
	}
	for _, list := range [][]allocator.Extent{ck.frees, ck.dead} {
		for _, e := range list {
			ck.turns.did(extentTime)
			if err := s.inZones(e); err != nil {
				return err
			}
			if err := s.free(e, ck.epoch); err != nil {
				return err
			}
		}
	}
	return nil
}

func verb(used bool) string {
	if used {
		return "taken"
	}
	return "freed"
}

// recount renews the summaries of all zones in which something has changed:
// their bits, or the own blocks in them.
func (s *space) recount(ctx context.Context, own []allocator.Extent) error {
	owned := make(map[int][][2]uint64) // own and fixed blocks by zone: first, length
	for _, list := range [][]allocator.Extent{own, s.fixed} {
		for _, e := range list {
			s.split(e, func(z int, first, n uint64) { owned[z] = append(owned[z], [2]uint64{first, n}) })
		}
	}
	for _, e := range s.own { // zones that lose own blocks
		s.split(e, func(z int, _, _ uint64) { owned[z] = append(owned[z], [2]uint64{}) })
	}
	for z := range s.zones {
		list, touched := owned[z]
		s.mu.Lock()
		touched = touched || s.zones[z].loaded
		s.mu.Unlock()
		if !touched {
			continue
		}
		if err := s.ensure(ctx, z); err != nil {
			return err
		}
		zs := &s.zones[z]
		if zs.lost {
			e := &zs.entry
			e.FreeBlocks, e.FreeStripes, e.Class, e.Flags = 0, 0, layout.ZoneData, e.Flags|layout.ZoneLost
			continue
		}
		used := append([]uint64(nil), zs.bits...)
		for _, r := range list {
			setBits(used, r[0], r[1])
		}
		_, blocks := s.place.Zone(uint32(z))
		zs.entry.FreeBlocks = blocks - uint32(countBits(used, 0, uint64(blocks)))
		zs.entry.FreeStripes = s.freeStripes(z, used)
		zs.entry.Class = layout.ZoneFree
		if zs.entry.FreeBlocks < blocks {
			zs.entry.Class = layout.ZoneData
		}
	}
	return nil
}

// freeStripes counts the stripes of zone z in which nothing is used; nil: nothing is
// used anywhere.
func (s *space) freeStripes(z int, used []uint64) (free uint32) {
	stripe := uint64(s.place.StripeBlocks)
	start, blocks := s.place.Zone(uint32(z))
	first := (s.place.AlignBlocks + stripe - start%stripe) % stripe
	for b := first; b+stripe <= uint64(blocks); b += stripe {
		if used == nil || countBits(used, b, stripe) == 0 {
			free++
		}
	}
	return free
}
