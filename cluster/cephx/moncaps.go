package cephx

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"ebofs/cluster/ceph"
)

// MonCaps is what an entity may do at a monitor or manager.
type MonCaps []monGrant

type monGrant struct {
	perms   Perm
	service string // "": every one
	command string
	args    []argMatch
	profile string
	network netip.Prefix
	fs      string
}

// argMatch is a condition on an argument of a command.
type argMatch struct {
	name, value string
	prefix      bool
	pattern     *regexp.Regexp // of all of it, instead of value
}

// MonRequest is one operation at a monitor: a command, or something a message
// asks for.
type MonRequest struct {
	Entity ceph.EntityName
	// Service is the part of the monitor it is for, which command descriptions call
	// the module: "osd", "mon", "auth", "config-key" …
	Service string
	// Need is the permissions it takes, one letter each in descriptions.
	Need Perm
	// Command is the prefix of a command, "" for other requests.
	Command string
	Args    map[string]string
	FS      string     // the file system it is about
	From    netip.Addr // the peer
}

// ParseMonCaps reads a capability string for the monitor.
func ParseMonCaps(s string) (MonCaps, error) {
	tokens, err := capTokens(s)
	if err != nil {
		return nil, fmt.Errorf("mon caps: %w", err)
	}
	var caps MonCaps
	p := &capParser{tokens: tokens}
	err = p.grants(func() { caps = append(caps, p.monGrant()) })
	if err != nil {
		return nil, fmt.Errorf("mon caps: %w", err)
	}
	return caps, nil
}

func (p *capParser) monGrant() (g monGrant) {
	if p.is("profile") {
		g.profile = p.value("profile")
	} else if !p.is("allow") {
		p.fail("%q where allow or profile belongs", p.word("allow"))
		return g
	} else if p.is("profile") {
		g.profile = p.value("profile")
	} else if p.is("service") {
		g.service = p.value("service")
		g.perms = p.perms()
	} else if p.is("command") {
		g.command = p.value("command")
		if p.is("with") {
			for g.args = append(g.args, p.argMatch()); p.more() && !p.at("network"); {
				g.args = append(g.args, p.argMatch())
			}
		}
	} else {
		g.perms = p.perms()
	}
	if g.profile != "" && monProfiles[g.profile] == nil && p.err == nil {
		p.fail("profile %q is not known", g.profile)
	}
	for p.more() && p.err == nil {
		switch {
		case p.is("network"):
			g.network = p.network()
		case p.is("fsname"):
			g.fs = p.value("fsname")
		default:
			p.fail("%q is not expected", p.tokens[0].text)
		}
	}
	return g
}

func (p *capParser) at(word string) bool { return p.more() && p.tokens[0] == token{word, false} }

func (p *capParser) perms() Perm {
	s := p.word("permission")
	perm, ok := parsePerm(s)
	if !ok && p.err == nil {
		p.fail("%q is not a permission: want *, all or letters of rwx", s)
	}
	return perm
}

func (p *capParser) argMatch() (a argMatch) {
	a.name = p.word("argument")
	switch {
	case p.is("="):
		a.value = p.word("value")
	case p.is("prefix"):
		a.value, a.prefix = p.word("prefix"), true
	case p.is("regex"):
		var err error
		if a.pattern, err = regexp.CompilePOSIX("^(" + p.word("pattern") + ")$"); err != nil && p.err == nil {
			p.fail("regex of %s: %v", a.name, err)
		}
	default:
		p.fail("condition on %s is missing", a.name)
	}
	return a
}

func (a *argMatch) matches(args map[string]string) bool {
	v, ok := args[a.name]
	switch {
	case !ok:
		return false
	case a.pattern != nil:
		return a.pattern.MatchString(v)
	case a.prefix:
		return strings.HasPrefix(v, a.value)
	}
	return v == a.value
}

// Allow reports whether the caps grant a request: several grants may each give a
// part of what it needs.
func (c MonCaps) Allow(r MonRequest) bool {
	var have Perm
	for i := range c {
		g := &c[i]
		if !from(g.network, r.From) || g.fs != "" && g.fs != r.FS {
			continue
		}
		if g.profile == "" {
			if g.grants(&r, &have) {
				return true
			}
			continue
		}
		for _, e := range monProfiles[g.profile](r.Entity) {
			if e.grants(&r, &have) {
				return true
			}
		}
	}
	return false
}

// grants adds what g gives to have, and reports whether that is enough.
func (g *monGrant) grants(r *MonRequest, have *Perm) bool {
	if g.command != "" {
		if g.command != r.Command {
			return false
		}
		for i := range g.args {
			if !g.args[i].matches(r.Args) {
				return false
			}
		}
		return true
	}
	switch {
	case g.service == r.Service:
		*have |= g.perms
	case g.service != "":
	case r.Service == "config-key" && g.perms != PermAll: // secrets lie there: reading takes more than "allow r"
	default:
		*have |= g.perms
	}
	return r.Need != 0 && *have&r.Need == r.Need
}

// All reports whether everything is granted, wherever from: "allow *".
func (c MonCaps) All() bool {
	for _, g := range c {
		if g.perms == PermAll && g.service == "" && g.command == "" && !g.network.IsValid() && g.fs == "" {
			return true
		}
	}
	return false
}

// monProfiles is what each profile stands for. Those that hand out keys to daemons
// which do not exist yet (bootstrap-mds and its like) may read maps; creating keys
// with them is not in this release.
var monProfiles = map[string]func(ceph.EntityName) []monGrant{
	"read-only":  constant(monGrant{perms: PermRead}),
	"read-write": constant(monGrant{perms: PermRead | PermWrite}),
	"osd":        private(on(PermAll, "osd"), on(PermRead, "mon"), on(PermRead|PermWrite, "pg"), on(PermWrite, "log")),
	"mds": private(on(PermAll, "mds"), on(PermRead, "mon", "osd"), on(PermWrite, "log"),
		[]monGrant{{command: "osd pool rmsnap"}, {command: "osd blocklist"}, {command: "osd blacklist"}}),
	"mgr": private(on(PermAll, "mgr"), on(PermRead|PermWrite, "log", "mon", "mds", "fs", "osd", "config-key", "config"),
		on(PermRead|PermWrite|PermExec, "auth")),
	"fs-client":           join(on(PermRead, "mon", "mds", "osd", "pg")),
	"simple-rados-client": join(on(PermRead, "mon", "osd", "pg")),
	"rbd-read-only":       join(on(PermRead, "mon", "osd", "pg")),
	"rbd":                 join(on(PermRead, "mon", "osd", "pg"), blocklistAdd),
	"rbd-mirror":          join(on(PermRead, "mon", "osd", "pg"), blocklistAdd),
	"rbd-mirror-peer":     join(on(PermRead, "mon", "osd", "pg")),
	"bootstrap-osd": join(on(PermRead, "mon", "osd"),
		[]monGrant{{command: "mon getmap"}, {command: "osd new"}, {command: "osd purge-new"}}),
	"bootstrap-mds": bootstrap, "bootstrap-mgr": bootstrap, "bootstrap-rgw": bootstrap,
	"bootstrap-rbd": bootstrap, "bootstrap-rbd-mirror": bootstrap,
	"crash":        join(on(PermRead, "mon")),
	"role-definer": join(on(PermRead, "mon"), on(PermAll, "auth")),
}

var bootstrap = join(on(PermRead, "mon"), []monGrant{{command: "mon getmap"}})

// blocklistAdd lets the owner of an exclusive lock shut out a dead one.
var blocklistAdd = []monGrant{
	{command: "osd blocklist", args: []argMatch{{name: "blocklistop", value: "add"}}},
	{command: "osd blacklist", args: []argMatch{{name: "blacklistop", value: "add"}}},
}

func on(p Perm, services ...string) (out []monGrant) {
	for _, s := range services {
		out = append(out, monGrant{perms: p, service: s})
	}
	return out
}

func join(lists ...[]monGrant) func(ceph.EntityName) []monGrant {
	var all []monGrant
	for _, l := range lists {
		all = append(all, l...)
	}
	return constant(all...)
}

func constant(g ...monGrant) func(ceph.EntityName) []monGrant {
	return func(ceph.EntityName) []monGrant { return g }
}

// private adds a daemon's own corner of the key-value store.
func private(lists ...[]monGrant) func(ceph.EntityName) []monGrant {
	shared := join(lists...)
	return func(n ceph.EntityName) []monGrant {
		g := append([]monGrant(nil), shared(n)...)
		for _, verb := range []string{"get", "put", "set", "exists", "delete"} {
			g = append(g, monGrant{command: "config-key " + verb,
				args: []argMatch{{name: "key", value: "daemon-private/" + n.String() + "/", prefix: true}}})
		}
		return g
	}
}
