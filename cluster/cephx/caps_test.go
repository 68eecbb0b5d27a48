package cephx

import (
	"errors"
	"net/netip"
	"testing"

	"ebofs/cluster/ceph"
)

func TestMonCaps(t *testing.T) {
	admin := ceph.EntityName{Type: ceph.TypeClient, ID: "admin"}
	osd := ceph.EntityName{Type: ceph.TypeOSD, ID: "3"}
	r := func(service string, need Perm) MonRequest {
		return MonRequest{Entity: admin, Service: service, Need: need}
	}
	cmd := func(service string, need Perm, prefix string, args ...string) MonRequest {
		q := MonRequest{Entity: osd, Service: service, Need: need, Command: prefix, Args: map[string]string{}}
		for i := 0; i < len(args); i += 2 {
			q.Args[args[i]] = args[i+1]
		}
		return q
	}
	at := func(q MonRequest, ip string) MonRequest { q.From = netip.MustParseAddr(ip); return q }
	const rd, wr, ex = PermRead, PermWrite, PermExec
	for _, tc := range []struct {
		caps string
		req  MonRequest
		want bool
	}{
		{"", r("mon", rd), false},
		{"allow *", r("auth", rd|wr|ex), true},
		{"allow all", r("osd", rd|wr|ex), true},
		{"allow *", r("mon", 0), false}, // a request that needs nothing is no request
		{"allow r", r("mon", rd), true},
		{"allow r", r("mon", wr), false},
		{"allow r", r("auth", rd|ex), false}, // secrets need more than read
		{"allow rwx", r("auth", rd|ex), true},
		{"allow r, allow w", r("osd", rd|wr), true},
		{"allow r; allow service osd w;", r("osd", rd|wr), true},
		{"allow service osd w", r("mon", wr), false},
		{"allow service=osd rw", r("osd", rd|wr), true},
		{"allow service 'config-key' r", r("config-key", rd), true},
		{"allow r network 10.0.0.0/8", at(r("mon", rd), "10.1.2.3"), true},
		{"allow r network 10.0.0.0/8", at(r("mon", rd), "::ffff:10.1.2.3"), true},
		{"allow r network 10.0.0.0/8", at(r("mon", rd), "11.1.2.3"), false},
		{"allow r network 10.0.0.0/8", r("mon", rd), false}, // from nowhere
		{"allow r fsname=a", r("mon", rd), false},
		{"allow r fsname=a", MonRequest{Service: "mds", Need: rd, FS: "a"}, true},
		{`allow command "osd ls"`, cmd("osd", rd, "osd ls"), true},
		{`allow command "osd ls"`, cmd("osd", rd, "osd"), false},
		{`allow command "osd ls"`, cmd("osd", rd, "osd ls tree"), false},
		{`allow command="osd ls"`, r("osd", rd), false},
		{`allow command 'osd pool set' with pool=a var prefix pg_`, cmd("osd", wr, "osd pool set", "pool", "a", "var", "pg_num"), true},
		{`allow command 'osd pool set' with pool=a var prefix pg_`, cmd("osd", wr, "osd pool set", "pool", "a", "var", "size"), false},
		{`allow command 'osd pool set' with pool=a var prefix pg_`, cmd("osd", wr, "osd pool set", "pool", "a"), false},
		{`allow command x with n regex "[0-9]+"`, cmd("osd", wr, "x", "n", "12"), true},
		{`allow command x with n regex "[0-9]+"`, cmd("osd", wr, "x", "n", "12a"), false},
		{"profile osd", cmd("osd", rd|wr|ex, "osd crush add"), true},
		{"allow profile osd", cmd("mon", rd, "mon dump"), true},
		{"allow profile osd", cmd("mon", wr, "mon add"), false},
		{"profile osd", cmd("config-key", wr, "config-key set", "key", "daemon-private/osd.3/x"), true},
		{"profile osd", cmd("config-key", wr, "config-key set", "key", "daemon-private/osd.30/x"), false},
		{"profile=rbd", cmd("osd", rd, "osd ls"), true},
		{"profile rbd", cmd("osd", wr, "osd blocklist", "blocklistop", "add"), true},
		{"profile rbd", cmd("osd", wr, "osd blocklist", "blocklistop", "rm"), false},
		{"profile rbd", cmd("osd", wr, "osd out"), false},
		{"profile bootstrap-osd", cmd("osd", wr, "osd new"), true},
		{"profile bootstrap-osd", cmd("osd", wr, "osd rm"), false},
		{"profile mgr", cmd("auth", rd|wr|ex, "auth add"), true},
		{"profile read-only", r("osd", rd), true},
		{"profile read-only", r("osd", wr), false},
	} {
		c, err := ParseMonCaps(tc.caps)
		if err != nil {
			t.Errorf("%q: %v", tc.caps, err)
		} else if got := c.Allow(tc.req); got != tc.want {
			t.Errorf("%q allows %+v: %v, want %v", tc.caps, tc.req, got, tc.want)
		}
	}
	for _, s := range []string{
		"allow", "allow foo", "allow r x", "rw", "allow rr allow w", "profile", "profile foo", "allow profile foo",
		"allow r network foo", "allow r network", "allow command", "allow command x with", "allow command x with a",
		"allow command x with a regex (", "allow service", "allow service osd", "allow 'r", "allow r,,allow w", "=", ",", "allow r\x00", "allow \xff",
	} {
		if c, err := ParseMonCaps(s); !errors.Is(err, ErrCaps) {
			t.Errorf("%q parses to %+v, %v", s, c, err)
		}
	}
	for s, all := range map[string]bool{"allow *": true, "allow rwx": false, "allow * network 10.0.0.0/8": false, "profile osd, allow *": true, "": false} {
		if c, _ := ParseMonCaps(s); c.All() != all {
			t.Errorf("%q is all: %v", s, c.All())
		}
	}
}

func TestOSDCaps(t *testing.T) {
	op := func(pool, ns, object string, rd, wr bool, calls ...ClassCall) OSDRequest {
		return OSDRequest{Pool: pool, Namespace: ns, Object: object, Read: rd, Write: wr, Calls: calls,
			Apps: map[string]map[string]string{"rbd": {"k": "v"}}, From: netip.MustParseAddr("10.0.0.1")}
	}
	cr := ClassCall{Class: "lock", Method: "get_info", Read: true}
	cw := ClassCall{Class: "lock", Method: "lock", Read: true, Write: true}
	attach := ClassCall{Class: "rbd", Method: "child_attach", Read: true, Write: true}
	for _, tc := range []struct {
		caps string
		req  OSDRequest
		want bool
	}{
		{"", op("p", "", "o", true, false), false},
		{"allow *", op("p", "n", "o", true, true, cw), true},
		{"allow *", op("p", "n", "o", false, false), false},
		{"allow r", op("p", "", "o", true, false), true},
		{"allow r", op("p", "", "o", false, true), false},
		{"allow r", op("p", "", "o", true, true), false},
		{"allow rw", op("p", "", "o", true, true), true},
		{"allow rw", op("p", "", "o", true, true, cr), false},
		{"allow rwx", op("p", "", "o", true, true, cw), true},
		{"allow rw class-read", op("p", "", "o", true, true, cr), true},
		{"allow rw class-read", op("p", "", "o", true, true, cw), false},
		{"allow class-write class-read", op("p", "", "o", false, false, cw), true},
		{"allow class lock", op("p", "", "o", false, false, cw), true},
		{"allow class lock lock", op("p", "", "o", false, false, cw), true},
		{"allow class lock unlock", op("p", "", "o", false, false, cw), false},
		{"allow class lock pool=p", op("p", "", "o", false, false, cw), true},
		{"allow class lock pool=p", op("q", "", "o", false, false, cw), false},
		{"allow rw pool=p", op("p", "n", "o", true, true), true},
		{"allow rw pool p", op("p", "", "o", true, true), true},
		{"allow pool=p rw", op("p", "", "o", true, true), true},
		{"allow rw pool=p", op("pp", "", "o", true, true), false},
		{"allow rw pool=p namespace=n", op("p", "n", "o", true, true), true},
		{"allow rw pool=p namespace=n", op("p", "", "o", true, true), false},
		{"allow rw namespace=n*", op("p", "nn", "o", true, true), true},
		{"allow rw namespace=n*", op("p", "m", "o", true, true), false},
		{`allow rw namespace=""`, op("p", "", "o", true, true), true},
		{`allow rw namespace=""`, op("p", "n", "o", true, true), false},
		{"allow r object_prefix a.", op("p", "", "a.1", true, false), true},
		{"allow r object_prefix a.", op("p", "", "b.1", true, false), false},
		{"allow r tag rbd k=v", op("p", "", "o", true, false), true},
		{"allow r tag rbd k=w", op("p", "", "o", true, false), false},
		{"allow r tag rbd *=*", op("p", "", "o", true, false), true},
		{"allow r tag rbd k=*", op("p", "", "o", true, false), true},
		{"allow r tag cephfs *=*", op("p", "", "o", true, false), false},
		{"allow r network 10.0.0.0/8", op("p", "", "o", true, false), true},
		{"allow r network 11.0.0.0/8", op("p", "", "o", true, false), false},
		{"allow r pool=p, allow w pool=p", op("p", "", "o", true, true), true},
		{"allow r pool=p, allow w pool=q", op("p", "", "o", true, true), false},
		{"profile rbd pool=p", op("p", "", "rbd_header.1", true, true, attach), true},
		{"profile rbd pool=p", op("q", "", "rbd_header.1", true, true, attach), false},
		{"profile rbd pool=p namespace=n", op("p", "n", "rbd_header.1", true, true, cw), true},
		{"profile rbd pool=p namespace=n", op("p", "", "rbd_children", false, false, cr), true},
		{"profile rbd pool=p namespace=n", op("p", "", "rbd_children", true, false), false},
		{"profile rbd pool=p namespace=n", op("p", "", "rbd_children2", false, false, cr), false},
		{"profile rbd-read-only", op("p", "", "rbd_data.1", true, false), true},
		{"profile rbd-read-only", op("p", "", "rbd_data.1", false, true), false},
		{"profile rbd-read-only", op("p", "", "rbd_header.1", false, false, attach), true},
		{"profile rbd-read-only", op("p", "", "rbd_data.1", false, false, attach), false},
		{"profile read-only", op("p", "", "o", true, false), true},
		{"profile read-write network 11.0.0.0/8", op("p", "", "o", true, false), false},
	} {
		c, err := ParseOSDCaps(tc.caps)
		if err != nil {
			t.Errorf("%q: %v", tc.caps, err)
		} else if got := c.Allow(tc.req); got != tc.want {
			t.Errorf("%q allows %+v: %v, want %v", tc.caps, tc.req, got, tc.want)
		}
	}
	for _, s := range []string{
		"allow", "allow pool=p", "allow rw pool=", "allow rq", "profile", "profile x", "allow rw tag", "allow rw tag a b",
		"profile rbd object_prefix x", "allow rw pool=p extra", "allow r network 1", "rw", "allow class", "allow rw namespace", `allow r pool="p`,
	} {
		if c, err := ParseOSDCaps(s); !errors.Is(err, ErrCaps) {
			t.Errorf("%q parses to %+v, %v", s, c, err)
		}
	}
	for s, all := range map[string]bool{"allow *": true, "allow rwx": false, "allow * pool=p": false, "": false} {
		if c, _ := ParseOSDCaps(s); c.All() != all {
			t.Errorf("%q is all: %v", s, c.All())
		}
	}
}
