package store

import (
	"context"
	"fmt"
	"io"

	"ebofs/devices"
)

// Bytes gives a device to code that reads and writes at byte offsets. Pieces
// that are not whole blocks are read, changed and written. It may be used by
// one goroutine at a time.
type Bytes struct {
	ctx  context.Context
	dev  devices.Device
	pool *devices.Pool
	size int64
}

// bytesStep bounds one transfer.
const bytesStep = 1 << 20

// NewBytes returns dev as bytes; ctx ends its I/O. Close it.
func NewBytes(ctx context.Context, dev devices.Device) *Bytes {
	return &Bytes{ctx: ctx, dev: dev, pool: devices.NewPool(devices.PoolOptions{}), size: int64(dev.Geometry().Blocks) * devices.BlockSize}
}

// Size returns the device's size in bytes, whole blocks.
func (b *Bytes) Size() int64 { return b.size }

// Close returns the memory; it does not close the device.
func (b *Bytes) Close() error { return b.pool.Close() }

// ReadAt implements io.ReaderAt.
func (b *Bytes) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off >= b.size {
		return 0, io.EOF
	}
	for n < len(p) && off < b.size {
		k, err := b.piece(p[n:], off, false)
		if err != nil {
			return n, err
		}
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt. It does not flush.
func (b *Bytes) WriteAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off > b.size || int64(len(p)) > b.size-off {
		return 0, fmt.Errorf("bytes %d~%d of %d: %w", off, len(p), b.size, devices.ErrRange)
	}
	for n < len(p) {
		k, err := b.piece(p[n:], off, true)
		if err != nil {
			return n, err
		}
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

// piece transfers up to bytesStep bytes of p at off.
func (b *Bytes) piece(p []byte, off int64, write bool) (int, error) {
	const block = devices.BlockSize
	first, in := off/block, off%block
	n := int(min(int64(len(p)), bytesStep-in, b.size-off))
	blocks := (int(in) + n + block - 1) / block
	f := b.pool.Get(blocks * block)
	defer f.Release()
	buf := f.Bytes()[:blocks*block]
	at := devices.Block(first)
	if whole := in == 0 && n%block == 0; !write || !whole {
		if err := b.dev.Read(b.ctx, at, devices.Vec{buf}); err != nil {
			return 0, err
		}
	}
	if !write {
		return copy(p[:n], buf[in:]), nil
	}
	copy(buf[in:], p[:n])
	return n, b.dev.Write(b.ctx, at, devices.Vec{buf})
}
