package repair

import (
	"bytes"
	"testing"
	"time"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

// forger changes trees of a sound store in ways no store would.
type forger struct {
	t              *testing.T
	r              *repairer
	objects, colls *btree.Tree
	trash, refs    *btree.Tree
}

func (f *forger) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *forger) onode(name string) (key []byte, on layout.Onode) {
	id := object(name)
	key = id.AppendKey(nil)
	val, ok, err := f.objects.Get(bg, key, nil)
	if err != nil || !ok {
		f.t.Fatal(ok, err)
	}
	on, err = layout.DecodeOnode(val)
	f.must(err)
	return key, on
}

func (f *forger) put(key []byte, on *layout.Onode) {
	val, err := on.Append(nil)
	f.must(err)
	f.objects.Put(key, val)
}

// firstChunk returns the first record of an object's map.
func (f *forger) firstChunk(key []byte, on *layout.Onode) (idx []byte, c layout.Chunk) {
	err := f.r.items(bg, f.r.cfg(layout.TreeExtents), &btree.Owner{ID: on.ID}, on.Extents, func(k, val []byte, _ []btree.BlobExtent) error {
		if idx == nil {
			idx = bytes.Clone(k)
			return layout.DecodeChunk(val, &c)
		}
		return nil
	})
	f.must(err)
	return idx, c
}

func (f *forger) setChunk(key []byte, on *layout.Onode, idx []byte, val []byte) {
	t := btree.New(f.r.cfg(layout.TreeExtents), loader{f.r}, layout.OwnerOf(key, on.ID), on.Extents)
	t.Put(idx, val)
	t.Freeze()
	var err error
	on.Extents, err = t.Reconcile(bg, f.r.sink)
	f.must(err)
}

// editChunk changes the first record of an object's map.
func (f *forger) editChunk(name string, fn func(c *layout.Chunk)) {
	key, on := f.onode(name)
	idx, c := f.firstChunk(key, &on)
	fn(&c)
	val, err := c.Append(nil)
	f.must(err)
	f.setChunk(key, &on, idx, val)
	f.put(key, &on)
}

// flags sets the flags of all blocks of an object.
func (f *forger) flags(name string, flags uint8) {
	key, on := f.onode(name)
	vals := map[string][]byte{}
	f.must(f.r.items(bg, f.r.cfg(layout.TreeExtents), &btree.Owner{ID: on.ID}, on.Extents, func(k, val []byte, _ []btree.BlobExtent) error {
		var c layout.Chunk
		if err := layout.DecodeChunk(val, &c); err != nil {
			return err
		}
		for i, a := range c.Addr {
			if a != 0 {
				c.Flags[i] = flags
			}
		}
		val, err := c.Append(nil)
		vals[string(k)] = val
		return err
	}))
	for k, val := range vals {
		f.setChunk(key, &on, []byte(k), val)
	}
	f.put(key, &on)
}

// counts changes every group of the refs tree.
func (f *forger) counts(fn func(g *layout.RefGroup)) {
	vals := map[string]layout.RefGroup{}
	f.must(f.refs.Iter(bg, nil, nil, func(k, val []byte) bool {
		var g layout.RefGroup
		f.must(layout.DecodeRefGroup(val, &g))
		vals[string(k)] = g
		return true
	}))
	for k, g := range vals {
		if fn(&g); g.Empty() {
			f.refs.Delete([]byte(k))
			continue
		}
		val, err := g.Append(nil)
		f.must(err)
		f.refs.Put([]byte(k), val)
	}
}

// lower lowers all counts.
func lower(g *layout.RefGroup, by uint32) {
	for i, n := range g.Count {
		if g.Count[i] -= min(n, by); g.Count[i] == 1 {
			g.Count[i] = 0
		}
	}
}

// someCount returns a key of the refs tree.
func (f *forger) someCount() (key []byte) {
	f.must(f.refs.Iter(bg, nil, nil, func(k, _ []byte) bool { key = bytes.Clone(k); return false }))
	return key
}

// dropRefs makes the root record forget the tree of counts.
func (f *forger) dropRefs() {
	f.r.root.Refs = btree.Root{}
	f.refs = btree.New(f.refs.Config(), loader{f.r}, btree.Owner{}, btree.Root{})
}

// forge makes a checkpoint with what fn does to a sound store, counters unchanged.
func forge(t *testing.T, dev devices.Device, fn func(f *forger)) {
	t.Helper()
	found, err := ebofs.Find(bg, dev)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := ebofs.ReadRoots(bg, dev, &found.Super)
	if err != nil {
		t.Fatal(err)
	}
	r := &repairer{ctx: bg, d: &device{dev: dev, pool: devices.NewPool(devices.PoolOptions{})}, sb: found.Super, root: roots.Record, last: found.Super.Generation}
	r.o.Now = func() (now time.Time) { return time.Unix(1e9, 0) }
	if err := r.bind(); err != nil {
		t.Fatal(err)
	}
	r.busy, r.used = newBlockSet(&r.place), newBlockSet(&r.place)
	r.loadUsed()
	if _, err := r.look(); err != nil {
		t.Fatal(err)
	}
	tally, err := r.walkAll(newRefCounts(0, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if err := tally.tree(layout.TreeRefs, btree.Owner{}, r.root.Refs, nil); err != nil {
		t.Fatal(err)
	}
	r.sink = newSink(r, r.sb.Epoch+1)
	f := &forger{t: t, r: r}
	for _, x := range []struct {
		t    **btree.Tree
		kind layout.TreeKind
	}{{&f.objects, layout.TreeObjects}, {&f.colls, layout.TreeCollections}, {&f.trash, layout.TreeTrash}, {&f.refs, layout.TreeRefs}} {
		*x.t = btree.New(r.cfg(x.kind), loader{r}, btree.Owner{}, *r.root.Root(x.kind))
	}
	fn(f)
	for kind, x := range map[layout.TreeKind]*btree.Tree{layout.TreeObjects: f.objects, layout.TreeCollections: f.colls, layout.TreeTrash: f.trash, layout.TreeRefs: f.refs} {
		if !x.Dirty() {
			continue
		}
		x.Freeze()
		root, err := x.Reconcile(bg, r.sink)
		f.must(err)
		*r.root.Root(kind) = root
	}
	f.must(r.sink.flush(bg))
	f.must(r.writeSpace(tally))
}

// TestForged repairs stores that contradict themselves although every checksum is
// right.
func TestForged(t *testing.T) {
	for _, c := range []struct {
		name  string
		from  func() *original // nil: sample
		do    func(f *forger)
		hurt  []string // objects that may fail afterwards
		marks bool
		fine  bool // the check finds no fault either
	}{
		{name: "counters only", do: func(f *forger) { f.r.root.Counters.LogicalBytes = 5; f.r.root.Counters.Collections = 9 }},
		{name: "orphans", do: func(f *forger) { f.colls.Delete([]byte(coll)) }},
		{name: "id twice", marks: true, hurt: []string{"large1", "twin"}, do: func(f *forger) {
			_, on := f.onode("large1")
			id := object("twin")
			f.put(id.AppendKey(nil), &on)
		}},
		{name: "id never given", do: func(f *forger) { f.r.root.NextObjectID = 3 }},
		{name: "blocks twice", do: func(f *forger) {
			ka, a := f.onode("large3")
			kb, b := f.onode("large4")
			_, ca := f.firstChunk(ka, &a)
			ib, cb := f.firstChunk(kb, &b)
			for i := range layout.ChunkBlocks { // other content: one of them reads as damaged
				if cb.Addr[i] != 0 && ca.Addr[i] != 0 {
					cb.Addr[i] = ca.Addr[i]
				}
			}
			val, err := cb.Append(nil)
			f.must(err)
			f.setChunk(kb, &b, ib, val)
			f.put(kb, &b)
		}, hurt: []string{"large4", "large3"}, marks: true},
		{name: "the same blocks twice", do: func(f *forger) {
			ka, a := f.onode("large1")
			ia, ca := f.firstChunk(ka, &a)
			on := layout.Onode{ID: f.r.root.NextObjectID - 1, Size: 50000}
			on.ID = 1 << 30
			f.r.root.NextObjectID = 1<<30 + 1
			id := object("copy")
			val, err := ca.Append(nil)
			f.must(err)
			f.setChunk(id.AppendKey(nil), &on, ia, val)
			f.put(id.AppendKey(nil), &on)
		}},
		{name: "outside the zones", hurt: []string{"large1"}, marks: true, do: func(f *forger) {
			k, on := f.onode("large1")
			i, c := f.firstChunk(k, &on)
			c.Addr[3] = layout.MakeAddr(0, 1<<40)
			val, err := c.Append(nil)
			f.must(err)
			f.setChunk(k, &on, i, val)
			f.put(k, &on)
		}},
		{name: "chunk is garbage", hurt: []string{"large3"}, marks: true, do: func(f *forger) {
			k, on := f.onode("large3")
			i, _ := f.firstChunk(k, &on)
			f.setChunk(k, &on, i, []byte("garbage"))
			f.put(k, &on)
		}},
		{name: "onode is garbage", hurt: []string{"large4", "small000"}, marks: true, do: func(f *forger) {
			id := object("large4")
			f.objects.Put(id.AppendKey(nil), []byte("garbage"))
			id = object("small000")
			f.objects.Put(id.AppendKey(nil), nil)
		}},
		{name: "key is garbage", do: func(f *forger) { f.objects.Put([]byte("x"), []byte("y")) }},
		{name: "collections overlap", do: func(f *forger) {
			val, err := (&layout.Cnode{Range: layout.CollRange{Shard: -1, Pool: 1, Bits: 3, Seed: 2}, ID: 77}).Append(nil)
			f.must(err)
			f.colls.Put([]byte("d"), val)
		}},
		{name: "collection is garbage", do: func(f *forger) { f.colls.Put([]byte(coll), []byte("garbage")) }},
		{name: "beyond the end", hurt: []string{"large5"}, do: func(f *forger) {
			k, on := f.onode("large5")
			on.Size = 100000
			f.put(k, &on)
		}},
		{name: "trash is garbage", do: func(f *forger) {
			k := layout.Uint64Key(5)
			f.trash.Put(k[:], []byte("garbage"))
		}},
		{name: "count too low", from: cloned, do: func(f *forger) { f.counts(func(g *layout.RefGroup) { lower(g, 1) }) }},
		{name: "count too high", from: cloned, do: func(f *forger) { f.counts(func(g *layout.RefGroup) { g.Count[5] += 7; g.Count[6] = 2 }) }},
		{name: "counts lost", from: cloned, do: func(f *forger) { f.counts(func(g *layout.RefGroup) { *g = layout.RefGroup{} }) }},
		{name: "counts of nothing", from: cloned, do: func(f *forger) {
			g := layout.RefGroup{}
			g.Count[9] = 2
			val, err := g.Append(nil)
			f.must(err)
			for _, k := range []uint64{3, 255, 1 << 40, 1<<64 - 1} {
				key := layout.Uint64Key(k)
				f.refs.Put(key[:], val)
			}
		}},
		{name: "counts are garbage", from: cloned, do: func(f *forger) {
			key := f.someCount()
			f.refs.Put(key, []byte("garbage"))
		}},
		{name: "a count outside its node", from: cloned, do: func(f *forger) {
			was := f.refs
			cfg := *was.Config()
			cfg.OverflowBytes = 100
			f.refs = btree.New(&cfg, loader{f.r}, btree.Owner{}, was.Root())
			f.refs.Put(f.someCount(), make([]byte, 5000))
		}},
		{name: "no tree of counts", from: cloned, do: func(f *forger) { f.dropRefs() }},
		{name: "no tree of counts, and no sign of one", from: cloned, do: func(f *forger) {
			f.dropRefs()
			f.r.sb.Features.Incompat &^= layout.FeatSharedBlocks
		}},
		{name: "a source not marked as shared", from: cloned, do: func(f *forger) { f.flags("src", 0) }},
		{name: "a clone not marked as shared", from: cloned, do: func(f *forger) { f.flags("dst", 0) }},
		{name: "none marked as shared", from: cloned, do: func(f *forger) {
			for _, n := range []string{"src", "dst", "part", "a1", "a2", "a3"} {
				f.flags(n, 0)
			}
		}},
		{name: "one without clones marked as shared", from: cloned, do: func(f *forger) { f.flags("alone", layout.BlockShared) }, fine: true},
		{name: "a checksum of its own", from: cloned, hurt: []string{"a3"}, marks: true, do: func(f *forger) {
			f.editChunk("a3", func(c *layout.Chunk) { c.CRC[1]++ })
		}},
		{name: "shares what is another's", from: cloned, hurt: []string{"a3"}, marks: true, do: func(f *forger) {
			key, on := f.onode("alone")
			_, other := f.firstChunk(key, &on)
			f.editChunk("a3", func(c *layout.Chunk) {
				for i := range 3 {
					c.Addr[i], c.Flags[i] = other.Addr[i], layout.BlockShared
				}
			})
		}},
		{name: "trash of what is another's", from: cloned, do: func(f *forger) {
			key, on := f.onode("alone")
			_, c := f.firstChunk(key, &on)
			val, err := c.Append(nil)
			f.must(err)
			x := layout.Onode{ID: 1 << 30}
			f.setChunk(make([]byte, 8), &x, make([]byte, 8), val)
			if val, err = (&layout.Trash{ID: x.ID, Size: 5000, Extents: x.Extents}).Append(nil); err != nil {
				f.t.Fatal(err)
			}
			k := layout.Uint64Key(x.ID)
			f.trash.Put(k[:], val)
			f.r.root.NextObjectID = x.ID + 1
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := sample()
			if c.from != nil {
				o = c.from()
			}
			dev := o.dev.Snapshot()
			forge(t, dev, c.do)
			before := mustCheck(t, dev)
			if before.OK() && !c.fine {
				t.Fatal("the check finds nothing wrong")
			}
			mode := All
			if c.name == "counters only" {
				mode = Safe
			}
			file := new(memFile)
			was := dev.Hash()
			res, err := runUndo(dev, file, Options{Mode: mode, Found: before, Deep: true})
			if err != nil {
				t.Fatal(err)
			}
			repaired := dev.Snapshot()
			if marks := clean(t, dev); (marks > 0) != c.marks {
				t.Errorf("%d marks: %v", marks, res.Actions)
			}
			want := map[string]*content{}
			for n, w := range o.want {
				want[n] = w
			}
			for _, n := range c.hurt {
				delete(want, n)
			}
			home := coll
			s := open(t, dev, ebofs.Options{})
			if cs, err := s.Collections(bg); err != nil {
				t.Fatal(err)
			} else if len(cs) == 1 {
				home = cs[0]
			}
			for n, w := range want {
				if got, err := getFrom(s, home, object(n)); err != nil || !got.equal(w) {
					t.Errorf("object %s: %v", n, err)
				}
			}
			for _, n := range c.hurt { // what is marked can go
				x := ebofs.NewTxn()
				x.Remove(home, object(n))
				if err := s.Apply(bg, x); err != nil {
					t.Errorf("remove %s: %v", n, err)
				}
			}
			if err := s.Close(bg); err != nil {
				t.Fatal(err)
			}
			if n := clean(t, dev); n > 0 {
				t.Errorf("%d marks left", n)
			}
			if _, err := ApplyUndo(bg, file, repaired); err != nil || repaired.Hash() != was {
				t.Errorf("undo: %v, same %v", err, repaired.Hash() == was)
			}
		})
	}
}
