package progress

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// clock is a hand-moved time; out is safe to read while the meter writes.
type clock struct {
	sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.Lock(); defer c.Unlock(); return c.now }
func (c *clock) add(d time.Duration) {
	c.Lock()
	defer c.Unlock()
	c.now = c.now.Add(d)
}

type out struct {
	sync.Mutex
	b bytes.Buffer
}

func (o *out) Write(p []byte) (int, error) { o.Lock(); defer o.Unlock(); return o.b.Write(p) }
func (o *out) take() string {
	o.Lock()
	defer o.Unlock()
	s := o.b.String()
	o.b.Reset()
	return s
}

func TestBar(t *testing.T) {
	var o out
	c := &clock{now: time.Unix(1000, 0)}
	tick := make(chan time.Time)
	m := Start(Options{Err: &o, Terminal: true, Columns: 90, Now: c.Now, Tick: tick})
	m.Phase("import", 100<<20, true)
	// An unbuffered tick is taken only when the one before was drawn.
	tick <- time.Time{}
	c.add(10 * time.Second)
	m.Add(5000, 25<<20)
	tick <- time.Time{}
	m.Println("a file was odd")
	m.Stop()
	m.Stop()
	got := o.take()
	for _, want := range []string{"\rimport  [", "]  25%  5000 items  25.0 MiB  2.5 MiB/s  30.0 s left", "a file was odd\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("bar lacks %q: %q", want, got)
		}
	}
	for line := range strings.SplitSeq(got, "\r") {
		if len([]rune(strings.TrimRight(line, "\n"))) > 89 {
			t.Errorf("line of %d runes on 90 columns: %q", len([]rune(line)), line)
		}
	}
	if strings.HasSuffix(got, "left") {
		t.Errorf("the bar was left standing: %q", got)
	}
}

// Without a terminal nothing is drawn, but a signal prints one line.
func TestStatusLine(t *testing.T) {
	var o out
	c := &clock{now: time.Unix(1000, 0)}
	status, tick := make(chan os.Signal), make(chan time.Time)
	m := Start(Options{Err: &o, Name: "ebofs fsck: x.img", Status: status, Now: c.Now, Tick: tick})
	m.Phase("trees", 400, false)
	m.Add(100, 0)
	c.add(2 * time.Second)
	tick <- time.Time{}
	tick <- time.Time{}
	if got := o.take(); got != "" {
		t.Errorf("drawn without a terminal: %q", got)
	}
	status <- syscall.SIGUSR1
	m.Stop()
	if got, want := o.take(), "ebofs fsck: x.img: trees  [#######                       ]  25%  100 of 400  50/s  6.0 s left\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMachineLines(t *testing.T) {
	var o out
	tick := make(chan time.Time)
	m := Start(Options{Lines: &o, Device: "/dev/x", Tick: tick})
	m.Phase("deep check", 200, false)
	for range 4 {
		m.Add(1, 0)
		tick <- time.Time{}
	}
	m.Set(200, 0)
	m.Stop()
	lines := strings.Split(strings.TrimSpace(o.take()), "\n")
	if len(lines) < 2 || len(lines) > 4 || lines[len(lines)-1] != "deep-check 200 200 /dev/x" {
		t.Errorf("%q", lines)
	}
}

func TestNilAndUnknownTotal(t *testing.T) {
	var none *Meter
	none.Phase("x", 1, true)
	none.Add(1, 1)
	none.Set(1, 1)
	none.SetTotal(4)
	none.Println("x")
	none.Stop()

	c := &clock{now: time.Unix(1000, 0)}
	m := Start(Options{Now: c.Now})
	m.Phase("scan", 0, false)
	m.Add(7, 0)
	c.add(time.Second)
	m.mu.Lock()
	line := m.lineLocked(60)
	m.mu.Unlock()
	if line != "scan  7 items  7/s" {
		t.Errorf("%q", line)
	}
	m.Stop()
}
