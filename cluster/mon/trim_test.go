package mon_test

import (
	"context"
	"strings"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

// TestTrim: of many maps the increments of the last 500 to 600 stay, with few full
// maps; every one of them can be shown, older ones are refused, and who asks from
// further back gets a full map and goes on from there.
func TestTrim(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.made.Admin)
	const last = 823
	for e := c.m.State().OSD.Epoch; e < last; e++ {
		x.ok(nil, map[bool]string{true: "osd set", false: "osd unset"}[e%2 == 1], "key", "noout")
	}
	st := c.m.State()
	if st.OSD.Epoch != last {
		t.Fatalf("epoch %d, want %d", st.OSD.Epoch, last)
	}
	keys := func(prefix string) (n int) {
		list, _, err := c.q.View("x").List(context.Background(), prefix)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if st.Oldest != 301 || keys("osdmap/inc/") != last-300 || len(st.Incs) != last-300 {
		t.Errorf("oldest %d, %d increments, %d in RAM", st.Oldest, keys("osdmap/inc/"), len(st.Incs))
	}
	if n := keys("osdmap/full/"); n != 7 { // 300, 400, … 800, and the newest
		t.Errorf("%d full maps", n)
	}
	for _, e := range []int{300, 301, 399, 400, 555, last - 1, last} {
		var d struct {
			Epoch ceph.Epoch
			Flags string `json:"flags"`
		}
		x.ok(&d, "osd dump", "epoch", e)
		if int(d.Epoch) != e || strings.Contains(d.Flags, "noout") != (e%2 == 0) {
			t.Errorf("epoch %d: %+v", e, d)
		}
	}
	for _, e := range []int{1, 200, 299, last + 1} {
		x.fails(ceph.ENOENT, "osd dump", "epoch", e)
	}

	// A monitor that starts has the same, and shows it.
	c.m.Close()
	c.start()
	if st := c.m.State(); st.Oldest != 301 || st.OSD.Epoch != last {
		t.Errorf("after a restart: oldest %d, epoch %d", st.Oldest, st.OSD.Epoch)
	}
	x.ok(nil, "osd dump", "epoch", 333)

	x.c.Subscribe("osdmap", msg.Subscription{Start: 5})
	p := <-x.maps
	if len(p.Full) != 1 || p.Oldest != 301 || p.Newest != last {
		t.Errorf("from epoch 5 came %d full maps, oldest %d, newest %d", len(p.Full), p.Oldest, p.Newest)
	}
	y := c.client("client.admin", c.made.Admin)
	y.ok(nil, "fsid")
	y.c.Subscribe("osdmap", msg.Subscription{Start: 302})
	for next := ceph.Epoch(302); next <= last; {
		p := <-y.maps
		if len(p.Full) > 0 || len(p.Incrementals) == 0 {
			t.Fatalf("at %d: %d full maps, %d increments", next, len(p.Full), len(p.Incrementals))
		}
		for ; p.Incrementals[next] != nil; next++ {
			if _, err := osdmap.DecodeIncremental(p.Incrementals[next]); err != nil {
				t.Fatal(err)
			}
		}
	}
}
