package devices_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/devices/devicetest"
)

// cpuMicros is the user and system time of this process so far.
func cpuMicros(tb testing.TB) float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3
}

// BenchmarkDepth compares what a 4 KiB read or write costs by blocking calls,
// by the ring, and as File chooses, with so many goroutines at once, on an
// image and a loop device all of whose blocks were written before. Rates on a
// busy machine mean little: compare cpu-µs/op, in many rounds of
//
//	go test ./devices -run - -bench Depth -benchtime 5000x
//
// in the directory named by EBOFS_BENCH_DIR, else a temporary one.
func BenchmarkDepth(b *testing.B) {
	const blocks = 128 << 20 / devices.BlockSize
	image := benchImage(b, blocks)
	targets := map[string]string{"image": image, "loop": ""}
	for _, target := range []string{"image", "loop"} {
		for _, procs := range []int{2, 8} {
			for _, write := range []bool{false, true} {
				for _, depth := range []int{1, 4, 8, 16, 64} {
					for _, mode := range []string{"blocking", "ring", "auto"} {
						op := "read"
						if write {
							op = "write"
						}
						b.Run(fmt.Sprintf("on=%s/procs=%d/op=%s/depth=%d/by=%s", target, procs, op, depth, mode), func(b *testing.B) {
							path := targets[target]
							if path == "" {
								path = devicetest.LoopOn(b, image)
							}
							benchDepth(b, path, mode, procs, depth, 1, write)
						})
					}
				}
			}
		}
	}
}

// BenchmarkSizes is BenchmarkDepth for larger calls, 16 at once, with two threads.
func BenchmarkSizes(b *testing.B) {
	image := benchImage(b, 256<<20/devices.BlockSize)
	for _, write := range []bool{false, true} {
		for _, blocks := range []int{1, 4, 16, 64, 256} {
			for _, mode := range []string{"blocking", "ring"} {
				b.Run(fmt.Sprintf("write=%v/KiB=%d/by=%s", write, 4*blocks, mode), func(b *testing.B) {
					benchDepth(b, devicetest.LoopOn(b, image), mode, 2, 16, blocks, write)
				})
			}
		}
	}
}

// benchImage returns an image all of whose blocks were written, in the directory named by
// EBOFS_BENCH_DIR, else a temporary one.
func benchImage(b *testing.B, blocks int) string {
	dir := os.Getenv("EBOFS_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	path := filepath.Join(dir, "bench.image")
	b.Cleanup(func() { _ = os.Remove(path) })
	f, err := devices.OpenFile(path, devices.FileOptions{CreateBytes: uint64(blocks) * devices.BlockSize})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	p := pool.Get(1 << 20)
	defer p.Release()
	for at := 0; at < blocks; at += 256 {
		if err := f.Write(context.Background(), devices.Block(at), p.Vec()); err != nil {
			b.Fatal(err)
		}
	}
	return path
}

func benchDepth(b *testing.B, path, mode string, procs, depth, size int, write bool) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	o := devices.FileOptions{}
	switch mode {
	case "blocking":
		o = o.RingNever()
	case "ring":
		o = o.RingAlways()
	}
	f, err := devices.OpenFile(path, o)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Ring(); err != nil && mode != "blocking" {
		b.Skip("ran by blocking calls: ", err)
	}
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var left atomic.Int64
	left.Store(int64(b.N))
	blocks := f.Geometry().Blocks / uint64(size)
	b.ReportAllocs()
	b.ResetTimer()
	begin := cpuMicros(b)
	var wg sync.WaitGroup
	for g := range uint64(depth) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 1))
			p := pool.Get(size * devices.BlockSize)
			defer p.Release()
			share := blocks / uint64(depth)
			for left.Add(-1) >= 0 {
				at := devices.Block((g*share + r.Uint64N(share)) * uint64(size))
				var err error
				if write {
					err = f.Write(ctx, at, p.Vec())
				} else {
					err = f.Read(ctx, at, p.Vec())
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric((cpuMicros(b)-begin)/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}
