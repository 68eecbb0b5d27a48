package check_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

var bg = context.Background()

const coll = ebofs.CollectionID("c")

func object(name string) ebofs.ObjectID {
	return layout.ObjectKey{Shard: layout.NoShard, Pool: 1, Hash: layout.HashName("", "", name), Name: name, Snap: layout.NoSnap, Generation: layout.NoGeneration}
}

func newDevice(mib uint64) *devices.Mem {
	return devices.NewMem(devices.MemOptions{Blocks: mib << 20 / layout.BlockSize})
}

func open(t testing.TB, dev devices.Device, o ebofs.Options) *ebofs.Store {
	t.Helper()
	o.Inline = true
	s, err := ebofs.Open(bg, dev, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func apply(t testing.TB, s *ebofs.Store, fn func(x *ebofs.Txn)) {
	t.Helper()
	x := ebofs.NewTxn()
	fn(x)
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
}

func fill(seed int64, n int) []byte {
	p := make([]byte, n)
	rand.New(rand.NewSource(seed)).Read(p)
	return p
}

// populate writes objects of every kind: inline, with many extents, with attributes
// and omaps inside the onode, in trees of their own, and as overflow values.
func populate(t testing.TB, s *ebofs.Store) {
	t.Helper()
	apply(t, s, func(x *ebofs.Txn) { x.MkColl(coll, ebofs.CollSpec{Shard: -1, Pool: 1}) })
	for i := range 400 {
		o := object(fmt.Sprintf("small%03d", i))
		apply(t, s, func(x *ebofs.Txn) {
			x.Write(coll, o, 0, fill(int64(i), i*7))
			x.SetAttr(coll, o, "_", fill(int64(i), 200))
		})
	}
	for i := range 8 {
		o := object(fmt.Sprintf("large%d", i))
		apply(t, s, func(x *ebofs.Txn) {
			x.Write(coll, o, uint64(i)<<12, fill(int64(i), 600<<10))
			x.SetAttr(coll, o, "long", fill(int64(i), 20000))
		})
		for j := range 12 {
			apply(t, s, func(x *ebofs.Txn) { x.Write(coll, o, uint64(j)*50000+100, fill(int64(j), 3000)) })
		}
	}
	kv := map[string][]byte{}
	for i := range 3000 {
		kv[fmt.Sprintf("key%05d", i)] = fill(int64(i), 60)
	}
	kv["long"] = fill(9, 50000)
	apply(t, s, func(x *ebofs.Txn) {
		x.OmapSet(coll, object("omap"), kv)
		x.OmapSetHeader(coll, object("omap"), []byte("header"))
	})
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		apply(t, s, func(x *ebofs.Txn) { x.Remove(coll, object(fmt.Sprintf("small%03d", i*3))) })
	}
	apply(t, s, func(x *ebofs.Txn) { x.Truncate(coll, object("large1"), 100001) })
	apply(t, s, func(x *ebofs.Txn) { x.Remove(coll, object("large0")) })
	apply(t, s, func(x *ebofs.Txn) { x.Zero(coll, object("large2"), 5000, 300000) })
}

// makeStore returns a clean, closed store with something of everything in it.
func makeStore(t testing.TB) *devices.Mem {
	t.Helper()
	dev := newDevice(64)
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{Label: "test", UUID: [16]byte{1, 2, 3}}); err != nil {
		t.Fatal(err)
	}
	s := open(t, dev, ebofs.Options{})
	populate(t, s)
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	return dev
}

func run(t testing.TB, dev devices.Device, o check.Options) *check.Report {
	t.Helper()
	r, err := check.Run(bg, dev, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantClean fails if the report has a problem.
func wantClean(t testing.TB, r *check.Report) {
	t.Helper()
	for i := range r.Problems {
		t.Error(r.Problems[i].String())
	}
	if !r.Complete || !r.OK() {
		t.Fatalf("not clean or not complete: %+v", r.Counts)
	}
}

// readBlocks and writeBlocks are how tests damage a device.
func readBlocks(t testing.TB, dev devices.Device, b uint64, n int) []byte {
	t.Helper()
	f := pool.Get(n * layout.BlockSize)
	defer f.Release()
	if err := dev.Read(bg, devices.Block(b), f.Vec()); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(f.Bytes())
}

func writeBlocks(t testing.TB, dev devices.Device, b uint64, p []byte) {
	t.Helper()
	f := pool.Get(len(p))
	defer f.Release()
	copy(f.Bytes(), p)
	if err := dev.Write(bg, devices.Block(b), f.Vec()); err != nil {
		t.Fatal(err)
	}
}

var pool = devices.NewPool(devices.PoolOptions{})

func TestClean(t *testing.T) {
	dev := makeStore(t)
	before := dev.Hash()
	for _, l := range []check.Level{check.Quick, check.Full, check.Deep} {
		var phases []string
		r := run(t, dev, check.Options{Level: l, Progress: func(p check.Progress) {
			if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
				phases = append(phases, p.Phase)
			}
		}})
		wantClean(t, r)
		if !r.Clean || r.Label != "test" || r.Store != "01020300-0000-0000-0000-000000000000" || r.Level != l.String() {
			t.Errorf("%+v", r)
		}
		t.Logf("%v: %+v %v", l, r.Counts, phases)
		if n := r.Counts; l >= check.Full && (n.Objects != 358 || n.Collections != 1 || n.OmapKeys != 3001 || n.DataBlocks == 0 || n.Nodes == 0) {
			t.Errorf("%+v", n)
		}
		if l == check.Deep && r.Counts.DataChecked < r.Counts.DataBlocks {
			t.Errorf("deep looked at %d of %d data blocks", r.Counts.DataChecked, r.Counts.DataBlocks)
		}
	}
	if dev.Hash() != before {
		t.Fatal("a check wrote to the device") // C1
	}
}

// TestWindows: a map too small for the device is used in several passes, with the
// same result.
func TestWindows(t *testing.T) {
	dev := newDevice(2048)
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	s := open(t, dev, ebofs.Options{})
	populate(t, s)
	apply(t, s, func(x *ebofs.Txn) { x.Clone(coll, object("large4"), object("large4c")) }) // counts take the most memory
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	one := run(t, dev, check.Options{Level: check.Full})
	many := run(t, dev, check.Options{Level: check.Full, MemoryBytes: 1})
	wantClean(t, one)
	wantClean(t, many)
	one.Counts.BytesRead, many.Counts.BytesRead = 0, 0
	if one.Counts != many.Counts {
		t.Errorf("%+v\n%+v", one.Counts, many.Counts)
	}
	if one.Passes != 1 || many.Passes < 2 {
		t.Errorf("%d passes, %d with little memory", one.Passes, many.Passes)
	}
}

// TestUnclean: a store with a log to replay is checked at its last checkpoint,
// or as the next mount will make it; neither changes it.
func TestUnclean(t *testing.T) {
	dev := newDevice(64)
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	s := open(t, dev, ebofs.Options{})
	populate(t, s)
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		apply(t, s, func(x *ebofs.Txn) { x.Write(coll, object(fmt.Sprint("late", i)), 0, fill(1, 70000)) })
	}
	crashed := dev.Snapshot()
	r := run(t, crashed, check.Options{Level: check.Deep})
	wantClean(t, r)
	if r.Clean || r.Counts.LogRecords != 20 || r.Phases[1].Note != "20 records to replay" {
		t.Errorf("%+v %+v", r.Counts, r.Phases)
	}
	replay := func(limit int64) func(context.Context) (devices.Device, error) {
		return func(context.Context) (devices.Device, error) {
			o := devices.NewOverlay(crashed, limit)
			s, err := ebofs.Open(bg, o, ebofs.Options{Inline: true})
			if err == nil {
				err = s.Close(bg)
			}
			return o, err
		}
	}
	ahead := run(t, crashed, check.Options{Level: check.Deep, Replay: replay(64 << 20)})
	wantClean(t, ahead)
	if ahead.Clean || ahead.Counts.LogReplayed != 20 || ahead.Counts.Objects != r.Counts.Objects+20 || ahead.Epoch != r.Epoch {
		t.Errorf("replayed: %+v, without: %+v", ahead.Counts, r.Counts)
	}
	small := run(t, crashed, check.Options{Level: check.Deep, Replay: replay(16 << 10)})
	wantClean(t, small)
	if small.Counts != r.Counts || !strings.Contains(small.Phases[1].Note, "not looked into") {
		t.Errorf("%+v %+v", small.Counts, small.Phases)
	}
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	wantClean(t, run(t, dev, check.Options{Level: check.Deep}))

	s = open(t, crashed, ebofs.Options{})
	wantClean(t, run(t, crashed.Snapshot(), check.Options{Level: check.Deep}))
	got := make([]byte, 70000)
	if n, err := s.Read(bg, coll, object("late7"), 0, got); err != nil || n != len(got) || !bytes.Equal(got, fill(1, 70000)) {
		t.Fatal(n, err)
	}
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	wantClean(t, run(t, crashed, check.Options{Level: check.Deep}))
}
