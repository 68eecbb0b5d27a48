package repair

import (
	"errors"
	"fmt"
	"strings"
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

func place1(kind string) place { return sample().first(kind) }

// TestSalvage: without any label and superblock, and without the root record too,
// every object comes back.
func TestSalvage(t *testing.T) {
	salvageAll(t, sample(), "", "root record", "first 5 MiB", "root record, objects inner", "root record, zone table")
}

// TestSalvageClones: with the right counts, too.
func TestSalvageClones(t *testing.T) {
	salvageAll(t, cloned(), "", "root record", "first 5 MiB", "root record, refs inner", "root record, zone table")
}

func salvageAll(t *testing.T, o *original, cases ...string) {
	root := o.first("root record")
	for _, h := range harms {
		for _, more := range cases {
			t.Run(h.name+"/"+more, func(t *testing.T) {
				dev := o.dev.Snapshot()
				destroy(t, dev, h.do)
				if len(more) > 4 && more[:4] == "root" {
					change(t, dev, root.block, root.blocks, h.do)
				}
				switch more {
				case "first 5 MiB":
					change(t, dev, 0, 5<<20/layout.BlockSize, h.do)
				default:
					if kind, ok := strings.CutPrefix(more, "root record, "); ok {
						p := o.first(kind)
						change(t, dev, p.block, p.blocks, h.do)
					}
				}
				damaged := dev.Hash()
				file := new(memFile)
				res, err := runUndo(dev, file, Options{Mode: All, Overwrite: true})
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

// TestUncleanClones: clones that only the log knows come back with their counts,
// whatever has to be repaired first.
func TestUncleanClones(t *testing.T) {
	dev := cloned().dev.Snapshot()
	s := open(t, dev, ebofs.Options{})
	apply(t, s, func(x *ebofs.Txn) { x.Clone(coll, object("src"), object("late")) })
	apply(t, s, func(x *ebofs.Txn) { x.Write(coll, object("late"), 100000, fill(70, 200000)) })
	apply(t, s, func(x *ebofs.Txn) { x.CloneRange(coll, object("alone"), object("late"), 0, 100000, 65536) })
	apply(t, s, func(x *ebofs.Txn) {
		x.Remove(coll, object("src"))
		x.Clone(coll, object("late"), object("later"))
	})
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	base := dev.Snapshot()
	want := map[string]*content{}
	for _, n := range append([]string{"late", "later"}, clonesOf...) {
		if n == "src" {
			continue
		}
		c, err := get(s, object(n))
		if err != nil {
			t.Fatal(err)
		}
		want[n] = c
	}
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	for _, harm := range []string{"", "zone table", "zone table, refs leaf", "zone table, refs inner", "root record", "superblocks", "superblocks, refs leaf", "superblocks, root record"} {
		t.Run(harm, func(t *testing.T) {
			dev := base.Snapshot()
			for _, kind := range strings.Split(harm, ", ") {
				switch kind {
				case "":
				case "superblocks":
					destroy(t, dev, clearAll)
				default:
					p := cloned().first(kind)
					if kind == "root record" || kind == "zone table" { // mounting wrote new ones
						sb, root := rootsOf(t, base)
						if p.block = sb.Root.Addr.Block(); kind == "zone table" {
							p.block = root.ZoneTables[0].Addr.Block()
						}
					}
					change(t, dev, p.block, p.blocks, clearAll)
				}
			}
			res, err := Run(bg, dev, Options{Mode: All, Overwrite: true})
			if err != nil {
				t.Fatal(err)
			}
			clean(t, dev)
			if hurt := compare(t, dev, want); len(hurt) > 0 {
				t.Errorf("lost: %v; %v", hurt, res.Actions)
			}
			s := open(t, dev, ebofs.Options{ReadOnly: true})
			defer s.Close(bg)
			if _, err := get(s, object("src")); !errors.Is(err, ebofs.ErrNotFound) {
				t.Errorf("the removed source: %v", err)
			}
		})
	}
}

// TestLoggedCloneOfLost: what the log clones from an object that is lost is marked,
// as is the object; it is not simply missing.
func TestLoggedCloneOfLost(t *testing.T) {
	dev := sample().dev.Snapshot()
	s := open(t, dev, ebofs.Options{})
	apply(t, s, func(x *ebofs.Txn) { x.Clone(coll, object("small000"), object("late")) })
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	dev = dev.Snapshot()
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	_, root := rootsOf(t, dev)
	change(t, dev, root.ZoneTables[0].Addr.Block(), 1, clearAll)
	for _, p := range sample().places {
		if p.kind == "objects leaf" && p.objects["small000"] {
			change(t, dev, p.block, p.blocks, clearAll)
		}
	}
	if _, err := Run(bg, dev, Options{Mode: All}); err != nil {
		t.Fatal(err)
	}
	clean(t, dev)
	s = open(t, dev, ebofs.Options{ReadOnly: true})
	defer s.Close(bg)
	for _, n := range []string{"small000", "late"} {
		if _, err := get(s, object(n)); !errors.Is(err, ebofs.ErrCorrupt) {
			t.Errorf("object %s: %v", n, err)
		}
	}
}
