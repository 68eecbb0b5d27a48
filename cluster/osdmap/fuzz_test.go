package osdmap

import (
	"bytes"
	"encoding/binary"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// seal gives an encoding that a fuzzer changed the checksum it would need, at the
// place where the fields end, so that the decoder is reached. tail is what lies
// behind the checksum.
func seal(p []byte, tail int) {
	if at := len(p) - 4 - tail; at >= 0 {
		binary.LittleEndian.PutUint32(p[at:], denc.CRC(denc.CRC(0xffffffff, p[:at]), p[at+4:]))
	}
}

func FuzzDecode(f *testing.F) {
	for _, list := range steps(f) {
		f.Add(list[len(list)-1].Full)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		p = bytes.Clone(p)
		seal(p, 0)
		m, err := Decode(p)
		if err != nil {
			return
		}
		one := m.Encode()
		n, err := Decode(one)
		if err != nil {
			t.Fatalf("what was encoded does not decode: %v", err)
		}
		if two := n.Encode(); !bytes.Equal(one, two) {
			t.Fatalf("%x\nthen %x", one, two)
		}
		placer, err := NewPlacer(m)
		if err != nil {
			t.Fatal(err)
		}
		var w Work
		for id, pool := range m.Pools {
			for seed := range uint32(2) {
				r, err := placer.Place(&w, ceph.PG{Pool: id, Seed: seed})
				if err != nil || len(r.Up) > max(int(pool.Size), 1<<16) {
					t.Fatalf("%+v, %v", r, err)
				}
			}
			if len(m.Pools) > 3 {
				break
			}
		}
		if _, err := m.Next(NewIncremental(m, m.Modified)); err != nil {
			t.Fatalf("an increment that changes nothing: %v", err)
		}
		if _, err := m.Dump(); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDecodeIncremental(f *testing.F) {
	all := steps(f)
	for _, list := range all {
		for i := 1; i < len(list); i += 9 {
			f.Add(list[i].Inc)
		}
	}
	m, err := Decode(all["epochs-182-262.jsonl.gz"][40].Full)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		p = bytes.Clone(p)
		seal(p, 4)
		n, err := DecodeIncremental(p)
		if err != nil {
			return
		}
		one := n.Encode()
		again, err := DecodeIncremental(one)
		if err != nil {
			t.Fatalf("what was encoded does not decode: %v", err)
		}
		if two := again.Encode(); !bytes.Equal(one, two) {
			t.Fatalf("%x\nthen %x", one, two)
		}
		n.FSID, n.Epoch, n.FullChecksum = m.FSID, m.Epoch+1, 0
		if next, err := m.Next(n); err == nil {
			if _, err := Decode(next.Encode()); err != nil {
				t.Fatalf("a map that does not decode comes out: %v", err)
			}
		}
	})
}
