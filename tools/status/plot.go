package status

import (
	"fmt"
	"math"
	"strings"
)

// A plot of a page without JavaScript is an SVG with a log scale; with it, the
// plot script draws the same.
const (
	plotWidth  = 360
	plotHeight = 150
	plotLeft   = 44
	plotBottom = 18
)

// plot is one latency over ten minutes.
type plot struct {
	Key, Title    string
	P50, P99      string // paths
	Lines         []gridLine
	Marks         []float64
	Empty         bool
	Width, Height int
	Last50        float64
	Last99        float64
}

// gridLine is a horizontal line of the scale.
type gridLine struct {
	Y    float64
	Text string
}

// newPlots makes the plots of a history.
func newPlots(h *History) []plot {
	if h == nil {
		return nil
	}
	return []plot{
		newPlot(h, "write", "Client writes", &h.Write), newPlot(h, "read", "Client reads", &h.Read), newPlot(h, "commit", "Commits of the store", &h.Commit),
	}
}

// decade writes 10^d milliseconds.
func decade(d int) string {
	switch {
	case d < 0:
		return fmt.Sprintf("%.0f µs", math.Pow(10, float64(d+3)))
	case d < 3:
		return fmt.Sprintf("%.0f ms", math.Pow(10, float64(d)))
	}
	return fmt.Sprintf("%.0f s", math.Pow(10, float64(d-3)))
}

func newPlot(h *History, key, title string, s *series) plot {
	p := plot{Key: key, Title: title, Width: plotWidth, Height: plotHeight, Empty: true}
	low, high := math.Inf(1), 0.0
	for _, list := range [][]*float64{s.P50, s.P99} {
		for _, v := range list {
			if v != nil {
				low, high = min(low, *v), max(high, *v)
			}
		}
	}
	if high == 0 {
		return p
	}
	p.Empty = false
	// Whole decades, and at least one.
	from, to := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	if to <= from {
		to = from + 1
	}
	end := h.Time[len(h.Time)-1]
	x := func(t float64) float64 {
		return plotLeft + (plotWidth-plotLeft-4)*(1-(end-t)/keptPoints)
	}
	y := func(ms float64) float64 {
		return 6 + (plotHeight-plotBottom-6)*(to-math.Log10(ms))/(to-from)
	}
	for d := from; d <= to; d++ {
		p.Lines = append(p.Lines, gridLine{y(math.Pow(10, d)), decade(int(d))})
	}
	path := func(list []*float64) (string, float64) {
		var b strings.Builder
		verb, last := "M", 0.0
		for i, v := range list {
			if v == nil {
				verb = "M"
				continue
			}
			fmt.Fprintf(&b, "%s%.1f %.1f", verb, x(h.Time[i]), y(*v))
			if verb == "M" {
				b.WriteString("h.5") // a second alone is a dot
			}
			verb, last = "L", *v
		}
		return b.String(), last / 1000
	}
	p.P50, p.Last50 = path(s.P50)
	p.P99, p.Last99 = path(s.P99)
	for _, m := range h.Marks {
		p.Marks = append(p.Marks, x(m.Time))
	}
	return p
}
