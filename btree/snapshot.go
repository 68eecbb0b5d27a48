package btree

import (
	"context"
	"fmt"
)

// Snapshot is a tree as it was at one moment. Making one is O(1); the first
// change of each delta node afterwards copies it. Its methods may
// run at once, but for Close.
//
// The pages it needs stay if the Loader is a Pinner, and as long as the pin is
// valid. Without one they stay until the caller writes over what Reconcile
// freed; a read that finds them gone returns ErrSnapshotExpired.
type Snapshot struct {
	cfg            *Config
	ld             Loader
	own            Owner
	root           *Root
	active, frozen *delta
	release        func()
	valid          func() bool // pages of root are still there
}

// Snapshot returns a stable view. Close it.
func (t *Tree) Snapshot() *Snapshot {
	s := &Snapshot{cfg: t.cfg, ld: t.ld, own: t.own, release: func() {}}
	s.valid = func() bool { return !t.moved(s.root) }
	if p, ok := t.ld.(Pinner); ok {
		// Before the root is read: whatever it is, it is pinned.
		s.release, s.valid = p.Pin()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.root, s.active, s.frozen = t.root, t.active.clone(), t.frozen.clone()
	return s
}

// Close gives up the view.
func (s *Snapshot) Close() {
	s.release()
	s.release = func() {}
}

func (s *Snapshot) view(fn func(active, frozen *delta)) *Root {
	fn(s.active, s.frozen)
	return s.root
}

// stale implements viewer: a snapshot has no newer root to turn to.
func (s *Snapshot) stale(_ *Root, err error) (bool, error) { return false, s.expired(err) }

// expired makes of a read error what it means: pages that were given up.
func (s *Snapshot) expired(err error) error {
	if err != nil && !s.valid() {
		return fmt.Errorf("%w: %w", ErrSnapshotExpired, err)
	}
	return err
}

// Get is Tree.Get.
func (s *Snapshot) Get(ctx context.Context, key, dst []byte) (val []byte, ok bool, err error) {
	got, v := s.active.get(key)
	if v == unknown {
		got, v = s.frozen.get(key)
	}
	if v != unknown || s.root == nil {
		return append(dst[:0], got...), v == present, nil
	}
	val, ok, err = getPages(ctx, s.cfg, s.ld, &s.own, s.root, key, dst[:0])
	return val, ok, s.expired(err)
}

// Iter is Tree.Iter.
func (s *Snapshot) Iter(ctx context.Context, lo, hi []byte, fn func(key, val []byte) bool) error {
	return iterate(ctx, s, s.cfg, s.ld, &s.own, lo, hi, fn)
}

// Cursor is Tree.Cursor.
func (s *Snapshot) Cursor(lo, hi []byte, reverse bool) *Cursor {
	c := new(Cursor)
	c.init(s, s.cfg, s.ld, &s.own, lo, hi, reverse)
	return c
}
