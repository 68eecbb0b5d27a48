package crush

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"
)

func unzip(t *testing.T, p []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	p, err = io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(p)
}

// TestDump: the real tool's dumps of every golden map are ours, and the map that
// is made from them is the one that was dumped.
func TestDump(t *testing.T) {
	for _, g := range goldens(t) {
		d, err := g.decode(t).Dump()
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []struct {
			suffix string
			to     func() ([]byte, error)
			from   func([]byte) (*Map, error)
		}{{".dump.json.gz", d.JSON, FromJSON}, {".dump.xml.gz", d.XML, FromXML}} {
			want := unzip(t, g.file(t, form.suffix))
			got, err := form.to()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				i := 0
				for i < min(len(got), len(want)) && got[i] == want[i] {
					i++
				}
				t.Errorf("%s%s: from byte %d\n got %.100s\nwant %.100s", g.Name, form.suffix, i, got[i:], want[i:])
			}
			m, err := form.from(want)
			if err != nil {
				t.Errorf("%s%s: %v", g.Name, form.suffix, err)
				continue
			}
			p, err := m.Encode()
			if err != nil || !bytes.Equal(p, g.binary) {
				t.Errorf("%s%s: the map is another: %v", g.Name, form.suffix, err)
			}
		}
	}
}
