package btree

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
)

// leavesOf returns what Leaves says of a whole tree, call by call.
func leavesOf(t *testing.T, tree *Tree) (leaves []Ptr, calls int) {
	t.Helper()
	for key := []byte(nil); ; calls++ {
		before := len(leaves)
		var err error
		if leaves, key, err = tree.Leaves(bg, key, leaves); err != nil {
			t.Fatal(err)
		}
		if key == nil {
			return leaves, calls + 1
		}
		if len(leaves) == before {
			t.Fatalf("no leaves, but more from %q on", key)
		}
	}
}

// TestLeaves compares with a walk, in trees of no page to three levels.
func TestLeaves(t *testing.T) {
	levels := map[uint8]bool{}
	for _, keys := range []int{0, 1, 50, 90, 1000, 20000} {
		s := NewMemStore()
		cfg := &Config{Name: "leaves", Kind: 9, LeafBytes: 4096, InnerBytes: 4096, OverflowBytes: 1000}
		tree := New(cfg, s, Owner{}, Root{})
		for i := range keys {
			tree.Put(fmt.Appendf(nil, "key/%06d", i), fmt.Appendf(nil, "the value of %d", i))
		}
		tree.Freeze()
		root, err := tree.Reconcile(bg, s)
		if err != nil {
			t.Fatal(err)
		}
		tree.Publish(root)
		var want []Ptr
		inner := 0
		err = Walk(bg, s, cfg, &Owner{}, root, Visitor{Node: func(n *Node) error {
			switch {
			case n.Ptr.Addr == 0:
			case n.Ptr.Level == 0:
				want = append(want, n.Ptr)
			case n.Ptr.Level == 1:
				inner++
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		got, calls := leavesOf(t, tree)
		if !reflect.DeepEqual(got, want) || calls != max(inner, 1) {
			t.Errorf("%d keys: %d leaves in %d calls, want %d in %d", keys, len(got), calls, len(want), inner)
		}
		levels[root.Ptr.Level] = true
	}
	if !levels[0] || !levels[1] || !levels[2] {
		t.Errorf("trees of levels %v only", levels)
	}
}

func TestRuns(t *testing.T) {
	page := func(addr uint64, blocks uint8) Ptr { return Ptr{Addr: addr, Blocks: blocks} }
	for _, c := range []struct {
		name  string
		pages []Ptr
		want  []int // pages of each run
	}{
		{"none", nil, nil},
		{"one", []Ptr{page(7, 1)}, []int{1}},
		{"neighbours, in no order", []Ptr{page(12, 4), page(4, 4), page(8, 4)}, []int{3}},
		{"the widest gap", []Ptr{page(4, 4), page(8+fillGap, 1)}, []int{2}},
		{"a wider one", []Ptr{page(4, 4), page(9+fillGap, 1)}, []int{1, 1}},
		{"as long as may be", []Ptr{page(0, 16), page(16, 16), page(32, 16), page(48, 16), page(64, 16)}, []int{4, 1}},
	} {
		var got []int
		at := uint64(0)
		for _, run := range Runs(c.pages) {
			got = append(got, len(run))
			for _, p := range run {
				if p.Addr < at {
					t.Errorf("%s: address %d behind %d", c.name, p.Addr, at)
				}
				at = p.Addr
			}
			if n := runBlocks(run); n > fillBytes/blockBytes {
				t.Errorf("%s: a run of %d blocks", c.name, n)
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: runs of %v, want %v", c.name, got, c.want)
		}
	}
}

// warm brings all leaves of a tree into its cache, as far as there is room.
func warm(t *testing.T, tree *Tree, c *Cache) (runs int, full bool) {
	t.Helper()
	leaves, _ := leavesOf(t, tree)
	own := tree.Owner()
	for _, run := range Runs(leaves) {
		no, err := c.Fill(bg, tree.Config(), &own, run)
		if err != nil {
			t.Fatal(err)
		}
		if no {
			return runs, true
		}
		runs++
	}
	return runs, false
}

// TestFillAll reads all leaves with far fewer reads, and then none for any key.
func TestFillAll(t *testing.T) {
	const keys = 20000
	tree, c, r, _ := newCached(t, keys, 4<<20)
	leaves, _ := leavesOf(t, tree)
	before := r.reads.Load()
	runs, full := warm(t, tree, c)
	if full || runs > len(leaves)/4 || r.reads.Load()-before != int64(runs) {
		t.Errorf("%d leaves in %d runs, %d reads; full: %v", len(leaves), runs, r.reads.Load()-before, full)
	}
	before = r.reads.Load()
	for i := range keys {
		v, ok, known := tree.GetResident(fmt.Appendf(nil, "key/%06d", 2*i), nil)
		if !known || !ok || string(v) != fmt.Sprintf("value of %d", 2*i) {
			t.Fatalf("key %d: %q, %v, %v", i, v, ok, known)
		}
	}
	if n := r.reads.Load() - before; n != 0 {
		t.Errorf("%d reads of leaves that are there", n)
	}
	pages := c.Stats().Pages
	if warm(t, tree, c); c.Stats().Pages != pages || c.Stats().Evicted != 0 {
		t.Errorf("filled once more: %d pages, were %d, and %d went", c.Stats().Pages, pages, c.Stats().Evicted)
	}
}

// TestFillNoRoom fills a cache the tree does not fit into: it takes what fits, and
// what is in use stays.
func TestFillNoRoom(t *testing.T) {
	const budget = 512 << 10
	tree, c, _, _ := newCached(t, 40000, budget)
	used := []byte("key/000000")
	if _, _, err := tree.Get(bg, used, nil); err != nil {
		t.Fatal(err)
	}
	_, full := warm(t, tree, c)
	st := c.Stats()
	if !full || st.Bytes > budget || st.Bytes < budget/3 {
		t.Errorf("%d of %d bytes; full: %v", st.Bytes, budget, full)
	}
	if _, _, known := tree.GetResident(used, nil); !known {
		t.Error("the page in use went")
	}
}

// TestFillDamage has one bad page, then a device that fails.
func TestFillDamage(t *testing.T) {
	tree, c, r, _ := newCached(t, 2000, 4<<20)
	leavesOf(t, tree) // reads the inner pages
	r.wrong = 1
	if _, full := warm(t, tree, c); full {
		t.Fatal("full")
	}
	cold := 0
	for i := range 2000 {
		key := fmt.Appendf(nil, "key/%06d", 2*i)
		if _, _, known := tree.GetResident(key, nil); !known {
			cold++
		}
		if v, ok, err := tree.Get(bg, key, nil); err != nil || !ok || string(v) != fmt.Sprintf("value of %d", 2*i) {
			t.Fatalf("key %d: %q, %v, %v", i, v, ok, err)
		}
	}
	if cold != 1 { // the Get of the first key brought the rest of that page
		t.Errorf("%d keys looked for a page that was not there, want 1", cold)
	}
	c.Clear()
	bad := errors.New("bad")
	broken := NewCache(readerFunc(func() error { return bad }), c.pool, 1<<20)
	leaves := []Ptr{{Addr: 5, Blocks: 1, Epoch: 1}}
	if full, err := broken.Fill(bg, tree.Config(), &Owner{}, leaves); full || !errors.Is(err, bad) {
		t.Errorf("fill from a bad device: %v, %v", full, err)
	}
	if st := broken.Stats(); st.Pages != 0 {
		t.Errorf("%+v", st)
	}
}

// readerFunc is a PageReader that reads nothing.
type readerFunc func() error

func (f readerFunc) ReadPage(context.Context, uint64, int, []byte) error { return f() }

// TestLeavesDamage has a bad inner page: the leaves below it are missing, and no others.
func TestLeavesDamage(t *testing.T) {
	tree, c, _, s := newCached(t, 60000, 8<<20)
	whole, calls := leavesOf(t, tree)
	if calls < 4 {
		t.Fatalf("%d inner pages", calls)
	}
	var first, second []Ptr
	var err error
	key := []byte(nil)
	for _, list := range []*[]Ptr{&first, &second} {
		if *list, key, err = tree.Leaves(bg, key, nil); err != nil {
			t.Fatal(err)
		}
	}
	root, err := s.Load(bg, tree.Config(), &Owner{}, tree.Root().Ptr)
	if err != nil {
		t.Fatal(err)
	}
	bad, _, _ := root.Child(1)
	root.Release()
	c.Clear()
	s.nodes[bad.Addr][200] ^= 1
	var got []Ptr
	errs := 0
	for key := []byte(nil); ; {
		list, next, err := tree.Leaves(bg, key, nil)
		if errors.Is(err, ErrCorrupt) {
			errs++
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, list...)
		if key = next; key == nil {
			break
		}
	}
	want := append(whole[:len(first):len(first)], whole[len(first)+len(second):]...)
	if errs != 1 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d errors, %d leaves, want 1 and %d", errs, len(got), len(want))
	}
}

// TestFillLeaves has what it finds as it is: used pages stay so, and stale names bring nothing.
func TestFillLeaves(t *testing.T) {
	tree, c, r, _ := newCached(t, 20000, 4<<20)
	leaves, _ := leavesOf(t, tree)
	warm(t, tree, c)
	before, reads := c.Stats(), r.reads.Load()
	warm(t, tree, c)
	after := c.Stats()
	if after.LeafHits != before.LeafHits || r.reads.Load() != reads {
		t.Errorf("filling again: %d leaves found, %d reads", after.LeafHits-before.LeafHits, r.reads.Load()-reads)
	}
	stale := leaves[3]
	stale.Epoch++
	own := tree.Owner()
	if full, err := c.Fill(bg, tree.Config(), &own, []Ptr{stale}); full || err != nil {
		t.Error(full, err)
	}
	if !c.has(leaves[3]) || c.has(stale) || c.Stats().Pages != after.Pages {
		t.Error("a stale name changed what is there")
	}
}
