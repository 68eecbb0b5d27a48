package perf

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// TestBucketsTile is I1 and the picture in the package documentation: the
// buckets follow one another without gap from 0 to 2^64-1, none too wide.
func TestBucketsTile(t *testing.T) {
	var next uint64
	for i := range buckets {
		lo, hi := bounds(i)
		if lo != next {
			t.Fatalf("bucket %d begins at %d, want %d", i, lo, next)
		}
		if hi-lo > lo/16 {
			t.Fatalf("bucket %d is [%d,%d]: wider than 1/16", i, lo, hi)
		}
		for _, v := range []uint64{lo, lo + (hi-lo)/2, hi} {
			if got := bucketOf(v); got != i {
				t.Fatalf("value %d is in bucket %d, want %d", v, got, i)
			}
		}
		next = hi + 1
	}
	if next != 0 {
		t.Fatalf("the last bucket ends at %d, want 2^64-1", next-1)
	}
	if _, hi := bounds(buckets - 1); hi != math.MaxUint64 {
		t.Fatalf("largest value %d", hi)
	}
}

// TestQuantileAgainstSorting compares with the exact quantile of sorted values
// from three very different distributions.
func TestQuantileAgainstSorting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() uint64{
		"small":       func() uint64 { return rng.Uint64N(16) },
		"exponential": func() uint64 { return uint64(rng.ExpFloat64() * 90_000) },
		"all":         func() uint64 { return rng.Uint64() >> rng.UintN(64) },
	} {
		t.Run(name, func(t *testing.T) {
			var h Histogram
			vs := make([]uint64, 10_001)
			var sum uint64
			for i := range vs {
				vs[i] = draw()
				sum += vs[i]
				h.Record(vs[i])
			}
			slices.Sort(vs)
			for _, q := range []float64{-1, 0, 0.01, 0.5, 0.9, 0.99, 0.999, 1, 2} {
				rank := int(math.Ceil(min(max(q, 0), 1) * float64(len(vs))))
				exact := vs[max(rank, 1)-1]
				if got := h.Quantile(q); got < exact || got-exact > exact/16 {
					t.Errorf("quantile %v is %d, exact %d", q, got, exact)
				}
			}
			var s Snapshot
			h.Snapshot(&s)
			if s.Count != uint64(len(vs)) || s.Sum != sum || s.Max != vs[len(vs)-1] {
				t.Errorf("count %d sum %d max %d, want %d %d %d", s.Count, s.Sum, s.Max, len(vs), sum, vs[len(vs)-1])
			}
		})
	}
}

func TestEmptyAndReset(t *testing.T) {
	var h Histogram
	if q := h.Quantile(0.5); q != 0 {
		t.Fatalf("quantile of nothing is %d", q)
	}
	h.Record(5)
	h.Reset()
	var s Snapshot
	h.Snapshot(&s)
	if s != (Snapshot{}) || s.Mean() != 0 {
		t.Fatalf("after Reset: count %d sum %d max %d", s.Count, s.Sum, s.Max)
	}
}

// TestMergeAndSub: two halves make the whole, and the whole less one half is the
// other.
func TestMergeAndSub(t *testing.T) {
	var a, b, both Histogram
	for v := range uint64(1000) {
		h := &a
		if v%3 == 0 {
			h = &b
		}
		h.Record(v * v)
		both.Record(v * v)
	}
	var sa, sb, all Snapshot
	a.Snapshot(&sa)
	b.Snapshot(&sb)
	both.Snapshot(&all)
	sum := sa
	sum.Merge(&sb)
	if sum != all {
		t.Fatal("merge of the halves is not the whole")
	}
	rest := all
	rest.Sub(&sb)
	rest.Max = sa.Max // documented: Sub cannot know it
	if rest != sa {
		t.Fatal("whole less one half is not the other half")
	}
	var n uint64
	last := uint64(0)
	all.Buckets(func(lo, hi, count uint64) {
		if lo < last || hi < lo {
			t.Fatalf("bucket [%d,%d] after %d", lo, hi, last)
		}
		last = hi
		n += count
	})
	if n != all.Count {
		t.Fatalf("buckets hold %d of %d values", n, all.Count)
	}
}

// TestRecordLosesNothing is I2 and I3 with 8 goroutines; the race detector looks on.
func TestRecordLosesNothing(t *testing.T) {
	var h Histogram
	var wg sync.WaitGroup
	const workers, each = 8, 5000
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				h.Record(uint64(w*each + i))
			}
		})
	}
	wg.Wait()
	const n = workers * each
	var s Snapshot
	h.Snapshot(&s)
	if s.Count != n || s.Sum != n*(n-1)/2 || s.Max != n-1 || h.Count() != n {
		t.Fatalf("count %d sum %d max %d, want %d %d %d", s.Count, s.Sum, s.Max, n, n*(n-1)/2, n-1)
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	var h Histogram
	var s Snapshot
	if n := testing.AllocsPerRun(100, func() { h.Record(123456); h.Snapshot(&s); _ = s.Quantile(0.99) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	var h Histogram
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		v := uint64(1)
		for pb.Next() {
			v = v*6364136223846793005 + 1442695040888963407
			h.Record(v >> 44)
		}
	})
}
