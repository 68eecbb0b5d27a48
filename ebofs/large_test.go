package ebofs

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"ebofs/devices"
)

// TestLargeFold folds more at once than is kept before it is shown to readers,
// and changes the object on both sides of that line meanwhile.
func TestLargeFold(t *testing.T) {
	const chunks = 36_000 // at about 130 bytes each staged: above 4 MiB
	dev := newGate(devices.NewMem(devices.MemOptions{Blocks: 400 << 20 / blockSize}))
	dev.folds = true
	format(t, dev.Mem, FormatOptions{LogBytes: 32 << 20})
	s := open(t, dev, quiet())
	apply(t, s, func(x *Txn) { x.MkColl(mainColl, mainSpec) })
	id := oid("sparse")
	want := make([]byte, chunks) // first byte of each chunk
	write := func(from, to uint64, v byte) {
		x := NewTxn()
		for k := from; k < to; k++ {
			x.Write(mainColl, id, k*chunkBytes, []byte{v})
			want[k] = v
			if x.Len() == 1000 || k == to-1 {
				if err := s.Queue(bg, x, nil, nil); err != nil {
					t.Fatal(err)
				}
				x.Reset()
			}
		}
	}
	zero := func(from, to uint64) {
		apply(t, s, func(x *Txn) { x.Zero(mainColl, id, from*chunkBytes, (to-from)*chunkBytes) })
		clear(want[from:to])
	}
	rng := rand.New(rand.NewPCG(1, 1))
	check := func(s *Store, what string, every int) {
		t.Helper()
		p := make([]byte, 2)
		for k := rng.IntN(every); k < chunks; k += every {
			n, err := s.Read(bg, mainColl, id, uint64(k)*chunkBytes, p)
			if err != nil || n == 0 || p[0] != want[k] || n > 1 && p[1] != 0 {
				t.Fatalf("%s: chunk %d: %d bytes, %v, %v; want %d", what, k, n, p, err, want[k])
			}
		}
	}
	write(0, chunks, 1)
	for round := range byte(2) {
		hit, open := dev.arm(20)
		done := goes(func() error { return s.Checkpoint(bg) })
		holds := 0
		for running := true; running; {
			select {
			case <-hit:
				holds++
				for range 20 {
					k := rng.Uint64N(chunks - 10)
					write(k, k+1+rng.Uint64N(9), 10*(round+1)+byte(holds))
					k = rng.Uint64N(chunks - 10)
					zero(k, k+1+rng.Uint64N(9))
				}
				check(s, fmt.Sprint("hold ", holds), 97)
				again := open
				hit, open = dev.arm(30)
				close(again)
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				running = false
			}
		}
		dev.disarm()
		if round == 0 && holds < 3 {
			t.Errorf("held %d times only", holds)
		}
		check(s, fmt.Sprint("after checkpoint ", round), 31)
	}
	image := dev.Mem.Snapshot()
	closeStore(t, s)
	s = open(t, image, Options{Inline: true})
	check(s, "after a crash", 7)
	checkSpace(t, s)
	apply(t, s, func(x *Txn) { x.Remove(mainColl, id) })
	closeStore(t, s)
	r := fsck(t, image)
	if r.Counts.DataBlocks != 0 {
		t.Errorf("blocks are left: %+v", r.Counts)
	}
}

// TestManyTrees has one checkpoint save more trees than it publishes at once.
func TestManyTrees(t *testing.T) {
	const n = 5000
	dev := newGate(newMem(128))
	dev.folds = true
	format(t, dev.Mem, FormatOptions{LogBytes: 32 << 20})
	s := open(t, dev, quiet())
	apply(t, s, func(x *Txn) { x.MkColl(mainColl, mainSpec) })
	g := &generator{Rand: rand.New(rand.NewPCG(2, 2))}
	m := model{}
	do := func(ops ...modelOp) {
		t.Helper()
		if err := s.Queue(bg, txnOf(mainColl, ops), nil, nil); err != nil {
			t.Fatal(err)
		}
		m.apply(ops)
	}
	for i := range n {
		name := fmt.Sprint("o", i)
		do(modelOp{code: opSetAttrs, name: name, kv: map[string][]byte{"a": g.bytes(30)}},
			modelOp{code: opOmapSet, name: name, kv: map[string][]byte{"k": g.bytes(30)}})
	}
	for range 3 {
		hit, open := dev.arm(3)
		done := goes(func() error { return s.Checkpoint(bg) })
		for running := true; running; {
			select {
			case <-hit:
				for range 200 {
					name := fmt.Sprint("o", g.IntN(n))
					ops := []modelOp{{code: opOmapSet, name: name, kv: g.pairs("k", 2, 3)}}
					if g.IntN(4) == 0 && m[name] != nil {
						ops = append(ops, modelOp{code: opRemove, name: name})
					} else if g.IntN(4) == 0 {
						ops = append(ops, modelOp{code: opOmapClear, name: name})
					}
					do(ops...)
				}
				again := open
				hit, open = dev.arm(1 + g.IntN(5))
				close(again)
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				running = false
			}
		}
		dev.disarm()
		if err := s.Sync(bg); err != nil {
			t.Fatal(err)
		}
	}
	mustCompare(t, s, m)
	image := dev.Mem.Snapshot()
	closeStore(t, s)
	fsck(t, dev.Mem)
	s = open(t, image, Options{Inline: true})
	mustCompare(t, s, m)
	closeStore(t, s)
}
