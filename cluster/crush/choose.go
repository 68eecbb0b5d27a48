package crush

import "math/bits"

// choose draws an item of b, which is not empty. x is the input, r the number of
// the try, position that of the result, for choose_args.
func (b *node) choose(args *Args, x, r uint32, position int) int32 {
	switch b.alg {
	case Straw2:
		draws := b.draws
		if args != nil {
			if sets := args.buckets[b.id]; sets != nil {
				draws = sets[min(position, len(sets)-1)]
			}
		}
		return b.items[straw2(draws, x, r)]
	case Straw:
		return b.items[b.straw(x, r)]
	case Uniform:
		return b.items[b.permuted(x, r)]
	case List:
		return b.items[b.list(x, r)]
	default:
		return b.items[b.tree(x, r)]
	}
}

// straw2 returns the index of the shortest straw: the logarithm of a draw, divided
// by the weight and rounded down; the first of equal ones. Only a straw that may
// be shorter than the shortest is divided exactly: the product with the inverse is
// off by less than 2^-51 of itself, the bound is wider by 2^-50.
func straw2(draws []draw, x, r uint32) int {
	best, shortest := 0, ^uint64(0)
	bound := float64(1 << 63)
	for i := range draws {
		d := &draws[i]
		distance := logDistance(Hash3(x, d.id, r))
		if float64(int64(distance))*d.inverse < bound {
			if straw := distance / uint64(d.weight); straw < shortest {
				best, shortest = i, straw
				bound = float64(int64(straw)) * (1 + 0x1p-50)
			}
		}
	}
	return best
}

// straw returns the index of the longest straw: a draw times the length.
func (b *node) straw(x, r uint32) int {
	best, longest := 0, uint64(0)
	for i, item := range b.items {
		if straw := uint64(Hash3(x, uint32(item), r)&0xffff) * uint64(b.derived[i]); straw > longest {
			best, longest = i, straw
		}
	}
	return best
}

// permuted returns entry r of a permutation of the items that x and the bucket
// decide, r modulo their number. Step p of the shuffle swaps entry p with a later
// one, so that the value of an entry is found by going back over the steps that
// brought something there; nothing is stored.
func (b *node) permuted(x, r uint32) int {
	size := uint32(len(b.items))
	target := func(p uint32) uint32 { return p + Hash3(x, uint32(b.id), p)%(size-p) }
	last := r % size
	at := target(last)
	for p := last; p > 0; p-- {
		if target(p-1) == at {
			at = p - 1
		}
	}
	return int(at)
}

// list goes from the newest item to the oldest and takes one with the probability
// of its share of what is left.
func (b *node) list(x, r uint32) int {
	for i := len(b.items) - 1; i > 0; i-- {
		draw := uint64(Hash4(x, uint32(b.items[i]), r, uint32(b.id)) & 0xffff)
		if draw*uint64(b.derived[i])>>16 < uint64(b.weights[i]) {
			return i
		}
	}
	return 0
}

// tree goes down from the middle; the leaf of item i is node 2i+1.
func (b *node) tree(x, r uint32) int {
	n := len(b.derived) / 2
	for n&1 == 0 {
		draw := uint64(Hash4(x, uint32(n), r, uint32(b.id))) * uint64(b.derived[n]) >> 32
		half := 1 << (bits.TrailingZeros(uint(n)) - 1)
		if draw < uint64(b.derived[n-half]) {
			n -= half
		} else {
			n += half
		}
	}
	return min(n/2, len(b.items)-1) // beyond only where sums do not add up
}
