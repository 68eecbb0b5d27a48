package wal

import (
	"errors"
	"math/rand/v2"
	"testing"

	"ebofs/devices"
	"ebofs/devices/crashdev"
)

// resumeAgain goes on in the same incarnation behind what a crash left, with the
// very record that was lost, and crashes again: nothing of what was in flight at the
// first crash comes back behind it. have and lost are what was found and what was
// appended after that.
func resumeAgain(t *testing.T, rng *rand.Rand, state *crashdev.State, cfg Config, tail Pos, res ScanResult, have, lost []rec) (states int) {
	t.Helper()
	dev := crashdev.New(state.Mem)
	l, err := Resume(ctx, dev, cfg, tail, &res)
	if err != nil {
		t.Fatalf("%v: resume: %v", state, err)
	}
	r := rec{uint64(1 << 32), 0, fill(rng, rng.IntN(5000))}
	if len(lost) > 0 && rng.IntN(4) > 0 {
		r = lost[0]
	}
	lsn, err := l.Append(r.txid, r.flags, r.data)
	if errors.Is(err, ErrFull) {
		return 0
	}
	if err == nil {
		err = l.Wait(ctx, lsn)
	}
	if err != nil {
		t.Fatalf("%v: %v", state, err)
	}
	dev.Mark(1)
	for _, p := range dev.Points() {
		for again := range dev.States(p, crashdev.Policy{AllSubsets: 4, Random: 4, Seed: rng.Uint64()}) {
			states++
			got, _, res := scanAll(t, again, cfg, tail)
			if res.Damage != nil {
				t.Fatalf("%v, %v: %v", state, again, res.Damage)
			}
			if len(got) < len(have) || p.Tag == 1 && len(got) != len(have)+1 {
				t.Fatalf("%v, %v: %d records, %d were there and one was added", state, again, len(got), len(have))
			}
			if err := sameRecords(got[:len(have)], have); err != nil {
				t.Fatalf("%v, %v: %v", state, again, err)
			}
			if p.Tag == 1 {
				if err := sameRecords(got[len(have):], []rec{r}); err != nil {
					t.Fatalf("%v, %v: %v", state, again, err)
				}
			}
		}
	}
	return states
}

// TestResumeLeftovers has a batch lost and the one behind it kept, and logs the lost
// one again, byte for byte: the chain would go on into the old one.
func TestResumeLeftovers(t *testing.T) {
	cfg := ringAt(0, 64)
	cfg.MaxBatchBytes = 8 << 10
	dev := newMem(t, 64, nil)
	l := New(dev, cfg, Pos{Seq: 1}, 0)
	add := func(l *Log, txid uint64) {
		t.Helper()
		if _, err := l.Append(txid, 0, make([]byte, 6000)); err != nil {
			t.Fatal(err)
		}
	}
	add(l, 1)
	l.Kick()
	at := l.Cut()
	add(l, 2)
	add(l, 3)
	l.Kick() // two batches, one flush
	second := peek(t, dev, cfg.Start+at.Block, 2)
	poke(t, dev, cfg.Start+at.Block, make([]byte, 2*devices.BlockSize))
	got, _, res := scanAll(t, dev, cfg, Pos{Seq: 1})
	if len(got) != 1 || !res.Resumable() {
		t.Fatalf("%d records, %+v", len(got), res)
	}
	l, err := Resume(ctx, dev, cfg, Pos{Seq: 1}, &res)
	if err != nil {
		t.Fatal(err)
	}
	if free, used := l.Free(), int64(2+1)*devices.BlockSize; free != 64*devices.BlockSize-used {
		t.Errorf("%d bytes are free behind one batch of two blocks", free)
	}
	add(l, 2)
	l.Kick()
	if again := peek(t, dev, cfg.Start+at.Block, 2); string(again) != string(second) {
		t.Error("the record was logged in other bytes: the test shows nothing")
	}
	if got, _, res = scanAll(t, dev, cfg, Pos{Seq: 1}); len(got) != 2 || res.Damage != nil {
		t.Errorf("%d records, want 2: %+v", len(got), res)
	}
}

// TestResumeRefused asks for logs that cannot go on.
func TestResumeRefused(t *testing.T) {
	cfg := ringAt(0, 64)
	dev := newMem(t, 64, nil)
	for _, res := range []ScanResult{{Stopped: true}, {Partial: true}, {Damage: &Damage{}}, {End: Pos{Block: 64, Seq: 1}}} {
		if l, err := Resume(ctx, dev, cfg, Pos{Seq: 1}, &res); err == nil {
			err = l.Err()
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%+v: %v", res, err)
			}
		} else if !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", res, err)
		}
	}
	if _, err := Resume(ctx, dev, cfg, Pos{Block: 64, Seq: 1}, &ScanResult{End: Pos{Seq: 1}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("tail outside the ring: %v", err)
	}

	// A record in parts whose last is missing.
	cfg.MaxBatchBytes = 8 << 10
	l := New(dev, cfg, Pos{Seq: 1}, 0)
	if _, err := l.Append(1, 0, make([]byte, 30<<10)); err != nil {
		t.Fatal(err)
	}
	l.Kick()
	poke(t, dev, cfg.Start+4, make([]byte, 8*devices.BlockSize))
	got, _, res := scanAll(t, dev, cfg, Pos{Seq: 1})
	if len(got) != 0 || res.End.Block != 4 || !res.Partial || res.Resumable() {
		t.Errorf("%d records, %+v", len(got), res)
	}
}
