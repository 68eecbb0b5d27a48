package ebofs

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// hooked is a memory device that calls a function before each I/O.
type hooked struct {
	*devices.Mem
	read, write func()
}

func (h *hooked) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	if h.read != nil {
		h.read()
	}
	return h.Mem.Read(ctx, b, v)
}

func (h *hooked) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	if h.write != nil {
		h.write()
	}
	return h.Mem.Write(ctx, b, v)
}

// TestReadOnlyRunsNothing opens a store that was not closed read-only: what was
// replayed must never be checkpointed, however long the store stays open, and
// closing leaves no goroutine.
func TestReadOnlyRunsNothing(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, quiet())
	apply(t, s, func(x *Txn) { x.Touch(mainColl, oid("a")) })
	s.Abandon()
	dev := &hooked{Mem: mem, write: func() { t.Error("write to a store opened read-only") }}
	s = open(t, dev, Options{ReadOnly: true, CheckpointInterval: time.Microsecond})
	if s.dirty.pressure().onodes == 0 {
		t.Fatal("nothing was replayed")
	}
	ran := make(chan struct{})
	go func() { s.bg.Wait(); close(ran) }()
	select {
	case <-ran:
	case <-time.After(5 * time.Second):
		t.Error("a read-only store runs a checkpointer")
	}
	closeStore(t, s)
}

// TestStubKeepsItsOwn changes memory a transaction was given after it was
// applied to an object that is still being loaded.
func TestStubKeepsItsOwn(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, quiet())
	apply(t, s, func(x *Txn) { x.Touch(mainColl, oid("a")) })
	closeStore(t, s)
	dev := newGate(mem)
	s = open(t, dev, quiet())
	defer closeStore(t, s)
	hit, release := dev.arm(0)
	data, val, header := []byte("data"), []byte("value"), []byte("header")
	x := NewTxn()
	x.Write(mainColl, oid("a"), 0, data)
	x.SetAttr(mainColl, oid("a"), "k", val)
	x.OmapSet(mainColl, oid("a"), map[string][]byte{"k": val})
	x.OmapSetHeader(mainColl, oid("a"), header)
	err := s.Queue(bg, x, nil, nil)
	<-hit
	clear(data)
	clear(val)
	clear(header)
	close(release)
	if err != nil {
		t.Fatal(err)
	}
	m := model{"a": {
		data: []byte("data"), header: []byte("header"),
		attrs: map[string][]byte{"k": []byte("value")}, omap: map[string][]byte{"k": []byte("value")},
	}}
	mustCompare(t, s, m)
}

// TestFormatAgain formats a device twice under the same id. The second store
// begins like the first, and its log lies over that of the first.
func TestFormatAgain(t *testing.T) {
	for _, log := range []int{2, 300} { // transactions of the second store
		mem := newMem(64)
		f := FormatOptions{UUID: [16]byte{1, 2, 3}}
		work := func(n int) {
			s := newStore(t, mem, f, quiet())
			for i := range n {
				apply(t, s, func(x *Txn) { x.Write(mainColl, oid(fmt.Sprint(i)), 0, make([]byte, 3000)) })
			}
			s.Abandon()
		}
		work(400)
		work(log)
		s := open(t, mem, quiet())
		ids, _, err := s.List(bg, mainColl, nil, nil, 1000)
		if err != nil || len(ids) != log {
			t.Errorf("%d objects of %d: %v", len(ids), log, err)
		}
		closeStore(t, s)
		fsck(t, mem)
	}
}

// TestMountCancelled cancels mounts at each of their reads. A block that was
// not read is no proof that its transaction was never committed.
func TestMountCancelled(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, quiet())
	apply(t, s, func(x *Txn) { x.Touch(mainColl, oid("b")) })
	apply(t, s, func(x *Txn) { x.Write(mainColl, oid("a"), 0, make([]byte, 64<<10)) })
	s.Abandon()
	for n := 0; ; n++ {
		dev := &hooked{Mem: mem.Snapshot()}
		ctx, cancel := context.WithCancel(bg)
		left := n
		dev.read = func() {
			if left--; left == -1 {
				cancel()
			}
		}
		s, err := Open(ctx, dev, quiet())
		cancel()
		if err == nil {
			s.Abandon()
		}
		s = open(t, dev, quiet())
		if _, err := s.Stat(bg, mainColl, oid("a")); err != nil {
			t.Errorf("after a mount cancelled at read %d: %v", n, err)
		}
		s.Abandon()
		if left >= 0 {
			return
		}
	}
}

// TestSplitByManyBits: one split makes halves; parts nobody asked for would belong
// to no collection.
func TestSplitByManyBits(t *testing.T) {
	s := newStore(t, newMem(64), FormatOptions{}, Options{Inline: true})
	defer closeStore(t, s)
	for _, bits := range []uint8{0, mainSpec.Bits, mainSpec.Bits + 2, 32, 33} {
		x := NewTxn()
		x.SplitColl(mainColl, bits, 1, "d")
		if err := s.Apply(bg, x); !errors.Is(err, ErrInvalid) {
			t.Errorf("split from %d to %d bits: %v", mainSpec.Bits, bits, err)
		}
	}
	apply(t, s, func(x *Txn) { x.SplitColl(mainColl, mainSpec.Bits+1, 1, "d") })
}

// TestRecordBound compares the bound admission puts on a transaction's record
// with what it takes where every block of direct data is a run of its own.
func TestRecordBound(t *testing.T) {
	var p pass
	c := change{code: opPlace, coll: mainColl, key: string(make([]byte, 40)), n: 32 << 20}
	for i := range c.n >> blockShift {
		c.place = append(c.place, placed{layout.MakeAddr(0, layout.MaxBlock-2*i), []uint32{1}})
	}
	p.changes = []change{c}
	p.cost()
	if n := len(joined(p.enc.encode(1<<63, p.changes))); int64(n) > p.record {
		t.Errorf("record of %d bytes, bound %d", n, p.record)
	}
}

// TestRecordTooLarge queues transactions no record can hold: they are refused,
// and the store goes on.
func TestRecordTooLarge(t *testing.T) {
	// The log is so large that a quarter of it is above its longest record.
	s := newStore(t, newMem(1200), FormatOptions{LogBytes: 576 << 20}, quiet())
	defer closeStore(t, s)
	for what, fn := range map[string]func(x *Txn){
		"attributes": func(x *Txn) {
			val := make([]byte, 50<<20)
			for i := range 3 {
				x.SetAttr(mainColl, oid("a"), fmt.Sprint(i), val)
			}
		},
		"range": func(x *Txn) {
			x.Touch(mainColl, oid("a"))
			x.OmapRmRange(mainColl, oid("a"), "", strings.Repeat("x", 129<<20))
		},
	} {
		x := NewTxn()
		fn(x)
		if err := s.Apply(bg, x); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", what, err)
		}
		apply(t, s, func(x *Txn) { x.Touch(mainColl, oid("b")) })
	}
}

// TestAdmitTogether has many callers ask for room at once: they get what the
// log has, not each of them.
func TestAdmitTogether(t *testing.T) {
	s := newStore(t, newMem(64), FormatOptions{}, quiet())
	defer closeStore(t, s)
	for range 200 {
		passes := make([]pass, 16)
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range passes {
			wg.Go(func() {
				<-start
				s.admitLog(&passes[i], s.ringSize/8)
			})
		}
		close(start)
		wg.Wait()
		if n, most := s.inflight.Load(), s.wal.Free(); n > most {
			t.Fatalf("%d bytes admitted into %d", n, most)
		}
		for i := range passes {
			s.inflight.Add(-passes[i].admitted)
		}
	}
}

// TestRoomWithoutCheckpoint gives back what a refused transaction had of the
// log. Whoever waits for it goes on, though no checkpoint ends.
func TestRoomWithoutCheckpoint(t *testing.T) {
	s := newStore(t, newMem(64), FormatOptions{}, quiet())
	defer closeStore(t, s)
	s.ckptMu.Lock()
	refused := new(pass)
	refused.admitted = s.ringSize
	s.inflight.Add(refused.admitted)
	done := make(chan error, 1)
	go func() {
		x := NewTxn()
		x.Touch(mainColl, oid("a"))
		done <- s.Apply(bg, x)
	}()
	for s.waiters.Load() == 0 {
		runtime.Gosched()
	}
	refused.done(s)
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("still waiting")
	}
	s.ckptMu.Unlock()
}

// TestTrashEmptied leaves more in the trash than one batch: a checkpoint goes
// on as far as its budget allows, and says if something is left.
func TestTrashEmptied(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, Options{Inline: true})
	apply(t, s, func(x *Txn) { x.SetAttr(mainColl, oid("a"), "k", []byte("v")) })
	mustCheckpoint(t, s)
	attrs, err := s.attrsOf("a")
	if err != nil {
		t.Fatal(err)
	}
	const n = reapEntries + 3*reapBatch
	for id := range uint64(n) {
		key := layout.Uint64Key(1<<40 + id)
		rec := layout.Trash{ID: 1<<40 + id, Attrs: attrs}
		val, err := rec.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		s.trash.Put(key[:], val)
	}
	mustCheckpoint(t, s)
	if left := s.counters.TrashObjects; left == 0 || left > n-reapEntries || !s.trashLeft.Load() {
		t.Errorf("%d of %d objects left, told %v", left, n, s.trashLeft.Load())
	}
	mustCheckpoint(t, s)
	if left := s.counters.TrashObjects; left != 0 || s.trashLeft.Load() {
		t.Errorf("%d objects left, told %v", left, s.trashLeft.Load())
	}
	closeStore(t, s)
	fsck(t, mem)
}

// attrsOf returns the root of an object's attributes as last saved.
func (s *Store) attrsOf(name string) (btree.Root, error) {
	var r btree.Root
	id := oid(name)
	err := s.with(bg, mainColl, &id, func(b *body) { r = rootOf(b.attrs) })
	return r, err
}
