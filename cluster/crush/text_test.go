package crush

import (
	"bytes"
	"testing"
)

// TestText: the real compiler's text of every golden map is ours, and compiling
// what it was made from gives its bytes.
func TestText(t *testing.T) {
	for _, g := range goldens(t) {
		text, err := g.decode(t).Decompile()
		if err != nil {
			t.Fatalf("%s: %v", g.Name, err)
		}
		if want := g.file(t, ".decompiled.txt"); !bytes.Equal(text, want) {
			t.Errorf("%s: %s", g.Name, firstDifference(string(text), string(want)))
		}
		for _, suffix := range []string{".txt", ".decompiled.txt"} {
			m, err := Compile(g.file(t, suffix))
			if err != nil {
				t.Errorf("%s%s: %v", g.Name, suffix, err)
				continue
			}
			p, err := m.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(p, g.binary) {
				again, _ := m.Decompile()
				t.Errorf("%s%s: %d bytes for %d; %s", g.Name, suffix, len(p), len(g.binary), firstDifference(string(again), string(text)))
			}
		}
	}
}

// firstDifference shows the lines where two texts part.
func firstDifference(got, want string) string {
	a, b := bytes.Split([]byte(got), []byte("\n")), bytes.Split([]byte(want), []byte("\n"))
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(a[i], b[i]) {
			return "got  " + string(a[i]) + "\nwant " + string(b[i])
		}
	}
	return "the same lines, or one text ends earlier"
}
