package ebofs

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// keyRange is a range of object keys; nil is no bound.
type keyRange struct{ lo, hi []byte }

// ListSound calls fn for the objects of a collection from start on, in key
// order, as far as the object tree can be read: it goes on behind damaged
// nodes. The error it returns at the end joins those of the damaged nodes, each
// naming the objects that cannot be listed; an error of fn ends it at once. It
// reads the whole tree and is meant for stores on which List has failed.
func (s *Store) ListSound(ctx context.Context, c CollectionID, start *ObjectID, fn func(*ObjectID) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	coll, err := s.collection(c)
	if err != nil {
		return err
	}
	var from []byte
	if start != nil {
		from = start.AppendKey(nil)
	}
	g := s.guard.enter()
	defer s.guard.leave(g)
	holes, damage := s.damagedKeys(ctx)
	tlo, thi := coll.cn.Range.TempBounds()
	lo, hi := coll.cn.Range.Bounds()
	for _, r := range [...]keyRange{{tlo, thi}, {lo, hi}} {
		if r.lo == nil {
			continue
		}
		r.lo = later(r.lo, from)
		s.settleStubs(r.lo, r.hi)
		for _, sound := range r.without(holes) {
			if err := s.listRange(ctx, sound, fn); err != nil {
				return err
			}
		}
	}
	return damage
}

func (s *Store) listRange(ctx context.Context, r keyRange, fn func(*ObjectID) error) error {
	var bad error
	err := s.objects.Iter(ctx, r.lo, r.hi, func(key, _ []byte) bool {
		k, err := layout.DecodeObjectKey(key)
		if err == nil {
			err = fn(&k)
		}
		bad = err
		return err == nil
	})
	return errors.Join(err, bad)
}

// damagedKeys walks the pages of the object tree and returns the key ranges
// whose nodes cannot be read, in order, and the errors joined.
func (s *Store) damagedKeys(ctx context.Context) (holes []keyRange, damage error) {
	err := btree.Walk(ctx, s.pages, s.cfg.objects, &btree.Owner{}, s.objects.Root(), btree.Visitor{
		Damage: func(n *btree.Node, err error) error {
			holes = append(holes, keyRange{bytes.Clone(n.Low), bytes.Clone(n.High)})
			damage = errors.Join(damage, fmt.Errorf("%s cannot be listed: %w", between(n.Low, n.High), err))
			return nil
		},
	})
	return holes, errors.Join(damage, err)
}

// between names the objects of a node by its fences: separators, often no whole
// keys, and none at an end of the tree.
func between(lo, hi []byte) string {
	switch {
	case len(lo) == 0 && len(hi) == 0:
		return "all objects"
	case len(lo) == 0:
		return fmt.Sprintf("objects below key %x", hi)
	case len(hi) == 0:
		return fmt.Sprintf("objects from key %x on", lo)
	}
	return fmt.Sprintf("objects from key %x up to key %x", lo, hi)
}

// without returns the parts of r outside of holes, which ascend.
func (r keyRange) without(holes []keyRange) []keyRange {
	var out []keyRange
	empty := func(lo, hi []byte) bool { return hi != nil && bytes.Compare(lo, hi) >= 0 }
	for _, h := range holes {
		if h.hi != nil && bytes.Compare(h.hi, r.lo) <= 0 {
			continue
		}
		if end := earlier(r.hi, h.lo); h.lo != nil && !empty(r.lo, end) {
			out = append(out, keyRange{r.lo, end})
		}
		if h.hi == nil {
			return out
		}
		r.lo = later(r.lo, h.hi)
	}
	if !empty(r.lo, r.hi) {
		out = append(out, r)
	}
	return out
}
