package crush

import (
	"fmt"
	"maps"
	"slices"
)

// shadowName is the name of what remains of a bucket with one class.
func shadowName(bucket, class string) string { return bucket + "~" + class }

// classID returns the class of that name, a new one if there is none.
func (m *Map) classID(name string) int32 {
	for id, n := range m.ClassNames {
		if n == name {
			return id
		}
	}
	id := int32(0)
	for m.ClassNames[id] != "" {
		id++
	}
	put(&m.ClassNames, id, name)
	return id
}

// put is an assignment to a map that may not be there yet.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// dropShadows removes the shadow trees and returns the ids they had.
func (m *Map) dropShadows() map[int32]map[int32]int32 {
	old := m.Shadows
	for id := range m.Classes {
		if id >= 0 {
			continue
		}
		delete(m.Classes, id)
		delete(m.Names, id)
		if m.Bucket(id) != nil {
			m.Buckets[-1-id] = nil
		}
		for _, args := range m.ChooseArgs {
			delete(args, id)
		}
	}
	m.Shadows = nil
	return old
}

// shadower builds the shadow trees of a map.
type shadower struct {
	m    *Map
	ids  map[int32]map[int32]int32 // by bucket and class, where they are settled
	used map[int32]bool            // all of those
	// sums are the weights of shadow buckets in each weight set, by position.
	sums map[int64]map[int32][]Weight
}

// buildShadows makes, for every bucket and class, the shadow bucket. ids says what
// some were before, so that placements do not change; others take the lowest
// free slot.
func (m *Map) buildShadows(ids map[int32]map[int32]int32) error {
	s := &shadower{m: m, ids: ids, used: map[int32]bool{}, sums: map[int64]map[int32][]Weight{}}
	for _, of := range ids {
		for _, id := range of {
			s.used[id] = true
		}
	}
	roots := m.roots()
	for _, root := range roots {
		for _, class := range slices.Sorted(maps.Keys(m.ClassNames)) {
			if _, err := s.shadow(m.Bucket(root), class, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// roots returns the buckets that lie in no other, in ascending order of ids.
func (m *Map) roots() []int32 {
	inner := map[int32]bool{}
	for _, b := range m.Buckets {
		if b != nil {
			for _, item := range b.Items {
				inner[item] = true
			}
		}
	}
	var roots []int32
	for _, b := range slices.Backward(m.Buckets) {
		if b != nil && !inner[b.ID] && !m.IsShadow(b.ID) {
			roots = append(roots, b.ID)
		}
	}
	return roots
}

// maxDepth bounds how deep buckets lie in each other: there are fewer types in any
// real map.
const maxDepth = 64

// shadow returns the shadow of b for class, made with all below it if it is new.
func (s *shadower) shadow(b *Bucket, class int32, depth int) (*Bucket, error) {
	m := s.m
	if id, ok := m.Shadows[b.ID][class]; ok {
		return m.Bucket(id), nil
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("bucket %d: more than %d levels, or a loop: %w", b.ID, maxDepth, ErrInvalid)
	}
	copied := &Bucket{Type: b.Type, Alg: b.Alg}
	var from []int // index in b of each item
	weights := []Weight{}
	for i, item := range b.Items {
		w := b.ItemWeight(i)
		switch {
		case item >= 0:
			if c, ok := m.Classes[item]; !ok || c != class {
				continue
			}
		case m.Bucket(item) == nil:
			return nil, fmt.Errorf("bucket %d: item %d is not there: %w", b.ID, item, ErrInvalid)
		default:
			below, err := s.shadow(m.Bucket(item), class, depth+1)
			if err != nil {
				return nil, err
			}
			item, w = below.ID, below.Weight
		}
		copied.Items, weights, from = append(copied.Items, item), append(weights, w), append(from, i)
	}
	if err := copied.setWeights(weights, m.Tunables.StrawVersion); err != nil {
		return nil, fmt.Errorf("bucket %s: %w", shadowName(m.Names[b.ID], m.ClassNames[class]), err)
	}
	copied.ID = s.idFor(b.ID, class)
	m.putBucket(copied)
	put(&m.Classes, copied.ID, class)
	put(&m.Names, copied.ID, shadowName(m.Names[b.ID], m.ClassNames[class]))
	if m.Shadows[b.ID] == nil {
		put(&m.Shadows, b.ID, map[int32]int32{})
	}
	m.Shadows[b.ID][class] = copied.ID
	s.cloneArgs(b, copied, from)
	return copied, nil
}

func (s *shadower) idFor(bucket, class int32) int32 {
	if id, ok := s.ids[bucket][class]; ok {
		return id
	}
	id := int32(-1)
	for s.m.Bucket(id) != nil || s.used[id] {
		id--
	}
	return id
}

// cloneArgs gives a shadow the weight sets of its bucket: a device's weight is the
// same, a child's the sum of what its own shadow has.
func (s *shadower) cloneArgs(b, shadow *Bucket, from []int) {
	for set, args := range s.m.ChooseArgs {
		a, ok := args[b.ID]
		if !ok || len(a.WeightSet) == 0 {
			continue
		}
		if s.sums[set] == nil {
			s.sums[set] = map[int32][]Weight{}
		}
		var clone ChooseArg
		sums := make([]Weight, len(a.WeightSet))
		for position, weights := range a.WeightSet {
			row := make([]Weight, len(shadow.Items))
			for i, item := range shadow.Items {
				switch below := s.sums[set][item]; {
				case item >= 0:
					row[i] = weights[from[i]]
				case position < len(below):
					row[i] = below[position]
				default:
					row[i] = shadow.ItemWeight(i)
				}
				sums[position] += row[i]
			}
			clone.WeightSet = append(clone.WeightSet, row)
		}
		args[shadow.ID] = clone
		s.sums[set][shadow.ID] = sums
	}
}

// setWeights gives each item its weight and everything that follows from them.
func (b *Bucket) setWeights(weights []Weight, strawVersion uint8) error {
	b.Weights = weights
	if b.Alg == Uniform {
		b.Weights = []Weight{0}
		for i, w := range weights {
			if i > 0 && w != weights[0] {
				return fmt.Errorf("uniform bucket with items of weight %s and %s: %w", formatWeight(weights[0]), formatWeight(w), ErrInvalid)
			}
			b.Weights[0] = w
		}
	}
	var ok bool
	if b.Weight, ok = b.sum(); !ok {
		return fmt.Errorf("the weights of the items add up to more than %d: %w", 0xffff, ErrInvalid)
	}
	return b.derive(strawVersion)
}

// putBucket puts b into the slot of its id. The table doubles from eight slots on
// where it is too short, as its length is part of the binary form.
func (m *Map) putBucket(b *Bucket) {
	slot := -1 - int(b.ID)
	n := max(len(m.Buckets), 8)
	for n <= slot {
		n *= 2
	}
	m.Buckets = append(m.Buckets, make([]*Bucket, n-len(m.Buckets))...)
	m.Buckets[slot] = b
}
