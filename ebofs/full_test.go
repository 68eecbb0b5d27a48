package ebofs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"ebofs/devices"
)

// filler keeps a small store at the edge of its space.
type filler struct {
	*generator
	t     *testing.T
	dev   *devices.Mem
	s     *Store
	opt   Options
	m     model
	names []string
	next  int
}

func (f *filler) check(err error, what string) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%s: %v (store: %v)", what, err, f.s.Err())
	}
}

// try applies ops if there is room and reports whether there was.
func (f *filler) try(ops []modelOp) bool {
	f.t.Helper()
	err := f.s.Apply(bg, txnOf(mainColl, ops))
	if errors.Is(err, ErrNoSpace) {
		f.check(f.s.Err(), "after "+opList(ops))
		return false
	}
	f.check(err, opList(ops))
	if f.m[ops[0].name] == nil {
		f.names = append(f.names, ops[0].name)
	}
	f.m.apply(ops)
	return true
}

// must applies ops, which only give space back.
func (f *filler) must(o modelOp) {
	f.t.Helper()
	f.check(f.s.Apply(bg, txnOf(mainColl, []modelOp{o})), o.String())
	f.m.apply([]modelOp{o})
}

// fill makes objects until nothing fits any more.
func (f *filler) fill() {
	f.t.Helper()
	refused := 0
	for size := uint64(600 << 10); refused < 12; {
		o := modelOp{code: opWrite, name: fmt.Sprint("f", f.next)}
		f.next++
		o.data = f.bytes(1 + f.Uint64N(size))
		ops := []modelOp{o}
		switch f.IntN(6) {
		case 0:
			ops = append(ops, modelOp{code: opSetAttrs, name: o.name, kv: f.pairs("a", 4, 50)})
		case 1:
			ops = append(ops, modelOp{code: opOmapSet, name: o.name, kv: f.pairs("k", 40, 300)})
		case 2:
			if len(f.names) > 0 { // overwrites of what is there
				ops[0].name, ops[0].off = f.names[f.IntN(len(f.names))], f.Uint64N(300<<10)
			}
		}
		if !f.try(ops) {
			refused++
			size = max(size/2, 1000)
		}
		if f.IntN(40) == 0 {
			checkSpace(f.t, f.s)
		}
	}
}

// fragment gives single blocks back all over the store, and other bits.
func (f *filler) fragment() {
	f.t.Helper()
	for range 300 {
		name := f.names[f.IntN(len(f.names))]
		b := f.m[name]
		switch f.IntN(8) {
		case 0:
			f.must(modelOp{code: opTruncate, name: name, off: f.Uint64N(uint64(len(b.data)) + 1)})
		case 1:
			f.must(modelOp{code: opOmapRange, name: name, first: f.key("k", 300)})
		case 2:
			f.must(modelOp{code: opRmAttrs, name: name})
		default:
			if len(b.data) >= 2*blockSize {
				off := f.Uint64N(uint64(len(b.data))/blockSize) * blockSize
				f.must(modelOp{code: opZero, name: name, off: off, n: min(blockSize, uint64(len(b.data))-off)})
			}
		}
	}
}

// remove takes a share of the objects out.
func (f *filler) remove(part float64) {
	f.t.Helper()
	f.Shuffle(len(f.names), func(i, j int) { f.names[i], f.names[j] = f.names[j], f.names[i] })
	n := int(float64(len(f.names)) * part)
	for _, name := range f.names[:n] {
		f.must(modelOp{code: opRemove, name: name})
	}
	f.names = slices.Delete(f.names, 0, n)
}

// reopen ends the store, with a crash or without, and mounts it again: that
// works on a full device too.
func (f *filler) reopen() {
	f.t.Helper()
	if f.IntN(2) == 0 {
		f.check(f.s.Close(bg), "close")
	} else {
		image := f.dev.Snapshot()
		f.s.Close(bg)
		f.dev = image
	}
	s, err := Open(bg, f.dev, f.opt)
	if err != nil {
		f.t.Fatal("mount of a full store: ", err)
	}
	f.s = s
	f.check(compare(f.s, mainColl, f.m), "after mount")
}

// TestFull drives small stores to the last block and back, several times:
// whatever was admitted can be checkpointed, whatever gives space back is
// admitted, a full store mounts, and at the end nothing is lost.
func TestFull(t *testing.T) {
	eachSeed(t, 5, func(t *testing.T, seed uint64) {
		f := &filler{t: t, m: model{}, generator: &generator{Rand: rand.New(rand.NewPCG(seed, 5)), maxSize: 1 << 20}}
		f.opt = Options{Inline: seed%2 == 0, MemoryBytes: minMemory, MaxOnodes: int(seed % 3), CheckpointInterval: time.Hour}
		f.dev = newMem([]uint64{32, 40, 48, 64}[seed%4])
		fo := FormatOptions{}
		if seed%3 == 1 {
			fo.StripeBytes = 16 << 10
		}
		if hard := seed%5 == 4; hard {
			fo.StripeBytes, fo.Hard = 128<<10, &hard
		}
		f.s = newStore(t, f.dev, fo, f.opt)
		fresh := freshBlocks(t, f.dev, fo)
		for round := range 4 {
			f.fill()
			if st, _ := f.s.Statfs(); st.Available > st.Total/8 {
				t.Errorf("refused with %d of %d bytes available", st.Available, st.Total)
			}
			f.check(f.s.Checkpoint(bg), "checkpoint of a full store")
			checkSpace(t, f.s)
			checkLeaks(t, f.s, f.dev)
			f.fragment()
			checkSpace(t, f.s)
			f.fill()
			if round%2 == 1 {
				f.reopen()
			}
			f.remove(f.Float64())
			checkSpace(t, f.s)
			if t.Failed() {
				return
			}
		}
		f.check(compare(f.s, mainColl, f.m), "at the end")
		f.remove(1)
		apply(t, f.s, func(x *Txn) { x.RmColl(mainColl) })
		closeStore(t, f.s)
		if r := fsck(t, f.dev); r.Counts.DataBlocks+r.Counts.MetaBlocks != 0 {
			t.Errorf("an empty store uses blocks: %+v", r.Counts)
		}
		if got := freeBlocks(t, f.dev); got != fresh {
			t.Errorf("%d blocks are free after everything was removed, %d in a fresh store", got, fresh)
		}
	})
}

// hardProfiles are stripes as RAID-5 of six disks and flash of large units have them.
var hardProfiles = []uint32{320 << 10, 16 << 10, 64 << 10}

// TestFullStripes is TestFull on hard geometry: no write but those of log, labels and
// superblocks begins or ends inside a stripe, and cleaning makes room to the end.
func TestFullStripes(t *testing.T) {
	eachSeed(t, 6, func(t *testing.T, seed uint64) {
		f := &filler{t: t, m: model{}, generator: &generator{Rand: rand.New(rand.NewPCG(seed, 5)), maxSize: 1 << 20}}
		f.opt = Options{Inline: seed%2 == 0, MemoryBytes: minMemory, MaxOnodes: int(seed % 3), CheckpointInterval: time.Hour}
		f.dev = newMem(96)
		hard := true
		fo := FormatOptions{StripeBytes: hardProfiles[seed%3], Hard: &hard}
		f.s = newStore(t, f.dev, fo, f.opt)
		for round := range 3 {
			f.fill()
			if st, _ := f.s.Statfs(); st.Available > st.Total/8 {
				t.Errorf("refused with %d of %d bytes available", st.Available, st.Total)
			}
			f.check(f.s.Checkpoint(bg), "checkpoint of a full store")
			checkSpace(t, f.s)
			checkLeaks(t, f.s, f.dev)
			f.fragment()
			f.fill()
			if n := f.s.Metrics().PartialStripes; n != 0 {
				t.Fatalf("%d partial stripes were written", n)
			}
			t.Logf("round %d: %d objects, cleaned %d KiB", round, len(f.m), f.s.Metrics().Written[WriteClean]>>10)
			if round%2 == 1 {
				f.reopen()
			}
			f.remove(f.Float64())
			checkSpace(t, f.s)
		}
		f.check(compare(f.s, mainColl, f.m), "at the end")
		fsck(t, f.dev.Snapshot())
		f.remove(1)
		apply(t, f.s, func(x *Txn) { x.RmColl(mainColl) })
		closeStore(t, f.s)
		if r := fsck(t, f.dev); r.Counts.DataBlocks+r.Counts.MetaBlocks != 0 {
			t.Errorf("an empty store uses blocks: %+v", r.Counts)
		}
	})
}

// freshBlocks returns the free blocks of a new store like that on dev.
func freshBlocks(t testing.TB, dev devices.Device, o FormatOptions) uint64 {
	t.Helper()
	other := devices.NewMem(devices.MemOptions{Blocks: dev.Geometry().Blocks})
	format(t, other, o)
	return freeBlocks(t, other)
}

// TestFullTogether has several writers run into the end of the space at once.
func TestFullTogether(t *testing.T) {
	eachSeed(t, 2, func(t *testing.T, seed uint64) {
		dev := newMem(48)
		s := newStore(t, dev, FormatOptions{}, Options{CheckpointInterval: time.Hour, MaxDirtyBytes: 1 << 20})
		fresh := freshBlocks(t, dev, FormatOptions{})
		var wg sync.WaitGroup
		errs := make([]error, 6)
		for w := range errs {
			wg.Go(func() {
				g := &generator{Rand: rand.New(rand.NewPCG(seed, uint64(w)))}
				mine, m := []string{}, model{}
				do := func(o modelOp) error {
					err := s.Apply(bg, txnOf(mainColl, []modelOp{o}))
					if err == nil {
						m.apply([]modelOp{o})
					}
					return err
				}
				for i := range 400 {
					name := fmt.Sprint("w", w, "-", i)
					err := do(modelOp{code: opWrite, name: name, data: g.bytes(1 + g.Uint64N(200<<10))})
					if err == nil {
						mine = append(mine, name)
						continue
					}
					if !errors.Is(err, ErrNoSpace) {
						errs[w] = err
						return
					}
					for k := 0; k < 3 && len(mine) > 0; k++ {
						j := g.IntN(len(mine))
						if err := do(modelOp{code: opRemove, name: mine[j]}); err != nil {
							errs[w] = fmt.Errorf("remove: %w", err)
							return
						}
						mine = slices.Delete(mine, j, j+1)
					}
				}
				for _, name := range mine {
					if err := compareObject(s, mainColl, name, m[name]); err != nil {
						errs[w] = fmt.Errorf("object %s: %w", name, err)
						return
					}
					if err := do(modelOp{code: opRemove, name: name}); err != nil {
						errs[w] = fmt.Errorf("remove: %w", err)
						return
					}
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("%v (store: %v)", err, s.Err())
		}
		checkSpace(t, s)
		apply(t, s, func(x *Txn) { x.RmColl(mainColl) })
		closeStore(t, s)
		fsck(t, dev)
		if got := freeBlocks(t, dev); got != fresh {
			t.Errorf("%d blocks are free after everything was removed, %d in a fresh store", got, fresh)
		}
	})
}
