package repair

import (
	"fmt"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

// destroy ruins every label and superblock.
func destroy(t testing.TB, dev devices.Device, do func(p []byte)) {
	blocks := dev.Geometry().Blocks
	for _, b := range append(layout.LabelBlocks(blocks), slotList(blocks)...) {
		change(t, dev, b, 1, do)
	}
}

func place1(kind string) place {
	for _, p := range sample().places {
		if p.kind == kind {
			return p
		}
	}
	panic(kind)
}

// TestSalvage: without any label and superblock, and without the root record too,
// every object comes back.
func TestSalvage(t *testing.T) {
	o := sample()
	root := place1("root record")
	for _, h := range harms {
		for _, more := range []string{"", "root record", "first 5 MiB", "root record, objects inner", "root record, zone table"} {
			t.Run(h.name+"/"+more, func(t *testing.T) {
				dev := o.dev.Snapshot()
				destroy(t, dev, h.do)
				if len(more) > 4 && more[:4] == "root" {
					change(t, dev, root.block, root.blocks, h.do)
				}
				switch more {
				case "first 5 MiB":
					change(t, dev, 0, 5<<20/layout.BlockSize, h.do)
				case "root record, objects inner":
					p := place1("objects inner")
					change(t, dev, p.block, p.blocks, h.do)
				case "root record, zone table":
					p := place1("zone table")
					change(t, dev, p.block, p.blocks, h.do)
				}
				damaged := dev.Hash()
				file := new(memFile)
				res, err := Run(bg, NewUndo(dev, file), Options{Mode: All, Overwrite: true})
				if err != nil {
					t.Fatal(err)
				}
				repaired := dev.Snapshot()
				if n := clean(t, dev); n > 0 {
					t.Errorf("%d marks", n)
				}
				if hurt := compare(t, dev, o.want); len(hurt) > 0 {
					t.Errorf("lost: %v; %v", hurt, res.Actions)
				}
				s := open(t, dev, ebofs.Options{})
				apply(t, s, func(x *ebofs.Txn) { x.Write(coll, object("new"), 0, fill(5, 300000)) })
				if err := s.Close(bg); err != nil {
					t.Fatal(err)
				}
				clean(t, dev)
				if f, err := ebofs.Find(bg, dev); err != nil || f.Super.FSID != (layout.UUID{1, 2, 3}) {
					t.Errorf("store %v, %v", f.Super.FSID, err)
				}
				for range 2 {
					if _, err := ApplyUndo(bg, file, repaired); err != nil {
						t.Fatal(err)
					}
				}
				if repaired.Hash() != damaged {
					t.Error("undo: the image is not what it was")
				}
			})
		}
	}
}

// unclean makes a store with records in its log.
func unclean(t testing.TB) (*devices.Mem, map[string]*content) {
	dev := sample().dev.Snapshot()
	s := open(t, dev, ebofs.Options{})
	for i := range 20 {
		apply(t, s, func(x *ebofs.Txn) {
			x.Write(coll, object(fmt.Sprintf("small%03d", i*4)), 0, fill(int64(i)+1000, 3000))
			x.Write(coll, object(fmt.Sprintf("placed%d", i)), 0, fill(int64(i), 200000))
		})
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	crashed := dev.Snapshot()
	want := map[string]*content{}
	list := names()
	for i := range 20 {
		list = append(list, fmt.Sprintf("placed%d", i))
	}
	for _, n := range list {
		c, err := get(s, object(n))
		if err != nil {
			t.Fatal(err)
		}
		want[n] = c
	}
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	return crashed, want
}

// TestUnclean: what the log holds is not lost, whatever has to be repaired first.
func TestUnclean(t *testing.T) {
	base, want := unclean(t)
	places := map[string]place{}
	f, err := ebofs.Find(bg, base)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := ebofs.ReadRoots(bg, base, &f.Super)
	if err != nil {
		t.Fatal(err)
	}
	places["root record"] = place{block: f.Super.Root.Addr.Block(), blocks: int(f.Super.Root.Blocks)}
	places["zone table"] = place{block: roots.Record.ZoneTables[0].Addr.Block(), blocks: 1}
	places["bitmap"] = place{block: roots.Zones[0].Bitmap.Addr.Block(), blocks: 1}
	places["objects inner"] = place{block: layout.Addr(roots.Record.Objects.Ptr.Addr).Block(), blocks: int(roots.Record.Objects.Ptr.Blocks)}
	for _, name := range []string{"", "root record", "zone table", "bitmap", "superblocks", "superblocks, root record", "superblocks, zone table"} {
		for _, mode := range []Mode{Safe, All} {
			if mode == Safe && name != "" {
				continue
			}
			t.Run(fmt.Sprint(name, " ", mode), func(t *testing.T) {
				dev := base.Snapshot()
				for n, p := range places {
					if n == name || name == "superblocks, "+n {
						change(t, dev, p.block, p.blocks, func(p []byte) { p[50] ^= 1 })
					}
				}
				if len(name) > 10 && name[:11] == "superblocks" {
					destroy(t, dev, func(p []byte) { clear(p) })
				}
				opt := Options{Mode: mode, Overwrite: true}
				if name == "" {
					opt.Found = mustCheck(t, dev) // as if the log had been looked into
					opt.Found.Counts.LogReplayed = opt.Found.Counts.LogRecords
				}
				res, err := Run(bg, dev, opt)
				if err != nil {
					t.Fatal(err)
				}
				if name == "" && len(res.Actions) != 1 {
					t.Errorf("more was done than a replay: %v", res.Actions)
				}
				clean(t, dev)
				hurt := compare(t, dev, want)
				if len(hurt) > 0 {
					t.Errorf("lost: %v; %v", hurt, res.Actions)
				}
			})
		}
	}
}
