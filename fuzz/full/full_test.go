package full

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/fuzz/engine"
	"ebofs/fuzz/history"
	"ebofs/osd"
	"ebofs/osd/memstore"
)

var (
	soak = flag.Duration("soak", 0, "run random seeds for so long")
	seed = flag.Uint64("seed", 1, "first seed")
)

func TestMain(m *testing.M) { os.Exit(engine.Whole(m.Run())) }

const coll = osd.CollectionID("1.0_head")

// deviceBytes is the size of a store: filled within a second, and still of many
// zones' worth of stripes.
const deviceBytes = 48 << 20

// shapes of the stores, by name; those on hard geometry write whole stripes only.
var shapes = map[string]engine.Options{
	"":         plain,
	"direct: ": direct(plain),
	"raid: ":   plain.OnRAID(),
	"flash: ":  plain.OnFlash(),
}

var plain = engine.Options{LogBytes: 4 << 20}

// direct is o with small data straight to its place.
func direct(o engine.Options) engine.Options {
	o.DirectFrom, o.Warm = 1, true
	return o
}

// fillers return a transaction that uses up space; n counts the calls.
var fillers = map[string]func(r *rand.Rand, n int) *osd.Transaction{
	"large": func(r *rand.Rand, n int) *osd.Transaction { return write(n, 0, 1<<20) },
	"small": func(r *rand.Rand, n int) *osd.Transaction { return write(n, 0, 4096) },
	"odd":   func(r *rand.Rand, n int) *osd.Transaction { return write(n, r.Uint64N(9000), 1+r.IntN(200_000)) },
	"inline": func(r *rand.Rand, n int) *osd.Transaction {
		t := write(n, 0, 700)
		t.SetAttr(coll, object(n), "a", make([]byte, 900))
		return t
	},
	"append": func(r *rand.Rand, n int) *osd.Transaction { return write(n%7, uint64(n/7)*10_000, 10_000) },
	"attrs": func(r *rand.Rand, n int) *osd.Transaction {
		t := new(osd.Transaction)
		t.SetAttr(coll, object(n/20), fmt.Sprint("attr", n%20), history.Tagged(object(n), 0, 1, 1+r.IntN(30_000)))
		return t
	},
	"omap": func(r *rand.Rand, n int) *osd.Transaction {
		t := new(osd.Transaction)
		kv := map[string][]byte{}
		for i := range 64 {
			kv[fmt.Sprintf("key%08x.%d", r.Uint32(), i)] = history.Tagged(object(n), 0, uint64(i), 200)
		}
		t.OmapSet(coll, object(n/16), kv)
		return t
	},
}

// object is the n-th object of a run.
func object(n int) osd.ObjectID {
	return osd.ObjectID{Shard: -1, Pool: 1, Hash: uint32(n) * 0x9e3779b1, Name: fmt.Sprint("object", n), Snap: 1<<64 - 2}
}

func write(n int, off uint64, bytes int) *osd.Transaction {
	t := new(osd.Transaction)
	t.Write(coll, object(n), off, history.Tagged(object(n), off, uint64(n), bytes))
	return t
}

// run is a store and what it is to hold.
type run struct {
	t    testing.TB
	ctx  context.Context
	r    *rand.Rand
	dev  *crashdev.Device
	o    engine.Options
	s    *engine.Store
	ref  *memstore.Store
	next int // number of the next filling transaction

	refused error // the last refusal for space
}

func (f *run) must(err error, what string) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%s: %v", what, err)
	}
}

// apply gives t to the store and, if it takes it, to the reference. It reports
// whether there was room.
func (f *run) apply(t *osd.Transaction) bool {
	f.t.Helper()
	err := osd.Apply(f.ctx, f.s, t)
	if errors.Is(err, osd.ErrNoSpace) {
		f.refused = err
		return false
	}
	f.must(err, fmt.Sprintf("%d operations, the first %d on %v", t.Len(), t.Ops()[0].Kind, t.Ops()[0].Obj))
	f.must(osd.Apply(f.ctx, f.ref, t), "reference")
	return true
}

// fill uses the store up: until a filler was refused several times over, since a
// smaller transaction may still fit, and until not even a block is taken.
func (f *run) fill(filler func(r *rand.Rand, n int) *osd.Transaction) {
	f.t.Helper()
	taken := 0
	for refused := 0; refused < 8; f.next++ {
		if f.apply(filler(f.r, f.next)) {
			taken++
		} else {
			refused++
		}
		f.dev.Forget()
		if f.next > deviceBytes/1000 {
			f.t.Fatalf("the store takes more than it can hold")
		}
	}
	for f.next += 1000; f.apply(write(f.next, 0, 4096)); f.next++ {
		taken++
		f.dev.Forget()
	}
	if taken == 0 {
		f.t.Fatal("nothing was taken")
	}
}

// crash loses power and mounts what is left. It writes on only if open succeeds
// on a device as full as it was.
func (f *run) crash() {
	f.t.Helper()
	st := f.dev.Clone(f.r.Uint64())
	f.must(engine.Check(f.ctx, open{st.Mem}, true, true), st.String())
	f.dev = crashdev.New(st.Mem)
	var err error
	f.s, err = engine.Open(f.ctx, f.dev, f.o)
	f.must(err, st.String())
}

// open is a device that a check leaves open.
type open struct{ *devices.Mem }

func (open) Close() error { return nil }

// compare wants the store to hold what the reference does. Every transaction was
// waited for, so nothing may be missing and nothing may be there besides.
func (f *run) compare(when string) {
	f.t.Helper()
	got, err := history.Draw(f.ctx, f.s, history.Options{})
	f.must(err, when)
	want, err := history.Draw(f.ctx, f.ref, history.Options{})
	f.must(err, when)
	for c := range want {
		f.must(history.Same(c, got[c], want[c]), when)
	}
	if len(got) != len(want) {
		f.t.Fatalf("%s: %d collections, want %d", when, len(got), len(want))
	}
}

// ids returns the objects there are.
func (f *run) ids() []osd.ObjectID {
	pic, err := history.Draw(f.ctx, f.ref, history.Options{SkipData: func(osd.CollectionID) bool { return true }})
	f.must(err, "reference")
	if pic[coll] == nil {
		return nil
	}
	return slices.SortedFunc(maps.Keys(pic[coll].Objects), osd.ObjectID.Compare)
}

// thin takes something from some of the objects, in each way that frees space. None
// may be refused, however full the store is.
func (f *run) thin() {
	f.t.Helper()
	for i, id := range f.ids() {
		t := new(osd.Transaction)
		switch f.r.IntN(8) {
		case 0, 1:
			t.Remove(coll, id)
		case 2:
			t.Truncate(coll, id, 0)
		case 3:
			t.OmapClear(coll, id)
			t.RmAttrs(coll, id)
		case 4:
			t.OmapRmRange(coll, id, "key4", "keyc")
			t.RmAttr(coll, id, "attr3")
		default:
			continue
		}
		if !f.apply(t) {
			f.t.Fatalf("object %d, %v: operation %d, which frees: %v", i, id, t.Ops()[0].Kind, f.refused)
		}
		f.dev.Forget()
	}
}

// empty removes everything.
func (f *run) empty() {
	f.t.Helper()
	ids := f.ids()
	f.r.Shuffle(len(ids), func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
	for len(ids) > 0 {
		t := new(osd.Transaction)
		n := min(len(ids), 1+f.r.IntN(20))
		for _, id := range ids[:n] {
			t.Remove(coll, id)
		}
		ids = ids[n:]
		if !f.apply(t) {
			f.t.Fatalf("removing: %v", f.refused)
		}
		f.dev.Forget()
	}
	t := new(osd.Transaction)
	t.RmColl(coll)
	if !f.apply(t) {
		f.t.Fatalf("removing the collection: %v", f.refused)
	}
}

// freeBytes closes the store, opens it again and returns what is free.
func (f *run) freeBytes() uint64 {
	f.t.Helper()
	f.must(f.s.Close(f.ctx), "close")
	f.must(engine.Check(f.ctx, open{f.dev.Snapshot()}, true, false), "closed store")
	var err error
	f.s, err = engine.Open(f.ctx, f.dev, f.o)
	f.must(err, "open")
	st, err := f.s.Engine().Statfs()
	f.must(err, "statfs")
	if st.Limbo != 0 || st.Objects != 0 {
		f.t.Errorf("emptied store: %d bytes in limbo, %d objects", st.Limbo, st.Objects)
	}
	return st.Free
}

// runOnce is the whole life of one store.
func runOnce(t testing.TB, o engine.Options, name string, seed uint64) {
	f, fresh := newRun(t, o, seed)
	for round := range 2 {
		f.fill(fillers[name])
		f.compare(fmt.Sprintf("round %d, full", round))
		f.crash()
		f.compare(fmt.Sprintf("round %d, after a crash", round))
		f.thin()
		f.compare(fmt.Sprintf("round %d, thinned out", round))
		f.crash()
		f.compare(fmt.Sprintf("round %d, after a crash of the thinned out", round))
	}
	f.empty()
	if free := f.freeBytes(); free != fresh {
		t.Errorf("emptied store has %d bytes free, a fresh one %d: %d blocks are gone", free, fresh, (int64(fresh)-int64(free))/devices.BlockSize)
	}
	f.must(f.s.Close(f.ctx), "close")
}

// TestFull fills a store in each way.
func TestFull(t *testing.T) {
	names := slices.Sorted(maps.Keys(fillers))
	if testing.Short() {
		names = []string{"odd"}
	}
	for shape, o := range shapes {
		for _, name := range names {
			if shape != "" && name == "inline" {
				continue // the slowest by far; attrs and omap are as much metadata
			}
			t.Run(shape+name, func(t *testing.T) {
				t.Parallel()
				runOnce(t, o, name, 1)
			})
		}
	}
}

// TestSoak goes on with other seeds.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("no -soak given")
	}
	names := slices.Sorted(maps.Keys(fillers))
	next, failures := *seed, 0
	for began := time.Now(); time.Since(began) < *soak; next++ {
		name := names[next%uint64(len(names))]
		shape := slices.Sorted(maps.Keys(shapes))[next/uint64(len(names))%uint64(len(shapes))]
		if !t.Run(fmt.Sprintf("%s%s/seed=%d", shape, name, next), func(t *testing.T) { runOnce(t, shapes[shape], name, next) }) {
			failures++
		}
	}
	fmt.Printf("soak: seeds %d-%d counts stores %d failures %d\n", *seed, next-1, next-*seed, failures)
}
