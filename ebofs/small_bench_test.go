package ebofs_test

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
)

// BenchmarkSmallObjects is durable writes of whole objects of 4 KiB by 64 callers, in
// RAM, whose data goes straight to its place as with 64 callers on a device: new objects,
// and those there are in turn; the checkpoint at the end counts.
func BenchmarkSmallObjects(b *testing.B) {
	const objects = 1 << 17
	for _, fresh := range []bool{true, false} {
		name := "overwrite"
		if fresh {
			name = "put"
		}
		b.Run(name, func(b *testing.B) {
			defer debug.SetGCPercent(debug.SetGCPercent(400)) // as the programs do
			s := benchStore(b, devices.NewMem(devices.MemOptions{Blocks: 1 << 20}), ebofs.Options{MemoryBytes: 512 << 20, DirectFrom: 1})
			data := make([]byte, 4096)
			write := func(n int64, name func(i int64) int64) {
				benchCallers(b, s, n, func(x *ebofs.Txn, i int64) {
					x.Write("c", obj(fmt.Sprintf("small.%08d", name(i))), 0, data)
				})
			}
			shuffled := int64(rand.New(rand.NewPCG(1, 2)).Uint64() | 1)
			write(objects, func(i int64) int64 { return i })
			before := s.Metrics().Checkpoints
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime()
			write(int64(b.N), func(i int64) int64 {
				if fresh {
					return objects + i
				}
				return i * shuffled & (objects - 1)
			})
			b.StopTimer()
			b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(s.Metrics().Checkpoints-before), "checkpoints")
		})
	}
}

// BenchmarkSmallReads is reads of whole objects of 4 KiB by one caller, in RAM, one
// after the other in no order after a mount that has read all leaves; device is the same of the device's
// blocks: what lies between is what the store computes, with caches as cold as they are.
func BenchmarkSmallReads(b *testing.B) {
	const objects = 1 << 17
	dev := devices.NewMem(devices.MemOptions{Blocks: 1 << 20})
	opt := ebofs.Options{MemoryBytes: 64 << 20, Warm: true, Inline: true}
	s := benchStore(b, dev, ebofs.Options{MemoryBytes: 512 << 20, DirectFrom: 1})
	names := make([]ebofs.ObjectID, objects)
	for i := range names {
		names[i] = obj(fmt.Sprintf("%016x", rand.New(rand.NewPCG(uint64(i), 3)).Uint64()))
	}
	data := make([]byte, 4096)
	benchCallers(b, s, objects, func(x *ebofs.Txn, i int64) { x.Write("c", names[i-1], 0, data) })
	if err := s.Close(bg); err != nil {
		b.Fatal(err)
	}
	shuffled := uint64(rand.New(rand.NewPCG(1, 2)).Uint64() | 1)
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	f := pool.Get(4096)
	defer f.Release()
	p := f.Bytes()
	b.Run("device", func(b *testing.B) {
		for i := range b.N {
			if err := dev.Read(bg, devices.Block(uint64(i)*shuffled&(objects-1)), devices.Vec{p}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("object", func(b *testing.B) {
		s := mustOpen(b, dev, opt)
		defer s.Close(bg)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			if n, err := s.Read(bg, "c", names[uint64(i)*shuffled&(objects-1)], 0, p); n != len(p) || err != nil {
				b.Fatal(n, err)
			}
		}
	})
}
