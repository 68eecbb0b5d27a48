package mon_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/msg"
)

type healthAnswer struct {
	Status string
	Checks map[string]struct {
		Severity string
		Summary  struct {
			Message string
			Count   int
		}
		Detail []struct{ Message string }
		Muted  bool
	}
	Mutes []struct {
		Code   string
		Sticky bool
	}
}

// health returns the codes of checks that do not pass, with ~ before muted ones.
func (x *client) health() (healthAnswer, []string) {
	x.t.Helper()
	var h healthAnswer
	x.ok(&h, "health", "detail", "detail")
	codes := slices.Sorted(maps.Keys(h.Checks))
	for i, c := range codes {
		if h.Checks[c].Muted {
			codes[i] = "~" + c
		}
	}
	return h, codes
}

// TestHealth: a cluster goes wrong in one way after the other, and each has its
// code, says which thing it is, and goes away with its reason.
func TestHealth(t *testing.T) {
	c, x, osds := withOSDs(t, 3)
	want := func(status string, codes ...string) healthAnswer {
		t.Helper()
		h, got := x.health()
		if !slices.Equal(got, codes) || h.Status != status {
			t.Errorf("%s %v, want %s %v", h.Status, got, status, codes)
		}
		return h
	}
	detail := func(h healthAnswer, code, text string) {
		t.Helper()
		for _, d := range h.Checks[code].Detail {
			if strings.Contains(d.Message, text) {
				return
			}
		}
		t.Errorf("%s: no %q in %v", code, text, h.Checks[code].Detail)
	}
	report := func() {
		st := c.m.State()
		for _, o := range osds {
			if st.OSD.IsUp(o.id) {
				o.report(st.OSD)
			}
		}
	}
	x.ok(nil, "config set", "who", "global", "name", "mon_warn_on_pool_no_redundancy", "value", "false")
	want("HEALTH_OK")

	// A pool: nobody has reported its PGs, then one without application has objects.
	x.ok(nil, "osd pool create", "pool", "p", "pg_num", 6)
	h := want("HEALTH_WARN", "PG_AVAILABILITY", "POOL_PG_NUM_NOT_POWER_OF_TWO")
	if n := h.Checks["PG_AVAILABILITY"].Summary.Count; n != 6 {
		t.Errorf("%d PGs", n)
	}
	report()
	h = want("HEALTH_WARN", "POOL_APP_NOT_ENABLED", "POOL_PG_NUM_NOT_POWER_OF_TWO")
	detail(h, "POOL_APP_NOT_ENABLED", "pool 'p'")
	x.ok(nil, "osd pool application enable", "pool", "p", "app", "rbd")
	x.ok(nil, "config set", "who", "mon", "name", "mon_warn_on_pool_pg_num_not_power_of_two", "value", "false")
	want("HEALTH_OK")
	x.ok(nil, "config rm", "who", "global", "name", "mon_warn_on_pool_no_redundancy")
	want("HEALTH_WARN", "POOL_NO_REDUNDANCY")
	x.ok(nil, "osd pool set", "pool", "p", "var", "size", "val", "2")
	report()
	want("HEALTH_OK")

	// An OSD is down, and its host; PGs that it served are stale.
	x.ok(nil, "osd down", "ids", []string{"1"})
	h, codes := x.health()
	for _, code := range []string{"OSD_DOWN", "OSD_HOST_DOWN"} {
		if !slices.Contains(codes, code) {
			t.Errorf("%v without %s", codes, code)
		}
	}
	detail(h, "OSD_DOWN", "osd.1 (root=default,host=host1) is down")
	detail(h, "OSD_HOST_DOWN", "host host1 (root=default) (1 osds) is down")
	report()
	if _, codes = x.health(); slices.Contains(codes, "PG_AVAILABILITY") {
		t.Errorf("%v after others have taken over", codes)
	}
	for _, id := range []string{"0", "2"} {
		x.ok(nil, "osd down", "ids", []string{id})
	}
	h, codes = x.health()
	if !slices.Contains(codes, "OSD_ROOT_DOWN") || !slices.Contains(codes, "PG_AVAILABILITY") {
		t.Errorf("%v with all OSDs down", codes)
	}
	detail(h, "PG_AVAILABILITY", "is stuck stale")
	for _, o := range osds {
		o.boot(c, "host"+string('0'+rune(o.id)))
	}
	report()
	want("HEALTH_OK")

	// Flags.
	x.ok(nil, "osd set-group", "flags", "noup,nodown", "who", []string{"osd.2", "host1", "hdd"})
	h = want("HEALTH_WARN", "OSD_FLAGS")
	if n := h.Checks["OSD_FLAGS"].Summary.Count; n != 3 {
		t.Errorf("%d things flagged: %+v", n, h)
	}
	x.ok(nil, "osd unset-group", "flags", "noup,nodown", "who", []string{"osd.2", "host1", "hdd"})
	want("HEALTH_OK")
	x.ok(nil, "osd set", "key", "pause")
	h = want("HEALTH_WARN", "OSDMAP_FLAGS")
	if s := h.Checks["OSDMAP_FLAGS"].Summary.Message; s != "pauserd,pausewr flag(s) set" {
		t.Error(s)
	}
	x.ok(nil, "osd unset", "key", "pause")

	// The CRUSH map.
	x.ok(nil, "osd crush set-tunable", "tunable", "straw_calc_version", "value", 0)
	want("HEALTH_WARN", "OLD_CRUSH_STRAW_CALC_VERSION")
	x.ok(nil, "osd crush set-tunable", "tunable", "straw_calc_version", "value", 1)
	x.ok(nil, "osd new", "uuid", "3f0c9a1e-4c0e-4b6e-9d5f-0f4f8e2a9b11")
	x.ok(nil, "osd crush add", "id", 3, "weight", 0.5, "args", []string{"host=host3", "root=default"})
	x.ok(nil, "osd rm", "ids", []string{"3"})
	h = want("HEALTH_WARN", "OSD_ORPHAN")
	detail(h, "OSD_ORPHAN", "osd.3")
	x.ok(nil, "osd crush rm", "name", "osd.3")
	want("HEALTH_OK")

	// Caps that nobody can read, which no command takes any more.
	x.fails(ceph.EINVAL, "auth add", "entity", "client.b", "caps", []string{"osd", "nonsense"})
	n := ceph.EntityName{Type: ceph.TypeClient, ID: "b"}
	if err := c.m.AddEntity(context.Background(), n, cephx.Entity{Key: c.made.Admin, Caps: map[ceph.EntityType]string{ceph.TypeOSD: "nonsense"}}); err != nil {
		t.Fatal(err)
	}
	h = want("HEALTH_ERR", "AUTH_BAD_CAPS")
	detail(h, "AUTH_BAD_CAPS", "client.b osd")
	x.ok(nil, "auth rm", "entity", "client.b")

	// What PGs say of themselves.
	for _, row := range []struct {
		state msg.PGState
		sum   msg.ObjectSum
		want  string
		codes []string
	}{
		{msg.PGActive | msg.PGUndersized | msg.PGDegraded, msg.ObjectSum{Copies: 10, Degraded: 5}, "HEALTH_WARN", []string{"PG_DEGRADED"}},
		{msg.PGActive | msg.PGClean | msg.PGInconsistent, msg.ObjectSum{ScrubErrors: 2}, "HEALTH_ERR", []string{"OSD_SCRUB_ERRORS", "PG_DAMAGED"}},
		{msg.PGActive | msg.PGRecoveryUnfound, msg.ObjectSum{Objects: 3, Unfound: 1}, "HEALTH_ERR", []string{"OBJECT_UNFOUND", "PG_DAMAGED"}},
		{msg.PGActive | msg.PGRemapped, msg.ObjectSum{Copies: 3, Misplaced: 1}, "HEALTH_WARN", []string{"OBJECT_MISPLACED"}},
		{msg.PGActive | msg.PGBackfillTooFull, msg.ObjectSum{}, "HEALTH_WARN", []string{"PG_BACKFILL_FULL"}},
		{msg.PGActive | msg.PGRecoveryTooFull, msg.ObjectSum{}, "HEALTH_ERR", []string{"PG_RECOVERY_FULL"}},
		{msg.PGPeering, msg.ObjectSum{}, "HEALTH_WARN", []string{"PG_AVAILABILITY"}},
		{msg.PGActive | msg.PGClean, msg.ObjectSum{LargeOmaps: 1}, "HEALTH_WARN", []string{"LARGE_OMAP_OBJECTS"}},
		{msg.PGActive | msg.PGClean, msg.ObjectSum{}, "HEALTH_OK", nil},
	} {
		for _, o := range osds {
			o.state, o.sum = row.state, row.sum
		}
		report()
		want(row.want, row.codes...)
	}
}

// TestMute: a muted check is shown and does not count; it comes back when its time
// is up, when it is worse than it was, and when somebody wants it; a mute whose
// reason is gone goes too, unless it is sticky.
func TestMute(t *testing.T) {
	c := newClusterWith(t, map[string]string{"osd_pool_default_size": "1", "mon_warn_on_too_few_osds": "false"})
	x := c.client("client.admin", c.made.Admin)
	want := func(status string, codes ...string) {
		t.Helper()
		if h, got := x.health(); h.Status != status || !slices.Equal(got, codes) {
			t.Errorf("%s %v, want %s %v", h.Status, got, status, codes)
		}
	}
	x.fails(ceph.ENOENT, "health mute", "code", "OSDMAP_FLAGS")
	x.ok(nil, "osd set", "key", "noout")
	want("HEALTH_WARN", "OSDMAP_FLAGS")
	x.ok(nil, "health mute", "code", "OSDMAP_FLAGS")
	want("HEALTH_OK", "~OSDMAP_FLAGS")
	x.fails(ceph.EINVAL, "health mute", "code", "OSDMAP_FLAGS", "ttl", "soon")
	x.fails(ceph.EINVAL, "health mute", "code", "A/B", "sticky", true)

	// Worse: heard again.
	x.ok(nil, "osd set", "key", "noin")
	c.m.Tick()
	want("HEALTH_WARN", "OSDMAP_FLAGS")
	x.ok(nil, "health mute", "code", "OSDMAP_FLAGS")
	want("HEALTH_OK", "~OSDMAP_FLAGS")

	// The reason goes, and with it the mute.
	x.ok(nil, "osd unset", "key", "noin")
	c.m.Tick()
	want("HEALTH_OK", "~OSDMAP_FLAGS")
	x.ok(nil, "osd unset", "key", "noout")
	c.m.Tick()
	x.ok(nil, "osd set", "key", "noout")
	want("HEALTH_WARN", "OSDMAP_FLAGS")

	// Sticky stays; a time ends it all the same.
	x.ok(nil, "health mute", "code", "OSDMAP_FLAGS", "ttl", "1h", "sticky", true)
	x.ok(nil, "osd unset", "key", "noout")
	c.m.Tick()
	x.ok(nil, "osd set", "key", "noout")
	want("HEALTH_OK", "~OSDMAP_FLAGS")
	c.ahead(3601)
	c.m.Tick()
	want("HEALTH_WARN", "OSDMAP_FLAGS")
	x.ok(nil, "health mute", "code", "OSDMAP_FLAGS", "sticky", true)
	x.ok(nil, "health unmute", "code", "OTHER")
	want("HEALTH_OK", "~OSDMAP_FLAGS")
	x.ok(nil, "health unmute")
	want("HEALTH_WARN", "OSDMAP_FLAGS")
	if a, err := x.run("health", "format", "plain"); err != nil || string(a.Output) != "HEALTH_WARN noout flag(s) set\n" {
		t.Errorf("%q, %v", a.Output, err)
	}
}
