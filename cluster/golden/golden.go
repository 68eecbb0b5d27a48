package golden

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Hex is bytes, written in hexadecimal digits.
type Hex []byte

// UnmarshalJSON reads the digits.
func (h *Hex) UnmarshalJSON(p []byte) error {
	var s string
	err := json.Unmarshal(p, &s)
	if err == nil {
		*h, err = hex.DecodeString(s)
	}
	return err
}

// Line is a frame, or a banner, of a captured session.
type Line struct {
	Conn     int             `json:"conn"`
	Dir      string          `json:"dir"` // c2s: of who dialled
	Tag      string          `json:"tag"`
	Mode     string          `json:"mode"`
	WireLen  int             `json:"wire_len"`
	Bytes    Hex             `json:"hex"`
	Head     Hex             `json:"hex_head"`
	Segments []Hex           `json:"segments_hex"`
	Fields   json.RawMessage `json:"fields"`
}

// Whole reports whether all bytes of the frame are there.
func (l *Line) Whole() bool { return len(l.Bytes) > 0 }

// Client reports whether the side that dialled sent the frame.
func (l *Line) Client() bool { return l.Dir == "c2s" }

// Decode reads the parser's fields into v.
func (l *Line) Decode(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(l.Fields, v); err != nil {
		t.Fatalf("fields of %s: %v", l.Tag, err)
	}
}

// dir is where the sessions lie.
func dir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../testdata/wire")
}

// Names returns the files of all sessions.
func Names(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir(), "session-*.jsonl"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden sessions in %s: %v", dir(), err)
	}
	for i, n := range names {
		names[i] = filepath.Base(n)
	}
	return names
}

// Session returns the frames of a file by connection, in order of time.
func Session(t testing.TB, name string) map[int][]*Line {
	t.Helper()
	p, err := os.ReadFile(filepath.Join(dir(), name))
	if err != nil {
		t.Fatal(err)
	}
	conns := map[int][]*Line{}
	for one := range bytes.Lines(p) {
		l := new(Line)
		if err := json.Unmarshal(one, l); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		conns[l.Conn] = append(conns[l.Conn], l)
	}
	return conns
}

// Keys returns the secret keys of the entities of the CephX cluster, encoded.
func Keys(t testing.TB) map[string][]byte {
	t.Helper()
	p, err := os.ReadFile(filepath.Join(dir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	var in map[string]struct {
		Base64 string `json:"base64"`
	}
	if err := json.Unmarshal(p, &in); err != nil {
		t.Fatal(err)
	}
	keys := map[string][]byte{}
	for name, k := range in {
		if keys[name], err = base64.StdEncoding.DecodeString(k.Base64); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}
