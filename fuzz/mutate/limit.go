package mutate

import (
	"fmt"
	"runtime/metrics"
	"sync"
	"syscall"
	"testing"
	"time"
)

// MaxCPU is what one use of a damaged store may take: a second of work, thrice, since
// a fuzzer's counters slow it down and its neighbours steal caches.
const MaxCPU = 3 * time.Second

// hangAfter is when a use that does not even return is ended, with every stack.
const hangAfter = 60 * time.Second

// Limit bounds what one use of a damaged store costs (M2, M3).
type Limit struct {
	mu   sync.Mutex
	base map[use]uint64 // bytes the same use of the store unharmed allocates
}

// use is a group of things that are done with a store.
type use struct {
	s     *Store
	group int
}

// Run calls do, which is so many uses, and fails if it took too much. base does the
// same with the store unharmed; it is called once a store and group.
func (l *Limit) Run(t testing.TB, s *Store, group, uses int, base, do func()) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock() // what others do at the same time must not be counted
	u := use{s, group}
	if l.base == nil {
		l.base = make(map[use]uint64)
	}
	if _, ok := l.base[u]; !ok {
		base() // what is made once for all
		before := allocated()
		base()
		l.base[u] = allocated() - before
	}
	watch := time.AfterFunc(hangAfter, func() { panic("a use of a damaged store hangs") })
	defer watch.Stop()
	bytes, cpu := allocated(), cpuTime()
	do()
	bytes, cpu = allocated()-bytes, cpuTime()-cpu
	if limit := l.base[u] + uint64(uses)*(16*s.Bytes+1<<20); bytes > limit {
		t.Errorf("allocated %d bytes, at most %d: %d for the store unharmed and %d × (16 × %d and 1 MiB)", bytes, limit, l.base[u], uses, s.Bytes)
	}
	if cpu > time.Duration(uses)*MaxCPU && !raceEnabled {
		t.Errorf("took %v of CPU, at most %v", cpu, MaxCPU)
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
