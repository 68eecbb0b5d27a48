package mutate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/image"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/repair"
)

// seed gives a target its seeds, a few of all classes in a short test.
func seed(f *testing.F) {
	seeds, err := Seeds()
	if err != nil {
		f.Fatal(err)
	}
	for i, p := range seeds {
		if i%7 == 0 || !testing.Short() {
			f.Add(p)
		}
	}
}

// engineTarget is a fuzz target that does use with a damaged store and keeps it to
// the limits.
//
// base does what use may do at worst, with the store unharmed.
func engineTarget(f *testing.F, base, use func(ctx context.Context, t testing.TB, dev *devices.Mem)) {
	seed(f)
	limit := new(Limit)
	f.Fuzz(func(t *testing.T, p []byte) {
		dev, s, err := Device(p)
		if err != nil {
			t.Fatal(err)
		}
		if s == nil {
			return
		}
		limit.Run(t, s, 0,
			func(ctx context.Context) { base(ctx, t, s.Mem.Snapshot()) },
			func(ctx context.Context) { use(ctx, t, dev) })
	})
}

// FuzzMount opens a store for reading and reads everything.
func FuzzMount(f *testing.F) { engineTarget(f, mount, mount) }

func mount(ctx context.Context, _ testing.TB, dev *devices.Mem) {
	o := Options()
	o.ReadOnly = true
	s, err := ebofs.Open(ctx, Open{dev}, o)
	if err != nil {
		return
	}
	readAll(ctx, s)
	s.Close(ctx)
}

// enough is how many objects, keys and blocks of one object are looked at: damage
// may turn a few into very many, which only takes time.
const enough = 200

// readAll reads what a store shows; errors are as good as answers.
func readAll(ctx context.Context, s *ebofs.Store) {
	s.Statfs()
	s.Degraded()
	colls, _ := s.Collections(ctx)
	for _, c := range colls[:min(len(colls), enough)] {
		s.CollectionSpec(c)
		ids, _, _ := s.List(ctx, c, nil, nil, enough)
		s.ListSound(ctx, c, nil, func(*ebofs.ObjectID) error { return nil })
		for _, id := range ids {
			readObject(ctx, s, c, id)
		}
	}
	for n := range Objects { // not only what a listing shows
		readObject(ctx, s, Coll, Object(n))
	}
}

var buffer [64 << 10]byte

func readObject(ctx context.Context, s *ebofs.Store, c ebofs.CollectionID, id ebofs.ObjectID) {
	st, err := s.Stat(ctx, c, id)
	if err != nil {
		return
	}
	for off, n := uint64(0), 0; off < st.Size && n < 40; off, n = off+uint64(len(buffer)), n+1 {
		s.Read(ctx, c, id, off, buffer[:])
	}
	if st.Size > uint64(len(buffer)) {
		s.Read(ctx, c, id, st.Size-uint64(len(buffer)), buffer[:])
	}
	if ext, err := s.Fiemap(ctx, c, id, 0, st.Size); err == nil {
		for i := range ext[:min(len(ext), enough)] {
			s.Read(ctx, c, id, ext[i].Offset, buffer[:4096])
		}
	}
	s.GetAttrs(ctx, c, id)
	s.GetAttr(ctx, c, id, "attr050")
	s.OmapHeader(ctx, c, id)
	s.OmapGet(ctx, c, id, []string{"key0007", "long", "none"})
	n := 0
	s.OmapIter(ctx, c, id, "", "", func(_, _ []byte) bool { n++; return n < enough })
}

// FuzzWrite opens a store for writing, changes it, reads it, and opens it again.
func FuzzWrite(f *testing.F) { engineTarget(f, writeOn, writeOn) }

func writeOn(ctx context.Context, _ testing.TB, dev *devices.Mem) {
	for round := range 2 {
		s, err := ebofs.Open(ctx, Open{dev}, Options())
		if err != nil {
			return
		}
		for n := range 12 {
			s.Apply(ctx, changeOf(n, round))
		}
		readAll(ctx, s)
		s.Checkpoint(ctx)
		s.Apply(ctx, changeOf(0, round))
		if s.Close(ctx) != nil {
			return
		}
	}
}

func changeOf(n, round int) *ebofs.Txn {
	x := ebofs.NewTxn()
	switch id := Object(n * 3); n {
	case 0:
		x.Write(Coll, Object(Big), 500, text(9000))
		x.SetAttr(Coll, Object(Big), "attr020", text(20))
		x.OmapSet(Coll, Object(Big), map[string][]byte{"key0020": text(20), fmt.Sprint("new", round): text(2)})
	case 1:
		x.Write(Coll, Object(Big), 7_000_000, text(50_000))
		x.RmAttr(Coll, Object(Big), "long")
		x.OmapRm(Coll, Object(Big), []string{"long", "key0100"})
	case 2:
		x.OmapRmRange(Coll, Object(Big), "key0050", "key0200")
	case 3:
		x.Truncate(Coll, Object(Big), 3_000_000)
	case 4:
		x.Remove(Coll, Object(Big+2))
	case 5:
		x.Clone(Coll, Object(Big), Object(700+round))
	case 6:
		x.Remove(Coll, Object(Big))
	case 7:
		x.MkColl(ebofs.CollectionID(fmt.Sprint("new", round)), ebofs.CollSpec{Shard: -1, Pool: int64(100 + round)})
		x.RmColl("other3")
	case 8:
		x.SplitColl(Coll, 1, 1, ebofs.CollectionID(fmt.Sprint("half", round)))
	default:
		x.Write(Coll, id, 0, text(100_000))
		x.Zero(Coll, id, 100, 5000)
	}
	return x
}

// FuzzSave makes an image of a store, reads it, and restores it.
func FuzzSave(f *testing.F) { engineTarget(f, save, save) }

func save(ctx context.Context, t testing.TB, dev *devices.Mem) {
	var w bytes.Buffer
	if _, err := image.Save(ctx, dev, &w, image.SaveOptions{Seed: [32]byte{1}}); err != nil {
		return
	}
	to := devices.NewMem(devices.MemOptions{Blocks: dev.Geometry().Blocks})
	if err := image.Restore(ctx, bytes.NewReader(w.Bytes()), map[uint8]image.Target{0: {Device: to, Fresh: true}}); err != nil {
		t.Errorf("restore: %v", err)
	}
	r, err := image.NewReader(bytes.NewReader(w.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		// Names and values of the stores are made of these.
		for _, s := range []string{"0123456789ab", "object 0", "attr0", "key0", "other1"} {
			if i := bytes.Index(e.Data, []byte(s)); i >= 0 {
				t.Fatalf("%q in the image, block %d + %d", s, e.Block, i)
			}
		}
	}
}

// FuzzCheck checks a store at the deepest level, its log replayed.
func FuzzCheck(f *testing.F) { engineTarget(f, fsck, fsck) }

func fsck(ctx context.Context, _ testing.TB, dev *devices.Mem) {
	o := check.Options{Level: check.Deep, Workers: 1, MemoryBytes: 4 << 20, Now: noon}
	o.Replay = func(ctx context.Context) (devices.Device, error) {
		over := devices.NewOverlay(dev, 64<<20)
		s, err := ebofs.Open(ctx, over, Options())
		if err != nil {
			return nil, err
		}
		return over, s.Close(ctx)
	}
	check.Run(ctx, dev, o)
}

// FuzzRepair repairs a store whatever it takes.
func FuzzRepair(f *testing.F) {
	engineTarget(f, func(ctx context.Context, t testing.TB, dev *devices.Mem) {
		mend(ctx, t, dev.Snapshot())
		// Without superblocks it is a salvage.
		for _, b := range layout.SlotBlocks(DeviceBytes / devices.BlockSize) {
			if err := write(dev, b, make([]byte, devices.BlockSize)); err != nil {
				t.Fatal(err)
			}
		}
		mend(ctx, t, dev)
	}, mend)
}

func mend(ctx context.Context, _ testing.TB, dev *devices.Mem) {
	repair.Run(ctx, dev, repair.Options{Mode: repair.All, Overwrite: true, Deep: true, Now: noon})
}
