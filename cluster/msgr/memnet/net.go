package memnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

var errNoDeadline = errors.New("memnet: deadlines are not supported")

// bufferBytes is how much one direction of a connection holds, about as much as
// a socket of the system does.
const bufferBytes = 256 << 10

// Net is a network. Each user of it has a Host.
type Net struct {
	mu struct {
		sync.Mutex
		listeners map[netip.AddrPort]*listener
		port      uint16 // last one given out
		conns     []*Conn
		refuse    func(from netip.Addr, to netip.AddrPort) error
	}
}

// New returns a network without listeners.
func New() *Net {
	n := &Net{}
	n.mu.listeners = map[netip.AddrPort]*listener{}
	n.mu.port = 32768
	return n
}

// Refuse makes dials for which f returns an error fail with it; nil ends that.
func (n *Net) Refuse(f func(from netip.Addr, to netip.AddrPort) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.refuse = f
}

// CutAll breaks every connection that is up, and returns how many were.
func (n *Net) CutAll() int {
	n.mu.Lock()
	conns := n.mu.conns
	n.mu.conns = nil
	n.mu.Unlock()
	for _, c := range conns {
		c.Cut()
	}
	return len(conns)
}

// Host is the network as seen from one IP address.
type Host struct {
	n  *Net
	ip netip.Addr
}

// Host returns the transport of an address.
func (n *Net) Host(ip netip.Addr) *Host { return &Host{n, ip} }

// nextPortLocked gives out ports above those servers use.
func (n *Net) nextPortLocked() uint16 {
	if n.mu.port++; n.mu.port == 0 {
		n.mu.port = 32768
	}
	return n.mu.port
}

// Dial connects to a listener. Without one it is refused.
func (h *Host) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := h.n
	n.mu.Lock()
	if n.mu.refuse != nil {
		if err := n.mu.refuse(h.ip, to); err != nil {
			n.mu.Unlock()
			return nil, err
		}
	}
	l := n.mu.listeners[to]
	if l == nil {
		n.mu.Unlock()
		return nil, fmt.Errorf("dial %v: %w", to, syscall.ECONNREFUSED)
	}
	from := netip.AddrPortFrom(h.ip, n.nextPortLocked())
	a, b := newPipe(bufferBytes), newPipe(bufferBytes)
	ours := &Conn{a, b, net.TCPAddrFromAddrPort(from), net.TCPAddrFromAddrPort(to)}
	theirs := &Conn{b, a, net.TCPAddrFromAddrPort(to), net.TCPAddrFromAddrPort(from)}
	n.mu.conns = append(n.mu.conns, ours)
	if len(n.mu.conns)%1024 == 0 {
		n.pruneLocked()
	}
	n.mu.Unlock()
	select {
	case l.backlog <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, fmt.Errorf("dial %v: %w", to, syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pruneLocked forgets connections of which an end is closed.
func (n *Net) pruneLocked() {
	live := n.mu.conns[:0]
	for _, c := range n.mu.conns {
		if c.in.usable() && c.out.usable() {
			live = append(live, c)
		}
	}
	clear(n.mu.conns[len(live):])
	n.mu.conns = live
}

func (p *pipe) usable() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken == nil && !p.finished
}

// Listen listens at an address of the network, whatever the host's is.
func (h *Host) Listen(at netip.AddrPort) (net.Listener, error) {
	n := h.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if at.Port() == 0 {
		at = netip.AddrPortFrom(at.Addr(), n.nextPortLocked())
	}
	if n.mu.listeners[at] != nil {
		return nil, fmt.Errorf("listen %v: %w", at, syscall.EADDRINUSE)
	}
	l := &listener{n: n, at: at, backlog: make(chan *Conn, 128), closed: make(chan struct{})}
	n.mu.listeners[at] = l
	return l, nil
}

type listener struct {
	n       *Net
	at      netip.AddrPort
	backlog chan *Conn
	once    sync.Once
	closed  chan struct{}
}

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends listening; connections stay.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.n.mu.Lock()
		delete(l.n.mu.listeners, l.at)
		l.n.mu.Unlock()
		for {
			select {
			case c := <-l.backlog:
				c.Cut()
			default:
				return
			}
		}
	})
	return nil
}

// Addr returns where it listens.
func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }
