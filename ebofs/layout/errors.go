package layout

import (
	"errors"
	"fmt"
)

// What a decoder finds wrong. All but ErrNewer and ErrFeature also match
// ErrCorrupt, so that a caller who only wants to know "damaged or not" asks once.
var (
	// ErrCorrupt matches every error that says bytes on the device are damaged.
	ErrCorrupt = errors.New("corrupt")
	// ErrBadMagic: the block is of no kind we know, or of another kind.
	ErrBadMagic = errors.New("bad magic")
	// ErrBadCRC: the checksum in the block is not that of its bytes.
	ErrBadCRC = errors.New("bad crc")
	// ErrTorn: the two ends of the block come from different writes.
	ErrTorn = errors.New("torn write")
	// ErrMisplaced: valid in itself, but written for another address.
	ErrMisplaced = errors.New("misplaced block")
	// ErrForeign: valid in itself, but of another store.
	ErrForeign = errors.New("block of another store")
	// ErrStale: valid in itself, but not the version its parent points to.
	ErrStale = errors.New("block of another epoch")
	// ErrMalformed: the checksum is right and the fields contradict each other.
	ErrMalformed = errors.New("malformed")
	// ErrNewer: written by a newer version that says we must not read it.
	ErrNewer = errors.New("newer format")
	// ErrFeature: needs a feature this program does not know.
	ErrFeature = errors.New("unknown feature")
	// ErrDisagree: superblocks that are each valid name different stores.
	ErrDisagree = errors.New("superblocks disagree")
	// ErrNoSuperblock: no slot holds a valid superblock.
	ErrNoSuperblock = errors.New("no valid superblock")
	// ErrInvalid: what the caller asked to encode or plan is not allowed.
	ErrInvalid = errors.New("invalid")
	// ErrTooLong: a name is longer than the format allows.
	ErrTooLong = errors.New("name too long")
	// ErrTooSmall: the device cannot hold a store.
	ErrTooSmall = errors.New("device too small")
)

// Corruption is what a decoder returns about bytes that came from a device: data
// for reports, not only text.
type Corruption struct {
	Kind  string // what was expected there: "superblock", "onode", …
	Addr  Addr   // where it was read; zero if the decoder was not told
	Field string // which part is wrong; empty if it is the whole
	Want  string // expected value; may be empty
	Got   string // found value; may be empty
	Err   error  // one of the sentinels above
}

// Error names kind, address, field, found and expected value.
func (c *Corruption) Error() string {
	s := c.Kind
	if !c.Addr.IsNone() {
		s += " " + c.Addr.String()
	}
	if c.Field != "" {
		s += ": " + c.Field
	}
	if c.Got != "" {
		s += " " + c.Got
	}
	if c.Want != "" {
		s += ", want " + c.Want
	}
	return s + ": " + c.Err.Error()
}

// Unwrap returns the sentinel.
func (c *Corruption) Unwrap() error { return c.Err }

// Is matches ErrCorrupt unless the bytes are sound and merely too new.
func (c *Corruption) Is(target error) bool {
	return target == ErrCorrupt && c.Err != ErrNewer && c.Err != ErrFeature
}

// malformed reports a field that contradicts the format.
func malformed(kind, field string, got, want any) error {
	c := &Corruption{Kind: kind, Field: field, Got: fmt.Sprint(got), Err: ErrMalformed}
	if want != nil {
		c.Want = fmt.Sprint(want)
	}
	return c
}

// truncated reports a value that ends before its fields do.
func truncated(kind, field string, got, want int) error {
	return malformed(kind, field+" bytes", got, fmt.Sprintf("≥ %d", want))
}

// isNewer reports an error about sound bytes that are not for this program.
func isNewer(err error) bool { return errors.Is(err, ErrNewer) || errors.Is(err, ErrFeature) }
