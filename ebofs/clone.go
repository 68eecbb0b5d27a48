package ebofs

import (
	"context"
	"fmt"
	"sync"

	"ebofs/btree"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// A clone maps the blocks of its source. Both records carry the shared flag from
// then on, and the refs tree counts (refs.go); journaled bytes are shared in RAM
// and folded once for each. Attributes and omap are copied.
//
// A source is cloned in the epoch that is open, and its overlay may hold entries
// of that epoch only: those of an older one, whose checkpoint is still folding,
// are about to become other blocks than they are now. So a transaction that
// clones waits at the gate until the older epoch is folded (enterGate). What it
// copies it then reads with the objects locked; resolve has read it before, so
// that it is known to be readable and mostly in the caches.
//
// Blocks the source maps by a sound record of its extents tree, that nothing decided
// since hides, enter the clone's tree as that record, before any checkpoint: there is
// nothing to fold, and the difference of the trees is all that is accounted.

// planned is a chunk of a source as its clone will map it.
type planned struct {
	index  uint64
	chunk  layout.Chunk
	record []byte // what is new of it is only that it is shared: the source's new record
}

// copies is what a clone takes over as it is.
type copies struct{ attrs, omap, extents btree.Batch }

// copiesPool keeps their memory, for a clone's is large and short-lived.
var copiesPool = sync.Pool{New: func() any { return new(copies) }}

func (c *copies) release() {
	for _, b := range [...]*btree.Batch{&c.attrs, &c.omap, &c.extents} {
		if b.Bytes() > 1<<20 {
			*b = btree.Batch{}
		}
		b.Reset()
	}
	copiesPool.Put(c)
}

// enterGate takes the gate for reading. For a transaction that clones it does so
// in a moment when no older epoch is left to fold.
func (s *Store) enterGate(ctx context.Context, p *pass) error {
	for {
		s.gate.RLock()
		if !p.clones || s.folded.Load()+1 == s.epoch {
			return nil
		}
		older := s.epoch - 1
		s.gate.RUnlock()
		if err := s.waitFolded(ctx, older); err != nil {
			return err
		}
	}
}

// waitFolded returns when a checkpoint has folded all objects of epoch. The
// checkpoint needs nothing a transaction holds.
func (s *Store) waitFolded(ctx context.Context, epoch uint64) error {
	stop := context.AfterFunc(ctx, s.wakeRoom)
	defer stop()
	s.roomMu.Lock()
	defer s.roomMu.Unlock()
	for s.folded.Load() < epoch {
		if err := s.writable(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		s.room.Wait()
	}
	return nil
}

// applyCloneLocked applies a clone or a clone of a range; both objects are locked
// for writing. Should what resolve has read not be readable any more, the clone is
// lost as the change of a damaged object is: reads of it fail.
func (s *Store) applyCloneLocked(c *change, epoch uint64) {
	src, dst := c.o, c.dst
	switch {
	case dst.loadErr != nil:
		s.lost(dst, epoch)
		return
	case src.loadErr != nil:
		s.loseLocked(dst, src.loadErr, epoch)
		return
	case src.cur == nil:
		return // the queue refused this; a log that says so changes nothing
	}
	g := s.guard.enter()
	defer s.guard.leave(g)
	ctx := context.Background()
	var err error
	if c.code == opClone {
		err = s.cloneLocked(ctx, src, dst, c.id, epoch)
	} else {
		err = s.cloneRangeLocked(ctx, src, dst, c, epoch)
	}
	if err != nil {
		s.loseLocked(dst, fmt.Errorf("object %s: clone of %s: %w", objectName(dst.key), objectName(src.key), err), epoch)
	}
}

// loseLocked makes an object fail for ever; o.mu is held for writing.
func (s *Store) loseLocked(o *onode, cause error, epoch uint64) {
	if o.cur != nil {
		o.cur.home.Store(nil)
	}
	o.refs.Add(1) // never read again as if nothing had happened
	o.cur, o.loadErr = nil, cause
	s.lost(o, epoch)
}

// cloneLocked makes dst a copy of src. Both are locked for writing. After an
// error neither has changed.
func (s *Store) cloneLocked(ctx context.Context, src, dst *onode, id, epoch uint64) error {
	b := src.cur
	c := copiesPool.Get().(*copies)
	defer c.release()
	if err := copyTree(ctx, b.attrs, &c.attrs); err != nil {
		return err
	}
	if err := copyTree(ctx, b.omap, &c.omap); err != nil {
		return err
	}
	plan, err := s.planLocked(ctx, b, 0, blocksOf(b.size), &c.extents)
	if err != nil {
		return err
	}
	s.markShared(src, plan, epoch)
	s.touchLocked(dst, epoch)
	if dst.cur != nil {
		s.removeLocked(dst, epoch)
	}
	n := s.createLocked(dst, id, epoch)
	n.size, n.flags, n.hintSize, n.hintIO = b.size, b.flags, b.hintSize, b.hintIO
	n.header = b.header // never changed in place, as is inline
	if _, decided := b.over.lookup(0); !decided {
		n.inline = b.inline
	}
	n.over.pieces = b.over.freeze().pieces
	for i := range plan {
		s.mapShared(n, &plan[i], 0, epoch)
	}
	if c.extents.Len() > 0 {
		s.treeOf(&n.extents, s.cfg.extents, dst, n).Apply(&c.extents)
	}
	if c.attrs.Len() > 0 {
		s.treeOf(&n.attrs, s.cfg.attrs, dst, n).Apply(&c.attrs)
	}
	if c.omap.Len() > 0 {
		s.treeOf(&n.omap, s.cfg.omap, dst, n).Apply(&c.omap)
	}
	return nil
}

// copyTree adds to b what fills an empty tree with the items of t.
func copyTree(ctx context.Context, t *btree.Tree, b *btree.Batch) error {
	if t == nil {
		return nil
	}
	if err := t.Iter(ctx, nil, nil, func(k, v []byte) bool { b.Put(k, v); return true }); err != nil {
		return fmt.Errorf("%s: %w", t.Config().Name, err)
	}
	return nil
}

// cloneRangeLocked copies a range of src, both locked for writing: whole blocks
// that keep their place in a block are shared, the rest is copied as bytes. After
// an error neither object has changed.
func (s *Store) cloneRangeLocked(ctx context.Context, src, dst *onode, c *change, epoch uint64) error {
	b := src.cur
	first, last, edges := splitClone(c.off, c.n, c.toOff)
	copied := make([][]byte, len(edges))
	for i, e := range edges {
		copied[i] = make([]byte, e.n)
		if err := s.copyLocked(ctx, src, b, e.off, copied[i]); err != nil {
			return err
		}
	}
	var plan []planned
	var over []piece
	if first < last {
		var err error
		if plan, err = s.planLocked(ctx, b, first, last, nil); err != nil {
			return err
		}
		over = piecesWithin(b, first<<blockShift, last<<blockShift)
		s.markShared(src, plan, epoch)
	}
	s.touchLocked(dst, epoch)
	n := dst.cur
	if n == nil {
		n = s.createLocked(dst, c.id, epoch)
	}
	if first < last {
		by := c.toOff>>blockShift - c.off>>blockShift // in blocks; may wrap
		s.zeroLocked(n, (first+by)<<blockShift, (last-first)<<blockShift, epoch)
		for i := range plan {
			s.mapShared(n, &plan[i], by, epoch)
		}
		for _, p := range over {
			n.over.write(p.off+by<<blockShift, p.data, epoch)
		}
	}
	for i, e := range edges {
		n.over.write(c.toOff+e.off-c.off, copied[i], epoch)
	}
	if c.n > 0 {
		n.size = max(n.size, c.toOff+c.n)
	}
	return nil
}

// edge is a stretch of a source that is copied.
type edge struct{ off, n uint64 }

// splitClone divides the bytes [off, off+n) of a source: blocks [first, last)
// may be shared, edges are copied.
func splitClone(off, n, toOff uint64) (first, last uint64, edges []edge) {
	if n == 0 {
		return 0, 0, nil
	}
	first, last = blocksOf(off), (off+n)>>blockShift
	if (off-toOff)%blockSize != 0 || first >= last {
		return 0, 0, []edge{{off, n}}
	}
	if at := first << blockShift; at > off {
		edges = append(edges, edge{off, at - off})
	}
	if at := last << blockShift; at < off+n {
		edges = append(edges, edge{at, off + n - at})
	}
	return first, last, edges
}

// planLocked returns what is mapped, below the journaled bytes, of blocks [first,
// last) of b, whose onode is locked. If records is not nil, for a clone of all of b,
// it gets the records that the clone takes over, and the plan has the rest.
func (s *Store) planLocked(ctx context.Context, b *body, first, last uint64, records *btree.Batch) (plan []planned, err error) {
	const n = layout.ChunkBlocks
	if first >= last {
		return nil, nil
	}
	err = s.eachChunk(ctx, b, first/n, (last-1)/n, func(k uint64, val []byte) error {
		_, moves := b.moves[k]
		e := b.over.edits.get(k)
		if records != nil && val != nil && e == nil && !moves {
			flags, end, err := layout.CheckChunk(val)
			if err != nil {
				return fmt.Errorf("chunk %d: %w", k, err)
			}
			if k*n+uint64(end) <= last {
				return planRecord(&plan, records, k, val, end, flags)
			}
		}
		var c layout.Chunk
		if val != nil {
			if err := layout.DecodeChunk(val, &c); err != nil {
				return fmt.Errorf("chunk %d: %w", k, err)
			}
		}
		if e != nil {
			e.over(&c)
		}
		any := false
		for i := range uint64(n) {
			if blk := k*n + i; blk < first || blk >= last || c.Addr[i] == 0 {
				c.Addr[i], c.CRC[i], c.Flags[i] = 0, 0, 0
			} else {
				any = true
			}
		}
		if any {
			plan = append(plan, planned{index: k, chunk: c})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("extents: %w", err)
	}
	return plan, nil
}

// planRecord has a clone take over a record, of blocks up to end with these flags in
// common. If not all of them are marked as shared, the source gets a record where they are.
func planRecord(plan *[]planned, records *btree.Batch, k uint64, val []byte, end int, flags uint8) error {
	if end == 0 {
		return nil
	}
	if flags&layout.BlockShared == 0 {
		var c layout.Chunk
		err := layout.DecodeChunk(val, &c)
		for i := range c.Addr {
			if c.Addr[i] != 0 {
				c.Flags[i] |= layout.BlockShared
			}
		}
		if err == nil {
			val, err = c.Append(nil)
		}
		if err != nil {
			return fmt.Errorf("chunk %d: %w", k, err)
		}
		*plan = append(*plan, planned{index: k, record: val})
	}
	key := layout.Uint64Key(k)
	records.Put(key[:], val)
	return nil
}

// markShared flags what is planned as shared, in the plan and in the object it
// comes from.
func (s *Store) markShared(o *onode, plan []planned, epoch uint64) {
	for p := range plan {
		if r := plan[p].record; r != nil && !planted.On(planted.CloneUnmarked) {
			s.touchLocked(o, epoch)
			o.cur.extents.Put(chunkKey(plan[p].index), r)
		}
		c := &plan[p].chunk
		for i := range uint64(layout.ChunkBlocks) {
			if c.Addr[i] == 0 || c.Flags[i]&layout.BlockShared != 0 {
				continue
			}
			c.Flags[i] |= layout.BlockShared
			if planted.On(planted.CloneUnmarked) {
				continue
			}
			s.touchLocked(o, epoch)
			o.cur.over.editsFor(plan[p].index, 1).set(i, decided{c.Addr[i], c.CRC[i], c.Flags[i]}, epoch)
		}
	}
}

// mapShared has b map what is planned, by blocks further on.
func (s *Store) mapShared(b *body, p *planned, by, epoch uint64) {
	c := &p.chunk
	for i := range uint64(layout.ChunkBlocks) {
		if c.Addr[i] != 0 {
			s.placeBlock(b, p.index*layout.ChunkBlocks+i+by, decided{c.Addr[i], c.CRC[i], c.Flags[i]}, epoch)
		}
	}
}

// piecesWithin returns what b holds of [off, end) in RAM, inline content that no
// edit hides among it, in the order to be laid down; the range is whole blocks.
func piecesWithin(b *body, off, end uint64) []piece {
	var list []piece
	if _, decided := b.over.lookup(0); off == 0 && b.inline != nil && !decided {
		list = append(list, piece{data: b.inline})
	}
	for k := range b.over.pieces.all() {
		lo, hi := max(off, k<<chunkShift), min(end, (k+1)<<chunkShift)
		if lo >= hi {
			continue
		}
		for _, q := range b.over.within(lo, hi) {
			from, to := max(q.off, lo), min(q.end(), hi)
			list = append(list, piece{off: from, data: q.data[from-q.off : to-q.off : to-q.off]})
		}
	}
	return list
}

// copyLocked reads bytes [off, off+len(p)) of b, the body of o, which is locked.
func (s *Store) copyLocked(ctx context.Context, o *onode, b *body, off uint64, p []byte) error {
	end := off + uint64(len(p))
	var fetches []fetch
	x := scratches.Get().(*scratch)
	defer scratches.Put(x)
	for k := off >> chunkShift; k<<chunkShift < end; k++ {
		val, _, err := b.chunk(ctx, k, x, true)
		if err == nil {
			fetches, err = b.mapChunk(val, max(off, k<<chunkShift), min(end, (k+1)<<chunkShift), off, p, fetches)
		}
		if err != nil {
			return err
		}
	}
	if err := s.fetchAll(ctx, o.key, btree.Place{}, fetches, off, p); err != nil {
		return err
	}
	for k := off >> chunkShift; k<<chunkShift < end; k++ {
		lo, hi := max(off, k<<chunkShift), min(end, (k+1)<<chunkShift)
		for _, q := range b.over.within(lo, hi) {
			from, to := max(q.off, lo), min(q.end(), hi)
			copy(p[from-off:], q.data[from-q.off:to-q.off])
		}
	}
	return nil
}

// warmClone reads what a clone of o will copy, so that it is found to be readable
// before anything changes, and stays in the caches.
func (s *Store) warmClone(ctx context.Context, o *onode, op *txnOp) error {
	g := s.guard.enter()
	defer s.guard.leave(g)
	b, err := o.picture()
	if err != nil {
		return err
	}
	first, last := uint64(0), blocksOf(b.size)
	var edges []edge
	if op.code == opCloneRng {
		first, last, edges = splitClone(op.off, op.n, op.toOff)
	}
	if first < last {
		// Records are read whole here and checked where they are used.
		err := s.eachChunk(ctx, b, first/layout.ChunkBlocks, (last-1)/layout.ChunkBlocks, func(_ uint64, val []byte) error {
			if val == nil {
				return nil
			}
			_, _, err := layout.CheckChunk(val)
			return err
		})
		if err != nil {
			return fmt.Errorf("object %s: extents: %w", objectName(o.key), err)
		}
	}
	for _, e := range edges {
		if e.off >= b.size {
			continue
		}
		if _, err := s.readOnode(ctx, o, e.off, make([]byte, min(e.n, b.size-e.off))); err != nil {
			return err
		}
	}
	if op.code != opClone {
		return nil
	}
	for _, t := range [...]*btree.Tree{b.attrs, b.omap} {
		if t == nil {
			continue
		}
		if err := t.Iter(ctx, nil, nil, func(_, _ []byte) bool { return true }); err != nil {
			return fmt.Errorf("object %s: %s: %w", objectName(o.key), t.Config().Name, err)
		}
	}
	return nil
}
