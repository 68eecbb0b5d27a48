package daemon_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/devices"
)

// eventually waits until ask returns all of want.
func eventually(t *testing.T, ask func() string, want ...string) string {
	t.Helper()
	for stop := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		got, missing := ask(), ""
		for _, w := range want {
			if !strings.Contains(got, w) {
				missing = w
			}
		}
		if missing == "" {
			return got
		}
		if time.Now().After(stop) {
			t.Fatalf("no %q in %s", missing, got)
		}
	}
}

// lastLog returns the newest lines of the cluster's log.
func (x *client) lastLog() string {
	x.t.Helper()
	a, err := x.mon.Command(ctx(x.t), map[string]any{"prefix": "log last", "num": 30, "level": "debug"})
	must(x.t, err)
	return string(a.Output)
}

// damage flips a bit in the block of the device that begins with what p does.
func (c *cluster) damage(p []byte) {
	c.t.Helper()
	block := make([]byte, devices.BlockSize)
	for b := devices.Block(0); uint64(b) < c.dev.Geometry().Blocks; b++ {
		must(c.t, c.dev.Read(ctx(c.t), b, devices.Vec{block}))
		if bytes.Equal(block, p[:devices.BlockSize]) {
			block[100] ^= 4
			must(c.t, c.dev.Write(ctx(c.t), b, devices.Vec{block}))
			must(c.t, c.dev.Flush(ctx(c.t)))
			return
		}
	}
	c.t.Fatal("the object's block is not on the device")
}

// TestDeepScrub: a flipped bit that nobody has read is found, told everywhere, and
// over once the object is written anew.
func TestDeepScrub(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	x.pool("p", 1)
	body := make([]byte, 64<<10)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range body {
		body[i] = byte(rng.Uint32())
	}
	x.do("p", "o", writeFull(string(body)))
	x.do("p", "sound", writeFull(string(body[:100])))
	c.stop()
	c.damage(body)
	c.start()
	x.command("pg scrub", "pgid", "1.0")
	eventually(t, x.lastLog, "[DBG] 1.0 scrub starts", "[DBG] 1.0 scrub ok")
	x.command("osd deep-scrub", "who", "osd.0")
	eventually(t, x.lastLog, "deep-scrub 1.0", ":::o:head : read error: ", "[ERR] 1.0 deep-scrub 1 errors")
	eventually(t, x.health, "OSD_SCRUB_ERRORS", "1 scrub errors", "PG_DAMAGED", "pg 1.0 is active+clean+inconsistent")
	r := x.do("p", "", msg.Op{Code: msg.OpScrubList, Data: scrubArg})
	if r.Result != 0 || len(r.Ops) != 1 || !bytes.Contains(r.Ops[0].Data, []byte("\x01\x00\x00\x00o")) || bytes.Contains(r.Ops[0].Data, []byte("sound")) {
		t.Errorf("list of the damaged: %d %+v", r.Result, r.Ops)
	}
	if r := x.do("p", "o", read()); ceph.Errno(r.Result) != ceph.EIO {
		t.Errorf("read of a damaged object: %v", ceph.Errno(r.Result))
	}
	eventually(t, x.lastLog, `[ERR] 1.0: request on "o" failed`)
	x.do("p", "o", writeFull(string(body)))
	x.command("pg repair", "pgid", "1.0")
	eventually(t, x.lastLog, "[DBG] 1.0 repair ok")
	if got := eventually(t, x.health, "POOL_NO_REDUNDANCY"); strings.Contains(got, "PG_DAMAGED") {
		eventually(t, func() string {
			if strings.Contains(x.health(), "PG_DAMAGED") {
				return "damaged"
			}
			return "sound"
		}, "sound")
	}
	if a := x.tell(`{"prefix":"scrub"}`); ceph.Errno(a.Result) != ceph.EINVAL || !strings.Contains(a.Text, "no pgid specified") {
		t.Errorf("scrub of nothing: %d %s", a.Result, a.Text)
	}
	a, err := x.mon.Command(ctx(t), map[string]any{"prefix": "pg scrub", "pgid": "1.7"})
	must(t, err)
	if ceph.Errno(a.Result) != ceph.ENOENT || a.Text != "pg 1.7 does not exist" {
		t.Errorf("scrub of no pg: %d %s", a.Result, a.Text)
	}
}

// scrubArg asks for damaged objects from the first on, at most 32: as `rados
// list-inconsistent-obj` 16.2.15 sent it.
var scrubArg = append([]byte("\x01\x01\x20\x00\x00\x00"), append(make([]byte, 24), "\x20\x00\x00\x00\x00\x00\x00\x00"...)...)

// TestScrubDue: PGs are scrubbed by themselves, unless that is forbidden.
func TestScrubDue(t *testing.T) {
	c := newCluster(t)
	c.stop()
	c.scrubEvery = 500 * time.Millisecond
	c.start()
	x := c.client("client.admin", c.admin)
	x.command("osd set", "key", "nodeep-scrub")
	x.pool("p", 1)
	x.do("p", "o", writeFull("x"))            // the PG is there
	x.tell(`{"prefix":"scrub","pgid":"1.0"}`) // the clock that looks is slow
	eventually(t, x.lastLog, "1.0 scrub ok")
	if got := string(x.tell(`{"prefix":"dump_scrubs","format":"json"}`).Output); !strings.Contains(got, `"pgid":"1.0"`) {
		t.Errorf("scheduled: %s", got)
	}
	if strings.Contains(x.lastLog(), "deep-scrub") {
		t.Error("a deep scrub that is forbidden")
	}
	x.command("osd unset", "key", "nodeep-scrub")
	eventually(t, func() string {
		x.tell(`{"prefix":"scrub","pgid":"1.0"}`)
		return x.lastLog()
	}, "1.0 deep-scrub ok")
}
