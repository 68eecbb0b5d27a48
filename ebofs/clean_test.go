package ebofs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ebofs/devices"
)

// BenchmarkClean overwrites 4 KiB blocks at random on hard geometry, at several
// fill levels of what the store reports as its size, and tells how much is written
// for a block: data as folded and moved, padding among it. ENGINE.md §6 has the figures
// of the simulation.
func BenchmarkClean(b *testing.B) {
	for _, stripe := range []uint32{64 << 10, 320 << 10, 16 << 10} {
		for _, fill := range []int{80, 90, 95} {
			b.Run(fmt.Sprintf("stripe=%dK/fill=%d", stripe>>10, fill), func(b *testing.B) {
				for range b.N {
					benchClean(b, stripe, fill)
				}
			})
		}
	}
}

func benchClean(b *testing.B, stripe uint32, fill int) {
	const mib, object = 512, 4 << 20
	hard := true
	dev := devices.NewMem(devices.MemOptions{Blocks: mib << 20 / blockSize})
	s := newStore(b, dev, FormatOptions{StripeBytes: stripe, Hard: &hard, LogBytes: 64 << 20}, Options{MemoryBytes: 256 << 20, CheckpointInterval: time.Hour})
	defer closeStore(b, s)
	st, err := s.Statfs()
	if err != nil {
		b.Fatal(err)
	}
	blocks := (st.Used + st.Available) / 100 * uint64(fill) / blockSize
	rnd := rand.New(rand.NewPCG(1, 1))
	p := make([]byte, object)
	for i := range p {
		p[i] = byte(rnd.Uint32())
	}
	name := func(i uint64) ObjectID { return oid(fmt.Sprint("o", i)) }
	per := uint64(object / blockSize)
	for i := uint64(0); i < blocks; i += per {
		n := min(per, blocks-i) * blockSize
		apply(b, s, func(x *Txn) { x.Write(mainColl, name(i/per), 0, p[:n]) })
	}
	round := func(n uint64) {
		for i := range n {
			k := rnd.Uint64N(blocks)
			apply(b, s, func(x *Txn) { x.Write(mainColl, name(k/per), k%per*blockSize, p[i%64*blockSize:][:blockSize]) })
		}
	}
	round(2 * blocks) // until it is as it will be
	before := s.Metrics()
	round(blocks)
	mustCheckpoint(b, s)
	m := s.Metrics()
	w := m.Written.Sub(before.Written)
	user := float64(blocks * blockSize)
	b.ReportMetric(float64(w[WriteFold]+w[WriteClean])/user, "data×")
	b.ReportMetric(float64(w[WriteTree]+w[WriteSpace])/user, "tree×")
	b.ReportMetric(float64(w[WritePadding]-int64(m.Log.PaddingBytes-before.Log.PaddingBytes))/user, "pad×")
	b.ReportMetric(float64(w[WriteLog])/user, "log×")
	st, _ = s.Statfs()
	// The reserve is out of the cleaner's reach: a smaller part of larger stores.
	b.ReportMetric(100*float64(st.Used)/float64(st.Total-st.Reserve), "physical%")
	b.ReportMetric(float64(m.Checkpoints-before.Checkpoints), "checkpoints")
	if m.PartialStripes != 0 {
		b.Errorf("%d partial stripes", m.PartialStripes)
	}
}

// TestCleanClones cleans a store most of whose blocks objects share with their
// snapshots, and then one whose snapshots are gone.
func TestCleanClones(t *testing.T) {
	s, reopen := hardStore(t, 64, 64<<10)
	rnd := rand.New(rand.NewPCG(7, 7))
	const objects, size = 64, 512 << 10
	want := make(map[ObjectID][]byte)
	head := func(i int) ObjectID { return oid(fmt.Sprint("o", i)) }
	write := func(id ObjectID, off, n int) {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rnd.Uint32()) | 1
		}
		if want[id] == nil {
			want[id] = make([]byte, size)
		}
		copy(want[id][off:], p)
		apply(t, s, func(x *Txn) { x.Write(mainColl, id, uint64(off), p) })
	}
	compareAll := func() {
		t.Helper()
		p := make([]byte, size)
		for id, data := range want {
			if n, err := s.Read(bg, mainColl, id, 0, p); err != nil || !bytes.Equal(p[:n], data) {
				t.Fatalf("object %v: %d bytes, %v", id, n, err)
			}
		}
	}
	snap := func(id ObjectID, n uint64) ObjectID { id.Snap = n; return id }
	for i := range objects {
		write(head(i), 0, size)
		apply(t, s, func(x *Txn) { x.Clone(mainColl, head(i), snap(head(i), 1)) })
		want[snap(head(i), 1)] = bytes.Clone(want[head(i)])
	}
	churn := func() {
		before := s.Metrics().Written[WriteClean]
		for range 4000 {
			write(head(rnd.IntN(objects/4)), rnd.IntN(size/blockSize)*blockSize, blockSize)
		}
		mustCheckpoint(t, s)
		if s.Metrics().Written[WriteClean] == before {
			t.Error("nothing was cleaned")
		}
	}
	churn()
	compareAll()
	st, _ := s.Statfs()
	t.Logf("%d MiB stored in %d of %d MiB", len(want)*size>>20, st.Used>>20, st.Total>>20)
	if st.Used > objects*size*3/2 {
		t.Errorf("%d bytes in use: moving has unshared what clones share", st.Used)
	}
	s = reopen()
	compareAll()
	for i := range objects {
		apply(t, s, func(x *Txn) { x.Remove(mainColl, snap(head(i), 1)) })
		delete(want, snap(head(i), 1))
	}
	churn()
	s = reopen()
	compareAll()
	closeStore(t, s)
}
