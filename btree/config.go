package btree

import (
	"errors"
	"fmt"
)

const (
	// blockBytes is the unit of node sizes and addresses, as in package devices.
	blockBytes = 4096
	// MaxPageBytes is the largest node: offsets inside a page are 16 bits.
	MaxPageBytes = 64 << 10
	// MaxKeyBytes bounds a key, so that a node always has room for two keys,
	// two fences and a record.
	MaxKeyBytes = 4000
	// MaxValueBytes bounds a value handed to Put: it is held in RAM until the
	// next reconcile. Longer data belongs into an object, not into a tree.
	MaxValueBytes = 256 << 20
	// maxFixedVal bounds a fixed-size value, and maxOverflow the largest value
	// that may stay inside a page: with MaxKeyBytes and two fences a page of
	// MaxPageBytes still holds two such records.
	maxFixedVal = 4096
	maxOverflow = 16 << 10
	// maxInline bounds an inline root: its holder is a record of another tree.
	maxInline = 8 << 10
)

// Comparator is the registered id of a key order. It is stored in every page;
// a page with an id this code does not know is refused.
type Comparator uint16

const (
	// Lexicographic orders keys as bytes.Compare does.
	Lexicographic Comparator = 0
	// Uint64 orders keys as the 8-byte big-endian integers they are. The order
	// is the lexicographic one; pages are searched by integer compare.
	Uint64 Comparator = 1
)

// Owner names the holder of a tree: of an object's tree the object, zero for a
// global one. It stands in every page so that a scan of a damaged device can
// tell whose page it found. Only ID is verified on load; Key is a hint, because
// a renamed object keeps its old pages.
type Owner struct {
	Key [15]byte // the first bytes of the holder's key
	ID  uint64   // never reused
}

// Config describes every tree of one kind. It must not change once a tree uses
// it. The zero value is a tree of variable keys and values with the default
// sizes.
type Config struct {
	Name string     // for messages
	Kind uint8      // stored in every page and verified
	FSID uint64     // low half of the store's id: stored in every page and verified
	Cmp  Comparator // order of the keys

	Set      bool // keys only; values are empty
	FixedKey int  // bytes of every key; 0: variable, ≤ MaxKeyBytes
	FixedVal int  // bytes of every value; 0: variable

	LeafBytes     int // target size of a leaf, a multiple of 4096; 0: 16 KiB
	InnerBytes    int // target size of an inner node, likewise; 0: 16 KiB
	InlineBytes   int // the root stays inline up to this; 0: never
	OverflowBytes int // longer values are stored out of line; 0: LeafBytes/4

	// Diff has Reconcile tell a Sink that is a Differ what changed.
	Diff bool
}

// Validate lists everything that is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("tree %q: "+format+": %w", append(append([]any{c.Name}, args...), ErrInvalid)...))
	}
	if c.Cmp != Lexicographic && c.Cmp != Uint64 {
		errs = append(errs, fmt.Errorf("tree %q: comparator %d: %w", c.Name, c.Cmp, ErrUnsupported))
	}
	if c.Cmp == Uint64 && c.FixedKey != 8 {
		bad("comparator %d needs 8-byte keys, not %d", c.Cmp, c.FixedKey)
	}
	if c.FixedKey < 0 || c.FixedKey > 1024 {
		bad("fixed key of %d bytes, want 0..1024", c.FixedKey)
	}
	if c.FixedVal < 0 || c.FixedVal > maxFixedVal {
		bad("fixed value of %d bytes, want 0..%d", c.FixedVal, maxFixedVal)
	}
	if c.Set && c.FixedVal != 0 {
		bad("a set with values of %d bytes", c.FixedVal)
	}
	for _, n := range []int{c.leafBytes(), c.innerBytes()} {
		if n < blockBytes || n > MaxPageBytes || n%blockBytes != 0 {
			bad("page target of %d bytes, want a multiple of %d up to %d", n, blockBytes, MaxPageBytes)
		}
	}
	if c.InlineBytes < 0 || c.InlineBytes > maxInline {
		bad("inline root of %d bytes, want 0..%d", c.InlineBytes, maxInline)
	}
	if c.OverflowBytes < 0 || c.OverflowBytes > maxOverflow {
		bad("overflow above %d bytes, want 0..%d", c.OverflowBytes, maxOverflow)
	}
	return errors.Join(errs...)
}

func (c *Config) leafBytes() int {
	if c.LeafBytes == 0 {
		return 16 << 10
	}
	return c.LeafBytes
}

func (c *Config) innerBytes() int {
	if c.InnerBytes == 0 {
		return 16 << 10
	}
	return c.InnerBytes
}

// overflowBytes is the longest value a page holds itself.
func (c *Config) overflowBytes() int {
	if c.OverflowBytes == 0 {
		return c.leafBytes() / 4
	}
	return c.OverflowBytes
}

// fixedVal is the size of every value, or -1.
func (c *Config) fixedVal() int {
	if c.Set || c.FixedVal > 0 {
		return c.FixedVal
	}
	return -1
}

// CheckKey says whether key may be stored in a tree of this kind.
func (c *Config) CheckKey(key []byte) error {
	if c.FixedKey != 0 && len(key) != c.FixedKey {
		return fmt.Errorf("tree %q: key of %d bytes, want %d: %w", c.Name, len(key), c.FixedKey, ErrInvalid)
	}
	if len(key) > MaxKeyBytes {
		return fmt.Errorf("tree %q: key of %d bytes, want at most %d: %w", c.Name, len(key), MaxKeyBytes, ErrInvalid)
	}
	return nil
}

// CheckValue says whether val may be stored in a tree of this kind.
func (c *Config) CheckValue(val []byte) error {
	if n := c.fixedVal(); n >= 0 && len(val) != n {
		return fmt.Errorf("tree %q: value of %d bytes, want %d: %w", c.Name, len(val), n, ErrInvalid)
	}
	if len(val) > MaxValueBytes {
		return fmt.Errorf("tree %q: value of %d bytes, want at most %d: %w", c.Name, len(val), MaxValueBytes, ErrInvalid)
	}
	return nil
}
