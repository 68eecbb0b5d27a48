package mon_test

import (
	"testing"

	"ebofs/cluster/ceph"
)

// TestOptions: the central database changes what a monitor allows, at once; its
// file wins, and a value that makes no sense changes nothing.
func TestOptions(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.made.Admin)
	x.ok(nil, "config set", "who", "mon", "name", "mon_allow_pool_size_one", "value", "false") // the file says true
	x.ok(nil, "config set", "who", "mon.a", "name", "osd_pool_default_size", "value", "2")
	x.ok(nil, "config set", "who", "global", "name", "osd_pool_default_pg_num", "value", "8")
	x.fails(ceph.EINVAL, "config set", "who", "mon.a", "name", "osd_pool_default_min_size", "value", "junk")
	x.ok(nil, "osd pool create", "pool", "p")
	for name, want := range map[string]int{"size": 2, "min_size": 1, "pg_num": 8} {
		got := map[string]any{}
		if x.ok(&got, "osd pool get", "pool", "p", "var", name); got[name] != float64(want) {
			t.Errorf("%s: %v, want %d", name, got[name], want)
		}
	}
	x.ok(nil, "osd pool create", "pool", "one", "size", 1)
	x.ok(nil, "osd pool create", "pool", "fifth", "pg_num", 8, "pgp_num", 8, "pool_type", "replicated", "erasure_code_profile", "replicated_rule", "size", 2)
	x.fails(ceph.ENOENT, "osd pool create", "pool", "fifth2", "pg_num", 8, "pgp_num", 8, "pool_type", "replicated", "erasure_code_profile", "none")
	x.ok(nil, "config rm", "who", "mon.a", "name", "osd_pool_default_size")
	x.ok(nil, "osd pool create", "pool", "q")
	got := map[string]any{}
	if x.ok(&got, "osd pool get", "pool", "q", "var", "size"); got["size"] != 3.0 {
		t.Error(got)
	}

	// What the defaults forbid.
	c.options = func(string) string { return "false" }
	c.m.Close()
	c.start()
	x.fails(ceph.EPERM, "osd pool create", "pool", "r", "size", 1)
	x.fails(ceph.EPERM, "osd pool set", "pool", "q", "var", "size", "val", "1", "yes_i_really_mean_it", true)
	x.fails(ceph.EPERM, "osd pool rm", "pool", "q", "pool2", "q", "yes_i_really_really_mean_it", true)
}
