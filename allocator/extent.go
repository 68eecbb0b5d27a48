package allocator

import (
	"errors"
	"fmt"
)

// Extent is a run of blocks of one device, in device-absolute block numbers.
type Extent struct {
	Start  uint64
	Blocks uint64
}

// End returns the first block behind e.
func (e Extent) End() uint64 { return e.Start + e.Blocks }

// String returns start~length.
func (e Extent) String() string { return fmt.Sprintf("%d~%d", e.Start, e.Blocks) }

// Class says what blocks are for, so that what dies together lies together.
type Class uint8

const (
	// Meta is tree nodes and other metadata.
	Meta Class = iota
	// Hot is data packed by the fold.
	Hot
	// Big is whole stripes of large writes (path D).
	Big
	// Cold is data moved by the cleaner.
	Cold

	classes = 4
)

// String returns the lower-case name of c.
func (c Class) String() string {
	switch c {
	case Meta:
		return "meta"
	case Hot:
		return "hot"
	case Big:
		return "big"
	case Cold:
		return "cold"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

var (
	// ErrNoSpace is returned when no free blocks of the wanted shape are left.
	ErrNoSpace = errors.New("no space")
	// ErrInvalid is returned for arguments outside the zones or the geometry.
	ErrInvalid = errors.New("invalid argument")
	// ErrUsed is returned by MarkUsed for blocks that are used or in limbo.
	ErrUsed = errors.New("already used")
	// ErrNotUsed is returned by Free and Release for blocks that are free or in
	// limbo already: a double free.
	ErrNotUsed = errors.New("not in use")
	// ErrDurable is returned by Free for an epoch that is already durable: its
	// limbo has been released, so nobody would ever release this extent.
	ErrDurable = errors.New("epoch is already durable")
	// ErrCorrupt is returned when a bitmap contradicts its summary, and by Check
	// when counts contradict bitmaps.
	ErrCorrupt = errors.New("corrupt")
	// ErrBusy is returned by Evict for a zone RAM knows more of than the device.
	ErrBusy = errors.New("zone is not durable as it is")
)

// NeedZone is the error of an operation that needs the bitmap of a zone that
// is not loaded. The caller reads the bitmap, calls Load and repeats the
// operation, which had no effect.
type NeedZone struct {
	Zone int // index of the zone
}

// Error implements error.
func (e NeedZone) Error() string { return fmt.Sprintf("zone %d is not loaded", e.Zone) }

// appendExtent appends e to dst, joined to the last extent if they touch.
func appendExtent(dst []Extent, e Extent) []Extent {
	if n := len(dst); n > 0 && dst[n-1].End() == e.Start {
		dst[n-1].Blocks += e.Blocks
		return dst
	}
	return append(dst, e)
}
