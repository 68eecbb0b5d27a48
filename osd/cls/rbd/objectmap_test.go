package rbd

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls/clstest"
)

// Ceph's own encodings: object maps as rbd 16.2 read them from rbd_object_map.ID.
var captured = []struct {
	hex    string
	states string // "." missing, "x" exists
}{
	{"0e0000000101080000002500000000000000550000000000000000400c0000008120968f010000001070fa19", "xxxx................................x"},
	{"0e0000000101080000004000000000000000400000000000000000000000000000000c0000006071b7f001000000fca29858",
		"x..............................................................."},
}

func TestBitVector(t *testing.T) {
	for _, c := range captured {
		want, _ := hex.DecodeString(c.hex)
		d := denc.NewDecoder(want)
		v := decodeBitVector(d)
		if err := d.Finish(); err != nil {
			t.Fatal(err)
		}
		states := ""
		for i := range v.count {
			states += string(".x?c"[v.get(i)])
		}
		if states != c.states {
			t.Errorf("states\n%s, want\n%s", states, c.states)
		}
		var e denc.Encoder
		v.encode(&e, true)
		if !bytes.Equal(e.Bytes(), want) {
			t.Errorf("encodes as\n%x, want\n%x", e.Bytes(), want)
		}
		for i := range want { // a flipped bit anywhere is found
			p := bytes.Clone(want)
			p[i] ^= 0x10
			d := denc.NewDecoder(p)
			if decodeBitVector(d); d.Finish() == nil {
				t.Errorf("byte %d may be anything", i)
			}
		}
	}
}

// load returns the states of an object map, as its client loads it.
func (o object) load() []byte {
	o.t.Helper()
	d := denc.NewDecoder(o.ok("object_map_load"))
	v := decodeBitVector(d)
	if err := d.Finish(); err != nil {
		o.t.Fatal(err)
	}
	states := make([]byte, v.count)
	for i := range states {
		states[i] = v.get(uint64(i))
	}
	return states
}

// message is a bit vector as clients send it.
func message(states []byte) clstest.Raw {
	v := bitVector{data: []byte{}}
	v.resize(uint64(len(states)), 0)
	for i, s := range states {
		v.set(uint64(i), s)
	}
	var e denc.Encoder
	v.encode(&e, false)
	return e.Bytes()
}

func TestObjectMapErrors(t *testing.T) {
	o := newObject(t)
	o.fails(ceph.ENOENT, "object_map_load")
	o.fails(ceph.ENOENT, "object_map_update", uint64(0), uint64(1), uint8(1), false)
	o.fails(ceph.ENOENT, "object_map_snap_add")
	o.fails(ceph.EINVAL, "object_map_resize", uint64(maxObjects+1), uint8(0))
	o.fails(ceph.EINVAL, "object_map_resize", uint64(1), uint8(4))
	o.ok("object_map_resize", uint64(8), uint8(0))
	o.fails(ceph.ERANGE, "object_map_update", uint64(8), uint64(9), uint8(1), false)
	o.fails(ceph.ERANGE, "object_map_update", uint64(0), uint64(9), uint8(1), false)
	o.fails(ceph.ERANGE, "object_map_update", uint64(2), uint64(2), uint8(1), false)
	o.fails(ceph.EINVAL, "object_map_update", uint64(0), uint64(1), uint8(4), false)
	o.ok("object_map_update", uint64(5), uint64(6), uint8(objectExists), false)
	o.fails(ceph.ESTALE, "object_map_resize", uint64(5), uint8(0)) // object 5 is still there
	o.ok("object_map_resize", uint64(6), uint8(0))
	o.fails(ceph.EINVAL, "object_map_save", []byte("header"))

	sound, err := o.Read()
	if err != nil {
		t.Fatal(err)
	}
	for i := range sound { // a client is told that its map is damaged, and makes a new one
		p := bytes.Clone(sound)
		p[i] ^= 1
		o.Write(p)
		o.fails(ceph.EINVAL, "object_map_load")
		o.fails(ceph.EINVAL, "object_map_resize", uint64(9), uint8(0))
		if at := i - headBytes - 2; at >= 0 && at < 4 || at >= 8 && at < 12 {
			continue // lengths in the footer, which an update does not look at
		}
		if _, err := o.Call("rbd", "object_map_update", clstest.Encode(uint64(0), uint64(1), uint8(1), false)); err != ceph.EINVAL && err != ceph.ERANGE {
			t.Errorf("byte %d: updated: %v", i, err)
		}
	}
	for n := range sound {
		o.Write(sound[:n])
		want := ceph.EINVAL
		if n == 0 {
			want = ceph.ENOENT
		}
		o.fails(want, "object_map_load")
		o.fails(ceph.EINVAL, "object_map_update", uint64(0), uint64(6), uint8(1), false)
	}
	o.Write(nil)
	o.ok("object_map_resize", uint64(3), uint8(objectExists)) // from nothing
	if got := o.load(); !bytes.Equal(got, []byte{1, 1, 1}) {
		t.Fatal(got)
	}
}

// TestObjectMap changes maps of several blocks at random and compares with a
// slice. Whatever is loaded has passed its CRCs.
func TestObjectMap(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 0))
		o := newObject(t)
		var model []byte
		resize := func(count int, state uint8) {
			for _, s := range model[min(count, len(model)):] {
				if s != state {
					o.fails(ceph.ESTALE, "object_map_resize", uint64(count), state)
					return
				}
			}
			o.ok("object_map_resize", uint64(count), state)
			for len(model) < count {
				model = append(model, state)
			}
			model = model[:count]
		}
		resize(30_000+r.IntN(30_000), 0)
		for range 60 {
			switch r.IntN(8) {
			case 0:
				resize(len(model)+r.IntN(200)-100, uint8(r.IntN(4)))
			case 1:
				o.ok("object_map_snap_add")
				for i, s := range model {
					if s == objectExists {
						model[i] = objectClean
					}
				}
			case 2:
				gone := make([]byte, len(model)-r.IntN(100))
				for i := range gone {
					gone[i] = uint8(r.IntN(4))
				}
				o.ok("object_map_snap_remove", message(gone))
				for i, s := range model {
					if s == objectClean && (i >= len(gone) || gone[i] == objectExists) {
						model[i] = objectExists
					}
				}
			default:
				first := r.IntN(len(model))
				last := first + 1 + r.IntN(min(len(model)-first, 1<<r.IntN(16)))
				to := uint8(r.IntN(4))
				if r.IntN(2) == 0 {
					o.ok("object_map_update", uint64(first), uint64(last), to, false)
					for i := first; i < last; i++ {
						model[i] = to
					}
					break
				}
				only := uint8(r.IntN(4))
				o.ok("object_map_update", uint64(first), uint64(last), to, true, only)
				for i := first; i < last; i++ {
					if model[i] == only || only == objectExists && model[i] == objectClean {
						model[i] = to
					}
				}
			}
			if got := o.load(); !bytes.Equal(got, model) {
				t.Fatalf("seed %d: %s", seed, firstDifference(got, model))
			}
		}
		o.ok("object_map_save", message(model[:7]))
		if got := o.load(); !bytes.Equal(got, model[:7]) {
			t.Fatalf("seed %d: saved %v, want %v", seed, got, model[:7])
		}
	}
}

func firstDifference(got, want []byte) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d objects, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Sprintf("object %d is %d, want %d", i, got[i], want[i])
		}
	}
	return "the same"
}
