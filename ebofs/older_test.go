package ebofs

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// TestOnodesOfBefore: a store whose onodes an earlier program wrote, as version 1, says
// and does what it did; what is changed is written anew, the rest stays.
func TestOnodesOfBefore(t *testing.T) {
	g := &generator{Rand: rand.New(rand.NewPCG(2, 26)), names: 120, maxSize: 1 << 20}
	mem := newMem(192)
	s := newStore(t, mem, FormatOptions{}, Options{Inline: true})
	m := model{}
	for range 400 {
		g.step(t, s, m)
	}
	mustCheckpoint(t, s)
	if s.super.Features.Incompat&layout.FeatDenseOnodes == 0 {
		t.Fatal("a store with dense onodes does not say so")
	}
	older := map[string][]byte{}
	err := s.objects.Iter(bg, nil, nil, func(key, val []byte) bool {
		on, err := layout.DecodeOnode(slices.Clone(val))
		if err != nil {
			t.Fatal(err)
		}
		older[string(key)] = onodeV1(&on)
		return true
	})
	if err != nil || len(older) < 40 {
		t.Fatalf("%d objects, %v", len(older), err)
	}
	for key, val := range older {
		s.objects.Put([]byte(key), val)
	}
	mustCheckpoint(t, s)
	closeStore(t, s)
	versions := func(s *Store) (n [3]int) {
		err := s.objects.Iter(bg, nil, nil, func(_, val []byte) bool { n[val[1]]++; return true })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	s = open(t, mem, Options{Inline: true})
	if n := versions(s); n != [3]int{1: len(older)} {
		t.Fatalf("onodes by version: %v", n)
	}
	mustCompare(t, s, m) // reads of clean objects, and what is decoded for them
	fsck(t, mem)
	for range 30 {
		g.step(t, s, m)
	}
	mustCompare(t, s, m)
	mustCheckpoint(t, s)
	if n := versions(s); n[1] == 0 || n[2] == 0 {
		t.Fatalf("onodes by version: %v", n)
	}
	mustCompare(t, s, m)
	closeStore(t, s)
	fsck(t, mem)
	s = open(t, mem, Options{Inline: true})
	mustCompare(t, s, m)
	closeStore(t, s)
}

// onodeV1 encodes on as version 1 has it.
func onodeV1(on *layout.Onode) []byte {
	le := binary.LittleEndian
	p := []byte{'O', 1, 1, 0, 0, 0, 0, 0}
	p = le.AppendUint64(p, on.ID)
	p = le.AppendUint64(p, on.Size)
	p = le.AppendUint32(p, on.Flags)
	p = append(p, 0, 0, 0, 0)
	section := func(tag byte, body []byte) {
		if len(body) > 0 {
			p = binary.AppendUvarint(append(p, tag), uint64(len(body)))
			p = append(p, body...)
		}
	}
	root := func(r btree.Root) []byte {
		if r.Kind == btree.RootEmpty {
			return nil
		}
		return r.Append(nil)
	}
	if h := on.Hint; h != (layout.AllocHint{}) {
		section(1, binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, h.ObjectSize), h.WriteSize), uint64(h.Flags)))
	}
	section(2, on.OmapHeader)
	section(3, on.Inline)
	section(4, root(on.Attrs))
	section(5, root(on.Omap))
	section(6, root(on.Extents))
	le.PutUint32(p[4:], uint32(len(p)))
	return p
}
