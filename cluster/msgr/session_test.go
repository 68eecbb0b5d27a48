package msgr

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr/memnet"
)

// quick makes an entity try again soon.
func quick(o Options) Options {
	o.BackoffMin, o.BackoffMax = 8*time.Millisecond, 50*time.Millisecond
	return o
}

func peerPolicy(ceph.EntityType) Policy { return LosslessPeer }

// twoOSDs returns lossless peers on a network.
func twoOSDs(t *testing.T, n *memnet.Net, a, b Dispatcher) (*Messenger, *Messenger) {
	cl := newCluster(t, cephx.MethodNone, cephx.ModeCRC)
	oa := quick(onNet(n, cl.options(t, name(ceph.TypeOSD, "0"), a)))
	ob := quick(onNet(n, cl.options(t, name(ceph.TypeOSD, "1"), b)))
	oa.Accept, ob.Accept, oa.Nonce, ob.Nonce = peerPolicy, peerPolicy, 10, 11
	return start(t, oa, true), start(t, ob, true)
}

// TestExactlyOnce sends in both directions between lossless peers that both dial,
// while the network is cut again and again: every message comes once, in order.
func TestExactlyOnce(t *testing.T) {
	const messages = 3000
	net := memnet.New()
	var ends [2]*recorder
	var wg sync.WaitGroup
	for i := range ends {
		ends[i] = newRecorder()
		next := uint64(0)
		wg.Add(1)
		ends[i].on = func(_ *Conn, m *msg.Message) {
			if m.TID != next {
				t.Errorf("end %d: message %d, want %d", i, m.TID, next)
			}
			if next++; next == messages {
				wg.Done()
			}
		}
	}
	a, b := twoOSDs(t, net, ends[0], ends[1])
	stop := make(chan struct{})
	var cuts atomic.Int64
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(15 * time.Millisecond):
				cuts.Add(int64(net.CutAll()))
			}
		}
	}()
	var senders sync.WaitGroup
	for i, m := range []*Messenger{a, b} {
		other := []*Messenger{b, a}[i]
		senders.Add(1)
		go func() {
			defer senders.Done()
			for k := range uint64(messages) {
				if err := m.Send(other.Addrs(), ceph.TypeOSD, LosslessPeer, &msg.Message{Type: msg.TypePing, TID: k, Data: big(int(k % 3000))}); err != nil {
					t.Error(err)
					return
				}
				if k%10 == 0 {
					time.Sleep(time.Millisecond) // lets the cuts fall between; nothing rests on it
				}
			}
		}()
	}
	senders.Wait()
	wg.Wait()
	close(stop)
	if cuts.Load() < 5 {
		t.Errorf("%d connections cut, too few to prove anything", cuts.Load())
	}
	for i, e := range ends {
		for len(e.events) > 0 {
			if ev := <-e.events; ev == "reset" || ev == "remote reset" {
				t.Errorf("end %d was told %q", i, ev)
			}
		}
	}
	t.Logf("%d cuts", cuts.Load())
}

// TestPeerRestarts gives a lossless session a peer that has forgotten it: the
// side that dials again is told, and goes on with a new session.
func TestPeerRestarts(t *testing.T) {
	net := memnet.New()
	cl := newCluster(t, cephx.MethodNone, cephx.ModeCRC)
	at := netip.MustParseAddrPort("127.0.0.1:7000")
	server := func(d Dispatcher) *Messenger {
		o := quick(onNet(net, cl.options(t, name(ceph.TypeOSD, "1"), d)))
		o.Accept, o.Nonce = peerPolicy, 11
		m, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(m.Bind(at), m.Start()); err != nil {
			t.Fatal(err)
		}
		return m
	}
	got, told := newRecorder(), newRecorder()
	first := server(got)
	oa := quick(onNet(net, cl.options(t, name(ceph.TypeOSD, "0"), told)))
	oa.Nonce = 10
	a := start(t, oa, true)
	c, err := a.Connect(first.Addrs(), ceph.TypeOSD, LosslessPeer)
	if err != nil {
		t.Fatal(err)
	}
	c.Send(text(1, "one"))
	got.want(t, "accept osd.0")
	got.want(t, "message 1 one")
	told.want(t, "connect")
	first.Shutdown()
	until(t, func() bool { return !c.Ready() })
	second := server(got)
	t.Cleanup(second.Shutdown)
	c.Send(text(2, "two")) // of a session the new life does not know
	told.until(t, "remote reset")
	c.Send(text(3, "three"))
	got.want(t, "accept osd.0")
	got.want(t, "message 3 three")
}

// TestLossy ends with its connection, on both sides.
func TestLossy(t *testing.T) {
	net := memnet.New()
	cl := newCluster(t, cephx.MethodCephX, cephx.ModeSecure)
	server, client := newRecorder(), newRecorder()
	mon := start(t, onNet(net, cl.options(t, name(ceph.TypeMon, "0"), server)), true)
	a := start(t, quick(onNet(net, cl.options(t, name(ceph.TypeClient, "a"), client))), false)
	c, err := a.Connect(mon.Addrs(), ceph.TypeMon, LosslessClient)
	if err != nil {
		t.Fatal(err)
	}
	client.want(t, "connect")
	server.want(t, "accept client.4096")
	if again, _ := a.Connect(mon.Addrs(), ceph.TypeMon, LossyClient); again != c {
		t.Error("a second session with the same peer")
	}
	net.CutAll()
	client.want(t, "reset") // the server's choice is lossy
	server.want(t, "reset")
	if err := c.Send(text(1, "")); err != ErrClosed {
		t.Errorf("Send on a session that is over: %v", err)
	}
	if d, err := a.Connect(mon.Addrs(), ceph.TypeMon, LossyClient); err != nil || d == c {
		t.Errorf("no new session: %v", err)
	}
	client.want(t, "connect")
	server.want(t, "accept client.4096") // the ticket keeps the global id
}

// TestRefused tells why no session comes about, and tries again.
func TestRefused(t *testing.T) {
	net := memnet.New()
	cl := newCluster(t, cephx.MethodCephX, cephx.ModeSecure)
	server, client := newRecorder(), newRecorder()
	os := onNet(net, cl.options(t, name(ceph.TypeMon, "0"), server))
	mon := start(t, os, true)
	a := start(t, quick(onNet(net, cl.options(t, name(ceph.TypeClient, "nobody"), client))), false)
	denied, refused := make(chan bool, 100), 0
	d := &refusals{denied: denied}
	a.o.Dispatcher = d
	if _, err := a.Connect(mon.Addrs(), ceph.TypeMon, LossyClient); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if !<-denied {
			t.Error("refused for another reason")
		}
		refused++
	}
	gone, err := a.Connect(ceph.AddrVec{ceph.MsgrAddr(netip.MustParseAddrPort("127.0.0.1:9"), 0)}, ceph.TypeMon, LossyClient)
	if err != nil {
		t.Fatal(err)
	}
	for <-denied {
	}
	gone.MarkDown()

	// A type that is not there, a nonce of another life, missing features, a refusal
	// of the daemon.
	oa := quick(onNet(net, cl.options(t, name(ceph.TypeClient, "a"), client)))
	b := start(t, oa, false)
	try := func(m *Messenger, to ceph.Addr, typ ceph.EntityType, want string) {
		t.Helper()
		c, err := m.Connect(ceph.AddrVec{to}, typ, LossyClient)
		if err != nil {
			t.Fatal(err)
		}
		if ev := <-client.events; !strings.Contains(ev, want) {
			t.Errorf("%q, want %q", ev, want)
		}
		c.MarkDown()
		for len(client.events) > 0 {
			<-client.events
		}
	}
	to := mon.Addrs()[0]
	try(b, to, ceph.TypeMgr, "is a mon, not a mgr")
	other := to
	other.Nonce = 5
	try(b, other, ceph.TypeMon, "EOF")
	server.refuse = errors.New("not today")
	try(b, to, ceph.TypeMon, "EOF")
	server.refuse = nil
	oa.Supported = Features16 &^ (1 << 20)
	oa.Required = 0
	os.Required = 1 << 20
	os.Transport = net.Host(localhost)
	picky := start(t, os, true)
	try(start(t, oa, false), picky.Addrs()[0], ceph.TypeMon, "requires 0x100000 of us")
	oa.Supported, oa.Required = Features16|1<<62, 1<<62
	try(start(t, oa, false), to, ceph.TypeMon, "lacks 0x4000000000000000")
}

// refusals tells of refusals whether they are of the identity.
type refusals struct {
	NopDispatcher
	denied chan bool
}

func (r *refusals) HandleRefused(_ *Conn, err error) {
	select {
	case r.denied <- Denied(err):
	default: // the test has seen enough
	}
}

// TestPriority lets a message of high priority overtake others in the queue, and
// keeps the order within one.
func TestPriority(t *testing.T) {
	var q sendQueue
	for i, p := range []uint16{127, 63, 0, 196, 63, 196} {
		q.push(&msg.Message{TID: uint64(i), Priority: p})
	}
	var order []uint64
	for {
		s, _, ok := q.next(true)
		if !ok {
			break
		}
		if s.seq != uint64(len(order)+1) {
			t.Errorf("number %d of message %d", s.seq, len(order))
		}
		order = append(order, s.m.TID)
	}
	if got := fmt.Sprint(order); got != "[3 5 0 2 1 4]" {
		t.Errorf("order %s", got)
	}
	if q.waiting() || q.unacked.len() != 6 {
		t.Errorf("%d held", q.unacked.len())
	}
	q.acked(2)
	q.push(&msg.Message{TID: 9, Priority: 255})
	q.rewind(2)
	s, _, _ := q.next(true)
	if s.seq != 3 || s.m.TID != 0 {
		t.Errorf("after a rewind: message %d as %d", s.m.TID, s.seq)
	}
	if n := q.drop(); n != 5*headerRoom || q.count != 0 {
		t.Errorf("dropped %d bytes, %d messages left", n, q.count)
	}
}

// TestOverflow fills the queue of a peer that does not read: a lossy session is
// reset, a lossless one refuses, and nothing waits.
func TestOverflow(t *testing.T) {
	for _, lossy := range []bool{true, false} {
		t.Run(fmt.Sprint("lossy ", lossy), func(t *testing.T) {
			net := memnet.New()
			block := make(chan struct{})
			slow := newRecorder()
			slow.on = func(*Conn, *msg.Message) { <-block }
			client := newRecorder()
			cl := newCluster(t, cephx.MethodNone, cephx.ModeCRC)
			os := onNet(net, cl.options(t, name(ceph.TypeOSD, "1"), slow))
			if !lossy {
				os.Accept = peerPolicy
			}
			server := start(t, os, true)
			oc := quick(onNet(net, cl.options(t, name(ceph.TypeOSD, "0"), client)))
			oc.SendBytesPerConn, oc.SendBytes, oc.Nonce = 1<<20, 2<<20, 3
			m := start(t, oc, true)
			p := LosslessPeer
			if lossy {
				p = LossyClient
			}
			c, err := m.Connect(server.Addrs(), ceph.TypeOSD, p)
			if err != nil {
				t.Fatal(err)
			}
			client.want(t, "connect")
			for err = nil; err == nil; {
				err = c.Send(&msg.Message{Data: big(10_000)})
			}
			if err != ErrOverflow {
				t.Errorf("full: %v", err)
			}
			if n := m.Metrics().SendQueueBytes; n > 2<<20 {
				t.Errorf("%d bytes queued", n)
			}
			if lossy {
				client.want(t, "reset")
				close(block)
			} else {
				short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
				defer cancel()
				if err := c.SendWait(short, &msg.Message{Data: big(10_000)}); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("SendWait: %v", err)
				}
				close(block)
				if err := c.SendWait(ctx, &msg.Message{Data: big(10_000)}); err != nil {
					t.Errorf("SendWait: %v", err)
				}
			}
			if err := c.Send(&msg.Message{Data: make([]byte, 200<<20)}); err != ErrTooLarge {
				t.Errorf("large message: %v", err)
			}
			m.Shutdown()
			if n := m.Metrics().SendQueueBytes; n != 0 {
				t.Errorf("%d bytes of a closed messenger counted", n)
			}
		})
	}
}

// TestRoom holds a reader up while its handler keeps messages, and goes on when
// they are released.
func TestRoom(t *testing.T) {
	net := memnet.New()
	cl := newCluster(t, cephx.MethodNone, cephx.ModeCRC)
	kept := make(chan *msg.Message, 1000)
	d := newRecorder()
	d.on = func(_ *Conn, m *msg.Message) { m.Hold(); kept <- m }
	os := onNet(net, cl.options(t, name(ceph.TypeOSD, "1"), d))
	os.RecvMessagesPerConn, os.RecvMessages = 3, 4
	server := start(t, os, true)
	client := start(t, onNet(net, cl.options(t, name(ceph.TypeClient, "a"), newRecorder())), false)
	for i := range uint64(10) {
		client.Send(server.Addrs(), ceph.TypeOSD, LossyClient, text(i, "x"))
	}
	for i := range uint64(10) {
		m := <-kept
		if m.TID != i || len(kept) > 2 {
			t.Errorf("message %d, and %d more are held", m.TID, len(kept))
		}
		m.Release()
	}
	if !server.recv.empty() {
		t.Error("room is not given back")
	}
}

// TestThrottle serves in order and survives who gives up.
func TestThrottle(t *testing.T) {
	th := newThrottle(10, 100)
	if err := th.take(ctx, 50); err != nil { // alone, anything fits
		t.Fatal(err)
	}
	give, cancel := context.WithCancel(ctx)
	errs := make(chan error)
	go func() { errs <- th.take(give, 1) }()
	for {
		th.mu.Lock()
		n := len(th.mu.waiting)
		th.mu.Unlock()
		if n == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-errs; err == nil {
		t.Error("took without room")
	}
	go func() { errs <- th.take(ctx, 10) }()
	th.give(50)
	if err := <-errs; err != nil {
		t.Error(err)
	}
	th.give(10)
	if !th.empty() || th.mu.bytes != 0 {
		t.Errorf("%d bytes left", th.mu.bytes)
	}
}

// TestDecide walks the rules for a session that is already there.
func TestDecide(t *testing.T) {
	low, high := ceph.MsgrAddr(netip.MustParseAddrPort("10.0.0.1:1"), 0), ceph.MsgrAddr(netip.MustParseAddrPort("10.0.0.1:1"), 1)
	base := view{peer: low, clientCookie: 1, serverCookie: 2, globalSeq: 5, connectSeq: 3}
	with := func(f func(*view)) view { v := base; f(&v); return v }
	for i, tc := range []struct {
		v    view
		mine ceph.Addr
		seq  uint64
		ck   uint64
		want verdict
	}{
		{view{closed: true}, high, 1, 1, openNew},
		{with(func(v *view) { v.replacing = true }), high, 9, 1, answerWait},
		{base, high, 4, 1, dropIt},
		{with(func(v *view) { v.lossy = true }), high, 9, 1, openNew},
		{base, high, 9, 7, reuse},
		{with(func(v *view) { v.resetCheck = true }), high, 9, 7, reuseReset},
		{base, high, 9, 1, reuse},
		{with(func(v *view) { v.serverCookie = 0; v.settled = true }), high, 9, 7, reuse},
		{with(func(v *view) { v.serverCookie = 0 }), high, 9, 7, reuse},                              // the peer is lower
		{with(func(v *view) { v.serverCookie = 0; v.peer = high }), low, 9, 7, answerWait},           // we are
		{with(func(v *view) { v.serverCookie, v.server, v.peer = 0, true, high }), low, 9, 7, reuse}, // we never dial
	} {
		if got := tc.v.onIdent(tc.mine, &identBody{GlobalSeq: tc.seq, Cookie: tc.ck}); got != tc.want {
			t.Errorf("ident %d: %d, want %d", i, got, tc.want)
		}
	}
	for i, tc := range []struct {
		v    view
		mine ceph.Addr
		in   reconnectBody
		want verdict
	}{
		{view{closed: true}, high, reconnectBody{}, answerReset},
		{with(func(v *view) { v.replacing = true }), high, reconnectBody{ClientCookie: 1, ServerCookie: 2, GlobalSeq: 9, ConnectSeq: 4}, answerGlobal},
		{base, high, reconnectBody{ClientCookie: 7, ServerCookie: 2, GlobalSeq: 9, ConnectSeq: 4}, answerForget},
		{with(func(v *view) { v.resetCheck = true }), high, reconnectBody{ClientCookie: 7, ServerCookie: 2, GlobalSeq: 9, ConnectSeq: 4}, answerReset},
		{with(func(v *view) { v.serverCookie = 0 }), high, reconnectBody{ClientCookie: 1, ServerCookie: 2, GlobalSeq: 9, ConnectSeq: 4}, answerForget},
		{base, high, reconnectBody{ClientCookie: 1, ServerCookie: 7, GlobalSeq: 9, ConnectSeq: 4}, answerReset},
		{base, high, reconnectBody{ClientCookie: 1, ServerCookie: 2, GlobalSeq: 4, ConnectSeq: 4}, answerGlobal},
		{base, high, reconnectBody{ClientCookie: 1, ServerCookie: 2, GlobalSeq: 9, ConnectSeq: 2}, answerRetry},
		{base, high, reconnectBody{ClientCookie: 1, ServerCookie: 2, GlobalSeq: 9, ConnectSeq: 3}, reuse},
		{with(func(v *view) { v.peer = high }), low, reconnectBody{ClientCookie: 1, ServerCookie: 2, GlobalSeq: 9, ConnectSeq: 3}, answerWait},
		{with(func(v *view) { v.peer = high; v.server = true }), low, reconnectBody{ClientCookie: 1, ServerCookie: 2, GlobalSeq: 9, ConnectSeq: 3}, reuse},
		{base, high, reconnectBody{ClientCookie: 1, ServerCookie: 2, GlobalSeq: 5, ConnectSeq: 4}, reuse},
	} {
		if got := tc.v.onReconnect(tc.mine, &tc.in); got != tc.want {
			t.Errorf("reconnect %d: %d, want %d", i, got, tc.want)
		}
	}
}

// TestRegistered replaces the session of a client's address by a new one.
func TestRegistered(t *testing.T) {
	net := memnet.New()
	cl := newCluster(t, cephx.MethodNone, cephx.ModeCRC)
	server := newRecorder()
	os := onNet(net, cl.options(t, name(ceph.TypeOSD, "1"), server))
	os.Accept = func(ceph.EntityType) Policy { return StatelessRegisteredServer }
	osd := start(t, os, true)
	connect := func(id string, client *recorder) *Messenger {
		oc := quick(onNet(net, cl.options(t, name(ceph.TypeClient, id), client)))
		oc.Nonce = 77 // both call themselves any:127.0.0.1:0/77
		m := start(t, oc, false)
		if _, err := m.Connect(osd.Addrs(), ceph.TypeOSD, LossyClient); err != nil {
			t.Fatal(err)
		}
		return m
	}
	first, second, thief := newRecorder(), newRecorder(), newRecorder()
	connect("a", first)
	server.want(t, "accept client.0")
	first.want(t, "connect")
	m := connect("a", second)
	server.want(t, "reset")
	server.want(t, "accept client.0")
	first.want(t, "reset")
	second.want(t, "connect")
	connect("b", thief) // another entity does not get it
	if ev := <-thief.events; !strings.HasPrefix(ev, "refused") {
		t.Errorf("another entity: %s", ev)
	}
	m.Shutdown()
	server.want(t, "reset")
}
