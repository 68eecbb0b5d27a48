package cephx

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// world is a monitor, an OSD and a client of it.
type world struct {
	t        testing.TB
	now      time.Time
	entities entityMap
	keys     *KeyServer
	mon, osd *Server
	client   *Client
	gid      uint64
}

type entityMap map[ceph.EntityName]Entity

func (m entityMap) Entity(n ceph.EntityName) (Entity, bool) { e, ok := m[n]; return e, ok }

var alice = ceph.EntityName{Type: ceph.TypeClient, ID: "alice"}

func newWorld(t testing.TB, mode Mode) *world {
	w := &world{t: t, now: captured, entities: entityMap{}, gid: 4095}
	now := func() time.Time { return w.now }
	r := newRandom()
	w.keys = NewKeyServer(now, r)
	if _, err := w.keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	k, _ := NewKey(r, w.now)
	w.entities[alice] = Entity{k, map[ceph.EntityType]string{ceph.TypeMon: "allow r", ceph.TypeOSD: "allow rw pool=images namespace=alice"}}
	k3, _ := NewKey(r, w.now)
	w.entities[ceph.EntityName{Type: ceph.TypeOSD, ID: "3"}] = Entity{k3, nil}
	base := Server{Methods: []Method{MethodCephX}, Modes: []Mode{ModeSecure, ModeCRC}, Keys: w.keys, Now: now, Rand: r}
	mon, osd := base, base
	mon.Service, osd.Service = ceph.TypeMon, ceph.TypeOSD
	mon.Login = &Login{Entities: w.entities, Servers: w.keys, NewGlobalID: func() (uint64, error) { w.gid++; return w.gid, nil }}
	w.mon, w.osd = &mon, &osd
	w.client = w.newClient(alice, k, mode)
	return w
}

func (w *world) newClient(n ceph.EntityName, k Key, mode Mode) *Client {
	c, err := NewClient(ClientOptions{Name: n, Key: k, Methods: []Method{MethodCephX}, MonModes: []Mode{mode}, Modes: []Mode{mode},
		Services: ServicesDefault, Now: func() time.Time { return w.now }, Rand: newRandom()})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// talk plays both sides; change may alter what the client says in round 0 or 1,
// and what the server says.
func talk(c *Client, to *Server, change func(round int, fromClient bool, p []byte) []byte) (client, server *Session, err error) {
	if change == nil {
		change = func(_ int, _ bool, p []byte) []byte { return p }
	}
	h, err := c.Handshake(to.Service)
	if err != nil {
		return nil, nil, err
	}
	m, modes, p, err := h.Request()
	if err != nil {
		return nil, nil, err
	}
	s := to.Handshake()
	step, err := s.Request(m, modes, change(0, true, p))
	if err != nil {
		return nil, nil, err
	}
	if step.Done == nil {
		if p, err = h.More(change(0, false, step.Reply)); err != nil {
			return nil, nil, err
		}
		if step, err = s.More(change(1, true, p)); err != nil {
			return nil, nil, err
		}
	}
	client, err = h.Done(step.Done.GlobalID, step.Done.Mode, change(1, false, step.Reply))
	return client, step.Done, err
}

// denied checks that err is a refusal with EACCES.
func denied(t *testing.T, err error, what string) {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) || r.Result != ceph.EACCES {
		t.Errorf("%s: %v, want a refusal with EACCES", what, err)
	}
}

// TestBothSides logs in, gets to an OSD, renews, and keeps the global id.
func TestBothSides(t *testing.T) {
	for _, mode := range []Mode{ModeCRC, ModeSecure} {
		w := newWorld(t, mode)
		a, b, err := talk(w.client, w.mon, nil)
		if err != nil {
			t.Fatal(err)
		}
		check := func(a, b *Session, caps string) {
			t.Helper()
			if !a.Key.Equal(b.Key) || !a.Secret.Equal(b.Secret) || len(a.Key) != 16 || (len(a.Secret) == 64) != (mode == ModeSecure) || a.Mode != mode || b.Mode != mode {
				t.Errorf("%v: the sides have different sessions", mode)
			}
			if b.Name != alice || b.GlobalID != 4096 || b.Caps != caps || b.AllowAll {
				t.Errorf("%v: identity %+v", mode, b.Identity)
			}
		}
		check(a, b, "allow r")
		osdCaps := w.entities[alice].Caps[ceph.TypeOSD]
		if a, b, err = talk(w.client, w.osd, nil); err != nil {
			t.Fatal(err)
		}
		check(a, b, osdCaps)

		w.now = w.now.Add(50 * time.Minute)
		if w.client.RenewAt().After(w.now) {
			t.Errorf("renewal at %v", w.client.RenewAt())
		}
		ask, err := w.client.Renew()
		if err != nil {
			t.Fatal(err)
		}
		reply, err := w.mon.Login.Request(b.Identity, w.now, ask)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.client.Reply(reply); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(30 * time.Minute) // the first ticket is over by now
		if a, b, err = talk(w.client, w.osd, nil); err != nil {
			t.Fatal(err)
		}
		check(a, b, osdCaps)
		if a, b, err = talk(w.client, w.mon, nil); err != nil {
			t.Fatal(err)
		}
		check(a, b, "allow r") // the same global id, by the old ticket

		// The ticket by which it renews ends too; in time it logs in again, and too
		// late as somebody new.
		if at := w.client.LoginAt(); !at.After(w.now) || at.After(w.now.Add(72*time.Hour)) {
			t.Errorf("login again at %v", at)
		}
		for range 24 * 12 { // the monitor's keys go on meanwhile
			w.now = w.now.Add(time.Hour)
			if _, err := w.keys.Rotate(); err != nil {
				t.Fatal(err)
			}
		}
		if w.client.LoginAt().After(w.now) {
			t.Error("no login is due")
		}
		if _, b, err = talk(w.client, w.mon, nil); err != nil {
			t.Fatal(err)
		}
		if b.GlobalID == 4096 {
			t.Error("the global id was kept without a ticket for it")
		}
	}
}

// TestFlips changes every byte of everything a client or server says, one at a
// time, to two other values: nothing of it is taken.
func TestFlips(t *testing.T) {
	for _, mode := range []Mode{ModeCRC, ModeSecure} {
		w := newWorld(t, mode)
		if _, _, err := talk(w.client, w.mon, nil); err != nil {
			t.Fatal(err)
		}
		for _, to := range []*Server{w.osd, w.mon} {
			for round := range 2 {
				for _, fromClient := range []bool{true, false} {
					flips, taken := 0, 0
					for i, n := 0, 1; i < n; i++ {
						for _, bit := range []byte{0x01, 0x80} {
							c := w.client
							if to == w.mon {
								c = w.newClient(alice, w.entities[alice].Key, mode)
							}
							a, b, err := talk(c, to, func(r int, from bool, p []byte) []byte {
								if r != round || from != fromClient {
									return p
								}
								n = len(p)
								p = bytes.Clone(p)
								p[i] ^= bit
								return p
							})
							flips++
							if err == nil && (b.Name != alice || !a.Key.Equal(b.Key) || !a.Secret.Equal(b.Secret)) {
								continue // the signature of the handshake tells
							}
							if err == nil {
								taken++
								if !harmless(to, round, fromClient, i, n) {
									t.Errorf("%v to %v: round %d, client %v: byte %d of %d flipped and taken", mode, to.Service, round, fromClient, i, n)
								}
							}
						}
					}
					t.Logf("%v to %v, round %d, client %v: %d flips, %d taken", mode, to.Service, round, fromClient, flips, taken)
				}
			}
		}
	}
}

// harmless lists the bytes that mean nothing yet: the HMAC over the handshake
// covers them. From the monitor: the tickets, which a client cannot look into, and
// wishes for tickets.
func harmless(to *Server, round int, fromClient bool, i, n int) bool {
	if to.Service != ceph.TypeMon {
		return false
	}
	switch {
	case round == 1 && fromClient:
		return i >= 19 // old ticket, which nobody looks at without a global id, and mask
	case round == 1 && !fromClient:
		return true
	}
	return false
}

// TestTickets shows tickets that are too old, of others, of another service, of
// forgotten secrets, and the wrong key: all are refused alike.
func TestTickets(t *testing.T) {
	w := newWorld(t, ModeCRC)
	bob := ceph.EntityName{Type: ceph.TypeClient, ID: "bob"}

	wrong, _ := NewKey(newRandom(), captured)
	_, _, err := talk(w.newClient(alice, wrong, ModeCRC), w.mon, nil)
	denied(t, err, "wrong key")
	_, _, err = talk(w.newClient(bob, wrong, ModeCRC), w.mon, nil)
	denied(t, err, "unknown entity")

	if _, _, err := talk(w.client, w.mon, nil); err != nil {
		t.Fatal(err)
	}
	ticket := *w.client.mu.tickets[ceph.TypeOSD]

	// Another entity with Alice's ticket, and no idea of the session key.
	w.entities[bob] = Entity{Key: wrong}
	b := w.newClient(bob, wrong, ModeCRC)
	if _, _, err := talk(b, w.mon, nil); err != nil {
		t.Fatal(err)
	}
	stolen := *b.mu.tickets[ceph.TypeOSD]
	stolen.Ticket = ticket.Ticket
	b.mu.tickets[ceph.TypeOSD] = &stolen
	_, _, err = talk(b, w.osd, nil)
	denied(t, err, "another's ticket")
	stolen = ticket // with the key, but as another global id
	_, _, err = talk(b, w.osd, nil)
	denied(t, err, "another's ticket and key with one's own global id")

	// The monitor's ticket at an OSD.
	foreign := *w.client.mu.tickets[ceph.TypeMon]
	w.client.mu.tickets[ceph.TypeOSD] = &foreign
	_, _, err = talk(w.client, w.osd, nil)
	denied(t, err, "ticket for another service")
	foreign.Service = ceph.TypeOSD
	_, _, err = talk(w.client, w.osd, nil)
	denied(t, err, "ticket for another service, renamed")
	w.client.mu.tickets[ceph.TypeOSD] = &ticket

	// Expired, by the clock of the OSD.
	later := *w.osd
	later.Now = func() time.Time { return captured.Add(ServiceTTL + maxSkew + time.Second) }
	_, _, err = talk(w.client, &later, nil)
	denied(t, err, "expired ticket")
	later.Now = func() time.Time { return captured.Add(ServiceTTL + maxSkew) }
	if _, _, err = talk(w.client, &later, nil); err != nil {
		t.Errorf("ticket that has just not expired: %v", err)
	}
	ticket.expires = captured
	w.now = captured.Add(time.Second)
	if _, _, err = talk(w.client, w.osd, nil); !errors.Is(err, errTicket) {
		t.Errorf("client uses a ticket it knows is expired: %v", err)
	}
	ticket.expires = captured.Add(ServiceTTL)

	// Sealed with a secret that is forgotten.
	var few ServiceKeys
	few.Service = ceph.TypeOSD
	few.Set(w.keys.Keys(ceph.TypeOSD)[2:])
	forgetful := *w.osd
	forgetful.Keys = &few
	_, _, err = talk(w.client, &forgetful, nil)
	denied(t, err, "ticket of a forgotten secret")

	// A global id with another's ticket, an expired one, or none.
	for what, old := range map[string]*held{"none": nil, "another's": b.mu.auth} {
		c := w.newClient(alice, w.entities[alice].Key, ModeCRC)
		c.mu.globalID, c.mu.auth = w.client.GlobalID(), old
		_, _, err = talk(c, w.mon, nil)
		denied(t, err, "global id with the ticket: "+what)
		w.mon.Login.InsecureReclaim = true
		if _, s, err := talk(c, w.mon, nil); old == nil && (err != nil || s.GlobalID != c.mu.globalID) {
			t.Errorf("insecure reclaim: %v", err)
		}
		w.mon.Login.InsecureReclaim = false
	}
	w.now = captured.Add(AuthTTL + time.Second)
	w.client.mu.auth.expires = w.now.Add(time.Hour) // else it would not try
	_, _, err = talk(w.client, w.mon, nil)
	denied(t, err, "global id with an expired ticket")
}

// TestReplay says again what was said before, on the same and on another
// connection.
func TestReplay(t *testing.T) {
	w := newWorld(t, ModeCRC)
	if _, _, err := talk(w.client, w.mon, nil); err != nil {
		t.Fatal(err)
	}
	for _, to := range []*Server{w.mon, w.osd} {
		var said [2][]byte
		c := w.client
		if to == w.mon {
			c = w.newClient(alice, w.entities[alice].Key, ModeCRC)
		}
		if _, _, err := talk(c, to, func(r int, fromClient bool, p []byte) []byte {
			if fromClient {
				said[r] = p
			}
			return p
		}); err != nil {
			t.Fatal(err)
		}
		modes := []Mode{ModeCRC}
		h := to.Handshake()
		if _, err := h.Request(MethodCephX, modes, said[0]); err != nil {
			t.Fatal(err)
		}
		_, err := h.More(said[1])
		denied(t, err, "answer to another connection's challenge")
		if _, err := h.More(said[1]); err == nil {
			t.Error("a challenge served twice")
		}
		h = to.Handshake()
		if _, err := h.More(said[1]); err == nil {
			t.Error("answer without a challenge")
		}
		if to == w.osd {
			_, err := to.Handshake().Request(MethodCephX, modes, said[1])
			denied(t, err, "second authorizer first")
			h = to.Handshake()
			h.Request(MethodCephX, modes, said[0])
			_, err = h.More(said[0])
			denied(t, err, "first authorizer again")
		}
	}
}

// TestMethods refuses what is not allowed with the lists of what is.
func TestMethods(t *testing.T) {
	w := newWorld(t, ModeCRC)
	login := func(m Method, modes ...Mode) error {
		var e denc.Encoder
		e.U8(kindLogin)
		alice.Encode(&e)
		e.U64(0)
		_, err := w.mon.Handshake().Request(m, modes, e.Bytes())
		return err
	}
	for what, err := range map[string]error{
		"none":       login(MethodNone, ModeCRC),
		"method 4":   login(4, ModeCRC),
		"no mode":    login(MethodCephX),
		"other mode": login(MethodCephX, 7),
	} {
		var r *Refusal
		if !errors.As(err, &r) || r.Result != ceph.EOPNOTSUPP || len(r.Methods) != 1 || len(r.Modes) != 2 {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.mon.Methods = []Method{MethodNone}
	if err := login(MethodNone, ModeSecure); err == nil {
		t.Error("secure mode without a key")
	}
	if _, err := w.osd.Handshake().Request(MethodCephX, []Mode{ModeCRC}, []byte{kindLogin}); err == nil {
		t.Error("login at an OSD")
	}
	if _, err := w.osd.Handshake().Request(MethodCephX, []Mode{ModeCRC}, nil); err == nil {
		t.Error("empty request")
	}
	w.osd.Admit = func(Identity) error { return errors.New("caps do not parse") }
	w.mon.Methods = []Method{MethodCephX}
	if _, _, err := talk(w.client, w.mon, nil); err != nil {
		t.Fatal(err)
	}
	_, _, err := talk(w.client, w.osd, nil)
	denied(t, err, "not admitted")

	// Requests on a session.
	l, id := w.mon.Login, Identity{Name: alice, GlobalID: 4096}
	if _, err := l.Request(id, w.now, AskRotating()); !errors.Is(err, ceph.EACCES) {
		t.Errorf("client asks for secrets: %v", err)
	}
	if _, err := l.Request(id, w.now, []byte{1, 2}); !errors.Is(err, ceph.EINVAL) {
		t.Errorf("unknown request: %v", err)
	}
	ask, _ := w.client.Renew()
	if _, err := l.Request(Identity{Name: alice, GlobalID: 1}, w.now, ask); !errors.Is(err, ceph.EACCES) {
		t.Errorf("tickets on another's session: %v", err)
	}
	osd3 := ceph.EntityName{Type: ceph.TypeOSD, ID: "3"}
	reply, err := l.Request(Identity{Name: osd3}, w.now, AskRotating())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := w.newClient(osd3, w.entities[osd3].Key, ModeCRC).Reply(reply)
	if err != nil || len(keys) != kept {
		t.Errorf("secrets of OSDs: %d, %v", len(keys), err)
	}
	if _, err := w.client.Reply(reply); err == nil {
		t.Error("secrets opened with another's key")
	}
}
