package check

import (
	"context"
	"errors"
	"fmt"

	"ebofs/ebofs/layout"
)

// fetch reads a structure with a header and reports it under code if it is not
// what ref says. nil: unreadable.
func (c *checker) fetch(ctx context.Context, ref layout.Ref, kind layout.Kind, code Code, where string) []byte {
	p := Problem{Code: code, Where: where, Device: ref.Addr.Device(), Address: ref.Addr.Block(), Blocks: uint64(ref.Blocks)}
	if err := c.inZones(ref.Extent()); err != nil {
		p.fill(err)
		c.out.add(p)
		return nil
	}
	buf, err := c.main.read(ctx, ref.Addr.Block(), int(ref.Blocks), func(b []byte) error {
		_, err := ref.Verify(b, kind, c.sb.FSID)
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			p.fill(err)
			c.out.add(p)
		}
		return nil
	}
	return buf
}

// fill takes expected and found from an error.
func (p *Problem) fill(err error) {
	var x *layout.Corruption
	if errors.As(err, &x) {
		p.Expected, p.Found = x.Want, x.Got
		if x.Field != "" {
			p.Found = x.Field + " " + p.Found
		}
		if p.Found == "" {
			p.Found = x.Err.Error()
		}
		return
	}
	p.Found = err.Error()
}

// checkRoot reads root record, zone tables and space log headers, lists the blocks
// they own, and compares the totals that need no walk.
func (c *checker) checkRoot(ctx context.Context, ph *Phase) error {
	lost := func() error {
		c.incomplete()
		ph.Note = "unreadable: nothing below could be checked"
		return ctx.Err()
	}
	if c.sb.Root.IsNone() {
		c.out.add(Problem{Code: RootBad, Where: "root record", Expected: "a pointer in the superblock", Found: "none"})
		return lost()
	}
	buf := c.fetch(ctx, c.sb.Root, layout.KindRootRecord, RootBad, "root record")
	if buf == nil {
		return lost()
	}
	r, err := layout.DecodeRootRecord(buf, c.sb.FSID, c.sb.Root)
	if err != nil {
		if errors.Is(err, layout.ErrNewer) || errors.Is(err, layout.ErrFeature) {
			return err
		}
		p := Problem{Code: RootBad, Where: "root record", Address: c.sb.Root.Addr.Block(), Blocks: uint64(c.sb.Root.Blocks)}
		p.fill(err)
		c.out.add(p)
		return lost()
	}
	if c.sb.Root.Epoch != c.sb.Epoch {
		c.out.add(Problem{Code: RootBad, Where: "root record", Address: c.sb.Root.Addr.Block(), Expected: fmt.Sprintf("epoch %d", c.sb.Epoch), Found: fmt.Sprintf("epoch %d", c.sb.Root.Epoch)})
	}
	c.root = r
	c.own = append(c.own, c.sb.Root.Extent())
	for i, ref := range r.ZoneTables {
		c.own = append(c.own, ref.Extent())
		c.readZoneTable(ctx, i, ref)
	}
	if c.table != nil && len(c.table) < int(c.sb.Zones) {
		c.out.add(Problem{Code: ZoneTable, Where: "zone tables", Expected: fmt.Sprintf("%d zones", c.sb.Zones), Found: fmt.Sprintf("%d zones", len(c.table))})
		c.table = append(c.table, make([]layout.ZoneEntry, int(c.sb.Zones)-len(c.table))...)
		c.incomplete()
	}
	for i := range c.table {
		if b := c.table[i].Bitmap; !b.IsNone() {
			c.own = append(c.own, b.Extent())
		}
	}
	for i := range r.SpaceLog {
		c.own = append(c.own, r.SpaceLog[i].Ref.Extent())
	}
	for _, e := range c.own {
		c.rep.Counts.OwnBlocks += e.Blocks
	}
	c.checkTotals()
	return ctx.Err()
}

// readZoneTable appends one part of the table; an unreadable one leaves zeros.
func (c *checker) readZoneTable(ctx context.Context, i int, ref layout.Ref) {
	where := "zone table"
	buf := c.fetch(ctx, ref, layout.KindZoneTable, ZoneTable, where)
	if buf == nil {
		c.tableLost = true
		c.incomplete()
		return
	}
	t, err := layout.DecodeZoneTable(buf, c.sb.FSID, ref)
	if err == nil && int(t.First) != len(c.table) || err == nil && len(c.table)+len(t.Zones) > int(c.sb.Zones) {
		err = &layout.Corruption{Kind: where, Field: "zones", Got: fmt.Sprintf("%d~%d", t.First, len(t.Zones)), Want: fmt.Sprintf("from %d, %d in all", len(c.table), c.sb.Zones), Err: layout.ErrMalformed}
	}
	if err != nil {
		p := Problem{Code: ZoneTable, Where: where, Address: ref.Addr.Block(), Blocks: uint64(ref.Blocks)}
		p.fill(err)
		c.out.add(p)
		c.tableLost = true
		c.incomplete()
		return
	}
	c.table = append(c.table, t.Zones...)
}

// checkTotals compares free blocks by zone with what the counters say is used.
func (c *checker) checkTotals() {
	if c.table == nil || !c.rep.Complete {
		return
	}
	var free, all uint64
	for z := range c.table {
		_, n := c.place.Zone(uint32(z))
		if c.table[z].FreeBlocks > n {
			c.out.add(Problem{Code: ZoneCount, Where: fmt.Sprintf("zone %d", z), Expected: fmt.Sprintf("at most %d free blocks", n), Found: fmt.Sprintf("%d", c.table[z].FreeBlocks)})
			return
		}
		free, all = free+uint64(c.table[z].FreeBlocks), all+uint64(n)
	}
	c.rep.Counts.FreeBlocks = free
	var fixed uint64
	for _, e := range c.fixed {
		fixed += e.Blocks
	}
	n := &c.root.Counters
	if used := n.DataBlocks + n.MetaBlocks + c.rep.Counts.OwnBlocks + fixed; used+free != all && c.o.Level == Quick {
		c.out.add(Problem{Code: Counter, Where: "free and used blocks",
			Expected: fmt.Sprintf("%d in all", all),
			Found:    fmt.Sprintf("%d free + %d data + %d nodes + %d own + %d reserved", free, n.DataBlocks, n.MetaBlocks, c.rep.Counts.OwnBlocks, fixed)})
	}
}
