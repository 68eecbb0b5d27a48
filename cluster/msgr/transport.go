package msgr

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Transport makes connections. TCP is one; a network in memory another.
//
// Connections keep the order of bytes, and Close makes calls on both ends that
// wait return. Deadlines are not used.
type Transport interface {
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// Listen with port 0 takes a free one; the listener's Addr says which.
	Listen(at netip.AddrPort) (net.Listener, error)
}

// TCP is the transport of the operating system.
type TCP struct{}

// Dial connects.
func (TCP) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1} // messenger keepalives and idle limits do that
	return d.DialContext(ctx, "tcp", to.String())
}

// Listen listens.
func (TCP) Listen(at netip.AddrPort) (net.Listener, error) {
	return net.Listen("tcp", at.String())
}

// Clock tells time and calls back. The zero of Options is the system's.
type Clock interface {
	Now() time.Time
	AfterFunc(time.Duration, func()) Timer
}

// Timer is a call that is to come.
type Timer interface {
	// Stop prevents the call and reports whether it did.
	Stop() bool
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }

// addrOf returns the address of one end of a connection, blank if it is no IP
// address.
func addrOf(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
