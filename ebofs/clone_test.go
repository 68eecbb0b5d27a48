package ebofs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// TestCloneFamilies makes clones of clones of few objects, changes and removes
// them in any order, and checkpoints, closes and crashes in between: contents
// match a model, every checkpoint is clean, and in the end nothing is left.
func TestCloneFamilies(t *testing.T) { eachSeed(t, 12, cloneFamilies) }

func cloneFamilies(t *testing.T, seed uint64) {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 17)), names: 3 + int(seed%6), maxSize: 3 << 18}
	g.only = func(o *modelOp) bool {
		switch o.code {
		case opClone, opCloneRng, opWrite, opRemove:
			return true
		}
		return g.IntN(4) == 0
	}
	mem := newMem(192)
	fo := FormatOptions{LogBytes: 24 << 20}
	if hard := seed%4 == 3; hard {
		fo.StripeBytes, fo.Hard = 96<<10, &hard
	}
	format(t, mem, fo)
	fresh := freeBlocks(t, mem)
	opt := quiet()
	opt.Inline = seed%2 == 0
	if seed%3 == 0 {
		opt.MaxOnodes = 1 // sources are cold
	}
	s := open(t, mem, opt)
	s.mostShared = 1 + 2*(seed%3) // removed objects wait in the trash
	apply(t, s, func(x *Txn) { x.MkColl(mainColl, mainSpec) })
	m := model{}
	counted := 0
	for round := range 30 {
		var last string
		for range 1 + g.IntN(12) {
			last = opList(g.step(t, s, m))
		}
		if err := compare(s, mainColl, m); err != nil {
			t.Fatalf("round %d, after %s: %v", round, last, err)
		}
		switch g.IntN(6) {
		case 0:
		case 1: // crash
			image := mem.Snapshot()
			r := open(t, image.Snapshot(), Options{ReadOnly: true})
			mustCompare(t, r, m)
			closeStore(t, r)
			go s.Close(bg) // of a device nobody looks at any more
			mem = image
			s = open(t, mem, opt)
		case 2:
			closeStore(t, s)
			s = open(t, mem, opt)
		default:
			mustCheckpoint(t, s)
			checkLeaks(t, s, mem)
		}
		s.mostShared = 1 + 2*(seed%3)
		if err := compare(s, mainColl, m); err != nil {
			t.Fatalf("round %d, at its end: %v", round, err)
		}
		checkSpace(t, s)
		fsck(t, mem.Snapshot())
		if s.refs.Root().Kind != btree.RootEmpty {
			counted++
		}
	}
	if counted < 5 {
		t.Errorf("blocks were shared in %d rounds only", counted)
	}
	for name := range m {
		apply(t, s, func(x *Txn) { x.Remove(mainColl, oid(name)) })
		if g.IntN(2) == 0 {
			mustCheckpoint(t, s)
			fsck(t, mem.Snapshot())
		}
	}
	apply(t, s, func(x *Txn) { x.RmColl(mainColl) })
	for mustCheckpoint(t, s); s.trashLeft.Load(); {
		mustCheckpoint(t, s)
	}
	closeStore(t, s)
	if r := fsck(t, mem); r.Counts.DataBlocks != 0 || r.Counts.MetaBlocks != 0 {
		t.Errorf("an empty store uses blocks: %+v", r.Counts)
	}
	if got := freeBlocks(t, mem); got != fresh {
		t.Errorf("%d blocks are free after everything was removed, %d in a fresh store", got, fresh)
	}
}

// dataBlocks checkpoints and returns how many blocks of data the store counts.
func dataBlocks(t *testing.T, s *Store, mem *devices.Mem) uint64 {
	t.Helper()
	mustCheckpoint(t, s)
	fsck(t, mem.Snapshot())
	return s.counters.DataBlocks
}

// TestCloneShares: a clone costs no blocks of data, a change of it only its own;
// a block goes when the last object that maps it does, in whatever state the
// source was when it was cloned.
func TestCloneShares(t *testing.T) {
	const size = 1 << 20 // blocks: 256
	g := &generator{Rand: rand.New(rand.NewPCG(1, 1)), maxSize: size}
	whole := g.bytes(size)
	for _, c := range []struct {
		name    string
		journal bool // the source is journaled bytes: they are folded once for each
		saved   bool // and on the device when it is cloned
		cold    bool // and not in RAM
		extra   uint64
	}{
		{name: "direct"}, {name: "direct, saved", saved: true}, {name: "cold", saved: true, cold: true},
		{name: "journaled", journal: true, extra: 256}, {name: "journaled, saved", journal: true, saved: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := newMem(192)
			s := newStore(t, mem, FormatOptions{}, quiet())
			m := model{}
			do := func(ops ...modelOp) {
				t.Helper()
				if err := s.Apply(bg, txnOf(mainColl, ops)); err != nil {
					t.Fatal(err)
				}
				m.apply(ops)
				mustCompare(t, s, m)
			}
			if c.journal {
				for off := 0; off < size; off += 32 << 10 {
					do(modelOp{code: opWrite, name: "a", off: uint64(off), data: whole[off : off+32<<10]})
				}
			} else {
				do(modelOp{code: opWrite, name: "a", data: whole})
			}
			if c.saved {
				mustCheckpoint(t, s)
			}
			if c.cold {
				closeStore(t, s)
				s = open(t, mem, quiet())
			}
			features := s.Superblock().Features.Incompat
			do(modelOp{code: opClone, name: "a", to: "b"})
			do(modelOp{code: opCloneRng, name: "b", to: "c", off: 512 << 10, n: 512 << 10, toOff: 4096})
			n := dataBlocks(t, s, mem)
			if want := 256 + c.extra + c.extra/2; n != want {
				t.Fatalf("%d blocks hold source and clones, want %d", n, want)
			}
			if c.extra == 0 {
				features |= layout.FeatSharedBlocks
			}
			if got := s.Superblock().Features.Incompat; got != features {
				t.Fatalf("features %x after the clone, want %x", got, features)
			}
			do(modelOp{code: opWrite, name: "b", off: 100, data: g.bytes(4096)})
			if c.extra == 0 {
				n += 2 // those it had are its source's
			}
			if dataBlocks(t, s, mem) != n {
				t.Fatalf("%d blocks after two of a clone were changed, want %d", s.counters.DataBlocks, n)
			}
			do(modelOp{code: opRemove, name: "a"})
			if !c.journal || c.saved {
				n -= 2 // nobody else has those
			} else {
				n -= 256
			}
			if dataBlocks(t, s, mem) != n {
				t.Fatalf("%d blocks without the source, want %d", s.counters.DataBlocks, n)
			}
			do(modelOp{code: opRemove, name: "b"})
			if dataBlocks(t, s, mem) != 128 {
				t.Fatalf("%d blocks without the first clone, want 128", s.counters.DataBlocks)
			}
			if k := s.refs.Root().Kind; k != btree.RootEmpty {
				t.Fatalf("nothing is shared and the refs tree has %d groups", s.refs.Root().Count)
			}
			do(modelOp{code: opRemove, name: "c"})
			if dataBlocks(t, s, mem) != 0 {
				t.Fatalf("%d blocks of nothing", s.counters.DataBlocks)
			}
			closeStore(t, s)
		})
	}
}

// TestCloneSmall clones objects whose content is in their onode, as it is and with
// changes that hide it or make it grow.
func TestCloneSmall(t *testing.T) {
	g := &generator{Rand: rand.New(rand.NewPCG(1, 6))}
	for _, c := range []struct {
		name string
		ops  []modelOp
	}{
		{"as it is", nil},
		{"zeroed", []modelOp{{code: opZero, name: "a", n: 1500}}},
		{"emptied and longer", []modelOp{{code: opTruncate, name: "a"}, {code: opTruncate, name: "a", off: 1000}}},
		{"patched", []modelOp{{code: opWrite, name: "a", off: 10, data: g.bytes(20)}}},
		{"shorter", []modelOp{{code: opTruncate, name: "a", off: 100}}},
		{"longer", []modelOp{{code: opWrite, name: "a", off: 1400, data: g.bytes(9000)}}},
		{"large behind it", []modelOp{{code: opWrite, name: "a", off: 4096, data: g.bytes(directMin)}}},
		{"large over it", []modelOp{{code: opWrite, name: "a", data: g.bytes(directMin)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := newMem(192)
			s := newStore(t, mem, FormatOptions{}, quiet())
			m := model{}
			do := func(ops ...modelOp) {
				t.Helper()
				if err := s.Apply(bg, txnOf(mainColl, ops)); err != nil {
					t.Fatal(err)
				}
				m.apply(ops)
				mustCompare(t, s, m)
			}
			do(modelOp{code: opWrite, name: "a", data: g.bytes(1500)})
			mustCheckpoint(t, s)
			if c.ops != nil {
				do(c.ops...)
			}
			n := uint64(len(m["a"].data))
			do(modelOp{code: opClone, name: "a", to: "b"})
			do(modelOp{code: opCloneRng, name: "a", to: "c", n: n, toOff: 0})
			do(modelOp{code: opCloneRng, name: "a", to: "c", n: n, toOff: 3 * blockSize})
			do(modelOp{code: opTruncate, name: "b", off: 6000})
			mustCheckpoint(t, s)
			mustCompare(t, s, m)
			closeStore(t, s)
			fsck(t, mem)
			s = open(t, mem, quiet())
			mustCompare(t, s, m)
			closeStore(t, s)
		})
	}
}

// TestCloneWaitsForFold clones an object while a checkpoint merges bytes over one
// of its blocks: the clone waits for that and no longer, and has the bytes.
func TestCloneWaitsForFold(t *testing.T) {
	dev := newGate(newMem(192))
	dev.folds = true
	s := newStore(t, dev, FormatOptions{}, quiet())
	g := &generator{Rand: rand.New(rand.NewPCG(1, 2))}
	m := model{}
	do := func(ops ...modelOp) error {
		err := s.Apply(bg, txnOf(mainColl, ops))
		if err == nil {
			m.apply(ops)
		}
		return err
	}
	if err := do(modelOp{code: opWrite, name: "a", data: g.bytes(20000)}); err != nil {
		t.Fatal(err)
	}
	mustCheckpoint(t, s)
	if err := do(modelOp{code: opWrite, name: "a", off: 5000, data: g.bytes(100)}); err != nil {
		t.Fatal(err)
	}
	hit, open := dev.arm(0)
	ckpt, clone := make(chan error, 1), make(chan error, 1)
	go func() { ckpt <- s.Checkpoint(bg) }()
	<-hit
	go func() { clone <- do(modelOp{code: opClone, name: "a", to: "b"}) }()
	select {
	case err := <-clone:
		t.Fatalf("cloned in the middle of a fold: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(open)
	if err := errors.Join(<-clone, <-ckpt); err != nil {
		t.Fatal(err)
	}
	mustCompare(t, s, m)
	mustCheckpoint(t, s)
	mustCompare(t, s, m)
	fsck(t, dev.Mem.Snapshot())
	closeStore(t, s)
}

// TestCloneTrash removes a source in the epoch of its clone, and has it wait in
// the trash with records that know nothing of the sharing.
func TestCloneTrash(t *testing.T) {
	mem := newMem(192)
	s := newStore(t, mem, FormatOptions{}, quiet())
	fresh := dataBlocks(t, s, mem)
	g := &generator{Rand: rand.New(rand.NewPCG(1, 3))}
	m := model{}
	do := func(ops ...modelOp) {
		t.Helper()
		if err := s.Apply(bg, txnOf(mainColl, ops)); err != nil {
			t.Fatal(err)
		}
		m.apply(ops)
	}
	do(modelOp{code: opWrite, name: "x", data: g.bytes(1 << 20)}, modelOp{code: opClone, name: "x", to: "y"})
	do(modelOp{code: opWrite, name: "a", data: g.bytes(1 << 20)})
	mustCheckpoint(t, s) // there is a refs tree from now on
	s.mostShared = 1
	do(modelOp{code: opClone, name: "a", to: "b"})
	do(modelOp{code: opRemove, name: "a"})
	if n := dataBlocks(t, s, mem); n != fresh+512 {
		t.Fatalf("%d blocks", n)
	}
	if s.trash.Root().Count != 1 {
		t.Fatal("the source is not in the trash")
	}
	mustCompare(t, s, m)
	s.mostShared = 1 << 30
	if n := dataBlocks(t, s, mem); n != fresh+512 || s.trash.Root().Kind != btree.RootEmpty {
		t.Fatalf("%d blocks, trash %+v", n, s.trash.Root())
	}
	closeStore(t, s)
	s = open(t, mem, quiet())
	mustCompare(t, s, m)
	do(modelOp{code: opRemove, name: "b"})
	if n := dataBlocks(t, s, mem); n != fresh+256 {
		t.Fatalf("%d blocks", n)
	}
	closeStore(t, s)
}

// TestCloneRefused: what cannot be cloned leaves no trace.
func TestCloneRefused(t *testing.T) {
	mem := newMem(192)
	s := newStore(t, mem, FormatOptions{LogBytes: 8 << 20}, quiet())
	g := &generator{Rand: rand.New(rand.NewPCG(1, 4))}
	m := model{}
	set := func(ops ...modelOp) {
		t.Helper()
		if err := s.Apply(bg, txnOf(mainColl, ops)); err != nil {
			t.Fatal(err)
		}
		m.apply(ops)
	}
	set(modelOp{code: opWrite, name: "a", data: g.bytes(5000)})
	for i := range 12 { // an omap above what one transaction may carry
		kv := map[string][]byte{}
		for k := range 100 {
			kv[fmt.Sprint("k", i, ".", k)] = bytes.Repeat([]byte{byte(i)}, 2000)
		}
		set(modelOp{code: opOmapSet, name: "omap", kv: kv})
	}
	for _, c := range []struct {
		what string
		ops  []modelOp
		want error
	}{
		{"no source", []modelOp{{code: opClone, name: "none", to: "b"}}, ErrNotFound},
		{"source removed before", []modelOp{{code: opRemove, name: "a"}, {code: opClone, name: "a", to: "b"}}, ErrNotFound},
		{"onto itself", []modelOp{{code: opClone, name: "a", to: "a"}}, ErrInvalid},
		{"beyond the end", []modelOp{{code: opCloneRng, name: "a", to: "b", off: 4096, n: 1000}}, ErrInvalid},
		{"beyond a new end", []modelOp{{code: opTruncate, name: "a", off: 100}, {code: opCloneRng, name: "a", to: "b", n: 101}}, ErrInvalid},
		{"overlap", []modelOp{{code: opCloneRng, name: "a", to: "a", n: 1000, toOff: 999}}, ErrInvalid},
		{"beyond all objects", []modelOp{{code: opCloneRng, name: "a", to: "b", n: 1000, toOff: MaxObjectBytes - 10}}, ErrTooLarge},
		{"large omap", []modelOp{{code: opClone, name: "omap", to: "b"}}, ErrTooLarge},
		{"later failure", []modelOp{{code: opClone, name: "a", to: "b"}, {code: opRemove, name: "none"}}, ErrNotFound},
	} {
		if err := s.Apply(bg, txnOf(mainColl, c.ops)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		mustCompare(t, s, m)
	}
	// A range that a write of the same transaction makes long enough.
	set(modelOp{code: opWrite, name: "a", off: 5000, data: g.bytes(9000)}, modelOp{code: opCloneRng, name: "a", to: "b", off: 4000, n: 10000, toOff: 1})
	mustCompare(t, s, m)
	mustCheckpoint(t, s)
	mustCompare(t, s, m)
	fsck(t, mem.Snapshot())
	closeStore(t, s)
}

// TestCloneCheckedInWindows: counts are compared however few zones a pass covers.
func TestCloneCheckedInWindows(t *testing.T) {
	mem := newMem(2048)
	s := newStore(t, mem, FormatOptions{}, quiet())
	g := &generator{Rand: rand.New(rand.NewPCG(1, 5))}
	data := g.bytes(8 << 20)
	for i := range 4 {
		name := fmt.Sprint("o", i)
		apply(t, s, func(x *Txn) {
			x.Write(mainColl, oid(name), 0, data)
			x.Clone(mainColl, oid(name), oid(name+"copy"))
			x.CloneRange(mainColl, oid(name), oid("parts"), 0, 1<<20, uint64(i)<<20)
		})
	}
	closeStore(t, s)
	r, err := check.Run(bg, mem, check.Options{Level: check.Full, MemoryBytes: 1})
	if err != nil || !r.OK() || !r.Complete || r.Passes < 3 {
		t.Fatalf("%v, %d passes: %+v", err, r.Passes, r.Problems)
	}
	if want := uint64(4 * 8 << 20 / blockSize); r.Counts.DataBlocks != want {
		t.Fatalf("%d blocks of data, want %d", r.Counts.DataBlocks, want)
	}
}
