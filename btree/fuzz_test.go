package btree

import (
	"bytes"
	"reflect"
	"testing"
)

// FuzzPage parses any bytes as a page, with the checksum made right, and uses
// what parses.
func FuzzPage(f *testing.F) {
	for _, cfg := range modelConfigs {
		m := newModel(cfg)
		for i := range uint64(200) {
			m.put(modelKey(cfg, i, 20), modelVal(cfg, i))
		}
		m.freeze()
		root, err := m.t.Reconcile(bg, m.s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m.s.Node(root.Ptr.Addr))
		f.Add(m.s.Node(m.s.Addrs()[0]))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > MaxPageBytes {
			return
		}
		if n := max(len(p)+blockBytes-1, blockBytes) / blockBytes * blockBytes; n != len(p) {
			p = append(bytes.Clone(p), make([]byte, n-len(p))...)
		}
		fixCRC(p)
		useAll(p)
	})
}

// FuzzRoot decodes any bytes as a root. What decodes encodes to the same bytes
// and decodes to the same root.
func FuzzRoot(f *testing.F) {
	for _, cfg := range modelConfigs {
		for _, n := range []uint64{0, 3, 300} {
			m := newModel(cfg)
			for i := range n {
				m.put(modelKey(cfg, i, 20), modelVal(cfg, i))
			}
			m.freeze()
			root, err := m.t.Reconcile(bg, m.s)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(root.Append(nil), uint8(cfg.Kind))
		}
	}
	f.Fuzz(func(t *testing.T, p []byte, kind uint8) {
		r, rest, err := DecodeRoot(p)
		if err == nil {
			enc := r.Append(nil)
			if !bytes.Equal(enc, p[:len(p)-len(rest)]) {
				t.Fatalf("%x decodes and encodes as %x", p, enc)
			}
			again, _, err := DecodeRoot(enc)
			if err != nil || !reflect.DeepEqual(r, again) {
				t.Fatalf("%+v decodes again as %+v, %v", r, again, err)
			}
		}
		useRoot(modelConfigs[int(kind)%len(modelConfigs)], p)
	})
}
