package concurrent

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"ebofs/fuzz/engine"
)

// TestMain fails if a partial stripe was written on hard geometry.
func TestMain(m *testing.M) { os.Exit(engine.Whole(m.Run())) }

// shapes of the store, in turn: all in RAM, with small data straight to its place, and
// hardly anything.
var shapes = []engine.Options{
	{Background: true, LogBytes: 4 << 20, DirectFrom: 1, Warm: true},
	{Background: true, LogBytes: 4 << 20, StripeBytes: 16 << 10, MaxOnodes: 2, DirtyBytes: 256 << 10},
}

// wholeSeeds is the first seed of stores on hard geometry.
const wholeSeeds = 1000

func planOf(seed uint64) plan {
	shapes := shapes
	if seed >= wholeSeeds {
		shapes = []engine.Options{shapes[1].OnRAID(), shapes[0].OnFlash()}
	}
	return plan{
		seed: seed, workers: 16, calls: 250, pairs: 1 + int(seed/2%4)*2, cuts: 40, search: time.Minute,
		engine: shapes[seed%uint64(len(shapes))], device: 64 << 20,
	}
}

var (
	soak  = flag.Duration("soak", 0, "go on for so long")
	first = flag.Uint64("seed", 1, "first seed")
	many  = flag.Int("runs", 0, "how many seeds; 0: 24, or 2 with -short")
)

// TestHistories has sixteen workers use a store at once; I1 to I3. A seed decides
// what each worker does, not what the scheduler does: repeat it with -runs=1.
func TestHistories(t *testing.T) {
	runs := *many
	switch {
	case runs > 0:
	case testing.Short():
		runs = 2
	default:
		runs = 24
	}
	do(t, *first, func(n int) bool { return n < runs })
}

// TestWholeStripes does the same on hard geometry, where package strict refuses
// whatever is no whole stripe.
func TestWholeStripes(t *testing.T) {
	runs := 8
	if testing.Short() {
		runs = 2
	}
	do(t, wholeSeeds, func(n int) bool { return n < runs })
}

// TestSoak goes on with other seeds.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("no -soak given")
	}
	began := time.Now()
	sum, runs, failures := do(t, *first, func(int) bool { return time.Since(began) < *soak })
	fmt.Printf("soak: seeds %d-%d counts calls %d cuts %d nested %d failures %d\n",
		*first, *first+uint64(runs)-1, sum.calls, sum.cuts, sum.nested, failures)
}

// do runs seeds from first on while more says so, and prints the counts that CI
// adds up.
func do(t *testing.T, first uint64, more func(n int) bool) (sum result, runs, failures int) {
	for ; more(runs) && failures < 5; runs++ {
		seed := first + uint64(runs)
		res, err := planOf(seed).do(context.Background())
		sum.calls += res.calls
		sum.cuts += res.cuts
		sum.nested += res.nested
		if err != nil {
			failures++
			t.Errorf("seed %d: %v\n  repeat: go test ./fuzz/concurrent -run Histories -args -runs 1 -seed %d", seed, err, seed)
		}
	}
	fmt.Printf("crash states: %d nested: %d\n", sum.cuts, sum.nested)
	fmt.Printf("histories: %d calls: %d\n", runs, sum.calls)
	return sum, runs, failures
}

// TestJudge gives porcupine calls whose verdict is known.
func TestJudge(t *testing.T) {
	call := func(from, to int64, s step, out output) porcupine.Operation {
		return porcupine.Operation{Input: input{s}, Call: from, Output: out, Return: to}
	}
	put := func(from, to int64, nth int) porcupine.Operation {
		return call(from, to, step{kind: write, n: 2, version: uint32(nth)}, output{nth: nth})
	}
	get := func(from, to int64, cells ...uint32) porcupine.Operation {
		return call(from, to, step{kind: readData}, output{cells: cells, refused: cells == nil})
	}
	for name, c := range map[string]struct {
		calls []porcupine.Operation
		want  bool
	}{
		"in turn":            {[]porcupine.Operation{get(1, 2), put(3, 4, 1), get(5, 6, 1, 1), put(7, 8, 2), get(9, 10, 2, 2)}, true},
		"not yet":            {[]porcupine.Operation{put(1, 4, 1), get(2, 3)}, true},
		"already":            {[]porcupine.Operation{put(1, 4, 1), get(2, 3, 1, 1)}, true},
		"unapplied":          {[]porcupine.Operation{put(1, 2, 1), get(3, 4)}, false},
		"stale":              {[]porcupine.Operation{put(1, 2, 1), put(3, 4, 2), get(5, 6, 1, 1)}, false},
		"new, then old":      {[]porcupine.Operation{put(1, 9, 1), get(2, 3, 1, 1), get(4, 5)}, false},
		"two at once":        {[]porcupine.Operation{put(1, 9, 1), put(2, 8, 2), get(10, 11, 2, 2)}, true},
		"in another order":   {[]porcupine.Operation{put(1, 9, 1), put(2, 8, 2), get(10, 11, 1, 1)}, false},
		"committed reversed": {[]porcupine.Operation{put(1, 2, 2), put(3, 4, 1)}, false},
		"a mixture":          {[]porcupine.Operation{put(1, 2, 1), put(3, 9, 2), get(4, 5, 2, 1)}, false},
		"clone": {[]porcupine.Operation{put(1, 2, 1), call(3, 4, step{kind: clone}, output{nth: 2}),
			call(5, 6, step{kind: readData, obj: 1}, output{cells: []uint32{1, 1}})}, true},
		"refused without cause": {[]porcupine.Operation{put(1, 2, 1), call(3, 4, step{kind: truncate}, output{refused: true})}, false},
		"refused with cause":    {[]porcupine.Operation{call(3, 4, step{kind: truncate}, output{refused: true})}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := judge(c.calls, time.Minute); (err == nil) != c.want {
				t.Errorf("verdict: %v", err)
			} else if err != nil {
				t.Log(err)
			}
		})
	}
}
