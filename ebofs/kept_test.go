package ebofs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/ebofs/check"
)

// atEpoch opens a kept epoch of what is on dev and calls fn.
func atEpoch(t testing.TB, dev devices.Device, epoch uint64, fn func(s *Store)) {
	t.Helper()
	s := open(t, dev, Options{ReadOnly: true, AtEpoch: epoch, MemoryBytes: minMemory})
	defer closeStore(t, s)
	if got := s.Superblock().Epoch; got != epoch {
		t.Fatalf("opened at epoch %d, is at %d", epoch, got)
	}
	fn(s)
}

// checkKept deep-checks every epoch kept on dev and compares those it has a model
// of. It returns how many there are.
func checkKept(t testing.TB, dev devices.Device, models map[uint64]model) int {
	t.Helper()
	f, err := Find(bg, dev)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := ReadRoots(bg, dev, &f.Super)
	if err != nil {
		t.Fatal(err)
	}
	for i := range roots.Record.Kept {
		k := &roots.Record.Kept[i]
		sb := f.Super.At(k)
		r, err := check.Run(bg, dev, check.Options{Super: &sb, Level: check.Deep, Workers: 1})
		if err != nil {
			t.Fatalf("epoch %d: %v", k.Epoch(), err)
		}
		clean(t, r)
		if m, ok := models[k.Epoch()]; ok {
			atEpoch(t, dev, k.Epoch(), func(s *Store) {
				if err := compare(s, mainColl, m); err != nil {
					t.Fatalf("epoch %d: %v", k.Epoch(), err)
				}
			})
		}
	}
	return len(roots.Record.Kept)
}

// TestKeepEpochs changes a store over many checkpoints, mounts and crashes: the
// last epochs stay as they were, and no more than those.
func TestKeepEpochs(t *testing.T) {
	eachSeed(t, 4, func(t *testing.T, seed uint64) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 9)), names: 30, maxSize: 1 << 18}
		dev := newMem(192)
		opt := quiet()
		opt.Inline = seed%2 == 0
		const keep = 3
		format(t, dev, FormatOptions{KeepEpochs: keep})
		fresh := freeBlocks(t, dev)
		s := open(t, dev, opt)
		apply(t, s, func(x *Txn) { x.MkColl(mainColl, mainSpec) })
		m, models, most := model{}, map[uint64]model{}, 0
		for round := range 24 {
			for range 15 {
				g.step(t, s, m)
			}
			switch {
			case round%6 == 3:
				s.Abandon()
				s = open(t, dev, opt)
				mustCheckpoint(t, s) // with what was committed
			case round%6 == 5:
				closeStore(t, s)
				s = open(t, dev, opt)
			default:
				mustCheckpoint(t, s)
			}
			models[s.Superblock().Epoch] = m.clone()
			mustCheckpoint(t, s) // of the same state: not worth a place
			n := checkKept(t, dev, models)
			if most = max(most, n); n < min(keep, round-1) || n > keep {
				t.Fatalf("%d epochs are kept after round %d", n, round)
			}
			checkSpace(t, s)
		}
		st, _ := s.Statfs()
		if st.Kept == 0 {
			t.Errorf("kept epochs take no space: %+v", st)
		}
		mustCompare(t, s, m)
		for _, n := range []int{1, 0} {
			if err := s.SetKeepEpochs(bg, n); err != nil {
				t.Fatal(err)
			}
			if got := checkKept(t, dev, models); got != n {
				t.Fatalf("%d epochs are kept, want %d", got, n)
			}
		}
		if st, _ := s.Statfs(); st.Kept != 0 || st.Limbo != 0 {
			t.Errorf("nothing is kept: %+v", st)
		}
		checkLeaks(t, s, dev)
		for _, n := range []int{-1, 65} {
			if err := s.SetKeepEpochs(bg, n); !errors.Is(err, ErrInvalid) {
				t.Errorf("%d epochs: %v", n, err)
			}
		}
		for name := range m {
			apply(t, s, func(x *Txn) { x.Remove(mainColl, oid(name)) })
		}
		apply(t, s, func(x *Txn) { x.RmColl(mainColl) })
		closeStore(t, s)
		fsck(t, dev)
		if got := freeBlocks(t, dev); got != fresh {
			t.Errorf("%d blocks are free after everything was removed, %d in a fresh store", got, fresh)
		}
	})
}

// TestAtEpoch asks for epochs that are there, that are not, and in vain.
func TestAtEpoch(t *testing.T) {
	dev := newMem(64)
	s := newStore(t, dev, FormatOptions{KeepEpochs: 2}, quiet())
	for i := range 4 {
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid("o"), 0, fmt.Appendf(nil, "version %d", i)) })
		mustCheckpoint(t, s)
	}
	newest := s.Superblock().Epoch
	apply(t, s, func(x *Txn) { x.Write(mainColl, oid("o"), 0, []byte("logged...")) })
	s.Abandon()
	for i := range uint64(3) {
		atEpoch(t, dev, newest-i, func(s *Store) {
			p := make([]byte, 20)
			n, err := s.Read(bg, mainColl, oid("o"), 0, p)
			if want := fmt.Sprintf("version %d", 3-i); err != nil || string(p[:n]) != want {
				t.Errorf("epoch %d: %q, %v; want %q", newest-i, p[:n], err, want)
			}
			if err := s.Apply(bg, NewTxn()); !errors.Is(err, ErrReadOnly) {
				t.Error(err)
			}
		})
	}
	_, err := Open(bg, dev, Options{ReadOnly: true, AtEpoch: newest - 3})
	want := fmt.Sprintf("epoch %d is not kept, there are %d, %d, %d", newest-3, newest-2, newest-1, newest)
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want %q", err, want)
	}
	if _, err := Open(bg, dev, Options{AtEpoch: newest}); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if _, err := Format(bg, newMem(64), FormatOptions{KeepEpochs: 65}); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

// TestKeepEpochsFull drives stores that keep epochs to the last block and back:
// what has room without them has it with them, and what is kept is whole.
func TestKeepEpochsFull(t *testing.T) {
	eachSeed(t, 4, func(t *testing.T, seed uint64) {
		f := &filler{t: t, m: model{}, generator: &generator{Rand: rand.New(rand.NewPCG(seed, 10)), maxSize: 1 << 20}}
		f.opt = Options{Inline: seed%2 == 0, MemoryBytes: minMemory, CheckpointInterval: time.Hour}
		f.dev = newMem([]uint64{32, 64}[seed%2])
		fo := FormatOptions{KeepEpochs: 1 + int(seed)*5}
		f.s = newStore(t, f.dev, fo, f.opt)
		fresh := freshBlocks(t, f.dev, fo)
		kept, dropped := 0, 0
		look := func() {
			t.Helper()
			f.check(f.s.Checkpoint(bg), "checkpoint")
			n := checkKept(t, f.dev, nil)
			if kept = max(kept, n); n == 0 {
				dropped++
			}
			checkSpace(t, f.s)
		}
		for round := range 3 {
			look()
			f.fill()
			if st, _ := f.s.Statfs(); st.Available+st.Kept > st.Total/8 {
				t.Errorf("refused with %+v", st)
			}
			look()
			f.fragment()
			look()
			f.remove(f.Float64())
			look()
			f.fill()
			if round%2 == 1 {
				f.reopen()
			}
			look()
		}
		if kept == 0 || dropped == 0 {
			t.Errorf("%d epochs were kept at most, none %d times", kept, dropped)
		}
		f.check(compare(f.s, mainColl, f.m), "at the end")
		f.remove(1)
		apply(t, f.s, func(x *Txn) { x.RmColl(mainColl) })
		f.check(f.s.SetKeepEpochs(bg, 0), "keep nothing")
		closeStore(t, f.s)
		fsck(t, f.dev)
		if got := freeBlocks(t, f.dev); got != fresh {
			t.Errorf("%d blocks are free after everything was removed, %d in a fresh store", got, fresh)
		}
	})
}

// TestKeepEpochsGrow grows a store between its kept epochs: they are read with the
// zones they knew.
func TestKeepEpochsGrow(t *testing.T) {
	g := &generator{Rand: rand.New(rand.NewPCG(3, 9)), names: 20, maxSize: 1 << 18}
	dev := newMem(192)
	s := newStore(t, dev, FormatOptions{KeepEpochs: 6, SizeBytes: 100 << 20}, quiet())
	m, models := model{}, map[uint64]model{}
	for round := range 8 {
		for range 15 {
			g.step(t, s, m)
		}
		if round == 2 || round == 4 {
			if _, err := s.Grow(bg, uint64(110+round*10)<<20); err != nil {
				t.Fatal(err)
			}
		} else {
			mustCheckpoint(t, s)
		}
		models[s.Superblock().Epoch] = m.clone()
		if round == 5 {
			s.Abandon()
			s = open(t, dev, quiet())
		}
		checkKept(t, dev, models)
		checkSpace(t, s)
	}
	if n := checkKept(t, dev, models); n != 6 {
		t.Errorf("%d epochs are kept", n)
	}
	checkLeaks(t, s, dev)
	closeStore(t, s)
	fsck(t, dev)
}

// TestKeepEpochsDamaged: a kept epoch whose own blocks have rotted is given up with
// all that is older, and neither the newer ones nor the store with it.
func TestKeepEpochsDamaged(t *testing.T) {
	base := newMem(64)
	s := newStore(t, base, FormatOptions{KeepEpochs: 4}, Options{Inline: true})
	g := &generator{Rand: rand.New(rand.NewPCG(4, 4)), maxSize: 300 << 10}
	m := model{}
	for i := range 6 {
		ops := []modelOp{{code: opWrite, name: fmt.Sprint("o", i), data: g.bytes(200 << 10)}, {code: opWrite, name: "all", data: g.bytes(9000)}}
		apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
		m.apply(ops)
		mustCheckpoint(t, s)
	}
	closeStore(t, s)
	f, err := Find(bg, base)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := ReadRoots(bg, base, &f.Super)
	if err != nil || len(roots.Record.Kept) != 4 {
		t.Fatalf("%d kept, %v", len(roots.Record.Kept), err)
	}
	kept := roots.Record.Kept
	sb := f.Super.At(&kept[1])
	old, err := ReadRoots(bg, base, &sb)
	if err != nil {
		t.Fatal(err)
	}
	rot := map[string]uint64{"root record": kept[1].Root.Addr.Block(), "zone table": old.Record.ZoneTables[0].Addr.Block()}
	for z := range old.Zones {
		if ref := old.Zones[z].Bitmap; !ref.IsNone() && ref != roots.Zones[z].Bitmap {
			rot["bitmap"] = ref.Addr.Block()
		}
	}
	if len(rot) != 3 {
		t.Fatalf("nothing of each kind to damage: %v", rot)
	}
	for what, block := range rot {
		dev := base.Snapshot()
		damage(t, dev, block, 1, func(p []byte) { p[len(p)/3] ^= 4 })
		if _, err := FindEpoch(bg, dev, &f.Super, kept[3].Epoch()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		s := open(t, dev, Options{Inline: true})
		if want, _ := s.KeptEpochs(); want != 4 {
			t.Errorf("%s: %d are to be kept", what, want)
		}
		mustCompare(t, s, m)
		apply(t, s, func(x *Txn) { x.Touch(mainColl, oid("next")) })
		mustCheckpoint(t, s)
		_, list := s.KeptEpochs()
		for i := range list {
			if list[i].Epoch() <= kept[1].Epoch() {
				t.Errorf("%s: epoch %d is still kept", what, list[i].Epoch())
			}
		}
		if len(list) < 2 {
			t.Errorf("%s: %d epochs are kept", what, len(list))
		}
		checkSpace(t, s)
		closeStore(t, s)
		fsck(t, dev)
		checkKept(t, dev, nil)
	}
	damage(t, base, f.Super.Root.Addr.Block(), 1, func(p []byte) { clear(p) })
	if _, err := FindEpoch(bg, base, &f.Super, kept[3].Epoch()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("epoch of a store without root record: %v", err)
	}
}
