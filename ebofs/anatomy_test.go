package ebofs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// place is a stretch of blocks of a closed store and what depends on it.
type place struct {
	kind    string
	block   uint64
	blocks  int
	objects map[string]bool // whose reading may fail if it is damaged; nil: all of them
}

// anatomy finds what a closed store consists of.
func anatomy(t testing.TB, dev devices.Device) []place {
	t.Helper()
	f, err := Find(bg, dev)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := ReadRoots(bg, dev, &f.Super)
	if err != nil {
		t.Fatal(err)
	}
	var list []place
	add := func(kind string, a layout.Addr, blocks int, objects map[string]bool) {
		list = append(list, place{kind, a.Block(), blocks, objects})
	}
	add("root record", f.Super.Root.Addr, int(f.Super.Root.Blocks), nil)
	for _, r := range roots.Record.ZoneTables {
		add("zone table", r.Addr, int(r.Blocks), nil)
	}
	for z := range roots.Zones {
		if r := roots.Zones[z].Bitmap; !r.IsNone() {
			add("bitmap", r.Addr, int(r.Blocks), map[string]bool{})
		}
	}
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	cache := btree.NewCache(pageReader{dev, func(int) {}}, pool, 16<<20)
	var onodes []layout.Onode
	var keys []string
	walk := func(kind layout.TreeKind, own *btree.Owner, root btree.Root, objects map[string]bool, item func(key, val []byte) error) {
		leaf := -1
		err := btree.Walk(bg, cache, TreeConfig(kind, f.Super.FSID), own, root, btree.Visitor{
			Node: func(n *btree.Node) error {
				if n.Ptr.Addr != 0 {
					add(fmt.Sprint(kind, " level ", n.Ptr.Level), layout.Addr(n.Ptr.Addr), int(n.Ptr.Blocks), objects)
					leaf = len(list) - 1
					if kind == layout.TreeObjects && n.Ptr.Level == 0 {
						list[leaf].objects = map[string]bool{}
					}
				}
				return nil
			},
			Item: func(key, val []byte, ext []btree.BlobExtent) error {
				for _, e := range ext {
					add(kind.String()+" value", layout.Addr(e.Addr), int(blocksOf(uint64(e.Bytes))), objects)
				}
				if item == nil || ext != nil {
					return nil
				}
				if kind == layout.TreeObjects {
					k, err := layout.DecodeObjectKey(key)
					if err != nil {
						return err
					}
					list[leaf].objects[k.Name] = true
				}
				return item(key, val)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	walk(layout.TreeCollections, &btree.Owner{}, roots.Record.Collections, nil, nil)
	walk(layout.TreeObjects, &btree.Owner{}, roots.Record.Objects, nil, func(key, val []byte) error {
		on, err := layout.DecodeOnode(append([]byte(nil), val...))
		onodes, keys = append(onodes, on), append(keys, string(key))
		return err
	})
	walk(layout.TreeRefs, &btree.Owner{}, roots.Record.Refs, map[string]bool{}, nil)
	mapped := map[layout.Addr]int{} // places of data
	for i := range onodes {
		k, err := layout.DecodeObjectKey([]byte(keys[i]))
		if err != nil {
			t.Fatal(err)
		}
		own := ownerOf(keys[i], onodes[i].ID)
		mine := map[string]bool{k.Name: true}
		walk(layout.TreeAttrs, &own, onodes[i].Attrs, mine, nil)
		walk(layout.TreeOmap, &own, onodes[i].Omap, mine, nil)
		walk(layout.TreeExtents, &own, onodes[i].Extents, mine, func(_, val []byte) error {
			var c layout.Chunk
			if err := layout.DecodeChunk(val, &c); err != nil {
				return err
			}
			for j, a := range c.Addr {
				if p, ok := mapped[a]; ok {
					list[p].objects = maps.Clone(list[p].objects)
					list[p].objects[k.Name] = true
				} else if a != 0 && j%16 == 0 {
					mapped[a] = len(list)
					add("data", a, 1, mine)
				}
			}
			return nil
		})
	}
	return list
}

// damage changes block b of dev.
func damage(t testing.TB, dev devices.Device, b uint64, n int, change func(p []byte)) {
	t.Helper()
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	f := pool.Get(n * blockSize)
	defer f.Release()
	p := f.Bytes()[:n*blockSize]
	if err := dev.Read(bg, devices.Block(b), devices.Vec{p}); err != nil {
		t.Fatal(err)
	}
	change(p)
	if err := dev.Write(bg, devices.Block(b), devices.Vec{p}); err != nil {
		t.Fatal(err)
	}
}

// zoo fills a store with something of everything.
func zoo(t testing.TB, s *Store) model {
	t.Helper()
	g := &generator{Rand: rand.New(rand.NewPCG(1, 9)), maxSize: 1 << 20}
	m := model{}
	do := func(ops ...modelOp) {
		t.Helper()
		if err := s.Apply(bg, txnOf(mainColl, ops)); err != nil {
			t.Fatal(err)
		}
		m.apply(ops)
	}
	for i := range 90 {
		name := fmt.Sprint("small", i)
		do(modelOp{code: opWrite, name: name, data: g.bytes(1 + g.Uint64N(inlineBytes))},
			modelOp{code: opSetAttrs, name: name, kv: map[string][]byte{"_": g.bytes(200)}})
	}
	for i := range 3 {
		name := fmt.Sprint("large", i)
		do(modelOp{code: opWrite, name: name, off: uint64(i) * 1000, data: g.bytes(400 << 10)},
			modelOp{code: opSetAttrs, name: name, kv: map[string][]byte{"long": g.bytes(9000)}})
		do(modelOp{code: opWrite, name: name, off: 300001, data: g.bytes(9999)})
	}
	do(modelOp{code: opWrite, name: "sparse", off: 40 << 20, data: g.bytes(5000)})
	for i := range uint64(40) { // an extents tree with inner nodes
		var ops []modelOp
		for j := range uint64(32) {
			ops = append(ops, modelOp{code: opWrite, name: "wide", off: i*chunkBytes + j*2*blockSize, data: g.bytes(100)})
		}
		do(ops...)
	}
	for range 12 {
		do(modelOp{code: opOmapSet, name: "map", kv: g.pairs("k", 100, 2000)}, modelOp{code: opOmapHead, name: "map", data: []byte("head")})
	}
	attrs := map[string][]byte{}
	for i := range 300 {
		attrs[fmt.Sprint("a", i)] = g.bytes(60)
	}
	do(modelOp{code: opSetAttrs, name: "attrs", kv: attrs})
	do(modelOp{code: opClone, name: "large0", to: "twin"})
	mustCheckpoint(t, s)
	do(modelOp{code: opWrite, name: "twin", off: 4096, data: g.bytes(8192)})
	do(modelOp{code: opZero, name: "large1", off: 8192, n: 100 << 10})
	do(modelOp{code: opRemove, name: "small7"})
	do(modelOp{code: opTruncate, name: "large2", off: 100001})
	return m
}
