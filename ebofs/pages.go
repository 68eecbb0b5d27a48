package ebofs

import (
	"context"
	"errors"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// pageReader reads tree pages and long values for the page cache, which
// verifies them.
type pageReader struct {
	dev  devices.Device
	read func(bytes int) // told of every read
}

// ReadPage implements btree.PageReader.
func (r pageReader) ReadPage(ctx context.Context, addr uint64, blocks int, dst []byte) error {
	r.read(blocks * blockSize)
	return readRetry(ctx, r.dev, devices.Block(layout.Addr(addr).Block()), dst[:blocks*blockSize])
}

// pages is the page cache as the store's trees see it: a page or value that
// fails its check is read again, for the device may have answered wrongly once
// (R10), and what stays wrong is a *CorruptError.
type pages struct {
	*btree.Cache
	s *Store
}

// newPages returns the page cache of a budget in bytes.
func (s *Store) newPages(budget int64) *pages {
	return &pages{btree.NewCache(pageReader{s.main, s.shares.read}, s.pool, budget), s}
}

// Load implements btree.Loader.
func (p *pages) Load(ctx context.Context, cfg *btree.Config, own *btree.Owner, ptr btree.Ptr) (page *btree.Page, err error) {
	err = p.retry(ctx, "node", ptr.Addr, func() error {
		page, err = p.Cache.Load(ctx, cfg, own, ptr)
		return err
	})
	return page, err
}

// ReadBlob implements btree.Loader.
func (p *pages) ReadBlob(ctx context.Context, ext []btree.BlobExtent, dst []byte) error {
	return p.retry(ctx, "value", 0, func() error { return p.Cache.ReadBlob(ctx, ext, dst) })
}

// retry calls read until what it reads is sound, at most readTries times.
func (p *pages) retry(ctx context.Context, kind string, addr uint64, read func() error) error {
	for try := 1; ; try++ {
		err := read()
		if err == nil {
			if try > 1 {
				p.s.metrics.RetriedReads.Add(1)
				p.s.log.Warn("read was right only when repeated", "kind", kind, "addr", layout.Addr(addr), "try", try)
			}
			return nil
		}
		var c *btree.CorruptError
		if !errors.As(err, &c) {
			return err
		}
		if try == readTries || ctx.Err() != nil {
			a := layout.Addr(c.Addr)
			return &CorruptError{
				Device: int(a.Device()), Block: devices.Block(a.Block()), Kind: kind,
				Want: c.Field + " " + c.Want, Got: c.Got,
			}
		}
	}
}
