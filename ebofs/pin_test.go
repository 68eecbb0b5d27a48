package ebofs

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/ebofs/check"
)

// checkPinned deep-checks a pinned checkpoint on the device of its store, which
// may be in use.
func checkPinned(t testing.TB, p *Pin, dev devices.Device) *check.Report {
	t.Helper()
	sb := p.Superblock()
	r, err := check.Run(bg, dev, check.Options{Super: &sb, Level: check.Deep, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// clean fails unless r has nothing to report.
func clean(t testing.TB, r *check.Report) {
	t.Helper()
	for i := range r.Problems {
		t.Errorf("epoch %d: %s", r.Epoch, r.Problems[i].String())
	}
	if t.Failed() || !r.Complete {
		t.FailNow()
	}
}

// TestPin pins checkpoints while writers overwrite and remove everything, many
// checkpoints pass and readers come and go: what is pinned stays as it was, and
// what pins held is free once they are closed.
func TestPin(t *testing.T) {
	dev := newMem(256)
	s := newStore(t, dev, FormatOptions{}, quiet())
	g := &generator{Rand: rand.New(rand.NewPCG(7, 7)), names: 40, maxSize: 1 << 18}
	m := model{}
	for range 200 {
		g.step(t, s, m)
	}
	mustCheckpoint(t, s)

	var stop atomic.Bool
	var busy sync.WaitGroup
	var models [2]model
	for i := range models {
		models[i] = model{}
		w := &generator{Rand: rand.New(rand.NewPCG(8, uint64(i))), names: 20, maxSize: 1 << 18, prefix: fmt.Sprint("w", i)}
		busy.Go(func() {
			for m := models[i]; !stop.Load(); {
				ops := w.txn(m)
				if err := s.Apply(bg, txnOf(mainColl, ops)); err == nil {
					m.apply(ops)
				} else if m.verdict(ops) == nil {
					t.Errorf("%s: %v", opList(ops), err)
					return
				}
			}
		})
	}
	var pins []*Pin
	var want []check.Counts
	for round := range 6 {
		p, err := s.Pin()
		if err != nil {
			t.Fatal(err)
		}
		r := checkPinned(t, p, dev)
		clean(t, r)
		pins, want = append(pins, p), append(want, r.Counts)
		for range 4 {
			for range 20 {
				g.step(t, s, m)
			}
			mustCheckpoint(t, s)
		}
		i := round / 2
		r = checkPinned(t, pins[i], dev)
		clean(t, r)
		if r.Counts != want[i] {
			t.Fatalf("epoch %d was %+v, is %+v", r.Epoch, want[i], r.Counts)
		}
		if round%2 == 1 {
			pins[i].Close()
			if err := pins[i].Err(); !errors.Is(err, ErrClosed) {
				t.Fatal("a closed pin says ", err)
			}
		}
	}
	stop.Store(true)
	busy.Wait()
	for i := range models {
		maps.Copy(m, models[i])
	}
	for _, p := range pins[3:] {
		if err := p.Err(); err != nil {
			t.Fatal("there was room, but: ", err)
		}
	}
	mustCheckpoint(t, s)
	if s.space.counts().limbo == 0 {
		t.Fatal("pins hold nothing")
	}
	for _, p := range pins {
		p.Close()
	}
	mustCheckpoint(t, s)
	if limbo := s.space.counts().limbo; limbo != 0 {
		t.Fatalf("%d blocks stay in limbo", limbo)
	}
	checkSpace(t, s)
	checkLeaks(t, s, dev)
	mustCompare(t, s, m)
	last, err := s.Pin()
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if err := last.Err(); !errors.Is(err, ErrClosed) {
		t.Fatal("the pin of a closed store says ", err)
	}
	last.Close()
	if _, err := s.Pin(); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	fsck(t, dev)
}

// TestPinFull pins checkpoints of stores driven to the last block and back: what
// has room without a pin has it with one, which expires; and until it says so it
// holds.
func TestPinFull(t *testing.T) {
	eachSeed(t, 4, func(t *testing.T, seed uint64) {
		f := &filler{t: t, m: model{}, generator: &generator{Rand: rand.New(rand.NewPCG(seed, 6)), maxSize: 1 << 20}}
		f.opt = Options{Inline: seed%2 == 0, MemoryBytes: minMemory, CheckpointInterval: time.Hour}
		f.dev = newMem([]uint64{32, 64}[seed%2])
		f.s = newStore(t, f.dev, FormatOptions{}, f.opt)
		fresh := freshBlocks(t, f.dev, FormatOptions{})
		var pins []*Pin
		expired := 0
		pin := func() {
			t.Helper()
			f.check(f.s.Checkpoint(bg), "checkpoint")
			p, err := f.s.Pin()
			f.check(err, "pin")
			pins = append(pins, p)
		}
		look := func() {
			t.Helper()
			for _, p := range pins {
				r := checkPinned(t, p, f.dev)
				if err := p.Err(); err == nil {
					clean(t, r)
				} else if !errors.Is(err, ErrPinExpired) {
					t.Fatal(err)
				} else {
					expired++
				}
				checkSpace(t, f.s)
			}
		}
		for range 3 {
			pin()
			f.fill()
			if st, _ := f.s.Statfs(); st.Available > st.Total/8 {
				t.Errorf("refused with %d of %d bytes available", st.Available, st.Total)
			}
			pin() // of a full store
			look()
			f.fragment()
			look()
			f.remove(f.Float64())
			pin()
			f.fill()
			look()
		}
		if expired == 0 {
			t.Error("no pin ever expired")
		}
		for _, p := range pins {
			p.Close()
		}
		f.check(compare(f.s, mainColl, f.m), "at the end")
		f.remove(1)
		apply(t, f.s, func(x *Txn) { x.RmColl(mainColl) })
		closeStore(t, f.s)
		fsck(t, f.dev)
		if got := freeBlocks(t, f.dev); got != fresh {
			t.Errorf("%d blocks are free after everything was removed, %d in a fresh store", got, fresh)
		}
	})
}
