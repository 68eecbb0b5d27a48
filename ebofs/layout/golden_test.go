package layout

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write testdata instead of comparing with it")

// field is one line of the annotation of a golden file.
type field struct {
	len  int
	name string
}

// annotate prints p field by field; what no field covers must be zero.
func annotate(t *testing.T, p []byte, fields []field) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "# %d bytes: offset, bytes, field\n", len(p))
	off := 0
	for _, f := range fields {
		if off+f.len > len(p) {
			t.Fatalf("field %s at %d+%d is beyond %d", f.name, off, f.len, len(p))
		}
		q := p[off : off+f.len]
		if isZero(q) && f.len > 16 {
			fmt.Fprintf(&b, "%4d  %-47s  %s\n", off, fmt.Sprintf("00*%d", f.len), f.name)
		} else {
			name := f.name
			for i := 0; i < len(q); i += 16 {
				fmt.Fprintf(&b, "%4d  %-47s  %s\n", off+i, fmt.Sprintf("% x", q[i:min(i+16, len(q))]), name)
				name = "″"
			}
		}
		off += f.len
	}
	if !isZero(p[off:]) {
		t.Fatalf("bytes from %d on are not annotated: %x", off, p[off:])
	}
	if off < len(p) {
		fmt.Fprintf(&b, "%4d  %-47s  zero\n", off, fmt.Sprintf("00*%d", len(p)-off))
	}
	return b.String()
}

// parseGolden returns the bytes an annotated file stands for.
func parseGolden(t testing.TB, text string) []byte {
	t.Helper()
	var p []byte
	for _, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		cols := line[6:]
		if i := strings.Index(cols, "  "); i >= 0 {
			cols = cols[:i]
		}
		if n := 0; strings.HasPrefix(cols, "00*") {
			if _, err := fmt.Sscanf(cols, "00*%d", &n); err != nil {
				t.Fatal(line, err)
			}
			p = append(p, make([]byte, n)...)
			continue
		}
		q, err := hex.DecodeString(strings.ReplaceAll(cols, " ", ""))
		if err != nil {
			t.Fatal(line, err)
		}
		p = append(p, q...)
	}
	return p
}

// golden compares p, annotated, with testdata/name and returns the bytes of the
// file, so that the decoder is tested on what is recorded, not on what is encoded.
func golden(t *testing.T, name string, p []byte, fields []field) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	text := annotate(t, p, fields)
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Fatalf("%s changed:\n%s\nwant\n%s", name, text, want)
	}
	return parseGolden(t, string(want))
}

var headerFields = []field{
	{4, "magic"}, {4, "crc"}, {1, "type"}, {1, "version"}, {1, "min reader"}, {1, "reserved"}, {4, "length"},
	{16, "fsid"}, {8, "self address"}, {8, "epoch"}, {16, "reserved"},
}

func fields(parts ...[]field) []field {
	var all []field
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func testSelf() Self { return Self{FSID: uuidOf(0x10), Addr: MakeAddr(0, 4000), Epoch: 5} }

func TestGoldenLabel(t *testing.T) {
	p := make([]byte, BlockSize)
	if err := testLabel().Encode(p); err != nil {
		t.Fatal(err)
	}
	p = golden(t, "label", p, []field{
		{8, "magic"}, {4, "crc of [12:4096)"}, {1, "type"}, {1, "version"}, {1, "min reader"}, {1, "reserved"}, {4, "length"},
		{1, "device index"}, {1, "role: main"}, {1, "text length"}, {1, "reserved"}, {16, "fsid"}, {16, "device uuid"}, {8, "self"},
		{8, "blocks"}, {8, "created"}, {8, "slot H0"}, {8, "slot H1"}, {8, "slot Z0"}, {8, "slot Z1"}, {64, "text"}, {16, "cluster"},
	})
	equal(t, "label", testLabel())(decodePtr(DecodeLabel(p)))
}

func TestGoldenSuperblock(t *testing.T) {
	p := golden(t, "superblock", encodeSuper(t, testSuper()), []field{
		{8, "magic"}, {4, "crc of [12:4096)"}, {1, "type"}, {1, "version"}, {1, "min reader"}, {1, "reserved"}, {4, "length"}, {4, "flags: clean"},
		{16, "fsid"}, {16, "device uuid"}, {8, "self"}, {8, "generation"}, {8, "epoch"}, {8, "blocks"}, {4, "block size"}, {4, "stripe bytes"},
		{4, "unit bytes"}, {4, "geometry flags"}, {8, "align bytes"}, {8, "zone start"}, {8, "zone end"}, {4, "zone blocks"}, {4, "zones"},
		{1, "device index"}, {1, "role: main"}, {1, "rings"}, {1, "devices"}, {1, "text length"}, {3, "reserved"},
		{8, "compat"}, {8, "ro_compat"}, {8, "incompat: inline-data"}, {8, "root record: address"}, {8, "root record: epoch"}, {4, "root record: crc"}, {4, "root record: blocks"},
		{16, "cluster"}, {8, "osd id"}, {8, "created"}, {8, "written"}, {64, "text"}, {216, "reserved"},
		{8, "ring 0: start"}, {8, "ring 0: blocks"}, {8, "ring 0: incarnation"}, {8, "ring 0: tail block"}, {8, "ring 0: tail seq"}, {4, "ring 0: prev crc"}, {20, "reserved"}, {192, "rings 1 to 3"},
		{16, "device 0: uuid"}, {8, "device 0: blocks"}, {1, "device 0: role"}, {39, "reserved"}, {960, "devices 1 to 15"}, {2296, "reserved"}, {8, "trailer: generation"},
	})
	equal(t, "superblock", testSuper())(decodePtr(DecodeSuperblock(p)))
}

func TestGoldenZoneTable(t *testing.T) {
	z := testZoneTable()
	p := make([]byte, z.Blocks()*BlockSize)
	ref, err := z.Encode(p, testSelf())
	if err != nil {
		t.Fatal(err)
	}
	entry := func(n string) []field {
		return []field{{4, n + ": free blocks"}, {4, n + ": free stripes"}, {1, n + ": class"}, {1, n + ": flags"}, {2, n + ": bitmap blocks"}, {4, n + ": bitmap crc"}, {8, n + ": flushed epoch"}, {8, n + ": bitmap address"}}
	}
	p = golden(t, "zonetable", p, fields(headerFields, []field{{4, "first zone"}, {4, "count"}, {8, "reserved"}}, entry("zone 2"), entry("zone 3"), entry("zone 4")))
	equal(t, "zone table", z)(DecodeZoneTable(p, uuidOf(0x10), ref))
}

func TestGoldenZoneBitmap(t *testing.T) {
	raw, runs := testBitmapRaw(), testBitmapRuns()
	p := make([]byte, raw.EncodedBlocks()*BlockSize)
	ref, err := raw.Encode(p, testSelf())
	if err != nil {
		t.Fatal(err)
	}
	head := []field{{4, "zone"}, {4, "blocks"}, {1, "form: bits"}, {3, "reserved"}, {4, "bytes"}}
	q := golden(t, "zonebitmap-bits", p, fields(headerFields, head, []field{{24, "bits"}}))
	equal(t, "bitmap", raw)(DecodeZoneBitmap(q, uuidOf(0x10), ref))

	p = make([]byte, runs.EncodedBlocks()*BlockSize)
	if ref, err = runs.Encode(p, testSelf()); err != nil {
		t.Fatal(err)
	}
	head = []field{{4, "zone"}, {4, "blocks"}, {1, "form: runs"}, {3, "reserved"}, {4, "runs"}}
	q = golden(t, "zonebitmap-runs", p, fields(headerFields, head, []field{{4, "run 0: start"}, {4, "run 0: length"}, {4, "run 1: start"}, {4, "run 1: length"}}))
	equal(t, "bitmap", runs)(DecodeZoneBitmap(q, uuidOf(0x10), ref))
}

func TestGoldenSpaceLog(t *testing.T) {
	l := testSpaceLog()
	p := make([]byte, l.Blocks()*BlockSize)
	ref, err := l.Encode(p, testSelf())
	if err != nil {
		t.Fatal(err)
	}
	entry := func(n string) []field {
		return []field{{8, n + ": start"}, {4, n + ": blocks"}, {1, n + ": kind"}, {3, "reserved"}}
	}
	p = golden(t, "spacelog", p, fields(headerFields, []field{{4, "entries"}, {12, "reserved"}}, entry("alloc"), entry("free")))
	equal(t, "space log", l)(DecodeSpaceLog(p, uuidOf(0x10), ref))
}

func TestGoldenRootRecord(t *testing.T) {
	r := testRootRecord()
	p := make([]byte, r.Blocks()*BlockSize)
	ref, err := r.Encode(p, testSelf())
	if err != nil {
		t.Fatal(err)
	}
	ptr := func(n string) []field {
		return []field{{1, n + ": kind, version"}, {6, n + ": items"}, {6, n + ": bytes"}, {8, n + ": address"}, {8, n + ": epoch"}, {4, n + ": crc"}, {1, n + ": blocks"}, {1, n + ": level"}, {2, n + ": flags"}}
	}
	refs := func(n string) []field {
		return []field{{8, n + ": address"}, {8, n + ": epoch"}, {4, n + ": crc"}, {4, n + ": blocks"}}
	}
	kept := func(n string) []field {
		return []field{{8, n + ": generation"}, {8, n + ": written"}, {8, n + ": blocks"}, {8, n + ": zone end"}}
	}
	p = golden(t, "rootrecord", p, fields(headerFields, []field{{8, "cut"}, {8, "next object id"}, {48, "reserved"}, {2, "section 1: roots, length"}, {1, "tree: collections"}}, ptr("collections"),
		[]field{{1, "tree: objects"}}, ptr("objects"), []field{{2, "section 2: zone tables, length"}}, refs("zone table"), []field{{2, "section 3: space log, length"}}, refs("segment 0"), []field{{4, "segment 0: entries"}, {4, "reserved"}}, refs("segment 1"), []field{{4, "segment 1: entries"}, {4, "reserved"}},
		[]field{{2, "section 4: counters, length"}, {8, "collections"}, {8, "objects"}, {8, "logical bytes"}, {8, "data blocks"}, {8, "meta blocks"}, {8, "trash objects"}, {8, "trash blocks"}},
		[]field{{2, "section 5: kept epochs, length"}, {2, "wanted"}, {6, "reserved"}}, refs("kept 0"), kept("kept 0"), refs("kept 1"), kept("kept 1")))
	equal(t, "root record", r)(DecodeRootRecord(p, uuidOf(0x10), ref))
}

func TestGoldenValues(t *testing.T) {
	head := []field{{1, "type"}, {1, "version"}, {1, "min reader"}, {1, "reserved"}, {4, "length"}}
	ptr := func(n string) []field {
		return []field{{1, n + ": kind, version"}, {6, n + ": items"}, {6, n + ": bytes"}, {8, n + ": address"}, {8, n + ": epoch"}, {4, n + ": crc"}, {1, n + ": blocks"}, {1, n + ": level"}, {2, n + ": flags"}}
	}
	c := testCnode()
	p, err := c.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	p = golden(t, "cnode", p, fields(head, []field{{1, "shard"}, {1, "bits"}, {2, "reserved"}, {4, "seed"}, {8, "pool"}, {4, "flags"}, {4, "reserved"}, {8, "id"}, {4, "section 1: attrs, length"}}, ptr("attrs")))
	equal(t, "cnode", c)(decodePtr(DecodeCnode(p)))

	o := testOnode()
	if p, err = o.Append(nil); err != nil {
		t.Fatal(err)
	}
	fixed := func(size int) []field {
		return []field{{1, "type"}, {1, "version"}, {1, "min reader"}, {1, "object id"}, {size, "size"}, {1, "flags"}}
	}
	hints := []field{{2, "section 1: alloc hint, length"}, {4, "object size"}, {3, "write size"}, {1, "flags"}, {2, "section 2: omap header, length"}, {6, "omap header"}}
	p = golden(t, "onode", p, fields(fixed(4), hints, []field{{4, "section 4: attrs, length"}}, ptr("attrs"), []field{{4, "section 5: omap, length"}}, ptr("omap"), []field{{4, "section 6: extents, length"}}, ptr("extents")))
	equal(t, "onode", o)(decodePtr(DecodeOnode(p)))

	small := &Onode{ID: 7, Size: 10, Inline: []byte("hello, you")}
	if p, err = small.Append(nil); err != nil {
		t.Fatal(err)
	}
	p = golden(t, "onode-inline", p, fields(fixed(1), []field{{2, "section 3: inline data, length"}, {10, "data"}}))
	equal(t, "onode", small)(decodePtr(DecodeOnode(p)))

	two := testRunOnode(t)
	if p, err = two.Append(nil); err != nil {
		t.Fatal(err)
	}
	p = golden(t, "onode-run", p, fields(fixed(2), []field{{2, "section 7: run, length"}, {1, "chunk"}, {1, "first block"}, {1, "blocks"}, {1, "flags"}, {2, "address"}, {8, "crc"}}))
	equal(t, "onode", two)(decodePtr(DecodeOnode(p)))

	for name, want := range map[string]*Onode{"onode-v1": o, "onode-inline-v1": small} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, name, want)(decodePtr(DecodeOnode(parseGolden(t, string(text)))))
	}

	tr := testTrash()
	if p, err = tr.Append(nil); err != nil {
		t.Fatal(err)
	}
	p = golden(t, "trash", p, fields(head, []field{{8, "object id"}, {8, "size"}, {8, "blocks"}, {4, "section 2: omap, length"}}, ptr("omap"), []field{{4, "section 3: extents, length"}}, ptr("extents")))
	equal(t, "trash", tr)(decodePtr(DecodeTrash(p)))

	ch := testChunk()
	if p, err = ch.Append(nil); err != nil {
		t.Fatal(err)
	}
	run := func(n string) []field {
		return []field{{1, n + ": first block"}, {1, n + ": blocks"}, {1, n + ": flags"}, {1, n + ": crc index"}, {4, "reserved"}, {8, n + ": address"}}
	}
	p = golden(t, "chunk", p, fields([]field{{1, "type"}, {1, "version"}, {1, "min reader"}, {1, "reserved"}, {1, "runs"}, {1, "mapped"}, {2, "length"}}, run("run 0"), run("run 1"), run("run 2"),
		[]field{{4, "crc of block 0"}, {4, "crc of block 1"}, {4, "crc of block 2"}, {4, "crc of block 63"}}))
	var back Chunk
	if err := DecodeChunk(p, &back); err != nil || back != *ch {
		t.Fatal(err)
	}

	g := testRefGroup()
	if p, err = g.Append(nil); err != nil {
		t.Fatal(err)
	}
	group := func(n string) []field {
		return []field{{1, n + ": first block"}, {1, n + ": blocks"}, {2, "reserved"}, {4, n + ": count"}}
	}
	p = golden(t, "refgroup", p, fields([]field{{1, "type"}, {1, "version"}, {1, "min reader"}, {1, "runs"}}, group("run 0"), group("run 1"), group("run 2")))
	var same RefGroup
	if err := DecodeRefGroup(p, &same); err != nil || same != *g {
		t.Fatal(err)
	}

	w := testOwnerGroup()
	owner := func(n string, id, block int) []field {
		return []field{{1, n + ": first block"}, {1, n + ": blocks"}, {id, n + ": object id"}, {block, n + ": block of the object"}}
	}
	p = golden(t, "ownergroup", w.Append(nil), fields([]field{{1, "type"}, {1, "version"}, {1, "min reader"}, {1, "runs"}}, owner("run 0", 1, 1), owner("run 1", 2, 2)))
	var whose OwnerGroup
	if err := DecodeOwnerGroup(p, &whose); err != nil || whose != *w {
		t.Fatal(err)
	}

	k := ObjectKey{Shard: NoShard, Pool: 3, Hash: 0x12345678, Namespace: "ns", Name: "a\x00b", Snap: NoSnap, Generation: NoGeneration}
	p = golden(t, "objectkey", k.AppendKey(nil), []field{{1, "shard -1 + 128"}, {8, "pool 3, biased"}, {4, "hash 12345678, bits reversed"}, {4, "namespace"}, {2, "key"}, {6, "name a 00 b, escaped"}, {8, "snap: head"}, {8, "generation: none"}})
	if got, err := DecodeObjectKey(p); err != nil || got != k {
		t.Fatal(got, err)
	}
}
