package ebofs

import (
	"bytes"
	"fmt"
	"testing"
)

// TestLull: a write of medium size is journaled when nothing else is on its way, unless
// more goes direct, and never so that the log cannot take what it could.
func TestLull(t *testing.T) {
	s := newStore(t, newMem(64), FormatOptions{LogBytes: 4 << 20}, quiet())
	defer closeStore(t, s)
	data := bytes.Repeat([]byte("lull"), lullMin/4)
	direct := func(fn func(*Txn)) uint64 {
		t.Helper()
		before := s.Metrics().Written
		apply(t, s, fn)
		return uint64(s.Metrics().Written[WriteDirect] - before[WriteDirect])
	}
	write := func(x *Txn, i, n int) { x.Write(mainColl, oid(fmt.Sprint("o", i)), 0, data[:n]) }

	for _, c := range []struct {
		n    int
		want uint64
	}{{directMin, 0}, {lullMin - blockSize, 0}, {lullMin, lullMin}} {
		if got := direct(func(x *Txn) { write(x, 0, c.n) }); got != c.want {
			t.Errorf("%d bytes alone: %d direct, want %d", c.n, got, c.want)
		}
	}
	if got := direct(func(x *Txn) { write(x, 1, directMin); write(x, 2, directMin) }); got != 2*directMin {
		t.Errorf("two in one transaction: %d direct, want %d", got, 2*directMin)
	}
	most := int(min(s.ringSize/4, int64(s.wal.MaxRecord())))
	if got := direct(func(x *Txn) {
		for i := 0; len(x.ops) < (most-40<<10)/(60<<10); i++ {
			x.OmapSet(mainColl, oid(fmt.Sprint("h", i)), map[string][]byte{"k": data[:60<<10]})
		}
		write(x, 3, directMin)
	}); got != directMin {
		t.Errorf("beside what fills a record: %d direct, want %d", got, directMin)
	}
	x := NewTxn()
	write(x, 4, blockSize)
	if err := s.Queue(bg, x, nil, nil); err != nil { // nobody waits for it
		t.Fatal(err)
	}
	if got := direct(func(x *Txn) { write(x, 5, directMin) }); got != directMin {
		t.Errorf("while another is on its way: %d direct, want %d", got, directMin)
	}
	for i, n := range []int{lullMin, directMin, directMin, directMin, blockSize, directMin} {
		p := make([]byte, n)
		if _, err := s.Read(bg, mainColl, oid(fmt.Sprint("o", i)), 0, p); err != nil || !bytes.Equal(p, data[:n]) {
			t.Errorf("object %d reads differently: %v", i, err)
		}
	}
}
