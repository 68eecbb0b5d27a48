package crush

import "fmt"

// Mapper is a map made ready to map with: immutable, its buckets flat.
type Mapper struct {
	maxDevices int32
	buckets    []node // slot i is the bucket -1-i; alg 0 where there is none
	rules      []*Rule
	tunables   Tunables
	args       map[int64]*Args
}

// node is a bucket made ready.
type node struct {
	id      int32
	typ     int32
	alg     Alg
	items   []int32
	weights []Weight
	derived []uint32 // as Bucket.Derived
	draws   []draw   // of straw2
}

// draw is what straw2 needs of an item.
type draw struct {
	id      uint32 // what is hashed
	weight  Weight
	inverse float64 // 1/weight
}

// Args is a prepared set of choose_args. The nil set replaces nothing.
type Args struct {
	buckets map[int32][][]draw // by bucket id, by position
}

// NewMapper prepares m, which it does not keep; only its rules must not be changed
// afterwards. It fails where Check does.
func NewMapper(m *Map) (*Mapper, error) {
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("map with: %w", err)
	}
	p := &Mapper{
		maxDevices: m.MaxDevices,
		buckets:    make([]node, len(m.Buckets)),
		rules:      append([]*Rule(nil), m.Rules...),
		tunables:   m.Tunables,
		args:       make(map[int64]*Args, len(m.ChooseArgs)),
	}
	for i, b := range m.Buckets {
		if b == nil {
			continue
		}
		n := node{id: b.ID, typ: int32(b.Type), alg: b.Alg, items: append([]int32(nil), b.Items...)}
		switch b.Alg {
		case Straw2:
			n.draws = prepareDraws(b.Items, b.Weights)
		default:
			n.weights = append([]Weight(nil), b.Weights...)
			n.derived = append([]uint32(nil), b.Derived...)
		}
		p.buckets[i] = n
	}
	for set, args := range m.ChooseArgs {
		p.args[set] = prepareArgs(m, args)
	}
	return p, nil
}

func prepareArgs(m *Map, args map[int32]ChooseArg) *Args {
	a := &Args{buckets: make(map[int32][][]draw, len(args))}
	for id, arg := range args {
		b := m.Bucket(id)
		if b.Alg != Straw2 {
			continue // the others do not look at them
		}
		ids, sets := b.Items, arg.WeightSet
		if len(arg.IDs) > 0 {
			ids = arg.IDs
		}
		if len(sets) == 0 {
			sets = [][]Weight{b.Weights}
		}
		for _, weights := range sets {
			a.buckets[id] = append(a.buckets[id], prepareDraws(ids, weights))
		}
	}
	return a
}

func prepareDraws(ids []int32, weights []Weight) []draw {
	draws := make([]draw, len(ids))
	for i, id := range ids {
		// Zero has an infinite inverse: such an item never draws less than another.
		draws[i] = draw{uint32(id), weights[i], 1 / float64(weights[i])}
	}
	return draws
}

// Args returns the choose_args of a pool: its own, else the default set, else nil.
func (p *Mapper) Args(pool int64) *Args {
	if a := p.args[pool]; a != nil {
		return a
	}
	return p.args[DefaultArgs]
}

// bucket returns the bucket of that id, nil if there is none.
func (p *Mapper) bucket(id int32) *node {
	if i := -1 - int(id); id < 0 && i < len(p.buckets) && p.buckets[i].alg != 0 {
		return &p.buckets[i]
	}
	return nil
}

// typeOf returns the type of an item; ok is false if it is no item of this map.
func (p *Mapper) typeOf(id int32) (typ int32, ok bool) {
	if id >= 0 {
		return 0, id < p.maxDevices
	}
	if b := p.bucket(id); b != nil {
		return b.typ, true
	}
	return 0, false
}

// FindRule is Map.FindRule.
func (p *Mapper) FindRule(ruleset uint8, typ RuleType, size int) (id int, ok bool) {
	return findRule(p.rules, ruleset, typ, size)
}
