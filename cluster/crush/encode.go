package crush

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"ebofs/cluster/denc"
)

// Encode writes m as Decode reads it, in the one form that Ceph writes.
func (m *Map) Encode() ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("encode crush map: %w", err)
	}
	e := &denc.Encoder{}
	e.U32(magic)
	e.U32(uint32(len(m.Buckets)))
	e.U32(uint32(len(m.Rules)))
	e.I32(m.MaxDevices)
	for _, b := range m.Buckets {
		b.encode(e)
	}
	for _, r := range m.Rules {
		r.encode(e)
	}
	encodeNames(e, m.Types)
	encodeNames(e, m.Names)
	encodeNames(e, m.RuleNames)
	m.Tunables.encode(e)
	encodeInts(e, m.Classes)
	encodeNames(e, m.ClassNames)
	denc.PutMap(e, m.Shadows, (*denc.Encoder).I32, encodeInts)
	denc.PutMap(e, m.ChooseArgs, (*denc.Encoder).I64, encodeArgs)
	return e.Bytes(), nil
}

func encodeNames(e *denc.Encoder, names map[int32]string) {
	denc.PutMap(e, names, (*denc.Encoder).I32, (*denc.Encoder).Str)
}

func encodeInts(e *denc.Encoder, m map[int32]int32) {
	denc.PutMap(e, m, (*denc.Encoder).I32, (*denc.Encoder).I32)
}

func (b *Bucket) encode(e *denc.Encoder) {
	if b == nil {
		e.U32(0)
		return
	}
	e.U32(uint32(b.Alg))
	e.I32(b.ID)
	e.U16(b.Type)
	e.U8(uint8(b.Alg))
	e.U8(0) // the hash: there is one
	e.U32(b.Weight)
	denc.PutSlice(e, b.Items, (*denc.Encoder).I32)
	switch b.Alg {
	case List, Straw:
		for i, w := range b.Weights {
			e.U32(w)
			e.U32(b.Derived[i])
		}
	case Tree:
		e.U8(uint8(len(b.Derived)))
		for _, w := range b.Derived {
			e.U32(w)
		}
	default:
		for _, w := range b.Weights {
			e.U32(w)
		}
	}
}

func (r *Rule) encode(e *denc.Encoder) {
	if r == nil {
		e.U32(0)
		return
	}
	e.U32(1)
	e.U32(uint32(len(r.Steps)))
	e.U8(r.Ruleset)
	e.U8(uint8(r.Type))
	e.U8(r.MinSize)
	e.U8(r.MaxSize)
	for _, s := range r.Steps {
		e.U32(uint32(s.Op))
		e.I32(s.Arg1)
		e.I32(s.Arg2)
	}
}

func (t Tunables) encode(e *denc.Encoder) {
	e.U32(t.LocalTries)
	e.U32(t.LocalFallbackTries)
	e.U32(t.TotalTries)
	e.U32(t.DescendOnce)
	e.U8(t.VaryR)
	e.U8(t.StrawVersion)
	e.U32(t.AllowedAlgs)
	e.U8(t.Stable)
}

// encodeArgs writes the buckets of a set in the order of their slots, which is
// that of falling ids.
func encodeArgs(e *denc.Encoder, args map[int32]ChooseArg) {
	ids := slices.SortedFunc(maps.Keys(args), func(a, b int32) int { return cmp.Compare(b, a) })
	e.U32(uint32(len(ids)))
	for _, id := range ids {
		a := args[id]
		e.I32(-1 - id)
		denc.PutSlice(e, a.WeightSet, func(e *denc.Encoder, w []Weight) { denc.PutSlice(e, w, (*denc.Encoder).U32) })
		denc.PutSlice(e, a.IDs, (*denc.Encoder).I32)
	}
}
