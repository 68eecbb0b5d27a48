package msgr

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/msg"
)

// state is where a session is.
//
//	         ┌────────── fault, lossless ───────────┐
//	         ▼                                      │
//	connecting ── handshake ──→ ready ── fault, nothing to send ──→ standby
//	   │  ▲                      ▲ │                                │  │
//	 WAIT │ after BackoffMax     │ └─ fault, lossy ─→ closed        │  │
//	   ▼  │                      │                                  │  │
//	waiting ───── accept ────────┴──────────────────────────────────┘  │
//	              connecting ←───────────── Send ──────────────────────┘
type state uint8

const (
	connecting state = iota
	ready
	standby
	waiting
	closed
)

// Peer is the other side of a session.
type Peer struct {
	// ID is type and number. The type, and the number of a client or OSD, are proved
	// by the authentication; other numbers are as the peer says.
	ID       ceph.EntityID
	Addrs    ceph.AddrVec
	Features uint64         // that both sides have
	Auth     cephx.Identity // of a peer that opened the session
	Mode     cephx.Mode
}

// Conn is a session with a peer. A lossless one outlives connections of the
// transport; a lossy one is closed with its first.
//
// A session has at most one driver: a goroutine that dials, or has accepted, and
// then reads and dispatches. Who takes a session over waits for the old driver.
type Conn struct {
	m      *Messenger
	policy Policy
	key    ceph.Addr // in Messenger.byPeer
	recv   *throttle

	peer     atomic.Pointer[Peer]
	attached atomic.Pointer[any]
	inSeq    atomic.Uint64 // last message received; written by the driver
	ackSent  atomic.Uint64 // what the peer was told of it
	aliveAt  atomic.Int64  // unix ns of our clock in the last KEEPALIVE2_ACK

	mu struct {
		sync.Mutex
		state     state
		lossy     bool // as agreed
		replacing bool
		driver    *driver
		sock      *socket
		parked    bool // the writer waits for work
		sendQueue
		ackDue, keepaliveDue bool
		echo                 *ceph.Time    // KEEPALIVE2 to answer
		roomFor              chan struct{} // closed when there is room again; nil: nobody waits

		clientCookie, serverCookie uint64
		peerGlobalSeq, connectSeq  uint64

		swept sweptState
	}
}

// driver is the goroutine that has a session in its hands.
type driver struct {
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when it has let go
}

func (m *Messenger) newDriver() *driver {
	d := &driver{done: make(chan struct{})}
	d.ctx, d.cancel = context.WithCancel(m.ctx)
	return d
}

func (m *Messenger) newConnLocked(p Policy, key ceph.Addr) *Conn {
	c := &Conn{m: m, policy: p, key: key, recv: newThrottle(m.o.RecvBytesPerConn, m.o.RecvMessagesPerConn)}
	c.mu.lossy = p.Lossy
	m.mu.conns[c] = struct{}{}
	return c
}

// Peer returns who is on the other side. Before the session is ready it has only
// what was given to Connect.
func (c *Conn) Peer() Peer { return *c.peer.Load() }

// Attach keeps v with the session, for the daemon.
func (c *Conn) Attach(v any) { c.attached.Store(&v) }

// Attached returns what was given to Attach, or nil.
func (c *Conn) Attached() any {
	if p := c.attached.Load(); p != nil {
		return *p
	}
	return nil
}

// Closed reports whether the session is over for good.
func (c *Conn) Closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.state == closed
}

// Ready reports whether a connection is up.
func (c *Conn) Ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.state == ready
}

// Send queues a message and returns at once. An error means that it will not be
// sent: ErrClosed, ErrTooLarge, or ErrOverflow. A lossy session that overflows is
// reset, for its peer does not read; of a lossless one only this message is
// refused, and SendWait may be used. The message must not change any more.
func (c *Conn) Send(m *msg.Message) error {
	if m.Bytes() > c.m.o.MaxMessageBytes {
		return ErrTooLarge
	}
	c.mu.Lock()
	err := c.pushLocked(m)
	if err == ErrOverflow && c.mu.lossy && c.mu.sock != nil {
		c.mu.sock.close()
	}
	c.mu.Unlock()
	return err
}

// SendWait is Send that waits for room until ctx ends. It is not for handlers.
func (c *Conn) SendWait(ctx context.Context, m *msg.Message) error {
	if m.Bytes() > c.m.o.MaxMessageBytes {
		return ErrTooLarge
	}
	for {
		c.mu.Lock()
		err := c.pushLocked(m)
		if err != ErrOverflow {
			c.mu.Unlock()
			return err
		}
		if c.mu.roomFor == nil {
			c.mu.roomFor = make(chan struct{})
		}
		room := c.mu.roomFor
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pushLocked queues m if it fits. What is alone in a queue fits always.
func (c *Conn) pushLocked(m *msg.Message) error {
	if c.mu.state == closed {
		return ErrClosed
	}
	o, n := &c.m.o, m.Bytes()+headerRoom
	total := c.m.sendBytes.Add(int64(n))
	if c.mu.count > 0 && (c.mu.bytes+n > o.SendBytesPerConn || c.mu.count >= o.SendMessagesPerConn || total > int64(o.SendBytes)) {
		c.m.sendBytes.Add(-int64(n))
		c.m.stats.overflows.Add(1)
		return ErrOverflow
	}
	c.mu.push(m)
	c.workLocked()
	return nil
}

// workLocked makes somebody see to the queue.
func (c *Conn) workLocked() {
	switch c.mu.state {
	case ready:
		if c.mu.parked {
			c.mu.parked = false
			c.mu.sock.wake <- struct{}{}
		}
	case standby:
		if !c.policy.Server && !c.mu.replacing {
			c.dialLocked()
		}
	}
}

// roomLocked returns room to the messenger and tells who waits for it.
func (c *Conn) roomLocked(n int) {
	if n == 0 {
		return
	}
	c.m.sendBytes.Add(-int64(n))
	if c.mu.roomFor != nil {
		close(c.mu.roomFor)
		c.mu.roomFor = nil
	}
}

// Keepalive asks the peer for a sign of life. LastAlive says when it was given.
func (c *Conn) Keepalive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.state == ready {
		c.mu.keepaliveDue = true
		c.workLocked()
	}
}

// LastAlive returns when the last Keepalive that was answered had been sent, or
// the zero time.
func (c *Conn) LastAlive() time.Time {
	if ns := c.aliveAt.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

// MarkDown closes the session without a word to peer or dispatcher. What was
// queued is dropped. A handler that runs goes on; none begins any more, but one
// that was just about to.
func (c *Conn) MarkDown() {
	c.mu.Lock()
	c.closeLocked()
	c.mu.Unlock()
	c.m.forget(c)
}

// closeLocked ends the session.
func (c *Conn) closeLocked() {
	if c.mu.state == closed {
		return
	}
	c.mu.state = closed
	if d := c.mu.driver; d != nil {
		d.cancel()
	}
	if c.mu.sock != nil {
		c.mu.sock.close()
	}
	c.mu.driver, c.mu.sock = nil, nil
	c.roomLocked(c.mu.drop())
	if c.mu.roomFor != nil {
		close(c.mu.roomFor)
		c.mu.roomFor = nil
	}
}

// dialLocked starts a driver that dials.
func (c *Conn) dialLocked() {
	d := c.m.newDriver()
	c.mu.state, c.mu.driver = connecting, d
	// Not spawnLocked: some callers hold Messenger.mu and some do not. A driver that
	// starts while the messenger closes is waited for all the same, as whoever holds
	// c.mu is counted by wg or keeps Shutdown from closing c.
	c.m.wg.Add(1)
	go func() {
		defer c.m.wg.Done()
		c.drive(d, nil)
	}()
}

// next is what a driver does after a fault.
type next struct {
	stop  bool
	pause time.Duration
}

// drive has the session until it is closed, replaced or in standby. s is a
// connection that is ready, or nil.
func (c *Conn) drive(d *driver, s *socket) {
	defer close(d.done)
	defer d.cancel()
	var backoff time.Duration
	for {
		var err error
		if s == nil {
			s, err = c.open(d)
		}
		if err == nil {
			backoff = 0
			err = c.read(d, s)
		}
		if s != nil {
			s.close()
			if s.written != nil {
				<-s.written
			}
		}
		s = nil
		n := c.fault(d, err, backoff)
		if n.stop {
			return
		}
		if n.pause > 0 {
			backoff = n.pause
			c.sleep(d, n.pause)
		}
	}
}

// sleep waits, with up to half of it by chance so that many peers of a daemon do
// not come back together.
func (c *Conn) sleep(d *driver, pause time.Duration) {
	pause = pause/2 + time.Duration(c.m.random()%uint64(pause/2+1))
	over := make(chan struct{})
	t := c.m.o.Clock.AfterFunc(pause, func() { close(over) })
	defer t.Stop()
	select {
	case <-over:
	case <-d.ctx.Done():
	}
}

// fault decides what becomes of a session whose connection has ended with err,
// and tells the dispatcher.
func (c *Conn) fault(d *driver, err error, backoff time.Duration) next {
	o := &c.m.o
	c.mu.Lock()
	if c.mu.driver != d {
		c.mu.Unlock()
		return next{stop: true}
	}
	was := c.mu.state
	c.mu.sock = nil
	log := o.Log.With("peer", c.Peer().ID.String(), "addr", c.key.String(), "err", err)
	switch {
	case c.mu.lossy && (was == ready || c.policy.Server):
		c.closeLocked()
		c.mu.Unlock()
		c.m.forget(c)
		log.Debug("lossy session ended")
		o.Dispatcher.HandleReset(c)
		return next{stop: true}
	case c.policy.Server, was == ready && c.policy.Standby && !c.mu.waiting() && c.mu.unacked.len() == 0:
		c.mu.state, c.mu.driver = standby, nil
		c.mu.Unlock()
		log.Debug("session in standby")
		return next{stop: true}
	case errors.Is(err, errWait):
		c.mu.state = waiting
		c.mu.Unlock()
		return next{pause: o.BackoffMax}
	case was == ready:
		c.mu.state = connecting
		c.mu.Unlock()
		log.Debug("session lost its connection")
		// Nearly at once; but not in circles with a peer that accepts and hangs up.
		return next{pause: o.BackoffMin / 8}
	}
	c.mu.state = connecting
	c.mu.Unlock()
	c.m.stats.dialsFailed.Add(1)
	log.Debug("session could not be opened")
	o.Dispatcher.HandleRefused(c, err)
	return next{pause: min(max(2*backoff, o.BackoffMin), o.BackoffMax)}
}
