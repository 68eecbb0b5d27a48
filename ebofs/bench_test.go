package ebofs_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
)

// benchDevice is EBOFS_BENCH_DEV, or an image in the test's directory.
func benchDevice(b testing.TB, bytes int64) devices.Device {
	b.Helper()
	path := os.Getenv("EBOFS_BENCH_DEV")
	if path == "" {
		path = filepath.Join(b.TempDir(), "image")
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Truncate(bytes); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
	dev, err := devices.OpenFile(path, devices.FileOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dev.Close() })
	return dev
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// gcTime returns the CPU time the collector has used, assists included. The
// runtime brings it up to date at the end of a cycle.
func gcTime() time.Duration {
	runtime.GC()
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}}
	metrics.Read(s)
	return time.Duration((s[0].Value.Float64() - s[1].Value.Float64()) * 1e9)
}

// BenchmarkWrite4K is durable 4 KiB overwrites of 4 MiB objects by n writers.
func BenchmarkWrite4K(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprint("writers=", n), func(b *testing.B) {
			dev := benchDevice(b, 4<<30)
			mustFormat(b, dev)
			s := mustOpen(b, dev, ebofs.Options{})
			x := ebofs.NewTxn()
			x.MkColl("c", ebofs.CollSpec{Shard: -1, Pool: 1})
			if err := s.Apply(bg, x); err != nil {
				b.Fatal(err)
			}
			const objects = 64
			big := make([]byte, 4<<20)
			for i := range objects {
				x := ebofs.NewTxn()
				x.Write("c", obj(fmt.Sprint(i)), 0, big)
				if err := s.Apply(bg, x); err != nil {
					b.Fatal(err)
				}
			}
			before := s.Metrics()
			defer debug.SetGCPercent(debug.SetGCPercent(400)) // as the programs do
			gc, cpu := gcTime(), cpuTime()
			b.ReportAllocs()
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for w := range n {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(w), 1))
					data := make([]byte, 4096)
					x := ebofs.NewTxn()
					for left.Add(-1) >= 0 {
						x.Reset()
						x.Write("c", obj(fmt.Sprint(rng.IntN(objects))), uint64(rng.IntN(1024))*4096, data)
						if err := s.Apply(bg, x); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			after := s.Metrics()
			used := cpuTime() - cpu
			b.ReportMetric(100*float64(gcTime()-gc)/float64(used), "gc-cpu-%")
			b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(after.Log.Flushes-before.Log.Flushes)/float64(b.N), "flushes/op")
			b.ReportMetric(float64(after.Checkpoints-before.Checkpoints), "checkpoints")
			if err := s.Close(bg); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkColdRead4K is 4 KiB reads by n readers of objects twenty times the data
// cache.
func BenchmarkColdRead4K(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprint("readers=", n), func(b *testing.B) {
			const objects, size = 64, 4 << 20
			dev := benchDevice(b, 2<<30)
			mustFormat(b, dev)
			s := mustOpen(b, dev, ebofs.Options{MemoryBytes: 64 << 20})
			defer s.Close(bg)
			x := ebofs.NewTxn()
			x.MkColl("c", ebofs.CollSpec{Shard: -1, Pool: 1})
			if err := s.Apply(bg, x); err != nil {
				b.Fatal(err)
			}
			for i := range objects {
				x := ebofs.NewTxn()
				x.Write("c", obj(fmt.Sprint(i)), 0, make([]byte, size))
				if err := s.Apply(bg, x); err != nil {
					b.Fatal(err)
				}
			}
			if err := s.Checkpoint(bg); err != nil {
				b.Fatal(err)
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			misses := s.Metrics().ReadMisses
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime()
			var wg sync.WaitGroup
			for r := range n {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(r), 1))
					p := make([]byte, 4096)
					for left.Add(-1) >= 0 {
						if _, err := s.Read(bg, "c", obj(fmt.Sprint(rng.IntN(objects))), uint64(rng.IntN(size/4096))*4096, p); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(s.Metrics().ReadMisses-misses)/float64(b.N), "misses/op")
		})
	}
}

// BenchmarkCachedRead4K is 4 KiB reads of blocks in the data cache.
func BenchmarkCachedRead4K(b *testing.B) {
	dev := devices.NewMem(devices.MemOptions{Blocks: 256 << 20 / 4096})
	mustFormat(b, dev)
	s := mustOpen(b, dev, ebofs.Options{})
	x := ebofs.NewTxn()
	x.MkColl("c", ebofs.CollSpec{Shard: -1, Pool: 1})
	x.Write("c", obj("o"), 0, make([]byte, 4<<20))
	if err := s.Apply(bg, x); err != nil {
		b.Fatal(err)
	}
	if err := s.Checkpoint(bg); err != nil {
		b.Fatal(err)
	}
	o, p := obj("o"), make([]byte, 4096)
	for i := range 1024 {
		s.Read(bg, "c", o, uint64(i)*4096, p)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if _, err := s.Read(bg, "c", o, uint64(i%1024)*4096, p); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	s.Close(bg)
}
