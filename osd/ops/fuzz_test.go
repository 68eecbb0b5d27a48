package ops

import (
	"bytes"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd"
)

// FuzzDecodeState: what decodes is written the same way twice, and nothing panics.
func FuzzDecodeState(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeState(&State{}))
	f.Add(encodeState(&State{
		Info:    Info{Version: ceph.EVersion{Version: 5, Epoch: 2}, UserVersion: 7, Size: 9, HasOmap: true, Watches: map[WatchKey]Watch{{Cookie: 3}: {Timeout: 30}}, Snaps: []ceph.SnapID{4, 2}},
		SnapSet: SnapSet{Seq: 4, Clones: []Clone{{ID: 4, Size: 9, Snaps: []ceph.SnapID{4}, Overlap: []osd.Extent{{Off: 1, Len: 2}}}}},
	}))
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := DecodeState(p)
		if err != nil {
			return
		}
		once := encodeState(s)
		again, err := DecodeState(once)
		if err != nil {
			t.Fatalf("%v: %x", err, once)
		}
		if twice := encodeState(again); !bytes.Equal(once, twice) {
			t.Fatalf("%x\n%x", once, twice)
		}
	})
}

// FuzzCopyCursor is FuzzDecodeState for the cursor of copy-get.
func FuzzCopyCursor(f *testing.F) {
	var e denc.Encoder
	copyCursor{attrs: true, off: 5, omap: "k"}.encode(&e)
	f.Add(e.Bytes())
	f.Fuzz(func(t *testing.T, p []byte) {
		d := denc.NewDecoder(p)
		c := decodeCopyCursor(d)
		if d.Err() != nil {
			return
		}
		var e denc.Encoder
		c.encode(&e)
		d = denc.NewDecoder(e.Bytes())
		if again := decodeCopyCursor(d); d.Finish() != nil || again != c {
			t.Fatalf("%+v, then %+v", c, again)
		}
	})
}
