package flip

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/ebofs/check"
	"ebofs/fuzz/engine"
	"ebofs/fuzz/history"
	"ebofs/osd"
)

var (
	soak = flag.Duration("soak", 0, "try random places for so long")
	seed = flag.Uint64("seed", 1, "first seed")
	only = flag.Uint64("place", 0, "try only the place of this seed")
)

const deviceBytes = 48 << 20

var options = engine.Options{LogBytes: 4 << 20}

// TestMain fails if a partial stripe was written on hard geometry.
func TestMain(m *testing.M) { os.Exit(engine.Whole(m.Run())) }

// image is a store on a device, and what it holds.
type image struct {
	mem     *devices.Mem
	used    []devices.Block // blocks that are not all zeros
	hist    *history.History
	unclean bool // the log is needed
	options engine.Options
}

const (
	collA = osd.CollectionID("1.0_head")
	collB = osd.CollectionID("2.0_head")
)

func object(pool int64, n int) osd.ObjectID {
	return osd.ObjectID{Shard: -1, Pool: pool, Hash: uint32(n) * 0x9e3779b1, Name: fmt.Sprint("object", n), Snap: 1<<64 - 2}
}

// contents returns the transactions that fill the store with every kind of thing:
// inline and placed data, holes, partly overwritten blocks, attrs, omap of several
// levels, long values, removed objects.
func contents(r *rand.Rand) []*osd.Transaction {
	t := new(osd.Transaction)
	t.MkColl(collA, osd.CollectionSpec{Shard: -1, Pool: 1})
	t.MkColl(collB, osd.CollectionSpec{Shard: -1, Pool: 2})
	ts := []*osd.Transaction{t}
	for n := range 240 {
		t := new(osd.Transaction)
		id, c := object(1, n), collA
		if n%5 == 4 {
			id, c = object(2, n), collB
		}
		off, bytes := uint64(0), 100
		switch n % 6 {
		case 0:
			bytes = 1 + r.IntN(2000)
		case 1:
			bytes = 4096 * (1 + r.IntN(5))
		case 2:
			off, bytes = r.Uint64N(100_000), 1+r.IntN(100_000)
		case 3:
			bytes = 256 << 10
		}
		t.Write(c, id, off, history.Tagged(id, off, 1, bytes))
		if n%3 == 0 {
			at := r.Uint64N(uint64(bytes))
			t.Write(c, id, off+at, history.Tagged(id, off+at, 2, 1+r.IntN(9000)))
		}
		if n%4 == 0 {
			t.SetAttrs(c, id, map[string][]byte{"_": history.Tagged(id, 0, 3, 250), "snapset": history.Tagged(id, 0, 4, 40)})
		}
		if n%7 == 0 {
			kv := map[string][]byte{}
			for i := range 1 + r.IntN(300) {
				kv[fmt.Sprintf("key%05d", i)] = history.Tagged(id, 0, uint64(i), 1+r.IntN(150))
			}
			if n%2 == 0 {
				kv["long"] = history.Tagged(id, 0, 9, 30_000)
			}
			t.OmapSet(c, id, kv)
			t.OmapSetHeader(c, id, history.Tagged(id, 0, 5, 20))
		}
		ts = append(ts, t)
		if n%11 == 10 {
			u := new(osd.Transaction)
			u.Remove(c, id)
			ts = append(ts, u)
		}
	}
	return ts
}

// build makes the image. Three quarters of the contents are in the checkpoint; the
// rest is in the log of the unclean one.
func build(t testing.TB, options engine.Options, unclean bool) *image {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dev := crashdev.New(devices.NewMem(devices.MemOptions{Blocks: deviceBytes / devices.BlockSize}))
	must(engine.Format(ctx, dev, options))
	s, err := engine.Open(ctx, dev, options)
	must(err)
	img := &image{hist: history.New(), unclean: unclean, options: options}
	ts := contents(rand.New(rand.NewPCG(7, 7)))
	for i, x := range ts {
		must(osd.Apply(ctx, s, x))
		must(img.hist.Submit(ctx, x))
		if i%60 == 59 {
			must(s.Checkpoint(ctx))
		}
		if i == len(ts)*3/4 {
			must(s.Checkpoint(ctx))
			img.hist.Base() // what is checkpointed is not lost with the log
		}
	}
	must(s.Sync(ctx))
	if unclean {
		img.mem = dev.Snapshot()
	} else {
		must(s.Close(ctx))
		img.mem = dev.Snapshot()
		img.hist.Base()
	}
	buf := devices.NewPool(devices.PoolOptions{})
	defer buf.Close()
	f := buf.Get(devices.BlockSize)
	defer f.Release()
	for b := range devices.Block(deviceBytes / devices.BlockSize) {
		must(img.mem.Read(ctx, b, f.Vec()))
		if slices.ContainsFunc(f.Bytes(), func(x byte) bool { return x != 0 }) {
			img.used = append(img.used, b)
		}
	}
	return img
}

// place is one byte and how it changes.
type place struct {
	seed  uint64
	block devices.Block
	off   int
	mask  byte
}

func (p place) String() string {
	return fmt.Sprintf("place %d: byte %d of block %d ^ %#02x", p.seed, p.off, p.block, p.mask)
}

// place draws a place: mostly in blocks that hold something, sometimes anywhere,
// half of the bytes near the front of the block where headers are.
func (m *image) place(seed uint64) place {
	r := rand.New(rand.NewPCG(seed, 5))
	p := place{seed: seed, mask: 1 << r.IntN(8)}
	if r.IntN(4) == 0 {
		p.mask = byte(1 + r.IntN(255))
	}
	p.block = m.used[r.IntN(len(m.used))]
	if r.IntN(5) == 0 {
		p.block = devices.Block(r.IntN(deviceBytes / devices.BlockSize))
	}
	p.off = r.IntN(devices.BlockSize)
	if r.IntN(3) == 0 {
		p.off = r.IntN(160)
	}
	return p
}

// damaged returns a copy of the image with one block changed.
func (m *image) damaged(b devices.Block, change func(p []byte)) open {
	ctx := context.Background()
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	f := pool.Get(devices.BlockSize)
	defer f.Release()
	mem := m.mem.Snapshot()
	if err := mem.Read(ctx, b, f.Vec()); err != nil {
		panic(err)
	}
	change(f.Bytes())
	if err := mem.Write(ctx, b, f.Vec()); err != nil {
		panic(err)
	}
	return open{mem}
}

// open is a device that its user leaves open.
type open struct{ *devices.Mem }

func (open) Close() error { return nil }

// verdict is what became of a place.
type verdict struct {
	named   bool // fsck found something
	refused bool // the store could not be mounted
	failed  int  // reads that ended in an error
}

// try damages one place and returns the verdict, or what is wrong with it.
func (m *image) try(p place) (v verdict, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("panic: %v\n%s", x, debug.Stack())
		}
	}()
	ctx := context.Background()
	dev := m.damaged(p.block, func(q []byte) { q[p.off] ^= p.mask })
	v.named = engine.Check(ctx, dev, true, m.unclean) != nil
	if !v.named {
		gone := m.damaged(p.block, func(q []byte) {
			for i := range q {
				q[i] ^= byte(i*7 + 13)
			}
		})
		r, err := engine.Report(ctx, gone, true)
		if err != nil {
			return v, err
		}
		for i := range r.Problems {
			if q := &r.Problems[i]; !slack(q, p) && !(m.unclean && q.Code == check.SuperBad) {
				return v, fmt.Errorf("fsck finds nothing, but of the whole block it says: %v", q)
			}
		}
	}

	s, err := engine.Open(ctx, dev, m.options)
	switch {
	case errors.Is(err, osd.ErrCorrupt):
		v.refused = true
		if !v.named {
			return v, fmt.Errorf("fsck finds nothing, mount says: %w", err)
		}
		return v, nil
	case err != nil:
		return v, fmt.Errorf("mount fails as something else than corrupt: %w", err)
	}
	err = m.use(ctx, dev, s, &v)
	return v, errors.Join(err, leave(ctx, s))
}

// use reads and writes the store on a damaged device and completes the verdict.
func (m *image) use(ctx context.Context, dev devices.Device, s *engine.Store, v *verdict) (err error) {
	if m.unclean {
		if err := m.compareAll(ctx, s); err == nil || !errors.Is(err, osd.ErrCorrupt) {
			return err
		}
		v.failed++ // reading stopped there; what comes after the log is the clean image's to try
		return nil
	}
	if v.failed, err = m.read(ctx, s); err != nil {
		return err
	}
	if v.failed > 0 && !v.named {
		return fmt.Errorf("fsck finds nothing, %d reads fail", v.failed)
	}
	return m.writeOn(ctx, dev, s)
}

// leave closes the store, which gives back its memory. It may be too damaged to
// write its last, or closed already.
func leave(ctx context.Context, s *engine.Store) error {
	err := s.Close(ctx)
	if errors.Is(err, devices.ErrLeak) {
		return fmt.Errorf("close: %w", err)
	}
	for _, may := range []error{nil, osd.ErrCorrupt, osd.ErrReadOnly, osd.ErrClosed} {
		if errors.Is(err, may) {
			return nil
		}
	}
	return fmt.Errorf("close: %w", err)
}

// slack reports whether the place lies in the last block of a long value, which the
// value need not fill: its checksum covers the bytes it has.
func slack(q *check.Problem, p place) bool {
	return q.Code == check.ValueBad && uint64(p.block) == q.Address+q.Blocks-1
}

// compareAll wants one of the states since the last checkpoint (I4).
func (m *image) compareAll(ctx context.Context, s *engine.Store) error {
	found, err := history.Draw(ctx, s, history.Options{})
	if err != nil {
		return err
	}
	return m.hist.Check(found, m.hist.Submitted(), nil)
}

// read reads everything that is known to be there and returns how many reads
// failed as corrupt, or what was wrong.
func (m *image) read(ctx context.Context, s *engine.Store) (failed int, err error) {
	corrupt := func(err error) bool {
		if errors.Is(err, osd.ErrCorrupt) {
			failed++
			return true
		}
		return false
	}
	want := m.hist.Last()
	colls, err := s.Collections(ctx)
	if err != nil && !corrupt(err) {
		return failed, err
	}
	if err == nil && !slices.Equal(colls, slices.Sorted(maps.Keys(want))) {
		return failed, fmt.Errorf("collections %q", colls)
	}
	buf := make([]byte, 256<<10)
	for c, w := range want {
		ids, err := list(ctx, s, c)
		if err != nil && !corrupt(err) {
			return failed, fmt.Errorf("list: %w", err)
		}
		if err == nil && !slices.Equal(ids, slices.SortedFunc(maps.Keys(w.Objects), osd.ObjectID.Compare)) {
			return failed, fmt.Errorf("collection %q: %d objects are listed, want %d", c, len(ids), len(w.Objects))
		}
		for id, obj := range w.Objects {
			got, err := history.DrawObject(ctx, s, c, id, history.Options{Buffer: buf})
			if err != nil {
				if !corrupt(err) {
					return failed, fmt.Errorf("object %v: %w", id, err)
				}
				continue
			}
			if got != obj {
				return failed, fmt.Errorf("object %v is %+v, want %+v", id, got, obj)
			}
		}
	}
	return failed, nil
}

func list(ctx context.Context, s *engine.Store, c osd.CollectionID) (ids []osd.ObjectID, err error) {
	for start := (*osd.ObjectID)(nil); ; {
		page, next, err := s.List(ctx, c, start, nil, 50)
		if err != nil {
			return nil, err
		}
		ids = append(ids, page...)
		if next == nil {
			return ids, nil
		}
		start = next
	}
}

// writeOn changes some objects of the damaged store and reads everything again,
// mounted anew: damage must not be written back as if it were sound.
func (m *image) writeOn(ctx context.Context, dev devices.Device, s *engine.Store) error {
	id := object(1, 100_000)
	t := new(osd.Transaction)
	t.Write(collA, id, 0, history.Tagged(id, 0, 1, 10_000))
	t.OmapSet(collA, id, map[string][]byte{"k": []byte("v")})
	u := new(osd.Transaction)
	u.Remove(collA, id)
	for _, step := range []func() error{
		func() error { return osd.Apply(ctx, s, t) },
		func() error { return s.Checkpoint(ctx) },
		func() error { return osd.Apply(ctx, s, u) },
	} {
		if err := step(); err != nil {
			if errors.Is(err, osd.ErrCorrupt) || errors.Is(err, osd.ErrReadOnly) {
				break
			}
			return fmt.Errorf("writing on: %w", err)
		}
	}
	if err := leave(ctx, s); err != nil {
		return err
	}
	s, err := engine.Open(ctx, dev, m.options)
	if errors.Is(err, osd.ErrCorrupt) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mount after writing on: %w", err)
	}
	err = m.readOn(ctx, s, id, u)
	return errors.Join(err, leave(ctx, s))
}

// readOn reads everything after u was to remove object id, in vain maybe.
func (m *image) readOn(ctx context.Context, s *engine.Store, id osd.ObjectID, u *osd.Transaction) error {
	if _, err := s.Stat(ctx, collA, id); err == nil { // the store stopped before the remove
		if err := osd.Apply(ctx, s, u); err != nil && !errors.Is(err, osd.ErrCorrupt) && !errors.Is(err, osd.ErrReadOnly) {
			return err
		}
		return nil
	}
	if _, err := m.read(ctx, s); err != nil {
		return fmt.Errorf("after writing on: %w", err)
	}
	return nil
}

// totals counts verdicts.
type totals struct {
	mu                              sync.Mutex
	places, named, refused, failing int
	errs                            []error
}

func (n *totals) String() string {
	return fmt.Sprintf("places %d named %d unmountable %d unreadable %d", n.places, n.named, n.refused, n.failing)
}

// tryAll tries the places of the seeds until they end or five were wrong.
func tryAll(m *image, seeds func(yield func(uint64) bool)) *totals {
	n := new(totals)
	queue := make(chan uint64)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range queue {
				p := m.place(seed)
				v, err := m.try(p)
				n.mu.Lock()
				n.places++
				if v.named {
					n.named++
				}
				if v.refused {
					n.refused++
				}
				if v.failed > 0 {
					n.failing++
				}
				if err != nil {
					n.errs = append(n.errs, fmt.Errorf("%v: %w", p, err))
				}
				n.mu.Unlock()
			}
		})
	}
	for seed := range seeds {
		n.mu.Lock()
		enough := len(n.errs) >= 5
		n.mu.Unlock()
		if enough {
			break
		}
		queue <- seed
	}
	close(queue)
	wg.Wait()
	return n
}

func upTo(from, count uint64) func(yield func(uint64) bool) {
	return func(yield func(uint64) bool) {
		for s := from; s < from+count && yield(s); s++ {
		}
	}
}

// report says what tryAll found. A run in which nothing was damaged to any
// effect has tested nothing.
func report(t *testing.T, n *totals) {
	t.Helper()
	t.Log(n)
	for _, err := range n.errs {
		t.Errorf("%v\n  repeat, with the number of the place: go test ./fuzz/flip -run %s -args -place N", err, t.Name())
	}
	if *only == 0 && n.named < n.places/4 {
		t.Errorf("fsck named only %d of %d", n.named, n.places)
	}
}

func places(count uint64) func(yield func(uint64) bool) {
	switch {
	case *only != 0:
		return upTo(*only, 1)
	case testing.Short():
		return upTo(1, count/20)
	}
	return upTo(1, count)
}

// TestClosed damages a store that was closed.
func TestClosed(t *testing.T) { report(t, tryAll(build(t, options, false), places(1000))) }

// TestUnclean damages a store whose log is needed.
func TestUnclean(t *testing.T) { report(t, tryAll(build(t, options, true), places(300))) }

// TestWholeStripes damages stores that write whole stripes only, closed and unclean.
func TestWholeStripes(t *testing.T) {
	report(t, tryAll(build(t, options.OnRAID(), false), places(150)))
	report(t, tryAll(build(t, options.OnFlash(), true), places(150)))
}

// TestSoak goes on with other places of both.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("no -soak given")
	}
	end := time.Now().Add(*soak)
	images := []*image{build(t, options, false), build(t, options, true)}
	next, failures, sum := *seed, 0, new(totals)
	for ; time.Now().Before(end); next += 500 {
		for _, m := range images {
			n := tryAll(m, upTo(next, 500))
			failures += len(n.errs)
			for _, err := range n.errs {
				t.Error(err)
			}
			sum.places, sum.named, sum.refused, sum.failing = sum.places+n.places, sum.named+n.named, sum.refused+n.refused, sum.failing+n.failing
		}
	}
	fmt.Printf("soak: seeds %d-%d counts %v failures %d\n", *seed, next-1, sum, failures)
}
