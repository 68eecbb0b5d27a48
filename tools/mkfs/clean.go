package mkfs

import (
	"context"
	"errors"

	"ebofs/devices"
	"ebofs/tools/probe"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// clean zeros old signatures and discards the device.
func (m *job) clean(ctx context.Context, c *verb.Call, dev *devices.File, r *Result) error {
	b := store.NewBytes(ctx, dev)
	wiped, err := probe.Wipe(b, b.Size(), int64(dev.Geometry().LogicalBytes), dev.Path())
	if err = errors.Join(err, b.Close()); err != nil {
		return err
	}
	for _, w := range wiped {
		c.Notef("%s: erased %s", dev.Path(), w.What)
	}
	if len(wiped) > 0 {
		if err := dev.Flush(ctx); err != nil {
			return err
		}
	}
	r.Wiped = append(r.Wiped, wiped...)
	if m.noDiscard || dev.Geometry().DiscardBytes == 0 {
		return nil
	}
	start := c.Now()
	n, err := discard(ctx, dev)
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err != nil {
		c.Notef("%s: discard: %v; going on without", dev.Path(), err)
		return nil
	}
	r.DiscardedBytes += n
	r.DiscardSeconds += c.Now().Sub(start).Seconds()
	return nil
}

// discard gives up the whole device, in steps so that it can be interrupted.
func discard(ctx context.Context, dev *devices.File) (uint64, error) {
	const step = 16 << 30 / devices.BlockSize
	blocks := dev.Geometry().Blocks
	for b := uint64(0); b < blocks; b += step {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := dev.Discard(ctx, devices.Block(b), min(step, blocks-b)); err != nil {
			return 0, err
		}
	}
	return blocks * devices.BlockSize, nil
}
