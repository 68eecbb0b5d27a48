package memstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"ebofs/osd"
)

// Options of a Store. The zero value is a store without a bound.
type Options struct {
	// CapacityBytes bounds the bytes of pages, attrs, omaps and headers, names
	// included; 0 is no bound. A transaction that makes the store larger than it
	// is refused.
	CapacityBytes uint64
}

// Store is an osd.ObjectStore in memory.
//
// Lock order: queueMu, then mu. queueMu is held while notices are given, so
// they may read but not queue; see Queue.
type Store struct {
	opts Options

	queueMu sync.Mutex // admits one transaction at a time
	mu      struct {
		sync.RWMutex
		state
		notices  []func() // onCommit calls that are due, in order
		draining bool     // somebody calls them
		idle     *sync.Cond
	}
}

// state is what transactions change.
type state struct {
	colls  map[osd.CollectionID]osd.CollectionSpec
	objs   map[osd.ObjectID]*object
	bytes  int64
	closed bool
}

var _ osd.ObjectStore = (*Store)(nil)

// New returns an empty store.
func New(o Options) *Store {
	s := &Store{opts: o}
	s.mu.colls = map[osd.CollectionID]osd.CollectionSpec{}
	s.mu.objs = map[osd.ObjectID]*object{}
	s.mu.idle = sync.NewCond(&s.mu.RWMutex)
	return s
}

// Queue applies t. The goroutine that finds commit notices due and nobody
// calling them does so, so they come in order and one that queues again does
// not recurse.
func (s *Store) Queue(_ context.Context, t *osd.Transaction, onApplied func(), onCommit func(error)) error {
	if err := s.queue(t, onApplied, onCommit); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.draining {
		return nil
	}
	s.mu.draining = true
	for len(s.mu.notices) > 0 {
		fn := s.mu.notices[0]
		s.mu.notices = s.mu.notices[1:]
		s.mu.Unlock()
		fn()
		s.mu.Lock()
	}
	s.mu.draining = false
	s.mu.idle.Broadcast()
	return nil
}

// queue applies t and puts its commit notice in line.
func (s *Store) queue(t *osd.Transaction, onApplied func(), onCommit func(error)) error {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	if err := s.applyTxn(t); err != nil {
		return err
	}
	if onApplied != nil {
		onApplied()
	}
	if onCommit != nil {
		s.mu.Lock()
		s.mu.notices = append(s.mu.notices, func() { onCommit(nil) })
		s.mu.Unlock()
	}
	return nil
}

func (s *Store) applyTxn(t *osd.Transaction) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return osd.ErrClosed
	}
	v := view{st: &s.mu.state, objs: map[osd.ObjectID]*object{}}
	for i := range t.Ops() {
		if err := v.apply(&t.Ops()[i]); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
	}
	grown := v.growth()
	if s.opts.CapacityBytes > 0 && grown > 0 && uint64(s.mu.bytes+grown) > s.opts.CapacityBytes {
		return fmt.Errorf("%d bytes more: %w", grown, osd.ErrNoSpace)
	}
	s.mu.bytes += grown
	s.mu.colls = v.table()
	for id, o := range v.objs {
		if o == nil {
			delete(s.mu.objs, id)
			continue
		}
		o.own = nil
		s.mu.objs[id] = o
	}
	return nil
}

// Sync waits until the notices due have been called. It must not be called by
// one of them.
func (s *Store) Sync(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return osd.ErrClosed
	}
	for s.mu.draining {
		s.mu.idle.Wait()
	}
	return nil
}

// find returns an object, which nobody changes any more.
func (s *Store) find(c osd.CollectionID, id osd.ObjectID) (*object, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	spec, err := s.specLocked(c)
	if err != nil {
		return nil, err
	}
	o := s.mu.objs[id]
	if o == nil || !spec.Contains(id) {
		return nil, fmt.Errorf("object %v: %w", id, osd.ErrNotFound)
	}
	return o, nil
}

func (s *Store) specLocked(c osd.CollectionID) (osd.CollectionSpec, error) {
	if s.mu.closed {
		return osd.CollectionSpec{}, osd.ErrClosed
	}
	spec, ok := s.mu.colls[c]
	if !ok {
		return spec, fmt.Errorf("collection %q: %w", c, osd.ErrNotFound)
	}
	return spec, nil
}

// Read fills p from the pages.
func (s *Store) Read(_ context.Context, c osd.CollectionID, id osd.ObjectID, off uint64, p []byte) (int, error) {
	o, err := s.find(c, id)
	if err != nil {
		return 0, err
	}
	return o.read(off, p), nil
}

// Stat tells the size.
func (s *Store) Stat(_ context.Context, c osd.CollectionID, id osd.ObjectID) (osd.ObjectStat, error) {
	o, err := s.find(c, id)
	if err != nil {
		return osd.ObjectStat{}, err
	}
	return osd.ObjectStat{SizeBytes: o.size}, nil
}

// Fiemap lists the pages that were written.
func (s *Store) Fiemap(_ context.Context, c osd.CollectionID, id osd.ObjectID, off, n uint64) ([]osd.Extent, error) {
	o, err := s.find(c, id)
	if err != nil {
		return nil, err
	}
	return o.extents(off, n), nil
}

// Attr returns a copy of one attr.
func (s *Store) Attr(_ context.Context, c osd.CollectionID, id osd.ObjectID, name string) ([]byte, error) {
	o, err := s.find(c, id)
	if err != nil {
		return nil, err
	}
	v, ok := o.attrs[name]
	if !ok {
		return nil, fmt.Errorf("object %v attr %q: %w", id, name, osd.ErrNoAttr)
	}
	return slices.Clone(v), nil
}

// Attrs returns copies of all.
func (s *Store) Attrs(_ context.Context, c osd.CollectionID, id osd.ObjectID) (map[string][]byte, error) {
	o, err := s.find(c, id)
	if err != nil {
		return nil, err
	}
	m := make(map[string][]byte, len(o.attrs))
	for k, v := range o.attrs {
		m[k] = slices.Clone(v)
	}
	return m, nil
}

// OmapHeader returns a copy of the header.
func (s *Store) OmapHeader(_ context.Context, c osd.CollectionID, id osd.ObjectID) ([]byte, error) {
	o, err := s.find(c, id)
	if err != nil {
		return nil, err
	}
	return slices.Clone(o.header), nil
}

// OmapGet returns copies of the values.
func (s *Store) OmapGet(_ context.Context, c osd.CollectionID, id osd.ObjectID, keys []string) (map[string][]byte, error) {
	o, err := s.find(c, id)
	if err != nil {
		return nil, err
	}
	m := map[string][]byte{}
	for _, k := range keys {
		if v, ok := o.omap[k]; ok {
			m[k] = slices.Clone(v)
		}
	}
	return m, nil
}

// OmapCheck looks the keys up.
func (s *Store) OmapCheck(_ context.Context, c osd.CollectionID, id osd.ObjectID, keys []string) ([]string, error) {
	o, err := s.find(c, id)
	if err != nil {
		return nil, err
	}
	var have []string
	for _, k := range keys {
		if _, ok := o.omap[k]; ok {
			have = append(have, k)
		}
	}
	slices.Sort(have)
	return slices.Compact(have), nil
}

// OmapIter shows the object as it was at the call.
func (s *Store) OmapIter(_ context.Context, c osd.CollectionID, id osd.ObjectID, first, last string, fn func(k string, v []byte) bool) error {
	o, err := s.find(c, id)
	if err != nil {
		return err
	}
	for _, k := range o.keys(first, last) {
		if !fn(k, o.omap[k]) {
			break
		}
	}
	return nil
}

// defaultPage is the length of a listing that does not say; small, so that
// callers who forget to go on are found out.
const defaultPage = 100

// List sorts all objects of c and cuts out the page.
func (s *Store) List(_ context.Context, c osd.CollectionID, start, end *osd.ObjectID, max int) ([]osd.ObjectID, *osd.ObjectID, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	spec, err := s.specLocked(c)
	if err != nil {
		return nil, nil, err
	}
	var ids []osd.ObjectID
	for id := range s.mu.objs {
		if spec.Contains(id) && (start == nil || id.Compare(*start) >= 0) && (end == nil || id.Compare(*end) < 0) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, osd.ObjectID.Compare)
	if max <= 0 {
		max = defaultPage
	}
	if len(ids) <= max {
		return ids, nil, nil
	}
	next := ids[max]
	return ids[:max:max], &next, nil
}

// Collections returns the sorted ids.
func (s *Store) Collections(context.Context) ([]osd.CollectionID, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.mu.closed {
		return nil, osd.ErrClosed
	}
	return slices.SortedFunc(maps.Keys(s.mu.colls), cmp.Compare[osd.CollectionID]), nil
}

// Collection returns the range of c.
func (s *Store) Collection(_ context.Context, c osd.CollectionID) (osd.CollectionSpec, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.specLocked(c)
}

// Statfs tells what of the capacity is left.
func (s *Store) Statfs(context.Context) (osd.Statfs, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.mu.closed {
		return osd.Statfs{}, osd.ErrClosed
	}
	total := s.opts.CapacityBytes
	if total == 0 {
		return osd.Statfs{}, nil
	}
	return osd.Statfs{TotalBytes: total, FreeBytes: total - min(total, uint64(s.mu.bytes))}, nil
}

// Close makes every later call fail and drops all objects.
func (s *Store) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return osd.ErrClosed
	}
	s.mu.state = state{closed: true}
	return nil
}

// Reopen returns a store with the contents of s and closes s, as if it had been
// kept on a device.
func (s *Store) Reopen() (*Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return nil, osd.ErrClosed
	}
	n := New(s.opts)
	n.mu.state = s.mu.state
	s.mu.state = state{closed: true}
	return n, nil
}
