package ebofs

import (
	"context"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// pageReader reads tree pages and long values for the page cache, which
// verifies them.
type pageReader struct {
	dev devices.Device
}

// ReadPage implements btree.PageReader.
func (r pageReader) ReadPage(ctx context.Context, addr uint64, blocks int, dst []byte) error {
	return readRetry(ctx, r.dev, devices.Block(layout.Addr(addr).Block()), dst[:blocks*blockSize])
}

// newPages returns the page cache of a budget in bytes.
func (s *Store) newPages(budget int64) *btree.Cache {
	return btree.NewCache(pageReader{s.main}, s.pool, budget)
}
