package msg

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
)

// TestTypes compares the names of types with those of the golden messages.
func TestTypes(t *testing.T) {
	f, err := os.Open("../testdata/wire/messages.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	n := 0
	for in.Scan() {
		var m struct {
			Type Type   `json:"type"`
			Name string `json:"name"`
		}
		if err := json.Unmarshal(in.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if m.Type.String() != m.Name {
			t.Errorf("type %d is called %q, want %q", m.Type, m.Type, m.Name)
		}
		n++
	}
	if err := in.Err(); err != nil || n < 45 {
		t.Fatalf("%d golden messages: %v", n, err)
	}
}

// TestRelease gives room back once, whoever asks.
func TestRelease(t *testing.T) {
	var m Message
	m.Release()
	var n room
	m.Received(&n)
	m.Hold()
	if !m.Held() {
		t.Error("Hold is forgotten")
	}
	m.Release()
	m.Release()
	if n != 1 {
		t.Errorf("room given back %d times", n)
	}
}

type room int

func (r *room) GiveBack() { *r++ }
