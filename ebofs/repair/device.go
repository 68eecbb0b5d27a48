package repair

import (
	"context"
	"fmt"

	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// readTries is how often a read is tried: some devices answer wrongly once.
const readTries = 3

// device is the store's main device for plain reads and writes of blocks.
type device struct {
	dev  devices.Device
	pool *devices.Pool
}

// read returns a fresh copy of n blocks.
func (d *device) read(ctx context.Context, b uint64, n int) ([]byte, error) {
	return d.readChecked(ctx, b, n, nil)
}

// readChecked is read of what check accepts (nil: anything), tried three times.
func (d *device) readChecked(ctx context.Context, b uint64, n int, check func([]byte) error) ([]byte, error) {
	if blocks := d.dev.Geometry().Blocks; b >= blocks || uint64(n) > blocks-b {
		return nil, fmt.Errorf("blocks %d~%d of %d: %w", b, n, blocks, devices.ErrRange)
	}
	f := d.pool.Get(n * layout.BlockSize)
	defer f.Release()
	q := f.Bytes()[:n*layout.BlockSize]
	var err error
	for range readTries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err = d.dev.Read(ctx, devices.Block(b), devices.Vec{q}); err != nil {
			continue
		}
		p := append([]byte(nil), q...)
		if check != nil {
			if err = check(p); err != nil {
				continue
			}
		}
		return p, nil
	}
	return nil, err
}

// write stores whole blocks from b on.
func (d *device) write(ctx context.Context, b uint64, p []byte) error {
	const step = 256 * layout.BlockSize
	f := d.pool.Get(min(len(p), step))
	defer f.Release()
	for len(p) > 0 {
		n := copy(f.Bytes(), p[:min(len(p), step)])
		if err := d.dev.Write(ctx, devices.Block(b), devices.Vec{f.Bytes()[:n]}); err != nil {
			return fmt.Errorf("write blocks %d~%d: %w", b, n/layout.BlockSize, err)
		}
		p, b = p[n:], b+uint64(n/layout.BlockSize)
	}
	return nil
}

// keeper is a device that can keep many blocks in its undo file at once.
type keeper interface {
	Keep(ctx context.Context, list []layout.Extent) error
}

// keep tells the device of writes to come.
func (d *device) keep(ctx context.Context, list []layout.Extent) error {
	if k, ok := d.dev.(keeper); ok {
		return k.Keep(ctx, list)
	}
	return nil
}
