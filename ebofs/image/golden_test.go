package image

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"ebofs/ebofs/layout"
)

const page = "../../docs/format/image.md"

// TestGolden: the bytes of docs/format/image.md are what is written and read.
func TestGolden(t *testing.T) {
	h := Header{Flags: PlainNames | NoLog, FSID: layout.UUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, Made: time.Unix(1767268800, 0)}
	var b strings.Builder
	annotate(&b, "the header", h.encode(), []field{{8, "magic"}, {4, "crc"}, {1, "version"}, {1, "min reader"}, {1, "compression: zstd"}, {1, "flags: plain names, no log"}, {16, "fsid"}, {8, "made: 2026-01-01T12:00:00Z"}})
	for _, e := range []struct {
		what string
		e    Entry
	}{
		{"a device of 8192 blocks", Entry{Kind: Device, Block: 8192}},
		{"two blocks", Entry{Kind: Blocks, Block: 768, Blocks: 2, Data: bytes.Repeat([]byte{0xeb}, 2*layout.BlockSize)}},
		{"300 blocks withheld", Entry{Kind: Withheld, Block: 5000, Blocks: 300}},
		{"the end", Entry{Kind: End, Block: 3}},
	} {
		p := make([]byte, entryHeader)
		e.e.header(p)
		annotate(&b, e.what, p, []field{{1, "kind"}, {1, "device"}, {2, "zero"}, {4, "blocks"}, {8, map[Kind]string{Device: "size in blocks", End: "entries before it"}[e.e.Kind]}, {4, "crc"}})
		if len(e.e.Data) > 0 {
			fmt.Fprintf(&b, "    … %d bytes of content\n", len(e.e.Data))
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "```golden stream\n"+b.String()+"```\n") {
		t.Errorf("%s should have:\n%s", page, b.String())
	}
}

type field struct {
	bytes int
	name  string
}

func annotate(b *strings.Builder, what string, p []byte, fields []field) {
	fmt.Fprintf(b, "%s\n", what)
	at := 0
	for _, f := range fields {
		if f.name == "" {
			f.name = "first block"
		}
		fmt.Fprintf(b, "%4d  %-48s  %s\n", at, fmt.Sprintf("% x", p[at:at+f.bytes]), f.name)
		at += f.bytes
	}
}
