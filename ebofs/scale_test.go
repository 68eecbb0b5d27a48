package ebofs_test

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ebofs/ebofs"
)

// residentBytes is the process's resident memory now.
func residentBytes() float64 {
	p, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(p)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kb); n == 1 {
			return kb * 1024
		}
	}
	return 0
}

// fillObjects makes n small objects with two attributes, by 64 writers.
func fillObjects(b *testing.B, s *ebofs.Store, from, n int) {
	b.Helper()
	var next atomic.Int64
	next.Store(int64(from))
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			x := ebofs.NewTxn()
			data := make([]byte, 4096)
			for i := next.Add(1) - 1; i < int64(from+n); i = next.Add(1) - 1 {
				x.Reset()
				o := obj(fmt.Sprintf("object.%012d", i))
				x.Touch("c", o)
				x.SetAttrs("c", o, map[string][]byte{"_": data[:200], "snapset": data[:31]})
				if i%16 == 0 {
					x.Write("c", o, 0, data)
				}
				if err := s.Apply(bg, x); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkScale makes stores of 10^4 and 10^6 objects and reports what must
// not depend on the number: mount after a clean stop and after a crash under
// load, and resident memory within the budget. One run is enough: b.N is
// ignored.
func BenchmarkScale(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		for _, budget := range []int64{256 << 20, 2 << 30} {
			b.Run(fmt.Sprintf("objects=%d/budget=%dMiB", n, budget>>20), func(b *testing.B) {
				debug.SetMemoryLimit(budget / 2)
				defer debug.SetMemoryLimit(-1)
				dev := benchDevice(b, 8<<30)
				mustFormat(b, dev)
				o := ebofs.Options{MemoryBytes: budget}
				s := mustOpen(b, dev, o)
				x := ebofs.NewTxn()
				x.MkColl("c", ebofs.CollSpec{Shard: -1, Pool: 1})
				if err := s.Apply(bg, x); err != nil {
					b.Fatal(err)
				}
				var peak float64
				stop := make(chan struct{})
				var wg sync.WaitGroup
				wg.Go(func() {
					t := time.NewTicker(50 * time.Millisecond)
					defer t.Stop()
					for {
						select {
						case <-stop:
							return
						case <-t.C:
							peak = max(peak, residentBytes())
						}
					}
				})
				cpu, begin := cpuTime(), time.Now()
				fillObjects(b, s, 0, n)
				b.ReportMetric(float64(n)/time.Since(begin).Seconds(), "creates/s")
				b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/1e3/float64(n), "create-cpu-µs")
				if err := s.Close(bg); err != nil {
					b.Fatal(err)
				}
				begin = time.Now()
				s = mustOpen(b, dev, o)
				b.ReportMetric(float64(time.Since(begin).Microseconds())/1e3, "clean-mount-ms")
				// A crash under load: the store is abandoned with its log full of
				// what no checkpoint has.
				fillObjects(b, s, n, 16_000)
				s.Abandon()
				begin = time.Now()
				s = mustOpen(b, dev, o)
				b.ReportMetric(float64(time.Since(begin).Microseconds())/1e3, "crash-mount-ms")
				close(stop)
				wg.Wait()
				b.ReportMetric(peak/(1<<20), "peak-MiB")
				st, err := s.Statfs()
				if err != nil || st.Objects != int64(n+16_000) {
					b.Fatalf("%d objects, %v", st.Objects, err)
				}
				b.ReportMetric(float64(st.Meta)/float64(st.Objects), "meta-B/object")
				if err := s.Close(bg); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
