package crush

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const goldenDir = "../testdata/crush"

// golden is one captured map.
type golden struct {
	Name, Note string
	Sections   int
	binary     []byte
}

func (g golden) file(t testing.TB, suffix string) []byte {
	t.Helper()
	p, err := os.ReadFile(filepath.Join(goldenDir, g.Name+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (g golden) decode(t testing.TB) *Map {
	t.Helper()
	m, err := Decode(g.binary)
	if err != nil {
		t.Fatalf("%s: %v", g.Name, err)
	}
	return m
}

// goldens reads the index and the binary maps.
func goldens(t testing.TB) []golden {
	t.Helper()
	p, err := os.ReadFile(filepath.Join(goldenDir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []golden
	if err := json.Unmarshal(p, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 22 {
		t.Fatalf("%d golden maps, want 22", len(list))
	}
	for i, g := range list {
		list[i].binary, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(g.file(t, ".b64"))), ""))
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// TestBinary: every golden map decodes and encodes to the same bytes.
func TestBinary(t *testing.T) {
	for _, g := range goldens(t) {
		p, err := g.decode(t).Encode()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p, g.binary) {
			t.Errorf("%s: %d bytes came back as %d others", g.Name, len(g.binary), len(p))
		}
	}
}

// section is the head of a run of the real test tool.
type section struct {
	Rule    int
	NumRep  int             `json:"num_rep"`
	Weights [][]json.Number // device, weight
	PoolID  *int64          `json:"pool_id"`
}

// reweights is what the real tool maps with: One where a device is in a bucket,
// with the overrides of the section.
func (s section) reweights(t *testing.T, m *Map) []Weight {
	w := m.InUse()
	for _, o := range s.Weights {
		id, err1 := o[0].Int64()
		f, err2 := o[1].Float64()
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		w[id] = Weight(f * float64(One))
	}
	return w
}

// TestMappings: every line of every golden mapping.
func TestMappings(t *testing.T) {
	total := 0
	for _, g := range goldens(t) {
		m := g.decode(t)
		p, err := NewMapper(m)
		if err != nil {
			t.Fatal(err)
		}
		total += g.mappings(t, m, p)
	}
	if want := 372736 / sample(); total != want {
		t.Errorf("%d mappings compared, want %d", total, want)
	}
}

// sample is one line of how many is compared: all, but for short runs.
func sample() int {
	if testing.Short() {
		return 8
	}
	return 1
}

func (g golden) mappings(t *testing.T, m *Map, p *Mapper) int {
	z, err := gzip.NewReader(bytes.NewReader(g.file(t, ".mappings.gz")))
	if err != nil {
		t.Fatal(err)
	}
	var (
		sc       = bufio.NewScanner(z)
		s        section
		w        Work
		req      Request
		line     []byte
		sections int
		lines    int
		seen     int
	)
	for sc.Scan() {
		if head, ok := bytes.CutPrefix(sc.Bytes(), []byte("# ")); ok {
			s = section{}
			if err := json.Unmarshal(head, &s); err != nil {
				t.Fatal(err)
			}
			sections++
			req = Request{Rule: s.Rule, Size: s.NumRep, Reweights: s.reweights(t, m), Args: p.Args(0)}
			continue
		}
		if seen++; seen%sample() != 0 {
			continue
		}
		lines++
		word := bytes.Fields(sc.Bytes())
		x, err := strconv.ParseUint(string(word[4]), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		req.X = uint32(x)
		if s.PoolID != nil {
			req.X = Hash2(req.X, uint32(*s.PoolID))
		}
		r := p.Map(&w, req)
		line = fmt.Appendf(line[:0], "CRUSH rule %d x %d ", s.Rule, x)
		if line = AppendDevices(line, r.Devices); !bytes.Equal(line, sc.Bytes()) {
			t.Fatalf("%s: num_rep %d:\n got %s\nwant %s", g.Name, s.NumRep, line, sc.Bytes())
		}
		if r.Cut {
			t.Fatalf("%s: %s was cut", g.Name, line)
		}
	}
	if err := sc.Err(); err != nil || sections != g.Sections {
		t.Fatalf("%s: %d sections, want %d: %v", g.Name, sections, g.Sections, err)
	}
	return lines
}
