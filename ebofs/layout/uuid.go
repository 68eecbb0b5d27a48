package layout

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// UUID identifies a store, a device or a cluster. The zero UUID is none.
type UUID [16]byte

// IsZero reports whether u is none.
func (u UUID) IsZero() bool { return u == UUID{} }

// String returns the usual 36 characters, lower case.
func (u UUID) String() string {
	var b [36]byte
	hex.Encode(b[:8], u[:4])
	hex.Encode(b[9:13], u[4:6])
	hex.Encode(b[14:18], u[6:8])
	hex.Encode(b[19:23], u[8:10])
	hex.Encode(b[24:], u[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// Short returns the first 8 characters, by which people name a store.
func (u UUID) Short() string { return hex.EncodeToString(u[:4]) }

// ParseUUID reads 36 characters with dashes or 32 without, in any case.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	t := s
	if len(t) == 36 && t[8] == '-' && t[13] == '-' && t[18] == '-' && t[23] == '-' {
		t = strings.ReplaceAll(t, "-", "")
	}
	if len(t) != 32 {
		return u, fmt.Errorf("uuid %q: %w", s, ErrInvalid)
	}
	if _, err := hex.Decode(u[:], []byte(t)); err != nil {
		return UUID{}, fmt.Errorf("uuid %q: %w", s, ErrInvalid)
	}
	return u, nil
}
