package pg

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/osd/ops"
)

// TestSnapTrim: a clone loses deleted snapshots, goes with its last one, and what
// a restart interrupts is gone on with.
func TestSnapTrim(t *testing.T) {
	b := newBench(t)
	s := newSession(1)
	write := func(name, text string, snaps ...ceph.SnapID) {
		t.Helper()
		r := b.request(s, name, msg.Op{Code: msg.OpDelete}, writeOp(0, text))
		if len(snaps) == 0 {
			r = b.request(s, name, writeOp(0, text))
		} else {
			r.SnapSeq, r.Snaps = snaps[0], snaps
		}
		if got := b.wait(b.submit(r, s)); got.Result != 0 {
			t.Fatalf("%s: %d", name, got.Result)
		}
	}
	const objects = 10
	for i := range objects {
		write(fmt.Sprint("o", i), "one")
		write(fmt.Sprint("o", i), "two", 2, 1)
	}
	before := b.Status().Stats
	if before.Clones != objects {
		t.Fatalf("%d clones, want %d", before.Clones, objects)
	}
	only := func(list ...ceph.SnapID) func(ceph.SnapID) bool {
		return func(s ceph.SnapID) bool { return slices.Contains(list, s) }
	}
	if n, err := b.Trim(context.Background(), only(1)); n != objects || err != nil {
		t.Fatalf("%d objects, %v", n, err)
	}
	clone := ops.State{}
	load := func(name string) {
		t.Helper()
		h := b.request(s, name).Head()
		h.Snap = 2
		st, err := b.env.Load(context.Background(), h)
		if err != nil || st == nil {
			t.Fatalf("clone of %s: %v %v", name, st, err)
		}
		clone = *st
	}
	load("o3")
	if !slices.Equal(clone.Snaps, []ceph.SnapID{2}) || b.Status().Stats.Clones != objects {
		t.Errorf("clone has %v", clone.Snaps)
	}
	// The store fails in the middle; a restart finds what is left.
	stop, cancel := context.WithCancel(context.Background())
	left := 4
	n, err := b.Trim(stop, func(s ceph.SnapID) bool {
		if left--; left == 0 {
			cancel()
		}
		return s == 2
	})
	if err == nil || n >= objects {
		t.Fatalf("%d objects, %v: it was to be interrupted", n, err)
	}
	if err := b.SetPurged(context.Background(), []msg.Interval{{Start: 1, Length: 1}}); err != nil {
		t.Fatal(err)
	}
	b.Close()
	b.open()
	if p := b.Purged(); !slices.Equal(p, []msg.Interval{{Start: 1, Length: 1}}) {
		t.Errorf("purged %v", p)
	}
	if _, err := b.Trim(context.Background(), only(2)); err != nil {
		t.Fatal(err)
	}
	if st := b.Status().Stats; st.Clones != 0 || st.Objects != objects || st.Bytes != objects*3 {
		t.Errorf("statistics %+v", st)
	}
	ids, _, err := b.store.List(context.Background(), b.env.Coll, nil, nil, 100)
	if err != nil || len(ids) != objects+1 {
		t.Errorf("%d objects in the store, %v; want heads and the PG's own", len(ids), err)
	}
	if n, err := b.Trim(context.Background(), only(1, 2)); n != 0 || err != nil {
		t.Errorf("again: %d, %v", n, err)
	}
}
