package storetest

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"io/fs"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"ebofs/osd"
)

var (
	seedFlag  = flag.Uint64("storetest.seed", 0, "run RunModel with this seed alone")
	seedsFlag = flag.Int("storetest.seeds", 0, "run RunModel with so many seeds instead of its caller's choice")
	opsFlag   = flag.Int("storetest.ops", 0, "run RunModel with so many operations a seed instead of its caller's choice")
)

// shrinkTime bounds how long a failure is made smaller: many runs of a short
// script, a handful of one that fills a store.
const shrinkTime = time.Minute

// runner runs the lines of a script on a store and a model.
type runner struct {
	*pair
	w    *notices
	txns int // accepted or not
	ops  int // operations and other steps
}

// newRunner opens a store; with full one that can be filled.
func newRunner(t testing.TB, f Factory, full bool) *runner {
	h := f.New
	if full {
		h = f.NewSmall
	}
	r := &runner{pair: newPair(h(t)), w: newNotices()}
	r.full = full
	return r
}

// step runs one line and returns what differs from the model. A panic of the
// store counts as a difference.
func (r *runner) step(line string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	verb, rest, _ := strings.Cut(line, " ")
	if verb == "txn" {
		return r.transaction(rest)
	}
	r.ops++
	f := &fields{words: strings.Fields(rest)}
	switch verb {
	case "read":
		return r.read(f)
	case "iter":
		id, first, last := f.object(), f.key(f.next()), f.key(f.next())
		if err := f.end(); err != nil {
			return err
		}
		c, o, err := r.compareStat(id)
		if err != nil || o == nil {
			return err
		}
		return r.compareOmap(c, id, o, first, last)
	case "list":
		c, max := f.coll(), int(f.uint())
		if err := f.end(); err != nil {
			return err
		}
		if _, ok := r.m.colls[c]; !ok {
			return nil // after shrinking
		}
		return r.compareList(c, max)
	case "compare":
		return r.compareAll()
	case "sync":
		if err := r.h.Store.Sync(r.ctx); err != nil {
			return err
		}
		return r.w.wait()
	case "checkpoint":
		return r.checkpoint()
	case "reopen":
		return r.reopen()
	}
	return fmt.Errorf("unknown step %q", verb)
}

func (r *runner) read(f *fields) error {
	id, off, n := f.object(), f.uint(), f.uint()
	if err := f.end(); err != nil {
		return err
	}
	c, o, err := r.compareStat(id)
	if err != nil || o == nil {
		return err
	}
	if err := r.compareData(c, id, o, off, n); err != nil {
		return err
	}
	return r.compareFiemap(c, id, o, off, n)
}

func (r *runner) transaction(ops string) error {
	x, err := parseTransaction(ops)
	if err != nil {
		return err
	}
	r.ops += x.Len()
	r.txns++
	var named []osd.CollectionID
	for _, op := range x.Ops() {
		for _, c := range []osd.CollectionID{op.Coll, op.Dest} {
			if c != "" && !slices.Contains(named, c) {
				named = append(named, c)
			}
		}
	}
	onApplied, onCommit := r.w.watch(r.txns, named...)
	applied, err := r.offer(x, onApplied, onCommit)
	if err != nil {
		return err
	}
	if !applied {
		r.w.drop()
		// Without a trace: that is compared below, of what it named, and by the
		// next compare.
	}
	return r.compareTouched(x)
}

// finish compares everything once more, also from what the store kept.
func (r *runner) finish() error {
	for _, line := range []string{"compare", "sync", "checkpoint", "compare", "reopen", "compare"} {
		if err := r.step(line); err != nil {
			return fmt.Errorf("at the end, %s: %w", line, err)
		}
	}
	if err := r.close(); err != nil {
		return err
	}
	return checkFill()
}

// replay runs lines on a new store and returns the first difference and the
// number of the line it was found in.
func replay(t testing.TB, f Factory, full bool, lines []string) (int, error) {
	r := newRunner(t, f, full)
	for i, line := range lines {
		if err := r.step(line); err != nil {
			_ = r.h.Store.Close(context.Background())
			return i, err
		}
	}
	if err := r.finish(); err != nil {
		_ = r.h.Store.Close(context.Background())
		return len(lines), err
	}
	return 0, nil
}

// RunModel runs random scripts, one for each of the seeds from 1 on and of
// about opsPerSeed operations each, on a store and the model, and returns how
// many operations there were. A failure is shrunk, printed with
// what to repeat it with, and kept as a file in -storetest.keep, which
// -storetest.script replays. -storetest.seed runs one seed alone, -storetest.seeds
// and -storetest.ops replace the caller's numbers.
func RunModel(t *testing.T, f Factory, seeds, opsPerSeed int) (ops int) {
	t.Helper()
	return runSeeds(t, f, false, seeds, opsPerSeed)
}

// RunModelFull is RunModel on the factory's small store, filled beforehand up to
// a few MiB: transactions may be refused for that, without a trace, but those
// that only free must work.
func RunModelFull(t *testing.T, f Factory, seeds, opsPerSeed int) (ops int) {
	t.Helper()
	return runSeeds(t, f, true, seeds, opsPerSeed)
}

func runSeeds(t *testing.T, f Factory, full bool, seeds, opsPerSeed int) (ops int) {
	t.Helper()
	if *scriptFlag != "" {
		replayKept(t, f, full)
		return 0
	}
	if *seedsFlag > 0 {
		seeds = *seedsFlag
	}
	if *opsFlag > 0 {
		opsPerSeed = *opsFlag
	}
	list := make([]uint64, seeds)
	for i := range list {
		list[i] = uint64(i) + 1
	}
	if *seedFlag != 0 {
		list = []uint64{*seedFlag}
	}
	for _, seed := range list {
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) { ops += runSeed(t, f, full, seed, opsPerSeed) })
	}
	fmt.Printf("model operations: %d\n", ops)
	return ops
}

func runSeed(t *testing.T, f Factory, full bool, seed uint64, opsPerSeed int) int {
	r := newRunner(t, f, full)
	g := newGenerator(seed, r.m)
	if full {
		g.large = 10
	}
	var lines []string
	var err error
	step := func(line string) {
		lines = append(lines, line)
		err = r.step(line)
	}
	if full {
		fillUp(r, step, &err)
	}
	for err == nil && r.ops < opsPerSeed {
		step(g.line())
	}
	if err == nil {
		err = r.finish()
	}
	if err == nil {
		if full {
			t.Logf("%d of %d transactions refused for lack of space", r.refused, r.txns)
		}
		return r.ops
	}
	_ = r.h.Store.Close(context.Background())
	test := strings.ReplaceAll(path.Dir(t.Name()), "/", "$/^")
	t.Errorf("line %d of seed %d: %v\nrepeat with: go test -run '^%s$' -storetest.seed=%d -storetest.ops=%d",
		len(lines), seed, err, test, seed, opsPerSeed)
	const tries = 1500
	end := time.Now().Add(shrinkTime)
	small, why := shrink(lines, tries, func(lines []string) error {
		if time.Now().After(end) {
			return nil
		}
		if _, other := replay(t, f, full, lines); other != nil && kind(other) == kind(err) {
			return other
		}
		return nil // or another failure: one at a time
	})
	if why == nil {
		t.Errorf("the same lines did not fail again; the last of them:\n%s", strings.Join(lines[max(0, len(lines)-20):], "\n"))
		why = err
	} else {
		t.Errorf("shrunk to %d lines, in the end for storetest/testdata: %v\n%s", len(small), why, strings.Join(small, "\n"))
	}
	if name, err := keep(t.Name(), small, why); err != nil {
		t.Errorf("the script cannot be kept: %v", err)
	} else {
		t.Errorf("kept; replay with: go test -run '^%s$' -storetest.script=%s", test, name)
	}
	return r.ops
}

// fillUp writes objects that no generator names until there is no space, and
// removes two again.
func fillUp(r *runner, step func(string), err *error) {
	const first, leave = 1000, 2
	step("txn mkcoll c0 -1 1 0 0")
	n := first
	for ; *err == nil && r.refused == 0 && n < first+1024; n++ {
		step(fmt.Sprintf("txn write c0 o%d 0 1048576#%d", n, n))
	}
	for i := range leave {
		if *err == nil {
			step(fmt.Sprintf("txn remove c0 o%d", n-2-i))
		}
	}
}

// kind is the first word of what differs: a transaction's answer, an object, …
func kind(err error) string {
	text := err.Error()
	if rest, ok := strings.CutPrefix(text, "at the end, "); ok {
		_, text, _ = strings.Cut(rest, ": ")
	}
	word, _, _ := strings.Cut(text, " ")
	return word
}

//go:embed testdata
var scripts embed.FS

// RunScripts replays testdata: one story for each bug that RunModel found.
func RunScripts(t *testing.T, f Factory) {
	files, err := fs.Glob(scripts, "testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range files {
		text, err := scripts.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(strings.TrimPrefix(name, "testdata/"), ".txt"), func(t *testing.T) {
			lines := scriptLines(string(text))
			if i, err := replay(t, f, false, lines); err != nil {
				t.Errorf("step %d of %d: %v", i+1, len(lines), err)
			}
		})
	}
}
