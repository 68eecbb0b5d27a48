package verbs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ebofs/tools/verb"
)

// TestDemo runs the demo on a tree of 600 files, with this binary as the child
// that is killed; `make demo` runs it on a real one.
func TestDemo(t *testing.T) {
	t.Setenv("EBOFS_TEST_IS_PROGRAM", "1")
	tree := filepath.Join(t.TempDir(), "tree")
	for i := range 600 {
		dir := filepath.Join(tree, fmt.Sprint(i%20))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), bytes.Repeat([]byte{byte(i)}, i*40), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "demo")
	run := func(args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		code := Main(context.Background(), "test", append([]string{"ebofs", "demo", "--dir", dir}, args...), verb.Streams{Out: &out, Err: &errs})
		return out.String(), errs.String(), code
	}
	out, errs, code := run("--store", "--no-loop", "--tree", tree, "--size", "128MiB")
	if code != 0 {
		t.Fatalf("exit %d: %s\n%s", code, errs, out)
	}
	for _, want := range []string{"kill -9 ", "mounted in ", "621 objects are as acknowledged", "clean, 621 objects", "largest free run", "to try next"} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo does not say %q:\n%s", want, out)
		}
	}
	// Again, over what the first run left, on a loop device if we may.
	out, errs, code = run("--store", "--tree", tree, "--size", "128MiB", "--format", "json")
	var v struct {
		OK          bool
		Entries     int
		Objects     int
		AckedAtKill int `json:"acked_at_kill"`
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || !v.OK || v.Entries != 621 || v.Objects != 621 || v.AckedAtKill < 310 || v.AckedAtKill > 600 {
		t.Errorf("%v: %s%s", err, out, errs)
	}
	if out, err := exec.Command("losetup", "--associated", filepath.Join(dir, "disk.img")).Output(); err == nil && len(out) > 0 {
		t.Errorf("a loop device is left: %s", out)
	}
	// What somebody else keeps there stays.
	other := filepath.Join(dir, "mine")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := run("--remove"); code != 0 {
		t.Error(errs)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, errs, code := run("--store", "--tree", tree); code != 1 || !strings.Contains(errs, "was not made by the demo") {
		t.Errorf("a directory that is not the demo's: exit %d: %s", code, errs)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := run("--store", "--tree", filepath.Join(tree, "3", "3")); code == 0 || errs == "" {
		t.Error("a tree that is a file was taken")
	}
}

// TestServe runs the demo of a cluster until it says that it is ready, and again.
func TestServe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	for _, osds := range [][]string{{"--osds", "2"}, nil} { // the second time as it is
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		r, w := io.Pipe()
		code := make(chan int, 1)
		go func() {
			code <- Main(ctx, "test", append([]string{"ebofs", "demo", "--dir", dir}, osds...), verb.Streams{Out: w, Err: w})
			w.Close()
		}()
		var said strings.Builder
		for s := bufio.NewScanner(r); s.Scan(); {
			said.WriteString(s.Text() + "\n")
			if strings.HasPrefix(s.Text(), "Ctrl-C stops it") {
				cancel()
			}
		}
		cancel()
		if got := <-code; got != 0 || !strings.Contains(said.String(), "2 OSDs") || !strings.Contains(said.String(), "export CEPH_CONF=") {
			t.Fatalf("exit %d: %s", got, said.String())
		}
	}
	var out, errs bytes.Buffer
	if code := Main(t.Context(), "test", []string{"ebofs", "demo", "--remove", "--dir", dir}, verb.Streams{Out: &out, Err: &errs}); code != 0 {
		t.Error(errs.String())
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
