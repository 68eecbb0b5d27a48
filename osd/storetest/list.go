package storetest

import (
	"math/bits"
	"slices"
	"sync"
	"testing"

	"ebofs/osd"
)

// listed pages through [start, end) of c.
func (b *bench) listed(c osd.CollectionID, start, end *osd.ObjectID, max int) []osd.ObjectID {
	b.t.Helper()
	var got []osd.ObjectID
	for {
		ids, next, err := b.h.Store.List(b.ctx, c, start, end, max)
		b.ok(err)
		if max > 0 && len(ids) > max {
			b.t.Fatalf("list of %d returned %d", max, len(ids))
		}
		got = append(got, ids...)
		if next == nil {
			return got
		}
		if start != nil && next.Compare(*start) <= 0 {
			b.t.Fatalf("list went from %v to %v", *start, *next)
		}
		start = next
	}
}

// testList lists by pages of many lengths and between many bounds.
func testList(t *testing.T, f Factory) {
	b := open(t, f)
	b.ok(b.compareList(c1, 0))
	// Another collection on either side, that must never be seen.
	b.do(txn(func(x *osd.Transaction) {
		x.MkColl("below", osd.CollectionSpec{Shard: -1, Pool: 0})
		x.MkColl("above", osd.CollectionSpec{Shard: -1, Pool: 2})
		x.MkColl("shard", osd.CollectionSpec{Shard: 0, Pool: 1})
		for i := range 20 {
			o := object(i)
			o.Pool = 0
			x.Touch("below", o)
			o.Pool = 2
			x.Touch("above", o)
			o.Pool, o.Shard = 1, 0
			x.Touch("shard", o)
		}
	}))
	const objects = 400
	for i := range objects {
		x := txn(func(x *osd.Transaction) { x.Touch(c1, object(i)) })
		b.ok(b.queue(x, nil, nil))
		if i == objects/2 {
			b.ok(b.checkpoint())
		}
	}
	for range 2 { // half in memory, then all from the device
		want := b.m.ids(c1)
		for _, max := range []int{1, 2, 3, 7, 100, objects - 1, objects, objects + 1, 1 << 20, 0, -1} {
			b.ok(b.compareList(c1, max))
		}
		// Every pair of some bounds, existing and not.
		var bounds []*osd.ObjectID
		for i := 0; i < objects; i += 61 {
			bounds = append(bounds, &want[i])
			near := want[i]
			near.Name += "\x00"
			bounds = append(bounds, &near)
			hash := osd.ObjectID{Shard: -1, Pool: 1, Hash: want[i].Hash}
			bounds = append(bounds, &hash)
		}
		bounds = append(bounds, nil, &osd.ObjectID{Shard: -128, Pool: -1 << 63}, &osd.ObjectID{Shard: 127, Pool: 1<<63 - 1, Hash: 1<<32 - 1})
		for _, start := range bounds {
			for _, end := range bounds {
				var in []osd.ObjectID
				for _, id := range want {
					if (start == nil || id.Compare(*start) >= 0) && (end == nil || id.Compare(*end) < 0) {
						in = append(in, id)
					}
				}
				b.ok(sameIDs("between bounds", b.listed(c1, start, end, 50), in))
			}
		}
		// Ranges of hashes: a sixteenth each, in the order of reversed bits.
		var all []osd.ObjectID
		for i := range uint32(16) {
			start := &osd.ObjectID{Shard: -1, Pool: 1, Hash: bits.Reverse32(i << 28)}
			end := &osd.ObjectID{Shard: -1, Pool: 1, Hash: bits.Reverse32((i + 1) << 28)}
			if i == 15 {
				end = &osd.ObjectID{Shard: -1, Pool: 2}
			}
			ids := b.listed(c1, start, end, 5)
			for _, id := range ids {
				if bits.Reverse32(id.Hash)>>28 != i {
					t.Errorf("range %d of hashes has %v", i, id)
				}
			}
			all = append(all, ids...)
		}
		temp := slices.IndexFunc(want, func(id osd.ObjectID) bool { return id.Pool == 1 })
		b.ok(sameIDs("sixteenths", all, want[temp:]))
		b.ok(b.checkpoint())
		b.ok(b.reopen())
	}
	// Removing what a page ended with, before and behind the cursor.
	want := b.m.ids(c1)
	ids, next, err := b.h.Store.List(b.ctx, c1, nil, nil, 100)
	b.ok(err)
	if next == nil {
		t.Fatal("no cursor after 100 of 400 objects")
	}
	b.do(txn(func(x *osd.Transaction) {
		for _, id := range append(ids[50:], want[len(ids)], want[len(ids)+3]) {
			x.Remove(c1, id)
		}
	}))
	rest := append(slices.Clone(want[len(ids)+1:len(ids)+3]), want[len(ids)+4:]...)
	b.ok(sameIDs("after the cursor", b.listed(c1, next, nil, 30), rest))
	b.end()
}

// testListWhileWriting lists while objects come and go. Those that stay are
// seen once each, in order.
func testListWhileWriting(t *testing.T, f Factory) {
	b := open(t, f)
	const objects = 600
	b.do(txn(func(x *osd.Transaction) {
		for i := range objects {
			x.Touch(c1, object(i))
		}
	}))
	var stay []osd.ObjectID
	for _, id := range b.m.ids(c1) {
		if !slices.ContainsFunc([]int{1, 2, 3}, func(k int) bool { return id == object(k) }) {
			stay = append(stay, id)
		}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			x := txn(func(x *osd.Transaction) {
				if i%2 == 0 {
					x.Remove(c1, object(1+i/2%3))
				} else {
					x.Touch(c1, object(1+i/2%3))
				}
				x.Touch(c1, object(objects+i%1000))
			})
			if err := b.h.Store.Queue(b.ctx, x, nil, nil); err != nil {
				t.Errorf("transaction %d: %v", i, err)
				return
			}
		}
	})
	for round := range 20 {
		if round%5 == 4 {
			b.ok(b.checkpoint())
		}
		got := b.listed(c1, nil, nil, 10+round*13)
		for i := 1; i < len(got); i++ {
			if got[i-1].Compare(got[i]) >= 0 {
				t.Errorf("%v listed before %v", got[i-1], got[i])
			}
		}
		known := slices.DeleteFunc(got, func(id osd.ObjectID) bool {
			_, found := slices.BinarySearchFunc(stay, id, osd.ObjectID.Compare)
			return !found
		})
		if err := sameIDs("objects that stay", known, stay); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	wg.Wait()
	b.shut()
}
