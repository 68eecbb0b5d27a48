package ebofs

import "context"

// past is the key of contexts whose reads go past the data cache.
type past struct{}

// ReadPast is Read from the device itself: no block comes out of the cache, each
// is read and held against its checksum. Bytes that are in the log only come from
// RAM, as they are still to be written.
func (s *Store) ReadPast(ctx context.Context, c CollectionID, id ObjectID, off uint64, p []byte) (int, error) {
	return s.Read(context.WithValue(ctx, past{}, true), c, id, off, p)
}

// cached reports whether a read may use the data cache.
func cached(ctx context.Context) bool { return ctx.Value(past{}) == nil }
