package layout

import (
	"encoding/binary"
	"fmt"
)

const (
	// OwnerBlocks is how many neighbouring blocks of the device one OwnerGroup
	// tells the owners of.
	OwnerBlocks = 64

	// MaxOwnerBytes is the size of the longest group.
	MaxOwnerBytes = ownerHeader + OwnerBlocks*(2+2*binary.MaxVarintLen64)

	// OwnerKeyBytes is the size of every key of the owners tree.
	OwnerKeyBytes = 9

	ownerHeader  = 4
	ownerVersion = 1

	ownerOfBlocks = 1 // first byte of a key: the rest is a group of blocks
	ownerOfID     = 2 // the rest is an object id
)

// The owners tree of a store with hard geometry says whose data a block holds, for
// the cleaner, which looks at stripes and has to find the objects. It has two kinds
// of records:
//
//	1, address / 64, big-endian   OwnerGroup
//	2, object id, big-endian      the encoded key of the object
//
// A group is a hint: what it says of a block may be out of date, and then the
// object's extents tree does not name that block. An id is the truth, but of
// objects that own no block it may be missing.

// OwnerKey returns the key of the group of the block at a, and the block's place in
// it.
func OwnerKey(a Addr) (key [OwnerKeyBytes]byte, i int) {
	return GroupKey(uint64(a) / OwnerBlocks), int(uint64(a) % OwnerBlocks)
}

// GroupKey returns the key of a group: the address of its first block divided by
// OwnerBlocks.
func GroupKey(group uint64) (key [OwnerKeyBytes]byte) {
	key[0] = ownerOfBlocks
	binary.BigEndian.PutUint64(key[1:], group)
	return key
}

// IDKey returns the key under which the owners tree has an object's key.
func IDKey(id uint64) (key [OwnerKeyBytes]byte) {
	key[0] = ownerOfID
	binary.BigEndian.PutUint64(key[1:], id)
	return key
}

// DecodeOwnerKey tells what a key of the owners tree stands for: a group of blocks,
// or an object id.
func DecodeOwnerKey(key []byte) (group, id uint64, err error) {
	if len(key) != OwnerKeyBytes || key[0] != ownerOfBlocks && key[0] != ownerOfID {
		return 0, 0, malformed("owners", "key", fmt.Sprintf("%x", key), "1 or 2 and 8 bytes")
	}
	v := binary.BigEndian.Uint64(key[1:])
	if key[0] == ownerOfID {
		return 0, v, nil
	}
	return v, 0, nil
}

// OwnerGroup is the decoded value of a group: block i holds block Block[i] of the
// object ID[i]; 0 is nobody known.
//
//	off len field
//	  0   1 type        'W'
//	  1   1 version
//	  2   1 min reader
//	  3   1 runs
//	  4     runs        ascending, without overlap
//	          u8      first block in the group
//	          u8      blocks
//	          uvarint object id
//	          uvarint block of the object that the first one holds; they go on together
type OwnerGroup struct {
	ID    [OwnerBlocks]uint64
	Block [OwnerBlocks]uint64
}

// Set says what block i of the group holds.
func (g *OwnerGroup) Set(i int, id, block uint64) { g.ID[i], g.Block[i] = id, block }

// Empty reports whether nothing is known: then the group has no value.
func (g *OwnerGroup) Empty() bool { return g.ID == [OwnerBlocks]uint64{} }

// Append appends the encoding of g to dst.
func (g *OwnerGroup) Append(dst []byte) []byte {
	from := len(dst)
	dst = append(dst, 'W', ownerVersion, ownerVersion, 0)
	for i := 0; i < OwnerBlocks; {
		n := 1
		for i+n < OwnerBlocks && g.ID[i+n] == g.ID[i] && g.Block[i+n] == g.Block[i]+uint64(n) {
			n++
		}
		if g.ID[i] != 0 {
			dst = append(dst, uint8(i), uint8(n))
			dst = binary.AppendUvarint(dst, g.ID[i])
			dst = binary.AppendUvarint(dst, g.Block[i])
			dst[from+3]++
		} else {
			n = 1
		}
		i += n
	}
	return dst
}

// DecodeOwnerGroup decodes p into g, which it overwrites even if it fails.
func DecodeOwnerGroup(p []byte, g *OwnerGroup) error {
	*g = OwnerGroup{}
	if len(p) < ownerHeader {
		return truncated("owners", "value", len(p), ownerHeader)
	}
	if p[0] != 'W' {
		return &Corruption{Kind: "owners", Field: "type", Got: fmt.Sprint(p[0]), Want: fmt.Sprint('W'), Err: ErrBadMagic}
	}
	if p[2] > ownerVersion {
		return &Corruption{Kind: "owners", Field: "min reader", Got: fmt.Sprint(p[2]), Want: fmt.Sprintf("≤ %d", ownerVersion), Err: ErrNewer}
	}
	q, end := p[ownerHeader:], 0
	for r := range int(p[3]) {
		if len(q) < 4 {
			return truncated("owners", fmt.Sprintf("run %d", r), len(q), 4)
		}
		first, n := int(q[0]), int(q[1])
		id, k := binary.Uvarint(q[2:])
		if k <= 0 {
			return malformed("owners", fmt.Sprintf("run %d", r), "a broken number", nil)
		}
		block, l := binary.Uvarint(q[2+k:])
		if l <= 0 || id == 0 || first < end || n == 0 || first+n > OwnerBlocks || block > 1<<52 {
			return malformed("owners", fmt.Sprintf("run %d", r), fmt.Sprintf("%d~%d of object %d block %d", first, n, id, block), fmt.Sprintf("from %d", end))
		}
		for i := range n {
			g.Set(first+i, id, block+uint64(i))
		}
		q, end = q[2+k+l:], first+n
	}
	if len(q) != 0 || p[3] == 0 {
		return malformed("owners", "runs, bytes behind them", fmt.Sprint(p[3], ", ", len(q)), nil)
	}
	return nil
}
