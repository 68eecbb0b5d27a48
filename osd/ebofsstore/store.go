package ebofsstore

import (
	"context"
	"errors"
	"slices"

	"ebofs/ebofs"
	"ebofs/osd"
)

// Store is an osd.ObjectStore on an ebofs.Store.
type Store struct {
	s *ebofs.Store
}

var _ osd.ObjectStore = (*Store)(nil)

// New returns the store as an osd.ObjectStore. Close closes it; its devices
// remain whoever's they are.
func New(s *ebofs.Store) *Store { return &Store{s} }

// defaultPage is the length of a listing that does not say: what an OSD sends a
// client at most.
const defaultPage = 1024

// Queue hands t on.
func (s *Store) Queue(ctx context.Context, t *osd.Transaction, onApplied func(), onCommit func(error)) error {
	x, err := Convert(t)
	if err != nil {
		return err
	}
	notice := onCommit
	if onCommit != nil {
		notice = func(err error) { onCommit(translate(err)) }
	}
	return translate(s.s.Queue(ctx, x, onApplied, notice))
}

// Sync waits for the log.
func (s *Store) Sync(ctx context.Context) error { return translate(s.s.Sync(ctx)) }

// Read reads and verifies.
func (s *Store) Read(ctx context.Context, c osd.CollectionID, o osd.ObjectID, off uint64, p []byte) (int, error) {
	n, err := s.s.Read(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o), off, p)
	return n, s.read(err)
}

// read translates the error of a read: an object that is not the collection's
// is not found there.
func (s *Store) read(err error) error {
	if errors.Is(err, ebofs.ErrInvalid) {
		return &storeError{err, osd.ErrNotFound}
	}
	return translate(err)
}

// Stat tells the size.
func (s *Store) Stat(ctx context.Context, c osd.CollectionID, o osd.ObjectID) (osd.ObjectStat, error) {
	st, err := s.s.Stat(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o))
	return osd.ObjectStat{SizeBytes: st.Size}, s.read(err)
}

// ReadPast fills p from the device, past the cache.
func (s *Store) ReadPast(ctx context.Context, c osd.CollectionID, o osd.ObjectID, off uint64, p []byte) (int, error) {
	n, err := s.s.ReadPast(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o), off, p)
	return n, s.read(err)
}

// Fiemap lists extents.
func (s *Store) Fiemap(ctx context.Context, c osd.CollectionID, o osd.ObjectID, off, n uint64) ([]osd.Extent, error) {
	es, err := s.s.Fiemap(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o), off, n)
	out := make([]osd.Extent, len(es))
	for i, e := range es {
		out[i] = osd.Extent{Off: e.Offset, Len: e.Length}
	}
	return out, s.read(err)
}

// Attr returns one attr. ebofs says of both that it is not found; if the object
// is, it was the attr.
func (s *Store) Attr(ctx context.Context, c osd.CollectionID, o osd.ObjectID, name string) ([]byte, error) {
	v, err := s.s.GetAttr(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o), name)
	if errors.Is(err, ebofs.ErrNotFound) {
		if _, statErr := s.Stat(ctx, c, o); statErr == nil {
			return nil, &storeError{err, osd.ErrNoAttr}
		}
	}
	return v, s.read(err)
}

// Attrs returns all attrs.
func (s *Store) Attrs(ctx context.Context, c osd.CollectionID, o osd.ObjectID) (map[string][]byte, error) {
	m, err := s.s.GetAttrs(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o))
	return m, s.read(err)
}

// OmapHeader returns the header.
func (s *Store) OmapHeader(ctx context.Context, c osd.CollectionID, o osd.ObjectID) ([]byte, error) {
	h, err := s.s.OmapHeader(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o))
	return h, s.read(err)
}

// OmapGet returns values.
func (s *Store) OmapGet(ctx context.Context, c osd.CollectionID, o osd.ObjectID, keys []string) (map[string][]byte, error) {
	m, err := s.s.OmapGet(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o), keys)
	return m, s.read(err)
}

// OmapCheck returns the keys that exist; ebofs answers in the order asked.
func (s *Store) OmapCheck(ctx context.Context, c osd.CollectionID, o osd.ObjectID, keys []string) ([]string, error) {
	have, err := s.s.OmapCheck(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o), keys)
	slices.Sort(have)
	return slices.Compact(have), s.read(err)
}

// OmapIter iterates.
func (s *Store) OmapIter(ctx context.Context, c osd.CollectionID, o osd.ObjectID, first, last string, fn func(k string, v []byte) bool) error {
	return s.read(s.s.OmapIter(ctx, ebofs.CollectionID(c), ebofs.ObjectID(o), first, last, func(k, v []byte) bool { return fn(string(k), v) }))
}

// List lists objects.
func (s *Store) List(ctx context.Context, c osd.CollectionID, start, end *osd.ObjectID, max int) ([]osd.ObjectID, *osd.ObjectID, error) {
	if max <= 0 {
		max = defaultPage
	}
	ids, next, err := s.s.List(ctx, ebofs.CollectionID(c), (*ebofs.ObjectID)(start), (*ebofs.ObjectID)(end), max)
	out := make([]osd.ObjectID, len(ids))
	for i, id := range ids {
		out[i] = osd.ObjectID(id)
	}
	return out, (*osd.ObjectID)(next), translate(err)
}

// Collections lists collections.
func (s *Store) Collections(ctx context.Context) ([]osd.CollectionID, error) {
	ids, err := s.s.Collections(ctx)
	out := make([]osd.CollectionID, len(ids))
	for i, id := range ids {
		out[i] = osd.CollectionID(id)
	}
	return out, translate(err)
}

// Collection returns a range.
func (s *Store) Collection(_ context.Context, c osd.CollectionID) (osd.CollectionSpec, error) {
	spec, err := s.s.CollectionSpec(ebofs.CollectionID(c))
	return osd.CollectionSpec(spec), translate(err)
}

// Statfs tells the space: all of the zones, and what new data may use, for
// which kept epochs yield.
func (s *Store) Statfs(context.Context) (osd.Statfs, error) {
	st, err := s.s.Statfs()
	return osd.Statfs{TotalBytes: st.Total, FreeBytes: st.Available + st.Kept}, translate(err)
}

// Close closes the ebofs store.
func (s *Store) Close(ctx context.Context) error { return translate(s.s.Close(ctx)) }
