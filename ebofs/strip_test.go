package ebofs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs/wal"
)

var errBroken = errors.New("broken")

// stripStore is a store whose small data goes straight to its place, with an object of
// 256 KiB; hook sees every write of data.
func stripStore(t *testing.T, o Options, hook func() error) (*Store, *devices.Mem) {
	t.Helper()
	var s *Store
	mem := devices.NewMem(devices.MemOptions{Blocks: 64 << 20 / blockSize, Hook: func(_ context.Context, op devices.Op, b devices.Block, _ uint64) error {
		if s != nil && op == devices.OpWrite && uint64(b) >= s.place.ZoneStart {
			return hook()
		}
		return nil
	}})
	o.DirectFrom = 1
	s = newStore(t, mem, FormatOptions{}, o)
	apply(t, s, func(x *Txn) { x.Write(mainColl, oid("a"), 0, bytes.Repeat([]byte("old "), 64<<10)) })
	return s, mem
}

// TestStripReads: what is not on the device yet is read all the same, alone and amid
// blocks that are.
func TestStripReads(t *testing.T) {
	var held atomic.Bool
	entered, pass := make(chan struct{}, 1), make(chan struct{})
	s, _ := stripStore(t, quiet(), func() error {
		if held.Load() {
			entered <- struct{}{}
			<-pass
		}
		return nil
	})
	defer closeStore(t, s)
	want := bytes.Repeat([]byte("old "), 64<<10)
	check := func(when string) {
		t.Helper()
		for _, r := range [][2]int{{0, len(want)}, {7 * blockSize, blockSize}, {6*blockSize + 100, 2 * blockSize}, {7*blockSize + 9, 50}} {
			p := make([]byte, r[1])
			if _, err := s.Read(bg, mainColl, oid("a"), uint64(r[0]), p); err != nil || !bytes.Equal(p, want[r[0]:r[0]+r[1]]) {
				t.Errorf("%s: %d bytes at %d read differently: %v", when, r[1], r[0], err)
			}
		}
	}
	held.Store(true)
	x := NewTxn()
	for _, blk := range []int{7, 20, 21, 40} {
		q := want[blk*blockSize : (blk+1)*blockSize]
		copy(q, bytes.Repeat([]byte{byte(blk)}, blockSize))
		x.Write(mainColl, oid("a"), uint64(blk)*blockSize, q)
	}
	if err := s.Queue(bg, x, nil, func(error) {}); err != nil {
		t.Fatal(err)
	}
	<-entered
	if n := s.strips.aboard.Load(); n != 3 { // 21 follows 20: it is in the log
		t.Errorf("%d blocks aboard, want 3", n)
	}
	check("on its way")
	held.Store(false)
	close(pass)
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	if n := s.strips.aboard.Load(); n != 0 {
		t.Errorf("%d blocks aboard after a commit", n)
	}
	check("committed")
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	check("checkpointed")
	if n := len(s.strips.all); n != 0 {
		t.Errorf("%d strips after a checkpoint", n)
	}
}

// TestStripFails: a write of small data that fails stops the store; nothing of the
// transaction is there after the next mount.
func TestStripFails(t *testing.T) {
	var broken atomic.Bool
	s, mem := stripStore(t, quiet(), func() error {
		if broken.Load() {
			return errBroken
		}
		return nil
	})
	broken.Store(true)
	x := NewTxn()
	x.Write(mainColl, oid("a"), 4*blockSize, bytes.Repeat([]byte("new "), blockSize/4))
	x.SetAttr(mainColl, oid("a"), "n", []byte("v"))
	if err := s.Apply(bg, x); !errors.Is(err, errBroken) {
		t.Fatalf("a write that failed: %v", err)
	}
	x.Reset()
	x.Touch(mainColl, oid("b"))
	if err := s.Apply(bg, x); !errors.Is(err, ErrReadOnly) {
		t.Fatalf("afterwards: %v", err)
	}
	s.Abandon()
	broken.Store(false)
	s = open(t, mem, quiet())
	defer closeStore(t, s)
	p := make([]byte, blockSize)
	if _, err := s.Read(bg, mainColl, oid("a"), 4*blockSize, p); err != nil || !bytes.HasPrefix(p, []byte("old old ")) {
		t.Errorf("after a mount %q, %v", p[:8], err)
	}
	if attrs, err := s.GetAttrs(bg, mainColl, oid("a")); err != nil || len(attrs) != 0 {
		t.Errorf("after a mount %d attributes, %v", len(attrs), err)
	}
}

// TestStripRefused: a refused transaction gives its berths back, a checkpoint what
// nobody took.
func TestStripRefused(t *testing.T) {
	s, _ := stripStore(t, Options{Inline: true}, func() error { return nil })
	defer closeStore(t, s)
	free := s.space.counts().free
	for what, spoil := range map[string]func(x *Txn){
		"by an operation": func(x *Txn) { x.Remove(mainColl, oid("none")) },
		"for its length":  func(x *Txn) { x.SetAttr(mainColl, oid("a"), "n", make([]byte, 4<<20)) },
	} {
		x := NewTxn()
		x.Write(mainColl, oid("a"), 9*blockSize, make([]byte, 2*blockSize))
		spoil(x)
		if err := s.Apply(bg, x); err == nil {
			t.Fatalf("refused %s: it is not", what)
		}
		if n := s.strips.aboard.Load(); n != 0 {
			t.Errorf("refused %s: %d blocks aboard", what, n)
		}
	}
	if s.strips.open == nil {
		t.Error("no strip was opened")
	}
	s.endStrip()
	if n := s.space.counts().free; n != free || len(s.strips.all) != 0 {
		t.Errorf("%d blocks free, %d before; %d strips", n, free, len(s.strips.all))
	}
	if got := s.space.tokens; got != (spaceTokens{}) && got.data != 0 {
		t.Errorf("%d blocks are still promised", got.data)
	}
}

// TestStripsBounded: who does not wait for commits, while the device is slow, fills no
// more memory with strips than their share; the rest is in the log.
func TestStripsBounded(t *testing.T) {
	var held atomic.Bool
	pass := make(chan struct{})
	o := quiet()
	o.MemoryBytes = minMemory
	s, _ := stripStore(t, o, func() error {
		if held.Load() {
			<-pass
		}
		return nil
	})
	held.Store(true)
	const n, blocks = 80, 15
	for i := range n {
		x := NewTxn()
		x.Write(mainColl, oid(fmt.Sprint("o", i)), 0, bytes.Repeat([]byte{byte(i)}, blocks*blockSize))
		if err := s.Queue(bg, x, nil, func(error) {}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.strips.count(); got != stripsLeast {
		t.Errorf("%d strips with %d blocks aboard", got, s.strips.aboard.Load())
	}
	held.Store(false)
	close(pass)
	defer closeStore(t, s)
	p := make([]byte, blocks*blockSize)
	for i := range n {
		if _, err := s.Read(bg, mainColl, oid(fmt.Sprint("o", i)), 0, p); err != nil || p[0] != byte(i) || p[len(p)-1] != byte(i) {
			t.Fatalf("object %d: %v", i, err)
		}
	}
}

// TestStripFull: a strip takes no room that others need, on a store filled to the end.
func TestStripFull(t *testing.T) {
	s, _ := stripStore(t, Options{Inline: true}, func() error { return nil })
	defer closeStore(t, s)
	n := 0
	for ; ; n++ {
		x := NewTxn()
		x.Write(mainColl, oid(fmt.Sprint("o", n)), 0, bytes.Repeat([]byte{byte(n)}, 8*blockSize))
		if err := s.Apply(bg, x); errors.Is(err, ErrNoSpace) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	apply(t, s, func(x *Txn) { x.Remove(mainColl, oid("a")) })
	for i := range n {
		p := make([]byte, 8*blockSize)
		if _, err := s.Read(bg, mainColl, oid(fmt.Sprint("o", i)), 0, p); err != nil || p[0] != byte(i) || p[len(p)-1] != byte(i) {
			t.Fatalf("object %d of %d: %v", i, n, err)
		}
	}
}

// TestStripAgain: blocks of a strip that came back are given out again while others of
// it are still aboard. What is read, written and forgotten there is the new strip's.
func TestStripAgain(t *testing.T) {
	s, mem := stripStore(t, Options{Inline: true}, func() error { return nil })
	defer closeStore(t, s)
	data := func(b byte) []byte { return bytes.Repeat([]byte{b}, blockSize) }
	var slow, refused, p pass
	s.berth(&slow, data(1))
	s.berth(&refused, data(2))
	again := refused.placed[0].Start
	s.refuse(&refused)
	s.endStrip()
	for s.berth(&p, data(3)); p.placed[0].Start != again; s.berth(&p, data(3)) {
		if err := s.land(bg, p.beside); err != nil {
			t.Fatal(err)
		}
		p = pass{}
	}
	got := make([]byte, blockSize)
	read := func(pp *pass) byte {
		if err := s.readMain(bg, pp.spots[0].addr, got); err != nil {
			t.Fatal(err)
		}
		return got[0]
	}
	if b := read(&p); b != 3 {
		t.Errorf("aboard, %d is read, want 3", b)
	}
	if err := s.land(bg, append([]wal.Beside(nil), p.beside...)); err != nil {
		t.Fatal(err)
	}
	if err := mem.Read(bg, devices.Block(again), devices.Vec{got}); err != nil || got[0] != 3 {
		t.Errorf("%d was written, want 3: %v", got[0], err)
	}
	if b := read(&slow); b != 1 {
		t.Errorf("of the old strip %d is read, want 1", b)
	}
	s.refuse(&slow)
	if n := s.strips.aboard.Load(); n != 0 || len(s.strips.all) != 1 {
		t.Errorf("%d blocks aboard, %d strips", n, len(s.strips.all))
	}
	p.beside = nil
	s.refuse(&p)
}

// TestStripAmid: what a strip holds amid other blocks breaks a read in two, and a read
// ahead, which does not want it, not at all.
func TestStripAmid(t *testing.T) {
	reads := 0
	mem := devices.NewMem(devices.MemOptions{Blocks: 64 << 20 / blockSize, Hook: func(_ context.Context, op devices.Op, _ devices.Block, _ uint64) error {
		if op == devices.OpRead {
			reads++
		}
		return nil
	}})
	s := newStore(t, mem, FormatOptions{}, Options{Inline: true, DirectFrom: 1})
	defer closeStore(t, s)
	var ps [9]pass
	want := make([]byte, len(ps)*blockSize)
	var list []wanted
	for i := range ps {
		data := want[i*blockSize:][:blockSize]
		data[0] = byte(i)
		at := s.berth(&ps[i], data)[0]
		defer s.refuse(&ps[i])
		if i == 4 {
			continue
		}
		if err := s.land(bg, ps[i].beside); err != nil {
			t.Fatal(err)
		}
		ps[i].beside = nil
		list = append(list, wanted{at.addr, at.crc[0]})
	}
	got := make([]byte, len(want))
	reads = 0
	if err := s.readMain(bg, list[0].addr, got); err != nil || !bytes.Equal(got, want) || reads != 2 {
		t.Errorf("%d reads, want 2: %v", reads, err)
	}
	reads = 0
	s.readWanted(bg, list)
	if reads != 1 {
		t.Errorf("%d reads ahead, want 1", reads)
	}
	for _, w := range list {
		if !s.data.Has(uint64(w.addr), w.crc) {
			t.Errorf("block %v was not read ahead", w.addr)
		}
	}
}

// TestTrail: rows of small writes, and what is overwritten soon, go into the log; what
// is scattered, and whole blocks only, to its place.
func TestTrail(t *testing.T) {
	s, _ := stripStore(t, quiet(), func() error { return nil })
	defer closeStore(t, s)
	for _, c := range []struct {
		what     string
		name     string
		off, len int
		direct   int64
	}{
		{"scattered", "a", 5 * blockSize, blockSize, blockSize},
		{"scattered, three blocks", "a", 30 * blockSize, 3 * blockSize, 3 * blockSize},
		{"behind it", "a", 33 * blockSize, blockSize, 0},
		{"behind that", "a", 34 * blockSize, 2 * blockSize, 0},
		{"once more", "a", 5 * blockSize, blockSize, 0},
		{"another object", "b", 5 * blockSize, blockSize, blockSize},
		{"part of a block", "a", 50*blockSize + 1, blockSize - 1, 0},
		{"across blocks", "a", 50*blockSize - 1, blockSize, 0},
	} {
		before := s.Metrics().Written[WriteDirect]
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid(c.name), uint64(c.off), make([]byte, c.len)) })
		if got := s.Metrics().Written[WriteDirect] - before; got != c.direct {
			t.Errorf("%s: %d bytes direct, want %d", c.what, got, c.direct)
		}
	}
}
