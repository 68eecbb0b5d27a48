package ebofs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ebofs/ebofs/layout"
)

// hardStore makes a store with stripes of that many bytes on a device of mib.
func hardStore(t testing.TB, mib uint64, stripe uint32) (*Store, func() *Store) {
	t.Helper()
	hard := true
	dev := newMem(mib)
	opt := Options{Inline: true, MemoryBytes: minMemory, CheckpointInterval: time.Hour}
	s := newStore(t, dev, FormatOptions{StripeBytes: stripe, Hard: &hard}, opt)
	return s, func() *Store {
		closeStore(t, s)
		fsck(t, dev)
		s = open(t, dev, opt)
		return s
	}
}

// owners returns whose every block of data is, as the owners tree has it, by block.
func owners(t testing.TB, s *Store) map[uint64]string {
	t.Helper()
	names, of := make(map[uint64]string), make(map[uint64]string)
	groups := make(map[uint64]layout.OwnerGroup)
	err := s.owners.Iter(bg, nil, nil, func(key, val []byte) bool {
		k, id, err := layout.DecodeOwnerKey(key)
		var g layout.OwnerGroup
		switch {
		case err != nil:
		case id != 0:
			names[id] = string(val)
		default:
			err = layout.DecodeOwnerGroup(val, &g)
			groups[k] = g
		}
		if err != nil {
			t.Error(err)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	for k, g := range groups {
		for i, id := range g.ID {
			if id != 0 {
				of[k*layout.OwnerBlocks+uint64(i)] = fmt.Sprint(objectName(names[id]), " ", g.Block[i])
			}
		}
	}
	return of
}

// checkOwners fails if a block of an object is not entered as its own.
func checkOwners(t testing.TB, s *Store, names ...string) {
	t.Helper()
	of := owners(t, s)
	for _, name := range names {
		id := oid(name)
		o, err := s.onodeOf(bg, id.AppendKey(nil), true)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = o.cur.extents.Iter(bg, nil, nil, func(key, val []byte) bool {
			k, _ := layout.DecodeUint64Key(key)
			var c layout.Chunk
			if err := layout.DecodeChunk(val, &c); err != nil {
				t.Error(err)
			}
			for i, a := range c.Addr {
				want := fmt.Sprint(objectName(o.key), " ", k*layout.ChunkBlocks+uint64(i))
				if a != 0 && of[a.Block()] != want {
					t.Errorf("block %v holds %s, the owners tree says %q", a, want, of[a.Block()])
				}
				if a != 0 {
					n++
				}
			}
			return !t.Failed()
		})
		if err != nil || n == 0 {
			t.Fatalf("%s: %d blocks, %v", name, n, err)
		}
		o.refs.Add(-1)
	}
}

// TestOwners follows blocks of both paths through overwrites, a rename, a clone and
// a removal.
func TestOwners(t *testing.T) {
	s, reopen := hardStore(t, 96, 64<<10)
	rnd := rand.New(rand.NewPCG(1, 1))
	data := func(n int) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rnd.Uint32())
		}
		return p
	}
	write := func(name string, off uint64, p []byte) {
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid(name), off, p) })
	}
	write("a", 0, data(1<<20)) // D
	write("b", 4096, data(40<<10))
	mustCheckpoint(t, s)
	checkOwners(t, s, "a", "b")
	write("a", 64<<10, data(10<<10)) // J over D
	apply(t, s, func(x *Txn) { x.Rename(mainColl, oid("b"), oid("c")) })
	mustCheckpoint(t, s)
	checkOwners(t, s, "a", "c")
	s = reopen()
	checkOwners(t, s, "a", "c")
	apply(t, s, func(x *Txn) { x.Clone(mainColl, oid("a"), oid("d")) })
	write("d", 0, data(300<<10))
	mustCheckpoint(t, s)
	checkOwners(t, s, "a", "c")
	for _, name := range []string{"a", "c", "d"} {
		apply(t, s, func(x *Txn) { x.Remove(mainColl, oid(name)) })
	}
	s = reopen()
	if of := owners(t, s); len(of) != 0 {
		t.Errorf("%d blocks have an owner though there is no object", len(of))
	}
	closeStore(t, s)
}

// TestOwnersLeftovers: a store that becomes empty forgets groups it had no reason to
// look at, as after a crash.
func TestOwnersLeftovers(t *testing.T) {
	s, _ := hardStore(t, 96, 64<<10)
	defer closeStore(t, s)
	apply(t, s, func(x *Txn) { x.Write(mainColl, oid("o"), 0, make([]byte, 5000)) })
	var g layout.OwnerGroup
	g.Set(3, 77, 5)
	for _, k := range []uint64{90, 91} {
		key := layout.GroupKey(k)
		s.owners.Put(key[:], g.Append(nil))
	}
	mustCheckpoint(t, s)
	if n := s.owners.Root().Count; n < 2 {
		t.Fatalf("%d entries, want two groups at least", n)
	}
	apply(t, s, func(x *Txn) { x.Remove(mainColl, oid("o")) })
	for range 3 {
		mustCheckpoint(t, s)
	}
	if n := s.owners.Root().Count; n != 0 {
		t.Errorf("an empty store has %d entries", n)
	}
}

// TestOwnersAnew mounts a store whose owners tree a repair has dropped.
func TestOwnersAnew(t *testing.T) {
	s, reopen := hardStore(t, 96, 64<<10)
	var names []string
	for i := range 2*ownStep + 100 {
		name := fmt.Sprint("o", i)
		names = append(names, name)
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid(name), 0, bytes.Repeat([]byte{byte(i) | 1}, 5000)) })
	}
	mustCheckpoint(t, s)
	// As a repair leaves it: no tree, and no word that there is one.
	s.owners.DeleteRange(nil, nil)
	s.super.Features.Incompat &^= layout.FeatOwnerIndex
	s.cleaner.stuck = true
	apply(t, s, func(x *Txn) { x.Touch(mainColl, oid("x")) })
	s = reopen()
	if len(owners(t, s)) != 0 {
		t.Fatal("the owners tree is still there")
	}
	for i := 0; s.super.Features.Incompat&layout.FeatOwnerIndex == 0; i++ {
		if i == 10 {
			t.Fatal("owners are not found anew")
		}
		apply(t, s, func(x *Txn) { x.Touch(mainColl, oid(fmt.Sprint("y", i))) })
		mustCheckpoint(t, s)
	}
	checkOwners(t, s, names...)
	s = reopen()
	checkOwners(t, s, names...)
	closeStore(t, s)
}
