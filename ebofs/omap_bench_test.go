package ebofs_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"ebofs/ebofs"
)

// BenchmarkOmapSet is durable sets of 100-byte values in batches of 16 keys by
// 16 writers on 64 objects; one operation is one key.
func BenchmarkOmapSet(b *testing.B) {
	dev := benchDevice(b, 4<<30)
	mustFormat(b, dev)
	s := mustOpen(b, dev, ebofs.Options{})
	x := ebofs.NewTxn()
	x.MkColl("c", ebofs.CollSpec{Shard: -1, Pool: 1})
	if err := s.Apply(bg, x); err != nil {
		b.Fatal(err)
	}
	cpu := cpuTime()
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			x := ebofs.NewTxn()
			val := make([]byte, 100)
			for {
				i := next.Add(16) - 16
				if i >= int64(b.N) {
					return
				}
				kv := make(map[string][]byte, 16)
				for j := range int64(16) {
					kv[fmt.Sprintf("key.%016x", uint64(i+j)*0x9e3779b97f4a7c15)] = val
				}
				x.Reset()
				x.OmapSet("c", obj(fmt.Sprint("o", w*4+int(i/16)%4)), kv)
				if err := s.Apply(bg, x); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(s.Metrics().Checkpoints), "checkpoints")
	if err := s.Close(bg); err != nil {
		b.Fatal(err)
	}
}
