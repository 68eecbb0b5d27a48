package object

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/tools/verb"
)

var bg = context.Background()

// image makes a formatted image of so many MiB.
func image(t testing.TB, mib uint64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	dev, err := devices.OpenFile(path, devices.FileOptions{CreateBytes: mib << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// clean expects a deep check to find nothing.
func clean(t *testing.T, img string) {
	t.Helper()
	dev, err := devices.OpenFile(img, devices.FileOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	rep, err := check.Run(bg, dev, check.Options{Level: check.Deep})
	if err != nil || !rep.OK() || !rep.Complete {
		t.Fatalf("check: %v\n%+v", err, rep)
	}
}

// run is the verb in process; out is stdout, errs stderr.
func run(ctx context.Context, args ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	code = Main(ctx, args, verb.Streams{Out: &o, Err: &e, Program: "ebofs"})
	return o.String(), e.String(), code
}

func must(t testing.TB, args ...string) string {
	t.Helper()
	out, errs, code := run(bg, args...)
	if code != 0 {
		t.Fatalf("object %q: exit %d: %s", args, code, errs)
	}
	return out
}

// tree makes files of every odd kind below a new directory.
func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	r := rand.New(rand.NewPCG(7, 7))
	write := func(name string, n int, mode fs.FileMode) {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, p, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1_600_000_000+int64(n), int64(n)*1003%1e9)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{0, 1, 2047, 2048, 2049, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20, pieceBytes - 1, pieceBytes, pieceBytes + 1, 2*pieceBytes + 5000} {
		write(fmt.Sprintf("sizes/%d", n), n, 0o644)
	}
	for i, name := range []string{"space in name", "nl\nin name", `back\slash`, "ünïcödé/日本語", "-dash", "%41", "a:b:c", strings.Repeat("x", 255), "deep/er/and/deep/er/still", "tab\tq\"uote'"} {
		write("names/"+name, 100+i, 0o640)
	}
	write("modes/none", 5, 0)
	write("modes/all", 5, 0o777|fs.ModeSetuid|fs.ModeSetgid)
	write("modes/ro/file", 5, 0o400)
	for _, link := range [][2]string{{"sizes/1", "links/file"}, {"/nonexistent/place", "links/dangling"}, {"..", "links/up"}, {"self", "links/self"}} {
		if err := os.MkdirAll(filepath.Join(root, "links"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(link[0], filepath.Join(root, link[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "empty"), 0o700|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, "modes/ro"), 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(root, "modes/ro"), 0o700) })
	old := time.Unix(981173106, 123456789)
	for _, dir := range []string{"empty", "modes/ro", "names"} {
		if err := os.Chtimes(filepath.Join(root, dir), old, old); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// snapshot is everything an export must restore, one line an entry.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		st := info.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf("%o %d.%d", st.Mode, st.Mtim.Sec, st.Mtim.Nsec)
		switch {
		case info.Mode().IsRegular():
			p, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x", len(p), p[:min(len(p), 64)])
			if len(p) > 64 {
				line += fmt.Sprintf(" %x", hashOf(p))
			}
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		}
		all[name] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t *testing.T, want, got map[string]string) {
	t.Helper()
	for name, line := range want {
		if got[name] != line {
			t.Errorf("%q:\ngot  %.200s\nwant %.200s", name, got[name], line)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q appeared", name)
		}
	}
}

// TestRoundTrip: a tree goes in and comes out the same, and a second import
// with --resume has nothing to do.
func TestRoundTrip(t *testing.T) {
	img, root := image(t, 256), tree(t)
	if os.Geteuid() != 0 {
		os.Chmod(filepath.Join(root, "modes/none"), 0o600) // nobody else may read it
	}
	acked := filepath.Join(t.TempDir(), "acked")
	must(t, img, "import", "--acked", acked, root)
	want := snapshot(t, root)
	out := filepath.Join(t.TempDir(), "out")
	must(t, img, "export", out)
	same(t, want, snapshot(t, out))
	t.Cleanup(func() { os.Chmod(filepath.Join(out, "modes/ro"), 0o700) })
	if got := must(t, img, "export", "--verify", acked); !strings.Contains(got, fmt.Sprintf("%d objects are as acknowledged", len(want))) {
		t.Errorf("verify says %q, the tree has %d entries", got, len(want))
	}
	var again importResult
	if err := json.Unmarshal([]byte(must(t, img, "import", "--resume", root, "--format", "json")), &again); err != nil {
		t.Fatal(err)
	}
	if again.Skipped != int64(len(want)) || again.Files+again.Directories+again.Symlinks+again.Failed != 0 || !again.Complete {
		t.Errorf("second import: %+v", again)
	}
	// Exporting over what is there gives the same again.
	must(t, img, "export", out)
	same(t, want, snapshot(t, out))
	clean(t, img)
}

// TestReplace: importing changed files replaces whole objects, longer by
// shorter, too.
func TestReplace(t *testing.T) {
	img, root := image(t, 128), t.TempDir()
	f := filepath.Join(root, "f")
	for _, n := range []int{pieceBytes + 9, 10, 0, 3 * pieceBytes, 65536} {
		p := bytes.Repeat([]byte{byte(n), 1, 2, 3, 4, 5, 6}, n/7+1)[:n]
		if err := os.WriteFile(f, p, 0o644); err != nil {
			t.Fatal(err)
		}
		must(t, img, "import", root)
		if got := must(t, img, "get", "f"); got != string(p) {
			t.Fatalf("%d bytes in, %d out", n, len(got))
		}
	}
	clean(t, img)
}

// TestBadNames: a file that cannot be an object is named; the others go in.
func TestBadNames(t *testing.T) {
	img, root := image(t, 64), t.TempDir()
	long := root
	for i := range 8 {
		long = filepath.Join(long, strings.Repeat(string(rune('a'+i)), 250))
	}
	if err := os.MkdirAll(long, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		filepath.Join(root, "good"): "fine", filepath.Join(root, "bad\xff\xfename"): "x", filepath.Join(long, strings.Repeat("h", 100)): "x",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs, code := run(bg, img, "import", root)
	for _, want := range []string{`bad\xff\xfename": not imported: the name is not UTF-8`, "not imported: a name of 2108 bytes, at most 2048", "pipe: not imported: neither a file, a directory nor a link", "3 not imported, named above"} {
		if !strings.Contains(errs, want) {
			t.Errorf("stderr lacks %q:\n%s", want, errs)
		}
	}
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	if got := must(t, img, "get", "good"); got != "fine" {
		t.Errorf("good: %q", got)
	}
	if n := strings.Count(must(t, img, "ls"), "\n"); n != 10 {
		t.Errorf("%d objects, want 10", n)
	}
	clean(t, img)
}

// TestFull: a device fills up in the middle; what was acknowledged is there,
// and removing makes room.
func TestFull(t *testing.T) {
	img, root := image(t, 48), t.TempDir()
	p := make([]byte, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	for i := range 60 {
		if err := os.WriteFile(filepath.Join(root, fmt.Sprintf("f%02d", i)), p[:len(p)-i*1000], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	acked := filepath.Join(t.TempDir(), "acked")
	out, errs, code := run(bg, img, "import", "--acked", acked, root, "--format", "json")
	var v struct {
		importResult
		Error struct{ Code string }
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatal(err)
	}
	if code != 1 || v.Error.Code != "E-NO-SPACE" || v.Files < 5 || v.Files > 40 || v.Complete || !strings.Contains(errs, fmt.Sprintf("the store is full: %d files", v.Files)) || !strings.Contains(errs, " import --resume -j 1 ") {
		t.Fatalf("exit %d, %+v, %s", code, v, errs)
	}
	must(t, img, "export", "--verify", acked)
	clean(t, img)
	for name := range strings.Lines(must(t, img, "ls")) {
		if name != ".\n" {
			must(t, img, "rm", strings.TrimSpace(name))
		}
	}
	if err := os.WriteFile(acked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, code := run(bg, img, "import", "--acked", acked, root); code != 1 {
		t.Fatal("the second time everything fits")
	}
	must(t, img, "export", "--verify", acked)
	clean(t, img)
}

// TestInterrupt cancels an import once ten objects are acknowledged: it
// finishes what it began, says how to go on, and goes on.
func TestInterrupt(t *testing.T) {
	img, root := image(t, 64), t.TempDir()
	for i := range 300 {
		if err := os.WriteFile(filepath.Join(root, fmt.Sprint(i)), fmt.Appendf(nil, "file %d", i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pipe := filepath.Join(t.TempDir(), "acked")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(bg)
	lines := make(chan string)
	go func() {
		defer close(lines)
		f, err := os.OpenFile(pipe, os.O_RDONLY, 0)
		if err != nil {
			t.Error(err)
			cancel()
			return
		}
		defer f.Close()
		in := bufio.NewScanner(f)
		var all strings.Builder
		for n := 1; in.Scan(); n++ {
			all.WriteString(in.Text() + "\n")
			if n == 10 {
				cancel()
			}
		}
		lines <- all.String()
	}()
	out, errs, code := run(ctx, img, "import", "--jobs", "2", "--acked", pipe, root, "--format", "json")
	acked := <-lines
	n := strings.Count(acked, "\n")
	var v importResult
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatal(err)
	}
	if code != 130 || v.Complete || v.Files+v.Directories != int64(n-1) || n < 10 || n > 290 {
		t.Fatalf("exit %d, %d acknowledged, %+v, %s", code, n, v, errs)
	}
	if !strings.Contains(errs, "interrupted: ") || !strings.Contains(errs, "import --resume --acked "+pipe) {
		t.Errorf("%s", errs)
	}
	file := filepath.Join(t.TempDir(), "acked")
	if err := os.WriteFile(file, []byte(acked+"0123 torn last li"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, img, "export", "--verify", file)
	must(t, img, "import", "--resume", "--acked", file, root)
	if got := must(t, img, "export", "--verify", file); !strings.Contains(got, "301 objects are as acknowledged") {
		t.Error(got)
	}
	clean(t, img)
}
