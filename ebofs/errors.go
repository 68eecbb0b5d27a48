package ebofs

import (
	"errors"
	"fmt"

	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// What an operation can be refused with. Test with errors.Is; the text around
// them names the thing.
var (
	ErrNotFound    = errors.New("not found")
	ErrExists      = errors.New("already exists")
	ErrNotEmpty    = errors.New("not empty")
	ErrNoSpace     = errors.New("no space left on device")
	ErrCorrupt     = layout.ErrCorrupt
	ErrReadOnly    = errors.New("store is read-only")
	ErrClosed      = errors.New("store is closed")
	ErrInvalid     = errors.New("invalid argument")
	ErrTooLarge    = errors.New("too large")
	ErrUnsupported = errors.New("not supported in this release")
	ErrNoStore     = errors.New("no ebofs store here")
	ErrLabelLost   = errors.New("the store can be read, not written")
	ErrLogMissing  = errors.New("log device is missing")
	ErrNoData      = errors.New("data is not in this image")
)

// CorruptError says which block of which device failed its check. It is data
// for a person and for repair; errors.Is(err, ErrCorrupt) holds.
type CorruptError struct {
	Device int           // index in the store's device table
	Block  devices.Block // where
	Kind   string        // what was expected there: "data", "node", "root record", …
	Want   string        // expected checksum, address or value
	Got    string        // what was found
	Object string        // the object it belongs to, where known
}

func (e *CorruptError) Error() string {
	s := fmt.Sprintf("device %d block %d: %s: found %s, expected %s", e.Device, e.Block, e.Kind, e.Got, e.Want)
	if e.Object != "" {
		s = "object " + e.Object + ": " + s
	}
	return s
}

// Unwrap makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }
