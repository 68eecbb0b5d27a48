package group

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// TestGroup puts from many goroutines and fails now and then.
func TestGroup(t *testing.T) {
	const callers, puts, max = 32, 200, 10
	broken := errors.New("broken")
	var busy atomic.Bool
	kept, commits := map[uint64]bool{}, 0
	g := Group{Max: max, Commit: func(batch []*Entry) error {
		if !busy.CompareAndSwap(false, true) {
			t.Error("two commits at once")
		}
		defer busy.Store(false)
		if len(batch) < 1 || len(batch) > max {
			t.Errorf("%d in a commit", len(batch))
		}
		if commits++; commits%7 == 0 {
			return broken
		}
		for _, e := range batch {
			kept[e.I] = true
		}
		return nil
	}}
	var mu sync.Mutex
	acked := map[uint64]error{}
	var wg sync.WaitGroup
	for w := range callers {
		wg.Go(func() {
			for n := range puts {
				i := uint64(w*puts + n)
				err := g.Put(i, nil)
				mu.Lock()
				acked[i] = err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(acked) != callers*puts {
		t.Fatalf("%d acknowledged", len(acked))
	}
	for i, err := range acked {
		if (err == nil) != kept[i] || err != nil && !errors.Is(err, broken) {
			t.Fatalf("put %d: %v, kept %v", i, err, kept[i])
		}
	}
}
