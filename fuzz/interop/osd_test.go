package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// content returns bytes that nobody else has.
func content(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rand.Uint32())
	}
	return p
}

// TestOSD: an OSD of ours boots into Ceph's cluster and serves its clients, alone
// and beside one of Ceph's.
func TestOSD(t *testing.T) {
	c := cephs(t)
	c.key(0)
	c.format(0)
	if t.Run("alone", func(t *testing.T) { alone(c.in(t)) }) {
		t.Run("beside", func(t *testing.T) { beside(c.in(t)) })
	}
}

// alone: pools are made on it, it is there again after it was killed under load and
// after the monitor took it for dead, and says goodbye when it stops.
func alone(c *cluster) {
	t := c.t
	osd := c.ours(0)
	c.run(nil, "ceph", "osd", "pool", "create", "p", "8")
	c.run(nil, "ceph", "osd", "pool", "application", "enable", "p", "rados")
	c.clean(8)
	var s struct {
		OSDMap struct {
			Up int `json:"num_up_osds"`
			In int `json:"num_in_osds"`
		}
	}
	c.must(c.ask(&s, "status"))
	if s.OSDMap.Up != 1 || s.OSDMap.In != 1 {
		t.Errorf("status: %+v, want one OSD up and in", s)
	}
	var meta map[string]any
	c.must(c.ask(&meta, "osd", "metadata", "0"))
	if meta["osd_objectstore"] != "ebofs" {
		t.Errorf("metadata: %v", meta)
	}
	if out := c.run(nil, "ceph", "tell", "osd.0", "version"); !strings.Contains(string(out), "ebofs") {
		t.Errorf("tell osd.0 version: %s", out)
	}
	if out := c.run(nil, "ceph", "--admin-daemon", c.file("osd.0.asok"), "status"); !strings.Contains(string(out), `"state": "active"`) {
		t.Errorf("status by the admin socket: %s", out)
	}

	want := map[string][]byte{}
	for i := range 8 {
		name := fmt.Sprint("before", i)
		want[name] = content(1 << (2 * i))
		c.run(bytes.NewReader(want[name]), "rados", "-p", "p", "put", name, "-")
	}
	image := content(4 << 20)
	c.must(os.WriteFile(c.file("image"), image, 0o600))
	c.run(nil, "ceph", "osd", "pool", "create", "rbd", "4")
	c.run(nil, "rbd", "pool", "init", "rbd")
	c.run(nil, "rbd", "import", "--no-progress", c.file("image"), "rbd/i")

	// Killed while a client writes: what it was told is done is there, and it goes
	// on by itself.
	bench := c.start("bench.out", "rados", "-p", "p", "bench", "2", "write", "-b", "8192", "-t", "8", "--no-cleanup", "--run-name", "b")
	c.until("a write", func() (bool, string) {
		out, err := c.try(nil, "rados", "-p", "p", "ls")
		return err == nil && bytes.Contains(out, []byte("benchmark_data")), fmt.Sprint(err)
	})
	osd.kill()
	osd = c.ours(0)
	fmt.Println("kills: 1")
	select {
	case <-bench.done:
	case <-time.After(40 * time.Second):
		t.Fatal("rados bench has not ended")
	}
	if code := bench.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("rados bench over a kill: exit code %d", code)
	}
	c.run(nil, "rados", "-p", "p", "bench", "10", "seq", "-t", "8", "--run-name", "b") // compares what it reads
	for name, data := range want {
		if got := c.run(nil, "rados", "-p", "p", "get", name, "-"); !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes read, other than the %d written", name, len(got), len(data))
		}
	}
	if got := c.run(nil, "rbd", "export", "--no-progress", "rbd/i", "-"); !bytes.Equal(got, image) {
		t.Errorf("rbd export: %d bytes, other than the %d imported", len(got), len(image))
	}
	c.clean(12)

	// Deleted snapshots are trimmed, and off the map's queue: the second has to get
	// by the first.
	for _, snap := range []string{"a", "b"} {
		c.run(nil, "rados", "-p", "p", "mksnap", snap)
		c.run(strings.NewReader(snap), "rados", "-p", "p", "put", "before0", "-")
		c.run(nil, "rados", "-p", "p", "rmsnap", snap)
		c.until("snapshot "+snap+" purged", func() (bool, string) {
			var m struct {
				Queue []any `json:"removed_snaps_queue"`
			}
			err := c.ask(&m, "osd", "dump")
			return err == nil && len(m.Queue) == 0, fmt.Sprint(m, err)
		})
	}

	// The monitor believes it dead: it says that it is not.
	before := c.upFrom(0)
	c.run(nil, "ceph", "osd", "down", "0")
	c.until("up again", func() (bool, string) {
		up, seen := c.isUp(0)
		return up && c.upFrom(0) > before, seen
	})
	c.clean(12)

	// It says goodbye.
	c.must(osd.term())
	if up, seen := c.isUp(0); up {
		t.Errorf("stopped, and in the map: %s", seen)
	}
}

// upFrom returns since when an OSD is up.
func (c *cluster) upFrom(id int) int {
	c.t.Helper()
	var m struct {
		OSDs []struct {
			OSD    int
			UpFrom int `json:"up_from"`
		}
	}
	c.must(json.Unmarshal(c.run(nil, "ceph", "osd", "dump", "--format", "json"), &m))
	for _, o := range m.OSDs {
		if o.OSD == id {
			return o.UpFrom
		}
	}
	return 0
}

// beside: each notices when the other is gone. What the map moves from ours to
// theirs is down, for it is not copied, and is there again when it comes back. It
// goes on with the pool p of alone.
func beside(c *cluster) {
	t := c.t
	osd := c.ours(0)
	c.run(strings.NewReader("x"), "rados", "-p", "p", "put", "o", "-")
	their := c.theirs(1)
	c.until("some PGs down", func() (bool, string) {
		got, err := c.pgs(0)
		return err == nil && got["down [1]"] > 0 && got["active+clean [0]"] > 0, fmt.Sprint(got, err)
	})
	c.run(nil, "ceph", "osd", "crush", "reweight", "osd.1", "0")
	c.clean(12)
	if got := c.run(nil, "rados", "-p", "p", "get", "o", "-"); string(got) != "x" {
		t.Errorf("an object that was away: %q", got)
	}
	for _, pool := range []string{"p", "rbd"} {
		c.run(nil, "ceph", "osd", "pool", "delete", pool, pool, "--yes-i-really-really-mean-it")
	}
	c.run(nil, "ceph", "osd", "crush", "reweight", "osd.1", "0.001")

	// A new pool is made on both.
	c.run(nil, "ceph", "osd", "pool", "create", "both", "16")
	if by := c.clean(16); by["[0]"] == 0 || by["[1]"] == 0 {
		t.Fatalf("PGs by OSD: %v", by)
	}
	c.run(nil, "rados", "-p", "both", "bench", "1", "write", "-b", "4096", "-t", "8", "--no-cleanup")

	osd.kill()
	c.until("osd.0 reported by theirs", func() (bool, string) {
		up, seen := c.isUp(0)
		return !up, seen
	})
	c.ours(0)
	c.clean(16)
	c.run(nil, "rados", "-p", "both", "bench", "10", "seq", "-t", "8") // compares what it reads
	their.kill()
	c.until("osd.1 reported by ours", func() (bool, string) {
		up, seen := c.isUp(1)
		return !up, seen
	})
}
