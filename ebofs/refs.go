package ebofs

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"ebofs/allocator"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// Blocks that clones share are counted in the refs tree: how many extents map
// them, where that is more than one. Like all space they are accounted by
// difference at the checkpoint, once its objects are folded and its removed
// ones reaped:
//
//	old   what the last checkpoint had: the count in the tree, else one if the
//	      block was in use, else none
//	new   old, one less for each record that maps the block no more, one more for
//	      each that does now
//
//	old > 0, new = 0   freed                old = 0, new > 0   taken
//	new ≥ 2            counted in the tree  old = new = 0      dead
//
// A block's flag says whether to look here at all. It is set in the record of
// source and clone alike, in the epoch of the clone, and stays. Two kinds of
// records are without it though their block is shared: those the source had on
// disk before that epoch, and those of a source removed before it was saved
// again, which lie in the trash. So blocks dropped without the flag are looked
// at too where the same checkpoint shares their neighbours, and so is all trash
// once there is a refs tree.

// sharing is what a checkpoint does to the counts of one group of blocks.
type sharing struct {
	delta   [layout.RefBlocks]int32
	touched uint64 // bit i: look at block i, be its delta 0
}

// groups are some of the groups at hand: the blocks of a record lie in few, and those
// of the clones of one object in the same.
type groups [256]struct {
	k uint64
	g *sharing
}

// group returns group k of the counts that change.
func (ck *checkpoint) group(k uint64) *sharing {
	at := &ck.groups[k%uint64(len(ck.groups))]
	if at.g != nil && at.k == k {
		return at.g
	}
	if ck.shared == nil {
		ck.shared = make(map[uint64]*sharing)
	}
	g := ck.shared[k]
	if g == nil {
		g = new(sharing)
		ck.shared[k] = g
	}
	at.k, at.g = k, g
	return g
}

// share adds d to the number of extents that map n blocks from a on.
func (ck *checkpoint) share(a layout.Addr, n int, d int32) {
	if d < 0 && planted.On(planted.CountKept) {
		d = 0
	}
	for end := a + layout.Addr(n); a < end; {
		g, i := ck.group(uint64(a)/layout.RefBlocks), uint64(a)%layout.RefBlocks
		for ; i < layout.RefBlocks && a < end; a, i = a+1, i+1 {
			g.delta[i] += d
			g.touched |= 1 << i
		}
	}
}

// drop is for a block decided in this epoch and dropped again: if it is not
// shared, nobody has it.
func (ck *checkpoint) drop(d decided) {
	if d.flags&layout.BlockShared != 0 {
		ck.share(d.addr, 1, 0)
		return
	}
	ck.dead = appendExtent(ck.dead, allocator.Extent{Start: d.addr.Block(), Blocks: 1})
}

// unshareChunk accounts a record of a removed object: any of its blocks may be
// shared, whatever its flag.
func (ck *checkpoint) unshareChunk(val []byte) error {
	return layout.ChunkRuns(val, func(r *layout.Run) bool {
		ck.share(r.Addr, r.Blocks, -1)
		return true
	})
}

// sharedStep is how many records of one removed object a checkpoint unshares.
const sharedStep = 4096

// crowded says that enough groups of counts change already: what else is to be
// unshared waits in the trash for the next checkpoint.
func (ck *checkpoint) crowded() bool { return uint64(len(ck.shared)) >= ck.s.mostShared }

// settleShared turns what was gathered into counts, frees and allocations. No
// record of an extents tree changes afterwards.
func (ck *checkpoint) settleShared() error {
	if len(ck.shared) == 0 {
		for _, e := range ck.unmapped {
			ck.freeData(e)
		}
		if ck.s.refs.Dirty() { // touched by the cleaner
			ck.s.refs.Freeze()
		}
		return nil
	}
	for _, e := range ck.unmapped {
		for b := e.Start; b < e.Start+e.Blocks; b++ {
			if a := layout.MakeAddr(0, b); ck.shared[uint64(a)/layout.RefBlocks] != nil {
				ck.share(a, 1, -1)
			} else {
				ck.freeData(allocator.Extent{Start: b, Blocks: 1})
			}
		}
	}
	ck.s.refs.Freeze()
	for _, k := range slices.Sorted(maps.Keys(ck.shared)) {
		if err := ck.settleGroup(k, ck.shared[k]); err != nil {
			return fmt.Errorf("tree refs: blocks from %d on: %w", k*layout.RefBlocks, err)
		}
	}
	return nil
}

// settleGroup settles one group. If its counts cannot be read none of its
// blocks in use is freed any more: the space stays used until a repair.
func (ck *checkpoint) settleGroup(k uint64, d *sharing) error {
	refs := ck.s.refs
	key := layout.Uint64Key(k)
	var g layout.RefGroup
	val, counted, err := refs.GetFrozen(ck.ctx, key[:], nil)
	if err == nil && counted {
		err = layout.DecodeRefGroup(val, &g)
	}
	unknown := err != nil
	if unknown && !ck.refsLost {
		ck.refsLost = true
		if err := ck.giveUp(err); err != nil {
			return err
		}
	}
	was := g
	for i := range uint64(layout.RefBlocks) {
		if d.touched>>i&1 == 0 {
			continue
		}
		b := layout.Addr(k*layout.RefBlocks + i).Block()
		old := int64(g.Count[i])
		if old == 0 {
			used, err := ck.s.space.inUse(ck.ctx, b)
			if err != nil {
				return err
			}
			if used {
				old = 1
			}
		}
		now := old + int64(d.delta[i])
		e := allocator.Extent{Start: b, Blocks: 1}
		switch {
		case unknown && old > 0:
			continue
		case now < 0:
			return fmt.Errorf("block %d: %d extents mapped it and %d are gone: %w", b, old, old-now, ErrCorrupt)
		case old > 0 && now == 0:
			ck.freeData(e)
		case old == 0 && now == 0:
			ck.dead = appendExtent(ck.dead, e)
		case old == 0:
			ck.useData(e)
		}
		if now < 2 {
			now = 0
		}
		g.Count[i] = uint32(now)
	}
	switch {
	case unknown:
		refs.LoseFrozen(key[:])
	case g == was:
	case g.Empty():
		refs.DeleteFrozen(key[:])
	default:
		if val, err = g.Append(val[:0]); err != nil {
			return err
		}
		refs.PutFrozen(key[:], val)
	}
	return nil
}

// inUse reports whether the last checkpoint's objects or trees use a block. Of a
// zone that is lost all count as used.
func (s *space) inUse(ctx context.Context, b uint64) (used bool, err error) {
	e := allocator.Extent{Start: b, Blocks: 1}
	if err := s.inZones(e); err != nil {
		return false, err
	}
	s.split(e, func(z int, first, _ uint64) {
		if err = s.ensure(ctx, z); err == nil {
			zs := &s.zones[z]
			used = zs.lost || zs.bits[first/64]>>(first%64)&1 == 1
		}
	})
	return used, err
}
