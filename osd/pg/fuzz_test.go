package pg

import (
	"bytes"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
)

// FuzzDecodeEntry: what decodes is written the same way twice, and nothing panics.
func FuzzDecodeEntry(f *testing.F) {
	f.Add([]byte{})
	f.Add((&Entry{}).bytes())
	f.Add((&Entry{
		Version: ceph.EVersion{Version: 5, Epoch: 2}, Object: ceph.HObject{Pool: 1, Name: "o", Snap: ceph.NoSnap}, ReqID: ceph.ReqID{Tid: 3}, Result: -2,
		Results: []int32{0, -2}, Outputs: [][]byte{nil, []byte("x")}, Codes: []msg.OpCode{msg.OpRead, msg.OpDelete}, Stats: Stats{Objects: 1, Bytes: 5},
	}).bytes())
	f.Fuzz(func(t *testing.T, p []byte) {
		n, err := DecodeEntry(p)
		if err != nil {
			return
		}
		once := n.bytes()
		again, err := DecodeEntry(once)
		if err != nil {
			t.Fatalf("%v: %x", err, once)
		}
		if twice := again.bytes(); !bytes.Equal(once, twice) {
			t.Fatalf("%x\n%x", once, twice)
		}
	})
}

// FuzzDecodeDups is FuzzDecodeEntry for what stays of entries.
func FuzzDecodeDups(f *testing.F) {
	f.Add([]byte{})
	f.Add(newBatch([]*Entry{
		{ReqID: ceph.ReqID{Tid: 3}, Version: ceph.EVersion{Version: 5, Epoch: 2}, Result: int32(ceph.ENOENT), Prior: ceph.EVersion{Version: 4, Epoch: 2}},
		{ReqID: ceph.ReqID{Tid: 4}, Results: []int32{0, -2}, Outputs: [][]byte{nil, []byte("x")}, Codes: []msg.OpCode{msg.OpRead, msg.OpDelete}},
	}).value)
	f.Fuzz(func(t *testing.T, p []byte) {
		var list []*Entry
		d := denc.NewDecoder(p)
		for _, n := range dupsOf(d) {
			list = append(list, n)
		}
		if d.Finish() != nil || len(list) == 0 {
			return
		}
		once := newBatch(list)
		b, err := decodeBatch(once.key, once.value)
		if err != nil || b.n != len(list) {
			t.Fatalf("%v: %x", err, once.value)
		}
		again := newDups()
		again.add(b)
		if twice := newBatch(again.list()); !bytes.Equal(once.value, twice.value) {
			t.Fatalf("%x\n%x", once.value, twice.value)
		}
	})
}

// FuzzDecodeInfo is FuzzDecodeEntry for what a PG knows of itself.
func FuzzDecodeInfo(f *testing.F) {
	f.Add([]byte{})
	f.Add(Info{}.encode())
	f.Add(Info{Created: 7, Purged: []msg.Interval{{Start: 1, Length: 2}}, Scrubs: Scrubs{At: ceph.Time{Sec: 5}, DeepErrors: 1}}.encode())
	f.Fuzz(func(t *testing.T, p []byte) {
		i, err := decodeInfo(p)
		if err != nil {
			return
		}
		once := i.encode()
		again, err := decodeInfo(once)
		if err != nil {
			t.Fatalf("%v: %x", err, once)
		}
		if twice := again.encode(); !bytes.Equal(once, twice) {
			t.Fatalf("%x\n%x", once, twice)
		}
	})
}

// TestOldInfo: what earlier versions have stored is still read.
func TestOldInfo(t *testing.T) {
	i, err := decodeInfo([]byte{1, 1, 4, 0, 0, 0, 7, 0, 0, 0})
	if err != nil || i.Created != 7 || i.Purged != nil || i.Scrubs != (Scrubs{}) {
		t.Errorf("%v %+v", err, i)
	}
}
