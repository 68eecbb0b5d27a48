package ebofs

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"ebofs/ebofs/layout"
)

// sortedWithin returns the distinct values of list in [first, last], ascending.
func sortedWithin(list []uint64, first, last uint64) []uint64 {
	slices.Sort(list)
	list = slices.Compact(list)
	return slices.DeleteFunc(list, func(k uint64) bool { return k < first || k > last })
}

// List returns up to max objects of a collection from start on, below end, in
// key order, and where to go on; next is nil at the end. nil start and end are
// the collection's own. Objects made or removed meanwhile may or may not be
// listed; all others are, once.
func (s *Store) List(ctx context.Context, c CollectionID, start, end *ObjectID, max int) (objects []ObjectID, next *ObjectID, err error) {
	if err := s.enter(); err != nil {
		return nil, nil, err
	}
	defer s.leave()
	coll, err := s.collection(c)
	if err != nil {
		return nil, nil, err
	}
	if max <= 0 {
		return nil, nil, fmt.Errorf("list of %d objects: %w", max, ErrInvalid)
	}
	if coll.cn.Flags&collAwaitsSplit != 0 {
		return nil, nil, nil
	}
	var from, to []byte
	if start != nil {
		from = start.AppendKey(nil)
	}
	if end != nil {
		to = end.AppendKey(nil)
	}
	g := s.guard.enter()
	defer s.guard.leave(g)
	tlo, thi := coll.cn.Range.TempBounds()
	lo, hi := coll.cn.Range.Bounds()
	for _, r := range [...][2][]byte{{tlo, thi}, {lo, hi}} {
		if r[0] == nil {
			continue
		}
		lo, hi := later(r[0], from), earlier(r[1], to)
		if hi != nil && bytes.Compare(lo, hi) >= 0 {
			continue
		}
		s.settleStubs(lo, hi)
		var bad error
		err := s.objects.Iter(ctx, lo, hi, func(key, _ []byte) bool {
			k, err := layout.DecodeObjectKey(key)
			if err != nil {
				bad = fmt.Errorf("object tree: %w", err)
				return false
			}
			if len(objects) == max {
				next = &k
				return false
			}
			objects = append(objects, k)
			return true
		})
		if err == nil {
			err = bad
		}
		if err != nil || next != nil {
			return objects, next, err
		}
	}
	return objects, nil, nil
}

// later returns the greater of two lower bounds; nil is none.
func later(a, b []byte) []byte {
	if bytes.Compare(a, b) < 0 {
		return b
	}
	return a
}

// earlier returns the smaller of two upper bounds; nil is none.
func earlier(a, b []byte) []byte {
	if a == nil || b != nil && bytes.Compare(b, a) < 0 {
		return b
	}
	return a
}

// settleStubs waits for the loads of stubs in [lo, hi): whether their objects
// are new is not known before.
func (s *Store) settleStubs(lo, hi []byte) {
	if s.opt.Inline || s.opening.Load() == 0 {
		return
	}
	var wait []*onode
	s.onodes.each(func(o *onode) {
		if o.loaded.open.Load() || bytes.Compare([]byte(o.key), lo) < 0 || hi != nil && bytes.Compare([]byte(o.key), hi) >= 0 {
			return
		}
		o.refs.Add(1)
		wait = append(wait, o)
	})
	for _, o := range wait {
		o.waitLoaded()
		o.refs.Add(-1)
	}
}

// emptyRange reports whether no object has a key in the range, as the operations
// of p so far leave it.
func (s *Store) emptyRange(ctx context.Context, r CollSpec, p *pass) (bool, error) {
	for i := range p.view {
		if k, err := layout.DecodeObjectKey([]byte(p.view[i].o.key)); err == nil && p.view[i].exists && r.Contains(&k) {
			return false, nil
		}
	}
	g := s.guard.enter()
	defer s.guard.leave(g)
	empty := true
	tlo, thi := r.TempBounds()
	lo, hi := r.Bounds()
	for _, b := range [...][2][]byte{{tlo, thi}, {lo, hi}} {
		if b[0] == nil {
			continue
		}
		s.settleStubs(b[0], b[1])
		err := s.objects.Iter(ctx, b[0], b[1], func(key, _ []byte) bool {
			exists, known := p.seen(key)
			empty = known && !exists
			return empty
		})
		if err != nil || !empty {
			return false, err
		}
	}
	return true, nil
}

// Statfs is the store's space. All sizes are in bytes; Total = Used + Free +
// Limbo + Kept.
type Statfs struct {
	Total     uint64 // space for objects and their metadata
	Free      uint64 // can be given out now
	Limbo     uint64 // freed, and still part of the durable checkpoint
	Kept      uint64 // part of kept epochs only; used again when there is no other space
	Used      uint64
	Available uint64 // of Free, what ordinary writes may still take
	Reserve   uint64 // kept for removing things on a full store
	Promised  uint64 // to the data of transactions whose checkpoint is to come
	Objects   int64
	Data      uint64 // as of the last checkpoint: blocks of objects
	Meta      uint64 // likewise: tree nodes
	Stored    uint64 // likewise: sum of object sizes
}

// Statfs returns the space as it is now. What nodes of the coming checkpoint may take
// is not held against Available: as the sum of what each transaction might cost it
// exceeds a device that is nearly empty, and the reserve is there for nodes.
func (s *Store) Statfs() (Statfs, error) {
	if err := s.readable(); err != nil {
		return Statfs{}, err
	}
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	n := s.space.counts()
	kept := s.space.limboOf(s.kept.oldest(), s.limbo.want)
	n.limbo -= kept
	st := Statfs{
		Total: n.total * blockSize, Free: n.free * blockSize, Limbo: n.limbo * blockSize, Kept: kept * blockSize, Used: (n.total - n.free - n.limbo - kept) * blockSize,
		Reserve: n.reserve * blockSize, Promised: n.promised * blockSize, Objects: s.objectCount.Load(),
	}
	hold := st.Reserve + st.Promised
	if s.space.hard {
		hold += s.place.SlackBlocks * blockSize
	}
	if st.Free > hold {
		st.Available = st.Free - hold
	}
	st.Data, st.Meta, st.Stored = s.counters.DataBlocks*blockSize, s.counters.MetaBlocks*blockSize, s.counters.LogicalBytes
	return st, nil
}
