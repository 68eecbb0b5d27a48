package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ebofs/fuzz/stock"
)

// cluster is a monitor, and Ceph's manager with Ceph's monitor, on files of a
// directory.
type cluster struct {
	t   *testing.T
	dir string
}

const monitorAt = "127.0.0.1:3300"

// conf is what a small cluster needs; its waits are short.
const conf = `[global]
fsid = %[1]s
mon_host = [v2:` + monitorAt + `]
public_addr = 127.0.0.1
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
run_dir = %[2]s
admin_socket = %[2]s/$name.asok
log_file = %[2]s/$name.log
pid_file =
keyring = %[2]s/keyring
osd_pool_default_size = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_warn_on_pool_no_redundancy = false
auth_allow_insecure_global_id_reclaim = false
[mon]
mon_data = %[2]s/mon
mon_data_avail_crit = 0
mon_data_avail_warn = 0
paxos_propose_interval = 0.1
[mgr]
mgr_data = %[2]s/mgr
mgr_initial_modules =
mgr_module_path = %[2]s/modules
mgr_stats_period = 1
mgr_tick_period = 1
[osd]
osd_data = %[2]s/osd.$id
keyring = %[2]s/osd.$id.keyring
ebofs_osd_device = %[2]s/osd.$id.img
osd_memory_target = 939524096
osd_objectstore = bluestore
bluestore_block_size = 2147483648
bluestore_fsck_on_mkfs = false
osd_heartbeat_grace = 6
`

// newCluster makes the directory.
func newCluster(t *testing.T) (c *cluster, fsid string) {
	t.Helper()
	stock.Need(t, programs...)
	c, fsid = &cluster{t: t, dir: t.TempDir()}, uuid()
	c.must(os.Chmod(c.dir, 0o700)) // or no socket is opened there
	c.must(os.WriteFile(c.file("ceph.conf"), fmt.Appendf(nil, conf, fsid, c.dir), 0o600))
	return c, fsid
}

// cephs starts Ceph's monitor and manager.
func cephs(t *testing.T) *cluster {
	t.Helper()
	c, fsid := newCluster(t)
	for _, dir := range []string{"mon", "mgr", "modules"} {
		c.must(os.Mkdir(c.file(dir), 0o700))
	}
	// All of the manager's modules take seconds to load.
	for _, m := range []string{"mgr_module.py", "mgr_util.py", "balancer"} {
		c.must(os.Symlink("/usr/share/ceph/mgr/"+m, filepath.Join(c.file("modules"), m)))
	}
	c.run(nil, "ceph-authtool", "--create-keyring", c.file("keyring"), "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
	c.run(nil, "ceph-authtool", c.file("keyring"), "--gen-key", "-n", "client.admin", "--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
	c.run(nil, "ceph-authtool", c.file("keyring"), "--gen-key", "-n", "mgr.x", "--cap", "mon", "allow profile mgr", "--cap", "osd", "allow *")
	c.run(nil, "monmaptool", "--create", "--fsid", fsid, "--addv", "a", "[v2:"+monitorAt+"]", c.file("monmap"))
	c.run(nil, "ceph-mon", "-i", "a", "--mkfs", "--monmap", c.file("monmap"), "--keyring", c.file("keyring"))
	c.start("mon.a.out", "ceph-mon", "-f", "-i", "a")
	c.start("mgr.x.out", "ceph-mgr", "-f", "-i", "x")
	return c
}

// ourMonitor makes and starts a monitor of ours.
func ourMonitor(t *testing.T) (*cluster, *process) {
	t.Helper()
	c, _ := newCluster(t)
	c.done(c.ebofs("mkfs.out", "mon", "-i", "a", "--mkfs", "--admin-keyring", c.file("keyring")))
	return c, c.serve("mon.a.out", "mon", "-d", "-i", "a")
}

// uuid draws one.
func uuid() string {
	var id [16]byte
	_, _ = rand.Read(id[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// in returns the cluster for a subtest: what that starts ends with it.
func (c *cluster) in(t *testing.T) *cluster { return &cluster{t, c.dir} }

func (c *cluster) file(name string) string { return filepath.Join(c.dir, name) }

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) env() []string { return append(os.Environ(), "CEPH_CONF="+c.file("ceph.conf")) }

// try runs a program of Ceph's and returns what it printed.
func (c *cluster) try(in io.Reader, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p := exec.CommandContext(ctx, args[0], args[1:]...)
	var out, diag bytes.Buffer
	p.Env, p.Stdin, p.Stdout, p.Stderr = c.env(), in, &out, &diag
	if err := p.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, out.Bytes(), diag.Bytes())
	}
	return out.Bytes(), nil
}

func (c *cluster) run(in io.Reader, args ...string) []byte {
	c.t.Helper()
	out, err := c.try(in, args...)
	c.must(err)
	return out
}

// ask runs a command of `ceph` and reads its JSON into v.
func (c *cluster) ask(v any, args ...string) error {
	out, err := c.try(nil, append(append([]string{"ceph"}, args...), "--format", "json")...)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, v)
}

// until asks again and again until ok; what it was told last is in the failure.
func (c *cluster) until(what string, ok func() (bool, string)) {
	c.t.Helper()
	began := time.Now()
	deadline := began.Add(30 * time.Second)
	for {
		yes, seen := ok()
		if yes {
			c.t.Logf("%s after %.1f s", what, time.Since(began).Seconds())
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s: not within 30 s; last: %s", what, seen)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// process is a daemon.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start starts a daemon, which is killed when the test ends. What it prints is in
// file out.
func (c *cluster) start(out string, args ...string) *process {
	return c.startEnv(out, c.env(), args...)
}

func (c *cluster) startEnv(out string, env []string, args ...string) *process {
	c.t.Helper()
	f, err := os.OpenFile(c.file(out), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	c.must(err)
	defer f.Close()
	p := &process{cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, f, f
	c.must(p.cmd.Start())
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	c.t.Cleanup(func() {
		p.kill()
		if c.t.Failed() {
			text, _ := os.ReadFile(c.file(out))
			c.t.Logf("%s:\n%s", out, text[max(0, len(text)-8<<10):])
		}
	})
	return p
}

// kill ends a process at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// term asks a process to end, and returns whether it did in time.
func (p *process) term() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			return fmt.Errorf("exit code %d", code)
		}
		return nil
	case <-time.After(20 * time.Second):
		return errors.New("still there after 20 s")
	}
}

// key makes an OSD's key.
func (c *cluster) key(id int) string {
	c.t.Helper()
	ring := c.file(fmt.Sprintf("osd.%d.keyring", id))
	c.run(nil, "ceph", "auth", "get-or-create", fmt.Sprintf("osd.%d", id), "mon", "allow profile osd", "mgr", "allow profile osd", "osd", "allow *", "-o", ring)
	return ring
}

// ebofs starts this project's program.
func (c *cluster) ebofs(out string, args ...string) *process {
	c.t.Helper()
	env := append(c.env(), childVariable+"="+strings.Join(args, " "), "EBOFS_RUN_DIR="+c.dir, "NOTIFY_SOCKET="+c.file(out+".notify"))
	return c.startEnv(out, env, "/proc/self/exe")
}

// done waits for a program of ours to end well.
func (c *cluster) done(p *process) {
	c.t.Helper()
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		c.t.Fatalf("ebofs: exit code %d", code)
	}
}

// format makes a store for an OSD of ours.
func (c *cluster) format(id int) {
	c.t.Helper()
	c.done(c.ebofs("mkfs.out", "mkfs", c.file(fmt.Sprintf("osd.%d.img", id)), "--size", "1G"))
}

// ours starts an OSD of ours and waits until it serves.
func (c *cluster) ours(id int) *process {
	c.t.Helper()
	return c.serve(fmt.Sprintf("osd.%d.out", id), "osd", "-d", "-i", fmt.Sprint(id))
}

// serve starts a daemon of ours and waits until it says that it is ready.
func (c *cluster) serve(out string, args ...string) *process {
	c.t.Helper()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: c.file(out + ".notify")})
	c.must(err)
	defer os.Remove(c.file(out + ".notify"))
	defer l.Close()
	p := c.ebofs(out, args...)
	c.must(l.SetReadDeadline(time.Now().Add(30 * time.Second)))
	for text := make([]byte, 4096); ; {
		n, err := l.Read(text)
		if err != nil {
			c.t.Fatalf("%s is not ready: %v", out, err)
		}
		if bytes.Contains(text[:n], []byte("READY=1")) {
			return p
		}
	}
}

// theirs makes and starts an OSD of Ceph's and waits until it is up.
func (c *cluster) theirs(id int) *process {
	c.t.Helper()
	ring, data := c.key(id), c.file(fmt.Sprintf("osd.%d", id))
	c.must(os.Mkdir(data, 0o700))
	text, err := os.ReadFile(ring)
	c.must(err)
	c.must(os.WriteFile(filepath.Join(data, "keyring"), text, 0o600))
	uuid, name := uuid(), fmt.Sprint(id)
	c.run(nil, "ceph", "osd", "new", uuid, name)
	c.run(nil, "ceph-osd", "-i", name, "--mkfs", "--osd-uuid", uuid, "--keyring", ring)
	p := c.start("osd."+name+".out", "ceph-osd", "-f", "-i", name, "--keyring", ring)
	c.until("osd."+name+" up", func() (bool, string) { return c.isUp(id) })
	return p
}

// isUp reports whether the map says that an OSD is up.
func (c *cluster) isUp(id int) (bool, string) {
	var m struct {
		OSDs []struct{ OSD, Up, In int }
	}
	if err := c.ask(&m, "osd", "dump"); err != nil {
		return false, err.Error()
	}
	for _, o := range m.OSDs {
		if o.OSD == id {
			return o.Up == 1 && o.In == 1, fmt.Sprintf("%+v", o)
		}
	}
	return false, "not in the map"
}

// pgs returns how many PGs are in which state on which OSDs, as they were reported in
// epoch since or later.
func (c *cluster) pgs(since int) (map[string]int, error) {
	var d struct {
		Map struct {
			Stats []struct {
				State    string
				Acting   []int
				Reported json.Number `json:"reported_epoch"`
			} `json:"pg_stats"`
		} `json:"pg_map"`
	}
	if err := c.ask(&d, "pg", "dump"); err != nil {
		return nil, err
	}
	out := map[string]int{}
	for _, s := range d.Map.Stats {
		if at, err := s.Reported.Int64(); err != nil || at < int64(since) {
			s.State = fmt.Sprint("as of epoch ", s.Reported, ": ", s.State)
		}
		out[fmt.Sprint(s.State, " ", s.Acting)]++
	}
	return out, nil
}

// clean waits until all PGs are active+clean, and returns how many there are by
// acting set.
func (c *cluster) clean(pgs int) (by map[string]int) {
	c.t.Helper()
	return c.cleanSince(pgs, 0)
}

// cleanSince is clean, of what was reported in that epoch or later: OSDs report every
// five seconds, and what was clean before need not be so any more.
func (c *cluster) cleanSince(pgs, epoch int) (by map[string]int) {
	c.t.Helper()
	c.until("all PGs active+clean", func() (bool, string) {
		got, err := c.pgs(epoch)
		if err != nil {
			return false, err.Error()
		}
		n := 0
		by = map[string]int{}
		for k, v := range got {
			n += v
			acting, ok := strings.CutPrefix(k, "active+clean ")
			if !ok {
				return false, fmt.Sprint(got)
			}
			by[acting] += v
		}
		return n >= pgs, fmt.Sprint(got)
	})
	return by
}
