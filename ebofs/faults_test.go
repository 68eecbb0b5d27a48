package ebofs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/devices/faultdev"
	"ebofs/ebofs/check"
)

// faulty is a workload on a device that fails: what was acknowledged, and what
// was queued last and may or may not have made it.
type faulty struct {
	m     model
	last  []modelOp
	err   error // of the operation that failed
	store *Store
}

// run works until something fails: transactions, now and then a checkpoint.
// Inline, so that equal devices see equal I/O.
func (f *faulty) run(dev, log devices.Device, steps int) {
	f.m = model{}
	s, err := Open(bg, dev, Options{Inline: true, MemoryBytes: minMemory, LogDevice: log})
	if f.store, f.err = s, err; err != nil {
		return
	}
	g := &generator{Rand: rand.New(rand.NewPCG(4, 4)), names: 5, maxSize: 2 << 18}
	x := NewTxn()
	x.MkColl(mainColl, mainSpec)
	if f.err = s.Apply(bg, x); f.err != nil {
		return
	}
	for i := range steps {
		if i%7 == 6 {
			if f.err = s.Checkpoint(bg); f.err != nil {
				return
			}
		}
		ops := g.txn(f.m)
		for f.m.verdict(ops) != nil {
			ops = g.txn(f.m)
		}
		f.last = ops
		if f.err = s.Apply(bg, txnOf(mainColl, ops)); f.err != nil {
			return
		}
		f.m.apply(ops)
		f.last = nil
	}
	f.err = s.Close(bg)
	f.store = nil
}

// stopped checks a store after a failed write or flush: it refuses changes and
// says why, what it holds stays readable, and closing it writes nothing.
func (f *faulty) stopped(t *testing.T) {
	t.Helper()
	if !errors.Is(f.err, faultdev.ErrInjected) {
		t.Errorf("the error hides its cause: %v", f.err)
	}
	s := f.store
	if s == nil {
		return
	}
	for what, err := range map[string]error{
		"transaction": s.Apply(bg, txnOf(mainColl, []modelOp{{code: opTouch, name: "late"}})),
		"checkpoint":  s.Checkpoint(bg),
		"sync":        s.Sync(bg),
		"state":       s.Err(),
	} {
		if !errors.Is(err, ErrReadOnly) || !errors.Is(err, faultdev.ErrInjected) {
			t.Errorf("%s on a stopped store: %v", what, err)
		}
	}
	if len(*s.collMap.Load()) == 0 {
		return
	}
	applied := f.m
	if err := compare(s, mainColl, applied); err != nil {
		applied = f.m.clone() // the last transaction may be applied, not committed
		applied.apply(f.last)
		if err2 := compare(s, mainColl, applied); err2 != nil {
			t.Errorf("stopped store: %v; with the last transaction: %v", err, err2)
		}
	}
	if err := s.Close(bg); err != nil && !errors.Is(err, faultdev.ErrInjected) && !errors.Is(err, ErrReadOnly) {
		t.Errorf("close: %v", err)
	}
}

// healed opens what is on the devices: everything acknowledged is there, what
// failed is there as a whole or not at all.
func (f *faulty) healed(t *testing.T, dev *devices.Mem, log devices.Device) {
	t.Helper()
	s, err := Open(bg, dev, Options{Inline: true, MemoryBytes: minMemory, LogDevice: log})
	if err != nil {
		t.Errorf("mount on a sound device: %v", err)
		return
	}
	if !s.CollectionExists(mainColl) {
		if len(f.m) > 0 {
			t.Error("the collection is gone")
		}
		return
	}
	m := f.m
	err = compare(s, mainColl, m)
	if err != nil && f.last != nil {
		m = f.m.clone()
		m.apply(f.last)
		if err2 := compare(s, mainColl, m); err2 != nil {
			err = fmt.Errorf("%w; with the last transaction: %w", err, err2)
		} else {
			err = nil
		}
	}
	if err != nil {
		t.Error("after mount: ", err)
	}
	checkSpace(t, s)
	if err := s.Close(bg); err != nil {
		t.Error(err)
	}
	if log == nil {
		fsck(t, dev)
	}
}

// TestWriteFaults fails each write and each flush of a workload once, in every
// way there is.
func TestWriteFaults(t *testing.T) {
	base := newMem(64)
	format(t, base, FormatOptions{})
	const steps = 40
	count := faultdev.New(base.Snapshot(), faultdev.Options{})
	var f faulty
	if f.run(count, nil, steps); f.err != nil {
		t.Fatal(f.err)
	}
	c := count.Counts()
	for _, x := range []struct {
		op     devices.Op
		faults []string
	}{{devices.OpWrite, []string{"eio", "short", "full"}}, {devices.OpFlush, []string{"eio"}}} {
		n := c[x.op].N
		if n < 40 {
			t.Fatalf("only %d of %v in the workload", n, x.op)
		}
		for _, fault := range x.faults {
			t.Run(fmt.Sprint(x.op, " ", fault), func(t *testing.T) {
				t.Parallel()
				for nth := uint64(1); nth <= n; nth++ {
					if (testing.Short() || fault == "short" || fault == "full") && nth%4 != 0 {
						continue
					}
					mem := base.Snapshot()
					dev := faultdev.New(mem, faultdev.Options{Seed: nth})
					if err := dev.Script(fmt.Sprintf("%v nth=%d %s once", x.op, nth, fault)); err != nil {
						t.Fatal(err)
					}
					var f faulty
					f.run(dev, nil, steps)
					if f.err == nil || len(dev.Unhit()) > 0 {
						t.Errorf("%v %d: nobody noticed", x.op, nth)
						continue
					}
					f.stopped(t)
					f.healed(t, mem, nil)
					if t.Failed() {
						t.Fatalf("%v %d of %d: %s", x.op, nth, n, fault)
					}
				}
			})
		}
	}
}

// TestLogDeviceFaults fails writes and flushes of a log device, and of the main
// device that belongs to it.
func TestLogDeviceFaults(t *testing.T) {
	base, logBase := newMem(64), newMem(16)
	format(t, base, FormatOptions{LogDevice: logBase})
	const steps = 20
	for _, main := range []bool{true, false} {
		for _, op := range []devices.Op{devices.OpWrite, devices.OpFlush} {
			for nth := 1; ; nth += 3 {
				mem, logMem := base.Snapshot(), logBase.Snapshot()
				dev, log := faultdev.New(mem, faultdev.Options{}), faultdev.New(logMem, faultdev.Options{})
				at := log
				if main {
					at = dev
				}
				if err := at.Script(fmt.Sprintf("%v nth=%d eio once", op, nth)); err != nil {
					t.Fatal(err)
				}
				var f faulty
				f.run(dev, log, steps)
				if len(at.Unhit()) > 0 {
					if f.err != nil || nth < 10 {
						t.Fatalf("main %v %v %d: %v", main, op, nth, f.err)
					}
					break
				}
				if f.err == nil {
					t.Fatalf("main %v %v %d: nobody noticed", main, op, nth)
				}
				f.stopped(t)
				f.healed(t, mem, logMem)
				if t.Failed() {
					t.Fatalf("main %v %v %d", main, op, nth)
				}
			}
		}
	}
}

// TestNotCommittedAfterFailure: a callback is told the error, once, and a
// transaction after it is refused before it changes anything.
func TestNotCommittedAfterFailure(t *testing.T) {
	for _, script := range []string{"write eio once", "flush eio once"} {
		mem := newMem(64)
		format(t, mem, FormatOptions{})
		dev := faultdev.New(mem, faultdev.Options{})
		s := open(t, dev, quiet())
		apply(t, s, func(x *Txn) { x.MkColl(mainColl, mainSpec) })
		if err := dev.Script(script); err != nil {
			t.Fatal(err)
		}
		told := make(chan error, 10)
		err := s.Queue(bg, txnOf(mainColl, []modelOp{{code: opWrite, name: "a", data: []byte("x")}}), nil, func(err error) { told <- err })
		if err != nil {
			t.Fatal(err)
		}
		if err := <-told; !errors.Is(err, ErrReadOnly) || !errors.Is(err, faultdev.ErrInjected) {
			t.Errorf("%s: callback was told %v", script, err)
		}
		err = s.Queue(bg, txnOf(mainColl, []modelOp{{code: opTouch, name: "b"}}), nil, func(err error) { told <- err })
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: transaction after it: %v", script, err)
		}
		if ok, err := s.Exists(bg, mainColl, oid("b")); ok || err != nil {
			t.Errorf("%s: refused transaction has left an object (%v)", script, err)
		}
		s.Close(bg)
		if len(told) > 0 {
			t.Errorf("%s: told again: %v", script, <-told)
		}
	}
}

// TestDirectWriteFails: data that goes straight to its stripes is a write like
// any other.
func TestDirectWriteFails(t *testing.T) {
	mem := newMem(64)
	format(t, mem, FormatOptions{})
	dev := faultdev.New(mem, faultdev.Options{})
	s := open(t, dev, quiet())
	apply(t, s, func(x *Txn) { x.MkColl(mainColl, mainSpec) })
	if err := dev.Script("write eio once"); err != nil {
		t.Fatal(err)
	}
	err := s.Apply(bg, txnOf(mainColl, []modelOp{{code: opWrite, name: "a", data: make([]byte, 1<<20)}}))
	if !errors.Is(err, faultdev.ErrInjected) {
		t.Errorf("write: %v", err)
	}
	if err := s.Err(); !errors.Is(err, ErrReadOnly) || !errors.Is(err, faultdev.ErrInjected) {
		t.Errorf("store after a failed write: %v", err)
	}
	if ok, _ := s.Exists(bg, mainColl, oid("a")); ok {
		t.Error("the transaction was refused and the object is there")
	}
	s.Close(bg)

	// The caller's own impatience is no fault of the device.
	s = open(t, mem, quiet())
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if err := s.Apply(ctx, txnOf(mainColl, []modelOp{{code: opWrite, name: "a", data: make([]byte, 1<<20)}})); !errors.Is(err, context.Canceled) {
		t.Errorf("write with a context that has ended: %v", err)
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	checkSpace(t, s)
	closeStore(t, s)
}

// TestReadRetries: a read that fails or is wrong twice is right the third time;
// after three tries it is an error, and no longer one once the device is well.
func TestReadRetries(t *testing.T) {
	base := newMem(64)
	s := newStore(t, base, FormatOptions{}, Options{Inline: true})
	g := &generator{Rand: rand.New(rand.NewPCG(7, 7))}
	m := model{}
	ops := []modelOp{
		{code: opWrite, name: "big", data: g.bytes(300 << 10)},
		{code: opOmapSet, name: "big", kv: g.pairs("k", 300, 1000)},
		{code: opSetAttrs, name: "big", kv: map[string][]byte{"long": g.bytes(20000)}},
		{code: opWrite, name: "one", data: g.bytes(5000)},
		{code: opWrite, name: "two", data: g.bytes(9000)},
		{code: opOmapSet, name: "two", kv: g.pairs("k", 2, 10)},
		{code: opOmapSet, name: "map", kv: g.pairs("k", 900, 3000)},
		{code: opWrite, name: "inline", data: g.bytes(100)},
	}
	apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
	m.apply(ops)
	closeStore(t, s)
	count := faultdev.New(base.Snapshot(), faultdev.Options{})
	s = open(t, count, Options{ReadOnly: true})
	mounted := count.Counts()[devices.OpRead].N
	mustCompare(t, s, m)
	closeStore(t, s)
	reads := count.Counts()[devices.OpRead].N
	if reads < mounted+12 {
		t.Fatalf("only %d reads, %d of them to mount", reads, mounted)
	}
	for _, kind := range []string{"eio", "short", "flip", "zeros", "misdirect"} {
		retried := int64(0)
		for nth := uint64(1); nth <= reads; nth++ {
			dev := faultdev.New(base.Snapshot(), faultdev.Options{Seed: nth})
			script := fmt.Sprintf("read nth=%d %s once", nth, kind)
			if nth%2 == 0 { // two bad answers in a row
				script += fmt.Sprintf("\nread nth=%d %s once", nth+1, kind)
			}
			if err := dev.Script(script); err != nil {
				t.Fatal(err)
			}
			s, err := Open(bg, dev, Options{ReadOnly: true, MemoryBytes: minMemory})
			if err != nil {
				t.Errorf("%s: mount: %v", script, err)
				continue
			}
			if err := compare(s, mainColl, m); err != nil {
				t.Errorf("%s: %v", script, err)
			}
			if nth > mounted {
				retried += s.Metrics().RetriedReads
			}
			closeStore(t, s)
		}
		if retried == 0 {
			t.Errorf("%s: no retry was counted", kind)
		}
	}
	// For good, then no longer.
	dev := faultdev.New(base.Snapshot(), faultdev.Options{})
	s = open(t, dev, Options{})
	if err := dev.Script("read eio always"); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 100)
	if _, err := s.Read(bg, mainColl, oid("one"), 0, p); !errors.Is(err, faultdev.ErrInjected) {
		t.Errorf("read of a device that fails: %v", err)
	}
	if err := s.Err(); err != nil {
		t.Errorf("a failed read has stopped the store: %v", err)
	}
	dev.Clear()
	for _, name := range []string{"one", "big"} { // one was looked for in vain
		if err := compareObject(s, mainColl, name, m[name]); err != nil {
			t.Errorf("object %s, after the device is well again: %v", name, err)
		}
	}
	closeStore(t, s)
}

// TestFormatInterrupted cuts the power at every write of mkfs: there is no
// store, or the new one as a whole, or what was there before.
func TestFormatInterrupted(t *testing.T) {
	old := newMem(32)
	s := newStore(t, old, FormatOptions{UUID: [16]byte{1}}, Options{Inline: true})
	m := model{}
	ops := []modelOp{{code: opWrite, name: "a", data: make([]byte, 100000)}, {code: opOmapSet, name: "b", kv: map[string][]byte{"k": []byte("v")}}}
	apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
	m.apply(ops)
	closeStore(t, s)
	for what, base := range map[string]*devices.Mem{"blank": newMem(32), "over a store": old} {
		dev := crashdev.New(base)
		if _, err := Format(bg, dev, FormatOptions{UUID: [16]byte{2}}); err != nil {
			t.Fatal(err)
		}
		dev.Mark(1)
		var seen crashdev.Seen
		states, whole, kept := 0, 0, 0
		limit, enough := 60, 50
		if testing.Short() {
			limit, enough = 8, 30
		}
		for _, p := range dev.Points() {
			for state := range dev.States(p, crashdev.Policy{Seen: &seen, Limit: limit}) {
				states++
				s, err := Open(bg, state.Mem, Options{Inline: true, MemoryBytes: minMemory})
				if err != nil {
					if p.Tag == 1 {
						t.Errorf("%s: mkfs returned, and %v: %v", what, state, err)
					}
					continue
				}
				switch id := s.Superblock().FSID; {
				case id == [16]byte{2}:
					whole++
					if c, _ := s.Collections(bg); len(c) != 0 {
						t.Errorf("%s: collections %v in a new store", what, c)
					}
				case id == [16]byte{1} && what != "blank" && p.Tag == 0:
					kept++
					mustCompare(t, s, m)
				default:
					t.Errorf("%s: %v: store %v", what, state, id)
				}
				closeStore(t, s)
				r, err := check.Run(bg, state.Mem, check.Options{Level: check.Deep, Workers: 1})
				if err != nil {
					t.Fatal(err)
				}
				for i := range r.Problems { // a label may be missing: it is written last
					if r.Problems[i].Code != check.LabelBad {
						t.Errorf("%s: %v: %v", what, state, &r.Problems[i])
					}
				}
			}
		}
		if whole == 0 || states < enough || (kept == 0) != (what == "blank") {
			t.Errorf("%s: %d states, %d with the new store, %d with the old", what, states, whole, kept)
		}
		t.Logf("%s: %d states, %d with the new store, %d with the old", what, states, whole, kept)
		fmt.Printf("crash states: %d nested: 0\n", states)
	}
}
