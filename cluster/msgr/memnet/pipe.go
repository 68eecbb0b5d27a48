package memnet

import (
	"io"
	"net"
	"sync"
	"time"
)

// pipe is one direction of a connection.
type pipe struct {
	mu       sync.Mutex
	changed  sync.Cond
	buf      []byte
	max      int
	finished bool  // no more is written
	broken   error // nothing works
}

func newPipe(max int) *pipe {
	p := &pipe{max: max}
	p.changed.L = &p.mu
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) == 0 && !p.finished && p.broken == nil {
		p.changed.Wait()
	}
	switch {
	case p.broken != nil:
		return 0, p.broken
	case len(p.buf) == 0:
		return 0, io.EOF
	}
	n := copy(b, p.buf)
	if p.buf = p.buf[n:]; len(p.buf) == 0 {
		p.buf = nil
	}
	p.changed.Broadcast()
	return n, nil
}

func (p *pipe) write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.broken != nil:
			return n, p.broken
		case p.finished:
			return n, io.ErrClosedPipe
		case len(b) == 0:
			return n, nil
		}
		if room := min(p.max-len(p.buf), len(b)); room > 0 {
			p.buf = append(p.buf, b[:room]...)
			b, n = b[room:], n+room
			p.changed.Broadcast()
			continue
		}
		p.changed.Wait()
	}
}

func (p *pipe) finish() {
	p.mu.Lock()
	p.finished = true
	p.changed.Broadcast()
	p.mu.Unlock()
}

func (p *pipe) fail(err error) {
	p.mu.Lock()
	if p.broken == nil {
		p.broken = err
	}
	p.changed.Broadcast()
	p.mu.Unlock()
}

// Conn is one end of a connection. It has no deadlines.
type Conn struct {
	in, out       *pipe
	local, remote *net.TCPAddr
}

// Read reads, waiting for at least a byte.
func (c *Conn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write writes all of b, waiting for the other end to read.
func (c *Conn) Write(b []byte) (int, error) { return c.out.write(b) }

// Close ends both directions. The other end reads what was written before.
func (c *Conn) Close() error {
	c.out.finish()
	c.in.fail(net.ErrClosed)
	return nil
}

// Cut breaks the connection for both ends, what is under way included.
func (c *Conn) Cut() {
	c.in.fail(io.ErrUnexpectedEOF)
	c.out.fail(io.ErrUnexpectedEOF)
}

// LocalAddr returns this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline is not supported.
func (c *Conn) SetDeadline(time.Time) error { return errNoDeadline }

// SetReadDeadline is not supported.
func (c *Conn) SetReadDeadline(time.Time) error { return errNoDeadline }

// SetWriteDeadline is not supported.
func (c *Conn) SetWriteDeadline(time.Time) error { return errNoDeadline }
