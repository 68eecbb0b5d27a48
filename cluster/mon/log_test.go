package mon_test

import (
	"strings"
	"testing"
	"time"

	"ebofs/cluster/msg"
)

// next waits for a line of the log that has text.
func (x *client) next(text string) msg.LogEntry {
	x.t.Helper()
	end := time.After(20 * time.Second)
	for {
		select {
		case p := <-x.log:
			for _, l := range p.Entries {
				if strings.Contains(l.Text, text) {
					return l
				}
			}
		case <-end:
			x.t.Fatalf("no line with %q", text)
		}
	}
}

// TestLogSubscription: who watches the log gets lines as they are written, of a
// level and above, over all channels; commands that change something are in it,
// without what may be secret.
func TestLogSubscription(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.made.Admin)
	x.ok(nil, "log", "logtext", []string{"before"})
	watch := c.client("client.admin", c.made.Admin)
	watch.ok(nil, "fsid")
	watch.c.Subscribe("log-info", msg.Subscription{})
	warn := c.client("client.admin", c.made.Admin)
	warn.ok(nil, "fsid")
	warn.c.Subscribe("log-warn", msg.Subscription{})
	warn.ok(nil, "fsid") // behind the subscription
	watch.ok(nil, "fsid")

	x.ok(nil, "log", "logtext", []string{"hello", "world"})
	if l := watch.next("hello world"); l.Channel != "cluster" || l.Name.String() != "client.admin" {
		t.Errorf("%+v", l)
	}
	x.ok(nil, "osd set", "key", "noout")
	if l := watch.next("osd set"); l.Channel != "audit" || !strings.Contains(l.Text, `entity='client.admin'`) || !strings.Contains(l.Text, "noout") {
		t.Errorf("%+v", l)
	}
	x.ok(nil, "osd set", "key", "noout") // changes nothing
	x.ok(nil, "config-key set", "key", "k", "val", "hush-hush")
	if l := watch.next("config-key set"); strings.Contains(l.Text, "hush") {
		t.Errorf("a secret is in the log: %s", l.Text)
	}
	if len(warn.log) != 0 {
		t.Errorf("%d messages below the level asked for", len(warn.log))
	}
	var last []struct{ Channel, Message string }
	x.ok(&last, "log last", "num", 10, "level", "debug", "channel", "audit")
	if len(last) != 2 {
		t.Errorf("%d lines of audit: %+v", len(last), last)
	}
	x.ok(&last, "log last", "num", 1)
	if len(last) != 1 || last[0].Message != "hello world" {
		t.Errorf("%+v", last)
	}
}

// TestHealthLog: the log says when a check begins to fail, changes, and passes.
func TestHealthLog(t *testing.T) {
	c := newClusterWith(t, map[string]string{"mon_warn_on_too_few_osds": "false"})
	x := c.client("client.admin", c.made.Admin)
	watch := c.client("client.admin", c.made.Admin)
	watch.ok(nil, "fsid")
	watch.c.Subscribe("log-info", msg.Subscription{})
	watch.ok(nil, "fsid")
	c.m.Tick()
	x.ok(nil, "osd set", "key", "noout")
	c.m.Tick()
	if l := watch.next("Health check failed: noout flag(s) set (OSDMAP_FLAGS)"); l.Priority != msg.LogWarn || l.Channel != "cluster" {
		t.Errorf("%+v", l)
	}
	c.m.Tick() // no news
	x.ok(nil, "osd set", "key", "noin")
	c.m.Tick()
	watch.next("Health check update: noout,noin flag(s) set (OSDMAP_FLAGS)")
	x.ok(nil, "osd unset", "key", "noin")
	x.ok(nil, "osd unset", "key", "noout")
	c.m.Tick()
	watch.next("Health check cleared: OSDMAP_FLAGS (was: noout,noin flag(s) set)")
	var last []struct{ Message string }
	x.ok(&last, "log last", "num", 10)
	n := 0
	for _, l := range last {
		if strings.HasPrefix(l.Message, "Health check") || l.Message == "Cluster is now healthy" {
			n++
		}
	}
	if n != 4 {
		t.Errorf("%d lines about health: %+v", n, last)
	}
}
