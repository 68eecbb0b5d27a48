package ebofs

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"ebofs/ebofs/layout"
)

func joined(parts [][]byte) []byte { return bytes.Join(parts, nil) }

// sampleChanges is one change of every kind.
func sampleChanges() []change {
	big := bytes.Repeat([]byte("0123456789abcdef"), 300)
	return []change{
		{code: opMkColl, coll: "c", flags: collAwaitsSplit, spec: CollSpec{Shard: -1, Pool: 7, Bits: 3, Seed: 5}},
		{code: opTouch, coll: "c", key: "k1", id: 9},
		{code: opWrite, coll: "c", key: "k1", id: 10, off: 4097, n: uint64(len(big)), data: big},
		{code: opPlace, coll: "c", key: "k2", id: 11, off: 8192, n: 8192, place: []placed{{addr: 77, crc: []uint32{1, 2}}}},
		{code: opZero, coll: "c", key: "k1", id: 12, off: 1, n: 2},
		{code: opTruncate, coll: "c", key: "k1", off: 3},
		{code: opSetAttrs, coll: "c", key: "k1", id: 13, pairs: []pair{{"a", []byte("v")}, {"b", []byte{}}}},
		{code: opRmAttrs, coll: "c", key: "k1", pairs: []pair{{key: "a"}}},
		{code: opOmapSet, coll: "c", key: "k1", id: 14, pairs: []pair{{"m", big}}},
		{code: opOmapRm, coll: "c", key: "k1", pairs: []pair{{key: "m"}}},
		{code: opOmapRange, coll: "c", key: "k1", pairs: []pair{{key: "a"}, {key: "z"}}},
		{code: opOmapClear, coll: "c", key: "k1"},
		{code: opOmapHead, coll: "c", key: "k1", id: 15, data: []byte("h")},
		{code: opHint, coll: "c", key: "k1", id: 16, off: 1 << 22, n: 4096, flags: 3},
		{code: opRename, coll: "c", dest: "d", key: "k1", to: "k3"},
		{code: opClone, coll: "c", key: "k3", to: "k4", id: 17},
		{code: opCloneRng, coll: "c", key: "k3", to: "k4", id: 18, off: 4096, n: 9000, toOff: 1},
		{code: opRemove, coll: "c", key: "k2"},
		{code: opSplit, coll: "c", dest: "d", spec: CollSpec{Bits: 4, Seed: 13}},
		{code: opMerge, coll: "c", dest: "d", spec: CollSpec{Bits: 1}},
		{code: opRenColl, coll: "c", dest: "e"},
		{code: opRmColl, coll: "e"},
	}
}

func TestRecordRoundTrip(t *testing.T) {
	var e recordEncoder
	want := sampleChanges()
	p := joined(e.encode(42, want))
	epoch, got, err := decodeRecord(p)
	if err != nil || epoch != 42 {
		t.Fatal(epoch, err)
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("change %d (code %d)\n got %+v\nwant %+v", i, want[i].code, got[i], want[i])
		}
	}
	for n := range p {
		if _, _, err := decodeRecord(p[:n]); err == nil {
			t.Fatalf("record cut to %d of %d bytes was accepted", n, len(p))
		}
	}
}

// TestRecordRefused: what no release of this format wrote is not believed.
func TestRecordRefused(t *testing.T) {
	record := func(c change) []byte {
		var e recordEncoder
		c.coll = "c"
		return bytes.Clone(joined(e.encode(1, []change{c})))
	}
	for what, p := range map[string][]byte{
		"bytes left over":         append(record(change{code: opTouch, key: "k"}), 0),
		"an unknown operation":    record(change{code: 99, key: "k"}),
		"a name not given yet":    {recordVersion, 1, 1, byte(opTouch), 2},
		"zeros behind the end":    record(change{code: opZero, key: "k", off: MaxObjectBytes, n: 1}),
		"a clone behind the end":  record(change{code: opCloneRng, key: "k", to: "l", n: 1, toOff: MaxObjectBytes}),
		"a range of one key":      record(change{code: opOmapRange, key: "k", pairs: []pair{{key: "a"}}}),
		"a collection of 33 bits": record(change{code: opMkColl, spec: CollSpec{Bits: 33}}),
		"a seed of too many bits": record(change{code: opMkColl, spec: CollSpec{Bits: 1, Seed: 2}}),
	} {
		if _, _, err := decodeRecord(p); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := decodeRecord([]byte{recordVersion + 1}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("another version: %v", err)
	}
}

// TestEditRecord: names change by the editor's rules, contents are gone, and all
// else stays; what is not of the old length is refused and changes nothing.
func TestEditRecord(t *testing.T) {
	var e recordEncoder
	p := bytes.Clone(joined(e.encode(42, sampleChanges())))
	upper := func(s string) string { return strings.ToUpper(s) }
	edit := &RecordEditor{Key: upper, Collection: upper, Attr: upper, Omap: upper, Placed: func(a layout.Addr, crc []uint32) {
		if a == 77 {
			crc[0]++
		}
	}}
	if err := EditRecord(p, edit); err != nil {
		t.Fatal(err)
	}
	epoch, got, err := decodeRecord(p)
	if err != nil || epoch != 42 {
		t.Fatal(epoch, err)
	}
	want := sampleChanges()
	for i := range want {
		c := &want[i]
		c.coll, c.dest, c.key, c.to = CollectionID(upper(string(c.coll))), CollectionID(upper(string(c.dest))), upper(c.key), upper(c.to)
		c.data = bytes.Repeat([]byte("x"), len(c.data))
		for j := range c.pairs {
			c.pairs[j].key = upper(c.pairs[j].key)
			clear(c.pairs[j].value)
		}
		if c.code == opPlace {
			c.place[0].crc[0]++
		}
		if len(c.data) == 0 {
			c.data = got[i].data // nil or empty
		}
		if !reflect.DeepEqual(got[i], *c) {
			t.Errorf("change %d (code %d)\n got %+v\nwant %+v", i, c.code, got[i], *c)
		}
	}
	zeros := bytes.Clone(joined(e.encode(1, []change{{code: opWrite, coll: "C", key: "K", data: make([]byte, 600)}})))
	before := bytes.Clone(zeros)
	if err := EditRecord(zeros, edit); err != nil || !bytes.Equal(zeros, before) {
		t.Errorf("zeros do not stay zeros: %v", err)
	}
	edit.Key = func(s string) string { return s + s }
	before = bytes.Clone(p)
	if err := EditRecord(p, edit); !errors.Is(err, ErrInvalid) || !bytes.Equal(p, before) {
		t.Errorf("a longer key: %v", err)
	}
	if err := EditRecord(p[:9], edit); !errors.Is(err, ErrCorrupt) {
		t.Errorf("no record: %v", err)
	}
}

// FuzzRecord: no panic, and what decodes encodes to the same again.
func FuzzRecord(f *testing.F) {
	var e recordEncoder
	f.Add(bytes.Clone(joined(e.encode(1, sampleChanges()))))
	for _, c := range sampleChanges() {
		f.Add(bytes.Clone(joined(e.encode(7, []change{c}))))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		epoch, cs, err := decodeRecord(p)
		if err != nil {
			return
		}
		var e recordEncoder
		q := bytes.Clone(joined(e.encode(epoch, cs)))
		epoch2, cs2, err := decodeRecord(q)
		if err != nil || epoch2 != epoch || len(cs2) != len(cs) {
			t.Fatalf("second round: %v", err)
		}
		if r := joined(e.encode(epoch2, cs2)); !bytes.Equal(r, q) {
			t.Fatal("encoding is not stable")
		}
	})
}
