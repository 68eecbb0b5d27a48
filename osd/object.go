package osd

import (
	"cmp"
	"fmt"
	"math/bits"
	"strings"
)

// ObjectID names an object, in all stores of a cluster alike. It is Ceph's
// ghobject without its derived parts.
type ObjectID struct {
	Shard      int8   // shard of an erasure-coded pool; -1: none
	Pool       int64  // -2-p is the temporary pool of pool p
	Hash       uint32 // placement hash of Key, or of Name if Key is empty
	Namespace  string
	Key        string // locator; empty: none
	Name       string
	Snap       uint64
	Generation uint64
}

// Compare orders objects as every listing does: by shard, pool, bit-reversed
// hash, then namespace, key and name bytewise, snap and generation. The reversed
// hash makes a collection, which fixes the low bits of the hash, one range.
func (o ObjectID) Compare(p ObjectID) int {
	if c := cmp.Compare(o.Shard, p.Shard); c != 0 {
		return c
	}
	if c := cmp.Compare(o.Pool, p.Pool); c != 0 {
		return c
	}
	if c := cmp.Compare(bits.Reverse32(o.Hash), bits.Reverse32(p.Hash)); c != 0 {
		return c
	}
	if c := strings.Compare(o.Namespace, p.Namespace); c != 0 {
		return c
	}
	if c := strings.Compare(o.Key, p.Key); c != 0 {
		return c
	}
	if c := strings.Compare(o.Name, p.Name); c != 0 {
		return c
	}
	if c := cmp.Compare(o.Snap, p.Snap); c != 0 {
		return c
	}
	return cmp.Compare(o.Generation, p.Generation)
}

// String is for logs and test failures; it is unambiguous but not parsed.
func (o ObjectID) String() string {
	return fmt.Sprintf("%d/%d/%08x/%q/%q/%q/%x/%x",
		o.Shard, o.Pool, o.Hash, o.Namespace, o.Key, o.Name, o.Snap, o.Generation)
}

// CollectionID names a collection: the PG's id as text, such as "1.2fs0_head",
// or any other name of 1 to 255 bytes of UTF-8.
type CollectionID string

// CollectionSpec is the range of objects a collection holds.
type CollectionSpec struct {
	Shard int8
	Pool  int64
	Bits  uint8  // how many low bits of the hash are fixed, 0 to 32
	Seed  uint32 // their value; the other bits are zero
}

// mask is the bits of a hash that s fixes.
func (s CollectionSpec) mask() uint32 {
	return uint32(uint64(1)<<s.Bits - 1)
}

// Valid says whether s is well formed.
func (s CollectionSpec) Valid() bool {
	return s.Bits <= 32 && s.Seed&^s.mask() == 0
}

// Contains says whether o lies in the range: same shard, the pool or its
// temporary pool, and the seed in the low bits of the hash.
func (s CollectionSpec) Contains(o ObjectID) bool {
	return o.Shard == s.Shard &&
		(o.Pool == s.Pool || s.Pool >= 0 && o.Pool == -2-s.Pool) &&
		o.Hash&s.mask() == s.Seed
}

// Overlaps says whether an object could lie in both ranges.
func (s CollectionSpec) Overlaps(t CollectionSpec) bool {
	samePool := s.Pool == t.Pool ||
		s.Pool >= 0 && t.Pool == -2-s.Pool ||
		t.Pool >= 0 && s.Pool == -2-t.Pool
	return s.Shard == t.Shard && samePool && (s.Seed^t.Seed)&s.mask()&t.mask() == 0
}

// Split returns the upper half of s, the seed with one more bit set, and what s
// keeps. It is undefined for 32 bits.
func (s CollectionSpec) Split() (lower, upper CollectionSpec) {
	lower, upper = s, s
	lower.Bits++
	upper.Bits++
	upper.Seed |= uint32(1) << s.Bits
	return lower, upper
}

// Siblings says whether s and t are the two halves of one range.
func (s CollectionSpec) Siblings(t CollectionSpec) bool {
	return s.Shard == t.Shard && s.Pool == t.Pool && s.Bits == t.Bits && s.Bits > 0 &&
		s.Seed^t.Seed == uint32(1)<<(s.Bits-1)
}

// Merged is the range whose half s is. It is undefined for 0 bits.
func (s CollectionSpec) Merged() CollectionSpec {
	s.Bits--
	s.Seed &= s.mask()
	return s
}

// What every store takes; larger things may be ErrTooLarge.
const (
	MaxObjectBytes     = 1 << 44 // size of an object
	MaxAttrBytes       = 4 << 20 // value of an attr
	MaxAttrNameBytes   = 255
	MaxOmapKeyBytes    = 1024
	MaxOmapHeaderBytes = 64 << 10
)

// ObjectStat is what a store knows of an object without reading it.
type ObjectStat struct {
	SizeBytes uint64
}

// Extent is a range of an object's bytes.
type Extent struct {
	Off, Len uint64
}

// Statfs is the space of a store, in bytes. A store without a bound answers
// zeros.
type Statfs struct {
	TotalBytes uint64
	FreeBytes  uint64 // what new data may use
}
