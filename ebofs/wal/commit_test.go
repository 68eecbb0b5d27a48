package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"ebofs/devices"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestWriters has 64 goroutines append and wait, some of whom lose patience or
// only kick. Order, OnCommit and the contents must be as if there were one.
func TestWriters(t *testing.T) {
	for _, inline := range []bool{false, true} {
		t.Run(fmt.Sprintf("inline=%v", inline), func(t *testing.T) { runWriters(t, inline) })
	}
}

func runWriters(t *testing.T, inline bool) {
	const writers, each = 64, 100
	cfg := ringAt(0, 64<<10)
	cfg.MaxBatchBytes, cfg.Inline = 0, inline
	var order sync.Mutex // caller order = log order
	var txid, told uint64
	cfg.OnCommit = func(first, last uint64, err error) {
		if err != nil || first != told+1 || last < first {
			t.Errorf("OnCommit(%d, %d, %v) after %d", first, last, err, told)
		}
		told = last
	}
	dev := newMem(t, cfg.Blocks, nil)
	l := New(dev, cfg, Pos{Seq: 1}, 0)
	var wg sync.WaitGroup
	var gaveUp atomic.Int64
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 5))
			for i := range each {
				data := fill(rng, rng.IntN(5000))
				order.Lock()
				txid++
				lsn, err := l.Append(txid, uint16(w), data)
				order.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				switch {
				case i%7 == 3:
					l.Kick()
					continue
				case i%5 == 2:
					c, cancel := context.WithCancel(ctx)
					if w%2 == 0 {
						cancel()
					} else {
						go cancel()
					}
					err = l.Wait(c, lsn)
					cancel()
					if errors.Is(err, context.Canceled) {
						gaveUp.Add(1)
						continue
					}
				default:
					err = l.Wait(ctx, lsn)
				}
				if err != nil {
					t.Errorf("wait: %v", err)
				}
				if l.committed.Load() < uint64(lsn) {
					t.Error("Wait returned before the commit")
				}
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if told != writers*each {
		t.Errorf("told of %d records, want %d", told, writers*each)
	}
	if gaveUp.Load() == 0 && !inline {
		t.Error("nobody gave up")
	}
	got, _, res := scanAll(t, dev, cfg, Pos{Seq: 1})
	if len(got) != writers*each || res.Damage != nil {
		t.Fatalf("scan finds %d records: %s", len(got), res.Reason)
	}
	for i, r := range got {
		if r.txid != uint64(i+1) {
			t.Fatalf("record %d has txid %d", i, r.txid)
		}
	}
	if m := l.Metrics(); m.Flushes > m.Records || m.Groups != m.Flushes || m.Batches < m.Groups {
		t.Errorf("metrics %+v", m)
	}
	if _, err := l.Append(1, 0, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("append to a closed log: %v", err)
	}
}

// TestLoneWriter checks the promises to a caller alone: it does its own I/O, one
// write and one flush each, and allocates nothing.
func TestLoneWriter(t *testing.T) {
	var ops []devices.Op
	var record bool
	dev := newMem(t, 1<<14, func(_ context.Context, op devices.Op, _ devices.Block, _ uint64) error {
		if record {
			ops = append(ops, op) // unsynchronized on purpose: the race detector sees who calls
		}
		return nil
	})
	cfg := ringAt(0, 1<<14)
	cfg.Inline = false
	l := New(dev, cfg, Pos{Seq: 1}, 0)
	data := make([]byte, 4096)
	record = true
	for i := range uint64(3) {
		lsn, err := l.Append(i, 0, data)
		if err != nil || l.Wait(ctx, lsn) != nil {
			t.Fatal(err)
		}
		l.Wait(ctx, lsn) // decided: no I/O
	}
	record = false
	want := []devices.Op{devices.OpWrite, devices.OpFlush, devices.OpWrite, devices.OpFlush, devices.OpWrite, devices.OpFlush}
	if fmt.Sprint(ops) != fmt.Sprint(want) {
		t.Errorf("I/O %v, want %v", ops, want)
	}
	l.SetTail(l.Cut())
	if n := testing.AllocsPerRun(100, func() {
		lsn, _ := l.Append(9, 0, data)
		if err := l.Wait(ctx, lsn); err != nil {
			t.Fatal(err)
		}
	}); n > float64(memAllocs(dev)) {
		t.Errorf("%v allocations a commit", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// memAllocs is what one write of fresh blocks and a flush allocate in the memory
// device itself.
func memAllocs(dev *devices.Mem) int {
	p := alignedBytes(2 * devices.BlockSize)
	b := devices.Block(1 << 13)
	return int(testing.AllocsPerRun(100, func() {
		dev.Write(ctx, b, devices.Vec{p})
		dev.Flush(ctx)
		b += 2
	})) + 1
}

// gate holds the I/O of a device.
type gate struct{ held, pass chan struct{} }

func (g *gate) hook(_ context.Context, op devices.Op, _ devices.Block, _ uint64) error {
	if op == devices.OpWrite {
		g.held <- struct{}{}
		<-g.pass
	}
	return nil
}

// TestImpatient gives up waiting, as leader, as follower and before it began:
// the record is committed all the same.
func TestImpatient(t *testing.T) {
	g := &gate{make(chan struct{}), make(chan struct{})}
	cfg := ringAt(0, 256)
	cfg.Inline = false
	committed := make(chan uint64, 10)
	cfg.OnCommit = func(_, last uint64, _ error) { committed <- last }
	l := New(newMem(t, 256, g.hook), cfg, Pos{Seq: 1}, 0)
	appendOne := func(txid uint64) LSN {
		lsn, err := l.Append(txid, 0, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		return lsn
	}
	c, cancel := context.WithCancel(ctx)
	first := appendOne(1)
	leader := make(chan error)
	go func() { leader <- l.Wait(c, first) }()
	<-g.held // the leader writes
	second := appendOne(2)
	follower := make(chan error)
	go func() { follower <- l.Wait(c, second) }()
	cancel()
	if err := <-follower; !errors.Is(err, context.Canceled) {
		t.Fatalf("follower: %v", err)
	}
	g.pass <- struct{}{}
	if err := <-leader; err != nil {
		t.Fatalf("a leader finishes: %v", err)
	}
	<-g.held // the background writer has taken over
	g.pass <- struct{}{}
	if a, b := <-committed, <-committed; a != 1 || b != 2 {
		t.Fatalf("committed %d, then %d", a, b)
	}
	third := appendOne(3)
	if err := l.Wait(c, third); !errors.Is(err, context.Canceled) {
		t.Fatalf("wait with an ended context: %v", err)
	}
	<-g.held
	g.pass <- struct{}{}
	if a := <-committed; a != 3 {
		t.Fatalf("committed %d, want 3", a)
	}
	if err := l.Wait(ctx, third+1); !errors.Is(err, ErrInvalid) {
		t.Errorf("wait for a record that is not there: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestGroup checks that what is appended while a batch is in flight goes out
// with one flush.
func TestGroup(t *testing.T) {
	g := &gate{make(chan struct{}), make(chan struct{})}
	cfg := ringAt(0, 256)
	cfg.Inline = false
	l := New(newMem(t, 256, g.hook), cfg, Pos{Seq: 1}, 0)
	var wg sync.WaitGroup
	wait := func(lsn LSN) {
		if err := l.Wait(ctx, lsn); err != nil {
			t.Error(err)
		}
	}
	first, _ := l.Append(1, 0, nil)
	wg.Go(func() { wait(first) })
	<-g.held
	for txid := range uint64(20) {
		lsn, err := l.Append(2+txid, 0, make([]byte, 100))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { wait(lsn) })
	}
	l.Kick() // although none of them may wait yet
	g.pass <- struct{}{}
	<-g.held
	g.pass <- struct{}{}
	wg.Wait()
	if m := l.Metrics(); m.Flushes != 2 || m.Batches != 2 || m.Records != 21 {
		t.Errorf("metrics %+v", m)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFailure fails the n-th write or flush, for every n: from then on nothing
// is committed, everybody is told, and what was committed before stays so.
func TestFailure(t *testing.T) {
	broken := errors.New("broken")
	for _, op := range []devices.Op{devices.OpWrite, devices.OpFlush} {
		for n := range 12 {
			t.Run(fmt.Sprintf("%v %d", op, n), func(t *testing.T) {
				count := 0
				dev := newMem(t, 64, func(_ context.Context, o devices.Op, _ devices.Block, _ uint64) error {
					if o == op {
						if count++; count > n {
							return broken
						}
					}
					return nil
				})
				cfg := ringAt(0, 64)
				cfg.MaxBatchBytes = 8 << 10
				var told, lost uint64
				cfg.OnCommit = func(first, last uint64, err error) {
					switch {
					case first != told+lost+1:
						t.Errorf("OnCommit(%d, %d, %v) after %d", first, last, err, told+lost)
					case err == nil && lost > 0:
						t.Errorf("%d committed after a failure", first)
					case err == nil:
						told = last
					case !errors.Is(err, broken):
						t.Errorf("OnCommit: %v", err)
					default:
						lost = last - told
					}
				}
				l := New(dev, cfg, Pos{Block: 50, Seq: 1}, 0)
				var lsns []LSN
				for txid := uint64(1); ; txid++ {
					lsn, err := l.Append(txid, 0, make([]byte, 100+txid%3*7000))
					if errors.Is(err, ErrFull) {
						l.SetTail(l.Cut())
						txid--
						continue
					}
					if err != nil {
						if !errors.Is(err, broken) {
							t.Fatal(err)
						}
						break
					}
					lsns = append(lsns, lsn)
					if txid%3 == 0 {
						err := l.Wait(ctx, lsn)
						if (err == nil) != (told >= uint64(lsn)) {
							t.Fatalf("wait says %v, committed up to %d", err, told)
						}
					}
				}
				if lost == 0 {
					t.Error("nobody was told of the failure")
				}
				for i, lsn := range lsns {
					if err := l.Wait(ctx, lsn); (err == nil) != (uint64(i) < told) {
						t.Errorf("record %d: %v, committed up to %d", i+1, err, told)
					}
				}
				if !errors.Is(l.Err(), broken) || !errors.Is(l.Close(), broken) {
					t.Errorf("error %v", l.Err())
				}
				if _, id := l.Committed(); id != told {
					t.Errorf("Committed says %d, told %d", id, told)
				}
			})
		}
	}
}

// TestFailureWithFollowers fails a write while others wait for it and behind it.
func TestFailureWithFollowers(t *testing.T) {
	held, pass := make(chan struct{}), make(chan error)
	dev := newMem(t, 256, func(_ context.Context, op devices.Op, _ devices.Block, _ uint64) error {
		if op == devices.OpWrite {
			held <- struct{}{}
			return <-pass
		}
		return nil
	})
	cfg := ringAt(0, 256)
	cfg.Inline = false
	l := New(dev, cfg, Pos{Seq: 1}, 0)
	broken := errors.New("broken")
	errs := make(chan error, 10)
	wait := func(txid uint64) {
		lsn, err := l.Append(txid, 0, nil)
		if err != nil {
			t.Error(err)
		}
		go func() { errs <- l.Wait(ctx, lsn) }()
	}
	wait(1)
	<-held
	for txid := range uint64(9) {
		wait(2 + txid)
		l.Cut() // nine batches behind the one in flight
	}
	pass <- broken
	for range 10 {
		if err := <-errs; !errors.Is(err, broken) {
			t.Errorf("wait: %v", err)
		}
	}
	if err := l.Close(); !errors.Is(err, broken) {
		t.Errorf("close: %v", err)
	}
}

// TestDataFlush checks that the data's device is flushed before a batch that
// needs it is written, only then, and that its failure is the log's.
func TestDataFlush(t *testing.T) {
	var ops []string
	dev := newMem(t, 64, func(_ context.Context, op devices.Op, _ devices.Block, _ uint64) error {
		ops = append(ops, op.String())
		return nil
	})
	cfg := ringAt(0, 64)
	var fail error
	cfg.DataFlush = func(context.Context) error { ops = append(ops, "data"); return fail }
	l := New(dev, cfg, Pos{Seq: 1}, 0)
	l.Append(1, 1, nil)
	l.Kick()
	l.Append(2, 1, nil)
	l.Append(3, NeedsDataFlush, nil)
	l.Kick()
	want := fmt.Sprint([]string{"write", "flush", "data", "write", "flush"})
	if fmt.Sprint(ops) != want {
		t.Errorf("I/O %v, want %v", ops, want)
	}
	fail = errors.New("broken")
	lsn, _ := l.Append(4, NeedsDataFlush, nil)
	if err := l.Wait(ctx, lsn); !errors.Is(err, fail) {
		t.Errorf("wait: %v", err)
	}
	if seq, txid := l.Committed(); seq != 2 || txid != 3 {
		t.Errorf("committed %d, %d", seq, txid)
	}
}

// TestInlineRepeats runs the same calls twice: the same bytes and no goroutine
// but the caller's (which the leak check of this package would see).
func TestInlineRepeats(t *testing.T) {
	image := func() []byte {
		dev := newMem(t, 100, nil)
		l := New(dev, ringAt(0, 100), Pos{Seq: 1}, 0)
		rng := rand.New(rand.NewPCG(1, 1))
		for i := range uint64(200) {
			if _, err := l.Append(i, 0, fill(rng, rng.IntN(5000))); err != nil {
				l.Kick()
				l.SetTail(l.Cut())
			}
			if i%3 == 0 {
				l.Kick()
			}
		}
		return peek(t, dev, 0, 100)
	}
	if !bytes.Equal(image(), image()) {
		t.Error("two runs differ")
	}
}

// TestBadConfig checks that a log that makes no sense refuses everything.
func TestBadConfig(t *testing.T) {
	dev := newMem(t, 100, nil)
	for _, c := range []struct {
		cfg Config
		pos Pos
	}{
		{Config{Start: 0, Blocks: 8}, Pos{Seq: 1}},
		{Config{Start: 90, Blocks: 16}, Pos{Seq: 1}},
		{Config{Start: 1 << 63, Blocks: 1 << 63}, Pos{Seq: 1}},
		{Config{Start: 0, Blocks: 16}, Pos{Block: 16, Seq: 1}},
		{Config{Start: 0, Blocks: 16}, Pos{}},
		{Config{}, Pos{}},
	} {
		l := New(dev, c.cfg, c.pos, 0)
		if _, err := l.Append(1, 0, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: append: %v", c.cfg, err)
		}
		l.SetTail(Pos{Seq: 1})
		l.Cut()
		l.Kick()
		l.Free()
		if err := l.Close(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: close: %v", c.cfg, err)
		}
		if _, err := Scan(ctx, dev, c.cfg, c.pos, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: scan: %v", c.cfg, err)
		}
	}
}
