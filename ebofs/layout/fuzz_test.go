package layout

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"
)

// The fuzz targets share one property: a decoder does not panic, and what it
// accepts encodes again and decodes to the same. Structures with a checksum get a
// right one first, so that mutations reach what lies behind.

// seed adds the bytes of the golden files.
func seed(f *testing.F, names ...string) {
	for _, n := range names {
		text, err := os.ReadFile(filepath.Join("testdata", n))
		if err != nil {
			f.Fatal(err)
		}
		p := parseGolden(f, string(text))
		if len(p)%BlockSize == 0 { // the targets pad again; short seeds mutate faster
			p = bytes.TrimRight(p, "\x00")
		}
		f.Add(p)
	}
}

// soundError fails for an error that is no Corruption of ours: whoever reads a
// device relies on being told what is damaged.
func soundError(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, ErrCorrupt) && !isNewer(err) {
		t.Fatalf("%v is neither corrupt nor newer", err)
	}
}

func block(p []byte) []byte {
	q := make([]byte, BlockSize)
	copy(q, p)
	return q
}

func FuzzLabel(f *testing.F) {
	seed(f, "label")
	f.Fuzz(func(t *testing.T, p []byte) {
		_, _ = DecodeLabel(p)
		l, err := DecodeLabel(reseal(block(p)))
		if err != nil {
			soundError(t, err)
			return
		}
		q := make([]byte, BlockSize)
		if err := l.Encode(q); err != nil {
			t.Fatal(err)
		}
		equal(t, "label", &l)(decodePtr(DecodeLabel(q)))
	})
}

func FuzzSuperblock(f *testing.F) {
	seed(f, "superblock")
	f.Fuzz(func(t *testing.T, p []byte) {
		_, _ = DecodeSuperblock(p)
		s, err := DecodeSuperblock(reseal(block(p)))
		if err != nil {
			soundError(t, err)
			return
		}
		_ = s.Placement()
		q := make([]byte, BlockSize)
		if err := s.Encode(q); err != nil {
			t.Fatal(err)
		}
		equal(t, "superblock", &s)(decodePtr(DecodeSuperblock(q)))
	})
}

// framed makes p a structure with a right header, and the Ref that points to it.
func framed(p []byte, kind Kind) ([]byte, Ref) {
	p = append(bytes.Clone(p), make([]byte, HeaderBytes)...)
	n := min(max(int(le.Uint32(p[12:])), HeaderBytes), len(p))
	p = append(p, make([]byte, blocksFor(len(p))*BlockSize-len(p))...)
	return p, finish(p, kind, n, testSelf())
}

// fuzzFramed is the target of a structure with a Header.
func fuzzFramed[T any](f *testing.F, kind Kind, decode func([]byte, UUID, Ref) (T, error), encode func(T) ([]byte, Ref, error), names ...string) {
	seed(f, names...)
	fsid := testSelf().FSID
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 1<<20 {
			return
		}
		_, err := decode(p, fsid, Ref{testSelf().Addr, 5, 0, uint32(len(p) / BlockSize)})
		soundError(t, err)
		p, ref := framed(p, kind)
		v, err := decode(p, fsid, ref)
		if err != nil {
			soundError(t, err)
			return
		}
		q, ref, err := encode(v)
		if err != nil {
			t.Fatal(err)
		}
		w, err := decode(q, fsid, ref)
		if err != nil || !reflect.DeepEqual(v, w) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, w, v)
		}
	})
}

func encodeFramed(blocks int, enc func([]byte, Self) (Ref, error)) ([]byte, Ref, error) {
	p := make([]byte, blocks*BlockSize)
	ref, err := enc(p, testSelf())
	return p, ref, err
}

func FuzzRootRecord(f *testing.F) {
	fuzzFramed(f, KindRootRecord, DecodeRootRecord, func(r *RootRecord) ([]byte, Ref, error) { return encodeFramed(r.Blocks(), r.Encode) }, "rootrecord")
}

func FuzzZoneTable(f *testing.F) {
	fuzzFramed(f, KindZoneTable, DecodeZoneTable, func(z *ZoneTable) ([]byte, Ref, error) { return encodeFramed(z.Blocks(), z.Encode) }, "zonetable")
}

func FuzzZoneBitmap(f *testing.F) {
	fuzzFramed(f, KindZoneBitmap, DecodeZoneBitmap, func(b *ZoneBitmap) ([]byte, Ref, error) { return encodeFramed(b.EncodedBlocks(), b.Encode) }, "zonebitmap-bits", "zonebitmap-runs")
}

func FuzzSpaceLog(f *testing.F) {
	fuzzFramed(f, KindSpaceLog, DecodeSpaceLog, func(l *SpaceLog) ([]byte, Ref, error) { return encodeFramed(l.Blocks(), l.Encode) }, "spacelog")
}

func FuzzHeader(f *testing.F) {
	seed(f, "rootrecord", "spacelog")
	f.Fuzz(func(t *testing.T, p []byte) {
		h, err := DecodeHeader(p)
		soundError(t, err)
		if err == nil && int(h.Length) > len(p) {
			t.Fatal(h)
		}
	})
}

// fuzzValue is the target of a tree value.
func fuzzValue[T any](f *testing.F, decode func([]byte) (T, error), encode func(*T) ([]byte, error), names ...string) {
	seed(f, names...)
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) >= valueHeader && len(p) < 1<<20 && (p[0] != 'O' || p[1] == 1) {
			p = endValue(bytes.Clone(p), 0)
		}
		v, err := decode(p)
		if err != nil {
			soundError(t, err)
			return
		}
		q, err := encode(&v)
		if err != nil {
			t.Fatal(err)
		}
		w, err := decode(q)
		if err != nil || !reflect.DeepEqual(v, w) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, w, v)
		}
	})
}

func FuzzCnode(f *testing.F) {
	fuzzValue(f, DecodeCnode, func(c *Cnode) ([]byte, error) { return c.Append(nil) }, "cnode")
}

func FuzzOnode(f *testing.F) {
	fuzzValue(f, DecodeOnode, func(o *Onode) ([]byte, error) { return o.Append(nil) }, "onode", "onode-inline", "onode-run", "onode-v1", "onode-inline-v1")
}

func FuzzTrash(f *testing.F) {
	fuzzValue(f, DecodeTrash, func(x *Trash) ([]byte, error) { return x.Append(nil) }, "trash")
}

func FuzzChunk(f *testing.F) {
	seed(f, "chunk")
	f.Fuzz(func(t *testing.T, p []byte) {
		var c, d Chunk
		for i := range ChunkBlocks {
			_, _, _, _, _ = LookupChunk(p, i)
		}
		common, last, checked := CheckChunk(p)
		if err := DecodeChunk(p, &c); err != nil {
			if soundError(t, err); checked == nil {
				t.Fatal("only decoding finds", err)
			}
			return
		}
		flags, end := blockFlags, 0
		for i, a := range c.Addr {
			if !a.IsNone() {
				flags, end = flags&c.Flags[i], i+1
			}
		}
		if checked != nil || common != flags || last != end {
			t.Fatalf("flags %x up to block %d, %v, want %x, %d", common, last, checked, flags, end)
		}
		for i := range ChunkBlocks {
			if a, crc, fl, ok, err := LookupChunk(p, i); err != nil || a != c.Addr[i] || crc != c.CRC[i] || fl != c.Flags[i] || ok == a.IsNone() {
				t.Fatal(i, a, crc, fl, ok, err)
			}
		}
		q, err := c.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := DecodeChunk(q, &d); err != nil || c != d {
			t.Fatal(err)
		}
	})
}

func FuzzRefGroup(f *testing.F) {
	seed(f, "refgroup")
	f.Fuzz(func(t *testing.T, p []byte) {
		var g RefGroup
		if err := DecodeRefGroup(p, &g); err != nil {
			soundError(t, err)
			return
		}
		q, err := g.Append(nil)
		if err != nil || !bytes.Equal(q[3:], p[3:]) {
			t.Fatalf("%x encodes to %x: %v", p, q, err)
		}
	})
}

func FuzzOwnerGroup(f *testing.F) {
	seed(f, "ownergroup")
	f.Fuzz(func(t *testing.T, p []byte) {
		var g, back OwnerGroup
		if err := DecodeOwnerGroup(p, &g); err != nil {
			soundError(t, err)
			return
		}
		q := g.Append(nil)
		if err := DecodeOwnerGroup(q, &back); err != nil || back != g || len(q) > MaxOwnerBytes {
			t.Fatalf("%x encodes to %x: %v", p, q, err)
		}
	})
}

func FuzzObjectKey(f *testing.F) {
	seed(f, "objectkey")
	f.Fuzz(func(t *testing.T, p []byte) {
		o, err := DecodeObjectKey(p)
		if err != nil {
			soundError(t, err)
			return
		}
		if !bytes.Equal(o.AppendKey(nil), p) {
			t.Fatalf("%+v: two encodings: %x and %x", o, p, o.AppendKey(nil))
		}
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		if q, err := ParseObjectKey(o.String()); err != nil || q != o {
			t.Fatalf("%+v: %s: %+v %v", o, o, q, err)
		}
	})
}

func FuzzParseObjectKey(f *testing.F) {
	f.Add("1:9c3e21f4:::readme.txt:head")
	f.Add("-3s2:00000001:n%3As:k%25:a%23%0A%FF:1f#10")
	f.Fuzz(func(t *testing.T, s string) {
		o, err := ParseObjectKey(s)
		if err != nil {
			return
		}
		if q, err := ParseObjectKey(o.String()); err != nil || q != o {
			t.Fatalf("%q: %+v: %+v %v", s, o, q, err)
		}
		if d, err := DecodeObjectKey(o.AppendKey(nil)); err != nil || d != o {
			t.Fatalf("%q: %+v: %+v %v", s, o, d, err)
		}
	})
}

// TestBoundedAllocation: L5 for inputs that promise the most.
func TestBoundedAllocation(t *testing.T) {
	fsid := testSelf().FSID
	huge := make([]byte, BlockSize)
	le.PutUint32(huge[12:], BlockSize)
	for i := HeaderBytes; i < BlockSize; i++ {
		huge[i] = 0xff
	}
	bitmap := bytes.Clone(huge)
	le.PutUint32(bitmap[HeaderBytes:], 0)
	le.PutUint32(bitmap[HeaderBytes+4:], MaxZoneBlocks)
	bitmap[HeaderBytes+8] = bitmapRuns
	le.PutUint32(bitmap[HeaderBytes+12:], 1)
	le.PutUint32(bitmap[HeaderBytes+16:], 0)
	le.PutUint32(bitmap[HeaderBytes+20:], MaxZoneBlocks)
	for name, fn := range map[string]func(){
		"zone table":  func() { p, r := framed(huge, KindZoneTable); _, _ = DecodeZoneTable(p, fsid, r) },
		"space log":   func() { p, r := framed(huge, KindSpaceLog); _, _ = DecodeSpaceLog(p, fsid, r) },
		"zone bitmap": func() { p, r := framed(bitmap, KindZoneBitmap); _, _ = DecodeZoneBitmap(p, fsid, r) },
		"root record": func() { p, r := framed(huge, KindRootRecord); _, _ = DecodeRootRecord(p, fsid, r) },
		"onode": func() {
			p := endValue(append([]byte("O\x01\x01\x00\x00\x00\x00\x00"), huge[64:]...), 0)
			_, _ = DecodeOnode(p)
		},
		"object key": func() { _, _ = DecodeObjectKey(huge) },
	} {
		var a, b runtime.MemStats
		runtime.ReadMemStats(&a)
		fn()
		runtime.ReadMemStats(&b)
		if n := b.TotalAlloc - a.TotalAlloc; n > 16*BlockSize+1<<20 {
			t.Errorf("%s: %d bytes allocated", name, n)
		}
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"none", "0:1204480", "17", "255:72057594037927935", "0:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddr(s)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		if b, err := ParseAddr(a.String()); err != nil || b != a {
			t.Fatalf("%q is %v, which is %v, %v", s, a, b, err)
		}
	})
}
