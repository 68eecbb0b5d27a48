package daemon

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/conf"
)

func monitorConfig(t *testing.T, set ...string) *conf.Config {
	t.Helper()
	c, _, err := conf.New(conf.Load{Name: ceph.EntityName{Type: ceph.TypeMon, ID: "a"}, Args: append([]string{"--mon_data=" + filepath.Join(t.TempDir(), "mon")}, set...)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestMembers: which address each monitor of a new cluster gets.
func TestMembers(t *testing.T) {
	for _, c := range []struct {
		set  []string
		want string // of a; or the error
	}{
		{[]string{"--mon_host=10.0.0.1"}, "v2:10.0.0.1:3300/0"},
		{[]string{"--mon_host=10.0.0.1:4000", "--public_addr=10.0.0.1"}, "v2:10.0.0.1:4000/0"},
		{[]string{"--mon_host=10.0.0.1:4000", "--public_addr=10.0.0.1:5000"}, "v2:10.0.0.1:5000/0"},
		{[]string{"--public_addr=10.0.0.1"}, "v2:10.0.0.1:3300/0"},
		{[]string{"--mon_host=10.0.0.1,10.0.0.2", "--mon_initial_members=b,a"}, "v2:10.0.0.2:3300/0"},
		{[]string{"--mon_host=10.0.0.1,10.0.0.2"}, "has 1 names, mon_host 2 addresses"},
		{nil, "mon_host is not set"},
	} {
		got := ""
		if m, err := members(monitorConfig(t, c.set...)); err != nil {
			got = err.Error()
		} else {
			got = m["a"]
		}
		if got != c.want && (c.want[0] == 'v' || !strings.Contains(got, c.want)) {
			t.Errorf("%q: %q, want %q", c.set, got, c.want)
		}
	}
}

// TestMonitor makes a monitor, and refuses what must not be.
func TestMonitor(t *testing.T) {
	cfg := monitorConfig(t, "--mon_host=127.0.0.1:1")
	if _, err := OpenMonitor(t.Context(), cfg, Tuning{}, nil, time.Now); !errors.Is(err, ErrNoData) {
		t.Error(err)
	}
	seed, ring, err := MakeMonitor(cfg, nil, time.Now())
	if err != nil || len(ring) != 2 {
		t.Fatal(err, ring)
	}
	if _, _, err := MakeMonitor(cfg, nil, time.Now()); err == nil || !strings.Contains(err.Error(), "was made here already") {
		t.Error(err)
	}
	dir := cfg.Text("mon_data")
	l, err := lock("mon.a", dir)
	if err != nil {
		t.Fatal(err)
	}
	if Holder(dir) == "" {
		t.Error("nobody holds it")
	}
	if _, err := OpenMonitor(t.Context(), cfg, Tuning{}, nil, time.Now); !errors.Is(err, ErrRunning) {
		t.Error(err)
	}
	l.Close()
	if Holder(dir) != "" {
		t.Error("somebody holds it")
	}
	if err := cfg.Set(conf.Override, "fsid", "11111111-2222-4333-8444-555555555555"); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenMonitor(t.Context(), cfg, Tuning{}, nil, time.Now); err == nil || !strings.Contains(err.Error(), "is of cluster "+seed.FSID) {
		t.Error(err)
	}
	// What it keeps is lost: no new cluster takes its place.
	seed.Started = true
	if err := errors.Join(cfg.Set(conf.Override, "fsid", ""), seed.write(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenMonitor(t.Context(), cfg, Tuning{Unsafe: true}, nil, time.Now); err == nil || !strings.Contains(err.Error(), "its state is gone") {
		t.Error(err)
	}
}

// TestPortTaken: who has the port is named.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = net.Listen("tcp", l.Addr().String())
	if got := explainPort(err); got == nil || !strings.Contains(got.Error(), "has port "+strconv.Itoa(l.Addr().(*net.TCPAddr).Port)) {
		t.Error(got)
	}
}

// TestAddress: where an OSD says it is reached.
func TestAddress(t *testing.T) {
	for set, want := range map[string]string{
		"--public_addr=10.1.2.3:7000":                 "10.1.2.3:7000",
		"--public_network=10.255.0.0/16, 127.0.0.0/8": "127.0.0.1:0",
		"--public_network=203.0.113.0/24":             "no address in 203.0.113.0/24",
		"--public_network=home":                       `"home": want a network`,
		"--mon_host=127.0.0.1":                        "127.0.0.1:0",
	} {
		a, err := address(monitorConfig(t, set))
		got := a.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", set, got, want)
		}
	}
}

// TestOptionsAreUsed: every option that is ours is read somewhere.
func TestOptionsAreUsed(t *testing.T) {
	var text strings.Builder
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "conf/option.go") {
			return err
		}
		p, err := os.ReadFile(path)
		text.Write(p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range conf.Options() {
		byType := strings.HasPrefix(o.Name, "debug_") || o.Name == "mon_data" || o.Name == "osd_data" // "debug_" + type
		if !o.Client && !byType && !strings.Contains(text.String(), `"`+o.Name+`"`) {
			t.Errorf("option %s does nothing", o.Name)
		}
	}
}
