package devices_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/devices/devicetest"
)

// BenchmarkMemory compares what one caller's reads and durable writes of a loop device
// cost with ordinary pages, with huge ones, and with a copy between the two: whether a
// detour (docs/decisions/huge-pages.md) pays on a machine.
//
//	go test ./devices -run - -bench Memory -benchtime 1000x
func BenchmarkMemory(b *testing.B) {
	const blocks = 1 << 30 / devices.BlockSize
	image := benchImage(b, blocks)
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	ctx := context.Background()
	for _, kib := range []int{64, 256, 1024} {
		size := kib << 10
		f := pool.Get(size)
		defer f.Release()
		huge, plain := f.Bytes(), ordinary(b, size)
		for _, memory := range []string{"ordinary", "huge", "copied"} {
			for _, write := range []bool{false, true} {
				b.Run(fmt.Sprintf("KiB=%d/write=%v/memory=%s", kib, write, memory), func(b *testing.B) {
					dev, err := devices.OpenFile(devicetest.LoopOn(b, image), devices.FileOptions{})
					if err != nil {
						b.Fatal(err)
					}
					defer dev.Close()
					p := plain
					if memory != "ordinary" {
						p = huge
					}
					r := rand.New(rand.NewPCG(1, 2))
					begin := cpuMicros(b)
					for b.Loop() {
						at := devices.Block(r.IntN(blocks*devices.BlockSize/size) * size / devices.BlockSize)
						if !write {
							err = dev.Read(ctx, at, devices.Vec{p})
						}
						if memory == "copied" {
							if write {
								copy(huge, plain)
							} else {
								copy(plain, huge)
							}
						}
						if write {
							if err = dev.Write(ctx, at, devices.Vec{p}); err == nil {
								err = dev.Flush(ctx)
							}
						}
						if err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric((cpuMicros(b)-begin)/float64(b.N), "cpu-µs/op")
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
				})
			}
		}
	}
}

// ordinary returns n bytes of the system's pages.
func ordinary(b *testing.B, n int) []byte {
	p, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_POPULATE)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = unix.Munmap(p) })
	return p
}
