package btree

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// countLoads makes s count node loads by level from now on.
func (s *MemStore) countLoads() {
	s.Loads = [maxLevel + 1]int{}
	s.Trap = func(string) error { return nil }
}

// fill returns a published tree of n keys under cfg.
func fill(t testing.TB, cfg *Config, n int, val func(i int) []byte) *model {
	m := newModel(cfg)
	b := Bulk(bg, cfg, &m.t.own, m.s)
	for i := range n {
		k, v := fmt.Appendf(nil, "key/%07d", i), val(i)
		if err := b.Add(k, v); err != nil {
			t.Fatal(err)
		}
		m.want[string(k)] = string(v)
	}
	root, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	m.t.Publish(root)
	return m
}

func constVal(v string) func(int) []byte { return func(int) []byte { return []byte(v) } }

func (m *model) checkpoint(t fataler) {
	t.Helper()
	m.freeze()
	m.reconcile(t)
	m.publish(t)
}

// TestReconcileTouchesPath checks that one put rewrites one path.
func TestReconcileTouchesPath(t *testing.T) {
	cfg := &Config{Name: "path", Kind: 1, LeafBytes: 4096, InnerBytes: 4096}
	m := fill(t, cfg, 50000, constVal("some value"))
	height := int(m.t.Root().Ptr.Level) + 1
	if height < 3 {
		t.Fatalf("only %d levels", height)
	}
	before := m.s.Addrs()
	m.s.countLoads()
	m.put([]byte("key/0012345"), []byte("other value"))
	m.freeze()
	m.reconcile(t)
	for l, n := range m.s.Loads {
		if want := map[bool]int{true: 1}[l < height]; n != want {
			t.Errorf("level %d: %d loads, want %d", l, n, want)
		}
	}
	m.publish(t)
	after := map[uint64]bool{}
	for _, a := range m.s.Addrs() {
		after[a] = true
	}
	gone := 0
	for _, a := range before {
		if !after[a] {
			gone++
		}
	}
	if gone != height || len(after) != len(before) {
		t.Errorf("%d nodes replaced, %d live of %d, want %d replaced", gone, len(after), len(before), height)
	}
	m.get(t, []byte("key/0012345"))
}

// ahead is a sink that notes what it is told of loads to come.
type ahead struct {
	*MemStore
	told []uint64
}

func (a *ahead) Prefetch(_ *Config, _ *Owner, leaves []Ptr) {
	for _, p := range leaves {
		a.told = append(a.told, p.Addr)
	}
}

// TestPrefetch checks that exactly the leaves a merge reads are announced, in
// order, but for one alone below its parent.
func TestPrefetch(t *testing.T) {
	cfg := &Config{Name: "ahead", Kind: 1, LeafBytes: 4096, InnerBytes: 4096}
	for _, every := range []int{1, 50, 700, 20000} {
		m := fill(t, cfg, 50000, constVal("some value"))
		want := map[uint64]bool{}
		var order []uint64
		for i := 7; i < 50000; i += every {
			k := fmt.Appendf(nil, "key/%07d", i)
			_, page, err := leafOf(bg, cfg, m.s, &m.t.own, m.t.root, k)
			if err != nil {
				t.Fatal(err)
			}
			if a := page.ptr.Addr; !want[a] {
				want[a] = true
				order = append(order, a)
			}
			page.Release()
			m.put(k, []byte("new value!"))
		}
		m.freeze()
		m.s.countLoads()
		sink := &ahead{MemStore: m.s}
		root, err := m.t.Reconcile(bg, sink)
		if err != nil {
			t.Fatal(err)
		}
		m.t.Publish(root)
		if every == 20000 { // three leaves far apart
			if len(sink.told) != 0 {
				t.Errorf("one leaf below each parent, and %d announced", len(sink.told))
			}
		} else if !slices.Equal(sink.told, order) {
			t.Errorf("every %d: %d leaves announced, %d read", every, len(sink.told), len(order))
		}
		if n := m.s.Loads[0]; n != len(order) {
			t.Errorf("every %d: %d leaves read, want %d", every, n, len(order))
		}
		m.check(t, nil, nil)
	}
}

// TestReconcileRange checks that a cleared range costs inner nodes only, but
// for leaves that hold overflow values, and that totals stay exact.
func TestReconcileRange(t *testing.T) {
	cfg := &Config{Name: "range", Kind: 1, LeafBytes: 4096, InnerBytes: 4096, OverflowBytes: 500}
	m := fill(t, cfg, 50000, func(i int) []byte {
		if i%10000 == 5000 {
			return bytes.Repeat([]byte{'x'}, 70000) // 5 values of two runs
		}
		return []byte("value")
	})
	height := int(m.t.Root().Ptr.Level) + 1
	m.s.countLoads()
	m.delRange([]byte("key/0001000"), []byte("key/0049000"))
	m.put([]byte("key/0003000"), []byte("put after the range"))
	m.freeze()
	m.reconcile(t)
	// Both edges, the overflow leaves, and perhaps a neighbour to fill up with.
	if n := m.s.Loads[0]; n < 7 || n > 10 {
		t.Errorf("%d leaves read", n)
	}
	m.publish(t)
	if r := m.t.Root(); r.Count != uint64(len(m.want)) || int(r.Ptr.Level)+1 > height {
		t.Errorf("root %+v for %d keys", r, len(m.want))
	}
	m.check(t, nil, nil)
}

// TestFill checks how full pages are after random churn.
func TestFill(t *testing.T) {
	cfg := &Config{Name: "fill", Kind: 1, LeafBytes: 8192, InnerBytes: 4096}
	m := fill(t, cfg, 20000, constVal("0123456789012345678901234567890123456789"))
	check := func(when string, least float64) {
		t.Helper()
		var used, pages, inner, innerUsed int
		root := m.t.Root()
		err := Walk(bg, m.s, cfg, &m.t.own, root, Visitor{Node: func(n *Node) error {
			if n.Ptr.Level == 0 {
				used, pages = used+n.Used, pages+1
				if n.Used > cfg.LeafBytes*3/2 {
					t.Errorf("%s: leaf of %d bytes", when, n.Used)
				}
			} else if n.Ptr != root.Ptr {
				inner, innerUsed = inner+1, innerUsed+n.Used
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if f := float64(used) / float64(pages*cfg.LeafBytes); f < least {
			t.Errorf("%s: leaves are %.2f full, want %.2f", when, f, least)
		}
		if inner > 0 {
			if f := float64(innerUsed) / float64(inner*cfg.InnerBytes); f < 2.0/3 {
				t.Errorf("%s: inner nodes are %.2f full, want %.2f", when, f, 2.0/3)
			}
		}
	}
	check("bulk", 0.95)
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 15 {
		for range 700 {
			k := fmt.Appendf(nil, "key/%07d%d", rnd.IntN(20000), rnd.IntN(3))
			if rnd.IntN(2) == 0 {
				m.put(k, []byte(strings.Repeat("v", rnd.IntN(80))))
			} else {
				m.del(k)
				m.del(fmt.Appendf(nil, "key/%07d", rnd.IntN(20000)))
			}
		}
		m.checkpoint(t)
		check(fmt.Sprint("round ", round), 2.0/3)
	}
	m.check(t, nil, nil)
}

var errTrap = errors.New("trap")

// TestReconcileFails lets every operation of a reconcile fail in turn.
func TestReconcileFails(t *testing.T) {
	cfg := &Config{Name: "fails", Kind: 1, LeafBytes: 4096, InnerBytes: 4096, OverflowBytes: 300, InlineBytes: 200}
	m := fill(t, cfg, 2000, func(i int) []byte { return bytes.Repeat([]byte{'v'}, i%37*i%37) })
	for i := range 300 {
		m.put(fmt.Appendf(nil, "key/%07d", i*i%2500), bytes.Repeat([]byte{'w'}, i))
	}
	m.delRange([]byte("key/0000500"), []byte("key/0000900"))
	m.del([]byte("key/0001000"))
	m.freeze()
	m.put([]byte("key/late"), []byte("active"))
	failures := 0
	for n := 0; ; n++ {
		restore := m.s.Save()
		left := n
		m.s.Trap = func(op string) error {
			if left--; left < 0 {
				return errTrap
			}
			return nil
		}
		root, err := m.t.Reconcile(bg, m.s)
		m.s.Trap = nil
		if err == nil {
			m.root, m.ready = root, true
			break
		}
		if !errors.Is(err, errTrap) {
			t.Fatalf("failure %d: %v", n, err)
		}
		failures++
		restore()
		if n%17 == 0 {
			m.check(t, nil, nil)
		}
	}
	if failures < 50 {
		t.Fatalf("only %d failures", failures)
	}
	m.check(t, nil, nil)
	m.publish(t)
	m.check(t, nil, nil)
}

// TestDeltaRangeDelete clears a delta of a million entries.
func TestDeltaRangeDelete(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("a million entries")
	}
	tree := New(&Config{Name: "million"}, NewMemStore(), Owner{}, Root{Kind: RootInline, Count: 1})
	const n = 1000000
	for i := range uint64(n) {
		tree.Put(benchKey(nil, i), []byte("0123456789"))
	}
	keep := tree.active.clone()
	best := time.Hour
	for range 5 {
		tree.active = keep.clone()
		start := time.Now()
		tree.DeleteRange(benchKey(nil, 10), benchKey(nil, n-10))
		best = min(best, time.Since(start))
		if c := tree.active.ents.count(); c != 20 {
			t.Fatalf("%d entries left", c)
		}
		if b := tree.DeltaBytes(); b > 4000 {
			t.Fatalf("%d bytes left", b)
		}
	}
	if best > 5*time.Millisecond {
		t.Errorf("range delete of a million delta entries took %v", best)
	}
}

var escaped *Tree // so that it is on the heap

// TestSmallTreesAreSmall bounds what an idle tree and a single change cost.
func TestSmallTreesAreSmall(t *testing.T) {
	cfg := &Config{Name: "small", InlineBytes: 1024}
	s := NewMemStore()
	var key, val = []byte("user.attribute"), make([]byte, 24)
	bytesPer := func(f func()) uint64 {
		const runs = 10000
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			f()
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / runs
	}
	idle := bytesPer(func() { escaped = New(cfg, s, Owner{ID: 1}, Root{}) })
	one := bytesPer(func() { escaped = New(cfg, s, Owner{ID: 1}, Root{}); escaped.Put(key, val) })
	if idle > 160 || one-idle > 300 {
		t.Errorf("an idle tree takes %d bytes, want 160; one entry %d more, want 300", idle, one-idle)
	}
}

// TestDrop frees trees in steps.
func TestDrop(t *testing.T) {
	cfg := &Config{Name: "drop", Kind: 1, LeafBytes: 4096, InnerBytes: 4096, OverflowBytes: 500, InlineBytes: 300}
	for _, n := range []int{0, 3, 100, 30000} {
		for _, withFn := range []bool{false, true} {
			t.Run(fmt.Sprint(n, withFn), func(t *testing.T) {
				m := fill(t, cfg, n, func(i int) []byte {
					if i%5000 == 7 {
						return make([]byte, 600)
					}
					return []byte("v")
				})
				root := m.t.Root()
				keys := m.sorted()
				dropped := 0
				var fn func(k, v []byte) error
				if withFn {
					fn = func(k, v []byte) error {
						if keys[dropped] != string(k) || v != nil && m.want[string(k)] != string(v) || v == nil != (len(m.want[string(k)]) > 500) {
							t.Fatalf("dropped %q=%q, want %q", k, v, keys[dropped])
						}
						dropped++
						return nil
					}
				}
				leaves, steps := 0, 0
				for done := false; !done; steps++ {
					m.s.NextEpoch()
					m.s.countLoads()
					before := root.Count
					var err error
					root, done, err = Drop(bg, m.s, cfg, &m.t.own, root, m.s, 1000, fn)
					if err != nil {
						t.Fatal(err)
					}
					leaves += m.s.Loads[0]
					m.s.Settle()
					if withFn && before-root.Count > 1500 {
						t.Fatalf("a step dropped %d items", before-root.Count)
					}
					if !done && root.Count >= before {
						t.Fatalf("a step dropped nothing")
					}
					m.t.Publish(root)
					m.account(t)
				}
				if nodes, blobs := m.s.Len(); nodes != 0 || blobs != 0 {
					t.Fatalf("%d nodes, %d runs left", nodes, blobs)
				}
				if withFn && (dropped != n || n == 30000 && steps < 15) {
					t.Fatalf("%d of %d items dropped in %d steps", dropped, n, steps)
				}
				if !withFn && leaves > 6 {
					t.Fatalf("%d leaves read in %d steps", leaves, steps)
				}
			})
		}
	}
}

// TestBulk checks bulk loading of all kinds of trees, and its errors.
func TestBulk(t *testing.T) {
	for _, cfg := range modelConfigs {
		for _, n := range []uint64{0, 1, 50, 5000} {
			m := newModel(cfg)
			m.told = nil // a builder tells nobody
			b := Bulk(bg, cfg, &m.t.own, m.s)
			for i := range n {
				k, v := modelKey(cfg, i*3, 0), modelVal(cfg, i)
				if err := b.Add(k, v); err != nil {
					t.Fatal(err)
				}
				m.want[string(k)] = string(v)
			}
			root, err := b.Finish()
			if err != nil {
				t.Fatal(err)
			}
			m.t.Publish(root)
			m.account(t)
			m.check(t, nil, nil)
			m.get(t, modelKey(cfg, 9, 0))
			m.get(t, modelKey(cfg, 10, 0))
		}
	}
	s := NewMemStore()
	b := Bulk(bg, modelConfigs[0], &Owner{}, s)
	err := errors.Join(b.Add([]byte("b"), nil), b.Add([]byte("b"), nil))
	if !errors.Is(err, ErrOrder) {
		t.Errorf("the same key twice: %v", err)
	}
	if _, err := b.Finish(); !errors.Is(err, ErrOrder) {
		t.Errorf("finish after an error: %v", err)
	}
	b = Bulk(bg, modelConfigs[3], &Owner{}, s)
	if err := b.Add([]byte("short"), make([]byte, 24)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a key of the wrong size: %v", err)
	}
}

// TestLargeRecords mixes records as large as the format allows.
func TestLargeRecords(t *testing.T) {
	cfg := &Config{Name: "large", Kind: 1, LeafBytes: 4096, InnerBytes: 4096, OverflowBytes: 16 << 10}
	m := newModel(cfg)
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 12 {
		for range 40 {
			k := bytes.Repeat([]byte{byte('a' + rnd.IntN(3))}, rnd.IntN(MaxKeyBytes-8))
			k = fmt.Appendf(k, "%d", rnd.IntN(500))
			m.put(k, make([]byte, rnd.IntN(40<<10)))
		}
		m.checkpoint(t)
		m.check(t, nil, nil)
	}
	for k := range m.want {
		m.get(t, []byte(k))
	}
}
