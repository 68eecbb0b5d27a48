package perf

import "math"

// Snapshot is the state of a Histogram at one moment: plain numbers that can be
// merged, subtracted and read in peace. The zero value is empty. At 8 KiB it is
// handed about by pointer.
type Snapshot struct {
	// Count is the number of values, Sum their total and Max the largest, in the
	// unit of the values.
	Count, Sum, Max uint64

	counts [buckets]uint64
}

// Mean returns Sum over Count; 0 if empty.
func (s *Snapshot) Mean() float64 {
	if s.Count == 0 {
		return 0
	}
	return float64(s.Sum) / float64(s.Count)
}

// Quantile is Histogram.Quantile at the moment of the snapshot. q is clipped to
// 0…1; the answer for 1 is Max itself.
func (s *Snapshot) Quantile(q float64) uint64 {
	if s.Count == 0 {
		return 0
	}
	rank := uint64(1)
	if q > 0 {
		rank = max(1, uint64(math.Ceil(min(q, 1)*float64(s.Count))))
	}
	var seen uint64
	for i, n := range s.counts {
		if seen += n; seen >= rank {
			_, hi := bounds(i)
			return min(hi, s.Max)
		}
	}
	return s.Max
}

// Merge adds what o holds to s.
func (s *Snapshot) Merge(o *Snapshot) {
	s.Count += o.Count
	s.Sum += o.Sum
	s.Max = max(s.Max, o.Max)
	for i := range s.counts {
		s.counts[i] += o.counts[i]
	}
}

// Sub takes an earlier snapshot of the same histogram off s, which leaves what
// was recorded between the two. Max stays that of the whole time, for the
// largest value of an interval is not known.
func (s *Snapshot) Sub(earlier *Snapshot) {
	s.Count -= earlier.Count
	s.Sum -= earlier.Sum
	for i := range s.counts {
		s.counts[i] -= earlier.counts[i]
	}
}

// Buckets calls fn for every bucket that is not empty, in ascending order: count
// values lie in [lo, hi].
func (s *Snapshot) Buckets(fn func(lo, hi, count uint64)) {
	for i, n := range s.counts {
		if n != 0 {
			lo, hi := bounds(i)
			fn(lo, hi, n)
		}
	}
}
