package mon_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/mon"
	"ebofs/cluster/msg"
)

// capsProfiles are who is asked for in the table of testdata/caps.txt.
var capsProfiles = []struct{ name, caps string }{
	{"none", ""},
	{"r", "allow r"},
	{"rw", "allow rw"},
	{"rx", "allow rx"},
	{"osd-r", "allow service osd r"},
	{"one", `allow command "osd tree"`},
	{"rbd", "profile rbd"},
	{"rbd-ro", "profile rbd-read-only"},
	{"osd", "profile osd"},
	{"mgr", "profile mgr"},
	{"mds", "profile mds"},
	{"boot-osd", "profile bootstrap-osd"},
	{"simple", "profile simple-rados-client"},
	{"role", "profile role-definer"},
	{"bad", "allow nonsense"},
	{"all", "allow *"},
}

// withCaps logs somebody in who has these caps at monitors.
func (c *cluster) withCaps(name, caps string) *client {
	c.t.Helper()
	n := ceph.EntityName{Type: ceph.TypeClient, ID: name}
	key, err := cephx.NewKey(rand.Reader, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	e := cephx.Entity{Key: key, Caps: map[ceph.EntityType]string{}}
	if caps != "" {
		e.Caps[ceph.TypeMon] = caps
	}
	if err := c.m.AddEntity(context.Background(), n, e); err != nil {
		c.t.Fatal(err)
	}
	return c.login(n, key, -1)
}

// may reports whether caps let a command through: without its arguments it then
// fails otherwise, or does what it does without any.
func (x *client) may(prefix string) bool {
	x.t.Helper()
	a, err := x.run(prefix)
	if err != nil {
		x.t.Fatal(err)
	}
	return ceph.Errno(a.Result) != ceph.EACCES
}

// TestCapsTable runs every command under every profile of caps. What each may do is
// in a file; a few things must hold of any such file.
func TestCapsTable(t *testing.T) {
	c := newCluster(t)
	clients := make([]*client, len(capsProfiles))
	var b strings.Builder
	for i, p := range capsProfiles {
		clients[i] = c.withCaps("caps"+p.name, p.caps)
		fmt.Fprintf(&b, "# %-9s %s\n", p.name, p.caps)
	}
	within := func(perm, of string) bool {
		return strings.Trim(perm, of) == ""
	}
	for _, cmd := range mon.Commands() {
		if cmd.Tell {
			continue
		}
		var who []string
		for i, p := range capsProfiles {
			ok := clients[i].may(cmd.Prefix)
			if ok {
				who = append(who, p.name)
			}
			want := ok
			switch p.name {
			case "none", "bad":
				want = false
			case "all":
				want = true
			case "r", "rw", "rx":
				want = within(cmd.Perm, p.name) && cmd.Module != "config-key"
			case "one":
				want = cmd.Prefix == "osd tree"
			}
			if ok != want {
				t.Errorf("%q (%s, %s) under %q: allowed %v", cmd.Prefix, cmd.Module, cmd.Perm, p.caps, ok)
			}
		}
		fmt.Fprintf(&b, "%-40s %-10s %-3s %s\n", cmd.Prefix, cmd.Module, cmd.Perm, strings.Join(who, " "))
	}
	const file = "testdata/caps.txt"
	if *rewrite {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want, err := os.ReadFile(file); err != nil || string(want) != b.String() {
		t.Errorf("%s is not what caps allow (%v): -rewrite shows what has changed", file, err)
	}
}

// TestCapsMessages: what is no command is asked of caps as well.
func TestCapsMessages(t *testing.T) {
	c, admin, _ := withOSDs(t, 1)
	admin.ok(nil, "osd pool create", "pool", "p", "pg_num", 1)
	st := c.m.State()
	ask := func(x *client) (got []string) {
		x.c.Subscribe("osdmap", msg.Subscription{})
		x.c.Subscribe("log-info", msg.Subscription{})
		for _, p := range []msg.Payload{
			&msg.StatFS{Paxos: msg.NewPaxos(0), FSID: st.MonMap.FSID}, &msg.GetPoolStats{Paxos: msg.NewPaxos(0), FSID: st.MonMap.FSID, Pools: []string{"p"}},
			// What only OSDs and monitors may say.
			&msg.OSDBoot{Paxos: msg.NewPaxos(0), Super: msg.Superblock{Cluster: st.MonMap.FSID}}, &msg.MonPeer{Name: "b", OSD: 0},
			&msg.OSDMarkMeDown{Paxos: msg.NewPaxos(0), FSID: st.MonMap.FSID, Target: 0, Addrs: st.OSD.Client[0]},
			&msg.OSDFailure{Paxos: msg.NewPaxos(0), FSID: st.MonMap.FSID, Target: 0, Addrs: st.OSD.Client[0], Flags: msg.FailureFailed | msg.FailureImmediate},
		} {
			if err := x.c.Send(p); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := x.run("fsid"); err != nil { // behind them all
			t.Fatal(err)
		}
		if len(x.maps) > 0 {
			got = append(got, "map")
		}
		for len(x.other) > 0 {
			got = append(got, fmt.Sprint((<-x.other).Kind().Type))
		}
		slices.Sort(got)
		return got
	}
	// Subscriptions begin when there is a session.
	for _, row := range []struct {
		caps string
		want []string
	}{
		{"", nil}, {"allow nonsense", nil}, {`allow command "osd tree"`, nil},
		{"allow r", []string{"getpoolstatsreply", "map", "statfs_reply"}},
		{"allow *", []string{"getpoolstatsreply", "map", "statfs_reply"}},
	} {
		x := c.withCaps(fmt.Sprintf("m%d", len(row.caps)), row.caps)
		if _, err := x.run("fsid"); err != nil {
			t.Fatal(err)
		}
		if got := ask(x); !slices.Equal(got, row.want) {
			t.Errorf("under %q came %v, want %v", row.caps, got, row.want)
		}
	}
	if st := c.m.State(); !st.OSD.IsUp(0) {
		t.Error("a client has marked osd.0 down")
	}
}
