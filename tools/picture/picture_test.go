package picture

import (
	"bytes"
	"flag"
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// sample is a device of 4096 blocks with something of every kind.
func sample() *Map {
	m := New(4096, 256, 16, 0)
	m.Add(0, 16, Label)
	m.Add(16, 128, Log)
	m.Add(144, 16, Node)
	m.Add(160, 1000, Data)
	m.Add(1160, 40, Free)
	m.Add(1200, 4, Data)
	m.Add(1204, 12, Free)
	m.Add(1216, 16, Limbo)
	m.Add(1232, 100, Free)
	m.Add(1332, 700, Free)
	m.Add(2032, 1, Damaged)
	m.Add(2033, 2000, Free)
	m.Add(4033, 47, Free)
	m.Add(4080, 100, Label) // beyond the end: cut off
	m.Done()
	return m
}

func TestCounts(t *testing.T) {
	m := sample()
	if m.Total != (Cell{Label: 32, Log: 128, Node: 16, Data: 1004, Limbo: 16, Damaged: 1, Free: 2899}) {
		t.Errorf("total %v", m.Total)
	}
	var sum Cell
	for i := range m.Cells {
		for k, n := range m.Cells[i] {
			sum[k] += n
		}
		if n := m.Cells[i].Blocks(); n != 16 {
			t.Errorf("cell %d holds %d blocks", i, n)
		}
	}
	if sum != m.Total {
		t.Errorf("cells sum to %v, total %v", sum, m.Total)
	}
	// Neighbours are one run: 40, 12, 800, 2047.
	if m.LargestRun != 2047 || m.Runs[5] != 1 || m.Runs[3] != 1 || m.Runs[9] != 1 || m.Runs[10] != 1 || m.RunBlocks[9] != 800 {
		t.Errorf("runs %v, largest %d", m.Runs[:12], m.LargestRun)
	}
	// Whole stripes of 16: 1168..1200, 1232..2032, 2048..4080.
	if want := 1 - float64(32+800+2032)/2899; m.Score() != want {
		t.Errorf("score %v, want %v", m.Score(), want)
	}
}

// Score against counting stripe by stripe.
func TestScoreModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		stripe, blocks := uint64(1+r.IntN(20)), uint64(1+r.IntN(2000))
		align := uint64(r.IntN(int(stripe)))
		m := New(blocks, 1+r.IntN(100), stripe, align)
		free := make([]bool, blocks)
		for at := uint64(0); at < blocks; {
			n := min(uint64(1+r.IntN(60)), blocks-at)
			k := Free
			if r.IntN(2) == 0 {
				k = Data
			}
			m.Add(at, n, k)
			for i := range n {
				free[at+i] = k == Free
			}
			at += n
		}
		m.Done()
		var whole, total uint64
		for i, f := range free {
			if f {
				total++
			}
			if uint64(i) >= align && (uint64(i)-align)%stripe == 0 && uint64(i)+stripe <= blocks {
				all := true
				for j := range stripe {
					all = all && free[uint64(i)+j]
				}
				if all {
					whole += stripe
				}
			}
		}
		if m.whole != whole || m.Total[Free] != total {
			t.Fatalf("seed %d: whole %d free %d, want %d %d", seed, m.whole, m.Total[Free], whole, total)
		}
	}
}

func TestMarks(t *testing.T) {
	m := New(16, 1, 1, 0)
	for _, c := range []struct {
		cell Cell
		want rune
	}{
		{Cell{Free: 16}, '.'}, {Cell{}, '.'}, {Cell{Data: 8, Free: 8}, '#'}, {Cell{Data: 7, Free: 9}, ':'}, {Cell{Node: 2, Data: 1, Free: 13}, '+'},
		{Cell{Limbo: 3, Free: 13}, '/'}, {Cell{Log: 16}, '='}, {Cell{Label: 1, Data: 15}, '@'}, {Cell{Damaged: 1, Label: 1, Data: 14}, '!'},
	} {
		if got := m.mark(&c.cell); got != c.want {
			t.Errorf("%v: %c, want %c", c.cell, got, c.want)
		}
	}
	if blend(&Cell{Damaged: 1, Data: 99}) != colors[Damaged] || blend(&Cell{Data: 1, Free: 1}) == colors[Data] {
		t.Error("colours do not blend as they should")
	}
}

var escape = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Text is compared with its golden file; in colour it says the same.
func TestText(t *testing.T) {
	var plain, colour bytes.Buffer
	if err := sample().Text(&plain, Style{Columns: 48, BlockBytes: 4096}); err != nil {
		t.Fatal(err)
	}
	if err := sample().Text(&colour, Style{Columns: 48, BlockBytes: 4096, Color: true}); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "sample.txt")
	want, err := os.ReadFile(golden)
	if err != nil || plain.String() != string(want) {
		if *rewrite {
			if err := os.WriteFile(golden, plain.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		} else {
			t.Errorf("(-rewrite writes it) got\n%s", plain.String())
		}
	}
	if got := escape.ReplaceAllString(colour.String(), ""); got != plain.String() {
		t.Errorf("in colour it reads\n%s", got)
	}
	if !strings.Contains(colour.String(), "\x1b[0m\n") && strings.Count(colour.String(), "\x1b[0m") < 10 {
		t.Error("colour is not switched off at the end of a row")
	}
}

func TestPNG(t *testing.T) {
	var b bytes.Buffer
	if err := sample().PNG(&b, Style{Columns: 32, BlockBytes: 4096}); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	at := func(cell, dx, dy int) [3]uint8 {
		r, g, bl, _ := img.At(margin+cell%32*cellPixels+dx, margin+cell/32*cellPixels+dy).RGBA()
		return [3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(bl >> 8)}
	}
	if at(0, 1, 1) != colors[Label] || at(2, 1, 1) != colors[Log] || at(9, 1, 1) != colors[Node] || at(20, 1, 1) != colors[Data] || at(200, 1, 1) != colors[Free] {
		t.Error("cells have other colours")
	}
	if at(76, 0, 0) == colors[Limbo] || at(76, 1, 0) != colors[Limbo] {
		t.Error("limbo is not hatched")
	}
	if at(127, 0, 0) == colors[Damaged] || at(127, 3, 1) != colors[Damaged] {
		t.Error("damage is not crossed")
	}
	if img.Bounds().Dx() != margin+32*cellPixels+margin+panelWidth || img.Bounds() == (image.Rectangle{}) {
		t.Error("odd size", img.Bounds())
	}
}

// TestBare: without frame and background, and what is free is seen through.
func TestBare(t *testing.T) {
	var b bytes.Buffer
	if err := sample().PNG(&b, Style{Columns: 32, Bare: true}); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds() != image.Rect(0, 0, 32*cellPixels, 8*cellPixels) {
		t.Error("odd size", img.Bounds())
	}
	alpha := func(cell int) uint32 {
		_, _, _, a := img.At(cell%32*cellPixels+1, cell/32*cellPixels+2).RGBA()
		return a >> 8
	}
	// Label, log and data are whole; a free cell is hardly seen; 74 holds 8 of 16.
	if alpha(0) != 255 || alpha(2) != 255 || alpha(20) != 255 || alpha(200) != freeAlpha {
		t.Error("alpha", alpha(0), alpha(2), alpha(20), alpha(200))
	}
	if a := alpha(72); a <= freeAlpha || a >= 255 {
		t.Error("a cell half full has alpha", a)
	}
}

func TestSmall(t *testing.T) {
	m := New(3, 100, 16, 0)
	m.Add(0, 3, Free)
	m.Done()
	if len(m.Cells) != 3 || m.Score() != 1 {
		t.Error(len(m.Cells), m.Score())
	}
	var b bytes.Buffer
	if err := New(10, 5, 1, 0).Text(&b, Style{}); err != nil || b.Len() == 0 {
		t.Error("an empty map cannot be drawn")
	}
	if err := New(10, 5, 1, 0).PNG(&b, Style{}); err != nil {
		t.Error(err)
	}
}
