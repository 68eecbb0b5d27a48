package repair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"sync"
	"testing"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

var bg = context.Background()

const coll = ebofs.CollectionID("c")

func object(name string) ebofs.ObjectID { return ebofs.NewObjectID(1, name) }

func fill(seed int64, n int) []byte {
	p := make([]byte, n)
	rand.New(rand.NewSource(seed)).Read(p)
	return p
}

func apply(t testing.TB, s *ebofs.Store, fn func(x *ebofs.Txn)) {
	t.Helper()
	x := ebofs.NewTxn()
	fn(x)
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dev devices.Device, o ebofs.Options) *ebofs.Store {
	t.Helper()
	o.Inline = true
	s, err := ebofs.Open(bg, dev, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// runUndo is Run of dev with an undo file at, which gives its memory back.
func runUndo(dev devices.Device, at UndoStorage, o Options) (*Result, error) {
	u := NewUndo(dev, at)
	res, err := Run(bg, u, o)
	return res, errors.Join(err, u.Close())
}

// content is what can be read of an object.
type content struct {
	data  []byte
	attrs map[string][]byte
	omap  map[string][]byte
}

func (c *content) equal(d *content) bool {
	same := func(a, b map[string][]byte) bool {
		if len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, ok := b[k]; !ok || !bytes.Equal(v, w) {
				return false
			}
		}
		return true
	}
	return bytes.Equal(c.data, d.data) && same(c.attrs, d.attrs) && same(c.omap, d.omap)
}

// get reads all of an object.
func get(s *ebofs.Store, id ebofs.ObjectID) (*content, error) { return getFrom(s, coll, id) }

func getFrom(s *ebofs.Store, coll ebofs.CollectionID, id ebofs.ObjectID) (*content, error) {
	st, err := s.Stat(bg, coll, id)
	if err != nil {
		return nil, err
	}
	c := &content{data: make([]byte, st.Size), omap: map[string][]byte{}}
	_, err = s.Read(bg, coll, id, 0, c.data)
	var err2, err3 error
	c.attrs, err2 = s.GetAttrs(bg, coll, id)
	err3 = s.OmapIter(bg, coll, id, "", "", func(k, v []byte) bool {
		c.omap[string(k)] = bytes.Clone(v)
		return true
	})
	return c, errors.Join(err, err2, err3)
}

// names of the objects of the test store.
func names() (list []string) {
	for i := range 300 {
		if i%4 != 1 {
			list = append(list, fmt.Sprintf("small%03d", i))
		}
	}
	for i := range 6 {
		list = append(list, fmt.Sprintf("large%d", i))
	}
	return append(list, "omap", "huge")
}

// populate makes objects of every kind: inline, with many extents, with attributes
// and omaps inside the onode, in trees of their own, and as overflow values.
func populate(t testing.TB, s *ebofs.Store) {
	apply(t, s, func(x *ebofs.Txn) { x.MkColl(coll, ebofs.CollSpec{Shard: -1, Pool: 1}) })
	for i := range 300 {
		o := object(fmt.Sprintf("small%03d", i))
		apply(t, s, func(x *ebofs.Txn) {
			x.Write(coll, o, 0, fill(int64(i), i*7))
			x.SetAttr(coll, o, "_", fill(int64(i), 200))
		})
	}
	for i := range 6 {
		o := object(fmt.Sprintf("large%d", i))
		apply(t, s, func(x *ebofs.Txn) {
			x.Write(coll, o, uint64(i)<<12, fill(int64(i), 600<<10))
			x.SetAttr(coll, o, "long", fill(int64(i), 20000))
		})
		for j := range 12 {
			apply(t, s, func(x *ebofs.Txn) { x.Write(coll, o, uint64(j)*50000+100, fill(int64(j), 3000)) })
		}
	}
	attrs := map[string][]byte{}
	for i := range 200 {
		attrs[fmt.Sprintf("attr%d", i)] = fill(int64(i), 100)
	}
	kv := map[string][]byte{}
	for i := range 3000 {
		kv[fmt.Sprintf("key%05d", i)] = fill(int64(i), 60)
	}
	kv["long"] = fill(9, 50000)
	apply(t, s, func(x *ebofs.Txn) {
		x.OmapSet(coll, object("omap"), kv)
		x.OmapSetHeader(coll, object("omap"), []byte("header"))
		x.SetAttrs(coll, object("omap"), attrs)
	})
	for i := range 20 { // every other block: an extents tree with inner nodes
		apply(t, s, func(x *ebofs.Txn) {
			for j := range 32 {
				x.Write(coll, object("huge"), uint64(i)<<18+uint64(j)<<13, fill(int64(i*j), 100))
			}
		})
	}
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	for i := range 75 {
		apply(t, s, func(x *ebofs.Txn) { x.Remove(coll, object(fmt.Sprintf("small%03d", i*4+1))) })
	}
	apply(t, s, func(x *ebofs.Txn) { x.Truncate(coll, object("large1"), 100001) })
	apply(t, s, func(x *ebofs.Txn) { x.Zero(coll, object("large2"), 5000, 300000) })
}

// original is a closed store and what it holds.
type original struct {
	dev    *devices.Mem
	want   map[string]*content
	places []place
}

// sample makes the store of most tests, once.
var sample = sync.OnceValue(func() *original {
	t := new(testing.T)
	o := &original{dev: devices.NewMem(devices.MemOptions{Blocks: 64 << 20 / layout.BlockSize}), want: map[string]*content{}}
	if _, err := ebofs.Format(bg, o.dev, ebofs.FormatOptions{Label: "test", UUID: [16]byte{1, 2, 3}, DeviceUUID: [16]byte{4, 5}}); err != nil {
		panic(err)
	}
	s := open(t, o.dev, ebofs.Options{})
	populate(t, s)
	for _, n := range names() {
		c, err := get(s, object(n))
		if err != nil {
			panic(err)
		}
		o.want[n] = c
	}
	if err := s.Close(bg); err != nil {
		panic(err)
	}
	o.places = anatomy(o.dev)
	return o
})

// clonesOf are the objects of the store with clones.
var clonesOf = []string{"src", "dst", "a1", "a2", "a3", "part", "map", "map1", "tiny", "tiny1", "alone"}

// cloned makes the store of the tests of clones, once: its counts fill more than one
// leaf, and it has a removed object whose space is not yet free.
var cloned = sync.OnceValue(func() *original {
	t := new(testing.T)
	o := &original{dev: devices.NewMem(devices.MemOptions{Blocks: 64 << 20 / layout.BlockSize}), want: map[string]*content{}}
	if _, err := ebofs.Format(bg, o.dev, ebofs.FormatOptions{Label: "clones", UUID: [16]byte{1, 2, 3}, DeviceUUID: [16]byte{4, 5}}); err != nil {
		panic(err)
	}
	s := open(t, o.dev, ebofs.Options{})
	apply(t, s, func(x *ebofs.Txn) {
		x.MkColl(coll, ebofs.CollSpec{Shard: -1, Pool: 1})
		x.Write(coll, object("src"), 0, fill(1, 7<<20))
		x.Write(coll, object("a"), 0, fill(2, 600<<10))
		x.Write(coll, object("tiny"), 0, fill(3, 900))
		x.Write(coll, object("alone"), 0, fill(4, 300<<10))
		kv := map[string][]byte{"long": fill(5, 20000)}
		for i := range 300 {
			kv[fmt.Sprintf("key%d", i)] = fill(int64(i), 60)
		}
		x.OmapSet(coll, object("map"), kv)
	})
	clone := func(from string, to ...string) {
		apply(t, s, func(x *ebofs.Txn) {
			for _, n := range to {
				x.Clone(coll, object(from), object(n))
			}
		})
	}
	clone("src", "dst", "gone")
	clone("a", "a1", "a2")
	clone("tiny", "tiny1")
	clone("map", "map1")
	apply(t, s, func(x *ebofs.Txn) { x.CloneRange(coll, object("src"), object("part"), 40960, 700<<10, 8192) })
	for i := range 14 { // counts of 2 and 3 in turns: as many runs as there can be
		apply(t, s, func(x *ebofs.Txn) {
			for j := range 64 {
				x.Zero(coll, object("dst"), uint64(i*64+j)<<13, layout.BlockSize)
			}
		})
	}
	apply(t, s, func(x *ebofs.Txn) {
		x.Write(coll, object("a1"), 10000, fill(7, 50000))
		x.Truncate(coll, object("a2"), 333333)
		x.Clone(coll, object("a1"), object("a3"))
	})
	if err := s.Checkpoint(bg); err != nil {
		panic(err)
	}
	apply(t, s, func(x *ebofs.Txn) { x.Write(coll, object("a3"), 100000, fill(8, 100)); x.Remove(coll, object("a")) })
	for _, n := range clonesOf {
		c, err := get(s, object(n))
		if err != nil {
			panic(err)
		}
		o.want[n] = c
	}
	if err := s.Close(bg); err != nil {
		panic(err)
	}
	forge(t, o.dev, func(f *forger) { // a checkpoint in a hurry would leave it like this
		key, on := f.onode("gone")
		f.objects.Delete(key)
		val, err := (&layout.Trash{ID: on.ID, Size: on.Size, Extents: on.Extents}).Append(nil)
		f.must(err)
		k := layout.Uint64Key(on.ID)
		f.trash.Put(k[:], val)
	})
	if _, err := Run(bg, o.dev, Options{Mode: All, Deep: true}); err != nil { // bitmaps and totals
		panic(err)
	}
	o.places = anatomy(o.dev)
	return o
})

// first returns the first place of a kind.
func (o *original) first(kind string) place {
	for _, p := range o.places {
		if p.kind == kind {
			return p
		}
	}
	panic(kind)
}

// place is a run of blocks and the objects that need it; nil: all or none of them.
type place struct {
	kind    string
	block   uint64
	blocks  int
	objects map[string]bool
}

// anatomy says what a closed store consists of.
func anatomy(dev devices.Device) (list []place) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	f, err := ebofs.Find(bg, dev)
	must(err)
	roots, err := ebofs.ReadRoots(bg, dev, &f.Super)
	must(err)
	add := func(kind string, a layout.Addr, blocks int, objects map[string]bool) int {
		list = append(list, place{kind, a.Block(), blocks, objects})
		return len(list) - 1
	}
	for i, b := range layout.SlotBlocks(f.Super.Blocks) {
		add(fmt.Sprint("superblock ", i), layout.Addr(b), 1, nil)
	}
	add("label", 0, 1, nil)
	add("root record", f.Super.Root.Addr, int(f.Super.Root.Blocks), nil)
	for _, r := range roots.Record.ZoneTables {
		add("zone table", r.Addr, int(r.Blocks), nil)
	}
	for _, z := range roots.Zones {
		if !z.Bitmap.IsNone() {
			add("bitmap", z.Bitmap.Addr, int(z.Bitmap.Blocks), nil)
		}
	}
	r := &repairer{ctx: bg, d: &device{dev: dev, pool: devices.NewPool(devices.PoolOptions{})}, sb: f.Super}
	must(r.bind())
	walk := func(kind layout.TreeKind, own btree.Owner, root btree.Root, objects map[string]bool, item func(key, val []byte)) {
		mine := objects
		must(btree.Walk(bg, loader{r}, r.cfg(kind), &own, root, btree.Visitor{
			Node: func(n *btree.Node) error {
				if mine = objects; kind == layout.TreeObjects && n.Ptr.Level == 0 {
					mine = map[string]bool{}
				}
				if n.Ptr.Addr != 0 {
					level := "leaf"
					if n.Ptr.Level > 0 {
						level = "inner"
					}
					add(fmt.Sprint(kind, " ", level), layout.Addr(n.Ptr.Addr), int(n.Ptr.Blocks), mine)
				}
				return nil
			},
			Item: func(key, val []byte, ext []btree.BlobExtent) error {
				if kind == layout.TreeObjects {
					k, err := layout.DecodeObjectKey(key)
					must(err)
					mine[k.Name] = true
				}
				for _, e := range ext {
					add(fmt.Sprint(kind, " value"), layout.Addr(e.Addr), int(blocksOf(uint64(e.Bytes))), mine)
				}
				if item != nil && ext == nil {
					item(key, val)
				}
				return nil
			},
		}))
	}
	walk(layout.TreeCollections, btree.Owner{}, roots.Record.Collections, nil, nil)
	type one struct {
		key []byte
		on  layout.Onode
	}
	var all []one
	walk(layout.TreeObjects, btree.Owner{}, roots.Record.Objects, nil, func(key, val []byte) {
		on, err := layout.DecodeOnode(bytes.Clone(val))
		must(err)
		all = append(all, one{bytes.Clone(key), on})
	})
	type mapped struct {
		addr  layout.Addr
		every bool
	}
	var order []mapped
	users := map[layout.Addr]map[string]bool{}
	for _, x := range all {
		k, err := layout.DecodeObjectKey(x.key)
		must(err)
		own, mine := layout.OwnerOf(x.key, x.on.ID), map[string]bool{k.Name: true}
		walk(layout.TreeAttrs, own, x.on.Attrs, mine, nil)
		walk(layout.TreeOmap, own, x.on.Omap, mine, nil)
		walk(layout.TreeExtents, own, x.on.Extents, mine, func(_, val []byte) {
			var c layout.Chunk
			must(layout.DecodeChunk(val, &c))
			for j, a := range c.Addr {
				if a == 0 {
					continue
				}
				if users[a] == nil {
					users[a] = map[string]bool{}
					order = append(order, mapped{a, j%16 == 0})
				}
				users[a][k.Name] = true
			}
		})
	}
	for _, m := range order {
		if m.every {
			kind := "data"
			if len(users[m.addr]) > 1 {
				kind = "shared data"
			}
			add(kind, m.addr, 1, users[m.addr])
		}
	}
	walk(layout.TreeTrash, btree.Owner{}, roots.Record.Trash, nil, func(_, val []byte) {
		x, err := layout.DecodeTrash(bytes.Clone(val))
		must(err)
		was := len(list)
		walk(layout.TreeExtents, btree.Owner{ID: x.ID}, x.Extents, nil, nil)
		for i := range list[was:] {
			list[was+i].kind = "trash " + list[was+i].kind
		}
	})
	walk(layout.TreeRefs, btree.Owner{}, roots.Record.Refs, nil, nil)
	return list
}

// change changes blocks of dev.
func change(t testing.TB, dev devices.Device, b uint64, n int, fn func(p []byte)) {
	t.Helper()
	d := &device{dev: dev, pool: devices.NewPool(devices.PoolOptions{})}
	defer d.pool.Close()
	p, err := d.read(bg, b, n)
	if err != nil {
		t.Fatal(err)
	}
	fn(p)
	if err := d.write(bg, b, p); err != nil {
		t.Fatal(err)
	}
}

// harms are the ways a block is damaged.
var harms = []struct {
	name string
	do   func(p []byte)
}{
	{"flip", func(p []byte) { p[len(p)/3] ^= 4 }},
	{"zeros", func(p []byte) { clear(p) }},
	{"noise", func(p []byte) { copy(p, fill(77, len(p))) }},
}

// memFile is an undo file in memory.
type memFile struct{ p []byte }

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(f.p)) {
		return 0, io.EOF
	}
	n := copy(p, f.p[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if n := int(off) + len(p); n > len(f.p) {
		f.p = append(f.p, make([]byte, n-len(f.p))...)
	}
	return copy(f.p[off:], p), nil
}

func (f *memFile) Sync() error { return nil }

// mustCheck checks a store; the error is nil even if problems are found.
func mustCheck(t testing.TB, dev devices.Device) *check.Report {
	t.Helper()
	rep, err := check.Run(bg, dev, check.Options{Level: check.Deep, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// clean fails the test if a deep check finds anything but marks.
func clean(t testing.TB, dev devices.Device) (marks int) {
	t.Helper()
	rep := mustCheck(t, dev)
	if !rep.Complete {
		t.Error("the check is not complete")
	}
	for i := range rep.Problems {
		p := &rep.Problems[i]
		if p.Code != check.DataDamaged && p.Code != check.ObjectDamaged {
			t.Errorf("left: %s", p)
		} else {
			marks++
		}
	}
	return marks
}

// compare reads every object of a repaired store: each byte that comes back is
// right. It returns the objects that do not read as a whole.
func compare(t testing.TB, dev devices.Device, want map[string]*content) (hurt map[string]bool) {
	t.Helper()
	s := open(t, dev, ebofs.Options{ReadOnly: true})
	defer s.Close(bg)
	hurt = map[string]bool{}
	for name, w := range want {
		c, err := get(s, object(name))
		if err == nil {
			if !c.equal(w) {
				t.Errorf("object %s has changed", name)
			}
			continue
		}
		hurt[name] = true
		if !errors.Is(err, ebofs.ErrCorrupt) && !errors.Is(err, ebofs.ErrNotFound) {
			t.Errorf("object %s: %v", name, err)
		}
		for off := 0; off < len(w.data); off += layout.BlockSize {
			part := w.data[off:min(off+layout.BlockSize, len(w.data))]
			p := make([]byte, len(part))
			if n, err := s.Read(bg, coll, object(name), uint64(off), p); err == nil && !bytes.Equal(p[:n], part) {
				t.Errorf("object %s: wrong bytes at %d", name, off)
			}
		}
	}
	return hurt
}

var testPool = devices.NewPool(devices.PoolOptions{})
