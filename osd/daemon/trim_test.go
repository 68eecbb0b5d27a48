package daemon_test

import (
	"fmt"
	"strings"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
)

// clones returns how many clones an object has; -1: there is no such object.
func (x *client) clones(pool, name string) int {
	x.t.Helper()
	x.snap = ceph.SnapDir
	defer func() { x.snap = ceph.NoSnap }()
	r := x.do(pool, name, msg.Op{Code: msg.OpListSnaps})
	if ceph.Errno(r.Result) == ceph.ENOENT {
		return -1
	}
	d := denc.NewDecoder(r.Ops[0].Data)
	d.Begin(2)
	n, heads := d.Count(1), 0
	for range n {
		s := d.Begin(1)
		if ceph.SnapID(d.U64()) == ceph.NoSnap {
			heads++
		}
		d.End(s)
	}
	must(x.t, d.Err())
	return n - heads
}

// TestSnapTrim: what a deleted snapshot has kept goes, objects that only it had as
// well, and the map forgets it then. A restart in between changes nothing.
func TestSnapTrim(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	x.pool("p", 2)
	id := ceph.PoolID(1)
	const objects = 20
	name := func(i int) string { return fmt.Sprint("o", i) }
	for i := range objects {
		x.do("p", name(i), writeFull("one"))
	}
	for n, snap := range []string{"first", "second"} {
		x.command("osd pool mksnap", "pool", "p", "snap", snap)
		x.until(func() bool { return len(x.maps.Pools[id].Snaps) == n+1 })
		for i := range objects {
			x.do("p", name(i), writeFull(snap))
		}
	}
	for i := range objects / 2 {
		x.do("p", name(i), remove())
	}
	if n := x.clones("p", "o1"); n != 2 {
		t.Fatalf("%d clones of a deleted object, want 2", n)
	}
	x.command("osd set", "key", "nosnaptrim")
	x.command("osd pool rmsnap", "pool", "p", "snap", "first")
	x.until(func() bool { return len(x.maps.RemovedSnapsQueue[id]) == 1 })
	c.stop()
	c.start()
	if n := x.clones("p", "o1"); n != 2 {
		t.Fatalf("%d clones while trimming is forbidden, want 2", n)
	}
	x.command("osd unset", "key", "nosnaptrim")
	x.until(func() bool { return len(x.maps.RemovedSnapsQueue[id]) == 0 })
	for i := range objects {
		if n := x.clones("p", name(i)); n != 1 {
			t.Fatalf("%s has %d clones, want 1", name(i), n)
		}
	}
	x.command("osd pool rmsnap", "pool", "p", "snap", "second")
	x.until(func() bool { return len(x.maps.Pools[id].Snaps) == 0 && len(x.maps.RemovedSnapsQueue[id]) == 0 })
	for i := range objects {
		want := 0
		if i < objects/2 {
			want = -1
		}
		if n := x.clones("p", name(i)); n != want {
			t.Errorf("%s has %d clones, want %d", name(i), n, want)
		}
		if r := x.do("p", name(i), read()); want == 0 && string(r.Ops[0].Data) != "second" {
			t.Errorf("%s: %q", name(i), r.Ops[0].Data)
		}
	}
	x.tell(`{"prefix":"flush_pg_stats"}`)
	if got := string(x.tell(`{"prefix":"pg","pgid":"1.0","cmd":"query","format":"json"}`).Output); !strings.Contains(got, `"snap_trimq_len":0`) || !strings.Contains(got, `"num_object_clones":0`) {
		t.Errorf("query: %s", got)
	}
}
