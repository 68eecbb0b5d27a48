package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"ebofs/devices"
	"ebofs/ebofs"
)

// AgeReport is the result of ageing; its JSON form is the schema ebofs.age/1.
type AgeReport struct {
	Bytes       int64    `json:"bytes"`       // of the device that were used
	StoreBytes  int64    `json:"store_bytes"` // of them, the store that was aged
	StripeBytes int64    `json:"stripe_bytes"`
	Hard        bool     `json:"hard"`
	Seconds     float64  `json:"seconds"` // of each cell and side
	Processors  int      `json:"processors"`
	Fill        float64  `json:"fill"`
	Rounds      float64  `json:"rounds"`
	Seed        uint64   `json:"seed"`
	States      []State  `json:"states"`
	Ageing      Ageing   `json:"ageing"`
	Rows        []AgeRow `json:"rows,omitempty"`
}

// State is how the store lies: filled, aged, and after it was measured.
type State struct {
	Name        string           `json:"state"`
	Objects     uint64           `json:"objects"`
	Used        int64            `json:"used_bytes"`
	Available   int64            `json:"available_bytes"`
	Limbo       int64            `json:"limbo_bytes"`
	Meta        int64            `json:"meta_bytes"`
	Fill        float64          `json:"fill"`
	Score       float64          `json:"score"` // of free space: 0 if it is all whole stripes
	LargestFree int64            `json:"largest_free_bytes"`
	FreeRuns    map[string]int64 `json:"free_runs"` // by their least length in bytes

	Fragments     float64 `json:"fragments"`      // runs of blocks an object lies in, the mean
	FragmentBytes float64 `json:"fragment_bytes"` // the mean of their lengths
}

// Ageing is what was done between filled and aged.
type Ageing struct {
	Seconds    float64          `json:"seconds"`
	CPUSeconds float64          `json:"cpu_seconds"`
	Steps      int64            `json:"steps"`
	Refused    int64            `json:"refused"` // steps the store had no room for
	UserBytes  int64            `json:"user_bytes"`
	Written    map[string]int64 `json:"written"` // by purpose
	WriteAmp   float64          `json:"write_amp"`

	Defrag *ebofs.DefragResult `json:"defrag,omitempty"` // at its end
}

// AgeRow is one cell on one of the two stores.
type AgeRow struct {
	Store    string           `json:"store"` // fresh or aged
	Op       string           `json:"op"`
	IOBytes  int              `json:"io_bytes"`
	Depth    int              `json:"depth"`
	Ops      int64            `json:"ops"`
	Refused  int64            `json:"refused"` // writes there was no room for
	OpsPerS  float64          `json:"ops_per_s"`
	MiBPerS  float64          `json:"mib_per_s"`
	P50US    float64          `json:"p50_us"`
	P99US    float64          `json:"p99_us"`
	CPUUS    float64          `json:"cpu_us_per_op"`
	WriteAmp float64          `json:"write_amp"`
	Written  map[string]int64 `json:"written,omitempty"` // by purpose, as the store counts
	Device   int64            `json:"device_bytes"`      // written, as its device counts
	IOs      float64          `json:"ios_per_op"`        // I/Os of the device
	Flushes  float64          `json:"flushes_per_op"`

	RawOpsPerS float64 `json:"raw_ops_per_s"`
	RawMiBPerS float64 `json:"raw_mib_per_s"`
	RawP50US   float64 `json:"raw_p50_us"`
	RatioRaw   float64 `json:"ratio_raw"`
}

// draw writes the picture of a report of writes of many sizes, and its figures beside
// it.
func (r AgeReport) draw(path string) error {
	lines := []series{{name: "raw"}, {name: "fresh"}, {name: "aged"}}
	depth := 0
	for _, row := range r.Rows {
		if row.Op != "write" {
			continue
		}
		depth = max(depth, row.Depth)
		p := point{row.IOBytes, row.MiBPerS}
		switch row.Store {
		case "fresh":
			lines[0].points = append(lines[0].points, point{row.IOBytes, row.RawMiBPerS})
			lines[1].points = append(lines[1].points, p)
		case "aged":
			lines[2].points = append(lines[2].points, p)
		}
	}
	notes := []string{
		fmt.Sprintf("%d callers at most, random places. raw: each write flushed; fresh, aged: the engine, checkpoints included.", depth),
		fmt.Sprintf("aged: %.0f %% full, its space written %.3g times over by a mix of operations; score %.2f.", 100*r.Fill, r.Rounds, r.score()),
	}
	var svg bytes.Buffer
	if err := chart(&svg, "Durable writes: throughput against size", notes, lines); err != nil {
		return err
	}
	figures, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, svg.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(strings.TrimSuffix(path, ".svg")+".json", append(figures, '\n'), 0o644)
}

// score is that of the aged store.
func (r AgeReport) score() float64 {
	for _, s := range r.States {
		if s.Name == "aged" {
			return s.Score
		}
	}
	return 0
}

// byPurpose is w for JSON.
func byPurpose(w ebofs.Written) map[string]int64 {
	m := map[string]int64{}
	for p, n := range w {
		m[ebofs.Purpose(p).String()] = n
	}
	return m
}

func ageRowOf(name string, c Cell, depth int, raw, s *side, t *tally) AgeRow {
	const us, mib = 1e3, 1 << 20
	r := AgeRow{
		Store: name, Op: "write", IOBytes: c.Bytes, Depth: depth, Ops: s.ops,
		OpsPerS: s.perSecond(float64(s.ops)), MiBPerS: s.perSecond(float64(s.bytes)) / mib,
		P50US: float64(s.latency.Quantile(0.5)) / us, P99US: float64(s.latency.Quantile(0.99)) / us, CPUUS: s.each(float64(s.cpu)) / us,
		IOs:        s.each(float64(t.writes)),
		RawOpsPerS: raw.perSecond(float64(raw.ops)), RawMiBPerS: raw.perSecond(float64(raw.bytes)) / mib, RawP50US: float64(raw.latency.Quantile(0.5)) / us,
	}
	if c.Read {
		r.Op, r.IOs = "read", s.each(float64(t.reads))
	} else if s.bytes > 0 {
		r.WriteAmp, r.Flushes, r.Written, r.Device = float64(t.bytes)/float64(s.bytes), s.each(float64(t.flushes)), byPurpose(t.written), t.bytes
	}
	if r.RawOpsPerS > 0 {
		r.RatioRaw = r.OpsPerS / r.RawOpsPerS
	}
	return r
}

// sizeName prints a power of two of bytes.
func sizeName(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// AgeHeader returns the first line of the table of rows.
func AgeHeader() string {
	return "store  op        size depth      ops/s    MiB/s       p50       p99   CPU/op  written   I/Os/op |  raw MiB/s  ratio"
}

// String returns the row as a line of the table.
func (r AgeRow) String() string {
	line := fmt.Sprintf("%-6s %-5s %8s %5d %10s %8.1f %9s %9s %8s %8s %9.3f | %10.1f %6.2f",
		r.Store, r.Op, sizeName(r.IOBytes), r.Depth, count(r.OpsPerS), r.MiBPerS, micros(r.P50US), micros(r.P99US), micros(r.CPUUS), times(r.WriteAmp), r.IOs, r.RawMiBPerS, r.RatioRaw)
	if r.Refused > 0 {
		line += fmt.Sprintf("  %d refused, no room", r.Refused)
	}
	return line
}

// String returns the state in a line.
func (s State) String() string {
	small := int64(0) // runs below a stripe of 64 KiB
	all := int64(0)
	for k, n := range s.FreeRuns {
		var bytes int64
		fmt.Sscan(k, &bytes)
		if all += n; bytes < devices.DefaultStripeBytes {
			small += n
		}
	}
	return fmt.Sprintf("%s: %d objects, %.1f %% in use, score %.3f, %d free runs, %d of them below 64 KiB, the longest %.1f MiB; an object in %.1f pieces of %.0f KiB",
		s.Name, s.Objects, 100*s.Fill, s.Score, all, small, float64(s.LargestFree)/(1<<20), s.Fragments, s.FragmentBytes/1024)
}

// String returns what ageing did in a line.
func (g Ageing) String() string {
	return fmt.Sprintf("aged for %.0f s: %d steps, %d refused, %.1f GiB written, %.2f× at the device, %.0f s of CPU",
		g.Seconds, g.Steps, g.Refused, float64(g.UserBytes)/(1<<30), g.WriteAmp, g.CPUSeconds)
}
