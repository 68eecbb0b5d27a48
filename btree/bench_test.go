package btree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	gbtree "github.com/google/btree"
	tbtree "github.com/tidwall/btree"

	"ebofs/devices"
)

const benchKeys = 1 << 20

// benchKey is a 24-byte key with a long common part, as of an object's omap.
func benchKey(dst []byte, n uint64) []byte {
	dst = append(dst[:0], "omap/object/0042"...)
	return binary.BigEndian.AppendUint64(dst, n)
}

func mix(n uint64) uint64 {
	n *= 0x9e3779b97f4a7c15
	return n ^ n>>29
}

type benchItem struct{ key, val []byte }

func lessItem(a, b benchItem) bool { return bytes.Compare(a.key, b.key) < 0 }

// cpuTime is the user and system time of this process, in nanoseconds: on a
// busy machine it says more than the clock.
func cpuTime() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// peer is a sorted map for several goroutines.
type peer struct {
	name string
	put  func(key, val []byte)
	get  func(key, dst []byte) []byte
}

func peers() []peer {
	var mu, tmu sync.RWMutex
	g := gbtree.NewG(32, lessItem)
	tb := tbtree.NewBTreeGOptions(lessItem, tbtree.Options{NoLocks: true})
	tree := New(&Config{Name: "bench"}, NewMemStore(), Owner{}, Root{})
	return []peer{
		{"ebofs", tree.Put, func(key, dst []byte) []byte {
			v, _, _ := tree.Get(bg, key, dst)
			return v
		}},
		{"google", func(key, val []byte) {
			it := benchItem{bytes.Clone(key), bytes.Clone(val)}
			mu.Lock()
			g.ReplaceOrInsert(it)
			mu.Unlock()
		}, func(key, dst []byte) []byte {
			mu.RLock()
			it, _ := g.Get(benchItem{key: key})
			mu.RUnlock()
			return append(dst[:0], it.val...)
		}},
		{"tidwall", func(key, val []byte) {
			it := benchItem{bytes.Clone(key), bytes.Clone(val)}
			tmu.Lock()
			tb.Set(it)
			tmu.Unlock()
		}, func(key, dst []byte) []byte {
			tmu.RLock()
			it, _ := tb.Get(benchItem{key: key})
			tmu.RUnlock()
			return append(dst[:0], it.val...)
		}},
	}
}

// BenchmarkPeers compares the delta with other trees under a lock: random puts
// into a growing map of 2^20 keys, then random gets, by one and two goroutines.
func BenchmarkPeers(b *testing.B) {
	val := make([]byte, 32)
	run := func(b *testing.B, workers int, fn func(n uint64, key, buf []byte)) {
		b.ReportAllocs()
		var wg sync.WaitGroup
		b.ResetTimer()
		cpu := cpuTime()
		for w := range workers {
			wg.Add(1)
			go func() {
				defer wg.Done()
				key, buf := make([]byte, 0, 64), make([]byte, 0, 64)
				for i := w; i < b.N; i += workers {
					n := mix(uint64(i)) % benchKeys
					fn(n, benchKey(key, n), buf)
				}
			}()
		}
		wg.Wait()
		b.ReportMetric((cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mop/s")
	}
	for _, workers := range []int{1, 2} {
		for _, p := range peers() {
			b.Run(fmt.Sprintf("put/%s/%d", p.name, workers), func(b *testing.B) {
				run(b, workers, func(n uint64, key, buf []byte) { p.put(key, val) })
			})
			b.Run(fmt.Sprintf("get/%s/%d", p.name, workers), func(b *testing.B) {
				run(b, workers, func(n uint64, key, buf []byte) { p.get(key, buf) })
			})
		}
	}
}

// benchTree is a tree of benchKeys items on a device, all in the cache.
func benchTree(b *testing.B) (*Tree, *MemStore) {
	s := NewMemStore()
	cfg := &Config{Name: "bench", Kind: 1}
	bl := Bulk(bg, cfg, &Owner{}, s)
	key, val := make([]byte, 0, 64), make([]byte, 32)
	for i := range uint64(benchKeys) {
		if err := bl.Add(benchKey(key, i), val); err != nil {
			b.Fatal(err)
		}
	}
	root, err := bl.Finish()
	if err != nil {
		b.Fatal(err)
	}
	pool := devices.NewPool(devices.PoolOptions{})
	c := NewCache(&memReader{s: s}, pool, 1<<30)
	b.Cleanup(func() { c.Clear(); pool.Close() })
	t := New(cfg, c, Owner{}, root)
	if err := t.Iter(bg, nil, nil, func(k, v []byte) bool { return true }); err != nil {
		b.Fatal(err)
	}
	return t, s
}

// BenchmarkGetPages looks up keys that are on media and in the cache.
func BenchmarkGetPages(b *testing.B) {
	t, _ := benchTree(b)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	defer func() { b.ReportMetric((cpuTime()-cpu)/float64(b.N), "cpu-ns/op") }()
	b.RunParallel(func(pb *testing.PB) {
		key, buf := make([]byte, 0, 64), make([]byte, 0, 64)
		n := rand.Uint64()
		for pb.Next() {
			n++
			if _, ok, err := t.Get(bg, benchKey(key, mix(n)%benchKeys), buf); !ok || err != nil {
				b.Error(ok, err)
				return
			}
		}
	})
}

// BenchmarkIter walks pages, without and with a delta over them; per key.
func BenchmarkIter(b *testing.B) {
	t, _ := benchTree(b)
	for _, name := range []string{"pages", "delta"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			cpu := cpuTime()
			defer func() { b.ReportMetric((cpuTime()-cpu)/float64(b.N), "cpu-ns/op") }()
			for n := 0; n < b.N; {
				if err := t.Iter(bg, nil, nil, func(k, v []byte) bool { n++; return n < b.N }); err != nil {
					b.Fatal(err)
				}
			}
		})
		for i := range uint64(benchKeys / 10) {
			t.Put(benchKey(nil, i*10), []byte("new"))
		}
	}
}

// BenchmarkBulk loads sorted items; per key.
func BenchmarkBulk(b *testing.B) {
	s := NewMemStore()
	bl := Bulk(bg, &Config{Name: "bench", Kind: 1}, &Owner{}, nullSink{s})
	key, val := make([]byte, 0, 64), make([]byte, 32)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	for i := range b.N {
		if err := bl.Add(benchKey(key, uint64(i)), val); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := bl.Finish(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric((cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mkeys/s")
}

// nullSink keeps nothing.
type nullSink struct{ *MemStore }

func (nullSink) Write(uint64, []byte) error  { return nil }
func (nullSink) Alloc(n int) (uint64, error) { return 1, nil }
func (nullSink) Free(uint64, int)            {}

// BenchmarkReconcile merges 50,000 random updates of 2^20 keys; per update.
func BenchmarkReconcile(b *testing.B) {
	t, s := benchTree(b)
	val := make([]byte, 32)
	n, cpu := uint64(0), 0.0
	const batch = 50000
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += batch {
		b.StopTimer()
		for range batch {
			n++
			t.Put(benchKey(nil, mix(n)%benchKeys), val)
		}
		t.Freeze()
		s.NextEpoch()
		b.StartTimer()
		start := cpuTime()
		root, err := t.Reconcile(bg, s)
		if err != nil {
			b.Fatal(err)
		}
		cpu += cpuTime() - start
		b.StopTimer()
		t.Publish(root)
		s.Settle()
		if err := t.Iter(bg, nil, nil, func(k, v []byte) bool { return true }); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(cpu/float64((b.N+batch-1)/batch*batch), "cpu-ns/op")
}

// BenchmarkDeltaRangeDelete clears all but twenty of a million entries.
func BenchmarkDeltaRangeDelete(b *testing.B) {
	tree := New(&Config{Name: "million"}, NewMemStore(), Owner{}, Root{Kind: RootInline, Count: 1})
	const n = 1000000
	for i := range uint64(n) {
		tree.Put(benchKey(nil, i), []byte("0123456789"))
	}
	keep := tree.active
	lo, hi := benchKey(nil, 10), benchKey(nil, n-10)
	b.ResetTimer()
	for b.Loop() {
		tree.active = keep.clone()
		tree.DeleteRange(lo, hi)
	}
}

// BenchmarkPutMillion puts a million keys into one tree, in order and at random.
func BenchmarkPutMillion(b *testing.B) {
	val := make([]byte, 32)
	for _, name := range []string{"ordered", "random"} {
		b.Run(name, func(b *testing.B) {
			key := make([]byte, 0, 64)
			cpu := cpuTime()
			var t *Tree
			for i := range b.N {
				if i%1000000 == 0 {
					t = New(&Config{Name: "million"}, NewMemStore(), Owner{}, Root{})
				}
				n := uint64(i)
				if name == "random" {
					n = mix(n)
				}
				t.Put(benchKey(key, n), val)
			}
			b.ReportMetric((cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkTinyTrees puts one entry into a new tree: the cost in RAM of a small
// change of an object.
func BenchmarkTinyTrees(b *testing.B) {
	cfg := &Config{Name: "attrs", InlineBytes: 1024}
	s := NewMemStore()
	b.ReportAllocs()
	key, val := []byte("user.attribute"), make([]byte, 24)
	for b.Loop() {
		t := New(cfg, s, Owner{ID: 1}, Root{})
		t.Put(key, val)
	}
}
