package crash

import (
	"context"
	"testing"
	"time"

	"ebofs/ebofs"
	"ebofs/fuzz/engine"
)

// trim discards what is free, down to single blocks.
var trim = Op{Name: "trim", Do: func(ctx context.Context, s Store) error {
	_, err := s.(*engine.Store).Engine().Trim(ctx, ebofs.TrimOptions{MinBytes: 4096})
	return err
}}

// defrag empties every stripe it can, and where it can brings objects together.
func defrag(objects bool) Op {
	return Op{Name: "defrag", Do: func(ctx context.Context, s Store) error {
		_, err := s.(*engine.Store).Engine().Defragment(ctx, ebofs.DefragOptions{Score: 0.001, Objects: objects}, nil)
		return err
	}}
}

// TestTrim cuts the power while free space is discarded, after each operation of the
// alphabet and before one: what the newest superblock or its log needs is there.
func TestTrim(t *testing.T) { between(t, "plain", trim) }

// TestDefrag cuts the power while data is moved, likewise.
func TestDefrag(t *testing.T) {
	for _, engine := range []string{"plain", "flash"} {
		t.Run(engine, func(t *testing.T) { between(t, engine, defrag(engine == "plain")) })
	}
}

// between cuts the power of an engine in workloads that have op between or behind operations of
// the alphabet.
func between(t *testing.T, engine string, step Op) {
	began := time.Now()
	n, plan := 5, Plan{Points: 10, States: 4, DeepEvery: 4, NestEvery: 16, NestStates: 2}
	if testing.Short() {
		n, plan = 12, Plan{Points: 5, States: 3, DeepEvery: 4}
	}
	target := Engine(engine)
	target.Ballast = 16 << 20 // leaves something to discard
	x, err := New(context.Background(), target)
	if err != nil {
		t.Fatal(err)
	}
	x.Run(context.Background(), EveryNth(n, func(yield func(Job) bool) {
		for i, op := range Alphabet {
			next := Alphabet[(i+len(Alphabet)/2)%len(Alphabet)]
			for _, w := range []Workload{
				{Ops: []Op{op, step, next}, From: 1, Mode: SyncEach},
				{Ops: []Op{op, next, step}, From: 2, Mode: Mode(i) % AllModes},
			} {
				if !yield(Job{w, plan}) {
					return
				}
			}
		}
	}))
	report(t, x, engine, began)
	if !testing.Short() && x.States() < 300 {
		t.Errorf("only %d states", x.States())
	}
}
