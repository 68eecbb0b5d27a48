package outage

import (
	"bufio"
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
	"testing"
	"time"

	"ebofs/fuzz/stock"
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
	// Clients look for a lost peer again soon, so that there is time for more kills.
	c := stock.StartProcesses(t, "mon_client_hunt_interval = 0.5", "ms_initial_backoff = 0.05", "ms_max_backoff = 0.5")
	c.Start("mon", "a")
	c.Start("osd", "0")
	c.Client("ceph", "osd", "pool", "create", "load", "8")
	c.Client("ceph", "osd", "pool", "create", "images", "8")
	c.Client("rbd", "create", "images/i", "--size", "16M")
	l := newLoad(t, c)
	f := newRounds(t, c)
	began := time.Now()
	for i := range *osdKills {
		l.goesOn(5 + r.IntN(100))
		time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond) // anywhere within requests
		c.Kill("osd", "0")
		if r.IntN(4) == 0 && i < *osdKills*4/5 {
			time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond) // noticed as gone
		}
		c.Start("osd", "0")
	}
	t.Logf("%v for kills of the OSD", time.Since(began))
	l.goesOn(20)
	for range *monKills {
		c.Kill("mon", "a")
		l.goesOn(50 + r.IntN(200)) // nobody misses it
		c.Start("mon", "a")
		if got := l.ask("mon"); got != "0" {
			t.Errorf("status after the monitor's restart: %s", got)
		}
	}
	t.Logf("%v with those of the monitor", time.Since(began))
	// Both at once: clients need the monitor to find the OSD again.
	c.Kill("mon", "a")
	c.Kill("osd", "0")
	c.Start("mon", "a")
	c.Start("osd", "0")
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
	c.Kill("osd", "0")
	c.Run("fsck", "--level", "deep", filepath.Join(c.Dir, "osd.0.img"))
	fmt.Printf("daemon kills: %d mon kills: %d acknowledged: %d fio rounds: %d\n", *osdKills+2, *monKills+1, end.Acked, f.rounds)
}

// load is load.py at work.
type load struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

func newLoad(t *testing.T, c *stock.Processes) *load {
	t.Helper()
	l := &load{t: t, cmd: c.Command("/usr/bin/python3", "load.py", "8")}
	l.cmd.Stderr = os.Stderr
	var err error
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.out = bufio.NewReader(out)
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.cmd.Process.Kill(); l.cmd.Wait() })
	if got := l.answer(); got != "began" {
		t.Fatalf("load: %q", got)
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

func newRounds(t *testing.T, c *stock.Processes) *rounds {
	f := &rounds{t: t, stop: make(chan struct{}), done: make(chan error, 1)}
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
			cmd := c.Command("fio", "--ioengine=rbd", "--clientname=admin", "--pool=images", "--rbdname=i", "--name=v", "--size=4m", "--bs=4k", "--iodepth=8",
				"--rw=randwrite", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--rate_iops=200", fmt.Sprint("--randseed=", f.rounds))
			cmd.Dir = c.Dir
			if out, err := cmd.CombinedOutput(); err != nil {
				f.done <- fmt.Errorf("fio: %w\n%s", err, out)
				return
			}
			f.rounds++
		}
	}()
	t.Cleanup(func() {
		select {
		case <-f.stop:
		default:
			close(f.stop)
		}
		select {
		case <-ended:
		case <-time.After(recoverIn):
			t.Error("fio does not end")
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
