package ebofs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTurns: with one processor others run while a checkpoint works, many times; unless
// that is the business of its thread.
func TestTurns(t *testing.T) {
	for _, patient := range []bool{false, true} {
		t.Run(fmt.Sprint("patient=", patient), func(t *testing.T) {
			ctx := context.Background()
			if patient {
				ctx = context.WithValue(ctx, patience{}, true)
			}
			testTurns(t, ctx, !patient)
		})
	}
}

func testTurns(t *testing.T, ctx context.Context, wanted bool) {
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
	if err := s.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	over.Store(true)
	wg.Wait()
	if n, want := turns.Load(), int64(blocks*mergeTime/turn); (n >= want/2) != wanted {
		t.Errorf("others ran %d times, of %d: %v is wanted", n, want, wanted)
	}
}

// TestPatientThreads: what checkpoints a store has a patient thread, and what defragments
// it in the background.
func TestPatientThreads(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	usual, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if usual.Runtime == 0 || runtime.GOMAXPROCS(0) == 1 {
		t.Skip("there are no patient threads here")
	}
	patient := func() map[int]bool {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		tids := map[int]bool{}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			if a, err := unix.SchedGetAttr(tid, 0); err == nil && a.Runtime > usual.Runtime {
				tids[tid] = true
			}
		}
		return tids
	}
	for want, o := range map[int]DefragOptions{1: {}, 2: {Score: 0.5}} {
		opt := quiet()
		opt.Defrag = o
		before := patient()
		s := newStore(t, newMem(64), FormatOptions{}, opt)
		for n, give := 0, time.Now().Add(10*time.Second); n < want; runtime.Gosched() {
			n = 0
			for tid := range patient() {
				if !before[tid] {
					n++
				}
			}
			if time.Now().After(give) {
				t.Fatalf("patient threads: %v, before the store %v, want %d more", patient(), before, want)
			}
		}
		closeStore(t, s)
	}
}
