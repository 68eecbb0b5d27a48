package storetest

import (
	"fmt"
	"strings"
	"testing"

	"ebofs/osd"
)

// testCollections makes, removes and renames collections, rightly and wrongly.
func testCollections(t *testing.T, f Factory) {
	empty := &bench{pair: newPair(f.New(t)), t: t}
	empty.ok(empty.compareAll())
	empty.ok(empty.reopen())
	empty.end()

	b := open(t, f)
	spec := func(pool int64, bits uint8, seed uint32) osd.CollectionSpec {
		return osd.CollectionSpec{Shard: -1, Pool: pool, Bits: bits, Seed: seed}
	}
	mk := func(c osd.CollectionID, s osd.CollectionSpec) *osd.Transaction {
		return txn(func(x *osd.Transaction) { x.MkColl(c, s) })
	}
	b.do(mk("meta", spec(-1, 0, 0)))
	b.do(mk("2.0_head", spec(2, 1, 0)))
	b.do(mk("2.1_head", spec(2, 1, 1)))
	b.do(mk("2.0s0_head", osd.CollectionSpec{Shard: 0, Pool: 2, Bits: 2, Seed: 3}))
	b.do(mk("full", spec(9, 32, 0xffffffff)))
	b.do(mk(osd.CollectionID(strings.Repeat("ü", 127)+"x"), spec(10, 0, 0)))
	b.settle()

	for _, bad := range []struct {
		c    osd.CollectionID
		s    osd.CollectionSpec
		want error
	}{
		{c1, spec(77, 0, 0), osd.ErrExists},
		{"same range", spec(2, 1, 1), osd.ErrInvalid},
		{"wider", spec(2, 0, 0), osd.ErrInvalid},
		{"temporary", spec(-4, 0, 0), osd.ErrInvalid},
		{"seed", spec(78, 2, 4), osd.ErrInvalid},
		{"bits", spec(78, 33, 0), osd.ErrInvalid},
		{"", spec(78, 0, 0), osd.ErrInvalid},
		{"\xff", spec(78, 0, 0), osd.ErrInvalid},
		{osd.CollectionID(strings.Repeat("x", 256)), spec(78, 0, 0), osd.ErrInvalid},
	} {
		b.refused(bad.want, mk(bad.c, bad.s))
	}
	rm := func(c osd.CollectionID) *osd.Transaction {
		return txn(func(x *osd.Transaction) { x.RmColl(c) })
	}
	b.refused(osd.ErrNotFound, rm("nobody"))
	o := object(0)
	b.do(txn(func(x *osd.Transaction) { x.Touch(c1, o) }))
	b.refused(osd.ErrNotEmpty, rm(c1))
	b.refused(osd.ErrNotEmpty, txn(func(x *osd.Transaction) {
		x.Remove(c1, o)
		x.Touch(c1, object(1))
		x.RmColl(c1)
	}))
	temp := object(7)
	if temp.Pool >= 0 {
		t.Fatal("the test is wrong: object 7 should be temporary")
	}
	b.do(txn(func(x *osd.Transaction) {
		x.Remove(c1, o)
		x.Touch(c1, temp)
	}))
	b.refused(osd.ErrNotEmpty, rm(c1))
	b.do(txn(func(x *osd.Transaction) {
		x.Remove(c1, temp)
		x.RmColl(c1)
		x.MkColl(c1, spec(1, 1, 1))
		x.MkColl("1.0 other half", spec(1, 1, 0))
		x.RmColl("meta")
	}))
	b.settle()

	ren := func(c, id osd.CollectionID) *osd.Transaction {
		return txn(func(x *osd.Transaction) { x.RenameColl(c, id) })
	}
	one := object(5) // hash 5, which is odd
	b.do(txn(func(x *osd.Transaction) { x.Write(c1, one, 3, fill(3, 3000)) }))
	b.refused(osd.ErrNotFound, ren("nobody", "somebody"))
	b.refused(osd.ErrExists, ren(c1, "full"))
	b.refused(osd.ErrInvalid, ren(c1, ""))
	b.refused(osd.ErrInvalid, ren(c1, c1))
	b.do(ren(c1, "renamed"))
	b.ok(b.compareSpec(c1))
	b.settle()
	b.do(txn(func(x *osd.Transaction) { // swap
		x.RenameColl("2.0_head", "aside")
		x.RenameColl("2.1_head", "2.0_head")
		x.RenameColl("aside", "2.1_head")
	}))
	b.do(txn(func(x *osd.Transaction) { // and use the name at once
		x.RenameColl("renamed", "again")
		x.Write("again", one, 0, fill(4, 10))
		x.MkColl("renamed", spec(55, 0, 0))
	}))
	b.end()
}

// testSplitMerge splits a collection into sixteen and merges them back, with
// writes in between.
func testSplitMerge(t *testing.T, f Factory) {
	b := open(t, f)
	const objects = 200
	b.do(txn(func(x *osd.Transaction) {
		for i := range objects {
			x.Write(c1, object(i), 0, fill(uint64(i), i*29))
			if i%3 == 0 {
				x.SetAttr(c1, object(i), "_", fill(uint64(i), 20))
				x.OmapSet(c1, object(i), map[string][]byte{"k": fill(uint64(i), 9)})
			}
		}
	}))
	name := func(bits uint8, seed uint32) osd.CollectionID {
		if seed == 0 {
			return c1
		}
		return osd.CollectionID(fmt.Sprintf("1.%x of %d", seed, bits))
	}
	split := func(c osd.CollectionID, bits uint8, seed uint32, dest osd.CollectionID) *osd.Transaction {
		return txn(func(x *osd.Transaction) { x.SplitColl(c, bits, seed, dest) })
	}
	b.refused(osd.ErrNotFound, split("nobody", 1, 1, "x"))
	b.refused(osd.ErrInvalid, split(c1, 1, 1, c1))
	b.refused(osd.ErrInvalid, split(c1, 0, 1, "x"))
	b.refused(osd.ErrInvalid, split(c1, 1, 0, "x"))
	b.refused(osd.ErrInvalid, split(c1, 1, 1, ""))

	colls := []uint32{0}
	names := map[uint32]osd.CollectionID{0: c1}
	for bits := uint8(1); bits <= 4; bits++ {
		for _, seed := range colls {
			upper := seed | 1<<(bits-1)
			names[upper] = name(bits, upper)
			b.do(txn(func(x *osd.Transaction) {
				x.SplitColl(names[seed], bits, upper, names[upper])
				for i := range objects { // the objects are usable in the same transaction
					if o := object(i); o.Hash&(1<<bits-1) == upper && i%5 == int(bits) {
						x.Write(names[upper], o, uint64(i), fill(uint64(i)+7, 50))
					}
				}
			}))
			colls = append(colls, upper)
		}
		if bits%2 == 0 {
			b.settle()
		} else {
			b.ok(b.compareAll())
		}
	}
	// An object is found where it lies and nowhere else.
	o := object(3)
	for seed, c := range names {
		_, err := b.h.Store.Stat(b.ctx, c, o)
		if here := o.Hash&15 == seed; here != (err == nil) || !here && !isAny(err, osd.ErrNotFound) {
			t.Errorf("object with hash %#x in %q: %v", o.Hash, c, err)
		}
	}
	wrong := names[(o.Hash&15)^1]
	b.refused(osd.ErrInvalid, txn(func(x *osd.Transaction) { x.Touch(wrong, o) }))
	b.refused(osd.ErrInvalid, txn(func(x *osd.Transaction) { x.Rename(names[o.Hash&15], o, object(4)) }))

	merge := func(c, dest osd.CollectionID, bits uint8) *osd.Transaction {
		return txn(func(x *osd.Transaction) { x.MergeColl(c, dest, bits) })
	}
	b.refused(osd.ErrNotFound, merge(names[8], "nobody", 3))
	b.refused(osd.ErrNotFound, merge("nobody", names[8], 3))
	b.refused(osd.ErrInvalid, merge(names[8], names[0], 2))
	b.refused(osd.ErrInvalid, merge(names[8], names[0], 4))
	b.refused(osd.ErrInvalid, merge(names[8], names[1], 3))
	b.refused(osd.ErrInvalid, merge(names[4], names[0], 3))
	b.refused(osd.ErrInvalid, merge(names[8], names[8], 3))
	for bits := uint8(4); bits > 0; bits-- {
		for seed := range uint32(1) << (bits - 1) {
			upper := seed | 1<<(bits-1)
			from, to := names[upper], names[seed]
			if seed%2 == 1 { // into the upper half, for once
				from, to = to, from
			}
			b.do(txn(func(x *osd.Transaction) {
				x.MergeColl(from, to, bits-1)
				x.RmAttr(to, pick(b.m, to, from), "_")
			}))
			names[seed] = to
		}
		if bits%2 == 0 {
			b.settle()
		} else {
			b.ok(b.compareAll())
		}
	}
	if len(b.m.colls) != 1 || len(b.m.objs) != objects {
		t.Fatalf("the test is wrong: %d collections, %d objects", len(b.m.colls), len(b.m.objs))
	}
	// Split, and undone, in one transaction.
	b.do(txn(func(x *osd.Transaction) {
		x.SplitColl(c1, 1, 1, "odd")
		x.Touch("odd", object(5))
		x.MergeColl(c1, "odd", 0)
		x.RenameColl("odd", c1)
		x.Write(c1, object(6), 5, fill(1, 5))
	}))
	b.refused(osd.ErrNotFound, txn(func(x *osd.Transaction) {
		x.SplitColl(c1, 1, 1, "odd")
		x.Remove("odd", object(5))
		x.Remove("odd", object(5))
	}))
	b.end()
}

// pick returns an object of one of the collections.
func pick(m *model, cs ...osd.CollectionID) osd.ObjectID {
	for _, c := range cs {
		if ids := m.ids(c); len(ids) > 0 {
			return ids[len(ids)/2]
		}
	}
	return osd.ObjectID{}
}
