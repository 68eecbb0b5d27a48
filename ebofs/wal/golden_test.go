package wal

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"ebofs/devices"
)

// TestGolden compares the bytes of a small log with testdata/golden.txt: a batch
// of two records, one that starts a long record, its end, a filler, and the
// first batch behind it. The same bytes stand in docs/format/wal.md.
func TestGolden(t *testing.T) {
	cfg := ringAt(2, 16)
	cfg.MaxBatchBytes = 8 << 10
	dev := newMem(t, 20, nil)
	l := New(dev, cfg, Pos{Block: 11, Seq: 0x1122}, 0xaabbccdd)
	put := func(txid uint64, flags uint16, data string) {
		t.Helper()
		if _, err := l.Append(txid, flags, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	put(0x51, NeedsDataFlush, "first record")
	put(0x50, 3, "second")
	l.Kick()
	put(0x52, 0, strings.Repeat("x", 8100)+"long record's last bytes")
	l.Kick()
	l.SetTail(l.Cut())
	put(0x53, 0, strings.Repeat("y", 5000))
	l.Kick()

	var out strings.Builder
	for _, b := range []uint64{11, 12, 14, 15, 0} {
		fmt.Fprintf(&out, "block %d of the ring\n", b)
		explain(&out, peek(t, dev, cfg.Start+b, 1))
		out.WriteByte('\n')
	}
	const path = "testdata/golden.txt"
	if rewrite := flag.Lookup("rewrite"); rewrite != nil && rewrite.Value.String() == "true" {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the format changed; got:\n%s", out.String())
	}
	doc, err := os.ReadFile("../../docs/format/wal.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), indent(string(want))) {
		t.Error("docs/format/wal.md does not show the bytes of testdata/golden.txt")
	}
	if got, _, res := scanAll(t, dev, cfg, Pos{Block: 11, Seq: 0x1122}); len(got) != 4 || res.End != (Pos{Block: 2, Seq: 0x1127}) {
		t.Errorf("scan found %d records, end %v: %s", len(got), res.End, res.Reason)
	}
}

// indent makes s a code block of a document.
func indent(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = "    " + line
		}
	}
	return strings.Join(lines, "\n")
}

// explain writes the fields of the batch that begins in block p as hex lines.
func explain(out *strings.Builder, p []byte) {
	off := 0
	line := func(n int, what string, args ...any) {
		fmt.Fprintf(out, "%4x  %-47s  %s\n", off, fmt.Sprintf("% x", p[off:off+min(n, 16)]), fmt.Sprintf(what, args...))
		off += n
	}
	h, err := decodeHeader(p)
	if err != nil {
		fmt.Fprintf(out, "      %v\n", err)
		return
	}
	line(4, "magic")
	line(4, "crc of the batch from byte 8 on")
	line(4, "type %d, version %d, reader %d, ring %d", h.typ, p[9], h.minReader, h.ring)
	line(4, "%d bytes used, %d blocks", h.bytes, h.blocks())
	line(8, "fsid, first half")
	line(8, "incarnation %d", h.incarnation)
	line(8, "seq %x", h.seq)
	line(4, "crc of the batch before")
	line(4, "horizon %x = seq - %d", h.horizon(), h.behind)
	line(4, "tail %x = seq - %d", h.seq-uint64(h.back), h.back)
	line(4, "highest txid = lowest + %d", h.span)
	line(8, "lowest txid %x", h.txid)
	for off < min(int(h.bytes), devices.BlockSize) {
		f, data, _, err := decodeFrame(append(p[off:len(p):len(p)], make([]byte, MaxBatch)...))
		if err != nil {
			fmt.Fprintf(out, "      %v\n", err)
			return
		}
		line(4, "%d bytes follow", f.length)
		line(4, "type %d, version %d, flags %x", f.typ, p[off+1], f.flags)
		line(8, "txid %x", f.txid)
		n := min(len(data), devices.BlockSize-off)
		line(n, "%.16q", data[:min(len(data), 16)])
		if n < len(data) {
			fmt.Fprintf(out, "      … %d bytes in the next block\n", len(data)-n)
		}
	}
	if off < devices.BlockSize {
		fmt.Fprintf(out, "      zero up to the end of the block\n")
	}
}
