package osd

import "context"

// ObjectStore is a mounted store of objects in collections. It is all an OSD
// knows of its disk.
//
// Transactions: Queue returns an error and leaves no trace, or has applied the
// whole transaction: every read that starts afterwards sees it. It is committed,
// there after any crash, when its onCommit is called with nil. Transactions that
// name a common collection apply and commit in the order of their Queue calls,
// and their onCommit calls come in that order; others are independent of one
// another. A device that fails after a transaction was applied makes onCommit
// report an error, and the store refuses changes from then on.
//
// Errors: a transaction fails for one of its steps that cannot be done after the
// steps before it; if there are several, for any of them.
//
// Missing things: a missing collection is ErrNotFound. A missing object is
// created by touch, write, zero, setattrs, omap set, omap header, alloc hint and
// as the destination of a clone; to every other operation, and to every read, it
// is ErrNotFound. An object outside the range of the collection it is named with
// is ErrInvalid in a transaction and ErrNotFound to a read.
//
// Buffers: what is handed to a Transaction belongs to it for good and is changed
// by nobody. What a read returns belongs to the caller, except what OmapIter
// shows.
//
// Concurrency: all methods may run at once, but Close, which the caller makes
// the last. A read that runs while a transaction is applied sees, of each
// object, the state before or after it; keeping several objects apart is the
// caller's.
//
// Contexts: a cancelled context ends waiting, not work: a transaction whose
// Queue was admitted is applied. What Queue returns decides, never the context.
type ObjectStore interface {
	// Queue applies t. If it returns nil, onApplied was called, and onCommit will
	// be, exactly once and not before onApplied returned; either may be nil. They
	// are called on a goroutine of the store or of the caller and do not block;
	// onCommit may itself call Queue. A transaction without operations names no
	// collection and is otherwise as any other.
	Queue(ctx context.Context, t *Transaction, onApplied func(), onCommit func(error)) error
	// Sync returns when all that was queued before it is committed.
	Sync(ctx context.Context) error

	// Read fills p from byte off and returns how much there was: less than len(p)
	// only at the end of the object. Reading at or behind the end is no error.
	Read(ctx context.Context, c CollectionID, o ObjectID, off uint64, p []byte) (int, error)
	// Stat tells the size.
	Stat(ctx context.Context, c CollectionID, o ObjectID) (ObjectStat, error)
	// Fiemap lists the extents within [off, off+n) and the object's size that may
	// hold something else than zeros: sorted, disjoint, none empty. All bytes
	// outside of them are zero.
	Fiemap(ctx context.Context, c CollectionID, o ObjectID, off, n uint64) ([]Extent, error)

	// Attr returns one attr; ErrNoAttr if the object has none of that name.
	Attr(ctx context.Context, c CollectionID, o ObjectID, name string) ([]byte, error)
	// Attrs returns all of them.
	Attrs(ctx context.Context, c CollectionID, o ObjectID) (map[string][]byte, error)

	// OmapHeader returns the header, empty if there is none.
	OmapHeader(ctx context.Context, c CollectionID, o ObjectID) ([]byte, error)
	// OmapGet returns those of keys that exist.
	OmapGet(ctx context.Context, c CollectionID, o ObjectID, keys []string) (map[string][]byte, error)
	// OmapCheck returns those of keys that exist, sorted, once each.
	OmapCheck(ctx context.Context, c CollectionID, o ObjectID, keys []string) ([]string, error)
	// OmapIter calls fn for the keys of [first, last) in bytewise order until it
	// returns false; an empty last is no bound. k and v are fn's for the call. A
	// key that no transaction touches meanwhile is seen exactly once; one that is
	// touched is seen as before or after. fn may call the store.
	OmapIter(ctx context.Context, c CollectionID, o ObjectID, first, last string, fn func(k string, v []byte) bool) error

	// List returns, in the order of ObjectID.Compare, the first objects of c in
	// [start, end), max at most; nil is no bound, max ≤ 0 leaves the number to the
	// store. Next is where to go on, nil if there is nothing behind: starting
	// there skips and repeats nothing. Bounds need not exist, so a range of hashes
	// is {Shard, Pool, Hash: first} to {Shard, Pool, Hash: behind}, in the order
	// of reversed bits. Objects of the temporary pool are listed too.
	List(ctx context.Context, c CollectionID, start, end *ObjectID, max int) (ids []ObjectID, next *ObjectID, err error)
	// Collections returns the id of every collection, sorted.
	Collections(ctx context.Context) ([]CollectionID, error)
	// Collection returns the range of c.
	Collection(ctx context.Context, c CollectionID) (CollectionSpec, error)

	// Statfs tells the space.
	Statfs(ctx context.Context) (Statfs, error)

	// Close commits what is applied and gives up the device. Calls after it are
	// ErrClosed.
	Close(ctx context.Context) error
}

// PastReader is a store with a cache in front of its device.
type PastReader interface {
	// ReadPast is Read from the device itself, which then has shown that it still
	// holds what was written.
	ReadPast(ctx context.Context, c CollectionID, o ObjectID, off uint64, p []byte) (int, error)
}

// Apply queues t and waits until it is committed.
func Apply(ctx context.Context, s ObjectStore, t *Transaction) error {
	done := make(chan error, 1)
	if err := s.Queue(ctx, t, nil, func(err error) { done <- err }); err != nil {
		return err
	}
	// A store without goroutines of its own commits when asked to.
	if err := s.Sync(ctx); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
