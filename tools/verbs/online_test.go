package verbs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ebofs/ebofs/check"
	"ebofs/internal/asok"
	"ebofs/tools/verb"
)

// importer is a child process that imports a tree. It waits whenever nobody reads
// its journal, so it runs for as long as the test wants.
type importer struct {
	t     *testing.T
	dir   string
	image string
	run   string // directory of admin sockets
	cmd   *exec.Cmd
	lines *bufio.Reader
	acked bytes.Buffer // the journal so far
	talk  bytes.Buffer
}

// content is that of file i: different everywhere.
func content(i int) []byte {
	var b bytes.Buffer
	for n := 0; b.Len() < 12000+i*50; n++ {
		fmt.Fprintf(&b, "file %d line %d of it\n", i, n)
	}
	return b.Bytes()
}

const files = 600

func startImport(t *testing.T) *importer {
	t.Helper()
	m := &importer{t: t, dir: t.TempDir()}
	m.image, m.run = filepath.Join(m.dir, "disk.img"), filepath.Join(m.dir, "run")
	tree := filepath.Join(m.dir, "tree")
	for i := range files {
		dir := filepath.Join(tree, fmt.Sprint(i%20))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), content(i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, errs, code := m.main("mkfs", "--size", "256MiB", m.image); code != 0 {
		t.Fatal(out, errs)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	_, _ = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	m.cmd = exec.Command(os.Args[0], "object", m.image, "import", "--acked", "/dev/fd/3", tree)
	m.cmd.Env = append(os.Environ(), "EBOFS_TEST_IS_PROGRAM=1", "EBOFS_RUN_DIR="+m.run)
	m.cmd.ExtraFiles = []*os.File{w}
	m.cmd.Stderr = &m.talk
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		if m.cmd.ProcessState == nil {
			_ = m.cmd.Process.Kill()
			_ = m.cmd.Wait()
		}
	})
	m.lines = bufio.NewReaderSize(r, 256)
	m.read(50)
	return m
}

// read takes n lines of the journal, which lets the import go on.
func (m *importer) read(n int) {
	m.t.Helper()
	for range n {
		l, err := m.lines.ReadBytes('\n')
		if err != nil {
			m.t.Fatalf("the journal ended: %v; %s", err, m.talk.String())
		}
		m.acked.Write(l)
	}
}

// finish lets the import end.
func (m *importer) finish() {
	m.t.Helper()
	if _, err := m.acked.ReadFrom(m.lines); err != nil {
		m.t.Fatal(err)
	}
	if err := m.cmd.Wait(); err != nil {
		m.t.Fatalf("import: %v: %s", err, m.talk.String())
	}
}

func (m *importer) main(args ...string) (string, string, int) {
	return m.mainCtx(context.Background(), args...)
}

func (m *importer) mainCtx(ctx context.Context, args ...string) (string, string, int) {
	var out, errs bytes.Buffer
	code := Main(ctx, "test", append([]string{"ebofs"}, args...), verb.Streams{Out: &out, Err: &errs, RunDir: m.run})
	return out.String(), errs.String(), code
}

// report is the JSON of an online check.
func (m *importer) report(want int, args ...string) (r check.Report) {
	m.t.Helper()
	out, errs, code := m.main(append([]string{"fsck", "--online", "--rate", "0", "--format", "json", m.image}, args...)...)
	if code != want {
		m.t.Fatalf("fsck %v: exit %d: %s%s", args, code, out, errs)
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		m.t.Fatalf("%v: %s", err, out)
	}
	return r
}

// flip changes one byte of the image, below the process that has it.
func (m *importer) flip(at int64) {
	m.t.Helper()
	f, err := os.OpenFile(m.image, os.O_RDWR, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 1)
	if _, err := f.ReadAt(p, at); err != nil {
		m.t.Fatal(err)
	}
	p[0] ^= 0x40
	if _, err := f.WriteAt(p, at); err != nil {
		m.t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		m.t.Fatal(err)
	}
}

// victim returns the first file in the journal, and a place of its content on the
// device: after a check it is in the stripes, the last copy of it there is.
func (m *importer) victim() (name string, at int64) {
	m.t.Helper()
	p, err := os.ReadFile(m.image)
	if err != nil {
		m.t.Fatal(err)
	}
	for l := range strings.Lines(m.acked.String()) {
		words := strings.Fields(l)
		name = words[len(words)-1]
		_, base, _ := strings.Cut(name, "/")
		var i int
		if _, err := fmt.Sscanf(base, "%d", &i); err != nil {
			continue
		}
		if at := bytes.LastIndex(p, fmt.Appendf(nil, "file %d line 200 of it\n", i)); at > 0 {
			return name, int64(at)
		}
	}
	m.t.Fatal("no file of the journal is in the image")
	return "", 0
}

// TestFsckOnline: a store that a child process imports into is checked over and over;
// what is damaged below it is named; the import ends as if nothing had been.
func TestFsckOnline(t *testing.T) {
	m := startImport(t)
	if out, errs, code := m.main("fsck", m.image); code != 8 || !strings.Contains(errs, "while it is in use: ebofs fsck --online "+m.image) {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	last := check.Report{}
	for i := range map[bool]int{false: 9, true: 3}[testing.Short()] {
		level := check.Level(i % 3)
		r := m.report(0, "--level", level.String())
		if r.Mode != "online" || !r.Complete || r.Epoch <= last.Epoch || level != check.Quick && r.Counts.Objects < 50 {
			t.Errorf("%+v", r)
		}
		last = r
		m.read(30)
	}

	name, at := m.victim()
	m.flip(at)
	r := m.report(4, "--level", "deep")
	if len(r.Problems) != 1 || r.Problems[0].Code != check.DataCRC || r.Problems[0].Address != uint64(at/4096) || len(r.Problems[0].Objects) != 1 || r.Problems[0].Objects[0].Name != name {
		t.Errorf("byte %d of %s: %+v", at, name, r.Problems)
	}
	m.read(30) // the writer does not notice
	m.flip(at)
	m.report(0, "--level", "deep")

	m.finish()
	if out, errs, code := m.main("fsck", "--level", "deep", m.image); code != 0 {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	journal := filepath.Join(m.dir, "acked")
	if err := os.WriteFile(journal, m.acked.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := m.main("object", m.image, "export", "--verify", journal); code != 0 {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if list, err := os.ReadDir(m.run); err != nil || len(list) != 0 {
		t.Errorf("left in the directory of sockets: %v, %v", list, err)
	}
}

// TestFsckOnlineInterrupted: an interrupt stops the check in the process, too; what
// was found is kept, and the next run goes on. When the process is killed, fsck
// says so, and the next session replaces the socket that is left.
func TestFsckOnlineInterrupted(t *testing.T) {
	m := startImport(t)
	m.read(200)
	m.report(0)
	state := filepath.Join(m.dir, "state")
	_, at := m.victim()
	m.flip(at)

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		// Half-way, by what -C tells.
		for lines := bufio.NewScanner(r); lines.Scan(); {
			var phase string
			var done, total int
			if n, _ := fmt.Sscanf(lines.Text(), "%s %d %d", &phase, &done, &total); n == 3 && phase == "trees" && done > total/2 {
				cancel()
			}
		}
	}()
	// -C takes the descriptor over.
	fd, err := unix.Dup(int(w.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	args := []string{"fsck", "--online", "--level", "deep", "--resume", state, m.image}
	out, errs, code := m.mainCtx(ctx, append(args, "--rate", "2MiB", "-C", fmt.Sprint(fd))...)
	if code != 32 || !strings.Contains(errs, "interrupted\n  Go on with: ebofs fsck --online --level deep --resume "+state) || !strings.Contains(out, "not everything could be looked at") {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	var k struct{ Report check.Report }
	if p, err := os.ReadFile(state); err != nil || json.Unmarshal(p, &k) != nil || k.Report.Position == nil || len(k.Report.Position.Data) == 0 {
		t.Fatalf("%v: %s", err, p)
	}
	if out, _, _ := m.main("admin", m.image, "store", "status"); !strings.Contains(out, "check         stopped\n") {
		t.Errorf("after the interrupt: %s", out)
	}
	for level, want := range map[string]string{"full": "is of a check of level deep, not full", "quick": "not quick"} {
		if out, errs, code := m.main("fsck", "--online", "--level", level, "--resume", state, m.image); code != 8 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d: %s%s", level, code, out, errs)
		}
	}
	m.read(20)
	all := m.report(4, "--level", "deep", "--resume", state)
	if !all.Complete {
		t.Error("what went on where it was is not complete")
	}
	if len(all.Parts) != 2 || all.Parts[0].To == "" || all.Parts[0].To != all.Parts[1].From || all.Parts[1].Epoch <= all.Parts[0].Epoch {
		t.Errorf("%+v", all.Parts)
	}
	if len(all.Problems) != 1 || all.Problems[0].Address != uint64(at/4096) {
		t.Errorf("%+v", all.Problems)
	}
	if _, err := os.Stat(state); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a check that is done leaves its state: %v", err)
	}
	m.flip(at)

	// A process that is killed.
	sock := ""
	if list, err := os.ReadDir(m.run); err != nil || len(list) != 1 {
		t.Fatal(list, err)
	} else {
		sock = filepath.Join(m.run, list[0].Name())
	}
	if _, err := asok.Ask(context.Background(), sock, "store check start", map[string]any{"level": "deep", "rate": 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := m.main("fsck", "--online", m.image); code != 8 || !strings.Contains(errs, "a check of this store is running already\n  How far it is: ebofs admin "+m.image+" store check status") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if _, err := asok.Ask(context.Background(), sock, "store check cancel", nil); err != nil {
		t.Fatal(err)
	}
	killed := make(chan struct{})
	r2, w2, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r2.Close()
	go func() {
		defer close(killed)
		_, _ = r2.Read(make([]byte, 1)) // the check has begun
		_ = m.cmd.Process.Kill()
	}()
	fd, err = unix.Dup(int(w2.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	w2.Close()
	out, errs, code = m.main(append(args, "--rate", "100KiB", "-C", fmt.Sprint(fd))...)
	<-killed
	_ = m.cmd.Wait()
	if code != 8 || !strings.Contains(errs, "the process that has the store ended") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := m.main("fsck", "--online", m.image); code != 8 || !strings.Contains(errs, "nobody uses it\n  It is checked without asking: ebofs fsck "+m.image) {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := m.main("admin", sock, "status"); code != 1 || !strings.Contains(errs, "is dead") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := m.main("object", m.image, "rm", "no such object"); code != 1 || strings.Contains(errs, "socket") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if _, err := os.Lstat(sock); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket of the killed process is still there: %v", err)
	}
	if out, errs, code := m.main("fsck", "--level", "deep", m.image); code != 0 {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}
