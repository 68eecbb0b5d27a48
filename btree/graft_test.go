package btree

import (
	"context"
	"fmt"
	"testing"
)

// TestGraft builds inner levels over the leaves of a tree, all and with holes,
// and goes on with the result as with any tree.
func TestGraft(t *testing.T) {
	ctx := context.Background()
	for _, n := range []int{1, 40, 3000} {
		for _, skip := range []int{0, 3} {
			t.Run(fmt.Sprintf("%d/%d", n, skip), func(t *testing.T) {
				ms := NewMemStore()
				cfg := &Config{Name: "t", Kind: 1, LeafBytes: 4096, InnerBytes: 4096}
				b := Bulk(ctx, cfg, &Owner{}, ms)
				for i := range n {
					if err := b.Add(fmt.Appendf(nil, "key%06d", i), make([]byte, 100)); err != nil {
						t.Fatal(err)
					}
				}
				root, err := b.Finish()
				if err != nil {
					t.Fatal(err)
				}
				var leaves []Leaf
				want := map[string]bool{}
				seen, in := 0, false
				err = Walk(ctx, ms, cfg, &Owner{}, root, Visitor{
					Node: func(n *Node) error {
						if n.Page.Level() > 0 {
							return nil
						}
						seen++
						if in = skip == 0 || seen%skip != 1 || root.Ptr.Level == 0; in {
							leaves = append(leaves, LeafOf(n.Page))
						}
						return nil
					},
					Item: func(key, _ []byte, _ []BlobExtent) error {
						if in {
							want[string(key)] = true
						}
						return nil
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				grafted, err := Graft(ctx, cfg, &Owner{}, ms, leaves)
				if err != nil {
					t.Fatal(err)
				}
				tr := New(cfg, ms, Owner{}, grafted)
				tr.Put([]byte("key000000+"), []byte("in a hole, or not"))
				tr.Put([]byte("zzz"), nil)
				want["key000000+"], want["zzz"] = true, true
				tr.Freeze()
				if grafted, err = tr.Reconcile(ctx, ms); err != nil {
					t.Fatal(err)
				}
				got := 0
				if err := Walk(ctx, ms, cfg, &Owner{}, grafted, Visitor{Item: func(key, _ []byte, _ []BlobExtent) error {
					if got++; !want[string(key)] {
						t.Errorf("key %s should not be there", key)
					}
					return nil
				}}); err != nil {
					t.Fatal(err)
				}
				if got != len(want) {
					t.Errorf("%d keys, want %d", got, len(want))
				}
				if len(leaves) > 1 {
					leaves[0], leaves[1] = leaves[1], leaves[0]
					if _, err := Graft(ctx, cfg, &Owner{}, ms, leaves); err == nil {
						t.Error("leaves out of order are taken")
					}
				}
			})
		}
	}
}
