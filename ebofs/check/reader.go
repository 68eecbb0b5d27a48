package check

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// readTries is how often a read is tried: some devices answer wrongly once.
const readTries = 3

// reader reads one device. It is safe for concurrent use.
type reader struct {
	dev     devices.Device
	blocks  uint64
	pool    *devices.Pool
	bytes   atomic.Uint64
	retried atomic.Uint64
}

var errOutside = errors.New("outside the device")

// read returns a fresh copy of n blocks from b that check accepts (nil: any). After
// three tries it returns the last error.
func (r *reader) read(ctx context.Context, b uint64, n int, check func([]byte) error) ([]byte, error) {
	if b >= r.blocks || uint64(n) > r.blocks-b {
		return nil, fmt.Errorf("blocks %d~%d of %d: %w", b, n, r.blocks, errOutside)
	}
	f := r.pool.Get(n * layout.BlockSize)
	defer f.Release()
	var err error
	for try := range readTries {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if try > 0 {
			r.retried.Add(1)
		}
		if err = r.dev.Read(ctx, devices.Block(b), devices.Vec{f.Bytes()}); err != nil {
			continue
		}
		r.bytes.Add(uint64(n) * layout.BlockSize)
		p := append([]byte(nil), f.Bytes()...)
		if check != nil {
			if err = check(p); err != nil {
				continue
			}
		}
		return p, nil
	}
	return nil, err
}

// loader gives tree walks their pages, from the device every time.
type loader struct {
	r *reader
	v *view
}

var _ btree.Loader = (*loader)(nil)

// readFailed marks an error of the device, as against one of its contents.
type readFailed struct{ error }

// Unwrap returns the device's error.
func (e readFailed) Unwrap() error { return e.error }

// Load reads and verifies one node.
func (l *loader) Load(ctx context.Context, cfg *btree.Config, own *btree.Owner, p btree.Ptr) (*btree.Page, error) {
	if err := p.Readable(); err != nil {
		return nil, err
	}
	a := layout.Addr(p.Addr)
	if err := l.v.inZones(layout.Extent{Addr: a, Blocks: uint64(p.Blocks)}); err != nil {
		return nil, err
	}
	var page *btree.Page
	sound := false
	_, err := l.r.read(ctx, a.Block(), int(p.Blocks), func(buf []byte) (err error) {
		sound = true
		if page, err = btree.ParsePage(buf); err == nil {
			err = page.Check(cfg, own, p)
		}
		return err
	})
	if err != nil && !sound && ctx.Err() == nil {
		return nil, readFailed{err}
	}
	return page, err
}

// Resident returns nil: nothing is kept.
func (l *loader) Resident(btree.Ptr) *btree.Page { return nil }

// ReadBlob reads an overflow value and verifies its checksums.
func (l *loader) ReadBlob(ctx context.Context, ext []btree.BlobExtent, dst []byte) error {
	for _, e := range ext {
		n := int(e.Bytes)
		if n > len(dst) {
			return fmt.Errorf("overflow runs longer than the value: %w", layout.ErrCorrupt)
		}
		if err := l.v.inZones(layout.Extent{Addr: layout.Addr(e.Addr), Blocks: blocksOf(uint64(e.Bytes))}); err != nil {
			return err
		}
		if err := l.readRun(ctx, e, dst[:n]); err != nil {
			return err
		}
		dst = dst[n:]
	}
	return nil
}

// readRun reads one run of an overflow value, up to three times.
func (l *loader) readRun(ctx context.Context, e btree.BlobExtent, dst []byte) error {
	const step = 1 << 20 / layout.BlockSize
	var err error
	for range readTries {
		b, rest := layout.Addr(e.Addr).Block(), dst
		for err = nil; len(rest) > 0 && err == nil; {
			var p []byte
			if p, err = l.r.read(ctx, b, min(step, int(blocksOf(uint64(len(rest))))), nil); err != nil {
				return readFailed{err}
			}
			rest = rest[copy(rest, p):]
			b += step
		}
		if got := layout.CRC(dst); got != e.CRC {
			err = &layout.Corruption{Kind: "overflow value", Addr: layout.Addr(e.Addr), Field: "crc", Got: fmt.Sprintf("%08x", got), Want: fmt.Sprintf("%08x", e.CRC), Err: layout.ErrBadCRC}
			continue
		}
		return nil
	}
	return err
}

// blocksOf returns how many blocks hold n bytes.
func blocksOf(n uint64) uint64 { return (n + layout.BlockSize - 1) / layout.BlockSize }
