package storetest

import (
	"fmt"
	"slices"
	"testing"

	"ebofs/osd"
)

// testOmap takes one object through every omap operation.
func testOmap(t *testing.T, f Factory) {
	b := open(t, f)
	o := b.next()
	set := func(o osd.ObjectID, from, to, size int) *osd.Transaction {
		return txn(func(x *osd.Transaction) {
			kv := map[string][]byte{}
			for i := from; i < to; i++ {
				kv[omapKey(i)] = fill(uint64(i), size)
			}
			x.OmapSet(c1, o, kv)
		})
	}
	b.do(txn(func(x *osd.Transaction) { x.OmapSet(c1, o, nil) })) // creates
	b.ok(b.compareObject(o))
	b.do(set(o, 0, 300, 20))
	b.ok(b.compareObject(o))
	b.do(set(o, 100, 400, 33))
	b.settle()

	// Values and keys of every size.
	big := b.next()
	for i, n := range edges {
		b.do(txn(func(x *osd.Transaction) {
			x.OmapSet(c1, big, map[string][]byte{fmt.Sprintf("v%d", n): fill(uint64(i), int(n))})
		}), "omap value of", n)
	}
	for _, n := range []int{1, 2, 255, 256, 511, osd.MaxOmapKeyBytes} {
		b.do(txn(func(x *osd.Transaction) {
			x.OmapSet(c1, big, map[string][]byte{string(fill(9, n)): fill(uint64(n), 5)})
		}), "omap key of", n)
	}
	b.settle()

	// Header.
	for _, n := range []int{0, 1, 100, 5000, osd.MaxOmapHeaderBytes, 3} {
		b.do(txn(func(x *osd.Transaction) { x.OmapSetHeader(c1, o, fill(uint64(n), n)) }), "header of", n)
	}
	b.do(txn(func(x *osd.Transaction) { x.OmapSetHeader(c1, b.next(), fill(5, 9)) }))

	// Bounds and stops of iteration.
	keys := slices.Sorted(func(yield func(string) bool) {
		for k := range b.m.objs[o].omap {
			if !yield(k) {
				return
			}
		}
	})
	bounds := []string{"", "\x00", "\xff\xff", keys[0], keys[len(keys)/2], keys[len(keys)-1], keys[10] + "\x00", "0", "p"}
	for _, first := range bounds {
		for _, last := range bounds {
			b.ok(b.compareOmap(c1, o, b.m.objs[o], first, last))
		}
	}
	for stop := range 5 {
		n := 0
		b.ok(b.h.Store.OmapIter(b.ctx, c1, o, "", "", func(string, []byte) bool { n++; return n <= stop }))
		if n != stop+1 {
			t.Fatalf("iteration told to stop at key %d called %d times", stop+1, n)
		}
	}

	// Check and get, with keys that are missing or named twice.
	have, err := b.h.Store.OmapCheck(b.ctx, c1, o, []string{keys[3], "missing", keys[0], keys[3]})
	if err != nil || !slices.Equal(have, []string{keys[0], keys[3]}) {
		t.Fatalf("check answered %q, %v", have, err)
	}
	b.ok(b.compareKeys(c1, o, b.m.objs[o], []string{keys[5], "missing", keys[6]}))
	b.ok(b.compareKeys(c1, o, b.m.objs[o], nil))

	// Removing, by key and by range, what is there and what is not.
	b.do(txn(func(x *osd.Transaction) { x.OmapRm(c1, o, []string{keys[0], "missing", keys[7], keys[7]}) }))
	b.do(txn(func(x *osd.Transaction) { x.OmapRm(c1, o, nil) }))
	for _, r := range [][2]string{
		{keys[20], keys[20]},             // nothing
		{keys[30], keys[29]},             // backwards: nothing
		{keys[40], keys[41]},             // one key
		{keys[40], keys[60]},             // some, the first already gone
		{keys[50] + "\x00", keys[70]},    // bounds between keys
		{"", keys[5]},                    // from the start
		{keys[len(keys)-5], "\xff\xff1"}, // up to behind the end
		{keys[len(keys)-20], ""},         // no bound
	} {
		b.do(txn(func(x *osd.Transaction) { x.OmapRmRange(c1, o, r[0], r[1]) }), "range", r)
		b.ok(b.compareObject(o))
	}
	b.settle()

	// A range removed and refilled, cleared and set, in one transaction.
	b.do(txn(func(x *osd.Transaction) {
		x.OmapRmRange(c1, o, "", "")
		x.OmapSet(c1, o, map[string][]byte{"new": fill(1, 10), keys[100]: fill(2, 10)})
		x.OmapRmRange(c1, o, "new", "new\x00")
		x.OmapSet(c1, o, map[string][]byte{"newer": fill(3, 10)})
	}))
	b.ok(b.compareObject(o))
	b.do(txn(func(x *osd.Transaction) {
		x.OmapClear(c1, o)
		x.OmapSet(c1, o, map[string][]byte{"after": nil, keys[90]: fill(4, 10)})
	}))
	b.ok(b.compareObject(o))
	b.settle()
	b.do(txn(func(x *osd.Transaction) {
		x.OmapSetHeader(c1, o, fill(6, 60))
		x.OmapClear(c1, o)
	}))
	b.ok(b.compareObject(o))
	b.do(set(o, 50, 80, 3))
	b.end()
}

// testOmapMany works on a hundred thousand keys.
func testOmapMany(t *testing.T, f Factory) {
	b := open(t, f)
	o := b.next()
	const keys, batch = 100_000, 2000
	name := func(i int) string { return fmt.Sprintf("key.%08d", i) }
	for at := range keys / batch {
		x := txn(func(x *osd.Transaction) {
			kv := make(map[string][]byte, batch)
			for i := range batch {
				// Neighbours come in different transactions.
				n := i*(keys/batch) + at*7%(keys/batch)
				kv[name(n)] = fill(uint64(n), n%50)
			}
			x.OmapSet(c1, o, kv)
		})
		b.ok(b.queue(x, nil, nil))
	}
	if n := len(b.m.objs[o].omap); n != keys {
		t.Fatalf("the test is wrong: %d keys", n)
	}
	b.ok(b.compareObject(o))
	b.ok(b.reopen())
	remove := func(first, last string) {
		t.Helper()
		b.do(txn(func(x *osd.Transaction) { x.OmapRmRange(c1, o, first, last) }))
	}
	remove(name(1000), name(1001))
	remove(name(10000), name(60000))
	b.ok(b.compareObject(o))
	b.do(txn(func(x *osd.Transaction) {
		x.OmapSet(c1, o, map[string][]byte{name(30000): fill(1, 9), name(30002): fill(2, 9)})
	}))
	remove(name(30001), name(90000))
	b.settle()
	remove("", name(99000))
	b.ok(b.compareObject(o))
	b.do(txn(func(x *osd.Transaction) { x.OmapClear(c1, o) }))
	b.settle()
	b.do(txn(func(x *osd.Transaction) { x.Remove(c1, o) }))
	b.end()
}

// testOmapIterWhileWriting iterates over an omap that is changed meanwhile, by
// the callback itself and by another goroutine. Keys nobody touches come once
// each and in order; others come at most once.
func testOmapIterWhileWriting(t *testing.T, f Factory) {
	b := open(t, f)
	o := b.next()
	const keys = 3000 // even ones stay
	b.do(txn(func(x *osd.Transaction) {
		kv := map[string][]byte{}
		for i := range keys {
			kv[fmt.Sprintf("%06d", i)] = fill(uint64(i), 30)
		}
		x.OmapSet(c1, o, kv)
	}))
	s := b.h.Store
	change := func(i int) *osd.Transaction {
		return txn(func(x *osd.Transaction) {
			odd := fmt.Sprintf("%06d", (i*2+1)%keys)
			switch i % 3 {
			case 0:
				x.OmapRm(c1, o, []string{odd})
			case 1:
				x.OmapSet(c1, o, map[string][]byte{odd: fill(uint64(i), i%100)})
			case 2:
				x.OmapRmRange(c1, o, odd, odd+"x")
				x.OmapSet(c1, o, map[string][]byte{odd + "y": nil})
			}
		})
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i += 7 {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := s.Queue(b.ctx, change(i), nil, nil); err != nil {
				done <- err
				return
			}
		}
	}()
	for round := range 12 {
		if round == 4 || round == 8 {
			b.ok(b.checkpoint())
		}
		last, even, calls := "", 0, 0
		err := s.OmapIter(b.ctx, c1, o, "", "", func(k string, v []byte) bool {
			if k <= last {
				t.Errorf("key %q after %q", k, last)
				return false
			}
			last = k
			var n int
			if _, err := fmt.Sscanf(k, "%d", &n); err == nil && n%2 == 0 && len(k) == 6 {
				if n != even*2 || string(v) != string(fill(uint64(n), 30)) {
					t.Errorf("key %q = %s, want %06d with its value", k, brief(v), even*2)
					return false
				}
				even++
			}
			if calls++; calls%200 == 0 {
				if err := s.Queue(b.ctx, change(calls*round), nil, nil); err != nil {
					t.Error(err)
					return false
				}
			}
			return true
		})
		b.ok(err)
		if even != keys/2 && !t.Failed() {
			t.Errorf("saw %d of %d keys that nobody touched", even, keys/2)
		}
	}
	close(stop)
	b.ok(<-done)
	b.shut()
}
