package check_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// flip changes one byte of the device.
func flip(t testing.TB, dev devices.Device, b uint64, off int) {
	t.Helper()
	p := readBlocks(t, dev, b, 1)
	p[off] ^= 0x20
	writeBlocks(t, dev, b, p)
}

func zero(t testing.TB, dev devices.Device, b uint64, n int) {
	writeBlocks(t, dev, b, make([]byte, n*layout.BlockSize))
}

// TestForged makes one thing wrong at a time and expects to be told of that, with
// the objects it costs, and of nothing else.
func TestForged(t *testing.T) {
	type test struct {
		name   string
		level  check.Level
		before func(f *forge) // before the store is complete
		after  func(f *forge) // to the device
		want   []check.Code   // sorted, each once; nil: clean
		text   string         // in one of the problems
		object string         // costs this object
	}
	full, deep := check.Full, check.Deep
	chunkOf := func(f *forge, c *layout.Chunk) btree.Root {
		return f.tree(layout.TreeExtents, 5, map[string][]byte{keyOf(0): chunkValue(f.t, c)})
	}
	var at uint64 // a block the test remembers
	tests := []test{
		{name: "nothing", level: deep},
		{name: "label zeroed", after: func(f *forge) { zero(f.t, f.dev, 0, 1) }, want: []check.Code{check.LabelBad}, text: "bad magic"},
		{name: "first 2 MiB zeroed", after: func(f *forge) { zero(f.t, f.dev, 0, 256); zero(f.t, f.dev, 256, 256) }, level: deep, want: []check.Code{check.LabelBad}},
		{name: "last 2 MiB zeroed", after: func(f *forge) { zero(f.t, f.dev, f.sb.Blocks-512, 256); zero(f.t, f.dev, f.sb.Blocks-256, 256) }, level: deep},
		{name: "label of another store", after: func(f *forge) {
			p := readBlocks(f.t, f.dev, 0, 1)
			l, _ := layout.DecodeLabel(p)
			l.FSID[0]++
			_ = l.Encode(p)
			writeBlocks(f.t, f.dev, 0, p)
		}, want: []check.Code{check.LabelOther}, text: "02020000-"},
		{name: "slot rotten", after: func(f *forge) { flip(f.t, f.dev, f.place.Slots[3], 100) }, want: []check.Code{check.SuperBad}, text: "superblock Z1"},
		{name: "three slots rotten", level: full, after: func(f *forge) {
			for _, i := range []int{0, 1, 3} {
				flip(f.t, f.dev, f.place.Slots[i], 100)
			}
		}, want: []check.Code{check.SuperBad}},
		{name: "slot lost", after: func(f *forge) {
			p := readBlocks(f.t, f.dev, f.place.Slots[0], 1)
			sb, _ := layout.DecodeSuperblock(p)
			sb.Generation = 4
			sb.Epoch += 2
			sb.Self = layout.MakeAddr(0, f.place.Slots[2])
			_ = sb.Encode(p)
			writeBlocks(f.t, f.dev, f.place.Slots[2], p)
		}, want: []check.Code{check.RootBad, check.SuperBad}, text: "generation 1, expected generation 3"},
		{name: "close cut off before its second write", level: deep, before: func(f *forge) { f.sb.Generation = 4 }, after: func(f *forge) {
			i := 2 + f.sb.Generation%2
			p := readBlocks(f.t, f.dev, f.place.Slots[i], 1)
			sb, _ := layout.DecodeSuperblock(p)
			sb.Generation -= 2
			_ = sb.Encode(p)
			writeBlocks(f.t, f.dev, f.place.Slots[i], p)
		}, text: "cut off"},
		{name: "close cut off in its second write", level: deep, after: func(f *forge) {
			p := readBlocks(f.t, f.dev, f.place.Slots[2+f.sb.Generation%2], 1)
			p[len(p)-8]++
			writeBlocks(f.t, f.dev, f.place.Slots[2+f.sb.Generation%2], p)
		}, text: "cut off"},
		{name: "torn superblock write of an open store", level: deep, before: func(f *forge) { f.sb.Flags = 0 }, after: func(f *forge) { flip(f.t, f.dev, f.place.Slots[2], 100) }},
		{name: "open store after several crashes", level: deep, before: func(f *forge) { f.sb.Flags = 0 }, after: func(f *forge) {
			for _, i := range []int{0, 1, 3} {
				flip(f.t, f.dev, f.place.Slots[i], 100)
			}
		}},
		{name: "misplaced slot of an open store", level: deep, before: func(f *forge) { f.sb.Flags = 0 }, after: func(f *forge) {
			writeBlocks(f.t, f.dev, f.place.Slots[1], readBlocks(f.t, f.dev, f.place.Slots[3], 1))
		}, want: []check.Code{check.SuperBad}, text: "misplaced"},
		{name: "device cut", level: full, before: func(f *forge) {
			f.editSuper = func(sb *layout.Superblock) { sb.Blocks += 100; sb.Devices[0].Blocks += 100 }
		}, want: []check.Code{check.DeviceShort, check.LabelBad, check.SuperBad}},
		{name: "root rotten", level: full, after: func(f *forge) { flip(f.t, f.dev, f.sb.Root.Addr.Block(), 70) }, want: []check.Code{check.RootBad}, text: "crc"},
		{name: "root lost", level: full, before: func(f *forge) { f.editSuper = func(sb *layout.Superblock) { sb.Root.Epoch++; sb.Epoch++ } }, want: []check.Code{check.RootBad}, text: "epoch 9, expected 10"},
		{name: "root outside", level: full, before: func(f *forge) { f.editSuper = func(sb *layout.Superblock) { sb.Root.Addr = 5 } }, want: []check.Code{check.RootBad}},
		{name: "zone table rotten", level: full, before: func(f *forge) { f.editRoot = func(r *layout.RootRecord) { at = r.ZoneTables[0].Addr.Block() } }, after: func(f *forge) { flip(f.t, f.dev, at, 90) },
			want: []check.Code{check.ZoneTable}},
		{name: "bitmap rotten", level: full, before: func(f *forge) {
			f.editTable = func(z []layout.ZoneEntry) { at = z[0].Bitmap.Addr.Block() }
		}, after: func(f *forge) { flip(f.t, f.dev, at, 90) }, want: []check.Code{check.ZoneBitmap}, text: "bitmap of zone 0"},
		{name: "zone totals", level: full, before: func(f *forge) { f.editTable = func(z []layout.ZoneEntry) { z[3].FreeBlocks--; z[5].FreeStripes-- } }, want: []check.Code{check.ZoneCount}, text: "zone 3"},
		{name: "totals, quick", before: func(f *forge) { f.editTable = func(z []layout.ZoneEntry) { z[3].FreeBlocks-- } }, want: []check.Code{check.Counter}},
		{name: "counters", level: full, before: func(f *forge) {
			f.editRoot = func(r *layout.RootRecord) { r.Counters.Objects++; r.Counters.LogicalBytes-- }
		}, want: []check.Code{check.Counter}, text: "objects at 0:"},
		{name: "leak", level: full, before: func(f *forge) { f.take(7, false) }, want: []check.Code{check.Leak}, text: "7 blocks in 1 runs"},
		{name: "used but free", level: full, before: func(f *forge) {
			f.object("victim", &layout.Onode{ID: 5, Size: 8 << 12, Extents: chunkOf(f, f.data(8))})
			at = f.used[len(f.used)-2].Addr.Block() // data, then its node
			f.editBits = func(z uint32, bits []uint64) {
				start, _ := f.place.Zone(z)
				if zz, _ := f.place.ZoneOf(at); zz == z {
					bits[(at+2-start)/64] &^= 1 << ((at + 2 - start) % 64)
				}
			}
		}, want: []check.Code{check.UsedFree, check.ZoneCount}, text: "bytes 8192~4096", object: "victim"},
		{name: "clones", level: deep, before: func(f *forge) { f.clones(f.data(4), true, 2, 2, 2, 2) }},
		{name: "clones and trash of unmarked blocks", level: deep, before: func(f *forge) {
			c := f.data(4)
			plain := *c
			f.clones(c, true, 3, 3, 3, 3)
			p, err := (&layout.Trash{ID: 7, Size: 4 << 12, Extents: f.tree(layout.TreeExtents, 7, map[string][]byte{keyOf(0): chunkValue(f.t, &plain)})}).Append(nil)
			if err != nil {
				f.t.Fatal(err)
			}
			f.trash[keyOf(7)] = p
		}},
		{name: "count too low", level: full, before: func(f *forge) { f.clones(f.data(4), true, 2, 0, 0, 2) }, want: []check.Code{check.RefsBad}, text: "not counted"},
		{name: "count too high", level: full, before: func(f *forge) { f.clones(f.data(4), true, 2, 3, 3, 2) }, want: []check.Code{check.RefsBad}, text: "mapped 2 times by recount"},
		{name: "count of nothing", level: full, before: func(f *forge) {
			c := f.data(4)
			f.clones(c, true, 2, 2, 2, 2, 2)
		}, want: []check.Code{check.RefsBad}, text: "mapped 0 times by recount"},
		{name: "counts, not marked as shared", level: full, before: func(f *forge) {
			f.clones(f.data(4), false, 2, 2, 2, 2)
			f.count.DataBlocks += 4
		}, want: []check.Code{check.UsedTwice, check.RefsBad}, text: "mapped 0 times by recount", object: "two"},
		{name: "shared with one that does not say so", level: full, before: func(f *forge) {
			c := f.data(4)
			plain := *c
			f.clones(c, true, 2, 2, 2, 2)
			f.object("three", &layout.Onode{ID: 7, Size: 4 << 12, Extents: f.tree(layout.TreeExtents, 7, map[string][]byte{keyOf(0): chunkValue(f.t, &plain)})})
			f.count.DataBlocks += 4
		}, want: []check.Code{check.UsedTwice}, object: "three"},
		{name: "counts malformed", level: full, before: func(f *forge) {
			f.clones(f.data(4), true, 2, 2, 2, 2)
			for k := range f.refs {
				f.refs[k] = []byte{'R', 1, 1, 1, 0, 4, 0, 0, 1, 0, 0, 0}
			}
		}, want: []check.Code{check.RefsBad}, text: "run 0"},
		{name: "used twice", level: full, before: func(f *forge) {
			c := f.data(6)
			f.object("one", &layout.Onode{ID: 5, Size: 6 << 12, Extents: chunkOf(f, c)})
			var d layout.Chunk
			copy(d.Addr[:], c.Addr[2:4])
			copy(d.CRC[:], c.CRC[2:4])
			f.object("two", &layout.Onode{ID: 6, Size: 2 << 12, Extents: f.tree(layout.TreeExtents, 6, map[string][]byte{keyOf(0): chunkValue(f.t, &d)})})
			f.count.DataBlocks += 2
		}, want: []check.Code{check.UsedTwice}, text: "bytes 8192~8192", object: "two"},
		{name: "data on the root record", level: full, before: func(f *forge) {
			root := f.tree(layout.TreeExtents, 5, map[string][]byte{keyOf(0): func() []byte {
				var c layout.Chunk
				c.Addr[0], c.CRC[0] = layout.MakeAddr(0, f.place.ZoneStart+500), 1
				return chunkValue(f.t, &c)
			}()})
			f.count.DataBlocks++
			f.object("over", &layout.Onode{ID: 5, Size: 1 << 12, Extents: root})
			f.next = f.place.ZoneStart + 497 // trees and blobs come to lie around it
		}, want: []check.Code{check.UsedTwice}, text: "root record, zone table or bitmap, data", object: "over"},
		{name: "outside the zones", level: full, before: func(f *forge) {
			var c layout.Chunk
			c.Addr[3], c.CRC[3] = layout.MakeAddr(0, 5), 1
			f.object("x", &layout.Onode{ID: 5, Size: 4 << 12, Extents: chunkOf(f, &c)})
		}, want: []check.Code{check.Range}, text: "bytes 12288~4096", object: "x"},
		{name: "other device", level: full, before: func(f *forge) {
			var c layout.Chunk
			c.Addr[0], c.CRC[0] = layout.MakeAddr(1, f.place.ZoneStart+3000), 1
			f.object("x", &layout.Onode{ID: 5, Size: 4 << 12, Extents: chunkOf(f, &c)})
		}, want: []check.Code{check.Range}, object: "x"},
		{name: "blocks behind the end", level: full, before: func(f *forge) {
			f.object("x", &layout.Onode{ID: 5, Size: 1<<12 + 1, Extents: chunkOf(f, f.data(3))})
		}, want: []check.Code{check.BeyondEnd}, object: "x"},
		{name: "marked damaged", level: deep, before: func(f *forge) {
			c := f.data(3)
			c.Flags[1] = layout.BlockDamaged
			f.object("x", &layout.Onode{ID: 5, Size: 3 << 12, Extents: chunkOf(f, c)})
		}, want: []check.Code{check.DataDamaged}, text: "bytes 4096~4096", object: "x"},
		{name: "data rotten, full", level: full, before: func(f *forge) { at = f.next }, after: func(f *forge) { flip(f.t, f.dev, f.place.ZoneStart+4, 5) }},
		{name: "data rotten, deep", level: deep, after: func(f *forge) { flip(f.t, f.dev, f.place.ZoneStart+4, 5); flip(f.t, f.dev, f.place.ZoneStart+5, 5) },
			want: []check.Code{check.DataCRC}, text: "bytes 16384~8192", object: "a"},
		{name: "long value rotten", level: deep, before: func(f *forge) {
			b := f.next
			f.object("x", &layout.Onode{ID: 5, Attrs: f.tree(layout.TreeAttrs, 5, map[string][]byte{"y": fill(3, 30000)})})
			at = b
		}, after: func(f *forge) { flip(f.t, f.dev, at, 50) }, want: []check.Code{check.ValueBad}, text: `attribute "y"`, object: "x"},
		{name: "chunk malformed", level: full, before: func(f *forge) {
			p := chunkValue(f.t, f.data(3))
			p[8] = 63
			f.object("x", &layout.Onode{ID: 5, Size: 3 << 12, Extents: f.tree(layout.TreeExtents, 5, map[string][]byte{keyOf(0): p})})
		}, want: []check.Code{check.ChunkBad}, object: "x"},
		{name: "onode malformed", level: full, before: func(f *forge) { k := f.object("x", &layout.Onode{ID: 5}); f.objects[k] = []byte("nonsense") },
			want: []check.Code{check.OnodeBad}, object: "x"},
		{name: "onode empty", level: full, before: func(f *forge) { k := f.object("x", &layout.Onode{ID: 5}); f.objects[k] = nil }, want: []check.Code{check.OnodeBad}, object: "x"},
		{name: "id twice", level: full, before: func(f *forge) { f.object("x", &layout.Onode{ID: 3}) }, want: []check.Code{check.IDBad}, text: "id 3, which another object has"},
		{name: "id from the future", level: full, before: func(f *forge) { f.object("x", &layout.Onode{ID: 11}) }, want: []check.Code{check.IDBad}, text: "up to 10", object: "x"},
		{name: "orphan", level: full, before: func(f *forge) {
			k := object("lost")
			k.Pool = 7
			p, _ := (&layout.Onode{ID: 5}).Append(nil)
			f.objects[string(k.AppendKey(nil))] = p
			f.count.Objects++
		}, want: []check.Code{check.Orphan}, object: "lost"},
		{name: "orphan of the other half", level: full, before: func(f *forge) {
			k := object("lost")
			k.Pool, k.Hash = 2, 4 // collection d has the odd hashes
			p, _ := (&layout.Onode{ID: 5}).Append(nil)
			f.objects[string(k.AppendKey(nil))] = p
			f.count.Objects++
		}, want: []check.Code{check.Orphan}, object: "lost"},
		{name: "temporary object", level: full, before: func(f *forge) {
			k := object("tmp")
			k.Pool = -3
			p, _ := (&layout.Onode{ID: 5}).Append(nil)
			f.objects[string(k.AppendKey(nil))] = p
			f.count.Objects++
		}},
		{name: "key malformed", level: full, before: func(f *forge) {
			p, _ := (&layout.Onode{ID: 5}).Append(nil)
			k := object("x")
			f.objects[string(k.AppendKey(nil))+"tail"] = p
			f.count.Objects++
		}, want: []check.Code{check.KeyBad}},
		{name: "collections overlap", level: full, before: func(f *forge) { f.collection("e", layout.CollRange{Shard: layout.NoShard, Pool: 2, Bits: 2, Seed: 3}) },
			want: []check.Code{check.CollBad}, text: `"e"`},
		{name: "cnode malformed", level: full, before: func(f *forge) { f.colls["zz"] = []byte{1}; f.count.Collections++ }, want: []check.Code{check.CollBad}},
		{name: "trash", level: deep, before: func(f *forge) {
			tr := layout.Trash{ID: 6, Extents: f.tree(layout.TreeExtents, 6, map[string][]byte{keyOf(3): chunkValue(f.t, f.data(3))})}
			p, _ := tr.Append(nil)
			f.trash[keyOf(6)] = p
		}},
		{name: "trash malformed", level: full, before: func(f *forge) {
			p, _ := (&layout.Trash{ID: 6}).Append(nil)
			f.trash[keyOf(7)] = p
		}, want: []check.Code{check.TrashBad}},
		{name: "node of another tree", level: full, before: func(f *forge) {
			f.editRoot = func(r *layout.RootRecord) {
				r.Collections, r.Objects = r.Objects, r.Collections
				r.Collections.Count = r.Counters.Objects
			}
		}, want: []check.Code{check.NodeOwner}, text: "tree kind"},
		{name: "node of another object", level: full, before: func(f *forge) {
			o, _ := layout.DecodeOnode(f.objects[func() string { k := object("a"); return string(k.AppendKey(nil)) }()])
			o.ID = 5
			f.object("thief", &o)
		}, want: []check.Code{check.NodeOwner}, object: "thief", text: "bytes 0~40960"},
		{name: "node from the future", level: full, before: func(f *forge) {
			f.trees = f.epoch + 1
			o := layout.Onode{ID: 5, Omap: f.tree(layout.TreeOmap, 5, map[string][]byte{"k": nil})}
			f.trees = 0
			f.object("x", &o)
		}, want: []check.Code{check.NodeStale}, text: "epoch 10, expected epoch at most 9", object: "x"},
		{name: "totals of a tree", level: full, before: func(f *forge) { f.editRoot = func(r *layout.RootRecord) { r.Objects.Count++ } }, want: []check.Code{check.NodeTotals}},
		{name: "space log", level: deep, before: func(f *forge) {
			// The bitmaps are of the epoch before: 5 blocks taken since, 2 given back.
			b := f.take(7, false)
			e := f.take(5, false)
			f.used = f.used[:len(f.used)-2]
			c := new(layout.Chunk)
			p := fill(1, 5*layout.BlockSize)
			writeBlocks(f.t, f.dev, e, p)
			for i := range 5 {
				c.Addr[i], c.CRC[i] = layout.MakeAddr(0, e+uint64(i)), layout.CRC(p[i*layout.BlockSize:(i+1)*layout.BlockSize])
			}
			f.count.DataBlocks += 5
			f.object("x", &layout.Onode{ID: 5, Size: 5 << 12, Extents: chunkOf(f, c)})
			f.used = append(f.used, layout.Extent{Addr: layout.MakeAddr(0, e), Blocks: 5})
			f.space = []layout.SpaceEntry{{Start: layout.MakeAddr(0, b), Blocks: 2, Kind: layout.SpaceFree}, {Start: layout.MakeAddr(0, e), Blocks: 5, Kind: layout.SpaceAlloc}}
			f.editBits = func(z uint32, bits []uint64) {
				start, n := f.place.Zone(z)
				for i := range uint64(5) {
					if e+i >= start && e+i < start+uint64(n) {
						bits[(e+i-start)/64] &^= 1 << ((e + i - start) % 64)
					}
				}
				for i := range uint64(2) {
					if b+i >= start && b+i < start+uint64(n) {
						bits[(b+i-start)/64] |= 1 << ((b + i - start) % 64)
					}
				}
			}
		}},
		{name: "space log rotten", level: full, before: func(f *forge) {
			f.space = []layout.SpaceEntry{{Start: layout.MakeAddr(0, f.place.ZoneStart+4000), Blocks: 2, Kind: layout.SpaceFree}}
			f.editRoot = func(r *layout.RootRecord) { at = r.SpaceLog[0].Ref.Addr.Block() }
		}, after: func(f *forge) { flip(f.t, f.dev, at, 66) }, want: []check.Code{check.SpaceLog}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			f := newForge(t)
			f.sample()
			if c.before != nil {
				c.before(f)
			}
			f.finish()
			if c.after != nil {
				c.after(f)
			}
			before := f.dev.Hash()
			r := run(t, f.dev, check.Options{Level: c.level})
			var got []check.Code
			text, costs := "", false
			for i := range r.Problems {
				p := &r.Problems[i]
				got = append(got, p.Code)
				text += p.String() + "\n"
				for _, o := range p.Objects {
					costs = costs || o.Name == c.object
				}
			}
			text += r.Phases[0].Note
			slices.Sort(got)
			got = slices.Compact(got)
			if !slices.Equal(got, c.want) || !strings.Contains(text, c.text) || c.object != "" && !costs {
				t.Errorf("codes %v, want %v with %q costing %q:\n%s", got, c.want, c.text, c.object, text)
			}
			if f.dev.Hash() != before {
				t.Error("the check wrote to the device")
			}
			if want := uint64(len(r.Problems)); r.Counts.Errors+r.Counts.Warnings != want {
				t.Error(r.Counts)
			}
		})
	}
}

// TestNodes damages one leaf of an omap in every way a device can.
func TestNodes(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, f *forge, at, other uint64, blocks int)
		want check.Code
	}{
		{"rot", func(t *testing.T, f *forge, at, _ uint64, _ int) { flip(t, f.dev, at, 3000) }, check.NodeCRC},
		{"zeroed", func(t *testing.T, f *forge, at, _ uint64, n int) { zero(t, f.dev, at, n) }, check.NodeCRC},
		{"misdirected", func(t *testing.T, f *forge, at, other uint64, n int) {
			writeBlocks(t, f.dev, at, readBlocks(t, f.dev, other, n))
		}, check.NodePlace},
		{"lost write", func(t *testing.T, f *forge, at, _ uint64, n int) {
			p := readBlocks(t, f.dev, at, n)
			p[32]-- // epoch
			resealNode(p)
			writeBlocks(t, f.dev, at, p)
		}, check.NodeStale},
		{"other store", func(t *testing.T, f *forge, at, _ uint64, n int) {
			p := readBlocks(t, f.dev, at, n)
			p[24]++ // self address: another block
			resealNode(p)
			writeBlocks(t, f.dev, at, p)
		}, check.NodePlace},
		{"twin", func(t *testing.T, f *forge, at, _ uint64, n int) {
			p := readBlocks(t, f.dev, at, n)
			p[41]++ // owner's key, a hint: only the parent's crc shows it
			resealNode(p)
			writeBlocks(t, f.dev, at, p)
		}, check.NodeStale},
		{"field", func(t *testing.T, f *forge, at, _ uint64, n int) {
			p := readBlocks(t, f.dev, at, n)
			p[64], p[65] = 0xff, 0xff // items
			resealNode(p)
			writeBlocks(t, f.dev, at, p)
		}, check.NodeForm},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newForge(t)
			f.sample()
			f.finish()
			var leaves []btree.Ptr
			k := object("b")
			o, err := layout.DecodeOnode(f.objects[string(k.AppendKey(nil))])
			if err != nil {
				t.Fatal(err)
			}
			err = btree.Walk(bg, devLoader{t, f.dev}, ebofs.TreeConfig(layout.TreeOmap, f.sb.FSID), &btree.Owner{ID: 2}, o.Omap, btree.Visitor{Node: func(n *btree.Node) error {
				if n.Ptr.Level == 0 {
					leaves = append(leaves, n.Ptr)
				}
				return nil
			}})
			if err != nil || len(leaves) < 3 {
				t.Fatal(err, len(leaves))
			}
			at := layout.Addr(leaves[1].Addr).Block()
			c.do(t, f, at, layout.Addr(leaves[2].Addr).Block(), int(leaves[1].Blocks))
			r := run(t, f.dev, check.Options{Level: check.Full})
			if len(r.Problems) != 1 || r.Complete {
				t.Fatalf("complete %v: %+v", r.Complete, r.Problems)
			}
			p := r.Problems[0]
			if p.Code != c.want || p.Address != at || p.Blocks != uint64(leaves[1].Blocks) || p.Tree != "omap" || len(p.Objects) != 1 || p.Objects[0].Name != "b" || !strings.Contains(p.Where, "with keys from") {
				t.Errorf("%s\n%+v", p.String(), p)
			}
			if p.Repair != check.RepairPeer || p.Severity != "error" {
				t.Error(p.Repair, p.Severity)
			}
		})
	}
}

// resealNode makes the checksum of a node right again.
func resealNode(p []byte) {
	copy(p[4:8], []byte{0, 0, 0, 0})
	c := layout.CRC(p)
	p[4], p[5], p[6], p[7] = byte(c), byte(c>>8), byte(c>>16), byte(c>>24)
}

// devLoader reads nodes for the tests themselves.
type devLoader struct {
	t   testing.TB
	dev devices.Device
}

func (l devLoader) Load(_ context.Context, _ *btree.Config, _ *btree.Owner, p btree.Ptr) (*btree.Page, error) {
	return btree.ParsePage(append([]byte(nil), readBlocks(l.t, l.dev, layout.Addr(p.Addr).Block(), int(p.Blocks))...))
}
func (l devLoader) Resident(btree.Ptr) *btree.Page                             { return nil }
func (l devLoader) ReadBlob(context.Context, []btree.BlobExtent, []byte) error { return io.EOF }

// TestReadErrors: a device that fails for single blocks costs what lies there, one
// that fails once costs nothing.
func TestReadErrors(t *testing.T) {
	dev := makeStore(t)
	eio := errors.New("EIO")
	seen := map[check.Code]bool{}
	var reads []devices.Block
	known := map[devices.Block]bool{}
	var mu sync.Mutex
	run(t, hooked{dev, func(b devices.Block, n uint64) error {
		mu.Lock()
		defer mu.Unlock()
		if !known[b] {
			known[b] = true
			reads = append(reads, b)
		}
		return nil
	}}, check.Options{Level: check.Deep, Workers: 1})
	ring := openRing(t, dev)
	for i := 0; i < len(reads); i += 9 {
		failing := reads[i]
		if ring.Contains(layout.MakeAddr(0, uint64(failing))) {
			continue // behind the end of the log nobody needs to read anything
		}
		r, err := check.Run(bg, hooked{dev, func(b devices.Block, n uint64) error {
			if b <= failing && failing < b+devices.Block(n) {
				return eio
			}
			return nil
		}}, check.Options{Level: check.Deep})
		if err != nil {
			t.Fatalf("block %d: %v", failing, err)
		}
		if len(r.Problems) == 0 && r.Counts.Retried == 0 {
			t.Errorf("block %d cannot be read and nobody noticed", failing)
		}
		for _, p := range r.Problems {
			seen[p.Code] = true
		}
	}
	for _, c := range []check.Code{check.DataRead, check.NodeRead} {
		if !seen[c] {
			t.Errorf("never saw %s", c)
		}
	}
	tries := map[devices.Block]int{}
	dev3 := hooked{dev, func(b devices.Block, n uint64) error {
		mu.Lock()
		defer mu.Unlock()
		if b > 1000 {
			if tries[b]++; tries[b] == 1 {
				return eio
			}
		}
		return nil
	}}
	r := run(t, dev3, check.Options{Level: check.Deep, Workers: 1})
	for i := range r.Problems {
		if r.Problems[i].Code != check.LogDamage { // the log has its own retries
			t.Error(r.Problems[i].String())
		}
	}
	if r.Counts.Retried == 0 {
		t.Error("nothing was retried")
	}
}

// openRing returns where the log of a closed store lies.
func openRing(t *testing.T, dev devices.Device) layout.Extent {
	t.Helper()
	sb, err := layout.DecodeSuperblock(readBlocks(t, dev, layout.SlotBlocks(dev.Geometry().Blocks)[0], 1))
	if err != nil {
		t.Fatal(err)
	}
	return layout.Extent{Addr: sb.Rings[0].Start, Blocks: sb.Rings[0].Blocks}
}

// hooked is a device whose reads may fail.
type hooked struct {
	devices.Device
	read func(b devices.Block, n uint64) error
}

func (h hooked) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	if err := h.read(b, uint64(devices.VecBytes(v)/layout.BlockSize)); err != nil {
		return err
	}
	return h.Device.Read(ctx, b, v)
}

// TestNoStore: what is no store, or none for this program, is an error and no report
// of problems.
func TestNoStore(t *testing.T) {
	if _, err := check.Run(bg, newDevice(64), check.Options{}); !errors.Is(err, check.ErrNoStore) {
		t.Error(err)
	}
	if _, err := check.Run(bg, newDevice(1), check.Options{}); !errors.Is(err, check.ErrNoStore) {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		edit func(sb *layout.Superblock)
		want error
	}{
		"feature":    {func(sb *layout.Superblock) { sb.Features.Incompat |= 1 << 50 }, layout.ErrFeature},
		"formatting": {func(sb *layout.Superblock) { sb.Flags |= layout.SuperFormatting }, check.ErrNoStore},
	} {
		f := newForge(t)
		f.sample()
		f.editSuper = c.edit
		if _, err := check.Run(bg, f.finish(), check.Options{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := newForge(t)
	f.finish()
	for _, b := range f.place.Slots {
		flip(t, f.dev, b, 999)
	}
	if _, err := check.Run(bg, f.dev, check.Options{}); !errors.Is(err, layout.ErrNoSuperblock) || !errors.Is(err, layout.ErrBadCRC) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, err := check.Run(ctx, makeStore(t), check.Options{Level: check.Full}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestLog damages a committed part of the log.
func TestLog(t *testing.T) {
	dev := newDevice(64)
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	s := open(t, dev, ebofs.Options{})
	apply(t, s, func(x *ebofs.Txn) { x.MkColl(coll, ebofs.CollSpec{Shard: -1, Pool: 1}) })
	for i := range 30 {
		apply(t, s, func(x *ebofs.Txn) { x.Write(coll, object(fmt.Sprint(i)), 0, fill(1, 5000)) })
	}
	crashed := dev.Snapshot()
	ring := s.Superblock().Rings[0]
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	if r := run(t, crashed, check.Options{}); !r.OK() || r.Counts.LogRecords != 31 {
		t.Fatalf("%+v", r)
	}
	flip(t, crashed, ring.Start.Block()+ring.TailBlock+7, 99)
	r := run(t, crashed, check.Options{Level: check.Full})
	if len(r.Problems) != 1 || r.Problems[0].Code != check.LogDamage || r.Problems[0].Address < ring.Start.Block() {
		t.Fatalf("%+v", r.Problems)
	}
}

// TestLogDevice: a store whose log is elsewhere is checked with it, and without it as
// far as that goes.
func TestLogDevice(t *testing.T) {
	dev, log, other := newDevice(64), newDevice(32), newDevice(32)
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{LogDevice: log}); err != nil {
		t.Fatal(err)
	}
	if _, err := ebofs.Format(bg, newDevice(64), ebofs.FormatOptions{LogDevice: other}); err != nil {
		t.Fatal(err)
	}
	s := open(t, dev, ebofs.Options{LogDevice: log})
	populate(t, s)
	crashed, crashedLog := dev.Snapshot(), log.Snapshot()
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	wantClean(t, run(t, dev, check.Options{Level: check.Deep, LogDevice: log}))
	r := run(t, crashed, check.Options{Level: check.Full, LogDevice: crashedLog})
	wantClean(t, r)
	if r.Counts.LogRecords == 0 {
		t.Error("no records seen on the log device")
	}
	for _, c := range []struct {
		log  devices.Device
		want check.Code
	}{{nil, check.LogMissing}, {newDevice(32), check.LogMissing}, {other, check.SuperOther}} {
		r := run(t, crashed, check.Options{Level: check.Full, LogDevice: c.log})
		if len(r.Problems) != 1 || r.Problems[0].Code != c.want || r.Complete {
			t.Errorf("want %s: %+v", c.want, r.Problems)
		}
	}
	if _, err := check.Run(bg, log, check.Options{}); !errors.Is(err, check.ErrNoStore) || !strings.Contains(err.Error(), "main device") {
		t.Error(err)
	}
}

// TestPages: every code that can be given has a page, and says who can repair it.
func TestPages(t *testing.T) {
	seen := map[check.Code]bool{}
	for _, p := range check.Pages() {
		if seen[p.Code] {
			t.Errorf("%s twice", p.Code)
		}
		seen[p.Code] = true
		if p.Repair != check.RepairHere && p.Repair != check.RepairPeer && p.Repair != check.RepairNone {
			t.Errorf("%s: repair %q", p.Code, p.Repair)
		}
		for _, s := range []string{p.Meaning, p.Danger, p.Cure} {
			if !strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
				t.Errorf("%s: %q is no sentence", p.Code, s)
			}
		}
		if p.Title == "" || strings.HasSuffix(p.Title, ".") {
			t.Errorf("%s: title %q", p.Code, p.Title)
		}
	}
}

// TestProblemLimit: a store with too many problems gives a bounded report.
func TestProblemLimit(t *testing.T) {
	f := newForge(t)
	f.sample()
	for i := range 50 {
		k := f.object(fmt.Sprint("bad", i), &layout.Onode{ID: 5})
		f.objects[k] = []byte("x")
	}
	r := run(t, f.finish(), check.Options{Level: check.Full, MaxProblems: 7})
	if len(r.Problems) != 7 || r.Omitted != 43 || r.Counts.Errors != 50 {
		t.Fatal(len(r.Problems), r.Omitted, r.Counts.Errors)
	}
}
