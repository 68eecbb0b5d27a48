package stock

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"ebofs/tools/local"
)

// Processes is a cluster whose daemons are processes of the program: one monitor and
// one OSD, over cephx and crc. None runs at first.
type Processes struct {
	Dir, Conf string
	t         testing.TB
	program   string
	running   map[string]*process
}

// process is a daemon with what it said.
type process struct {
	cmd  *exec.Cmd
	said bytes.Buffer
}

// StartProcesses builds the program and makes a cluster that ends with the test. More
// lines may be given for [global] of ceph.conf.
func StartProcesses(t testing.TB, more ...string) *Processes {
	t.Helper()
	// Not t.TempDir: its name is long, and that of a socket may not be.
	dir, err := os.MkdirTemp("", "ours")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &Processes{Dir: dir, Conf: filepath.Join(dir, "ceph.conf"), t: t, program: filepath.Join(dir, "ebofs"), running: map[string]*process{}}
	if out, err := exec.Command("go", "build", "-o", p.program, "ebofs/tools/ebofs").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if _, err := local.Make(context.Background(), local.Options{Dir: dir, OSDBytes: 1 << 30, Mode: "crc", Set: more}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for name, d := range p.running {
			p.end(name, d)
		}
	})
	return p
}

// end ends a daemon with the test. Of a test that failed it says where its goroutines are.
func (p *Processes) end(name string, d *process) {
	if !p.t.Failed() {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGQUIT)
	late := time.AfterFunc(10*time.Second, func() { _ = d.cmd.Process.Kill() })
	defer late.Stop()
	_ = d.cmd.Wait()
	p.t.Logf("%s said:\n%s", name, d.said.Bytes()[max(0, d.said.Len()-20000):])
}

// Start starts a daemon and does not wait for it.
func (p *Processes) Start(verb, id string) {
	p.t.Helper()
	d := &process{cmd: exec.Command(p.program, verb, "-c", p.Conf, "-i", id)}
	d.cmd.Stdout, d.cmd.Stderr, d.cmd.SysProcAttr = &d.said, &d.said, withTest
	if err := d.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.running[verb+id] = d
}

// Kill ends a daemon at once. It must not have ended by itself.
func (p *Processes) Kill(verb, id string) {
	p.t.Helper()
	d := p.running[verb+id]
	delete(p.running, verb+id)
	_ = d.cmd.Process.Kill()
	if err := d.cmd.Wait(); err == nil || d.cmd.ProcessState.Exited() {
		p.t.Fatalf("%s %s had ended: %v\n%s", verb, id, err, d.said.Bytes())
	}
}

// PID is the id of a daemon's process.
func (p *Processes) PID(verb, id string) int { return p.running[verb+id].cmd.Process.Pid }

// Run runs the program to its end, which has to be a good one.
func (p *Processes) Run(args ...string) {
	p.t.Helper()
	if out, err := p.Try(args...); err != nil {
		p.t.Fatalf("ebofs %q: %v\n%s", args, err, out)
	}
}

// Try runs the program for a while, and gives what it said.
func (p *Processes) Try(args ...string) (string, error) {
	cmd := exec.Command(p.program, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := runFor(cmd, time.Minute)
	return said.String(), err
}

// Command is a client's, with the cluster's configuration.
func (p *Processes) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "CEPH_CONF="+p.Conf, "CEPH_ARGS=")
	return cmd
}

// Client runs a client to its end, which has to be a good one, and gives what it said.
func (p *Processes) Client(name string, args ...string) string {
	p.t.Helper()
	cmd := p.Command(name, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := runFor(cmd, time.Minute); err != nil {
		p.t.Fatalf("%s %q: %v\n%s", name, args, err, said.Bytes())
	}
	return said.String()
}
