package btree

import (
	"bytes"
	"context"
	"errors"
	"sync"
)

const (
	batchEntries = 64      // delta entries copied under one lock hold
	batchBytes   = 8 << 10 // likewise
	batchSteps   = 1024    // delta entries looked at under one lock hold
)

// Cursor walks a key range of a tree or a snapshot in order. On a tree it is
// weakly consistent: each key comes at most once, each piece of the range is as
// it was at one moment after the cursor began, and writers are never held up
// for more than a batch of delta entries. It is not safe for concurrent use.
type Cursor struct {
	src     viewer
	lo, hi  []byte // hi nil: unbounded
	hasHi   bool
	reverse bool

	from    []byte // the next batch begins here: forward inclusive, reverse exclusive
	hasFrom bool   // reverse: false is unbounded
	begun   bool
	batch   deltaBatch
	pages   pageIter

	key, val []byte
	blob     []byte
	onPage   bool   // key came from pages, which have to move on first
	prev     []byte // last key returned since the batch began
	returned bool   // there is one
	err      error
}

// viewer is what a cursor walks: the layers as they are at one moment.
type viewer interface {
	// view calls fn with the layers, which must not be kept, and returns the root.
	view(fn func(active, frozen *delta)) *Root
	// stale says whether an error below root may come from pages that were
	// given up since view returned it; it may replace the error.
	stale(root *Root, err error) (retry bool, _ error)
}

func (t *Tree) view(fn func(active, frozen *delta)) *Root {
	t.mu.RLock()
	defer t.mu.RUnlock()
	fn(t.active, t.frozen)
	return t.root
}

func (t *Tree) stale(root *Root, err error) (bool, error) { return t.moved(root), err }

// Cursor returns a cursor before the first key of [lo, hi), or, in reverse,
// behind the last one; nil is unbounded. Close it.
func (t *Tree) Cursor(lo, hi []byte, reverse bool) *Cursor {
	c := new(Cursor)
	c.init(t, t.cfg, t.ld, &t.own, lo, hi, reverse)
	return c
}

func (c *Cursor) init(src viewer, cfg *Config, ld Loader, own *Owner, lo, hi []byte, reverse bool) {
	c.src, c.reverse, c.hasHi = src, reverse, hi != nil
	c.lo, c.hi = append(c.lo[:0], lo...), append(c.hi[:0], hi...)
	c.pages.cfg, c.pages.ld, c.pages.own, c.pages.d = cfg, ld, own, -1
	c.pages.root, c.pages.leaf, c.pages.in = nil, nil, body{}
	c.pages.stop = nil
	if c.hasHi && !reverse {
		c.pages.stop = c.hi
	}
	c.begun, c.onPage, c.returned, c.err = false, false, false, nil
	c.key, c.val = nil, nil
	c.from, c.hasFrom = append(c.from[:0], c.lo...), true
	if reverse {
		c.from, c.hasFrom = append(c.from[:0], c.hi...), c.hasHi
	}
}

// Next moves to the next key; false at the end or after an error.
func (c *Cursor) Next(ctx context.Context) bool {
	for c.err == nil {
		ok, err := c.step(ctx)
		if err == nil {
			if ok {
				c.prev, c.returned = append(c.prev[:0], c.key...), true
			}
			return ok
		}
		var retry bool
		if retry, err = c.src.stale(c.pages.root, err); !retry {
			c.err = err
			break
		}
		// Begin again behind the last key returned.
		if c.returned {
			c.from, c.hasFrom = append(c.from[:0], c.prev...), true
			if !c.reverse {
				c.from = append(c.from, 0)
			}
		}
		c.begun, c.onPage = false, false
		c.pages.reset(nil)
	}
	c.key, c.val = nil, nil
	return false
}

// Key is the key the cursor is on, valid until the next call.
func (c *Cursor) Key() []byte { return c.key }

// Value is its value, valid until the next call.
func (c *Cursor) Value() []byte { return c.val }

// Err is what ended the walk early.
func (c *Cursor) Err() error { return c.err }

// Close gives up what the cursor holds.
func (c *Cursor) Close() {
	c.pages.reset(nil)
	c.src, c.key, c.val = nil, nil, nil
	if c.err == nil {
		c.err = errors.New("cursor is closed")
	}
}

// step finds the next key.
func (c *Cursor) step(ctx context.Context) (bool, error) {
	if c.onPage {
		c.onPage = false
		if err := c.movePages(ctx); err != nil {
			return false, err
		}
	}
	for {
		if !c.begun {
			if err := c.fill(ctx); err != nil {
				return false, err
			}
		}
		if err := c.skipMasked(ctx); err != nil {
			return false, err
		}
		b := &c.batch
		inPages := c.pages.valid() && b.holds(c.pages.key, c.reverse)
		if b.next == len(b.ents) && !inPages {
			if b.last {
				return false, nil
			}
			c.from, c.hasFrom = append(c.from[:0], b.end...), true
			c.begun = false
			continue
		}
		cmp := 1 // pages first
		if b.next < len(b.ents) {
			if cmp = -1; inPages {
				if cmp = bytes.Compare(b.key(b.next), c.pages.key); c.reverse {
					cmp = -cmp
				}
			}
		}
		if cmp > 0 {
			return true, c.takePage(ctx)
		}
		e := &b.ents[b.next]
		if cmp == 0 { // the delta overrides the page
			if err := c.movePages(ctx); err != nil {
				return false, err
			}
		}
		b.next++
		if !e.del {
			c.key, c.val = b.arena[e.key:e.val], b.arena[e.val:e.end]
			return true, nil
		}
	}
}

// takePage makes the item of the pages the current one.
func (c *Cursor) takePage(ctx context.Context) error {
	val, over := c.pages.value()
	if over {
		var err error
		if c.blob, err = appendBlob(ctx, c.pages.ld, val, c.blob[:0]); err != nil {
			return err
		}
		val = c.blob
	}
	c.key, c.val, c.onPage = c.pages.key, val, true
	return nil
}

func (c *Cursor) movePages(ctx context.Context) error {
	if c.reverse {
		return c.pages.prev(ctx)
	}
	return c.pages.next(ctx)
}

// skipMasked moves the pages past cleared ranges.
func (c *Cursor) skipMasked(ctx context.Context) error {
	b := &c.batch
	for c.pages.valid() && b.holds(c.pages.key, c.reverse) {
		cut := b.mask(c.pages.key, c.reverse)
		if cut == nil {
			return nil
		}
		var err error
		switch {
		case c.reverse:
			err = c.pages.seekLT(ctx, b.arena[cut.lo:cut.hi])
		case cut.open:
			c.pages.leaf = nil
			c.pages.release(0)
		default:
			err = c.pages.seek(ctx, b.arena[cut.hi:cut.end])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fill copies the next batch of the deltas and puts the pages in place.
func (c *Cursor) fill(ctx context.Context) error {
	var from, hi []byte // nil: unbounded
	if c.hasFrom {
		from = notNil(c.from)
	}
	if c.hasHi {
		hi = notNil(c.hi)
	}
	c.batch.reset()
	c.returned = false
	old := c.pages.root
	root := c.src.view(func(active, frozen *delta) {
		if c.reverse {
			c.batch.fillBackward(active, frozen, c.lo, from)
		} else {
			c.batch.fillForward(active, frozen, from, hi)
		}
	})
	c.begun = true
	switch {
	case root != old || c.pages.leaf == nil:
		if root != old {
			c.pages.reset(root)
		}
	case c.reverse && (from == nil || bytes.Compare(c.pages.key, from) < 0),
		!c.reverse && bytes.Compare(c.pages.key, from) >= 0:
		return nil // already in place
	}
	switch {
	case !c.reverse:
		return c.pages.seek(ctx, from)
	case from == nil:
		return c.pages.last(ctx)
	}
	return c.pages.seekLT(ctx, from)
}

// notNil makes an empty bound of one that is nil for want of bytes.
func notNil(p []byte) []byte {
	if p == nil {
		return []byte{}
	}
	return p
}

// cursors keeps the memory of finished iterations.
var cursors = sync.Pool{New: func() any { return new(Cursor) }}

// Iter calls fn for every key in [lo, hi) in order until fn returns false; nil
// is unbounded. key and val are valid during fn. No lock is held while fn runs,
// which may use the tree. See Cursor for what it sees of concurrent writes.
func (t *Tree) Iter(ctx context.Context, lo, hi []byte, fn func(key, val []byte) bool) error {
	return iterate(ctx, t, t.cfg, t.ld, &t.own, lo, hi, fn)
}

func iterate(ctx context.Context, src viewer, cfg *Config, ld Loader, own *Owner, lo, hi []byte, fn func(key, val []byte) bool) error {
	c := cursors.Get().(*Cursor)
	c.init(src, cfg, ld, own, lo, hi, false)
	for c.Next(ctx) && fn(c.key, c.val) {
	}
	err := c.err
	c.Close()
	if cap(c.blob) <= 1<<20 && cap(c.batch.arena) <= 1<<20 {
		cursors.Put(c)
	}
	return err
}
