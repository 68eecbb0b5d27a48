package ebofs

import (
	"iter"
	"math/bits"
	"slices"
	"unsafe"

	"ebofs/ebofs/layout"
	"ebofs/internal/invariants"
)

// edits is the decided overlay of one chunk. It takes memory for the blocks it has:
// with small objects there is one for each object that waits for a checkpoint.
type edits struct {
	mask   uint64     // bit i: block i of the chunk is decided here
	old    uint64     // those of them that were before epoch
	epoch  uint64     // the newest that decided one; with it at most two are unsaved
	blocks []decided  // those of mask, in order
	first  [1]decided // memory for a list that stays short
	shared bool       // also held by a frozen version or a clone
}

// decided is what an edit says of one block.
type decided struct {
	addr  layout.Addr // 0: a hole
	crc   uint32
	flags uint8 // layout.BlockShared, BlockDamaged
}

// editsBytes is what the edits of a chunk take without their blocks, decidedBytes a block.
const (
	editsBytes   = int64(unsafe.Sizeof(edits{}))
	decidedBytes = int64(unsafe.Sizeof(decided{}))
)

// newEdits returns edits with room for n blocks.
func newEdits(n int) *edits {
	e := new(edits)
	if e.blocks = e.first[:0]; n > len(e.first) {
		e.blocks = make([]decided, 0, min(n, layout.ChunkBlocks))
	}
	return e
}

// editsFor returns the edits of chunk k for changing; n more blocks may come.
func (o *overlay) editsFor(k uint64, n int) *edits {
	e := o.edits.get(k)
	switch {
	case e == nil:
		e = newEdits(n)
		o.edits.set(k, e)
	case e.shared:
		e = e.copy(n)
		o.edits.set(k, e)
	}
	return e
}

// copy returns the same edits, not shared, with room for n more blocks.
func (e *edits) copy(n int) *edits {
	c := newEdits(len(e.blocks) + n)
	c.mask, c.old, c.epoch = e.mask, e.old, e.epoch
	c.blocks = append(c.blocks, e.blocks...)
	return c
}

// rank returns where block i is in blocks, or would be.
func (e *edits) rank(i uint64) int { return bits.OnesCount64(e.mask & (1<<i - 1)) }

// at returns what is decided of block i.
func (e *edits) at(i uint64) (d decided, ok bool) {
	if e.mask>>i&1 == 0 {
		return decided{}, false
	}
	return e.blocks[e.rank(i)], true
}

// set decides block i in epoch, which is not before any other.
func (e *edits) set(i uint64, d decided, epoch uint64) {
	invariants.Check(epoch >= e.epoch, "a block is decided in epoch %d, others in %d", epoch, e.epoch)
	if epoch > e.epoch {
		e.old, e.epoch = e.mask, epoch
	}
	e.old &^= 1 << i
	r := e.rank(i)
	if e.mask>>i&1 == 1 {
		e.blocks[r] = d
		return
	}
	e.mask |= 1 << i
	e.blocks = slices.Insert(e.blocks, r, d)
}

// place is set, and returns what the same epoch had decided before, which no
// checkpoint will ever see; no address if there was none.
func (e *edits) place(i uint64, d decided, epoch uint64) (dead decided) {
	if e.in(epoch)>>i&1 == 1 {
		dead, _ = e.at(i)
	}
	e.set(i, d, epoch)
	return dead
}

// in returns which blocks epoch decided, where none later did.
func (e *edits) in(epoch uint64) (mask uint64) {
	if e.epoch != epoch {
		return 0
	}
	return e.mask &^ e.old
}

// since returns which blocks were decided after epoch, the older of two at least.
func (e *edits) since(epoch uint64) (mask uint64) {
	if e.epoch <= epoch {
		return 0
	}
	invariants.Check(e.epoch <= epoch+1, "epoch %d is settled, edits are of %d", epoch, e.epoch)
	return e.mask &^ e.old
}

// only returns the edits of the blocks of mask, not shared; they are of the newest epoch.
func (e *edits) only(mask uint64) *edits {
	c := newEdits(bits.OnesCount64(mask))
	c.mask, c.epoch = mask, e.epoch
	for i, d := range e.all() {
		if mask>>i&1 == 1 {
			c.blocks = append(c.blocks, d)
		}
	}
	return c
}

// all goes through the blocks of the chunk that are decided, in order.
func (e *edits) all() iter.Seq2[uint64, decided] {
	return func(yield func(uint64, decided) bool) {
		mask := e.mask
		for _, d := range e.blocks {
			if !yield(uint64(bits.TrailingZeros64(mask)), d) {
				return
			}
			mask &= mask - 1
		}
	}
}

// each calls fn for every block, but holes, decided by epoch.
func (e *edits) each(epoch uint64, fn func(decided)) {
	mask := e.in(epoch)
	for i, d := range e.all() {
		if mask>>i&1 == 1 && d.addr != 0 {
			fn(d)
		}
	}
}

// over lays the edits over the record of their chunk.
func (e *edits) over(c *layout.Chunk) {
	for i, d := range e.all() {
		c.Addr[i], c.CRC[i], c.Flags[i] = d.addr, d.crc, d.flags
	}
}
