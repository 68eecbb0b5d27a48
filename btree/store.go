package btree

import "context"

// Loader is where pages come from. The tree never reads a device itself.
//
// All methods may run at once. A page that came from a device has passed
// ParsePage and Page.Check.
type Loader interface {
	// Load returns the page p names, pinned, unless p is not Readable. own may be
	// of zero ID.
	Load(ctx context.Context, cfg *Config, own *Owner, p Ptr) (*Page, error)
	// Resident is Load if that needs no I/O, else nil. It never blocks on I/O.
	Resident(p Ptr) *Page
	// ReadBlob fills dst, as long as the runs together, with an overflow value
	// and verifies the CRC of every run.
	ReadBlob(ctx context.Context, ext []BlobExtent, dst []byte) error
}

// Pinner is a Loader that can keep what a root reaches readable. Without it a
// Snapshot is good until the pages it needs are written over, which shows as
// ErrSnapshotExpired.
type Pinner interface {
	// Pin keeps every page of every root published so far. valid says whether
	// that still holds; release ends it.
	Pin() (release func(), valid func() bool)
}

// Differ is a Sink that accounts what the records of a tree name, such as
// blocks. With Config.Diff set, Reconcile calls Replaced once for every record
// that differs between the published pages and the new ones: old is nil for a
// new one, new is nil for a removed one. A range delete then reads the leaves
// it drops. The slices are valid during the call. A value out of line counts as
// no record.
type Differ interface {
	Replaced(cfg *Config, own *Owner, key, old, new []byte) error
}

// Prefetcher is a Sink that is told which leaves a merge will load next, in that
// order, so that it can have the Loader read several at once. The slice is valid
// during the call.
type Prefetcher interface {
	Prefetch(cfg *Config, own *Owner, leaves []Ptr)
}

// GiverUp is a Sink that lets damage cost itself: a node of the old tree that
// cannot be read does not end the work. Without changes due to it the node
// stays where it is. Else GiveUp is asked; nil gives it up with the changes:
// all keys in [low, high), nil being unbounded, fail from now on. What lies
// below a node that cannot be read and was to be freed stays allocated; then
// changes is 0.
type GiverUp interface {
	GiveUp(cfg *Config, own *Owner, low, high []byte, p Ptr, changes int, cause error) error
}

// Sink is where a reconcile, a bulk load or a drop puts pages and frees old
// ones. One goroutine uses it.
//
// After an error of any method, or of what used the sink, nothing that was
// freed is free and everything that was allocated is garbage: only the sink
// knows what that is.
type Sink interface {
	// Epoch is written into every page.
	Epoch() uint64
	// Alloc returns the address of a run of metadata blocks, never 0. An error
	// matching ErrNoRun says that there is room, but no run that long: the page
	// is then cut in two, as long as each half has a record.
	Alloc(blocks int) (addr uint64, err error)
	// Write stores a finished page, whole blocks, at what Alloc returned. It
	// does not retain page.
	Write(addr uint64, page []byte) error
	// Free gives up a node that the new root does not reach.
	Free(addr uint64, blocks int)
	// WriteBlob stores an overflow value in data blocks, in 1..MaxBlobExtents
	// runs. It does not retain data.
	WriteBlob(data []byte) ([]BlobExtent, error)
	// FreeBlob gives up an overflow value.
	FreeBlob(ext []BlobExtent)
}
