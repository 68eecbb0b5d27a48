package ebofs

import (
	"context"
	"runtime"
	"time"

	"ebofs/internal/thread"
)

// turns has long work let others run now and then. The runtime takes a goroutine off
// its processor after 10 ms; whoever was woken there waits so long, and on a machine of
// two he may be the one who leads the log, with everybody behind him. On a patient thread
// the kernel sees to it, and other processors take what is queued behind such work:
// docs/decisions/patient-threads.md.
type turns struct {
	worked  time.Duration // since others could run
	patient bool
}

// patiently moves the calling goroutine to a patient thread until it ends, if the kernel
// has such, and returns the context for its work. With one processor for all goroutines
// that would make way for other programs only.
func patiently(ctx context.Context) context.Context {
	if runtime.GOMAXPROCS(0) > 1 && thread.Patient() {
		return context.WithValue(ctx, patience{}, true)
	}
	return ctx
}

type patience struct{}

// turnsOf returns the turns for work in ctx.
func turnsOf(ctx context.Context) turns {
	return turns{patient: ctx.Value(patience{}) != nil}
}

// turn is how long work goes on: some calls' worth of CPU, and many times what giving
// way costs.
const turn = 50 * time.Microsecond

// did is called for each bit of work, with about the time it took: to look at the
// clock would cost more than some of them.
func (t *turns) did(d time.Duration) {
	if t.patient {
		return
	}
	if t.worked += d; t.worked >= turn {
		t.worked = 0
		runtime.Gosched()
	}
}

// What the bits of a checkpoint's work take.
const (
	mergeTime  = 3 * time.Microsecond  // a block folded
	recordTime = 3 * time.Microsecond  // an object's record or a chunk's, encoded or compared
	pageTime   = 50 * time.Microsecond // a page of a tree merged
	extentTime = time.Microsecond / 2  // an extent booked or given back
)
