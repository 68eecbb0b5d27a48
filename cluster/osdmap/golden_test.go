package osdmap

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"ebofs/cluster/golden"
)

// step is an epoch the real monitor made.
type step struct {
	Epoch uint32
	Full  []byte          `json:"full_b64"`
	JSON  json.RawMessage `json:"full_json"`
	Inc   []byte          `json:"inc_b64"`
}

// steps are all captured epochs, by file.
func steps(t testing.TB) map[string][]step {
	t.Helper()
	all := map[string][]step{}
	for _, file := range golden.Files(t, "osdmap/*.jsonl.gz") {
		for line := range golden.Lines(t, file) {
			var s step
			if err := json.Unmarshal(line, &s); err != nil {
				t.Fatal(err)
			}
			all[filepath.Base(file)] = append(all[filepath.Base(file)], s)
		}
	}
	if len(all) != 3 {
		t.Fatalf("%d files of epochs, want 3", len(all))
	}
	return all
}

// TestEpochs: every map and increment decodes and encodes to the same bytes, and
// the increments lead from one to the next.
func TestEpochs(t *testing.T) {
	full, incs, applied := 0, 0, 0
	for file, list := range steps(t) {
		var last *Map
		for _, s := range list {
			m, err := Decode(s.Full)
			if err != nil {
				t.Fatalf("%s: epoch %d: %v", file, s.Epoch, err)
			}
			full++
			if !bytes.Equal(m.Encode(), s.Full) {
				t.Fatalf("%s: epoch %d comes back as other bytes", file, s.Epoch)
			}
			if s.Inc != nil {
				n, err := DecodeIncremental(s.Inc)
				if err != nil {
					t.Fatalf("%s: increment %d: %v", file, s.Epoch, err)
				}
				incs++
				if !bytes.Equal(n.Encode(), s.Inc) {
					t.Fatalf("%s: increment %d comes back as other bytes", file, s.Epoch)
				}
				if last != nil {
					next, err := last.Next(n)
					if err != nil {
						t.Fatalf("%s: applying %d: %v", file, s.Epoch, err)
					}
					applied++
					if !bytes.Equal(next.Encode(), s.Full) {
						t.Fatalf("%s: applying %d gives another map", file, s.Epoch)
					}
				}
			}
			last = m
		}
	}
	if full != 93 || incs != 92 || applied != 90 {
		t.Errorf("%d maps, %d increments, %d applied; want 93, 92, 90", full, incs, applied)
	}
}
