package ebofs

import (
	"sync"
	"sync/atomic"

	"ebofs/btree"
)

// onode is the in-RAM home of one object key. It may be absent (no object has
// that key), loading (a stub: the object tree has not been asked yet) or
// loaded. Its body moves when the object is renamed.
//
// States of an onode and what keeps it in RAM:
//
//	loading → clean ⇄ dirty(e) → dirty(e) + dirty(e+1) → dirty(e+1) …
//	           │ only clean onodes without users are evicted (R13)
//
// Locks: mu guards everything below it. Two onodes are locked in key order.
type onode struct {
	refs atomic.Int32

	loaded latch       // opened when the load has ended
	unread atomic.Bool // nobody has begun to load it: see stubOf

	mu      sync.RWMutex
	key     string // encoded object key; constant
	loading bool
	loadErr error    // the object tree could not be read: the object is damaged
	doomed  *body    // with loadErr: the object is marked as damaged and may be removed
	stub    []change // creating operations waiting for the load, oldest first
	stubAt  []uint64 // their epochs

	cur    *body  // nil: no such object
	epoch  uint64 // epoch of the newest unsaved change; 0: clean
	frozen *version
	place  onodePlace
}

// version is what an object was at the cut of a checkpoint that has not yet
// saved it.
type version struct {
	epoch uint64
	key   string // of the onode
	body  *body  // a frozen copy; nil: absent at the cut
	from  *body  // the live body it was copied from
}

// body is the content of one object. Fields are guarded by the mutex of the
// onode that holds it (home).
type body struct {
	home atomic.Pointer[onode] // nil once removed

	id       uint64
	changes  uint64 // made to it so far; a reader's sign of them, saved nowhere
	size     uint64
	flags    uint32
	hintSize uint64
	hintIO   uint64
	inline   []byte // base content of an object without blocks; never changed in place
	over     overlay

	// Trees serve the live body and its frozen copy: the frozen delta is the
	// copy's, the active delta the live body's. nil: empty and untouched.
	attrs, omap, extents *btree.Tree

	header    []byte // of the omap
	saved     bool   // a checkpoint has written it, or is about to
	savedSize uint64 // size as last written; the checkpointer's alone
	owned     string // key the owners tree has it under, likewise

	moves map[uint64]bool // chunks of which the next checkpoint moves blocks; true: all it can, into one place
	reown bool            // it enters all its blocks into the owners tree
}

// blocksOf returns how many blocks hold n bytes.
func blocksOf(n uint64) uint64 { return (n + blockSize - 1) >> blockShift }

// touch prepares o for a change in epoch: an older unsaved version is frozen
// for the checkpoint that is still to save it, and the onode is listed as
// dirty. o.mu is held for writing.
func (s *Store) touchLocked(o *onode, epoch uint64) {
	if o.epoch == epoch {
		return
	}
	if o.epoch != 0 {
		s.freezeLocked(o)
	}
	o.epoch = epoch
	s.dirty.add(o, epoch)
}

// freezeLocked keeps the present state for the checkpoint of o.epoch. It is
// called at most once an epoch; o.mu is held for writing.
func (s *Store) freezeLocked(o *onode) *version {
	v, c := newVersion(o.cur != nil)
	v.epoch, v.key, v.from = o.epoch, o.key, o.cur
	if b := o.cur; b != nil {
		if b.extents == nil && (b.size > inlineBytes || b.over.edits.len() > 0) {
			// The fold will need it, and a later change of the live body must
			// find the same tree to delete from.
			b.extents = btree.New(s.cfg.extents, s.pages, ownerOf(o.key, b.id), btree.Root{})
		}
		b.saved = true // or will be, before anyone looks
		*c = body{
			id: b.id, size: b.size, flags: b.flags, hintSize: b.hintSize, hintIO: b.hintIO,
			inline: b.inline, over: b.over.freeze(),
			attrs: b.attrs, omap: b.omap, extents: b.extents, header: b.header, moves: b.moves, reown: b.reown,
		}
		b.moves, b.reown = nil, false
		for _, t := range [...]*btree.Tree{c.attrs, c.omap, c.extents} {
			if t != nil {
				t.Freeze()
			}
		}
		v.body = c
	}
	o.frozen = v
	return v
}

// newVersion returns a version and, if with says so, a body for it: there is one for each changed
// object, so both are one allocation.
func newVersion(with bool) (*version, *body) {
	if !with {
		return new(version), nil
	}
	m := new(struct {
		v version
		b body
	})
	return &m.v, &m.b
}

// waitLoaded returns when o is no longer a stub.
func (o *onode) waitLoaded() {
	if !o.loaded.open.Load() {
		<-o.loaded.wait()
	}
}
