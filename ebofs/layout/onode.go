package layout

import (
	"encoding/binary"
	"fmt"

	"ebofs/btree"
)

const (
	// MaxObjectBytes bounds the size of an object.
	MaxObjectBytes = 1 << 44
	// MaxInlineData bounds the data an onode holds itself.
	MaxInlineData = 2 << 10
	// MaxOmapHeader bounds the omap header.
	MaxOmapHeader = 64 << 10
	// MaxOnodeBytes bounds the encoded onode.
	MaxOnodeBytes = 128 << 10

	// OnodeDamaged in Flags says that changes to the object were lost, since it
	// could not be read when they were due: no read of it may succeed.
	OnodeDamaged uint32 = 1 << 31

	onodeVersion = 2
	onodeHeader  = 3
	onodeFixed   = 24 // of version 1

	secOnodeHint    = 1
	secOnodeHeader  = 2
	secOnodeInline  = 3
	secOnodeAttrs   = 4
	secOnodeOmap    = 5
	secOnodeExtents = 6
	secOnodeRun     = 7
)

// AllocHint is what a client said it would do with an object.
type AllocHint struct {
	ObjectSize uint64 // expected size in bytes
	WriteSize  uint64 // expected size of a write in bytes
	Flags      uint32 // the client's, kept as they are
}

// Onode is the value of the objects tree: everything about one object but its name
// and its data.
//
//	off len field
//	  0   1 type         'O'
//	  1   1 version      2
//	  2   1 min reader
//	  3     uvarints
//	        object id    never reused; owner id of its trees
//	        size         bytes
//	        flags        the client's hint, and OnodeDamaged
//	        sections, each left out when empty
//	        1 alloc hint    object size, write size, flags: uvarints
//	        2 omap header   bytes
//	        3 inline data   bytes 0.. of the object, at most 2 KiB; no extents then
//	        4 attrs         root descriptor
//	        5 omap          root descriptor
//	        6 extents       root descriptor
//	        7 run           in place of 6, if the extents are one chunk of one run:
//	                        uvarint chunk, 1 first block, 1 blocks, 1 flags, uvarint
//	                        address, 4 for each block: CRC-32C
//
// Version 1, which this program reads, has a value header, then 8 bytes of id, 8 of size,
// 4 of flags and 4 that are zero, and no section 7.
type Onode struct {
	ID         uint64
	Size       uint64
	Flags      uint32
	Hint       AllocHint
	OmapHeader []byte
	Inline     []byte // may be shorter than Size: the rest are zeros
	Attrs      btree.Root
	Omap       btree.Root
	Extents    btree.Root

	extra []byte // sections of newer versions, kept
	page  []byte // memory for Extents.Inline of section 7
}

func (o *Onode) check() error {
	const kind = "onode"
	switch {
	case o.ID == 0:
		return malformed(kind, "object id", 0, "> 0")
	case o.Size > MaxObjectBytes:
		return malformed(kind, "size", o.Size, fmt.Sprintf("≤ %d", uint64(MaxObjectBytes)))
	case len(o.OmapHeader) > MaxOmapHeader:
		return malformed(kind, "omap header bytes", len(o.OmapHeader), fmt.Sprintf("≤ %d", MaxOmapHeader))
	case len(o.Inline) > MaxInlineData || uint64(len(o.Inline)) > o.Size:
		return malformed(kind, "inline bytes", len(o.Inline), fmt.Sprintf("≤ %d and ≤ size %d", MaxInlineData, o.Size))
	case len(o.Inline) > 0 && o.Extents.Kind != btree.RootEmpty:
		return malformed(kind, "inline data beside extents", len(o.Inline), 0)
	}
	return nil
}

// Append appends the encoding of o to dst. On an error dst is returned unchanged.
func (o *Onode) Append(dst []byte) ([]byte, error) {
	if err := o.check(); err != nil {
		return dst, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	from := len(dst)
	dst = append(dst, 'O', onodeVersion, onodeVersion)
	dst = binary.AppendUvarint(dst, o.ID)
	dst = binary.AppendUvarint(dst, o.Size)
	dst = binary.AppendUvarint(dst, uint64(o.Flags))
	if o.Hint != (AllocHint{}) {
		var b [3 * binary.MaxVarintLen64]byte
		h := binary.AppendUvarint(b[:0], o.Hint.ObjectSize)
		h = binary.AppendUvarint(h, o.Hint.WriteSize)
		dst = appendSection(dst, secOnodeHint, binary.AppendUvarint(h, uint64(o.Hint.Flags)))
	}
	if len(o.OmapHeader) > 0 {
		dst = appendSection(dst, secOnodeHeader, o.OmapHeader)
	}
	if len(o.Inline) > 0 {
		dst = appendSection(dst, secOnodeInline, o.Inline)
	}
	dst = appendRootSection(dst, secOnodeAttrs, &o.Attrs)
	dst = appendRootSection(dst, secOnodeOmap, &o.Omap)
	var run [maxRunSection]byte
	if r := appendRun(run[:0], &o.Extents); r != nil {
		dst = appendSection(dst, secOnodeRun, r)
	} else {
		dst = appendRootSection(dst, secOnodeExtents, &o.Extents)
	}
	dst = append(dst, o.extra...)
	if n := len(dst) - from; n > MaxOnodeBytes {
		return dst[:from], fmt.Errorf("onode of %d bytes, at most %d: %w", n, MaxOnodeBytes, ErrInvalid)
	}
	return dst, nil
}

// appendRootSection appends a root descriptor as a section, without a copy of an
// inline page in between; nothing if the tree is empty.
func appendRootSection(dst []byte, tag uint8, r *btree.Root) []byte {
	if r.Kind == btree.RootEmpty {
		return dst
	}
	// The length is known after encoding; a padded three-byte uvarint leaves room
	// for it, since no root is longer than 2^21.
	dst = append(dst, tag, 0x80, 0x80, 0)
	from := len(dst)
	dst = r.Append(dst)
	n := len(dst) - from
	dst[from-3] = byte(n) | 0x80
	dst[from-2] = byte(n>>7) | 0x80
	dst[from-1] = byte(n >> 14)
	return dst
}

// DecodeOnode reads a value of the objects tree. Omap header, inline data and
// inline roots alias p, or have memory of their own.
func DecodeOnode(p []byte) (Onode, error) {
	var o Onode
	err := o.Decode(p)
	o.page = nil
	return o, err
}

// Decode is DecodeOnode into o, for callers that reuse it and its memory: the extents
// of before, and of copies of *o, are not valid any more.
func (o *Onode) Decode(p []byte) error {
	*o = Onode{page: o.page}
	if err := o.decode(p); err != nil {
		*o = Onode{page: o.page}
		return err
	}
	return nil
}

// fixed reads what every onode has and returns the sections behind.
func (o *Onode) fixed(p []byte) ([]byte, error) {
	const kind = "onode"
	if len(p) > 1 && p[1] == 1 {
		q, err := openValue(kind, p, 'O', 1, onodeFixed, MaxOnodeBytes)
		if err != nil {
			return nil, err
		}
		o.ID, o.Size, o.Flags = le.Uint64(q), le.Uint64(q[8:]), le.Uint32(q[16:])
		return q[onodeFixed:], nil
	}
	switch {
	case len(p) < onodeHeader:
		return nil, truncated(kind, "value", len(p), onodeHeader)
	case p[0] != 'O':
		return nil, &Corruption{Kind: kind, Field: "type", Got: fmt.Sprint(p[0]), Want: fmt.Sprint('O'), Err: ErrBadMagic}
	case p[1] == 0 || p[2] > p[1]:
		return nil, malformed(kind, "version, min reader", fmt.Sprint(p[1], ", ", p[2]), nil)
	case p[2] > onodeVersion:
		return nil, &Corruption{Kind: kind, Field: "min reader", Got: fmt.Sprint(p[2]), Want: fmt.Sprintf("≤ %d", onodeVersion), Err: ErrNewer}
	case len(p) > MaxOnodeBytes:
		return nil, malformed(kind, "length", len(p), fmt.Sprintf("at most %d", MaxOnodeBytes))
	}
	q := p[onodeHeader:]
	var flags uint64
	for _, v := range [...]*uint64{&o.ID, &o.Size, &flags} {
		n, w := binary.Uvarint(q)
		if w <= 0 {
			return nil, malformed(kind, "id, size, flags", fmt.Sprintf("%x", q[:min(len(q), binary.MaxVarintLen64)]), "3 uvarints")
		}
		*v, q = n, q[w:]
	}
	if flags > 1<<32-1 {
		return nil, malformed(kind, "flags", flags, "32 bits")
	}
	o.Flags = uint32(flags)
	return q, nil
}

func (o *Onode) decode(p []byte) error {
	const kind = "onode"
	q, err := o.fixed(p)
	if err != nil {
		return err
	}
	last := 0
	for len(q) > 0 {
		tag, body, raw, rest, err := nextSection(kind, last, q)
		if err != nil {
			return err
		}
		switch tag {
		case secOnodeHint:
			err = o.Hint.decode(body)
		case secOnodeHeader:
			o.OmapHeader = body
		case secOnodeInline:
			o.Inline = body
		case secOnodeAttrs:
			o.Attrs, err = decodeRoot(kind, "attrs", body)
		case secOnodeOmap:
			o.Omap, err = decodeRoot(kind, "omap", body)
		case secOnodeExtents:
			o.Extents, err = decodeRoot(kind, "extents", body)
		case secOnodeRun:
			if last == secOnodeExtents {
				return malformed(kind, "sections", "extents and a run", "one of them")
			}
			err = o.decodeRun(body)
		default:
			err = unknownSection(kind, tag)
			o.extra = append(o.extra, raw...)
		}
		if err != nil {
			return err
		}
		last, q = int(tag), rest
	}
	if len(o.OmapHeader) == 0 { // a section may be there and empty
		o.OmapHeader = nil
	}
	if len(o.Inline) == 0 {
		o.Inline = nil
	}
	return o.check()
}

func (h *AllocHint) decode(p []byte) error {
	var v [3]uint64
	for i := range v {
		n, w := binary.Uvarint(p)
		if w <= 0 {
			return malformed("onode", "alloc hint", fmt.Sprintf("%x", p), "3 uvarints")
		}
		v[i], p = n, p[w:]
	}
	if v[2] > 1<<32-1 || len(p) != 0 {
		return malformed("onode", "alloc hint", fmt.Sprint(v, len(p)), nil)
	}
	*h = AllocHint{v[0], v[1], uint32(v[2])}
	return nil
}
