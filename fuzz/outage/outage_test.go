package outage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ebofs/fuzz/stock"
	"ebofs/tools/local"
)

var (
	seed     = flag.Uint64("seed", 1, "of the moments of kills")
	osdKills = flag.Int("osd-kills", 50, "how often the OSD is killed")
	monKills = flag.Int("mon-kills", 20, "how often the monitor is")
)

// recoverIn is how long clients may stand still: the restart of a daemon, and what
// clients of Ceph wait before they try again.
const recoverIn = time.Minute

// TestKills kills daemons under load.
func TestKills(t *testing.T) {
	stock.Need(t, "rados", "rbd", "fio", "ceph")
	r := rand.New(rand.NewPCG(*seed, 20))
	c := newCluster(t)
	c.start("mon", "a")
	c.start("osd", "0")
	c.stock("ceph", "osd", "pool", "create", "load", "8")
	c.stock("ceph", "osd", "pool", "create", "images", "8")
	c.stock("rbd", "create", "images/i", "--size", "16M")
	l := c.load()
	f := c.fio()
	began := time.Now()
	for i := range *osdKills {
		l.goesOn(5 + r.IntN(100))
		time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond) // anywhere within requests
		c.kill("osd", "0")
		if r.IntN(4) == 0 && i < *osdKills*4/5 {
			time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond) // noticed as gone
		}
		c.start("osd", "0")
	}
	t.Logf("%v for kills of the OSD", time.Since(began))
	l.goesOn(20)
	for range *monKills {
		c.kill("mon", "a")
		l.goesOn(50 + r.IntN(200)) // nobody misses it
		c.start("mon", "a")
		if got := l.ask("mon"); got != "0" {
			t.Errorf("status after the monitor's restart: %s", got)
		}
	}
	t.Logf("%v with those of the monitor", time.Since(began))
	// Both at once: clients need the monitor to find the OSD again.
	c.kill("mon", "a")
	c.kill("osd", "0")
	c.start("mon", "a")
	c.start("osd", "0")
	l.goesOn(50)
	f.end()
	var end struct {
		Acked int
		Wrong []string
	}
	if err := json.Unmarshal([]byte(l.ask("stop")), &end); err != nil {
		t.Fatal(err)
	}
	for _, w := range end.Wrong {
		t.Errorf("-seed %d: %s", *seed, w)
	}
	c.kill("osd", "0")
	c.run("fsck", "--level", "deep", filepath.Join(c.dir, "osd.0.img"))
	fmt.Printf("daemon kills: %d mon kills: %d acknowledged: %d fio rounds: %d\n", *osdKills+2, *monKills+1, end.Acked, f.rounds)
}

// cluster is daemons as processes.
type cluster struct {
	t       *testing.T
	program string
	dir     string
	running map[string]*daemon
}

// daemon is a process with what it said.
type daemon struct {
	cmd  *exec.Cmd
	said bytes.Buffer
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	// Not t.TempDir: its name is long, and that of a socket may not be.
	dir, err := os.MkdirTemp("", "outage")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &cluster{t: t, program: filepath.Join(dir, "ebofs"), dir: dir, running: map[string]*daemon{}}
	if out, err := exec.Command("go", "build", "-o", c.program, "ebofs/tools/ebofs").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	o := local.Options{Dir: dir, OSDBytes: 1 << 30, Mode: "crc"}
	// Clients look for a lost peer again soon, so that there is time for more kills.
	o.Set = []string{"mon_client_hunt_interval = 0.5", "ms_initial_backoff = 0.05", "ms_max_backoff = 0.5"}
	if _, err := local.Make(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for name, d := range c.running {
			if t.Failed() {
				d.cmd.Process.Signal(syscall.SIGQUIT) // says where its goroutines are
				late := time.AfterFunc(10*time.Second, func() { d.cmd.Process.Kill() })
				d.cmd.Wait()
				late.Stop()
				t.Logf("%s said:\n%s", name, d.said.Bytes()[max(0, d.said.Len()-20000):])
				continue
			}
			d.cmd.Process.Kill()
			d.cmd.Wait()
		}
	})
	return c
}

func (c *cluster) conf() string { return filepath.Join(c.dir, "ceph.conf") }

// start starts a daemon and does not wait for it.
func (c *cluster) start(verb, id string) {
	c.t.Helper()
	d := &daemon{cmd: exec.Command(c.program, verb, "-c", c.conf(), "-i", id)}
	d.cmd.Stdout, d.cmd.Stderr = &d.said, &d.said
	if err := d.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.running[verb+id] = d
}

// kill ends a daemon at once. It must not have ended by itself.
func (c *cluster) kill(verb, id string) {
	c.t.Helper()
	d := c.running[verb+id]
	delete(c.running, verb+id)
	_ = d.cmd.Process.Kill()
	if err := d.cmd.Wait(); err == nil || d.cmd.ProcessState.Exited() {
		c.t.Fatalf("%s %s had ended: %v\n%s", verb, id, err, d.said.Bytes())
	}
}

// run runs the program to its end.
func (c *cluster) run(args ...string) {
	c.t.Helper()
	if out, err := exec.Command(c.program, args...).CombinedOutput(); err != nil {
		c.t.Fatalf("ebofs %q: %v\n%s", args, err, out)
	}
}

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "CEPH_CONF="+c.conf(), "CEPH_ARGS=")
	return cmd
}

// stock runs a client to its end.
func (c *cluster) stock(name string, args ...string) {
	c.t.Helper()
	if out, err := c.command(name, args...).CombinedOutput(); err != nil {
		c.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// load is load.py at work.
type load struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

func (c *cluster) load() *load {
	c.t.Helper()
	l := &load{t: c.t, cmd: c.command("/usr/bin/python3", "load.py", "8")}
	l.cmd.Stderr = os.Stderr
	var err error
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		c.t.Fatal(err)
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	l.out = bufio.NewReader(out)
	if err := l.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { l.cmd.Process.Kill(); l.cmd.Wait() })
	if got := l.answer(); got != "began" {
		c.t.Fatalf("load: %q", got)
	}
	return l
}

func (l *load) ask(what string) string {
	l.t.Helper()
	if _, err := io.WriteString(l.in, what+"\n"); err != nil {
		l.t.Fatal(err)
	}
	return l.answer()
}

func (l *load) answer() string {
	l.t.Helper()
	late := time.AfterFunc(recoverIn, func() { l.cmd.Process.Kill() })
	defer late.Stop()
	s, err := l.out.ReadString('\n')
	if err != nil {
		l.t.Fatalf("load does not answer: %v", err)
	}
	return strings.TrimSpace(s)
}

func (l *load) count() int {
	l.t.Helper()
	n, err := strconv.Atoi(l.ask("count"))
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

// goesOn waits until so many more operations were acknowledged.
func (l *load) goesOn(n int) {
	l.t.Helper()
	begin := l.count()
	for end := time.Now().Add(recoverIn); l.count() < begin+n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("clients stand still: %d operations in %v", l.count()-begin, recoverIn)
		}
	}
}

// rounds is fio, which writes an image, verifies it, and begins again.
type rounds struct {
	t      *testing.T
	stop   chan struct{}
	done   chan error
	rounds int
}

func (c *cluster) fio() *rounds {
	f := &rounds{t: c.t, stop: make(chan struct{}), done: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-f.stop:
				f.done <- nil
				return
			default:
			}
			cmd := c.command("fio", "--ioengine=rbd", "--clientname=admin", "--pool=images", "--rbdname=i", "--name=v", "--size=4m", "--bs=4k", "--iodepth=8",
				"--rw=randwrite", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--rate_iops=200", fmt.Sprint("--randseed=", f.rounds))
			cmd.Dir = c.dir
			if out, err := cmd.CombinedOutput(); err != nil {
				f.done <- fmt.Errorf("fio: %w\n%s", err, out)
				return
			}
			f.rounds++
		}
	}()
	c.t.Cleanup(func() {
		select {
		case <-f.stop:
		default:
			close(f.stop)
		}
		select {
		case <-ended:
		case <-time.After(recoverIn):
			c.t.Error("fio does not end")
		}
	})
	return f
}

// end lets the round under way come to its end.
func (f *rounds) end() {
	f.t.Helper()
	close(f.stop)
	select {
	case err := <-f.done:
		if err != nil {
			f.t.Error(err)
		}
	case <-time.After(2 * recoverIn):
		f.t.Error("fio stands still")
	}
	if f.rounds == 0 {
		f.t.Error("fio has verified nothing")
	}
}
