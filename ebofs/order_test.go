package ebofs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ebofs/devices"
)

// manyColls makes n collections p1, p2, …
func manyColls(t testing.TB, s *Store, n int) []CollectionID {
	t.Helper()
	var list []CollectionID
	apply(t, s, func(x *Txn) {
		for i := 1; i <= n; i++ {
			c := CollectionID(fmt.Sprint("p", i))
			x.MkColl(c, CollSpec{Shard: -1, Pool: int64(i)})
			list = append(list, c)
		}
	})
	return list
}

// TestNotices: onApplied comes before Queue returns, onCommit later, in the
// order of each collection, and not before the transaction would survive.
func TestNotices(t *testing.T) {
	for _, inline := range []bool{false, true} {
		t.Run(fmt.Sprint("inline=", inline), func(t *testing.T) {
			mem := newMem(64)
			format(t, mem, FormatOptions{})
			o := quiet()
			o.Inline = inline
			s := open(t, mem, o)
			colls := manyColls(t, s, 4)
			const each = 100
			next := make([]atomic.Int64, len(colls)) // commits told so far
			work := func(ci int) {
				c := colls[ci]
				for i := range int64(each) {
					x := NewTxn()
					x.Write(c, idIn(c, "log"), uint64(i)*10, []byte("0123456789"))
					if i%10 == 9 { // by the other path too
						x.Write(c, idIn(c, fmt.Sprint("big", i)), 0, make([]byte, 100<<10))
					}
					var applied atomic.Bool
					onApplied := func() {
						if st, err := s.Stat(bg, c, idIn(c, "log")); err != nil || st.Size < uint64(i+1)*10 {
							t.Errorf("applied %d and %d bytes are there (%v)", i, st.Size, err)
						}
						applied.Store(true)
					}
					if i%3 == 2 {
						onApplied = nil
						applied.Store(true)
					}
					err := s.Queue(bg, x, onApplied, func(err error) {
						if err != nil {
							t.Errorf("commit %d: %v", i, err)
						}
						if !applied.Load() {
							t.Errorf("transaction %d of %s was committed before it was applied", i, c)
						}
						if was := next[ci].Add(1) - 1; was != i {
							t.Errorf("collection %s: commit %d is told as number %d", c, i, was)
						}
						if i%50 == 49 {
							image := mem.Snapshot()
							r, err := Open(bg, image, Options{ReadOnly: true, MemoryBytes: minMemory})
							if err != nil {
								t.Error(err)
								return
							}
							if st, err := r.Stat(bg, c, idIn(c, "log")); err != nil || st.Size < uint64(i+1)*10 {
								t.Errorf("told of commit %d, and after a crash %d bytes are there (%v)", i, st.Size, err)
							}
							r.Close(bg)
						}
					})
					if err != nil {
						t.Error(err)
						return
					}
					if !applied.Load() {
						t.Errorf("Queue returned before transaction %d was applied", i)
					}
				}
			}
			if inline {
				for ci := range colls {
					work(ci)
				}
			} else {
				var wg sync.WaitGroup
				for ci := range colls {
					wg.Go(func() { work(ci) })
				}
				wg.Wait()
			}
			closeStore(t, s) // with callbacks pending
			for ci := range colls {
				if got := next[ci].Load(); got != each {
					t.Errorf("collection %s: %d of %d callbacks before Close returned", colls[ci], got, each)
				}
			}
		})
	}
}

// TestSync: what was queued before Sync survives a crash after it.
func TestSync(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, quiet())
	m := model{}
	for i := range 30 {
		ops := []modelOp{{code: opWrite, name: fmt.Sprint("o", i), data: bytes.Repeat([]byte{1}, 1+i*5000)}}
		if err := s.Queue(bg, txnOf(mainColl, ops), nil, nil); err != nil {
			t.Fatal(err)
		}
		m.apply(ops)
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	r := open(t, mem.Snapshot(), Options{ReadOnly: true})
	mustCompare(t, r, m)
	closeStore(t, r)
	closeStore(t, s)
	if err := s.Sync(bg); !errors.Is(err, ErrClosed) {
		t.Errorf("Sync of a closed store: %v", err)
	}
}

// TestClosed: nothing works on a closed store, and nothing panics.
func TestClosed(t *testing.T) {
	s := newStore(t, newMem(64), FormatOptions{}, quiet())
	apply(t, s, func(x *Txn) { x.Touch(mainColl, oid("a")) })
	closeStore(t, s)
	told := 0
	for what, err := range map[string]error{
		"apply":      s.Apply(bg, txnOf(mainColl, []modelOp{{code: opTouch, name: "b"}})),
		"queue":      s.Queue(bg, NewTxn(), nil, func(error) { told++ }),
		"checkpoint": s.Checkpoint(bg),
		"close":      s.Close(bg),
		"stat":       second(s.Stat(bg, mainColl, oid("a"))),
		"read":       second(s.Read(bg, mainColl, oid("a"), 0, make([]byte, 1))),
		"list":       third(s.List(bg, mainColl, nil, nil, 1)),
		"colls":      second(s.Collections(bg)),
		"statfs":     second(s.Statfs()),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s on a closed store: %v", what, err)
		}
	}
	if told > 0 {
		t.Error("a refused transaction was told of")
	}
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

// TestContext: a caller that gives up while it waits for the log leaves its
// transaction applied and soon committed; before that, nothing.
func TestContext(t *testing.T) {
	dev := newGate(newMem(64))
	format(t, dev.Mem, FormatOptions{})
	s := open(t, dev, quiet())
	apply(t, s, func(x *Txn) { x.MkColl(mainColl, mainSpec) })
	ctx, cancel := context.WithCancel(bg)
	hit, release := dev.arm(0)
	first := make(chan error, 1)
	go func() { first <- s.Apply(bg, txnOf(mainColl, []modelOp{{code: opTouch, name: "a"}})) }()
	<-hit // the log is busy
	got := make(chan error, 1)
	go func() { got <- s.Apply(ctx, txnOf(mainColl, []modelOp{{code: opTouch, name: "b"}})) }()
	for {
		if ok, err := s.Exists(bg, mainColl, oid("b")); err != nil {
			t.Fatal(err)
		} else if ok {
			break
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("Apply whose context ended: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := s.Sync(bg); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"apply": s.Apply(ctx, txnOf(mainColl, []modelOp{{code: opTouch, name: "c"}})),
		"queue": s.Queue(ctx, txnOf(mainColl, []modelOp{{code: opTouch, name: "c"}}), nil, nil),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that has ended: %v", what, err)
		}
	}
	m := model{}
	m.apply([]modelOp{{code: opTouch, name: "a"}, {code: opTouch, name: "b"}})
	mustCompare(t, s, m)
	closeStore(t, s)
	s = open(t, dev, quiet())
	mustCompare(t, s, m)
	closeStore(t, s)
}

// TestWriters has 64 writers change objects of four collections while
// checkpoints run as often as they can and others read; then everything is
// compared, and again after a mount.
func TestWriters(t *testing.T) {
	mem := newMem(256)
	format(t, mem, FormatOptions{LogBytes: 16 << 20})
	s := open(t, mem, Options{MemoryBytes: minMemory, MaxDirtyBytes: 2 << 20, MaxOnodes: 100, CheckpointInterval: 4 * time.Millisecond})
	colls := manyColls(t, s, 4)
	const writers, steps = 64, 40
	models := make([]model, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			g := &generator{Rand: rand.New(rand.NewPCG(uint64(w), 11)), prefix: fmt.Sprint("w", w), names: 3, maxSize: 1 << 17}
			c, m := colls[w%len(colls)], model{}
			models[w] = m
			for i := range steps {
				ops := g.txn(m)
				want := m.verdict(ops)
				var err error
				if i%4 == 0 {
					done := make(chan error, 1)
					if err = s.Queue(bg, txnOf(c, ops), func() {}, func(err error) { done <- err }); err == nil {
						err = <-done
					}
				} else {
					err = s.Apply(bg, txnOf(c, ops))
				}
				if !errors.Is(err, want) {
					t.Errorf("writer %d: %s: %v, want %v", w, opList(ops), err, want)
					return
				}
				if want == nil {
					m.apply(ops)
				}
				for name, b := range m {
					if err := compareObject(s, c, name, b); err != nil {
						t.Errorf("writer %d step %d: object %s: %v", w, i, name, err)
						return
					}
					break
				}
			}
		})
	}
	stop := make(chan struct{})
	var other sync.WaitGroup
	other.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := s.Checkpoint(bg); err != nil {
				t.Error(err)
				return
			}
		}
	})
	other.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, _, err := s.List(bg, colls[i%4], nil, nil, 20); err != nil {
				t.Error(err)
			}
			st, err := s.Statfs()
			if err != nil || st.Total != st.Used+st.Free+st.Limbo {
				t.Errorf("%+v %v", st, err)
			}
			s.Metrics()
		}
	})
	wg.Wait()
	close(stop)
	other.Wait()
	byColl := map[CollectionID]model{}
	for w, m := range models {
		c := colls[w%len(colls)]
		if byColl[c] == nil {
			byColl[c] = model{}
		}
		for name, b := range m {
			byColl[c][name] = b
		}
	}
	check := func(what string) {
		t.Helper()
		for c, m := range byColl {
			if err := compare(s, c, m); err != nil {
				t.Fatalf("%s: collection %s: %v", what, c, err)
			}
		}
		checkSpace(t, s)
	}
	check("afterwards")
	crashed := mem.Snapshot()
	closeStore(t, s)
	fsck(t, mem)
	s = open(t, mem, Options{})
	check("after a mount")
	closeStore(t, s)
	s = open(t, crashed, Options{Inline: true})
	check("after a crash")
	closeStore(t, s)
	fsck(t, crashed)
}

// TestZonesLoadTogether: after a mount, writers of direct data and checkpoints
// come to the same zones' bitmaps at the same time.
func TestZonesLoadTogether(t *testing.T) {
	mem := newMem(128)
	s := newStore(t, mem, FormatOptions{}, quiet())
	for i := range 100 { // something in every zone
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid(fmt.Sprint("o", i)), 0, make([]byte, 800<<10)) })
	}
	for i := range 100 {
		apply(t, s, func(x *Txn) { x.Zero(mainColl, oid(fmt.Sprint("o", i)), 64<<10, 400<<10) })
	}
	closeStore(t, s)
	for range 2 {
		s := open(t, mem, quiet())
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				for i := range 8 {
					name := fmt.Sprint("o", (w*31+i*7)%100)
					x := NewTxn()
					x.Write(mainColl, oid(name), 0, make([]byte, 700<<10))
					if err := s.Apply(bg, x); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Go(func() {
			for range 6 {
				if err := s.Checkpoint(bg); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Wait()
		checkSpace(t, s)
		closeStore(t, s)
		fsck(t, mem)
	}
}

// TestReadersSeeOldOrNew: a read during overwrites and checkpoints returns one
// version as a whole, none older than what was applied when it began.
func TestReadersSeeOldOrNew(t *testing.T) {
	mem := newMem(128)
	s := newStore(t, mem, FormatOptions{}, Options{MemoryBytes: minMemory, MaxOnodes: 1, CheckpointInterval: time.Hour})
	sizes := []int{1500, 5000, 60000, 200 << 10} // inline, journaled, direct with edges
	var begun, applied [4]atomic.Int64
	write := func(i int, v int64) {
		begun[i].Store(v)
		x := NewTxn()
		x.Write(mainColl, oid(fmt.Sprint("o", i)), uint64(i), bytes.Repeat([]byte{byte(v)}, sizes[i]))
		if err := s.Queue(bg, x, nil, nil); err != nil {
			t.Error(err)
		}
		applied[i].Store(v)
	}
	for i := range sizes {
		write(i, 1)
	}
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for r := range 4 {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 1))
			p := make([]byte, 256<<10)
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := rng.IntN(len(sizes))
				off := i + rng.IntN(sizes[i])
				least := applied[i].Load()
				n, err := s.Read(bg, mainColl, oid(fmt.Sprint("o", i)), uint64(off), p[:1+rng.IntN(len(p)-1)])
				most := begun[i].Load()
				if err != nil || n == 0 {
					t.Errorf("read of object %d at %d: %d bytes, %v", i, off, n, err)
					return
				}
				v := int64(p[0])
				if j := firstDiff(p[:n], bytes.Repeat(p[:1], n)); j >= 0 {
					t.Errorf("read of object %d at %d: version %d, then %d from byte %d on", i, off, v, p[j], j)
					return
				}
				if v < least || v > most {
					t.Errorf("object %d: version %d; %d was applied before, %d begun after", i, v, least, most)
					return
				}
			}
		})
	}
	for i := range sizes {
		writers.Go(func() {
			for v := int64(2); v < 120; v++ {
				write(i, v)
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		mustCheckpoint(t, s)
	}
	close(stop)
	readers.Wait()
	closeStore(t, s)
	fsck(t, mem)
}

// blockedReads is a device whose reads of zones wait while they are told to.
type blockedReads struct {
	*devices.Mem
	mu   sync.Mutex
	wait func(b devices.Block) <-chan struct{}
	seen chan devices.Block // reads that wait
}

func (d *blockedReads) hold(fn func(b devices.Block) <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wait = fn
}

func (d *blockedReads) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	d.mu.Lock()
	wait := d.wait
	d.mu.Unlock()
	if wait != nil {
		if c := wait(b); c != nil {
			select {
			case <-c:
			default:
				d.seen <- b
				<-c
			}
		}
	}
	return d.Mem.Read(ctx, b, v)
}

// coldStore returns a store of many objects, freshly mounted, whose device
// holds reads as told, and what is in it.
func coldStore(t *testing.T) (*blockedReads, *devices.Mem, model) {
	t.Helper()
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, Options{Inline: true})
	m := model{}
	for i := range 300 {
		ops := []modelOp{{code: opWrite, name: fmt.Sprint("o", i), data: bytes.Repeat([]byte{byte(i) | 1}, 500)}}
		apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
		m.apply(ops)
	}
	closeStore(t, s)
	return &blockedReads{Mem: mem, seen: make(chan devices.Block, 1000)}, mem, m
}

func within(t *testing.T, what string, c <-chan error) {
	t.Helper()
	select {
	case err := <-c:
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%s waits", what)
	}
}

func goes(fn func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- fn() }()
	return c
}

// TestColdObjects: writes to objects that are not in RAM commit while the
// device does not answer a single read; whoever has to know what is there
// waits, and then sees old and new together.
func TestColdObjects(t *testing.T) {
	dev, mem, m := coldStore(t)
	s := open(t, dev, quiet())
	release := make(chan struct{})
	dev.hold(func(devices.Block) <-chan struct{} { return release })
	ctx, cancel := context.WithTimeout(bg, 20*time.Second)
	defer cancel()
	do := func(ops ...modelOp) {
		t.Helper()
		if err := s.Apply(ctx, txnOf(mainColl, ops)); err != nil {
			t.Fatalf("%s: %v", opList(ops), err)
		}
		m.apply(ops)
	}
	// Every kind of operation that implies creation, on old and new objects.
	for i, name := range []string{"o1", "o2", "new1", "o3", "new2", "o4", "o5"} {
		do([]modelOp{
			{code: opWrite, name: name, off: 100, data: []byte("stub")},
			{code: opZero, name: name, off: 50, n: 7},
			{code: opSetAttrs, name: name, kv: map[string][]byte{"a": []byte("b")}},
			{code: opOmapSet, name: name, kv: map[string][]byte{"k": []byte("v")}},
			{code: opOmapHead, name: name, data: []byte("h")},
			{code: opHint, name: name, off: 9, n: 9},
			{code: opTouch, name: name},
		}[i])
		do(modelOp{code: opWrite, name: name, off: uint64(i), data: []byte("again")}) // onto the stub
	}
	do(modelOp{code: opWrite, name: "o6", off: 4096, data: bytes.Repeat([]byte("d"), 128<<10)}) // straight to stripes
	crash := mem.Snapshot()

	// These wait for reads.
	type waiter struct {
		what string
		done <-chan error
	}
	var waits []waiter
	wait := func(what string, fn func() error) { waits = append(waits, waiter{what, goes(fn)}) }
	wait("read", func() error { return second(s.Stat(bg, mainColl, oid("o1"))) })
	wait("list", func() error {
		list, _, err := s.List(bg, mainColl, nil, nil, 1000)
		if err == nil && len(list) != len(m) {
			err = fmt.Errorf("%d objects listed, want %d", len(list), len(m))
		}
		return err
	})
	wait("checkpoint", func() error { return s.Checkpoint(bg) })
	<-dev.seen
	for _, w := range waits {
		select {
		case err := <-w.done:
			t.Errorf("%s does not wait: %v", w.what, err)
		default:
		}
	}
	// While they do, the collection goes on.
	do(modelOp{code: opWrite, name: "o7", off: 3, data: []byte("meanwhile")})
	gone, stop := context.WithCancel(bg)
	removed := goes(func() error { return s.Apply(gone, txnOf(mainColl, []modelOp{{code: opRemove, name: "o1"}})) })
	stop()
	if err := <-removed; !errors.Is(err, context.Canceled) {
		t.Errorf("remove of a stub whose caller gave up: %v", err)
	}
	close(release)
	for _, w := range waits {
		within(t, w.what, w.done)
	}
	mustCompare(t, s, m)
	checkSpace(t, s)
	closeStore(t, s)
	s = open(t, mem, quiet())
	mustCompare(t, s, m)
	closeStore(t, s)
	fsck(t, mem)

	m.applyOne(&modelOp{code: opWrite, name: "o7", off: 3, data: m["o7"].data[3:12]})
	s = open(t, crash, Options{Inline: true})
	before := m.clone()
	copy(before["o7"].data[3:], bytes.Repeat([]byte{7}, 9))
	mustCompare(t, s, before)
	closeStore(t, s)
}

// TestStubDropsBlocks: what a stub's changes place and drop again is known only
// when it is loaded, which may be after the cut of the checkpoint they belong to.
func TestStubDropsBlocks(t *testing.T) {
	dev, mem, m := coldStore(t)
	s := open(t, dev, quiet())
	release := make(chan struct{})
	dev.hold(func(devices.Block) <-chan struct{} { return release })
	for range 3 {
		ops := []modelOp{{code: opWrite, name: "o9", data: bytes.Repeat([]byte("d"), 128<<10)}}
		apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
		m.apply(ops)
	}
	epoch := func() uint64 {
		s.gate.RLock()
		defer s.gate.RUnlock()
		return s.epoch
	}
	before := epoch()
	done := goes(func() error { return s.Checkpoint(bg) })
	for epoch() == before {
		runtime.Gosched()
	}
	for range 1000 { // the checkpoint goes on to where it waits for the stub
		runtime.Gosched()
	}
	close(release)
	within(t, "checkpoint", done)
	mustCompare(t, s, m)
	checkLeaks(t, s, mem)
	closeStore(t, s)
	fsck(t, mem)
}

// leaves returns the objects of two different leaves of the object tree, and
// their blocks.
func leaves(t *testing.T, mem *devices.Mem) (a, b place) {
	t.Helper()
	for _, p := range anatomy(t, mem) {
		if p.kind == "objects level 0" {
			if a.kind != "" {
				return a, p
			}
			a = p
		}
	}
	t.Fatal("the object tree has one leaf only")
	return
}

func anyOf(set map[string]bool) string {
	for name := range set {
		return name
	}
	return ""
}

// TestDamagedStub: a change taken for a cold object that turns out damaged is
// lost with it, never mistaken for the whole object, and harms nobody else. While its
// transaction waits for another object that refuses all of it.
func TestDamagedStub(t *testing.T) {
	dev, mem, m := coldStore(t)
	leafA, leafB := leaves(t, mem)
	bad, good := anyOf(leafA.objects), anyOf(leafB.objects)
	damage(t, mem, leafA.block, 1, func(p []byte) { p[1000] ^= 1 })
	for _, between := range []bool{false, true} {
		image := mem.Snapshot()
		dev.Mem = image
		dev.hold(nil)
		s := open(t, dev, quiet())
		m := m.clone()
		ops := []modelOp{{code: opWrite, name: bad, data: []byte("lost")}, {code: opTruncate, name: good, off: 3}}
		if !between {
			ops = ops[:1]
		}
		relA, relB := make(chan struct{}), make(chan struct{})
		dev.hold(func(b devices.Block) <-chan struct{} {
			switch uint64(b) {
			case leafA.block:
				return relA
			case leafB.block:
				return relB
			}
			return nil
		})
		done := goes(func() error { return s.Apply(bg, txnOf(mainColl, ops)) })
		if between { // the load of one fails while the other is waited for
			<-dev.seen
			<-dev.seen
			o, _ := s.onodes.get([]byte(string(appendKey(bad))))
			close(relA)
			<-o.loaded.wait()
			o.refs.Add(-1)
			close(relB)
			if err := <-done; !errors.Is(err, ErrCorrupt) {
				t.Fatalf("transaction of a damaged object: %v", err)
			}
		} else {
			within(t, "transaction", done)
			close(relA)
			close(relB)
		}
		for range 2 {
			if err := s.Checkpoint(bg); err != nil {
				t.Fatal(err)
			}
			for name, err := range readAll(t, s, m) {
				if !leafA.objects[name] {
					t.Errorf("object %s: %v", name, err)
				}
			}
			if _, err := s.Read(bg, mainColl, oid(bad), 0, make([]byte, 4)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("between %v: read of the damaged object: %v", between, err)
			}
			if err := s.Apply(bg, txnOf(mainColl, []modelOp{{code: opRemove, name: bad}})); !errors.Is(err, ErrCorrupt) {
				t.Errorf("remove of the damaged object: %v", err)
			}
		}
		for len(dev.seen) > 0 {
			<-dev.seen
		}
		closeStore(t, s)
		s = open(t, image, Options{Inline: true})
		for name, err := range readAll(t, s, m) {
			if !leafA.objects[name] {
				t.Errorf("after a mount: object %s: %v", name, err)
			}
		}
		closeStore(t, s)
	}
}

func appendKey(name string) []byte {
	id := oid(name)
	return id.AppendKey(nil)
}

// TestUnreadableStub: if the cold object cannot be read just now, its change is
// acknowledged and must not be lost: the store stops, the log keeps it, and a
// mount that can read brings it back.
func TestUnreadableStub(t *testing.T) {
	dev, mem, m := coldStore(t)
	fail := &failingReads{blockedReads: dev, after: make(chan struct{})}
	s := open(t, fail, quiet())
	fail.on.Store(true)
	ops := []modelOp{{code: opWrite, name: "o5", off: 10, data: []byte("kept")}}
	if err := s.Apply(bg, txnOf(mainColl, ops)); err != nil && !errors.Is(err, ErrReadOnly) {
		t.Fatal(err)
	}
	close(fail.after) // known any earlier, the change would be refused
	m.apply(ops)
	for s.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if err := s.Err(); !errors.Is(err, ErrReadOnly) || !errors.Is(err, errUnreadable) {
		t.Errorf("state: %v", err)
	}
	if _, err := s.Stat(bg, mainColl, oid("o5")); !errors.Is(err, errUnreadable) {
		t.Errorf("stat: %v", err)
	}
	s.Close(bg)
	if _, err := Open(bg, fail, Options{Inline: true, MemoryBytes: minMemory}); !errors.Is(err, errUnreadable) {
		t.Errorf("mount that cannot read: %v", err)
	}
	fail.on.Store(false)
	s = open(t, mem, Options{Inline: true})
	mustCompare(t, s, m)
	closeStore(t, s)
}

// TestUnreadableFold: bytes written over part of a block that cannot be read
// cost that block, durably, and nothing else.
func TestUnreadableFold(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, Options{Inline: true})
	m := model{}
	ops := []modelOp{{code: opWrite, name: "a", data: bytes.Repeat([]byte("old"), 10000)}, {code: opTouch, name: "b"}}
	apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
	m.apply(ops)
	closeStore(t, s)
	fail := &failingReads{blockedReads: &blockedReads{Mem: mem}}
	for _, p := range anatomy(t, mem) {
		if p.kind == "data" {
			fail.only = p.block + 1 // the second block of a run of ten
		}
	}
	s = open(t, fail, quiet())
	warm(t, s, "a")
	ops = []modelOp{{code: opWrite, name: "a", off: 5000, data: []byte("new")}}
	apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
	m.apply(ops)
	fail.on.Store(true)
	mustCheckpoint(t, s)
	fail.on.Store(false)
	check := func() {
		t.Helper()
		want := m["a"].data
		p := make([]byte, len(want))
		for blk := range len(want) / blockSize {
			off := blk * blockSize
			n, err := s.Read(bg, mainColl, oid("a"), uint64(off), p[:blockSize])
			if blk == 1 {
				if !errors.Is(err, ErrCorrupt) {
					t.Errorf("the block that was lost reads as %d bytes, %v", n, err)
				}
			} else if err != nil || !bytes.Equal(p[:n], want[off:off+blockSize]) {
				t.Errorf("block %d: %v", blk, err)
			}
		}
	}
	check()
	closeStore(t, s)
	s = open(t, mem, Options{Inline: true})
	check()
	ops = []modelOp{{code: opWrite, name: "a", off: blockSize, data: bytes.Repeat([]byte{7}, blockSize)}}
	apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
	m.apply(ops)
	mustCompare(t, s, m) // overwritten as a whole it is well again
	mustCheckpoint(t, s)
	mustCompare(t, s, m)
	closeStore(t, s)
	fsck(t, mem)
}

// warm brings an object into RAM without its data.
func warm(t *testing.T, s *Store, name string) {
	t.Helper()
	if _, err := s.Stat(bg, mainColl, oid(name)); err != nil {
		t.Fatal(err)
	}
}

var errUnreadable = errors.New("unreadable sector")

// failingReads fails every read of a zone while it is on.
type failingReads struct {
	*blockedReads
	on    atomic.Bool
	only  uint64        // this block; 0: all
	after chan struct{} // not before this is closed; nil: at once
}

func (d *failingReads) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	if d.on.Load() && (d.only == 0 || d.only == uint64(b)) && uint64(b) > 9<<20/blockSize && uint64(b) < d.Geometry().Blocks-1024 {
		if d.after != nil {
			<-d.after
		}
		return errUnreadable
	}
	return d.blockedReads.Read(ctx, b, v)
}
