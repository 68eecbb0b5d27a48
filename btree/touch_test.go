package btree

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTouch: a touched node lies elsewhere after the next reconcile, whatever its
// level, no other leaf does without need, and nothing that was in the tree changes.
func TestTouch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, cfg := range modelConfigs {
		m := newModel(cfg)
		m.t.Touch(modelKey(cfg, 1, 900)) // nothing lies anywhere yet
		for n := range uint64(3000) {
			m.put(modelKey(cfg, n*3, 900), modelVal(cfg, n))
		}
		m.checkpoint(t)
		for range 20 {
			before := m.s.Addrs()
			a := before[rnd.IntN(len(before))]
			page, err := ParsePage(m.s.Node(a))
			if err != nil {
				t.Fatal(err)
			}
			if PeekBlocks(m.s.Node(a)[:blockBytes], a) != int(page.Ptr().Blocks) || PeekBlocks(m.s.Node(a)[:blockBytes], a+1) != 0 {
				t.Fatal("the first block of a node does not say how long it is")
			}
			low, _ := page.Fences()
			m.t.Touch(low)
			m.checkpoint(t)
			after := m.s.Addrs()
			if slices.Contains(after, a) {
				t.Fatalf("tree %s: node of level %d at %d is still there", cfg.Name, page.Level(), a)
			}
			stayed := 0
			for _, b := range before {
				if slices.Contains(after, b) {
					stayed++
				}
			}
			if stayed < len(before)/2 {
				t.Errorf("tree %s: of %d nodes %d stayed", cfg.Name, len(before), stayed)
			}
		}
	}
}

// TestTouchDamaged: a touched node that cannot be read stays where it is, and is not
// given up.
func TestTouchDamaged(t *testing.T) {
	for _, cfg := range modelConfigs {
		m := newModel(cfg)
		for n := range uint64(3000) {
			m.put(modelKey(cfg, n*3, 900), modelVal(cfg, n))
		}
		m.checkpoint(t)
		for _, a := range m.s.Addrs() {
			page, err := ParsePage(m.s.Node(a))
			if err != nil || page.Level() != 0 {
				continue
			}
			sound := m.s.Node(a)
			low, _ := page.Fences()
			m.s.Corrupt(a, func(p []byte) []byte { p[10] ^= 0x40; return p })
			m.t.Touch(low)
			m.t.Freeze()
			sink := &giverUp{MemStore: m.s}
			root, err := m.t.Reconcile(bg, sink)
			if err != nil || len(sink.lost) != 0 {
				t.Fatalf("tree %s: %v, lost %v", cfg.Name, err, sink.lost)
			}
			m.t.Publish(root)
			m.s.Corrupt(a, func([]byte) []byte { return sound })
			break
		}
		for k, want := range m.want {
			if v, ok, err := m.t.Get(bg, []byte(k), nil); err != nil || !ok || string(v) != want {
				t.Fatalf("tree %s: key %q: %v %v", cfg.Name, k, ok, err)
			}
		}
	}
}
