package ebofs

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"ebofs/devices"
	"ebofs/internal/invariants"
)

// TestShares reads cold objects whose tree is as large as the memory for frames, then
// the same blocks again and again beside them, then writes: pages, object data and
// dirty data get what they have use of, and never more than all.
func TestShares(t *testing.T) {
	if testing.Short() && invariants.Enabled {
		t.Skip("takes half a minute")
	}
	const memory, small, large = minMemory, 24 << 10, 8 << 20
	ctx := context.Background()
	dev := devices.NewMem(devices.MemOptions{Blocks: 512 << 20 / blockSize})
	if _, err := Format(ctx, dev, FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	open := func() *Store {
		s, err := Open(ctx, dev, Options{MemoryBytes: memory, heapBytes: func() int64 { return memory / 2 }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	name := func(i int) ObjectID { return NewObjectID(1, fmt.Sprint(i)) }
	s := open()
	body := bytes.Repeat([]byte{1}, inlineBytes) // lies in the tree
	apply(t, s, func(x *Txn) { x.MkColl("c", CollSpec{Shard: -1, Pool: 1}) })
	for i := 0; i < small; i += 256 {
		apply(t, s, func(x *Txn) {
			for j := range 256 {
				x.Write("c", name(i+j), 0, body)
			}
		})
	}
	hot := NewObjectID(1, "hot")
	apply(t, s, func(x *Txn) { x.Write("c", hot, 0, bytes.Repeat([]byte{2}, large)) })
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}

	s = open()
	defer func() {
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	p := make([]byte, blockSize)
	rnd := rand.New(rand.NewPCG(1, 2))
	read := func(id ObjectID, off int, want byte) {
		t.Helper()
		if n, err := s.Read(ctx, "c", id, uint64(off), p); err != nil || n == 0 || p[0] != want || p[n-1] != want {
			t.Fatalf("%d bytes of %d, %v, want %d", n, p[0], err, want)
		}
	}
	look := func(when string) (pages, data, dirty int64) {
		t.Helper()
		s.shares.mu.Lock()
		defer s.shares.mu.Unlock()
		pages, data, dirty = s.pages.Stats().Bytes, s.data.Stats().Bytes, s.shares.dirty
		if sum := pages + data + dirty; sum > s.shares.total {
			t.Fatalf("%s: %d bytes of pages, %d of data, %d dirty, together more than %d", when, pages, data, dirty, s.shares.total)
		}
		return pages, data, dirty
	}
	for range 2 * small {
		read(name(rnd.IntN(small)), 0, 1)
	}
	for off := 0; off < large; off += blockSize {
		read(hot, off, 2)
		read(name(rnd.IntN(small)), 0, 1)
	}
	if pages, data, _ := look("cold"); data > s.shares.least || pages < s.shares.total*3/4 {
		t.Fatalf("cold: pages have %d, data %d of %d bytes", pages, data, s.shares.total)
	}
	for i := range 16 * large / blockSize {
		read(hot, rnd.IntN(large/blockSize)*blockSize, 2)
		if i%16 == 0 {
			read(name(rnd.IntN(small)), 0, 1)
		}
	}
	if _, data, _ := look("hot"); data < large/2 {
		t.Fatalf("data read again and again has %d of its %d bytes in RAM", data, large)
	}
	for i := 0; i < 8<<20; i += 64 << 10 {
		apply(t, s, func(x *Txn) { x.Write("c", NewObjectID(1, "new"), uint64(i), bytes.Repeat([]byte{3}, 4096)) })
		for range 8 {
			read(name(rnd.IntN(small)), 0, 1)
		}
	}
	if _, _, dirty := look("dirty"); dirty == 0 {
		t.Fatal("dirty data is nobody's")
	}
}
