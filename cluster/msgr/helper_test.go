package msgr

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr/frame"
	"ebofs/cluster/msgr/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func name(t ceph.EntityType, id string) ceph.EntityName { return ceph.EntityName{Type: t, ID: id} }

// cluster is what entities of a test share: keys and secrets.
type cluster struct {
	method cephx.Method
	modes  []cephx.Mode
	keys   *cephx.KeyServer
	key    cephx.Key // of every entity
	gid    atomic.Uint64
}

// locked makes a random source safe for all.
type locked struct {
	sync.Mutex
	r *rand.ChaCha8
}

func (l *locked) Read(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.r.Read(p)
}

var random = &locked{r: rand.NewChaCha8([32]byte{7})}

func newCluster(t testing.TB, method cephx.Method, modes ...cephx.Mode) *cluster {
	c := &cluster{method: method, modes: modes, keys: cephx.NewKeyServer(time.Now, random)}
	if _, err := c.keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.key, err = cephx.NewKey(random, time.Now()); err != nil {
		t.Fatal(err)
	}
	c.gid.Store(4095)
	return c
}

// Entity implements cephx.Entities.
func (c *cluster) Entity(n ceph.EntityName) (cephx.Entity, bool) {
	return cephx.Entity{Key: c.key, Caps: map[ceph.EntityType]string{ceph.TypeMon: "allow r", ceph.TypeOSD: "allow rwx"}}, n.ID != "nobody"
}

// options returns those of an entity.
func (c *cluster) options(t testing.TB, who ceph.EntityName, d Dispatcher) Options {
	client, err := cephx.NewClient(cephx.ClientOptions{
		Name: who, Key: c.key, Methods: []cephx.Method{c.method}, Modes: c.modes, MonModes: c.modes,
		Services: cephx.ServicesDefault, Now: time.Now, Rand: random,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &cephx.Server{Service: who.Type, Methods: []cephx.Method{c.method}, Modes: c.modes, Keys: c.keys, Now: time.Now, Rand: random}
	if who.Type == ceph.TypeMon {
		server.Login = &cephx.Login{Entities: c, Servers: c.keys, NewGlobalID: func() (uint64, error) { return c.gid.Add(1), nil }}
	}
	gid := int64(-1)
	if who.Type != ceph.TypeClient {
		fmt.Sscan(who.ID, &gid)
	}
	return Options{
		Type: who.Type, GID: gid, Dispatcher: d, Rand: random,
		ClientAuth: func(to ceph.EntityType) (ClientAuth, error) { return client.Handshake(to) },
		ServerAuth: func() ServerAuth { return server.Handshake() },
	}
}

var localhost = netip.MustParseAddr("127.0.0.1")

// start returns a messenger that is shut down with the test; bound ones listen at
// a port of their own.
func start(t testing.TB, o Options, bind bool) *Messenger {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if bind {
		if err := m.Bind(netip.AddrPortFrom(localhost, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Shutdown)
	return m
}

// onNet puts an entity on a network in memory.
func onNet(n *memnet.Net, o Options) Options {
	o.Transport = n.Host(localhost)
	return o
}

// recorder is a Dispatcher that tells what it was told.
type recorder struct {
	events chan string
	on     func(*Conn, *msg.Message) // instead of an event
	refuse error
}

func newRecorder() *recorder { return &recorder{events: make(chan string, 100_000)} }

func (r *recorder) HandleMessage(c *Conn, m *msg.Message) {
	if r.on != nil {
		r.on(c, m)
		return
	}
	r.events <- fmt.Sprintf("message %d %s", m.TID, m.Front)
}

func (r *recorder) HandleAccept(c *Conn) error {
	if r.refuse == nil {
		r.events <- "accept " + c.Peer().ID.String()
	}
	return r.refuse
}

func (r *recorder) HandleConnect(*Conn)     { r.events <- "connect" }
func (r *recorder) HandleReset(*Conn)       { r.events <- "reset" }
func (r *recorder) HandleRemoteReset(*Conn) { r.events <- "remote reset" }
func (r *recorder) HandleRefused(_ *Conn, err error) {
	r.events <- "refused " + err.Error()
}

// want waits for an event.
func (r *recorder) want(t testing.TB, want string) {
	t.Helper()
	select {
	case got := <-r.events:
		if got != want {
			t.Fatalf("event %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("no event, want %q", want)
	}
}

// until waits for an event and passes over others.
func (r *recorder) until(t testing.TB, want string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case got := <-r.events:
			if got == want {
				return
			}
		case <-timeout:
			t.Fatalf("no event %q", want)
		}
	}
}

func text(tid uint64, s string) *msg.Message {
	return &msg.Message{Type: msg.TypePing, TID: tid, Front: []byte(s)}
}

func big(n int) []byte { return bytes.Repeat([]byte("ebofs"), n/5+1)[:n] }

var ctx = context.Background()

type (
	identBody     = frame.ClientIdentBody
	reconnectBody = frame.ReconnectBody
)
