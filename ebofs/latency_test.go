package ebofs

import (
	"fmt"
	"testing"

	"ebofs/devices"
	"ebofs/internal/perf"
)

// TestStages: of transactions that are watched every stage is timed once, and
// together they take as long as the whole.
func TestStages(t *testing.T) {
	s := newStore(t, newMem(64), FormatOptions{StripeBytes: 64 << 10}, quiet())
	defer closeStore(t, s)
	l := s.Latencies()
	made := [Stages]uint64{} // by the making of the collection, if that was watched
	for g := range l.Stages {
		var p perf.Snapshot
		l.Stages[g].Snapshot(&p)
		made[g] = p.Count
	}
	// Who counts to watchEvery may be forgotten on the way: with the race detector a
	// sync.Pool drops one in four.
	for i := 0; i < 5*watchEvery || l.Stages[StageAdmit].Count() == made[StageAdmit] && i < 200*watchEvery; i++ {
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid("o"), 0, make([]byte, 200<<10)) })
		done := make(chan error, 1)
		x := NewTxn()
		x.Write(mainColl, oid("o"), 5, []byte("small"))
		if err := s.Queue(bg, x, nil, func(err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	var n [Stages]uint64
	var sum uint64
	for g := range l.Stages {
		var p perf.Snapshot
		l.Stages[g].Snapshot(&p)
		n[g], sum = p.Count-made[g], sum+p.Sum
	}
	whole := n[StageAdmit]
	if whole == 0 || n[StageOrder] != whole || n[StageApply] != whole || n[StageLog] != whole || n[StageDirect]+n[StageNotice] != whole {
		t.Errorf("stages counted %v times", n)
	}
	var all perf.Snapshot
	l.Commit.Snapshot(&all)
	if sum == 0 || sum > 2*all.Sum {
		t.Errorf("stages of %d of %d transactions take %d ns, all of them %d", whole, all.Count, sum, all.Sum)
	}
	for g := range Stages + 1 {
		if (g.String() == fmt.Sprintf("stage %d", g)) != (g == Stages) {
			t.Errorf("stage %d is named %v", uint8(g), g)
		}
	}
}

// TestLatencies: each histogram counts what its comment says, and writes that cut
// stripes are told from those that do not.
func TestLatencies(t *testing.T) {
	dev := newMem(64)
	s := newStore(t, dev, FormatOptions{StripeBytes: 64 << 10}, quiet())
	defer closeStore(t, s)
	l := s.Latencies()
	counts := func() [5]uint64 {
		return [5]uint64{l.Commit.Count(), l.QueueWait.Count(), l.Read.Count(), l.LogFlush.Count(), l.Checkpoint.Count()}
	}
	apply(t, s, func(x *Txn) { x.Write(mainColl, oid("large"), 0, make([]byte, 256<<10)) })
	before := counts()
	apply(t, s, func(x *Txn) { x.Write(mainColl, oid("small"), 0, []byte("one")) })
	done := make(chan error, 1)
	x := NewTxn()
	x.Write(mainColl, oid("small"), 3, []byte(" two"))
	if err := s.Queue(bg, x, nil, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	mustCheckpoint(t, s)
	// One block, in the onode still, then one of a larger object on the device.
	p := make([]byte, 7)
	if n, err := s.Read(bg, mainColl, oid("small"), 0, p); n != 7 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := s.Read(bg, mainColl, oid("large"), 4096, p); n != 7 || err != nil {
		t.Fatal(n, err)
	}
	after := counts()
	for i, want := range [5]uint64{2, 2, 1, 2, 1} {
		if got := after[i] - before[i]; got != want {
			t.Errorf("histogram %d counted %d, want %d", i, got, want)
		}
	}

	cut := s.Metrics().PartialStripes
	s.countStripes(s.place.AlignBlocks+32, 16)
	s.countStripes(s.place.AlignBlocks, 32)
	if n := s.Metrics().PartialStripes; n != cut {
		t.Errorf("whole stripes count as cut: %d", n-cut)
	}
	s.countStripes(s.place.AlignBlocks+33, 15)
	s.countStripes(s.place.AlignBlocks+32, 15)
	if n := s.Metrics().PartialStripes; n != cut+2 {
		t.Errorf("of 2 cut writes %d are counted", n-cut)
	}
}

// TestClasses: the device is told what I/O is for.
func TestClasses(t *testing.T) {
	s := newStore(t, newMem(64), FormatOptions{}, quiet())
	defer closeStore(t, s)
	dev, log := s.Devices()
	if log != nil {
		t.Error("a log device where there is none")
	}
	bytes := func() (b [devices.NumClasses]int64) {
		for c := range b {
			b[c] = dev.Class(devices.Class(c)).Bytes
		}
		return b
	}
	m, before := s.Metrics(), bytes()
	apply(t, s, func(x *Txn) { x.Write(mainColl, oid("large"), 0, make([]byte, 256<<10)) })
	apply(t, s, func(x *Txn) { x.Write(mainColl, oid("large"), 5000, []byte("small")) })
	mustCheckpoint(t, s)
	if n, err := s.Read(bg, mainColl, oid("large"), 8192, make([]byte, 4096)); n != 4096 || err != nil {
		t.Fatal(n, err)
	}
	n, after := s.Metrics(), bytes()
	wrote := func(p Purpose) int64 { return n.Written[p] - m.Written[p] }
	for _, c := range []struct {
		class devices.Class
		least int64
	}{
		{devices.ClassLog, int64(n.Log.Bytes - m.Log.Bytes)}, {devices.ClassRead, 4096}, {devices.ClassData, wrote(WriteDirect)},
		{devices.ClassCheckpoint, n.Written.Total() - m.Written.Total() - int64(n.Log.Bytes-m.Log.Bytes) - wrote(WriteDirect)},
	} {
		if got := after[c.class] - before[c.class]; got < c.least || got > 2*c.least || c.least == 0 {
			t.Errorf("class %v has %d bytes, want %d", c.class, got, c.least)
		}
	}
}

// TestFreeSpace: run by run it is what the allocator counts in one go.
func TestFreeSpace(t *testing.T) {
	s := newStore(t, newMem(64), FormatOptions{}, quiet())
	defer closeStore(t, s)
	for i := range 40 {
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid(string(rune('a'+i))), 0, make([]byte, (i+1)<<12)) })
	}
	mustCheckpoint(t, s)
	for i := 0; i < 40; i += 2 {
		apply(t, s, func(x *Txn) { x.Remove(mainColl, oid(string(rune('a'+i)))) })
	}
	mustCheckpoint(t, s)
	got := s.FreeSpace()
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	if want := s.space.a.Histogram(); got.Runs != want || got.Largest != s.space.a.LargestFree() || got.Score != s.space.a.Score() {
		t.Errorf("free space %+v, want %+v", got, want)
	}
	if got.Largest*devices.BlockSize == 0 || got.Score < 0 || got.Score > 1 {
		t.Errorf("largest %d, score %v", got.Largest, got.Score)
	}
}

// TestClassClean: what the cleaner reads of stripes is its own class.
func TestClassClean(t *testing.T) {
	hard := true
	s := newStore(t, newMem(128), FormatOptions{StripeBytes: 64 << 10, Hard: &hard, LogBytes: 16 << 20}, quiet())
	defer closeStore(t, s)
	st, err := s.Statfs()
	if err != nil {
		t.Fatal(err)
	}
	blocks := (st.Used + st.Available) * 9 / 10 / blockSize
	p := make([]byte, 1<<20)
	const per = 256
	name := func(b uint64) ObjectID { return oid(string(rune('a' + b/per))) }
	for b := uint64(0); b < blocks; b += per {
		apply(t, s, func(x *Txn) { x.Write(mainColl, name(b), 0, p[:min(per, blocks-b)*blockSize]) })
	}
	dev, _ := s.Devices()
	for i := uint64(0); dev.Class(devices.ClassClean).Bytes == 0; i++ {
		if i == 4*blocks {
			t.Fatal("nothing was cleaned")
		}
		b := i * 7919 % blocks
		apply(t, s, func(x *Txn) { x.Write(mainColl, name(b), b%per*blockSize, p[:blockSize]) })
	}
}
