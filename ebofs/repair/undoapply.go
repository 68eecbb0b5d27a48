package repair

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// ApplyUndo writes back what a repair overwrote: the device is then byte for byte
// what it was before. Nothing is written unless the whole file is sound and belongs
// to this device, and unless the device is what the repair left: otherwise it is
// ErrChanged. Blocks that are again what they were do not count, so it may be
// repeated, and so may a part of it. Of a repair that was interrupted only the
// superblocks can be compared. It returns the number of blocks in the file.
func ApplyUndo(ctx context.Context, at UndoStorage, dev devices.Device) (blocks uint64, err error) {
	return applyUndo(ctx, at, dev, false)
}

// ForceUndo is ApplyUndo that destroys what was written since the repair.
func ForceUndo(ctx context.Context, at UndoStorage, dev devices.Device) (blocks uint64, err error) {
	return applyUndo(ctx, at, dev, true)
}

func applyUndo(ctx context.Context, at UndoStorage, dev devices.Device, force bool) (blocks uint64, err error) {
	u, err := openUndo(at)
	if err != nil {
		return 0, err
	}
	if have := dev.Geometry().Blocks; have != u.id.Blocks {
		return 0, fmt.Errorf("%w: of a device of %d blocks, this one has %d", ErrUndo, u.id.Blocks, have)
	}
	d := &device{dev: dev, pool: devices.NewPool(devices.PoolOptions{})}
	defer d.pool.Close()
	// Labels and superblocks tell whose device it is: they go last, so that an
	// interrupted undo can be told apart from another device.
	marks := slices.Concat(layout.LabelBlocks(u.id.Blocks), slotList(u.id.Blocks))
	same := true
	err = u.each(ctx, func(b uint64, data []byte) error {
		for i := uint64(0); i < uint64(len(data))/layout.BlockSize; i++ {
			if blocks++; slices.Contains(marks, b+i) || !same {
				continue
			}
			p, err := d.read(ctx, b+i, 1)
			same = err == nil && bytes.Equal(p, data[i*layout.BlockSize:(i+1)*layout.BlockSize])
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	switch id, err := identify(ctx, d); {
	case err != nil:
		return 0, err
	case id.FSID.IsZero() && !same:
		return 0, fmt.Errorf("%w: of store %s, and there is no trace of a store on this device", ErrUndo, u.id.FSID.Short())
	case !id.FSID.IsZero() && (id.FSID != u.id.FSID || id.DeviceUUID != u.id.DeviceUUID && !same):
		return 0, fmt.Errorf("%w: of device %v of store %s, this is device %v of store %s", ErrUndo, u.id.DeviceUUID, u.id.FSID.Short(), id.DeviceUUID, id.FSID.Short())
	}
	if !force && !planted.On(planted.UndoBlind) {
		if err := u.unchanged(ctx, d, blocks); err != nil {
			return 0, err
		}
	}
	for _, last := range [...]bool{false, true} {
		err := u.each(ctx, func(b uint64, data []byte) error {
			for i := uint64(0); i < uint64(len(data))/layout.BlockSize; i++ {
				if slices.Contains(marks, b+i) == last {
					if err := d.write(ctx, b+i, data[i*layout.BlockSize:(i+1)*layout.BlockSize]); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err == nil {
			err = dev.Flush(ctx)
		}
		if err != nil {
			return 0, err
		}
	}
	return blocks, nil
}

// unchanged reports whether the device is what the repair left, as a whole or with
// some blocks that are as before.
func (u *undoFile) unchanged(ctx context.Context, d *device, blocks uint64) error {
	sb, crc, err := newestSuper(ctx, d, u.id.FSID)
	if err != nil {
		return err
	}
	if sb != nil && !slices.Contains(u.supers, crc) {
		return fmt.Errorf("%w: %w: its superblock is generation %d, epoch %d; the repair left generation %d, epoch %d", ErrUndo, ErrChanged, sb.Generation, sb.Epoch, u.generation, u.epoch)
	}
	if !u.finished {
		return nil
	}
	left, err := u.left(blocks)
	if err != nil {
		return err
	}
	first, changed := uint64(0), 0
	err = u.each(ctx, func(b uint64, data []byte) error {
		for ; len(data) > 0; b, data, left = b+1, data[layout.BlockSize:], left[4:] {
			p, err := d.read(ctx, b, 1)
			if err == nil && (layout.CRC(p) == le.Uint32(left) || bytes.Equal(p, data[:layout.BlockSize])) {
				continue
			}
			if changed++; changed == 1 {
				first = b
			}
		}
		return nil
	})
	if err == nil && changed > 0 {
		return fmt.Errorf("%w: %w: of the %d blocks the repair wrote %d hold something else now, the first is block %d", ErrUndo, ErrChanged, blocks, changed, first)
	}
	return err
}

// newestSuper returns a store's newest superblock, nil if there is none, and the
// checksum of its block.
func newestSuper(ctx context.Context, d *device, fsid layout.UUID) (best *layout.Superblock, crc uint32, err error) {
	err = supers(ctx, d, func(sb *layout.Superblock, p []byte) {
		if sb.FSID == fsid && (best == nil || sb.Generation > best.Generation) {
			best, crc = sb, layout.CRC(p)
		}
	})
	return best, crc, err
}

// supers calls fn for each sound superblock.
func supers(ctx context.Context, d *device, fn func(sb *layout.Superblock, p []byte)) error {
	for _, b := range slotList(d.dev.Geometry().Blocks) {
		if p, err := d.read(ctx, b, 1); err == nil {
			if sb, err := layout.DecodeSuperblock(p); err == nil {
				fn(&sb, p)
			}
		}
	}
	return ctx.Err()
}

func slotList(blocks uint64) []uint64 {
	s := layout.SlotBlocks(blocks)
	return s[:]
}

// identify says whose device this is by any sound superblock or label.
func identify(ctx context.Context, d *device) (Ident, error) {
	id := Ident{Blocks: d.dev.Geometry().Blocks}
	for _, b := range slotList(id.Blocks) {
		if p, err := d.read(ctx, b, 1); err == nil {
			if sb, err := layout.DecodeSuperblock(p); err == nil {
				id.FSID, id.DeviceUUID = sb.FSID, sb.DeviceUUID
				return id, nil
			}
		}
	}
	for _, b := range layout.LabelBlocks(id.Blocks) {
		if p, err := d.read(ctx, b, 1); err == nil {
			if l, err := layout.DecodeLabel(p); err == nil {
				id.FSID, id.DeviceUUID = l.FSID, l.DeviceUUID
				return id, nil
			}
		}
	}
	return id, ctx.Err()
}
