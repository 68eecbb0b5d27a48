package image

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ebofs/ebofs/layout"
)

// TestNames: lengths, equality, order and common beginnings stay, and of names
// that have no need to, nothing does.
func TestNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.Bool().Draw(t, "key")
		n := newNames([32]byte{7}, 0, key)
		var all [][]byte
		for range rapid.IntRange(1, 60).Draw(t, "names") {
			var p []byte
			if key {
				o := layout.ObjectKey{Name: string(draw(t)), Namespace: string(draw(t)), Snap: rapid.Uint64().Draw(t, "snap")}
				p = o.AppendKey(nil)[hashedKey:]
				p = p[:rapid.IntRange(0, len(p)).Draw(t, "cut")] // a separator
			} else {
				p = draw(t)
			}
			all = append(all, p)
			n.add(p)
		}
		n.seal()
		slices.SortFunc(all, bytes.Compare)
		var was []byte
		for i, p := range all {
			q := bytes.Clone(p)
			n.apply(q)
			again := bytes.Clone(p[:len(p)/2])
			n.apply(again)
			if !bytes.Equal(again, q[:len(again)]) {
				t.Fatalf("%q becomes %q, and its half %q", p, q, again)
			}
			if i > 0 {
				if bytes.Compare(all[i-1], p) != bytes.Compare(was, q) {
					t.Fatalf("%q < %q become %q, %q", all[i-1], p, was, q)
				}
				if a, b := common(string(all[i-1]), string(p)), common(string(was), string(q)); a != b {
					t.Fatalf("%q, %q have %d bytes in common, %q, %q have %d", all[i-1], p, a, was, q, b)
				}
			}
			was = q
		}
	})
}

func draw(t *rapid.T) []byte {
	return rapid.OneOf(
		rapid.SliceOfN(rapid.SampledFrom([]byte("\x00\x01ab\xff")), 0, 12),
		rapid.SliceOfN(rapid.Byte(), 0, 20),
		rapid.Map(rapid.StringMatching(`rbd_data\.[0-9a-f]{1,4}`), func(s string) []byte { return []byte(s) }),
	).Draw(t, "name")
}

// TestKeysStayKeys: a scrambled key decodes to one of the same shape.
func TestKeysStayKeys(t *testing.T) {
	n := newNames([32]byte{1}, 0, true)
	in := layout.ObjectKey{Shard: -1, Pool: 3, Hash: 77, Namespace: "space", Key: "", Name: "a\x00b secret", Snap: layout.NoSnap, Generation: layout.NoGeneration}
	p := in.AppendKey(nil)
	n.add(p[hashedKey:])
	n.seal()
	n.apply(p[hashedKey:])
	out, err := layout.DecodeObjectKey(p)
	if err != nil {
		t.Fatal(err)
	}
	if out.Hash != in.Hash || out.Pool != in.Pool || out.Snap != in.Snap || out.Generation != in.Generation || out.Key != "" ||
		len(out.Namespace) != 5 || len(out.Name) != len(in.Name) || out.Name[1] != 0 || out.Name[3:] == in.Name[3:] {
		t.Errorf("%q becomes %q", in, out)
	}
}

// TestUnknownName: a name nobody added does not come through.
func TestUnknownName(t *testing.T) {
	n := newNames([32]byte{1}, 0, false)
	n.add([]byte("known names"))
	n.add([]byte("known knows"))
	n.seal()
	p := []byte("known secret that came later")
	n.apply(p)
	for _, w := range []string{"known", "secret", "later"} {
		if bytes.Contains(p, []byte(w)) {
			t.Errorf("%q", p)
		}
	}
}
