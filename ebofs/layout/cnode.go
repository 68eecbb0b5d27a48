package layout

import (
	"fmt"

	"ebofs/btree"
)

const (
	cnodeVersion = 1
	cnodeFixed   = 32
	maxCnode     = 64 << 10
	secAttrs     = 1

	// MaxCollectionID bounds the id of a collection in bytes.
	MaxCollectionID = 255
)

// CnodeAwaitsSplit in Cnode.Flags: the collection was made inside the range of
// another one, and holds nothing until that one is split.
const CnodeAwaitsSplit uint32 = 1 << 0

// Cnode is the value of the collections tree; its key is the collection id.
//
//	off len field
//	  0   8 value header, type 'K'
//	  8  16 CollRange
//	 24   4 flags
//	 28   4 reserved, zero
//	 32   8 id          owner id of the attrs tree
//	 40     sections: 1 attrs root
type Cnode struct {
	Range CollRange
	Flags uint32
	ID    uint64
	Attrs btree.Root
	extra []byte
}

// Append appends the encoding of c to dst.
func (c *Cnode) Append(dst []byte) ([]byte, error) {
	if err := c.Range.Check(); err != nil {
		return dst, err
	}
	from := len(dst)
	dst = appendValueHeader(dst, 'K', cnodeVersion)
	var f [cnodeFixed]byte
	putCollRange(f[:], c.Range)
	le.PutUint32(f[16:], c.Flags)
	le.PutUint64(f[24:], c.ID)
	dst = append(dst, f[:]...)
	dst = appendRootSection(dst, secAttrs, &c.Attrs)
	dst = append(dst, c.extra...)
	if n := len(dst) - from; n > maxCnode {
		return dst[:from], fmt.Errorf("cnode of %d bytes, at most %d: %w", n, maxCnode, ErrInvalid)
	}
	return endValue(dst, from), nil
}

// DecodeCnode reads a value of the collections tree. The attrs root may alias p.
func DecodeCnode(p []byte) (Cnode, error) {
	var c Cnode
	const kind = "cnode"
	q, err := openValue(kind, p, 'K', cnodeVersion, cnodeFixed, maxCnode)
	if err != nil {
		return c, err
	}
	c.Range = getCollRange(q)
	if err := c.Range.Check(); err != nil {
		return Cnode{}, malformed(kind, "range", c.Range, nil)
	}
	c.Flags = le.Uint32(q[16:])
	c.ID = le.Uint64(q[24:])
	q = q[cnodeFixed:]
	last := 0
	for len(q) > 0 {
		tag, body, raw, rest, err := nextSection(kind, last, q)
		if err != nil {
			return Cnode{}, err
		}
		if tag == secAttrs {
			c.Attrs, err = decodeRoot(kind, "attrs", body)
		} else {
			err = unknownSection(kind, tag)
			c.extra = append(c.extra, raw...)
		}
		if err != nil {
			return Cnode{}, err
		}
		last, q = int(tag), rest
	}
	return c, nil
}
