//go:build !race && !invariants

package ebofs_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
)

// The most that small operations may allocate. What the race detector and the
// invariants add is not counted, so that these run without them.

// allocStore is a store in memory with one object of 4 MiB and one with an omap of
// 1000 pairs, both on the device, opened with that much memory.
func allocStore(t *testing.T, memory int64) *ebofs.Store {
	t.Helper()
	dev := devices.NewMem(devices.MemOptions{Blocks: 256 << 20 / 4096})
	mustFormat(t, dev)
	s := mustOpen(t, dev, ebofs.Options{MemoryBytes: memory})
	t.Cleanup(func() {
		if err := s.Close(bg); err != nil {
			t.Error(err)
		}
	})
	x := ebofs.NewTxn()
	x.MkColl("c", ebofs.CollSpec{Shard: -1, Pool: 1})
	x.Write("c", obj("data"), 0, make([]byte, 4<<20))
	pairs := make(map[string][]byte)
	for i := range 1000 {
		pairs[fmt.Sprintf("key %04d", i)] = make([]byte, 100)
	}
	x.OmapSet("c", obj("omap"), pairs)
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	return s
}

// atMost fails if fn, called often, allocates more than want times on average.
func atMost(t *testing.T, what string, want float64, fn func(i int)) {
	t.Helper()
	i := 0
	if n := testing.AllocsPerRun(1000, func() { fn(i); i++ }); n > want {
		t.Errorf("%s: %v allocations, at most %v", what, n, want)
	} else {
		t.Logf("%s: %v allocations", what, n)
	}
}

func TestReadAllocs(t *testing.T) {
	s := allocStore(t, 0)
	o, p := obj("data"), make([]byte, 4096)
	read := func(i int) {
		if n, err := s.Read(bg, "c", o, uint64(i%1024)*4096, p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	misses := func() int64 { return s.Metrics().ReadMisses }
	before := misses()
	i := 0
	if n := testing.AllocsPerRun(1000, func() { read(i); i++ }); n > 1 {
		t.Errorf("4 KiB read from the device: %v allocations, at most 1", n)
	}
	if n := misses() - before; n < 1000 {
		t.Fatalf("only %d reads came from the device", n)
	}
	for i := range 1024 {
		read(i)
	}
	before = misses()
	atMost(t, "cached 4 KiB read", 0, read)
	if n := misses() - before; n != 0 {
		t.Fatalf("%d reads came from the device", n)
	}
}

func TestOmapAllocs(t *testing.T) {
	s := allocStore(t, 0)
	o := obj("omap")
	var keys [1000][]byte
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key %04d", i)
	}
	var val []byte
	atMost(t, "omap get", 0, func(i int) {
		var ok bool
		var err error
		if val, ok, err = s.OmapValue(bg, "c", o, keys[i%1000], val[:0]); len(val) != 100 || !ok || err != nil {
			t.Fatal(len(val), ok, err)
		}
	})
	one := testing.AllocsPerRun(100, func() {
		n := 0
		if err := s.OmapIter(bg, "c", o, "", "", func(_, _ []byte) bool { n++; return n < 10 }); n != 10 || err != nil {
			t.Fatal(n, err)
		}
	})
	all := testing.AllocsPerRun(100, func() {
		n := 0
		if err := s.OmapIter(bg, "c", o, "", "", func(_, _ []byte) bool { n++; return true }); n != 1000 || err != nil {
			t.Fatal(n, err)
		}
	})
	t.Logf("omap iterate: %v allocations for 10 keys, %v for 1000", one, all)
	if all-one > 9 {
		t.Errorf("iterating 990 keys more allocates %v times more, at most 9", all-one)
	}
}

// TestWriteAllocs counts everything that is allocated for durable 4 KiB
// overwrites: transactions, log and the checkpoints that fold them.
func TestWriteAllocs(t *testing.T) {
	dev := benchDevice(t, 256<<20) // a device in memory would allocate blocks
	mustFormat(t, dev)
	s := mustOpen(t, dev, ebofs.Options{})
	x := ebofs.NewTxn()
	x.MkColl("c", ebofs.CollSpec{Shard: -1, Pool: 1})
	objects := make([]ebofs.ObjectID, 16)
	for i := range objects {
		objects[i] = obj(fmt.Sprint(i))
		x.Write("c", objects[i], 0, make([]byte, 1<<20))
	}
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	data := make([]byte, 4096)
	const n, checkpoints = 4096, 4
	write := func() {
		queueAll(t, s, x, n, func(int) {
			x.Write("c", objects[rng.IntN(len(objects))], uint64(rng.IntN(256))*4096, data)
		})
	}
	write() // caches and pools fill
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range checkpoints {
		write()
	}
	runtime.ReadMemStats(&after)
	count := float64(after.Mallocs-before.Mallocs) / (n * checkpoints)
	size := float64(after.TotalAlloc-before.TotalAlloc) / (n * checkpoints)
	t.Logf("4 KiB write: %.2f allocations, %.0f bytes", count, size)
	if count > 6 || size > 512 {
		t.Errorf("4 KiB write: %.2f allocations of %.0f bytes together, at most 6 of 512", count, size)
	}
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
}

// queueAll queues n transactions that fill makes in x, commits them 64 at a time and
// takes a checkpoint.
func queueAll(t *testing.T, s *ebofs.Store, x *ebofs.Txn, n int, fill func(i int)) {
	t.Helper()
	for i := range n {
		x.Reset()
		fill(i)
		if err := s.Queue(bg, x, nil, nil); err != nil {
			t.Fatal(err)
		}
		if i%64 == 63 {
			if err := s.Sync(bg); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
}

// TestCreateAllocs counts everything that is allocated for durable objects with two
// attributes, and for pairs of an omap, with their checkpoint.
func TestCreateAllocs(t *testing.T) {
	dev := benchDevice(t, 1<<30)
	mustFormat(t, dev)
	s := mustOpen(t, dev, ebofs.Options{})
	x := ebofs.NewTxn()
	x.MkColl("c", ebofs.CollSpec{Shard: -1, Pool: 1})
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
	measure := func(what string, n int, count, size float64, fn func(i int)) {
		t.Helper()
		var before, after runtime.MemStats
		for round := range 3 { // caches and pools fill
			if round == 2 {
				runtime.ReadMemStats(&before)
			}
			queueAll(t, s, x, n, func(i int) { fn(round*n + i) })
		}
		runtime.ReadMemStats(&after)
		gotCount := float64(after.Mallocs-before.Mallocs) / float64(n)
		gotSize := float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
		t.Logf("%s: %.2f allocations, %.0f bytes", what, gotCount, gotSize)
		if gotCount > count || gotSize > size {
			t.Errorf("%s: %.2f allocations of %.0f bytes together, at most %v of %v", what, gotCount, gotSize, count, size)
		}
	}
	info, snaps := make([]byte, 250), make([]byte, 35)
	measure("object with two attributes", 8192, 20, 3400, func(i int) {
		o := obj(fmt.Sprint("new ", i))
		x.Touch("c", o)
		x.SetAttr("c", o, "_", info)
		x.SetAttr("c", o, "snapset", snaps)
		if x.Len() != 2 {
			t.Fatal("two attributes of an object are two operations")
		}
	})
	o, value := obj("map"), make([]byte, 100)
	keys := make([]map[string][]byte, 3*2048)
	for i := range keys {
		keys[i] = make(map[string][]byte)
		for j := range 16 {
			keys[i][fmt.Sprintf("%016x", uint64(16*i+j)*0x9e3779b97f4a7c15)] = value
		}
	}
	measure("16 pairs of an omap", 2048, 16, 12000, func(i int) { x.OmapSet("c", o, keys[i]) })
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
}
