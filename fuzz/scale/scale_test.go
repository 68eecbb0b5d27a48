package scale

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
)

var (
	objects = flag.String("objects", "1e4,1e5,1e6", "numbers of objects, ascending")
	budgets = flag.String("budgets", "256,2048", "memory budgets in MiB")
	image   = flag.String("image", "", "image file or device to use; it is kept, and so is what an earlier run has filled")
	filled  = flag.Int("filled", 0, "objects that are on -image already")
	fillMiB = flag.Int64("fill-budget", 2048, "memory budget while filling, in MiB")
	ordered = flag.Int("ordered", 1e6, "from so many objects on make more in the order of their keys, which is quicker")
	profile = flag.String("profile", "", "directory for CPU profiles of the children")
)

// imageBytes is the size of a new image, which is sparse.
const imageBytes = 14 << 30

// run runs a child to its end, or kills it as soon as it asks for that.
func run(t testing.TB, j job) said {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	spec, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childVariable+"="+string(spec))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var last said
	killed := false
	for r := bufio.NewScanner(out); r.Scan(); {
		if err := json.Unmarshal(r.Bytes(), &last); err != nil {
			t.Errorf("child said %q: %v", r.Text(), err)
		}
		if last.Full {
			killed = true
			last.PeakBytes = peakOf(cmd.Process.Pid)
			_ = cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); err != nil && !killed {
		t.Fatalf("%s: %v: %s", j.What, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return last
}

// numbers parses a list like "1e4,1e6".
func numbers(t testing.TB, list string) (out []int) {
	for _, f := range strings.Split(list, ",") {
		x, err := strconv.ParseFloat(f, 64)
		if err != nil || x < 1 || x > 1e9 || x != math.Trunc(x) {
			t.Fatalf("%q in %q: want numbers from 1 to 1e9", f, list)
		}
		out = append(out, int(x))
	}
	return out
}

func format(t testing.TB, path string, bytes int64) {
	t.Helper()
	dev, err := devices.OpenFile(path, devices.FileOptions{CreateBytes: uint64(bytes)})
	if err == nil {
		_, err = ebofs.Format(context.Background(), dev, ebofs.FormatOptions{})
		dev.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// round is a load that is killed, a mount after that, and one after a clean stop.
type round struct{ load, crash, clean said }

func measure(t testing.TB, path string, n int, budget, dirty int64) (r round) {
	t.Helper()
	r.load = run(t, job{What: "load", Image: path, N: n, Budget: budget, Dirty: dirty})
	if !r.load.Full {
		t.Fatal("the load ended by itself")
	}
	r.crash = run(t, job{What: "mount", Image: path, Budget: budget, Profile: profileOf("crash", n, budget>>20)})
	r.clean = run(t, job{What: "mount", Image: path, Budget: budget, Profile: profileOf("clean", n, budget>>20)})
	return r
}

// profileOf is the file for a child's profile, if there is to be one.
func profileOf(what string, n int, budgetMiB int64) string {
	if *profile == "" {
		return ""
	}
	return filepath.Join(*profile, fmt.Sprintf("%s-%d-%d.pprof", what, n, budgetMiB))
}

// short is a duration to two digits or so.
func short(d time.Duration) string {
	if d < 100*time.Millisecond {
		return fmt.Sprintf("%.2g ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// power is n as people write it.
func power(n int) string {
	if e := math.Log10(float64(n)); e == math.Trunc(e) {
		return fmt.Sprintf("10^%.0f", e)
	}
	return strconv.Itoa(n)
}

// BenchmarkScale prints the table of docs/performance.md: one run of each, b.N is
// ignored.
func BenchmarkScale(b *testing.B) {
	path := *image
	if path == "" {
		path = filepath.Join(b.TempDir(), "image")
	}
	if *filled == 0 {
		format(b, path, imageBytes)
	}
	var fills, table strings.Builder
	have := *filled
	for _, n := range numbers(b, *objects) {
		if n > have {
			f := run(b, job{What: "fill", Image: path, From: have, N: n, Ordered: have >= *ordered, Budget: *fillMiB << 20, Profile: profileOf("fill", n, *fillMiB)})
			made := float64(n - have)
			fmt.Fprintf(&fills, "| %s | %.0f/s | %.0f µs | %.1f KiB | %d | %d MiB |\n", power(n), made/f.Seconds, float64(f.CPU.Microseconds())/made,
				float64(f.Written)/made/1024, f.Checkpoints, f.PeakBytes>>20)
			fmt.Fprint(os.Stderr, "fill ", fills.String()[strings.LastIndex(strings.TrimSuffix(fills.String(), "\n"), "\n")+1:])
			have = n
		}
		for _, m := range numbers(b, *budgets) {
			r := measure(b, path, n, int64(m)<<20, 0)
			line := fmt.Sprintf("| %s, %d MiB | %s | %s | %s | %d in %d MiB | %d | %d MiB | %d MiB | %d B |\n", power(n), m, short(r.clean.Mount), short(r.crash.Mount),
				short(r.crash.MountCPU), r.crash.Records, r.crash.LogBytes>>20, r.crash.Onodes, r.load.PeakBytes>>20, max(r.crash.PeakBytes, r.clean.PeakBytes)>>20, r.clean.MetaBytes/uint64(r.clean.Objects))
			table.WriteString(line)
			fmt.Fprint(os.Stderr, line)
		}
	}
	fmt.Printf("\n| objects | creates | CPU each | written each | checkpoints | peak resident |\n| --- | --- | --- | --- | --- | --- |\n%s\n", fills.String())
	fmt.Printf("| objects, budget | mount clean | mount after SIGKILL | CPU of that | records | of objects | peak resident, load | peak resident, mounts | metadata an object |\n"+
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n%s\n", table.String())
}

// TestScale takes the measurement of few objects, and looks whether what it
// measures is right: the store is sound and all objects are there.
func TestScale(t *testing.T) {
	const n = 5000
	path := filepath.Join(t.TempDir(), "image")
	format(t, path, 2<<30)
	run(t, job{What: "fill", Image: path, N: n, Budget: 256 << 20})
	r := measure(t, path, n, 256<<20, 1<<20)
	if r.crash.Records == 0 {
		t.Error("nothing was in the log after SIGKILL")
	}
	if r.clean.Records != 0 {
		t.Errorf("%d records replayed after a clean stop", r.clean.Records)
	}
	if r.clean.Objects < n {
		t.Errorf("%d objects, want at least %d", r.clean.Objects, n)
	}
	dev, err := devices.OpenFile(path, devices.FileOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	rep, err := check.Run(context.Background(), dev, check.Options{Level: check.Full})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range rep.Problems {
		t.Error(p)
	}
}
