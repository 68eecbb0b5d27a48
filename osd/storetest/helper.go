package storetest

import (
	"sync/atomic"
	"testing"

	"ebofs/osd"
)

// bench is a pair whose differences end the test.
type bench struct {
	*pair
	t *testing.T
	n int // objects made by next
}

// c1 is the collection most tests use; it holds all of pool 1.
const c1 = osd.CollectionID("1.0_head")

// open makes a store with collection c1.
func open(t *testing.T, f Factory) *bench {
	t.Helper()
	return start(t, f.New(t))
}

func start(t *testing.T, h *Handle) *bench {
	t.Helper()
	b := &bench{pair: newPair(h), t: t}
	b.do(txn(func(x *osd.Transaction) {
		x.MkColl(c1, osd.CollectionSpec{Shard: -1, Pool: 1})
	}))
	return b
}

// txn is a transaction of what fn adds.
func txn(fn func(*osd.Transaction)) *osd.Transaction {
	x := new(osd.Transaction)
	fn(x)
	return x
}

// next returns an object that was not used before.
func (b *bench) next() osd.ObjectID {
	b.n++
	return object(b.n)
}

func (b *bench) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// do applies x to both and compares what it touched; what names the case.
func (b *bench) do(x *osd.Transaction, what ...any) {
	b.t.Helper()
	if err := b.pair.do(x); err != nil {
		b.t.Fatal(append(what, err)...)
	}
}

// refused applies x, which both must refuse, and compares everything.
func (b *bench) refused(want error, x *osd.Transaction) {
	b.t.Helper()
	if _, err := b.m.check(x); err != want {
		b.t.Fatalf("the test is wrong: the model answers %v, not %v", err, want)
	}
	var reported atomic.Bool
	b.ok(b.queue(x, func() { reported.Store(true) }, func(error) { reported.Store(true) }))
	b.ok(b.compareAll())
	if reported.Load() {
		b.t.Fatal("a refused transaction was reported as applied or committed")
	}
}

// settle compares everything as applied, after a checkpoint and after
// reopening.
func (b *bench) settle() {
	b.t.Helper()
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"as applied", func() error { return nil }},
		{"after checkpoint", b.checkpoint},
		{"after reopen", b.reopen},
	} {
		if err := step.run(); err != nil {
			b.t.Fatalf("%s: %v", step.name, err)
		}
		if err := b.compareAll(); err != nil {
			b.t.Fatalf("%s: %v", step.name, err)
		}
	}
}

// end settles and closes.
func (b *bench) end() {
	b.t.Helper()
	b.settle()
	b.shut()
}

// shut closes the store and has it checked.
func (b *bench) shut() {
	b.t.Helper()
	b.ok(b.close())
	b.ok(checkFill())
}
