package osd

import "errors"

// What an ObjectStore answers. Stores wrap these, so test with errors.Is.
var (
	// ErrNotFound names a collection or an object that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrNoAttr is the answer for an attr an existing object does not have.
	ErrNoAttr = errors.New("no such attr")
	// ErrExists is returned for a collection or object that is already there.
	ErrExists = errors.New("already exists")
	// ErrNotEmpty is returned for removing a collection that holds objects.
	ErrNotEmpty = errors.New("collection is not empty")
	// ErrNoSpace is returned for a transaction the device has no room for. What
	// only frees space is not refused with it.
	ErrNoSpace = errors.New("no space left")
	// ErrTooLarge is returned for a name, value, offset or transaction beyond
	// what the store can hold.
	ErrTooLarge = errors.New("too large")
	// ErrInvalid is returned for arguments that make no sense: an object outside
	// its collection's range, a range that overlaps another, an empty id.
	ErrInvalid = errors.New("invalid argument")
	// ErrUnsupported is returned for an operation this store does not offer.
	ErrUnsupported = errors.New("not supported")
	// ErrCorrupt is returned when what the device holds is not what was written.
	ErrCorrupt = errors.New("corrupt")
	// ErrReadOnly is returned for a change to a store that takes none, because it
	// was opened so or because its device failed.
	ErrReadOnly = errors.New("store is read-only")
	// ErrClosed is returned by every call on a closed store.
	ErrClosed = errors.New("store is closed")
)
