package crush

import (
	"errors"
	"fmt"
	"slices"
)

// ErrImpossible is wrapped when no placement contains the wanted device.
var ErrImpossible = errors.New("no such placement")

// MapWith returns a placement that follows the rule and contains device. That is
// the usual one if it does; else the device takes the first position of the steps
// that lead to it, and the others are chosen around it. The error wraps
// ErrImpossible and says why there is none: the device is out or has no weight, no
// step leads to it, or others fill the placement before it.
func (p *Mapper) MapWith(w *Work, req Request, device int32) (Result, error) {
	r := p.Map(w, req)
	if slices.Contains(r.Devices, device) {
		return r, nil
	}
	no := func(why string) (Result, error) {
		return Result{Short: true}, fmt.Errorf("device %d %s: %w", device, why, ErrImpossible)
	}
	switch {
	case req.Rule < 0 || req.Rule >= len(p.rules) || p.rules[req.Rule] == nil:
		return no(fmt.Sprintf("by rule %d, which is not there", req.Rule))
	case device < 0 || device >= p.maxDevices:
		return no("is not in the map")
	case w.isOut(device):
		return no("is out")
	}
	reached := false
	steps := p.rules[req.Rule].Steps
	for i, step := range steps {
		if step.Op != Take {
			continue
		}
		path := p.path(step.Arg1, device, steps[i+1:])
		if path == nil {
			continue
		}
		reached = true
		w.force = append(w.force[:0], path...)
		if r := p.run(w, req); slices.Contains(r.Devices, device) {
			return r, nil
		}
	}
	if reached {
		return no("comes after the placement is full")
	}
	return no("is not where the rule looks, or has no weight there")
}

// path returns the items from root down to device by which steps, up to their
// first Emit, can choose it; nil if there is none.
func (p *Mapper) path(root, device int32, steps []Step) []int32 {
	var types []int32 // what has to come on the way, in this order
	for _, s := range steps {
		if s.Op == Emit || s.Op == Take {
			break
		}
		switch s.Op {
		case ChooseFirstN, ChooseIndep:
			types = append(types, s.Arg2)
		case ChooseLeafFirstN, ChooseLeafIndep:
			types = append(types, s.Arg2)
			if s.Arg2 != 0 {
				types = append(types, 0)
			}
		}
	}
	type state struct {
		id   int32
		done int // types met
	}
	seen := map[state]bool{} // a map may have loops and many ways to one bucket
	var way []int32
	var walk func(s state) bool
	walk = func(s state) bool {
		if seen[s] {
			return false
		}
		seen[s] = true
		way = append(way, s.id)
		if s.id == device && s.done == len(types) {
			return true
		}
		if b := p.bucket(s.id); b != nil && s.done < len(types) {
			for i, item := range b.items {
				typ, ok := p.typeOf(item)
				if !ok || b.weight(i) == 0 {
					continue
				}
				next := state{item, s.done}
				if typ == types[s.done] {
					next.done++
				}
				if walk(next) {
					return true
				}
			}
		}
		way = way[:len(way)-1]
		return false
	}
	if !walk(state{root, 0}) {
		return nil
	}
	return way
}

// weight returns the weight of the i-th item.
func (b *node) weight(i int) Weight {
	switch b.alg {
	case Straw2:
		return b.draws[i].weight
	case Uniform:
		return b.weights[0]
	}
	return b.weights[i]
}

// forced returns the item of that type that has to be chosen in b, if one has to.
func (w *Work) forced(b *node, typ int32) (int32, bool) {
	if len(w.force) == 0 {
		return 0, false
	}
	at := slices.Index(w.force, b.id)
	if at < 0 {
		return 0, false
	}
	for _, item := range w.force[at+1:] {
		if t, _ := w.p.typeOf(item); t == typ {
			return item, true
		}
	}
	return 0, false
}

// forcedDevice returns the device a forced path ends at.
func (w *Work) forcedDevice() int32 { return w.force[len(w.force)-1] }
