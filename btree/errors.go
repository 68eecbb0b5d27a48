package btree

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt is wrapped by every CorruptError.
	ErrCorrupt = errors.New("corrupt tree")
	// ErrUnsupported is returned for a comparator, version or mode this code
	// does not know.
	ErrUnsupported = errors.New("unsupported tree format")
	// ErrInvalid is returned for a Config, a key or a value outside the limits.
	ErrInvalid = errors.New("invalid argument")
	// ErrSnapshotExpired is returned by a Snapshot whose pages may be gone.
	ErrSnapshotExpired = errors.New("snapshot expired")
	// ErrNoRun is what a Sink answers when there is no run of so many blocks.
	ErrNoRun = errors.New("no run of blocks that long")
	// ErrOrder is returned by Builder.Add for keys that do not ascend.
	ErrOrder = errors.New("keys out of order")
)

// CorruptError says what is wrong with one page or value: it is data about the
// medium, not a bug of ours. errors.Is(err, ErrCorrupt) holds.
type CorruptError struct {
	Addr  uint64 // device index (top 8 bits) and block; 0: an inline root
	Field string // what was checked: "crc", "self address", "slot 3", …
	Want  string
	Got   string
}

// Error names address, field, expected and found.
func (e *CorruptError) Error() string {
	where := "inline root"
	if e.Addr != 0 {
		where = fmt.Sprintf("node at device %d block %d", e.Addr>>56, e.Addr&(1<<56-1))
	}
	return fmt.Sprintf("%s: %s is %s, want %s: %v", where, e.Field, e.Got, e.Want, ErrCorrupt)
}

// Unwrap returns ErrCorrupt.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }

// corrupt builds a CorruptError from values of any kind.
func corrupt(addr uint64, field string, want, got any) error {
	return &CorruptError{Addr: addr, Field: field, Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
}
