package ebofs

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestTurns: with one processor others run while a checkpoint works, many times.
func TestTurns(t *testing.T) {
	opt := quiet()
	opt.Inline = true
	s := newStore(t, newMem(256), FormatOptions{LogBytes: 64 << 20}, opt)
	defer closeStore(t, s)
	const blocks = 2048
	for i := range uint64(blocks / 8) {
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid("o"), i*8*blockSize, bytes.Repeat([]byte{1}, 8*blockSize)) })
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var turns atomic.Int64
	var over atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !over.Load() {
			turns.Add(1)
			runtime.Gosched()
		}
	})
	if s.metrics.Checkpoints.Load() > 0 {
		t.Fatal("nothing is left to do")
	}
	mustCheckpoint(t, s)
	over.Store(true)
	wg.Wait()
	if n, want := turns.Load(), int64(blocks*mergeTime/turn); n < want/2 {
		t.Errorf("others ran %d times, want %d", n, want)
	}
}
