package allocator

import (
	"testing"

	"pgregory.net/rapid"
)

// TestBlockSet compares a blockSet with a bool a block, in both of its forms.
func TestBlockSet(t *testing.T) {
	const size = 200
	rapid.Check(t, func(t *rapid.T) {
		var s blockSet
		var want [size]bool
		words := rapid.IntRange(4, 40).Draw(t, "words") // few: it becomes a bitmap
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			lo := rapid.Uint32Range(0, size-1).Draw(t, "lo")
			n := rapid.Uint32Range(1, min(12, size-lo)).Draw(t, "n")
			overlap := false
			for _, in := range want[lo : lo+n] {
				overlap = overlap || in
			}
			if got := s.overlaps(lo, n); got != overlap {
				t.Fatalf("overlaps(%d, %d) = %v, want %v: %+v", lo, n, got, overlap, s)
			}
			if remove := rapid.Bool().Draw(t, "remove"); remove {
				s.remove(lo, n)
				clear(want[lo : lo+n])
			} else if !overlap {
				s.add(lo, n, words)
				for i := range n {
					want[lo+i] = true
				}
			}
			checkBlockSet(t, &s, want[:])
		}
	})
}

func checkBlockSet(t *rapid.T, s *blockSet, want []bool) {
	count := uint32(0)
	set, cleared := make([]uint64, 40), make([]uint64, 40)
	s.setIn(set)
	setBits(cleared, 0, uint32(len(want)))
	s.clearIn(cleared)
	for i, in := range want {
		if in {
			count++
		}
		if !allClear(set, uint32(i), 1) != in || allSet(cleared, uint32(i), 1) == in {
			t.Fatalf("block %d: want %v: %+v", i, in, s)
		}
	}
	if s.count != count {
		t.Fatalf("count %d, want %d: %+v", s.count, count, s)
	}
	for i, r := range s.runs {
		if r.n == 0 || i > 0 && s.runs[i-1].end() >= r.lo {
			t.Fatalf("run %d: %+v", i, s.runs)
		}
	}
}

// TestBitmap compares the range functions with loops over single bits.
func TestBitmap(t *testing.T) {
	const size = 300
	rapid.Check(t, func(t *rapid.T) {
		w := make([]uint64, wordsFor(size))
		var want [size]bool
		for range rapid.IntRange(0, 12).Draw(t, "ranges") {
			lo := rapid.Uint32Range(0, size).Draw(t, "lo")
			n := rapid.Uint32Range(0, size-lo).Draw(t, "n")
			on := rapid.Bool().Draw(t, "on")
			if on {
				setBits(w, lo, n)
			} else {
				clearBits(w, lo, n)
			}
			for i := range n {
				want[lo+i] = on
			}
		}
		lo := rapid.Uint32Range(0, size).Draw(t, "from")
		n := rapid.Uint32Range(0, size-lo).Draw(t, "length")
		ones, firstSet, firstClear := uint32(0), lo+n, lo+n
		for i := lo + n; i > lo; i-- {
			if want[i-1] {
				ones, firstSet = ones+1, i-1
			} else {
				firstClear = i - 1
			}
		}
		if got := countBits(w, lo, n); got != ones {
			t.Fatalf("countBits(%d, %d) = %d, want %d", lo, n, got, ones)
		}
		if allSet(w, lo, n) != (ones == n) || allClear(w, lo, n) != (ones == 0) {
			t.Fatalf("allSet, allClear(%d, %d) with %d ones", lo, n, ones)
		}
		if nextSet(w, lo, lo+n) != firstSet || nextClear(w, lo, lo+n) != firstClear {
			t.Fatalf("next set, clear in %d~%d: %d %d, want %d %d", lo, n, nextSet(w, lo, lo+n), nextClear(w, lo, lo+n), firstSet, firstClear)
		}
		least := rapid.Uint32Range(1, 70).Draw(t, "least")
		most := least + rapid.Uint32Range(0, 70).Draw(t, "more")
		gotLo, gotN := findClear(w, lo, lo+n, least, most)
		wantLo, wantN := naiveFindClear(want[:lo+n], lo, least, most)
		if gotLo != wantLo || gotN != wantN {
			t.Fatalf("findClear(%d, %d, %d, %d) = %d~%d, want %d~%d", lo, lo+n, least, most, gotLo, gotN, wantLo, wantN)
		}
	})
}

func naiveFindClear(w []bool, from, least, most uint32) (lo, n uint32) {
	for i := from; i < uint32(len(w)); i++ {
		for n = 0; n < most && i+n < uint32(len(w)) && !w[i+n]; n++ {
		}
		if n >= least {
			return i, n
		}
	}
	return 0, 0
}
