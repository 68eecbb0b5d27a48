package osd

import (
	"math/bits"
	"slices"
	"testing"
)

// TestCompare lists objects in order; each must be below all that follow.
func TestCompare(t *testing.T) {
	order := []ObjectID{
		{Shard: -128, Pool: 1 << 62},
		{Shard: -1, Pool: -1 << 63},
		{Shard: -1, Pool: -3},
		{Shard: -1, Pool: 1},
		{Shard: -1, Pool: 1, Generation: 1},
		{Shard: -1, Pool: 1, Snap: 1},
		{Shard: -1, Pool: 1, Name: "\x00"},
		{Shard: -1, Pool: 1, Name: "a"},
		{Shard: -1, Pool: 1, Name: "a\x00"},
		{Shard: -1, Pool: 1, Name: "aa"},
		{Shard: -1, Pool: 1, Name: "\xff"},
		{Shard: -1, Pool: 1, Key: "k"},
		{Shard: -1, Pool: 1, Namespace: "n"},
		{Shard: -1, Pool: 1, Hash: 1 << 31},
		{Shard: -1, Pool: 1, Hash: 2},
		{Shard: -1, Pool: 1, Hash: 1},
		{Shard: -1, Pool: 1, Hash: 3},
		{Shard: -1, Pool: 1, Hash: ^uint32(0), Name: "z"},
		{Shard: -1, Pool: 2},
		{Shard: 0, Pool: -5},
	}
	for i, a := range order {
		for j, b := range order {
			if got, want := a.Compare(b), min(max(i-j, -1), 1); got != want {
				t.Errorf("%v against %v: %d, want %d", a, b, got, want)
			}
		}
	}
	if !slices.IsSortedFunc(order, ObjectID.Compare) {
		t.Error("not sorted")
	}
}

// TestCollectionSpec splits ranges down to single hashes and back.
func TestCollectionSpec(t *testing.T) {
	s := CollectionSpec{Shard: -1, Pool: 3}
	id := ObjectID{Shard: -1, Pool: 3, Hash: 0x9d7a1b35}
	for n := range 32 {
		lower, upper := s.Split()
		switch {
		case !s.Valid() || !lower.Valid() || !upper.Valid():
			t.Fatalf("%d bits: invalid halves %+v, %+v", n, lower, upper)
		case lower.Contains(id) == upper.Contains(id):
			t.Fatalf("%d bits: %v in both halves or none", n, id)
		case lower.Overlaps(upper) || !s.Overlaps(lower) || !upper.Overlaps(s):
			t.Fatalf("%d bits: overlaps of %+v, %+v, %+v", n, s, lower, upper)
		case !lower.Siblings(upper) || !upper.Siblings(lower) || lower.Siblings(lower) || s.Siblings(lower):
			t.Fatalf("%d bits: siblings of %+v, %+v", n, lower, upper)
		case lower.Merged() != s || upper.Merged() != s:
			t.Fatalf("%d bits: merged %+v, %+v, want %+v", n, lower.Merged(), upper.Merged(), s)
		}
		if s = lower; upper.Contains(id) {
			s = upper
		}
	}
	if s.Bits != 32 || s.Seed != id.Hash || !s.Valid() {
		t.Errorf("all bits: %+v", s)
	}
	temp := id
	temp.Pool = -5
	if !s.Contains(temp) || !s.Overlaps(CollectionSpec{Shard: -1, Pool: -5}) {
		t.Error("the temporary pool is not part of the collection")
	}
	for _, bad := range []CollectionSpec{{Bits: 33}, {Bits: 255}, {Bits: 1, Seed: 2}, {Seed: 1}} {
		if bad.Valid() {
			t.Errorf("%+v is valid", bad)
		}
	}
	// A collection is one range of the order.
	c := CollectionSpec{Shard: -1, Pool: 3, Bits: 2, Seed: 1}
	for h := range uint32(64) {
		o := ObjectID{Shard: -1, Pool: 3, Hash: bits.Reverse32(h << 26)}
		if c.Contains(o) != (h >= 32 && h < 48) {
			t.Errorf("reversed hash %#x", h)
		}
	}
}
