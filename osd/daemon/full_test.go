package daemon_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

// flagged waits for a pool to have flags, or not to have them.
func (x *client) flagged(pool string, flags osdmap.PoolFlags, set bool) {
	x.t.Helper()
	x.until(func() bool {
		for id, n := range x.maps.PoolNames {
			if n == pool {
				return x.maps.Pools[id].Flags&flags == flags == set
			}
		}
		return false
	})
}

// try does a request with flags and returns its result.
func (x *client) try(flags uint32, pool, name string, list ...msg.Op) ceph.Errno {
	x.t.Helper()
	x.flag = flags
	defer func() { x.flag = 0 }()
	return ceph.Errno(x.do(pool, name, list...).Result)
}

func remove() msg.Op { return msg.Op{Code: msg.OpDelete} }

// TestQuota: what a full pool of Ceph 16.2 answered to the same requests, and that
// it opens again.
func TestQuota(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	x.pool("p", 2)
	x.command("osd pool set-quota", "pool", "p", "field", "max_objects", "val", "3")
	for i := range 3 {
		x.do("p", fmt.Sprint("o", i), writeFull("hello"))
	}
	x.flagged("p", osdmap.PoolFull|osdmap.PoolFullQuota, true)
	create := msg.Op{Code: msg.OpCreate}
	for _, try := range []struct {
		flags uint32
		name  string
		op    msg.Op
		want  ceph.Errno
	}{
		{msg.FlagFullTry, "new", writeFull("x"), ceph.EDQUOT},
		{msg.FlagFullTry, "new", create, ceph.EDQUOT},
		{msg.FlagFullTry, "o0", appendOp("more"), ceph.EDQUOT},
		{msg.FlagFullTry, "o0", writeFull("HELLO"), 0},
		{msg.FlagFullTry, "o0", writeFull("less"), 0},
		{msg.FlagFullTry, "none", remove(), ceph.ENOENT},
		{msg.FlagFullForce, "o0", appendOp("more"), 0},
		{0, "o0", writeFull("less"), 0},
		{0, "o0", read(), 0},
	} {
		if got := x.try(try.flags, "p", try.name, try.op); got != try.want {
			t.Errorf("%s %v with %#x: %v, want %v", try.name, try.op.Code, try.flags, got, try.want)
		}
	}
	if a := x.health(); !strings.Contains(a, "POOL_FULL") || !strings.Contains(a, "pool 'p' is full (running out of quota)") {
		t.Errorf("health: %s", a)
	}
	// One that says nothing of full pools is not answered before the pool opens.
	late := x.start("p", "late", writeFull("x"))
	for i := range 2 {
		if got := x.try(msg.FlagFullTry, "p", fmt.Sprint("o", i), remove()); got != 0 {
			t.Errorf("delete: %v", got)
		}
	}
	select {
	case r := <-late:
		if r.Result != 0 {
			t.Errorf("late write: %v", ceph.Errno(r.Result))
		}
	case <-time.After(30 * time.Second):
		t.Error("late write is not answered")
	}
	x.flagged("p", osdmap.PoolFull, false)
}

// health returns `ceph health detail`.
func (x *client) health() string {
	x.t.Helper()
	a, err := x.mon.Command(ctx(x.t), map[string]any{"prefix": "health", "detail": "detail"})
	must(x.t, err)
	return string(a.Output)
}

// TestFullOSD: an OSD that is full by the ratios of the map makes its pools full,
// and is open again when they are raised.
func TestFullOSD(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	x.pool("p", 2)
	x.do("p", "o", writeFull(strings.Repeat("0123456789abcdef", 1<<20)))
	for _, step := range []struct {
		name  string
		state osdmap.State
		pool  osdmap.PoolFlags
		codes []string
	}{
		{"nearfull", osdmap.NearFull, osdmap.PoolNearFull, []string{"OSD_NEARFULL", "osd.0 is near full", "POOL_NEARFULL"}},
		{"backfillfull", osdmap.BackfillFull, osdmap.PoolBackfillFull, []string{"OSD_BACKFILLFULL", "osd.0 is backfill full", "POOL_BACKFILLFULL"}},
		{"full", osdmap.Full, osdmap.PoolFull, []string{"OSD_FULL", "osd.0 is full", "POOL_FULL", "pool 'p' is full (no space)"}},
	} {
		x.command("osd set-"+step.name+"-ratio", "ratio", 0.01)
		x.until(func() bool { return x.maps.States[0]&step.state != 0 })
		x.flagged("p", step.pool, true)
		h := x.health()
		for _, want := range step.codes {
			if !strings.Contains(h, want) {
				t.Errorf("%s: no %s in %s", step.name, want, h)
			}
		}
	}
	if got := x.try(msg.FlagFullTry, "p", "new", writeFull("x")); got != ceph.ENOSPC {
		t.Errorf("write: %v", got)
	}
	eventually(t, func() string { return fmt.Sprint("asked for the space of deletes: ", c.reclaims.Load() > 0) }, "true")
	if got := x.try(0, "p", "o", read()); got != 0 {
		t.Errorf("read: %v", got)
	}
	for _, name := range []string{"nearfull", "backfillfull", "full"} {
		x.command("osd set-"+name+"-ratio", "ratio", 0.9)
	}
	x.until(func() bool { return x.maps.States[0]&(osdmap.Full|osdmap.BackfillFull|osdmap.NearFull) == 0 })
	x.flagged("p", osdmap.PoolFull, false)
	x.do("p", "new", writeFull("x"))
}

// TestNoSpace: a store that has no space left refuses, and goes on once there is
// some. The failsafe, which would refuse before, is off.
func TestNoSpace(t *testing.T) {
	c := newCluster(t)
	c.stop()
	c.failsafe = 2
	c.start()
	x := c.client("client.admin", c.admin)
	x.pool("p", 2)
	body := string(bytes.Repeat([]byte("0123456789abcdef"), 1<<18))
	n := 0
	for ; ; n++ {
		if got := x.try(msg.FlagFullForce, "p", fmt.Sprint("o", n), writeFull(body)); got == ceph.ENOSPC {
			break
		} else if got != 0 || n > 100 {
			t.Fatalf("object %d: %v", n, got)
		}
	}
	if n < 30 {
		t.Errorf("only %d objects of 4 MiB fit into 240 MiB", n)
	}
	for i := range n {
		if r := x.do("p", fmt.Sprint("o", i), read()); r.Result != 0 || string(r.Ops[0].Data) != body {
			t.Fatalf("object %d: %d", i, r.Result)
		}
	}
	for i := range n {
		if got := x.try(0, "p", fmt.Sprint("o", i), remove()); got != 0 {
			t.Fatalf("delete of object %d: %v", i, got)
		}
	}
	must(t, c.engine.Checkpoint(ctx(t)))
	if got := x.try(0, "p", "again", writeFull(body)); got != 0 {
		t.Errorf("write after deletes: %v", got)
	}
}

// TestFillUp fills a store as fast as it goes: its OSD is marked full before there
// is no space, what is still to be written waits, and is written once there is some.
func TestFillUp(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	x.pool("p", 2)
	body := writeFull(string(bytes.Repeat([]byte("0123456789abcdef"), 1<<16))) // 1 MiB
	full := func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.full(1)
	}
	var late []chan *msg.OSDOpReply
	written := 0
	for !full() {
		if written > 300 {
			t.Fatal("300 MiB fit into 240")
		}
		ch := x.start("p", fmt.Sprint("o", written), body)
		select {
		case r := <-ch:
			if r.Result != 0 {
				t.Fatalf("after %d MiB: %v", written, ceph.Errno(r.Result))
			}
			written++
		case <-time.After(2 * time.Second): // held back
			late = append(late, ch)
			x.until(func() bool { return x.full(1) })
		}
	}
	if written < 150 {
		t.Errorf("full after %d MiB", written)
	}
	late = append(late, x.start("p", "late", body))
	for i := range 60 {
		if got := x.try(msg.FlagFullTry, "p", fmt.Sprint("o", i), remove()); got != 0 {
			t.Fatalf("delete: %v", got)
		}
	}
	must(t, c.engine.Checkpoint(ctx(t))) // what was deleted is free now, not within half a minute
	for _, ch := range late {
		select {
		case r := <-ch:
			if r.Result != 0 {
				t.Errorf("late write: %v", ceph.Errno(r.Result))
			}
		case <-time.After(time.Minute):
			t.Fatal("late write is not answered")
		}
	}
}
