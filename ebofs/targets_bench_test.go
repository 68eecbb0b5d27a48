package ebofs_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
)

// benchStore is a new store with the collection "c".
func benchStore(b *testing.B, dev devices.Device, o ebofs.Options) *ebofs.Store {
	return benchStoreOf(b, dev, ebofs.FormatOptions{}, o)
}

func benchStoreOf(b *testing.B, dev devices.Device, f ebofs.FormatOptions, o ebofs.Options) *ebofs.Store {
	if _, err := ebofs.Format(bg, dev, f); err != nil {
		b.Fatal(err)
	}
	s := mustOpen(b, dev, o)
	b.Cleanup(func() { s.Close(bg) })
	x := ebofs.NewTxn()
	x.MkColl("c", ebofs.CollSpec{Shard: -1, Pool: 1})
	benchApply(b, s, x)
	return s
}

func benchApply(b *testing.B, s *ebofs.Store, x *ebofs.Txn) {
	if err := s.Apply(bg, x); err != nil {
		b.Fatal(err)
	}
}

// benchCallers has 64 callers apply n transactions, the i-th of which fill makes, and
// takes a checkpoint.
func benchCallers(b *testing.B, s *ebofs.Store, n int64, fill func(x *ebofs.Txn, i int64)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			x := ebofs.NewTxn()
			for i := next.Add(1); i <= n; i = next.Add(1) {
				x.Reset()
				fill(x, i)
				if err := s.Apply(bg, x); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := s.Checkpoint(bg); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkClone clones an object of 4 MiB no two of whose 1024 blocks are neighbours
// on the device, in RAM, so that CPU is that of the clone.
func BenchmarkClone(b *testing.B) {
	s := benchStore(b, devices.NewMem(devices.MemOptions{Blocks: 1 << 18}), ebofs.Options{})
	x := ebofs.NewTxn()
	block := bytes.Repeat([]byte{1}, 4096)
	for i := range 1024 {
		for _, name := range []string{"a", "b"} { // side by side in every checkpoint
			x.Reset()
			x.Write("c", obj(name), uint64(i*379%1024)*4096, block)
			benchApply(b, s, x)
		}
		if i%16 == 15 {
			if err := s.Checkpoint(bg); err != nil {
				b.Fatal(err)
			}
		}
	}
	x.Reset()
	x.Clone("c", obj("a"), obj("clone")) // what is loaded once is loaded
	benchApply(b, s, x)
	b.ResetTimer()
	cpu := cpuTime()
	for i := range b.N {
		x.Reset()
		x.Clone("c", obj("a"), obj(fmt.Sprint("clone", i)))
		benchApply(b, s, x)
	}
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
}

// BenchmarkCreate makes empty objects with the two attributes a cluster gives one, by
// 64 callers, in the order of their names; the checkpoint at the end counts.
func BenchmarkCreate(b *testing.B) {
	s := benchStore(b, benchDevice(b, 4<<30), ebofs.Options{})
	info, snaps := bytes.Repeat([]byte{1}, 250), bytes.Repeat([]byte{2}, 35)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	benchCallers(b, s, int64(b.N), func(x *ebofs.Txn, i int64) {
		o := obj(fmt.Sprintf("new.%08d", i))
		x.Touch("c", o)
		x.SetAttr("c", o, "_", info)
		x.SetAttr("c", o, "snapset", snaps)
	})
	b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
}

// BenchmarkRangeDelete removes 10^7 keys of one omap at once: how long until that is
// durable, and how fast their space comes back.
func BenchmarkRangeDelete(b *testing.B) {
	const keys, batch = 10_000_000, 2000
	for range b.N {
		s := benchStore(b, benchDevice(b, 8<<30), ebofs.Options{})
		x := ebofs.NewTxn()
		value := make([]byte, 16)
		for i := range keys / batch {
			pairs := make(map[string][]byte, batch)
			for j := range batch {
				pairs[string(binary.BigEndian.AppendUint64(nil, uint64(i*batch+j)))] = value
			}
			x.Reset()
			x.OmapSet("c", obj("o"), pairs)
			benchApply(b, s, x)
		}
		for range 2 {
			if err := s.Checkpoint(bg); err != nil {
				b.Fatal(err)
			}
		}
		used := func() uint64 {
			st, err := s.Statfs()
			if err != nil {
				b.Fatal(err)
			}
			return st.Used
		}
		full := used()
		x.Reset()
		x.OmapRmRange("c", obj("o"), "", "\xff")
		begin := time.Now()
		benchApply(b, s, x)
		b.ReportMetric(float64(time.Since(begin).Microseconds())/1e3, "ms/ack")
		for before := full + 1; used() < before; {
			before = used()
			if err := s.Checkpoint(bg); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(keys/time.Since(begin).Seconds(), "keys/s")
		b.ReportMetric(float64(full-used())/(1<<20), "MiB-freed")
	}
}

// BenchmarkTail is the latency of durable 4 KiB overwrites by 16 writers, with
// checkpoints all the time and, up to 40,000 of them, without any.
func BenchmarkTail(b *testing.B) {
	for _, every := range []time.Duration{time.Hour, 200 * time.Millisecond} {
		b.Run(fmt.Sprint("checkpoint=", every), func(b *testing.B) {
			s := benchStoreOf(b, benchDevice(b, 4<<30), ebofs.FormatOptions{LogBytes: 1 << 30}, ebofs.Options{MaxDirtyBytes: 2 << 30, CheckpointInterval: every})
			big := make([]byte, 4<<20)
			x := ebofs.NewTxn()
			for i := range 64 {
				x.Reset()
				x.Write("c", obj(fmt.Sprint(i)), 0, big)
				benchApply(b, s, x)
			}
			if err := s.Checkpoint(bg); err != nil {
				b.Fatal(err)
			}
			const writers = 16
			took := make([][]time.Duration, writers)
			checkpoints := s.Metrics().Checkpoints
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(w), 1))
					x := ebofs.NewTxn()
					for range max(1, b.N/writers) {
						x.Reset()
						x.Write("c", obj(fmt.Sprint(rng.IntN(64))), uint64(rng.IntN(1024))*4096, big[:4096])
						begin := time.Now()
						if err := s.Apply(bg, x); err != nil {
							b.Error(err)
							return
						}
						took[w] = append(took[w], time.Since(begin))
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			all := slices.Concat(took...)
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)*50/100].Microseconds()), "p50-µs")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(s.Metrics().Checkpoints-checkpoints), "checkpoints")
		})
	}
}
