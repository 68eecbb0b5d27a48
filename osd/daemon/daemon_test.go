package daemon_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/conf"
	"ebofs/cluster/mon"
	"ebofs/cluster/monc"
	"ebofs/cluster/monmap"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
	"ebofs/cluster/osdmap"
	"ebofs/cluster/quorum"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/osd"
	"ebofs/osd/daemon"
	"ebofs/osd/ebofsstore"
	"ebofs/osd/track"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is a monitor and an OSD on a store in RAM.
type cluster struct {
	reclaims   atomic.Int64            // how often the OSD asked for space
	configure  func(map[string]string) // of its OSD
	t          *testing.T
	q          *quorum.Memory
	mon        *mon.Monitor
	admin      cephx.Key
	key        cephx.Key // of osd.0
	dev        *devices.Mem
	engine     *ebofs.Store
	store      osd.ObjectStore
	osd        *daemon.OSD
	failsafe   float64
	scrubEvery time.Duration
	complain   time.Duration
	blockAfter time.Duration
	wrap       func(osd.ObjectStore) osd.ObjectStore // what the OSD sees of the store
}

var msgrLossy = msgr.LossyClient

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freePort finds a port for a monitor: its map names it before it listens.
func freePort(t *testing.T) netip.AddrPort {
	m, err := msgr.New(msgr.Options{Type: ceph.TypeMon, Dispatcher: msgr.NopDispatcher{}, ServerAuth: func() msgr.ServerAuth { return nil }})
	must(t, err)
	must(t, m.Bind(loopback))
	defer m.Shutdown()
	return m.Addrs().Msgr2().IP
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, q: quorum.NewMemory()}
	at := freePort(t)
	made, err := mon.Make(ctx(t), c.q.View("a"), mon.NewCluster{Monitors: []monmap.Monitor{{Name: "a", Addrs: ceph.AddrVec{ceph.MsgrAddr(at, 0)}}}, Now: time.Now()})
	must(t, err)
	c.admin = made.Admin
	c.mon, err = mon.New(ctx(t), mon.Config{Name: "a", Addr: at, Quorum: c.q.View("a"), Options: sizeOne(t)})
	must(t, err)
	must(t, c.mon.Start(ctx(t)))
	t.Cleanup(func() { c.mon.Close() })
	c.key, err = cephx.NewKey(rand.Reader, time.Now())
	must(t, err)
	must(t, c.mon.AddEntity(ctx(t), ceph.EntityName{Type: ceph.TypeOSD, ID: "0"}, cephx.Entity{
		Key: c.key, Caps: map[ceph.EntityType]string{ceph.TypeMon: "allow profile osd", ceph.TypeOSD: "allow *"},
	}))
	c.dev = devices.NewMem(devices.MemOptions{Blocks: 256 << 20 / devices.BlockSize})
	_, err = ebofs.Format(ctx(t), c.dev, ebofs.FormatOptions{LogBytes: 16 << 20})
	must(t, err)
	c.start()
	t.Cleanup(func() { c.stop() })
	return c
}

// sizeOne are options that allow pools of one copy.
func sizeOne(t *testing.T) *conf.Config {
	o := conf.Defaults(ceph.EntityName{Type: ceph.TypeMon, ID: "a"})
	must(t, o.Set(conf.FromFile, "mon_allow_pool_size_one", "true"))
	return o
}

// start opens store and OSD.
func (c *cluster) start() {
	c.t.Helper()
	s, err := ebofs.Open(ctx(c.t), c.dev, ebofs.Options{MemoryBytes: 128 << 20})
	must(c.t, err)
	c.engine = s
	c.store = ebofsstore.New(s)
	if c.wrap != nil {
		c.store = c.wrap(c.store)
	}
	c.osd, err = daemon.New(ctx(c.t), c.config(0))
	must(c.t, err)
	must(c.t, c.osd.Start(ctx(c.t)))
}

func (c *cluster) config(id int32) daemon.Config {
	return daemon.Config{
		Reclaim: func(context.Context) error { c.reclaims.Add(1); return nil },
		ID:      id, Store: c.store, Addr: loopback, Monitors: []ceph.AddrVec{c.mon.Addrs()}, Key: c.key, Host: "h", Report: 50 * time.Millisecond, Configure: c.configure, FailsafeRatio: c.failsafe, BlockAfter: c.blockAfter, Track: track.Options{Complain: c.complain}, Scrub: daemon.ScrubConfig{Every: c.scrubEvery, DeepEvery: c.scrubEvery}}
}

func (c *cluster) stop() {
	if c.osd == nil {
		return
	}
	c.osd.Close()
	must(c.t, c.store.Close(context.Background()))
	c.osd = nil
}

// client is a client as librados is one: it has the map, and sends requests again
// when the map or a connection changes.
type client struct {
	msgr.NopDispatcher
	t      *testing.T
	m      *msgr.Messenger
	mon    *monc.Client
	mu     sync.Mutex
	cond   *sync.Cond
	maps   *osdmap.Map
	tid    uint64
	flag   uint32          // of requests, besides the usual ones
	stale  ceph.Epoch      // how old the map is that requests are said to be made with
	blocks map[uint64]bool // told to keep requests; false: not any more
	shared int             // maps that OSDs sent
	snap   ceph.SnapID     // that requests are about
	wait   map[uint64]chan *msg.OSDOpReply
	sent   map[uint64]*msg.OSDOp
	to     map[uint64]ceph.AddrVec // where that was sent
	told   map[uint64]chan *msg.CommandReply
	lost   int
}

func (c *cluster) client(name string, key cephx.Key) *client {
	c.t.Helper()
	n, err := ceph.ParseEntityName(name)
	must(c.t, err)
	modes := []cephx.Mode{cephx.ModeSecure}
	auth, err := cephx.NewClient(cephx.ClientOptions{Name: n, Key: key, Methods: []cephx.Method{cephx.MethodCephX}, MonModes: modes, Modes: modes, Services: uint32(ceph.TypeMon | ceph.TypeOSD), Now: time.Now, Rand: rand.Reader})
	must(c.t, err)
	x := &client{t: c.t, snap: ceph.NoSnap, wait: map[uint64]chan *msg.OSDOpReply{}, sent: map[uint64]*msg.OSDOp{}, to: map[uint64]ceph.AddrVec{}, told: map[uint64]chan *msg.CommandReply{}}
	x.cond = sync.NewCond(&x.mu)
	x.m, err = msgr.New(msgr.Options{Type: ceph.TypeClient, GID: -1, Dispatcher: x, BackoffMin: 10 * time.Millisecond, ClientAuth: func(to ceph.EntityType) (msgr.ClientAuth, error) { return auth.Handshake(to) }})
	must(c.t, err)
	must(c.t, x.m.Start())
	x.mon = monc.New(monc.Options{Monitors: []ceph.AddrVec{c.mon.Addrs()}, Messenger: x.m, Auth: auth})
	x.mon.Start()
	c.t.Cleanup(func() { x.mon.Close(); x.m.Shutdown() })
	x.mon.Subscribe("osdmap", msg.Subscription{})
	x.until(func() bool { return x.maps != nil })
	return x
}

// until waits for something to be true of the client's state.
func (x *client) until(ok func() bool) {
	x.t.Helper()
	stop := time.AfterFunc(30*time.Second, func() { x.mu.Lock(); x.lost = -1; x.cond.Broadcast(); x.mu.Unlock() })
	defer stop.Stop()
	x.mu.Lock()
	defer x.mu.Unlock()
	for !ok() {
		if x.lost < 0 {
			x.t.Fatal("waited in vain")
		}
		x.cond.Wait()
	}
}

func (x *client) HandleMessage(c *msgr.Conn, in *msg.Message) {
	p, err := msg.Unpack(in)
	if err != nil {
		x.t.Error(err)
		return
	}
	switch p := p.(type) {
	case *msg.MonCommandAck:
		p.Output = slices.Clone(p.Output)
		x.mon.Answer(in.TID, p)
	case *msg.OSDBackoff:
		x.backoff(c, p)
	case *msg.OSDMap:
		if c.Peer().ID.Type == ceph.TypeOSD {
			x.mu.Lock()
			x.shared++
			x.mu.Unlock()
		}
		x.take(p)
	case *msg.CommandReply:
		p.Output = slices.Clone(p.Output)
		x.mu.Lock()
		ch := x.told[in.TID]
		delete(x.told, in.TID)
		x.mu.Unlock()
		if ch != nil {
			ch <- p
		}
	case *msg.OSDOpReply:
		for i := range p.Ops {
			p.Ops[i].Data = slices.Clone(p.Ops[i].Data)
		}
		x.mu.Lock()
		ch := x.wait[in.TID]
		delete(x.wait, in.TID)
		delete(x.sent, in.TID)
		delete(x.to, in.TID)
		x.mu.Unlock()
		if ch != nil {
			ch <- p
		}
	default:
		x.mon.Handle(p)
	}
}

func (x *client) full(id ceph.PoolID) bool {
	return x.maps != nil && x.maps.Pools[id] != nil && x.maps.Pools[id].Flags&osdmap.PoolFull != 0
}

func (x *client) take(p *msg.OSDMap) {
	x.mu.Lock()
	defer x.mu.Unlock()
	old := &client{maps: x.maps}
	for e, b := range p.Full {
		if x.maps == nil || e > x.maps.Epoch {
			m, err := osdmap.Decode(slices.Clone(b))
			if err != nil {
				x.t.Error(err)
				return
			}
			x.maps = m
		}
	}
	for e := x.maps.Epoch + 1; p.Incrementals[e] != nil; e++ {
		inc, err := osdmap.DecodeIncremental(slices.Clone(p.Incrementals[e]))
		if err == nil {
			x.maps, err = x.maps.Next(inc)
		}
		if err != nil {
			x.t.Error(err)
			return
		}
	}
	x.mon.Got("osdmap", uint64(x.maps.Epoch))
	x.cond.Broadcast()
	for _, tid := range slices.Sorted(maps.Keys(x.sent)) { // in their order, as librados does
		m := x.sent[tid]
		if a := old.maps; a != nil && a.Pools[m.Locator.Pool] != nil && x.maps.Pools[m.Locator.Pool] != nil && a.Pools[m.Locator.Pool].PGNum != x.maps.Pools[m.Locator.Pool].PGNum {
			delete(x.to, tid) // its PG may be another
		}
		if old.full(m.Locator.Pool) && !x.full(m.Locator.Pool) {
			delete(x.to, tid) // as if it had been held back until now
		}
		x.sendLocked(tid, m)
	}
}

func (x *client) HandleReset(c *msgr.Conn) {
	if x.mon.Reset(c) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lost++
	for _, tid := range slices.Sorted(maps.Keys(x.sent)) { // in their order, as librados does
		m := x.sent[tid]
		m.Retry++
		delete(x.to, tid)
		x.sendLocked(tid, m)
	}
}

// sendLocked sends a request to the OSD that the map names, if it is up and has
// not got it.
func (x *client) sendLocked(tid uint64, m *msg.OSDOp) {
	pg, hash, err := x.maps.Object(m.Name, m.Locator)
	if err != nil {
		return
	}
	m.PG, m.Hash, m.Epoch = ceph.ShardPG{PG: pg, Shard: ceph.NoShard}, hash, x.maps.Epoch-x.stale
	pl, err := osdmap.NewPlacer(x.maps)
	if err != nil {
		x.t.Error(err)
		return
	}
	var w osdmap.Work
	at, err := pl.Place(&w, pg)
	if err != nil || at.ActingPrimary < 0 {
		delete(x.to, tid) // whoever had it has forgotten it
		return
	}
	addr := x.maps.Client[at.ActingPrimary]
	if x.to[tid].Equal(addr) {
		return
	}
	x.to[tid] = addr
	out := msg.Pack(m)
	out.TID = tid
	_ = x.m.Send(addr, ceph.TypeOSD, msgr.LossyClient, out)
}

// start sends a request; the reply comes out of the channel, over restarts of the
// OSD too.
func (x *client) start(pool, name string, list ...msg.Op) chan *msg.OSDOpReply {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.startLocked(pool, name, list...)
}

func (x *client) startLocked(pool, name string, list ...msg.Op) chan *msg.OSDOpReply {
	id := ceph.PoolID(-1)
	for p, n := range x.maps.PoolNames {
		if n == pool {
			id = p
		}
	}
	x.tid++
	m := &msg.OSDOp{Name: name, Locator: ceph.Locator{Pool: id, Hash: -1}, Ops: list, Snap: x.snap, Flags: msg.FlagOnDisk | msg.FlagKnownRedir | x.flag, Features: msgr.Features16, MTime: ceph.MakeTime(time.Now())}
	ch := make(chan *msg.OSDOpReply, 1)
	x.wait[x.tid], x.sent[x.tid] = ch, m
	x.sendLocked(x.tid, m)
	return ch
}

func (x *client) do(pool, name string, list ...msg.Op) *msg.OSDOpReply {
	x.t.Helper()
	select {
	case r := <-x.start(pool, name, list...):
		return r
	case <-time.After(30 * time.Second):
		x.t.Fatalf("%s: no reply", name)
		return nil
	}
}

func (x *client) command(prefix string, args ...any) {
	x.t.Helper()
	m := map[string]any{"prefix": prefix}
	for i := 0; i < len(args); i += 2 {
		m[args[i].(string)] = args[i+1]
	}
	a, err := x.mon.Command(ctx(x.t), m)
	must(x.t, err)
	if a.Result != 0 {
		x.t.Fatalf("%s: %s", prefix, a.Text)
	}
}

// pool makes a pool and waits for its map.
func (x *client) pool(name string, pgs int) {
	x.t.Helper()
	x.command("osd pool create", "pool", name, "pg_num", pgs, "size", 1)
	x.until(func() bool {
		for _, n := range x.maps.PoolNames {
			if n == name {
				return true
			}
		}
		return false
	})
}

func writeFull(data string) msg.Op {
	o := msg.Op{Code: msg.OpWriteFull, Data: []byte(data)}
	o.SetExtent(msg.Extent{Length: uint64(len(data))})
	return o
}

func appendOp(data string) msg.Op {
	o := writeFull(data)
	o.Code = msg.OpAppend
	return o
}

func read() msg.Op { return msg.Op{Code: msg.OpRead} }

// TestObjects writes and reads objects of a pool of several PGs.
func TestObjects(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	x.pool("p", 8)
	for i := range 50 {
		name := fmt.Sprint("o", i)
		if r := x.do("p", name, writeFull(strings.Repeat(name, 1000))); r.Result != 0 {
			t.Fatalf("%s: %d", name, r.Result)
		}
	}
	for i := range 50 {
		name := fmt.Sprint("o", i)
		r := x.do("p", name, read())
		if r.Result != 0 || string(r.Ops[0].Data) != strings.Repeat(name, 1000) {
			t.Fatalf("%s: %d, %d bytes", name, r.Result, len(r.Ops[0].Data))
		}
	}
	if r := x.do("p", "none", read()); ceph.Errno(r.Result) != ceph.ENOENT {
		t.Errorf("an object that is not there: %d", r.Result)
	}
}

// TestRestart stops the OSD under load and starts it again, from the device as it
// was left: clients go on by themselves, and what was acknowledged is there, once.
func TestRestart(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	x.pool("p", 4)
	const objects, rounds = 8, 3
	want := make([]string, objects)
	for round := range rounds {
		var replies []chan *msg.OSDOpReply
		for i := range 200 {
			text := fmt.Sprintf("[%d.%d]", round, i)
			want[i%objects] += text
			replies = append(replies, x.start("p", fmt.Sprint("o", i%objects), appendOp(text)))
			if i == 100 {
				c.stop()
				c.start()
			}
		}
		for i, ch := range replies {
			select {
			case r := <-ch:
				if r.Result != 0 {
					t.Fatalf("append %d: %d", i, r.Result)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("append %d: no reply", i)
			}
		}
	}
	for i, w := range want {
		r := x.do("p", fmt.Sprint("o", i), read())
		got := string(r.Ops[0].Data)
		// The order of requests that a reset sends again is not kept here as a real
		// client keeps it; each has to be there, and once.
		for round := range rounds {
			for k := range 200 {
				text := fmt.Sprintf("[%d.%d]", round, k)
				if n := strings.Count(got, text); k%objects == i && n != 1 {
					t.Fatalf("o%d: %s is there %d times", i, text, n)
				}
			}
		}
		if len(got) != len(w) {
			t.Errorf("o%d: %d bytes, want %d", i, len(got), len(w))
		}
	}
}

// TestStop: an OSD that stops is down, and does not boot when it learns that.
func TestStop(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	for range 5 {
		c.stop()
		x.command("osd set", "key", "noout") // another map: whatever was sent before is in
		x.command("osd unset", "key", "noout")
		if c.mon.State().OSD.IsUp(0) {
			t.Fatalf("stopped, and up in the map\n%s\n%+v", x.lastLog(), c.mon.State().OSD.Infos[0])
		}
		c.start()
	}
}

// TestCaps: a client does with objects what its caps say, and nothing else.
func TestCaps(t *testing.T) {
	c := newCluster(t)
	admin := c.client("client.admin", c.admin)
	admin.pool("p", 1)
	admin.pool("q", 1)
	key, err := cephx.NewKey(rand.Reader, time.Now())
	must(t, err)
	must(t, c.mon.AddEntity(ctx(t), ceph.EntityName{Type: ceph.TypeClient, ID: "r"}, cephx.Entity{
		Key: key, Caps: map[ceph.EntityType]string{ceph.TypeMon: "allow r", ceph.TypeOSD: "allow r pool=p"},
	}))
	admin.do("p", "o", writeFull("x"))
	r := c.client("client.r", key)
	for _, try := range []struct {
		pool string
		op   msg.Op
		want ceph.Errno
	}{{"p", read(), 0}, {"p", writeFull("y"), ceph.EPERM}, {"q", read(), ceph.EPERM}} {
		if got := r.do(try.pool, "o", try.op); ceph.Errno(got.Result) != try.want {
			t.Errorf("%s %v: %d, want %d", try.pool, try.op.Code, got.Result, try.want)
		}
	}
}

// TestIdentity: a store serves the OSD and the cluster it was made for.
func TestIdentity(t *testing.T) {
	c := newCluster(t)
	if _, err := daemon.New(ctx(t), c.config(1)); err == nil || !strings.Contains(err.Error(), "osd.0's") {
		t.Errorf("another id: %v", err)
	}
	cfg := c.config(0)
	cfg.FSID = ceph.UUID{1}
	if _, err := daemon.New(ctx(t), cfg); err == nil || !strings.Contains(err.Error(), "the configuration is of cluster 01") {
		t.Errorf("another cluster in the configuration: %v", err)
	}
	other := newCluster(t)
	c.osd.Close()
	cfg = c.config(0)
	cfg.Monitors, cfg.Key = []ceph.AddrVec{other.mon.Addrs()}, other.key
	o, err := daemon.New(ctx(t), cfg)
	must(t, err)
	defer o.Close()
	if err := o.Start(ctx(t)); err == nil || !strings.Contains(err.Error(), "belongs to cluster") {
		t.Errorf("another cluster: %v", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	c.osd = nil
	must(t, c.store.Close(context.Background()))
}

// TestReports: the monitors are told what the PGs hold.
func TestReports(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	x.pool("p", 4)
	for i := range 10 {
		x.do("p", fmt.Sprint("o", i), writeFull("0123456789"))
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		a, err := x.mon.Command(ctx(t), map[string]any{"prefix": "status"})
		must(t, err)
		if strings.Contains(string(a.Output), "10 objects, 100 B") && strings.Contains(string(a.Output), "4 active+clean") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s", a.Output)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
