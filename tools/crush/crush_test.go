package crush

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ebofs/cluster/crush"
	"ebofs/tools/verb"
)

// crushtool returns the path of the real tool, or skips.
func crushtool(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("crushtool")
	if err != nil {
		t.Skip("crushtool is not installed")
	}
	return path
}

// ours runs the verb.
func ours(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := Main(context.Background(), args, verb.Streams{Program: "ebofs", Out: &out, Err: &errs}); code != 0 {
		t.Fatalf("%v: exit %d: %s", args, code, errs.String())
	}
	return out.String()
}

// TestAgainstCrushtool: what test prints is what the real tool prints, line by line.
func TestAgainstCrushtool(t *testing.T) {
	tool := crushtool(t)
	for _, c := range []struct {
		golden string
		args   []string // of ours; the real tool has "--weight 3 0.5" for "--weight 3=0.5"
	}{
		{"08-nested-straw2-jewel", []string{"--min-x", "0", "--max-x", "19", "--show-statistics"}},
		{"10-nested-mostly-out", []string{"--rule", "3", "--num-rep", "4", "--show-mappings", "--show-bad-mappings", "--show-statistics", "--show-utilization",
			"--weight", "0=0", "--weight", "1=0", "--weight", "2=0", "--weight", "9=0.25", "--weight", "30=0"}},
		{"17-device-classes", []string{"--show-utilization", "--min-x", "7", "--max-x", "40"}},
		{"18-choose-args", []string{"--rule", "0", "--num-rep", "3", "--show-mappings", "--min-x", "0", "--max-x", "50"}},
		{"19-choose-args-default", []string{"--rule", "0", "--num-rep", "3", "--show-mappings", "--min-x", "0", "--max-x", "50"}},
		{"21-gaps-empty-buckets", []string{"--show-bad-mappings", "--x", "5"}},
		{"22-large", []string{"--pool-id", "5", "--num-rep", "3", "--show-mappings", "--min-x", "0", "--max-x", "200"}},
	} {
		p, err := os.ReadFile(filepath.Join("../../cluster/testdata/crush", c.golden+".b64"))
		if err != nil {
			t.Fatal(err)
		}
		p, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(p)), ""))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "map")
		if err := os.WriteFile(path, p, 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"-i", path, "--test"}
		for _, a := range c.args {
			args = append(args, strings.Split(a, "=")...)
		}
		// Mappings go to stdout, the rest to stderr: their order together is that
		// of the lines of each.
		var both bytes.Buffer
		cmd := exec.Command(tool, args...)
		cmd.Stdout, cmd.Stderr = &both, &both
		if err := cmd.Run(); err != nil {
			t.Fatal(err, both.String())
		}
		got := ours(t, append([]string{"test", path}, c.args...)...)
		if want := both.String(); got != want {
			a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
			i := 0
			for i < min(len(a), len(b)) && a[i] == b[i] {
				i++
			}
			t.Errorf("%s: %d lines, want %d; from line %d\n got %.200q\nwant %.200q", c.golden, len(a), len(b), i, strings.Join(a[i:], "\n"), strings.Join(b[i:], "\n"))
		}
	}
}

// bigText is a map of 40 racks of 25 hosts of 24 devices.
func bigText() []byte {
	text := []byte("tunable choose_local_tries 0\ntunable choose_local_fallback_tries 0\ntunable choose_total_tries 50\n" +
		"tunable chooseleaf_descend_once 1\ntunable chooseleaf_vary_r 1\ntunable chooseleaf_stable 1\ntunable straw_calc_version 1\ntunable allowed_bucket_algs 54\n")
	f := func(format string, args ...any) { text = fmt.Appendf(text, format, args...) }
	const racks, hosts, devices = 40, 25, 24
	for id := range racks * hosts * devices {
		f("device %d osd.%d\n", id, id)
	}
	f("type 0 osd\ntype 1 host\ntype 2 rack\ntype 3 root\n")
	for h := range racks * hosts {
		f("host h%d {\nalg straw2\nhash 0\n", h)
		for d := range devices {
			f("item osd.%d weight %d.%d\n", h*devices+d, 1+d%2, d%10)
		}
		f("}\n")
	}
	for r := range racks {
		f("rack r%d {\nalg straw2\nhash 0\n", r)
		for h := range hosts {
			f("item h%d\n", r*hosts+h)
		}
		f("}\n")
	}
	f("root default {\nalg straw2\nhash 0\n")
	for r := range racks {
		f("item r%d\n", r)
	}
	f("}\nrule rep {\nid 0\ntype replicated\nmin_size 1\nmax_size 10\nstep take default\nstep chooseleaf firstn 0 type host\nstep emit\n}\n")
	f("rule ec {\nid 1\ntype erasure\nmin_size 1\nmax_size 20\nstep set_chooseleaf_tries 5\nstep set_choose_tries 100\nstep take default\nstep chooseleaf indep 0 type rack\nstep emit\n}\n")
	return text
}

// BenchmarkTest maps 50000 inputs on a map of 24000 devices by the verb and by the
// real tool, each from reading the map to the last line, and reports the CPU time
// of each.
func BenchmarkTest(b *testing.B) {
	tool := crushtool(b)
	m, err := crush.Compile(bigText())
	if err != nil {
		b.Fatal(err)
	}
	p, err := m.Encode()
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "map")
	if err := os.WriteFile(path, p, 0o600); err != nil {
		b.Fatal(err)
	}
	const inputs = 50000
	report := func(b *testing.B, cpu time.Duration) {
		n := float64(b.N) * inputs
		b.ReportMetric(n/cpu.Seconds(), "mappings/cpu-s")
		b.ReportMetric(float64(cpu.Microseconds())/n, "cpu-µs/mapping")
		b.ReportMetric(n/b.Elapsed().Seconds(), "mappings/s")
		b.ReportMetric(0, "ns/op")
	}
	for _, c := range []struct{ name, rule, copies string }{{"replicated", "0", "3"}, {"erasure", "1", "6"}} {
		args := []string{"--rule", c.rule, "--num-rep", c.copies, "--min-x", "0", "--max-x", fmt.Sprint(inputs - 1), "--show-statistics"}
		b.Run(c.name+"/ebofs", func(b *testing.B) {
			start := usage(b)
			for b.Loop() {
				if code := Main(context.Background(), append([]string{"test", path}, args...), verb.Streams{Out: &bytes.Buffer{}}); code != 0 {
					b.Fatal(code)
				}
			}
			report(b, usage(b)-start)
		})
		b.Run(c.name+"/crushtool", func(b *testing.B) {
			var cpu time.Duration
			for b.Loop() {
				cmd := exec.Command(tool, append([]string{"-i", path, "--test"}, args...)...)
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatal(err, string(out))
				}
				cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			}
			report(b, cpu)
		})
	}
}

// usage returns the CPU time of this process.
func usage(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
