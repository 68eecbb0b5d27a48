package btree

import (
	"errors"
	"testing"
)

// pinStore is a MemStore that keeps what is pinned, until it gives up on it.
type pinStore struct {
	*MemStore
	pins    int
	expired bool
}

func (s *pinStore) Pin() (release func(), valid func() bool) {
	s.pins++
	return func() { s.pins-- }, func() bool { return !s.expired }
}

// TestSnapshotPins follows a snapshot over a checkpoint, with and without pins.
func TestSnapshotPins(t *testing.T) {
	s := &pinStore{MemStore: NewMemStore()}
	cfg := &Config{Name: "pins", Kind: 1, LeafBytes: 4096, InnerBytes: 4096}
	tree := New(cfg, s, Owner{}, Root{})
	key := []byte("key")
	write := func(v string) {
		tree.Put(key, []byte(v))
		tree.Freeze()
		s.NextEpoch()
		root, err := tree.Reconcile(bg, s)
		if err != nil {
			t.Fatal(err)
		}
		tree.Publish(root)
		if s.pins == 0 || s.expired {
			s.Settle()
		}
	}
	write("old")
	sn := tree.Snapshot()
	write("new")
	if v, ok, err := sn.Get(bg, key, nil); string(v) != "old" || !ok || err != nil {
		t.Fatalf("pinned snapshot: %q, %v, %v", v, ok, err)
	}
	if v, ok, err := tree.Get(bg, key, nil); string(v) != "new" || !ok || err != nil {
		t.Fatalf("tree: %q, %v, %v", v, ok, err)
	}
	s.expired = true
	write("newer")
	if _, _, err := sn.Get(bg, key, nil); !errors.Is(err, ErrSnapshotExpired) {
		t.Fatalf("expired snapshot: get gives %v", err)
	}
	if err := sn.Iter(bg, nil, nil, func(k, v []byte) bool { return true }); !errors.Is(err, ErrSnapshotExpired) {
		t.Fatalf("expired snapshot: iter gives %v", err)
	}
	c := sn.Cursor(nil, nil, true)
	if c.Next(bg) || !errors.Is(c.Err(), ErrSnapshotExpired) {
		t.Fatalf("expired snapshot: cursor gives %q, %v", c.Key(), c.Err())
	}
	c.Close()
	sn.Close()
	sn.Close()
	if s.pins != 0 {
		t.Fatalf("%d pins left", s.pins)
	}
}

// TestConfig checks what Validate and the mode of a page refuse.
func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		cfg  Config
		want error
	}{
		{Config{}, nil},
		{Config{Cmp: Uint64, FixedKey: 8}, nil},
		{Config{Cmp: Uint64}, ErrInvalid},
		{Config{Cmp: 2}, ErrUnsupported},
		{Config{Set: true, FixedVal: 1}, ErrInvalid},
		{Config{FixedKey: 2000}, ErrInvalid},
		{Config{FixedVal: -1}, ErrInvalid},
		{Config{LeafBytes: 5000}, ErrInvalid},
		{Config{InnerBytes: 128 << 10}, ErrInvalid},
		{Config{InlineBytes: 64 << 10}, ErrInvalid},
		{Config{OverflowBytes: 17 << 10}, ErrInvalid},
		{Config{LeafBytes: 64 << 10, InnerBytes: 64 << 10}, nil},
	} {
		if err := tc.cfg.Validate(); !errors.Is(err, tc.want) || (err != nil) != (tc.want != nil) {
			t.Errorf("%+v: %v, want %v", tc.cfg, err, tc.want)
		}
	}
	// A tree read under another mode is refused, inline or not.
	for _, inline := range []int{0, 512} {
		a := &Config{Name: "a", LeafBytes: 4096, InnerBytes: 4096, InlineBytes: inline}
		s := NewMemStore()
		tree := New(a, s, Owner{}, Root{})
		tree.Put([]byte("12345678"), []byte("v"))
		tree.Freeze()
		root, err := tree.Reconcile(bg, s)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []*Config{{FixedKey: 8}, {Set: true}, {FixedVal: 1}, {FixedKey: 8, Cmp: Uint64}} {
			if _, _, err := New(b, s, Owner{}, root).Get(bg, []byte("12345678"), nil); !errors.Is(err, ErrCorrupt) {
				t.Errorf("a tree of variable items read as %+v: %v", b, err)
			}
		}
	}
}
