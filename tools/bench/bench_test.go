package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
)

var ctx = context.Background()

func memory(bytes uint64) *devices.Mem {
	return devices.NewMem(devices.MemOptions{Blocks: bytes / devices.BlockSize})
}

// TestRun measures everything for a moment and checks what must be true of any
// machine: every row is there and plausible, and the store is left clean.
func TestRun(t *testing.T) {
	dev := memory(MinBytes)
	var seen []string
	phases := map[string]bool{}
	rep, err := Run(ctx, dev, Options{
		Depths: []int{2}, Duration: 60 * time.Millisecond, Rounds: 2, RangeKeys: 20_000, MemoryBytes: coldMemory,
		OnRow:    func(r Row) { seen = append(seen, r.Workload) },
		Progress: func(phase string, done, total int64) { phases[phase] = done <= total },
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, Workloads()) || len(rep.Rows) != len(seen) {
		t.Errorf("rows %v, want %v", seen, Workloads())
	}
	for _, r := range rep.Rows {
		if r.Depth != 2 || r.Ops == 0 || r.OpsPerS <= 0 || r.MiBPerS <= 0 || r.P50US <= 0 || r.P99US < r.P50US ||
			r.CPUUS <= 0 || r.RawOpsPerS <= 0 || r.RawP50US <= 0 || r.RatioRaw <= 0 {
			t.Errorf("implausible: %+v", r)
		}
		writes := strings.Contains(r.Workload, "write") || r.Workload == "group4k" || r.Workload == "create" || r.Workload == "omap_set" || r.Workload == "omap_rmrange"
		if writes != (r.WriteAmp > 0) || writes != (r.Flushes > 0) {
			t.Errorf("%s: write amplification %v, flushes %v", r.Workload, r.WriteAmp, r.Flushes)
		}
		if (r.Workload == "write4k" || r.Workload == "write4m") && r.WriteAmp < 1 {
			t.Errorf("%s wrote less than it was given: %v", r.Workload, r.WriteAmp)
		}
	}
	for _, p := range []string{"fill", "objects", "read4m, depth 2"} {
		if !phases[p] {
			t.Errorf("no progress of %q, or beyond its total", p)
		}
	}
	s, err := ebofs.Open(ctx, dev, ebofs.Options{ReadOnly: true})
	if err != nil {
		t.Fatalf("the scratch store: %v", err)
	}
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

// TestRefused lists what is refused before anything is written.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		bytes uint64
		o     Options
		want  error
		text  string
	}{
		{MinBytes / 2, Options{}, ErrTooSmall, "134217728"},
		{MinBytes, Options{Bytes: 1 << 20}, ErrTooSmall, "1048576"},
		{MinBytes, Options{Workloads: []string{"write4k", "wirte4k"}}, ErrOptions, `"wirte4k"`},
		{MinBytes, Options{Workloads: []string{"write4m"}, Depths: []int{64}}, ErrTooSmall, "write4m at depth 64"},
		{MinBytes, Options{Depths: []int{0}}, ErrOptions, "depth 0"},
		{MinBytes, Options{Depths: []int{1, 5000}}, ErrOptions, "depth 5000"},
		{MinBytes, Options{Duration: -1}, ErrOptions, "negative"},
	} {
		dev := memory(c.bytes)
		empty := dev.Hash()
		_, err := Run(ctx, dev, c.o)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v", c.o, err)
		}
		if dev.Hash() != empty {
			t.Errorf("%+v: the device was written", c.o)
		}
	}
}

// TestStops checks that a failing device and an ended context stop the run with
// their error, whichever side they hit.
func TestStops(t *testing.T) {
	broken := errors.New("broken")
	for _, phase := range []string{"fill", "write4k, depth 3"} {
		for _, cancelled := range []bool{false, true} {
			armed := false
			dev := devices.NewMem(devices.MemOptions{Blocks: MinBytes / devices.BlockSize,
				Hook: func(_ context.Context, op devices.Op, _ devices.Block, _ uint64) error {
					if armed && !cancelled && op == devices.OpWrite {
						return broken
					}
					return nil
				}})
			c, cancel := context.WithCancel(ctx)
			want := broken
			if cancelled {
				want = context.Canceled
			}
			_, err := Run(c, dev, Options{
				Workloads: []string{"write4k"}, Depths: []int{3}, Duration: time.Minute, MemoryBytes: coldMemory,
				Progress: func(p string, done, _ int64) {
					if p == phase && !armed {
						if armed = true; cancelled {
							cancel()
						}
					}
				},
			})
			cancel()
			if !errors.Is(err, want) {
				t.Errorf("%s, cancelled %v: %v", phase, cancelled, err)
			}
		}
	}
}

// TestTable pins what people and programs see.
func TestTable(t *testing.T) {
	rep := Report{Bytes: 4 << 30, StoreBytes: 3 << 30, Seconds: 2, Processors: 2, Rows: []Row{
		{Workload: "write4k", Depth: 64, Ops: 61234, OpsPerS: 30617, MiBPerS: 119.6, P50US: 1900.4, P99US: 12345, CPUUS: 18.25,
			WriteAmp: 2.41, Flushes: 0.034, RawOpsPerS: 9500, RawMiBPerS: 74.2, RawP50US: 6543, RawP99US: 20000, RawCPUUS: 40, RatioRaw: 3.22},
		{Workload: "omap_get", Depth: 1, Ops: 2, OpsPerS: 1_234_567, MiBPerS: 117.7, P50US: 0.5, P99US: 2, CPUUS: 0.6, RawOpsPerS: 99.5, RawP50US: 1.5e6, RatioRaw: 12408},
	}}
	var out strings.Builder
	rep.Table(&out)
	want := `workload      depth      ops/s    MiB/s       p50       p99   CPU/op  written  flush/op |    raw/s    raw p50  ratio
write4k          64     30.6 k    119.6   1900 µs   12.3 ms  18.2 µs    2.41×     0.034 |     9500    6543 µs   3.22
omap_get          1     1.23 M    117.7    0.5 µs    2.0 µs   0.6 µs        -         - |     99.5     1.50 s 12408.00
`
	if out.String() != want {
		t.Errorf("table:\n%s\nwant:\n%s", out.String(), want)
	}
	p, err := json.Marshal(rep.Rows[0])
	if err != nil {
		t.Fatal(err)
	}
	const js = `{"workload":"write4k","depth":64,"ops":61234,"ops_per_s":30617,"mib_per_s":119.6,"p50_us":1900.4,"p99_us":12345,"cpu_us_per_op":18.25,` +
		`"write_amp":2.41,"flushes_per_op":0.034,"raw_ops_per_s":9500,"raw_mib_per_s":74.2,"raw_p50_us":6543,"raw_p99_us":20000,"raw_cpu_us_per_op":40,"ratio_raw":3.22}`
	if string(p) != js {
		t.Errorf("JSON %s, want %s", p, js)
	}
}

// TestRegion checks that raw I/O stays in its region.
func TestRegion(t *testing.T) {
	var at []string
	dev := devices.NewMem(devices.MemOptions{Blocks: 4096, Hook: func(_ context.Context, op devices.Op, b devices.Block, n uint64) error {
		if op != devices.OpFlush && (b < 1000 || uint64(b)+n > 1005) {
			t.Errorf("%v of %d~%d outside the region", op, b, n)
		}
		at = append(at, fmt.Sprintf("%v %d", op, b))
		return nil
	}})
	r := region{dev, 1000, 5}
	last := func(n uint64) uint64 { return n - 1 }
	for _, c := range []struct {
		k     raw
		one   call
		times int
		want  string
	}{
		{rawCommit, r.caller(rawCommit, 0, 1, last, ordinary(rawCommit.bytes)), 3, "[write 1000 flush 0 write 1002 flush 0 write 1000 flush 0]"},
		{rawGroup, r.callers(ctx, rawGroup, 1, nil, []devices.Vec{ordinary(rawGroup.bytes)})(0), 6, "[write 1000 flush 0 write 1001 flush 0 write 1002 flush 0 write 1003 flush 0 write 1004 flush 0 write 1000 flush 0]"},
		{rawRead, r.caller(rawRead, 0, 1, last, ordinary(rawRead.bytes)), 2, "[read 1004 read 1004]"},
	} {
		at = nil
		for range c.times {
			if _, n, err := c.one(ctx); err != nil || n != int64(c.k.bytes) {
				t.Fatal(n, err)
			}
		}
		if fmt.Sprint(at) != c.want {
			t.Errorf("I/O %v, want %s", at, c.want)
		}
	}
}
