package picture

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"strings"

	"ebofs/tools/sizes"
)

const (
	cellPixels = 8 // of which one is the gap
	panelWidth = 232
	margin     = 12
)

// PNG writes the picture as an image: cells at the left, legend and free-run
// histogram at the right.
func (m *Map) PNG(w io.Writer, s Style) error {
	cols := max(1, s.Columns)
	rows := (len(m.Cells) + cols - 1) / cols
	if s.Bare {
		return m.bare(w, cols, rows)
	}
	panel := m.panelLines(s)
	height := max(rows*cellPixels, len(panel)*lineHeight) + 2*margin
	img := image.NewRGBA(image.Rect(0, 0, margin+cols*cellPixels+margin+panelWidth, height))
	fillRect(img, img.Bounds(), color.RGBA{255, 255, 255, 255})
	for i := range m.Cells {
		x, y := margin+i%cols*cellPixels, margin+i/cols*cellPixels
		m.drawCell(img, x, y, &m.Cells[i])
	}
	x := margin + cols*cellPixels + margin
	for i, l := range panel {
		y := margin + i*lineHeight
		if l.kind >= 0 {
			var c Cell
			c[l.kind] = 1
			m.drawCell(img, x, y, &c)
		}
		drawText(img, x+12, y, l.text)
		if l.bar > 0 {
			fillRect(img, image.Rect(x+108, y, x+108+l.bar, y+fontHeight*fontScale), rgba(colors[Free]))
		}
	}
	return png.Encode(w, img)
}

// bare writes the cells alone, without a background.
func (m *Map) bare(w io.Writer, cols, rows int) error {
	img := image.NewRGBA(image.Rect(0, 0, cols*cellPixels, rows*cellPixels))
	for i := range m.Cells {
		c := m.Cells[i]
		x, y := i%cols*cellPixels, i/cols*cellPixels
		m.drawCell(img, x, y, &c)
		if total := c.Blocks(); c[Damaged] == 0 && total > 0 && c[Free] > 0 {
			fade(img, image.Rect(x, y, x+cellPixels-1, y+cellPixels-1), &c)
		}
	}
	return png.Encode(w, img)
}

// freeAlpha is how much of an empty cell is seen, of 255.
const freeAlpha = 30

// fade makes a cell as solid as it is full, in the colour of what it holds.
func fade(img *image.RGBA, r image.Rectangle, c *Cell) {
	free := c[Free]
	used := *c
	used[Free] = 0
	rgb := [3]uint8{128, 128, 128}
	if used.Blocks() > 0 {
		rgb = blend(&used)
	}
	alpha := 255 - (255-freeAlpha)*free/c.Blocks()
	whole := color.NRGBA{rgb[0], rgb[1], rgb[2], uint8(alpha)}
	old := blend(c)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if at := img.RGBAAt(x, y); at == rgba(old) { // not a hatch
				img.Set(x, y, whole)
			}
		}
	}
}

type panelLine struct {
	kind int // of the sample drawn before the text; -1: none
	text string
	bar  int // pixels
}

// panelLines is the panel in capitals, which is all the font has.
func (m *Map) panelLines(s Style) (lines []panelLine) {
	size := func(blocks uint64) string { return sizes.Human(blocks * s.BlockBytes) }
	for k := range Kind(NumKinds) {
		lines = append(lines, panelLine{kind: int(k), text: fmt.Sprintf("%-8s %10s %5.1f%%", k, size(m.Total[k]), 100*float64(m.Total[k])/float64(max(1, m.Blocks)))})
	}
	lines = append(lines, panelLine{kind: -1},
		panelLine{kind: -1, text: "cell " + size(m.PerCell)},
		panelLine{kind: -1, text: "largest free run " + size(m.LargestRun)},
		panelLine{kind: -1, text: fmt.Sprintf("score %.3f", m.Score())},
		panelLine{kind: -1}, panelLine{kind: -1, text: "free runs"})
	var most uint64
	last := -1
	for i, n := range m.RunBlocks {
		most = max(most, n)
		if n > 0 {
			last = i
		}
	}
	for i := range last + 1 {
		lines = append(lines, panelLine{kind: -1, text: fmt.Sprintf("%7s", sizes.Short(s.BlockBytes<<i)), bar: int((m.RunBlocks[i]*110 + most - 1) / max(1, most))})
	}
	for i := range lines {
		lines[i].text = strings.ToUpper(lines[i].text)
	}
	return lines
}

// drawCell draws one cell: its blend, hatched if limbo is the largest part of
// what is used, crossed if damaged.
func (m *Map) drawCell(img *image.RGBA, x, y int, c *Cell) {
	const n = cellPixels - 1
	fillRect(img, image.Rect(x, y, x+n, y+n), rgba(blend(c)))
	dark := color.RGBA{40, 40, 40, 255}
	switch m.mark(c) {
	case '/':
		for i := range n {
			for j := range n {
				if (i+j)%4 == 0 {
					img.SetRGBA(x+i, y+j, dark)
				}
			}
		}
	case '!':
		for i := range n {
			img.SetRGBA(x+i, y+i, dark)
			img.SetRGBA(x+i, y+n-1-i, dark)
		}
	}
}

func rgba(c [3]uint8) color.RGBA { return color.RGBA{c[0], c[1], c[2], 255} }

func fillRect(img *image.RGBA, r image.Rectangle, c color.RGBA) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			img.SetRGBA(x, y, c)
		}
	}
}
