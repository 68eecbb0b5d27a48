package denc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// inner and outer are structs of two versions: the newer one appends.
type inner struct {
	name string
	more uint16 // since version 2
}

type outer struct {
	flag  bool
	n     int64
	ratio float32
	list  []inner
	table map[int32]string
}

func (v inner) encode(e *Encoder, version uint8) {
	m := e.Begin(version, 1)
	e.Str(v.name)
	if version >= 2 {
		e.U16(v.more)
	}
	e.End(m)
}

func decodeInner(know uint8) func(*Decoder) inner {
	return func(d *Decoder) (v inner) {
		s := d.Begin(know)
		v.name = d.Str()
		if know >= 2 && s.Version >= 2 {
			v.more = d.U16()
		}
		d.End(s)
		return v
	}
}

func (v outer) encode(e *Encoder, version uint8) {
	m := e.Begin(3, 2)
	e.Bool(v.flag)
	e.I64(v.n)
	e.F32(v.ratio)
	PutSlice(e, v.list, func(e *Encoder, i inner) { i.encode(e, version) })
	PutMap(e, v.table, (*Encoder).I32, (*Encoder).Str)
	e.End(m)
}

func decodeOuter(d *Decoder, know uint8) (v outer) {
	s := d.Begin(3)
	v.flag, v.n, v.ratio = d.Bool(), d.I64(), d.F32()
	v.list = Slice(d, 10, decodeInner(know))
	v.table = Map(d, 8, (*Decoder).I32, (*Decoder).Str)
	d.End(s)
	return v
}

var sample = outer{true, -2, 0.5, []inner{{"a", 7}, {"", 1}}, map[int32]string{-1: "x", 3: "yz", 0: ""}}

func TestBytes(t *testing.T) {
	var e Encoder
	sample.encode(&e, 2)
	const want = "0302 49000000 01 feffffffffffffff 0000003f" +
		"02000000 0201 07000000 01000000 61 0700 0201 06000000 00000000 0100" +
		"03000000 ffffffff 01000000 78 00000000 00000000 03000000 02000000 797a"
	if got := hex.EncodeToString(e.Bytes()); got != strings.ReplaceAll(want, " ", "") {
		t.Fatalf("encoded %s", got)
	}
	d := NewDecoder(e.Bytes())
	got := decodeOuter(d, 2)
	if err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	var again Encoder
	got.encode(&again, 2)
	if !bytes.Equal(again.Bytes(), e.Bytes()) {
		t.Fatalf("decoded and encoded again: %x", again.Bytes())
	}
}

// TestVersions: an older reader skips what a newer writer appended, a newer
// reader does without what an older writer did not know.
func TestVersions(t *testing.T) {
	for _, c := range []struct {
		writer, reader uint8
		more           uint16
	}{{1, 2, 0}, {2, 1, 0}, {2, 2, 7}} {
		var e Encoder
		sample.encode(&e, c.writer)
		d := NewDecoder(e.Bytes())
		got := decodeOuter(d, c.reader)
		if err := d.Finish(); err != nil || got.list[0].name != "a" || got.list[0].more != c.more || got.table[3] != "yz" {
			t.Errorf("writer %d, reader %d: %+v, %v", c.writer, c.reader, got, err)
		}
	}
	var e Encoder
	e.End(e.Begin(9, 4))
	d := NewDecoder(e.Bytes())
	d.End(d.Begin(3))
	if err := d.Err(); !errors.Is(err, ErrIncompatible) || errors.Is(err, ErrMalformed) {
		t.Errorf("a struct that needs version 4: %v", err)
	}
}

func TestMalformed(t *testing.T) {
	deep := bytes.Repeat([]byte{1, 1, 0xff, 0, 0, 0}, 100)
	for i := range 100 {
		deep[6*i+2], deep[6*i+3] = byte(594-6*i), byte((594-6*i)>>8)
	}
	for name, c := range map[string]struct {
		in   string
		read func(*Decoder)
	}{
		"short":             {"0102", func(d *Decoder) { d.U32() }},
		"bool of 2":         {"02", func(d *Decoder) { d.Bool() }},
		"string too long":   {"05000000 6162", func(d *Decoder) { d.Str() }},
		"count of 2^32-1":   {"ffffffff 00", func(d *Decoder) { Slice(d, 8, (*Decoder).U64) }},
		"key twice":         {"02000000 0101 0102", func(d *Decoder) { Map(d, 2, (*Decoder).U8, (*Decoder).U8) }},
		"struct too long":   {"0101 09000000 00", func(d *Decoder) { d.End(d.Begin(1)) }},
		"beyond the struct": {"0101 01000000 00 05", func(d *Decoder) { s := d.Begin(1); d.U16(); d.End(s) }},
		"left over":         {"00", func(d *Decoder) {}},
		"negative":          {"00", func(d *Decoder) { d.Raw(-1) }},
		"too deep": {hex.EncodeToString(deep), func(d *Decoder) {
			for range 100 {
				d.Begin(1)
			}
		}},
	} {
		p, err := hex.DecodeString(strings.ReplaceAll(c.in, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		d := NewDecoder(p)
		c.read(d)
		if err := d.Finish(); !errors.Is(err, ErrMalformed) || d.U64() != 0 || d.Str() != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCRC holds the convention against values of the protocol notes.
func TestCRC(t *testing.T) {
	if got := CRC(0, nil); got != 0 {
		t.Errorf("nothing from 0: %08x", got)
	}
	if got := CRC(0xffffffff, nil); got != 0xffffffff {
		t.Errorf("nothing from -1: %08x", got)
	}
	// The check value of CRC-32C is e3069283 with both inversions.
	if got := CRC(0xffffffff, []byte("123456789")); got != ^uint32(0xe3069283) {
		t.Errorf("check value: %08x", got)
	}
}

// FuzzDecoder: whatever is read decodes to what encodes to the same bytes, or
// is an error; never a panic, never more memory than input.
func FuzzDecoder(f *testing.F) {
	var e Encoder
	sample.encode(&e, 2)
	f.Add(e.Bytes())
	f.Fuzz(func(t *testing.T, p []byte) {
		d := NewDecoder(p)
		v := decodeOuter(d, 2)
		if d.Finish() != nil {
			return
		}
		var one, two Encoder
		v.encode(&one, 2)
		d = NewDecoder(one.Bytes())
		w := decodeOuter(d, 2)
		if err := d.Finish(); err != nil {
			t.Fatal(err)
		}
		w.encode(&two, 2)
		if !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Fatalf("%x, then %x", one.Bytes(), two.Bytes())
		}
	})
}
