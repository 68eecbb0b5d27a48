package cephx

import (
	"fmt"
	"net/netip"
	"strings"
)

// OSDCaps is what an entity may do with objects.
type OSDCaps []osdGrant

type osdGrant struct {
	osdSpec
	osdMatch
	profile string
	network netip.Prefix
}

// osdSpec is what is allowed.
type osdSpec struct {
	read, write           bool
	classRead, classWrite bool
	class, method         string // methods of one class; method "": all of them
	any                   bool
}

// osdMatch is where.
type osdMatch struct {
	pool            string
	namespace       string
	byNamespace     bool // namespace counts, also an empty one
	namespacePrefix bool
	object          string // prefix
	app, key, value string // tag of the pool; "*" for any
	byTag           bool
	exactObject     bool // in profiles
}

// ClassCall is a method of an object class that an operation calls.
type ClassCall struct {
	Class, Method string
	Read, Write   bool // what the method does
}

// OSDRequest is one operation of a client on an object.
type OSDRequest struct {
	Pool      string
	Apps      map[string]map[string]string // applications of the pool, with their tags
	Namespace string
	Object    string
	Read      bool
	Write     bool
	Calls     []ClassCall
	From      netip.Addr // the peer
}

// ParseOSDCaps reads a capability string for OSDs.
func ParseOSDCaps(s string) (OSDCaps, error) {
	tokens, err := capTokens(s)
	if err != nil {
		return nil, fmt.Errorf("osd caps: %w", err)
	}
	var caps OSDCaps
	p := &capParser{tokens: tokens}
	err = p.grants(func() { caps = append(caps, p.osdGrant()) })
	if err != nil {
		return nil, fmt.Errorf("osd caps: %w", err)
	}
	return caps, nil
}

func (p *capParser) osdGrant() (g osdGrant) {
	switch {
	case p.is("profile"):
		g.profile = p.value("profile")
		if osdProfiles[g.profile] == nil && p.err == nil {
			p.fail("profile %q is not known", g.profile)
		}
	case !p.is("allow"):
		p.fail("%q where allow or profile belongs", p.word("allow"))
		return g
	}
	for p.more() && p.err == nil {
		switch {
		case p.is("pool"):
			g.pool = p.value("pool")
		case p.is("namespace"):
			g.namespace, g.byNamespace = p.value("namespace"), true
			g.namespace, g.namespacePrefix = strings.CutSuffix(g.namespace, "*")
		case p.is("network"):
			g.network = p.network()
		case g.profile != "":
			p.fail("%q is not expected behind a profile", p.tokens[0].text)
		case p.is("object_prefix"):
			g.object = p.value("object_prefix")
		case p.is("tag"):
			g.app, g.byTag = p.word("application"), true
			if p.more() && !p.at("network") {
				g.key = p.word("key")
				if p.is("=") {
					g.value = p.word("value")
				} else if g.key != "*" {
					p.fail("value of tag %s is missing", g.key)
				} else {
					g.value = "*"
				}
			}
		case p.is("class-read"):
			g.classRead = true
		case p.is("class-write"):
			g.classWrite = true
		case p.is("class"):
			g.class = p.word("class")
			if p.more() && !p.atOSDWord() {
				g.method = p.word("method")
			}
		default:
			s := p.word("permission")
			perm, ok := parsePerm(s)
			if !ok {
				p.fail("%q is not expected", s)
			}
			g.read = g.read || perm&PermRead != 0
			g.write = g.write || perm&PermWrite != 0
			g.classRead = g.classRead || perm&PermExec != 0
			g.classWrite = g.classWrite || perm&PermExec != 0
			g.any = g.any || perm&PermAny != 0
		}
	}
	if p.err == nil && g.profile == "" && g.osdSpec == (osdSpec{}) {
		p.fail("allow without a permission")
	}
	return g
}

// atOSDWord reports whether what comes next has a meaning of its own, and is no
// method.
func (p *capParser) atOSDWord() bool {
	for _, w := range []string{"pool", "namespace", "network", "object_prefix", "tag"} {
		if p.at(w) {
			return true
		}
	}
	return false
}

// matches reports whether m covers the object of r.
func (m *osdMatch) matches(r *OSDRequest) bool {
	switch {
	case m.pool != "" && m.pool != r.Pool,
		m.byNamespace && !m.namespacePrefix && m.namespace != r.Namespace,
		m.byNamespace && m.namespacePrefix && !strings.HasPrefix(r.Namespace, m.namespace),
		m.exactObject && m.object != r.Object,
		!strings.HasPrefix(r.Object, m.object):
		return false
	}
	return !m.byTag || m.tagged(r.Apps)
}

func (m *osdMatch) tagged(apps map[string]map[string]string) bool {
	for app, tags := range apps {
		if m.app != "*" && m.app != app {
			continue
		}
		if m.key == "" || m.key == "*" && m.value == "*" {
			return true
		}
		for k, v := range tags {
			if (m.key == "*" || m.key == k) && (m.value == "*" || m.value == v) {
				return true
			}
		}
	}
	return false
}

// Allow reports whether the caps grant an operation: several grants may each give
// a part of what it needs. One that needs nothing is denied.
func (c OSDCaps) Allow(r OSDRequest) bool {
	if !r.Read && !r.Write && len(r.Calls) == 0 {
		return false
	}
	var have osdSpec
	called := make([]bool, len(r.Calls))
	add := func(s *osdSpec, m *osdMatch) {
		if !m.matches(&r) {
			return
		}
		have.read, have.write = have.read || s.read, have.write || s.write
		have.classRead, have.classWrite = have.classRead || s.classRead, have.classWrite || s.classWrite
		for i, call := range r.Calls {
			called[i] = called[i] || s.class != "" && s.class == call.Class && (s.method == "" || s.method == call.Method)
		}
	}
	for i := range c {
		g := &c[i]
		if !from(g.network, r.From) {
			continue
		}
		if g.profile == "" {
			add(&g.osdSpec, &g.osdMatch)
			continue
		}
		for _, e := range osdProfiles[g.profile](g.osdMatch) {
			add(&e.osdSpec, &e.osdMatch)
		}
	}
	if r.Read && !have.read || r.Write && !have.write {
		return false
	}
	for i, call := range r.Calls {
		if !called[i] && (call.Read && !have.classRead || call.Write && !have.classWrite || !call.Read && !call.Write) {
			return false
		}
	}
	return true
}

// All reports whether everything is granted, wherever from: "allow *".
func (c OSDCaps) All() bool {
	for _, g := range c {
		if g.any && g.osdMatch == (osdMatch{}) && !g.network.IsValid() {
			return true
		}
	}
	return false
}

// osdProfiles is what each profile stands for in the pool and namespace it names.
var osdProfiles = map[string]func(osdMatch) []osdGrant{
	"read-only": func(m osdMatch) []osdGrant {
		return []osdGrant{{osdSpec: osdSpec{read: true, classRead: true}, osdMatch: m}}
	},
	"read-write": func(m osdMatch) []osdGrant {
		return []osdGrant{{osdSpec: osdSpec{read: true, write: true, classRead: true, classWrite: true}, osdMatch: m}}
	},
	// A namespace of images needs a look at objects of the pool that are shared.
	"rbd": func(m osdMatch) []osdGrant {
		return append(rbdShared(m), osdGrant{osdSpec: osdSpec{read: true, write: true, classRead: true, classWrite: true}, osdMatch: m})
	},
	"rbd-read-only": func(m osdMatch) []osdGrant {
		header := m
		header.object = "rbd_header."
		return append(rbdShared(m),
			osdGrant{osdSpec: osdSpec{read: true, classRead: true}, osdMatch: m},
			osdGrant{osdSpec: osdSpec{class: "rbd", method: "child_attach"}, osdMatch: header},
			osdGrant{osdSpec: osdSpec{class: "rbd", method: "child_detach"}, osdMatch: header})
	},
}

func rbdShared(m osdMatch) []osdGrant {
	if !m.byNamespace {
		return nil
	}
	shared := osdMatch{pool: m.pool, byNamespace: true, exactObject: true}
	info, children := shared, shared
	info.object, children.object = "rbd_info", "rbd_children"
	return []osdGrant{
		{osdSpec: osdSpec{classRead: true}, osdMatch: info},
		{osdSpec: osdSpec{classRead: true}, osdMatch: children},
	}
}
