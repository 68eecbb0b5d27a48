package wal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"ebofs/devices"
)

var ctx = context.Background()

// ringAt is the configuration most tests use: a ring in the middle of a device.
func ringAt(start, blocks uint64) Config {
	return Config{
		Start: start, Blocks: blocks, FSID: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, Ring: 1,
		Incarnation: 7, MaxBatchBytes: 32 << 10, Inline: true,
	}
}

// rec is a record as a test knows it.
type rec struct {
	txid  uint64
	flags uint16
	data  []byte
}

// scanAll returns what Scan finds, in order.
func scanAll(t testing.TB, dev devices.Device, cfg Config, tail Pos) (recs []rec, committed int, res ScanResult) {
	t.Helper()
	res, err := Scan(ctx, dev, cfg, tail, func(r Record) error {
		recs = append(recs, rec{r.Txid, r.Flags, bytes.Clone(r.Data)})
		if r.Committed {
			committed = len(recs)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	return recs, committed, res
}

func sameRecords(got, want []rec) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d records, want %d", len(got), len(want))
	}
	for i, g := range got {
		if w := want[i]; g.txid != w.txid || g.flags != w.flags || !bytes.Equal(g.data, w.data) {
			return fmt.Errorf("record %d is txid %d flags %x %d bytes, want txid %d flags %x %d bytes",
				i, g.txid, g.flags, len(g.data), w.txid, w.flags, len(w.data))
		}
	}
	return nil
}

// fill makes contents that tell where they belong.
func fill(rng *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(p[i:], rng.Uint64())
	}
	return p
}

// TestModel appends, commits, cuts and moves the tail at random and compares
// every scan with a list. It wraps the ring many times.
func TestModel(t *testing.T) {
	fillers, full := uint64(0), 0
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l, f := runModel(t, seed)
			fillers += l.Metrics().Fillers
			full += f
		})
	}
	if fillers == 0 || full == 0 {
		t.Errorf("%d fillers and %d times full over all seeds", fillers, full)
	}
}

func runModel(t *testing.T, seed uint64) (*Log, int) {
	const records = 400
	rng := rand.New(rand.NewPCG(seed, 1))
	blocks := uint64(MinBlocks + rng.IntN(200))
	cfg := ringAt(5, blocks)
	cfg.MaxBatchBytes = []int{0, 8 << 10, 32 << 10, 100 << 10}[rng.IntN(4)]
	dev := newMem(t, blocks+10, nil)
	outside := bytes.Repeat([]byte{0xee}, devices.BlockSize)
	for _, b := range []uint64{4, blocks + 5} {
		poke(t, dev, b, outside)
	}
	head := Pos{Block: rng.Uint64N(blocks), Seq: 1 + rng.Uint64N(1000)}
	l := New(dev, cfg, head, 99)
	var (
		model     []rec // from the tail on
		tail      = head
		durable   int // of model, known committed
		cuts      = []cutAt{{head, 0}}
		dropped   int // records before model
		lastLSN   LSN
		full      int
		committed uint64 // txid told by OnCommit
	)
	l.cfg.OnCommit = func(first, last uint64, err error) {
		if err != nil || first != committed+1 || last < first {
			t.Fatalf("OnCommit(%d, %d, %v) after %d", first, last, err, committed)
		}
		committed = last
	}
	for txid := uint64(0); txid < records; {
		switch op := rng.IntN(20); {
		case op < 12:
			n := rng.IntN(6000)
			if rng.IntN(12) == 0 {
				n = rng.IntN(l.MaxRecord() + 1)
			}
			r := rec{txid + 1, uint16(rng.Uint32()), fill(rng, n)}
			cut := rng.IntN(n + 1)
			cut2 := cut + rng.IntN(n-cut+1)
			free, cost := l.Free(), l.Cost(n)
			lsn, err := l.Append(r.txid, r.flags, r.data[:cut], nil, r.data[cut:cut2], r.data[cut2:])
			if errors.Is(err, ErrFull) {
				if free >= cost {
					t.Fatalf("full with %d bytes free and a cost of %d", free, cost)
				}
				if l.Free() != free {
					t.Fatalf("a refused record took %d bytes", free-l.Free())
				}
				full++
				// Room comes from dropping what a checkpoint made superfluous.
				if len(cuts) > 0 && cuts[len(cuts)-1].count > dropped {
					last := cuts[len(cuts)-1]
					commitAll(t, l, lastLSN)
					durable = len(model)
					l.SetTail(last.pos)
					model, durable = model[last.count-dropped:], durable-(last.count-dropped)
					dropped, tail, cuts = last.count, last.pos, nil
				}
				cuts = append(cuts, cutAt{l.Cut(), dropped + len(model)})
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if used := free - l.Free(); used > cost {
				t.Fatalf("record of %d bytes took %d, cost is %d", n, used, cost)
			}
			txid, lastLSN = txid+1, lsn
			model = append(model, r)
		case op < 15:
			commitAll(t, l, lastLSN)
			durable = len(model)
		case op < 16:
			cuts = append(cuts, cutAt{l.Cut(), dropped + len(model)})
		case op < 17 && len(cuts) > 0:
			c := cuts[0]
			if c.count-dropped > durable {
				continue
			}
			cuts = cuts[1:]
			l.SetTail(c.pos)
			model, durable = model[c.count-dropped:], durable-(c.count-dropped)
			dropped, tail = c.count, c.pos
		default:
			got, known, res := scanAll(t, dev, cfg, tail)
			if res.Damage != nil || res.Torn {
				t.Fatalf("damage %v torn %v: %s", res.Damage, res.Torn, res.Reason)
			}
			if err := sameRecords(got, model[:durable]); err != nil {
				t.Fatalf("after txid %d: %v (%s)", txid, err, res.Reason)
			}
			if known > durable {
				t.Fatalf("%d records known committed, only %d are", known, durable)
			}
			if seq, id := l.Committed(); res.End.Seq != seq+1 || id != committed {
				t.Fatalf("end %v, committed seq %d txid %d, told %d", res.End, seq, id, committed)
			}
		}
	}
	if m := l.Metrics(); m.Bytes < 2*blocks*devices.BlockSize || m.Records != records {
		t.Errorf("metrics %+v", m)
	}
	for _, b := range []uint64{4, blocks + 5} {
		if !bytes.Equal(peek(t, dev, b, 1), outside) {
			t.Errorf("block %d outside the ring was written", b)
		}
	}
	return l, full
}

// cutAt is a position returned by Cut with count records before it.
type cutAt struct {
	pos   Pos
	count int
}

func commitAll(t *testing.T, l *Log, last LSN) {
	t.Helper()
	if err := l.Wait(ctx, last); err != nil {
		t.Fatal(err)
	}
}
