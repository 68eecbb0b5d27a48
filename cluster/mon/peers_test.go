package mon_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/conf"
	"ebofs/cluster/mon"
	"ebofs/cluster/monmap"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/cluster/quorum"
)

// three are monitors a, b and c on one quorum.
type three struct {
	*cluster
	all map[string]*mon.Monitor
	at  map[string]ceph.AddrVec
}

func newThree(t *testing.T) *three {
	t.Helper()
	c := &three{cluster: &cluster{t: t, q: quorum.NewMemory()}, all: map[string]*mon.Monitor{}, at: map[string]ceph.AddrVec{}}
	n := mon.NewCluster{Now: time.Now()}
	for _, name := range []string{"a", "b", "c"} {
		c.at[name] = ceph.AddrVec{ceph.MsgrAddr(freePort(t), 0)}
		n.Monitors = append(n.Monitors, monmap.Monitor{Name: name, Addrs: c.at[name]})
	}
	var err error
	if c.made, err = mon.Make(context.Background(), c.q.View("x"), n); err != nil {
		t.Fatal(err)
	}
	for name := range c.at {
		c.run(name)
	}
	c.m = c.all["a"]
	t.Cleanup(func() {
		for _, m := range c.all {
			m.Close()
		}
	})
	return c
}

// run starts a monitor.
func (c *three) run(name string) {
	c.t.Helper()
	o := conf.Defaults(ceph.EntityName{Type: ceph.TypeMon, ID: name})
	if err := o.Set(conf.FromFile, "osd_pool_default_size", "1"); err != nil {
		c.t.Fatal(err)
	}
	if err := o.Set(conf.FromFile, "mon_allow_pool_size_one", "true"); err != nil {
		c.t.Fatal(err)
	}
	m, err := mon.New(context.Background(), mon.Config{Name: name, Quorum: c.q.View(name), Options: o, PeerEvery: 200 * time.Millisecond})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := m.Start(context.Background()); err != nil {
		c.t.Fatal(err)
	}
	c.all[name] = m
}

// eventually waits until f says "".
func eventually(t *testing.T, f func() string) {
	t.Helper()
	what := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if what = f(); what == "" {
			return
		}
	}
	t.Fatal(what)
}

type shown struct {
	Health struct{ Checks map[string]any }
	Names  []string `json:"quorum_names"`
	OSDs   struct {
		Up int `json:"num_up_osds"`
	} `json:"osdmap"`
	PGs struct {
		Num    int `json:"num_pgs"`
		States []struct {
			Name  string `json:"state_name"`
			Count int    `json:"count"`
		} `json:"pgs_by_state"`
		Total int64 `json:"bytes_total"`
	} `json:"pgmap"`
}

// TestThree: whatever OSDs tell one of three monitors, each shows; with one gone
// clients and OSDs go on, the others say who is missing, and when it is back it
// knows again.
func TestThree(t *testing.T) {
	c := newThree(t)
	// Each OSD begins with another monitor.
	var osds []*fakeOSD
	for id, first := range []string{"a", "b", "c"} {
		monitors := []ceph.AddrVec{c.at[first]}
		for _, other := range []string{"a", "b", "c"} {
			if other != first {
				monitors = append(monitors, c.at[other])
			}
		}
		osds = append(osds, c.osd(int32(id), fmt.Sprintf("h%d", id), monitors...))
	}
	clients := map[string]*client{}
	for name, at := range c.at {
		clients[name] = c.login(ceph.EntityName{Type: ceph.TypeClient, ID: "admin"}, c.made.Admin, -1, at)
	}
	clients["b"].ok(nil, "osd pool create", "pool", "p", "pg_num", 16)
	c.until(func(st *mon.State) bool { return len(st.OSD.Pools) == 1 })
	report := func() {
		m := c.m.State().OSD
		for _, o := range osds {
			o.report(m)
		}
	}
	right := func(name string, quorum ...string) {
		t.Helper()
		eventually(t, func() string {
			var s shown
			clients[name].ok(&s, "status")
			if s.OSDs.Up == 3 && s.PGs.Num == 16 && len(s.PGs.States) == 1 && s.PGs.States[0].Name == "active+clean" && s.PGs.Total == 3<<30 && slices.Equal(s.Names, quorum) {
				return ""
			}
			return fmt.Sprintf("mon.%s shows %+v, want quorum %v", name, s, quorum)
		})
	}
	report() // once: who comes later is told by the others
	for name := range c.at {
		right(name, "a", "b", "c")
	}

	// Without b.
	c.all["b"].Close()
	right("a", "a", "c")
	right("c", "a", "c")
	var s shown
	clients["c"].ok(&s, "status")
	if s.Health.Checks["MON_DOWN"] == nil {
		t.Errorf("checks %v", s.Health.Checks)
	}
	clients["a"].ok(nil, "osd set", "key", "noout")
	c.run("b")
	clients["b"] = c.login(ceph.EntityName{Type: ceph.TypeClient, ID: "admin"}, c.made.Admin, -1, c.at["b"])
	right("b", "a", "b", "c")
	right("a", "a", "b", "c")
	if c.all["b"].State().OSD.Flags&osdmap.FlagNoOut == 0 {
		t.Error("mon.b does not have what happened while it was gone")
	}

	// A client that knows all three goes on when its monitor goes.
	x := c.login(ceph.EntityName{Type: ceph.TypeClient, ID: "admin"}, c.made.Admin, -1, c.at["c"], c.at["a"], c.at["b"])
	x.ok(nil, "fsid")
	c.all["c"].Close()
	x.ok(nil, "osd unset", "key", "noout")
	c.run("c")
}

// TestScrubAcross: an OSD is told to scrub by whichever monitor is asked to tell it.
func TestScrubAcross(t *testing.T) {
	c := newThree(t)
	o := c.osd(0, "h", c.at["c"])
	x := c.login(ceph.EntityName{Type: ceph.TypeClient, ID: "admin"}, c.made.Admin, -1, c.at["a"])
	x.ok(nil, "osd pool create", "pool", "p", "pg_num", 1)
	x.ok(nil, "pg deep-scrub", "pgid", "1.0")
	end := time.After(20 * time.Second)
	for {
		select {
		case p := <-o.other:
			if s, ok := p.(*msg.OSDScrub2); ok {
				if !s.Deep || len(s.PGs) != 1 {
					t.Errorf("%+v", s)
				}
				return
			}
		case <-end:
			t.Fatal("the OSD is told nothing")
		}
	}
}

// TestFailureReports: reports of one OSD's failure count together, whichever
// monitor hears them.
func TestFailureReports(t *testing.T) {
	c := newThree(t)
	var osds []*fakeOSD
	for id, at := range []string{"a", "b", "c"} {
		osds = append(osds, c.osd(int32(id), fmt.Sprintf("h%d", id), c.at[at]))
	}
	eventually(t, func() string {
		st := c.m.State()
		osds[1].failed(st, 0)
		osds[2].failed(st, 0)
		if st.OSD.IsUp(0) {
			return "osd.0 is up"
		}
		return ""
	})
}
