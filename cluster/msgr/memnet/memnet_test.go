package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

var (
	ctx = context.Background()
	at  = netip.MustParseAddrPort("10.0.0.1:1")
)

// pair returns both ends of a connection.
func pair(t *testing.T, n *Net) (a, b net.Conn) {
	t.Helper()
	l, err := n.Host(at.Addr()).Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = n.Host(netip.MustParseAddr("10.0.0.2")).Dial(ctx, at); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// TestClose lets what was written be read (I2), and wakes who waits.
func TestClose(t *testing.T) {
	a, b := pair(t, New())
	if a.RemoteAddr().String() != at.String() || b.RemoteAddr().String() != a.LocalAddr().String() {
		t.Errorf("addresses %v, %v, %v", a.RemoteAddr(), b.RemoteAddr(), a.LocalAddr())
	}
	blocked := make(chan error)
	go func() { _, err := b.Write(make([]byte, 2*bufferBytes)); blocked <- err }()
	a.Write([]byte("last words"))
	a.Close()
	if err := <-blocked; err == nil {
		t.Error("wrote to an end that was closed")
	}
	if p, err := io.ReadAll(b); string(p) != "last words" || err != nil {
		t.Errorf("read %q, %v", p, err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read from one's own closed end: %v", err)
	}
}

// TestCut loses what is under way.
func TestCut(t *testing.T) {
	n := New()
	a, b := pair(t, n)
	a.Write([]byte("lost"))
	if cut := n.CutAll(); cut != 1 {
		t.Errorf("%d connections cut", cut)
	}
	if k, err := b.Read(make([]byte, 4)); k != 0 || err != io.ErrUnexpectedEOF {
		t.Errorf("read %d bytes, %v", k, err)
	}
	if _, err := a.Write([]byte("x")); err == nil {
		t.Error("wrote after a cut")
	}
}

// TestDial is refused where nobody listens, or when the network says so.
func TestDial(t *testing.T) {
	n := New()
	h := n.Host(at.Addr())
	if _, err := h.Dial(ctx, at); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	l, err := h.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Listen(at); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second listener: %v", err)
	}
	n.Refuse(func(netip.Addr, netip.AddrPort) error { return syscall.EHOSTUNREACH })
	if _, err := h.Dial(ctx, at); err != syscall.EHOSTUNREACH {
		t.Errorf("partition: %v", err)
	}
	n.Refuse(nil)
	if _, err := h.Dial(ctx, at); err != nil {
		t.Error(err)
	}
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
	if _, err := h.Dial(ctx, at); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial after close: %v", err)
	}
}
