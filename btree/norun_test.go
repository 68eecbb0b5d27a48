package btree

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
)

// scattered is a sink whose free space is single holes of at most most blocks.
type scattered struct {
	*MemStore
	most int
}

func (s *scattered) Alloc(blocks int) (uint64, error) {
	if blocks > s.most {
		return 0, fmt.Errorf("%d blocks: %w", blocks, ErrNoRun)
	}
	return s.MemStore.Alloc(blocks)
}

// TestScatteredSpace reconciles into holes of one and two blocks: pages are cut
// to what there is, and grow together again when there is more.
func TestScatteredSpace(t *testing.T) {
	ctx := context.Background()
	for _, most := range []int{1, 2, 3} {
		m := NewMemStore()
		cfg := &Config{Name: "t", Kind: 1}
		tr := New(cfg, m, Owner{}, Root{})
		rng := rand.New(rand.NewPCG(1, uint64(most)))
		want := map[string]string{}
		step := func(sink Sink) {
			for range 3000 {
				k := fmt.Sprintf("key-%05d", rng.IntN(20000))
				if rng.IntN(3) == 0 {
					tr.Delete([]byte(k))
					delete(want, k)
					continue
				}
				v := fmt.Sprintf("%0*d", rng.IntN(200)+1, rng.IntN(1000))
				tr.Put([]byte(k), []byte(v))
				want[k] = v
			}
			tr.Freeze()
			root, err := tr.Reconcile(ctx, sink)
			if err != nil {
				t.Fatal(err)
			}
			tr.Publish(root)
			if root.Count != uint64(len(want)) {
				t.Fatalf("count %d, want %d", root.Count, len(want))
			}
			if err := Verify(ctx, m, cfg, &Owner{}, root); err != nil {
				t.Fatal(err)
			}
			n := 0
			err = tr.Iter(ctx, nil, nil, func(k, v []byte) bool {
				if want[string(k)] != string(v) {
					t.Fatalf("%s = %q, want %q", k, v, want[string(k)])
				}
				n++
				return true
			})
			if err != nil || n != len(want) {
				t.Fatalf("%d keys of %d, %v", n, len(want), err)
			}
		}
		step(m)
		for range 4 {
			step(&scattered{m, most})
		}
		step(m)
		step(m)
	}
}
