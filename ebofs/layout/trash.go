package layout

import (
	"fmt"

	"ebofs/btree"
)

const (
	trashVersion = 1
	trashFixed   = 24
	maxTrash     = 64 << 10

	secTrashAttrs   = 1
	secTrashOmap    = 2
	secTrashExtents = 3
)

// Trash is the value of the trash tree: the trees of a removed object, whose space
// is returned in bounded steps. Its key is the object id, big-endian.
//
//	off len field
//	  0   8 value header, type 'T'
//	  8   8 object id   owner id of the trees
//	 16   8 size        bytes the object had
//	 24   8 blocks      data blocks still held
//	 32     sections: 1 attrs, 2 omap, 3 extents; root descriptors
type Trash struct {
	ID      uint64
	Size    uint64
	Blocks  uint64
	Attrs   btree.Root
	Omap    btree.Root
	Extents btree.Root

	extra []byte
}

// Append appends the encoding of t to dst.
func (t *Trash) Append(dst []byte) ([]byte, error) {
	if t.ID == 0 {
		return dst, fmt.Errorf("trash: object id 0: %w", ErrInvalid)
	}
	from := len(dst)
	dst = appendValueHeader(dst, 'T', trashVersion)
	dst = le.AppendUint64(dst, t.ID)
	dst = le.AppendUint64(dst, t.Size)
	dst = le.AppendUint64(dst, t.Blocks)
	dst = appendRootSection(dst, secTrashAttrs, &t.Attrs)
	dst = appendRootSection(dst, secTrashOmap, &t.Omap)
	dst = appendRootSection(dst, secTrashExtents, &t.Extents)
	dst = append(dst, t.extra...)
	if n := len(dst) - from; n > maxTrash {
		return dst[:from], fmt.Errorf("trash of %d bytes, at most %d: %w", n, maxTrash, ErrInvalid)
	}
	return endValue(dst, from), nil
}

// DecodeTrash reads a value of the trash tree. Inline roots alias p.
func DecodeTrash(p []byte) (Trash, error) {
	const kind = "trash"
	q, err := openValue(kind, p, 'T', trashVersion, trashFixed, maxTrash)
	if err != nil {
		return Trash{}, err
	}
	t := Trash{ID: le.Uint64(q), Size: le.Uint64(q[8:]), Blocks: le.Uint64(q[16:])}
	if t.ID == 0 {
		return Trash{}, malformed(kind, "object id", 0, "> 0")
	}
	q = q[trashFixed:]
	last := 0
	for len(q) > 0 {
		tag, body, raw, rest, err := nextSection(kind, last, q)
		if err != nil {
			return Trash{}, err
		}
		switch tag {
		case secTrashAttrs:
			t.Attrs, err = decodeRoot(kind, "attrs", body)
		case secTrashOmap:
			t.Omap, err = decodeRoot(kind, "omap", body)
		case secTrashExtents:
			t.Extents, err = decodeRoot(kind, "extents", body)
		default:
			err = unknownSection(kind, tag)
			t.extra = append(t.extra, raw...)
		}
		if err != nil {
			return Trash{}, err
		}
		last, q = int(tag), rest
	}
	return t, nil
}
