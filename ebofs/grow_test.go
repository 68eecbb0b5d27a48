package ebofs

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"ebofs/allocator"
	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/ebofs/layout"
)

const mib = 1 << 20

// pattern is the content of object i in round n.
func pattern(i, n, bytes int) []byte {
	p := make([]byte, bytes)
	for k := range p {
		p[k] = byte(k>>8 ^ k ^ i*7 ^ n*13)
	}
	return p
}

func growObject(i int) ObjectID { return oid(fmt.Sprintf("grown-%03d", i)) }

// content returns an object of up to 1 MiB.
func content(s *Store, o ObjectID) ([]byte, error) {
	p := make([]byte, 1<<20)
	n, err := s.Read(bg, mainColl, o, 0, p)
	return p[:n], err
}

// TestGrowBusy lets a store grow in small steps, with a short last zone at each, while
// others write, read and remove.
func TestGrowBusy(t *testing.T) {
	mem := newMem(160)
	s := newStore(t, mem, FormatOptions{SizeBytes: 40 * mib, LogBytes: 4 * mib}, Options{})
	stop := make(chan bool)
	var wg, first sync.WaitGroup
	last := make([]int, 6)
	first.Add(len(last))
	for w := range last {
		wg.Go(func() {
			var begun sync.Once
			defer begun.Do(first.Done)
			for n := 1; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				x := NewTxn()
				x.Write(mainColl, growObject(w), 0, pattern(w, n, 200<<10+w*777))
				if err := s.Apply(bg, x); err != nil {
					t.Error(err)
					return
				}
				last[w] = n
				begun.Do(first.Done)
				if got, err := content(s, growObject(w)); err != nil || !bytes.Equal(got, pattern(w, n, len(got))) {
					t.Errorf("object %d: %v", w, err)
					return
				}
			}
		})
	}
	first.Wait()
	steps := 0
	for size := uint64(48*mib + 300<<10); size < 160*mib; size += 9*mib + 68<<10 {
		r, err := s.Grow(bg, size)
		if err != nil {
			t.Fatal(err)
		}
		st, err := s.Statfs()
		if err != nil || st.Total != (r.To.ZoneEnd-r.To.ZoneStart)*blockSize {
			t.Fatalf("%+v, %v: want %d blocks", st, err, r.To.ZoneEnd-r.To.ZoneStart)
		}
		steps++
	}
	close(stop)
	wg.Wait()
	if _, err := s.Grow(bg, 0); !errors.Is(err, layout.ErrNoGain) {
		if err != nil {
			t.Fatal(err)
		}
		steps++
	}
	if steps < 10 || t.Failed() {
		t.Fatalf("%d steps", steps)
	}
	// All that was gained can be filled, and is there after a mount.
	filled := 0
	for ; ; filled++ {
		x := NewTxn()
		x.Write(mainColl, oid(fmt.Sprintf("fill-%d", filled)), 0, pattern(filled, 0, 1<<20))
		if err := s.Apply(bg, x); errors.Is(err, ErrNoSpace) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if filled < 100 {
		t.Errorf("only %d MiB fitted", filled)
	}
	closeStore(t, s)
	fsck(t, mem)
	s = open(t, mem, Options{Inline: true})
	for w, n := range last {
		if got, err := content(s, growObject(w)); err != nil || !bytes.Equal(got, pattern(w, n, 200<<10+w*777)) {
			t.Errorf("object %d: %d bytes, %v", w, len(got), err)
		}
	}
	closeStore(t, s)
}

// TestGrowRefuses: what cannot be is refused with nothing written.
func TestGrowRefuses(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{SizeBytes: 40 * mib, LogBytes: 4 * mib}, Options{Inline: true})
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	before := mem.Hash()
	for _, c := range []struct {
		size uint64
		want error
	}{
		{39 * mib, layout.ErrInvalid}, {40 * mib, layout.ErrNoGain}, {41 * mib, layout.ErrNoGain}, {44 * mib, layout.ErrNoGain}, {65 * mib, ErrInvalid}, {1 << 50, ErrInvalid},
	} {
		if _, err := s.Grow(bg, c.size); !errors.Is(err, c.want) {
			t.Errorf("%d MiB: %v, want %v", c.size/mib, err, c.want)
		}
	}
	if mem.Hash() != before {
		t.Error("a refused grow wrote something")
	}
	closeStore(t, s)
	if _, err := s.Grow(bg, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	s = open(t, mem, Options{Inline: true, ReadOnly: true})
	if _, err := s.Grow(bg, 0); !errors.Is(err, ErrReadOnly) {
		t.Errorf("read-only: %v", err)
	}
	closeStore(t, s)

	// Its zone table would not fit a zone.
	far := devices.NewMem(devices.MemOptions{Blocks: 1 << 40 / blockSize})
	s = newStore(t, far, FormatOptions{SizeBytes: 32 * mib, LogBytes: 4 * mib}, Options{Inline: true})
	if _, err := s.Grow(bg, 0); !errors.Is(err, layout.ErrInvalid) {
		t.Errorf("32 MiB to 1 TiB: %v", err)
	}
	if _, err := s.Grow(bg, 3<<30); err != nil {
		t.Errorf("32 MiB to 3 GiB: %v", err)
	}
	closeStore(t, s)
	if r := fsck(t, far); r.Counts.Objects != 0 {
		t.Errorf("%+v", r.Counts)
	}
}

// TestGrowFull: a store without a free block grows, once and again.
func TestGrowFull(t *testing.T) {
	mem := newMem(128)
	s := newStore(t, mem, FormatOptions{SizeBytes: 33 * mib, LogBytes: 4 * mib}, Options{Inline: true})
	n := 0
	fill := func() {
		t.Helper()
		for size := 1 << 20; size >= 4096; {
			x := NewTxn()
			x.Write(mainColl, growObject(n), 0, pattern(n, 0, size))
			if err := s.Apply(bg, x); errors.Is(err, ErrNoSpace) {
				size /= 4
			} else if err != nil {
				t.Fatal(err)
			} else {
				n++
			}
		}
	}
	for _, size := range []uint64{50 * mib, 127*mib + 4096, 0} {
		fill()
		before := n
		if _, err := s.Grow(bg, size); err != nil && !errors.Is(err, layout.ErrNoGain) {
			t.Fatal(err)
		} else if fill(); (n == before) == (err == nil) {
			t.Errorf("%d objects before the grow, %d after: %v", before, n, err)
		}
	}
	closeStore(t, s)
	fsck(t, mem)
	checkLeaks(t, open(t, mem, Options{Inline: true}), mem)
}

// TestGrowLabels: from below 1 GiB to above 10 GiB the label gets its copies, also
// where one belongs into what was in use as a zone, or as a slot.
func TestGrowLabels(t *testing.T) {
	const gib = 1 << 30
	for _, from := range []uint64{900 * mib, gib + 4*mib, gib + 6*mib, gib + 7*mib, gib + 8*mib, gib + 10*mib, gib + 12*mib} {
		mem := devices.NewMem(devices.MemOptions{Blocks: 11 * gib / blockSize})
		s := newStore(t, mem, FormatOptions{SizeBytes: from, LogBytes: 4 * mib}, Options{Inline: true})
		apply(t, s, func(x *Txn) { x.Write(mainColl, growObject(1), 0, pattern(1, 0, 3*mib)) })
		if _, err := s.Grow(bg, 0); err != nil {
			t.Errorf("from %d MiB: %v", from/mib, err)
		}
		apply(t, s, func(x *Txn) { x.Write(mainColl, growObject(2), 0, pattern(2, 0, 3*mib)) })
		if err := s.Checkpoint(bg); err != nil {
			t.Fatal(err)
		}
		checkLeaks(t, s, mem)
		closeStore(t, s)
		fsck(t, mem)
		f, err := Find(bg, mem)
		if err != nil || len(f.Labels) != 3 {
			t.Fatalf("%d labels, %v", len(f.Labels), err)
		}
		for _, l := range f.Labels {
			if l.Err != nil || l.Label.Blocks != 11*gib/blockSize {
				t.Errorf("from %d MiB: label at %d: %v, %d blocks", from/mib, l.Block, l.Err, l.Label.Blocks)
			}
		}
	}
}

// TestGrowLabelInUse: a block in use where a label copy belongs refuses the grow and
// leaves the store as it was.
func TestGrowLabelInUse(t *testing.T) {
	const gib = 1 << 30
	mem := devices.NewMem(devices.MemOptions{Blocks: 2 * gib / blockSize})
	s := newStore(t, mem, FormatOptions{SizeBytes: gib + 8*mib, LogBytes: 4 * mib}, Options{Inline: true})
	at := uint64(gib+3*mib) / blockSize
	if err := s.takeLabel(bg, at); err != nil { // as somebody's data would
		t.Fatal(err)
	}
	free := s.space.counts()
	if _, err := s.Grow(bg, 0); !errors.Is(err, ErrNoSpace) {
		t.Errorf("grow: %v", err)
	}
	if now := s.space.counts(); now != free {
		t.Errorf("%+v, want %+v", now, free)
	}
	apply(t, s, func(x *Txn) { x.Write(mainColl, growObject(2), 0, pattern(2, 0, 3*mib)) })
	if err := s.space.a.Release(allocator.Extent{Start: at, Blocks: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Grow(bg, 0); err != nil {
		t.Errorf("grow: %v", err)
	}
	closeStore(t, s)
	fsck(t, mem)
}

// TestGrowOverRemains: what another store, or an earlier life of this one, left where
// the new slots and labels come is never taken for ours.
func TestGrowOverRemains(t *testing.T) {
	for name, o := range map[string]FormatOptions{"another store": {}, "the same ids": {UUID: [16]byte{1}, DeviceUUID: [16]byte{2}}} {
		mem := devices.NewMem(devices.MemOptions{Blocks: 1100 * mib / blockSize})
		for range 3 { // some generations
			s := newStore(t, mem, o, Options{Inline: true})
			closeStore(t, s)
		}
		s := newStore(t, mem, FormatOptions{SizeBytes: 40 * mib, LogBytes: 4 * mib, UUID: [16]byte{1}, DeviceUUID: [16]byte{2}}, Options{Inline: true})
		apply(t, s, func(x *Txn) { x.Write(mainColl, growObject(1), 0, pattern(1, 0, 70000)) })
		closeStore(t, s)
		dev := crashdev.New(mem)
		s = open(t, dev, Options{Inline: true})
		if _, err := s.Grow(bg, 0); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n := 0
		for _, p := range dev.Points() {
			for st := range dev.States(p, crashdev.Policy{Limit: 4}) {
				n++
				r := open(t, st.Mem, Options{Inline: true})
				if got, err := content(r, growObject(1)); err != nil || !bytes.Equal(got, pattern(1, 0, 70000)) {
					t.Errorf("%s, %v: %d bytes, %v", name, st, len(got), err)
				}
				closeStore(t, r)
				fsck(t, st.Mem)
			}
		}
		if n < 20 {
			t.Errorf("%d states", n)
		}
		closeStore(t, s)
	}
}

// TestGrowWithoutHead: at every moment of a grow the store is found by its labels and
// the slots near the end alone, and by the slots near the start alone.
func TestGrowWithoutHead(t *testing.T) {
	mem := devices.NewMem(devices.MemOptions{Blocks: 64 * mib / blockSize})
	s := newStore(t, mem, FormatOptions{SizeBytes: 40 * mib, LogBytes: 4 * mib}, Options{Inline: true})
	apply(t, s, func(x *Txn) { x.Write(mainColl, growObject(1), 0, pattern(1, 0, 70000)) })
	closeStore(t, s)
	dev := crashdev.New(mem)
	s = open(t, dev, Options{Inline: true})
	if _, err := s.Grow(bg, 0); err != nil {
		t.Fatal(err)
	}
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	zero := pool.Get(blockSize)
	defer zero.Release()
	clear(zero.Bytes())
	lose := func(mem *devices.Mem, blocks ...uint64) *devices.Mem {
		m := mem.Snapshot()
		for _, b := range blocks {
			if err := m.Write(bg, devices.Block(b), zero.Vec()); err != nil {
				t.Fatal(err)
			}
		}
		return m
	}
	small, large := layout.SlotBlocks(40*mib/blockSize), layout.SlotBlocks(64*mib/blockSize)
	n := 0
	for _, p := range dev.Points() {
		for st := range dev.States(p, crashdev.Policy{Limit: 6}) {
			n++
			for what, m := range map[string]*devices.Mem{
				"head slots": lose(st.Mem, small[0], small[1]),
				"tail slots": lose(st.Mem, small[2], small[3], large[2], large[3]),
				"label":      lose(st.Mem, 0),
			} {
				r, err := Open(bg, m, Options{Inline: true, ReadOnly: true, MemoryBytes: minMemory})
				if err != nil {
					t.Fatalf("%v without %s: %v", st, what, err)
				}
				if got, err := content(r, growObject(1)); err != nil || !bytes.Equal(got, pattern(1, 0, 70000)) {
					t.Errorf("%v without %s: %d bytes, %v", st, what, len(got), err)
				}
				closeStore(t, r)
			}
		}
	}
	if n < 20 {
		t.Errorf("%d states", n)
	}
	closeStore(t, s)
}
