package crush

import (
	"fmt"
	"math"
	"strconv"
)

// Compile reads the text of a map, as Decompile prints it and people write it:
//
//	tunable NAME VALUE        those not named have the legacy value
//	device ID NAME [class CLASS]
//	type ID NAME
//	TYPE NAME { id -N · id -M class CLASS · alg A · hash 0 · item NAME [weight W] [pos P] … }
//	rule NAME { id N · type replicated|erasure · min_size A · max_size B · step … }
//	choose_args SET { { bucket_id -N · weight_set [ [ W … ] … ] · ids [ N … ] } … }
//
// A name stands before its use. Buckets and rules without an id get the lowest that
// is free; shadow buckets are made.
func Compile(text []byte) (*Map, error) {
	c := &compiler{
		parser: parser{tokens: lex(string(text))},
		m:      &Map{Tunables: LegacyTunables()},
		items:  map[string]int32{}, types: map[string]int32{}, shadows: map[int32]map[int32]int32{},
	}
	for c.err == nil && c.peek() != "" {
		c.section()
	}
	c.classes()
	if c.err != nil {
		return nil, c.err
	}
	return c.m, c.m.Check()
}

type compiler struct {
	parser
	m       *Map
	items   map[string]int32
	types   map[string]int32
	shadows map[int32]map[int32]int32 // ids the text gives to shadows
	classed bool                      // the shadow trees are made
}

func (c *compiler) section() {
	switch word := c.next(); word {
	case "tunable":
		c.tunable()
	case "device":
		c.device()
	case "type":
		id := int32(c.number("a type id", 0, math.MaxUint16))
		name := c.word("a type name")
		if _, twice := c.types[name]; twice || c.m.Types[id] != "" {
			c.failf("type %d %s is there already", id, name)
		}
		c.types[name] = id
		put(&c.m.Types, id, name)
	case "rule":
		c.classes()
		c.rule()
	case "choose_args":
		c.classes()
		c.args()
	default:
		typ, ok := c.types[word]
		if !ok {
			c.failf("%q is no section and no type", word)
			return
		}
		if c.classed {
			c.failf("bucket behind the first rule")
			return
		}
		c.bucket(word, typ)
	}
}

// classes makes the shadow trees, once all buckets are there.
func (c *compiler) classes() {
	if c.classed || c.err != nil {
		return
	}
	c.classed = true
	if err := c.m.buildShadows(c.shadows); err != nil {
		c.fail(err)
	}
	for id, name := range c.m.Names {
		c.items[name] = id
	}
}

func (c *compiler) tunable() {
	name := c.word("a tunable")
	for _, t := range tunables {
		if t.name == name {
			t.set(&c.m.Tunables, uint32(c.number("its value", 0, int64(t.max))))
			return
		}
	}
	c.failf("unknown tunable %q", name)
}

// maxDevice bounds device ids: reweights and other lists have an entry for each. The
// largest clusters have some ten thousand devices.
const maxDevice = 1<<20 - 1

func (c *compiler) device() {
	id := int32(c.number("a device id", 0, maxDevice))
	c.name(id, c.word("a device name"))
	c.m.MaxDevices = max(c.m.MaxDevices, id+1)
	if c.accept("class") {
		put(&c.m.Classes, id, c.m.classID(c.word("a class")))
	}
}

// name makes name that of the item id.
func (c *compiler) name(id int32, name string) {
	if _, twice := c.items[name]; twice {
		c.failf("item %s is there already", name)
		return
	}
	if other, twice := c.m.Names[id]; twice {
		c.failf("item %s has the id %d of %s", name, id, other)
		return
	}
	c.items[name] = id
	put(&c.m.Names, id, name)
}

// maxBuckets bounds bucket ids: the binary form has a slot for each.
const maxBuckets = 1 << 20

// entry is one item line of a bucket.
type entry struct {
	id     int32
	weight Weight
	pos    int // -1: the next
}

func (c *compiler) bucket(typeName string, typ int32) {
	name := c.word("a name of a " + typeName)
	b := &Bucket{Type: uint16(typ)}
	ids := map[int32]int32{} // class to shadow
	var entries []entry
	for c.expect("{"); c.err == nil && !c.accept("}"); {
		switch word := c.next(); word {
		case "id":
			id := int32(c.number("a bucket id", -maxBuckets, -1))
			if c.accept("class") {
				ids[c.m.classID(c.word("a class"))] = id
			} else {
				b.ID = id
			}
		case "alg":
			w := c.word("an algorithm")
			alg, ok := algNamed(w)
			if !ok {
				c.failf("unknown bucket algorithm %q", w)
			}
			b.Alg = alg
		case "hash":
			if w := c.next(); w != "0" && w != "rjenkins1" {
				c.failf("unknown hash %q: there is 0, rjenkins1", w)
			}
		case "item":
			entries = append(entries, c.item(name))
		default:
			c.failf("%q in bucket %s", word, name)
		}
	}
	if b.Alg == 0 {
		c.failf("bucket %s has no alg", name)
	}
	if c.err != nil {
		return
	}
	weights := c.arrange(b, name, entries)
	if err := b.setWeights(weights, c.m.Tunables.StrawVersion); err != nil {
		c.fail(fmt.Errorf("bucket %s: %w", name, err))
	}
	if b.ID == 0 {
		for b.ID = -1; c.m.Bucket(b.ID) != nil; b.ID-- {
		}
	}
	if c.name(b.ID, name); c.err != nil {
		return
	}
	c.m.putBucket(b)
	if len(ids) > 0 {
		c.shadows[b.ID] = ids
	}
}

// item reads "NAME [weight W] [pos P]".
func (c *compiler) item(bucket string) entry {
	name := c.word("an item")
	id, ok := c.items[name]
	if !ok {
		c.failf("item %s of bucket %s is not defined", name, bucket)
	}
	e := entry{id: id, weight: One, pos: -1}
	if b := c.m.Bucket(id); ok && b != nil {
		e.weight = b.Weight
	}
	for c.err == nil {
		switch {
		case c.accept("weight"):
			e.weight = c.weight()
		case c.accept("pos"):
			e.pos = int(c.number("a position", 0, maxDevice))
		default:
			return e
		}
	}
	return e
}

// arrange puts the items where they said they belong, the others in the gaps, and
// returns their weights.
func (c *compiler) arrange(b *Bucket, name string, entries []entry) []Weight {
	n := len(entries)
	b.Items = make([]int32, n)
	weights, full := make([]Weight, n), make([]bool, n)
	place := func(i int, e entry) {
		b.Items[i], weights[i], full[i] = e.id, e.weight, true
	}
	for _, e := range entries {
		if e.pos < 0 {
			continue
		}
		if e.pos >= n || full[e.pos] {
			c.failf("bucket %s: position %d of %s is taken or beyond %d items", name, e.pos, c.m.Names[e.id], n)
			return weights
		}
		place(e.pos, e)
	}
	at := 0
	for _, e := range entries {
		if e.pos >= 0 {
			continue
		}
		for full[at] {
			at++
		}
		place(at, e)
	}
	return weights
}

func (c *compiler) rule() {
	name := c.word("a rule name")
	id, r := int64(-1), &Rule{}
	for c.expect("{"); c.err == nil && !c.accept("}"); {
		switch word := c.next(); word {
		case "id", "ruleset":
			id = c.number("a rule id", 0, math.MaxUint8)
		case "type":
			r.Type = c.ruleType()
		case "min_size":
			r.MinSize = uint8(c.number("a size", 0, math.MaxUint8))
		case "max_size":
			r.MaxSize = uint8(c.number("a size", 0, math.MaxUint8))
		case "step":
			r.Steps = append(r.Steps, c.step())
		default:
			c.failf("%q in rule %s", word, name)
		}
	}
	if c.err != nil {
		return
	}
	if id < 0 {
		for id = 0; c.m.Rule(int(id)) != nil; id++ {
		}
	}
	for _, other := range c.m.RuleNames {
		if other == name {
			c.failf("rule %s is there already", name)
		}
	}
	if r.Type == 0 || id > math.MaxUint8 || c.m.Rule(int(id)) != nil {
		c.failf("rule %s has no type, or its id %d is taken or too large", name, id)
		return
	}
	c.m.putRule(int(id), name, r)
}

func (c *compiler) ruleType() RuleType {
	w := c.next()
	for t, name := range ruleTypes {
		if name == w {
			return t
		}
	}
	n, err := strconv.ParseUint(w, 10, 8)
	if err != nil || n == 0 {
		c.failf("%q where a rule type is due: replicated or erasure", w)
	}
	return RuleType(n)
}

// putRule makes r the rule with that id, which is free.
func (m *Map) putRule(id int, name string, r *Rule) {
	for len(m.Rules) <= id {
		m.Rules = append(m.Rules, nil)
	}
	r.Ruleset = uint8(id)
	m.Rules[id] = r
	put(&m.RuleNames, int32(id), name)
}

func (c *compiler) step() Step {
	switch word := c.word("a step"); word {
	case "take":
		name := c.word("an item")
		if c.accept("class") {
			name = shadowName(name, c.word("a class"))
		}
		id, ok := c.items[name]
		if !ok {
			c.failf("step take %s: there is no such item", name)
		}
		return Step{Op: Take, Arg1: id}
	case "choose", "chooseleaf":
		how := c.word("firstn or indep")
		op, ok := opNamed(word + "_" + how)
		if !ok {
			c.failf("%q where firstn or indep is due", how)
		}
		n := int32(c.number("how many", -math.MaxInt16, math.MaxInt16))
		c.expect("type")
		name := c.word("a type")
		typ, ok := c.types[name]
		if !ok {
			c.failf("step %s: there is no type %s", word, name)
		}
		return Step{op, n, typ}
	default:
		op, ok := opNamed(word)
		if !ok || op.chooses() {
			c.failf("unknown step %q", word)
		}
		s := Step{Op: op}
		if op.sets() {
			s.Arg1 = int32(c.number("its value", 0, math.MaxInt32))
		}
		return s
	}
}

func (c *compiler) args() {
	w := c.next()
	// The default set, -1, is printed without a sign.
	set, err := strconv.ParseInt(w, 10, 64)
	if u, err2 := strconv.ParseUint(w, 10, 64); err != nil && err2 == nil {
		set, err = int64(u), nil
	}
	if err != nil {
		c.failf("%q where a choose_args set is due", w)
		return
	}
	if _, twice := c.m.ChooseArgs[set]; twice {
		c.failf("choose_args %s is there already", w)
	}
	args := map[int32]ChooseArg{}
	put(&c.m.ChooseArgs, set, args)
	for c.expect("{"); c.err == nil && !c.accept("}"); {
		id, a := c.arg()
		if _, twice := args[id]; twice && c.err == nil {
			c.failf("bucket %d comes twice", id)
		}
		if err := c.m.checkArg(id, a); err != nil {
			c.fail(fmt.Errorf("choose_args %s: %w", w, err))
		}
		args[id] = a
	}
}

func (c *compiler) arg() (id int32, a ChooseArg) {
	for c.expect("{"); c.err == nil && !c.accept("}"); {
		switch word := c.next(); word {
		case "bucket_id":
			id = int32(c.number("a bucket id", -maxBuckets, -1))
		case "weight_set":
			for c.expect("["); c.err == nil && !c.accept("]"); {
				row := []Weight{}
				for c.expect("["); c.err == nil && !c.accept("]"); {
					row = append(row, c.weight())
				}
				a.WeightSet = append(a.WeightSet, row)
			}
		case "ids":
			for c.expect("["); c.err == nil && !c.accept("]"); {
				a.IDs = append(a.IDs, int32(c.number("an id", math.MinInt32, math.MaxInt32)))
			}
		default:
			c.failf("%q in choose_args", word)
		}
	}
	return id, a
}
