package ebofs

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"ebofs/allocator"
)

// crumble leaves s free runs of these lengths in turn, each in a stripe of its own, and
// the stash.
func crumble(t *testing.T, s *Store, lengths ...uint64) {
	t.Helper()
	var all []allocator.Extent
	for {
		e, err := s.space.allocRun(bg, allocator.Meta, 1, 1<<20, 0)
		if errors.Is(err, ErrNoSpace) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	i, stripe := 0, s.space.stripe
	for _, e := range all {
		for b := roundUp(e.Start-s.space.stripeAt, stripe) + s.space.stripeAt; b+stripe <= e.End(); b += stripe {
			s.space.release([]allocator.Extent{{Start: b + 1, Blocks: lengths[i%len(lengths)]}})
			i++
		}
	}
	checkSpace(t, s)
}

// TestFoldOfCrumbs: where no long run is free the fold takes the longest there are, and
// searches once for each length there is none of.
func TestFoldOfCrumbs(t *testing.T) {
	var runs atomic.Int64
	opt := quiet()
	opt.Refuse = func(kind string) bool {
		if kind == "run" {
			runs.Add(1)
		}
		return false
	}
	s := newStore(t, newMem(128), FormatOptions{}, opt)
	defer closeStore(t, s)
	const each, writes = 15, 32
	apply(t, s, func(x *Txn) { x.Write(mainColl, oid("o"), 0, make([]byte, each*writes*blockSize)) })
	mustCheckpoint(t, s)
	crumble(t, s, 1, 3, 12)
	for i := range uint64(writes) {
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid("o"), i*each*blockSize, make([]byte, each*blockSize)) })
	}
	runs.Store(0)
	mustCheckpoint(t, s)
	pieces, blocks, err := s.Fragments(bg, mainColl, oid("o"))
	if err != nil || blocks != each*writes || pieces > each*writes/12+1 {
		t.Errorf("%d blocks in %d pieces, %v", blocks, pieces, err)
	}
	// Besides, nodes are written, and the stash is filled up.
	if n := runs.Load(); n > int64(pieces)+60 {
		t.Errorf("%d searches for %d pieces", n, pieces)
	}
}

// TestWaitTogether: of callers that find no room all at once one takes the checkpoint
// that makes some.
func TestWaitTogether(t *testing.T) {
	const callers = 16
	var s *Store
	var all sync.WaitGroup
	all.Add(callers)
	var armed atomic.Bool
	var asked atomic.Int64
	opt := quiet()
	opt.Refuse = func(kind string) bool {
		if kind != "promise" || !armed.Load() {
			return false
		}
		if asked.Add(1) <= callers {
			all.Done()
			all.Wait()
			return true
		}
		return s.metrics.Checkpoints.Load() == 0
	}
	s = newStore(t, newMem(64), FormatOptions{}, opt)
	defer closeStore(t, s)
	armed.Store(true)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			x := NewTxn()
			x.Write(mainColl, oid(fmt.Sprint(i)), 0, []byte("some"))
			if err := s.Apply(bg, x); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.Metrics().Checkpoints; n != 1 {
		t.Errorf("%d checkpoints", n)
	}
}

// TestStrained: a checkpoint is asked for once half of what can be promised is, out of
// free stripes or of the stash, and not again when it has been taken.
func TestStrained(t *testing.T) {
	s := newStore(t, newMem(128), FormatOptions{}, quiet())
	defer closeStore(t, s)
	mustCheckpoint(t, s)
	strain(t, s, spaceTokens{data: 1, growth: 1})
	crumble(t, s, 1)
	strain(t, s, spaceTokens{growth: 1})
}

// strain promises one again and again.
func strain(t *testing.T, s *Store, one spaceTokens) {
	t.Helper()
	var all spaceTokens
	asked := uint64(0)
	for s.space.promise(one, 0, false, s.metaBlocks.Load()) {
		all.add(one)
		if half, _ := s.load(0); half != (asked > 0) {
			if !half {
				t.Fatalf("taken back after %d", all.growth)
			}
			asked = all.growth
		}
	}
	if asked < all.growth/2-64 || asked > all.growth/2+1 {
		t.Errorf("asked for at %d of %d", asked, all.growth)
	}
	s.space.fulfil(all)
	if half, full := s.load(0); half || full {
		t.Error("asked for with nothing promised")
	}
}
