package btree

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"ebofs/devices"
)

// memReader reads pages and overflow runs of a MemStore, and counts.
type memReader struct {
	s     *MemStore
	reads atomic.Int64
	gate  chan struct{} // if not nil: every read waits for a token
	wrong int           // so many reads yet return a flipped bit
}

func (r *memReader) ReadPage(ctx context.Context, addr uint64, blocks int, dst []byte) error {
	r.reads.Add(1)
	if r.gate != nil {
		select {
		case <-r.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	clear(dst)
	if r.wrong > 0 {
		r.wrong--
		defer func() { dst[100] ^= 4 }()
	}
	for at := range blocks { // a read may be of several pages
		for _, m := range []map[uint64][]byte{r.s.nodes, r.s.limbo.nodes, r.s.blobs, r.s.limbo.blobs} {
			if b := m[addr+uint64(at)]; b != nil {
				copy(dst[at*blockBytes:], b)
				break
			}
		}
	}
	return nil // blocks never written read as zeros
}

// newCached returns a filled tree over a cache of budget bytes.
func newCached(t testing.TB, keys int, budget int64) (*Tree, *Cache, *memReader, *MemStore) {
	s := NewMemStore()
	cfg := &Config{Name: "cached", Kind: 9, LeafBytes: 4096, InnerBytes: 4096, OverflowBytes: 1000}
	tree := New(cfg, s, Owner{}, Root{})
	for i := range keys {
		tree.Put(fmt.Appendf(nil, "key/%06d", i*2), fmt.Appendf(nil, "value of %d", i*2))
	}
	tree.Put([]byte("key/big"), make([]byte, 3<<20))
	tree.Freeze()
	root, err := tree.Reconcile(bg, s)
	if err != nil {
		t.Fatal(err)
	}
	r := &memReader{s: s}
	pool := devices.NewPool(devices.PoolOptions{})
	c := NewCache(r, pool, budget)
	t.Cleanup(func() {
		c.Clear()
		if frames, _ := pool.InUse(); frames != 0 {
			t.Errorf("%d frames still in use", frames)
		}
		pool.Close()
	})
	return New(cfg, c, Owner{}, root), c, r, s
}

// TestCacheBudget reads a tree much larger than the cache.
func TestCacheBudget(t *testing.T) {
	const keys, budget = 20000, 256 << 10
	tree, c, _, _ := newCached(t, keys, budget)
	for _, step := range []int{1, 7919} {
		for i := range keys {
			k := i * step % keys * 2
			v, ok, err := tree.Get(bg, fmt.Appendf(nil, "key/%06d", k), nil)
			if err != nil || !ok || string(v) != fmt.Sprintf("value of %d", k) {
				t.Fatalf("get %d = %q, %v, %v", k, v, ok, err)
			}
			if i%50 != 0 {
				continue
			}
			if st := c.Stats(); st.Bytes > budget || st.Pinned != 0 {
				t.Fatalf("after %d gets: %+v", i, st)
			}
		}
	}
	if v, ok, err := tree.Get(bg, []byte("key/big"), nil); err != nil || !ok || len(v) != 3<<20 {
		t.Fatalf("big value: %d bytes, %v, %v", len(v), ok, err)
	}
	if _, ok, known := tree.GetResident([]byte("key/big"), nil); ok || known {
		t.Fatal("an overflow value is called resident")
	}
	st := c.Stats()
	if st.Evicted == 0 || st.Hits == 0 {
		t.Fatalf("nothing was evicted or hit: %+v", st)
	}
	n := 0
	if err := tree.Iter(bg, nil, nil, func(k, v []byte) bool { n++; return true }); err != nil || n != keys+1 {
		t.Fatalf("iter: %d keys, %v", n, err)
	}
}

// TestCacheSetBudget takes memory away from a cache whose pages are in use, and
// gives it back.
func TestCacheSetBudget(t *testing.T) {
	const keys, most, least = 20000, 4 << 20, 128 << 10
	tree, c, r, _ := newCached(t, keys, most)
	check := func(when string) {
		t.Helper()
		n := 0
		err := tree.Iter(bg, nil, []byte("key/b"), func(k, v []byte) bool {
			if string(k) != fmt.Sprintf("key/%06d", 2*n) || string(v) != fmt.Sprintf("value of %d", 2*n) {
				t.Fatalf("%s: key %d is %q, %q", when, n, k, v)
			}
			n++
			return true
		})
		if err != nil || n != keys {
			t.Fatalf("%s: %d keys, %v", when, n, err)
		}
	}
	check("at first")
	whole := c.Stats()
	if whole.Evicted != 0 || whole.Bytes < 2*least {
		t.Fatalf("the tree is no test for %d bytes: %+v", least, whole)
	}
	cur := tree.Cursor(nil, nil, false)
	if !cur.Next(bg) {
		t.Fatal(cur.Err())
	}
	c.SetBudget(least)
	if st := c.Stats(); st.Bytes > least || st.Pinned == 0 || st.Evicted == 0 {
		t.Fatalf("with %d bytes: %+v", least, st)
	}
	cur.Close()
	check("with less")
	if st := c.Stats(); st.Bytes > least {
		t.Fatalf("with %d bytes: %+v", least, st)
	}
	c.SetBudget(most)
	check("with all of it again")
	before := r.reads.Load()
	check("once more")
	if n, st := r.reads.Load()-before, c.Stats(); n != 0 || st.Bytes != whole.Bytes {
		t.Fatalf("%d reads of a tree that fits; %+v, was %+v", n, st, whole)
	}
}

// TestCacheScan checks that a scan leaves no page behind.
func TestCacheScan(t *testing.T) {
	tree, c, _, _ := newCached(t, 5000, 1<<20)
	root := tree.Root()
	items := 0
	v := Visitor{Item: func(k, val []byte, ext []BlobExtent) error { items++; return nil }}
	if err := Walk(bg, c.Scan(), tree.cfg, &tree.own, root, v); err != nil || items != 5001 {
		t.Fatalf("walk: %d items, %v", items, err)
	}
	if st := c.Stats(); st.Pages != 0 {
		t.Fatalf("scan left %+v", st)
	}
	if _, _, known := tree.GetResident([]byte("key/000000"), nil); known {
		t.Fatal("known without I/O in an empty cache")
	}
}

// TestCacheSingleFlight lets many readers miss the same page at once.
func TestCacheSingleFlight(t *testing.T) {
	tree, c, r, _ := newCached(t, 10, 1<<20)
	r.gate = make(chan struct{})
	impatient, cancel := context.WithCancel(bg)
	var wg sync.WaitGroup
	errs := make([]error, 9)
	for i := range errs {
		ctx := bg
		if i == 0 {
			ctx = impatient
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, _, errs[i] = tree.Get(ctx, []byte("key/000002"), nil)
		}()
	}
	for r.reads.Load() == 0 {
		runtime.Gosched()
	}
	cancel()
	close(r.gate)
	wg.Wait()
	for i, err := range errs[1:] {
		if err != nil {
			t.Errorf("reader %d: %v", i+1, err)
		}
	}
	if errs[0] != nil && !errors.Is(errs[0], context.Canceled) {
		t.Errorf("impatient reader: %v", errs[0])
	}
	if n := r.reads.Load(); n > 2 { // a second one only if the first reader was the impatient one
		t.Errorf("%d reads of one page", n)
	}
	if st := c.Stats(); st.Pinned != 0 || st.Pages != 1 {
		t.Errorf("%+v", st)
	}
}

// TestCacheStale puts a new page where an old one was, as after its blocks were
// freed and used again.
func TestCacheStale(t *testing.T) {
	tree, c, _, s := newCached(t, 10, 1<<20)
	root := tree.Root()
	if _, _, err := tree.Get(bg, []byte("key/000002"), nil); err != nil {
		t.Fatal(err)
	}
	newer := root.Ptr
	page, err := s.Load(bg, tree.cfg, &tree.own, root.Ptr)
	if err != nil {
		t.Fatal(err)
	}
	buf := append([]byte(nil), page.buf...)
	buf[32]++ // epoch
	fixCRC(buf)
	s.Corrupt(root.Ptr.Addr, func([]byte) []byte { return buf })
	newer.Epoch++
	newer.CRC = pageCRC(buf)
	if p := c.Resident(newer); p != nil {
		t.Fatal("the older page answers for the newer pointer")
	}
	p, err := c.Load(bg, tree.cfg, &tree.own, newer)
	if err != nil {
		t.Fatalf("load of the newer page: %v", err)
	}
	p.Release()
	if _, err := c.Load(bg, tree.cfg, &tree.own, root.Ptr); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("load by the stale pointer: %v", err)
	}
	c.Drop(root.Ptr.Addr, int(root.Ptr.Blocks))
	if st := c.Stats(); st.Pages != 0 {
		t.Fatalf("dropped, yet %+v", st)
	}
	c.Insert(root.Ptr.Addr, buf)
	if p := c.Resident(newer); p == nil {
		t.Fatal("an inserted page is not resident")
	} else {
		p.Release()
	}
}

// TestCacheReadsAgain has a device answer wrongly once, and always.
func TestCacheReadsAgain(t *testing.T) {
	tree, c, r, _ := newCached(t, 10, 1<<20)
	r.wrong = 1
	if _, ok, err := tree.Get(bg, []byte("key/000002"), nil); !ok || err != nil {
		t.Fatalf("one wrong answer: %v, %v", ok, err)
	}
	c.Clear()
	r.wrong = 1 << 20
	if _, _, err := tree.Get(bg, []byte("key/000002"), nil); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("wrong answers only: %v", err)
	}
	r.wrong = 0
	if st := c.Stats(); st.Pages != 0 {
		t.Fatalf("a bad page was kept: %+v", st)
	}
}

// TestCacheStaleReader has a reader with a stale pointer and one with the right
// one wait for the same blocks: the error of the first is not the second's.
func TestCacheStaleReader(t *testing.T) {
	tree, c, r, s := newCached(t, 10, 1<<20)
	stale := tree.Root().Ptr
	buf := append([]byte(nil), s.Node(stale.Addr)...)
	buf[32]++ // epoch
	fixCRC(buf)
	s.Corrupt(stale.Addr, func([]byte) []byte { return buf })
	newer := stale
	newer.Epoch++
	newer.CRC = pageCRC(buf)
	r.gate = make(chan struct{})
	var wg sync.WaitGroup
	var errs [2]error
	for i, p := range []Ptr{stale, newer} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			page, err := c.Load(bg, tree.cfg, &tree.own, p)
			if errs[i] = err; err == nil {
				page.Release()
			}
		}()
		for r.reads.Load() < int64(i+1) && i == 0 {
			runtime.Gosched()
		}
	}
	close(r.gate)
	wg.Wait()
	if !errors.Is(errs[0], ErrCorrupt) || errs[1] != nil {
		t.Fatalf("stale pointer: %v; right pointer: %v", errs[0], errs[1])
	}
	if p := c.Resident(newer); p == nil {
		t.Fatal("the page is not resident")
	} else {
		p.Release()
	}
}

// TestGetPlaced says where a value lies if it lies in a page, as PlaceResident does.
func TestGetPlaced(t *testing.T) {
	tree, _, _, _ := newCached(t, 2000, 4<<20)
	key := func(i int) []byte { return fmt.Appendf(nil, "key/%06d", i) }
	if _, at, ok, known := tree.GetPlaced(key(0), nil); ok || known || at != (Place{}) {
		t.Errorf("cold: %v, %v, %v", at, ok, known)
	}
	if err := tree.Iter(bg, nil, nil, func(k, v []byte) bool { return true }); err != nil {
		t.Fatal(err)
	}
	for i := range 4000 {
		val, at, ok, known := tree.GetPlaced(key(i), nil)
		want, there := tree.PlaceResident(key(i))
		if !there {
			want = Place{}
		}
		if !known || ok != (i%2 == 0) || at != want || ok && string(val) != fmt.Sprintf("value of %d", i) {
			t.Fatalf("key %d: %q at %v, %v, %v, want it at %v", i, val, at, ok, known, want)
		}
	}
	if _, at, _, known := tree.GetPlaced([]byte("key/big"), nil); known || at != (Place{}) {
		t.Errorf("an overflow value: %v, %v", at, known)
	}
	tree.Put(key(4), []byte("new"))
	if val, at, ok, known := tree.GetPlaced(key(4), nil); string(val) != "new" || at != (Place{}) || !ok || !known {
		t.Errorf("changed: %q at %v, %v, %v", val, at, ok, known)
	}
}
