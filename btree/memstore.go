package btree

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"sync"
)

// MemStore is a Loader and a Sink in RAM for tests, here and in packages above.
// It keeps books: a node is allocated, written and freed once; Len says how many
// are live. What is freed stays readable until Settle, as blocks in limbo do;
// then its blocks are used again first, so that a stale pointer shows.
//
// All Loader methods may run at once, and with one user of the Sink.
type MemStore struct {
	mu    sync.RWMutex
	epoch uint64
	next  uint64
	nodes map[uint64][]byte // nil: allocated, not written
	pages map[uint64]*Page  // parsed nodes
	blobs map[uint64][]byte
	limbo limbo
	free  map[int][]uint64 // runs that may be used again, by blocks

	// Trap, if set, is asked before every operation ("load", "alloc", "write",
	// "blob", "readblob") and may fail it.
	Trap func(op string) error
	// Loads counts nodes handed out by Load, by level.
	Loads [maxLevel + 1]int
	// Errs collects what a caller did wrong: double frees and the like.
	Errs []error
}

// limbo is what was freed and can still be read.
type limbo struct {
	nodes map[uint64][]byte
	blobs map[uint64][]byte
}

// NewMemStore returns an empty store in epoch 1.
func NewMemStore() *MemStore {
	return &MemStore{
		epoch: 1, next: 1 << 20,
		nodes: map[uint64][]byte{}, pages: map[uint64]*Page{}, blobs: map[uint64][]byte{},
		limbo: limbo{map[uint64][]byte{}, map[uint64][]byte{}},
		free:  map[int][]uint64{},
	}
}

// Settle drops what was freed: its last readers are gone, or should be.
func (s *MemStore) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, b := range s.limbo.nodes {
		delete(s.pages, a)
		n := len(b) / blockBytes
		s.free[n] = append(s.free[n], a)
	}
	clear(s.limbo.nodes)
	clear(s.limbo.blobs)
}

// NextEpoch begins another epoch.
func (s *MemStore) NextEpoch() { s.mu.Lock(); s.epoch++; s.mu.Unlock() }

// Epoch implements Sink.
func (s *MemStore) Epoch() uint64 { return s.epoch }

func (s *MemStore) trap(op string) error {
	if s.Trap != nil {
		return s.Trap(op)
	}
	return nil
}

// Load implements Loader.
func (s *MemStore) Load(ctx context.Context, cfg *Config, own *Owner, p Ptr) (*Page, error) {
	if err := p.Readable(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	page, buf, trap := s.pages[p.Addr], s.nodes[p.Addr], s.Trap
	if buf == nil {
		buf = s.limbo.nodes[p.Addr]
	}
	s.mu.RUnlock()
	if trap != nil {
		s.mu.Lock()
		s.Loads[p.Level&maxLevel]++
		err := trap("load")
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	if page == nil {
		if buf == nil {
			return nil, corrupt(p.Addr, "node", "written", "missing")
		}
		page = new(Page)
		if err := page.parse(buf, p.Addr); err != nil {
			return nil, err
		}
		s.mu.Lock()
		if s.nodes[p.Addr] != nil || s.limbo.nodes[p.Addr] != nil {
			s.pages[p.Addr] = page
		}
		s.mu.Unlock()
	}
	if err := page.Check(cfg, own, p); err != nil {
		return nil, err
	}
	return page, nil
}

// Resident implements Loader: what was loaded once is resident.
func (s *MemStore) Resident(p Ptr) *Page {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if page := s.pages[p.Addr]; page != nil && page.ptr.Epoch == p.Epoch && page.ptr.CRC == p.CRC {
		return page
	}
	return nil
}

// ReadBlob implements Loader.
func (s *MemStore) ReadBlob(ctx context.Context, ext []BlobExtent, dst []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.trap("readblob"); err != nil {
		return err
	}
	for _, e := range ext {
		b, ok := s.blobs[e.Addr]
		if !ok {
			b, ok = s.limbo.blobs[e.Addr]
		}
		if !ok || len(b) != int(e.Bytes) || len(dst) < len(b) || crc32.Checksum(b, castagnoli) != e.CRC {
			return corrupt(e.Addr, "overflow run", fmt.Sprintf("%d bytes crc %08x", e.Bytes, e.CRC), fmt.Sprint(len(b), " others"))
		}
		dst = dst[copy(dst, b):]
	}
	return nil
}

// Alloc implements Sink.
func (s *MemStore) Alloc(blocks int) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.trap("alloc"); err != nil {
		return 0, err
	}
	addr := s.next
	if f := s.free[blocks]; len(f) > 0 {
		addr, s.free[blocks] = f[len(f)-1], f[:len(f)-1]
	} else {
		s.next += uint64(blocks)
	}
	s.nodes[addr] = nil
	return addr, nil
}

// Write implements Sink.
func (s *MemStore) Write(addr uint64, page []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.trap("write"); err != nil {
		return err
	}
	if old, ok := s.nodes[addr]; !ok || old != nil {
		s.Errs = append(s.Errs, fmt.Errorf("write to %d, not just allocated", addr))
	}
	s.nodes[addr] = slices.Clone(page)
	return nil
}

// Free implements Sink.
func (s *MemStore) Free(addr uint64, blocks int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.nodes[addr]; !ok || len(b) != blocks*blockBytes {
		s.Errs = append(s.Errs, fmt.Errorf("free of %d~%d, where %d bytes are live", addr, blocks, len(b)))
	}
	s.limbo.nodes[addr] = s.nodes[addr]
	delete(s.nodes, addr)
}

// WriteBlob implements Sink; values above 64 KiB get several runs.
func (s *MemStore) WriteBlob(data []byte) ([]BlobExtent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.trap("blob"); err != nil {
		return nil, err
	}
	var ext []BlobExtent
	for part := range slices.Chunk(data, max(64<<10, len(data)/MaxBlobExtents+1)) {
		e := BlobExtent{Addr: s.next, Bytes: uint32(len(part)), CRC: crc32.Checksum(part, castagnoli)}
		s.next += uint64(len(part)+blockBytes-1) / blockBytes
		s.blobs[e.Addr] = slices.Clone(part)
		ext = append(ext, e)
	}
	return ext, nil
}

// FreeBlob implements Sink.
func (s *MemStore) FreeBlob(ext []BlobExtent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range ext {
		if _, ok := s.blobs[e.Addr]; !ok {
			s.Errs = append(s.Errs, fmt.Errorf("free of overflow run %d, which is not live", e.Addr))
		}
		s.limbo.blobs[e.Addr] = s.blobs[e.Addr]
		delete(s.blobs, e.Addr)
	}
}

// Save returns a function that undoes every Alloc, Write and Free made since:
// the books of a Sink whose user failed. There is no Settle in between.
func (s *MemStore) Save() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes, blobs := maps.Clone(s.nodes), maps.Clone(s.blobs)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.nodes, s.blobs, s.pages = nodes, blobs, map[uint64]*Page{}
		clear(s.limbo.nodes)
		clear(s.limbo.blobs)
		clear(s.free) // runs taken since are live again or lost; either way not free
	}
}

// Len is the number of live nodes and of live overflow runs.
func (s *MemStore) Len() (nodes, blobs int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.nodes), len(s.blobs)
}

// Node returns the bytes of a live node, to be changed only by Corrupt.
func (s *MemStore) Node(addr uint64) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.nodes[addr]
}

// Addrs lists the live nodes in order of address.
func (s *MemStore) Addrs() []uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]uint64, 0, len(s.nodes))
	for a := range s.nodes {
		out = append(out, a)
	}
	slices.Sort(out)
	return out
}

// Corrupt replaces the bytes of a node by what change returns for a copy.
func (s *MemStore) Corrupt(addr uint64, change func(page []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[addr] = change(slices.Clone(s.nodes[addr]))
	delete(s.pages, addr)
}

// Check returns what callers did wrong so far.
func (s *MemStore) Check() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return errors.Join(s.Errs...)
}
