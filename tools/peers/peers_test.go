package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test program be the child as well.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childArg {
		os.Exit(child(os.Args[2]))
	}
	os.Exit(m.Run())
}

// tiny are flags of a run that only shows that everything works.
var tiny = []string{"--dir", ".", "--device", "384M", "--data", "4M", "--values", "4K", "--memory", "64M", "--seconds", "0.03", "--rounds", "1"}

// needsRoot skips where nothing can be measured.
func needsRoot(t *testing.T) {
	t.Helper()
	o, err := parse(tiny, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.able(); err != nil {
		t.Skip(err)
	}
}

// loops returns the files behind the loop devices of all runs there are.
func loops() (list []string) {
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, f := range files {
		if name, err := os.ReadFile(f); err == nil && strings.Contains(string(name), "/.peers-") {
			list = append(list, string(name))
		}
	}
	return list
}

// wait waits until there are no other loop devices than those of before.
func wait(t *testing.T, before []string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left := slices.DeleteFunc(loops(), func(name string) bool { return slices.Contains(before, name) })
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("left behind: %q", left)
		}
	}
}

// TestPeers lets every peer do everything, and looks whether what they say is
// durable has been written and flushed.
func TestPeers(t *testing.T) {
	needsRoot(t)
	before, path := loops(), filepath.Join(t.TempDir(), "rows.json")
	var out, talk bytes.Buffer
	if err := run(t.Context(), append(tiny, "--values", "4K,64K", "--json", path), &out, &talk); err != nil {
		t.Fatalf("%v\n%s", err, &talk)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Schema   string
		Settings map[string]string
		Rows     []Row
	}
	if err := json.Unmarshal(text, &doc); err != nil || doc.Schema != "ebofs.peers/1" || len(doc.Settings) != len(peers) {
		t.Fatalf("%v in %.300s", err, text)
	}
	found := map[cellKey]bool{}
	for _, r := range doc.Rows {
		found[cellKey{r.Op, r.Bytes, r.Depth, r.Peer}] = true
		if r.Ops < 1 || r.PerS <= 0 || r.AllUS < r.CPUUS || r.Op != opScan && r.P50US <= 0 {
			t.Errorf("no figures in %+v", r)
		}
		if writes(r.Op) && (r.Written < 1 || r.Writes <= 0 || r.Depth == 1 && r.Flushes < 1 || r.Flushes <= 0) {
			t.Errorf("not durable: %+v", r)
		}
		if r.Op == opCold && r.Ops > 100 && r.Read < 0.5 {
			t.Errorf("not cold: %+v", r)
		}
	}
	for i := range peers {
		for _, op := range allOps {
			for _, bytes := range []int{4 << 10, 64 << 10} {
				for _, depth := range depthsOf(op, bytes) {
					want := peers[i].does(op) && (bytes <= smallBytes || op != opScan && op != opHot)
					if k := (cellKey{op, bytes, depth, peers[i].name}); found[k] != want {
						t.Errorf("%v: found is %v", k, found[k])
					}
				}
			}
		}
	}
	for _, want := range []string{"| operation, value, depth | ebofs | raw | raw summed | raw huge |", "| put, 4 KiB, 64 | ", "| get-cold, 64 KiB, 16 | ", "- badger: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	wait(t, before)
}

// TestProfile asks for profiles.
func TestProfile(t *testing.T) {
	needsRoot(t)
	dir := t.TempDir()
	if err := run(t.Context(), append(tiny, "--peers", "raw-group", "--ops", "put", "--profile", dir), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"raw-group-put-4096-1.1.pprof", "raw-group-put-4096-64.1.pprof"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEnds ends runs before their time: nothing is left of them.
func TestEnds(t *testing.T) {
	needsRoot(t)
	for name, c := range map[string]struct {
		end  func(pid int, stop func())
		want string
	}{
		"interrupt": {func(_ int, stop func()) { stop() }, "interrupted"},
		"kill":      {func(pid int, _ func()) { _ = unix.Kill(pid, unix.SIGKILL) }, "killed"},
	} {
		t.Run(name, func(t *testing.T) {
			before := loops()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var watch sync.WaitGroup
			defer watch.Wait()
			started = func(pid int) {
				watch.Go(func() { // until there is a mount
					for mounts := ""; ctx.Err() == nil && !strings.Contains(mounts, " /dev/loop"); {
						text, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
						if err != nil {
							return
						}
						mounts = string(text)
					}
					c.end(pid, stop)
				})
			}
			defer func() { started = func(int) {} }()
			err := run(ctx, append(tiny, "--seconds", "30", "--peers", "ext4"), io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), "ext4, values of 4 KiB: ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v", err)
			}
			wait(t, before)
		})
	}
}

// TestRefuses lists what stops it, each with a line.
func TestRefuses(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--rounds 0", "--rounds is at least 1"},
		{"--seconds 0", "--seconds is above 0"},
		{"--seconds NaN", "--seconds is above 0"},
		{"--device 1M", "at least 320 MiB"},
		{"--device x", "is no size"},
		{"--device 9999999999G", "is no size"},
		{"--device 1G --data 1G", "at most an eighth of --device, 128 MiB"},
		{"--memory 1M", "--memory is at least 64 MiB"},
		{"--values 4K,1", "is no multiple of 4 KiB"},
		{"--device 1G --values 4K,16M", "128 MiB of --data are fewer objects of 16 MiB than there are callers, 16"},
		{"--data 4096", "4 KiB of --data are fewer objects"},
		{"--values ,", "--values: \"\" is no size"},
		{"--peers redis", "no peer \"redis\"; there are ebofs, raw, raw-summed, raw-huge, raw-group, ext4"},
		{"--ops sleep", "no operation \"sleep\"; there are overwrite, put"},
		{"more", "what is \"more\"?"},
		{"--what", "-what"},
	} {
		if _, err := parse(strings.Fields(c.args), io.Discard); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
	t.Setenv("PATH", "")
	o, err := parse([]string{"--peers", "xfs"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := "mkfs.xfs: apt-get install xfsprogs"
	if os.Geteuid() != 0 {
		want = "needs root"
	}
	if err := o.able(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestKeys(t *testing.T) {
	seen := map[[keyBytes]byte]bool{}
	ordered := 0
	for i := range uint64(10_000) {
		k, before := keyOf(i), keyOf(i-1)
		if seen[k] {
			t.Fatalf("key %s twice", k)
		}
		seen[k] = true
		if string(k[:]) > string(before[:]) {
			ordered++
		}
	}
	if ordered < 4500 || ordered > 5500 {
		t.Errorf("%d of 10000 keys come after the one before", ordered)
	}
	p := make([]byte, 64)
	stamp(p, 7)
	if stamped(p, 7) != nil || stamped(p, 8) == nil {
		t.Error("a stamp says whose it is")
	}
}

// TestSums checks medians, ratios within a round, and that the quiet rounds count
// whatever came out.
func TestSums(t *testing.T) {
	row := func(round int, peer string, rate, foreign float64) Row {
		return Row{Round: round, Peer: peer, Op: opPut, Bytes: 4096, Depth: 1, PerS: rate, Foreign: foreign}
	}
	rows := []Row{
		row(1, ours, 100, 0), row(1, "raw", 200, 0.5),
		row(2, ours, 50, 0), row(2, "raw", 150, 0.1),
		row(3, ours, 400, 0), row(3, "raw", 100, 0.2),
	}
	raw := cellKey{opPut, 4096, 1, "raw"}
	rate := func(r *Row) float64 { return r.PerS }
	s := sums(rows, 0)[raw]
	if lo, hi := s.span(rate); s.of(rate) != 150 || s.ratio != 2 || lo != 100 || hi != 200 {
		t.Errorf("median %v, ratio %v, %v to %v", s.of(rate), s.ratio, lo, hi)
	}
	s = sums(rows, 2)[raw]
	if s.of(rate) != 125 || math.Abs(s.ratio-(3+0.25)/2) > 1e-9 {
		t.Errorf("of the quiet ones: median %v, ratio %v", s.of(rate), s.ratio)
	}
	owing := row(1, "pebble", 150, 0)
	owing.Ops, owing.Seconds, owing.Settle = 150, 1, 2
	if s := sums(append(rows, owing), 0)[cellKey{opPut, 4096, 1, "pebble"}]; s.ratio != 1.5 || s.paid != 0.5 {
		t.Errorf("what is owed: ratio %v, paid %v", s.ratio, s.paid)
	}
	var out strings.Builder
	r := newReport(params{Rounds: 3, Seconds: 1, Values: []int64{4096}, Peers: []string{ours, "raw", "xfs"}})
	r.Machine, r.Settings["raw"] = "A machine", "as it is"
	r.add(append(rows, row(1, "xfs", 75, 0)))
	r.markdown(&out)
	for _, want := range []string{
		"A machine. ", "\n- raw: as it is\n", "took 0.00 cores meanwhile (median; at most 0.50)",
		"| put, 4 KiB, 1 | 100 (50.0–400) | 150 (100–200) ×2.00 | 75.0 ×0.75 |",
		"\nOf 1 cells of durable writes of other stores, quicker than ours were 0; with the time to settle counted 0.\n",
		"| put, 4 KiB, 1 | 100 | 150 ×2.00 | 75.0 ×0.75 |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	slow := row(2, "xfs", 100, 0)
	slow.Ops, slow.Seconds, slow.Settle = 100, 1, 1
	r.add([]Row{slow})
	r.markdown(&out)
	if want := "quicker than ours were 1 (xfs at put, 4 KiB, 1 ×1.38); with the time to settle counted 0.\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("no %q in\n%s", want, &out)
	}
	torn := newReport(params{Rounds: 3, Seconds: 1, Values: []int64{4096}, Peers: []string{ours, "ext4", "ext4 in place"}})
	torn.add(append(rows, row(1, "ext4", 75, 0), row(1, "ext4 in place", 200, 0)))
	torn.markdown(&out)
	if want := "stores, quicker than ours were 0; with the time to settle counted 0.\n\nOf 1 cells of durable writes of what a crash may leave half done, quicker than ours were 1 (ext4 in place at put, 4 KiB, 1 ×2.00); with the time to settle counted 1 (ext4 in place at put, 4 KiB, 1 ×2.00).\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("no %q in\n%s", want, &out)
	}
	path := filepath.Join(t.TempDir(), "rows.json")
	r.rounds = 3
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	var first, again strings.Builder
	r.markdown(&first)
	if err := run(t.Context(), []string{"--report", path}, &again, io.Discard); err != nil || again.String() != first.String() {
		t.Errorf("%v; read again:\n%s", err, &again)
	}
	_ = os.WriteFile(path, []byte(`{"schema":"ebofs.bench/1"}`), 0o644)
	if err := run(t.Context(), []string{"--report", path}, &again, io.Discard); err == nil || !strings.Contains(err.Error(), "no rows of schema ebofs.peers/1") {
		t.Errorf("another document: %v", err)
	}
	if strings.Contains(out.String(), "Reads:") {
		t.Error("a table without lines")
	}
}

// TestSince takes apart what the machine did.
func TestSince(t *testing.T) {
	a := look("")
	b := *a
	b.kernel = map[int]float64{-1: 0.25}
	b.self += 1
	b.busy += 1.5
	b.written, b.flushes = a.written+8192, a.flushes+2
	u := b.since(a)
	if math.Abs(u.self-1) > 1e-9 || math.Abs(u.foreign-0.25) > 1e-9 || u.machine < u.self || u.written != 8192 || u.flushes != 2 {
		t.Errorf("%+v", u)
	}
	if a.self <= 0 || a.idle <= 0 || len(a.kernel) == 0 && os.Geteuid() == 0 {
		t.Errorf("the kernel says nothing: %+v", a)
	}
}
