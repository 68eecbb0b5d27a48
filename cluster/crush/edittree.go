package crush

import (
	"fmt"
	"slices"
)

// parent returns a bucket that id lies in and its index there; nil if there is none.
func (e *Editor) parent(id int32) (*Bucket, int) {
	for _, b := range e.m.Buckets {
		if b == nil {
			continue
		}
		if i := slices.Index(b.Items, id); i >= 0 {
			return b, i
		}
	}
	return nil, 0
}

// freeID returns the highest id that neither a bucket nor a shadow has.
func (e *Editor) freeID() int32 {
	used := map[int32]bool{}
	for _, of := range e.shadows {
		for _, id := range of {
			used[id] = true
		}
	}
	id := int32(-1)
	for e.m.Bucket(id) != nil || used[id] {
		id--
	}
	return id
}

// reserve returns the id of the shadow of a bucket, which need not be there yet.
func (e *Editor) reserve(bucket int32, class string) (int32, error) {
	for c, name := range e.m.ClassNames {
		if name != class {
			continue
		}
		if id, ok := e.shadows[bucket][c]; ok {
			return id, nil
		}
		id := e.freeID()
		if e.shadows[bucket] == nil {
			put(&e.shadows, bucket, map[int32]int32{})
		}
		e.shadows[bucket][c] = id
		return id, nil
	}
	return 0, fmt.Errorf("class %s: %w", class, ErrNotFound)
}

// devices returns the devices below id, each once, or id itself.
func (e *Editor) devices(id int32) []int32 {
	var found []int32
	seen := map[int32]bool{}
	var walk func(int32)
	walk = func(id int32) {
		if seen[id] {
			return
		}
		seen[id] = true
		if id >= 0 {
			found = append(found, id)
		} else if b := e.m.Bucket(id); b != nil {
			for _, item := range b.Items {
				walk(item)
			}
		}
	}
	walk(id)
	return found
}

// lies reports whether id is b or lies below it.
func (e *Editor) lies(id int32, b *Bucket, depth int) bool {
	if id == b.ID {
		return true
	}
	for _, item := range b.Items {
		if below := e.m.Bucket(item); item == id || below != nil && depth < maxDepth && e.lies(id, below, depth+1) {
			return true
		}
	}
	return false
}

// itemWeights returns a copy of the weights of all items.
func (b *Bucket) itemWeights() []Weight {
	w := make([]Weight, len(b.Items))
	for i := range w {
		w[i] = b.ItemWeight(i)
	}
	return w
}

// insert appends an item to b.
func (e *Editor) insert(b *Bucket, id int32, weight Weight) error {
	name := e.m.Names[b.ID]
	if slices.Contains(b.Items, id) {
		return fmt.Errorf("%s in %s: %w", e.m.Names[id], name, ErrExists)
	}
	if below := e.m.Bucket(id); below != nil && e.lies(b.ID, below, 0) {
		return fmt.Errorf("%s would lie in itself: %w", e.m.Names[id], ErrInvalid)
	}
	e.editArgs(b.ID, func(a *ChooseArg) {
		for i := range a.WeightSet {
			a.WeightSet[i] = append(a.WeightSet[i], weight)
		}
		if len(a.IDs) > 0 {
			a.IDs = append(a.IDs, id)
		}
	})
	weights := append(b.itemWeights(), weight)
	b.Items = append(b.Items, id)
	return e.settle(b, weights, 0)
}

// delete removes the i-th item of b.
func (e *Editor) delete(b *Bucket, i int) error {
	e.editArgs(b.ID, func(a *ChooseArg) {
		for p := range a.WeightSet {
			a.WeightSet[p] = slices.Delete(a.WeightSet[p], i, i+1)
		}
		if len(a.IDs) > 0 {
			a.IDs = slices.Delete(a.IDs, i, i+1)
		}
	})
	weights := slices.Delete(b.itemWeights(), i, i+1)
	b.Items = slices.Delete(b.Items, i, i+1)
	return e.settle(b, weights, 0)
}

// reweigh gives the i-th item of b another weight.
func (e *Editor) reweigh(b *Bucket, i int, weight Weight) error {
	e.editArgs(b.ID, func(a *ChooseArg) {
		for p := range a.WeightSet {
			a.WeightSet[p][i] = weight
		}
	})
	weights := b.itemWeights()
	weights[i] = weight
	if b.Alg == Uniform {
		for j := range weights { // it has one weight for all
			weights[j] = weight
		}
	}
	return e.settle(b, weights, 0)
}

// editArgs changes what the choose_args sets have for a bucket.
func (e *Editor) editArgs(id int32, f func(*ChooseArg)) {
	for _, args := range e.m.ChooseArgs {
		if a, ok := args[id]; ok {
			f(&a)
			args[id] = a
		}
	}
}

// settle gives b its weights and tells all that b lies in: a parent's weight for b,
// in its weight sets as well, is the sum of b's own.
func (e *Editor) settle(b *Bucket, weights []Weight, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("bucket %s: more than %d levels, or a loop: %w", e.m.Names[b.ID], maxDepth, ErrInvalid)
	}
	if err := b.setWeights(weights, e.m.Tunables.StrawVersion); err != nil {
		return fmt.Errorf("bucket %s: %w", e.m.Names[b.ID], err)
	}
	for _, p := range e.m.Buckets {
		if p == nil {
			continue
		}
		i := slices.Index(p.Items, b.ID)
		if i < 0 {
			continue
		}
		for _, args := range e.m.ChooseArgs {
			for position, row := range args[p.ID].WeightSet {
				row[i] = b.weightAt(args, position)
			}
		}
		above := p.itemWeights()
		above[i] = b.Weight
		if err := e.settle(p, above, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// weightAt returns the weight of b in a choose_args set.
func (b *Bucket) weightAt(args map[int32]ChooseArg, position int) Weight {
	sets := args[b.ID].WeightSet
	if len(sets) == 0 {
		return b.Weight
	}
	sum := Weight(0)
	for _, w := range sets[min(position, len(sets)-1)] {
		sum += w
	}
	return sum
}
