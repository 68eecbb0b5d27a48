package fsck

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
	"ebofs/tools/verb"
)

var bg = context.Background()

// image makes a store with one object of several stripes.
func image(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	dev, err := devices.OpenFile(path, devices.FileOptions{CreateBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := ebofs.Open(bg, dev, ebofs.Options{MemoryBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	x := ebofs.NewTxn()
	x.MkColl("c", ebofs.CollSpec{Shard: layout.NoShard, Pool: 1})
	x.Write("c", ebofs.NewObjectID(1, "victim"), 0, bytes.Repeat([]byte("all work and no play "), 20000))
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	return path
}

func run(ctx context.Context, args ...string) (string, string, int) {
	var out, errs bytes.Buffer
	code := Main(ctx, args, verb.Streams{Out: &out, Err: &errs, Program: "fsck.ebofs"})
	return out.String(), errs.String(), code
}

// TestDamagedData: full does not read data, deep names object and bytes.
func TestDamagedData(t *testing.T) {
	img := image(t)
	p, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	// The stripes, not the log: the last copy on the device.
	i := bytes.LastIndex(p, []byte("and no play all work"))
	p[i] ^= 1
	if err := os.WriteFile(img, p, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := run(bg, img); code != 0 {
		t.Errorf("full: exit %d: %s%s", code, out, errs)
	}
	out, errs, code := run(bg, "--level", "deep", img)
	want := regexp.MustCompile(`(?m)^  E-DATA-CRC +\S.* at 0:\d+ \(4 KiB\): .*; object victim, bytes \d+~4096$`)
	if code != 4 || errs != "" || !want.MatchString(out) || !strings.Contains(out, "1 problem: 1 needs another copy (1 object, 4.0 KiB)\nMeaning and cure:  ebofs man E-DATA-CRC\n") {
		t.Errorf("deep: exit %d: %s%s", code, out, errs)
	}
	out, _, code = run(bg, "--level", "deep", "--format", "json", img)
	var v struct {
		OK       bool
		Exit     int
		Device   string
		Level    string
		Problems []check.Problem
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 4 || v.OK || v.Exit != 4 || v.Device != img || len(v.Problems) != 1 || v.Problems[0].Code != check.DataCRC {
		t.Errorf("json: exit %d, %v: %s", code, err, out)
	}
}

func TestInUse(t *testing.T) {
	img := image(t)
	dev, err := devices.OpenFile(img, devices.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	out, errs, code := run(bg, img)
	if code != 8 || out != "" || !strings.HasPrefix(errs, "fsck.ebofs: "+img+": in use: locked by ") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, errs, code := run(ctx, image(t)); code != 32 || !strings.Contains(errs, "interrupted") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// TestTornSuperblocks: no superblock is sound, but a label is there.
func TestTornSuperblocks(t *testing.T) {
	img := image(t)
	f, err := os.OpenFile(img, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range layout.SlotBlocks(64 << 20 / layout.BlockSize) {
		if _, err := f.WriteAt([]byte("torn"), int64(b)*layout.BlockSize+100); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	_, errs, code := run(bg, img)
	if code != 8 || !strings.Contains(errs, "device probe") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// TestProgressFD: lines of "phase done total device".
func TestProgressFD(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	img := image(t)
	_, errs, code := run(bg, "-C", fmt.Sprint(w.Fd()), img)
	w.Close()
	if code != 0 {
		t.Fatal(errs)
	}
	p, err := io.ReadAll(r)
	if err != nil || !regexp.MustCompile(`(?m)^[a-z,-]+ \d+ \d+ `+regexp.QuoteMeta(img)+`$`).Match(p) {
		t.Errorf("%q, %v", p, err)
	}
	if _, _, code := run(bg, "-C", "987", img); code != 16 {
		t.Errorf("a descriptor that is not open: exit %d", code)
	}
}

func TestSummary(t *testing.T) {
	peer := check.Problem{Code: check.DataCRC, Repair: check.RepairPeer, Objects: []check.Object{{Key: "a", Length: 734003}}}
	both := check.Problem{Code: check.NodeCRC, Repair: check.RepairPeer, Objects: []check.Object{{Key: "a"}, {Key: "b"}}}
	here := check.Problem{Code: check.Leak, Repair: check.RepairHere}
	none := check.Problem{Code: check.LogMissing, Repair: check.RepairNone}
	for _, c := range []struct {
		r    check.Report
		want string
	}{
		{check.Report{Level: "full", Complete: true, Counts: check.Counts{Objects: 7}}, "clean, 7 objects"},
		{check.Report{Level: "quick", Complete: true}, "clean; level quick looks at no object and no tree"},
		{check.Report{Level: "full", Complete: true, Counts: check.Counts{LogRecords: 3849}}, "clean, 0 objects, as of the last checkpoint; 3849 log records behind it, not looked into, come back with the next mount for writing"},
		{check.Report{Level: "full"}, "nothing found, but not everything could be looked at"},
		{check.Report{Complete: true, Problems: []check.Problem{peer, here}, Counts: check.Counts{Errors: 1, Warnings: 1}}, "2 problems: 1 repairable here, 1 needs another copy (1 object, 716.8 KiB)"},
		{check.Report{Complete: true, Problems: []check.Problem{peer, both}, Counts: check.Counts{Errors: 2}}, "2 problems: 2 need another copy (2 objects, 716.8 KiB)"},
		{check.Report{Problems: []check.Problem{none}, Counts: check.Counts{Errors: 1}}, "1 problem: 1 nobody can repair; not everything could be looked at"},
	} {
		if got := summary(&c.r); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
