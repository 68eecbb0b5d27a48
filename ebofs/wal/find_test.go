package wal

import (
	"math/rand/v2"
	"testing"
)

// TestFindTail finds the tail of a log without knowing where it begins, through laps
// and incarnations.
func TestFindTail(t *testing.T) {
	cfg := ringAt(0, 40)
	dev := newMem(t, 40, nil)
	if _, ok, err := FindTail(ctx, dev, cfg); ok || err != nil {
		t.Fatalf("an empty ring: %v, %v", ok, err)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	pos, txid := Pos{Seq: 1}, uint64(0)
	for range 6 {
		l := New(dev, cfg, pos, 0)
		var cuts []Pos
		var first []uint64 // first txid behind each cut
		for range 25 {
			cuts, first = append(cuts, l.Cut()), append(first, txid+1)
			for {
				lsn, err := l.Append(txid+1, 0, fill(rng, rng.IntN(9000)))
				if err == nil {
					commitAll(t, l, lsn)
					break
				}
				l.SetTail(cuts[max(0, len(cuts)-4)])
			}
			txid++
		}
		l.SetTail(cuts[len(cuts)-3])
		lsn, err := l.Append(txid+1, 0, []byte("names the tail"))
		if err != nil {
			t.Fatal(err)
		}
		commitAll(t, l, lsn)
		txid++
		f, ok, err := FindTail(ctx, dev, cfg)
		if err != nil || !ok || f.Incarnation != cfg.Incarnation || !f.Whole || f.Last != txid {
			t.Fatalf("%+v, %v, %v: want incarnation %d, last %d", f, ok, err, cfg.Incarnation, txid)
		}
		if want := first[len(first)-3]; f.Tail != cuts[len(cuts)-3] || f.First != want {
			t.Errorf("tail %v from %d, want %v from %d", f.Tail, f.First, cuts[len(cuts)-3], want)
		}
		got, _, res := scanAll(t, dev, cfg, f.Tail)
		if res.Damage != nil || len(got) == 0 || got[0].txid != f.First || got[len(got)-1].txid != txid {
			t.Errorf("scan from there: %d records, %v", len(got), res.Damage)
		}
		pos = res.End
		cfg.Incarnation++
	}
	other := cfg
	other.FSID[0] ^= 1
	if _, ok, err := FindTail(ctx, dev, other); ok || err != nil {
		t.Errorf("another store's log is taken: %v", err)
	}
}
