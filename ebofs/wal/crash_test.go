package wal

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"ebofs/devices/crashdev"
)

// TestCrash runs a log that wraps, cuts and continues long records, and looks
// at every state a crash could leave. What was reported committed is there; what
// is there is a prefix of what was appended; a torn end is never called damage;
// and Scan never says committed of what nobody was told.
func TestCrash(t *testing.T) {
	seeds := uint64(14)
	if testing.Short() {
		seeds = 3
	}
	states := 0
	for seed := range seeds {
		states += crashRun(t, seed)
	}
	t.Logf("%d crash states", states)
	if states < 120*int(seeds) {
		t.Errorf("only %d crash states", states)
	}
}

// crashRun returns the number of states it looked at.
func crashRun(t *testing.T, seed uint64) (states int) {
	rng := rand.New(rand.NewPCG(seed, 2))
	cfg := ringAt(1, uint64(MinBlocks+rng.IntN(80)))
	cfg.MaxBatchBytes = []int{8 << 10, 16 << 10}[rng.IntN(2)]
	dev := crashdev.New(newMem(t, cfg.Blocks+2, nil))
	head := Pos{Block: rng.Uint64N(cfg.Blocks), Seq: 1}

	var all []rec          // ever appended
	tail, first := head, 0 // where recovery starts and its first record
	l := New(dev, cfg, head, 0)
	l.cfg.OnCommit = func(_, last uint64, err error) {
		if err != nil {
			t.Fatal(err)
		}
		dev.Mark(last)
	}
	for len(all) < 60 {
		for range 1 + rng.IntN(4) {
			n := rng.IntN(3000)
			if rng.IntN(6) == 0 {
				n = rng.IntN(l.MaxRecord())
			}
			r := rec{uint64(len(all) + 1), uint16(rng.IntN(4)), fill(rng, n)}
			if _, err := l.Append(r.txid, r.flags, r.data); err != nil {
				// Full: a checkpoint makes everything superfluous.
				l.Kick()
				states += explore(t, rng, dev, cfg, tail, all, first)
				tail, first = l.Cut(), len(all)
				l.SetTail(tail)
				continue
			}
			all = append(all, r)
		}
		l.Kick()
		states += explore(t, rng, dev, cfg, tail, all, first)
	}
	return states
}

// explore visits the crash states since it was last called. The log's tail is
// before record first of all; a point's tag is the number committed by then.
func explore(t *testing.T, rng *rand.Rand, dev *crashdev.Device, cfg Config, tail Pos, all []rec, first int) (states int) {
	t.Helper()
	want := all[first:]
	for _, p := range dev.Points() {
		committed := max(int(p.Tag)-first, 0)
		for state := range dev.States(p, crashdev.Policy{AllSubsets: 6, Random: 8, Seed: rng.Uint64()}) {
			states++
			got, known, res := scanAll(t, state, cfg, tail)
			if res.Damage != nil {
				t.Fatalf("%v: torn end called damage: %v", state, res.Damage)
			}
			if len(got) < committed || len(got) > len(want) {
				t.Fatalf("%v: %d records, committed %d of %d: %s", state, len(got), committed, len(want), res.Reason)
			}
			if err := sameRecords(got, want[:len(got)]); err != nil {
				t.Fatalf("%v: %v", state, err)
			}
			if known > committed {
				t.Fatalf("%v: %d known committed, only %d are", state, known, committed)
			}
			switch {
			case states%16 == 0:
				crashAgain(t, rng, state, cfg, res)
			case states%16 == 8 && res.Resumable():
				resumeAgain(t, rng, state, cfg, tail, res, want[:len(got)], want[len(got):])
			}
		}
	}
	dev.Forget()
	return states
}

// crashAgain goes on writing in a higher incarnation behind what was found.
// Nothing of before is taken for new, whatever lies there.
func crashAgain(t *testing.T, rng *rand.Rand, state *crashdev.State, cfg Config, res ScanResult) {
	t.Helper()
	cfg.Incarnation++
	l := New(state, cfg, res.End, res.PrevCRC)
	var want []rec
	for i := range 1 + rng.IntN(3) {
		r := rec{uint64(1000 + i), 0, fill(rng, rng.IntN(5000))}
		if lsn, err := l.Append(r.txid, r.flags, r.data); err != nil || l.Wait(ctx, lsn) != nil {
			t.Fatal(err)
		}
		want = append(want, r)
	}
	again, _, res2 := scanAll(t, state, cfg, res.End)
	if err := sameRecords(again, want); err != nil || res2.Damage != nil {
		t.Fatalf("%v, after recovery: %v, %v: %s", state, err, res2.Damage, res2.Reason)
	}
}

// TestStaleLap fills a ring many times over and then lets recovery start at
// every position it ever had: only the present contents count.
func TestStaleLap(t *testing.T) {
	cfg := ringAt(0, 40)
	dev := newMem(t, 40, nil)
	l := New(dev, cfg, Pos{Seq: 1}, 0)
	rng := rand.New(rand.NewPCG(3, 3))
	type start struct {
		pos   Pos
		count int
	}
	starts := []start{{l.Cut(), 0}}
	var all []rec
	for len(all) < 120 {
		r := rec{uint64(len(all) + 1), 0, fill(rng, rng.IntN(9000))}
		lsn, err := l.Append(r.txid, 0, r.data)
		if err != nil {
			l.SetTail(starts[len(starts)-4].pos)
			continue
		}
		commitAll(t, l, lsn)
		all = append(all, r)
		starts = append(starts, start{l.Cut(), len(all)})
	}
	whole := 0
	for _, s := range starts {
		got, _, res := scanAll(t, dev, cfg, s.pos)
		if len(got) == 0 && s.count < len(all) {
			// Overwritten: the batches there belong to a later lap, whose horizon
			// says that a committed one is missing.
			if res.Damage == nil {
				t.Errorf("scan from %v finds nothing and no damage: %s", s.pos, res.Reason)
			}
			continue
		}
		whole++
		if err := sameRecords(got, all[s.count:]); err != nil {
			t.Errorf("scan from %v: %v (%s)", s.pos, err, res.Reason)
		}
	}
	if whole < 3 {
		t.Errorf("only %d positions held their records", whole)
	}
	cfg.Incarnation++
	if got, _, res := scanAll(t, dev, cfg, starts[len(starts)-3].pos); len(got) != 0 || res.Damage != nil || res.Torn {
		t.Errorf("another incarnation finds %d records, %v, %s", len(got), res.Damage, res.Reason)
	}
	cfg.Incarnation, cfg.FSID[0] = cfg.Incarnation-1, 99
	if got, _, res := scanAll(t, dev, cfg, starts[len(starts)-3].pos); len(got) != 0 || res.Damage != nil {
		t.Errorf("another store finds %d records, %v", len(got), fmt.Sprint(res.Damage))
	}
}
