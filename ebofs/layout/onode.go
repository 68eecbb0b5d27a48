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

	onodeVersion = 1
	onodeFixed   = 24

	secOnodeHint    = 1
	secOnodeHeader  = 2
	secOnodeInline  = 3
	secOnodeAttrs   = 4
	secOnodeOmap    = 5
	secOnodeExtents = 6
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
//	  0   8 value header, type 'O'
//	  8   8 object id    never reused; owner id of its trees
//	 16   8 size         bytes
//	 24   4 flags        the client's hint, and OnodeDamaged
//	 28   4 reserved, zero
//	 32     sections, each left out when empty
//	        1 alloc hint    object size, write size, flags: uvarints
//	        2 omap header   bytes
//	        3 inline data   bytes 0.. of the object, at most 2 KiB; no extents then
//	        4 attrs         root descriptor
//	        5 omap          root descriptor
//	        6 extents       root descriptor
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
	dst = appendValueHeader(dst, 'O', onodeVersion)
	dst = le.AppendUint64(dst, o.ID)
	dst = le.AppendUint64(dst, o.Size)
	dst = le.AppendUint32(dst, o.Flags)
	dst = append(dst, 0, 0, 0, 0)
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
	dst = appendRootSection(dst, secOnodeExtents, &o.Extents)
	dst = append(dst, o.extra...)
	if n := len(dst) - from; n > MaxOnodeBytes {
		return dst[:from], fmt.Errorf("onode of %d bytes, at most %d: %w", n, MaxOnodeBytes, ErrInvalid)
	}
	return endValue(dst, from), nil
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
// inline roots alias p.
func DecodeOnode(p []byte) (Onode, error) {
	var o Onode
	err := o.Decode(p)
	return o, err
}

// Decode is DecodeOnode into o, for callers that reuse it.
func (o *Onode) Decode(p []byte) error {
	*o = Onode{}
	if err := o.decode(p); err != nil {
		*o = Onode{}
		return err
	}
	return nil
}

func (o *Onode) decode(p []byte) error {
	const kind = "onode"
	q, err := openValue(kind, p, 'O', onodeVersion, onodeFixed, MaxOnodeBytes)
	if err != nil {
		return err
	}
	o.ID, o.Size, o.Flags = le.Uint64(q), le.Uint64(q[8:]), le.Uint32(q[16:])
	q = q[onodeFixed:]
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
