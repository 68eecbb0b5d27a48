package layout

import (
	"encoding/binary"
	"errors"
	"fmt"

	"ebofs/btree"
)

// TreeKind is the number every node of a tree carries in its header. Numbers are
// for ever.
type TreeKind uint8

// The trees. The first five hang on the root record, the others on an onode or,
// for attrs, a cnode.
const (
	TreeCollections TreeKind = 1 // collection id → Cnode
	TreeObjects     TreeKind = 2 // ObjectKey → Onode
	TreeTrash       TreeKind = 3 // object id, big-endian → Trash
	TreeRefs        TreeKind = 4 // group of blocks, big-endian → RefGroup
	TreeOwners      TreeKind = 5 // group of blocks → OwnerGroup, object id → its key; hard geometry only
	TreeAttrs       TreeKind = 6 // name → value
	TreeOmap        TreeKind = 7 // key → value
	TreeExtents     TreeKind = 8 // chunk index, big-endian → Chunk
)

var treeNames = [...]string{
	TreeCollections: "collections", TreeObjects: "objects", TreeTrash: "trash", TreeRefs: "refs",
	TreeOwners: "owners", TreeAttrs: "attrs", TreeOmap: "omap", TreeExtents: "extents",
}

// String returns the name of the tree as tools print it.
func (k TreeKind) String() string {
	if int(k) < len(treeNames) && k != 0 {
		return treeNames[k]
	}
	return fmt.Sprintf("tree %d", uint8(k))
}

// ParseTreeKind returns the tree of that name.
func ParseTreeKind(s string) (TreeKind, error) {
	for k, n := range treeNames {
		if n == s && n != "" {
			return TreeKind(k), nil
		}
	}
	return 0, fmt.Errorf("tree %q: %w", s, ErrInvalid)
}

// Uint64Key returns v as a key of the trash, refs and extents trees: big-endian, so
// that keys sort as numbers do.
func Uint64Key(v uint64) [8]byte {
	var k [8]byte
	binary.BigEndian.PutUint64(k[:], v)
	return k
}

// DecodeUint64Key reads back what Uint64Key wrote.
func DecodeUint64Key(k []byte) (uint64, error) {
	if len(k) != 8 {
		return 0, malformed("key", "bytes", len(k), 8)
	}
	return binary.BigEndian.Uint64(k), nil
}

// OwnerOf returns what the nodes of an object's trees carry: the first bytes of
// its encoded key, as a hint, and its id.
func OwnerOf(key []byte, id uint64) btree.Owner {
	o := btree.Owner{ID: id}
	copy(o.Key[:], key)
	return o
}

// decodeRoot reads a section that is exactly one root descriptor.
func decodeRoot(kind, field string, p []byte) (btree.Root, error) {
	r, rest, err := btree.DecodeRoot(p)
	if err != nil {
		return btree.Root{}, rootError(kind, field, err)
	}
	if len(rest) != 0 {
		return btree.Root{}, malformed(kind, field+" bytes behind the root", len(rest), 0)
	}
	return r, nil
}

// rootError turns what package btree says of a root descriptor into a Corruption.
func rootError(kind, field string, err error) error {
	c := &Corruption{Kind: kind, Field: field, Got: err.Error(), Err: ErrMalformed}
	if errors.Is(err, btree.ErrUnsupported) {
		c.Err = ErrNewer
	}
	return c
}
