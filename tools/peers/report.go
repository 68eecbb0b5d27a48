package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// report is what a run found; its JSON form holds every row.
type report struct {
	Options  params            `json:"options"`
	Machine  string            `json:"machine"`
	Settings map[string]string `json:"settings"` // of each peer, for the reader
	rows     []Row
	rounds   int
}

func newReport(o params) *report {
	r := &report{Options: o, Machine: machine(), Settings: map[string]string{}}
	for _, name := range o.Peers {
		p, _ := peerNamed(name)
		r.Settings[name] = p.setting
	}
	return r
}

func (r *report) add(rows []Row) {
	r.rows = append(r.rows, rows...)
	r.rounds++
}

// cellKey names a cell of a peer.
type cellKey struct {
	op    string
	bytes int
	depth int
	peer  string
}

// sum is a cell over the rounds that count.
type sum struct {
	rows  []Row
	ratio float64 // its rate over ours, median of the rounds both have
	paid  float64 // the same with the time to settle counted
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	n := len(list)
	return (list[(n-1)/2] + list[n/2]) / 2
}

// of returns the median of one figure.
func (s *sum) of(f func(*Row) float64) float64 {
	var list []float64
	for i := range s.rows {
		list = append(list, f(&s.rows[i]))
	}
	return median(list)
}

func (s *sum) span(f func(*Row) float64) (lo, hi float64) {
	for i := range s.rows {
		v := f(&s.rows[i])
		if i == 0 {
			lo = v
		}
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

// sums reduces the rows. With best, only as many rounds of a cell count: those
// that others disturbed least, whatever came out.
func sums(rows []Row, best int) map[cellKey]*sum {
	all := map[cellKey]*sum{}
	byRound := map[cellKey]map[int]*Row{}
	for i := range rows {
		r := &rows[i]
		k := cellKey{r.Op, r.Bytes, r.Depth, r.Peer}
		if all[k] == nil {
			all[k], byRound[k] = &sum{}, map[int]*Row{}
		}
		all[k].rows = append(all[k].rows, *r)
		byRound[k][r.Round] = r
	}
	for k, s := range all {
		slices.SortStableFunc(s.rows, func(a, b Row) int {
			switch {
			case a.disturbed() < b.disturbed():
				return -1
			case a.disturbed() > b.disturbed():
				return 1
			}
			return 0
		})
		if best > 0 && len(s.rows) > best {
			s.rows = s.rows[:best]
		}
		base := k
		base.peer = ours
		var rates, paid []float64
		for i := range s.rows {
			r := &s.rows[i]
			if our := byRound[base][r.Round]; our != nil && our.PerS > 0 {
				rates = append(rates, r.PerS/our.PerS)
				paid = append(paid, r.paid()/our.paid())
			}
		}
		s.ratio, s.paid = median(rates), median(paid)
	}
	return all
}

// table is one table: a line a cell, a column a peer.
type table struct {
	title string
	only  func(op string) bool
	text  func(s *sum, peer string) string
}

func writes(op string) bool { return op == opPut || op == opOver }

var tables = []table{
	{"Operations a second (lowest–highest round), and the rate as a multiple of ours in the same round", nil, func(s *sum, peer string) string {
		lo, hi := s.span(func(r *Row) float64 { return r.PerS })
		text := count(s.of(func(r *Row) float64 { return r.PerS }))
		if len(s.rows) > 1 {
			text += fmt.Sprintf(" (%s–%s)", count(lo), count(hi))
		}
		if peer != ours && s.ratio > 0 {
			text += fmt.Sprintf(" ×%.2f", s.ratio)
		}
		return text
	}},
	{"Latency, µs: p50, p99", func(op string) bool { return op != opScan }, func(s *sum, _ string) string {
		return count(s.of(func(r *Row) float64 { return r.P50US })) + ", " + count(s.of(func(r *Row) float64 { return r.P99US }))
	}},
	{"CPU, µs an operation: of the peer's process, of the whole machine", nil, func(s *sum, _ string) string {
		return count(s.of(func(r *Row) float64 { return r.CPUUS })) + ", " + count(s.of(func(r *Row) float64 { return r.AllUS }))
	}},
	{"Durable writes: bytes the device wrote for a byte put; flushes an operation; seconds to settle what was owed", writes, func(s *sum, _ string) string {
		return fmt.Sprintf("%.2f; %.3f; %.1f", s.of(func(r *Row) float64 { return r.Written }), s.of(func(r *Row) float64 { return r.Flushes }), s.of(func(r *Row) float64 { return r.Settle }))
	}},
	{"Durable writes a second with the time to settle counted, and as a multiple of ours", writes, func(s *sum, peer string) string {
		text := count(s.of((*Row).paid))
		if peer != ours && s.paid > 0 {
			text += fmt.Sprintf(" ×%.2f", s.paid)
		}
		return text
	}},
	{"Reads: bytes the device read for a byte asked for", func(op string) bool { return !writes(op) }, func(s *sum, _ string) string {
		return fmt.Sprintf("%.2f", s.of(func(r *Row) float64 { return r.Read }))
	}},
}

// markdown writes conditions, settings and tables.
func (r *report) markdown(w io.Writer) {
	o := &r.Options
	all := sums(r.rows, o.Best)
	var foreign, steal []float64
	for i := range r.rows {
		foreign, steal = append(foreign, r.rows[i].Foreign), append(steal, r.rows[i].Steal)
	}
	fmt.Fprintf(w, "%s. A loop device of %s with direct I/O, %s of objects loaded, caches of %s (%s for cold reads), cells of up to %g s or %s; medians of %d rounds",
		r.Machine, size(o.Device), size(o.Data), size(o.Memory), size(coldMemory), o.Seconds, size(o.Data), r.rounds)
	if o.Best > 0 && o.Best < r.rounds {
		fmt.Fprintf(w, ", of which the %d least disturbed count", o.Best)
	}
	fmt.Fprintf(w, ". Other processes took %.2f cores meanwhile (median; at most %.2f), the hypervisor %.2f (at most %.2f).\n\n",
		median(foreign), slices.Max(foreign), median(steal), slices.Max(steal))
	for _, name := range o.Peers {
		fmt.Fprintf(w, "- %s: %s\n", name, r.Settings[name])
	}
	for _, t := range tables {
		r.table(w, t, all)
	}
	r.behind(w, all)
}

// behind names the durable writes in which another store was quicker than ours.
// The raw device is no store, and what a crash leaves half done is told apart.
func (r *report) behind(w io.Writer, all map[cellKey]*sum) {
	for _, torn := range []bool{false, true} {
		of := "other stores"
		if torn {
			of = "what a crash may leave half done"
		}
		r.behindOf(w, all, torn, of)
	}
}

func (r *report) behindOf(w io.Writer, all map[cellKey]*sum, torn bool, of string) {
	var list, paid []string
	cells := 0
	r.cells(func(k cellKey) {
		p, _ := peerNamed(k.peer)
		s := all[k]
		if s == nil || s.ratio == 0 || p.fs == "" || p.torn != torn || !writes(k.op) {
			return
		}
		if cells++; s.ratio > 1 {
			list = append(list, fmt.Sprintf("%s at %s ×%.2f", k.peer, k.title(), s.ratio))
		}
		if s.paid > 1 {
			paid = append(paid, fmt.Sprintf("%s at %s ×%.2f", k.peer, k.title(), s.paid))
		}
	})
	if cells > 0 {
		named := func(list []string) string {
			if len(list) == 0 {
				return "0"
			}
			return fmt.Sprintf("%d (%s)", len(list), strings.Join(list, "; "))
		}
		fmt.Fprintf(w, "\nOf %d cells of durable writes of %s, quicker than ours were %s; with the time to settle counted %s.\n", cells, of, named(list), named(paid))
	}
}

// cells calls fn for every cell there may be, in the order of the report.
func (r *report) cells(fn func(cellKey)) {
	for _, op := range allOps {
		for _, v := range r.Options.Values {
			for _, depth := range depthsOf(op, int(v)) {
				for _, peer := range r.Options.Peers {
					fn(cellKey{op, int(v), depth, peer})
				}
			}
		}
	}
}

func (k *cellKey) title() string {
	return fmt.Sprintf("%s, %s, %d", k.op, size(int64(k.bytes)), k.depth)
}

func (r *report) table(w io.Writer, t table, all map[cellKey]*sum) {
	var lines []string
	line, any, n := "", false, 0
	r.cells(func(k cellKey) {
		if n == 0 {
			line, any = "| "+k.title()+" |", false
		}
		text := ""
		if s := all[k]; s != nil {
			text, any = t.text(s, k.peer), true
		}
		line += " " + text + " |"
		if n = (n + 1) % len(r.Options.Peers); n == 0 && any && (t.only == nil || t.only(k.op)) {
			lines = append(lines, line)
		}
	})
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n\n| operation, value, depth | %s |\n| --- |%s\n%s\n", t.title, strings.Join(r.Options.Peers, " | "),
		strings.Repeat(" ---: |", len(r.Options.Peers)), strings.Join(lines, "\n"))
}

// document is the JSON form.
type document struct {
	Schema string `json:"schema"`
	*report
	Rows []Row `json:"rows"`
}

const schema = "ebofs.peers/1"

// write writes everything as JSON.
func (r *report) write(path string) error {
	text, err := json.MarshalIndent(document{schema, r, r.rows}, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// read reads what write wrote.
func read(path string) (*report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := document{report: new(report)}
	if err := json.Unmarshal(text, &d); err != nil || d.Schema != schema || len(d.Rows) == 0 {
		return nil, fmt.Errorf("%s: no rows of schema %s", path, schema)
	}
	for _, name := range d.Options.Peers {
		if _, err := peerNamed(name); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	d.rows = d.Rows
	for i := range d.rows {
		d.rounds = max(d.rounds, d.rows[i].Round)
	}
	return d.report, nil
}

// machine says what it ran on.
func machine() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	model := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%d processors (%s), Linux %s, %s", runtime.NumCPU(), model, unix.ByteSliceToString(u.Release[:]), runtime.Version())
}

// count writes a number with three digits or so.
func count(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.2f M", n/1e6)
	case n >= 1e5:
		return fmt.Sprintf("%.0f k", n/1e3)
	case n >= 1e4:
		return fmt.Sprintf("%.1f k", n/1e3)
	case n >= 100:
		return fmt.Sprintf("%.0f", n)
	case n >= 10:
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.2f", n)
}
