package kill

import (
	"bufio"
	"bytes"
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
	m.acked += bytes.Count(lines, []byte("\n"))
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
