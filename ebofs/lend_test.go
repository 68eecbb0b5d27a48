package ebofs

import (
	"fmt"
	"testing"
	"time"
)

// TestLend has pages lent what onodes that wait for a checkpoint take at full load,
// back as these come, and again after the checkpoint; never what the heap has.
func TestLend(t *testing.T) {
	const memory, step = minMemory, minMemory / shareSteps
	heap := int64(memory / 8)
	// Nothing but this test asks for what the heap has: no tick comes.
	s := newStore(t, newMem(512), FormatOptions{}, Options{
		MemoryBytes: memory, MaxDirtyBytes: memory, CheckpointInterval: time.Hour, heapBytes: func() int64 { return heap },
	})
	defer closeStore(t, s)
	all := s.shares.lent.Load()
	if all < memory/100*lentPercent-step || s.shares.pagesBudget() != s.shares.total+all-s.shares.dataBudget() {
		t.Fatalf("idle: pages may have %d bytes, %d of them lent", s.shares.pagesBudget(), all)
	}
	const some = 1024 // a bit more than half of what is lent
	for i := 0; i < some; i += 32 {
		apply(t, s, func(x *Txn) {
			for j := range 32 {
				x.Touch(mainColl, oid(fmt.Sprint(i+j)))
			}
		})
	}
	if w := s.dirty.pressure(); w.onodes < some {
		t.Fatalf("%d onodes wait", w.onodes)
	} else if lent := s.shares.lent.Load(); lent == 0 || lent > s.shares.lendable(w.inHeap())+2*step || lent > all*2/3 {
		t.Fatalf("%d of %d bytes lent while %d onodes wait with %d bytes", lent, all, w.onodes, w.inHeap())
	}
	mustCheckpoint(t, s)
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
