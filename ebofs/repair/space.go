package repair

import (
	"errors"
	"fmt"

	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// ownExtents are the blocks of root record, zone tables and bitmaps as far as they
// are known.
func (r *repairer) ownExtents() []layout.Extent {
	roots, _ := ebofs.ReadRoots(r.ctx, r.d.dev, &r.sb)
	list := roots.Own
	if !r.sb.Root.IsNone() {
		list = append(list, r.sb.Root.Extent())
	}
	for _, t := range r.root.ZoneTables {
		list = append(list, t.Extent())
	}
	for _, z := range r.tables() {
		if !z.Bitmap.IsNone() {
			list = append(list, z.Bitmap.Extent())
		}
	}
	return list
}

// tables returns what can be read of the zone tables, by zone.
func (r *repairer) tables() map[uint32]layout.ZoneEntry {
	zones := make(map[uint32]layout.ZoneEntry)
	for _, ref := range r.root.ZoneTables {
		var t *layout.ZoneTable
		if !r.inZones(ref.Addr, uint64(ref.Blocks)) {
			continue
		}
		_, err := r.d.readChecked(r.ctx, ref.Addr.Block(), int(ref.Blocks), func(p []byte) (err error) {
			t, err = layout.DecodeZoneTable(p, r.sb.FSID, ref)
			return err
		})
		if err != nil {
			continue
		}
		for i, e := range t.Zones {
			zones[t.First+uint32(i)] = e
		}
	}
	return zones
}

// loadUsed reads what the bitmaps say. A zone without a readable one counts as used:
// blocks of it are taken only if there are no others.
func (r *repairer) loadUsed() {
	zones := r.tables()
	for z := range r.place.Zones {
		start, n := r.place.Zone(z)
		e, known := zones[z]
		if known && e.Bitmap.IsNone() && e.Flags&layout.ZoneLost == 0 || r.root.ZoneTables == nil && r.o.Mode == Safe {
			continue // all free
		}
		var b *layout.ZoneBitmap
		err := errors.ErrUnsupported
		if known && e.Flags&layout.ZoneLost == 0 && r.inZones(e.Bitmap.Addr, uint64(e.Bitmap.Blocks)) {
			_, err = r.d.readChecked(r.ctx, e.Bitmap.Addr.Block(), int(e.Bitmap.Blocks), func(p []byte) (err error) {
				if b, err = layout.DecodeZoneBitmap(p, r.sb.FSID, e.Bitmap); err == nil && (b.Zone != z || b.Blocks != n) {
					err = layout.ErrMalformed
				}
				return err
			})
		}
		if err != nil {
			r.used.add(start, uint64(n))
			continue
		}
		for i := range uint64(n) {
			if b.Bits[i/64]>>(i%64)&1 != 0 {
				r.used.add(start+i, 1)
			}
		}
	}
}

// writeSpace writes bitmaps, zone table and root record to free blocks and then the
// superblocks that lead to them.
func (r *repairer) writeSpace(t *tally) error {
	place := &r.place
	self := layout.Self{FSID: r.sb.FSID, Epoch: r.sink.epoch}
	all := newBlockSet(place) // with own and fixed blocks, which stand in no bitmap
	for _, e := range r.fixed {
		all.add(e.Addr.Block(), e.Blocks)
	}
	put := func(blocks int, encode func(p []byte, self layout.Self) (layout.Ref, error)) (layout.Ref, error) {
		b, err := r.sink.take(uint64(blocks))
		if err != nil {
			return layout.Ref{}, err
		}
		all.add(b, uint64(blocks))
		p := make([]byte, blocks*layout.BlockSize)
		self.Addr = layout.MakeAddr(0, b)
		ref, err := encode(p, self)
		if err != nil {
			return ref, err
		}
		return ref, r.sink.put(b, p)
	}
	table := layout.ZoneTable{Zones: make([]layout.ZoneEntry, place.Zones)}
	for z := range place.Zones {
		_, n := place.Zone(z)
		b := layout.ZoneBitmap{Zone: z, Blocks: n, Bits: t.blocks.zone(place, z)}
		for _, e := range r.fixed { // as mkfs does
			r.markFixed(b.Bits, z, e)
		}
		if b.Used() == 0 {
			continue
		}
		ref, err := put(b.EncodedBlocks(), b.Encode)
		if err != nil {
			return fmt.Errorf("bitmap of zone %d: %w", z, err)
		}
		table.Zones[z] = layout.ZoneEntry{Flushed: r.sink.epoch, Bitmap: ref}
	}
	// Table and record count themselves among what is used.
	tableAt, err := r.sink.take(uint64(table.Blocks()))
	if err != nil {
		return fmt.Errorf("zone table: %w", err)
	}
	all.add(tableAt, uint64(table.Blocks()))
	r.root.SpaceLog, r.root.Kept = nil, nil
	r.root.ZoneTables = []layout.Ref{{Addr: layout.MakeAddr(0, tableAt), Blocks: uint32(table.Blocks()), Epoch: r.sink.epoch}}
	rootBlocks := r.root.Blocks()
	rootAt, err := r.sink.take(uint64(rootBlocks))
	if err != nil {
		return fmt.Errorf("root record: %w", err)
	}
	all.add(rootAt, uint64(rootBlocks))
	for z := range place.Zones {
		start, n := place.Zone(z)
		e := &table.Zones[z]
		used, rest := t.blocks.zone(place, z), all.zone(place, z)
		for i := range used {
			used[i] |= rest[i]
		}
		e.FreeBlocks = n - countBits(used)
		e.FreeStripes = freeStripes(place, start, n, used)
		if e.Class = layout.ZoneFree; e.FreeBlocks < n {
			e.Class = layout.ZoneData
		}
		if e.Flushed == 0 {
			e.Flushed = r.sink.epoch
		}
		t.free += uint64(e.FreeBlocks)
	}
	p := make([]byte, table.Blocks()*layout.BlockSize)
	self.Addr = layout.MakeAddr(0, tableAt)
	if r.root.ZoneTables[0], err = table.Encode(p, self); err != nil {
		return err
	}
	if err := r.sink.put(tableAt, p); err != nil {
		return err
	}
	p = make([]byte, rootBlocks*layout.BlockSize)
	self.Addr = layout.MakeAddr(0, rootAt)
	if r.sb.Root, err = r.root.Encode(p, self); err != nil {
		return err
	}
	if err := r.sink.put(rootAt, p); err != nil {
		return err
	}
	if err := r.sink.flush(r.ctx); err != nil {
		return err
	}
	if !planted.On(planted.RepairNoFlush) {
		if err := r.d.dev.Flush(r.ctx); err != nil {
			return err
		}
	}
	r.sb.Epoch = r.sink.epoch
	return r.writeSupers()
}

// markFixed sets the bits of a reserved extent that lie in zone z.
func (r *repairer) markFixed(bits []uint64, z uint32, e layout.Extent) {
	start, n := r.place.Zone(z)
	for b := e.Addr.Block(); b < e.End().Block(); b++ {
		if b >= start && b < start+uint64(n) {
			bits[(b-start)/64] |= 1 << ((b - start) % 64)
		}
	}
}

// freeStripes counts the whole stripes of a zone that are free.
func freeStripes(p *layout.Placement, start uint64, n uint32, used []uint64) uint32 {
	stripe := uint64(p.StripeBlocks)
	first := (p.AlignBlocks + stripe - start%stripe) % stripe
	count := uint32(0)
	for b := first; b+stripe <= uint64(n); b += stripe {
		free := true
		for i := b; i < b+stripe && free; i++ {
			free = used[i/64]>>(i%64)&1 == 0
		}
		if free {
			count++
		}
	}
	return count
}
