package mon_test

import (
	"testing"

	"ebofs/cluster/ceph"
)

// TestConfigHistory: changes of options are numbered and can be taken back, and that
// is a change as well; what changes nothing is none.
func TestConfigHistory(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.made.Admin)
	set := func(who, name, value string) {
		t.Helper()
		x.ok(nil, "config set", "who", who, "name", name, "value", value)
	}
	var dump []struct{ Section, Name, Value string }
	want := func(pairs ...string) {
		t.Helper()
		x.ok(&dump, "config dump")
		var got []string
		for _, o := range dump {
			got = append(got, o.Section+"/"+o.Name+"="+o.Value)
		}
		if len(got) != len(pairs) {
			t.Fatalf("%v, want %v", got, pairs)
		}
		for i := range got {
			if got[i] != pairs[i] {
				t.Errorf("%v, want %v", got, pairs)
			}
		}
	}
	set("global", "debug_osd", "1") // 1
	set("osd.3", "debug_osd", "2")  // 2
	set("osd.3", "debug_osd", "2")  // nothing
	set("osd.3", "debug_osd", "3")  // 3
	set("mon", "debug mon", "4")    // 4
	x.ok(nil, "config rm", "who", "global", "name", "debug-osd")
	want("mon/debug_mon=4", "osd.3/debug_osd=3")
	var log []struct {
		Version int
		Changes []struct {
			Name string
			Old  *string `json:"previous_value"`
			New  *string `json:"new_value"`
		}
	}
	x.ok(&log, "config log")
	if len(log) != 5 || log[0].Version != 5 || log[2].Changes[0].Old == nil || *log[2].Changes[0].Old != "2" {
		t.Errorf("%+v", log)
	}
	x.ok(nil, "config reset", "num", 2)
	want("global/debug_osd=1", "osd.3/debug_osd=2")
	x.ok(nil, "config reset", "num", 6) // the reset itself: nothing after it
	want("global/debug_osd=1", "osd.3/debug_osd=2")
	x.ok(nil, "config reset", "num", 0)
	want()
	x.fails(ceph.EINVAL, "config set", "who", "osd", "name", "no option", "value", "1")
	x.fails(ceph.EINVAL, "config set", "who", "osd", "name", "nonsense", "value", "1")
	if text := x.ok(nil, "config set", "who", "osd", "name", "osd_memry_target", "value", "1G"); text == "" {
		t.Error("a slip is not noted")
	}
	x.ok(nil, "config set", "who", "osd", "name", "nonsense", "value", "1", "force", true)
}
