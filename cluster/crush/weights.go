package crush

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// sum returns the weight of all items of b; ok is false if it does not fit.
func (b *Bucket) sum() (total Weight, ok bool) {
	var s uint64
	for i := range b.Items {
		s += uint64(b.ItemWeight(i))
	}
	return Weight(s), s <= math.MaxUint32
}

// derive fills Derived from Items and Weights as the algorithm has it.
func (b *Bucket) derive(strawVersion uint8) error {
	b.Derived = nil
	switch b.Alg {
	case List:
		b.Derived = make([]uint32, len(b.Weights))
		total := uint32(0)
		for i, w := range b.Weights {
			total += w
			b.Derived[i] = total
		}
	case Tree:
		if len(b.Items) > maxTreeItems {
			return fmt.Errorf("tree bucket of %d items, at most %d fit: %w", len(b.Items), maxTreeItems, ErrInvalid)
		}
		b.Derived = treeWeights(b.Weights)
	case Straw:
		b.Derived = strawLengths(b.Weights, strawVersion)
	}
	return nil
}

// treeWeights returns the weights of the nodes of a tree: leaf i is node 2i+1, a
// node of height h lies between its children at a distance of 2^(h-1).
func treeWeights(weights []Weight) []uint32 {
	nodes := make([]uint32, treeNodes(len(weights)))
	for i, w := range weights {
		for n := 2*i + 1; n < len(nodes); {
			nodes[n] += w
			half := 1 << bits.TrailingZeros(uint(n))
			if n&(2*half) != 0 {
				n -= half // a right child
			} else {
				n += half
			}
		}
	}
	return nodes
}

// strawLengths returns how long the straws have to be so that the longest of
// random parts of them is an item's with the probability of its weight. Version 0
// gets it wrong for equal and zero weights, and stays as it is: maps have it.
func strawLengths(weights []Weight, version uint8) []uint32 {
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weights[a], weights[b]) })
	lengths := make([]uint32, len(weights))
	straw, below, last := 1.0, 0.0, 0.0
	left := len(weights)
	for i := 0; i < len(order); i++ {
		w := weights[order[i]]
		if w == 0 {
			if version >= 1 {
				left--
			}
			continue
		}
		lengths[order[i]] = uint32(int64(straw * float64(One)))
		if i+1 == len(order) {
			break
		}
		next := weights[order[i+1]]
		if version == 0 && next == w {
			continue
		}
		below += (float64(w) - last) * float64(left)
		if version == 0 {
			for j := i + 1; j < len(order) && weights[order[j]] == next; j++ {
				left--
			}
		} else {
			left--
		}
		above := float64(left) * (float64(next) - float64(w))
		if above > 0 { // else the factor is 1, or no item is left to share
			straw *= math.Pow(1/(below/(below+above)), 1/float64(left))
		}
		last = float64(w)
	}
	return lengths
}
