package wal

import (
	"context"
	"errors"
	"testing"

	"ebofs/devices"
)

// TestFull fills a ring to its last block and checks that full and empty differ
// and that an old tail frees nothing (I4).
func TestFull(t *testing.T) {
	cfg := ringAt(0, 32)
	l := New(newMem(t, 32, nil), cfg, Pos{Block: 7, Seq: 1}, 0)
	start := l.Cut()
	n := 0
	for ; ; n++ {
		if _, err := l.Append(uint64(n+1), 0, make([]byte, 4000)); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		}
		l.Cut() // a block each
	}
	if n != 31 || l.Free() != 0 || l.Size() != 31*devices.BlockSize {
		t.Fatalf("%d records, free %d of %d", n, l.Free(), l.Size())
	}
	l.SetTail(start)
	if l.Free() != 0 {
		t.Errorf("the old tail freed %d bytes", l.Free())
	}
	l.Kick()
	end := l.Cut()
	l.SetTail(end)
	if l.Free() != l.Size() {
		t.Errorf("free %d of %d in an empty ring", l.Free(), l.Size())
	}
	if _, err := l.Append(99, 0, nil); err != nil {
		t.Fatal(err)
	}
	free := l.Free()
	l.SetTail(start)
	l.SetTail(Pos{Block: 3, Seq: end.Seq + 50})
	if l.Free() != free {
		t.Errorf("a tail before the present one, or beyond the head, changed free from %d to %d", free, l.Free())
	}
	if _, err := l.Append(1, 0, make([]byte, l.MaxRecord()+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("record above the limit: %v", err)
	}
}

// TestGroupBound appends far more than a group before anybody writes: groups
// stay within MaxGroup, so that witnesses are near (I5), and a record in parts
// counts only with its last one, whichever group that is in.
func TestGroupBound(t *testing.T) {
	broken := errors.New("broken")
	var l *Log
	group, flushes, failAt := uint64(0), 0, 3
	dev := newMem(t, 8192, func(_ context.Context, op devices.Op, _ devices.Block, n uint64) error {
		switch op {
		case devices.OpWrite:
			if group += n * devices.BlockSize; group > MaxGroup+devices.BlockSize {
				t.Errorf("%d bytes before a flush", group)
			}
		case devices.OpFlush:
			group = 0
			if flushes++; flushes == failAt {
				return broken
			}
			if c := l.committed.Load(); c > 1 {
				t.Errorf("%d records committed before the last part", c)
			}
		}
		return nil
	})
	cfg := ringAt(0, 8192)
	cfg.MaxBatchBytes = 0
	var told []uint64
	cfg.OnCommit = func(_, last uint64, err error) {
		if err == nil {
			told = append(told, last)
		}
	}
	l = New(dev, cfg, Pos{Seq: 1}, 0)
	l.Append(1, 0, []byte("short"))
	long, err := l.Append(2, 0, make([]byte, 7<<20))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Wait(ctx, long); !errors.Is(err, broken) {
		t.Errorf("wait: %v", err)
	}
	if len(told) != 1 || told[0] != 1 || flushes != failAt {
		t.Errorf("told of %v after %d flushes", told, flushes)
	}
	if recs, _, _ := scanAll(t, dev, cfg, Pos{Seq: 1}); len(recs) != 1 {
		t.Errorf("%d records, want 1", len(recs))
	}
}

// TestFillerEndsGroup has a group end in a filler: what was committed stays so
// while the next one is written.
func TestFillerEndsGroup(t *testing.T) {
	var l *Log
	flushes := 0
	dev := newMem(t, 4096, func(_ context.Context, op devices.Op, _ devices.Block, _ uint64) error {
		if op == devices.OpFlush {
			if flushes++; flushes == 2 {
				if c := l.committed.Load(); c != 2 {
					t.Errorf("%d records committed between the groups, want 2", c)
				}
			}
		}
		return nil
	})
	cfg := ringAt(0, 4096)
	cfg.MaxBatchBytes = 0
	l = New(dev, cfg, Pos{Block: 4096 - 513, Seq: 1}, 0)
	var last LSN
	for txid := range uint64(3) {
		lsn, err := l.Append(txid, 0, make([]byte, MaxBatch-headerBytes-frameBytes-100))
		if err != nil {
			t.Fatal(err)
		}
		last = lsn
	}
	commitAll(t, l, last)
	if m := l.Metrics(); flushes != 2 || m.Fillers != 1 || m.Batches != 4 {
		t.Errorf("%d flushes, metrics %+v", flushes, m)
	}
}
