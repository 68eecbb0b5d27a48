package check_test

import (
	"context"
	"testing"
	"time"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

// forge builds a store by hand, so that a test can make exactly one thing wrong that
// package ebofs would never write. Fields named edit are called just before the
// thing is encoded; what depends on it is encoded afterwards, so checksums are right.
type forge struct {
	t     testing.TB
	dev   *devices.Mem
	place layout.Placement
	sb    layout.Superblock
	epoch uint64
	trees uint64 // epoch of the nodes; 0: two before the checkpoint's

	padding map[uint64]int // bytes in use of the last block of a long value

	next  uint64          // next block to hand out
	used  []layout.Extent // by trees and data: what the bitmaps show
	count layout.Counters

	objects, colls, trash map[string][]byte
	refs                  map[string][]byte

	editBits  func(z uint32, bits []uint64)
	editTable func(zones []layout.ZoneEntry)
	editRoot  func(r *layout.RootRecord)
	editSuper func(sb *layout.Superblock)
	space     []layout.SpaceEntry // makes the bitmaps an epoch old
}

func newForge(t testing.TB) *forge {
	const blocks = 64 << 20 / layout.BlockSize
	place, err := layout.Plan(blocks, layout.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f := &forge{t: t, dev: newDevice(64), place: place, epoch: 9, next: place.ZoneStart,
		padding: map[uint64]int{}, objects: map[string][]byte{}, colls: map[string][]byte{}, trash: map[string][]byte{}, refs: map[string][]byte{}}
	f.sb = layout.Superblock{
		FSID: layout.UUID{1, 2}, DeviceUUID: layout.UUID{3}, Flags: layout.SuperClean, Generation: 2, Epoch: f.epoch, UnitBytes: layout.BlockSize,
		Role: layout.RoleMain, Features: layout.Features{Incompat: layout.FeatInlineData}, OSD: -1, Created: time.Unix(1, 0), Written: time.Unix(2, 0),
		Rings:   []layout.Ring{{Start: layout.MakeAddr(0, place.RingStart), Blocks: place.RingBlocks, Incarnation: 1, TailSeq: 1}},
		Devices: []layout.DeviceEntry{{UUID: layout.UUID{3}, Blocks: blocks, Role: layout.RoleMain}},
	}
	f.sb.SetPlacement(place)
	return f
}

// take hands out n blocks; own ones stand in no bitmap.
func (f *forge) take(n int, own bool) uint64 {
	b := f.next
	f.next += uint64(n)
	if !own {
		f.used = append(f.used, layout.Extent{Addr: layout.MakeAddr(0, b), Blocks: uint64(n)})
	}
	return b
}

// The forge is the sink its trees are written to.

func (f *forge) Epoch() uint64 {
	if f.trees != 0 {
		return f.trees
	}
	return f.epoch - 2
}

func (f *forge) Alloc(blocks int) (uint64, error) {
	f.count.MetaBlocks += uint64(blocks)
	return uint64(layout.MakeAddr(0, f.take(blocks, false))), nil
}
func (f *forge) Write(addr uint64, page []byte) error {
	writeBlocks(f.t, f.dev, layout.Addr(addr).Block(), page)
	return nil
}
func (f *forge) Free(uint64, int) { f.t.Fatal("a fresh tree frees nothing") }
func (f *forge) WriteBlob(data []byte) ([]btree.BlobExtent, error) {
	n := (len(data) + layout.BlockSize - 1) / layout.BlockSize
	b := f.take(n, false)
	f.count.DataBlocks += uint64(n)
	p := make([]byte, n*layout.BlockSize)
	copy(p, data)
	writeBlocks(f.t, f.dev, b, p)
	if r := len(data) % layout.BlockSize; r != 0 {
		f.padding[b+uint64(n)-1] = r
	}
	return []btree.BlobExtent{{Addr: uint64(layout.MakeAddr(0, b)), Bytes: uint32(len(data)), CRC: layout.CRC(data)}}, nil
}
func (f *forge) FreeBlob([]btree.BlobExtent) { f.t.Fatal("a fresh tree frees nothing") }

// tree writes a tree and returns its root.
func (f *forge) tree(kind layout.TreeKind, id uint64, kv map[string][]byte) btree.Root {
	cfg := ebofs.TreeConfig(kind, f.sb.FSID)
	cfg.InlineBytes = 0
	tr := btree.New(cfg, nil, btree.Owner{ID: id}, btree.Root{})
	for k, v := range kv {
		tr.Put([]byte(k), v)
	}
	tr.Freeze()
	root, err := tr.Reconcile(context.Background(), f)
	if err != nil {
		f.t.Fatal(err)
	}
	return root
}

// data writes n blocks and returns a chunk that maps them from block 0 on.
func (f *forge) data(n int) *layout.Chunk {
	b := f.take(n, false)
	f.count.DataBlocks += uint64(n)
	p := fill(int64(b), n*layout.BlockSize)
	writeBlocks(f.t, f.dev, b, p)
	c := new(layout.Chunk)
	for i := range n {
		c.Addr[i], c.CRC[i] = layout.MakeAddr(0, b+uint64(i)), layout.CRC(p[i*layout.BlockSize:(i+1)*layout.BlockSize])
	}
	return c
}

// clones makes two objects of the first n blocks of c, "one" and "two", flagged as
// shared if flag says so, and counts them in the refs tree.
func (f *forge) clones(c *layout.Chunk, flag bool, counts ...uint32) {
	for i := range c.Addr {
		if flag && c.Addr[i] != 0 {
			c.Flags[i] |= layout.BlockShared
		}
	}
	n := uint64(c.Mapped())
	for id, name := range map[uint64]string{5: "one", 6: "two"} {
		root := f.tree(layout.TreeExtents, id, map[string][]byte{keyOf(0): chunkValue(f.t, c)})
		f.object(name, &layout.Onode{ID: id, Size: n << 12, Extents: root})
	}
	groups := map[[8]byte]*layout.RefGroup{}
	for i, v := range counts {
		k, j := layout.RefKey(c.Addr[0] + layout.Addr(i))
		if groups[k] == nil {
			groups[k] = new(layout.RefGroup)
		}
		groups[k].Count[j] = v
	}
	for k, g := range groups {
		p, err := g.Append(nil)
		if err != nil {
			f.t.Fatal(err)
		}
		f.refs[string(k[:])] = p
	}
}

func chunkValue(t testing.TB, c *layout.Chunk) []byte {
	t.Helper()
	p, err := c.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func keyOf(v uint64) string { k := layout.Uint64Key(v); return string(k[:]) }

// collection adds one.
func (f *forge) collection(id string, r layout.CollRange) {
	p, err := (&layout.Cnode{Range: r}).Append(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	f.colls[id] = p
	f.count.Collections++
}

// object adds one with the given onode.
func (f *forge) object(name string, o *layout.Onode) string {
	p, err := o.Append(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	k := object(name)
	f.objects[string(k.AppendKey(nil))] = p
	f.count.Objects++
	f.count.LogicalBytes += o.Size
	return string(k.AppendKey(nil))
}

// sample fills the forge with two collections and a few objects: "a" with 10 blocks
// of data, "b" with 3 blocks and an omap, "c" inline.
func (f *forge) sample() {
	f.collection("c", layout.CollRange{Shard: layout.NoShard, Pool: 1})
	f.collection("d", layout.CollRange{Shard: layout.NoShard, Pool: 2, Bits: 1, Seed: 1})
	a := f.tree(layout.TreeExtents, 1, map[string][]byte{keyOf(0): chunkValue(f.t, f.data(10))})
	f.object("a", &layout.Onode{ID: 1, Size: 10 * layout.BlockSize, Extents: a})
	kv := map[string][]byte{}
	for i := range 2000 {
		kv[string(rune('a'+i%26))+keyOf(uint64(i))] = fill(int64(i), 40)
	}
	b := &layout.Onode{ID: 2, Size: 2*layout.BlockSize + 5, Omap: f.tree(layout.TreeOmap, 2, kv)}
	b.Extents = f.tree(layout.TreeExtents, 2, map[string][]byte{keyOf(0): chunkValue(f.t, f.data(3))})
	f.object("b", b)
	f.object("c", &layout.Onode{ID: 3, Size: 5, Inline: []byte("hello"), Attrs: f.tree(layout.TreeAttrs, 3, map[string][]byte{"x": fill(1, 9000)})})
}

// finish writes what names the trees and returns the device.
func (f *forge) finish() *devices.Mem {
	f.t.Helper()
	self := layout.Self{FSID: f.sb.FSID, Epoch: f.epoch}
	must := func(err error) {
		f.t.Helper()
		if err != nil {
			f.t.Fatal(err)
		}
	}
	r := layout.RootRecord{Cut: 100, NextObjectID: 10}
	r.Collections = f.tree(layout.TreeCollections, 0, f.colls)
	r.Objects = f.tree(layout.TreeObjects, 0, f.objects)
	r.Trash = f.tree(layout.TreeTrash, 0, f.trash)
	if len(f.refs) > 0 {
		r.Refs = f.tree(layout.TreeRefs, 0, f.refs)
	}
	f.count.TrashObjects = uint64(len(f.trash))
	r.Counters = f.count

	// Bitmaps, of the epoch before if there is a space log.
	var own []layout.Extent
	zones := make([]layout.ZoneEntry, f.place.Zones)
	flushed := f.epoch
	if f.space != nil {
		flushed--
		b := f.take(1, true)
		self.Addr = layout.MakeAddr(0, b)
		p := make([]byte, layout.BlockSize)
		ref, err := (&layout.SpaceLog{Entries: f.space}).Encode(p, self)
		must(err)
		writeBlocks(f.t, f.dev, b, p)
		r.SpaceLog = []layout.SpaceSegment{{Ref: ref, Entries: uint32(len(f.space))}}
		own = append(own, ref.Extent())
	}
	self.Epoch = flushed
	bitsOf := make([][]uint64, f.place.Zones)
	for z := range zones {
		_, n := f.place.Zone(uint32(z))
		bits := make([]uint64, (n+63)/64)
		for _, e := range f.used {
			for b := e.Addr.Block(); b < e.Addr.Block()+e.Blocks; b++ {
				if bz, _ := f.place.ZoneOf(b); bz == uint32(z) {
					start, _ := f.place.Zone(bz)
					bits[(b-start)/64] |= 1 << ((b - start) % 64)
				}
			}
		}
		bitsOf[z] = append([]uint64(nil), bits...)
		if f.editBits != nil {
			f.editBits(uint32(z), bits)
		}
		bm := layout.ZoneBitmap{Zone: uint32(z), Blocks: n, Bits: bits}
		zones[z].Flushed = flushed
		if bm.Used() == 0 {
			continue
		}
		b := f.take(bm.EncodedBlocks(), true)
		self.Addr = layout.MakeAddr(0, b)
		p := make([]byte, bm.EncodedBlocks()*layout.BlockSize)
		ref, err := bm.Encode(p, self)
		must(err)
		writeBlocks(f.t, f.dev, b, p)
		zones[z].Bitmap = ref
		own = append(own, ref.Extent())
	}
	self.Epoch = f.epoch
	tableAt, rootAt := f.take(1, true), f.take(1, true)
	own = append(own, layout.Extent{Addr: layout.MakeAddr(0, tableAt), Blocks: 1}, layout.Extent{Addr: layout.MakeAddr(0, rootAt), Blocks: 1})
	for z := range zones {
		start, n := f.place.Zone(uint32(z))
		for _, e := range own {
			for b := e.Addr.Block(); b < e.Addr.Block()+e.Blocks; b++ {
				if b >= start && b < start+uint64(n) {
					bitsOf[z][(b-start)/64] |= 1 << ((b - start) % 64)
				}
			}
		}
		for b := uint32(0); b < n; b++ {
			if bitsOf[z][b/64]>>(b%64)&1 == 0 {
				zones[z].FreeBlocks++
			}
		}
		for b := uint32(0); b+f.place.StripeBlocks <= n; b += f.place.StripeBlocks {
			if bitsOf[z][b/64]>>(b%64)&(1<<f.place.StripeBlocks-1) == 0 {
				zones[z].FreeStripes++
			}
		}
	}
	if f.editTable != nil {
		f.editTable(zones)
	}
	p := make([]byte, layout.BlockSize)
	self.Addr = layout.MakeAddr(0, tableAt)
	ref, err := (&layout.ZoneTable{Zones: zones}).Encode(p, self)
	must(err)
	writeBlocks(f.t, f.dev, tableAt, p)
	r.ZoneTables = []layout.Ref{ref}
	if f.editRoot != nil {
		f.editRoot(&r)
	}
	self.Addr = layout.MakeAddr(0, rootAt)
	f.sb.Root, err = r.Encode(p, self)
	must(err)
	writeBlocks(f.t, f.dev, rootAt, p)
	f.writeSupers()
	return f.dev
}

// writeSupers writes the four slots, two generations, and the label.
func (f *forge) writeSupers() {
	f.t.Helper()
	p := make([]byte, layout.BlockSize)
	if f.editSuper != nil {
		f.editSuper(&f.sb)
	}
	for _, gen := range []uint64{f.sb.Generation - 1, f.sb.Generation} {
		head, tail := f.place.SlotsOf(gen)
		for _, b := range []uint64{head, tail} {
			sb := f.sb
			sb.Generation, sb.Self = gen, layout.MakeAddr(0, b)
			if err := sb.Encode(p); err != nil {
				f.t.Fatal(err)
			}
			writeBlocks(f.t, f.dev, b, p)
		}
	}
	l := layout.Label{FSID: f.sb.FSID, DeviceUUID: f.sb.DeviceUUID, Role: layout.RoleMain, Blocks: f.sb.Blocks, Slots: f.place.Slots, Created: time.Unix(1, 0)}
	if err := l.Encode(p); err != nil {
		f.t.Fatal(err)
	}
	writeBlocks(f.t, f.dev, 0, p)
}
