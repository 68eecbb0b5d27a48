package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// series is a line of a chart: a value for each size.
type series struct {
	name   string
	points []point
}

type point struct {
	bytes int
	mibs  float64
}

// chartStyle has two palettes, each legible on its background, and lines that differ
// in dash and mark too: colour is never the only sign.
const chartStyle = `
  .back { fill: #ffffff } text { font: 13px sans-serif; fill: #24292f } .title { font-size: 16px; font-weight: 600 } .small { font-size: 11px; fill: #57606a }
  .grid { stroke: #d0d7de; stroke-width: 1 } .axis { fill: none; stroke: #57606a; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.2; stroke-linejoin: round }
  .s0 { stroke: #6e7781 } .s1 { stroke: #0969da } .s2 { stroke: #bc4c00 } .m0 { fill: #6e7781 } .m1 { fill: #0969da } .m2 { fill: #bc4c00 }
  .s0 { stroke-dasharray: 3 3 } .s2 { stroke-dasharray: 9 3 }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } text { fill: #e6edf3 } .small { fill: #9198a1 } .grid { stroke: #30363d } .axis { stroke: #9198a1 }
    .s0 { stroke: #9198a1 } .s1 { stroke: #4493f8 } .s2 { stroke: #f0883e } .m0 { fill: #9198a1 } .m1 { fill: #4493f8 } .m2 { fill: #f0883e }
  }
`

// chart draws throughput against size, both on logarithmic axes, as an SVG that needs
// nothing else.
func chart(w io.Writer, title string, notes []string, lines []series) error {
	const (
		width, height            = 760, 470
		left, right, top, bottom = 70, 90, 64, 70
	)
	lo, hi := math.Inf(1), 0.0
	first, last := math.MaxInt, 0
	for _, l := range lines {
		for _, p := range l.points {
			if p.mibs > 0 {
				lo, hi = min(lo, p.mibs), max(hi, p.mibs)
			}
			first, last = min(first, p.bytes), max(last, p.bytes)
		}
	}
	if hi == 0 || first >= last {
		return fmt.Errorf("nothing to draw: sizes %d to %d, at most %g MiB/s", first, last, hi)
	}
	ticks := decades(lo, hi)
	lo, hi = min(lo, ticks[0]), max(hi, ticks[len(ticks)-1])
	x := func(bytes int) float64 {
		return left + (width-left-right)*math.Log(float64(bytes)/float64(first))/math.Log(float64(last)/float64(first))
	}
	y := func(v float64) float64 {
		return height - bottom - (height-top-bottom)*math.Log(max(v, lo)/lo)/math.Log(hi/lo)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s\">\n<style>%s</style>\n", width, height, width, height, escape(title), chartStyle)
	fmt.Fprintf(&b, "<rect class=\"back\" width=\"%d\" height=\"%d\"/>\n", width, height)
	fmt.Fprintf(&b, "<text class=\"title\" x=\"%d\" y=\"24\">%s</text>\n", left, escape(title))
	for i, n := range notes {
		fmt.Fprintf(&b, "<text class=\"small\" x=\"%d\" y=\"%d\">%s</text>\n", left, 41+14*i, escape(n))
	}
	for _, v := range ticks {
		fmt.Fprintf(&b, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", left, y(v), width-right, left-8, y(v)+4, v)
	}
	for n := first; n <= last; n *= 2 {
		fmt.Fprintf(&b, "<path class=\"axis\" d=\"M%.1f %dv5\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" class=\"small\">%s</text>\n", x(n), height-bottom, x(n), height-bottom+20, shortSize(n))
	}
	fmt.Fprintf(&b, "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n", left, top, height-bottom, width-right)
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">bytes of a write</text>\n", (left+width-right)/2, height-bottom+44)
	fmt.Fprintf(&b, "<text transform=\"translate(20 %d) rotate(-90)\" text-anchor=\"middle\">MiB/s</text>\n", (top+height-bottom)/2)
	var ends []end
	for i, l := range lines {
		var d strings.Builder
		for k, p := range l.points {
			fmt.Fprintf(&d, "%c%.1f %.1f", "ML"[min(k, 1)], x(p.bytes), y(p.mibs))
		}
		fmt.Fprintf(&b, "<path class=\"line s%d\" d=\"%s\"/>\n", i%3, d.String())
		for _, p := range l.points {
			fmt.Fprintf(&b, "<path class=\"m%d\" d=\"M%.1f %.1f%s\"><title>%s, %s: %.4g MiB/s</title></path>\n", i%3, x(p.bytes), y(p.mibs), marks[i%3], escape(l.name), sizeName(p.bytes), p.mibs)
		}
		p := l.points[len(l.points)-1]
		ends = append(ends, end{i, y(p.mibs), l.name})
	}
	for _, e := range apart(ends, 16) {
		fmt.Fprintf(&b, "<path class=\"m%d\" d=\"M%d %.1f%s\"/><text x=\"%d\" y=\"%.1f\">%s</text>\n", e.line%3, width-right+14, e.y, marks[e.line%3], width-right+24, e.y+4, escape(e.name))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// marks are a circle, a square and a triangle around where the path is.
var marks = [...]string{"m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z", "m-3.2 -3.2h6.4v6.4h-6.4z", "m0 -4.4l4.2 7.4h-8.4z"}

// end is the name of a line at its end.
type end struct {
	line int
	y    float64
	name string
}

// apart moves names that would overlap.
func apart(list []end, gap float64) []end {
	slices.SortFunc(list, func(a, b end) int { return int(math.Copysign(1, a.y-b.y)) })
	for i := 1; i < len(list); i++ {
		list[i].y = max(list[i].y, list[i-1].y+gap)
	}
	return list
}

// decades returns 1, 2, 5, 10, … from the last at most lo to the first at least hi.
func decades(lo, hi float64) (list []float64) {
	for d := math.Pow(10, math.Floor(math.Log10(lo))); ; d *= 10 {
		for _, m := range [...]float64{1, 2, 5} {
			v := d * m
			if v <= lo {
				list = list[:0]
			}
			if list = append(list, v); v >= hi && len(list) > 1 {
				return list
			}
		}
	}
}

// shortSize is sizeName without a space, "4K".
func shortSize(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%dM", n>>20)
	}
	return fmt.Sprintf("%dK", n>>10)
}

var xmlText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

func escape(s string) string { return xmlText.Replace(s) }
