package daemon_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/osd"
)

// names lists all objects of a pool, PG by PG, as a client does.
func (x *client) names(pool string) map[string]int {
	x.t.Helper()
	x.mu.Lock()
	var id ceph.PoolID
	for p, n := range x.maps.PoolNames {
		if n == pool {
			id = p
		}
	}
	pgs := x.maps.Pools[id].PGNum
	x.mu.Unlock()
	out := map[string]int{}
	for seed := range pgs {
		cursor, end := ceph.PG{Pool: id, Seed: seed}.Range(pgs)
		for cursor != end {
			var e denc.Encoder
			cursor.Encode(&e)
			op := msg.Op{Code: msg.OpPGNList, Data: e.Bytes()}
			op.Arg[0] = 7 // names at once
			r := x.ask(pool, ceph.PG{Pool: id, Seed: seed}, cursor.Hash, op)
			if r.Result < 0 || len(r.Ops) != 1 {
				x.t.Fatalf("list of %d.%x: %d", id, seed, r.Result)
			}
			d := denc.NewDecoder(r.Ops[0].Data)
			s := d.Begin(1)
			cursor = ceph.DecodeHObject(d)
			for range d.Count(12) {
				d.Str()
				out[d.Str()]++
				d.Str()
			}
			d.End(s)
			must(x.t, d.Finish())
		}
	}
	return out
}

// ask does a request about a PG.
func (x *client) ask(pool string, pg ceph.PG, hash uint32, op msg.Op) *msg.OSDOpReply {
	x.t.Helper()
	x.mu.Lock()
	x.tid++
	tid, ch := x.tid, make(chan *msg.OSDOpReply, 1)
	x.wait[tid] = ch
	m := &msg.OSDOp{PG: ceph.ShardPG{PG: pg, Shard: ceph.NoShard}, Hash: hash, Epoch: x.maps.Epoch, Locator: ceph.Locator{Pool: pg.Pool, Hash: int64(hash)}, Ops: []msg.Op{op}, Snap: ceph.NoSnap, Flags: msg.FlagOnDisk}
	out := msg.Pack(m)
	out.TID = tid
	to := x.maps.Client[0]
	x.mu.Unlock()
	must(x.t, x.m.Send(to, ceph.TypeOSD, msgrLossy, out))
	select {
	case r := <-ch:
		return r
	case <-time.After(30 * time.Second):
		x.t.Fatalf("pg %v: no reply", pg)
		return nil
	}
}

// TestSplit raises the number of PGs under load: objects, their clones, listings,
// statistics and requests on their way come through, also over a restart.
func TestSplit(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	x.pool("p", 3)
	id := ceph.PoolID(1)
	const objects = 60
	name := func(i int) string { return fmt.Sprint("o", i) }
	want := make([]string, objects)
	write := func(round string) (all []chan *msg.OSDOpReply) {
		for i := range objects {
			want[i] += round
			all = append(all, x.start("p", name(i), appendOp(round), omapSet(round, "v")))
		}
		return all
	}
	wait := func(all []chan *msg.OSDOpReply) {
		t.Helper()
		for i, ch := range all {
			select {
			case r := <-ch:
				if r.Result != 0 {
					t.Fatalf("%s: %v", name(i), ceph.Errno(r.Result))
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s: no reply", name(i))
			}
		}
	}
	wait(write("[one]"))
	x.flagged("p", osdmap.PoolCreating, false) // until then it is not split
	x.command("osd pool mksnap", "pool", "p", "snap", "s")
	x.until(func() bool { return len(x.maps.Pools[id].Snaps) == 1 })
	for _, n := range []uint32{4, 13, 16} {
		all := write(fmt.Sprintf("[%d]", n))
		x.command("osd pool set", "pool", "p", "var", "pg_num", "val", fmt.Sprint(n))
		all = append(all, write(fmt.Sprintf("[after %d]", n))...)
		wait(all)
		x.until(func() bool { return x.maps.Pools[id].PGNum == n && x.maps.Pools[id].PGPNum == n })
		if n == 13 {
			c.stop()
			c.start()
			// What follows is sent once, to where the map says.
			x.until(func() bool { return x.maps.IsUp(0) && x.maps.Client[0].Equal(c.osd.Addrs()) })
		}
		list := x.names("p")
		for i := range objects {
			if r := x.do("p", name(i), read()); string(r.Ops[0].Data) != want[i] {
				t.Fatalf("%d PGs: %s is %q, want %q", n, name(i), r.Ops[0].Data, want[i])
			}
			if k := x.clones("p", name(i)); k != 1 {
				t.Errorf("%d PGs: %s has %d clones, want 1", n, name(i), k)
			}
			if list[name(i)] != 1 {
				t.Errorf("%d PGs: %s is listed %d times", n, name(i), list[name(i)])
			}
		}
		if len(list) != objects {
			t.Errorf("%d PGs: %d objects are listed, want %d", n, len(list), objects)
		}
	}
	x.command("osd deep-scrub", "who", "0")
	eventually(t, func() string { return string(x.tell(`{"prefix":"dump_scrubs"}`).Output) }, `"forced": false`)
	for seed := range 16 {
		eventually(t, func() string {
			return string(x.tell(fmt.Sprintf(`{"prefix":"pg","pgid":"1.%x","cmd":"query","format":"json"}`, seed)).Output)
		}, `"num_scrub_errors":0`, `"state":"active+clean"`)
	}
	eventually(t, func() string {
		a, err := x.mon.Command(ctx(t), map[string]any{"prefix": "status"})
		must(t, err)
		return string(a.Output)
	}, fmt.Sprintf("%d objects", 2*objects), "16 active+clean")
	if log := x.lastLog(); strings.Contains(log, "[ERR]") {
		t.Error(log)
	}
	for _, bad := range []struct {
		v, val string
		want   ceph.Errno
	}{{"pg_num", "8", ceph.EOPNOTSUPP}, {"pg_num", "0", ceph.ERANGE}, {"pg_num", "x", ceph.EINVAL}, {"pgp_num", "17", ceph.EINVAL}} {
		a, err := x.mon.Command(ctx(t), map[string]any{"prefix": "osd pool set", "pool": "p", "var": bad.v, "val": bad.val})
		must(t, err)
		if ceph.Errno(a.Result) != bad.want {
			t.Errorf("%s %s: %v %s, want %v", bad.v, bad.val, ceph.Errno(a.Result), a.Text, bad.want)
		}
	}
}

// TestShare: a client with an old map gets what it lacks from the OSD, once.
func TestShare(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	x.pool("p", 1)
	x.do("p", "o", writeFull("x"))
	x.pool("q", 1)
	x.flagged("p", osdmap.PoolCreating, false)
	x.flagged("q", osdmap.PoolCreating, false) // no newer map is on its way
	x.level()
	x.mu.Lock()
	now := x.maps.Epoch
	before := x.shared
	x.mu.Unlock()
	for range 3 {
		x.stale = 1
		if r := x.do("p", "o", read()); r.Result != 0 {
			t.Error(r.Result)
		}
		x.stale = 0
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	// This epoch once; that may have been already, when the pools were made.
	if x.shared == 0 || x.shared > before+1 || x.maps.Epoch < now {
		t.Errorf("%d maps were shared, want one more than %d at most, and one in all", x.shared, before)
	}
}

// TestSplitNoSpace: a PG that cannot be split is not served, and is split once there
// is space.
func TestSplitNoSpace(t *testing.T) {
	c := newCluster(t)
	c.stop()
	f := &fullForSplits{}
	c.wrap = func(s osd.ObjectStore) osd.ObjectStore { f.ObjectStore = s; return f }
	c.start()
	x := c.client("client.admin", c.admin)
	x.pool("p", 1)
	for i := range 20 {
		x.do("p", fmt.Sprint("o", i), writeFull("x"))
	}
	x.flagged("p", osdmap.PoolCreating, false)
	f.left.Store(1) // the second of three fails, and all after it
	x.command("osd pool set", "pool", "p", "var", "pg_num", "val", "4")
	eventually(t, x.lastLog, "cannot be split for want of space")
	var late []chan *msg.OSDOpReply
	for i := range 20 {
		late = append(late, x.start("p", fmt.Sprint("o", i), read()))
	}
	f.left.Store(100)
	for i, ch := range late {
		select {
		case r := <-ch:
			if r.Result != 0 || string(r.Ops[0].Data) != "x" {
				t.Errorf("o%d: %d %q", i, r.Result, r.Ops[0].Data)
			}
		case <-time.After(time.Minute):
			t.Fatalf("o%d: no reply", i)
		}
	}
	if n := len(x.names("p")); n != 20 {
		t.Errorf("%d objects are listed, want 20", n)
	}
}

// fullForSplits is a store that has room for so many splits.
type fullForSplits struct {
	osd.ObjectStore
	left atomic.Int64
}

func (f *fullForSplits) Queue(ctx context.Context, t *osd.Transaction, applied func(), committed func(error)) error {
	for _, op := range t.Ops() {
		if op.Kind == osd.OpSplitColl && f.left.Add(-1) < 0 {
			return osd.ErrNoSpace
		}
	}
	return f.ObjectStore.Queue(ctx, t, applied, committed)
}
