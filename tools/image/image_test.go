package image

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/verb"
)

var bg = context.Background()

func run(ctx context.Context, args ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	code = Main(ctx, args, verb.Streams{Out: &o, Err: &e, Program: "ebofs"})
	return o.String(), e.String(), code
}

// makeStore makes a store of a few objects, its log on a device of its own if log is
// not "", and not closed if unclean.
func makeStore(t *testing.T, path, log string, unclean bool) {
	t.Helper()
	file := func(path string, size uint64) *devices.File {
		dev, err := devices.OpenFile(path, devices.FileOptions{CreateBytes: size})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { dev.Close() })
		return dev
	}
	dev := file(path, 64<<20)
	var fo ebofs.FormatOptions
	var oo ebofs.Options
	if log != "" {
		l := file(log, 32<<20)
		defer l.Close()
		fo.LogDevice, oo.LogDevice = l, l
	}
	if _, err := ebofs.Format(bg, dev, fo); err != nil {
		t.Fatal(err)
	}
	s, err := ebofs.Open(bg, dev, oo)
	if err != nil {
		t.Fatal(err)
	}
	x := ebofs.NewTxn()
	x.MkColl("c", ebofs.CollSpec{Shard: layout.NoShard, Pool: 1})
	x.Write("c", ebofs.NewObjectID(1, "somebody's"), 0, bytes.Repeat([]byte("secret"), 20_000))
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
	if unclean {
		t.Cleanup(func() { s.Close(bg) })
		return
	}
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	dev.Close()
}

// files lists a directory.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		names = append(names, e.Name())
	}
	return names
}

// cancelAfter ends when it was asked so often whether it has.
type cancelAfter struct {
	context.Context
	left int
}

// Err counts down.
func (c *cancelAfter) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestInterrupted: an interrupted save or restore leaves no file, whole or half.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	makeStore(t, "disk.img", "", false)
	if _, errs, code := run(bg, "save", "disk.img", "whole.image"); code != 0 {
		t.Fatal(errs)
	}
	want := files(t, dir)
	for _, args := range [][]string{{"save", "disk.img", "x.image"}, {"restore", "whole.image", "x.img"}} {
		stopped := 0
		for n := 0; n < 400; n += 1 + n/8 {
			_, errs, code := run(&cancelAfter{bg, n}, args...)
			if code == 0 {
				break
			}
			if code != 130 || !strings.Contains(errs, "interrupted") {
				t.Fatalf("%v, stopped at %d: exit %d: %s", args, n, code, errs)
			}
			stopped++
			if got := files(t, dir); len(got) != len(want) {
				t.Fatalf("%v, stopped at %d, left %v", args, n, got)
			}
		}
		if stopped < 5 {
			t.Errorf("%v was stopped %d times only", args, stopped)
		}
		os.Remove("x.image")
		os.Remove("x.img")
	}
}

// TestInUse: a store that is mounted is saved, with a word about it.
func TestInUse(t *testing.T) {
	t.Chdir(t.TempDir())
	makeStore(t, "disk.img", "", true)
	out, errs, code := run(bg, "save", "disk.img", "x.image")
	if code != 0 || !strings.Contains(errs, "in use: what changes meanwhile may look like damage") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if _, errs, code := run(bg, "restore", "x.image", "disk.img"); code != 1 || !strings.Contains(errs, "in use") {
		t.Errorf("restored over it: exit %d: %s", code, errs)
	}
}

// TestLogDevice: the log device is saved and restored with the store, or its lack is
// said.
func TestLogDevice(t *testing.T) {
	t.Chdir(t.TempDir())
	makeStore(t, "disk.img", "log.img", false)
	if out, _, code := run(bg, "save", "disk.img", "x.image"); code != 0 || !strings.Contains(out, "the log is on another device and not in the image") {
		t.Errorf("exit %d: %s", code, out)
	}
	if out, errs, code := run(bg, "save", "-f", "--log", "log.img", "disk.img", "x.image"); code != 0 {
		t.Fatalf("%s%s", out, errs)
	}
	if _, errs, code := run(bg, "restore", "x.image", "main.img"); code != 0 || !strings.Contains(errs, "the log device in it is left out") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, errs, code := run(bg, "restore", "--log", "l.img", "x.image", "m.img"); code != 0 {
		t.Fatal(errs)
	}
	m, err := devices.OpenFile("m.img", devices.FileOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	l, err := devices.OpenFile("l.img", devices.FileOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := ebofs.Open(bg, m, ebofs.Options{ReadOnly: true, LogDevice: l})
	if err != nil {
		t.Fatal(err)
	}
	if cs, err := s.Collections(bg); err != nil || len(cs) != 1 || cs[0] == "c" {
		t.Errorf("%v, %v", cs, err)
	}
	if err := s.Close(bg); err != nil {
		t.Error(err)
	}
}

// TestRestoreTarget: what is there goes only if asked, and then wholly.
func TestRestoreTarget(t *testing.T) {
	t.Chdir(t.TempDir())
	makeStore(t, "disk.img", "", false)
	if _, errs, code := run(bg, "save", "disk.img", "x.image"); code != 0 {
		t.Fatal(errs)
	}
	if err := os.WriteFile("small.img", make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := run(bg, "restore", "x.image", "small.img"); code != 1 || !strings.Contains(errs, "Nothing was written") {
		t.Errorf("exit %d: %s", code, errs)
	}
	dev, err := devices.OpenFile("disk.img", devices.FileOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	found, err := ebofs.Find(bg, dev)
	if err = errors.Join(err, dev.Close()); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := run(bg, "restore", "--destroy", found.Super.FSID.Short(), "x.image", "disk.img"); code != 0 {
		t.Fatal(errs)
	}
	if p, err := os.ReadFile("disk.img"); err != nil || bytes.Contains(p, []byte("secret")) || bytes.Contains(p, []byte("somebody")) {
		t.Error("what was on the device is still there", err)
	}
}
