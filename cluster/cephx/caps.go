package cephx

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// ErrCaps is wrapped by errors about a capability string that does not parse.
var ErrCaps = errors.New("bad capabilities")

// maxCaps bounds a capability string. Ceph has no limit; no honest one comes near.
const maxCaps = 64 << 10

// Perm is a set of permissions.
type Perm uint8

// Permissions. Any is what a "*" gives beside the others: whatever there is.
const (
	PermRead Perm = 1 << iota
	PermWrite
	PermExec
	PermAny

	PermAll = PermRead | PermWrite | PermExec | PermAny
)

// String returns letters as in a capability string.
func (p Perm) String() string {
	if p == PermAll {
		return "*"
	}
	s := ""
	for i, c := range "rwx" {
		if p&(1<<i) != 0 {
			s += string(c)
		}
	}
	return s
}

// parsePerm reads "*", "all" or letters.
func parsePerm(s string) (Perm, bool) {
	if s == "*" || s == "all" {
		return PermAll, true
	}
	var p Perm
	for _, c := range s {
		i := strings.IndexRune("rwx", c)
		if i < 0 {
			return 0, false
		}
		p |= 1 << i
	}
	return p, p != 0
}

// token is a word, or a mark: "=", or "," for whatever separates grants.
type token struct {
	text string
	mark bool
}

// capTokens cuts a capability string into words and marks.
func capTokens(s string) (out []token, err error) {
	if len(s) > maxCaps {
		return nil, fmt.Errorf("%d bytes, more than %d: %w", len(s), maxCaps, ErrCaps)
	}
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\n':
			i++
		case c < ' ' || c > '~':
			return nil, fmt.Errorf("byte %#x: %w", c, ErrCaps)
		case c == '=':
			out = append(out, token{"=", true})
			i++
		case c == ',' || c == ';':
			out = append(out, token{",", true})
			i++
		case c == '"' || c == '\'':
			end := strings.IndexByte(s[i+1:], c)
			if end < 0 {
				return nil, fmt.Errorf("quote without end: %w", ErrCaps)
			}
			out = append(out, token{s[i+1 : i+1+end], false})
			i += end + 2
		default:
			n := strings.IndexAny(s[i:], " \t\n=,;\"'")
			if n < 0 {
				n = len(s) - i
			}
			out = append(out, token{s[i : i+n], false})
			i += n
		}
	}
	return out, nil
}

// capParser takes tokens one by one.
type capParser struct {
	tokens []token
	err    error
}

func (p *capParser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrCaps)
	}
	p.tokens = nil
}

// more reports whether the grant goes on.
func (p *capParser) more() bool { return len(p.tokens) > 0 && p.tokens[0] != token{",", true} }

// word takes a word; what names it in an error.
func (p *capParser) word(what string) string {
	if !p.more() || p.tokens[0].mark {
		p.fail("%s is missing", what)
		return ""
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t.text
}

// is takes the mark or word s if it comes next.
func (p *capParser) is(s string) bool {
	if len(p.tokens) > 0 && p.tokens[0].text == s && p.tokens[0].mark == (s == "=" || s == ",") {
		p.tokens = p.tokens[1:]
		return true
	}
	return false
}

// value takes an optional "=" and a word.
func (p *capParser) value(what string) string {
	p.is("=")
	return p.word(what)
}

// network takes the value of network=.
func (p *capParser) network() netip.Prefix {
	s := p.value("network")
	n, err := netip.ParsePrefix(s)
	if err != nil && p.err == nil {
		p.fail("network %q", s)
	}
	return n
}

// grants calls one for each grant until all is read. An empty string is no grant.
func (p *capParser) grants(one func()) error {
	if len(p.tokens) == 0 {
		return p.err
	}
	for {
		one()
		if p.err != nil {
			return p.err
		}
		if len(p.tokens) == 0 {
			return nil
		}
		if !p.is(",") {
			p.fail("%q is not expected", p.tokens[0].text)
			return p.err
		}
		if len(p.tokens) == 0 {
			return nil // a separator at the end is all right
		}
	}
}

// from reports whether an address is in a network; without one every address is.
func from(n netip.Prefix, a netip.Addr) bool { return !n.IsValid() || n.Contains(a.Unmap()) }
