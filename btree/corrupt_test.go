package btree

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// smallTree is two levels with every kind of item.
func smallTree(t testing.TB) *model {
	cfg := &Config{Name: "small", Kind: 4, FSID: 0xf51d, LeafBytes: 4096, InnerBytes: 4096, OverflowBytes: 100}
	m := newModel(cfg)
	for i := range 110 {
		m.put(fmt.Appendf(nil, "object/%04d", i*3), make([]byte, 20+i%80))
	}
	m.put([]byte("object/long"), make([]byte, 5000))
	m.freeze()
	root, err := m.t.Reconcile(bg, m.s)
	if err != nil {
		t.Fatal(err)
	}
	m.t.Publish(root)
	if nodes, _ := m.s.Len(); nodes != 3 {
		t.Fatalf("%d nodes", nodes)
	}
	return m
}

func (m *model) verify() error {
	return Verify(bg, m.s, m.cfg, &m.t.own, m.t.Root())
}

// caught says whether err is what damage of a page may give.
func caught(err error) bool { return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnsupported) }

// TestEveryByte changes every byte of every page of a small tree.
func TestEveryByte(t *testing.T) {
	m := smallTree(t)
	for _, addr := range m.s.Addrs() {
		good := m.s.Node(addr)
		for i := range good {
			for _, x := range []byte{1, 0xff} {
				m.s.Corrupt(addr, func(p []byte) []byte { p[i] ^= x; return p })
				if err := m.verify(); !caught(err) {
					t.Fatalf("node %d byte %d ^ %#x: verify says %v", addr, i, x, err)
				}
				if i%61 == 0 { // no read may return anything wrong
					for k, want := range m.want {
						v, ok, err := m.t.Get(bg, []byte(k), nil)
						if err == nil && (!ok || string(v) != want) || err != nil && !caught(err) {
							t.Fatalf("node %d byte %d: get %q = %q, %v, %v", addr, i, k, v, ok, err)
						}
					}
				}
				m.s.Corrupt(addr, func([]byte) []byte { return good })
			}
		}
	}
	if err := m.verify(); err != nil {
		t.Fatal(err)
	}
}

// TestEveryByteForged changes every byte and makes the checksum right: the
// parent's copy of it catches that, and no reader leaves the page.
func TestEveryByteForged(t *testing.T) {
	m := smallTree(t)
	for _, addr := range m.s.Addrs() {
		good := m.s.Node(addr)
		for i := range good {
			for _, x := range []byte{1, 0xff} {
				bad := slices.Clone(good)
				bad[i] ^= x
				fixCRC(bad)
				if i >= 4 && i < 8 {
					continue
				}
				m.s.Corrupt(addr, func([]byte) []byte { return bad })
				if err := m.verify(); !caught(err) {
					t.Fatalf("node %d byte %d ^ %#x: verify says %v", addr, i, x, err)
				}
				useAll(bad)
			}
		}
		m.s.Corrupt(addr, func([]byte) []byte { return good })
	}
}

// useAll does with a page whatever a reader may do.
func useAll(buf []byte) {
	p, err := ParsePage(buf)
	if err != nil {
		return
	}
	p.Fences()
	p.Identity()
	for i := range p.Len() {
		if p.inner {
			p.Child(i)
			if i+1 < p.n {
				p.AppendKey(nil, i)
				p.search(p.appendKey(nil, i))
			}
			continue
		}
		k := p.AppendKey(nil, i)
		p.search(k)
		if val, over := p.Value(i); over {
			overflowExtents(val)
		}
		p.itemBytes(i)
	}
	p.search(nil)
	p.search([]byte("object/0012"))
	p.childOf([]byte{0xff, 0xff})
	_ = p.checkOrder(0)
}

// TestMisplaced puts whole, valid pages where they do not belong.
func TestMisplaced(t *testing.T) {
	m := smallTree(t)
	addrs := m.s.Addrs()
	leaf, other, inner := addrs[0], addrs[1], addrs[2]
	a, b, c := m.s.Node(leaf), m.s.Node(other), m.s.Node(inner)
	put := func(addr uint64, p []byte) { m.s.Corrupt(addr, func([]byte) []byte { return p }) }
	forge := func(p []byte, off int, v byte) []byte {
		q := slices.Clone(p)
		q[off] = v
		fixCRC(q)
		return q
	}
	for _, tc := range []struct {
		name  string
		pages [3][]byte
	}{
		{"leaves swapped", [3][]byte{b, a, c}},
		{"inner node in place of a leaf", [3][]byte{c, b, c}},
		{"leaf in place of the root", [3][]byte{a, b, a}},
		{"zeros", [3][]byte{make([]byte, len(a)), b, c}},
		{"lost write: an older page", [3][]byte{forge(a, 32, 0), b, c}},
		{"other file system", [3][]byte{forge(a, 16, 9), b, c}},
		{"other kind of tree", [3][]byte{forge(a, 40, 9), b, c}},
		{"other owner", [3][]byte{forge(a, 56, 9), b, c}},
		{"too short", [3][]byte{a[:len(a)-1], b, c}},
		{"nothing", [3][]byte{{}, b, c}},
	} {
		put(leaf, tc.pages[0])
		put(other, tc.pages[1])
		put(inner, tc.pages[2])
		if err := m.verify(); !caught(err) {
			t.Errorf("%s: verify says %v", tc.name, err)
		}
	}
	put(leaf, a)
	put(other, b)
	put(inner, c)
	if err := m.verify(); err != nil {
		t.Error(err)
	}
	// The owner's id is compared, its key is not: renames keep pages.
	renamed := m.t.own
	renamed.Key[0] = 'x'
	if err := Verify(bg, m.s, m.cfg, &renamed, m.t.Root()); err != nil {
		t.Errorf("renamed owner: %v", err)
	}
	other2 := Owner{ID: 77}
	if err := Verify(bg, m.s, m.cfg, &other2, m.t.Root()); !caught(err) {
		t.Errorf("other owner: %v", err)
	}
}

// TestWalkGoesOn checks that a walk reports damage and sees the rest.
func TestWalkGoesOn(t *testing.T) {
	cfg := &Config{Name: "walk", Kind: 1, LeafBytes: 4096, InnerBytes: 4096}
	m := fill(t, cfg, 3000, constVal("value"))
	bad := m.s.Addrs()[3]
	m.s.Corrupt(bad, func(p []byte) []byte { p[200]++; return p })
	items, damaged := 0, []uint64{}
	err := Walk(bg, m.s, cfg, &m.t.own, m.t.Root(), Visitor{
		Item: func(k, v []byte, ext []BlobExtent) error { items++; return nil },
		Damage: func(n *Node, err error) error {
			var ce *CorruptError
			if !errors.As(err, &ce) || ce.Addr != n.Ptr.Addr || ce.Field != "crc" {
				t.Errorf("damage is %v", err)
			}
			if len(n.Low) == 0 || n.High == nil {
				t.Errorf("damage of [%q, %q)", n.Low, n.High)
			}
			damaged = append(damaged, n.Ptr.Addr)
			return nil
		},
	})
	if err != nil || !slices.Equal(damaged, []uint64{bad}) || items < 2500 || items >= 3000 {
		t.Fatalf("%d items, damaged %v, %v", items, damaged, err)
	}
	if err := m.verify(); !caught(err) {
		t.Fatalf("verify: %v", err)
	}
}

// TestRootBytes changes every byte of descriptors: none makes a reader panic.
func TestRootBytes(t *testing.T) {
	for _, cfg := range modelConfigs {
		m := newModel(cfg)
		for i := range uint64(5) {
			m.put(modelKey(cfg, i, 0), modelVal(cfg, i))
		}
		m.checkpoint(t)
		good := m.t.Root().Append(nil)
		for i := range good {
			for x := 1; x < 256; x += 2 {
				bad := slices.Clone(good)
				bad[i] ^= byte(x)
				useRoot(cfg, bad)
			}
			useRoot(cfg, good[:i])
		}
	}
}

// useRoot decodes p and reads the tree, as far as it is inline.
func useRoot(cfg *Config, p []byte) {
	r, _, err := DecodeRoot(p)
	if err != nil || r.Kind == RootNode {
		return
	}
	s := NewMemStore()
	tree := New(cfg, s, Owner{}, r)
	_ = tree.Iter(bg, nil, nil, func(k, v []byte) bool { return true })
	_, _, _ = tree.Get(bg, modelKey(cfg, 2, 0), nil)
	_ = Verify(bg, s, cfg, &Owner{}, r)
	tree.Put(modelKey(cfg, 2, 0), modelVal(cfg, 2))
	tree.Freeze()
	_, _ = tree.Reconcile(bg, s)
}
