package btree

import (
	"sync"
	"sync/atomic"

	"ebofs/devices"
)

// cacheShard is the pages of a part of all addresses, with their clock.
type cacheShard struct {
	mu sync.RWMutex
	// Held shared to look up and pin, exclusively to insert and remove. A frame
	// of pages has at least one reference: the cache's own.
	pages   map[uint64]*frame
	loading map[loadKey]*load
	ring    []*frame // the values of pages; frame.pos is the index
	hand    int
	bytes   int64 // of the frames in pages

	hits, passed    atomic.Uint64 // of leaves, of inner pages
	misses, evicted atomic.Uint64
	_               [64]byte
}

// frame is one page in RAM.
type frame struct {
	page   Page
	mem    *devices.Frame
	refs   atomic.Int32 // pins, and one while the cache has it
	chance atomic.Int32 // looks of the clock it survives
	pos    int          // in shard.ring; guarded by shard.mu
}

// unpin drops a reference; the last one gives the memory back.
func (f *frame) unpin() {
	if f.refs.Add(-1) == 0 {
		f.mem.Release()
	}
}

// size is the memory of f in bytes.
func (f *frame) size() int64 { return int64(cap(f.mem.Bytes())) }

// touch notes that f was used.
func (f *frame) touch() {
	n := int32(1)
	if f.page.inner {
		n = 2
	}
	if f.chance.Load() != n {
		f.chance.Store(n)
	}
}

// findLocked returns the page p names, nil if it is not there, or another one is.
func (s *cacheShard) findLocked(p Ptr) *frame {
	f := s.pages[p.Addr]
	if f == nil || f.page.ptr.Epoch != p.Epoch || f.page.ptr.CRC != p.CRC {
		return nil
	}
	return f
}

// insertLocked adds f, one of whose references becomes the cache's, and evicts
// what is too much for share.
func (s *cacheShard) insertLocked(addr uint64, f *frame, share int64) {
	if old := s.pages[addr]; old != nil {
		if old.page.ptr.Epoch > f.page.ptr.Epoch {
			f.unpin() // read before the blocks were written again
			return
		}
		s.removeLocked(addr, old)
	}
	s.pages[addr] = f
	f.pos = len(s.ring)
	s.ring = append(s.ring, f)
	s.bytes += f.size()
	s.evictLocked(share, f)
}

// evictLocked evicts all but keep until no more than share is left or every page
// was looked at as often as it may be spared.
func (s *cacheShard) evictLocked(share int64, keep *frame) {
	for looks := 3 * len(s.ring); s.bytes > share && looks > 0; looks-- {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		v := s.ring[s.hand]
		switch {
		case v == keep || v.refs.Load() > 1:
			s.hand++
		case v.chance.Load() > 0:
			v.chance.Add(-1)
			s.hand++
		default:
			s.removeLocked(v.page.ptr.Addr, v)
			s.evicted.Add(1)
		}
	}
}

// removeLocked takes f out and drops the cache's reference.
func (s *cacheShard) removeLocked(addr uint64, f *frame) {
	delete(s.pages, addr)
	last := len(s.ring) - 1
	s.ring[f.pos] = s.ring[last]
	s.ring[f.pos].pos = f.pos
	s.ring[last] = nil
	s.ring = s.ring[:last]
	s.bytes -= f.size()
	f.unpin()
}
