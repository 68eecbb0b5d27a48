package mon

import (
	"ebofs/cluster/cephx"
)

// perms reads the letters of a command's permissions.
func perms(s string) (p cephx.Perm) {
	for _, r := range s {
		switch r {
		case 'r':
			p |= cephx.PermRead
		case 'w':
			p |= cephx.PermWrite
		case 'x':
			p |= cephx.PermExec
		}
	}
	return p
}

// allowed reports whether the session's caps grant need on a part of the monitor.
func (m *Monitor) allowed(s *session, service, need string) bool {
	return m.allowedCommand(s, service, need, "", nil)
}

// allowedCommand is allowed for a command, which caps may name.
func (m *Monitor) allowedCommand(s *session, service, need, command string, args map[string]string) bool {
	peer := s.conn.Peer()
	if peer.Auth.AllowAll {
		return true
	}
	caps, err := cephx.ParseMonCaps(peer.Auth.Caps)
	if err != nil {
		return false // what does not parse grants nothing
	}
	r := cephx.MonRequest{Entity: peer.Auth.Name, Service: service, Need: perms(need), Command: command, Args: args}
	if a := peer.Addrs; len(a) > 0 {
		r.From = a[0].IP.Addr()
	}
	return caps.Allow(r)
}
