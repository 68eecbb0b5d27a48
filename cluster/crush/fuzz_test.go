package crush

import (
	"bytes"
	"testing"
)

// mapSome maps with every rule, all devices in and half of them out: whatever the
// map, it ends, and no position holds what is not in the map.
func mapSome(t *testing.T, m *Map) {
	p, err := NewMapper(m)
	if err != nil {
		t.Fatalf("what decoded cannot be mapped with: %v", err)
	}
	var w Work
	weights := make([]Weight, min(m.MaxDevices, 1<<12))
	for i := range weights {
		weights[i] = One * Weight(i%2)
	}
	rules := 0
	for id, r := range m.Rules {
		if r == nil || rules >= 3 { // each may take the time of MaxDraws
			continue
		}
		rules++
		for _, size := range []int{1, 4} {
			req := Request{Rule: id, X: 7, Size: size, Reweights: weights, Args: p.Args(1)}
			res := p.Map(&w, req)
			if len(res.Devices) > size {
				t.Fatalf("rule %d: %d positions for %d", id, len(res.Devices), size)
			}
			for _, d := range res.Devices {
				if _, ok := p.typeOf(d); d != None && !ok {
					t.Fatalf("rule %d: %d is not in the map", id, d)
				}
			}
			_, _ = p.MapWith(&w, req, 1)
		}
	}
}

// again encodes m, decodes that and wants the same bytes back.
func again(t *testing.T, m *Map) []byte {
	p, err := m.Encode()
	if err != nil {
		t.Fatalf("what decoded does not encode: %v", err)
	}
	n, err := Decode(p)
	if err != nil {
		t.Fatalf("what was encoded does not decode: %v", err)
	}
	q, err := n.Encode()
	if err != nil || !bytes.Equal(p, q) {
		t.Fatalf("%x\nthen %x, %v", p, q, err)
	}
	return p
}

// small are the golden maps that make good seeds.
func small(f *testing.F) []golden {
	var list []golden
	for _, g := range goldens(f) {
		if len(g.binary) < 3000 {
			list = append(list, g)
		}
	}
	return list
}

func FuzzDecode(f *testing.F) {
	for _, g := range small(f) {
		f.Add(g.binary)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := Decode(p)
		if err != nil {
			return
		}
		again(t, m)
		mapSome(t, m)
		_ = m.Validate()
		_ = m.Edit(func(e *Editor) error { return e.Reweight("osd.0", One/2) })
	})
}

func FuzzCompile(f *testing.F) {
	for _, g := range small(f) {
		f.Add(g.file(f, ".txt"))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Compile(text)
		if err != nil {
			return
		}
		again(t, m)
		mapSome(t, m)
		one, err := m.Decompile()
		if err != nil {
			return // deeper than a text is written
		}
		n, err := Compile(one)
		if err != nil {
			t.Fatalf("%v in what was decompiled:\n%s", err, one)
		}
		two, err := n.Decompile()
		if err != nil || !bytes.Equal(one, two) {
			t.Fatalf("%s\nthen\n%s\n%v", one, two, err)
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, g := range small(f) {
		d, err := g.decode(f).Dump()
		if err != nil {
			f.Fatal(err)
		}
		p, err := d.JSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := FromJSON(p)
		if err != nil {
			return
		}
		again(t, m)
		mapSome(t, m)
		d, err := m.Dump()
		if err != nil {
			t.Fatal(err)
		}
		one, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		n, err := FromJSON(one)
		if err != nil {
			t.Fatalf("%v in what was dumped: %s", err, one)
		}
		d, err = n.Dump()
		if err != nil {
			t.Fatal(err)
		}
		if two, err := d.JSON(); err != nil || !bytes.Equal(one, two) {
			t.Fatalf("%s\nthen\n%s\n%v", one, two, err)
		}
	})
}

func FuzzXML(f *testing.F) {
	for _, g := range small(f) {
		d, err := g.decode(f).Dump()
		if err != nil {
			f.Fatal(err)
		}
		p, err := d.XML()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := FromXML(p)
		if err != nil {
			return
		}
		again(t, m)
	})
}
