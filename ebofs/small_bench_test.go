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
