package faultdev

import (
	"context"

	"github.com/ncw/directio"

	"ebofs/devices"
)

// keepBefore saves the content of blocks about to be written that a stale rule
// may want back.
func (d *Device) keepBefore(ctx context.Context, b devices.Block, n uint64) error {
	for i := range n {
		at := b + devices.Block(i)
		if !d.wantsBefore(at) {
			continue
		}
		p := directio.AlignedBlock(devices.BlockSize)
		if err := d.base.Read(ctx, at, devices.Vec{p}); err != nil {
			return err
		}
		d.mu.Lock()
		d.before[at] = p
		d.mu.Unlock()
	}
	return nil
}

func (d *Device) wantsBefore(b devices.Block) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.rules {
		if r.Kind == Stale && (r.N == 0 || overlaps(r.B, r.N, b, 1)) {
			return true
		}
	}
	return false
}

// hasBeforeLocked tells whether a read of these blocks can be stale.
func (d *Device) hasBeforeLocked(r *armed, b devices.Block, n uint64) bool {
	for i := range n {
		at := b + devices.Block(i)
		if d.before[at] != nil && (r.N == 0 || overlaps(r.B, r.N, at, 1)) {
			return true
		}
	}
	return false
}

// makeStale puts the saved content into v.
func (d *Device) makeStale(r *Rule, b devices.Block, v devices.Vec) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range v {
		for ; len(p) > 0; p, b = p[devices.BlockSize:], b+1 {
			if old := d.before[b]; old != nil && (r.N == 0 || overlaps(r.B, r.N, b, 1)) {
				copy(p, old)
			}
		}
	}
}
