// Package denc reads and writes Ceph's encoding of scalars, strings, containers
// and versioned structs: little-endian, packed, without padding. It knows no
// Ceph type; those stand in cluster/ceph and beside their users.
//
// Nouns. An Encoder appends to a buffer. A Decoder takes values off a bounded
// range. Both keep going after the first error, a Decoder handing out zeroes,
// so that a decoder reads as a list of fields and asks once, at the end.
//
//	u8 version | u8 compat | u32 length | fields … | fields of newer writers …
//	└────────── Begin ───────────────┘    └─ End skips what is left of length ─┘
//
// Invariants:
//
//	I1  Nothing is allocated from a count or length whose bytes are not there.
//	I2  A read never leaves the innermost struct that has begun.
//	I3  Any input gives a value or an error wrapping ErrMalformed or
//	    ErrIncompatible, never a panic.
//
// The format was read off bytes captured from Ceph 16.2; golden vectors of the
// types built on it are in their packages.
package denc
