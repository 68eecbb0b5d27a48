package mutate

import (
	"context"
	"fmt"
	"runtime/metrics"
	"sync"
	"syscall"
	"testing"
	"time"
)

// MaxCPU is what one use of a damaged store may take, which is about ten times what
// the dearest of them takes of a sound one. It is time of the processor: on a busy
// machine the clock says nothing.
const MaxCPU = time.Second

// patience is when a use is told to end, by its context: before the fuzzer ends it,
// which it does after ten seconds by the clock and without a word of the input.
// What it took until then is held to MaxCPU, and to more than standstill: one that
// took less was not kept from working by others, it waited for nothing.
const (
	patience   = 5 * time.Second
	standstill = 20 * time.Millisecond
)

// hangAfter is when a use that does not return even then is ended, with every stack.
const hangAfter = 60 * time.Second

// Limit bounds what one use of a damaged store costs (M2, M3).
type Limit struct {
	mu   sync.Mutex
	base map[use]uint64 // bytes it allocates with the store unharmed
}

// use is one of the things a target does with a store.
type use struct {
	s *Store
	n int
}

// Run calls do, which is use n of a store, and fails if it took too much. base does
// the same with the store unharmed; that is measured once.
func (l *Limit) Run(t testing.TB, s *Store, n int, base, do func(context.Context)) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock() // what others do at the same time must not be counted
	u := use{s, n}
	if l.base == nil {
		l.base = make(map[use]uint64)
		base(context.Background()) // what is made once for all
	}
	if _, ok := l.base[u]; !ok {
		before := allocated()
		base(context.Background())
		l.base[u] = allocated() - before
	}
	watch := time.AfterFunc(hangAfter, func() { panic("a use of a damaged store hangs") })
	defer watch.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	bytes, cpu := allocated(), cpuTime()
	do(ctx)
	bytes, cpu = allocated()-bytes, cpuTime()-cpu
	if limit := l.base[u] + 16*s.Bytes + 1<<20; bytes > limit {
		t.Errorf("allocated %d bytes, at most %d: %d as for the store unharmed, 16 × %d and 1 MiB", bytes, limit, l.base[u], s.Bytes)
	}
	if cpu > MaxCPU && !raceEnabled {
		t.Errorf("took %v of CPU, at most %v", cpu, MaxCPU)
	}
	if ctx.Err() != nil && cpu < standstill {
		t.Errorf("stood still: %v of CPU in %v", cpu, patience)
	}
}

// allocated is the sum of all allocations so far.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// cpuTime is what the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(fmt.Sprint("getrusage: ", err))
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
