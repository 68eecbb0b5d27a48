package ebofs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"ebofs/devices"
)

// TestLend has pages lent what onodes that wait for a checkpoint take at full load,
// back as these come, and again after the checkpoint; never what the heap has.
func TestLend(t *testing.T) {
	const memory, step = minMemory, minMemory / shareSteps
	ctx := context.Background()
	dev := devices.NewMem(devices.MemOptions{Blocks: 512 << 20 / blockSize})
	if _, err := Format(ctx, dev, FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	heap := int64(memory / 8)
	// Nothing but this test asks for what the heap has.
	s, err := Open(ctx, dev, Options{MemoryBytes: memory, MaxDirtyBytes: memory, CheckpointInterval: time.Hour, heapBytes: func() int64 { return heap }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	all := s.shares.lent.Load()
	if all < memory/100*lentPercent-step || s.shares.pagesBudget() != s.shares.total+all-s.shares.dataBudget() {
		t.Fatalf("idle: pages may have %d bytes, %d of them lent", s.shares.pagesBudget(), all)
	}
	apply := func(fill func(x *Txn)) {
		t.Helper()
		x := NewTxn()
		fill(x)
		if err := s.Apply(ctx, x); err != nil {
			t.Fatal(err)
		}
	}
	apply(func(x *Txn) { x.MkColl("c", CollSpec{Shard: -1, Pool: 1}) })
	const some = 640 // a bit more than half of what is lent
	for i := 0; i < some; i += 32 {
		apply(func(x *Txn) {
			for j := range 32 {
				x.Touch("c", NewObjectID(1, fmt.Sprint(i+j)))
			}
		})
	}
	if n, _, _ := s.dirty.pressure(); n < some {
		t.Fatalf("%d onodes wait", n)
	} else if lent := s.shares.lent.Load(); lent == 0 || lent > s.shares.lendable(n)+2*step || lent > all*2/3 {
		t.Fatalf("%d of %d bytes lent while %d onodes of %d wait", lent, all, n, s.maxDirtyOnodes)
	}
	if err := s.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	if s.lend(); s.shares.lent.Load() != all {
		t.Fatalf("%d of %d bytes lent after a checkpoint", s.shares.lent.Load(), all)
	}
	for heap = memory / 4; heap <= memory; heap += step {
		s.lend()
		if lent := s.shares.lent.Load(); lent != 0 && s.shares.total+lent+heap > memory/100*usedPercent {
			t.Fatalf("%d bytes lent beside %d of the heap", lent, heap)
		}
	}
	if got := s.shares.pagesBudget(); got != s.shares.total-s.shares.dataBudget() {
		t.Fatalf("pages may have %d bytes beside a large heap", got)
	}
}
