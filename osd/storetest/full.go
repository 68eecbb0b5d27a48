package storetest

import (
	"errors"
	"fmt"
	"testing"

	"ebofs/osd"
)

// try applies x to both unless the store has no room for it.
func (b *bench) try(x *osd.Transaction) (stored bool) {
	b.t.Helper()
	pl, err := b.m.check(x)
	if err != nil {
		b.t.Fatalf("the test is wrong: %v", err)
	}
	err = b.h.Store.Queue(b.ctx, x, nil, nil)
	if errors.Is(err, osd.ErrNoSpace) {
		b.ok(b.compareTouched(x)) // as before
		return false
	}
	b.ok(err)
	b.m.apply(x, pl)
	return true
}

// room drops what the store holds back for older states of itself, and returns
// what is free.
func (b *bench) room() uint64 {
	b.t.Helper()
	for range 3 { // what the first frees may be held for the state before it
		b.ok(b.checkpoint())
	}
	st, err := b.h.Store.Statfs(b.ctx)
	b.ok(err)
	if st.FreeBytes > st.TotalBytes {
		b.t.Fatalf("%d of %d bytes free", st.FreeBytes, st.TotalBytes)
	}
	return st.FreeBytes
}

// fillUp adds what add makes, numbered from start, until there is no room, and
// returns the number after the last one stored.
func (b *bench) fillUp(start int, add func(n int, x *osd.Transaction)) int {
	b.t.Helper()
	const most = 1 << 20 // no store under test is as large
	for n := start; n < start+most; n++ {
		if !b.try(txn(func(x *osd.Transaction) { add(n, x) })) {
			return n
		}
	}
	b.t.Fatal("the store does not get full")
	return 0
}

// testFull fills a store with data: what does not fit leaves no trace, what is
// there stays, removing works, and in the end everything is free again.
func testFull(t *testing.T, f Factory) {
	if f.NewSmall == nil {
		t.Skip("no small store")
	}
	b := start(t, f.NewSmall(t))
	// What a store keeps for itself once it has held something is not counted
	// against it later.
	b.do(txn(func(x *osd.Transaction) {
		x.Write(c1, object(0), 0, fill(0, 100000))
		x.Remove(c1, object(0))
	}))
	fresh := b.room()
	last := 0
	for _, size := range []int{1 << 20, 64 << 10, 4096} {
		last = b.fillUp(last, func(n int, x *osd.Transaction) {
			x.Write(c1, object(n), 0, fill(uint64(n), size))
			x.SetAttr(c1, object(n), "_", fill(uint64(n), 100))
		})
		if last == 0 {
			t.Fatalf("no room for %d bytes in a fresh store", size)
		}
	}
	b.ok(b.compareAll())
	// Larger ones are refused whole.
	for i := range 5 {
		if b.try(txn(func(x *osd.Transaction) {
			x.SetAttr(c1, object(i), "small", fill(1, 10))
			x.OmapSet(c1, object(last+1), map[string][]byte{"k": nil})
			x.Remove(c1, object(i+10))
			for j := range 4 {
				x.Write(c1, object(last+2), uint64(j)<<22, fill(2, 4<<20))
			}
		})) {
			t.Fatal("room for 16 MiB in a full store")
		}
	}
	b.ok(b.compareAll())
	// Overwriting may fail, too, but not partly.
	for i := range 50 {
		b.try(txn(func(x *osd.Transaction) { x.Write(c1, object(i*7%last), 100, fill(uint64(i), 10000)) }))
	}
	b.settle()
	// Everything that only frees must work.
	for i := range last {
		b.do(txn(func(x *osd.Transaction) {
			switch i % 4 {
			case 0:
				x.Remove(c1, object(i))
			case 1:
				x.Truncate(c1, object(i), 0)
			case 2:
				x.RmAttrs(c1, object(i))
				x.Truncate(c1, object(i), 100)
			}
		}), "freeing object", i)
		if i > last/2 && i%4 == 3 {
			b.do(txn(func(x *osd.Transaction) { x.Remove(c1, object(i)) }))
		}
	}
	b.settle()
	if free := b.room(); fresh > 0 && free < fresh/3 {
		t.Errorf("%d bytes free after most was removed, of %d at first", free, fresh)
	}
	n := b.fillUp(last, func(n int, x *osd.Transaction) { x.Write(c1, object(n), 0, fill(uint64(n), 64<<10)) })
	if n-last < 10 {
		t.Errorf("room for %d objects after most was removed", n-last)
	}
	b.settle()
	b.removeAll()
	if free := b.room(); free != fresh {
		t.Errorf("%d bytes free after all was removed, %d at first: %d lost", free, fresh, int64(fresh-free))
	}
	b.end()
}

func (b *bench) removeAll() {
	b.t.Helper()
	for _, id := range b.m.ids(c1) {
		b.ok(b.queue(txn(func(x *osd.Transaction) { x.Remove(c1, id) }), nil, nil))
	}
	b.ok(b.compareAll())
}

// testFullMetadata fills a store with omap keys and attrs.
func testFullMetadata(t *testing.T, f Factory) {
	if f.NewSmall == nil {
		t.Skip("no small store")
	}
	b := start(t, f.NewSmall(t))
	b.do(txn(func(x *osd.Transaction) {
		x.OmapSet(c1, object(0), map[string][]byte{"k": fill(0, 100000)})
		x.Remove(c1, object(0))
	}))
	fresh := b.room()
	const objects = 5
	key := func(n, i int) string { return fmt.Sprintf("%06d.%d", n, i) }
	last := b.fillUp(0, func(n int, x *osd.Transaction) {
		kv := map[string][]byte{}
		for i := range 64 {
			kv[key(n, i)] = fill(uint64(n+i), 1000+i)
		}
		x.OmapSet(c1, object(n%objects), kv)
		if n%4 == 0 {
			x.SetAttr(c1, object(n%objects), key(n, 0), fill(uint64(n), 50000))
		}
	})
	if last == 0 {
		t.Fatal("no room in a fresh store")
	}
	b.settle()
	for o := range objects {
		b.do(txn(func(x *osd.Transaction) {
			x.OmapRm(c1, object(o), []string{key(o, 3), key(o+objects, 5)})
		}), "omap rm")
		b.do(txn(func(x *osd.Transaction) { x.RmAttr(c1, object(o), key(o, 0)) }), "rmattr")
		b.do(txn(func(x *osd.Transaction) { x.OmapRmRange(c1, object(o), key(last/4, 0), key(last/2, 0)) }), "omap range")
	}
	b.settle()
	b.do(txn(func(x *osd.Transaction) { x.RmAttrs(c1, object(0)) }))
	b.do(txn(func(x *osd.Transaction) { x.OmapClear(c1, object(1)) }))
	b.room()
	n := b.fillUp(0, func(n int, x *osd.Transaction) {
		x.OmapSet(c1, object(n%3+100), map[string][]byte{key(n, 1): fill(1, 50000)})
	})
	if n < 10 {
		t.Errorf("room for %d keys of 50000 bytes after a third was removed", n)
	}
	b.settle()
	b.removeAll()
	if free := b.room(); free != fresh {
		t.Errorf("%d bytes free after all was removed, %d at first: %d lost", free, fresh, int64(fresh-free))
	}
	b.end()
}
