package full

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/fuzz/engine"
	"ebofs/osd"
	"ebofs/osd/memstore"
)

// newRun formats a store and opens it, with its one collection.
func newRun(t testing.TB, o engine.Options, seed uint64) (f *run, fresh uint64) {
	t.Helper()
	ctx := context.Background()
	mem := devices.NewMem(devices.MemOptions{Blocks: deviceBytes / devices.BlockSize})
	f = &run{t: t, ctx: ctx, r: rand.New(rand.NewPCG(seed, 3)), ref: memstore.New(memstore.Options{}), dev: crashdev.New(mem), o: o}
	f.must(engine.Format(ctx, f.dev, o), "format")
	var err error
	f.s, err = engine.Open(ctx, f.dev, o)
	f.must(err, "open")
	fresh = f.freeBytes()
	x := new(osd.Transaction)
	x.MkColl(coll, osd.CollectionSpec{Shard: -1, Pool: 1})
	f.apply(x)
	return f, fresh
}

// fillTo writes until so many percent of what was available are taken; 100 is
// until nothing more is taken at all.
func (f *run) fillTo(percent uint64, filler func(r *rand.Rand, n int) *osd.Transaction) {
	f.t.Helper()
	if percent == 100 {
		f.fill(filler)
		return
	}
	st, err := f.s.Engine().Statfs()
	f.must(err, "statfs")
	for goal := st.Total * (100 - percent) / 100; ; f.next++ {
		if st, err = f.s.Engine().Statfs(); err != nil || st.Available <= goal {
			f.must(err, "statfs")
			return
		}
		if !f.apply(filler(f.r, f.next)) {
			f.t.Fatalf("%d bytes available, and: %v", st.Available, f.refused)
		}
		f.dev.Forget()
	}
}

// breakUp leaves holes of a kind all over the store: of single blocks, of the
// odd object, or none.
func (f *run) breakUp(kind string) {
	f.t.Helper()
	for i, id := range f.ids() {
		t := new(osd.Transaction)
		switch {
		case kind == "objects" && i%2 == 0:
			t.Remove(coll, id)
		case kind == "blocks":
			st, err := f.ref.Stat(f.ctx, coll, id)
			f.must(err, "reference")
			for off := uint64(4096); off+4096 <= st.SizeBytes; off += 16 << 10 {
				t.Zero(coll, id, off, 4096)
			}
		}
		if t.Len() > 0 && !f.apply(t) {
			f.t.Fatalf("breaking up object %d: %v", i, f.refused)
		}
		f.dev.Forget()
	}
}

// TestLevels fills a store to a level, breaks it up, crashes, fills it to the last
// block, crashes, removes and fills again, and empties it.
func TestLevels(t *testing.T) {
	levels, kinds, names := []uint64{50, 80, 95, 100}, []string{"none", "objects", "blocks"}, []string{"large", "odd", "append"}
	if testing.Short() {
		levels, kinds, names = levels[2:3], kinds[2:], names[1:2]
	}
	for _, name := range names {
		for _, kind := range kinds {
			for _, level := range levels {
				if level == 100 && kind == "none" {
					continue // that is TestFull
				}
				for shape, o := range shapes {
					if shape != "" && (name != "odd" || kind != "blocks") {
						continue // what breaks up stripes most
					}
					t.Run(fmt.Sprintf("%s%s/%s/%d", shape, name, kind, level), func(t *testing.T) {
						t.Parallel()
						f, fresh := newRun(t, o, level)
						f.fillTo(level, fillers[name])
						f.breakUp(kind)
						f.crash()
						f.compare("broken up, after a crash")
						f.fill(fillers["odd"])
						f.crash()
						f.compare("full, after a crash")
						f.thin()
						f.fill(fillers["small"])
						f.compare("filled again")
						f.empty()
						if free := f.freeBytes(); free != fresh {
							t.Errorf("emptied store has %d bytes free, a fresh one %d", free, fresh)
						}
						f.must(f.s.Close(f.ctx), "close")
					})
				}
			}
		}
	}
}

// TestTruncateHoles cuts sparse objects off inside their holes on a full store,
// more of them than the reserve has blocks: what frees must not use it up.
func TestTruncateHoles(t *testing.T) {
	f, _ := newRun(t, plain, 1)
	st, err := f.s.Engine().Statfs()
	f.must(err, "statfs")
	objects := int(st.Reserve/devices.BlockSize) + 500
	if testing.Short() {
		objects = int(st.Reserve/devices.BlockSize) * 11 / 10
	}
	id := func(n int) osd.ObjectID { return object(100_000 + n) }
	for n := range objects {
		x := new(osd.Transaction)
		x.Touch(coll, id(n))
		x.Truncate(coll, id(n), 1<<20)
		if !f.apply(x) {
			t.Fatal(f.refused)
		}
	}
	f.fill(fillers["large"])
	for n := range objects {
		x := new(osd.Transaction)
		x.Truncate(coll, id(n), 300_001)
		x.Zero(coll, id(n), 5000, 100_000)
		if !f.apply(x) {
			t.Fatalf("object %d of %d: cutting it off: %v", n, objects, f.refused)
		}
		f.dev.Forget()
	}
	f.crash()
	f.compare("cut off")
	f.empty()
	f.must(f.s.Close(f.ctx), "close")
}
