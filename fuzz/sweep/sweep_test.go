package sweep

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/devices/faultdev"
	"ebofs/fuzz/crash"
	"ebofs/fuzz/engine"
)

var (
	soak = flag.Duration("soak", 0, "sweep random lists for so long")
	seed = flag.Uint64("seed", 1, "first seed")
	part = flag.Uint64("part", 1, "try one fault in so many")
)

// remount is the operation that closes the store and opens it again.
const remount = "remount"

// TestMain lets the heap grow: every run opens three stores.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(engine.Whole(m.Run()))
}

var registry = NewRegistry()

func bases(t testing.TB, unclean bool) map[string]*base {
	t.Helper()
	m := map[string]*base{}
	for shape, o := range shapes {
		if o.SizeBytes != 0 {
			continue
		}
		b, err := newBase(context.Background(), shape, unclean)
		if err != nil {
			t.Fatalf("%s: %v", shape, err)
		}
		m[shape] = b
	}
	return m
}

// floors are what the whole package does at least; -short does a fraction.
const (
	floorFaults = 10_000
	floorSpace  = 2_000
)

// sweep runs workloads and reports.
func sweep(t *testing.T, every uint64, ws []*Workload) {
	t.Helper()
	if every *= *part; testing.Short() {
		every *= 120
	}
	x := &Sweep{Every: every, reg: registry}
	x.Do(context.Background(), ws)
	if !testing.Short() && *part == 1 {
		x.TopUp(context.Background())
	}
	for _, err := range x.errs {
		t.Error(err)
	}
	fmt.Printf("nth faults: %d enospc points: %d\n", x.faults.Load(), x.space.Load())
	total.faults += x.faults.Load()
	total.space += x.space.Load()
}

// total is what all tests together did.
var total struct{ faults, space int64 }

// TestSingles sweeps each operation of the alphabet with its checkpoint.
func TestSingles(t *testing.T) {
	b := bases(t, false)
	var ws []*Workload
	for _, op := range crash.Alphabet {
		ws = append(ws, &Workload{Ops: []crash.Op{op, letter("checkpoint")}, base: b["plain"]})
	}
	ws = append(ws, &Workload{Ops: []crash.Op{refused, letter("touch"), refused}, base: b["plain"]})
	sweep(t, 1, ws)
}

// TestCold sweeps each operation on a store just mounted, small in RAM, that is
// looked at afterwards: reads in every place.
func TestCold(t *testing.T) {
	b := bases(t, false)
	var ws []*Workload
	for _, op := range crash.Alphabet {
		ws = append(ws, &Workload{Ops: []crash.Op{op, letter("checkpoint"), letter(remount), letter(look)}, base: b["tight"]})
	}
	sweep(t, 3, ws)
}

// TestMounts sweeps mounts: of closed stores, and of stores all of whose contents
// are in the log.
func TestMounts(t *testing.T) {
	for _, unclean := range []bool{false, true} {
		var ws []*Workload
		for _, b := range bases(t, unclean) {
			for _, ops := range [][]crash.Op{{letter(look)}, {letter("data-unaligned"), letter("checkpoint")}, {letter("big-remove"), letter(remount)}} {
				ws = append(ws, &Workload{Ops: ops, Mount: true, base: b})
			}
		}
		every := uint64(1)
		if unclean {
			every = 4 // most are the data that records name, block by block
		}
		sweep(t, every, ws)
	}
}

// TestRandom sweeps lists of operations.
func TestRandom(t *testing.T) {
	b := bases(t, false)
	var ws []*Workload
	for i := range uint64(48) {
		ws = append(ws, Random(b[[]string{"plain", "tight", "log", "raid"}[i%4]], i+1, 8))
	}
	sweep(t, 2, ws)
}

// TestGrow sweeps the grow of a store, with something to fold and after a mount that
// had something to replay.
func TestGrow(t *testing.T) {
	for _, unclean := range []bool{false, true} {
		b, err := newBase(context.Background(), "grow", unclean)
		if err != nil {
			t.Fatal(err)
		}
		sweep(t, 1, []*Workload{
			{Ops: []crash.Op{letter("data-unaligned"), crash.Grow, letter("create-large"), letter(look)}, base: b},
			{Ops: []crash.Op{crash.Grow, letter(remount), letter("big-remove")}, base: b},
		})
	}
}

// TestFormat fails each write and flush of mkfs: it says so, and done again on a
// device that works it makes a sound store.
func TestFormat(t *testing.T) {
	ctx := context.Background()
	old := bases(t, false)
	for shape, b := range old {
		faults := int64(0)
		run := func(f Fault) (count [kinds]uint64, err error) {
			o := shapes[shape]
			tap := &tap{reg: registry, fault: f, armed: true}
			mem := b.mem.Snapshot()
			var log *devices.Mem
			if b.log != nil {
				log = b.log.Snapshot()
				o.LogDevice = &device{tap: tap, mem: log}
			}
			err = engine.Format(ctx, &device{tap: tap, mem: mem}, o)
			if f.Nth == 0 {
				return tap.count, err
			}
			if !errors.Is(err, faultdev.ErrInjected) {
				return tap.count, fmt.Errorf("mkfs says %v", err)
			}
			o.LogDevice = nil
			var again devices.Device
			if log != nil {
				again = keepOpen{log}
				o.LogDevice = again
			}
			if err := engine.Format(ctx, keepOpen{mem}, o); err != nil {
				return tap.count, err
			}
			return tap.count, engine.CheckWith(ctx, keepOpen{mem}, again, true, false)
		}
		count, err := run(Fault{})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []Kind{Write, Flush} {
			for nth := uint64(1); nth <= count[k]; nth++ {
				for _, n := range lengths[k] {
					f := Fault{Kind: k, Nth: nth, For: n}
					if _, err := run(f); err != nil {
						t.Errorf("%s: %v: %v", shape, f, err)
					}
					faults++
				}
			}
		}
		fmt.Printf("nth faults: %d enospc points: 0\n", faults)
		total.faults += faults
	}
}

// TestCheck fails each read of fsck: a read that fails once or twice changes
// nothing of its report, and on a device that has stopped reading fsck never
// finds everything in order.
func TestCheck(t *testing.T) {
	ctx := context.Background()
	for _, unclean := range []bool{false, true} {
		for shape, b := range bases(t, unclean) {
			faults := int64(0)
			run := func(f Fault) ([kinds]uint64, error) {
				tap := &tap{reg: registry, fault: f, armed: true}
				var log devices.Device
				if b.log != nil {
					log = &device{tap: tap, mem: b.log}
				}
				return tap.count, engine.CheckWith(ctx, &device{tap: tap, mem: b.mem}, log, true, unclean)
			}
			counter := &tap{reg: registry, armed: true}
			var log devices.Device
			if b.log != nil {
				log = &device{tap: counter, mem: b.log}
			}
			if err := engine.CheckWith(ctx, &device{tap: counter, mem: b.mem}, log, true, unclean); err != nil {
				t.Fatal(err)
			}
			for nth := uint64(1); nth <= counter.count[Read]; nth++ {
				for _, n := range lengths[Read] {
					f := Fault{Kind: Read, Nth: nth, For: n}
					if _, err := run(f); (err != nil) != (n == 0) {
						t.Errorf("%s, unclean %v: %v: %v", shape, unclean, f, err)
					}
					faults++
				}
			}
			fmt.Printf("nth faults: %d enospc points: 0\n", faults)
			total.faults += faults
		}
	}
}

// TestSoak goes on with other lists.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("no -soak given")
	}
	b := bases(t, false)
	x := &Sweep{Every: 2, reg: NewRegistry()}
	next := *seed
	for began := time.Now(); time.Since(began) < *soak && !x.broken(); next += 8 {
		var ws []*Workload
		for i := range uint64(8) {
			ws = append(ws, Random(b[[]string{"plain", "tight", "log", "raid"}[i%4]], next+i, 4+int(next+i)%20))
		}
		x.Do(context.Background(), ws)
	}
	for _, err := range x.errs {
		t.Error(err)
	}
	fmt.Printf("soak: seeds %d-%d counts faults %d enospc %d failures %d\n", *seed, next-1, x.faults.Load(), x.space.Load(), len(x.errs))
}

// TestSites comes last: every line of the engine that calls a device has failed,
// and so has every site that was seen (I4).
func TestSites(t *testing.T) {
	if testing.Short() || *part > 1 {
		t.Skip("a fraction of the faults is not enough")
	}
	for _, s := range registry.Unfailed() {
		t.Errorf("never failed: %v", s)
	}
	lines, err := DeviceCalls("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) < 15 {
		t.Fatalf("only %d calls of devices were found in the source: %v", len(lines), lines)
	}
	failed := registry.Lines()
	for _, l := range lines {
		if !failed[l] {
			t.Errorf("%s calls a device and never failed", l)
		}
	}
	t.Logf("%d sites, %d lines that call a device", registry.Len(), len(lines))
	if total.faults < floorFaults || total.space < floorSpace {
		t.Errorf("%d faults and %d allocations failed, want %d and %d", total.faults, total.space, floorFaults, floorSpace)
	}
}
