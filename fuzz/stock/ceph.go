package stock

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Need skips the test when one of the programs is not here, unless everything is
// installed that should be: .ci/setup does that for root.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Geteuid() == 0 {
				t.Fatalf("%v: run .ci/setup test", err)
			}
			t.Skip(err)
		}
	}
}

// Ceph is a cluster of Ceph's own daemons: one monitor, one OSD on BlueStore in a
// sparse file, no manager.
type Ceph struct {
	Conf string // path of its ceph.conf; auth is none
	dir  string
}

// conf makes a monitor quick to agree with itself, and lets a pool have one copy.
const conf = `[global]
fsid = 4fc0a7c5-3b26-4b0b-8f0b-d4c2f8e0c0de
mon_host = [v2:127.0.0.1:%[2]d]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
run_dir = %[1]s
admin_socket = %[1]s/$cluster-$name.asok
log_file = %[1]s/$name.log
pid_file = %[1]s/$name.pid
keyring = %[1]s/keyring
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_crush_chooseleaf_type = 0
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_max_pg_per_osd = 1000
osd_max_pg_per_osd_hard_ratio = 10
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
client_mount_timeout = 30
[mon]
mon_data = %[1]s/mon
[osd]
osd_data = %[1]s/osd
osd_objectstore = bluestore
bluestore_block_size = 4294967296
osd_memory_target = 939524096
%[3]s
`

// StartCeph starts a cluster that ends with the test. More lines may be given for
// its OSDs' section of ceph.conf.
func StartCeph(t testing.TB, more ...string) *Ceph {
	t.Helper()
	Need(t, "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool", "ceph")
	// Not t.TempDir: its name is long, and that of a socket may not be.
	dir, err := os.MkdirTemp("", "ceph")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &Ceph{Conf: filepath.Join(dir, "ceph.conf"), dir: dir}
	port := freePort(t)
	text := fmt.Sprintf(conf, dir, port, strings.Join(more, "\n"))
	if err := os.WriteFile(c.Conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"mon", "osd"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	Run(t, "ceph-authtool", "--create-keyring", in("keyring"), "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
	Run(t, "monmaptool", "--create", "--fsid", "4fc0a7c5-3b26-4b0b-8f0b-d4c2f8e0c0de", "--addv", "a", fmt.Sprintf("[v2:127.0.0.1:%d]", port), in("monmap"))
	Run(t, "ceph-mon", "-c", c.Conf, "--mkfs", "-i", "a", "--monmap", in("monmap"), "--keyring", in("keyring"))
	c.daemon(t, "ceph-mon", "-i", "a")
	const id = "00000000-0000-4000-8000-000000000001"
	Run(t, "ceph", "-c", c.Conf, "osd", "new", id)
	Run(t, "ceph-osd", "-c", c.Conf, "-i", "0", "--mkfs", "--osd-uuid", id, "--no-mon-config")
	c.daemon(t, "ceph-osd", "-i", "0")
	return c
}

// daemon runs a daemon until the test ends.
func (c *Ceph) daemon(t testing.TB, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, append([]string{"-c", c.Conf, "-f"}, args...)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = withTest
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, said.Bytes()[:min(said.Len(), 4000)])
		}
	})
}

// withTest has a process end with the test, even one that panics.
var withTest = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}

// Run runs a program to its end, which has to be a good one, and gives what it wrote
// to stdout.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := runFor(cmd, 2*time.Minute); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out.Bytes(), errs.Bytes())
	}
	return out.String()
}

// runFor runs a command, which is killed when it takes longer than so long.
func runFor(cmd *exec.Cmd, long time.Duration) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	late := time.AfterFunc(long, func() { cmd.Process.Kill() })
	defer late.Stop()
	return cmd.Wait()
}

// freePort finds a port for a monitor: its map names it before it listens.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
