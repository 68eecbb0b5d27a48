package btree

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden bytes into docs/format/node.md; the diff is the review")

const goldenDoc = "../docs/format/node.md"

// field is one line of annotated bytes.
type field struct {
	n    int
	what string
}

// headerFields are the bytes 0..96 of every page.
var headerFields = []field{
	{4, "magic"}, {4, "crc"}, {1, "type"}, {1, "version"}, {1, "level"}, {1, "blocks"},
	{2, "flags"}, {2, "comparator"}, {8, "fsid"}, {8, "self address"}, {8, "epoch"},
	{1, "tree kind"}, {15, "owner key"}, {8, "owner id"}, {4, "items"}, {2, "prefix length"},
	{2, "low fence offset"}, {2, "low fence length"}, {2, "high fence offset"}, {2, "high fence length"},
	{2, "keys offset"}, {2, "values offset"}, {2, "fixed key bytes"}, {2, "fixed value bytes"},
	{2, "end of records"}, {8, "zero"},
}

var inlineFields = []field{
	{1, "version"}, {1, "flags"}, {2, "items"}, {2, "prefix length"}, {2, "fixed key bytes"},
	{2, "fixed value bytes"}, {1, "comparator"}, {1, "zero"},
}

// bodyFields describes what follows the header.
func bodyFields(b *body, low, high int) []field {
	fs := []field{{len(b.prefix), "prefix"}, {low, "low fence"}, {high, "high fence"}}
	for i := range b.numKeys() {
		if b.fixedKey != 0 {
			fs = append(fs, field{b.fixedKey, fmt.Sprint("key ", i)})
		} else {
			fs = append(fs, field{2, fmt.Sprintf("slot %d: record", i)}, field{2, "  key length, overflow in bit 15"}, field{4, "  head"})
		}
	}
	for i := range b.n {
		switch {
		case b.inner:
			fs = append(fs, field{8, fmt.Sprintf("child %d: address", i)}, field{8, "  epoch"}, field{4, "  crc"}, field{1, "  blocks"},
				field{1, "  level"}, field{2, "  flags"}, field{8, "  items below"}, field{8, "  bytes below"})
		case b.fixedKey != 0 && b.fixedVal >= 0:
			fs = append(fs, field{b.fixedVal, fmt.Sprint("value ", i)})
		case b.fixedKey != 0:
			fs = append(fs, field{2, fmt.Sprintf("value %d: record", i)}, field{2, "  flags"})
		}
	}
	for i := range b.numKeys() {
		if b.fixedKey == 0 {
			fs = append(fs, field{len(b.suffix(i)), fmt.Sprint("key ", i)})
		}
		if b.inner || b.fixedKey != 0 && b.fixedVal >= 0 {
			continue
		}
		val, over := b.value(i)
		if !over {
			fs = append(fs, field{len(val), fmt.Sprint("value ", i)})
			continue
		}
		fs = append(fs, field{2, fmt.Sprintf("overflow value %d: version, zero", i)}, field{2, "  extents"}, field{8, "  size"})
		for j := range overflowExtents(val) {
			fs = append(fs, field{8, fmt.Sprintf("  extent %d: address", j)}, field{4, "    bytes"}, field{4, "    crc"})
		}
	}
	return fs
}

// annotate prints p with fs; the rest has to be zero.
func annotate(t *testing.T, p []byte, fs []field) string {
	var b strings.Builder
	at := 0
	for _, f := range fs {
		what := f.what
		for n := f.n; n > 0; {
			k := min(n, 12)
			fmt.Fprintf(&b, "%04x  %-36s| %s\n", at, strings.TrimSpace(fmt.Sprintf("% x", p[at:at+k])), what)
			at, n, what = at+k, n-k, ""
		}
	}
	if len(bytes.Trim(p[at:], "\x00")) != 0 {
		t.Fatalf("bytes after %#x are not zero: % x", at, p[at:])
	}
	if at < len(p) {
		fmt.Fprintf(&b, "%04x  zero to %04x\n", at, len(p))
	}
	return strings.ReplaceAll(b.String(), "| \n", "|\n")
}

// parseGolden is the inverse of annotate.
func parseGolden(t *testing.T, s string) []byte {
	var p []byte
	for line := range strings.Lines(s) {
		off, rest, _ := strings.Cut(strings.TrimSpace(line), "  ")
		at, err := strconv.ParseUint(off, 16, 32)
		if err != nil || int(at) != len(p) {
			t.Fatalf("line %q at %#x: %v", line, len(p), err)
		}
		if to, ok := strings.CutPrefix(rest, "zero to "); ok {
			end, err := strconv.ParseUint(to, 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			p = append(p, make([]byte, int(end)-len(p))...)
			continue
		}
		digits, _, _ := strings.Cut(rest, "|")
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		p = append(p, b...)
	}
	return p
}

// goldenPages are the examples of the format page.
func goldenPages(t *testing.T) map[string]string {
	out := map[string]string{}
	page := func(name string, p *Page) {
		low, high := p.Fences()
		out[name] = annotate(t, p.buf, append(append([]field(nil), headerFields...), bodyFields(&p.body, len(low), len(high))...))
	}
	load := func(m *model, ptr Ptr) *Page {
		p, err := m.s.Load(bg, m.cfg, &m.t.own, ptr)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	own := Owner{Key: [15]byte([]byte("rbd_data.4711\x00\x00")), ID: 0x1122}

	m := newModel(&Config{Name: "omap", Kind: 5, FSID: 0xfeedfacecafe, LeafBytes: 4096, InnerBytes: 4096, OverflowBytes: 64})
	m.t.own = own
	m.put([]byte("omap.alpha"), []byte("first"))
	m.put([]byte("omap.beta"), nil)
	m.put([]byte("omap.gamma"), bytes.Repeat([]byte{'g'}, 65537))
	m.checkpoint(t)
	page("leaf", load(m, m.t.Root().Ptr))
	root := m.t.Root().Append(nil)
	out["root-node"] = annotate(t, root, []field{{1, "kind node, version 1"}, {6, "items"}, {6, "bytes"}, {8, "address"}, {8, "epoch"}, {4, "crc"}, {1, "blocks"}, {1, "level"}, {2, "flags: a leaf holds an overflow value"}})

	m = newModel(&Config{Name: "two", Kind: 5, LeafBytes: 4096, InnerBytes: 4096})
	m.t.own = own
	for i := range 80 {
		m.put(fmt.Appendf(nil, "key/%03d", i), make([]byte, 100))
	}
	m.checkpoint(t)
	page("inner", load(m, m.t.Root().Ptr))

	m = newModel(&Config{Name: "refs", Kind: 6, Cmp: Uint64, FixedKey: 8, FixedVal: 4, LeafBytes: 4096})
	for i := range uint64(3) {
		m.put(modelKey(m.cfg, i<<32, 0), []byte{byte(i), 1, 2, 3})
	}
	m.checkpoint(t)
	page("columns", load(m, m.t.Root().Ptr))

	m = newModel(&Config{Name: "attrs", Kind: 7, InlineBytes: 512})
	m.put([]byte("user.a"), []byte("1"))
	m.put([]byte("user.mime"), []byte("text"))
	m.checkpoint(t)
	in, err := openInline(m.t.Root().Inline)
	if err != nil {
		t.Fatal(err)
	}
	fs := append([]field{{1, "kind inline, version 1"}, {6, "items"}, {6, "bytes"}, {2, "length of the inline page"}}, inlineFields...)
	out["root-inline"] = annotate(t, m.t.Root().Append(nil), append(fs, bodyFields(&in, 0, 0)...))
	out["root-empty"] = annotate(t, Root{}.Append(nil), []field{{1, "kind empty, version 1"}})
	return out
}

// TestGolden compares what is encoded with the bytes in the format page, and
// decodes those.
func TestGolden(t *testing.T) {
	doc, err := os.ReadFile(goldenDoc)
	if err != nil {
		t.Fatal(err)
	}
	want := goldenPages(t)
	block := regexp.MustCompile("(?s)```golden ([a-z-]+)\n(.*?)```")
	seen := map[string]bool{}
	out := block.ReplaceAllStringFunc(string(doc), func(s string) string {
		sub := block.FindStringSubmatch(s)
		name := sub[1]
		seen[name] = true
		if !*rewrite && !bytes.Equal(parseGolden(t, sub[2]), parseGolden(t, want[name])) {
			t.Errorf("%s is encoded as\n%s", name, want[name])
		}
		return "```golden " + name + "\n" + want[name] + "```"
	})
	for name := range want {
		if !seen[name] {
			t.Errorf("%s has no example %s", goldenDoc, name)
		}
	}
	if *rewrite {
		if err := os.WriteFile(goldenDoc, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The old bytes must stay readable.
	for _, sub := range block.FindAllStringSubmatch(out, -1) {
		p := parseGolden(t, sub[2])
		if strings.HasPrefix(sub[1], "root") {
			if _, rest, err := DecodeRoot(p); err != nil || len(rest) != 0 {
				t.Errorf("%s: %v", sub[1], err)
			}
		} else if _, err := ParsePage(p); err != nil {
			t.Errorf("%s: %v", sub[1], err)
		}
	}
}
