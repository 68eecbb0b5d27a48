package daemon_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/osd/daemon"
	"ebofs/osd/ebofsstore"
)

// copyFrom copies an object of a pool onto the request's.
func copyFrom(pool ceph.PoolID, name string) msg.Op {
	var e denc.Encoder
	e.Str(name)
	ceph.Locator{Pool: pool, Hash: -1}.Encode(&e)
	o := msg.Op{Code: msg.OpCopyFrom, Data: e.Bytes()}
	o.SetCopyFrom(msg.CopyFrom{Snap: ceph.NoSnap})
	return o
}

func omapSet(k, v string) msg.Op {
	var e denc.Encoder
	e.U32(1)
	e.Str(k)
	e.Str(v)
	return msg.Op{Code: msg.OpOmapSetVals, Data: e.Bytes()}
}

// TestCopies: an object is copied wherever it lies, in a PG of the same OSD or of
// another, and from pool to pool.
func TestCopies(t *testing.T) {
	c := newCluster(t)
	c.second()
	x := c.client("client.admin", c.admin)
	x.until(func() bool { return x.maps.IsUp(1) })
	x.pool("p", 8)
	x.pool("q", 8)
	body := strings.Repeat("0123456789abcdef", 10000)
	on := map[int32]int{}
	for i := range 12 {
		name := fmt.Sprint("o", i)
		x.do("p", name, writeFull(body+name), omapSet("key", name))
		if r := x.do("q", "copy of "+name, copyFrom(1, name)); r.Result != 0 {
			t.Fatalf("%s: %v", name, ceph.Errno(r.Result))
		}
		on[x.primary("p", name)*2+x.primary("q", "copy of "+name)]++
		if r := x.do("q", "copy of "+name, read()); string(r.Ops[0].Data) != body+name {
			t.Errorf("%s: the copy has %d bytes, want %d", name, len(r.Ops[0].Data), len(body+name))
		}
		get := msg.Op{Code: msg.OpOmapGetHeader}
		if r := x.do("q", "copy of "+name, get, msg.Op{Code: msg.OpOmapGetByKeys, Data: []byte("\x01\x00\x00\x00\x03\x00\x00\x00key")}); r.Result != 0 || !strings.HasSuffix(string(r.Ops[1].Data), name) {
			t.Errorf("%s: map of the copy %q", name, r.Ops[1].Data)
		}
	}
	if len(on) != 4 {
		t.Errorf("copies between OSDs: %v, want all four kinds", on)
	}
	if r := x.do("q", "x", copyFrom(1, "none")); ceph.Errno(r.Result) != ceph.ENOENT {
		t.Errorf("a source that is none: %v", ceph.Errno(r.Result))
	}
	if r := x.do("q", "x", copyFrom(77, "o1")); ceph.Errno(r.Result) != ceph.ENOENT {
		t.Errorf("a pool that is none: %v", ceph.Errno(r.Result))
	}
}

// second starts another OSD, osd.1, on a store of its own.
func (c *cluster) second() {
	c.t.Helper()
	key, err := cephx.NewKey(rand.Reader, time.Now())
	must(c.t, err)
	must(c.t, c.mon.AddEntity(ctx(c.t), ceph.EntityName{Type: ceph.TypeOSD, ID: "1"}, cephx.Entity{
		Key: key, Caps: map[ceph.EntityType]string{ceph.TypeMon: "allow profile osd", ceph.TypeOSD: "allow *"},
	}))
	dev := devices.NewMem(devices.MemOptions{Blocks: 256 << 20 / devices.BlockSize})
	_, err = ebofs.Format(ctx(c.t), dev, ebofs.FormatOptions{LogBytes: 16 << 20})
	must(c.t, err)
	s, err := ebofs.Open(ctx(c.t), dev, ebofs.Options{MemoryBytes: 128 << 20})
	must(c.t, err)
	cfg := c.config(1)
	cfg.Store, cfg.Key = ebofsstore.New(s), key
	o, err := daemon.New(ctx(c.t), cfg)
	must(c.t, err)
	must(c.t, o.Start(ctx(c.t)))
	c.t.Cleanup(func() {
		o.Close()
		must(c.t, cfg.Store.Close(context.Background()))
	})
}

// primary returns the OSD that serves an object.
func (x *client) primary(pool, name string) int32 {
	x.t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	id := ceph.PoolID(-1)
	for p, n := range x.maps.PoolNames {
		if n == pool {
			id = p
		}
	}
	pg, _, err := x.maps.Object(name, ceph.Locator{Pool: id, Hash: -1})
	must(x.t, err)
	pl, err := osdmap.NewPlacer(x.maps)
	must(x.t, err)
	var w osdmap.Work
	at, err := pl.Place(&w, pg)
	must(x.t, err)
	return at.ActingPrimary
}
