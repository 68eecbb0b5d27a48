package crush

import (
	"errors"
	"fmt"
	"math/bits"
)

// ErrInvalid is wrapped by every error about a map that cannot be what it claims
// to be, in whatever form it came.
var ErrInvalid = errors.New("invalid CRUSH map")

// None stands in a placement for a position that has no device.
const None = 0x7fffffff

// undefined marks a position that has not been tried to the end; internal.
const undefined = 0x7ffffffe

// Alg is how a bucket chooses among its items.
type Alg uint8

// The algorithms.
const (
	Uniform Alg = 1 // equal weights, one permutation
	List    Alg = 2 // the newest first; cheap to append to
	Tree    Alg = 3 // a binary tree of sums
	Straw   Alg = 4 // longest straw, of lengths computed beforehand
	Straw2  Alg = 5 // longest straw, drawn by weight; what new maps have
)

var algNames = [...]string{Uniform: "uniform", List: "list", Tree: "tree", Straw: "straw", Straw2: "straw2"}

// String returns the name of a as texts have it.
func (a Alg) String() string {
	if a >= Uniform && int(a) < len(algNames) {
		return algNames[a]
	}
	return fmt.Sprintf("alg%d", a)
}

// algNamed is the opposite of String.
func algNamed(s string) (Alg, bool) {
	for a := Uniform; a <= Straw2; a++ {
		if algNames[a] == s {
			return a, true
		}
	}
	return 0, false
}

// Weight is a fixed point number with 16 bits behind the point; 0x10000 is 1.
type Weight = uint32

// One is the weight 1.
const One Weight = 0x10000

// MakeWeight converts f, and reports whether it is a weight: a number from 0 to
// less than 65536.
func MakeWeight(f float64) (Weight, bool) {
	if !(f >= 0 && f < 1<<16) { // nor is it NaN
		return 0, false
	}
	return Weight(f * float64(One)), true
}

// Bucket is an inner node of the tree: a host, a rack, a root.
type Bucket struct {
	ID     int32 // < 0
	Type   uint16
	Alg    Alg
	Weight Weight // of all items, as the parent sees it; zero-weight parents may differ
	Items  []int32

	// Weights has the weight of each item; one weight for all of a uniform
	// bucket, there even if the bucket is empty.
	Weights []Weight
	// Derived is what Alg needs besides, see derive: List has the sums of the
	// weights up to each item, Tree the weights of all nodes, Straw the lengths.
	Derived []uint32
}

// ItemWeight returns the weight of the i-th item.
func (b *Bucket) ItemWeight(i int) Weight {
	if b.Alg == Uniform {
		return b.Weights[0]
	}
	return b.Weights[i]
}

// Step is one step of a rule.
type Step struct {
	Op         Op
	Arg1, Arg2 int32
}

// Op says what a step does.
type Op uint32

// The operations. Take has an item; Choose a number and a type; Set a value.
const (
	Noop                   Op = 0
	Take                   Op = 1
	ChooseFirstN           Op = 2
	ChooseIndep            Op = 3
	Emit                   Op = 4
	ChooseLeafFirstN       Op = 6
	ChooseLeafIndep        Op = 7
	SetChooseTries         Op = 8
	SetChooseLeafTries     Op = 9
	SetChooseLocalTries    Op = 10
	SetChooseLocalFallback Op = 11
	SetChooseLeafVaryR     Op = 12
	SetChooseLeafStable    Op = 13
)

// RuleType says for which pools a rule is.
type RuleType uint8

// The rule types; their numbers are those of pool types.
const (
	Replicated RuleType = 1
	Erasure    RuleType = 3
)

// Rule turns a number into devices.
type Rule struct {
	Ruleset          uint8 // the rule's own id in every map of our time
	Type             RuleType
	MinSize, MaxSize uint8
	Steps            []Step
}

// ChooseArg replaces what a straw2 bucket draws with.
type ChooseArg struct {
	// WeightSet has, for each position of the result, the weights of all items;
	// later positions use the last. Empty: the bucket's own.
	WeightSet [][]Weight
	// IDs stand for the items in the hash. Empty: the items themselves.
	IDs []int32
}

// DefaultArgs is the choose_args index of pools that have none of their own.
const DefaultArgs = -1

// Map is a CRUSH map as it is stored. Its fields may be read freely; Edit's
// functions keep them consistent when they are changed.
type Map struct {
	MaxDevices int32     // the highest device id and one
	Buckets    []*Bucket // slot i holds the bucket -1-i; nil where there is none
	Rules      []*Rule   // by id; nil where there is none
	Types      map[int32]string
	Names      map[int32]string // of devices, buckets and shadow buckets
	RuleNames  map[int32]string
	Tunables   Tunables

	Classes    map[int32]int32           // device or shadow bucket to class
	ClassNames map[int32]string          // by class
	Shadows    map[int32]map[int32]int32 // bucket to class to shadow bucket

	// ChooseArgs has the sets by pool id, or DefaultArgs; each by bucket id.
	ChooseArgs map[int64]map[int32]ChooseArg
}

// Bucket returns the bucket with that id, nil if there is none.
func (m *Map) Bucket(id int32) *Bucket {
	if i := -1 - int(id); id < 0 && i < len(m.Buckets) {
		return m.Buckets[i]
	}
	return nil
}

// Rule returns the rule with that id, nil if there is none.
func (m *Map) Rule(id int) *Rule {
	if id < 0 || id >= len(m.Rules) {
		return nil
	}
	return m.Rules[id]
}

// FindRule returns the id of the rule that serves pools of that ruleset, type and
// size; ok is false if none does.
func (m *Map) FindRule(ruleset uint8, typ RuleType, size int) (id int, ok bool) {
	return findRule(m.Rules, ruleset, typ, size)
}

func findRule(rules []*Rule, ruleset uint8, typ RuleType, size int) (id int, ok bool) {
	for id, r := range rules {
		if r != nil && r.Ruleset == ruleset && r.Type == typ && int(r.MinSize) <= size && size <= int(r.MaxSize) {
			return id, true
		}
	}
	return 0, false
}

// IsShadow reports whether the bucket id is one of a device class.
func (m *Map) IsShadow(id int32) bool {
	if id >= 0 {
		return false
	}
	_, ok := m.Classes[id]
	return ok
}

// Check returns an error if m breaks I1: a bucket or a choose_args set whose lists
// do not fit. What else may be wrong with a map is Validate's.
func (m *Map) Check() error {
	if m.MaxDevices < 0 || m.MaxDevices > maxDevice+1 {
		return fmt.Errorf("max_devices %d, at most %d fit: %w", m.MaxDevices, maxDevice+1, ErrInvalid)
	}
	for i, b := range m.Buckets {
		if b == nil {
			continue
		}
		if int(b.ID) != -1-i {
			return fmt.Errorf("bucket %d in the place of %d: %w", b.ID, -1-i, ErrInvalid)
		}
		if err := b.check(); err != nil {
			return err
		}
	}
	for set, args := range m.ChooseArgs {
		for id, a := range args {
			if err := m.checkArg(id, a); err != nil {
				return fmt.Errorf("choose_args %d: %w", set, err)
			}
		}
	}
	return nil
}

func (b *Bucket) check() error {
	n := len(b.Items)
	weights, derived := n, 0
	switch b.Alg {
	case Uniform:
		weights = 1
	case List, Straw:
		derived = n
	case Tree:
		derived = treeNodes(n)
		if derived > maxTreeNodes {
			return fmt.Errorf("tree bucket %d of %d items, at most %d fit: %w", b.ID, n, maxTreeItems, ErrInvalid)
		}
	case Straw2:
	default:
		return fmt.Errorf("bucket %d of unknown algorithm %d: %w", b.ID, b.Alg, ErrInvalid)
	}
	if len(b.Weights) != weights || len(b.Derived) != derived {
		return fmt.Errorf("%s bucket %d of %d items with %d weights and %d derived numbers, want %d and %d: %w",
			b.Alg, b.ID, n, len(b.Weights), len(b.Derived), weights, derived, ErrInvalid)
	}
	return nil
}

func (m *Map) checkArg(id int32, a ChooseArg) error {
	b := m.Bucket(id)
	if b == nil {
		return fmt.Errorf("bucket %d is not there: %w", id, ErrInvalid)
	}
	if n := len(a.IDs); n != 0 && n != len(b.Items) {
		return fmt.Errorf("bucket %d: %d ids for %d items: %w", id, n, len(b.Items), ErrInvalid)
	}
	for i, w := range a.WeightSet {
		if len(w) != len(b.Items) {
			return fmt.Errorf("bucket %d: position %d has %d weights for %d items: %w", id, i, len(w), len(b.Items), ErrInvalid)
		}
	}
	return nil
}

// The number of nodes of a tree is stored in a byte, so that a tree of 256 nodes
// cannot be.
const (
	maxTreeNodes = 128
	maxTreeItems = maxTreeNodes / 2
)

// treeNodes returns how many nodes the tree of n items has.
func treeNodes(n int) int {
	if n == 0 {
		return 0
	}
	return 2 << bits.Len(uint(n-1))
}

// InUse returns reweights for a map by itself: One for each device that is in a
// bucket, 0 for others.
func (m *Map) InUse() []Weight {
	w := make([]Weight, m.MaxDevices)
	for _, b := range m.Buckets {
		if b == nil {
			continue
		}
		for _, item := range b.Items {
			if item >= 0 && item < m.MaxDevices {
				w[item] = One
			}
		}
	}
	return w
}
