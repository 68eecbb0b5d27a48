package ebofs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/ebofs/layout"
)

// crumbled makes a store whose free space lies in many pieces, and the model of it.
func crumbled(t testing.TB, dev devices.Device, f FormatOptions, o Options, keep float64) (*Store, model) {
	t.Helper()
	s := newStore(t, dev, f, o)
	m := model{}
	rnd := rand.New(rand.NewPCG(7, 7))
	do := func(ops ...modelOp) {
		t.Helper()
		if err := s.Apply(bg, txnOf(mainColl, ops)); err != nil {
			t.Fatal(err)
		}
		m.apply(ops)
	}
	data := func(n int) []byte {
		p := make([]byte, n)
		for i := 0; i < n; i += 64 {
			p[i] = byte(rnd.Uint32()) | 1
		}
		return p
	}
	for i := range 900 {
		name := fmt.Sprint("s", i)
		do(modelOp{code: opWrite, name: name, data: data(4096 * (1 + rnd.IntN(24)))})
		if i%8 == 0 {
			kv := map[string][]byte{}
			for k := range 300 {
				kv[fmt.Sprint("k", k)] = data(100)
			}
			do(modelOp{code: opOmapSet, name: name, kv: kv})
		}
	}
	for i := range 6 {
		do(modelOp{code: opWrite, name: fmt.Sprint("large", i), data: data(1 << 20)})
	}
	mustCheckpoint(t, s)
	for i := range 900 {
		name := fmt.Sprint("s", i)
		switch {
		case rnd.Float64() >= keep:
			do(modelOp{code: opRemove, name: name})
		case i%3 == 0:
			do(modelOp{code: opWrite, name: name, off: 4096 * uint64(rnd.IntN(24)), data: data(5000)})
		}
	}
	for range 400 {
		do(modelOp{code: opWrite, name: fmt.Sprint("large", rnd.IntN(6)), off: 4096 * uint64(rnd.IntN(256)), data: data(4096)})
	}
	mustCheckpoint(t, s)
	mustCheckpoint(t, s)
	return s, m
}

// TestDefrag brings free space together, on soft geometry and on hard.
func TestDefrag(t *testing.T) {
	for _, hard := range []bool{false, true} {
		t.Run(fmt.Sprint("hard=", hard), func(t *testing.T) {
			dev, goal := newMem(128), 0.05
			if hard {
				goal = 0.1 // each checkpoint pads some
			}
			opt := Options{Inline: true}
			s, m := crumbled(t, dev, FormatOptions{Hard: &hard, StripeBytes: 64 << 10}, opt, 0.5)
			steps, before := 0, s.Metrics().Written
			r, err := s.Defragment(bg, DefragOptions{Score: goal}, func(p DefragProgress) {
				steps++
				t.Logf("%+v", p)
			})
			now := s.Metrics().Written
			t.Logf("%+v; written: %d moved, %d in all", r, now[WriteClean]-before[WriteClean], now.Total()-before.Total())
			if err != nil || !r.Reached || r.After > goal || r.Before < goal+0.05 || r.Bytes == 0 || steps < 2 {
				t.Fatalf("%+v, %v after %d steps", r, err, steps)
			}
			mustCompare(t, s, m)
			checkSpace(t, s)
			checkLeaks(t, s, dev)
			closeStore(t, s)
			fsck(t, dev)
			s = open(t, dev, opt)
			mustCompare(t, s, m)
			if again, err := s.Defragment(bg, DefragOptions{Score: 0.1}, nil); err != nil || !again.Reached || again.Bytes > r.Bytes/4 {
				t.Errorf("again: %+v, %v", again, err)
			}
			closeStore(t, s)
		})
	}
}

// TestDefragModel defragments between random transactions, and mounts what a crash
// leaves at any moment.
func TestDefragModel(t *testing.T) {
	eachSeed(t, 3, func(t *testing.T, seed uint64) {
		dev := newMem(64)
		hard := seed%3 == 2
		f := FormatOptions{Hard: &hard, StripeBytes: 32 << 10, KeepEpochs: int(seed % 2)}
		opt := Options{Inline: true, Defrag: DefragOptions{}}
		s := newStore(t, dev, f, opt)
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 3)), names: 24, maxSize: 1 << 20}
		m := model{}
		moved := uint64(0)
		for i := range 300 {
			g.step(t, s, m)
			if i%7 == 0 {
				r, err := s.Defragment(bg, DefragOptions{Score: 1e-6, Objects: !hard && i%2 == 0}, nil)
				if err != nil {
					t.Fatal(err)
				}
				moved += r.Bytes
			}
			if i%40 == 39 {
				checkSpace(t, s)
				mustCompare(t, s, m)
				if g.IntN(2) == 0 {
					closeStore(t, s)
				} else {
					image := dev.Snapshot()
					s.Close(bg)
					dev = image
				}
				fsck(t, dev)
				s = open(t, dev, opt)
				mustCompare(t, s, m)
			}
		}
		// With a kept epoch the cleaner finds stripes only that hold nothing of it.
		if moved == 0 && !(hard && f.KeepEpochs > 0) {
			t.Error("nothing was moved")
		}
		closeStore(t, s)
		fsck(t, dev)
	})
}

// scatteredChunks returns how many chunks of all objects are scattered.
func scatteredChunks(t *testing.T, s *Store, names []string) (n int) {
	t.Helper()
	for _, name := range names {
		id := oid(name)
		o, err := s.onodeOf(bg, id.AppendKey(nil), true)
		if err != nil {
			t.Fatal(err)
		}
		err = s.eachChunk(bg, o.cur, 0, 1<<40, func(_ uint64, val []byte) error {
			var c layout.Chunk
			if err := layout.DecodeChunk(val, &c); err != nil {
				return err
			}
			if scattered(&c) {
				n++
			}
			return nil
		})
		o.refs.Add(-1)
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestDefragObjects brings objects together that lie in many pieces; what is shared
// with a clone stays.
func TestDefragObjects(t *testing.T) {
	dev := newMem(128)
	s := newStore(t, dev, FormatOptions{}, Options{Inline: true})
	m := model{}
	rnd := rand.New(rand.NewPCG(5, 5))
	do := func(ops ...modelOp) {
		t.Helper()
		apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
		m.apply(ops)
	}
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		do(modelOp{code: opWrite, name: name, data: bytes.Repeat([]byte(name), 3*mib)})
	}
	for i := range 1200 {
		do(modelOp{code: opWrite, name: names[rnd.IntN(4)], off: 4096 * uint64(rnd.IntN(767)), data: bytes.Repeat([]byte{byte(i) | 1}, 4096+rnd.IntN(2)*4000)})
		if i%50 == 0 {
			mustCheckpoint(t, s)
		}
	}
	do(modelOp{code: opClone, name: "d", to: "e"})
	mustCheckpoint(t, s)
	before := scatteredChunks(t, s, names[:3])
	r, err := s.Defragment(bg, DefragOptions{Score: 0.9, Objects: true}, nil)
	if err != nil || !r.Reached || before < 30 || r.Chunks != uint64(before) || r.Bytes < 8*mib || r.Passes != 1 {
		t.Fatalf("%d scattered chunks: %+v, %v", before, r, err)
	}
	if after := scatteredChunks(t, s, names[:3]); after != 0 {
		t.Errorf("%d scattered chunks are left", after)
	}
	if again, err := s.Defragment(bg, DefragOptions{Score: 0.9, Objects: true}, nil); err != nil || !again.Reached || again.Chunks != 0 || again.Bytes != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	mustCompare(t, s, m)
	checkSpace(t, s)
	checkLeaks(t, s, dev)
	closeStore(t, s)
	fsck(t, dev)
	s = open(t, dev, Options{Inline: true})
	mustCompare(t, s, m)
	closeStore(t, s)

	hard := true
	s = newStore(t, newMem(64), FormatOptions{Hard: &hard, StripeBytes: 32 << 10}, Options{Inline: true})
	if _, err := s.Defragment(bg, DefragOptions{Objects: true}, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("hard geometry: %v", err)
	}
	closeStore(t, s)
}

// TestDefragCrash mounts what the power could leave at any moment of a sweep.
func TestDefragCrash(t *testing.T) {
	base := newMem(128)
	s, m := crumbled(t, base, FormatOptions{LogBytes: 4 * mib}, Options{Inline: true}, 0.3)
	closeStore(t, s)
	dev := crashdev.New(base)
	s = open(t, dev, Options{Inline: true})
	r, err := s.Defragment(bg, DefragOptions{Score: 0.1, Objects: true, BytesPerSecond: 1 << 20, pause: func(context.Context, time.Duration) error { return nil }}, nil)
	if err != nil || r.Bytes == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	points := dev.Points()
	states := 0
	for i := 0; i < len(points); i += max(1, len(points)/12) {
		for st := range dev.States(points[i], crashdev.Policy{Limit: 2}) {
			states++
			again := open(t, st.Mem, Options{Inline: true})
			if err := compare(again, mainColl, m); err != nil {
				t.Fatalf("%v: %v", st, err)
			}
			closeStore(t, again)
			fsck(t, st.Mem)
		}
	}
	if states < 12 {
		t.Errorf("%d states", states)
	}
	closeStore(t, s)
}

// TestDefragDamage: a block that fails its checksum stays as it is, and is reported as
// before; so is one that cannot be read.
func TestDefragDamage(t *testing.T) {
	dev := newMem(64)
	s := newStore(t, dev, FormatOptions{}, Options{Inline: true})
	for i := range 200 {
		apply(t, s, func(x *Txn) {
			x.Write(mainColl, oid(fmt.Sprint("d", i)), 0, bytes.Repeat([]byte(fmt.Sprintf("data%4d", i)), 1024))
		})
	}
	mustCheckpoint(t, s)
	for i := range 200 {
		if i%4 != 0 {
			apply(t, s, func(x *Txn) { x.Remove(mainColl, oid(fmt.Sprint("d", i))) })
		}
	}
	closeStore(t, s)
	spoil(t, dev, []byte("data  40data  40"), 1000)
	s = open(t, dev, Options{Inline: true})
	r, err := s.Defragment(bg, DefragOptions{Score: 0.0001}, nil)
	if err != nil || r.Bytes == 0 || r.Failed == 0 || r.Reached {
		t.Fatalf("%+v, %v", r, err)
	}
	closeStore(t, s)
	s = open(t, dev, Options{Inline: true})
	for i := 0; i < 200; i += 4 {
		p := make([]byte, 8192)
		n, err := s.Read(bg, mainColl, oid(fmt.Sprint("d", i)), 0, p)
		if i == 40 {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("damage is laundered: %v", err)
			}
		} else if err != nil || !bytes.Equal(p[:n], bytes.Repeat([]byte(fmt.Sprintf("data%4d", i)), 1024)) {
			t.Errorf("object %d: %d bytes, %v", i, n, err)
		}
	}
	closeStore(t, s)
}

// TestDefragStops: a rate is kept, a context ends a run between two checkpoints, and
// bad goals are refused.
func TestDefragStops(t *testing.T) {
	dev := newMem(128)
	s, m := crumbled(t, dev, FormatOptions{LogBytes: 4 * mib}, Options{Inline: true}, 0.3)
	for _, score := range []float64{-0.1, 1, 2} {
		if _, err := s.Defragment(bg, DefragOptions{Score: score}, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("score %v: %v", score, err)
		}
	}
	ctx, cancel := context.WithCancel(bg)
	var waited time.Duration
	o := DefragOptions{Score: 0.02, BytesPerSecond: 512 << 10, pause: func(_ context.Context, d time.Duration) error {
		if waited += max(0, d); waited > 0 {
			cancel()
		}
		return nil
	}}
	r, err := s.Defragment(ctx, o, nil)
	if !errors.Is(err, context.Canceled) || r.Reached || r.Bytes == 0 || r.Bytes > 1<<20 || waited == 0 {
		t.Errorf("%+v, %v, waited %v", r, err, waited)
	}
	if r, err = s.Defragment(bg, DefragOptions{Score: 0.1}, nil); err != nil || !r.Reached {
		t.Errorf("%+v, %v", r, err)
	}
	mustCompare(t, s, m)
	closeStore(t, s)
	fsck(t, dev)
	ro := open(t, dev, Options{ReadOnly: true})
	if _, err := ro.Defragment(bg, DefragOptions{}, nil); !errors.Is(err, ErrReadOnly) {
		t.Errorf("read-only: %v", err)
	}
	closeStore(t, ro)
	if _, err := ro.Defragment(bg, DefragOptions{}, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestDefragGivesWay: in the background others write their share for what is moved, or a
// long time passes, or nobody is there.
func TestDefragGivesWay(t *testing.T) {
	s := newStore(t, newMem(64), FormatOptions{}, Options{Inline: true})
	for _, c := range []struct {
		txns, written int64 // in each pause
		moved         uint64
		pauses        int
	}{
		{1, 8 << 20, 4 << 20, 8},
		{1, 1, 4 << 20, 11}, // what is always moved: 4 MiB a second
		{1, 1, 0, 1},
		{0, 0, 1 << 30, 3}, // nobody comes again
	} {
		g, pauses := giveWay{s: s, txns: -1}, 0
		wait := func() error {
			pauses++
			s.metrics.Transactions.Add(c.txns)
			s.metrics.UserBytes.Add(c.written)
			return nil
		}
		if err := g.after(c.moved, wait); err != nil || pauses != c.pauses {
			t.Errorf("%+v: %d pauses; %v", c, pauses, err)
		}
		if c.txns == 0 {
			if err := g.after(c.moved, wait); err != nil || pauses != c.pauses {
				t.Errorf("nobody was there: %d pauses; %v", pauses, err)
			}
			s.inflight.Add(1)
			if g.nobody() {
				t.Error("who waits has gone")
			}
			s.inflight.Add(-1)
		}
	}
	g := giveWay{s: s, txns: -1}
	if err := g.after(1, func() error { return ErrClosed }); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	closeStore(t, s)

	// The whole way: steps are small, and others are waited for.
	s = newStore(t, newMem(256), FormatOptions{LogBytes: 64 * mib}, Options{Inline: true})
	const objects = 12 << 10 // of 8 KiB: 96 MiB, of which every second one goes
	for i := range objects {
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid(fmt.Sprint("p", i)), 0, pattern(1, i, 8192)) })
	}
	mustCheckpoint(t, s)
	for i := 0; i < objects; i += 2 {
		apply(t, s, func(x *Txn) { x.Remove(mainColl, oid(fmt.Sprint("p", i))) })
	}
	mustCheckpoint(t, s)
	mustCheckpoint(t, s)
	pauses, last, step := 0, uint64(0), uint64(0)
	r, err := s.defragment(bg, DefragOptions{Score: 0.05, polite: true, pause: func(context.Context, time.Duration) error {
		pauses++
		s.metrics.Transactions.Add(1)
		return nil
	}}, func(p DefragProgress) {
		step, last = max(step, p.Bytes-last), p.Bytes
	}, s.writable)
	if err != nil || !r.Reached || r.Bytes < 3*politeStep {
		t.Fatalf("%+v, %v", r, err)
	}
	if least := int(r.Bytes / (politeLeast / 10)); step > politeStep+mib || pauses < least {
		t.Errorf("%d bytes in steps up to %d and %d pauses, want %d of them", r.Bytes, step, pauses, least)
	}
	closeStore(t, s)
}

// TestDefragStuck: what could not be moved is a reason to wait longer in the background,
// not others who scatter as much again.
func TestDefragStuck(t *testing.T) {
	for _, c := range []struct {
		r       DefragResult
		written uint64
		want    bool
	}{
		{DefragResult{}, 1 << 30, true}, // nothing to be chosen
		{DefragResult{Bytes: 3 << 20, wanted: 4 << 20}, 0, false},
		{DefragResult{Bytes: 1 << 20, wanted: 4 << 20}, 1 << 20, true},
		{DefragResult{Bytes: 1 << 20, wanted: 4 << 20}, 4 << 20, false},
	} {
		if got := c.r.stuck(c.written); got != c.want {
			t.Errorf("%+v, %d written: %v", c.r, c.written, got)
		}
	}
}

// TestDefragBackground: without runs on demand, too, and with a rate.
func TestDefragBackground(t *testing.T) {
	var s *Store
	made, reached := make(chan struct{}), make(chan struct{})
	var once sync.Once
	o := Options{Defrag: DefragOptions{Score: 0.1, BytesPerSecond: 1 << 30, pause: func(ctx context.Context, _ time.Duration) error {
		select {
		case <-made:
		case <-ctx.Done():
			return ctx.Err()
		}
		if s.Score() <= 0.1*ahead {
			once.Do(func() { close(reached) })
			<-ctx.Done()
		}
		return ctx.Err()
	}}}
	var m model
	s, m = crumbled(t, newMem(128), FormatOptions{}, o, 0.4)
	before := s.Score()
	close(made)
	select {
	case <-reached:
	case <-time.After(time.Minute):
		t.Errorf("score %v of %v", s.Score(), before)
	}
	if _, moved := s.Defragmenting(); moved == 0 || before <= 0.1 {
		t.Errorf("score %v before, %d moved", before, moved)
	}
	mustCompare(t, s, m)
	closeStore(t, s)
}

// TestDefragFull: on a store with no room nothing is moved and nothing breaks; with a
// little room it goes on.
func TestDefragFull(t *testing.T) {
	dev := newMem(32)
	opt := Options{Inline: true, MemoryBytes: minMemory}
	f := &filler{generator: &generator{Rand: rand.New(rand.NewPCG(5, 5)), names: 40, maxSize: 1 << 20}, t: t, dev: dev, opt: opt, m: model{}}
	f.s = newStore(t, dev, FormatOptions{LogBytes: 4 * mib}, opt)
	for round := range 3 {
		f.fill()
		f.fragment()
		if round > 0 {
			f.remove(0.1)
		}
		mustCheckpoint(t, f.s)
		r, err := f.s.Defragment(bg, DefragOptions{Score: 0.05}, nil)
		if err != nil || !r.Reached && r.Why == "" {
			t.Fatalf("%+v, %v", r, err)
		}
		t.Logf("%+v", r)
		checkSpace(t, f.s)
		f.check(compare(f.s, mainColl, f.m), "defragmented")
	}
	closeStore(t, f.s)
	fsck(t, dev)
}

// TestDefragBusy keeps the score of a store below its goal in the background while
// others overwrite it, and runs on demand come in between.
func TestDefragBusy(t *testing.T) {
	dev := newMem(128)
	o := Options{CheckpointInterval: 20 * time.Millisecond, Defrag: DefragOptions{Score: 0.1}}
	s, m := crumbled(t, dev, FormatOptions{}, o, 0.4)
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for n := range 40 {
				x := NewTxn()
				x.Write(mainColl, growObject(w), uint64(n%7)*70000, pattern(w, n, 60000))
				if err := s.Apply(bg, x); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for range 3 {
			if _, err := s.Defragment(bg, DefragOptions{Score: 0.05}, nil); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	deadline := time.Now().Add(20 * time.Second)
	for s.Score() > 0.1 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	if now := s.Score(); now > 0.1 {
		t.Errorf("score %v", now)
	}
	if _, moved := s.Defragmenting(); moved == 0 {
		t.Error("nothing was moved")
	}
	for w := range 3 {
		apply(t, s, func(x *Txn) { x.Remove(mainColl, growObject(w)) })
	}
	mustCompare(t, s, m)
	checkSpace(t, s)
	closeStore(t, s)
	fsck(t, dev)
}

// TestDefragDamagedObject: an object with more damaged blocks than a checkpoint may
// move does not hold up the rest.
func TestDefragDamagedObject(t *testing.T) {
	dev := newMem(64)
	s := newStore(t, dev, FormatOptions{}, Options{Inline: true})
	for _, name := range []string{"a", "b"} {
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid(name), 0, bytes.Repeat([]byte("block  "+name), 4*mib/8)) })
		for off := uint64(0); off < 4*mib; off += 64 << 10 {
			apply(t, s, func(x *Txn) { x.Zero(mainColl, oid(name), off+20<<10, 44<<10) })
		}
	}
	closeStore(t, s)
	spoil(t, dev, []byte("block  ablock  a"), 1000)
	s = open(t, dev, Options{Inline: true})
	waits := 0
	o := DefragOptions{Score: 0.0001, BytesPerSecond: 1 << 10, pause: func(context.Context, time.Duration) error {
		if waits++; waits > 100000 {
			return errors.New("no end")
		}
		return nil
	}}
	r, err := s.Defragment(bg, o, nil)
	if err != nil || r.Bytes == 0 || r.Failed < 200 {
		t.Fatalf("%+v, %v", r, err)
	}
	closeStore(t, s)
}

// BenchmarkDefrag takes half of 100,000 small objects from a store and brings its free
// space together. The CPU is that of the whole process.
func BenchmarkDefrag(b *testing.B) {
	cpu := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for b.Loop() {
		b.StopTimer()
		s := newStore(b, newMem(2048), FormatOptions{}, Options{MemoryBytes: 512 << 20})
		rnd := rand.New(rand.NewPCG(1, 1))
		data := bytes.Repeat([]byte{7}, 64<<10)
		for i := 0; i < 100_000; i += 50 {
			apply(b, s, func(x *Txn) {
				for k := range 50 {
					x.Write(mainColl, oid(fmt.Sprint("o", i+k)), 0, data[:4096*(1+rnd.IntN(6))])
				}
			})
		}
		mustCheckpoint(b, s)
		for i := range 100_000 {
			if rnd.IntN(2) == 0 {
				apply(b, s, func(x *Txn) { x.Remove(mainColl, oid(fmt.Sprint("o", i))) })
			}
		}
		mustCheckpoint(b, s)
		mustCheckpoint(b, s)
		before, used := s.Metrics().Written, cpu()
		b.StartTimer()
		r, err := s.Defragment(bg, DefragOptions{Score: 0.05}, nil)
		b.StopTimer()
		if err != nil || !r.Reached {
			b.Fatalf("%+v, %v", r, err)
		}
		after := s.Metrics().Written
		b.ReportMetric(r.Before, "score-before")
		b.ReportMetric(r.After, "score-after")
		b.ReportMetric(float64(r.Bytes)/mib, "MiB-moved")
		b.ReportMetric(float64(after.Total()-before.Total())/float64(r.Bytes), "written/moved")
		b.ReportMetric((cpu()-used).Seconds()*1e6/(float64(r.Bytes)/blockSize), "µs-cpu/block")
		closeStore(b, s)
		b.StartTimer()
	}
}
