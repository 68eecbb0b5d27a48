package datacache

import (
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"ebofs/devices"
)

const (
	benchBudget = 64 << 20
	benchBlocks = benchBudget / devices.BlockSize
)

type benchCache struct {
	name string
	make func(testing.TB, int64) cache
}

var benchCaches = []benchCache{
	{"clock", func(t testing.TB, n int64) cache { return newCache(t, n) }},
	{"ristretto", func(t testing.TB, n int64) cache { return newRistretto(t, n) }},
}

// cpuTime returns a function that reports the processor time of the process
// since: it counts what a cache leaves to goroutines of its own and to the
// collector.
func cpuTime(b *testing.B) func() {
	now := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start := now()
	return func() { b.ReportMetric(float64((now()-start).Nanoseconds())/float64(b.N), "cpu-ns/op") }
}

func settle(c cache) {
	if r, ok := c.(*ristrettoCache); ok {
		r.c.Wait()
	}
}

// BenchmarkHit reads blocks that are there: a few that stay in the processor's
// cache, and as many as half the budget.
func BenchmarkHit(b *testing.B) {
	for _, set := range []struct {
		name   string
		blocks uint64
	}{{"hot", 64}, {"wide", benchBlocks / 2}} {
		for _, bc := range benchCaches {
			b.Run(set.name+"/"+bc.name, func(b *testing.B) {
				c := bc.make(b, benchBudget)
				block := make([]byte, devices.BlockSize)
				for i := range set.blocks {
					c.Put(i, 1, block)
					if i%1024 == 0 {
						settle(c)
					}
				}
				settle(c)
				misses := 0
				rnd := rand.New(rand.NewPCG(1, 2))
				b.ReportAllocs()
				report := cpuTime(b)
				b.ResetTimer()
				for range b.N {
					if !c.Get(rnd.Uint64N(set.blocks), 1, 0, block) {
						misses++
					}
				}
				report()
				b.ReportMetric(float64(misses)/float64(b.N), "misses/op")
			})
		}
	}
}

// BenchmarkHitParallel is BenchmarkHit on all processors.
func BenchmarkHitParallel(b *testing.B) {
	for _, bc := range benchCaches {
		b.Run(bc.name, func(b *testing.B) {
			c := bc.make(b, benchBudget)
			block := make([]byte, devices.BlockSize)
			for i := range uint64(1024) {
				c.Put(i, 1, block)
			}
			settle(c)
			b.ReportAllocs()
			defer cpuTime(b)()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				dst := make([]byte, devices.BlockSize)
				rnd := rand.New(rand.NewPCG(rand.Uint64(), 2))
				for pb.Next() {
					c.Get(rnd.Uint64N(1024), 1, 0, dst)
				}
			})
		})
	}
}

// BenchmarkPut puts blocks that are not there into a full cache.
func BenchmarkPut(b *testing.B) {
	for _, bc := range benchCaches {
		b.Run(bc.name, func(b *testing.B) {
			c := bc.make(b, benchBudget)
			block := make([]byte, devices.BlockSize)
			for i := range uint64(benchBlocks) {
				c.Put(i, 1, block)
			}
			settle(c)
			b.ReportAllocs()
			defer cpuTime(b)()
			b.ResetTimer()
			for i := range uint64(b.N) {
				c.Put(benchBlocks+i, 1, block)
			}
		})
	}
}

// BenchmarkWorkload reads 16 times as many blocks as the budget holds, puts
// what misses, and reports the hit ratio and the memory in use at the end.
// Zipf is skewed by its exponent; scan mixes one block in two of a sequence
// that never comes back; loop goes round a little more than fits. clock+ has the
// memory that ristretto turns out to use for the same budget.
func BenchmarkWorkload(b *testing.B) {
	const domain = 16 * benchBlocks
	zipf := func(s float64) func() func() uint64 {
		return func() func() uint64 {
			z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), s, 1, domain-1)
			return func() uint64 { return z.Uint64() * 0x9e3779b1 % domain }
		}
	}
	for _, w := range []struct {
		name string
		next func() func() uint64
	}{
		{"zipf1.01", zipf(1.01)},
		{"zipf1.2", zipf(1.2)},
		{"zipf1.01+scan", func() func() uint64 {
			z, n := zipf(1.01)(), uint64(0)
			return func() uint64 {
				if n++; n%2 == 0 {
					return domain + n
				}
				return z()
			}
		}},
		{"loop", func() func() uint64 {
			n := uint64(0)
			return func() uint64 { n++; return n % (benchBlocks * 5 / 4) }
		}},
	} {
		plus := benchCache{"clock+", func(t testing.TB, n int64) cache { return newCache(t, n*9/4) }}
		for _, bc := range append(benchCaches[:len(benchCaches):len(benchCaches)], plus) {
			b.Run(w.name+"/"+bc.name, func(b *testing.B) {
				runtime.GC()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				c := bc.make(b, benchBudget)
				block := make([]byte, devices.BlockSize)
				next := w.next()
				hits := 0
				b.ReportAllocs()
				report := cpuTime(b)
				b.ResetTimer()
				for range b.N {
					addr := next()
					if c.Get(addr, 1, 0, block) {
						hits++
					} else {
						c.Put(addr, 1, block)
					}
				}
				report()
				b.StopTimer()
				runtime.ReadMemStats(&after)
				used := int64(after.HeapInuse) - int64(before.HeapInuse)
				if c, ok := c.(*Cache); ok {
					used += c.Stats().Bytes
				}
				b.ReportMetric(float64(hits)/float64(b.N), "hits/op")
				b.ReportMetric(float64(used)/(1<<20), "MiB")
			})
		}
	}
}
