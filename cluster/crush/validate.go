package crush

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Validate returns everything that is wrong with m, joined, each part wrapping
// ErrInvalid: a map that decodes, and that any mapping survives, may still place
// data badly or nowhere. A monitor takes no map that does not pass.
func (m *Map) Validate() error {
	if err := m.Check(); err != nil {
		return err
	}
	v := &validator{m: m}
	v.names()
	for _, b := range m.Buckets {
		if b != nil {
			v.bucket(b)
		}
	}
	v.loops()
	for id, r := range m.Rules {
		if r != nil {
			v.rule(id, r)
		}
	}
	v.classes()
	return errors.Join(v.errs...)
}

type validator struct {
	m    *Map
	errs []error
}

func (v *validator) f(format string, args ...any) {
	v.errs = append(v.errs, fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrInvalid))
}

// called names an item for a message.
func (v *validator) called(id int32) string {
	if n := v.m.Names[id]; n != "" {
		return fmt.Sprintf("%s (%d)", n, id)
	}
	return fmt.Sprintf("item %d", id)
}

func (v *validator) names() {
	for _, table := range []struct {
		what  string
		names map[int32]string
	}{{"type", v.m.Types}, {"item", v.m.Names}, {"rule", v.m.RuleNames}, {"class", v.m.ClassNames}} {
		seen := map[string]int32{}
		for _, id := range slices.Sorted(maps.Keys(table.names)) {
			name := table.names[id]
			if !validWord(name) {
				v.f("%s %d: name %q has characters other than letters, digits, - _ . and ~", table.what, id, name)
			}
			if other, twice := seen[name]; twice {
				v.f("%s %s is the name of %d and %d", table.what, name, other, id)
			}
			seen[name] = id
		}
	}
	for _, id := range slices.Sorted(maps.Keys(v.m.Names)) {
		if id < 0 && v.m.Bucket(id) == nil {
			v.f("%s is a name of a bucket that is not there", v.called(id))
		}
	}
}

func (v *validator) bucket(b *Bucket) {
	m := v.m
	who := "bucket " + v.called(b.ID)
	if m.Names[b.ID] == "" {
		v.f("%s has no name", who)
	}
	if _, ok := m.Types[int32(b.Type)]; !ok || b.Type == 0 {
		v.f("%s is of type %d, which is none of buckets", who, b.Type)
	}
	seen := map[int32]bool{}
	for _, item := range b.Items {
		switch {
		case item >= m.MaxDevices:
			v.f("%s: device %d is beyond max_devices %d", who, item, m.MaxDevices)
		case item < 0 && m.Bucket(item) == nil:
			v.f("%s: %s is not there", who, v.called(item))
		case seen[item]:
			v.f("%s: %s is in it twice", who, v.called(item))
		}
		seen[item] = true
	}
	switch sum, ok := b.sum(); {
	case !ok:
		v.f("%s: the weights of its items add up to more than %d", who, 0xffff)
	case sum != b.Weight:
		v.f("%s: weight %s, its items have %s", who, formatWeight(b.Weight), formatWeight(sum))
	}
	if b.Alg == List || b.Alg == Tree {
		c := Bucket{Alg: b.Alg, Items: b.Items, Weights: b.Weights}
		if err := c.derive(0); err != nil || !slices.Equal(c.Derived, b.Derived) {
			v.f("%s: sums that its weights do not have", who)
		}
	}
}

// loops finds buckets that lie in themselves, each loop once.
func (v *validator) loops() {
	const open, done = 1, 2
	state := map[int32]int{}
	// A stack of our own: a bad map may be as deep as it is long.
	type frame struct {
		b    *Bucket
		next int
	}
	for _, start := range v.m.Buckets {
		if start == nil || state[start.ID] != 0 {
			continue
		}
		stack := []frame{{start, 0}}
		state[start.ID] = open
		for len(stack) > 0 {
			f := &stack[len(stack)-1]
			if f.next == len(f.b.Items) {
				state[f.b.ID] = done
				stack = stack[:len(stack)-1]
				continue
			}
			item := f.b.Items[f.next]
			f.next++
			b := v.m.Bucket(item)
			switch {
			case b == nil || state[item] == done:
			case state[item] == open:
				v.f("bucket %s lies in itself, by way of %s", v.called(item), v.called(f.b.ID))
			default:
				state[item] = open
				stack = append(stack, frame{b, 0})
			}
		}
	}
}

func (v *validator) rule(id int, r *Rule) {
	m := v.m
	name := m.RuleNames[int32(id)]
	who := fmt.Sprintf("rule %d", id)
	if name == "" {
		v.f("%s has no name", who)
	} else {
		who = fmt.Sprintf("rule %s (%d)", name, id)
	}
	if int(r.Ruleset) != id {
		v.f("%s: ruleset %d", who, r.Ruleset)
	}
	if _, ok := ruleTypes[r.Type]; !ok {
		v.f("%s: type %d", who, r.Type)
	}
	if r.MinSize > r.MaxSize {
		v.f("%s: min_size %d > max_size %d", who, r.MinSize, r.MaxSize)
	}
	took, emits := false, false
	for i, s := range r.Steps {
		_, known := opNames[s.Op]
		switch {
		case !known:
			v.f("%s: step %d is of unknown operation %d", who, i, s.Op)
		case s.Op == Take:
			took = true
			if s.Arg1 >= m.MaxDevices || s.Arg1 < 0 && m.Bucket(s.Arg1) == nil {
				v.f("%s: step %d takes %s, which is not there", who, i, v.called(s.Arg1))
			}
		case s.Op.chooses():
			if _, ok := m.Types[s.Arg2]; !ok {
				v.f("%s: step %d chooses type %d, which is not there", who, i, s.Arg2)
			}
			if !took {
				v.f("%s: step %d chooses before anything is taken", who, i)
			}
		case s.Op == Emit:
			emits = true
		}
	}
	if !emits {
		v.f("%s emits nothing", who)
	}
}

func (v *validator) classes() {
	m := v.m
	for _, id := range slices.Sorted(maps.Keys(m.Classes)) {
		if _, ok := m.ClassNames[m.Classes[id]]; !ok {
			v.f("%s is of class %d, which has no name", v.called(id), m.Classes[id])
		}
		if id < 0 && m.Bucket(id) == nil {
			v.f("%s has a class and is not there", v.called(id))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.Shadows)) {
		if m.Bucket(id) == nil {
			v.f("bucket %d has shadows and is not there", id)
			continue
		}
		for _, class := range slices.Sorted(maps.Keys(m.Shadows[id])) {
			shadow := m.Shadows[id][class]
			if c, ok := m.Classes[shadow]; m.Bucket(shadow) == nil || !ok || c != class {
				v.f("bucket %s: its shadow %d of class %d is not one", v.called(id), shadow, class)
			}
		}
	}
}
