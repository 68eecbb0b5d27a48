package ebofs

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"ebofs/btree"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// apply makes resolved changes readable. It cannot fail and does no I/O but what
// a clone reads: everything that can go wrong was decided before. objects are
// those the changes name, each once. All of them are locked until the last
// change is made, so that a reader finds each as it was before the transaction or
// as it is after. epoch is the open epoch, or during replay the one being rebuilt.
//
// The gate is held for reading, so the open epoch stays open; the queues of the
// collections are held, so changes of one object come in order.
func (s *Store) apply(cs []change, objects []objectView, epoch uint64) {
	slices.SortFunc(objects, func(a, b objectView) int { return strings.Compare(a.o.key, b.o.key) })
	for i := range objects {
		objects[i].o.mu.Lock()
	}
	for i := range cs {
		c := &cs[i]
		switch {
		case c.code.onColl():
			s.applyColl(c)
		case c.code == opRename:
			s.renameLocked(c, epoch)
		case c.code.clones():
			s.applyCloneLocked(c, epoch)
		default:
			s.changeLocked(c.o, c, epoch)
		}
	}
	for i := range objects {
		objects[i].o.mu.Unlock()
	}
}

// changeLocked applies one change, or leaves it with a stub; o.mu is held for
// writing.
func (s *Store) changeLocked(o *onode, c *change, epoch uint64) {
	switch {
	case o.loading:
		s.deferLocked(o, c, epoch)
	case o.doomed != nil && c.code == opRemove:
		o.cur, o.doomed, o.loadErr = o.doomed, nil, nil
		o.cur.home.Store(o)
		s.applyLocked(o, c, epoch)
	case o.loadErr != nil: // it was a stub when the transaction found it
		s.lost(o, epoch)
	default:
		s.applyLocked(o, c, epoch)
	}
}

// deferLocked leaves a creating change with a stub until its load ends.
func (s *Store) deferLocked(o *onode, c *change, epoch uint64) {
	if n := len(o.stubAt); n == 0 || o.stubAt[n-1] != epoch {
		s.dirty.add(o, epoch)
	}
	if planted.On(planted.StubDropped) {
		return
	}
	w := *c
	w.retain()
	o.stub = append(o.stub, w)
	o.stubAt = append(o.stubAt, epoch)
}

// retain makes copies of what c shares with its caller, who may use that memory
// again as soon as the transaction is applied. Data of opWrite is a copy already.
func (c *change) retain() {
	if c.code == opOmapHead {
		c.data = bytes.Clone(c.data)
	}
	c.place = slices.Clone(c.place)
	for i := range c.place {
		c.place[i].crc = slices.Clone(c.place[i].crc)
	}
	c.pairs = slices.Clone(c.pairs)
	for i := range c.pairs {
		c.pairs[i].value = bytes.Clone(c.pairs[i].value)
	}
}

// resolveLocked ends a load: the waiting changes are applied to what was found.
func (s *Store) resolveLocked(o *onode) {
	for i := range o.stub {
		if e := o.stubAt[i]; o.epoch != e {
			if o.epoch != 0 {
				s.freezeLocked(o)
			}
			o.epoch = e // listed as dirty when the change was deferred
		}
		s.applyLocked(o, &o.stub[i], o.stubAt[i])
	}
	o.stub, o.stubAt = nil, nil
}

// applyLocked changes the body of a loaded object; o.mu is held for writing.
func (s *Store) applyLocked(o *onode, c *change, epoch uint64) {
	b := o.cur
	if b == nil && !c.code.creates() {
		return // the queue refused this; a log that says so changes nothing
	}
	s.touchLocked(o, epoch)
	if b == nil {
		b = s.createLocked(o, c.id, epoch)
	}
	b.changes++
	switch c.code {
	case opTouch:
	case opWrite:
		if len(c.data) == 0 {
			break // creates, extends nothing
		}
		b.over.write(c.off, c.data, epoch)
		b.size = max(b.size, c.off+uint64(len(c.data)))
	case opPlace:
		s.placeLocked(b, c, epoch)
	case opZero:
		s.zeroLocked(b, c.off, c.n, epoch)
		if c.n > 0 {
			b.size = max(b.size, c.off+c.n)
		}
	case opTruncate:
		if c.off < b.size && !planted.On(planted.TruncateShows) {
			s.zeroLocked(b, c.off, b.size-c.off, epoch)
		}
		b.size = c.off
	case opRemove:
		s.removeLocked(o, epoch)
	case opSetAttrs:
		putPairs(s.treeOf(&b.attrs, s.cfg.attrs, o, b), c.pairs)
	case opRmAttrs:
		if b.attrs == nil {
			break
		}
		if len(c.pairs) == 0 {
			b.attrs.DeleteRange(nil, nil)
		}
		for i := range c.pairs {
			b.attrs.Delete([]byte(c.pairs[i].key))
		}
	case opOmapSet:
		putPairs(s.treeOf(&b.omap, s.cfg.omap, o, b), c.pairs)
	case opOmapRm:
		for i := range c.pairs {
			if b.omap != nil {
				b.omap.Delete([]byte(c.pairs[i].key))
			}
		}
	case opOmapRange:
		if b.omap != nil && (c.pairs[1].key == "" || c.pairs[0].key < c.pairs[1].key) {
			b.omap.DeleteRange(bound(c.pairs[0].key), bound(c.pairs[1].key))
		}
	case opOmapClear:
		if b.omap != nil {
			b.omap.DeleteRange(nil, nil)
		}
		b.header = nil
	case opOmapHead:
		b.header = append([]byte(nil), c.data...)
	case opHint:
		b.hintSize, b.hintIO, b.flags = c.off, c.n, c.flags
	}
}

// batches keeps the memory of what is put together.
var batches = sync.Pool{New: func() any { return new(btree.Batch) }}

// putPairs puts pairs into a tree, all at once.
func putPairs(t *btree.Tree, pairs []pair) {
	b := batches.Get().(*btree.Batch)
	for i := range pairs {
		b.Put([]byte(pairs[i].key), pairs[i].value)
	}
	t.Apply(b)
	if b.Reset(); b.Bytes() <= 1<<20 {
		batches.Put(b)
	}
}

// createLocked gives o a fresh body and makes its key listable.
func (s *Store) createLocked(o *onode, id, epoch uint64) *body {
	b := &body{id: id}
	b.home.Store(o)
	o.cur = b
	s.markLocked(o, epoch)
	s.objectCount.Add(1)
	return b
}

// markLocked puts o's key into the object tree with an empty value: the onode
// in RAM is the truth until the checkpoint encodes it.
func (s *Store) markLocked(o *onode, epoch uint64) {
	x := scratches.Get().(*scratch)
	defer scratches.Put(x)
	x.key = append(x.key[:0], o.key...)
	if epoch == s.epoch {
		s.objects.Put(x.key, nil)
	} else {
		s.objects.PutFrozen(x.key, nil)
	}
}

// treeOf returns the body's tree at slot, made empty if there is none.
func (s *Store) treeOf(slot **btree.Tree, cfg *btree.Config, o *onode, b *body) *btree.Tree {
	if *slot == nil {
		*slot = btree.New(cfg, s.pages, ownerOf(o.key, b.id), btree.Root{})
	}
	return *slot
}

// ownerOf is what the headers of an object's own nodes say of it.
func ownerOf(key string, id uint64) btree.Owner {
	own := btree.Owner{ID: id}
	copy(own.Key[:], key)
	return own
}

// placeLocked points whole blocks at fresh stripes.
func (s *Store) placeLocked(b *body, c *change, epoch uint64) {
	blk := c.off >> blockShift
	b.over.cut(c.off, c.off+c.n)
	for _, run := range c.place {
		var e *edits
		for i, crc := range run.crc {
			at := blk % layout.ChunkBlocks
			if e == nil || at == 0 {
				e = b.over.editsFor(blk/layout.ChunkBlocks, len(run.crc)-i)
			}
			if dead := e.place(at, decided{addr: run.addr + layout.Addr(i), crc: crc}, epoch); dead.addr != 0 {
				s.dirty.addDead(dead, epoch)
			}
			blk++
		}
	}
	b.size = max(b.size, c.off+c.n)
}

func (s *Store) placeBlock(b *body, blk uint64, d decided, epoch uint64) {
	if dead := b.over.place(blk, d, epoch); dead.addr != 0 {
		s.dirty.addDead(dead, epoch)
	}
}

var zeroBlock [blockSize]byte

// zeroLocked makes [off, off+n) read as zeros without reading anything: whole
// blocks become holes, the edges journaled zeros. Nothing beyond the present
// size needs doing, since bytes behind the end are always zero.
func (s *Store) zeroLocked(b *body, off, n, epoch uint64) {
	end := min(off+n, b.size)
	if n == 0 || off >= end {
		return
	}
	if end == b.size {
		end = blocksOf(end) << blockShift // the rest of the last block is zero already
	}
	first, last := blocksOf(off), end>>blockShift // whole blocks [first, last)
	if first > last {                             // inside one block
		b.over.write(off, zeroBlock[:end-off], epoch)
		return
	}
	if edge := first<<blockShift - off; edge > 0 {
		b.over.write(off, zeroBlock[:edge], epoch)
	}
	if edge := end - last<<blockShift; edge > 0 {
		b.over.write(last<<blockShift, zeroBlock[:edge], epoch)
	}
	if first < last {
		b.over.cut(first<<blockShift, last<<blockShift)
		s.punchLocked(b, first, last, epoch)
	}
}

// punchLocked makes blocks [first, last) holes.
func (s *Store) punchLocked(b *body, first, last, epoch uint64) {
	const n = layout.ChunkBlocks
	head := min(last, (first+n-1)/n*n) // [first, head) lies in a chunk that keeps other blocks
	if first == 0 {
		head = min(last, n) // block 0 may be inline, which only an edit hides
	}
	tail := max(head, last/n*n)
	s.holesLocked(b, first, head, epoch)
	s.holesLocked(b, tail, last, epoch)
	lo, hi := head/n, tail/n // whole chunks
	if lo >= hi {
		return
	}
	for k, e := range b.over.edits.all() {
		if k >= lo && k < hi {
			e.each(epoch, func(d decided) { s.dirty.addDead(d, epoch) })
			b.over.edits.drop(k)
		}
	}
	if b.extents != nil {
		b.extents.DeleteRange(chunkKey(lo), chunkKey(hi))
	}
}

// holesLocked is punchLocked within one chunk.
func (s *Store) holesLocked(b *body, first, last, epoch uint64) {
	if first >= last {
		return
	}
	e := b.over.editsFor(first/layout.ChunkBlocks, int(last-first))
	for blk := first; blk < last; blk++ {
		if dead := e.place(blk%layout.ChunkBlocks, decided{}, epoch); dead.addr != 0 {
			s.dirty.addDead(dead, epoch)
		}
	}
}

// chunkKey is the key of a chunk in an extents tree.
func chunkKey(k uint64) []byte {
	key := layout.Uint64Key(k)
	return key[:]
}

// removeLocked ends the object. What a checkpoint has written of it, or is
// about to write, goes to the list the next checkpoint frees.
func (s *Store) removeLocked(o *onode, epoch uint64) {
	b := o.cur
	o.cur = nil
	b.home.Store(nil)
	for _, e := range b.over.edits.all() {
		e.each(epoch, func(d decided) { s.dirty.addDead(d, epoch) })
	}
	if b.saved {
		s.dirty.addRemoved(b, epoch)
	}
	if epoch == s.epoch {
		s.objects.Delete([]byte(o.key))
	} else { // replayed, and left with a stub until now
		s.objects.DeleteFrozen([]byte(o.key))
	}
	s.objectCount.Add(-1)
}

// renameLocked moves the body from one key to another. Both are loaded, and
// locked for writing.
func (s *Store) renameLocked(c *change, epoch uint64) {
	from, to := c.o, c.dst
	if from.cur == nil || to.cur != nil {
		return
	}
	s.touchLocked(from, epoch)
	s.touchLocked(to, epoch)
	to.cur, from.cur = from.cur, nil
	to.cur.home.Store(to)
	if !planted.On(planted.RenameStays) {
		s.objects.Delete([]byte(from.key))
	}
	s.objects.Put([]byte(to.key), nil)
}
