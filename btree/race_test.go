package btree

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"ebofs/devices"
)

// cacheSink is a MemStore whose writes enter a cache too, most of them.
type cacheSink struct {
	*MemStore
	c *Cache
}

func (s cacheSink) Write(addr uint64, page []byte) error {
	if err := s.MemStore.Write(addr, page); err != nil {
		return err
	}
	if addr%3 != 0 { // some pages have to be read back
		s.c.Insert(addr, page)
	}
	return nil
}

// TestConcurrent runs four writers with keys of their own, two iterators, a
// snapshot reader and a checkpointer that writes over old pages at once, on a
// cache that holds a fraction of the tree.
func TestConcurrent(t *testing.T) {
	const writers, keys = 4, 400
	rounds := 2000
	if testing.Short() {
		rounds = 500
	}
	cfg := &Config{Name: "race", Kind: 3, FSID: 9, LeafBytes: 4096, InnerBytes: 4096, InlineBytes: 512, OverflowBytes: 600}
	s := NewMemStore()
	pool := devices.NewPool(devices.PoolOptions{})
	c := NewCache(&memReader{s: s}, pool, 64<<10)
	sink := cacheSink{s, c}
	tree := New(cfg, c, Owner{ID: 1}, Root{})
	var stop atomic.Bool
	var work, watch sync.WaitGroup
	final := make([]map[string]string, writers)
	fail := func(format string, args ...any) {
		t.Errorf(format, args...)
		stop.Store(true)
	}
	for w := range writers {
		work.Add(1)
		go func() {
			defer work.Done()
			rnd := rand.New(rand.NewPCG(uint64(w), 7))
			want := map[string]string{}
			final[w] = want
			key := func(n int) []byte { return fmt.Appendf(nil, "%d/%04d", w, n) }
			var buf []byte
			for i := range rounds {
				if stop.Load() {
					return
				}
				n := rnd.IntN(keys)
				k := key(n)
				switch op := rnd.IntN(20); {
				case op < 9:
					v := append(bytes.Repeat([]byte{'.'}, rnd.IntN(2)*rnd.IntN(900)), k...)
					tree.Put(k, v)
					want[string(k)] = string(v)
				case op < 12:
					tree.Delete(k)
					delete(want, string(k))
				case op == 12 && i%10 == 0:
					hi := key(n + rnd.IntN(100))
					tree.DeleteRange(k, hi)
					for x := range want {
						if x >= string(k) && x < string(hi) {
							delete(want, x)
						}
					}
				default:
					v, ok, err := tree.Get(bg, k, buf)
					x, has := want[string(k)]
					if err != nil || ok != has || string(v) != x {
						fail("writer %d round %d: get %q = %q, %v, %v, want %q, %v", w, i, k, v, ok, err, x, has)
						return
					}
					buf = v[:0]
				}
			}
		}()
	}
	for r := range 2 {
		watch.Add(1)
		go func() {
			defer watch.Done()
			var last []byte
			for i := 0; !stop.Load(); i++ {
				last = last[:0]
				bad := false
				see := func(k, v []byte) bool {
					order := bytes.Compare(last, k)
					if r == 1 {
						order = -order
					}
					if len(last) > 0 && order >= 0 || !bytes.HasSuffix(v, k) {
						fail("iterator %d: %q=%q after %q", r, k, v, last)
						bad = true
					}
					last = append(last[:0], k...)
					return !bad
				}
				var err error
				if r == 0 {
					err = tree.Iter(bg, nil, nil, see)
				} else {
					cur := tree.Cursor([]byte("1"), []byte("3"), true)
					for cur.Next(bg) && see(cur.Key(), cur.Value()) {
					}
					err = cur.Err()
					cur.Close()
				}
				if err != nil {
					fail("iterator %d: %v", r, err)
				}
			}
		}()
	}
	expired := 0
	watch.Add(2)
	go func() { // snapshots
		defer watch.Done()
		for !stop.Load() {
			sn := tree.Snapshot()
			var sums [2]int
			var err error
			for i := range sums {
				if err == nil {
					err = sn.Iter(bg, nil, nil, func(k, v []byte) bool {
						for _, b := range k {
							sums[i] = sums[i]*31 + int(b)
						}
						sums[i] += len(v)
						return true
					})
				}
			}
			sn.Close()
			switch {
			case errors.Is(err, ErrSnapshotExpired):
				expired++
			case err != nil:
				fail("snapshot: %v", err)
			case sums[0] != sums[1]:
				fail("a snapshot changed")
			}
		}
	}()
	checkpoint := func() {
		s.NextEpoch()
		tree.Freeze()
		tree.PutFrozen([]byte("z/frozen"), []byte("z/frozen"))
		root, err := tree.Reconcile(bg, sink)
		if err != nil {
			fail("reconcile: %v", err)
			return
		}
		tree.Publish(root)
		s.Settle()
	}
	checkpoints := 0
	go func() {
		defer watch.Done()
		for !stop.Load() {
			checkpoint()
			checkpoints++
		}
	}()
	work.Wait()
	stop.Store(true)
	watch.Wait()
	checkpoint()
	want := map[string]string{"z/frozen": "z/frozen"}
	for _, f := range final {
		for k, v := range f {
			want[k] = v
		}
	}
	err := tree.Iter(bg, nil, nil, func(k, v []byte) bool {
		if want[string(k)] != string(v) {
			t.Errorf("at the end %q=%q, want %q", k, v, want[string(k)])
		}
		delete(want, string(k))
		return true
	})
	if err != nil || len(want) != 0 {
		t.Errorf("at the end %d keys are missing, %v", len(want), err)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	if st := c.Stats(); st.Pinned != 0 {
		t.Errorf("pages stay pinned: %+v", st)
	}
	t.Logf("%d checkpoints, %d snapshots expired, %+v", checkpoints, expired, c.Stats())
	c.Clear()
	if n, _ := pool.InUse(); n != 0 {
		t.Errorf("%d frames leaked", n)
	}
}
