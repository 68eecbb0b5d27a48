package status

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// DefaultAddr is where a monitor's page is: where Prometheus looks for Ceph's
// manager.
const DefaultAddr = "127.0.0.1:9283"

// Bounds of what callers cost (S3).
const (
	maxConnections = 256
	maxListeners   = 32 // of events
	maxHeaderBytes = 16 << 10
)

// Server is a listener that serves.
type Server struct {
	page *Page
	http *http.Server
	l    net.Listener
	done chan struct{}
}

// Serve serves src at addr until Close. ports is how many ports from that of addr on
// are tried: 1 means that one or an error.
func Serve(addr string, ports int, src Source, logger *slog.Logger) (*Server, error) {
	l, err := listen(addr, ports)
	if err != nil {
		return nil, err
	}
	ip := l.Addr().(*net.TCPAddr).IP
	s := &Server{page: New(src, ip.IsLoopback()), l: l, done: make(chan struct{})}
	s.http = &http.Server{
		Handler: s.page, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slogLogger(logger), BaseContext: func(net.Listener) context.Context { return s.page.ctx },
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(&limited{Listener: l, slots: make(chan struct{}, maxConnections), closed: make(chan struct{})}); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("status page is not served any more", "err", err)
		}
	}()
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.l.Addr().String() }

// Page is what it serves.
func (s *Server) Page() *Page { return s.page }

// URL is the address of the page.
func (s *Server) URL() string { return "http://" + s.Addr() + "/" }

// Close ends the server and all that it began.
func (s *Server) Close() error {
	s.page.stop()
	err := s.http.Close()
	<-s.done
	s.page.Close()
	return err
}

// listen takes the port of addr, or one of those behind it.
func listen(addr string, ports int) (net.Listener, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address of the status page %q: want HOST:PORT", addr)
	}
	port, err := net.LookupPort("tcp", service)
	if err != nil {
		return nil, fmt.Errorf("address of the status page %q: want HOST:PORT", addr)
	}
	var first error
	for i := range max(1, ports) {
		if port+i > 65535 {
			break
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port+i)))
		if err == nil {
			return l, nil
		}
		if first == nil {
			first = err
		}
		if !inUse(err) {
			break
		}
	}
	return nil, fmt.Errorf("status page: %w", first)
}

// slogLogger is a logger for net/http, which has little to say but of callers that
// make no sense.
func slogLogger(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }

// limited is a listener that accepts so many at once; others wait in the kernel.
type limited struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: c, l: l}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	l    *limited
	once sync.Once
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.l.slots })
	return err
}
