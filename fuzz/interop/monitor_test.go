package interop

import (
	"fmt"
	"strings"
	"testing"
)

// TestMonitor: OSDs of Ceph's boot into our cluster, keep a pool of two copies
// between them, and report to us; both they and the monitor are killed.
func TestMonitor(t *testing.T) {
	c, mon := ourMonitor(t)
	first, second := c.theirs(0), c.theirs(1)
	c.run(nil, "ceph", "osd", "pool", "create", "p", "8", "8", "replicated", "--size", "2")
	c.run(nil, "ceph", "osd", "pool", "application", "enable", "p", "rados")
	if by := c.clean(8); by["[0 1]"]+by["[1 0]"] != 8 {
		t.Fatalf("PGs by acting set: %v", by)
	}
	c.run(strings.NewReader("x"), "rados", "-p", "p", "put", "o", "-")

	// A change that no OSD has asked for reaches all.
	c.run(nil, "ceph", "osd", "set", "noscrub")
	var m struct{ Epoch int }
	c.must(c.ask(&m, "osd", "dump"))
	for _, osd := range []string{"osd.0", "osd.1"} {
		c.until(osd+" has the map", func() (bool, string) {
			var s struct {
				Newest int `json:"newest_map"`
			}
			err := c.ask(&s, "tell", osd, "status")
			return err == nil && s.Newest >= m.Epoch, fmt.Sprint(s, err)
		})
	}

	mon.kill()
	c.serve("mon.a.out", "mon", "-d", "-i", "a")
	c.clean(8) // it is told again
	if got := c.run(nil, "rados", "-p", "p", "get", "o", "-"); string(got) != "x" {
		t.Errorf("after the monitor was killed: %q", got)
	}

	second.kill()
	c.until("osd.1 reported by the other", func() (bool, string) {
		up, seen := c.isUp(1)
		return !up, seen
	})
	c.run(strings.NewReader("y"), "rados", "-p", "p", "put", "o", "-")
	c.start("osd.1.out", "ceph-osd", "-f", "-i", "1", "--keyring", c.file("osd.1.keyring"))
	c.until("osd.1 up again", func() (bool, string) { return c.isUp(1) })
	c.cleanSince(8, c.upFrom(1))
	c.must(first.term())
	if up, seen := c.isUp(0); up {
		t.Errorf("stopped, and in the map: %s", seen)
	}
	// What was written while the second was away is on it.
	if got := c.run(nil, "rados", "-p", "p", "get", "o", "-"); string(got) != "y" {
		t.Errorf("from the second OSD: %q", got)
	}
}
