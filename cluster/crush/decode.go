package crush

import (
	"fmt"

	"ebofs/cluster/denc"
)

// magic opens every binary map.
const magic = 0x00010000

// Decode reads a binary map: all of p.
//
//	u32 magic · s32 bucket slots · u32 rule slots · s32 max_devices
//	slots: u32 alg, 0 for none · bucket        (see decodeBucket)
//	slots: u32 there · rule                    (see decodeRule)
//	names of types, items and rules, each a map s32 → string
//	tunables · device classes · choose_args    (each may be missing with all behind)
//
// Golden: cluster/testdata/crush, written by Ceph 16.2.15.
func Decode(p []byte) (*Map, error) {
	d := denc.NewDecoder(p)
	m := decode(d)
	err := d.Finish()
	if err == nil {
		err = m.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("crush map: %w", err)
	}
	return m, nil
}

func decode(d *denc.Decoder) *Map {
	if v := d.U32(); v != magic {
		d.Failf("magic %08x, want %08x", v, magic)
	}
	m := &Map{Tunables: LegacyTunables()}
	buckets, rules := d.U32(), d.U32()
	m.MaxDevices = d.I32()
	if uint64(buckets)*4 > uint64(d.Left()) || uint64(rules)*4 > uint64(d.Left()) {
		d.Failf("%d buckets and %d rules in %d bytes", buckets, rules, d.Left())
		return m
	}
	m.Buckets = make([]*Bucket, buckets)
	for i := range m.Buckets {
		m.Buckets[i] = decodeBucket(d)
	}
	m.Rules = make([]*Rule, rules)
	for i := range m.Rules {
		m.Rules[i] = decodeRule(d)
	}
	m.Types, m.Names, m.RuleNames = decodeNames(d), decodeNames(d), decodeNames(d)
	decodeTunables(d, &m.Tunables)
	if d.Left() == 0 {
		return m
	}
	m.Classes = denc.Map(d, 8, (*denc.Decoder).I32, (*denc.Decoder).I32)
	m.ClassNames = decodeNames(d)
	m.Shadows = denc.Map(d, 8, (*denc.Decoder).I32, func(d *denc.Decoder) map[int32]int32 {
		return denc.Map(d, 8, (*denc.Decoder).I32, (*denc.Decoder).I32)
	})
	if d.Left() == 0 {
		return m
	}
	m.ChooseArgs = denc.Map(d, 12, (*denc.Decoder).I64, func(d *denc.Decoder) map[int32]ChooseArg {
		return denc.Map(d, 12, func(d *denc.Decoder) int32 { return -1 - d.I32() }, decodeArg)
	})
	return m
}

// decodeBucket reads one slot:
//
//	u32 alg, 0 for an empty slot and nothing behind
//	s32 id · u16 type · u8 alg · u8 hash (0) · u32 weight · u32 size · s32 item × size
//	uniform u32 weight · list {u32 weight, u32 sum} × size · tree u8 n, u32 × n ·
//	straw {u32 weight, u32 length} × size · straw2 u32 weight × size
func decodeBucket(d *denc.Decoder) *Bucket {
	alg := d.U32()
	if alg == 0 {
		return nil
	}
	b := &Bucket{ID: d.I32(), Type: d.U16(), Alg: Alg(d.U8())}
	hash := d.U8()
	b.Weight = d.U32()
	b.Items = denc.Slice(d, 4, (*denc.Decoder).I32)
	if d.Err() == nil && (alg != uint32(b.Alg) || hash != 0) {
		d.Failf("bucket %d: algorithm %d and %d, hash %d", b.ID, alg, b.Alg, hash)
	}
	n := len(b.Items)
	switch b.Alg {
	case Uniform:
		b.Weights = []Weight{d.U32()}
	case List, Straw:
		pairs := decodeWords(d, 2*n)
		b.Weights, b.Derived = make([]Weight, 0, n), make([]uint32, 0, n)
		for i := 0; i < len(pairs); i += 2 {
			b.Weights, b.Derived = append(b.Weights, pairs[i]), append(b.Derived, pairs[i+1])
		}
	case Tree:
		// The weights of the items are those of the leaves.
		b.Derived = decodeWords(d, int(d.U8()))
		if d.Err() == nil && len(b.Derived) != treeNodes(n) {
			d.Failf("tree bucket %d: %d nodes for %d items", b.ID, len(b.Derived), n)
			return nil
		}
		b.Weights = make([]Weight, 0, n)
		for i := 1; d.Err() == nil && i < 2*n; i += 2 {
			b.Weights = append(b.Weights, b.Derived[i])
		}
	case Straw2:
		b.Weights = decodeWords(d, n)
	default:
		d.Failf("bucket %d: unknown algorithm %d", b.ID, b.Alg)
	}
	return b
}

// decodeWords reads n words; n comes from a count that was checked or a byte.
func decodeWords(d *denc.Decoder, n int) []uint32 {
	if 4*n > d.Left() {
		d.Failf("%d words in %d bytes", n, d.Left())
		return nil
	}
	words := make([]uint32, n)
	for i := range words {
		words[i] = d.U32()
	}
	return words
}

// decodeRule reads one slot: u32 there (0 or 1), then u32 steps · u8 ruleset ·
// u8 type · u8 min_size · u8 max_size · {u32 op, s32 arg, s32 arg} × steps.
func decodeRule(d *denc.Decoder) *Rule {
	switch there := d.U32(); there {
	case 0:
		return nil
	case 1:
	default:
		d.Failf("rule slot of value %d", there)
		return nil
	}
	steps := d.Count(12)
	r := &Rule{Ruleset: d.U8(), Type: RuleType(d.U8()), MinSize: d.U8(), MaxSize: d.U8()}
	for range steps {
		if d.Err() != nil {
			return nil
		}
		r.Steps = append(r.Steps, Step{Op(d.U32()), d.I32(), d.I32()})
	}
	return r
}

func decodeNames(d *denc.Decoder) map[int32]string {
	return denc.Map(d, 8, (*denc.Decoder).I32, (*denc.Decoder).Str)
}

// decodeTunables reads as many as there are; each release appended some.
func decodeTunables(d *denc.Decoder, t *Tunables) {
	if d.Left() > 0 {
		t.LocalTries, t.LocalFallbackTries, t.TotalTries = d.U32(), d.U32(), d.U32()
	}
	if d.Left() > 0 {
		t.DescendOnce = d.U32()
	}
	if d.Left() > 0 {
		t.VaryR = d.U8()
	}
	if d.Left() > 0 {
		t.StrawVersion = d.U8()
	}
	if d.Left() > 0 {
		t.AllowedAlgs = d.U32()
	}
	if d.Left() > 0 {
		t.Stable = d.U8()
	}
}

// decodeArg reads the weight sets and ids of one bucket:
// u32 positions, each u32 size and as many words · u32 size · s32 × size.
func decodeArg(d *denc.Decoder) ChooseArg {
	return ChooseArg{
		WeightSet: denc.Slice(d, 4, func(d *denc.Decoder) []Weight {
			return denc.Slice(d, 4, (*denc.Decoder).U32)
		}),
		IDs: denc.Slice(d, 4, (*denc.Decoder).I32),
	}
}
