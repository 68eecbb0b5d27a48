package dump

import (
	"context"
	"fmt"
	"math/bits"

	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// Zone is one zone.
type Zone struct {
	Zone        uint32 `json:"zone"`
	Start       uint64 `json:"start"` // block
	Blocks      uint32 `json:"blocks"`
	FreeBlocks  uint32 `json:"free_blocks"`
	FreeStripes uint32 `json:"free_stripes"`
	Class       string `json:"class"`
	Flushed     uint64 `json:"flushed_epoch"`
	Bitmap      string `json:"bitmap"` // "none": all free at that epoch
	Error       string `json:"error,omitempty"`
}

// ReadZones describes the zones as the zone table has them.
func (m *Image) ReadZones(ctx context.Context) ([]Zone, error) {
	r, err := m.Roots(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Zone, m.Place.Zones)
	for z := range out {
		start, n := m.Place.Zone(uint32(z))
		out[z] = Zone{Zone: uint32(z), Start: start, Blocks: n, FreeBlocks: n, FreeStripes: n / m.Place.StripeBlocks, Class: layout.ZoneFree.String(), Bitmap: "none"}
		if r.Zones != nil {
			e := &r.Zones[z]
			out[z].FreeBlocks, out[z].FreeStripes, out[z].Class, out[z].Flushed, out[z].Bitmap = e.FreeBlocks, e.FreeStripes, e.Class.String(), e.Flushed, e.Bitmap.String()
		}
	}
	return out, nil
}

func showZones(ctx context.Context, c *verb.Call, m *Image) error {
	zones, err := m.ReadZones(ctx)
	if err != nil {
		return err
	}
	c.Printf("%6s %12s %9s %9s %9s  %-5s %s\n", "zone", "start", "blocks", "free", "stripes", "class", "bitmap")
	for _, z := range zones {
		c.Row(z)
		c.Printf("%6d %12d %9d %9d %9d  %-5s %s\n", z.Zone, z.Start, z.Blocks, z.FreeBlocks, z.FreeStripes, z.Class, z.Bitmap)
	}
	return nil
}

// Bucket counts the free runs of at least Bytes and less than twice that.
type Bucket struct {
	Bytes uint64 `json:"from_bytes"`
	Runs  uint64 `json:"runs"`
	Total uint64 `json:"total_bytes"`
}

// Free is the free space as of the newest checkpoint.
type Free struct {
	TotalBytes    uint64   `json:"total_bytes"` // of all zones
	FreeBytes     uint64   `json:"free_bytes"`
	ReserveBytes  uint64   `json:"reserve_bytes"` // of the free ones, for removing and checkpoints
	UsedBytes     uint64   `json:"used_bytes"`    // by objects, trees and their administration
	DataBytes     uint64   `json:"data_bytes"`
	NodeBytes     uint64   `json:"node_bytes"`
	OwnBytes      uint64   `json:"own_bytes"`      // root record, zone tables and bitmaps
	ReservedBytes uint64   `json:"reserved_bytes"` // label copies, a log between zones
	FreeStripes   uint64   `json:"free_stripes"`
	StripeBytes   uint32   `json:"stripe_bytes"`
	Runs          uint64   `json:"runs"`
	LargestBytes  uint64   `json:"largest_bytes"` // longest free run
	Score         float64  `json:"score"`         // 0: all free space in whole stripes; 1: none of it
	Histogram     []Bucket `json:"histogram"`
	Damage        []string `json:"damage"` // zones whose bitmap cannot be read: taken from the table, without runs
}

// ReadFree adds up the free space from the zones' bitmaps.
func (m *Image) ReadFree(ctx context.Context) (Free, error) {
	f := Free{StripeBytes: m.Super.StripeBytes, Histogram: []Bucket{}, Damage: []string{}}
	r, err := m.Roots(ctx)
	if err != nil {
		return f, err
	}
	f.DataBytes, f.NodeBytes = r.Record.Counters.DataBlocks*layout.BlockSize, r.Record.Counters.MetaBlocks*layout.BlockSize
	taken := append([]layout.Extent{}, r.Own...)
	for _, e := range r.Own {
		f.OwnBytes += e.Blocks * layout.BlockSize
	}
	for _, e := range m.Place.Fixed() {
		f.ReservedBytes += e.Blocks * layout.BlockSize
		taken = append(taken, e)
	}
	var run, blocks, stripes, largest uint64
	var hist [64]Bucket
	end := func() {
		if run > 0 {
			b := &hist[bits.Len64(run)-1]
			b.Runs++
			b.Total += run * layout.BlockSize
			f.Runs++
			largest = max(largest, run)
			run = 0
		}
	}
	for z := range m.Place.Zones {
		start, n := m.Place.Zone(z)
		f.TotalBytes += uint64(n) * layout.BlockSize
		used, err := m.zoneBits(ctx, z)
		if err != nil {
			if ctx.Err() != nil {
				return f, ctx.Err()
			}
			f.Damage = append(f.Damage, fmt.Sprintf("zone %d: %v", z, err))
			end()
			if r.Zones != nil {
				blocks, stripes = blocks+uint64(r.Zones[z].FreeBlocks), stripes+uint64(r.Zones[z].FreeStripes)
			}
			continue
		}
		for _, e := range taken {
			for b := max(e.Addr.Block(), start); b < min(e.Addr.Block()+e.Blocks, start+uint64(n)); b++ {
				used[(b-start)/64] |= 1 << ((b - start) % 64)
			}
		}
		whole := uint32(0) // free blocks of the stripe so far
		for i := range n {
			if i%m.Place.StripeBlocks == 0 {
				whole = 0
			}
			if used[i/64]>>(i%64)&1 != 0 {
				end()
				continue
			}
			run++
			blocks++
			if whole++; whole == m.Place.StripeBlocks {
				stripes++
			}
		}
	}
	end()
	f.FreeBytes, f.FreeStripes, f.LargestBytes = blocks*layout.BlockSize, stripes, largest*layout.BlockSize
	f.ReserveBytes = min(f.FreeBytes, ebofs.ReserveBlocks(m.Place)*layout.BlockSize)
	f.UsedBytes = f.TotalBytes - f.FreeBytes - f.ReservedBytes
	if blocks > 0 {
		f.Score = 1 - float64(stripes*uint64(m.Place.StripeBlocks))/float64(blocks)
	}
	for i, b := range hist {
		if b.Runs > 0 {
			b.Bytes = layout.BlockSize << i
			f.Histogram = append(f.Histogram, b)
		}
	}
	return f, nil
}

// zoneBits returns a zone's bitmap, 1 = used; own and reserved blocks are not in it.
func (m *Image) zoneBits(ctx context.Context, z uint32) ([]uint64, error) {
	_, n := m.Place.Zone(z)
	if m.roots.Zones == nil || m.roots.Zones[z].Bitmap.IsNone() {
		return make([]uint64, (n+63)/64), nil
	}
	ref := m.roots.Zones[z].Bitmap
	p, err := m.read(ctx, ref.Addr.Block(), int(ref.Blocks))
	if err != nil {
		return nil, err
	}
	b, err := layout.DecodeZoneBitmap(p, m.Super.FSID, ref)
	if err != nil {
		return nil, err
	}
	if b.Zone != z || b.Blocks != n {
		return nil, fmt.Errorf("bitmap of zone %d with %d blocks: %w", b.Zone, b.Blocks, layout.ErrMalformed)
	}
	return b.Bits, nil
}

func showFree(ctx context.Context, c *verb.Call, m *Image) error {
	f, err := m.ReadFree(ctx)
	if err != nil {
		return err
	}
	c.Set(f)
	c.Printf("free      %s of %s, %s of it reserved for removing and checkpoints\n", sizes.Human(f.FreeBytes), sizes.Human(f.TotalBytes), sizes.Human(f.ReserveBytes))
	c.Printf("used      %s: data %s, nodes %s, administration %s; labels and a log among the zones %s\n", sizes.Human(f.UsedBytes), sizes.Human(f.DataBytes), sizes.Human(f.NodeBytes), sizes.Human(f.OwnBytes), sizes.Human(f.ReservedBytes))
	c.Printf("stripes   %d free of %s, score %.3f\n", f.FreeStripes, sizes.Human(uint64(f.StripeBytes)), f.Score)
	c.Printf("runs      %d, largest %s\n", f.Runs, sizes.Human(f.LargestBytes))
	for _, b := range f.Histogram {
		c.Printf("  from %-9s %8d runs  %s\n", sizes.Human(b.Bytes), b.Runs, sizes.Human(b.Total))
	}
	for _, d := range f.Damage {
		c.Printf("damaged   %s\n", d)
	}
	if !m.Super.Clean() {
		c.Notef("the store was not closed; this is its last checkpoint")
	}
	return nil
}
