package bench

import (
	"fmt"
	"io"
	"strings"
)

// Report is the result of a run; its JSON form is the schema ebofs.bench/1.
type Report struct {
	Bytes      int64   `json:"bytes"`       // of the device that were used
	StoreBytes int64   `json:"store_bytes"` // of them, the scratch store
	Seconds    float64 `json:"seconds"`     // of each cell and side
	Processors int     `json:"processors"`
	Rows       []Row   `json:"rows,omitempty"`
}

// Row is one workload at one depth. Operations and what raw means are defined
// in the package's documentation.
type Row struct {
	Workload string  `json:"workload"`
	Depth    int     `json:"depth"`
	Ops      int64   `json:"ops"`
	OpsPerS  float64 `json:"ops_per_s"`
	MiBPerS  float64 `json:"mib_per_s"` // of the user's bytes
	P50US    float64 `json:"p50_us"`    // of a call
	P99US    float64 `json:"p99_us"`
	CPUUS    float64 `json:"cpu_us_per_op"`
	WriteAmp float64 `json:"write_amp"` // device bytes per byte of the user; 0 if nothing was written
	Flushes  float64 `json:"flushes_per_op"`

	RawOpsPerS float64 `json:"raw_ops_per_s"`
	RawMiBPerS float64 `json:"raw_mib_per_s"`
	RawP50US   float64 `json:"raw_p50_us"`
	RawP99US   float64 `json:"raw_p99_us"`
	RawCPUUS   float64 `json:"raw_cpu_us_per_op"`
	RatioRaw   float64 `json:"ratio_raw"` // OpsPerS / RawOpsPerS

	Explained *Explained `json:"explained,omitempty"` // of workloads that write
}

// Header returns the first line of the table, without a newline.
func Header() string {
	return "workload      depth      ops/s    MiB/s       p50       p99   CPU/op  written  flush/op |    raw/s    raw p50  ratio"
}

// String returns the row as a line of the table.
func (r Row) String() string {
	return fmt.Sprintf("%-12s %6d %10s %8.1f %9s %9s %8s %8s %9s | %8s %10s %6.2f",
		r.Workload, r.Depth, count(r.OpsPerS), r.MiBPerS, micros(r.P50US), micros(r.P99US), micros(r.CPUUS),
		times(r.WriteAmp), fraction(r.Flushes), count(r.RawOpsPerS), micros(r.RawP50US), r.RatioRaw)
}

// Table writes the rows for a person.
func (r Report) Table(w io.Writer) {
	fmt.Fprintln(w, Header())
	for _, row := range r.Rows {
		fmt.Fprintln(w, row)
	}
}

// count writes a rate with three digits or more.
func count(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.2f M", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1f k", n/1e3)
	case n >= 100:
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.1f", n)
}

// micros writes a time given in microseconds.
func micros(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.2f s", us/1e6)
	case us >= 1e4:
		return fmt.Sprintf("%.1f ms", us/1e3)
	case us >= 100:
		return fmt.Sprintf("%.0f µs", us)
	}
	return fmt.Sprintf("%.1f µs", us)
}

func times(n float64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f×", n)
}

func fraction(n float64) string {
	if n == 0 {
		return "-"
	}
	return strings.TrimSuffix(fmt.Sprintf("%.3f", n), "0")
}
