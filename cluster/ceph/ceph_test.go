package ceph

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"ebofs/cluster/denc"
	"ebofs/cluster/golden"
)

// captured is a request of an unmodified client, from cluster/testdata/ops.
type captured struct {
	Req struct {
		Type    int
		Front   string
		Decoded struct {
			PGID  string `json:"pgid"`
			Hash  string
			Epoch Epoch
			Oloc  struct {
				Pool   PoolID
				Key    any // a string, or the bytes of what is none
				Nspace any
				Hash   int64
			}
		}
	}
}

// TestRequests decodes the head of every captured request, which holds a PG, a
// request id, a time and a locator, and encodes it to the same bytes again.
func TestRequests(t *testing.T) {
	n := 0
	for _, name := range golden.Files(t, "ops/*.jsonl*") {
		for line := range golden.Lines(t, name) {
			var c captured
			if err := json.Unmarshal(line, &c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if c.Req.Type != 42 {
				continue
			}
			n++
			front, err := hex.DecodeString(c.Req.Front)
			if err != nil {
				t.Fatal(err)
			}
			d := denc.NewDecoder(front)
			pg, hash, epoch, flags, id := DecodeShardPG(d), d.U32(), d.U32(), d.U32(), DecodeReqID(d)
			trace, inc, mtime, loc, oid := d.Raw(24), d.U32(), DecodeTime(d), DecodeLocator(d), d.Str()
			if err := d.Err(); err != nil {
				t.Fatalf("%s: %v: %x", name, err, front)
			}
			want := &c.Req.Decoded
			if pg.PG.String() != want.PGID || Epoch(epoch) != want.Epoch || loc.Pool != want.Oloc.Pool ||
				!same(loc.Key, want.Oloc.Key) || !same(loc.Namespace, want.Oloc.Nspace) || loc.Hash != want.Oloc.Hash {
				t.Fatalf("%s: %v %v %+v, want %+v", name, pg, epoch, loc, want)
			}
			if p, err := ParsePG(want.PGID); err != nil || p != pg.PG {
				t.Fatalf("%s: pg %q read as %v, %v", name, want.PGID, p, err)
			}
			var e denc.Encoder
			pg.Encode(&e)
			e.U32(hash)
			e.U32(epoch)
			e.U32(flags)
			id.Encode(&e)
			e.Raw(trace)
			e.U32(inc)
			mtime.Encode(&e)
			loc.Encode(&e)
			e.Str(oid)
			if !bytes.Equal(e.Bytes(), front[:d.Offset()]) {
				t.Fatalf("%s: %x, encoded again %x", name, front[:d.Offset()], e.Bytes())
			}
		}
	}
	if n < 500 {
		t.Fatalf("only %d requests", n)
	}
}

// same compares with what a capture says, unless that is not text.
func same(s string, want any) bool {
	text, ok := want.(string)
	return !ok || s == text
}

// encodings are bytes seen in captures, with what they mean.
var encodings = []struct {
	name, bytes string
	check       func(d *denc.Decoder, e *denc.Encoder) string
	want        string
}{
	{"address", "01 0101 1c000000 02000000 00000000 10000000 0200 0ce4 7f000001 0000000000000000", addrText, "v2:127.0.0.1:3300/0"},
	{"no addresses", "02 00000000", vecText, "[]"},
	{"addresses", "02 02000000" +
		"01 0101 1c000000 02000000 05000000 10000000 0200 0ce4 7f000001 0000000000000000" +
		"01 0101 1c000000 01000000 05000000 10000000 0200 1a85 7f000001 0000000000000000", vecText, "[v2:127.0.0.1:3300/5,v1:127.0.0.1:6789/5]"},
	{"blank", "01 0101 28000000 00000000 00000000 1c000000" + strings.Repeat("00", 28), addrText, "-"},
	{"blank without bytes", "01 0101 0c000000 00000000 00000000 00000000", addrText, "-"},
	{"IPv6", "01 0101 28000000 02000000 00000000 1c000000 0a00 0ce4 07000000" + "20010db8000000000000000000000001" + "02000000", addrText, "v2:[2001:db8::1]:3300/0"},
	{"least object", "0403 21000000 00000000 00000000 0000000000000000 00000000 00 00000000 0000000000000080", hobjectText, "MIN"},
	{"client", "08000000 05000000 61646d696e", nameText, "client.admin"},
}

func addrText(d *denc.Decoder, e *denc.Encoder) string {
	a := DecodeAddr(d)
	a.Encode(e)
	return a.String()
}

func vecText(d *denc.Decoder, e *denc.Encoder) string {
	v := DecodeAddrVec(d)
	v.Encode(e)
	return v.String()
}

func hobjectText(d *denc.Decoder, e *denc.Encoder) string {
	h := DecodeHObject(d)
	h.Encode(e)
	return h.String()
}

func nameText(d *denc.Decoder, e *denc.Encoder) string {
	n := DecodeEntityName(d)
	n.Encode(e)
	return n.String()
}

func TestGolden(t *testing.T) {
	for _, g := range encodings {
		p, err := hex.DecodeString(strings.ReplaceAll(g.bytes, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		d := denc.NewDecoder(p)
		var e denc.Encoder
		got := g.check(d, &e)
		if err := d.Finish(); err != nil || got != g.want || !bytes.Equal(e.Bytes(), p) {
			t.Errorf("%s: %q, %v; encoded again\n%x, want\n%x", g.name, got, err, e.Bytes(), p)
		}
	}
}

func TestParse(t *testing.T) {
	for _, s := range []string{"v2:127.0.0.1:3300/0", "v1:10.1.2.3:6789/77", "any:[fe80::1]:0/4294967295", "-", "v2:-/0"} {
		if a, err := ParseAddr(s); err != nil || a.String() != s {
			t.Errorf("address %q: %v, %v", s, a, err)
		}
	}
	if v, err := ParseAddrVec("[v2:[::1]:3300/0,v1:[::1]:6789/0]"); err != nil || len(v) != 2 || v[0].IP != netip.MustParseAddrPort("[::1]:3300") {
		t.Errorf("%v, %v", v, err)
	}
	for _, s := range []string{"", "v2:", "3300", "v2:1.2.3.4", "v2:1.2.3.4:1/x", "[v2:1.2.3.4:1/0"} {
		if v, err := ParseAddrVec(s); err == nil {
			t.Errorf("address %q: %v", s, v)
		}
	}
	for _, s := range []string{"admin", "client.", "king.1", ""} {
		if n, err := ParseEntityName(s); err == nil {
			t.Errorf("name %q: %v", s, n)
		}
	}
	const u = "3f0c9a1e-4c0e-4b6e-9d5f-0f4f8e2a9b11"
	if v, err := ParseUUID(u); err != nil || v.String() != u {
		t.Errorf("%v, %v", v, err)
	}
}

// TestText: every object survives its text, and what is not one is refused.
func TestText(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		h := randomObject(r)
		back, err := ParseHObject(h.String())
		if err != nil || back != h {
			t.Fatalf("%q: %+v, %v; want %+v", h.String(), back, err, h)
		}
	}
	for _, s := range []string{"", "1:2:3", "1:00000000:::a:headless", "x:00000000:::a:head", "1:0:::a:head", "1:00000000:::%4:head", "1:00000000:::%zz:1"} {
		if h, err := ParseHObject(s); err == nil {
			t.Errorf("%q: %+v", s, h)
		}
	}
}

func randomObject(r *rand.Rand) HObject {
	word := func() string { return []string{"", "a", "b:/%", "\x00\xff", "ab"}[r.IntN(5)] }
	snap := []SnapID{NoSnap, SnapDir, 0, 1, SnapID(r.Uint64())}[r.IntN(5)]
	hash := r.Uint32()
	if r.IntN(2) == 0 {
		hash &= 3
	}
	return HObject{Pool: PoolID(r.IntN(4) - 2), Hash: hash, Namespace: word(), Key: word(), Name: word() + "n", Snap: snap}
}

// TestOrder: Compare is a total order, and the objects of each PG are exactly
// those between the ends of its range, whatever the number of PGs.
func TestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	var all []HObject
	for range 300 {
		all = append(all, randomObject(r))
	}
	all = append(all, MinHObject, MaxHObject)
	slices.SortFunc(all, HObject.Compare)
	for i, a := range all {
		for j, b := range all {
			c := a.Compare(b)
			if c != -b.Compare(a) || i < j && c > 0 || c == 0 && a.String() != b.String() {
				t.Fatalf("%v against %v: %d", a, b, c)
			}
		}
	}
	for pgNum := uint32(1); pgNum <= 40; pgNum++ {
		for range 200 {
			h := HObject{Pool: 3, Hash: r.Uint32(), Name: "x", Snap: NoSnap}
			if r.IntN(4) == 0 {
				h.Hash = r.Uint32N(64) << 26 // near the ends of ranges
			}
			in := 0
			for seed := range pgNum {
				begin, end := PG{3, seed}.Range(pgNum)
				if begin.Compare(h) > 0 || h.Compare(end) >= 0 {
					continue
				}
				in++
				if want := stableMod(h.Hash, pgNum); seed != want {
					t.Fatalf("hash %08x of %d PGs in the range of %d, want %d", h.Hash, pgNum, seed, want)
				}
			}
			if in != 1 {
				t.Fatalf("hash %08x in %d of %d PGs", h.Hash, in, pgNum)
			}
		}
	}
}

// stableMod is the rule that maps hashes to PGs, as the notes on placement say it.
func stableMod(x, n uint32) uint32 {
	mask := uint32(1)
	for mask < n {
		mask *= 2
	}
	if x&(mask-1) < n {
		return x & (mask - 1)
	}
	return x & (mask/2 - 1)
}

func FuzzNames(f *testing.F) {
	for _, g := range encodings {
		p, _ := hex.DecodeString(strings.ReplaceAll(g.bytes, " ", ""))
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, c := range []func(*denc.Decoder, *denc.Encoder) string{addrText, vecText, hobjectText, nameText, locatorText, reqText, pgText} {
			d := denc.NewDecoder(p)
			var one, two denc.Encoder
			text := c(d, &one)
			if d.Finish() != nil {
				continue
			}
			d = denc.NewDecoder(one.Bytes())
			if again := c(d, &two); d.Finish() != nil || again != text || !bytes.Equal(one.Bytes(), two.Bytes()) {
				t.Fatalf("%q, then %q: %x, %x, %v", text, again, one.Bytes(), two.Bytes(), d.Err())
			}
		}
	})
}

func locatorText(d *denc.Decoder, e *denc.Encoder) string {
	DecodeLocator(d).Encode(e)
	return ""
}

func reqText(d *denc.Decoder, e *denc.Encoder) string {
	r := DecodeReqID(d)
	r.Encode(e)
	return r.String()
}

func pgText(d *denc.Decoder, e *denc.Encoder) string {
	p := DecodeShardPG(d)
	p.Encode(e)
	return p.String()
}
