package ebofs

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// TestChunks compares chunks with a map, beside a clone that has to stay what it was.
func TestChunks(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var c, kept chunks[int]
		want, wantKept := map[uint64]*int{}, map[uint64]*int{}
		for range 200 {
			k := rng.Uint64N(4)
			switch rng.IntN(8) {
			case 0, 1, 2:
				v := new(int)
				c.set(k, v)
				want[k] = v
			case 3, 4, 5:
				c.drop(k)
				delete(want, k)
			case 6:
				kept, wantKept = c.clone(), maps.Clone(want)
			default: // all but k are replaced or dropped on the way
				for i := range c.all() {
					if i == k {
						continue
					}
					if c.drop(i); i%2 == 0 {
						c.set(i, new(int))
					}
				}
				for i := range want {
					if i == k {
						continue
					}
					if delete(want, i); i%2 == 0 {
						want[i] = c.get(i)
					}
				}
			}
			for _, x := range []struct {
				c    *chunks[int]
				want map[uint64]*int
			}{{&c, want}, {&kept, wantKept}} {
				if got := maps.Collect(x.c.all()); !maps.Equal(got, x.want) || x.c.len() != len(x.want) {
					t.Fatalf("seed %d: got %v (%d), want %v", seed, got, x.c.len(), x.want)
				}
				for k := range uint64(5) {
					if x.c.get(k) != x.want[k] {
						t.Fatalf("seed %d: chunk %d: got %p, want %p", seed, k, x.c.get(k), x.want[k])
					}
				}
			}
		}
	}
}
