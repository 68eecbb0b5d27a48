package mutate

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

var le = binary.LittleEndian

// place is a structure on the device.
type place struct {
	start, blocks uint64
	sumAt, from   int      // its checksum, and the first byte of what it sums; sumAt 0: none
	copies        []holder // of the checksum
}

// holder is where another place holds a copy.
type holder struct{ place, off int }

// finder finds the places of a store.
type finder struct {
	s  *Store
	ld *btree.Cache
	sb layout.Superblock
}

// find lists the places of the store.
func (s *Store) find(log bool) error {
	ctx := context.Background()
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	f := finder{s: s, ld: btree.NewCache(reader{s.Mem}, pool, 4<<20)}
	defer f.ld.Clear()
	found, err := ebofs.Find(ctx, Open{s.Mem})
	if err != nil {
		return err
	}
	f.sb = found.Super
	for _, l := range found.Labels {
		f.add("label", place{start: l.Block, blocks: 1, sumAt: 8, from: 12})
	}
	var newest []holder
	for _, c := range found.Slots {
		i := f.add("superblock", place{start: c.Addr.Block(), blocks: 1, sumAt: 8, from: 12})
		if sb, err := layout.DecodeSuperblock(c.Data); err == nil && sb.Root == f.sb.Root {
			newest = append(newest, holder{i, 168 + 16})
		}
	}
	roots, err := ebofs.ReadRoots(ctx, Open{s.Mem}, &f.sb)
	if err != nil {
		return err
	}
	root := f.ref("root record", f.sb.Root, newest)
	for _, t := range roots.Record.ZoneTables {
		table := f.ref("zone table", t, f.pointer(root, refBytes(t), 16))
		for _, z := range roots.Zones {
			if !z.Bitmap.IsNone() {
				p := le.AppendUint32(nil, z.Bitmap.CRC)
				f.ref("zone bitmap", z.Bitmap, f.pointer(table, le.AppendUint64(le.AppendUint64(p, z.Flushed), uint64(z.Bitmap.Addr)), 0))
			}
		}
	}
	for k := layout.TreeCollections; k <= layout.TreeOwners; k++ {
		if err := f.tree(k, btree.Owner{}, *roots.Record.Root(k), root); err != nil {
			return err
		}
	}
	if log {
		if err := f.log(); err != nil {
			return err
		}
	}
	for _, want := range []string{"label", "superblock", "root record", "zone table", "zone bitmap", "collections 0", "objects 0", "objects 1", "attrs 0", "attrs 1", "omap 0", "omap 1", "extents 0", "extents 1", "long value", "data"} {
		if len(s.places[want]) == 0 {
			return fmt.Errorf("the store has no %s", want)
		}
	}
	return nil
}

// add adds a place of a class.
func (f *finder) add(class string, p place) int {
	s := f.s
	if s.places[class] == nil {
		s.classes = append(s.classes, class)
	}
	s.all = append(s.all, p)
	s.places[class] = append(s.places[class], len(s.all)-1)
	s.Bytes += p.blocks * devices.BlockSize
	return len(s.all) - 1
}

func (f *finder) ref(class string, r layout.Ref, copies []holder) int {
	return f.add(class, place{start: r.Addr.Block(), blocks: uint64(r.Blocks), sumAt: 4, copies: copies})
}

// pointer returns where place in holds the encoded pointer p, whose checksum is at
// off of it.
func (f *finder) pointer(in int, p []byte, off int) []holder {
	where := f.s.all[in]
	buf, err := read(f.s.Mem, where.start, where.blocks)
	if err != nil {
		return nil
	}
	if i := bytes.Index(buf, p); i >= 0 {
		return []holder{{in, i + off}}
	}
	return nil
}

func refBytes(r layout.Ref) []byte {
	p := le.AppendUint64(nil, uint64(r.Addr))
	p = le.AppendUint64(p, r.Epoch)
	return le.AppendUint32(le.AppendUint32(p, r.CRC), r.Blocks)
}

// ptrBytes is how a node's parent begins to speak of it: address, epoch, checksum.
func ptrBytes(p btree.Ptr) []byte {
	return le.AppendUint32(le.AppendUint64(le.AppendUint64(nil, p.Addr), p.Epoch), p.CRC)
}

// reader gives trees their pages.
type reader struct{ dev devices.Device }

// ReadPage implements btree.PageReader.
func (r reader) ReadPage(ctx context.Context, addr uint64, blocks int, dst []byte) error {
	return r.dev.Read(ctx, devices.Block(layout.Addr(addr).Block()), devices.Vec{dst[:blocks*devices.BlockSize]})
}

// tree adds the nodes and long values of a tree whose root stands in place in,
// and what hangs on its records.
func (f *finder) tree(kind layout.TreeKind, own btree.Owner, root btree.Root, in int) error {
	path := map[uint8]int{}
	leaf := in
	return btree.Walk(context.Background(), f.ld, ebofs.TreeConfig(kind, f.sb.FSID), &own, root, btree.Visitor{
		Node: func(n *btree.Node) error {
			if n.Page == nil {
				return nil
			}
			parent, ok := path[n.Ptr.Level+1]
			if !ok || n.Ptr == root.Ptr {
				parent = in
			}
			i := f.add(fmt.Sprintf("%v %d", kind, n.Ptr.Level), place{start: layout.Addr(n.Ptr.Addr).Block(), blocks: uint64(n.Ptr.Blocks), sumAt: 4, copies: f.pointer(parent, ptrBytes(n.Ptr), 16)})
			path[n.Ptr.Level] = i
			if n.Ptr.Level == 0 {
				leaf = i
			}
			return nil
		},
		Item: func(key, val []byte, ext []btree.BlobExtent) error {
			at := leaf
			for _, e := range ext {
				blocks := (uint64(e.Bytes) + devices.BlockSize - 1) / devices.BlockSize
				f.add("long value", place{start: layout.Addr(e.Addr).Block(), blocks: blocks})
			}
			if ext != nil {
				return nil
			}
			return f.item(kind, key, bytes.Clone(val), at)
		},
	})
}

// item adds what hangs on a record.
func (f *finder) item(kind layout.TreeKind, key, val []byte, leaf int) error {
	switch kind {
	case layout.TreeObjects:
		o, err := layout.DecodeOnode(val)
		if err != nil {
			return err
		}
		own := btree.Owner{ID: o.ID}
		for _, t := range []struct {
			kind layout.TreeKind
			root btree.Root
		}{{layout.TreeAttrs, o.Attrs}, {layout.TreeOmap, o.Omap}, {layout.TreeExtents, o.Extents}} {
			if err := f.tree(t.kind, own, t.root, leaf); err != nil {
				return err
			}
		}
	case layout.TreeExtents:
		return layout.ChunkRuns(val, func(r *layout.Run) bool {
			f.add("data", place{start: r.Addr.Block(), blocks: uint64(r.Blocks)})
			return true
		})
	}
	return nil
}

// log adds the batches of the log; each is named by the one behind it.
func (f *finder) log() error {
	ring := f.sb.Rings[0]
	last := -1
	for b := ring.TailBlock; ; {
		p, err := read(f.s.Mem, ring.Start.Block()+b, 1)
		if err != nil {
			return err
		}
		if string(p[:4]) != "EWAL" || le.Uint64(p[24:]) != ring.Incarnation {
			break
		}
		n := (uint64(le.Uint32(p[12:])) + devices.BlockSize - 1) / devices.BlockSize
		i := f.add("log", place{start: ring.Start.Block() + b, blocks: n, sumAt: 4, from: 8})
		if last >= 0 {
			f.s.all[last].copies = []holder{{i, 40}}
		}
		last, b = i, b+n
	}
	if last < 0 {
		return fmt.Errorf("nothing in the log")
	}
	return nil
}
