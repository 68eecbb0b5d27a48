package bench_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/tools/bench"
	"ebofs/tools/device"
	"ebofs/tools/verb"
)

// command runs "ebofs device args..." and returns exit code, stdout and stderr.
func command(args ...string) (int, string, string) {
	var out, talk bytes.Buffer
	code := verb.Main(context.Background(), device.Verb(bench.Action()), args, verb.Streams{Out: &out, Err: &talk, Program: "ebofs"})
	return code, out.String(), talk.String()
}

func image(t *testing.T, bytes int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	f, err := os.Create(path)
	if err == nil {
		err = f.Truncate(bytes)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAction runs the command twice on an image, for a program and for a person.
func TestAction(t *testing.T) {
	path := image(t, bench.MinBytes)
	code, out, talk := command("bench", "--workload", "write4k,create", "--depth", "1", "--seconds", "0.05", "--format", "json", path)
	if code != 0 {
		t.Fatalf("exit %d: %s%s", code, out, talk)
	}
	var doc struct {
		Schema string
		OK     bool
		Rows   []map[string]any
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if doc.Schema != bench.Schema || !doc.OK || len(doc.Rows) != 2 || strings.Count(out, `"rows"`) != 1 {
		t.Fatalf("document %s", out)
	}
	for _, field := range []string{"ops_per_s", "mib_per_s", "p50_us", "p99_us", "cpu_us_per_op", "write_amp", "flushes_per_op", "raw_ops_per_s", "ratio_raw"} {
		if n, ok := doc.Rows[0][field].(float64); !ok || n <= 0 {
			t.Errorf("%s is %v", field, doc.Rows[0][field])
		}
	}
	for _, r := range doc.Rows {
		e, _ := r["explained"].(map[string]any)
		written, _ := e["written"].(map[string]any)
		sum := 0.0
		for _, n := range written {
			sum += n.(float64)
		}
		stages, _ := e["stages"].(map[string]any)
		// An image has no counter of the kernel's.
		if disk, there := e["disk_bytes"]; sum == 0 || sum != e["device_bytes"] || disk != nil || !there || stages["log"] == nil || stages["apply"] == nil || e["log_flush"] == nil {
			t.Errorf("%v: %v by purpose: %v", r["workload"], sum, e)
		}
	}
	// The scratch store is gone, so nothing has to be forced now.
	code, out, talk = command("bench", "--workload", "create", "--depth", "2", "--seconds", "0.05", "--explain", path)
	if lines := strings.Split(out, "\n"); code != 0 || len(lines) != 5 || lines[0] != bench.Header() || !strings.HasPrefix(lines[1], "create ") ||
		!strings.HasPrefix(lines[2], "  bytes   log ") || !strings.Contains(lines[2], " of the user ") || strings.Contains(lines[2], "not the sum") || !strings.HasPrefix(lines[3], "  stages  admit ") {
		t.Errorf("exit %d: %s%s", code, out, talk)
	}
}

// TestActionRefuses lists what stops it before anything is written.
func TestActionRefuses(t *testing.T) {
	held := image(t, bench.MinBytes)
	dev, err := devices.OpenFile(held, devices.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ebofs.Format(context.Background(), dev, ebofs.FormatOptions{OSD: -1}); err != nil {
		t.Fatal(err)
	}
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{held}, 1, "holds store"},
		{[]string{"--force", held}, 1, "--destroy"},
		{[]string{image(t, 1<<20)}, 1, "too small"},
		{[]string{"--workload", "nonsense", image(t, bench.MinBytes)}, 2, `no workload "nonsense"`},
		{[]string{"--depth", "0", image(t, bench.MinBytes)}, 2, "depth 0"},
		{[]string{"--seconds", "0", image(t, bench.MinBytes)}, 2, "--seconds"},
		{[]string{"--size", "1MiB", image(t, bench.MinBytes)}, 2, "too small"},
		{[]string{filepath.Join(t.TempDir(), "absent")}, 1, "no such file"},
	} {
		path := c.args[len(c.args)-1]
		before := state(path)
		code, out, talk := command(append([]string{"bench"}, c.args...)...)
		if code != c.code || out != "" || !strings.Contains(talk, c.text) {
			t.Errorf("%q: exit %d, want %d: %s%s", c.args, code, c.code, out, talk)
		}
		if state(path) != before {
			t.Errorf("%q: the device was written", c.args)
		}
	}
}

// state is what a write would change: how much of a sparse file there is, and
// its beginning.
func state(path string) string {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return "absent"
	}
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.CopyN(h, f, 16<<20)
	return fmt.Sprintf("%d blocks %x %v", st.Blocks, h.Sum(nil), err)
}
