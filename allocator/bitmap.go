package allocator

import "math/bits"

// Bitmaps are []uint64, bit i of word i/64 first. Ranges are [lo, lo+n); n may
// be 0 where not said otherwise. The callers keep ranges inside the bitmap.

const allOnes = ^uint64(0)

// wordsFor returns the words a bitmap of n bits takes.
func wordsFor(n uint32) int { return int((uint64(n) + 63) / 64) }

// span returns the words lo..hi of a range of at least one bit and the masks
// of its first and last word.
func span(lo, n uint32) (first, last uint32, head, tail uint64) {
	end := lo + n - 1
	return lo / 64, end / 64, allOnes << (lo % 64), allOnes >> (63 - end%64)
}

func setBits(w []uint64, lo, n uint32) {
	if n == 0 {
		return
	}
	first, last, head, tail := span(lo, n)
	if first == last {
		w[first] |= head & tail
		return
	}
	w[first] |= head
	for i := first + 1; i < last; i++ {
		w[i] = allOnes
	}
	w[last] |= tail
}

func clearBits(w []uint64, lo, n uint32) {
	if n == 0 {
		return
	}
	first, last, head, tail := span(lo, n)
	if first == last {
		w[first] &^= head & tail
		return
	}
	w[first] &^= head
	for i := first + 1; i < last; i++ {
		w[i] = 0
	}
	w[last] &^= tail
}

// allSet reports whether every bit of the range is 1.
func allSet(w []uint64, lo, n uint32) bool {
	if n == 0 {
		return true
	}
	first, last, head, tail := span(lo, n)
	if first == last {
		return ^w[first]&head&tail == 0
	}
	if ^w[first]&head != 0 || ^w[last]&tail != 0 {
		return false
	}
	for i := first + 1; i < last; i++ {
		if w[i] != allOnes {
			return false
		}
	}
	return true
}

// allClear reports whether every bit of the range is 0.
func allClear(w []uint64, lo, n uint32) bool {
	if n == 0 {
		return true
	}
	first, last, head, tail := span(lo, n)
	if first == last {
		return w[first]&head&tail == 0
	}
	if w[first]&head != 0 || w[last]&tail != 0 {
		return false
	}
	for i := first + 1; i < last; i++ {
		if w[i] != 0 {
			return false
		}
	}
	return true
}

// countBits returns the number of 1 bits in the range.
func countBits(w []uint64, lo, n uint32) uint32 {
	if n == 0 {
		return 0
	}
	first, last, head, tail := span(lo, n)
	if first == last {
		return uint32(bits.OnesCount64(w[first] & head & tail))
	}
	c := bits.OnesCount64(w[first]&head) + bits.OnesCount64(w[last]&tail)
	for i := first + 1; i < last; i++ {
		c += bits.OnesCount64(w[i])
	}
	return uint32(c)
}

// nextSet returns the first 1 bit at or after from, or limit if there is none
// below limit.
func nextSet(w []uint64, from, limit uint32) uint32 {
	if from >= limit {
		return limit
	}
	i := from / 64
	x := w[i] & (allOnes << (from % 64))
	for last := (limit - 1) / 64; x == 0; x = w[i] {
		if i++; i > last {
			return limit
		}
	}
	return min(i*64+uint32(bits.TrailingZeros64(x)), limit)
}

// nextClear returns the first 0 bit at or after from, or limit if there is
// none below limit.
func nextClear(w []uint64, from, limit uint32) uint32 {
	if from >= limit {
		return limit
	}
	i := from / 64
	x := ^w[i] & (allOnes << (from % 64))
	for last := (limit - 1) / 64; x == 0; x = ^w[i] {
		if i++; i > last {
			return limit
		}
	}
	return min(i*64+uint32(bits.TrailingZeros64(x)), limit)
}

// findClear returns the first run of at least need 0 bits in [from, limit),
// cut to most bits, need <= most. It returns 0, 0 if there is none.
func findClear(w []uint64, from, limit, need, most uint32) (lo, n uint32) {
	for p := nextClear(w, from, limit); p < limit; {
		q := nextSet(w, p, p+min(limit-p, most))
		if q-p >= need {
			return p, q - p
		}
		p = nextClear(w, q, limit)
	}
	return 0, 0
}
