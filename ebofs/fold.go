package ebofs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"ebofs/allocator"
	"ebofs/btree"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// folder turns the overlay of frozen objects into base content: journaled
// bytes are merged over what is below them and written, in order of object and
// offset, to fresh stripes; decided blocks enter the extents trees.
//
// What was folded is installed, that is shown to readers, only after its
// blocks are on the device.
type folder struct {
	ck    *checkpoint
	out   gatherer
	fresh packer // for what was journaled
	cold  gatherer
	moved packer // for what the cleaner or a sweep moves
	// together is where blocks went that clones share.
	together map[layout.Addr]layout.Addr
	ahead    readAhead
	staged   []stagedObject
	size     int // bytes staged
	indexes  []uint64
	key      []byte
	val      []byte
	chunk    layout.Chunk
	vals     []byte // records of what is staged
}

// stagedObject is an object folded but not yet installed.
type stagedObject struct {
	v      *version
	inline []byte
	chunks []stagedChunk
}

type stagedChunk struct {
	index uint64
	value []byte // nil: no block of the chunk is used any more
	lost  bool   // what the chunk was cannot be read
}

// fold merges the overlay of v into its base.
func (f *folder) fold(v *version) error {
	b := v.body
	if b.over.empty() && len(b.moves) == 0 && !b.reown && (b.inline == nil || b.size <= inlineBytes) {
		return nil
	}
	st := stagedObject{v: v}
	if b.extents == nil && b.size <= inlineBytes {
		st.inline = f.inlineOf(b)
	} else {
		if err := f.indexesOf(b); err != nil {
			return err
		}
		for _, k := range f.indexes {
			value, err := f.foldChunk(v, k)
			lost := errors.Is(err, errLost)
			if err != nil && !lost {
				return err
			}
			st.chunks = append(st.chunks, stagedChunk{k, value, lost})
			f.size += 64 + len(value)
		}
	}
	f.staged = append(f.staged, st)
	if f.size += 64; f.size > 4<<20 {
		return f.install()
	}
	return nil
}

// inlineOf returns the whole content of a small object.
func (f *folder) inlineOf(b *body) []byte {
	if b.size == 0 {
		return nil
	}
	p := make([]byte, b.size)
	if _, hole := b.over.lookup(0); !hole {
		copy(p, b.inline)
	}
	for _, q := range b.over.within(0, b.size) {
		copy(p[q.off:], q.data)
	}
	return p
}

// errLost says that what a change belongs to cannot be read.
var errLost = fmt.Errorf("changes are lost: %w", ErrCorrupt)

// foldChunk returns the new record of chunk k, or errLost.
func (f *folder) foldChunk(v *version, k uint64) ([]byte, error) {
	b, c := v.body, &f.chunk
	*c = layout.Chunk{}
	f.key = append(f.key[:0], chunkKey(k)...)
	val, ok, err := b.extents.GetFrozen(f.ck.ctx, f.key, f.val)
	if err == nil && ok {
		err = layout.DecodeChunk(val, c)
	}
	if err != nil {
		err = f.ck.giveUp(fmt.Errorf("object %s: chunk %d: %w", objectName(v.key), k, err))
		return nil, cmp.Or(err, errLost)
	}
	f.val = val
	var fresh uint64 // blocks decided in this epoch: no checkpoint has seen them
	if e := b.over.edits.get(k); e != nil {
		e.over(c)
		fresh = e.in(f.ck.epoch)
	}
	inline := k == 0 && b.inline != nil
	if inline {
		if _, decided := b.over.lookup(0); decided {
			inline = false
		}
	}
	start := k << chunkShift
	rest := b.over.within(start, start+chunkBytes)
	for i := uint64(0); i < layout.ChunkBlocks; i++ {
		off := start + i<<blockShift
		var list []piece
		list, rest = upTo(rest, off+blockSize)
		small := inline && i == 0
		if len(list) == 0 && !small {
			if c.Addr[i] == 0 {
				continue
			}
			if err := f.settle(v, c, i, off>>blockShift, b.reown || fresh>>i&1 == 1); err != nil {
				return nil, err
			}
			continue
		}
		if c.Addr[i] == 0 && !small && zeros(list, off) && !planted.On(planted.HoleFilled) {
			continue // the edge of a truncate or zero in a hole: what frees takes nothing
		}
		at, err := f.fresh.take(1)
		if err != nil {
			return nil, err
		}
		p, err := f.out.room(at, blockSize, WriteFold, int(min(blockSize, b.size-min(off, b.size))))
		if err != nil {
			return nil, err
		}
		f.ck.turns.did(mergeTime)
		flags, err := f.merge(p, v, c, off, list, small)
		if err != nil {
			return nil, err
		}
		if fresh>>i&1 == 1 && c.Addr[i] != 0 {
			f.ck.drop(decided{c.Addr[i], c.CRC[i], c.Flags[i]})
		}
		c.Addr[i], c.CRC[i], c.Flags[i] = layout.MakeAddr(0, at), layout.CRC(p), flags
		f.owned(b, c.Addr[i], off>>blockShift)
	}
	for _, a := range c.Addr {
		if a != 0 {
			from := len(f.vals)
			if from+layout.MaxChunkBytes > cap(f.vals) {
				f.vals, from = make([]byte, 0, 64<<10), 0
			}
			f.vals, err = c.Append(f.vals)
			return f.vals[from:len(f.vals):len(f.vals)], err
		}
	}
	return nil, nil
}

// settle is for a block of the chunk that nothing was journaled over: block of the
// object. The cleaner may want it moved, or a sweep; and if fresh it has an owner now.
func (f *folder) settle(v *version, c *layout.Chunk, i, block uint64, fresh bool) error {
	b := v.body
	p, joint := f.ck.moving(decided{c.Addr[i], c.CRC[i], c.Flags[i]})
	if p == nil && !fresh {
		var err error
		if p, err = f.swept(v, c, i, block); err != nil {
			return err
		}
	} else if w := f.ck.s.defrag.sweep; p != nil && w != nil {
		w.moved++
	}
	if p != nil {
		return f.move(b, c, i, block, p, joint)
	}
	if !fresh || !f.ck.s.space.hard {
		return nil
	}
	if c.Flags[i]&layout.BlockShared != 0 { // if it is a clone's, it has one already
		if used, err := f.ck.s.space.inUse(f.ck.ctx, c.Addr[i].Block()); used || err != nil {
			return err
		}
	}
	f.owned(b, c.Addr[i], block)
	return nil
}

// move gives a block of the chunk, with content p, another place; if joint all who
// share it the same.
func (f *folder) move(b *body, c *layout.Chunk, i, block uint64, p []byte, joint bool) error {
	to := layout.Addr(0)
	if joint {
		to = f.together[c.Addr[i]]
	}
	if to == 0 {
		at, err := f.moved.take(1)
		if err != nil {
			return err
		}
		q, err := f.cold.room(at, blockSize, WriteClean, blockSize)
		if err != nil {
			return err
		}
		copy(q, p)
		to = layout.MakeAddr(0, at)
		f.owned(b, to, block)
	}
	if !joint {
		c.Addr[i], c.Flags[i] = to, 0
		return nil
	}
	if f.together == nil {
		f.together = make(map[layout.Addr]layout.Addr)
	}
	f.together[c.Addr[i]], c.Addr[i] = to, to
	return nil
}

// indexesOf lists the chunks of b there is something to do for, in order.
func (f *folder) indexesOf(b *body) error {
	list := f.indexes[:0]
	for k := range b.over.pieces.all() {
		list = append(list, k)
	}
	for k := range b.over.edits.all() {
		list = append(list, k)
	}
	for k := range b.moves {
		list = append(list, k)
	}
	if b.inline != nil {
		list = append(list, 0)
	}
	var err error
	if b.reown && b.extents != nil {
		list, err = f.allChunks(b, list)
	}
	slices.Sort(list)
	f.indexes = slices.Compact(list)
	return err
}

// allChunks adds the chunks of which an object has blocks. What cannot be read
// stays unknown.
func (f *folder) allChunks(b *body, list []uint64) ([]uint64, error) {
	err := b.extents.Iter(f.ck.ctx, nil, nil, func(key, _ []byte) bool {
		if k, err := layout.DecodeUint64Key(key); err == nil {
			list = append(list, k)
		}
		return true
	})
	if err != nil && !errors.Is(err, ErrCorrupt) && f.ck.s.outage(f.ck.ctx, err) {
		return list, err
	}
	return list, nil
}

// owned notes whose data a block holds, where that is kept.
func (f *folder) owned(b *body, a layout.Addr, block uint64) {
	if f.ck.s.space.hard {
		f.ck.owned(a, b.id, block)
	}
}

// merge fills p with the block at byte off: the journaled bytes over its base. A
// base that fails its checksum or cannot be read is not laundered: the block is
// marked damaged, and reads of it fail until it is overwritten as a whole. One
// bad sector costs its block, and the store stays up (F7).
func (f *folder) merge(p []byte, v *version, c *layout.Chunk, off uint64, list []piece, small bool) (flags uint8, err error) {
	i := off >> blockShift % layout.ChunkBlocks
	switch {
	case small:
		clear(p[copy(p, v.body.inline):])
	case covers(list, off, min(off+blockSize, v.body.size)):
		// Behind the end of the object there are zeros.
		clear(p[min(blockSize, v.body.size-min(off, v.body.size)):])
	case c.Addr[i] == 0:
		clear(p)
	default:
		tmp := f.ck.s.pool.Get(blockSize)
		defer tmp.Release()
		err := f.ck.s.readData(f.ck.ctx, c.Addr[i], c.CRC[i], tmp.Bytes(), v.key)
		if err != nil && f.ck.s.outage(f.ck.ctx, err) {
			return 0, err // the block may well be sound; the log keeps the bytes
		}
		copy(p, tmp.Bytes())
		if err != nil || c.Flags[i]&layout.BlockDamaged != 0 {
			if !planted.On(planted.DamageLaundered) {
				flags = layout.BlockDamaged
			}
			f.ck.s.log.Warn("journaled bytes over a damaged block", "oid", objectName(v.key), "addr", c.Addr[i], "err", err)
		}
	}
	for _, q := range list {
		lo, hi := max(q.off, off), min(q.end(), off+blockSize)
		copy(p[lo-off:], q.data[lo-q.off:hi-q.off])
	}
	return flags, nil
}

// zeros reports whether list has nothing but zeros for the block at off.
func zeros(list []piece, off uint64) bool {
	for _, q := range list {
		lo, hi := max(q.off, off), min(q.end(), off+blockSize)
		if !bytes.Equal(q.data[lo-q.off:hi-q.off], zeroBlock[:hi-lo]) {
			return false
		}
	}
	return true
}

// covers reports whether list covers the bytes from off to end.
func covers(list []piece, off, end uint64) bool {
	at := off
	for _, q := range list {
		if q.off > at {
			return false
		}
		at = q.end()
	}
	return at >= end
}

// install writes what was gathered and shows it to readers.
func (f *folder) install() error {
	for _, p := range [...]*packer{&f.fresh, &f.moved} {
		if err := p.seal(); err != nil {
			return err
		}
	}
	if err := f.cold.flush(); err != nil {
		return err
	}
	if err := f.out.flush(); err != nil {
		return err
	}
	for i := range f.staged {
		f.installObject(&f.staged[i])
	}
	clear(f.staged)
	f.staged, f.vals, f.size = f.staged[:0], f.vals[:0], 0
	return nil
}

func (f *folder) installObject(st *stagedObject) {
	home := lockHome(st.v.from)
	for _, c := range st.chunks {
		if c.lost {
			st.v.body.extents.LoseFrozen(chunkKey(c.index))
		} else if c.value == nil {
			st.v.body.extents.DeleteFrozen(chunkKey(c.index))
		} else {
			st.v.body.extents.PutFrozen(chunkKey(c.index), c.value)
		}
	}
	st.v.body.inline = st.inline
	if home != nil {
		st.v.from.inline = st.inline
		st.v.from.over.settle(f.ck.epoch)
		home.mu.Unlock()
	}
}

// lockHome locks and returns the onode that holds b now, nil if b was removed.
func lockHome(b *body) *onode {
	for {
		o := b.home.Load()
		if o == nil {
			return nil
		}
		o.mu.Lock()
		if b.home.Load() == o {
			return o
		}
		o.mu.Unlock()
	}
}

// diffChunk accounts the blocks that one extents record has and the other has
// not. Either may be nil.
func (ck *checkpoint) diffChunk(old, new []byte) error {
	ck.turns.did(recordTime)
	switch {
	case old == nil && new == nil:
		return nil
	case old == nil:
		return layout.ChunkRuns(new, func(r *layout.Run) bool { ck.mapped(r.Addr, r.Blocks, r.Flags); return true })
	case new == nil:
		return layout.ChunkRuns(old, func(r *layout.Run) bool { ck.dropped(r.Addr, r.Blocks, r.Flags); return true })
	}
	var o, n layout.Chunk
	if err := layout.DecodeChunk(old, &o); err != nil {
		return err
	}
	if err := layout.DecodeChunk(new, &n); err != nil {
		return err
	}
	for i := range o.Addr {
		if o.Addr[i] == n.Addr[i] {
			continue
		}
		if a := o.Addr[i]; a != 0 {
			ck.dropped(a, 1, o.Flags[i])
		}
		if a := n.Addr[i]; a != 0 {
			ck.mapped(a, 1, n.Flags[i])
		}
	}
	return nil
}

// mapped enters n blocks from a on that a record maps now.
func (ck *checkpoint) mapped(a layout.Addr, n int, flags uint8) {
	if flags&layout.BlockShared != 0 {
		ck.share(a, n, +1)
		return
	}
	ck.useData(allocator.Extent{Start: a.Block(), Blocks: uint64(n)})
}

// dropped enters n blocks from a on that a record maps no more.
func (ck *checkpoint) dropped(a layout.Addr, n int, flags uint8) {
	switch {
	case planted.On(planted.FreeForgotten):
	case flags&layout.BlockShared != 0:
		ck.share(a, n, -1)
	default:
		ck.unmapped = appendExtent(ck.unmapped, allocator.Extent{Start: a.Block(), Blocks: uint64(n)})
	}
}

// useData enters data blocks that the durable checkpoint does not use.
func (ck *checkpoint) useData(e allocator.Extent) {
	ck.allocs = appendExtent(ck.allocs, e)
	ck.dataAlloced += e.Blocks
}

// freeData takes back data blocks that the durable checkpoint uses.
func (ck *checkpoint) freeData(e allocator.Extent) {
	ck.frees = appendExtent(ck.frees, e)
	ck.dataFreed += e.Blocks
}

// appendExtent adds e, joined with the last one where they meet.
func appendExtent(list []allocator.Extent, e allocator.Extent) []allocator.Extent {
	if n := len(list); n > 0 && list[n-1].Start+list[n-1].Blocks == e.Start {
		list[n-1].Blocks += e.Blocks
		return list
	}
	return append(list, e)
}

// rootOf returns a tree's published root; a tree never made is empty.
func rootOf(t *btree.Tree) btree.Root {
	if t == nil {
		return btree.Root{}
	}
	return t.Root()
}

// objectName prints an encoded object key.
func objectName(key string) string {
	k, err := layout.DecodeObjectKey([]byte(key))
	if err != nil {
		return fmt.Sprintf("%x", key)
	}
	return k.String()
}
