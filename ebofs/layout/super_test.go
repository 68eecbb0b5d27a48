package layout

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"
)

func uuidOf(b byte) UUID {
	var u UUID
	for i := range u {
		u[i] = b + byte(i)
	}
	return u
}

// testSuper is a superblock with every field set, on a 64 MiB device.
func testSuper() *Superblock {
	return &Superblock{
		FSID: uuidOf(0x10), DeviceUUID: uuidOf(0x30), Self: MakeAddr(0, 1024), Flags: SuperClean,
		Generation: 7, Epoch: 5,
		Blocks: 16384, StripeBytes: 64 << 10, UnitBytes: 4096, GeometryFlags: 0, AlignBytes: 0,
		ZoneStart: 3328, ZoneEnd: 15360, ZoneBlocks: 736, Zones: 17,
		Index: 0, Role: RoleMain,
		Features: Features{Incompat: FeatInlineData},
		Root:     Ref{MakeAddr(0, 4000), 5, 0x11223344, 1},
		Cluster:  uuidOf(0x50), OSD: 3,
		Created: time.Unix(1700000000, 5).UTC(), Written: time.Unix(1700000100, 0).UTC(),
		Text:    "osd.3",
		Rings:   []Ring{{Start: MakeAddr(0, 1280), Blocks: 2048, Incarnation: 9, TailBlock: 17, TailSeq: 1001, PrevCRC: 0xcafe}},
		Devices: []DeviceEntry{{UUID: uuidOf(0x30), Blocks: 16384, Role: RoleMain}},
	}
}

func testLabel() *Label {
	return &Label{
		FSID: uuidOf(0x10), DeviceUUID: uuidOf(0x30), Role: RoleMain, Blocks: 16384,
		Created: time.Unix(1700000000, 5).UTC(), Slots: SlotBlocks(16384), Text: "osd.3", Cluster: uuidOf(0x50),
	}
}

func encodeSuper(t testing.TB, s *Superblock) []byte {
	t.Helper()
	p := bytes.Repeat([]byte{0xee}, BlockSize)
	if err := s.Encode(p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSuperblockRoundTrip(t *testing.T) {
	s := testSuper()
	got, err := DecodeSuperblock(encodeSuper(t, s))
	if err != nil || !reflect.DeepEqual(&got, s) {
		t.Fatalf("%v\n got %+v\nwant %+v", err, got, s)
	}
	if !got.Clean() || got.Hard() {
		t.Fatal("flags")
	}
}

// TestSuperblockFlips: no changed byte goes unnoticed, whatever it is changed to.
func TestSuperblockFlips(t *testing.T) {
	p := encodeSuper(t, testSuper())
	l := make([]byte, BlockSize)
	if err := testLabel().Encode(l); err != nil {
		t.Fatal(err)
	}
	for i := range p {
		for _, x := range []byte{1, 0x80, 0xff} {
			p[i] ^= x
			if _, err := DecodeSuperblock(p); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("superblock byte %d ^ %02x: %v", i, x, err)
			}
			p[i] ^= x
			l[i] ^= x
			if _, err := DecodeLabel(l); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("label byte %d ^ %02x: %v", i, x, err)
			}
			l[i] ^= x
		}
	}
}

// reseal makes the checksum right again after a test changed p.
func reseal(p []byte) []byte {
	le.PutUint32(p[8:], CRC(p[12:]))
	return p
}

func TestSuperblockErrors(t *testing.T) {
	old := encodeSuper(t, testSuper())
	s2 := testSuper()
	s2.Generation += 2
	next := encodeSuper(t, s2)
	for _, c := range []struct {
		name string
		p    func() []byte
		want error
		not  error
	}{
		{"zeros", func() []byte { return make([]byte, BlockSize) }, ErrBadMagic, ErrBadCRC},
		{"short", func() []byte { return old[:512] }, ErrMalformed, nil},
		{"torn", func() []byte { return append(append([]byte{}, next[:512]...), old[512:]...) }, ErrTorn, ErrBadCRC},
		{"rotten", func() []byte { p := bytes.Clone(old); p[700] ^= 1; return p }, ErrBadCRC, ErrTorn},
		{"newer", func() []byte { p := bytes.Clone(old); p[13], p[14] = 2, 2; return reseal(p) }, ErrNewer, ErrCorrupt},
		{"newer, readable", func() []byte { p := bytes.Clone(old); p[13] = 2; return reseal(p) }, nil, nil},
		{"feature", func() []byte { p := bytes.Clone(old); p[162] |= 1; return reseal(p) }, ErrFeature, ErrCorrupt},
		{"carry", func() []byte { p := bytes.Clone(old); p[160] |= 1; return reseal(p) }, ErrFeature, nil},
		{"block size", func() []byte { p := bytes.Clone(old); p[89] = 0x20; return reseal(p) }, ErrMalformed, nil},
		{"epoch 0", func() []byte { p := bytes.Clone(old); p[72] = 0; return reseal(p) }, ErrMalformed, nil},
		{"rings", func() []byte { p := bytes.Clone(old); p[138] = 200; return reseal(p) }, ErrMalformed, nil},
		{"zones", func() []byte { p := bytes.Clone(old); p[132]++; return reseal(p) }, ErrMalformed, nil},
		{"stripe 0", func() []byte { p := bytes.Clone(old); p[94] = 0; return reseal(p) }, ErrMalformed, nil},
		{"root outside", func() []byte { p := bytes.Clone(old); p[173] = 1; return reseal(p) }, ErrMalformed, nil},
	} {
		_, err := DecodeSuperblock(c.p())
		if !errors.Is(err, c.want) && !(c.want == nil && err == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if c.not != nil && errors.Is(err, c.not) {
			t.Errorf("%s: %v is also %v", c.name, err, c.not)
		}
	}
	p := bytes.Clone(old)
	p[160] |= 1
	p[162] |= 1
	_, err := DecodeSuperblock(reseal(p))
	if want := "superblock: features carry, incompat bit 16: unknown feature"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	s := testSuper()
	s.Features.ROCompat = 1
	if err := s.Features.CheckRead(); err != nil {
		t.Error(err)
	}
	if err := s.Features.CheckWrite(); !errors.Is(err, ErrFeature) {
		t.Error(err)
	}
}

func TestLabelRoundTrip(t *testing.T) {
	l := testLabel()
	p := bytes.Repeat([]byte{0xee}, BlockSize)
	if err := l.Encode(p); err != nil {
		t.Fatal(err)
	}
	got, err := DecodeLabel(p)
	if err != nil || !reflect.DeepEqual(&got, l) {
		t.Fatalf("%v\n got %+v\nwant %+v", err, got, l)
	}
	for _, bad := range []func(l *Label){
		func(l *Label) { l.Text = string(make([]byte, 65)) },
		func(l *Label) { l.Text = "\xff" },
		func(l *Label) { l.Text = "a\x00b" },
		func(l *Label) { l.FSID = UUID{} },
		func(l *Label) { l.Role = 0 },
		func(l *Label) { l.Index = 16 },
		func(l *Label) { l.Self = 16384 },
	} {
		l := testLabel()
		bad(l)
		if err := l.Encode(p); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestBest(t *testing.T) {
	slots := SlotBlocks(16384)
	at := func(slot int, gen uint64, change func(*Superblock)) Candidate {
		s := testSuper()
		s.Generation, s.Epoch, s.Self = gen, gen, MakeAddr(0, slots[slot])
		if change != nil {
			change(s)
		}
		return Candidate{Addr: MakeAddr(0, slots[slot]), Data: encodeSuper(t, s)}
	}
	broken := func(slot int, gen uint64) Candidate { c := at(slot, gen, nil); c.Data[100] ^= 1; return c }
	for _, c := range []struct {
		name string
		cs   []Candidate
		gen  uint64
		want error
	}{
		{"all", []Candidate{at(0, 6, nil), at(1, 7, nil), at(2, 6, nil), at(3, 7, nil)}, 7, nil},
		{"newest torn twice", []Candidate{at(0, 6, nil), broken(1, 7), at(2, 6, nil), broken(3, 7)}, 6, nil},
		{"one left", []Candidate{broken(0, 6), broken(1, 7), broken(2, 6), at(3, 7, nil)}, 7, nil},
		{"unreadable", []Candidate{{Addr: 5, Err: errors.New("EIO")}, at(1, 7, nil)}, 7, nil},
		{"none", []Candidate{broken(0, 6), {Addr: 5, Err: errors.New("EIO")}, {}}, 0, ErrNoSuperblock},
		{"no candidates", nil, 0, ErrNoSuperblock},
		{"misplaced", []Candidate{at(0, 6, nil), at(1, 9, func(s *Superblock) { s.Self = MakeAddr(0, slots[3]) })}, 6, nil},
		{"foreign", []Candidate{at(0, 6, nil), at(1, 7, func(s *Superblock) { s.FSID[0]++ })}, 0, ErrDisagree},
		{"other device", []Candidate{at(0, 6, nil), at(1, 7, func(s *Superblock) { s.DeviceUUID[0]++; s.Devices[0].UUID[0]++ })}, 0, ErrDisagree},
		{"two contents", []Candidate{at(1, 7, nil), at(3, 7, func(s *Superblock) { s.Epoch = 6 })}, 0, ErrDisagree},
		{"feature", []Candidate{at(0, 6, nil), at(1, 7, func(s *Superblock) { s.Features.Incompat |= 1 << 40 })}, 0, ErrFeature},
	} {
		s, err := Best(c.cs)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if c.want == nil && (s == nil || s.Generation != c.gen) {
			t.Errorf("%s: %+v, want generation %d", c.name, s, c.gen)
		}
	}
}

// TestLastGeneration: a generation is not used again while half of a superblock of
// that number lies about, and the next one leaves the slots of the best alone.
func TestLastGeneration(t *testing.T) {
	slots := SlotBlocks(16384)
	at := func(slot int, gen uint64) []byte {
		s := testSuper()
		s.Generation, s.Self = gen, MakeAddr(0, slots[slot])
		return encodeSuper(t, s)
	}
	mixed := func(head, tail []byte) []byte { return append(append([]byte(nil), head[:512]...), tail[512:]...) }
	noise := func(gen uint64) []byte { p := at(1, 5); le.PutUint64(p[64:], gen); return p }
	for _, c := range []struct {
		name string
		slot []byte // of odd generations; the even one is 6
		want uint64 // of the next superblock
	}{
		{"whole", at(1, 5), 7},
		{"head of 7", mixed(at(1, 7), at(1, 5)), 9},
		{"tail of 7", mixed(at(1, 5), at(1, 7)), 9},
		{"head of 9 on 7", mixed(at(1, 9), at(1, 7)), 11},
		{"even number", noise(8), 9},
		{"far away", noise(1 << 40), 7},
		{"largest", noise(1<<64 - 1), 7},
		{"unreadable", nil, 7},
	} {
		cs := []Candidate{{Addr: MakeAddr(0, slots[0]), Data: at(0, 6)}, {Addr: MakeAddr(0, slots[1]), Data: c.slot}}
		best, err := Best(cs)
		if err != nil || best.Generation != 6 {
			t.Fatalf("%s: %+v, %v", c.name, best, err)
		}
		if got := LastGeneration(cs, best) + 1; got != c.want {
			t.Errorf("%s: the next generation is %d, want %d", c.name, got, c.want)
		}
	}
}

func TestUUID(t *testing.T) {
	u := uuidOf(0xa0)
	const want = "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf"
	if u.String() != want || u.Short() != "a0a1a2a3" {
		t.Fatal(u, u.Short())
	}
	for _, s := range []string{want, "A0A1A2A3A4A5A6A7A8A9AAABACADAEAF"} {
		if v, err := ParseUUID(s); err != nil || v != u {
			t.Error(s, v, err)
		}
	}
	for _, s := range []string{"", "x0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf", want[:35], want + "0", "a0a1a2a3a4a5a6a7a8a9aaabacadae-f"} {
		if _, err := ParseUUID(s); !errors.Is(err, ErrInvalid) {
			t.Error(s, err)
		}
	}
}

func TestAddr(t *testing.T) {
	a := MakeAddr(3, MaxBlock)
	if a.Device() != 3 || a.Block() != MaxBlock || a.IsNone() || a.String() != "3:72057594037927935" {
		t.Fatal(a)
	}
	for _, a := range []Addr{0, 1, MakeAddr(0, 1204480), a, MakeAddr(255, 0)} {
		if b, err := ParseAddr(a.String()); err != nil || a != b {
			t.Error(a, b, err)
		}
	}
	if b, err := ParseAddr("77"); err != nil || b != 77 {
		t.Error(b, err)
	}
	for _, s := range []string{"", "256:1", "-1:0", "0:72057594037927936", "1:2:3", "x"} {
		if _, err := ParseAddr(s); !errors.Is(err, ErrInvalid) {
			t.Error(s, err)
		}
	}
	e := Extent{MakeAddr(1, 10), 5}
	if e.End() != MakeAddr(1, 15) || !e.Contains(MakeAddr(1, 14)) || e.Contains(MakeAddr(1, 15)) || e.Contains(MakeAddr(1, 9)) || e.Contains(MakeAddr(0, 12)) {
		t.Error(e)
	}
	for _, c := range []struct {
		o    Extent
		want bool
	}{{Extent{MakeAddr(1, 15), 1}, false}, {Extent{MakeAddr(1, 14), 1}, true}, {Extent{MakeAddr(1, 5), 5}, false}, {Extent{MakeAddr(1, 5), 6}, true}, {Extent{MakeAddr(1, 12), 0}, false}} {
		if e.Overlaps(c.o) != c.want || c.o.Overlaps(e) != c.want {
			t.Error(e, c.o)
		}
	}
}
