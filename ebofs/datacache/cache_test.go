package datacache

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"sync"
	"testing"

	"ebofs/devices"

	"pgregory.net/rapid"
)

// cache is what the engine uses of a Cache; the tests hold other caches
// against it.
type cache interface {
	Get(addr uint64, crc uint32, off int, dst []byte) bool
	Put(addr uint64, crc uint32, block []byte)
	Drop(addr uint64, blocks int)
	Close()
}

var _ cache = (*Cache)(nil)

// newPool returns a pool whose frames must all be back when the test ends.
func newPool(t testing.TB) *devices.Pool {
	p := devices.NewPool(devices.PoolOptions{})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func newCache(t testing.TB, budget int64) *Cache {
	c := New(newPool(t), budget)
	t.Cleanup(c.Close)
	return c
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// fill makes b version v of the block at addr and returns its CRC.
func fill(b []byte, addr, v uint64) uint32 {
	rnd := rand.NewPCG(addr, v)
	for i := 0; i < 64; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rnd.Uint64())
	}
	for n := 64; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
	return crc32.Checksum(b, castagnoli)
}

func TestGetParts(t *testing.T) {
	c := newCache(t, 1<<20)
	b, got := make([]byte, devices.BlockSize), make([]byte, devices.BlockSize)
	crc := fill(b, 7, 0)
	c.Put(7, crc, b)
	clear(b) // Put copied it
	fill(b, 7, 0)
	for _, r := range [][2]int{{0, 4096}, {0, 0}, {1, 4095}, {4095, 1}, {4096, 0}, {100, 200}} {
		dst := got[:r[1]]
		clear(dst)
		if !c.Get(7, crc, r[0], dst) || !bytes.Equal(dst, b[r[0]:r[0]+r[1]]) {
			t.Errorf("%d bytes at %d: not what was put", r[1], r[0])
		}
	}
	for _, r := range [][2]int{{-1, 1}, {4097, 0}, {1, 4096}, {4096, 1}} {
		if c.Get(7, crc, r[0], make([]byte, r[1])) {
			t.Errorf("%d bytes at %d: got some", r[1], r[0])
		}
	}
	if c.Get(7, crc+1, 0, got) || c.Get(8, crc, 0, got) {
		t.Error("hit with another CRC or address")
	}
	c.Put(8, crc, b[:100])
	c.Put(8, crc, append(b, 0))
	if c.Get(8, crc, 0, got[:1]) {
		t.Error("kept what is not one block")
	}
}

// TestReusedAddress: a block written anew never hits as the old one, whichever
// was put last, and with or without Drop.
func TestReusedAddress(t *testing.T) {
	c := newCache(t, 1<<20)
	b, got := make([]byte, devices.BlockSize), make([]byte, devices.BlockSize)
	var crc [3]uint32
	for v := range crc {
		crc[v] = fill(b, 1, uint64(v))
		c.Put(1, crc[v], b)
		for w := range crc[:v] {
			if c.Get(1, crc[w], 0, got) {
				t.Fatalf("version %d hits after %d was put", w, v)
			}
		}
		if !c.Get(1, crc[v], 0, got) || !bytes.Equal(got, b) {
			t.Fatalf("version %d is not there", v)
		}
	}
	if s := c.Stats(); s.Blocks != 1 {
		t.Errorf("%d blocks for one address (I2)", s.Blocks)
	}
}

// TestDrop drops ranges of all lengths, up to longer than the cache and to the
// end of the address space.
func TestDrop(t *testing.T) {
	c := newCache(t, 1<<20) // 256 slots
	b := make([]byte, devices.BlockSize)
	for _, start := range []uint64{0, 5, 1<<56 - 100, 1<<64 - 150} {
		for _, n := range []int{-1, 0, 1, 15, 16, 17, 40, 149, 255, 257, 100000, 1 << 62} {
			for i := range uint64(150) {
				c.Put(start+i, 1, b)
			}
			at := start + 3
			c.Drop(at, n)
			for i := range uint64(150) {
				want := i < 3 || int(i) >= 3+n
				if got := c.Get(start+i, 1, 0, b[:1]); got != want {
					t.Fatalf("drop %d~%d: block %d there %v, want %v", at, n, start+i, got, want)
				}
			}
			c.Drop(start, 150)
		}
		if s := c.Stats(); s.Blocks != 0 || s.Evictions != 0 {
			t.Fatalf("%+v, want no block and no eviction", s)
		}
	}
}

// TestBudget fills caches of several budgets beyond their end (I3).
func TestBudget(t *testing.T) {
	b := make([]byte, devices.BlockSize)
	for _, budget := range []int64{-1, 0, chunkBytes - 1, chunkBytes, 3*chunkBytes + 5, 1 << 20, 5 << 20} {
		pool := newPool(t)
		c := New(pool, budget)
		for i := range uint64(3000) {
			c.Put(i, 1, b)
		}
		_, inUse := pool.InUse()
		want := max(budget, 0) / chunkBytes * chunkBytes
		s := c.Stats()
		if inUse != want || s.Bytes != want || int64(s.Blocks)*devices.BlockSize != want {
			t.Errorf("budget %d: %d bytes of frames, %+v, want %d", budget, inUse, s, want)
		}
		if s.Puts-s.Evictions != uint64(s.Blocks) {
			t.Errorf("budget %d: %+v", budget, s)
		}
		c.Close()
		c.Put(1, 1, b)
		c.Drop(1, 1)
		if c.Get(1, 1, 0, b[:1]) {
			t.Error("a closed cache has a block")
		}
		if _, inUse := pool.InUse(); inUse != 0 {
			t.Errorf("budget %d: closed with %d bytes in use", budget, inUse)
		}
		c.Close()
	}
}

// TestScan: blocks in use stay while a scan of any length goes by.
func TestScan(t *testing.T) {
	c := newCache(t, 1<<20) // one shard, 256 slots
	b := make([]byte, devices.BlockSize)
	for i := range uint64(100) {
		c.Put(i, 1, b)
	}
	for i := range uint64(2000) {
		c.Get(i%100, 1, 0, b[:1])
		c.Put(1000+i, 1, b)
	}
	for i := range uint64(100) {
		if !c.Get(i, 1, 0, b[:1]) {
			t.Fatalf("block %d, in use, was evicted by a scan", i)
		}
	}
}

// TestModel compares a cache with a map: what is there is right, and only what
// was evicted or dropped is not.
func TestModel(t *testing.T) {
	b, got := make([]byte, devices.BlockSize), make([]byte, devices.BlockSize)
	pool := newPool(t)
	rapid.Check(t, func(t *rapid.T) {
		c := New(pool, 2*chunkBytes)
		defer c.Close()
		addrs := rapid.Uint64Range(0, 180) // 128 slots
		put := map[uint64]uint64{}         // version by address
		budget, sized := int64(2*chunkBytes), false
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			addr := addrs.Draw(t, "addr")
			switch op := rapid.IntRange(0, 10).Draw(t, "op"); {
			case op < 5:
				v := rapid.Uint64Range(0, 2).Draw(t, "version")
				c.Put(addr, fill(b, addr, v), b)
				put[addr] = v
			case op < 9:
				v := rapid.Uint64Range(0, 2).Draw(t, "version")
				crc := fill(b, addr, v)
				was, ok := put[addr]
				if c.Get(addr, crc, 0, got) {
					if !ok || was != v || !bytes.Equal(got, b) {
						t.Fatalf("block %d version %d hits, put was %d %v (I1)", addr, v, was, ok)
					}
				} else if ok && was == v && !sized && c.Stats().Evictions+c.Stats().Refused == 0 {
					t.Fatalf("block %d version %d is not there and nothing was evicted or refused", addr, v)
				}
			case op < 10:
				n := rapid.IntRange(1, 200).Draw(t, "blocks")
				c.Drop(addr, n)
				for i := range uint64(n) {
					delete(put, addr+i)
				}
			default:
				budget = int64(rapid.IntRange(0, 3).Draw(t, "chunks")) * chunkBytes
				c.SetBudget(budget)
				sized = true
			}
			if s := c.Stats(); s.Bytes > budget || s.Bytes > 2*chunkBytes {
				t.Fatalf("%+v with a budget of %d (I3)", s, budget)
			}
			checkShards(t, c)
		}
	})
}

// TestRuns: neighbours are kept or refused together, in a full cache, too.
func TestRuns(t *testing.T) {
	const blocks, run = 4 * chunkBlocks, 24 // in two shards or one
	c := newCache(t, 4*chunkBytes)
	p, b, got := make([]byte, run*devices.BlockSize), make([]byte, devices.BlockSize), make([]byte, devices.BlockSize)
	put := func(addr uint64) {
		var crc []uint32
		for i := range run {
			crc = append(crc, fill(p[i*devices.BlockSize:][:devices.BlockSize], addr+uint64(i), 0))
		}
		c.PutRun(addr, crc, p)
	}
	hits := func(addr uint64) (n int) {
		for i := range uint64(run) {
			if c.Get(addr+i, fill(b, addr+i, 0), 0, got) {
				if !bytes.Equal(got, b) {
					t.Fatalf("block %d is another one", addr+i)
				}
				n++
			}
		}
		return n
	}
	for addr := uint64(0); addr < 10*blocks; addr += run {
		put(addr)
	}
	if s := c.Stats(); hits(0) != run || s.Blocks != blocks || s.Refused != 10*blocks/run*run+run-blocks {
		t.Fatalf("%d of the first are there: %+v", hits(0), s)
	}
	const addr = 20005
	put(addr)
	if n := hits(addr); n != 0 {
		t.Fatalf("%d came once and are there", n)
	}
	put(addr)
	if n := hits(addr); n != run {
		t.Fatalf("%d of %d are there that came twice", n, run)
	}
}

// TestRefused: what comes once takes no place in a full cache, what comes again
// does, and what was read ahead at once, but only until it was asked for.
func TestRefused(t *testing.T) {
	const blocks = 4 * chunkBlocks
	c := newCache(t, 4*chunkBytes)
	b := make([]byte, devices.BlockSize)
	put := func(addr uint64) { c.Put(addr, fill(b, addr, 0), b) }
	hits := func(from, n uint64) (hits int) {
		for addr := from; addr < from+n; addr++ {
			if c.Get(addr, fill(b, addr, 0), 0, b) {
				hits++
			}
		}
		return hits
	}
	for addr := range uint64(blocks) {
		put(addr)
	}
	for addr := uint64(1000); addr < 1000+10*blocks; addr++ { // a scan
		put(addr)
	}
	if s := c.Stats(); hits(0, blocks) != blocks || s.Refused < 9*blocks {
		t.Fatalf("a scan took places: %+v", s)
	}
	for range 2 {
		for addr := uint64(9000); addr < 9000+blocks/4; addr++ {
			put(addr)
		}
	}
	if n := hits(9000, blocks/4); n < blocks/5 {
		t.Fatalf("%d of %d blocks are there that came twice", n, blocks/4)
	}
	const from = 20000
	for addr := uint64(from); addr < from+16; addr++ {
		c.PutAhead(addr, fill(b, addr, 0), b)
	}
	crc := fill(b, from, 0)
	if !c.Has(from, crc) || !c.Ahead(from, crc) || c.Has(from, crc+1) || c.Has(from+16, crc) {
		t.Fatal("what was read ahead is not there, or something else is")
	}
	if hits(from, 16) != 16 || c.Ahead(from, crc) || !c.Has(from, crc) {
		t.Fatal("what was read ahead does not hit, or is still ahead afterwards")
	}
}

// checkShards counts every list of every shard.
func checkShards(t *rapid.T, c *Cache) {
	for i := range c.shards {
		m := &c.shards[i].mu
		seen := make([]bool, len(m.slots))
		addrs := map[uint64]bool{}
		blocks := 0
		for _, first := range m.buckets {
			for j := first; j != 0; j = m.slots[j-1].next {
				sl := m.slots[j-1]
				if seen[j-1] || addrs[sl.addr] || sl.state == empty {
					t.Fatalf("slot %d %+v is in two lists, double or empty", j-1, sl)
				}
				seen[j-1], addrs[sl.addr] = true, true
				blocks++
			}
		}
		for j := m.free; j != 0; j = m.slots[j-1].next {
			if seen[j-1] || m.slots[j-1].state != empty {
				t.Fatalf("free slot %d %+v is in two lists or not empty", j-1, m.slots[j-1])
			}
			seen[j-1] = true
		}
		for j, ok := range seen {
			if !ok {
				t.Fatalf("slot %d is in no list", j)
			}
		}
		if blocks != m.count.Blocks {
			t.Fatalf("%d blocks, counted %d", m.count.Blocks, blocks)
		}
	}
}

// TestConcurrent reads, writes and drops from several goroutines; the race
// detector and the content check look on.
func TestConcurrent(t *testing.T) {
	c := newCache(t, 2<<20)
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(g, 1))
			b, got := make([]byte, devices.BlockSize), make([]byte, devices.BlockSize)
			for range 3000 {
				addr, v := rnd.Uint64N(1000), rnd.Uint64N(2)
				crc := fill(b, addr, v)
				switch {
				case c.Get(addr, crc, 0, got):
					if !bytes.Equal(got, b) {
						t.Errorf("block %d version %d is wrong (I1)", addr, v)
						return
					}
				case rnd.IntN(50) == 0:
					c.Drop(addr, rnd.IntN(100))
				default:
					c.Put(addr, crc, b)
				}
			}
		})
	}
	wg.Wait()
	if s := c.Stats(); s.Bytes > 2<<20 || s.Hits == 0 || s.Evictions == 0 {
		t.Errorf("%+v", s)
	}
}

func TestNoAllocations(t *testing.T) {
	c := newCache(t, 1<<20)
	b := make([]byte, devices.BlockSize)
	for i := range uint64(300) {
		c.Put(i, 1, b)
	}
	i := uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		c.Get(i, 1, 0, b)
		c.Put(i+300, 1, b)
		c.Drop(i, 2)
		i++
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
