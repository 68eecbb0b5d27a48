package crush

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Decompile returns the text of m as people edit it and Compile reads it. Weights
// have three decimals there: who moves a map to another place takes the binary.
// It fails if a name could not be read back.
func (m *Map) Decompile() ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	for _, names := range []map[int32]string{m.Types, m.Names, m.RuleNames, m.ClassNames} {
		for _, id := range slices.Sorted(maps.Keys(names)) {
			if !validWord(names[id]) {
				return nil, fmt.Errorf("name %q of %d cannot stand in a text: %w", names[id], id, ErrInvalid)
			}
		}
	}
	d := &decompiler{m: m, done: map[int32]bool{}}
	d.tunables()
	d.names()
	for _, b := range m.Buckets {
		if err := d.bucket(b, 0); err != nil {
			return nil, err
		}
	}
	d.f("\n# rules\n")
	for id, r := range m.Rules {
		if r != nil {
			if err := d.rule(id, r); err != nil {
				return nil, err
			}
		}
	}
	if len(m.ChooseArgs) > 0 {
		d.f("\n# choose_args\n")
	}
	for _, set := range slices.Sorted(maps.Keys(m.ChooseArgs)) {
		d.args(set)
	}
	d.f("\n# end crush map\n")
	return d.out, nil
}

type decompiler struct {
	m    *Map
	out  []byte
	done map[int32]bool // buckets that are written
}

func (d *decompiler) f(format string, args ...any) { d.out = fmt.Appendf(d.out, format, args...) }

// formatWeight prints a weight as Ceph does, which divides in single precision.
func formatWeight(w Weight) string {
	return strconv.FormatFloat(float64(float32(w)/float32(One)), 'f', 3, 64)
}

// tunable is one tunable as the text names it.
type tunable struct {
	name string
	get  func(*Tunables) uint32
	set  func(*Tunables, uint32)
	max  uint32
}

// tunables in the order of the text.
var tunables = []tunable{
	{"choose_local_tries", func(t *Tunables) uint32 { return t.LocalTries }, func(t *Tunables, v uint32) { t.LocalTries = v }, 1<<32 - 1},
	{"choose_local_fallback_tries", func(t *Tunables) uint32 { return t.LocalFallbackTries }, func(t *Tunables, v uint32) { t.LocalFallbackTries = v }, 1<<32 - 1},
	{"choose_total_tries", func(t *Tunables) uint32 { return t.TotalTries }, func(t *Tunables, v uint32) { t.TotalTries = v }, 1<<32 - 1},
	{"chooseleaf_descend_once", func(t *Tunables) uint32 { return t.DescendOnce }, func(t *Tunables, v uint32) { t.DescendOnce = v }, 1<<32 - 1},
	{"chooseleaf_vary_r", func(t *Tunables) uint32 { return uint32(t.VaryR) }, func(t *Tunables, v uint32) { t.VaryR = uint8(v) }, 255},
	{"chooseleaf_stable", func(t *Tunables) uint32 { return uint32(t.Stable) }, func(t *Tunables, v uint32) { t.Stable = uint8(v) }, 255},
	{"straw_calc_version", func(t *Tunables) uint32 { return uint32(t.StrawVersion) }, func(t *Tunables, v uint32) { t.StrawVersion = uint8(v) }, 255},
	{"allowed_bucket_algs", func(t *Tunables) uint32 { return t.AllowedAlgs }, func(t *Tunables, v uint32) { t.AllowedAlgs = v }, 1<<32 - 1},
}

func (d *decompiler) tunables() {
	d.f("# begin crush map\n")
	legacy := LegacyTunables()
	for _, t := range tunables {
		if v := t.get(&d.m.Tunables); v != t.get(&legacy) {
			d.f("tunable %s %d\n", t.name, v)
		}
	}
}

func (d *decompiler) names() {
	m := d.m
	d.f("\n# devices\n")
	for _, id := range slices.Sorted(maps.Keys(m.Names)) {
		if id < 0 || id >= m.MaxDevices {
			continue
		}
		d.f("device %d %s", id, m.Names[id])
		if c, ok := m.Classes[id]; ok {
			d.f(" class %s", m.ClassNames[c])
		}
		d.f("\n")
	}
	d.f("\n# types\n")
	for _, id := range slices.Sorted(maps.Keys(m.Types)) {
		d.f("type %d %s\n", id, m.Types[id])
	}
	d.f("\n# buckets\n")
}

// name returns how an item is called in the text.
func (d *decompiler) name(id int32) string {
	if n, ok := d.m.Names[id]; ok {
		return n
	}
	if id >= 0 {
		return fmt.Sprintf("device%d", id)
	}
	return fmt.Sprintf("bucket%d", -1-id)
}

func (d *decompiler) typeName(id int32) string {
	if n, ok := d.m.Types[id]; ok {
		return n
	}
	return fmt.Sprintf("type%d", id)
}

// bucket writes b behind the buckets in it. Shadows follow from the others.
func (d *decompiler) bucket(b *Bucket, depth int) error {
	m := d.m
	if b == nil || d.done[b.ID] || m.IsShadow(b.ID) {
		return nil
	}
	if depth > maxDepth {
		return fmt.Errorf("bucket %d: more than %d levels, or a loop: %w", b.ID, maxDepth, ErrInvalid)
	}
	for _, item := range b.Items {
		if item < 0 {
			if m.Bucket(item) == nil {
				return fmt.Errorf("bucket %d: item %d is not there: %w", b.ID, item, ErrInvalid)
			}
			if err := d.bucket(m.Bucket(item), depth+1); err != nil {
				return err
			}
		}
	}
	d.done[b.ID] = true
	const keep = "\t\t# do not change unnecessarily\n"
	d.f("%s %s {\n\tid %d%s", d.typeName(int32(b.Type)), d.name(b.ID), b.ID, keep)
	for _, class := range slices.Sorted(maps.Keys(m.Shadows[b.ID])) {
		d.f("\tid %d class %s%s", m.Shadows[b.ID][class], m.ClassNames[class], keep)
	}
	d.f("\t# weight %s\n\talg %s", formatWeight(b.Weight), b.Alg)
	switch b.Alg {
	case Uniform:
		d.f("\t# do not change bucket size (%d) unnecessarily", len(b.Items))
	case List:
		d.f("\t# add new items at the end; do not change order unnecessarily")
	case Tree:
		d.f("\t# do not change pos for existing items unnecessarily")
	}
	d.f("\n\thash 0\t# rjenkins1\n")
	for i, item := range b.Items {
		d.f("\titem %s weight %s", d.name(item), formatWeight(b.ItemWeight(i)))
		if b.Alg == Uniform || b.Alg == Tree {
			d.f(" pos %d", i)
		}
		d.f("\n")
	}
	d.f("}\n")
	return nil
}

var ruleTypes = map[RuleType]string{Replicated: "replicated", Erasure: "erasure"}

func (d *decompiler) rule(id int, r *Rule) error {
	m := d.m
	name, ok := m.RuleNames[int32(id)]
	if !ok {
		name = fmt.Sprintf("rule%d", id)
	}
	typ, ok := ruleTypes[r.Type]
	if !ok {
		typ = strconv.Itoa(int(r.Type))
	}
	d.f("rule %s {\n\tid %d\n", name, id)
	if int(r.Ruleset) != id {
		d.f("\t# WARNING: ruleset %d is not the id\n", r.Ruleset)
	}
	d.f("\ttype %s\n\tmin_size %d\n\tmax_size %d\n", typ, r.MinSize, r.MaxSize)
	for _, s := range r.Steps {
		word, ok := opNames[s.Op]
		switch {
		case !ok:
			return fmt.Errorf("rule %s: unknown operation %d: %w", name, s.Op, ErrInvalid)
		case s.Op == Take:
			d.f("\tstep take %s\n", d.takes(s.Arg1))
		case s.Op.chooses():
			d.f("\tstep %s %d type %s\n", strings.Replace(word, "_", " ", 1), s.Arg1, d.typeName(s.Arg2))
		case s.Op.sets():
			d.f("\tstep %s %d\n", word, s.Arg1)
		default:
			d.f("\tstep %s\n", word)
		}
	}
	d.f("}\n")
	return nil
}

// takes names what a take takes: a shadow as its bucket and class.
func (d *decompiler) takes(id int32) string {
	name := d.name(id)
	if d.m.IsShadow(id) {
		if bucket, class, ok := strings.Cut(name, "~"); ok {
			return bucket + " class " + class
		}
	}
	return name
}

func (d *decompiler) args(set int64) {
	d.f("choose_args %d {\n", uint64(set))
	args := d.m.ChooseArgs[set]
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(args))) {
		a := args[id]
		d.f("  {\n    bucket_id %d\n", id)
		if len(a.WeightSet) > 0 {
			d.f("    weight_set [\n")
			for _, weights := range a.WeightSet {
				d.f("      [ ")
				for _, w := range weights {
					d.f("%s ", formatWeight(w))
				}
				d.f("]\n")
			}
			d.f("    ]\n")
		}
		if len(a.IDs) > 0 {
			d.f("    ids [ ")
			for _, v := range a.IDs {
				d.f("%d ", v)
			}
			d.f("]\n")
		}
		d.f("  }\n")
	}
	d.f("}\n")
}
