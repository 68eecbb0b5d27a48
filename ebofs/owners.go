package ebofs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"ebofs/allocator"
	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// On hard geometry the owners tree says whose data a block holds, and by which key
// an object of that id is found: the cleaner begins with a stripe. Each checkpoint
// enters the blocks it has filled and the objects that have blocks for the first
// time, or under another key.

// ownerEdit is what a checkpoint knows of one group of blocks.
type ownerEdit struct {
	mask  uint64 // bit i: block i was filled in this epoch
	group layout.OwnerGroup
}

// owned enters that the block at a holds a block of an object.
func (ck *checkpoint) owned(a layout.Addr, id, block uint64) {
	if ck.owners == nil {
		ck.owners = make(map[uint64]*ownerEdit)
	}
	k, i := uint64(a)/layout.OwnerBlocks, int(uint64(a)%layout.OwnerBlocks)
	e := ck.owners[k]
	if e == nil {
		e = new(ownerEdit)
		ck.owners[k] = e
	}
	e.mask |= 1 << i
	e.group.Set(i, id, block)
}

// named enters the key of an object that has blocks, or has none any more.
func (ck *checkpoint) named(v *version, blocks bool) {
	switch {
	case !ck.s.space.hard:
		return
	case !blocks:
		ck.unnamed(v.from)
		v.from.owned = ""
		return
	case v.from.owned == v.key && !v.body.reown:
		return
	}
	v.from.owned = v.key // the checkpointer's own field
	key := layout.IDKey(v.body.id)
	ck.names = append(ck.names, ownerName{key, v.key})
}

// unnamed forgets an object that was removed.
func (ck *checkpoint) unnamed(b *body) {
	if b.owned != "" {
		ck.names = append(ck.names, ownerName{layout.IDKey(b.id), ""})
	}
}

// ownStep is how many objects one checkpoint enters of a store whose owners tree was
// dropped by a repair.
const ownStep = 1024

// ownMore has the next objects take part in a checkpoint that enters all their
// blocks. When the last has, the superblock says that the index is there.
func (ck *checkpoint) ownMore() error {
	s := ck.s
	c := &s.cleaner
	if s.owners == nil || s.super.Features.Incompat&layout.FeatOwnerIndex != 0 || c.stuck || ck.relay != nil {
		return nil
	}
	var keys [][]byte
	var next []byte
	err := s.objects.Iter(ck.ctx, c.next, nil, func(key, _ []byte) bool {
		if len(keys) == ownStep {
			next = slices.Clone(key)
			return false
		}
		keys = append(keys, slices.Clone(key))
		return true
	})
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && s.outage(ck.ctx, err) {
			return err
		}
		s.log.Warn("whose blocks are whose stays unknown until the next mount: some stripes are not cleaned", "err", err)
		c.stuck = true
	}
	for _, key := range keys {
		o, err := s.onodeOf(ck.ctx, key, true)
		if err != nil {
			return err
		}
		if b := o.cur; b != nil {
			s.takePart(o, b.id, func(b *body) { b.reown = true })
		}
		o.refs.Add(-1)
	}
	c.next = next
	ck.ownedAll = err == nil && next == nil
	c.more.Store(next != nil)
	return nil
}

// groupsOf returns the groups of blocks that extents touch, and which blocks of each.
func groupsOf(list []allocator.Extent) map[uint64]uint64 {
	groups := make(map[uint64]uint64)
	for _, e := range list {
		for b := e.Start; b < e.End(); b++ {
			a := uint64(layout.MakeAddr(0, b))
			groups[a/layout.OwnerBlocks] |= 1 << (a % layout.OwnerBlocks)
		}
	}
	return groups
}

// disown forgets the groups in which no data is left. Hints harm nobody, and give way
// when their blocks are used again, but take space until then.
func (ck *checkpoint) disown() error {
	ck.judged = len(ck.frees)
	freed := groupsOf(ck.frees)
	for _, k := range ck.s.cleaner.stale {
		freed[k] |= 0
	}
	for _, k := range slices.Sorted(maps.Keys(freed)) {
		if ck.owners[k] != nil {
			continue
		}
		live, err := ck.liveOwned(k)
		if err != nil {
			return err
		}
		left := live &^ freed[k]
		key := layout.GroupKey(k)
		old, err := ck.ownersOf(key[:])
		if err != nil {
			return err
		}
		for i := range layout.OwnerBlocks {
			if left>>i&1 == 0 {
				old.Set(i, 0, 0)
			}
		}
		if old.Empty() {
			ck.s.owners.DeleteFrozen(key[:])
		}
	}
	return nil
}

// findStale notes groups for the next checkpoint to forget: of blocks freed after this
// one had judged, which are nodes', with no other block that has an owner.
func (ck *checkpoint) findStale() {
	c := &ck.s.cleaner
	c.stale = nil
	if ck.s.owners == nil {
		return
	}
	groups := groupsOf(ck.frees[ck.judged:])
	for _, k := range slices.Sorted(maps.Keys(groups)) {
		live, err := ck.liveOwned(k)
		key := layout.GroupKey(k)
		g, e := ck.ownersOf(key[:])
		for i := range layout.OwnerBlocks {
			if live>>i&1 == 1 && g.ID[i] != 0 {
				e = errLost // not yet
			}
		}
		if err == nil && e == nil && !g.Empty() {
			c.stale = append(c.stale, k)
		}
	}
	if ck.root.Objects.Count == 0 && ck.root.Trash.Count == 0 {
		if list := ck.leftovers(); len(list) != c.leftovers { // else they will not go
			c.stale = append(c.stale, list...)
			c.leftovers = len(list)
		}
	}
	c.left.Store(len(c.stale) > 0)
}

// leftovers returns groups that an empty store still has: what findStale noted before a
// crash is forgotten. On others they stay until their blocks are used again.
func (ck *checkpoint) leftovers() (groups []uint64) {
	_ = ck.s.owners.Iter(ck.ctx, nil, nil, func(key, _ []byte) bool { // hints: unread, they stay
		if k, id, err := layout.DecodeOwnerKey(key); err == nil && id == 0 {
			groups = append(groups, k)
		}
		return len(groups) < ownStep
	})
	return groups
}

// ownersOf returns what the frozen owners tree says of a group. One that cannot be
// read is as one of which nothing is known.
func (ck *checkpoint) ownersOf(key []byte) (g layout.OwnerGroup, err error) {
	val, ok, err := ck.s.owners.GetFrozen(ck.ctx, key, nil)
	if err == nil && ok {
		err = layout.DecodeOwnerGroup(val, &g)
	}
	if err == nil {
		return g, nil
	}
	if ck.ctx.Err() != nil || !errors.Is(err, ErrCorrupt) && ck.s.outage(ck.ctx, err) {
		return g, fmt.Errorf("tree owners: %w", err)
	}
	return layout.OwnerGroup{}, nil
}

// liveOwned returns which blocks of a group may hold data. The root of the owners tree
// holds none: where it took the place of data, the last group would keep the tree and
// the tree the group.
func (ck *checkpoint) liveOwned(k uint64) (live uint64, err error) {
	live, err = ck.s.space.liveGroup(ck.ctx, k)
	if r := ck.s.owners.Root(); r.Kind == btree.RootNode {
		for a := r.Ptr.Addr; a < r.Ptr.Addr+uint64(r.Ptr.Blocks); a++ {
			if a/layout.OwnerBlocks == k {
				live &^= 1 << (a % layout.OwnerBlocks)
			}
		}
	}
	return live, err
}

// liveGroup returns which blocks of a group the last checkpoint uses. All count as
// used of a zone that is lost.
func (s *space) liveGroup(ctx context.Context, k uint64) (live uint64, err error) {
	first := layout.Addr(k * layout.OwnerBlocks).Block()
	lo, hi := max(first, s.place.ZoneStart), min(first+layout.OwnerBlocks, s.place.ZoneEnd)
	if lo >= hi {
		return 0, nil
	}
	s.split(allocator.Extent{Start: lo, Blocks: hi - lo}, func(z int, off, n uint64) {
		if err == nil {
			err = s.ensure(ctx, z)
		}
		if err != nil {
			return
		}
		start, _ := s.place.Zone(uint32(z))
		zs := &s.zones[z]
		for i := off; i < off+n; i++ {
			if zs.lost || zs.bits[i/64]>>(i%64)&1 == 1 {
				live |= 1 << (start + i - first)
			}
		}
	})
	return live, err
}

// ownerName is a change of the key of an id; an empty one removes it.
type ownerName struct {
	id   [layout.OwnerKeyBytes]byte
	name string
}

// writeOwners puts what was entered into the frozen owners tree.
func (ck *checkpoint) writeOwners() error {
	t := ck.s.owners
	if t == nil {
		return nil
	}
	t.Freeze()
	for _, n := range ck.names {
		if n.name == "" {
			t.DeleteFrozen(n.id[:])
		} else {
			t.PutFrozen(n.id[:], []byte(n.name))
		}
	}
	if err := ck.disown(); err != nil {
		return err
	}
	var buf []byte
	for _, k := range slices.Sorted(maps.Keys(ck.owners)) {
		e := ck.owners[k]
		key := layout.GroupKey(k)
		var old layout.OwnerGroup
		if bits.OnesCount64(e.mask) < layout.OwnerBlocks {
			var err error
			if old, err = ck.ownersOf(key[:]); err != nil {
				return err
			}
		}
		for i := range layout.OwnerBlocks {
			if e.mask>>i&1 == 0 {
				e.group.Set(i, old.ID[i], old.Block[i])
			}
		}
		buf = e.group.Append(buf[:0])
		t.PutFrozen(key[:], buf)
	}
	return nil
}
