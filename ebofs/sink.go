package ebofs

import (
	"errors"
	"fmt"
	"sync/atomic"

	"ebofs/allocator"
	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// metaSink is where a checkpoint's reconciled pages go (btree.Sink), and where
// it learns which blocks the new trees use that the old ones did not: the
// difference of the two is the whole of space accounting.
type metaSink struct {
	ck   *checkpoint
	hint uint64
}

var _ btree.Sink = (*metaSink)(nil)
var _ btree.Differ = (*metaSink)(nil)
var _ btree.GiverUp = (*metaSink)(nil)
var _ btree.Prefetcher = (*metaSink)(nil)

// prefetchers is how many leaves a checkpoint reads at once.
const prefetchers = 16

// Prefetch reads leaves into the page cache side by side: one after the other
// a large tree that is changed all over costs a read's latency for each. What
// cannot be read is left to whoever needs it.
func (m *metaSink) Prefetch(cfg *btree.Config, own *btree.Owner, leaves []btree.Ptr) {
	s := m.ck.s
	if s.opt.Inline {
		return
	}
	var cold []btree.Ptr
	for _, p := range leaves {
		if page := s.pages.Resident(p); page != nil {
			page.Release()
		} else {
			cold = append(cold, p)
		}
	}
	var next atomic.Int64
	for range min(len(cold), prefetchers) {
		m.ck.ahead.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(cold)); i = next.Add(1) - 1 {
				if page, err := s.pages.Cache.Load(m.ck.ctx, cfg, own, cold[i]); err == nil {
					page.Release()
				}
			}
		})
	}
}

// Epoch is the number pages are stamped with.
func (m *metaSink) Epoch() uint64 { return m.ck.epoch }

// Alloc returns a run of metadata blocks.
func (m *metaSink) Alloc(blocks int) (uint64, error) {
	start, err := m.take(uint64(blocks))
	if errors.Is(err, ErrNoSpace) {
		return 0, fmt.Errorf("%w: %w", err, btree.ErrNoRun) // shorter ones may do
	}
	if err != nil {
		return 0, err
	}
	m.ck.nodes[start] = blocks
	return uint64(layout.MakeAddr(0, start)), nil
}

// take returns neighbouring blocks for metadata, to be written through ck.meta in
// the order they were taken.
func (m *metaSink) take(blocks uint64) (start uint64, err error) {
	if m.ck.s.space.hard {
		return m.ck.nodePack.take(blocks)
	}
	e, err := m.ck.s.space.allocHard(m.ck.ctx, allocator.Meta, int(blocks), int(blocks), m.hint)
	if err == nil {
		m.hint = e.Start + e.Blocks
	}
	return e.Start, err
}

// Write gathers a finished page and leaves it in the page cache, where the one it
// replaces was when it was merged: the objects on it are in use, and reading it back is
// dearer than all the rest of changing one of them.
func (m *metaSink) Write(addr uint64, page []byte) error {
	m.ck.turns.did(pageTime)
	m.ck.s.pages.Insert(addr, page)
	return m.ck.meta.add(layout.Addr(addr).Block(), page, WriteTree)
}

// Free takes a page the new trees do not reach.
func (m *metaSink) Free(addr uint64, blocks int) {
	e := allocator.Extent{Start: layout.Addr(addr).Block(), Blocks: uint64(blocks)}
	if m.ck.nodes[e.Start] == blocks { // written by this very checkpoint
		delete(m.ck.nodes, e.Start)
		m.ck.dead = append(m.ck.dead, e)
		return
	}
	m.ck.metaFreed += e.Blocks
	m.ck.frees = append(m.ck.frees, e)
}

// WriteBlob stores a value too long for a page in data blocks.
func (m *metaSink) WriteBlob(data []byte) ([]btree.BlobExtent, error) {
	if m.ck.s.space.hard {
		return m.packBlob(data)
	}
	runs, err := m.blobRuns(int(blocksOf(uint64(len(data)))))
	if err != nil {
		return nil, err
	}
	ext := make([]btree.BlobExtent, 0, len(runs))
	for _, r := range runs {
		n := min(uint64(len(data)), r.Blocks*blockSize)
		part := data[:n]
		data = data[n:]
		m.ck.useData(r)
		ext = append(ext, btree.BlobExtent{Addr: uint64(layout.MakeAddr(0, r.Start)), Bytes: uint32(n), CRC: layout.CRC(part)})
		if err := m.addBlob(r.Start, part); err != nil {
			return nil, err
		}
	}
	return ext, nil
}

// addBlob gathers part of a long value for the blocks from b on.
func (m *metaSink) addBlob(b uint64, part []byte) error {
	for len(part) > 0 {
		k := min(len(part), m.ck.meta.most())
		p, err := m.ck.meta.room(b, (k+blockSize-1)&^(blockSize-1), WriteValue, k)
		if err != nil {
			return err
		}
		clear(p[copy(p, part[:k]):])
		part = part[k:]
		b += blocksOf(uint64(k))
	}
	return nil
}

// packBlob is WriteBlob on hard geometry: the value goes, piece by piece, to the
// stripes at hand.
func (m *metaSink) packBlob(data []byte) (ext []btree.BlobExtent, err error) {
	for len(data) > 0 {
		blocks := min(blocksOf(uint64(len(data))), packBlocks)
		start, err := m.ck.nodePack.take(blocks)
		for ; errors.Is(err, ErrNoSpace) && blocks > 1; start, err = m.ck.nodePack.take(blocks) {
			blocks /= 2
		}
		if err != nil {
			return nil, err
		}
		part := data[:min(uint64(len(data)), blocks*blockSize)]
		data = data[len(part):]
		m.ck.useData(allocator.Extent{Start: start, Blocks: blocks})
		ext = append(ext, btree.BlobExtent{Addr: uint64(layout.MakeAddr(0, start)), Bytes: uint32(len(part)), CRC: layout.CRC(part)})
		if err := m.addBlob(start, part); err != nil {
			return nil, err
		}
	}
	return ext, nil
}

// blobRuns allocates the blocks of a long value, from the stash if it must be.
func (m *metaSink) blobRuns(blocks int) ([]allocator.Extent, error) {
	s := m.ck.s.space
	runs, err := s.alloc(m.ck.ctx, allocator.Cold, blocks, m.hint, nil)
	if !errors.Is(err, ErrNoSpace) {
		return runs, err
	}
	for runs = nil; blocks > 0; {
		e, err := s.allocHard(m.ck.ctx, allocator.Cold, 1, blocks, m.hint)
		if err != nil {
			return nil, err
		}
		runs = append(runs, e)
		blocks -= int(e.Blocks)
	}
	return runs, nil
}

// FreeBlob takes the blocks of such a value back.
func (m *metaSink) FreeBlob(ext []btree.BlobExtent) {
	for _, e := range ext {
		m.ck.freeData(allocator.Extent{Start: layout.Addr(e.Addr).Block(), Blocks: blocksOf(uint64(e.Bytes))})
	}
}

// Replaced compares an old and a new record of an extents tree.
func (m *metaSink) Replaced(_ *btree.Config, _ *btree.Owner, _, old, new []byte) error {
	return m.ck.diffChunk(old, new)
}
