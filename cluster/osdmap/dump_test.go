package osdmap

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// anyJSON decodes a document, numbers kept as they are written.
func anyJSON(t *testing.T, p []byte) map[string]any {
	t.Helper()
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(p))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestDump: every captured map is shown as the real monitor showed it.
func TestDump(t *testing.T) {
	for file, list := range steps(t) {
		for _, s := range list {
			m, err := Decode(s.Full)
			if err != nil {
				t.Fatal(err)
			}
			d, err := m.Dump()
			if err != nil {
				t.Fatal(err)
			}
			p, err := d.JSON()
			if err != nil {
				t.Fatal(err)
			}
			got, want := anyJSON(t, p), anyJSON(t, s.JSON)
			for key := range got {
				if _, ok := want[key]; !ok {
					t.Errorf("%s: epoch %d: %s is too much", file, s.Epoch, key)
				}
			}
			for key, value := range want {
				if reflect.DeepEqual(got[key], value) {
					continue
				}
				a, _ := json.Marshal(got[key])
				b, _ := json.Marshal(value)
				i := 0
				for i < min(len(a), len(b)) && a[i] == b[i] {
					i++
				}
				i = max(0, i-60)
				t.Fatalf("%s: epoch %d: %s\n got %.200s\nwant %.200s", file, s.Epoch, key, a[i:], b[i:])
			}
		}
	}
}
