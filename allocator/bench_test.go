package allocator

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// benchConfig is 16 zones of 1 GiB with stripes of 64 KiB.
var benchConfig = Config{First: 1280, Blocks: 16 << 18, ZoneBlocks: 1 << 18, StripeBlocks: 16}

func newBench(b *testing.B, usedPercent int) *Allocator {
	a, err := New(benchConfig, nil)
	if err != nil {
		b.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for blk := uint64(0); blk < benchConfig.Blocks; blk++ {
		if rnd.IntN(100) < usedPercent {
			if err := a.MarkUsed(Extent{benchConfig.First + blk, 1}); err != nil {
				b.Fatal(err)
			}
		}
	}
	return a
}

// limboBatch is how many extents one checkpoint of the benchmarks frees.
const limboBatch = 1024

// BenchmarkStripe takes one whole stripe and frees it, through limbo.
func BenchmarkStripe(b *testing.B) {
	a := newBench(b, 0)
	buf := make([]Extent, 0, 4)
	epoch := uint64(1)
	b.ReportAllocs()
	defer cpuTime(b)()
	b.ResetTimer()
	for i := range b.N {
		out, err := a.AppendStripes(Big, 16, 0, buf[:0])
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Free(out[0], epoch); err != nil {
			b.Fatal(err)
		}
		if i%limboBatch == 0 {
			a.Durable(epoch)
			epoch++
		}
	}
}

// BenchmarkStripeRelease is BenchmarkStripe without limbo.
func BenchmarkStripeRelease(b *testing.B) {
	a := newBench(b, 0)
	buf := make([]Extent, 0, 4)
	b.ReportAllocs()
	defer cpuTime(b)()
	b.ResetTimer()
	for range b.N {
		out, err := a.AppendStripes(Big, 16, 0, buf[:0])
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Release(out[0]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBlock takes single blocks by next fit on a device 90 % full at
// random, and frees them through limbo.
func BenchmarkBlock(b *testing.B) {
	a := newBench(b, 90)
	epoch := uint64(1)
	b.ReportAllocs()
	defer cpuTime(b)()
	b.ResetTimer()
	for i := range b.N {
		e, err := a.AllocRun(Meta, 1, 1, 0)
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Free(e, epoch); err != nil {
			b.Fatal(err)
		}
		if i%limboBatch == 0 {
			a.Durable(epoch)
			epoch++
		}
	}
}

// BenchmarkBlockRelease is BenchmarkBlock without limbo.
func BenchmarkBlockRelease(b *testing.B) {
	a := newBench(b, 90)
	b.ReportAllocs()
	defer cpuTime(b)()
	b.ResetTimer()
	for range b.N {
		e, err := a.AllocRun(Meta, 1, 1, 0)
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Release(e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBig4MiB takes 4 MiB in stripes where half of the stripes are broken.
func BenchmarkBig4MiB(b *testing.B) {
	a := newBench(b, 4)
	buf := make([]Extent, 0, 128)
	b.ReportAllocs()
	defer cpuTime(b)()
	b.ResetTimer()
	for range b.N {
		out, err := a.AppendStripes(Big, 1024, 0, buf[:0])
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range out {
			if err := a.Release(e); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkApplyLog marks and frees 1 M scattered extents, one an operation.
func BenchmarkApplyLog(b *testing.B) {
	a := newBench(b, 0)
	perm := rand.New(rand.NewPCG(3, 4)).Perm(int(benchConfig.Blocks / 4))
	b.ReportAllocs()
	defer cpuTime(b)()
	b.ResetTimer()
	for i := range b.N {
		e := Extent{benchConfig.First + uint64(perm[i%len(perm)])*4, 1}
		if err := a.MarkUsed(e); err != nil {
			b.Fatal(err)
		}
		if err := a.Release(e); err != nil {
			b.Fatal(err)
		}
	}
}

// cpuTime returns a function that reports the processor time of the process
// since, which on a shared machine says more than the wall clock.
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
