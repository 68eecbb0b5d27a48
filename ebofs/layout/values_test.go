package layout

import (
	"bytes"
	"errors"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	"ebofs/btree"
)

// equal returns a check that a decoder gave back want.
func equal[T any](t *testing.T, what string, want *T) func(*T, error) {
	return func(got *T, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %v\n got %+v\nwant %+v", what, err, got, want)
		}
	}
}

// decodePtr turns the result of a decoder that returns a value into a pointer.
func decodePtr[T any](v T, err error) (*T, error) { return &v, err }

func nodeRoot(addr uint64, count uint64) btree.Root {
	return btree.Root{Kind: btree.RootNode, Count: count, Bytes: 100 * count,
		Ptr: btree.Ptr{Addr: addr, Epoch: 4, CRC: 0x01020304, Blocks: 4, Level: 1}}
}

func testZoneTable() *ZoneTable {
	return &ZoneTable{First: 2, Zones: []ZoneEntry{
		{FreeBlocks: 100, FreeStripes: 5, Class: ZoneData, Flushed: 3, Bitmap: Ref{MakeAddr(0, 5000), 3, 0xdeadbeef, 1}},
		{FreeBlocks: 736, FreeStripes: 46},
		{FreeBlocks: 1, FreeStripes: 0, Class: ZoneMeta, Flushed: 5, Bitmap: Ref{MakeAddr(0, 5001), 5, 0xfeed, 2}},
	}}
}

func testBitmapRaw() *ZoneBitmap {
	return &ZoneBitmap{Zone: 4, Blocks: 180, Bits: []uint64{0x5555, 1 << 63, 1<<52 - 1}}
}

func testBitmapRuns() *ZoneBitmap {
	b := &ZoneBitmap{Zone: 4, Blocks: 40000, Bits: make([]uint64, 625)}
	setBits(b.Bits, 10, 300)
	setBits(b.Bits, 39999, 1)
	return b
}

func testSpaceLog() *SpaceLog {
	return &SpaceLog{Entries: []SpaceEntry{{MakeAddr(0, 6000), 16, SpaceAlloc}, {MakeAddr(0, 6016), 3, SpaceFree}}}
}

func testRootRecord() *RootRecord {
	return &RootRecord{
		Cut: 1000, NextObjectID: 77, Collections: nodeRoot(6000, 3), Objects: nodeRoot(6004, 500),
		ZoneTables: []Ref{{MakeAddr(0, 4001), 5, 0xabcd, 1}},
		SpaceLog:   []SpaceSegment{{Ref{MakeAddr(0, 4002), 4, 1, 1}, 10}, {Ref{MakeAddr(0, 4003), 5, 2, 1}, 2}},
		Counters:   Counters{3, 500, 1 << 20, 300, 40, 1, 2},
		Keep:       8,
		Kept: []KeptEpoch{{Ref{MakeAddr(0, 4010), 3, 0x0303, 1}, 7, time.Unix(1_700_000_000, 1).UTC(), 42000, 40000},
			{Ref{MakeAddr(0, 4020), 4, 0x0404, 1}, 8, time.Unix(1_700_000_030, 0).UTC(), 52000, 50000}},
	}
}

func testCnode() *Cnode {
	return &Cnode{Range: CollRange{Shard: NoShard, Pool: 3, Bits: 4, Seed: 9}, Flags: 1, ID: 12, Attrs: nodeRoot(6010, 2)}
}

func testOnode() *Onode {
	return &Onode{ID: 9, Size: 4 << 20, Flags: 2, Hint: AllocHint{4 << 20, 64 << 10, 1}, OmapHeader: []byte("header"),
		Attrs: nodeRoot(6020, 2), Omap: nodeRoot(6024, 1000), Extents: nodeRoot(6028, 16)}
}

// testRunOnode is an object of two blocks that are neighbours.
func testRunOnode(t testing.TB) *Onode {
	var c Chunk
	for i := range 2 {
		c.Addr[i], c.CRC[i] = MakeAddr(0, 7000+uint64(i)), 11+uint32(i)
	}
	return &Onode{ID: 7, Size: 8192, Extents: soleChunk(t, 0, &c)}
}

// soleChunk is the root of extents that are one chunk.
func soleChunk(t testing.TB, k uint64, c *Chunk) btree.Root {
	val, err := c.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return btree.Root{Kind: btree.RootInline, Inline: append(btree.AppendSole(nil, k), val...), Count: 1, Bytes: 8 + uint64(len(val))}
}

func testTrash() *Trash {
	return &Trash{ID: 9, Size: 4 << 20, Blocks: 1024, Omap: nodeRoot(6024, 1000), Extents: nodeRoot(6028, 16)}
}

func testRefGroup() *RefGroup {
	g := new(RefGroup)
	for i := range 16 {
		g.Count[i] = 2
	}
	g.Count[16], g.Count[63] = 3, 70000
	return g
}

func testOwnerGroup() *OwnerGroup {
	g := new(OwnerGroup)
	for i := range 16 {
		g.Set(i, 9, uint64(i))
	}
	g.Set(20, 300, 1000)
	return g
}

func testChunk() *Chunk {
	var c Chunk
	c.Addr[0], c.CRC[0] = MakeAddr(0, 7000), 11
	c.Addr[1], c.CRC[1] = MakeAddr(0, 7001), 12
	c.Addr[2], c.CRC[2], c.Flags[2] = MakeAddr(0, 7002), 13, BlockShared
	c.Addr[63], c.CRC[63] = MakeAddr(1, 9), 14
	return &c
}

// TestRefVerify: whatever is read in place of what the parent points to is told
// apart.
func TestRefVerify(t *testing.T) {
	enc := func(self Self, cut uint64) ([]byte, Ref) {
		r := testRootRecord()
		r.Cut = cut
		p := make([]byte, BlockSize)
		ref, err := r.Encode(p, self)
		if err != nil {
			t.Fatal(err)
		}
		return p, ref
	}
	self := testSelf()
	good, ref := enc(self, 1)
	fsid := self.FSID
	zt := make([]byte, BlockSize)
	if _, err := testZoneTable().Encode(zt, self); err != nil {
		t.Fatal(err)
	}
	other := self
	other.FSID[3]++
	foreign, _ := enc(other, 1)
	older := self
	older.Epoch--
	stale, _ := enc(older, 1)
	away := self
	away.Addr += 7
	misplaced, _ := enc(away, 1)
	twin, _ := enc(self, 2) // same epoch and place, other contents
	newer := bytes.Clone(good)
	newer[10] = 9
	le.PutUint32(newer[4:], crcZeroed(newer, 4))
	for _, c := range []struct {
		name string
		p    []byte
		want error
	}{
		{"good", good, nil}, {"zeros", make([]byte, BlockSize), ErrBadMagic}, {"other kind", zt, ErrBadMagic}, {"foreign", foreign, ErrForeign},
		{"stale", stale, ErrStale}, {"misplaced", misplaced, ErrMisplaced}, {"twin", twin, ErrStale}, {"newer", newer, ErrNewer}, {"short", good[:100], ErrMalformed},
		{"long", append(bytes.Clone(good), good...), ErrMalformed},
	} {
		_, err := DecodeRootRecord(c.p, fsid, ref)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if c.want != nil && errors.Is(err, ErrCorrupt) != (c.want != ErrNewer) {
			t.Errorf("%s: %v is corrupt: %v", c.name, err, errors.Is(err, ErrCorrupt))
		}
		var x *Corruption
		if c.want != nil && c.name != "short" && (!errors.As(err, &x) || x.Addr != ref.Addr || x.Kind != "root record") {
			t.Errorf("%s: %v does not name place and kind", c.name, err)
		}
	}
	for i := range good {
		p := bytes.Clone(good)
		p[i] ^= 0x40
		if _, err := DecodeRootRecord(p, fsid, ref); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

// TestSections: what a newer version adds is passed over and kept; what it says must
// be understood is refused.
func TestSections(t *testing.T) {
	p, err := testOnode().Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	p = appendSection(p, 17, []byte("from the future"))
	o, err := DecodeOnode(p)
	if err != nil {
		t.Fatal(err)
	}
	o.Size++
	q, err := o.Append(nil)
	if err != nil || !bytes.HasSuffix(q, []byte("from the future")) {
		t.Fatalf("%v %q", err, q)
	}
	p = appendSection(p, 17|mustKnow, nil)
	if _, err := DecodeOnode(p); !errors.Is(err, ErrFeature) || errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	p = appendSection(q, 17, nil) // twice
	if _, err := DecodeOnode(p); !errors.Is(err, ErrMalformed) {
		t.Fatal(err)
	}
}

func TestValuesRefuse(t *testing.T) {
	big := strings.Repeat("x", MaxOmapHeader+1)
	for name, err := range map[string]error{
		"onode id":     second((&Onode{}).Append(nil)),
		"onode size":   second((&Onode{ID: 1, Size: MaxObjectBytes + 1}).Append(nil)),
		"onode inline": second((&Onode{ID: 1, Size: 5, Inline: []byte("123456")}).Append(nil)),
		"onode both":   second((&Onode{ID: 1, Size: 6, Inline: []byte("123456"), Extents: nodeRoot(1, 1)}).Append(nil)),
		"onode header": second((&Onode{ID: 1, OmapHeader: []byte(big)}).Append(nil)),
		"trash id":     second((&Trash{}).Append(nil)),
		"cnode seed":   second((&Cnode{Range: CollRange{Bits: 2, Seed: 4}}).Append(nil)),
		"cnode pool":   second((&Cnode{Range: CollRange{Pool: -2}}).Append(nil)),
		"log order":    second((&SpaceLog{Entries: []SpaceEntry{{9, 2, SpaceAlloc}, {10, 1, SpaceFree}}}).Encode(make([]byte, BlockSize), testSelf())),
		"log kind":     second((&SpaceLog{Entries: []SpaceEntry{{9, 2, 3}}}).Encode(make([]byte, BlockSize), testSelf())),
		"log room":     second((&SpaceLog{Entries: make([]SpaceEntry, 300)}).Encode(make([]byte, BlockSize), testSelf())),
		"bitmap tail":  second((&ZoneBitmap{Blocks: 10, Bits: []uint64{1 << 10}}).Encode(make([]byte, BlockSize), testSelf())),
		"table class":  second((&ZoneTable{Zones: []ZoneEntry{{Class: 3}}}).Encode(make([]byte, BlockSize), testSelf())),
		"table zones":  second((&ZoneTable{First: MaxZones, Zones: make([]ZoneEntry, 1)}).Encode(make([]byte, BlockSize), testSelf())),
		"no epoch":     second((&SpaceLog{}).Encode(make([]byte, BlockSize), Self{FSID: uuidOf(1), Addr: 5})),
		"no address":   second((&SpaceLog{}).Encode(make([]byte, BlockSize), Self{FSID: uuidOf(1), Epoch: 5})),
		"root epochs":  second((&RootRecord{SpaceLog: []SpaceSegment{{Ref{1, 5, 0, 1}, 0}, {Ref{2, 4, 0, 1}, 0}}}).Encode(make([]byte, BlockSize), testSelf())),
		"kept many":    second((&RootRecord{Keep: MaxKept + 1}).Encode(make([]byte, BlockSize), testSelf())),
		"kept order":   second((&RootRecord{Kept: []KeptEpoch{{Root: Ref{1, 5, 0, 1}, Generation: 1}, {Root: Ref{2, 5, 0, 1}, Generation: 2}}}).Encode(make([]byte, BlockSize), testSelf())),
		"kept none":    second((&RootRecord{Kept: []KeptEpoch{{Generation: 1}}}).Encode(make([]byte, BlockSize), testSelf())),
		"root list":    second((&RootRecord{ZoneTables: make([]Ref, 65)}).Encode(make([]byte, BlockSize), testSelf())),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestBitmapForms: random bitmaps come back in whichever form was shorter.
func TestBitmapForms(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	seen := [2]int{}
	for i := range 300 {
		b := &ZoneBitmap{Zone: uint32(i), Blocks: uint32(1 + r.Intn(1<<16))}
		b.Bits = make([]uint64, (b.Blocks+63)/64)
		used := map[int]bool{}
		for range r.Intn(1 + r.Intn(3000)) {
			at := r.Intn(int(b.Blocks))
			n := min(1+r.Intn(200), int(b.Blocks)-at)
			setBits(b.Bits, at, n)
			for j := range n {
				used[at+j] = true
			}
		}
		if int(b.Used()) != len(used) {
			t.Fatalf("used %d, want %d", b.Used(), len(used))
		}
		runs := 0
		b.Runs(func(start, n uint32) {
			runs++
			for j := range n {
				delete(used, int(start+j))
			}
		})
		if len(used) != 0 || runs != b.countRuns() {
			t.Fatalf("%d blocks not in runs; %d runs, counted %d", len(used), runs, b.countRuns())
		}
		p := bytes.Repeat([]byte{0xee}, b.EncodedBlocks()*BlockSize)
		ref, err := b.Encode(p, testSelf())
		if err != nil {
			t.Fatal(err)
		}
		seen[p[HeaderBytes+8]]++
		equal(t, "bitmap", b)(DecodeZoneBitmap(p, testSelf().FSID, ref))
	}
	if seen[0] == 0 || seen[1] == 0 {
		t.Fatal("a form was never taken", seen)
	}
	full := &ZoneBitmap{Blocks: MaxZoneBlocks, Bits: make([]uint64, MaxZoneBlocks/64)}
	setBits(full.Bits, 0, MaxZoneBlocks)
	if full.EncodedBlocks() != 1 || full.Used() != MaxZoneBlocks {
		t.Fatal(full.EncodedBlocks(), full.Used())
	}
	for i := range full.Bits {
		full.Bits[i] = 0x5555555555555555
	}
	if full.EncodedBlocks() > maxBitmapBlocks {
		t.Fatal(full.EncodedBlocks())
	}
}

func TestChunkLookup(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	for range 2000 {
		var c Chunk
		next := MakeAddr(uint8(r.Intn(3)), uint64(1+r.Intn(1000)))
		for i := range c.Addr {
			switch r.Intn(8) {
			case 0:
				next = MakeAddr(uint8(r.Intn(3)), uint64(1+r.Intn(1000)))
			case 1:
				continue
			}
			c.Addr[i], c.CRC[i], c.Flags[i] = next, r.Uint32(), uint8(r.Intn(20)/18)
			next++
		}
		p, err := c.Append([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		p = p[len("before"):]
		var d Chunk
		if err := DecodeChunk(p, &d); err != nil || d != c {
			t.Fatal(err)
		}
		for i := range c.Addr {
			a, crc, f, ok, err := LookupChunk(p, i)
			if err != nil || ok != !c.Addr[i].IsNone() || a != c.Addr[i] || crc != c.CRC[i] || f != c.Flags[i] {
				t.Fatal(i, a, crc, f, ok, err)
			}
		}
	}
	if _, _, _, _, err := LookupChunk(nil, 0); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	p, _ := testChunk().Append(nil)
	if _, _, _, _, err := LookupChunk(p, 64); !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _, _, _, _ = LookupChunk(p, 63) }); n != 0 {
		t.Fatal(n, "allocations")
	}
	bad := testChunk()
	bad.CRC[5] = 1 // of a hole
	if _, err := bad.Append(nil); !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
	bad = testChunk()
	bad.Flags[0] = 0x80
	if _, err := bad.Append(nil); !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
}

func BenchmarkLookupChunk(b *testing.B) {
	var c Chunk
	for i := range c.Addr {
		c.Addr[i] = MakeAddr(0, uint64(1000+2*i)) // 64 runs: the worst case
	}
	p, _ := c.Append(nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, _, _, ok, _ := LookupChunk(p, i%64); !ok {
			b.Fatal()
		}
	}
}

func BenchmarkOnode(b *testing.B) {
	p, _ := testOnode().Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		o, err := DecodeOnode(p)
		if err != nil {
			b.Fatal(err)
		}
		if p, err = o.Append(p[:0:cap(p)]); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRefGroup: what is encoded decodes to the same, and nothing else is accepted.
func TestRefGroup(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	for range 2000 {
		var g, back RefGroup
		for i := range g.Count {
			if g.Count[i] = uint32(r.Intn(4)); g.Count[i] == 1 {
				g.Count[i] = 1 << 31
			}
			if i > 0 && r.Intn(3) > 0 {
				g.Count[i] = g.Count[i-1]
			}
		}
		p, err := g.Append([]byte("x"))
		if g.Empty() {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("an empty group encodes: %v", err)
			}
			continue
		}
		if err != nil || len(p)-1 > MaxRefBytes {
			t.Fatal(len(p), err)
		}
		if err := DecodeRefGroup(p[1:], &back); err != nil || back != g {
			t.Fatalf("%v decodes to %v: %v", g, back, err)
		}
		for n := range p[1:] {
			if DecodeRefGroup(p[1:1+n], &back) == nil {
				t.Fatalf("%d of %d bytes decode", n, len(p)-1)
			}
		}
	}
	if _, err := (&RefGroup{Count: [RefBlocks]uint32{1}}).Append(nil); !errors.Is(err, ErrInvalid) {
		t.Fatalf("a count of one: %v", err)
	}
	if k, i := RefKey(MakeAddr(0, 64*5+7)); i != 7 || k != Uint64Key(5) {
		t.Fatal(k, i)
	}
	for name, p := range map[string][]byte{
		"count of one":  {'R', 1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0},
		"not joined":    {'R', 1, 1, 2, 0, 1, 0, 0, 2, 0, 0, 0, 1, 1, 0, 0, 2, 0, 0, 0},
		"overlap":       {'R', 1, 1, 2, 0, 2, 0, 0, 2, 0, 0, 0, 1, 1, 0, 0, 3, 0, 0, 0},
		"beyond":        {'R', 1, 1, 1, 60, 5, 0, 0, 2, 0, 0, 0},
		"reserved":      {'R', 1, 1, 1, 0, 1, 1, 0, 2, 0, 0, 0},
		"another type":  {'C', 1, 1, 1, 0, 1, 0, 0, 2, 0, 0, 0},
		"newer version": {'R', 2, 2, 1, 0, 1, 0, 0, 2, 0, 0, 0},
		"no run":        {'R', 1, 1, 0},
	} {
		if err := DecodeRefGroup(p, new(RefGroup)); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOwnerGroup: what is encoded decodes to the same, and nothing else is accepted.
func TestOwnerGroup(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	for range 2000 {
		var g, back OwnerGroup
		for i := range g.ID {
			switch {
			case i > 0 && r.Intn(3) > 0 && g.ID[i-1] != 0:
				g.Set(i, g.ID[i-1], g.Block[i-1]+1)
			case r.Intn(3) > 0:
				g.Set(i, 1+r.Uint64()>>r.Intn(64), r.Uint64()>>(12+r.Intn(50)))
			}
		}
		p := g.Append([]byte("x"))[1:]
		if g.Empty() {
			continue
		}
		if len(p) > MaxOwnerBytes {
			t.Fatal(len(p))
		}
		if err := DecodeOwnerGroup(p, &back); err != nil || back != g {
			t.Fatalf("%v decodes to %v: %v", g, back, err)
		}
		for n := range p {
			if DecodeOwnerGroup(p[:n], &back) == nil {
				t.Fatalf("%d of %d bytes decode", n, len(p))
			}
		}
	}
	if k, i := OwnerKey(MakeAddr(0, 64*5+7)); i != 7 || k != GroupKey(5) {
		t.Fatal(k, i)
	}
	for _, key := range [][OwnerKeyBytes]byte{GroupKey(5), IDKey(7)} {
		group, id, err := DecodeOwnerKey(key[:])
		if err != nil || group+id != 5 && group+id != 7 || group*id != 0 {
			t.Fatal(group, id, err)
		}
	}
	for _, key := range [][]byte{nil, {1, 2, 3}, {3, 0, 0, 0, 0, 0, 0, 0, 1}} {
		if _, _, err := DecodeOwnerKey(key); !errors.Is(err, ErrCorrupt) {
			t.Errorf("key %x: %v", key, err)
		}
	}
	for name, p := range map[string][]byte{
		"overlap":       {'W', 1, 1, 2, 0, 2, 1, 0, 1, 1, 2, 0},
		"beyond":        {'W', 1, 1, 1, 60, 5, 1, 0},
		"nobody":        {'W', 1, 1, 1, 0, 1, 0, 0},
		"no block":      {'W', 1, 1, 1, 0, 0, 1, 0},
		"endless":       {'W', 1, 1, 1, 0, 1, 0x80, 0x80},
		"bytes behind":  {'W', 1, 1, 1, 0, 1, 1, 0, 0},
		"another type":  {'R', 1, 1, 1, 0, 1, 1, 0},
		"newer version": {'W', 2, 2, 1, 0, 1, 1, 0},
		"no run":        {'W', 1, 1, 0},
	} {
		if err := DecodeOwnerGroup(p, new(OwnerGroup)); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
