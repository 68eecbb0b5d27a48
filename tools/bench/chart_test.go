package bench

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDraw draws a report and reads it again: well-formed, each point there and
// inside the frame, larger values higher, names not one over the other.
func TestDraw(t *testing.T) {
	rep := AgeReport{Fill: 0.8, Rounds: 4, States: []State{{Name: "aged", Score: 0.25}}}
	for i, c := range SizeCells() {
		for j, s := range []string{"fresh", "aged"} {
			rep.Rows = append(rep.Rows, AgeRow{Store: s, Op: "write", IOBytes: c.Bytes, Depth: 16, MiBPerS: float64(20 + 90*i - j), RawMiBPerS: float64(10 + 100*i)})
		}
	}
	path := filepath.Join(t.TempDir(), "t.svg")
	if err := rep.draw(path); err != nil {
		t.Fatal(err)
	}
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	points, names := 0, map[string]bool{}
	var lastY float64
	for d := xml.NewDecoder(strings.NewReader(string(p))); ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := tok.(type) {
		case xml.CharData:
			for _, n := range []string{"raw", "fresh", "aged", "4K", "16M", "1000"} {
				names[n] = names[n] || string(e) == n
			}
		case xml.StartElement:
			var x, y float64
			if a := e.Attr; e.Name.Local == "path" && strings.HasPrefix(a[0].Value, "m") {
				fmt.Sscanf(a[1].Value, "M%f %f", &x, &y)
				if x < 70 || x > 700 || y < 60 || y > 401 || points%13 > 0 && points < 39 && y >= lastY {
					t.Errorf("point %d at %g, %g after %g", points, x, y, lastY)
				}
				points, lastY = points+1, y
			}
		}
	}
	if points != 3*13+3 || len(names) != 6 {
		t.Errorf("%d points, names %v", points, names)
	}
	for n, there := range names {
		if !there {
			t.Errorf("%q is missing", n)
		}
	}
	var again AgeReport
	if p, err = os.ReadFile(strings.TrimSuffix(path, ".svg") + ".json"); err == nil {
		err = json.Unmarshal(p, &again)
	}
	if err != nil || len(again.Rows) != 26 || again.score() != 0.25 {
		t.Errorf("%v %+v", err, again)
	}
	if err := (AgeReport{}).draw(path); err == nil {
		t.Error("a picture of nothing")
	}
}

// TestDecades lists axes.
func TestDecades(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		want   string
	}{{20, 900, "[20 50 100 200 500 1000]"}, {3, 4, "[2 5]"}, {1, 1, "[1 2]"}, {0.7, 11, "[0.5 1 2 5 10 20]"}} {
		if got := fmt.Sprint(decades(c.lo, c.hi)); got != c.want {
			t.Errorf("%g to %g: %s, want %s", c.lo, c.hi, got, c.want)
		}
	}
}
