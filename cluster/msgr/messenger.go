package msgr

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
)

// Messenger is the sessions of one entity: those it dials and those that are
// opened to it. One messenger is one entity type.
type Messenger struct {
	o      Options
	recv   *throttle
	ctx    context.Context // ends with Shutdown
	cancel context.CancelFunc
	wg     sync.WaitGroup

	gid       atomic.Int64
	globalSeq atomic.Uint64 // of connection attempts, in both directions
	sendBytes atomic.Int64  // held in all send queues
	stats     stats

	mu struct {
		sync.Mutex
		started, closed bool
		listeners       []net.Listener
		addrs           ceph.AddrVec
		bound           bool
		conns           map[*Conn]struct{}
		byPeer          map[ceph.Addr]*Conn // sessions with Register, and dialled ones
		handshakes      map[*socket]struct{}
		perIP           map[netip.Addr]int // handshakes
		sweeper         Timer
	}
}

// New returns a messenger that does nothing before Start.
func New(o Options) (*Messenger, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	m := &Messenger{o: o, recv: newThrottle(o.RecvBytes, o.RecvMessages)}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.gid.Store(o.GID)
	m.mu.conns = map[*Conn]struct{}{}
	m.mu.byPeer = map[ceph.Addr]*Conn{}
	m.mu.handshakes = map[*socket]struct{}{}
	m.mu.perIP = map[netip.Addr]int{}
	return m, nil
}

// SetGID changes the number this entity announces in later handshakes.
func (m *Messenger) SetGID(gid int64) { m.gid.Store(gid) }

// Bind listens at an address, before Start. Peers must be able to reach it as it
// is written, so a wildcard is refused; port 0 takes a free one.
func (m *Messenger) Bind(at netip.AddrPort) error {
	switch {
	case m.o.ServerAuth == nil:
		return errors.New("bind: no ServerAuth in the messenger's options")
	case at.Addr().IsUnspecified() || !at.IsValid():
		return fmt.Errorf("bind %v: want the address at which peers reach this host", at)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.started || m.mu.closed {
		return errors.New("bind: the messenger has started")
	}
	l, err := m.o.Transport.Listen(at)
	if err != nil {
		return fmt.Errorf("bind %v: %w", at, err)
	}
	m.mu.listeners = append(m.mu.listeners, l)
	m.mu.addrs = append(m.mu.addrs, ceph.MsgrAddr(addrOf(l.Addr()), m.o.Nonce))
	m.mu.bound = true
	return nil
}

// Addrs returns where this entity is reached; without Bind, what it calls itself
// once a peer has told it its IP address.
func (m *Messenger) Addrs() ceph.AddrVec {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append(ceph.AddrVec(nil), m.mu.addrs...)
}

// SetAddrs announces other addresses than the bound ones, before Start: v1
// addresses beside them, or those behind which a host hides. The first v2 one is
// what peers know this entity by.
func (m *Messenger) SetAddrs(v ceph.AddrVec) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.addrs, m.mu.bound = append(ceph.AddrVec(nil), v...), true
}

// learn takes the IP address at which a peer sees us, if we have none.
func (m *Messenger) learn(seen ceph.Addr) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.bound || len(m.mu.addrs) > 0 {
		return nil
	}
	if seen.IsBlank() {
		return protocol("peer sees us at no address")
	}
	nonce := m.o.Nonce
	for nonce == 0 {
		nonce = uint32(m.random())
	}
	m.mu.addrs = ceph.AddrVec{{Type: ceph.AddrAny, Nonce: nonce, IP: netip.AddrPortFrom(seen.IP.Addr(), 0)}}
	return nil
}

// me returns the address that decides races.
func (m *Messenger) me() ceph.Addr {
	v := m.Addrs()
	if a := v.Msgr2(); !a.IsBlank() {
		return a
	}
	if len(v) > 0 {
		return v[0]
	}
	return ceph.Addr{}
}

// random returns 64 random bits. Without randomness there is no security: that
// is no error to carry on after.
func (m *Messenger) random() uint64 {
	var p [8]byte
	if _, err := io.ReadFull(m.o.Rand, p[:]); err != nil {
		panic(fmt.Sprintf("messenger: no randomness: %v", err))
	}
	return binary.LittleEndian.Uint64(p[:])
}

// cookie returns a random number that is not zero.
func (m *Messenger) cookie() uint64 {
	for {
		if c := m.random(); c != 0 {
			return c
		}
	}
}

// raiseGlobalSeq makes the next attempt's number larger than seq.
func (m *Messenger) raiseGlobalSeq(seq uint64) {
	for {
		have := m.globalSeq.Load()
		if have >= seq || seq == math.MaxUint64 || m.globalSeq.CompareAndSwap(have, seq) {
			return
		}
	}
}

// Start accepts connections.
func (m *Messenger) Start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed || m.mu.started {
		return ErrClosed
	}
	m.mu.started = true
	for _, l := range m.mu.listeners {
		m.wg.Add(1)
		go m.listen(l)
	}
	m.mu.sweeper = m.o.Clock.AfterFunc(m.sweepEvery(), m.sweep)
	return nil
}

// spawnLocked runs f in a goroutine that Shutdown waits for.
func (m *Messenger) spawnLocked(f func()) bool {
	if m.mu.closed {
		return false
	}
	m.wg.Add(1)
	go func() {
		defer m.wg.Done()
		f()
	}()
	return true
}

// Connect returns the session with the entity at one of these addresses, opening
// one if there is none. It does not wait.
func (m *Messenger) Connect(to ceph.AddrVec, peer ceph.EntityType, p Policy) (*Conn, error) {
	target := to.Msgr2()
	switch {
	case target.IsBlank():
		return nil, fmt.Errorf("connect %v: no v2 address", to)
	case p.Server:
		return nil, fmt.Errorf("connect %v: a server's policy does not dial", target)
	case m.o.ClientAuth == nil:
		return nil, fmt.Errorf("connect %v: no ClientAuth in the messenger's options", target)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed || !m.mu.started {
		return nil, ErrClosed
	}
	if c := m.mu.byPeer[target]; c != nil && !c.Closed() {
		return c, nil
	}
	c := m.newConnLocked(p, target)
	c.peer.Store(&Peer{ID: ceph.EntityID{Type: peer, Num: -1}, Addrs: append(ceph.AddrVec(nil), to...)})
	m.mu.byPeer[target] = c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialLocked()
	return c, nil
}

// Send sends to the entity at one of these addresses, opening a session if there
// is none. See Conn.Send.
func (m *Messenger) Send(to ceph.AddrVec, peer ceph.EntityType, p Policy, mm *msg.Message) error {
	c, err := m.Connect(to, peer, p)
	if err != nil {
		return err
	}
	return c.Send(mm)
}

// forget takes a closed session off the registers.
func (m *Messenger) forget(c *Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mu.conns, c)
	if m.mu.byPeer[c.key] == c {
		delete(m.mu.byPeer, c.key)
	}
}

// Shutdown closes all connections and listeners and returns when no goroutine is
// left and no handler runs. What was not written is lost.
func (m *Messenger) Shutdown() {
	m.mu.Lock()
	m.mu.closed = true
	for _, l := range m.mu.listeners {
		l.Close()
	}
	if m.mu.sweeper != nil {
		m.mu.sweeper.Stop()
	}
	for s := range m.mu.handshakes {
		s.close()
	}
	var conns []*Conn
	for c := range m.mu.conns {
		conns = append(conns, c)
	}
	m.mu.Unlock()
	m.cancel()
	for _, c := range conns {
		c.MarkDown()
	}
	m.wg.Wait()
}

// sweepEvery is often enough for limits to be kept within a quarter.
func (m *Messenger) sweepEvery() time.Duration {
	d := m.o.FrameTimeout
	if idle := m.o.IdleTimeout; idle > 0 {
		d = min(d, idle)
	}
	return max(d/4, 10*time.Millisecond)
}

// sweep closes connections that are idle or too slow.
func (m *Messenger) sweep() {
	now := m.o.Clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		return
	}
	for c := range m.mu.conns {
		c.sweep(now)
	}
	m.mu.sweeper = m.o.Clock.AfterFunc(m.sweepEvery(), m.sweep)
}
