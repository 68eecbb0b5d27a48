package ebofs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/wal"
)

// crashed opens what is on mem as after a crash, read-only and for writing on a
// copy, and hands both stores to check.
func crashed(t *testing.T, mem *devices.Mem, check func(s *Store) error) {
	t.Helper()
	for _, o := range []Options{{ReadOnly: true}, {Inline: true}, {CheckpointInterval: 1 << 40}} {
		image := mem.Snapshot()
		s := open(t, image, o)
		if err := check(s); err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		before := image.Hash()
		closeStore(t, s)
		if o.ReadOnly && image.Hash() != before {
			t.Fatal("a read-only store has written")
		}
	}
}

// TestReplay: for every kind of operation, a crash right after it and the
// replay give what the operation gave.
func TestReplay(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, Options{Inline: true})
	g := &generator{Rand: rand.New(rand.NewPCG(3, 1))}
	m := model{}
	long := g.bytes(40000)
	for i, ops := range [][]modelOp{
		{{code: opTouch, name: "a"}},
		{{code: opWrite, name: "a", data: g.bytes(100)}},
		{{code: opWrite, name: "a", off: 3000, data: g.bytes(9000)}},
		{{code: opWrite, name: "d", off: 100, data: g.bytes(500 << 10)}},
		{{code: opZero, name: "d", off: 5000, n: 300 << 10}},
		{{code: opZero, name: "z", off: 100, n: 100}},
		{{code: opTruncate, name: "d", off: 12345}},
		{{code: opTruncate, name: "d", off: 1 << 20}},
		{{code: opSetAttrs, name: "a", kv: map[string][]byte{"x": g.bytes(10), "y": long}}},
		{{code: opRmAttrs, name: "a", keys: []string{"x"}}},
		{{code: opOmapSet, name: "a", kv: g.pairs("k", 100, 300)}},
		{{code: opOmapRm, name: "a", keys: []string{"k0001", "k0002", "k0003"}}},
		{{code: opOmapRange, name: "a", first: "k0050", last: "k0100"}},
		{{code: opOmapRange, name: "a", first: "k0250"}},
		{{code: opOmapHead, name: "a", data: g.bytes(5000)}},
		{{code: opHint, name: "a", off: 1, n: 2}},
		{{code: opRename, name: "a", to: "b"}},
		{{code: opOmapClear, name: "b"}},
		{{code: opRmAttrs, name: "b"}},
		{{code: opRemove, name: "z"}},
		{{code: opWrite, name: "d", off: 64 << 10, data: g.bytes(128 << 10)}, {code: opRename, name: "d", to: "e"}, {code: opWrite, name: "d", data: g.bytes(70000)}, {code: opRemove, name: "b"}},
	} {
		if err := s.Apply(bg, txnOf(mainColl, ops)); err != nil {
			t.Fatal(opList(ops), err)
		}
		m.apply(ops)
		if i == 9 {
			mustCheckpoint(t, s)
		}
		if err := compare(s, mainColl, m); err != nil {
			t.Fatalf("%s: %v", opList(ops), err)
		}
		crashed(t, mem, func(s *Store) error {
			if err := compare(s, mainColl, m); err != nil {
				return fmt.Errorf("replay of %s: %w", opList(ops), err)
			}
			return nil
		})
	}
	closeStore(t, s)
	fsck(t, mem)
}

// pictureOf lists collections, what they hold and their objects.
func pictureOf(s *Store) (string, error) {
	var b strings.Builder
	colls, err := s.Collections(bg)
	if err != nil {
		return "", err
	}
	for _, c := range colls {
		spec, err := s.CollectionSpec(c)
		if err != nil {
			return "", err
		}
		list, _, err := s.List(bg, c, nil, nil, 1000)
		if err != nil {
			return "", err
		}
		var names []string
		for i := range list {
			p := make([]byte, 100)
			n, err := s.Read(bg, c, list[i], 0, p)
			if err != nil {
				return "", err
			}
			names = append(names, list[i].Name+"="+string(p[:n]))
		}
		slices.Sort(names)
		fmt.Fprintln(&b, c, spec, names)
	}
	return b.String(), nil
}

// TestReplayCollections does the same for operations on collections.
func TestReplayCollections(t *testing.T) {
	mem := newMem(64)
	format(t, mem, FormatOptions{})
	s := open(t, mem, Options{Inline: true})
	for i, step := range []func(x *Txn){
		func(x *Txn) {
			x.MkColl("p1", CollSpec{Shard: -1, Pool: 1})
			for i := range 40 {
				x.Write("p1", idIn("p1", fmt.Sprint(i)), 0, []byte(fmt.Sprint("v", i)))
			}
		},
		func(x *Txn) { x.MkColl("p1.1", CollSpec{Shard: -1, Pool: 1, Bits: 1, Seed: 1}) },
		func(x *Txn) { x.SplitColl("p1", 1, 1, "p1.1") },
		func(x *Txn) { x.SplitColl("p1", 2, 2, "p1.2") },
		func(x *Txn) { x.RenameColl("p1.2", "other") },
		func(x *Txn) { x.MergeColl("other", "p1", 1) },
		func(x *Txn) {
			x.MkColl("p2", CollSpec{Shard: 3, Pool: 2})
			x.RenameColl("p1.1", "half")
		},
		func(x *Txn) { x.MergeColl("half", "p1", 0) },
		func(x *Txn) { x.RmColl("p2") },
		func(x *Txn) {
			for i := range 40 {
				x.Remove("p1", idIn("p1", fmt.Sprint(i)))
			}
			x.RmColl("p1")
		},
		func(x *Txn) {
			x.MkColl("p1", CollSpec{Shard: -1, Pool: 1})
			x.Write("p1", idIn("p1", "again"), 0, []byte("1"))
		},
	} {
		apply(t, s, step)
		want, err := pictureOf(s)
		if err != nil {
			t.Fatal(err)
		}
		check := func(s *Store) error {
			got, err := pictureOf(s)
			if err == nil && got != want {
				err = fmt.Errorf("step %d: replay gives\n%s, want\n%s", i, got, want)
			}
			return err
		}
		crashed(t, mem, check)
		if i%2 == 1 {
			mustCheckpoint(t, s)
			crashed(t, mem, check)
		}
	}
	closeStore(t, s)
	fsck(t, mem)
}

// directBlock returns a device block of what the open epoch wrote straight to
// stripes for an object.
func directBlock(t *testing.T, s *Store, name string) uint64 {
	t.Helper()
	o, fresh := s.onodes.get(appendKey(name))
	defer o.refs.Add(-1)
	if !fresh && o.cur != nil {
		for _, e := range o.cur.over.edits.all() {
			for _, d := range e.all() {
				if d.addr != 0 {
					return d.addr.Block()
				}
			}
		}
	}
	t.Fatalf("object %s has no direct data", name)
	return 0
}

// TestDirectDataMissing: one flush makes a record and its direct blocks durable,
// so a crash may keep the record alone. Then the log ends before it, unless it
// is known to have been committed: then the blocks are damaged.
func TestDirectDataMissing(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, Options{Inline: true})
	m := model{}
	do := func(ops ...modelOp) {
		t.Helper()
		if err := s.Queue(bg, txnOf(mainColl, ops), nil, nil); err != nil {
			t.Fatal(err)
		}
		m.apply(ops)
	}
	sync := func() {
		t.Helper()
		if err := s.Sync(bg); err != nil {
			t.Fatal(err)
		}
	}
	data := bytes.Repeat([]byte("direct"), 30000)
	do(modelOp{code: opWrite, name: "small", data: []byte("x")})
	do(modelOp{code: opWrite, name: "old", data: data})
	sync()
	mustCheckpoint(t, s)
	do(modelOp{code: opWrite, name: "before", data: []byte("x")})
	sync()
	before := m.clone()
	do(modelOp{code: opWrite, name: "big", data: data}, modelOp{code: opWrite, name: "old", data: []byte("with it")})
	do(modelOp{code: opWrite, name: "behind", data: []byte("x")}) // in the same batch
	sync()
	block := directBlock(t, s, "big")
	image := mem.Snapshot()
	damage(t, image, block, 1, func(p []byte) { clear(p[:512]) }) // torn
	crashed(t, image, func(s *Store) error { return compare(s, mainColl, before) })
	// The blocks the record named are free again.
	r := open(t, image, Options{Inline: true})
	checkSpace(t, r)
	closeStore(t, r)
	fsck(t, image)

	// Two more batches: the second says that the first was committed.
	do(modelOp{code: opWrite, name: "later", data: []byte("x")})
	sync()
	do(modelOp{code: opWrite, name: "latest", data: []byte("x")})
	sync()
	image = mem.Snapshot()
	damage(t, image, block, 1, func(p []byte) { clear(p[:512]) })
	crashed(t, image, func(s *Store) error {
		for name, err := range readAll(t, s, m) {
			var c *CorruptError
			if name != "big" || !errors.As(err, &c) || uint64(c.Block) != block {
				return fmt.Errorf("object %s: %w", name, err)
			}
		}
		if _, err := s.Read(bg, mainColl, oid("big"), 0, make([]byte, len(data))); !errors.Is(err, ErrCorrupt) {
			return fmt.Errorf("read of the damaged block: %w", err)
		}
		return nil
	})
	closeStore(t, s)
}

// TestLogTailAndDamage: a bad batch at the end is a torn tail and is dropped; one
// below what is known committed is damage, which a writable mount refuses and a
// read-only one shows.
func TestLogTailAndDamage(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, Options{Inline: true})
	mustCheckpoint(t, s)
	var heads []uint64
	var pictures []model
	m := model{}
	for i := range 12 {
		heads = append(heads, s.super.Rings[0].Start.Block()+s.wal.Cut().Block)
		pictures = append(pictures, m.clone())
		ops := []modelOp{{code: opWrite, name: fmt.Sprint("o", i), data: bytes.Repeat([]byte{byte(i)}, 6000)}}
		apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
		m.apply(ops)
	}
	for i, head := range heads {
		image := mem.Snapshot()
		damage(t, image, head, 1, func(p []byte) { p[200] ^= 1 })
		if i == len(heads)-1 {
			crashed(t, image, func(s *Store) error { return compare(s, mainColl, pictures[i]) })
			continue
		}
		if _, err := Open(bg, image, Options{Inline: true}); i < len(heads)-2 && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "log")) {
			t.Errorf("mount with batch %d of %d damaged: %v", i, len(heads), err)
		} else if i < len(heads)-2 {
			before := image.Hash()
			s := open(t, image, Options{ReadOnly: true})
			if err := compare(s, mainColl, pictures[i]); err != nil {
				t.Errorf("read-only with batch %d damaged: %v", i, err)
			}
			if s.Degraded() == "" {
				t.Error("a read-only store with a damaged log does not say so")
			}
			closeStore(t, s)
			if image.Hash() != before {
				t.Error("a read-only store has written")
			}
		}
	}
	closeStore(t, s)
}

// TestCrashInRecovery cuts the power at every write of a mount that replays:
// the next mount finds the same, and so does one after a second such crash.
func TestCrashInRecovery(t *testing.T) {
	mem := newMem(64)
	format(t, mem, FormatOptions{})
	s := open(t, mem, Options{Inline: true})
	apply(t, s, func(x *Txn) { x.MkColl(mainColl, mainSpec) })
	g := &generator{Rand: rand.New(rand.NewPCG(8, 8)), names: 6, maxSize: 1 << 19}
	m := model{}
	for i := range 60 {
		g.step(t, s, m)
		if i == 30 {
			mustCheckpoint(t, s)
		}
	}
	limit := 12
	if testing.Short() {
		limit = 4
	}
	states := 0
	var recoverOn func(image *devices.Mem, depth int)
	recoverOn = func(image *devices.Mem, depth int) {
		dev := crashdev.New(image)
		r := open(t, dev, Options{Inline: true})
		mustCompare(t, r, m)
		mounted := len(dev.Points())
		closeStore(t, r)
		var seen crashdev.Seen
		for i, p := range dev.Points()[:mounted] {
			n := 0
			for state := range dev.States(p, crashdev.Policy{Seen: &seen, Limit: limit}) {
				states++
				r := open(t, state.Mem.Snapshot(), Options{ReadOnly: true})
				if err := compare(r, mainColl, m); err != nil {
					t.Fatalf("%v: %v", state, err)
				}
				closeStore(t, r)
				if n++; n == 1 && i%4 == 0 && depth == 0 {
					recoverOn(state.Mem, 1)
				}
			}
		}
	}
	recoverOn(mem.Snapshot(), 0)
	fmt.Printf("crash states: %d nested: %d\n", states, states)
	if states < 30 {
		t.Errorf("only %d states", states)
	}
	closeStore(t, s)
}

// TestReplayRefused: a record that is sound and says what no store can have said ends
// the mount; one that comes to nothing here, since the queue refused it, changes
// nothing; one whose data is not there was never committed.
func TestReplayRefused(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, Options{Inline: true})
	apply(t, s, func(x *Txn) { x.Write(mainColl, oid("a"), 0, bytes.Repeat([]byte("a"), 128<<10)) })
	used, outside := layout.MakeAddr(0, directBlock(t, s, "a")), layout.MakeAddr(0, 1)
	mustCheckpoint(t, s)
	before, err := pictureOf(s)
	if err != nil {
		t.Fatal(err)
	}
	key := func(name string) string { return string(appendKey(name)) }
	place := func(a layout.Addr) change {
		return change{code: opPlace, key: key("new"), n: blockSize, place: []placed{{a, []uint32{1}}}}
	}
	for what, c := range map[string]struct {
		change
		flags uint16
		want  error
	}{
		"data outside the zones":   {place(outside), 0, ErrCorrupt},
		"data on another device":   {place(layout.MakeAddr(3, 5000)), 0, ErrCorrupt},
		"data where there is some": {place(used), 0, ErrCorrupt},
		"data beyond the device":   {place(layout.MakeAddr(0, 1<<30)), wal.NeedsDataFlush, ErrCorrupt},
		"data that is not there":   {place(used), wal.NeedsDataFlush, wal.ErrStop},
		"a key that is none":       {change{code: opTouch, key: "key"}, 0, ErrCorrupt},
		"a clone to nowhere":       {change{code: opClone, key: key("a")}, 0, ErrCorrupt},
		"an unknown operation":     {change{code: 99, key: key("a")}, 0, ErrCorrupt},
		"a clone of nothing":       {change{code: opClone, key: key("none"), to: key("new"), id: 1}, 0, nil},
		"truncation of nothing":    {change{code: opTruncate, key: key("none"), off: 10}, 0, nil},
		"a rename of nothing":      {change{code: opRename, key: key("none"), to: key("new")}, 0, nil},
		"removal of no collection": {change{code: opRmColl, coll: "none"}, 0, nil},
		"a merge into none":        {change{code: opMerge, dest: "none", spec: CollSpec{Bits: 0}}, 0, nil},
	} {
		if c.coll == "" {
			c.coll = mainColl
		}
		var e recordEncoder
		r := replayer{s: s}
		err := r.replay(bg, wal.Record{Txid: s.txid, Flags: c.flags, Data: bytes.Clone(joined(e.encode(s.epoch, []change{c.change})))})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		if now, err := pictureOf(s); err != nil || now != before {
			t.Fatalf("%s: %v\n%s\nwant\n%s", what, err, now, before)
		}
	}
	checkSpace(t, s)
	closeStore(t, s)
	fsck(t, mem)
}
