package check

import (
	"context"
	"fmt"
	"sync/atomic"

	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// orOld sets mask in *w and reports whether any of it was set.
func orOld(w *uint64, mask uint64) bool { return atomic.OrUint64(w, mask)&mask != 0 }

// spaceTotals are sums over all windows.
type spaceTotals struct {
	leaked     uint64
	firstLeak  uint64
	leaks      int
	free       uint64
	unreadable int // zones without a bitmap to compare
}

// loadUsed fills the used bits of the window from bitmaps and space log. It returns
// the zones whose state is unknown.
func (c *checker) loadUsed(ctx context.Context, m *blockMap) (map[uint32]bool, error) {
	unknown := make(map[uint32]bool)
	if c.tableLost {
		for z := m.first; z < m.end; z++ {
			unknown[z] = true
		}
		return unknown, nil
	}
	for z := m.first; z < m.end && c.table != nil; z++ {
		ref := c.table[z].Bitmap
		if ref.IsNone() {
			continue
		}
		where := fmt.Sprintf("bitmap of zone %d", z)
		if c.table[z].Flags&layout.ZoneLost != 0 {
			c.out.add(Problem{Code: ZoneBitmap, Where: where, Address: ref.Addr.Block(), Blocks: uint64(ref.Blocks),
				Found: "given up, the zone counts as full", Expected: "sound"})
			unknown[z] = true
			continue
		}
		buf := c.fetch(ctx, ref, layout.KindZoneBitmap, ZoneBitmap, where)
		if buf == nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			unknown[z] = true
			continue
		}
		b, err := layout.DecodeZoneBitmap(buf, c.sb.FSID, ref)
		if _, n := c.place.Zone(z); err == nil && (b.Zone != z || b.Blocks != n) {
			err = &layout.Corruption{Kind: where, Field: "zone, blocks", Got: fmt.Sprint(b.Zone, ", ", b.Blocks), Want: fmt.Sprint(z, ", ", n), Err: layout.ErrMalformed}
		}
		if err != nil {
			p := Problem{Code: ZoneBitmap, Where: where, Address: ref.Addr.Block(), Blocks: uint64(ref.Blocks)}
			p.fill(err)
			c.out.add(p)
			unknown[z] = true
			continue
		}
		copy(m.zone(m.used, z), b.Bits)
	}
	for i := range c.root.SpaceLog {
		if err := c.applySegment(ctx, m, &c.root.SpaceLog[i], unknown); err != nil {
			return nil, err
		}
	}
	return unknown, nil
}

// applySegment brings the window up to date with one segment of the space log.
func (c *checker) applySegment(ctx context.Context, m *blockMap, s *layout.SpaceSegment, unknown map[uint32]bool) error {
	lost := func() {
		for z := m.first; z < m.end; z++ {
			if c.table == nil || c.table[z].Flushed < s.Ref.Epoch {
				unknown[z] = true
			}
		}
	}
	buf := c.fetch(ctx, s.Ref, layout.KindSpaceLog, SpaceLog, "space log")
	if buf == nil {
		lost()
		return ctx.Err()
	}
	l, err := layout.DecodeSpaceLog(buf, c.sb.FSID, s.Ref)
	if err == nil && uint32(len(l.Entries)) != s.Entries {
		err = &layout.Corruption{Kind: "space log", Addr: s.Ref.Addr, Field: "entries", Got: fmt.Sprint(len(l.Entries)), Want: fmt.Sprint(s.Entries), Err: layout.ErrMalformed}
	}
	if err != nil {
		p := Problem{Code: SpaceLog, Where: "space log", Address: s.Ref.Addr.Block(), Blocks: uint64(s.Ref.Blocks)}
		p.fill(err)
		c.out.add(p)
		lost()
		return nil
	}
	for _, e := range l.Entries {
		ext := layout.Extent{Addr: e.Start, Blocks: uint64(e.Blocks)}
		if err := c.inZones(ext); err != nil {
			p := Problem{Code: SpaceLog, Where: "space log", Address: s.Ref.Addr.Block(), Blocks: uint64(s.Ref.Blocks)}
			p.fill(err)
			c.out.add(p)
			continue
		}
		for b, n := e.Start.Block(), uint64(e.Blocks); n > 0; {
			z, _ := c.place.ZoneOf(b)
			start, zoneLen := c.place.Zone(z)
			k := min(n, start+uint64(zoneLen)-b)
			if c.table == nil || s.Ref.Epoch > c.table[z].Flushed {
				if e.Kind == layout.SpaceAlloc {
					m.set(b, k)
				} else {
					m.clear(b, k)
				}
			}
			b, n = b+k, n-k
		}
	}
	return nil
}

// compareSpace compares claims and bitmaps of the window.
func (c *checker) compareSpace(ctx context.Context, m *blockMap, sus *suspects, t *spaceTotals) error {
	unknown, err := c.loadUsed(ctx, m)
	if err != nil {
		return err
	}
	t.unreadable += len(unknown)
	// Reserved blocks belong to nobody and may or may not be marked; own blocks
	// stand in no bitmap.
	for _, f := range c.fixed {
		m.clear(f.Addr.Block(), f.Blocks)
	}
	diff := make([]uint64, m.words)
	if !c.broken.Load() {
		for z := m.first; z < m.end; z++ {
			claimed, used := m.zone(m.claimed, z), m.zone(m.used, z)
			for i := range diff {
				diff[i] = used[i] &^ claimed[i]
			}
			m.runs(z, diff, func(b, n uint64) {
				if t.leaked == 0 {
					t.firstLeak = b
				}
				if planted.On(planted.CheckLeak) {
					return
				}
				t.leaked += n
				t.leaks++
			})
		}
	}
	for _, e := range c.own {
		if c.inZones(e) == nil {
			m.set(e.Addr.Block(), e.Blocks)
		}
	}
	for z := m.first; z < m.end; z++ {
		if unknown[z] {
			continue
		}
		claimed, used := m.zone(m.claimed, z), m.zone(m.used, z)
		for i := range diff {
			diff[i] = claimed[i] &^ used[i]
		}
		m.runs(z, diff, func(b, n uint64) {
			for i := range n {
				sus.add(b+i, UsedFree)
			}
		})
	}
	for _, f := range c.fixed {
		m.set(f.Addr.Block(), f.Blocks)
	}
	for z := m.first; z < m.end; z++ {
		if !unknown[z] {
			t.free += c.compareZone(m, z)
		}
	}
	return nil
}

// compareZone compares the totals written for a zone with its bits and returns its
// free blocks.
func (c *checker) compareZone(m *blockMap, z uint32) uint64 {
	used := m.zone(m.used, z)
	_, n := c.place.Zone(z)
	free := uint64(n) - count(used)
	if c.table == nil {
		return free
	}
	stripe, stripes := uint64(c.place.StripeBlocks), uint32(0)
	for b := uint64(0); b+stripe <= uint64(n); b += stripe {
		if zeroBits(used, b, stripe) {
			stripes++
		}
	}
	e := &c.table[z]
	if uint64(e.FreeBlocks) != free || e.FreeStripes != stripes {
		c.out.add(Problem{Code: ZoneCount, Where: fmt.Sprintf("zone %d", z),
			Expected: fmt.Sprintf("%d free blocks, %d free stripes", free, stripes), Found: fmt.Sprintf("%d, %d", e.FreeBlocks, e.FreeStripes)})
	}
	return free
}

// zeroBits reports whether n bits from b are clear.
func zeroBits(w []uint64, b, n uint64) bool {
	for n > 0 {
		sh := b % 64
		k := min(n, 64-sh)
		if w[b/64]&(^uint64(0)>>(64-k)<<sh) != 0 {
			return false
		}
		b, n = b+k, n-k
	}
	return true
}

// reportSpace says what all windows together showed.
func (c *checker) reportSpace(t *spaceTotals) {
	c.rep.Counts.FreeBlocks = t.free
	if c.broken.Load() || t.unreadable > 0 {
		c.incomplete()
	}
	if t.leaked > 0 {
		c.out.add(Problem{Code: Leak, Where: "blocks", Address: t.firstLeak, Blocks: t.leaked, Expected: "an owner", Found: fmt.Sprintf("none for %d blocks in %d runs", t.leaked, t.leaks)})
	}
}
