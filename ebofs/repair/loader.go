package repair

import (
	"context"
	"errors"
	"fmt"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// loader reads nodes and values from the device, or what the sink still holds.
type loader struct{ r *repairer }

var _ btree.Loader = loader{}

var errOutside = errors.New("outside the zones")

// Load reads and verifies one node.
func (l loader) Load(ctx context.Context, cfg *btree.Config, own *btree.Owner, p btree.Ptr) (*btree.Page, error) {
	if err := p.Readable(); err != nil {
		return nil, err
	}
	a := layout.Addr(p.Addr)
	if !l.r.inZones(a, uint64(p.Blocks)) {
		return nil, fmt.Errorf("node at %v: %w", a, errOutside)
	}
	var page *btree.Page
	parse := func(buf []byte) (err error) {
		if page, err = btree.ParsePage(buf); err == nil {
			err = page.Check(cfg, own, p)
		}
		return err
	}
	if l.r.sink != nil {
		if buf := l.r.sink.find(a.Block()); buf != nil {
			return page, errors.Join(parse(buf))
		}
	}
	_, err := l.r.d.readChecked(ctx, a.Block(), int(p.Blocks), parse)
	if err != nil {
		return nil, err
	}
	return page, nil
}

// Resident returns nil: nothing is kept.
func (loader) Resident(btree.Ptr) *btree.Page { return nil }

// ReadBlob reads an overflow value and verifies its checksums.
func (l loader) ReadBlob(ctx context.Context, ext []btree.BlobExtent, dst []byte) error {
	for _, e := range ext {
		n := uint64(e.Bytes)
		if n > uint64(len(dst)) {
			return fmt.Errorf("overflow runs longer than the value: %w", layout.ErrCorrupt)
		}
		a := layout.Addr(e.Addr)
		if !l.r.inZones(a, blocksOf(n)) {
			return fmt.Errorf("value at %v: %w", a, errOutside)
		}
		var p []byte
		var err error
		if l.r.sink != nil {
			p = l.r.sink.find(a.Block())
		}
		if p == nil {
			p, err = l.r.d.readChecked(ctx, a.Block(), int(blocksOf(n)), func(p []byte) error {
				if got := layout.CRC(p[:n]); got != e.CRC {
					return &layout.Corruption{Kind: "overflow value", Addr: a, Field: "crc", Got: fmt.Sprintf("%08x", got), Want: fmt.Sprintf("%08x", e.CRC), Err: layout.ErrBadCRC}
				}
				return nil
			})
		}
		if err != nil {
			return err
		}
		dst = dst[copy(dst, p[:n]):]
	}
	return nil
}

// inZones reports whether blocks may belong to somebody.
func (r *repairer) inZones(a layout.Addr, n uint64) bool {
	b := a.Block()
	if a.Device() != 0 || n == 0 || b < r.place.ZoneStart || b >= r.place.ZoneEnd || n > r.place.ZoneEnd-b {
		return false
	}
	for _, f := range r.fixed {
		if f.Overlaps(layout.Extent{Addr: a, Blocks: n}) {
			return false
		}
	}
	return true
}
