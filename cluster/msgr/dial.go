package msgr

import (
	"context"
	"errors"
	"fmt"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/msgr/frame"
)

// open dials the peer and brings the session up on the new connection, which it
// returns also with an error once there is one.
func (c *Conn) open(d *driver) (*socket, error) {
	m := c.m
	if d.ctx.Err() != nil {
		return nil, errStopped
	}
	m.stats.dials.Add(1)
	ctx, cancel := context.WithCancel(d.ctx)
	defer cancel()
	slow := m.o.Clock.AfterFunc(m.o.HandshakeTimeout, cancel)
	defer slow.Stop()
	nc, err := m.o.Transport.Dial(ctx, c.key.IP)
	if err != nil {
		if ctx.Err() != nil && d.ctx.Err() == nil {
			err = fmt.Errorf("dial %v: no answer in %v", c.key, m.o.HandshakeTimeout)
		}
		return nil, err
	}
	s := newSocket(nc, true)
	slow.Stop()
	late := m.o.Clock.AfterFunc(m.o.HandshakeTimeout, s.close)
	defer late.Stop()
	c.mu.Lock()
	if c.mu.driver != d {
		c.mu.Unlock()
		s.close()
		return s, errStopped
	}
	c.mu.sock = s
	c.mu.Unlock()

	a, err := c.authenticate(s)
	if err == nil {
		err = c.negotiate(d, s, a)
	}
	if err == nil && !late.Stop() {
		err = errStalled // the timer is closing, or has closed, the connection
	}
	if err != nil {
		s.close()
		return s, err
	}
	if !c.up(d, s) {
		return s, errStopped
	}
	m.o.Dispatcher.HandleConnect(c)
	return s, nil
}

// up makes the session ready on s and starts its writer, unless d has lost it.
func (c *Conn) up(d *driver, s *socket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.driver != d {
		s.close()
		return false
	}
	c.mu.state, c.mu.sock = ready, s
	c.mu.parked, c.mu.ackDue, c.mu.keepaliveDue, c.mu.echo = false, false, false, nil
	s.written = make(chan struct{})
	go c.write(s) // ends with s; its driver waits for it
	return true
}

// authenticate proves who we are, and lets the peer do so.
func (c *Conn) authenticate(s *socket) (*cephx.Session, error) {
	want := c.Peer().ID.Type
	auth, err := c.m.o.ClientAuth(want)
	if err != nil {
		return nil, err
	}
	hello, err := c.m.greet(s, c.key)
	if err != nil {
		return nil, err
	}
	if hello.Type != want {
		return nil, protocol("%v is a %v, not a %v", c.key, hello.Type, want)
	}
	if err := c.m.learn(hello.Peer); err != nil {
		return nil, err
	}
	a, err := s.askAuth(auth)
	if err != nil {
		return nil, err
	}
	return a, s.sign(a)
}

// askAuth is the client's part of the authentication.
func (s *socket) askAuth(auth ClientAuth) (*cephx.Session, error) {
	request := func() error {
		method, modes, payload, err := auth.Request()
		if err != nil {
			return err
		}
		return s.control(frame.AuthRequest, frame.AuthRequestBody{Method: uint32(method), Modes: u32s(modes), Payload: payload})
	}
	if err := request(); err != nil {
		return nil, err
	}
	for range maxAuthRounds {
		f, err := s.next(maxAuthBytes)
		if err != nil {
			return nil, err
		}
		switch f.Tag {
		case frame.AuthReplyMore:
			b, err := frame.DecodeAuthMore(f.First)
			if err != nil {
				return nil, err
			}
			reply, err := auth.More(b.Payload)
			if err != nil {
				return nil, err
			}
			if err := s.control(frame.AuthRequestMore, frame.AuthMoreBody{Payload: reply}); err != nil {
				return nil, err
			}
		case frame.AuthBadMethod:
			b, err := frame.DecodeAuthBadMethod(f.First)
			if err != nil {
				return nil, err
			}
			err = auth.Refused(&cephx.Refusal{Method: cephx.Method(b.Method), Result: b.Result,
				Methods: typed[cephx.Method](b.Methods), Modes: typed[cephx.Mode](b.Modes)})
			if err != nil {
				return nil, err
			}
			if err := request(); err != nil {
				return nil, err
			}
		case frame.AuthDone:
			b, err := frame.DecodeAuthDone(f.First)
			if err != nil {
				return nil, err
			}
			return auth.Done(b.GlobalID, cephx.Mode(b.Mode), b.Payload)
		default:
			return nil, outOfState(f.Tag)
		}
	}
	return nil, protocol("authentication of more than %d rounds", maxAuthRounds)
}

// negotiate opens the session, or continues it, until both sides have agreed.
func (c *Conn) negotiate(d *driver, s *socket, a *cephx.Session) error {
	attempt := c.m.globalSeq.Add(1)
	for range maxAuthRounds {
		if err := c.proposeSession(d, s, attempt); err != nil {
			return err
		}
		f, err := s.next(maxControlBytes)
		if err != nil {
			return err
		}
		switch f.Tag {
		case frame.ServerIdent:
			b, err := frame.DecodeServerIdent(f.First)
			if err != nil {
				return err
			}
			return c.opened(d, &b, a)
		case frame.IdentMissingFeatures:
			mask, err := frame.DecodeU64(f.First)
			if err != nil {
				return err
			}
			return fmt.Errorf("%v requires %#x of us: %w", c.key, mask, ErrFeatures)
		case frame.Wait:
			return errWait
		case frame.SessionReset:
			full, err := frame.DecodeReset(f.First)
			if err != nil {
				return err
			}
			if err := c.wasReset(d, full); err != nil {
				return err
			}
		case frame.SessionRetry:
			n, err := frame.DecodeU64(f.First)
			if err != nil {
				return err
			}
			c.mu.Lock()
			c.mu.connectSeq = n
			c.mu.Unlock()
		case frame.SessionRetryGlobal:
			n, err := frame.DecodeU64(f.First)
			if err != nil {
				return err
			}
			c.m.raiseGlobalSeq(n)
			attempt = c.m.globalSeq.Add(1)
			c.mu.Lock()
			c.mu.connectSeq-- // the same attempt again
			c.mu.Unlock()
		case frame.SessionReconnectOK:
			n, err := frame.DecodeU64(f.First)
			if err != nil {
				return err
			}
			return c.continued(d, n)
		default:
			return outOfState(f.Tag)
		}
	}
	return protocol("session not agreed on in %d rounds", maxAuthRounds)
}

// proposeSession sends CLIENT_IDENT, or SESSION_RECONNECT for a session the peer
// has accepted before. attempt is its number among all of ours.
func (c *Conn) proposeSession(d *driver, s *socket, attempt uint64) error {
	m, mine := c.m, c.m.Addrs() // before c.mu: see the lock order
	c.mu.Lock()
	if c.mu.driver != d {
		c.mu.Unlock()
		return errStopped
	}
	if c.mu.serverCookie != 0 {
		c.mu.connectSeq++
		b := frame.ReconnectBody{
			Addrs: mine, ClientCookie: c.mu.clientCookie, ServerCookie: c.mu.serverCookie,
			GlobalSeq: attempt, ConnectSeq: c.mu.connectSeq, MessageSeq: c.inSeq.Load(),
		}
		c.mu.Unlock()
		return s.control(frame.SessionReconnect, b)
	}
	b := frame.ClientIdentBody{
		Addrs: mine, Target: c.key, GID: m.gid.Load(), GlobalSeq: attempt,
		Supported: m.o.Supported, Required: m.o.Required,
	}
	if c.policy.Lossy {
		b.Flags = frame.FlagLossy
	} else {
		if c.mu.clientCookie == 0 {
			c.mu.clientCookie = m.cookie()
		}
		b.Cookie = c.mu.clientCookie
	}
	c.mu.Unlock()
	return s.control(frame.ClientIdent, b)
}

// opened takes the peer's SERVER_IDENT.
func (c *Conn) opened(d *driver, b *frame.ServerIdentBody, a *cephx.Session) error {
	switch missing := c.m.o.Required &^ b.Supported; {
	case !b.Addrs.Has(c.key):
		return protocol("dialled %v, which calls itself %v", c.key, b.Addrs)
	case missing != 0:
		return fmt.Errorf("%v lacks %#x: %w", c.key, missing, ErrFeatures)
	}
	lossy := b.Flags&frame.FlagLossy != 0
	if lossy != (b.Cookie == 0) {
		return protocol("%v names flags %#x with cookie %#x", c.key, b.Flags, b.Cookie)
	}
	p := c.Peer()
	p.ID.Num, p.Addrs, p.Features, p.Mode = b.GID, b.Addrs, b.Supported&c.m.o.Supported, a.Mode
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.driver != d {
		return errStopped
	}
	c.peer.Store(&p)
	c.mu.lossy, c.mu.peerGlobalSeq = lossy, b.GlobalSeq
	c.mu.serverCookie, c.mu.connectSeq = b.Cookie, 0
	c.mu.rewind(0)
	c.inSeq.Store(0)
	c.ackSent.Store(0)
	return nil
}

// continued takes the peer's SESSION_RECONNECT_OK: it has messages up to seq.
func (c *Conn) continued(d *driver, seq uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.driver != d {
		return errStopped
	}
	if seq > c.mu.seq {
		return protocol("%v has message %d of %d", c.key, seq, c.mu.seq)
	}
	c.roomLocked(c.mu.acked(seq))
	c.mu.rewind(seq)
	c.ackSent.Store(c.inSeq.Load())
	return nil
}

// wasReset takes the peer's SESSION_RESET: it does not know the session, or the
// session from its side.
func (c *Conn) wasReset(d *driver, full bool) error {
	c.mu.Lock()
	if c.mu.driver != d {
		c.mu.Unlock()
		return errStopped
	}
	if c.mu.serverCookie == 0 {
		c.mu.Unlock()
		return protocol("%v resets a session that was not opened", c.key)
	}
	c.forgetLocked(full)
	c.mu.Unlock()
	if full {
		c.m.o.Dispatcher.HandleRemoteReset(c)
	}
	return nil
}

// forgetLocked makes the session a new one: fully, or with what is still to be
// sent.
func (c *Conn) forgetLocked(full bool) {
	c.mu.serverCookie, c.mu.connectSeq = 0, 0
	c.inSeq.Store(0)
	c.ackSent.Store(0)
	if full {
		c.mu.clientCookie = 0
		c.roomLocked(c.mu.drop())
	}
}

// Denied reports whether err, given to HandleRefused, is the peer's refusal of
// our identity rather than a failure to reach it.
func Denied(err error) bool {
	var r *cephx.Refusal
	return errors.As(err, &r) && r.Result == ceph.EACCES
}
