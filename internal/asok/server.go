package asok

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Options say where a server listens and what it allows. Dir and Name must be
// given.
type Options struct {
	Dir  string // of the socket; made with mode 0700 if it is not there
	Name string // the socket is Dir/Name.asok
	// Shared is set if Dir may belong to another user and his group may write to it,
	// as /run/ceph may: who is listened to is decided for each client.
	Shared bool

	Version string // what "version" answers
	// MaxConns bounds the clients served at once; more are turned away. Default
	// 16: an operator, a collector of metrics, and some that hang.
	MaxConns int
	// RequestTime bounds how long a client may take to say what it wants, and
	// again to take the answer. Default 5 s: both are on this machine.
	RequestTime time.Duration
	// Allow decides by user id who may ask; default: root and who we run as.
	Allow func(uid uint32) bool

	Logger *slog.Logger     // default: nothing is logged
	Now    func() time.Time // default time.Now
}

// Server is an admin socket that is listened on.
type Server struct {
	opt    Options
	path   string
	id     fileID
	lis    *net.UnixListener
	began  time.Time
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once

	mu struct {
		sync.Mutex
		commands Table
		conns    map[*net.UnixConn]struct{}
		closed   bool
	}
}

// Listen makes the socket and serves it.
func Listen(o Options, commands ...Command) (*Server, error) {
	if o.MaxConns == 0 {
		o.MaxConns = 16
	}
	if o.RequestTime == 0 {
		o.RequestTime = 5 * time.Second
	}
	if o.Allow == nil {
		own := uint32(os.Geteuid())
		o.Allow = func(uid uint32) bool { return uid == 0 || uid == own }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{opt: o, path: Path(o.Dir, o.Name), began: o.Now()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.mu.commands = Table{}
	s.mu.conns = make(map[*net.UnixConn]struct{})
	s.Register(s.builtin()...)
	s.Register(commands...)
	var err error
	if s.lis, s.id, err = listen(o.Dir, s.path, o.Shared); err != nil {
		s.cancel()
		return nil, err
	}
	s.wg.Go(s.accept)
	return s, nil
}

// Path returns the socket's.
func (s *Server) Path() string { return s.path }

// Close removes the socket, turns everybody away and waits for what runs.
// Further calls wait, too.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		removeOwn(s.opt.Dir, s.path, s.id, s.opt.Shared)
		err = s.lis.Close()
		s.cancel()
		s.mu.Lock()
		s.mu.closed = true
		for c := range s.mu.conns {
			c.SetReadDeadline(time.Unix(1, 0)) // what runs may still be answered
		}
		s.mu.Unlock()
	})
	s.wg.Wait()
	return err
}

// accept takes clients until the listener is closed.
func (s *Server) accept() {
	for {
		c, err := s.lis.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of descriptors, mostly; the client waits
			s.opt.Logger.Warn("admin socket", "err", err)
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		if err := s.admit(c); err != nil {
			s.opt.Logger.Info("admin socket: turned away", "err", err)
			s.answer(c, refusal(err)) // it fits the socket's buffer: no waiting
			c.Close()
		}
	}
}

// admit starts serving a client, if it may ask and there is room.
func (s *Server) admit(c *net.UnixConn) error {
	uid, err := peer(c)
	if err != nil {
		return err
	}
	if !s.opt.Allow(uid) {
		return fmt.Errorf("user %d may not ask: %w", uid, syscall.EPERM)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return fmt.Errorf("the process ends: %w", syscall.ESHUTDOWN)
	}
	if len(s.mu.conns) >= s.opt.MaxConns {
		return fmt.Errorf("%d clients are served already: %w", len(s.mu.conns), syscall.EBUSY)
	}
	s.mu.conns[c] = struct{}{}
	c.SetReadDeadline(time.Now().Add(s.opt.RequestTime))
	s.wg.Go(func() {
		s.serve(c)
		s.mu.Lock()
		delete(s.mu.conns, c)
		s.mu.Unlock()
		c.Close()
	})
	return nil
}

// peer asks the kernel who is at the other end.
func peer(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, fmt.Errorf("asking who the client is: %w", credErr)
	}
	return cred.Uid, nil
}

// serve answers one request.
func (s *Server) serve(c *net.UnixConn) {
	p, err := readRequest(c)
	switch {
	case errors.Is(err, io.EOF) && len(p) == 0:
		return // somebody looked whether we are here
	case err != nil:
		s.answer(c, refusal(err))
	default:
		s.answer(c, s.run(s.ctx, p))
	}
}

// readRequest reads up to the NUL or newline that ends a request.
func readRequest(r io.Reader) ([]byte, error) {
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		if i := bytes.IndexAny(buf[:n], "\x00\n"); i >= 0 {
			if all = append(all, buf[:i]...); len(all) <= MaxRequest {
				return all, nil
			}
		} else {
			all = append(all, buf[:n]...)
		}
		switch {
		case len(all) > MaxRequest:
			return all, fmt.Errorf("request of more than %d bytes: %w", MaxRequest, syscall.EMSGSIZE)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return all, fmt.Errorf("no whole request within the time there is: %w", syscall.ETIMEDOUT)
		case errors.Is(err, io.EOF) && len(all) > 0:
			return all, fmt.Errorf("request ends without NUL or newline: %w", errInvalid)
		case err != nil:
			return all, err
		}
	}
}

// answer sends p behind its length.
func (s *Server) answer(c *net.UnixConn, p []byte) {
	c.SetWriteDeadline(time.Now().Add(s.opt.RequestTime))
	out := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(p)), uint32(len(p)))
	if _, err := c.Write(append(out, p...)); err != nil {
		s.opt.Logger.Debug("admin socket: answer", "err", err)
	}
}
