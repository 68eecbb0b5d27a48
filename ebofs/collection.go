package ebofs

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// collection is a range of object keys with a queue of its own: transactions
// that name it apply and commit in the order in which they took the queue.
type collection struct {
	id    CollectionID
	queue sync.Mutex
	cn    layout.Cnode // changed only with structMu held for writing
}

const collAwaitsSplit = layout.CnodeAwaitsSplit

type collectionMap map[CollectionID]*collection

// collection returns the collection of that id, or ErrNotFound.
func (s *Store) collection(id CollectionID) (*collection, error) {
	if c := (*s.collMap.Load())[id]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("collection %q: %w", string(id), cmp.Or(s.collsLost, ErrNotFound))
}

// holds returns nil if o belongs to the collection.
func (c *collection) holds(o *ObjectID) error {
	if c.cn.Flags&collAwaitsSplit != 0 {
		return fmt.Errorf("collection %q awaits the split it was made for: %w", string(c.id), ErrInvalid)
	}
	if !c.cn.Range.Contains(o) {
		name := *o // a copy, so that the caller's stays on its stack
		return fmt.Errorf("object %s is not of collection %q (%v): %w", name, string(c.id), c.cn.Range, ErrInvalid)
	}
	return nil
}

// checkColl refuses a collection operation that cannot be applied. view is
// the set of collections as the transaction's earlier operations leave it.
func (s *Store) checkColl(ctx context.Context, op *txnOp, view collectionMap, p *pass) error {
	c := view[op.coll]
	if op.code == opMkColl {
		if c != nil {
			return fmt.Errorf("collection %q: %w", string(op.coll), ErrExists)
		}
		cn := layout.Cnode{Range: op.spec}
		for _, d := range view {
			switch {
			case !d.cn.Range.Overlaps(op.spec):
			case d.cn.Flags&collAwaitsSplit == 0 && d.cn.Range.Covers(op.spec) && d.cn.Range != op.spec:
				cn.Flags |= collAwaitsSplit
			default:
				return fmt.Errorf("collection %q (%v) overlaps %q (%v): %w", string(op.coll), op.spec, string(d.id), d.cn.Range, ErrInvalid)
			}
		}
		view[op.coll] = &collection{id: op.coll, cn: cn}
		return nil
	}
	if c == nil {
		return fmt.Errorf("collection %q: %w", string(op.coll), ErrNotFound)
	}
	// Work on copies: the transaction may still be refused.
	cc := &collection{id: c.id, cn: c.cn}
	dest := view[op.dest]
	switch op.code {
	case opRmColl:
		if cc.cn.Flags&collAwaitsSplit == 0 {
			empty, err := s.emptyRange(ctx, cc.cn.Range, p)
			if err != nil {
				return err
			}
			if !empty {
				return fmt.Errorf("collection %q: %w", string(op.coll), ErrNotEmpty)
			}
		}
		delete(view, op.coll)
	case opSplit:
		child := CollSpec{Shard: cc.cn.Range.Shard, Pool: cc.cn.Range.Pool, Bits: op.spec.Bits, Seed: op.spec.Seed}
		if err := validSpec(child); err != nil {
			return err
		}
		if !cc.cn.Range.Covers(child) || child.Bits != cc.cn.Range.Bits+1 {
			return fmt.Errorf("split of %q (%v): %v is not a half of it: %w", string(op.coll), cc.cn.Range, child, ErrInvalid)
		}
		parent := cc.cn.Range
		parent.Bits = child.Bits
		if parent.Seed == child.Seed {
			return fmt.Errorf("split of %q (%v): seed %#x is the part that stays: %w", string(op.coll), cc.cn.Range, child.Seed, ErrInvalid)
		}
		if dest != nil && (dest.cn.Flags&collAwaitsSplit == 0 || dest.cn.Range != child) {
			return fmt.Errorf("collection %q (%v) cannot take %v: %w", string(op.dest), dest.cn.Range, child, ErrExists)
		}
		cc.cn.Range = parent
		view[op.coll] = cc
		view[op.dest] = &collection{id: op.dest, cn: layout.Cnode{Range: child}}
	case opMerge:
		if dest == nil {
			return fmt.Errorf("collection %q: %w", string(op.dest), ErrNotFound)
		}
		wide := dest.cn.Range
		if op.spec.Bits > wide.Bits {
			return fmt.Errorf("merge into %q (%v) with %d bits: %w", string(op.dest), wide, op.spec.Bits, ErrInvalid)
		}
		wide.Bits = op.spec.Bits
		wide.Seed &= uint32(1<<op.spec.Bits - 1)
		if !wide.Covers(cc.cn.Range) || cc.cn.Flags&collAwaitsSplit != 0 || dest.cn.Flags&collAwaitsSplit != 0 {
			return fmt.Errorf("merge of %q (%v) into %q (%v): %w", string(op.coll), cc.cn.Range, string(op.dest), wide, ErrInvalid)
		}
		for _, d := range view {
			if d.id != op.coll && d.id != op.dest && d.cn.Range.Overlaps(wide) {
				return fmt.Errorf("merge into %q (%v) would take part of %q (%v): %w", string(op.dest), wide, string(d.id), d.cn.Range, ErrInvalid)
			}
		}
		delete(view, op.coll)
		view[op.dest] = &collection{id: op.dest, cn: layout.Cnode{Range: wide, Flags: dest.cn.Flags}}
	case opRenColl:
		if dest != nil {
			return fmt.Errorf("collection %q: %w", string(op.dest), ErrExists)
		}
		delete(view, op.coll)
		cc.id = op.dest
		view[op.dest] = cc
	}
	return nil
}

// applyColl carries a checked collection operation out: in the map, and in the
// collections tree. structMu is held for writing, or the store is replaying.
func (s *Store) applyColl(c *change) {
	old := *s.collMap.Load()
	view := maps.Clone(old)
	move := func(from, to CollectionID, cn layout.Cnode) {
		// The queue outlives its collection's id; nobody holds it here.
		n := &collection{id: to, cn: cn}
		if from != to {
			delete(view, from)
			s.colls.Delete([]byte(from))
		}
		view[to] = n
		val, err := cn.Append(nil)
		if err != nil {
			// The range was checked; a log that says otherwise changes nothing.
			s.log.Error("collection not stored", "coll", string(to), "err", err)
			return
		}
		s.colls.Put([]byte(to), val)
	}
	cur := view[c.coll]
	if cur == nil && c.code != opMkColl {
		return
	}
	switch c.code {
	case opMkColl:
		move(c.coll, c.coll, layout.Cnode{Range: c.spec, Flags: c.flags})
	case opRmColl:
		delete(view, c.coll)
		s.colls.Delete([]byte(c.coll))
	case opSplit:
		cn, child := cur.cn, cur.cn.Range
		child.Bits, child.Seed = c.spec.Bits, c.spec.Seed
		cn.Range.Bits = c.spec.Bits
		move(c.coll, c.coll, cn)
		move(c.dest, c.dest, layout.Cnode{Range: child})
	case opMerge:
		d := view[c.dest]
		if d == nil {
			return
		}
		cn := d.cn
		cn.Range.Bits = c.spec.Bits
		cn.Range.Seed &= uint32(1<<c.spec.Bits - 1)
		delete(view, c.coll)
		s.colls.Delete([]byte(c.coll))
		move(c.dest, c.dest, cn)
	case opRenColl:
		move(c.coll, c.dest, cur.cn)
	}
	s.collMap.Store(&view)
}

// Collections returns the ids of all collections, sorted; on a read-only store
// some of which cannot be read, those that can beside the error.
func (s *Store) Collections(context.Context) ([]CollectionID, error) {
	if err := s.readable(); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(*s.collMap.Load())), s.collsLost
}

// CollectionExists reports whether there is a collection of that id.
func (s *Store) CollectionExists(id CollectionID) bool {
	_, err := s.collection(id)
	return err == nil
}

// CollectionSpec returns which objects a collection holds.
func (s *Store) CollectionSpec(id CollectionID) (CollSpec, error) {
	if err := s.readable(); err != nil {
		return CollSpec{}, err
	}
	c, err := s.collection(id)
	if err != nil {
		return CollSpec{}, err
	}
	return c.cn.Range, nil
}

// loadCollections reads the collections tree into RAM: a handful of records
// for each pool of a cluster. A read-only store does without those it cannot
// read and says so.
func (s *Store) loadCollections(ctx context.Context) error {
	m := collectionMap{}
	add := func(key, val []byte) error {
		cn, err := layout.DecodeCnode(slices.Clone(val))
		if err != nil {
			return fmt.Errorf("collection %q: %w", key, err)
		}
		m[CollectionID(key)] = &collection{id: CollectionID(key), cn: cn}
		return nil
	}
	var bad error
	err := s.colls.Iter(ctx, nil, nil, func(key, val []byte) bool {
		bad = add(key, val)
		return bad == nil
	})
	if err = cmp.Or(err, bad); err != nil && s.opt.ReadOnly && ctx.Err() == nil {
		s.collsLost = err
		s.degrade(fmt.Sprintf("%v: some collections are missing", err))
		s.log.Error("collections are missing", "err", err)
		err = btree.Walk(ctx, s.pages, s.cfg.colls, &btree.Owner{}, s.colls.Root(), btree.Visitor{
			Item: func(key, val []byte, ext []btree.BlobExtent) error {
				if ext == nil {
					_ = add(key, val) // one more that is missing
				}
				return nil
			},
			Damage: func(*btree.Node, error) error { return nil },
		})
	}
	s.collMap.Store(&m)
	return err
}
