package hostile

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ebofs/fuzz/stock"
)

const halfOpen = 10_000 // connections

// cluster is daemons that serve, and where.
type cluster struct {
	*stock.Processes
	t         *testing.T
	addrs     []string // of monitor and OSD
	processes []int
}

func start(t *testing.T) *cluster {
	t.Helper()
	stock.Need(t, "rados", "ceph")
	c := &cluster{Processes: stock.StartProcesses(t), t: t}
	c.Start("mon", "a")
	c.Start("osd", "0")
	c.Client("ceph", "osd", "pool", "create", "p", "4")
	c.serves()
	conf, err := os.ReadFile(c.Conf)
	if err != nil {
		t.Fatal(err)
	}
	c.addrs = append(c.addrs, string(regexp.MustCompile(`mon_host = v2:(\S+)`).FindSubmatch(conf)[1]))
	var dump struct {
		OSDs []struct {
			Addrs struct {
				Vec []struct{ Addr string } `json:"addrvec"`
			} `json:"public_addrs"`
		}
	}
	if err := json.Unmarshal([]byte(c.Client("ceph", "osd", "dump", "--format", "json")), &dump); err != nil || len(dump.OSDs) != 1 {
		t.Fatal(err)
	}
	c.addrs = append(c.addrs, dump.OSDs[0].Addrs.Vec[0].Addr)
	c.processes = []int{c.PID("mon", "a"), c.PID("osd", "0")}
	return c
}

// serves has a client write and read.
func (c *cluster) serves() {
	c.t.Helper()
	c.Client("rados", "-p", "p", "put", "o", c.Conf)
	got := filepath.Join(c.Dir, "got")
	c.Client("rados", "-p", "p", "get", "o", got)
	a, err := os.ReadFile(c.Conf)
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := os.ReadFile(got)
	if err != nil || string(a) != string(b) {
		c.t.Fatalf("an object is not what was written: %v", err)
	}
}

// resident is the memory of both daemons, in MiB.
func (c *cluster) resident() (mib [2]int) {
	c.t.Helper()
	for i, pid := range c.processes {
		p, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			c.t.Fatalf("a daemon has ended: %v", err)
		}
		kib, err := strconv.Atoi(string(regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(p)[1]))
		if err != nil {
			c.t.Fatal(err)
		}
		mib[i] = kib >> 10
	}
	return mib
}

// within fails if the daemons have grown by more than so many MiB.
func (c *cluster) within(before [2]int, most int) {
	c.t.Helper()
	for i, now := range c.resident() {
		c.t.Logf("%s: %d MiB, before %d", c.addrs[i], now, before[i])
		if now > before[i]+most {
			c.t.Errorf("%s has grown from %d to %d MiB", c.addrs[i], before[i], now)
		}
	}
}

// TestGarbage sends what is no protocol, or breaks off in the middle of it.
func TestGarbage(t *testing.T) {
	c := start(t)
	r := rand.New(rand.NewPCG(1, 4))
	noise := func(n int) string {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		return string(p)
	}
	// The banner, with two feature masks; and the head of a frame whose segment claims a
	// length, without and with a checksum that might be one.
	banner := "ceph v2\n\x10\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"
	frame := func(tag byte, length string) string {
		return string(tag) + "\x01" + length + "\x08\x00" + strings.Repeat("\x00", 20) + noise(4)
	}
	inputs := []string{
		"", "\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise(200), "ceph v027" + noise(100),
		"ceph v2\n", "ceph v2\n\xff\xff" + noise(1000), banner, banner + noise(32), banner + noise(5000), banner + frame(1, "\xff\xff\xff\xff") + noise(5000),
		banner + frame(1, "\x10\x00\x00\x00") + noise(100), banner + frame(17, "\xff\xff\xff\x7f"), noise(3), noise(1 << 20),
	}
	for range 100 {
		inputs = append(inputs, noise(1+r.IntN(3000)), banner+noise(1+r.IntN(3000)))
	}
	before := c.resident()
	var wg sync.WaitGroup
	for _, addr := range c.addrs {
		for _, in := range inputs {
			wg.Go(func() {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(40 * time.Second))
				if _, err := conn.Write([]byte(in)); err != nil {
					return // refused already
				}
				// What is complete is refused at once; what is not, when its time is over.
				if len(in) < 100 {
					return
				}
				buf := make([]byte, 4096)
				for {
					if _, err := conn.Read(buf); err != nil {
						if ne, ok := err.(net.Error); ok && ne.Timeout() {
							t.Errorf("%s keeps a connection that began with %.20q", addr, in)
						}
						return
					}
				}
			})
		}
	}
	wg.Wait()
	c.serves()
	c.within(before, 64)
}

// TestHalfOpen holds connections that never say who they are, and lets clients work.
func TestHalfOpen(t *testing.T) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	if l.Cur = l.Max; l.Cur < halfOpen+1000 {
		l.Cur, l.Max = halfOpen+1000, halfOpen+1000
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Skipf("%d files cannot be open at once: %v", halfOpen, err)
	}
	c := start(t)
	before := c.resident()
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	refused := 0
	for i := range halfOpen {
		conn, err := net.DialTimeout("tcp", c.addrs[i%2], 10*time.Second)
		if err != nil {
			refused++
			continue
		}
		conns = append(conns, conn)
		if i%4 < 2 {
			_, _ = conn.Write([]byte("ceph v2\n"))
		}
	}
	t.Logf("%d connections held, %d refused", len(conns), refused)
	if refused > halfOpen/100 {
		t.Errorf("%d of %d connections were refused by the system", refused, halfOpen)
	}
	began := time.Now()
	c.serves()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("a client takes %v beside them", took)
	}
	c.within(before, 160)
	for _, conn := range conns {
		conn.Close()
	}
	conns = nil
	c.serves()
	fmt.Printf("half-open connections: %d\n", halfOpen-refused)
}

// TestCaps has a client that may do little ask for more.
func TestCaps(t *testing.T) {
	c := start(t)
	c.Client("ceph", "osd", "pool", "create", "other", "1")
	c.Client("rados", "-p", "other", "put", "o", c.Conf)
	ring := filepath.Join(c.Dir, "guest")
	if err := os.WriteFile(ring, []byte(c.Client("ceph", "auth", "get-or-create", "client.guest", "mon", "allow r", "osd", "allow r pool=p")), 0o600); err != nil {
		t.Fatal(err)
	}
	as := func(name string, args ...string) (string, error) {
		out, err := c.Command(name, append([]string{"--id", "guest", "--keyring", ring}, args...)...).CombinedOutput()
		return string(out), err
	}
	if out, err := as("rados", "-p", "p", "get", "o", filepath.Join(c.Dir, "got")); err != nil {
		t.Errorf("what is allowed: %v\n%s", err, out)
	}
	for _, args := range [][]string{
		{"rados", "-p", "p", "put", "o", c.Conf}, {"rados", "-p", "p", "rm", "o"}, {"rados", "-p", "p", "setxattr", "o", "a", "b"},
		{"rados", "-p", "other", "get", "o", filepath.Join(c.Dir, "got")}, {"rados", "-p", "p", "lock", "get", "o", "l"},
	} {
		if out, err := as(args[0], args[1:]...); err == nil || !strings.Contains(out, "(1) Operation not permitted") {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
	for _, args := range [][]string{{"ceph", "osd", "pool", "create", "mine", "1"}, {"ceph", "auth", "ls"}, {"ceph", "osd", "out", "0"}, {"ceph", "config", "set", "osd", "osd_max_backfills", "2"}} {
		if out, err := as(args[0], args[1:]...); err == nil || !regexp.MustCompile(`(?i)EACCES|access denied`).MatchString(out) {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
	// A key that is not the one the cluster knows.
	wrong := filepath.Join(c.Dir, "wrong")
	if err := os.WriteFile(wrong, []byte("[client.guest]\n\tkey = AQBSdFhjAAAAABAAwRkpVYkyFGBzNSDRZV2GPg==\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := c.Command("rados", "--id", "guest", "--keyring", wrong, "-p", "p", "ls").CombinedOutput()
	if err == nil || !regexp.MustCompile(`handle_auth_bad_method|Permission denied`).Match(out) {
		t.Errorf("with a wrong key: %v\n%s", err, out)
	}
	c.serves()
}

// TestMayNotStart starts daemons that have to say in one line why they do not.
func TestMayNotStart(t *testing.T) {
	c, other := start(t), stock.StartProcesses(t)
	conf, err := os.ReadFile(c.Conf)
	if err != nil {
		t.Fatal(err)
	}
	edited := func(name string, pairs ...string) string {
		path := filepath.Join(c.Dir, name)
		text := strings.NewReplacer(pairs...).Replace(string(conf))
		if text == string(conf) {
			t.Fatalf("%s: nothing to edit", name)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	image := filepath.Join(c.Dir, "osd.0.img")
	copied := filepath.Join(c.Dir, "copy.img")
	refuse := func(name, pattern string, p *stock.Processes, args ...string) {
		t.Helper()
		out, err := p.Try(args...)
		lines := regexp.MustCompile(`(?m)^ebofs (mon|osd): .*$`).FindAllString(out, -1)
		if err == nil || len(lines) != 1 || !regexp.MustCompile(pattern).MatchString(lines[0]) || strings.Contains(out, "goroutine ") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	refuse("monitor that runs already", `mon\.a is running: pid \d+`, c.Processes, "mon", "-c", c.Conf, "-i", "a")
	refuse("OSD that runs already", `in use: locked by ebofs`, c.Processes, "osd", "-c", c.Conf, "-i", "0")
	refuse("no such monitor", `mon\.b has not been made`, c.Processes, "mon", "-c", c.Conf, "-i", "b")
	refuse("no configuration", `nosuch`, c.Processes, "osd", "-c", filepath.Join(c.Dir, "nosuch.conf"), "-i", "0")
	c.Kill("osd", "0")
	if out, err := c.Command("cp", "--sparse=always", image, copied).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	keys, err := os.OpenFile(filepath.Join(c.Dir, "keyring"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = keys.WriteString(c.Client("ceph", "auth", "get-or-create", "osd.7", "mon", "allow profile osd", "osd", "allow *"))
	if err := errors.Join(err, keys.Close()); err != nil {
		t.Fatal(err)
	}
	refuse("wrong id", `this store is osd\.0's, not osd\.7's`, c.Processes, "osd", "-c", edited("id.conf", "[osd.0]", "[osd.7]", image, copied), "-i", "7")
	fsid := regexp.MustCompile(`fsid = (\S+)`).FindSubmatch(conf)[1]
	refuse("wrong fsid", `belongs to cluster \S+, the configuration is of cluster 1111`, c.Processes, "osd", "-c", edited("fsid.conf", string(fsid), "11111111-2222-4333-8444-555555555555", image, copied), "-i", "0")
	// The store of this cluster in the other one.
	theirs, err := os.ReadFile(other.Conf)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(other.Dir, "foreign.conf")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(theirs), filepath.Join(other.Dir, "osd.0.img"), copied)), 0o600); err != nil {
		t.Fatal(err)
	}
	other.Start("mon", "a")
	refuse("store of another cluster", `belongs to cluster`, other, "osd", "-c", path, "-i", "0")
	other.Kill("mon", "a")
	// The monitor's port, taken by somebody else.
	c.Kill("mon", "a")
	l, err := net.Listen("tcp", c.addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	refuse("port that is taken", `address already in use`, c.Processes, "mon", "-c", c.Conf, "-i", "a")
	l.Close()
	c.Start("mon", "a")
	c.Start("osd", "0")
	c.serves()
}
