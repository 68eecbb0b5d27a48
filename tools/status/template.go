package status

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"ebofs/cluster/mon"
	"ebofs/tools/sizes"
)

// pages are the page and its sections.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"bytes":    humanBytes,
	"count":    humanCount,
	"percent":  func(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) },
	"ms":       humanMillis,
	"rate":     humanRate,
	"age":      humanAge,
	"duration": humanDuration,
	"clock":    func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"stamp":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
	"short":    func(s string) string { return s[:min(8, len(s))] },
	"sign":     sign,
	"since":    func(v *View, t time.Time) string { return humanAge(v.Now.Sub(t)) },
	"osds":     humanOSDs,
	"severity": severity,
	"bar":      newBar,
	"pgcounts": pgCounts,
	"plots":    newPlots,
	"quorum":   humanQuorum,
	"picked": func(v *View, id int32) bool {
		return v.Picked == id || v.Picked == all && len(v.Maps) > 0 && v.Maps[0].OSD == id
	},
	"level": func(state string) Square { return squareOfState(state) },
}).ParseFS(assets, "assets/*.html"))

// signs stand beside colours, for who does not see them (S2).
func sign(l Level) string {
	return map[Level]string{Good: "✓", Warn: "!", Bad: "✕", Unknown: "?", Busy: "↻"}[l]
}

func severity(s string) Level {
	switch s {
	case "HEALTH_OK", "":
		return Good
	case "HEALTH_ERR":
		return Bad
	}
	return Warn
}

func humanBytes(n any) string {
	switch n := n.(type) {
	case int64:
		return sizes.Human(uint64(max(n, 0)))
	case uint64:
		return sizes.Human(n)
	}
	return "?"
}

// humanCount groups digits: 1 204 331.
func humanCount(n any) string {
	s := fmt.Sprint(n)
	digits := strings.TrimPrefix(s, "-")
	var b strings.Builder
	for i, r := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u202f') // narrow, and no break
		}
		b.WriteRune(r)
	}
	return s[:len(s)-len(digits)] + b.String()
}

// humanMillis writes seconds as milliseconds, with as many digits as one reads.
func humanMillis(seconds float64) string {
	switch ms := seconds * 1000; {
	case ms == 0:
		return "–"
	case ms < 0.0995:
		return fmt.Sprintf("%.0f µs", ms*1000)
	case ms < 9.95:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 99.5:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 9950:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f s", seconds)
	}
}

func humanRate(r float64) string {
	switch {
	case r == 0:
		return "0"
	case r < 9.95:
		return strconv.FormatFloat(math.Round(r*10)/10, 'f', -1, 64)
	case r < 10000:
		return humanCount(int64(math.Round(r)))
	}
	return fmt.Sprintf("%.1f k", r/1000)
}

func humanDuration(d time.Duration) string { return humanMillis(d.Seconds()) }

// humanAge writes a time in its two largest units.
func humanAge(d time.Duration) string {
	s := int64(max(d, 0).Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 86400:
		return fmt.Sprintf("%d h %02d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
}

func humanOSDs(ids []int32) string {
	if len(ids) == 0 {
		return "none"
	}
	var out []string
	for _, id := range ids {
		if id < 0 || id == math.MaxInt32 {
			out = append(out, "nobody")
			continue
		}
		out = append(out, fmt.Sprintf("osd.%d", id))
	}
	return strings.Join(out, ", ")
}

// humanQuorum says how many monitors serve: "3", or "2 of 3".
func humanQuorum(list []mon.MonitorStatus) string {
	in := 0
	for _, m := range list {
		if m.Quorum {
			in++
		}
	}
	if in == len(list) {
		return fmt.Sprint(in)
	}
	return fmt.Sprintf("%d of %d", in, len(list))
}

// bar is a fill bar with its three marks, in hundredths of its width.
type bar struct {
	Fill             float64
	Near, Back, Full float64
	Level            Level
	Text             string
}

func newBar(o OSDView) bar {
	b := bar{Fill: 100 * o.Share(), Near: 100 * o.NearFull, Back: 100 * o.BackfillFull, Full: 100 * o.Full, Level: Good}
	switch {
	case b.Full > 0 && b.Fill >= b.Full:
		b.Level = Bad
	case b.Near > 0 && b.Fill >= b.Near:
		b.Level = Warn
	}
	b.Text = fmt.Sprintf("%.1f %% used", b.Fill)
	if b.Full > 0 {
		b.Text += fmt.Sprintf("; marks at %.0f, %.0f and %.0f %%: nearly full, no backfill, full", b.Near, b.Back, b.Full)
	}
	return b
}

// pgCount is a line of the legend.
type pgCount struct {
	Square
	Count int
}

// pgCounts is the legend of the squares.
func pgCounts(v *View) (list []pgCount) {
	for _, s := range v.Cluster.States {
		list = append(list, pgCount{squareOfState(s.State), s.Count})
	}
	return list
}
