package btree

import (
	"encoding/binary"
	"fmt"
)

// RootKind says what a Root holds.
type RootKind uint8

const (
	RootEmpty  RootKind = 0 // no item
	RootInline RootKind = 1 // a few items, inside the descriptor
	RootNode   RootKind = 2 // a pointer to the topmost node
)

// Root is all there is to say of a tree on media. Its holder, a root record or
// a value of another tree, embeds it; the holder's checksum covers it.
//
//	off len field   little-endian
//	  0   1 kind (low 4 bits) | version 1 (high 4 bits)
//	                                   empty: nothing more
//	  1   6 items
//	  7   6 bytes   of keys and values, overflow values included
//	 13   2 length  inline: of the page that follows
//	 13  24 pointer node
type Root struct {
	Kind   RootKind
	Inline []byte // encoded inline page, immutable
	Ptr    Ptr
	Count  uint64 // items
	Bytes  uint64 // of keys and values
}

const (
	rootVersion = 1
	rootFixed   = 13
	max48       = 1<<48 - 1
)

// Append appends the descriptor of r to dst: 1 byte if empty, 15 and the inline
// page, or 37.
func (r Root) Append(dst []byte) []byte {
	dst = append(dst, byte(r.Kind)|rootVersion<<4)
	if r.Kind == RootEmpty {
		return dst
	}
	dst = append48(append48(dst, r.Count), r.Bytes)
	if r.Kind == RootInline {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(r.Inline)))
		return append(dst, r.Inline...)
	}
	return r.Ptr.append(dst)
}

// DecodeRoot reads a descriptor from the start of p and returns what follows
// it. Inline aliases p. An inline page is checked in full, so that a tree over
// the result never reads outside of it.
func DecodeRoot(p []byte) (r Root, rest []byte, err error) {
	if len(p) == 0 {
		return Root{}, nil, corrupt(0, "root", "a descriptor", "0 bytes")
	}
	if v := p[0] >> 4; v != rootVersion {
		return Root{}, nil, fmt.Errorf("root descriptor version %d: %w", v, ErrUnsupported)
	}
	r.Kind = RootKind(p[0] & 15)
	if r.Kind == RootEmpty {
		return r, p[1:], nil
	}
	if r.Kind > RootNode {
		return Root{}, nil, corrupt(0, "root kind", "0..2", r.Kind)
	}
	if len(p) < rootFixed+2 {
		return Root{}, nil, corrupt(0, "root", "15 bytes", len(p))
	}
	r.Count, r.Bytes = uint48(p[1:]), uint48(p[7:])
	if r.Count == 0 {
		return Root{}, nil, corrupt(0, "root items", "not 0", 0)
	}
	p = p[rootFixed:]
	if r.Kind == RootNode {
		if len(p) < ptrBytes {
			return Root{}, nil, corrupt(0, "root pointer", "24 bytes", len(p))
		}
		r.Ptr = decodePtr(p)
		return r, p[ptrBytes:], r.Ptr.check(0)
	}
	n := int(binary.LittleEndian.Uint16(p))
	if p = p[2:]; len(p) < n {
		return Root{}, nil, corrupt(0, "inline page", fmt.Sprint(n, " bytes"), len(p))
	}
	r.Inline = p[:n:n]
	b, err := openInline(r.Inline)
	if err == nil {
		err = b.checkRecords(0)
	}
	if err == nil && uint64(b.n) != r.Count {
		err = corrupt(0, "inline items", r.Count, b.n)
	}
	if err != nil {
		return Root{}, nil, err
	}
	return r, p[n:], nil
}

func append48(dst []byte, v uint64) []byte {
	v = min(v, max48)
	return append(dst, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40))
}

func uint48(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint16(b[4:]))<<32
}
