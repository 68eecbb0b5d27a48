package crash

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/fuzz/engine"
)

var (
	workload = flag.String("workload", "", "try one workload, as a failure named it")
	shape    = flag.String("engine", "plain", "shape of the store for -workload and -soak")
	soak     = flag.Duration("soak", 0, "try random workloads for so long")
	seed     = flag.Uint64("seed", 1, "first seed of them")
)

// TestMain lets the heap grow: every state opens and closes a whole store, and
// collecting after each few of them took a third of the time.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(engine.Whole(m.Run()))
}

// report fails the test for what the explorer found and prints the counts that
// CI adds up.
func report(t *testing.T, x *Explorer, engine string, began time.Time) {
	t.Helper()
	for _, f := range x.Failures() {
		t.Errorf("%v\n  repeat: go test ./fuzz/crash -run TestWorkload -args -engine %s -workload %q", f, engine, f.Workload)
	}
	seconds := time.Since(began).Seconds()
	fmt.Printf("crash states: %d nested: %d workloads: %d per second: %.0f\n",
		x.States(), x.Nested(), x.Workloads(), float64(x.States())/seconds)
}

// TestWorkload repeats one workload, with everything tried.
func TestWorkload(t *testing.T) {
	if *workload == "" {
		t.Skip("no -workload given")
	}
	j, ok := Find(*workload, Plan{DeepEvery: 1, NestEvery: 4, NestStates: 4})
	if !ok {
		t.Fatalf("no workload %q", *workload)
	}
	ctx := context.Background()
	x, err := New(ctx, Engine(*shape))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	x.Run(ctx, func(yield func(Job) bool) { yield(j) })
	report(t, x, *shape, began)
}

// TestOneOperation tries every state of every workload of one operation.
func TestOneOperation(t *testing.T) {
	explore(t, "plain", 30_000, func(n int) iter.Seq[Job] {
		return EveryNth(n, Singles(Plan{DeepEvery: 32, NestEvery: 64, NestStates: 4}))
	})
}

// TestTwoOperations tries every workload of two operations, at some of the
// moments after the second began.
func TestTwoOperations(t *testing.T) {
	explore(t, "plain", 20_000, func(n int) iter.Seq[Job] {
		return EveryNth(n, Pairs(Plan{Points: 4, States: 4, DeepEvery: 64, NestEvery: 48, NestStates: 4}))
	})
}

// TestTornTwice repeats what once failed: a superblock torn in a recovery
// completed the one torn before it, and the two together named a root that was
// overwritten in between. All states of the head slots, inside all of them.
func TestTornTwice(t *testing.T) {
	const h0, h1 = devices.Block(3 << 20 / devices.BlockSize), devices.Block(4 << 20 / devices.BlockSize)
	j, ok := Find("big-overlap,rename/mode=6", Plan{NestEvery: 1, NestStates: -1, Only: func(p crashdev.Point) bool {
		return p.Op == devices.OpWrite && (p.B == h0 || p.B == h1)
	}})
	if !ok {
		t.Fatal("no such workload")
	}
	explore(t, "plain", 50, func(int) iter.Seq[Job] { return slices.Values([]Job{j}) })
}

// longPlan is what is tried of random workloads: few states of each, for it is
// the operations that are to differ.
var longPlan = Plan{Points: 25, States: 6, DeepEvery: 32, NestEvery: 32, NestStates: 4}

// TestLongLists tries random lists of operations.
func TestLongLists(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(Engines)) {
		t.Run(name, func(t *testing.T) {
			floor, share := int64(9_500), 1
			if Engines[name].Hard {
				floor, share = 2_000, 4 // TestWholeStripes has more
			}
			explore(t, name, floor, func(n int) iter.Seq[Job] {
				return EveryNth(min(n*share, 70), Long(1, 141, longPlan))
			})
		})
	}
}

// TestWholeStripes tries every twelfth workload of one operation and every 24th of
// two on hard geometry, where package strict refuses whatever is no whole stripe.
func TestWholeStripes(t *testing.T) {
	for _, name := range []string{"raid", "flash"} {
		t.Run(name, func(t *testing.T) {
			explore(t, name, 2_500, func(n int) iter.Seq[Job] {
				return func(yield func(Job) bool) {
					for _, jobs := range []iter.Seq[Job]{
						EveryNth(12*n, Singles(Plan{DeepEvery: 32, NestEvery: 64, NestStates: 4})),
						EveryNth(24*min(n, 100), Pairs(Plan{Points: 5, States: 4, DeepEvery: 64, NestEvery: 48, NestStates: 4})),
					} {
						for j := range jobs {
							if !yield(j) {
								return
							}
						}
					}
				}
			})
		})
	}
}

// explore runs jobs, all of them or, with -short, one in two hundred: under the
// race detector a state takes a tenth of a second. It wants at least floor states
// of all.
func explore(t *testing.T, engine string, floor int64, jobs func(n int) iter.Seq[Job]) {
	t.Helper()
	n := 1
	if testing.Short() {
		n, floor = 200, floor/1000
	}
	ctx := context.Background()
	x, err := New(ctx, Engine(engine))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	x.Run(ctx, jobs(n))
	report(t, x, engine, began)
	if !t.Failed() && x.States() < floor {
		t.Errorf("only %d states, want %d", x.States(), floor)
	}
}

// TestLies: the same explorer on an engine whose device forgets flushes finds
// what the engine then cannot keep, or it would not find the engine's own faults.
func TestLies(t *testing.T) {
	if testing.Short() {
		t.Skip("tries the harness, not the engine")
	}
	for name, honest := range map[string]int{"no flush": 0, "every other flush": 2} {
		t.Run(name, func(t *testing.T) {
			target := Engine("plain")
			open := target.Open
			target.Open = func(ctx context.Context, dev devices.Device) (Store, error) {
				return open(ctx, &liar{Device: dev, honest: honest})
			}
			ctx := context.Background()
			x, err := New(ctx, target)
			if err != nil {
				t.Fatal(err)
			}
			x.Run(ctx, EveryNth(5, Singles(Plan{Points: 10, States: 10})))
			if len(x.Failures()) == 0 {
				t.Fatalf("nothing found in %d states", x.States())
			}
			t.Logf("found: %v", x.Failures()[0])
		})
	}
}

// liar is a device that does only every honest-th flush it reports.
type liar struct {
	devices.Device
	honest, flushes int
}

func (l *liar) Flush(ctx context.Context) error {
	if l.flushes++; l.honest > 0 && l.flushes%l.honest == 0 {
		return l.Device.Flush(ctx)
	}
	return nil
}

// TestSoak tries random workloads from -seed on for -soak, and prints what the
// ledger of soaks records.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("no -soak given")
	}
	ctx, cancel := context.WithTimeout(context.Background(), *soak)
	defer cancel()
	x, err := New(ctx, Engine(*shape))
	if err != nil {
		t.Fatal(err)
	}
	began, next := time.Now(), *seed
	x.Run(ctx, func(yield func(Job) bool) {
		for j := range Long(*seed, 1<<62, longPlan) {
			if !yield(j) {
				return
			}
			next++
		}
	})
	report(t, x, *shape, began)
	fmt.Printf("soak: seeds %d-%d counts states %d nested %d failures %d\n", *seed, next-1, x.States(), x.Nested(), len(x.Failures()))
}
