package picture

import (
	"fmt"
	"io"
	"strings"

	"ebofs/tools/sizes"
)

// Style says how Text draws.
type Style struct {
	Color bool
	// Columns is the width of a row of cells, in cells.
	Columns    int
	BlockBytes uint64
	// Bare leaves out everything but the cells of a PNG. What is free shows the page
	// behind it, light or dark.
	Bare bool
}

// Text writes the picture: cells in rows, the panel of numbers beside them.
func (m *Map) Text(w io.Writer, s Style) error {
	cols := max(1, s.Columns)
	panel := m.panel(s)
	rows := (len(m.Cells) + cols - 1) / cols
	var b strings.Builder
	for r := range max(rows, len(panel)) {
		cells := m.Cells[min(len(m.Cells), r*cols):min(len(m.Cells), (r+1)*cols)]
		last := [3]uint8{}
		for i := range cells {
			if s.Color {
				if rgb := blend(&cells[i]); i == 0 || rgb != last {
					fmt.Fprintf(&b, "\x1b[38;5;16;48;2;%d;%d;%dm", rgb[0], rgb[1], rgb[2])
					last = rgb
				}
			}
			b.WriteRune(m.mark(&cells[i]))
		}
		if s.Color && len(cells) > 0 {
			b.WriteString("\x1b[0m")
		}
		if r < len(panel) && panel[r] != "" {
			fmt.Fprintf(&b, "%*s  %s", cols-len(cells), "", panel[r])
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// panel is the legend with amounts, then the free runs.
func (m *Map) panel(s Style) (lines []string) {
	size := func(blocks uint64) string { return sizes.Human(blocks * s.BlockBytes) }
	marks := [NumKinds]string{Label: "@", Log: "=", Node: "+", Data: "#:", Limbo: "/", Damaged: "!", Free: "."}
	for k := range Kind(NumKinds) {
		if k == Damaged && m.Total[k] == 0 {
			continue
		}
		on, off := "", ""
		if s.Color {
			c := colors[k]
			on, off = fmt.Sprintf("\x1b[38;5;16;48;2;%d;%d;%dm", c[0], c[1], c[2]), "\x1b[0m"
		}
		share := 100 * float64(m.Total[k]) / float64(max(1, m.Blocks))
		lines = append(lines, fmt.Sprintf("%s%-2s%s %-8s%11s %5.1f %%", on, marks[k], off, k, size(m.Total[k]), share))
	}
	lines = append(lines, "", fmt.Sprintf("one cell          %11s", size(m.PerCell)),
		fmt.Sprintf("largest free run  %11s", size(m.LargestRun)),
		fmt.Sprintf("score             %11.3f", m.Score()))
	if m.Reserve > 0 {
		lines = append(lines, fmt.Sprintf("free, but reserved%11s", size(m.Reserve)))
	}
	first, last := -1, -1
	var most uint64
	for i, n := range m.Runs {
		if n > 0 {
			if first < 0 {
				first = i
			}
			last = i
			most = max(most, m.RunBlocks[i])
		}
	}
	if first < 0 {
		return lines
	}
	lines = append(lines, "", "free runs from    count  space")
	for i := first; i <= last; i++ {
		bar := ""
		if most > 0 {
			bar = strings.Repeat("#", int((m.RunBlocks[i]*12+most-1)/most))
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%11s  %10d  %s", sizes.Short(s.BlockBytes<<i), m.Runs[i], bar), " "))
	}
	return lines
}
