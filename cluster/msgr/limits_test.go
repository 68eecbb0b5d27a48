package msgr

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr/frame"
	"ebofs/cluster/msgr/memnet"
)

// fakeClock moves when a test says so.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*fakeTimer]bool
}

type fakeTimer struct {
	c  *fakeClock
	at time.Time
	f  func()
}

func newFakeClock() *fakeClock {
	return &fakeClock{now: time.Unix(1e9, 0), timers: map[*fakeTimer]bool{}}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) AfterFunc(d time.Duration, f func()) Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &fakeTimer{c, c.now.Add(d), f}
	c.timers[t] = true
	return t
}

func (t *fakeTimer) Stop() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	was := t.c.timers[t]
	delete(t.c.timers, t)
	return was
}

// advance moves time in steps and runs what is due.
func (c *fakeClock) advance(d, step time.Duration) {
	for ; d > 0; d -= step {
		c.mu.Lock()
		c.now = c.now.Add(step)
		var due []func()
		for t := range c.timers {
			if !t.at.After(c.now) {
				due = append(due, t.f)
				delete(c.timers, t)
			}
		}
		c.mu.Unlock()
		for _, f := range due {
			f()
		}
	}
}

// raw is a client that says what a test wants.
type raw struct {
	t  *testing.T
	nc net.Conn
	r  *frame.Reader
	w  *frame.Writer
}

func dialRaw(t *testing.T, n *memnet.Net, to *Messenger) *raw {
	t.Helper()
	nc, err := n.Host(localhost).Dial(ctx, to.Addrs()[0].IP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &raw{t, nc, frame.NewReader(nc), frame.NewWriter()}
}

// auth plays the handshake of AUTH_NONE until both have signed.
func (r *raw) auth(who ceph.EntityName) *raw {
	r.t.Helper()
	r.w.Banner()
	r.w.Control(frame.Hello, frame.HelloBody{Type: who.Type, Peer: ceph.Addr{}})
	var login bytes.Buffer
	login.WriteByte(1)
	login.Write([]byte{byte(who.Type), 0, 0, 0, byte(len(who.ID)), 0, 0, 0})
	login.WriteString(who.ID)
	login.Write(make([]byte, 8))
	r.w.Control(frame.AuthRequest, frame.AuthRequestBody{Method: 1, Modes: []uint32{1}, Payload: login.Bytes()})
	r.w.Add(frame.AuthSignature, make([]byte, 32))
	r.flush()
	if err := r.r.Banner(); err != nil {
		r.t.Fatal(err)
	}
	for _, want := range []frame.Tag{frame.Hello, frame.AuthDone, frame.AuthSignature} {
		if got := r.read(); got.Tag != want {
			r.t.Fatalf("%v, want %v", got.Tag, want)
		}
	}
	return r
}

// ident opens a lossy session.
func (r *raw) ident(to *Messenger) *raw {
	r.t.Helper()
	a := ceph.Addr{Type: ceph.AddrAny, Nonce: 5, IP: netip.AddrPortFrom(localhost, 0)}
	r.w.Control(frame.ClientIdent, frame.ClientIdentBody{Addrs: ceph.AddrVec{a}, Target: to.Addrs()[0], GID: -1, GlobalSeq: 1, Supported: Features16, Flags: 1})
	r.flush()
	if got := r.read(); got.Tag != frame.ServerIdent {
		r.t.Fatalf("%v, want SERVER_IDENT", got.Tag)
	}
	return r
}

func (r *raw) flush() { r.w.Flush(r.nc) }

func (r *raw) read() frame.Frame {
	r.t.Helper()
	if _, err := r.r.Head(); err != nil {
		r.t.Fatal(err)
	}
	f, err := r.r.Body()
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

// hungUp checks that the other side closes, whatever it says before.
func (r *raw) hungUp() {
	r.t.Helper()
	done := make(chan struct{})
	go func() {
		io.Copy(io.Discard, r.nc)
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		r.t.Error("the connection stays open")
	}
}

func noneServer(t *testing.T, n *memnet.Net, d Dispatcher, change func(*Options)) *Messenger {
	o := onNet(n, newCluster(t, cephx.MethodNone, cephx.ModeCRC).options(t, name(ceph.TypeOSD, "1"), d))
	if change != nil {
		change(&o)
	}
	return start(t, o, true)
}

// TestHalfOpen opens ten thousand connections that say nothing, or half of a
// banner: those above the limits are closed at once, the rest when the handshake
// takes too long, and meanwhile a peer from elsewhere gets through.
func TestHalfOpen(t *testing.T) {
	n := memnet.New()
	clock := newFakeClock()
	m := noneServer(t, n, newRecorder(), func(o *Options) {
		o.Clock, o.MaxHandshakes, o.MaxHandshakesPerAddr = clock, 1000, 100
	})
	const conns, hosts = 10_000, 8
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var open []net.Conn
	for i := range conns {
		nc, err := n.Host(netip.AddrFrom4([4]byte{10, 0, 0, byte(i % hosts)})).Dial(ctx, m.Addrs()[0].IP)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			nc.Write([]byte("ceph v2\n"))
		}
		open = append(open, nc)
	}
	until(t, func() bool { return m.Metrics().Accepted >= conns })
	s := m.Metrics()
	if s.Handshakes != hosts*100 || s.Limited != conns-hosts*100 {
		t.Errorf("%+v", s)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse); grown > 64<<20 {
		t.Errorf("%d MiB for half-open connections", grown>>20)
	}
	dialRaw(t, n, m).auth(name(ceph.TypeClient, "a")).ident(m)
	until(t, func() bool { return m.Metrics().Handshakes <= hosts*100 }) // it is through when the server knows, too
	clock.advance(11*time.Second, time.Second)
	until(t, func() bool { return m.Metrics().Handshakes == 0 })
	if s := m.Metrics(); s.HandshakesBad != hosts*100 || s.Connections != 1 {
		t.Errorf("after the timeout: %+v", s)
	}
	for _, nc := range open {
		nc.Close()
	}
}

// TestGarbage says what cannot be said, in every state: the connection is closed,
// and nobody is told.
func TestGarbage(t *testing.T) {
	n := memnet.New()
	d := newRecorder()
	m := noneServer(t, n, d, func(o *Options) { o.MaxMessageBytes = 1 << 20 })
	alice := name(ceph.TypeClient, "a")
	start := func() *raw { return dialRaw(t, n, m) }
	hello := func() *raw {
		r := start()
		r.w.Banner()
		r.w.Control(frame.Hello, frame.HelloBody{Type: ceph.TypeClient})
		return r
	}
	control := func(r *raw, tag frame.Tag, n int) *raw {
		r.w.Add(tag, make([]byte, n))
		r.flush()
		return r
	}
	bytesOf := func(r *raw, p string) *raw {
		r.flush()
		r.nc.Write([]byte(p))
		return r
	}
	ready := func() *raw {
		r := start().auth(alice).ident(m)
		d.until(t, "accept client.0") // behind resets of the sessions before
		return r
	}
	header := func(seq uint64) []byte {
		h := frame.Header{Seq: seq, Type: 2, Version: 1}
		return h.Append(nil)
	}
	message := func(r *raw, head []byte, rest ...[]byte) *raw {
		r.w.Add(frame.Message, head, rest...)
		r.flush()
		return r
	}
	for what, r := range map[string]*raw{
		"http":                   bytesOf(start(), "GET / HTTP/1.0\r\n\r\n"),
		"old protocol":           bytesOf(start(), "ceph v027"+strings.Repeat("\x00", 100)),
		"long banner":            bytesOf(start(), "ceph v2\n\xff\xff"+strings.Repeat("\x00", 100)),
		"no revision 1":          bytesOf(start(), "ceph v2\n\x10\x00"+strings.Repeat("\x00", 16)),
		"garbage behind banner":  bytesOf(start(), string(frame.AppendBanner(nil))+strings.Repeat("x", 100)),
		"garbage behind hello":   bytesOf(hello(), strings.Repeat("x", 100)),
		"hello twice":            control(hello(), frame.Hello, 44),
		"message before auth":    message(hello(), header(1), nil),
		"long hello":             control(func() *raw { r := start(); r.w.Banner(); return r }(), frame.Hello, maxHelloBytes+1),
		"long auth":              control(hello(), frame.AuthRequest, maxAuthBytes+1),
		"auth that is no auth":   control(hello(), frame.AuthRequest, 3),
		"answer to no challenge": control(hello(), frame.AuthRequestMore, 4),
		"ident before auth":      control(hello(), frame.ClientIdent, 100),
		"message before ident":   message(start().auth(alice), header(1), nil),
		"ident that is none":     control(start().auth(alice), frame.ClientIdent, 10),
		"keepalive before ident": control(start().auth(alice), frame.Keepalive, 8),
		"ident when ready":       control(ready(), frame.ClientIdent, 100),
		"auth when ready":        control(ready(), frame.AuthRequest, 100),
		"ack of half a number":   control(ready(), frame.Ack, 4),
		"long control frame":     control(ready(), frame.Ack, maxControlBytes+1),
		"short header":           message(ready(), header(1)[:40], nil),
		"long header":            message(ready(), append(header(1), 0), nil),
		"long message":           message(ready(), header(1), make([]byte, 600<<10), nil, make([]byte, 600<<10)),
		"garbage when ready":     bytesOf(ready(), strings.Repeat("x", 100)),
	} {
		t.Run(what, func(t *testing.T) { r.t = t; r.hungUp() })
	}
	m.Shutdown()
	for len(d.events) > 0 {
		if ev := <-d.events; ev != "reset" {
			t.Errorf("the daemon was told %q", ev)
		}
	}
	if s := m.Metrics(); s.RecvMessages != 0 || s.Connections != 0 || s.Handshakes != 0 {
		t.Errorf("%+v", s)
	}
}

// TestBadSignature breaks the HMAC of a peer with the right key.
func TestBadSignature(t *testing.T) {
	n := memnet.New()
	r := dialRaw(t, n, noneServer(t, n, newRecorder(), nil))
	r.w.Banner()
	r.w.Control(frame.Hello, frame.HelloBody{Type: ceph.TypeClient})
	r.w.Control(frame.AuthRequest, frame.AuthRequestBody{Method: 1, Modes: []uint32{1}, Payload: append([]byte{1, 8, 0, 0, 0, 1, 0, 0, 0, 'a'}, make([]byte, 8)...)})
	r.w.Add(frame.AuthSignature, bytes.Repeat([]byte{1}, 32))
	r.flush()
	r.hungUp()
}

// TestSlow closes connections on which a frame does not get on, in either
// direction, and those that are idle; one that is busy stays.
func TestSlow(t *testing.T) {
	n := memnet.New()
	clock := newFakeClock()
	d := newRecorder()
	m := noneServer(t, n, d, func(o *Options) {
		o.Clock, o.FrameTimeout, o.IdleTimeout = clock, 10*time.Second, 100*time.Second
	})
	d.on = func(c *Conn, mm *msg.Message) {
		if mm.TID == 1 {
			c.Send(&msg.Message{Data: big(1 << 20)}) // more than the network holds
		}
		d.events <- "message"
	}
	alice := name(ceph.TypeClient, "a")
	// closes moves time on until the server has reset the session.
	closes := func(r *raw) {
		t.Helper()
		for range 5000 {
			select {
			case ev := <-d.events:
				if ev != "reset" {
					t.Fatalf("event %q, want reset", ev)
				}
				r.hungUp()
				return
			case <-time.After(time.Millisecond):
				clock.advance(time.Second, time.Second)
			}
		}
		t.Fatal("never reset")
	}
	open := func() *raw {
		r := dialRaw(t, n, m).auth(alice).ident(m)
		d.want(t, "accept client.0")
		return r
	}
	h := frame.Header{Seq: 1, TID: 1, Type: 2}

	half := open()
	var wire bytes.Buffer
	half.w.Add(frame.Message, h.Append(nil), big(1000))
	half.w.Flush(&wire)
	half.nc.Write(wire.Bytes()[:500])
	stuck(t, m, func(s *socket) bool { return s.reads.Load()%2 == 1 })
	began := clock.Now()
	closes(half)
	if took := clock.Now().Sub(began); took > 60*time.Second {
		t.Errorf("half a frame stood for %v, want 10 s and what this machine takes to tell", took)
	}

	deaf := open()
	deaf.w.Add(frame.Message, h.Append(nil), nil)
	deaf.flush()
	d.want(t, "message")
	stuck(t, m, func(s *socket) bool { return s.writes.Load()%2 == 1 })
	closes(deaf)

	idle, busy := open(), open()
	for i := range 30 {
		h := frame.Header{Seq: uint64(i + 1), TID: 7, Type: 2}
		busy.w.Add(frame.Message, h.Append(nil), nil)
		busy.flush()
		for reset := true; reset; {
			ev := <-d.events // of the message; the reset comes when it likes
			if reset = ev == "reset"; reset {
				d.events <- ev
			}
		}
		clock.advance(5*time.Second, time.Second)
	}
	idle.hungUp()
	d.want(t, "reset")
	if s := m.Metrics(); s.Connections != 1 {
		t.Errorf("%d connections, want the busy one", s.Connections)
	}
}

// stuck waits until a connection of m is as said.
func stuck(t *testing.T, m *Messenger, is func(*socket) bool) {
	t.Helper()
	until(t, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		for c := range m.mu.conns {
			c.mu.Lock()
			s := c.mu.sock
			c.mu.Unlock()
			if s != nil && is(s) {
				return true
			}
		}
		return false
	})
}

// TestKeepalive echoes, and tells when the peer was alive.
func TestKeepalive(t *testing.T) {
	n := memnet.New()
	clock := newFakeClock()
	server := noneServer(t, n, newRecorder(), nil)
	d := newRecorder()
	o := onNet(n, newCluster(t, cephx.MethodNone, cephx.ModeCRC).options(t, name(ceph.TypeClient, "a"), d))
	o.Clock = clock
	m := start(t, o, false)
	c, err := m.Connect(server.Addrs(), ceph.TypeOSD, LossyClient)
	if err != nil {
		t.Fatal(err)
	}
	d.want(t, "connect")
	if !c.LastAlive().IsZero() {
		t.Error("alive without a keepalive")
	}
	c.Keepalive()
	until(t, func() bool { return !c.LastAlive().IsZero() })
	if !c.LastAlive().Equal(clock.Now()) {
		t.Errorf("alive at %v, want %v", c.LastAlive(), clock.Now())
	}
}

// TestBackoff doubles the pause between attempts, up to its limit.
func TestBackoff(t *testing.T) {
	n := memnet.New()
	clock := newFakeClock()
	var mu sync.Mutex
	var at []time.Time
	n.Refuse(func(netip.Addr, netip.AddrPort) error {
		mu.Lock()
		defer mu.Unlock()
		at = append(at, clock.Now())
		return io.ErrUnexpectedEOF
	})
	d := newRecorder()
	o := onNet(n, newCluster(t, cephx.MethodNone, cephx.ModeCRC).options(t, name(ceph.TypeClient, "a"), d))
	o.Clock, o.BackoffMin, o.BackoffMax = clock, time.Second, 8*time.Second
	m := start(t, o, false)
	if _, err := m.Connect(ceph.AddrVec{ceph.MsgrAddr(netip.MustParseAddrPort("127.0.0.1:9"), 0)}, ceph.TypeOSD, LossyClient); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		for ev := ""; !strings.HasPrefix(ev, "refused"); {
			select {
			case ev = <-d.events:
			case <-time.After(time.Millisecond):
				clock.advance(50*time.Millisecond, 50*time.Millisecond)
			}
		}
		if i == 0 {
			continue
		}
		mu.Lock()
		pause := at[i].Sub(at[i-1])
		mu.Unlock()
		full := min(time.Second<<(i-1), 8*time.Second)
		if pause < full/2 || pause > full+time.Second/2 {
			t.Errorf("pause %d is %v, want %v to %v", i, pause, full/2, full)
		}
	}
}

// TestOptions lists what is wrong with options, and refuses what cannot be done.
func TestOptions(t *testing.T) {
	_, err := New(Options{Type: 3, Supported: 1, RecvBytes: -1})
	if err == nil || !strings.Contains(err.Error(), "dispatcher") || !strings.Contains(err.Error(), "type 3") ||
		!strings.Contains(err.Error(), "required and not supported") || !strings.Contains(err.Error(), "RecvBytes") {
		t.Errorf("options: %v", err)
	}
	n := memnet.New()
	m := noneServer(t, n, newRecorder(), nil)
	if err := m.Bind(netip.MustParseAddrPort("127.0.0.1:1")); err == nil {
		t.Error("bound after the start")
	}
	o := onNet(n, newCluster(t, cephx.MethodNone, cephx.ModeCRC).options(t, name(ceph.TypeOSD, "1"), newRecorder()))
	other, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Bind(netip.MustParseAddrPort("0.0.0.0:1")); err == nil {
		t.Error("bound to a wildcard")
	}
	if err := other.Bind(m.Addrs()[0].IP); err == nil {
		t.Error("bound to a port that is taken")
	}
	if _, err := other.Connect(m.Addrs(), ceph.TypeOSD, LossyClient); err != ErrClosed {
		t.Errorf("dialled before the start: %v", err)
	}
	if _, err := m.Connect(nil, ceph.TypeOSD, LossyClient); err == nil {
		t.Error("dialled nothing")
	}
	if _, err := m.Connect(m.Addrs(), ceph.TypeOSD, StatelessServer); err == nil {
		t.Error("a server dialled")
	}
	m.Shutdown()
	m.Shutdown()
	if _, err := m.Connect(m.Addrs(), ceph.TypeOSD, LossyClient); err != ErrClosed {
		t.Errorf("dialled after the shutdown: %v", err)
	}
}

// until waits for other goroutines to bring cond about.
func until(t *testing.T, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come about in a minute")
		}
	}
}
