package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"ebofs/osd"
)

// objectOps are one operation of each kind on an object that exists.
func objectOps(o osd.ObjectID) map[string]func(x *osd.Transaction) {
	return map[string]func(x *osd.Transaction){
		"touch":       func(x *osd.Transaction) { x.Touch(c1, o) },
		"write":       func(x *osd.Transaction) { x.Write(c1, o, 100, fill(1, 5000)) },
		"write large": func(x *osd.Transaction) { x.Write(c1, o, 0, fill(2, 300000)) },
		"zero":        func(x *osd.Transaction) { x.Zero(c1, o, 10, 9000) },
		"truncate":    func(x *osd.Transaction) { x.Truncate(c1, o, 77) },
		"remove":      func(x *osd.Transaction) { x.Remove(c1, o) },
		"setattr":     func(x *osd.Transaction) { x.SetAttr(c1, o, "_", fill(3, 30)) },
		"setattrs":    func(x *osd.Transaction) { x.SetAttrs(c1, o, map[string][]byte{"a": nil, "b": fill(4, 4000)}) },
		"rmattr":      func(x *osd.Transaction) { x.RmAttr(c1, o, "a") },
		"rmattrs":     func(x *osd.Transaction) { x.RmAttrs(c1, o) },
		"omap set":    func(x *osd.Transaction) { x.OmapSet(c1, o, map[string][]byte{"k": fill(5, 50)}) },
		"omap rm":     func(x *osd.Transaction) { x.OmapRm(c1, o, []string{"old"}) },
		"omap range":  func(x *osd.Transaction) { x.OmapRmRange(c1, o, "a", "z") },
		"omap clear":  func(x *osd.Transaction) { x.OmapClear(c1, o) },
		"omap header": func(x *osd.Transaction) { x.OmapSetHeader(c1, o, fill(6, 60)) },
		"hint":        func(x *osd.Transaction) { x.SetAllocHint(c1, o, 4<<20, 4<<20, 3) },
		"rename":      func(x *osd.Transaction) { x.Rename(c1, o, object(999)) },
	}
}

// testMissing does everything to objects and collections that do not exist.
func testMissing(t *testing.T, f Factory) {
	b := open(t, f)
	for name, op := range objectOps(object(1)) {
		x := txn(op)
		if creates(x.Ops()[0].Kind) {
			b.do(x, name)
			b.ok(b.compareAll())
			b.do(txn(func(x *osd.Transaction) { x.Remove(c1, object(1)) }), name)
			b.ok(b.compareAll())
		} else {
			b.refused(osd.ErrNotFound, x)
		}
	}
	s, ctx := b.h.Store, b.ctx
	for _, where := range []struct {
		c osd.CollectionID
		o osd.ObjectID
	}{{c1, object(1)}, {"nobody", object(1)}, {c1, osd.ObjectID{Shard: -1, Pool: 5, Name: "elsewhere"}}} {
		for name, err := range map[string]error{
			"read":        second(s.Read(ctx, where.c, where.o, 0, make([]byte, 10))),
			"empty read":  second(s.Read(ctx, where.c, where.o, 0, nil)),
			"stat":        second(s.Stat(ctx, where.c, where.o)),
			"fiemap":      second(s.Fiemap(ctx, where.c, where.o, 0, 10)),
			"attr":        second(s.Attr(ctx, where.c, where.o, "_")),
			"attrs":       second(s.Attrs(ctx, where.c, where.o)),
			"omap header": second(s.OmapHeader(ctx, where.c, where.o)),
			"omap get":    second(s.OmapGet(ctx, where.c, where.o, []string{"k"})),
			"omap get 0":  second(s.OmapGet(ctx, where.c, where.o, nil)),
			"omap check":  second(s.OmapCheck(ctx, where.c, where.o, []string{"k"})),
			"omap iter":   s.OmapIter(ctx, where.c, where.o, "", "", func(string, []byte) bool { return true }),
		} {
			if !isAny(err, osd.ErrNotFound) {
				t.Errorf("%s of %v in %q: %v, want %v", name, where.o, where.c, err, osd.ErrNotFound)
			}
		}
	}
	if _, _, err := s.List(ctx, "nobody", nil, nil, 1); !isAny(err, osd.ErrNotFound) {
		t.Errorf("list of a missing collection: %v", err)
	}
	if _, err := s.Collection(ctx, "nobody"); !isAny(err, osd.ErrNotFound) {
		t.Errorf("spec of a missing collection: %v", err)
	}
	b.refused(osd.ErrNotFound, txn(func(x *osd.Transaction) { x.Touch("nobody", object(1)) }))
	b.refused(osd.ErrInvalid, txn(func(x *osd.Transaction) { x.Touch(c1, osd.ObjectID{Shard: -1, Pool: 5, Name: "elsewhere"}) }))
	b.refused(osd.ErrInvalid, txn(func(x *osd.Transaction) { x.Touch(c1, osd.ObjectID{Shard: 0, Pool: 1, Name: "elsewhere"}) }))
	b.do(new(osd.Transaction)) // nothing
	b.end()
}

func second[A any](_ A, err error) error { return err }

// testRename renames objects with all they have.
func testRename(t *testing.T, f Factory) {
	b := open(t, f)
	o, a, z := object(10), object(11), object(12)
	content := func(x *osd.Transaction, o osd.ObjectID, seed uint64) {
		x.Write(c1, o, 50, fill(seed, 20000))
		x.SetAttrs(c1, o, map[string][]byte{"_": fill(seed, 30), "big": fill(seed, 9000)})
		x.OmapSet(c1, o, map[string][]byte{"k": fill(seed, 10), "l": nil})
		x.OmapSetHeader(c1, o, fill(seed, 44))
	}
	b.do(txn(func(x *osd.Transaction) { content(x, o, 1) }))
	for i := range 4 {
		if i%2 == 1 {
			b.ok(b.checkpoint())
		}
		b.do(txn(func(x *osd.Transaction) { x.Rename(c1, o, a) }))
		b.do(txn(func(x *osd.Transaction) { x.Write(c1, a, 100, fill(uint64(i), 77)) }))
		b.do(txn(func(x *osd.Transaction) { x.Rename(c1, a, o) }))
		b.settle()
	}
	b.do(txn(func(x *osd.Transaction) { content(x, a, 2) }))
	b.refused(osd.ErrExists, txn(func(x *osd.Transaction) { x.Rename(c1, o, a) }))
	b.refused(osd.ErrExists, txn(func(x *osd.Transaction) { x.Rename(c1, o, o) }))
	b.refused(osd.ErrNotFound, txn(func(x *osd.Transaction) { x.Rename(c1, z, z) }))
	b.refused(osd.ErrInvalid, txn(func(x *osd.Transaction) { x.Rename(c1, o, osd.ObjectID{Shard: -1, Pool: 9, Name: "x"}) }))
	b.do(txn(func(x *osd.Transaction) { // swap
		x.Rename(c1, o, z)
		x.Rename(c1, a, o)
		x.Rename(c1, z, a)
	}))
	b.settle()
	b.do(txn(func(x *osd.Transaction) { // over one removed, and the old name anew
		x.Remove(c1, a)
		x.Rename(c1, o, a)
		x.Write(c1, o, 0, fill(9, 10))
		x.OmapSet(c1, a, map[string][]byte{"more": fill(9, 9)})
	}))
	b.end()
}

// testAtomic ends transactions over several objects and collections with an
// operation that is refused: nothing of them may remain.
func testAtomic(t *testing.T, f Factory) {
	b := open(t, f)
	const c2 = osd.CollectionID("2.0_head")
	other := osd.ObjectID{Shard: -1, Pool: 2, Name: "other"}
	old, fresh := object(20), object(21)
	b.do(txn(func(x *osd.Transaction) {
		x.MkColl(c2, osd.CollectionSpec{Shard: -1, Pool: 2})
		x.Write(c2, other, 0, fill(1, 9000))
		x.Write(c1, old, 0, fill(2, 70000))
		x.SetAttrs(c1, old, map[string][]byte{"a": fill(3, 30), "c": fill(4, 400)})
		x.OmapSet(c1, old, map[string][]byte{"old": fill(5, 50), "older": fill(6, 60)})
		x.OmapSetHeader(c1, old, fill(7, 70))
	}))
	var reported atomic.Bool
	refusals := map[string]struct {
		want error
		add  func(x *osd.Transaction)
	}{
		"missing object":     {osd.ErrNotFound, func(x *osd.Transaction) { x.Remove(c1, object(30)) }},
		"missing collection": {osd.ErrNotFound, func(x *osd.Transaction) { x.Touch("nobody", object(30)) }},
		"collection exists":  {osd.ErrExists, func(x *osd.Transaction) { x.MkColl(c1, osd.CollectionSpec{Pool: 99}) }},
		"not empty":          {osd.ErrNotEmpty, func(x *osd.Transaction) { x.RmColl(c2) }},
		"wrong collection":   {osd.ErrInvalid, func(x *osd.Transaction) { x.Touch(c1, other) }},
		"rename onto":        {osd.ErrExists, func(x *osd.Transaction) { x.Rename(c1, fresh, object(22)) }},
	}
	for round := range 2 {
		for refusal, r := range refusals {
			for name, op := range objectOps(old) {
				x := txn(func(x *osd.Transaction) {
					x.Write(c2, other, 4000, fill(8, 100))
					x.MkColl("new", osd.CollectionSpec{Shard: -1, Pool: 3})
					x.Touch("new", osd.ObjectID{Shard: -1, Pool: 3, Name: "n"})
					x.SplitColl("new", 1, 1, "newer")
					x.Write(c1, fresh, 0, fill(9, 3000))
					x.Touch(c1, object(22))
					op(x)
					r.add(x)
				})
				if _, err := b.m.check(x); err != r.want {
					t.Fatalf("the test is wrong: %s, %s: %v", refusal, name, err)
				}
				b.ok(b.queue(x, nil, func(error) { reported.Store(true) }))
			}
			if err := b.compareAll(); err != nil {
				t.Fatalf("after transactions refused for %s: %v", refusal, err)
			}
			if reported.Load() {
				t.Fatalf("a transaction refused for %s was reported as committed", refusal)
			}
		}
		if round == 0 {
			b.settle()
		}
	}
	// The same without the refusal.
	for name, op := range objectOps(old) {
		b.do(txn(func(x *osd.Transaction) {
			x.Write(c2, other, 4000, fill(8, 100))
			op(x)
			x.Touch(c1, old) // for those that removed it
		}), name)
		b.ok(b.compareAll())
		if b.m.objs[object(999)] != nil {
			b.do(txn(func(x *osd.Transaction) { x.Remove(c1, object(999)) }))
		}
	}
	b.end()
}

// testTransactions has steps that depend on earlier ones, long lists, and the
// same transaction twice.
func testTransactions(t *testing.T, f Factory) {
	b := open(t, f)
	o := object(40)
	full := func(x *osd.Transaction, seed uint64) {
		x.Write(c1, o, 0, fill(seed, 30000))
		x.SetAttr(c1, o, "_", fill(seed, 3000))
		x.OmapSet(c1, o, map[string][]byte{fmt.Sprint(seed): fill(seed, 3)})
		x.OmapSetHeader(c1, o, fill(seed, 30))
	}
	for i, checkpoint := range []bool{false, true} {
		b.do(txn(func(x *osd.Transaction) { full(x, uint64(i)) }))
		if checkpoint {
			b.ok(b.checkpoint())
		}
		b.do(txn(func(x *osd.Transaction) { // removed and made anew: nothing old shows
			x.Remove(c1, o)
			x.Touch(c1, o)
			x.Truncate(c1, o, 40000)
		}))
		b.ok(b.compareObject(o))
		b.do(txn(func(x *osd.Transaction) {
			full(x, 5)
			x.Remove(c1, o)
			full(x, 6)
			x.Remove(c1, o)
			x.Write(c1, o, 4096, fill(7, 5000))
		}))
		b.ok(b.compareObject(o))
		b.settle()
	}
	b.do(txn(func(x *osd.Transaction) { // made and removed
		x.Write(c1, object(41), 0, fill(1, 100000))
		x.OmapSet(c1, object(41), map[string][]byte{"k": nil})
		x.Remove(c1, object(41))
	}))
	b.do(txn(func(x *osd.Transaction) { // many writes over each other
		for i := range 64 {
			x.Write(c1, o, uint64(i*1000), fill(uint64(i), 2500))
			if i%16 == 7 {
				x.Truncate(c1, o, uint64(i*900))
			}
			if i%16 == 11 {
				x.Zero(c1, o, uint64(i*500), 5000)
			}
		}
	}))
	b.do(txn(func(x *osd.Transaction) { // many objects
		for i := range 1000 {
			x.Write(c1, object(100+i), uint64(i%3)*4000, fill(uint64(i), i))
			x.SetAttr(c1, object(100+i), "_", fill(uint64(i), 100))
		}
	}))
	twice := txn(func(x *osd.Transaction) {
		x.Write(c1, o, 10, fill(3, 10000))
		x.OmapSet(c1, o, map[string][]byte{"twice": fill(4, 4)})
	})
	b.do(twice)
	b.do(txn(func(x *osd.Transaction) { x.Remove(c1, o) }))
	b.do(twice)
	joined := txn(func(x *osd.Transaction) {
		x.Append(twice)
		x.Append(txn(func(x *osd.Transaction) { x.Truncate(c1, o, 11) }))
	})
	if joined.Len() != 3 || twice.Len() != 2 {
		t.Fatalf("appended lists have %d and %d steps", joined.Len(), twice.Len())
	}
	b.do(joined)
	b.end()
}
