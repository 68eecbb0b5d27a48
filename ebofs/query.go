package ebofs

import (
	"bytes"
	"context"
	"fmt"

	"ebofs/btree"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// ObjectStat is what is known of an object without reading it.
type ObjectStat struct {
	ID         uint64 // never reused
	Size       uint64 // bytes
	HintObject uint64 // expected size, 0: unknown
	HintWrite  uint64 // expected size of a write
	HintFlags  uint32
}

// Stat returns an object's size and identity.
func (s *Store) Stat(ctx context.Context, c CollectionID, id ObjectID) (ObjectStat, error) {
	var st ObjectStat
	err := s.with(ctx, c, &id, func(b *body) {
		st = ObjectStat{ID: b.id, Size: b.size, HintObject: b.hintSize, HintWrite: b.hintIO, HintFlags: b.flags}
	})
	return st, err
}

// Exists reports whether there is such an object.
func (s *Store) Exists(ctx context.Context, c CollectionID, id ObjectID) (bool, error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	defer s.leave()
	o, err := s.view(ctx, c, &id)
	if err != nil {
		return false, err
	}
	defer o.refs.Add(-1)
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.cur != nil, o.loadErr
}

// with calls fn with the object locked for reading.
func (s *Store) with(ctx context.Context, c CollectionID, id *ObjectID, fn func(*body)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	o, err := s.view(ctx, c, id)
	if err != nil {
		return err
	}
	defer o.refs.Add(-1)
	b, err := o.lockBody()
	if err != nil {
		return err
	}
	fn(b)
	o.mu.RUnlock()
	return nil
}

// tree calls fn with one of the object's trees, unless it is empty, inside the
// guard and without the object's lock.
func (s *Store) tree(ctx context.Context, c CollectionID, id *ObjectID, of func(*body) *btree.Tree, fn func(*btree.Tree) error) error {
	return s.look(ctx, c, id, func(o *onode) error {
		b, err := o.lockBody()
		if err != nil {
			return err
		}
		t := of(b)
		o.mu.RUnlock()
		return ask(id, t, fn)
	})
}

// moment is tree for several items that must be of one moment: if the object was
// changed meanwhile, forget drops what fn has gathered, and it all begins anew,
// perhaps with a tree that is empty now. At last fn has the object locked, when
// what it wants was read several times and is in RAM.
func (s *Store) moment(ctx context.Context, c CollectionID, id *ObjectID, of func(*body) *btree.Tree, forget func(), fn func(*btree.Tree) error) error {
	return s.look(ctx, c, id, func(o *onode) error {
		for try := 0; ; try++ {
			if !planted.On(planted.ReadLeftover) {
				forget()
			}
			b, err := o.lockBody()
			if err != nil {
				return err
			}
			t, changes := of(b), b.changes
			if try == warmTries {
				defer o.mu.RUnlock()
				return ask(id, t, fn)
			}
			o.mu.RUnlock()
			if err := ask(id, t, fn); err != nil || o.still(b, changes) || planted.On(planted.ReadMixed) {
				return err
			}
		}
	})
}

// look calls fn with an object's onode, inside the guard.
func (s *Store) look(ctx context.Context, c CollectionID, id *ObjectID, fn func(*onode) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	g := s.guard.enter()
	defer s.guard.leave(g)
	o, err := s.view(ctx, c, id)
	if err != nil {
		return err
	}
	defer o.refs.Add(-1)
	return fn(o)
}

func ask(id *ObjectID, t *btree.Tree, fn func(*btree.Tree) error) error {
	if t == nil {
		return nil
	}
	if err := fn(t); err != nil {
		name := *id // a copy, so that the caller's stays on its stack
		return fmt.Errorf("object %s: %s: %w", name, t.Config().Name, err)
	}
	return nil
}

// still reports whether o has the body b, with no more changes than that.
func (o *onode) still(b *body, changes uint64) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.cur == b && b.changes == changes
}

func attrsOf(b *body) *btree.Tree { return b.attrs }
func omapOf(b *body) *btree.Tree  { return b.omap }

// GetAttr returns one attribute, ErrNotFound if the object has none of that name.
func (s *Store) GetAttr(ctx context.Context, c CollectionID, id ObjectID, name string) ([]byte, error) {
	if len(name) == 0 || len(name) > MaxAttrName {
		return nil, fmt.Errorf("attribute name of %d bytes: %w", len(name), ErrInvalid)
	}
	var val []byte
	found := false
	err := s.tree(ctx, c, &id, attrsOf, func(t *btree.Tree) (err error) {
		val, found, err = t.Get(ctx, []byte(name), nil)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("object %s: attribute %q: %w", &id, name, ErrNotFound)
	}
	return val, err
}

// GetAttrs returns all attributes, as they are at one moment.
func (s *Store) GetAttrs(ctx context.Context, c CollectionID, id ObjectID) (map[string][]byte, error) {
	m := map[string][]byte{}
	err := s.moment(ctx, c, &id, attrsOf, func() { clear(m) }, func(t *btree.Tree) error {
		return t.Iter(ctx, nil, nil, func(k, v []byte) bool {
			m[string(k)] = bytes.Clone(v)
			return true
		})
	})
	return m, err
}

// OmapHeader returns the header of the object's map, nil if it has none.
func (s *Store) OmapHeader(ctx context.Context, c CollectionID, id ObjectID) ([]byte, error) {
	var h []byte
	err := s.with(ctx, c, &id, func(b *body) { h = bytes.Clone(b.header) })
	return h, err
}

// OmapGet returns the values of those keys that exist, as of one moment.
func (s *Store) OmapGet(ctx context.Context, c CollectionID, id ObjectID, keys []string) (map[string][]byte, error) {
	m := make(map[string][]byte, len(keys))
	err := s.moment(ctx, c, &id, omapOf, func() { clear(m) }, func(t *btree.Tree) error {
		for _, k := range keys {
			v, ok, err := t.Get(ctx, []byte(k), nil)
			if err != nil {
				return err
			}
			if ok {
				m[k] = v
			}
		}
		return nil
	})
	return m, err
}

// OmapCheck returns those of keys that exist at one moment, in the order given.
func (s *Store) OmapCheck(ctx context.Context, c CollectionID, id ObjectID, keys []string) ([]string, error) {
	var have []string
	err := s.moment(ctx, c, &id, omapOf, func() { have = have[:0] }, func(t *btree.Tree) error {
		for _, k := range keys {
			ok, err := t.Has(ctx, []byte(k))
			if err != nil {
				return err
			}
			if ok {
				have = append(have, k)
			}
		}
		return nil
	})
	return have, err
}

// OmapValue appends the value of one key to dst and reports whether there is
// one. It allocates nothing if dst has room.
func (s *Store) OmapValue(ctx context.Context, c CollectionID, id ObjectID, key, dst []byte) (_ []byte, ok bool, err error) {
	err = s.tree(ctx, c, &id, omapOf, func(t *btree.Tree) (err error) {
		dst, ok, err = t.Get(ctx, key, dst)
		return err
	})
	return dst, ok, err
}

// OmapIter calls fn for the keys in [first, last), in order, until it returns
// false; an empty last is no bound. key and value are valid during the call.
// Writers go on meanwhile; each key is seen at most once.
func (s *Store) OmapIter(ctx context.Context, c CollectionID, id ObjectID, first, last string, fn func(key, value []byte) bool) error {
	return s.tree(ctx, c, &id, omapOf, func(t *btree.Tree) error {
		return t.Iter(ctx, bound(first), bound(last), fn)
	})
}

func bound(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// FiemapExtent is a range of bytes an object has content for.
type FiemapExtent struct {
	Offset, Length uint64
}

// Fiemap returns the ranges of [off, off+n) that are not holes, in order,
// without reading data. Ranges are joined and rounded to blocks.
func (s *Store) Fiemap(ctx context.Context, c CollectionID, id ObjectID, off, n uint64) ([]FiemapExtent, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	var out []FiemapExtent
	g := s.guard.enter()
	defer s.guard.leave(g)
	o, err := s.view(ctx, c, &id)
	if err != nil {
		return nil, err
	}
	defer o.refs.Add(-1)
	b, err := o.picture()
	if err != nil || off >= b.size || n == 0 {
		return nil, err
	}
	end := min(b.size, off+min(n, MaxObjectBytes))
	add := func(blk uint64) {
		from, to := max(blk<<blockShift, off), min((blk+1)<<blockShift, end)
		if k := len(out); k > 0 && out[k-1].Offset+out[k-1].Length == from {
			out[k-1].Length += to - from
		} else {
			out = append(out, FiemapExtent{from, to - from})
		}
	}
	chunk := func(k uint64, val []byte) error {
		for i := range uint64(layout.ChunkBlocks) {
			blk := k*layout.ChunkBlocks + i
			at := blk << blockShift
			if at+blockSize <= off || at >= end {
				continue
			}
			addr, _, _, err := b.lookup(blk, val)
			if err != nil {
				return err
			}
			_, decided := b.over.lookup(blk)
			if addr != 0 || blk == 0 && b.inline != nil && !decided || len(b.over.within(at, at+blockSize)) > 0 {
				add(blk)
			}
		}
		return nil
	}
	return out, s.eachChunk(ctx, b, off>>chunkShift, (end-1)>>chunkShift, chunk)
}

// Fragments returns in how many runs of neighbouring blocks the data of an object
// lies on the device, in order of its offsets, and how many blocks it has. What is
// still in the log, and a small object inside its onode, is in none.
func (s *Store) Fragments(ctx context.Context, c CollectionID, id ObjectID) (runs, blocks int, err error) {
	if err := s.enter(); err != nil {
		return 0, 0, err
	}
	defer s.leave()
	g := s.guard.enter()
	defer s.guard.leave(g)
	o, err := s.view(ctx, c, &id)
	if err != nil {
		return 0, 0, err
	}
	defer o.refs.Add(-1)
	b, err := o.picture()
	if err != nil || b.size == 0 {
		return 0, 0, err
	}
	var last layout.Addr
	chunk := func(k uint64, val []byte) error {
		for i := range uint64(layout.ChunkBlocks) {
			addr, _, _, err := b.lookup(k*layout.ChunkBlocks+i, val)
			if err != nil {
				return err
			}
			if addr == 0 {
				continue
			}
			if blocks++; addr != last+1 {
				runs++
			}
			last = addr
		}
		return nil
	}
	return runs, blocks, s.eachChunk(ctx, b, 0, (b.size-1)>>chunkShift, chunk)
}

// picture returns a copy of the body that may be walked without the lock: its
// overlay does not change any more, its tree may be newer.
func (o *onode) picture() (*body, error) {
	o.mu.Lock() // sharing the overlay marks it
	defer o.mu.Unlock()
	if o.cur == nil {
		if o.loadErr != nil {
			return nil, o.loadErr
		}
		return nil, fmt.Errorf("object %s: %w", objectName(o.key), ErrNotFound)
	}
	return &body{size: o.cur.size, inline: o.cur.inline, over: o.cur.over.freeze(), extents: o.cur.extents, attrs: o.cur.attrs, omap: o.cur.omap}, nil
}

// eachChunk calls fn for every chunk in [first, last] that may hold something,
// in order, with its record or nil.
func (s *Store) eachChunk(ctx context.Context, b *body, first, last uint64, fn func(k uint64, val []byte) error) error {
	var extra []uint64 // chunks of the overlay, ascending
	for k := range b.over.pieces.all() {
		extra = append(extra, k)
	}
	for k := range b.over.edits.all() {
		extra = append(extra, k)
	}
	if b.inline != nil {
		extra = append(extra, 0)
	}
	extra = sortedWithin(extra, first, last)
	var bad error
	if b.extents != nil {
		hi := []byte(nil)
		if last+1 != 0 {
			hi = chunkKey(last + 1)
		}
		err := b.extents.Iter(ctx, chunkKey(first), hi, func(key, val []byte) bool {
			k, err := layout.DecodeUint64Key(key)
			for err == nil && len(extra) > 0 && extra[0] < k {
				err = fn(extra[0], nil)
				extra = extra[1:]
			}
			if err == nil {
				err = fn(k, val)
			}
			if len(extra) > 0 && extra[0] == k {
				extra = extra[1:]
			}
			bad = err
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	for ; bad == nil && len(extra) > 0; extra = extra[1:] {
		bad = fn(extra[0], nil)
	}
	return bad
}
