package cephx

import (
	"crypto/subtle"
	"fmt"
)

// Secret is bytes that must not be seen: it prints as [redacted] in every form.
type Secret []byte

const redacted = "[redacted]"

// String hides the bytes.
func (s Secret) String() string { return redacted }

// GoString hides the bytes.
func (s Secret) GoString() string { return redacted }

// Format hides the bytes from every verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// MarshalText hides the bytes from encoders and loggers.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Equal compares in a time that depends on the length only.
func (s Secret) Equal(o Secret) bool { return subtle.ConstantTimeCompare(s, o) == 1 }
