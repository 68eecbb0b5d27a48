package allocator

import (
	"slices"
	"sort"
)

// blockSet is a set of blocks of one zone. It is a sorted list of runs while
// there are few, 8 bytes each, and a bitmap from then on.
//
//	runs   disjoint, not touching, ascending
//	words  nil: runs count; otherwise runs is nil
type blockSet struct {
	runs  []blockRun
	words []uint64
	count uint32 // blocks in the set
}

// blockRun is the blocks [lo, lo+n) of a zone.
type blockRun struct{ lo, n uint32 }

func (r blockRun) end() uint32 { return r.lo + r.n }

// search returns the index of the first run that ends at or after lo.
func (s *blockSet) search(lo uint32) int {
	return sort.Search(len(s.runs), func(i int) bool { return s.runs[i].end() >= lo })
}

// overlaps reports whether a block of the range is in s.
func (s *blockSet) overlaps(lo, n uint32) bool {
	if s.count == 0 {
		return false
	}
	if s.words != nil {
		return !allClear(s.words, lo, n)
	}
	for i := s.search(lo); i < len(s.runs) && s.runs[i].lo < lo+n; i++ {
		if s.runs[i].end() > lo {
			return true
		}
	}
	return false
}

// add puts a range that does not overlap s into it. words is the length of the
// zone's bitmap: a list that would be longer than that becomes one.
func (s *blockSet) add(lo, n uint32, words int) {
	s.count += n
	if s.words == nil && len(s.runs) >= words {
		s.makeDense(words)
	}
	if s.words != nil {
		setBits(s.words, lo, n)
		return
	}
	i := s.search(lo)
	before := i < len(s.runs) && s.runs[i].end() == lo
	if before {
		s.runs[i].n += n
		if i+1 < len(s.runs) && s.runs[i+1].lo == lo+n {
			s.runs[i].n += s.runs[i+1].n
			s.runs = slices.Delete(s.runs, i+1, i+2)
		}
		return
	}
	if i < len(s.runs) && s.runs[i].lo == lo+n {
		s.runs[i] = blockRun{lo, n + s.runs[i].n}
		return
	}
	s.runs = slices.Insert(s.runs, i, blockRun{lo, n})
}

// remove takes the blocks of a range out of s, those of them that are in it.
func (s *blockSet) remove(lo, n uint32) {
	if s.count == 0 {
		return
	}
	if s.words != nil {
		s.count -= countBits(s.words, lo, n)
		clearBits(s.words, lo, n)
		return
	}
	end := lo + n
	first := s.search(lo)
	last := first
	var left [2]blockRun
	keep := left[:0]
	for ; last < len(s.runs) && s.runs[last].lo < end; last++ {
		r := s.runs[last]
		s.count -= min(r.end(), end) - max(r.lo, lo)
		if r.lo < lo {
			keep = append(keep, blockRun{r.lo, min(r.end(), lo) - r.lo})
		}
		if r.end() > end {
			keep = append(keep, blockRun{end, r.end() - end})
		}
	}
	s.runs = slices.Replace(s.runs, first, last, keep...)
}

// makeDense turns s into a bitmap.
func (s *blockSet) makeDense(words int) {
	if s.words != nil {
		return
	}
	s.words = make([]uint64, words)
	for _, r := range s.runs {
		setBits(s.words, r.lo, r.n)
	}
	s.runs = nil
}

// setIn sets the blocks of s in w.
func (s *blockSet) setIn(w []uint64) {
	for i, x := range s.words {
		w[i] |= x
	}
	for _, r := range s.runs {
		setBits(w, r.lo, r.n)
	}
}

// clearIn clears the blocks of s in w.
func (s *blockSet) clearIn(w []uint64) {
	for i, x := range s.words {
		w[i] &^= x
	}
	for _, r := range s.runs {
		clearBits(w, r.lo, r.n)
	}
}
