package btree

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// countingLoader counts the pages that are read.
type countingLoader struct {
	Loader
	pages int
}

func (l *countingLoader) Load(ctx context.Context, cfg *Config, own *Owner, p Ptr) (*Page, error) {
	l.pages++
	return l.Loader.Load(ctx, cfg, own, p)
}

// TestDiff compares versions of a tree with each other and with maps of them, from
// an empty one to one that lost all its items.
func TestDiff(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(1, 2))
	m := NewMemStore()
	cfg := &Config{Name: "diff", Kind: 2, LeafBytes: 4096, OverflowBytes: 512}
	tree := New(cfg, m, Owner{}, Root{})
	type version struct {
		root Root
		is   map[string]string
	}
	now := map[string]string{}
	versions := []version{{Root{}, map[string]string{}}}
	commit := func() {
		t.Helper()
		tree.Freeze()
		root, err := tree.Reconcile(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		tree.Publish(root)
		is := map[string]string{}
		for k, v := range now {
			is[k] = v
		}
		versions = append(versions, version{root, is})
	}
	put := func(k, v string) {
		now[k] = v
		tree.Put([]byte(k), []byte(v))
	}
	for i := range 3 {
		put(fmt.Sprintf("key%05d", i*1000), "few")
	}
	commit()
	for i := range 6000 {
		put(fmt.Sprintf("key%05d", i), fmt.Sprint("value ", rng.Uint64()))
	}
	commit()
	for range 12 {
		for range 1 + rng.IntN(40) {
			k := fmt.Sprintf("key%05d", rng.IntN(7000))
			switch rng.IntN(4) {
			case 0:
				delete(now, k)
				tree.Delete([]byte(k))
			case 1:
				put(k, string(make([]byte, 600+rng.IntN(9000)))) // elsewhere
			default:
				put(k, fmt.Sprint("new ", rng.Uint64()))
			}
		}
		commit()
	}
	for k := range now {
		tree.Delete([]byte(k))
	}
	clear(now)
	commit()
	for i, a := range versions {
		for _, b := range versions[i:] {
			for range 2 { // and the other way round
				var want, got []string
				for k, v := range a.is {
					if w, ok := b.is[k]; !ok {
						want = append(want, "-"+k)
					} else if v != w {
						want = append(want, "="+k)
					}
				}
				for k := range b.is {
					if _, ok := a.is[k]; !ok {
						want = append(want, "+"+k)
					}
				}
				slices.SortFunc(want, func(x, y string) int { return cmpTail(x, y) })
				err := Diff(ctx, m, cfg, &Owner{}, a.root, b.root, func(k []byte, va, vb *Value) error {
					switch {
					case va == nil:
						got = append(got, "+"+string(k))
					case vb == nil:
						got = append(got, "-"+string(k))
					default:
						got = append(got, "="+string(k))
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				// A long value that was written again is elsewhere and counts as changed.
				got = slices.DeleteFunc(got, func(s string) bool { return s[0] == '=' && a.is[s[1:]] == b.is[s[1:]] })
				if !slices.Equal(got, want) {
					t.Fatalf("%d differences, want %d: %v", len(got), len(want), got[:min(len(got), 10)])
				}
				a, b = b, a
			}
		}
	}
	l := &countingLoader{Loader: m}
	a, b := versions[3], versions[4]
	n := 0
	if err := Diff(ctx, l, cfg, &Owner{}, a.root, b.root, func([]byte, *Value, *Value) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if l.pages > 4*n+8 || n == 0 {
		t.Errorf("%d pages are read for %d changes of %d items", l.pages, n, len(a.is))
	}
}

func cmpTail(x, y string) int { return slices.Compare([]byte(x[1:]), []byte(y[1:])) }
