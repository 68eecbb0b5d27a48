package msgr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/msgr/frame"
)

// listen accepts connections until its listener is closed.
func (m *Messenger) listen(l net.Listener) {
	defer m.wg.Done()
	for {
		nc, err := l.Accept()
		if err != nil {
			m.mu.Lock()
			over := m.mu.closed
			m.mu.Unlock()
			if over || errors.Is(err, net.ErrClosed) {
				return
			}
			// Descriptors have run out, most likely: leave the peers in the backlog.
			m.o.Log.Warn("accept", "addr", l.Addr().String(), "err", err)
			pause := make(chan struct{})
			t := m.o.Clock.AfterFunc(m.o.BackoffMin, func() { close(pause) })
			select {
			case <-pause:
			case <-m.ctx.Done():
				t.Stop()
			}
			continue
		}
		m.admit(nc)
	}
}

// admit starts the handshake of a connection, unless too many are under way.
func (m *Messenger) admit(nc net.Conn) {
	m.stats.accepted.Add(1)
	s := newSocket(nc, false)
	ip := s.remote.Addr()
	m.mu.Lock()
	over := len(m.mu.handshakes) >= m.o.MaxHandshakes || m.mu.perIP[ip] >= m.o.MaxHandshakesPerAddr
	if !over && m.spawnLocked(func() { m.serve(s) }) {
		m.mu.handshakes[s] = struct{}{}
		m.mu.perIP[ip]++
		m.mu.Unlock()
		return
	}
	m.mu.Unlock()
	if over {
		m.stats.limited.Add(1)
	}
	s.close()
}

// settle takes s off the list of handshakes.
func (m *Messenger) settle(s *socket, ip netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mu.handshakes, s)
	if m.mu.perIP[ip]--; m.mu.perIP[ip] <= 0 {
		delete(m.mu.perIP, ip)
	}
}

// serve has an accepted connection from its first byte to its last.
func (m *Messenger) serve(s *socket) {
	late := m.o.Clock.AfterFunc(m.o.HandshakeTimeout, s.close)
	c, d, err := m.handshake(s)
	if err == nil && !late.Stop() {
		err = errStalled
	}
	if err != nil {
		late.Stop()
		m.stats.handshakesBad.Add(1)
		level := slog.LevelInfo
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			level = slog.LevelDebug // gave up by itself, as clients do that try several addresses
		}
		m.o.Log.Log(context.Background(), level, "connection refused", "from", s.remote.String(), "err", err)
		s.close()
	}
	m.settle(s, s.remote.Addr())
	if c == nil {
		return
	}
	if err != nil || !c.up(d, s) {
		// The session is ours, and its connection is gone: as after any fault.
		s.close()
	}
	c.drive(d, s)
}

// handshake authenticates the peer and finds or makes its session. A session is
// returned also with an error: its driver is the caller from then on.
func (m *Messenger) handshake(s *socket) (*Conn, *driver, error) {
	hello, err := m.greet(s, ceph.MsgrAddr(s.remote, 0))
	if err != nil {
		return nil, nil, err
	}
	a, err := s.giveAuth(m.o.ServerAuth())
	if err != nil {
		return nil, nil, err
	}
	if err := s.sign(a); err != nil {
		return nil, nil, err
	}
	// A daemon may be its own client, as an OSD is that fetches its first maps; nobody
	// is a daemon by saying so.
	if hello.Type != a.Name.Type && hello.Type != ceph.TypeClient {
		return nil, nil, protocol("%v says hello as %v", a.Name, hello.Type)
	}
	for range maxAuthRounds {
		f, err := s.next(maxControlBytes)
		if err != nil {
			return nil, nil, err
		}
		switch f.Tag {
		case frame.ClientIdent:
			b, err := frame.DecodeClientIdent(f.First)
			if err != nil {
				return nil, nil, err
			}
			c, d, err := m.identified(s, a, hello.Type, &b)
			if c != nil || err != nil {
				return c, d, err
			}
		case frame.SessionReconnect:
			b, err := frame.DecodeReconnect(f.First)
			if err != nil {
				return nil, nil, err
			}
			c, d, err := m.reconnected(s, a, hello.Type, &b)
			if c != nil || err != nil {
				return c, d, err
			}
		default:
			return nil, nil, outOfState(f.Tag)
		}
	}
	return nil, nil, protocol("session not agreed on in %d rounds", maxAuthRounds)
}

// giveAuth is the server's part of the authentication.
func (s *socket) giveAuth(auth ServerAuth) (*cephx.Session, error) {
	asked := false
	var refused error
	for range maxAuthRounds {
		f, err := s.next(maxAuthBytes)
		if err != nil && refused != nil {
			return nil, refused // and the peer knew no other way
		}
		if err != nil {
			return nil, err
		}
		var step cephx.Step
		switch {
		case f.Tag == frame.AuthRequest:
			b, derr := frame.DecodeAuthRequest(f.First)
			if derr != nil {
				return nil, derr
			}
			step, err = auth.Request(cephx.Method(b.Method), typed[cephx.Mode](b.Modes), b.Payload)
			asked = err == nil
		case f.Tag == frame.AuthRequestMore && asked:
			b, derr := frame.DecodeAuthMore(f.First)
			if derr != nil {
				return nil, derr
			}
			step, err = auth.More(b.Payload)
			asked = err == nil
		default:
			return nil, outOfState(f.Tag)
		}
		var no *cephx.Refusal
		switch {
		case errors.As(err, &no):
			body := frame.AuthBadMethodBody{Method: uint32(no.Method), Result: no.Result, Methods: u32s(no.Methods), Modes: u32s(no.Modes)}
			if werr := s.control(frame.AuthBadMethod, body); werr != nil {
				return nil, err
			}
			refused = err // The peer may have another method. Each refusal counts as a round.
		case err != nil:
			return nil, err
		case step.Done != nil:
			d := step.Done
			body := frame.AuthDoneBody{GlobalID: d.GlobalID, Mode: uint32(d.Mode), Payload: step.Reply}
			return d, s.control(frame.AuthDone, body)
		default:
			if err := s.control(frame.AuthReplyMore, frame.AuthMoreBody{Payload: step.Reply}); err != nil {
				return nil, err
			}
		}
	}
	return nil, protocol("authentication of more than %d rounds", maxAuthRounds)
}

// keyOf returns the address under which a peer's session is registered.
func keyOf(v ceph.AddrVec) ceph.Addr {
	if a := v.Msgr2(); !a.IsBlank() {
		return a
	}
	return v[0]
}

// proved returns who the peer is, by the type and number it says it has and what
// it has proved.
func proved(a *cephx.Session, as ceph.EntityType, gid int64) (ceph.EntityID, error) {
	id := ceph.EntityID{Type: as, Num: gid}
	switch id.Type {
	case ceph.TypeClient:
		id.Num = int64(a.GlobalID)
	case ceph.TypeOSD:
		n, err := strconv.ParseInt(a.Name.ID, 10, 32)
		if err != nil || n < 0 || gid != -1 && gid != n {
			return id, protocol("%v says it is number %d", a.Name, gid)
		}
		id.Num = n
	}
	return id, nil
}

// identified answers a CLIENT_IDENT. No session and no error means that the peer
// is expected to say something else.
func (m *Messenger) identified(s *socket, a *cephx.Session, as ceph.EntityType, b *frame.ClientIdentBody) (*Conn, *driver, error) {
	missing := m.o.Required &^ b.Supported
	switch mine := m.Addrs(); {
	case len(b.Addrs) == 0 || keyOf(b.Addrs).IsBlank():
		return nil, nil, protocol("%v has no address", a.Name)
	case !mine.Has(b.Target):
		return nil, nil, protocol("%v dials %v, this is %v", a.Name, b.Target, mine)
	case missing != 0:
		err := s.control(frame.IdentMissingFeatures, frame.U64Body(missing))
		if err == nil {
			// The client closes; what it may say instead is out of state.
			_, err = s.next(maxControlBytes)
		}
		return nil, nil, errors.Join(fmt.Errorf("%v lacks %#x: %w", a.Name, missing, ErrFeatures), err)
	}
	id, err := proved(a, as, b.GID)
	if err != nil {
		return nil, nil, err
	}
	peer := &Peer{ID: id, Addrs: b.Addrs, Features: m.o.Supported & b.Supported, Auth: a.Identity, Mode: a.Mode}
	policy := m.o.Accept(id.Type)
	if !policy.Register && !policy.Lossy {
		policy.Register = true // a lossless session has to be found again
	}
	c, d, answer, err := m.claim(s, policy, peer, b)
	if err != nil {
		return nil, nil, err
	}
	switch answer {
	case answerWait:
		if err := s.control(frame.Wait, nothing{}); err != nil {
			return nil, nil, err
		}
		return nil, nil, errWait
	case dropIt:
		return nil, nil, protocol("stale attempt %d of %v", b.GlobalSeq, a.Name)
	case openNew:
		if err := m.o.Dispatcher.HandleAccept(c); err != nil {
			c.MarkDown()
			return nil, nil, err
		}
	case reuseReset:
		m.o.Dispatcher.HandleRemoteReset(c)
	}
	return c, d, m.welcome(c, d, s, b)
}

// claim finds or makes the session of a CLIENT_IDENT and takes it over.
func (m *Messenger) claim(s *socket, policy Policy, peer *Peer, b *frame.ClientIdentBody) (*Conn, *driver, verdict, error) {
	key, mine := keyOf(b.Addrs), m.me()
	m.mu.Lock()
	if m.mu.closed {
		m.mu.Unlock()
		return nil, nil, openNew, ErrClosed
	}
	var old *Conn
	if policy.Register {
		old = m.mu.byPeer[key]
	}
	v := view{closed: true}
	if old != nil {
		old.mu.Lock()
		v = old.viewLocked()
		if !v.closed && !old.isOf(peer.ID.Type, peer.Auth.Name) {
			old.mu.Unlock()
			m.mu.Unlock()
			return nil, nil, dropIt, protocol("%v says it is at %v, where another entity is", peer.Auth.Name, key)
		}
	}
	answer := v.onIdent(mine, b)
	switch answer {
	case reuse, reuseReset:
		d, before := old.takeLocked(s)
		old.peer.Store(peer)
		old.mu.Unlock()
		m.mu.Unlock()
		before()
		return old, d, answer, nil
	case openNew:
		// Registered before anything is said, so that a second attempt finds it.
		c := m.newConnLocked(policy, key)
		c.peer.Store(peer)
		c.mu.replacing = true
		d := m.newDriver()
		c.mu.driver, c.mu.sock = d, s
		if policy.Register {
			m.mu.byPeer[key] = c
		}
		if old == nil {
			m.mu.Unlock()
			return c, d, answer, nil
		}
		driver := old.mu.driver
		old.closeLocked()
		delete(m.mu.conns, old)
		old.mu.Unlock()
		m.mu.Unlock()
		if driver != nil {
			<-driver.done
		}
		if !v.closed {
			m.o.Dispatcher.HandleReset(old)
		}
		return c, d, answer, nil
	}
	old.mu.Unlock()
	m.mu.Unlock()
	return nil, nil, answer, nil
}

// isOf reports whether the session may be of an entity: it is of the same type and,
// if its peer has proved a name, of the same name.
func (c *Conn) isOf(as ceph.EntityType, n ceph.EntityName) bool {
	p := c.peer.Load()
	return p.ID.Type == as && (p.Auth.Name == ceph.EntityName{} || p.Auth.Name == n)
}

// viewLocked returns what the rules of decide.go look at.
func (c *Conn) viewLocked() view {
	return view{
		closed: c.mu.state == closed, replacing: c.mu.replacing, lossy: c.mu.lossy,
		server: c.policy.Server, resetCheck: c.policy.ResetCheck,
		settled: c.mu.state == ready || c.mu.state == standby,
		peer:    c.key, clientCookie: c.mu.clientCookie, serverCookie: c.mu.serverCookie,
		globalSeq: c.mu.peerGlobalSeq, connectSeq: c.mu.connectSeq,
	}
}

// takeLocked makes the caller the driver of the session, on connection s. before
// returns when the old driver has let go: what it had read is dispatched, and
// the number of the last message received stands.
func (c *Conn) takeLocked(s *socket) (d *driver, before func()) {
	old, sock := c.mu.driver, c.mu.sock
	c.mu.replacing = true
	c.mu.state = connecting
	d = c.m.newDriver()
	c.mu.driver, c.mu.sock = d, s
	return d, func() {
		if old == nil {
			return
		}
		old.cancel()
		if sock != nil {
			sock.close()
		}
		<-old.done
	}
}

// welcome answers CLIENT_IDENT with SERVER_IDENT: the session begins, or begins
// again with what its queue holds.
func (m *Messenger) welcome(c *Conn, d *driver, s *socket, b *frame.ClientIdentBody) error {
	r := frame.ServerIdentBody{
		Addrs: m.Addrs(), GID: m.gid.Load(), GlobalSeq: m.globalSeq.Add(1),
		Supported: m.o.Supported, Required: m.o.Required,
	}
	c.mu.Lock()
	if c.mu.driver != d {
		c.mu.Unlock()
		return errStopped
	}
	c.mu.replacing = false
	c.mu.peerGlobalSeq = b.GlobalSeq
	if c.policy.Lossy {
		r.Flags = frame.FlagLossy
	} else {
		c.mu.clientCookie, c.mu.connectSeq = b.Cookie, 0
		c.mu.serverCookie = m.cookie()
		r.Cookie = c.mu.serverCookie
	}
	c.mu.rewind(0)
	c.inSeq.Store(0)
	c.ackSent.Store(0)
	c.mu.Unlock()
	return s.control(frame.ServerIdent, r)
}

// reconnected answers a SESSION_RECONNECT. No session and no error means that
// the peer is expected to say something else.
func (m *Messenger) reconnected(s *socket, a *cephx.Session, as ceph.EntityType, b *frame.ReconnectBody) (*Conn, *driver, error) {
	if len(b.Addrs) == 0 || keyOf(b.Addrs).IsBlank() {
		return nil, nil, protocol("%v has no address", a.Name)
	}
	mine := m.me()
	m.mu.Lock()
	c := m.mu.byPeer[keyOf(b.Addrs)]
	if m.mu.closed || c == nil {
		m.mu.Unlock()
		return nil, nil, s.control(frame.SessionReset, frame.ResetBody(true))
	}
	c.mu.Lock()
	v := c.viewLocked()
	if !c.isOf(as, a.Name) {
		v.closed = true // for this one there is none
	}
	answer := v.onReconnect(mine, b)
	if answer != reuse {
		c.mu.Unlock()
		m.mu.Unlock()
		switch answer {
		case answerReset, answerForget:
			return nil, nil, s.control(frame.SessionReset, frame.ResetBody(answer == answerReset))
		case answerRetry:
			return nil, nil, s.control(frame.SessionRetry, frame.U64Body(v.connectSeq))
		case answerGlobal:
			return nil, nil, s.control(frame.SessionRetryGlobal, frame.U64Body(v.globalSeq))
		}
		if err := s.control(frame.Wait, nothing{}); err != nil {
			return nil, nil, err
		}
		return nil, nil, errWait
	}
	if b.MessageSeq > c.mu.seq {
		c.mu.Unlock()
		m.mu.Unlock()
		return nil, nil, protocol("%v has message %d of %d", a.Name, b.MessageSeq, v.connectSeq)
	}
	d, before := c.takeLocked(s)
	c.mu.Unlock()
	m.mu.Unlock()
	before()

	c.mu.Lock()
	if c.mu.driver != d {
		c.mu.Unlock()
		return c, d, errStopped
	}
	c.mu.replacing = false
	c.mu.peerGlobalSeq, c.mu.connectSeq = b.GlobalSeq, b.ConnectSeq
	c.roomLocked(c.mu.acked(b.MessageSeq))
	c.mu.rewind(b.MessageSeq)
	in := c.inSeq.Load()
	c.ackSent.Store(in)
	c.mu.Unlock()
	p := c.Peer()
	p.Auth, p.Mode = a.Identity, a.Mode
	c.peer.Store(&p)
	return c, d, s.control(frame.SessionReconnectOK, frame.U64Body(in))
}
