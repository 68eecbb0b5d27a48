package perf

import (
	"math/bits"
	"sync/atomic"
)

const (
	// subBits is the resolution: 2^subBits buckets for every power of two. Four
	// keeps the error at 6 % and a histogram at 8 KiB; three would show in a p99
	// compared between two runs, five doubles the memory for nothing one can see.
	subBits = 4
	sub     = 1 << subBits

	// buckets covers all of uint64: sub exact values, then sub for each of the
	// 60 powers of two from 16 up.
	buckets = sub + (64-subBits)*sub
)

// Histogram counts values of one kind: nanoseconds, bytes. The zero value is
// empty and ready. It must not be copied after first use; it is 8 KiB, so it
// lives in the struct it measures.
type Histogram struct {
	sum    atomic.Uint64
	max    atomic.Uint64
	counts [buckets]atomic.Uint64
}

// Record counts one value.
func (h *Histogram) Record(v uint64) {
	// The maximum comes first and the count last, the other way round than in
	// Snapshot: what a snapshot counts is in its sum and not above its maximum.
	for m := h.max.Load(); v > m && !h.max.CompareAndSwap(m, v); {
		m = h.max.Load()
	}
	h.sum.Add(v)
	h.counts[bucketOf(v)].Add(1)
}

// Count returns how many values were recorded.
func (h *Histogram) Count() uint64 {
	var n uint64
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// Quantile returns a value that a share q (0 to 1) of all recorded values do not
// exceed, by I1 at most 6.25 % above the exact one; 0 if nothing was recorded.
// Several quantiles of one moment come from Snapshot.
func (h *Histogram) Quantile(q float64) uint64 {
	var s Snapshot
	h.Snapshot(&s)
	return s.Quantile(q)
}

// Snapshot copies the present state into s, replacing what it held.
func (h *Histogram) Snapshot(s *Snapshot) {
	s.Count = 0
	for i := range h.counts {
		s.counts[i] = h.counts[i].Load()
		s.Count += s.counts[i]
	}
	s.Sum = h.sum.Load()
	s.Max = h.max.Load()
}

// Reset empties the histogram. Values recorded during it may be lost, so it is
// for phases between measurements, not for metrics.
func (h *Histogram) Reset() {
	for i := range h.counts {
		h.counts[i].Store(0)
	}
	h.sum.Store(0)
	h.max.Store(0)
}

// bucketOf returns the bucket v falls into.
func bucketOf(v uint64) int {
	if v < sub {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits // v>>shift is in [sub, 2*sub)
	return shift*sub + int(v>>shift)
}

// bounds returns the smallest and the largest value of bucket i.
func bounds(i int) (lo, hi uint64) {
	if i < 2*sub {
		return uint64(i), uint64(i)
	}
	shift := i/sub - 1
	lo = uint64(sub+i%sub) << shift
	return lo, lo + (1<<shift - 1)
}
