package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"ebofs/devices"
)

// TestScanScript replays testdata/scan: what each kind of damage looks like.
//
//	new blocks=N at=BLOCK seq=N          a fresh device and log
//	log [txid=N] [bytes=N] [n=N]         append n records
//	commit                               write and flush
//	reopen                               a higher incarnation behind the last scan
//	tail                                 everything so far is superfluous
//	flip|zero|unreadable block=N [n=N]   of the ring
//	copy from=N to=N                     one block over another
//	forge block=N seq=N horizon=N        a valid batch without records
//	scan [stop=TXID]
func TestScanScript(t *testing.T) {
	datadriven.Walk(t, "testdata/scan", func(t *testing.T, path string) {
		s := new(script)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

type script struct {
	dev        *devices.Mem
	unreadable map[uint64]bool
	cfg        Config
	l          *Log
	tail       Pos
	last       ScanResult
	txid       uint64
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	arg := func(name string, value int) int {
		d.MaybeScanArgs(t, name, &value)
		return value
	}
	block := uint64(arg("block", 0))
	switch d.Cmd {
	case "new":
		s.cfg = ringAt(0, uint64(arg("blocks", 32)))
		s.cfg.MaxBatchBytes = 8 << 10
		s.unreadable = map[uint64]bool{}
		s.dev = newMem(t, s.cfg.Blocks, func(_ context.Context, op devices.Op, b devices.Block, n uint64) error {
			for i := range n {
				if op == devices.OpRead && s.unreadable[uint64(b)+i] {
					return fmt.Errorf("block %d: input/output error", uint64(b)+i)
				}
			}
			return nil
		})
		s.tail = Pos{Block: uint64(arg("at", 0)), Seq: uint64(arg("seq", 1))}
		s.l, s.txid = New(s.dev, s.cfg, s.tail, 0), 0
	case "log":
		for range arg("n", 1) {
			s.txid++
			if _, err := s.l.Append(s.txid, 0, make([]byte, arg("bytes", 100))); err != nil {
				return err.Error()
			}
		}
	case "commit":
		s.l.Kick()
	case "tail":
		s.tail = s.l.Cut()
		s.l.SetTail(s.tail)
		return s.tail.String()
	case "reopen":
		s.cfg.Incarnation++
		s.tail = s.last.End
		s.l = New(s.dev, s.cfg, s.tail, s.last.PrevCRC)
	case "flip":
		flip(t, s.dev, block, uint64(arg("byte", 100)))
	case "zero":
		poke(t, s.dev, block, make([]byte, arg("n", 1)*devices.BlockSize))
	case "unreadable":
		for i := range arg("n", 1) {
			s.unreadable[block+uint64(i)] = true
		}
	case "copy":
		poke(t, s.dev, uint64(arg("to", 0)), peek(t, s.dev, uint64(arg("from", 0)), 1))
	case "forge":
		seq := uint64(arg("seq", 0))
		h := header{typ: typeBatch, minReader: uint8(arg("reader", 1)), ring: s.cfg.Ring, bytes: headerBytes,
			fsid: s.l.fsid, incarnation: s.cfg.Incarnation, seq: seq, behind: uint32(seq) - uint32(arg("horizon", 0)), prev: s.l.chain}
		p := make([]byte, devices.BlockSize)
		if d.HasArg("frame") {
			h.bytes += frameBytes
			frame{typ: uint8(arg("frame", 1)), length: uint32(arg("bytes", 0)), txid: 77}.put(p[headerBytes:])
		}
		h.seal(p)
		poke(t, s.dev, block, p)
	case "scan":
		return s.scan(uint64(arg("stop", 0)))
	default:
		t.Fatalf("no command %q", d.Cmd)
	}
	return ""
}

func (s *script) scan(stop uint64) string {
	var out strings.Builder
	first, last, committed := uint64(0), uint64(0), uint64(0)
	res, err := Scan(ctx, s.dev, s.cfg, s.tail, func(r Record) error {
		if stop != 0 && r.Txid == stop {
			return ErrStop
		}
		if first == 0 {
			first = r.Txid
		}
		last = r.Txid
		if r.Committed {
			committed = r.Txid
		}
		return nil
	})
	s.last = res
	if err != nil {
		fmt.Fprintf(&out, "error: %v\n", err)
	}
	fmt.Fprintf(&out, "%d records, txid %d to %d, known committed to %d; %d batches, %d bytes, horizon %d, tail %d\n",
		res.Records, first, last, committed, res.Batches, res.Bytes, res.MaxHorizon, res.TailSeq)
	fmt.Fprintf(&out, "end %v: %s\n", res.End, res.Reason)
	if res.Damage != nil {
		fmt.Fprintf(&out, "damage: %v\n", res.Damage)
	}
	if res.Torn {
		out.WriteString("torn\n")
	}
	if res.Stopped {
		out.WriteString("stopped\n")
	}
	return out.String()
}

// smallLog returns a device whose ring holds n committed records of 5000 bytes.
func smallLog(t testing.TB, n int, hook hookFunc) (*devices.Mem, Config) {
	cfg := ringAt(0, 4096)
	dev := newMem(t, cfg.Blocks, hook)
	l := New(dev, cfg, Pos{Seq: 1}, 0)
	for i := range n {
		if _, err := l.Append(uint64(i+1), 0, make([]byte, 5000)); err != nil {
			t.Fatal(err)
		}
		l.Kick()
	}
	return dev, cfg
}

// TestScanReads checks what a scan costs: an empty log a few MiB whatever the
// ring's size, a used one its length once.
func TestScanReads(t *testing.T) {
	for _, n := range []int{0, 500, 1500} {
		read := uint64(0)
		dev, cfg := smallLog(t, n, func(_ context.Context, op devices.Op, _ devices.Block, n uint64) error {
			if op == devices.OpRead {
				read += n * devices.BlockSize
			}
			return nil
		})
		recs, _, res := scanAll(t, dev, cfg, Pos{Seq: 1})
		if len(recs) != n {
			t.Fatalf("%d records, want %d", len(recs), n)
		}
		if limit := res.Bytes*5/4 + 7<<20; read > limit {
			t.Errorf("%d bytes of log: read %d, limit %d", res.Bytes, read, limit)
		}
	}
}

// TestScanTransient lets each read in turn fail or return zeros once: nothing
// may be lost by that.
func TestScanTransient(t *testing.T) {
	count, bad := 0, 0
	var zeros bool
	dev, cfg := smallLog(t, 600, func(_ context.Context, op devices.Op, _ devices.Block, _ uint64) error {
		if op == devices.OpRead {
			if count++; count == bad && !zeros {
				return errors.New("input/output error")
			}
		}
		return nil
	})
	for _, zeros = range []bool{false, true} {
		for bad = 1; ; bad++ {
			count = 0
			recs, _, res := scanAll(t, zeroOnce{dev, &count, &bad, &zeros}, cfg, Pos{Seq: 1})
			if len(recs) != 600 || res.Damage != nil {
				t.Fatalf("read %d bad (zeros %v): %d records, %s", bad, zeros, len(recs), res.Reason)
			}
			if count < bad {
				break
			}
		}
	}
}

// zeroOnce returns zeros for one read.
type zeroOnce struct {
	devices.Device
	count, bad *int
	zeros      *bool
}

func (z zeroOnce) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	err := z.Device.Read(ctx, b, v)
	if *z.zeros && *z.count == *z.bad {
		for _, p := range v {
			clear(p)
		}
	}
	return err
}

// TestScanUnreadable gives a device that reads nothing at all, and one whose
// context has ended: an error, never an empty log.
func TestScanUnreadable(t *testing.T) {
	broken := errors.New("broken")
	fail := false
	dev, cfg := smallLog(t, 10, func(_ context.Context, op devices.Op, _ devices.Block, _ uint64) error {
		if fail && op == devices.OpRead {
			return broken
		}
		return nil
	})
	fail = true
	if _, err := Scan(ctx, dev, cfg, Pos{Seq: 1}, nil); !errors.Is(err, broken) {
		t.Errorf("scan: %v", err)
	}
	fail = false
	c, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Scan(c, dev, cfg, Pos{Seq: 1}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("scan: %v", err)
	}
	if _, err := Scan(ctx, dev, cfg, Pos{Seq: 1}, func(Record) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("scan: %v", err)
	}
}

// TestEveryByte flips bytes of a committed batch, all of the headers and some of
// the rest: damage, and the records before it. In the last batch, of which nobody
// knows, it is a torn end.
func TestEveryByte(t *testing.T) {
	cfg := ringAt(0, 64)
	dev := newMem(t, 64, nil)
	l := New(dev, cfg, Pos{Seq: 1}, 0)
	for i := range uint64(4) {
		l.Append(i+1, 0, bytes.Repeat([]byte{byte(i)}, 5000))
		l.Kick()
	}
	for off := range uint64(2 * devices.BlockSize) {
		if off > headerBytes+frameBytes && off%7 != 0 {
			continue
		}
		for _, batch := range []uint64{1, 3} {
			b := batch*2 + off/devices.BlockSize
			flip(t, dev, b, off%devices.BlockSize)
			recs, _, res := scanAll(t, dev, cfg, Pos{Seq: 1})
			if len(recs) != int(batch) {
				t.Fatalf("byte %d of batch %d: %d records", off, batch, len(recs))
			}
			if d := res.Damage; batch == 1 && (d == nil || d.Seq != 2 || d.Block != 2) || batch == 3 && d != nil {
				t.Fatalf("byte %d of batch %d: damage %v", off, batch, d)
			}
			flip(t, dev, b, off%devices.BlockSize)
		}
	}
}

// TestScanForged builds rings full of headers that look right: the reader must
// neither hang, nor read for ever, nor keep what it reads.
func TestScanForged(t *testing.T) {
	cfg := ringAt(0, 4096)
	for _, valid := range []bool{false, true} {
		read := uint64(0)
		dev := newMem(t, cfg.Blocks, func(_ context.Context, op devices.Op, _ devices.Block, n uint64) error {
			if op == devices.OpRead {
				read += n * devices.BlockSize
			}
			return nil
		})
		chain := uint32(0)
		for b := uint64(0); b < cfg.Blocks; b++ {
			// Never a horizon; every header claims a megabyte, or a block each.
			h := header{typ: typeBatch, minReader: 1, ring: cfg.Ring, bytes: MaxBatch, incarnation: cfg.Incarnation,
				fsid: 0x0807060504030201, seq: b + 2, behind: 1, prev: chain}
			p := make([]byte, devices.BlockSize)
			if valid {
				h.seq, h.behind, h.bytes = b+1, uint32(b+1), headerBytes+frameBytes
				frame{typ: frameFirst, txid: 1}.put(p[headerBytes:])
				if b > 0 {
					p[headerBytes+4] = frameMiddle
				}
			}
			chain = h.seal(p)
			poke(t, dev, b, p)
		}
		res, err := Scan(ctx, dev, cfg, Pos{Seq: 1}, func(Record) error { return nil })
		if err != nil || res.Records != 0 {
			t.Errorf("valid %v: %+v, %v", valid, res, err)
		}
		if valid != (res.Batches == cfg.Blocks) {
			t.Errorf("valid %v: %d batches", valid, res.Batches)
		}
		if limit := uint64(64 << 20); read > limit {
			t.Errorf("valid %v: read %d bytes, limit %d", valid, read, limit)
		}
	}
}

// FuzzScan lets Scan loose on rings that began as real ones and were changed:
// blocks replaced, swapped or edited, checksums mended so that the deeper checks
// are reached. It never panics or hangs, gives only records that fit the ring,
// and goes on being usable.
func FuzzScan(f *testing.F) {
	f.Add([]byte{}, uint8(0), true)
	f.Add([]byte{0, 4, 1, 2, 0, 36, 2}, uint8(3), true)
	f.Add([]byte{1, 12, 0, 255, 3, 32, 7, 9, 8, 0}, uint8(1), false)
	cfg := ringAt(0, 32)
	cfg.MaxBatchBytes = 8 << 10
	ring := func() *devices.Mem {
		dev := newMem(f, cfg.Blocks, nil)
		l := New(dev, cfg, Pos{Seq: 1}, 0)
		rng := rand.New(rand.NewPCG(1, 9))
		for i := range uint64(24) {
			if _, err := l.Append(i+1, uint16(i), fill(rng, int(i%5)*2500)); err != nil {
				l.SetTail(l.Cut())
			}
			if i%2 == 0 {
				l.Kick()
			}
		}
		return dev
	}()
	f.Fuzz(func(t *testing.T, edits []byte, start uint8, mend bool) {
		img := alignedBytes(32 * devices.BlockSize)
		if err := ring.Read(ctx, 0, devices.Vec{img}); err != nil {
			t.Fatal(err)
		}
		for ; len(edits) >= 4; edits = edits[4:] {
			b := int(edits[0]%32) * devices.BlockSize
			switch at := int(edits[1]) | int(edits[2]&15)<<8; edits[2] >> 4 {
			case 0:
				clear(img[b : b+devices.BlockSize])
			case 1:
				copy(img[b:b+devices.BlockSize], img[int(edits[3]%32)*devices.BlockSize:])
			case 2, 3, 4, 5, 6:
				img[b+at%128] = edits[3] // header and first frame
			default:
				img[b+at] = edits[3]
			}
			if mend {
				mendChecksum(img[b:])
			}
		}
		dev := newMem(t, 32, nil)
		if err := dev.Write(ctx, 0, devices.Vec{img}); err != nil {
			t.Fatal(err)
		}
		total := 0
		res, err := Scan(ctx, dev, cfg, Pos{Block: uint64(start % 32), Seq: 1 + uint64(start/32)}, func(r Record) error {
			if len(r.Data) > cfg.maxRecord() {
				t.Errorf("record of %d bytes", len(r.Data))
			}
			total += len(r.Data)
			return nil
		})
		if err != nil && !errors.Is(err, ErrUnsupported) {
			t.Fatalf("scan: %v", err)
		}
		if total > 32*devices.BlockSize || res.Bytes > 32*devices.BlockSize {
			t.Errorf("%d bytes of records in %d of a ring of %d", total, res.Bytes, 32*devices.BlockSize)
		}
		next := cfg
		next.Incarnation++
		l := New(dev, next, res.End, res.PrevCRC)
		lsn, err := l.Append(1, 0, []byte("afterwards"))
		if err == nil {
			err = l.Wait(ctx, lsn)
		}
		if got, _, _ := scanAll(t, dev, next, res.End); err != nil || len(got) != 1 {
			t.Errorf("log after the scan: %v, %d records", err, len(got))
		}
	})
}

// mendChecksum makes the checksum of the batch that begins p right.
func mendChecksum(p []byte) {
	h, err := decodeHeader(p)
	if err != nil || int(h.blocks())*devices.BlockSize > len(p) {
		return
	}
	c := crc32.Checksum(p[8:h.blocks()*devices.BlockSize], castagnoli)
	p[4], p[5], p[6], p[7] = byte(c), byte(c>>8), byte(c>>16), byte(c>>24)
}

// FuzzFrames decodes any bytes as the contents of a batch: what decodes encodes
// to the same bytes again.
func FuzzFrames(f *testing.F) {
	p := make([]byte, frameBytes+3)
	frame{length: 3, typ: frameWhole, flags: 7, txid: 9}.put(p)
	f.Add(p)
	f.Fuzz(func(t *testing.T, p []byte) {
		for len(p) > 0 {
			fr, data, rest, err := decodeFrame(p)
			if err != nil {
				return
			}
			q := make([]byte, frameBytes, frameBytes+len(data))
			fr.put(q)
			if q = append(q, data...); !bytes.Equal(q, p[:len(q)]) || len(rest) != len(p)-len(q) {
				t.Fatalf("% x decodes and encodes to % x", p, q)
			}
			p = rest
		}
	})
}
