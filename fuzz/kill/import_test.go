package kill

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// importer is the program a person would use, on an image of its own.
type importer struct {
	program string
	dir     string
	acked   int // objects, over all runs
}

// newImporter builds the program.
func newImporter(t testing.TB) *importer {
	t.Helper()
	dir := t.TempDir()
	m := &importer{program: filepath.Join(dir, "ebofs"), dir: dir}
	out, err := exec.Command("go", "build", "-o", m.program, "ebofs/tools/ebofs").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return m
}

// tree makes some hundred files of all sizes to import.
func (m *importer) tree(t testing.TB) string {
	t.Helper()
	root := filepath.Join(m.dir, "tree")
	r := rand.New(rand.NewPCG(1, 8))
	for i := range 700 {
		p := make([]byte, r.IntN(3000))
		if i%10 == 0 {
			p = make([]byte, r.IntN(600_000))
		}
		for j := range p {
			p[j] = byte(r.Uint32())
		}
		name := filepath.Join(root, fmt.Sprint("dir", i%13), fmt.Sprintf("file %d", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, p, fs.FileMode(0o600+i%8*8)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// ebofs runs the program to its end.
func (m *importer) ebofs(args ...string) error {
	out, err := exec.Command(m.program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ebofs %q: %w\n%s", args, err, bytes.TrimSpace(out))
	}
	return nil
}

// run formats, imports, kills, and wants every journalled object back, nothing
// found by fsck, and the rest of the import to go through. The killed import's
// journal is a pipe, so that the moment can be chosen by what it has reported.
func (m *importer) run(tree string, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 9))
	image, journal := filepath.Join(m.dir, "import.image"), filepath.Join(m.dir, "journal")
	if err := os.RemoveAll(image); err != nil {
		return err
	}
	if err := m.ebofs("mkfs", "--quiet", "--size", "256MiB", "--log-size", "16MiB", image); err != nil {
		return err
	}
	lines, err := m.killed(image, tree, 1+r.IntN(600), time.Duration(r.IntN(10_000))*time.Microsecond)
	if err != nil {
		return err
	}
	if err := os.WriteFile(journal, lines, 0o600); err != nil {
		return err
	}
	m.acked += max(0, bytes.Count(lines, []byte("\n"))-1) // the first names the store
	for _, args := range [][]string{
		{"fsck", "--level", "deep", "-n", image}, // as it was left
		{"object", image, "export", "--verify", journal},
		{"object", image, "import", "--resume", "--acked", journal, tree},
		{"object", image, "export", "--verify", journal},
		{"fsck", "--level", "deep", "-n", image},
	} {
		if err := m.ebofs(args...); err != nil {
			return err
		}
	}
	return nil
}

// killed runs an import that is killed some time after so many objects were
// reported, and returns the whole lines of its journal.
func (m *importer) killed(image, tree string, objects int, longer time.Duration) ([]byte, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command(m.program, "object", image, "import", "--acked", "/dev/fd/3", tree)
	cmd.ExtraFiles = []*os.File{w}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Start()
	w.Close()
	if err != nil {
		return nil, err
	}
	var lines []byte
	var timer *time.Timer
	for in := bufio.NewReader(r); ; {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break // a line cut short was never said
		}
		lines = append(lines, line...)
		if objects--; objects == 0 {
			timer = time.AfterFunc(longer, func() { _ = cmd.Process.Kill() })
		}
	}
	err = cmd.Wait()
	if timer != nil {
		timer.Stop()
	}
	if cmd.ProcessState.ExitCode() > 0 {
		return nil, fmt.Errorf("import: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return lines, nil
}

// TestImport kills imports.
func TestImport(t *testing.T) {
	runs := uint64(4)
	if testing.Short() {
		runs = 1
	}
	m := newImporter(t)
	tree := m.tree(t)
	for seed := range runs {
		if err := m.run(tree, seed+1); err != nil {
			t.Fatalf("run %d: %v", seed+1, err)
		}
	}
	t.Logf("%d runs, %d objects acknowledged before the kill", runs, m.acked)
	if m.acked < int(runs) {
		t.Error("imports were killed before they did anything")
	}
}

// large makes a tree of a few files of several transactions each, among small
// ones; every byte of a file tells its generation.
func (m *importer) large(t testing.TB, name string, generation byte) string {
	t.Helper()
	root := filepath.Join(m.dir, name)
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 24 {
		n := 40_000 + i
		if i%4 == 0 {
			n = 9<<20 + i
		}
		p := bytes.Repeat([]byte{generation}, n-int(generation)*1000)
		if err := os.WriteFile(filepath.Join(root, fmt.Sprint("f", i)), p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// replaced imports one tree, kills the import of another over it, and wants
// each object to be that of one tree, whole: never a mixture, never nothing.
func (m *importer) replaced(before, after string, seed uint64) (news int, err error) {
	r := rand.New(rand.NewPCG(seed, 10))
	image, out := filepath.Join(m.dir, "replace.image"), filepath.Join(m.dir, "out")
	for _, path := range []string{image, out} {
		if err := os.RemoveAll(path); err != nil {
			return 0, err
		}
	}
	if err := m.ebofs("mkfs", "--quiet", "--size", "320MiB", "--log-size", "32MiB", image); err != nil {
		return 0, err
	}
	if err := m.ebofs("object", image, "import", before); err != nil {
		return 0, err
	}
	acked, err := m.killed(image, after, 1+r.IntN(20), time.Duration(r.IntN(60_000))*time.Microsecond)
	if err != nil {
		return 0, err
	}
	for _, args := range [][]string{
		{"fsck", "--level", "deep", "-n", image},
		{"object", image, "export", out},
	} {
		if err := m.ebofs(args...); err != nil {
			return 0, err
		}
	}
	news, err = m.either(out, before, after)
	if err != nil {
		return 0, err
	}
	if n := bytes.Count(acked, []byte("\n")) - 2; news < n { // store and directory have a line, too
		return 0, fmt.Errorf("%d objects are the new ones, %d were acknowledged", news, n)
	}
	// What was left half written is gone once the import went through.
	for _, args := range [][]string{
		{"object", image, "import", "--resume", after},
		{"object", image, "export", out},
		{"fsck", "--level", "deep", "-n", image},
	} {
		if err := m.ebofs(args...); err != nil {
			return 0, err
		}
	}
	if n, err := m.either(out, before, after); err != nil || n != 24 {
		return 0, errors.Join(fmt.Errorf("%d of 24 objects are the new ones in the end", n), err)
	}
	return news, nil
}

// either wants every file of before in dir, as there or as in after, and counts
// the latter.
func (m *importer) either(dir, before, after string) (news int, err error) {
	entries, err := os.ReadDir(before)
	if err != nil {
		return 0, err
	}
	if have, err := os.ReadDir(dir); err != nil || len(have) != len(entries) {
		return 0, fmt.Errorf("%d objects, want %d: %v", len(have), len(entries), err)
	}
	for _, e := range entries {
		got, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return 0, err
		}
		was, err1 := os.ReadFile(filepath.Join(before, e.Name()))
		is, err2 := os.ReadFile(filepath.Join(after, e.Name()))
		switch {
		case err1 != nil || err2 != nil:
			return 0, errors.Join(err1, err2)
		case bytes.Equal(got, is):
			news++
		case !bytes.Equal(got, was):
			return 0, fmt.Errorf("%s: %d bytes, neither the %d old nor the %d new ones", e.Name(), len(got), len(was), len(is))
		}
	}
	return news, nil
}

// TestReplace kills imports that replace what is there.
func TestReplace(t *testing.T) {
	runs := uint64(6)
	if testing.Short() {
		runs = 2
	}
	m := newImporter(t)
	before, after := m.large(t, "before", 1), m.large(t, "after", 2)
	var news int
	for seed := range runs {
		n, err := m.replaced(before, after, seed+1)
		if err != nil {
			t.Fatalf("run %d: %v", seed+1, err)
		}
		news += n
	}
	t.Logf("%d runs, %d of %d objects were replaced before the kill", runs, news, runs*24)
}
