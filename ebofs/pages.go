package ebofs

import (
	"context"
	"sync"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

type tmpPages struct {
	s  *Store
	mu sync.Mutex
	m  map[uint64]*btree.Page
}

func (s *Store) newPages(int64) *tmpPages { return &tmpPages{s: s, m: map[uint64]*btree.Page{}} }

func (p *tmpPages) Load(ctx context.Context, cfg *btree.Config, own *btree.Owner, ptr btree.Ptr) (*btree.Page, error) {
	if pg := p.Resident(ptr); pg != nil {
		return pg, nil
	}
	f := p.s.pool.Get(int(ptr.Blocks) * blockSize)
	defer f.Release()
	n := int(ptr.Blocks) * blockSize
	if err := readRetry(ctx, p.s.main, devices.Block(layout.Addr(ptr.Addr).Block()), f.Bytes()[:n]); err != nil {
		return nil, err
	}
	pg, err := btree.ParsePage(append([]byte(nil), f.Bytes()[:n]...))
	if err == nil {
		err = pg.Check(cfg, own, ptr)
	}
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.m[ptr.Addr] = pg
	p.mu.Unlock()
	return pg, nil
}
func (p *tmpPages) Resident(ptr btree.Ptr) *btree.Page {
	p.mu.Lock()
	defer p.mu.Unlock()
	pg := p.m[ptr.Addr]
	if pg != nil && pg.Ptr().Epoch != ptr.Epoch {
		return nil
	}
	return pg
}
func (p *tmpPages) ReadBlob(ctx context.Context, ext []btree.BlobExtent, dst []byte) error {
	for _, e := range ext {
		n := (int(e.Bytes) + blockSize - 1) &^ (blockSize - 1)
		f := p.s.pool.Get(n)
		err := readRetry(ctx, p.s.main, devices.Block(layout.Addr(e.Addr).Block()), f.Bytes()[:n])
		if err == nil && layout.CRC(f.Bytes()[:e.Bytes]) != e.CRC {
			err = ErrCorrupt
		}
		copy(dst, f.Bytes()[:e.Bytes])
		dst = dst[e.Bytes:]
		f.Release()
		if err != nil {
			return err
		}
	}
	return nil
}
func (p *tmpPages) Drop(uint64, int) {}
func (p *tmpPages) Close() error     { return nil }

type tmpData struct{}

func (tmpData) Get(uint64, uint32, int, []byte) bool { return false }
func (tmpData) Put(uint64, uint32, []byte)           {}
func (tmpData) Drop(uint64, int)                     {}
func (tmpData) Close()                               {}
