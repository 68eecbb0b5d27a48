package image

import (
	"math/rand/v2"
	"testing"
)

// TestModel runs random operations on a family of clones against plain maps,
// so that a write leaking into a clone, or a wrong hash, shows (I1, I2, I3).
func TestModel(t *testing.T) {
	for _, blocks := range []uint64{1, 63, 64, 65, 4096, 300_000, 1 << 40} {
		r := rand.New(rand.NewPCG(blocks, 1))
		type pair struct {
			m     *Image
			model map[uint64]byte
		}
		fam := []pair{{New(blocks), map[uint64]byte{}}}
		block := func() uint64 {
			if r.IntN(2) == 0 {
				return r.Uint64N(min(blocks, 200))
			}
			return blocks - 1 - r.Uint64N(min(blocks, 200))
		}
		var p Page
		for range 3000 {
			f := &fam[r.IntN(len(fam))]
			b := block()
			switch k := r.IntN(12); {
			case k < 5: // write one byte value, zero included
				v := byte(r.IntN(4))
				for i := range p {
					p[i] = v
				}
				f.m.Write(b, p[:])
				f.model[b] = v
			case k < 8:
				v := byte(r.IntN(4))
				q := new(Page)
				for i := range q {
					q[i] = v
				}
				f.m.Put(b, q, Sum(b, q))
				f.model[b] = v
			case k < 9:
				n := min(1+r.Uint64N(300), blocks-b)
				f.m.Zero(b, n)
				for at := range f.model {
					if at >= b && at-b < n {
						delete(f.model, at)
					}
				}
			case k < 11 && len(fam) < 8:
				c := pair{m: f.m.Clone(), model: map[uint64]byte{}}
				if r.IntN(2) == 0 {
					c.m = f.m.Tracked()
				}
				for k, v := range f.model {
					c.model[k] = v
				}
				fam = append(fam, c)
			}
			if got := f.m.Get(b); (got == nil && f.model[b] != 0) || (got != nil && got[17] != f.model[b]) {
				t.Fatalf("blocks=%d block %d: got %v, want %d", blocks, b, got, f.model[b])
			}
		}
		for i, f := range fam {
			var h uint64
			for b, v := range f.model {
				for i := range p {
					p[i] = v
				}
				h ^= Sum(b, &p)
				if got := f.m.Get(b); (got == nil && v != 0) || (got != nil && *got != p) {
					t.Fatalf("blocks=%d clone %d block %d differs", blocks, i, b)
				}
			}
			if got := f.m.Hash(); got != h {
				t.Fatalf("blocks=%d clone %d (tracked %v): hash %x, want %x", blocks, i, f.m.track, got, h)
			}
			last := int64(-1)
			f.m.Each(func(b uint64, q *Page) bool {
				if int64(b) <= last || q[0] != f.model[b] {
					t.Fatalf("each: block %d after %d holds %d, want %d", b, last, q[0], f.model[b])
				}
				last = int64(b)
				return true
			})
		}
	}
}

// TestSum checks that position and content both count.
func TestSum(t *testing.T) {
	var p, q Page
	if Sum(3, nil) != 0 || Sum(3, &p) != 0 {
		t.Error("zeros have a sum")
	}
	p[0], q[4095] = 1, 1
	seen := map[uint64]bool{}
	for _, s := range []uint64{Sum(0, &p), Sum(1, &p), Sum(0, &q), Sum(1, &q), Sum(0, &p) ^ Sum(1, &q), Sum(1, &p) ^ Sum(0, &q)} {
		if seen[s] {
			t.Errorf("sum %x repeats", s)
		}
		seen[s] = true
	}
}

func BenchmarkCloneWrite(b *testing.B) {
	m := New(16384).Tracked()
	var p Page
	for i := range uint64(16384) {
		p[0] = byte(i) + 1
		m.Write(i, p[:])
	}
	s := Sum(0, &p)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c := m.Clone()
		c.Put(uint64(i)&16383, &p, s)
	}
}
