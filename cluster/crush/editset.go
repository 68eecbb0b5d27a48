package crush

import (
	"fmt"
	"slices"
)

// AddWeightSet makes a set of choose_args: every bucket's weights as they are, for
// so many positions.
func (e *Editor) AddWeightSet(set int64, positions int) error {
	if _, ok := e.m.ChooseArgs[set]; ok {
		return fmt.Errorf("weight set %d: %w", set, ErrExists)
	}
	if positions < 1 {
		return fmt.Errorf("weight set %d of %d positions: %w", set, positions, ErrInvalid)
	}
	args := map[int32]ChooseArg{}
	for _, b := range e.m.Buckets {
		if b == nil || len(b.Items) == 0 {
			continue
		}
		var a ChooseArg
		for range positions {
			a.WeightSet = append(a.WeightSet, b.itemWeights())
		}
		args[b.ID] = a
	}
	put(&e.m.ChooseArgs, set, args)
	return nil
}

// RemoveWeightSet forgets a set of choose_args.
func (e *Editor) RemoveWeightSet(set int64) error {
	if _, ok := e.m.ChooseArgs[set]; !ok {
		return fmt.Errorf("weight set %d: %w", set, ErrNotFound)
	}
	delete(e.m.ChooseArgs, set)
	return nil
}

// ReweightSet sets what an item weighs in a set, one weight for each position, and
// of the buckets above it.
func (e *Editor) ReweightSet(set int64, name string, weights []Weight) error {
	args, ok := e.m.ChooseArgs[set]
	if !ok {
		return fmt.Errorf("weight set %d: %w", set, ErrNotFound)
	}
	id, err := e.find(name)
	if err != nil {
		return err
	}
	return e.reweightSet(args, id, weights, 0)
}

func (e *Editor) reweightSet(args map[int32]ChooseArg, id int32, weights []Weight, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: more than %d levels, or a loop: %w", e.m.Names[id], maxDepth, ErrInvalid)
	}
	for _, b := range e.m.Buckets {
		if b == nil {
			continue
		}
		i := slices.Index(b.Items, id)
		a, ok := args[b.ID]
		if i < 0 || !ok {
			continue
		}
		if len(a.WeightSet) != len(weights) {
			return fmt.Errorf("%d weights for %d positions: %w", len(weights), len(a.WeightSet), ErrInvalid)
		}
		sums := make([]Weight, len(weights))
		for position, row := range a.WeightSet {
			row[i] = weights[position]
			sums[position] = b.weightAt(args, position)
		}
		if err := e.reweightSet(args, b.ID, sums, depth+1); err != nil {
			return err
		}
	}
	return nil
}
