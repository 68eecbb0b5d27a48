package ebofs

import (
	"runtime"
	"time"
)

// turns has long work let others run now and then. The runtime takes a goroutine off
// its processor after 10 ms; whoever was woken there waits so long, and on a machine of
// two he may be the one who leads the log, with everybody behind him.
type turns struct {
	worked time.Duration // since others could run
}

// turn is how long work goes on: some calls' worth of CPU, and many times what giving
// way costs.
const turn = 50 * time.Microsecond

// did is called for each bit of work, with about the time it took: to look at the
// clock would cost more than some of them.
func (t *turns) did(d time.Duration) {
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
