package layout

import (
	"bytes"
	"errors"
	"math"
	"math/rand"
	"sort"
	"strings"
	"testing"
)

// randomKey draws from few values, so that keys share prefixes.
func randomKey(r *rand.Rand) ObjectKey {
	names := []string{"", "a", "a\x00", "a\x00\xff", "a\x00b", "ab", "b", "\x00", "\x00\x00", "\xff", "rbd_data.1f3a.0041", "ünï", ":%#"}
	pick := func() string { return names[r.Intn(len(names))] }
	o := ObjectKey{Shard: int8(r.Intn(3) - 1), Pool: int64(r.Intn(5) - 2), Hash: uint32(r.Intn(4)) << (30 * r.Intn(2)),
		Namespace: pick(), Key: pick(), Name: pick(), Snap: NoSnap, Generation: NoGeneration}
	switch r.Intn(6) {
	case 0:
		o.Snap = uint64(r.Intn(300))
	case 1:
		o.Snap = SnapDir
	case 2:
		o.Generation = uint64(r.Intn(3))
	case 3:
		o.Pool, o.Shard = math.MaxInt64, math.MaxInt8
	case 4:
		o.Pool, o.Shard = math.MinInt64, math.MinInt8
	}
	return o
}

func TestObjectKeyOrder(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	keys := make([]ObjectKey, 2000)
	for i := range keys {
		keys[i] = randomKey(r)
		o := &keys[i]
		p := o.AppendKey(nil)
		if len(p) != o.KeyLen() {
			t.Fatalf("%v: %d bytes, KeyLen %d", o, len(p), o.KeyLen())
		}
		if d, err := DecodeObjectKey(p); err != nil || d != *o {
			t.Fatalf("%+v: %+v %v", *o, d, err)
		}
		if d, err := ParseObjectKey(o.String()); err != nil || d != *o {
			t.Fatalf("%+v: %s: %+v %v", *o, o, d, err)
		}
		if i > 0 {
			a, b := &keys[i-1], o
			if got, want := a.Compare(b), bytes.Compare(a.AppendKey(nil), p); got != want {
				t.Fatalf("%v and %v: compare %d, bytes %d", a, b, got, want)
			}
		}
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i].Compare(&keys[j]) < 0 })
	for i := 1; i < len(keys); i++ {
		if bytes.Compare(keys[i-1].AppendKey(nil), keys[i].AppendKey(nil)) > 0 {
			t.Fatal("order differs at", keys[i-1], keys[i])
		}
	}
}

func TestObjectKeyText(t *testing.T) {
	for _, c := range []struct {
		o ObjectKey
		s string
	}{
		{ObjectKey{Shard: NoShard, Pool: 1, Hash: 0x9c3e21f4, Name: "readme.txt", Snap: NoSnap, Generation: NoGeneration}, "1:9c3e21f4:::readme.txt:head"},
		{ObjectKey{Shard: 2, Pool: -3, Hash: 1, Namespace: "n:s", Key: "k%", Name: "a#\n\xff", Snap: 0x1f, Generation: 16}, "-3s2:00000001:n%3As:k%25:a%23%0A%FF:1f#10"},
		{ObjectKey{Shard: -128, Name: "ü b", Snap: SnapDir}, "0s-128:00000000:::ü b:dir#0"},
	} {
		if got := c.o.String(); got != c.s {
			t.Errorf("%q, want %q", got, c.s)
		}
		if o, err := ParseObjectKey(c.s); err != nil || o != c.o {
			t.Errorf("%s: %+v %v", c.s, o, err)
		}
	}
	for _, s := range []string{"", "1", "1:2:3:4:5", "x:00000000:::a:head", "1s200:00000000:::a:head", "1:g:::a:head", "1:00000000:::%4:head", "1:00000000:::%zz:head", "1:00000000:::a:x", "1:00000000:::a:head#x", "1:00000000:::a:b:head"} {
		if _, err := ParseObjectKey(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := ParseObjectKey("1:00000000:::" + strings.Repeat("x", MaxNameBytes+1) + ":head"); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
}

func TestObjectKeyLimits(t *testing.T) {
	for _, c := range []struct {
		o  ObjectKey
		ok bool
	}{
		{ObjectKey{Name: strings.Repeat("x", MaxNameBytes), Key: strings.Repeat("x", 1600), Namespace: strings.Repeat("x", MaxNamespaceBytes)}, true},
		{ObjectKey{Name: strings.Repeat("x", MaxNameBytes), Key: strings.Repeat("x", MaxNameBytes)}, false},
		{ObjectKey{Name: strings.Repeat("x", MaxNameBytes+1)}, false},
		{ObjectKey{Key: strings.Repeat("x", MaxNameBytes+1)}, false},
		{ObjectKey{Namespace: strings.Repeat("x", MaxNamespaceBytes+1)}, false},
		{ObjectKey{Name: strings.Repeat("\x00", 1900)}, true},
		{ObjectKey{Name: strings.Repeat("\x00", MaxNameBytes)}, false},
	} {
		err := c.o.Check()
		if c.ok != (err == nil) || !c.ok && !errors.Is(err, ErrTooLong) {
			t.Errorf("%d %d %d: %v", len(c.o.Name), len(c.o.Key), len(c.o.Namespace), err)
		}
		if d, err := DecodeObjectKey(c.o.AppendKey(nil)); c.ok && (err != nil || d != c.o) || !c.ok && err == nil {
			t.Errorf("%d %d %d: decode: %v", len(c.o.Name), len(c.o.Key), len(c.o.Namespace), err)
		}
	}
	for _, bad := range []string{"", "short", string(make([]byte, 34)), string(make([]byte, 36)), "0123456789012a\x00\x01\x00\x00\x00\x00\x00\x00" + string(make([]byte, 16))} {
		if _, err := DecodeObjectKey([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestHashName(t *testing.T) {
	if HashName("", "", "123456789") != 0xe3069283 { // the check value of CRC-32C
		t.Fatal("not CRC-32C")
	}
	if HashName("", "k", "name") != HashName("", "", "k") || HashName("a", "", "b") == HashName("", "", "ab") {
		t.Fatal("namespace or locator key")
	}
}

// TestCollRange compares bounds with Contains over random objects and ranges.
func TestCollRange(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	in := 0
	inside := func(k, lo, hi []byte) bool {
		return lo != nil && bytes.Compare(k, lo) >= 0 && (hi == nil || bytes.Compare(k, hi) < 0)
	}
	for range 20000 {
		o := randomKey(r)
		c := CollRange{Shard: int8(r.Intn(3) - 1), Pool: int64(r.Intn(3) - 1), Bits: uint8(r.Intn(4))}
		switch r.Intn(10) {
		case 0:
			c.Bits = 32
		case 1:
			c.Pool, c.Shard = math.MaxInt64, math.MaxInt8
		}
		c.Seed = o.Hash & uint32(1<<c.Bits-1)
		if r.Intn(3) == 0 && c.Bits > 0 {
			c.Seed ^= 1
		}
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		k := o.AppendKey(nil)
		lo, hi := c.Bounds()
		tlo, thi := c.TempBounds()
		want := c.Contains(&o)
		if got := inside(k, lo, hi) || inside(k, tlo, thi); got != want {
			t.Fatalf("%v in %v: bounds %v, contains %v\n%x %x", o, c, got, want, lo, hi)
		}
		if want {
			in++
		}
		if z, one, ok := c.Split(); ok {
			if z.Check() != nil || one.Check() != nil || !c.Covers(z) || !c.Covers(one) || z.Overlaps(one) || !c.Overlaps(z) {
				t.Fatal(c, z, one)
			}
			if (z.Contains(&o) || one.Contains(&o)) != want || z.Contains(&o) && one.Contains(&o) {
				t.Fatal("halves of", c, z, one)
			}
		}
	}
	if in < 500 {
		t.Fatal("only", in, "inside")
	}
	if _, hi := (CollRange{Shard: 127, Pool: math.MaxInt64}).Bounds(); hi != nil {
		t.Fatalf("%x", hi)
	}
	if lo, hi := (CollRange{Pool: -1}).TempBounds(); lo != nil || hi != nil {
		t.Fatal("pool -1 has temporary objects")
	}
	for _, c := range []CollRange{{Bits: 33}, {Bits: 0, Seed: 1}, {Pool: -2}} {
		if err := c.Check(); !errors.Is(err, ErrInvalid) {
			t.Error(c, err)
		}
	}
	if s := (CollRange{Shard: 2, Pool: 3, Bits: 4, Seed: 9}).String(); s != "3s2/9/4" {
		t.Error(s)
	}
}
