package check_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// BenchmarkFull checks a store of many small objects, each with two attributes and
// one block of data; objects/s is the figure that matters.
func BenchmarkFull(b *testing.B) {
	const objects = 100_000
	dev := newDevice(1024)
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		b.Fatal(err)
	}
	s := open(b, dev, ebofs.Options{})
	apply(b, s, func(x *ebofs.Txn) { x.MkColl(coll, ebofs.CollSpec{Shard: -1, Pool: 1}) })
	data := fill(1, layout.BlockSize)
	for i := 0; i < objects; i += 100 {
		apply(b, s, func(x *ebofs.Txn) {
			for j := range 100 {
				o := object(fmt.Sprintf("rbd_data.1f3a.%08x", i+j))
				x.Write(coll, o, 0, data)
				x.SetAttrs(coll, o, map[string][]byte{"_": data[:240], "snapset": data[:31]})
			}
		})
	}
	if err := s.Close(bg); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	cpu := cpuSeconds()
	for b.Loop() {
		r, err := check.Run(bg, dev, check.Options{Level: check.Full})
		if err != nil || !r.OK() || r.Counts.Objects != objects {
			b.Fatal(err, r.Problems)
		}
	}
	b.ReportMetric(float64(b.N)*objects/b.Elapsed().Seconds(), "objects/s")
	b.ReportMetric((cpuSeconds()-cpu)*1e6/float64(b.N)/objects, "cpu-us/object")
}

// cpuSeconds is what this process has used of all processors, user and system.
func cpuSeconds() float64 {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}
