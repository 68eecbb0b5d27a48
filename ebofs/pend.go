package ebofs

import (
	"slices"

	"ebofs/ebofs/layout"
)

// Between two checkpoints an object's content is what the last checkpoint
// wrote, overlaid by what came since. The overlay has two layers, both cut
// into chunks of layout.ChunkBlocks blocks so that a change costs the same in a
// small and in a huge object:
//
//	pieces   journaled bytes (path J), at any offset, newest on top
//	edits    whole blocks whose place is decided: fresh stripes (path D), a block
//	         shared with another object (clones), or a hole
//	base     the extents tree, or the inline bytes of a small object
//
// Every entry carries the epoch that made it. Freezing shares the chunks of
// both layers between the frozen and the live version; whoever changes a
// shared chunk copies it first. When epoch e is folded the live version drops
// the entries of epochs ≤ e: their content is in the base by then.

const (
	chunkBytes  = layout.ChunkBlocks * blockSize
	chunkShift  = 18
	blockShift  = 12
	blockSize   = 1 << blockShift
	inlineBytes = 2048 // content up to this size lives in the onode and owns no block
)

// piece is a run of journaled bytes. data is never changed in place, so
// versions and readers may share it.
type piece struct {
	off   uint64 // byte offset in the object
	data  []byte
	epoch uint64
}

func (p piece) end() uint64 { return p.off + uint64(len(p.data)) }

// pieces is the journaled overlay of one chunk: sorted, non-overlapping.
type pieces struct {
	list   []piece
	first  [1]piece // memory for a list that stays short
	shared bool     // also held by a frozen version or a clone
}

// overlay holds both layers of one version of one object.
type overlay struct {
	pieces chunks[pieces]
	edits  chunks[edits]
}

func (o *overlay) empty() bool { return o.pieces.len() == 0 && o.edits.len() == 0 }

// freeze returns a version that later changes of o do not touch.
func (o *overlay) freeze() overlay {
	// What is shared already may be held by a clone, under another lock.
	for _, p := range o.pieces.all() {
		if !p.shared {
			p.shared = true
		}
	}
	for _, e := range o.edits.all() {
		if !e.shared {
			e.shared = true
		}
	}
	return overlay{o.pieces.clone(), o.edits.clone()}
}

// write lays data over [off, off+len(data)); it must not cross a chunk.
func (o *overlay) writeChunk(off uint64, data []byte, epoch uint64) {
	c := o.piecesFor(off >> chunkShift)
	c.list = overwrite(c.list, piece{off, data, epoch})
}

// write lays data, which the overlay keeps, over the object.
func (o *overlay) write(off uint64, data []byte, epoch uint64) {
	for len(data) > 0 {
		n := min(uint64(len(data)), chunkBytes-off%chunkBytes)
		o.writeChunk(off, data[:n:n], epoch)
		off, data = off+n, data[n:]
	}
}

// cut removes journaled bytes of [off, end).
func (o *overlay) cut(off, end uint64) {
	if o.pieces.len() == 0 {
		return
	}
	first, last := off>>chunkShift, (end-1)>>chunkShift
	if last-first >= uint64(o.pieces.len()) {
		for k := range o.pieces.all() {
			if k >= first && k <= last {
				o.cutChunk(k, off, end)
			}
		}
		return
	}
	for k := first; k <= last; k++ {
		if o.pieces.get(k) != nil {
			o.cutChunk(k, off, end)
		}
	}
}

func (o *overlay) cutChunk(k, off, end uint64) {
	c := o.piecesFor(k)
	c.list = remove(c.list, off, end)
	if len(c.list) == 0 {
		o.pieces.drop(k)
	}
}

// place decides block b. Journaled bytes over it are the caller's to cut. It returns
// what edits.place does.
func (o *overlay) place(b uint64, d decided, epoch uint64) (dead decided) {
	return o.editsFor(b/layout.ChunkBlocks, 1).place(b%layout.ChunkBlocks, d, epoch)
}

// lookup returns what edits say of block b.
func (o *overlay) lookup(b uint64) (d decided, ok bool) {
	if e := o.edits.get(b / layout.ChunkBlocks); e != nil {
		return e.at(b % layout.ChunkBlocks)
	}
	return decided{}, false
}

// settle drops every entry of an epoch ≤ epoch: the base holds them now.
func (o *overlay) settle(epoch uint64) {
	for k, c := range o.pieces.all() {
		keep := slices.IndexFunc(c.list, func(p piece) bool { return p.epoch > epoch }) >= 0
		if !keep {
			o.pieces.drop(k)
			continue
		}
		c = o.piecesFor(k)
		c.list = slices.DeleteFunc(c.list, func(p piece) bool { return p.epoch <= epoch })
	}
	for k, e := range o.edits.all() {
		switch mask := e.since(epoch); mask {
		case 0:
			o.edits.drop(k)
		case e.mask:
		default:
			o.edits.set(k, e.only(mask))
		}
	}
}

// within returns the pieces that meet [off, end), in order; the range lies in
// one chunk. The list is valid while the object is locked, the bytes for ever.
func (o *overlay) within(off, end uint64) []piece {
	c := o.pieces.get(off >> chunkShift)
	if c == nil {
		return nil
	}
	i, j := span(c.list, off, end)
	return c.list[i:j]
}

func (o *overlay) piecesFor(k uint64) *pieces {
	c := o.pieces.get(k)
	if c == nil {
		c = new(pieces)
		c.list = c.first[:0]
		o.pieces.set(k, c)
	} else if c.shared {
		c = &pieces{list: slices.Clone(c.list)}
		o.pieces.set(k, c)
	}
	return c
}

// remove cuts [off, end) out of list. It works in place, except that a piece
// spanning the whole range is split.
func remove(list []piece, off, end uint64) []piece {
	var in [2]piece
	return replace(list, off, end, in[:0])
}

// overwrite is remove of p's range and insertion of p.
func overwrite(list []piece, p piece) []piece {
	if n := len(list); n == 0 || list[n-1].end() <= p.off {
		return append(list, p)
	}
	in := [3]piece{p}
	return replace(list, p.off, p.end(), in[:1])
}

// replace puts in, with room for two pieces more, in the place of what list has
// of [off, end).
func replace(list []piece, off, end uint64, in []piece) []piece {
	i, j := span(list, off, end)
	if i < j {
		if p := list[i]; p.off < off {
			in = slices.Insert(in, 0, piece{p.off, p.data[: off-p.off : off-p.off], p.epoch})
		}
		if p := list[j-1]; p.end() > end {
			in = append(in, piece{end, p.data[end-p.off:], p.epoch})
		}
	}
	if len(in) == 1 && j-i == 1 {
		list[i] = in[0]
		return list
	}
	return slices.Replace(list, i, j, in...)
}

// span returns the range [i, j) of pieces that meet [off, end).
func span(list []piece, off, end uint64) (i, j int) {
	lo, hi := 0, len(list)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); list[m].end() <= off {
			lo = m + 1
		} else {
			hi = m
		}
	}
	for j = lo; j < len(list) && list[j].off < end; {
		j++
	}
	return lo, j
}

// upTo returns the pieces of list that begin before end, and those that reach
// beyond it or begin later.
func upTo(list []piece, end uint64) (before, rest []piece) {
	n := 0
	for n < len(list) && list[n].off < end {
		n++
	}
	if n > 0 && list[n-1].end() > end {
		return list[:n], list[n-1:]
	}
	return list[:n], list[n:]
}
