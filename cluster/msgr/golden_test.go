package msgr

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/golden"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr/frame"
	"ebofs/cluster/msgr/memnet"
)

// script is one golden connection as the side under test plays it.
type script struct {
	t      *testing.T
	lines  []*golden.Line
	client bool // we are who dialled
}

// fields of all frames that a replay looks at.
type fields struct {
	Type     string `json:"entity_type"`
	PeerAddr string `json:"peer_addr"`
	Addrs    string
	Target   string `json:"target_addr"`
	GID      int64
	Seq      uint64 `json:"global_seq"`
	Required string
	Support  string `json:"supported"`
	Flags    uint64
	Cookie   string

	ClientCookie string `json:"client_cookie"`
	ServerCookie string `json:"server_cookie"`
	ConnectSeq   uint64 `json:"connect_seq"`
	MsgSeq       uint64 `json:"msg_seq"`

	Entity   string
	GlobalID uint64       `json:"global_id"`
	Mode     cephx.Mode   `json:"con_mode"`
	Modes    []cephx.Mode `json:"preferred_modes"`
	Secret   string       `json:"connection_secret"`
}

func (s *script) find(tag string) (f fields, ok bool) {
	for _, l := range s.lines {
		if l.Tag == tag && l.Whole() {
			decodeAny(s.t, l, &f)
			return f, true
		}
	}
	return f, false
}

// decodeAny ignores fields of other kinds: "entity" of messages, for one.
func decodeAny(t *testing.T, l *golden.Line, f *fields) {
	if len(l.Fields) > 0 && string(l.Fields) != "null" {
		l.Decode(t, f)
	}
}

func hexNumber(t *testing.T, s string) uint64 {
	if s == "" {
		return 0
	}
	var v uint64
	if _, err := fmt.Sscanf(s, "0x%x", &v); err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return v
}

// parse reads the frame of a line, decrypted if it has to be.
func parse(t *testing.T, l *golden.Line) (frame.Tag, [4][]byte) {
	var seg [4][]byte
	if len(l.Segments) > 0 {
		for i, s := range l.Segments {
			seg[i] = s
		}
		return 0, seg
	}
	r := frame.NewReader(bytes.NewReader(l.Bytes))
	h, err := r.Head()
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Body()
	if err != nil {
		t.Fatal(err)
	}
	seg[0] = bytes.Clone(f.First)
	copy(seg[1:], f.Rest[:])
	return h.Tag, seg
}

// scriptedAuth says in the handshake what the golden side said. What cephx makes of
// it is tested there.
type scriptedAuth struct {
	t       *testing.T
	ours    []*golden.Line // AUTH frames, in order
	session *cephx.Session
}

func (a *scriptedAuth) take(tag frame.Tag) [4][]byte {
	if len(a.ours) == 0 || a.ours[0].Tag != tag.String() {
		a.t.Errorf("%v is not due", tag)
		return [4][]byte{}
	}
	_, seg := parse(a.t, a.ours[0])
	a.ours = a.ours[1:]
	return seg
}

func (a *scriptedAuth) Request() (cephx.Method, []cephx.Mode, []byte, error) {
	b, err := frame.DecodeAuthRequest(a.take(frame.AuthRequest)[0])
	return cephx.Method(b.Method), typed[cephx.Mode](b.Modes), b.Payload, err
}

func (a *scriptedAuth) Refused(r *cephx.Refusal) error {
	if len(a.ours) == 0 {
		return r
	}
	return nil
}

func (a *scriptedAuth) More([]byte) ([]byte, error) {
	b, err := frame.DecodeAuthMore(a.take(frame.AuthRequestMore)[0])
	return b.Payload, err
}

func (a *scriptedAuth) Done(uint64, cephx.Mode, []byte) (*cephx.Session, error) {
	return a.session, nil
}

// scriptedServer is the same for the accepting side.
type scriptedServer struct{ *scriptedAuth }

func (a scriptedServer) reply() (cephx.Step, error) {
	if len(a.ours) == 0 {
		return cephx.Step{}, io.EOF
	}
	switch l := a.ours[0]; l.Tag {
	case "AUTH_BAD_METHOD":
		b, err := frame.DecodeAuthBadMethod(a.take(frame.AuthBadMethod)[0])
		if err != nil {
			return cephx.Step{}, err
		}
		return cephx.Step{}, &cephx.Refusal{Method: cephx.Method(b.Method), Result: b.Result, Methods: typed[cephx.Method](b.Methods), Modes: typed[cephx.Mode](b.Modes)}
	case "AUTH_REPLY_MORE":
		b, err := frame.DecodeAuthMore(a.take(frame.AuthReplyMore)[0])
		return cephx.Step{Reply: b.Payload}, err
	default:
		b, err := frame.DecodeAuthDone(a.take(frame.AuthDone)[0])
		return cephx.Step{Reply: b.Payload, Done: a.session}, err
	}
}

func (a scriptedServer) Request(cephx.Method, []cephx.Mode, []byte) (cephx.Step, error) {
	return a.reply()
}

func (a scriptedServer) More([]byte) (cephx.Step, error) { return a.reply() }

// sessionKey finds the key that signed the golden handshake: its session key is in
// the ticket reply, or in the one that gave the ticket shown.
func sessionKeys(t *testing.T, conns map[int][]*golden.Line) (keys []cephx.Secret) {
	for _, lines := range conns {
		for _, l := range lines {
			if l.Tag != "AUTH_DONE" {
				continue
			}
			var f struct {
				Tickets, Extra []struct {
					Key struct{ Secret string } `json:"session_key"`
				}
				More []struct {
					Key struct{ Secret string } `json:"session_key"`
				} `json:"extra_tickets"`
			}
			l.Decode(t, &f)
			for _, k := range append(f.Tickets, f.More...) {
				p, _ := hex.DecodeString(k.Key.Secret)
				keys = append(keys, p)
			}
		}
	}
	return keys
}

// signedBy returns which key made the signature of a side, nil for none.
func signedBy(t *testing.T, lines []*golden.Line, keys []cephx.Secret) cephx.Secret {
	var transcript, want []byte
	for _, l := range lines {
		switch {
		case l.Tag == "AUTH_SIGNATURE" && !l.Client():
			_, seg := parse(t, l)
			want = seg[0]
		case l.Client() && want == nil || l.Client() && strings.HasPrefix(l.Tag, "AUTH_REQ"):
			if l.Tag == "BANNER" || l.Tag == "HELLO" || strings.HasPrefix(l.Tag, "AUTH_REQ") {
				transcript = append(transcript, l.Bytes...)
			}
		}
	}
	for _, k := range append([]cephx.Secret{nil}, keys...) {
		if bytes.Equal(signature(k, transcript), want) {
			return k
		}
	}
	t.Fatal("no key made the signature")
	return nil
}

// withAddr is a connection that comes from where the golden one came from.
type withAddr struct {
	net.Conn
	remote net.Addr
}

func (c withAddr) RemoteAddr() net.Addr { return c.remote }

// oneConn is a transport with one connection.
type oneConn chan net.Conn

func (o oneConn) Dial(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
	select {
	case nc := <-o:
		return nc, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (oneConn) Listen(netip.AddrPort) (net.Listener, error) { return nil, io.EOF }

// conns hands out the session under test as soon as there is one.
type conns struct {
	NopDispatcher
	ready chan *Conn
	got   chan uint64
}

func (d *conns) HandleAccept(c *Conn) error { d.ready <- c; return nil }
func (d *conns) HandleConnect(c *Conn)      { d.ready <- c }
func (d *conns) HandleMessage(_ *Conn, m *msg.Message) {
	d.got <- m.Seq
}

// replay plays one side of a golden connection with a Messenger, and the other from
// the file: our bytes must be the same. It returns how many frames of ours were
// compared.
func (s *script) replay(keys []cephx.Secret, prepare func(*Messenger) *Conn) int {
	t := s.t
	var seen, mine, theirs, ident fields
	for _, l := range s.lines {
		if l.Tag == "HELLO" {
			if l.Client() == s.client {
				decodeAny(t, l, &mine)
			} else {
				decodeAny(t, l, &theirs)
			}
		}
	}
	ours := "SERVER_IDENT"
	if s.client {
		ours = "CLIENT_IDENT"
	}
	ident, hasIdent := s.find(ours)
	request, _ := s.find("AUTH_REQUEST")
	done, _ := s.find("AUTH_DONE")
	client, _ := s.find("CLIENT_IDENT")
	again, isAgain := s.find("SESSION_RECONNECT")

	a := &scriptedAuth{t: t}
	for _, l := range s.lines {
		if strings.HasPrefix(l.Tag, "AUTH_") && l.Tag != "AUTH_SIGNATURE" && l.Client() == s.client {
			a.ours = append(a.ours, l)
		}
	}
	typ, _ := ceph.ParseEntityType(mine.Type)
	peer, _ := ceph.ParseEntityType(theirs.Type)
	if done.Mode != 0 {
		a.session = &cephx.Session{Mode: done.Mode, Key: signedBy(t, s.lines, keys)}
		a.session.Secret, _ = hex.DecodeString(done.Secret)
		a.session.GlobalID = done.GlobalID
		// The name of an authorizer is in its ticket; all clients here are client.admin.
		if a.session.Name, _ = ceph.ParseEntityName(request.Entity); request.Entity == "" {
			a.session.Name = name(ceph.TypeClient, "admin")
		}
		if s.client {
			a.session.Name = ceph.EntityName{}
		}
	}
	d := &conns{ready: make(chan *Conn, 1), got: make(chan uint64, 1000)}
	transport := make(oneConn, 1)
	cookie := binary.LittleEndian.AppendUint64(nil, hexNumber(t, ident.Cookie))
	o := Options{
		Type: typ, GID: ident.GID, Dispatcher: d, Transport: transport, Required: hexNumber(t, ident.Required),
		Rand:       io.MultiReader(bytes.NewReader(cookie), rand.NewChaCha8([32]byte{})),
		ClientAuth: func(ceph.EntityType) (ClientAuth, error) { return a, nil },
		ServerAuth: func() ServerAuth { return scriptedServer{a} },
		Accept: func(ceph.EntityType) Policy {
			if ident.Flags&1 != 0 {
				return StatelessServer
			}
			return LosslessPeer
		},
	}
	for _, l := range s.lines {
		if l.Tag == "IDENT_MISSING_FEATURES" && !s.client {
			_, seg := parse(t, l)
			o.Required, _ = frame.DecodeU64(seg[0])
		}
	}
	if s.client {
		o.Supported = hexNumber(t, ident.Support)
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Shutdown()
	switch {
	case isAgain && s.client:
		m.SetAddrs(mustAddrs(t, again.Addrs))
		m.globalSeq.Store(again.Seq - 1)
	case isAgain:
		m.SetAddrs(mustAddrs(t, theirs.PeerAddr))
	case hasIdent:
		v := mustAddrs(t, ident.Addrs)
		if v[0].Type == ceph.AddrAny {
			m.o.Nonce = v[0].Nonce
		} else {
			m.SetAddrs(v)
		}
		m.globalSeq.Store(ident.Seq - 1)
	case s.client:
		m.SetAddrs(mustAddrs(t, "v2:127.0.0.1:1/1"))
	case client.Target != "":
		m.SetAddrs(mustAddrs(t, client.Target))
	default:
		m.SetAddrs(mustAddrs(t, theirs.PeerAddr))
	}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}

	net := memnet.New()
	l, err := net.Host(localhost).Listen(netip.AddrPortFrom(localhost, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Host(localhost).Dial(ctx, netip.AddrPortFrom(localhost, 1))
	if err != nil {
		t.Fatal(err)
	}
	near, _ := l.Accept()
	var c *Conn
	if prepare != nil {
		c = prepare(m)
	}
	if s.client {
		transport <- near
		to := mustAddrs(t, mine.PeerAddr)
		policy := LosslessClient
		switch {
		case isAgain:
			policy = LosslessPeer
		case ident.Flags&1 != 0:
			policy = LossyClient
		case typ != ceph.TypeClient:
			policy = LosslessPeer
		}
		if prepare == nil {
			if _, err := m.Connect(to, peer, policy); err != nil {
				t.Fatal(err)
			}
		} else {
			c.mu.Lock()
			c.dialLocked()
			c.mu.Unlock()
		}
	} else {
		_ = seen
		remote := mustAddrs(t, mine.PeerAddr)[0]
		m.admit(withAddr{near, netAddr(remote.IP)})
	}
	return s.puppet(far, d, c)
}

func netAddr(a netip.AddrPort) net.Addr { return net.TCPAddrFromAddrPort(a) }

func mustAddrs(t *testing.T, s string) ceph.AddrVec {
	v, err := ceph.ParseAddrVec(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// puppet says the peer's lines and checks ours. A message of ours acknowledges a
// certain one of the peer's: those behind it wait, for what the real peers had
// read of each other by then was chance.
func (s *script) puppet(far net.Conn, d *conns, c *Conn) (checked int) {
	t := s.t
	var late []*golden.Line
	feed := func(l *golden.Line) {
		if _, err := far.Write(l.Bytes); err != nil {
			t.Fatalf("%s: %v", l.Tag, err)
		}
		if l.Tag == "MESSAGE" {
			select {
			case <-d.got:
			case <-time.After(10 * time.Second):
				t.Fatal("a message of the peer did not arrive")
			}
		}
	}
	flush := func(ack uint64) {
		for len(late) > 0 {
			if late[0].Tag == "MESSAGE" {
				_, seg := parse(t, late[0])
				if h, _ := frame.DecodeHeader(seg[0]); h.Seq > ack {
					return
				}
			}
			feed(late[0])
			late = late[1:]
		}
	}
	for _, l := range s.lines {
		if !l.Whole() {
			return checked
		}
		if l.Client() != s.client {
			late = append(late, l)
			continue
		}
		switch l.Tag {
		case "MESSAGE":
			if c == nil {
				flush(0)
				select {
				case c = <-d.ready:
				case <-time.After(10 * time.Second):
					t.Fatal("the session is not ready")
				}
			}
			_, seg := parse(t, l)
			h, err := frame.DecodeHeader(seg[0])
			if err != nil {
				t.Fatal(err)
			}
			flush(h.Ack)
			c.mu.Lock()
			queued := c.mu.count > 0 && h.Seq <= c.mu.seq || c.mu.again.len() > 0
			c.mu.Unlock()
			if !queued {
				c.Send(message(h, seg))
			}
		case "KEEPALIVE2":
			flush(0)
			c.Keepalive()
		case "ACK":
			_, seg := parse(t, l)
			ack, _ := frame.DecodeU64(seg[0])
			flush(ack)
		default:
			flush(0)
		}
		got := make([]byte, len(l.Bytes))
		ok := make(chan error, 1)
		go func() { _, err := io.ReadFull(far, got); ok <- err }()
		select {
		case err := <-ok:
			if err != nil {
				t.Fatalf("instead of %s: %v", l.Tag, err)
			}
		case <-time.After(10 * time.Second):
			far.Close()
			<-ok
			t.Fatalf("no %s; there is %x", l.Tag, got)
		}
		if l.Tag == "KEEPALIVE2" && l.Mode == "crc" {
			got, l.Bytes = got[:32-4], l.Bytes[:32-4] // the clock
		}
		if !bytes.Equal(got, l.Bytes) {
			t.Fatalf("%s\n got %x\nwant %x", l.Tag, got, []byte(l.Bytes))
		}
		checked++
	}
	flush(1 << 62)
	return checked
}

// message makes what has to be sent for a golden frame to come out.
func message(h frame.Header, seg [4][]byte) *msg.Message {
	return &msg.Message{Type: msg.Type(h.Type), Version: h.Version, Compat: h.Compat, Priority: h.Priority, TID: h.TID,
		Front: seg[1], Middle: seg[2], Data: seg[3]}
}

// TestGoldenSessions plays every golden session from both sides.
func TestGoldenSessions(t *testing.T) {
	total := 0
	for _, file := range golden.Names(t) {
		conns := golden.Session(t, file)
		keys := sessionKeys(t, conns)
		for n, lines := range conns {
			for _, client := range []bool{true, false} {
				side := map[bool]string{true: "client", false: "server"}[client]
				t.Run(fmt.Sprintf("%s/%d/%s", strings.TrimSuffix(file, ".jsonl"), n, side), func(t *testing.T) {
					s := &script{t: t, lines: lines, client: client}
					var prepare func(*Messenger) *Conn
					if again, ok := s.find("SESSION_RECONNECT"); ok {
						prepare = s.before(again)
						if prepare == nil {
							prepare = func(*Messenger) *Conn { return nil }
						}
					}
					total += s.replay(keys, prepare)
				})
			}
		}
	}
	t.Logf("%d frames of ours are the same as Ceph's", total)
	if total < 700 {
		t.Error("fewer than there are")
	}
}

// before returns what makes the session that a golden reconnect continues.
func (s *script) before(again fields) func(*Messenger) *Conn {
	t := s.t
	var resend []sent
	var okSeq, retry uint64
	reset := false
	for _, l := range s.lines {
		switch l.Tag {
		case "SESSION_RECONNECT_OK":
			_, seg := parse(t, l)
			okSeq, _ = frame.DecodeU64(seg[0])
		case "SESSION_RETRY":
			_, seg := parse(t, l)
			retry, _ = frame.DecodeU64(seg[0])
		case "SESSION_RESET":
			reset = true
		case "MESSAGE":
			_, seg := parse(t, l)
			h, _ := frame.DecodeHeader(seg[0])
			// What is behind a RECONNECT_OK at once had been sent before.
			if !l.Client() && !s.client && h.Seq <= 21 {
				resend = append(resend, sent{h.Seq, message(h, seg)})
			}
		}
	}
	hello := fields{}
	for _, l := range s.lines {
		if l.Tag == "HELLO" && l.Client() {
			decodeAny(t, l, &hello)
		}
	}
	return func(m *Messenger) *Conn {
		if reset && !s.client {
			return nil // it knows no such session
		}
		key := mustAddrs(t, hello.PeerAddr)[0]
		if !s.client {
			key = mustAddrs(t, again.Addrs)[0]
		}
		m.mu.Lock()
		c := m.newConnLocked(LosslessPeer, key)
		m.mu.byPeer[key] = c
		m.mu.Unlock()
		c.peer.Store(&Peer{ID: ceph.EntityID{Type: ceph.TypeOSD}})
		c.mu.state = standby
		c.mu.clientCookie, c.mu.serverCookie = hexNumber(t, again.ClientCookie), hexNumber(t, again.ServerCookie)
		c.mu.connectSeq = again.ConnectSeq - 1
		if s.client {
			c.inSeq.Store(again.MsgSeq)
			c.mu.seq = okSeq
			return c
		}
		if retry != 0 {
			c.mu.connectSeq = retry
		}
		if s.lines[len(s.lines)-1].Tag == "WAIT" {
			c.mu.connectSeq = again.ConnectSeq
		}
		c.inSeq.Store(okSeq)
		c.mu.seq = again.MsgSeq
		for _, r := range resend {
			c.mu.unacked.push(r)
			c.mu.seq = r.seq
			c.mu.bytes += r.m.Bytes() + headerRoom
			c.mu.count++
			m.sendBytes.Add(int64(r.m.Bytes() + headerRoom))
		}
		return c
	}
}
