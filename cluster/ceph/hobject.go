package ceph

import (
	"cmp"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"ebofs/cluster/denc"
)

// HObject names an object of a pool at a snapshot, with its placement hash.
// (hobject_t.) The zero value is not the least one: see MinHObject.
type HObject struct {
	Pool      PoolID
	Hash      uint32 // all 32 bits, not masked to a PG
	Namespace string
	Key       string // what is hashed instead of the name; empty if the same
	Name      string
	Snap      SnapID
	Max       bool // behind every object
}

// MinHObject is before, MaxHObject behind every object.
var (
	MinHObject = HObject{Pool: NoPool}
	MaxHObject = HObject{Pool: NoPool, Max: true}
)

// IsMin reports whether h is MinHObject.
func (h HObject) IsMin() bool { return h == MinHObject }

// Head returns the object at NoSnap.
func (h HObject) Head() HObject {
	h.Snap = NoSnap
	return h
}

// effectiveKey is what orders objects of one hash before their names do.
func (h HObject) effectiveKey() string {
	if h.Key != "" {
		return h.Key
	}
	return h.Name
}

// Compare is Ceph's bitwise order: pool, reversed hash, namespace, key, name, snap.
func (h HObject) Compare(o HObject) int {
	if h.Max || o.Max {
		return cmp.Compare(b2i(h.Max), b2i(o.Max))
	}
	if c := cmp.Or(
		cmp.Compare(h.Pool, o.Pool),
		cmp.Compare(bits.Reverse32(h.Hash), bits.Reverse32(o.Hash)),
		strings.Compare(h.Namespace, o.Namespace)); c != 0 {
		return c
	}
	if h.Key != "" || o.Key != "" {
		if c := strings.Compare(h.effectiveKey(), o.effectiveKey()); c != 0 {
			return c
		}
	}
	return cmp.Or(strings.Compare(h.Name, o.Name), cmp.Compare(h.Snap, o.Snap))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Range returns where the objects of p begin and end in the order of Compare, in
// a pool of pgNum PGs: begin ≤ object < end.
func (p PG) Range(pgNum uint32) (begin, end HObject) {
	begin = HObject{Pool: p.Pool, Hash: p.Seed}
	n := p.Bits(pgNum)
	last := bits.Reverse32(p.Seed) | uint32(uint64(0xffffffff)>>n)
	if last == 0xffffffff {
		return begin, MaxHObject
	}
	return begin, HObject{Pool: p.Pool, Hash: bits.Reverse32(last + 1), Snap: NoSnap}
}

// Encode appends struct v4.
func (h HObject) Encode(e *denc.Encoder) {
	m := e.Begin(4, 3)
	e.Str(h.Key)
	e.Str(h.Name)
	e.U64(uint64(h.Snap))
	e.U32(h.Hash)
	e.Bool(h.Max)
	e.Str(h.Namespace)
	e.I64(int64(h.Pool))
	e.End(m)
}

// DecodeHObject reads an HObject.
func DecodeHObject(d *denc.Decoder) (h HObject) {
	s := d.Begin(4)
	if s.Version < 4 && d.Err() == nil {
		d.Failf("object of version %d, want 4", s.Version)
	}
	h.Key, h.Name, h.Snap, h.Hash = d.Str(), d.Str(), SnapID(d.U64()), d.U32()
	h.Max, h.Namespace, h.Pool = d.Bool(), d.Str(), PoolID(d.I64())
	d.End(s)
	if h.Pool == -1 && h.Snap == 0 && h.Hash == 0 && !h.Max && h.Name == "" {
		h.Pool = NoPool // how old writers spelt the least object
	}
	return h
}

// String returns POOL:HASH:NAMESPACE:KEY:NAME:SNAP with the hash bit-reversed, MIN
// or MAX: the text in which list cursors travel.
func (h HObject) String() string {
	switch {
	case h.Max:
		return "MAX"
	case h.IsMin():
		return "MIN"
	}
	return fmt.Sprintf("%d:%08x:%s:%s:%s:%v", h.Pool, bits.Reverse32(h.Hash), escape(h.Namespace), escape(h.Key), escape(h.Name), h.Snap)
}

// ParseHObject is the inverse of String.
func ParseHObject(s string) (h HObject, err error) {
	switch s {
	case "MIN":
		return MinHObject, nil
	case "MAX":
		return MaxHObject, nil
	}
	bad := func(what string) (HObject, error) {
		return HObject{}, fmt.Errorf("object %q: %s; want POOL:HASH:NAMESPACE:KEY:NAME:SNAP, MIN or MAX", s, what)
	}
	f := strings.Split(s, ":")
	if len(f) != 6 {
		return bad(fmt.Sprintf("%d fields", len(f)))
	}
	pool, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		return bad("pool " + f[0])
	}
	hash, err := strconv.ParseUint(f[1], 16, 32)
	if err != nil || len(f[1]) != 8 {
		return bad("hash " + f[1])
	}
	h.Pool, h.Hash = PoolID(pool), bits.Reverse32(uint32(hash))
	for i, to := range []*string{&h.Namespace, &h.Key, &h.Name} {
		var ok bool
		if *to, ok = unescape(f[2+i]); !ok {
			return bad("escape in " + f[2+i])
		}
	}
	switch f[5] {
	case "head":
		h.Snap = NoSnap
	case "snapdir":
		h.Snap = SnapDir
	default:
		n, err := strconv.ParseUint(f[5], 16, 64)
		if err != nil {
			return bad("snap " + f[5])
		}
		h.Snap = SnapID(n)
	}
	return h, nil
}

// escape writes bytes that would be taken for punctuation, or not be seen, as %XX.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c == '%' || c == ':' || c == '/' || c < 0x20 || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescape(s string) (string, bool) {
	if !strings.Contains(s, "%") {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+3 > len(s) {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), true
}

// Locator says in which pool and namespace an object lies and what is hashed to
// place it. (object_locator_t.) The usual one has Hash −1 and no Key.
type Locator struct {
	Pool      PoolID
	Key       string
	Namespace string
	Hash      int64 // the placement hash itself; −1: hash the key or name
}

// Encode appends struct v6; a set Hash demands a reader that knows it.
func (l Locator) Encode(e *denc.Encoder) {
	compat := uint8(3)
	if l.Hash != -1 {
		compat = 6
	}
	m := e.Begin(6, compat)
	e.I64(int64(l.Pool))
	e.I32(-1)
	e.Str(l.Key)
	e.Str(l.Namespace)
	e.I64(l.Hash)
	e.End(m)
}

// DecodeLocator reads a Locator; one with both key and hash is an error.
func DecodeLocator(d *denc.Decoder) (l Locator) {
	s := d.Begin(6)
	l.Pool = PoolID(d.I64())
	d.I32()
	l.Key, l.Namespace = d.Str(), ""
	l.Hash = -1
	if s.Version >= 5 {
		l.Namespace = d.Str()
	}
	if s.Version >= 6 {
		l.Hash = d.I64()
	}
	if l.Hash != -1 && l.Key != "" {
		d.Failf("locator with key %q and hash %d", l.Key, l.Hash)
	}
	d.End(s)
	return l
}
