package mon_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
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
	"ebofs/cluster/golden"
	"ebofs/cluster/mon"
	"ebofs/cluster/monc"
	"ebofs/cluster/monmap"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
	"ebofs/cluster/osdmap"
	"ebofs/cluster/quorum"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is a monitor on a quorum in RAM.
type cluster struct {
	options func(name string) string // of the file; nil: what tests need
	more    map[string]string        // of the file, besides
	offset  atomic.Int64             // seconds that the monitor's clock is ahead
	t       *testing.T
	q       *quorum.Memory
	m       *mon.Monitor
	made    mon.Made
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	return newClusterWith(t, nil)
}

// newClusterWith is one whose monitor's file has some more options.
func newClusterWith(t *testing.T, more map[string]string) *cluster {
	t.Helper()
	c := &cluster{t: t, q: quorum.NewMemory(), more: more}
	ctx := context.Background()
	var err error
	c.made, err = mon.Make(ctx, c.q.View("a"), mon.NewCluster{Monitors: []monmap.Monitor{{Name: "a", Addrs: ceph.AddrVec{ceph.MsgrAddr(freePort(t), 0)}}}, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	c.start()
	t.Cleanup(func() { c.m.Close() })
	return c
}

// freePort is where a monitor listens: its map has to say so before it does.
func freePort(t *testing.T) netip.AddrPort {
	m, err := msgr.New(msgr.Options{Type: ceph.TypeMon, Dispatcher: msgr.NopDispatcher{}, ServerAuth: func() msgr.ServerAuth { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Bind(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
		t.Fatal(err)
	}
	defer m.Shutdown()
	return m.Addrs().Msgr2().IP
}

func (c *cluster) start() {
	c.t.Helper()
	q := c.q.View("a")
	ctx := context.Background()
	kv, err := q.Get(ctx, "monmap")
	if err != nil || kv.Rev == 0 {
		c.t.Fatal("no map", err)
	}
	at := c.addrs().Msgr2().IP
	o := conf.Defaults(ceph.EntityName{Type: ceph.TypeMon, ID: "a"})
	for _, name := range []string{"mon_allow_pool_delete", "mon_allow_pool_size_one"} {
		v := "true"
		if c.options != nil {
			v = c.options(name)
		}
		if err := o.Set(conf.FromFile, name, v); err != nil {
			c.t.Fatal(err)
		}
	}
	for name, v := range c.more {
		if err := o.Set(conf.FromFile, name, v); err != nil {
			c.t.Fatal(err)
		}
	}
	if c.m, err = mon.New(ctx, mon.Config{Name: "a", Addr: at, Quorum: q, Options: o, Now: c.now}); err != nil {
		c.t.Fatal(err)
	}
	if err := c.m.Start(ctx); err != nil {
		c.t.Fatal(err)
	}
}

// now is the monitor's clock, which ahead sets forward.
func (c *cluster) now() time.Time {
	return time.Now().Add(time.Duration(c.offset.Load()) * time.Second)
}

func (c *cluster) ahead(seconds int64) { c.offset.Add(seconds) }

func (c *cluster) addrs() ceph.AddrVec {
	kv, err := c.q.View("x").Get(context.Background(), "monmap")
	if err != nil {
		c.t.Fatal(err)
	}
	return decodeMonMap(c.t, kv.Value).At(0).Addrs
}

// client is somebody who is logged in.
type client struct {
	msgr.NopDispatcher
	t    *testing.T
	m    *msgr.Messenger
	c    *monc.Client
	maps chan *msg.OSDMap
	log  chan *msg.Log
	// other are messages that nobody else takes.
	other chan msg.Payload
}

func (c *cluster) client(name string, key cephx.Key) *client {
	c.t.Helper()
	n, err := ceph.ParseEntityName(name)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.login(n, key, -1)
}

func (x *client) HandleMessage(_ *msgr.Conn, in *msg.Message) {
	p, err := msg.Unpack(in)
	if err != nil {
		x.t.Error(err)
		return
	}
	switch p := p.(type) {
	case *msg.MonCommandAck:
		p.Output = slices.Clone(p.Output)
		x.c.Answer(in.TID, p)
	case *msg.OSDMap:
		in.Hold()
		x.maps <- p
	case *msg.Log:
		in.Hold()
		x.log <- p
	default:
		if !x.c.Handle(p) {
			in.Hold()
			x.other <- p
		}
	}
}

func (x *client) HandleReset(c *msgr.Conn) { x.c.Reset(c) }

// run runs a command: prefix, then names and values.
func (x *client) run(prefix string, args ...any) (*msg.MonCommandAck, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	m := map[string]any{"prefix": prefix, "format": "json"}
	for i := 0; i < len(args); i += 2 {
		m[args[i].(string)] = args[i+1]
	}
	return x.c.Command(ctx, m)
}

// ok runs a command that has to succeed and reads its answer into v.
func (x *client) ok(v any, prefix string, args ...any) string {
	x.t.Helper()
	a, err := x.run(prefix, args...)
	if err != nil {
		x.t.Fatal(err)
	}
	if a.Result != 0 {
		x.t.Fatalf("%s %v: %d %s", prefix, args, a.Result, a.Text)
	}
	if v != nil {
		if err := json.Unmarshal(a.Output, v); err != nil {
			x.t.Fatalf("%s: %v: %s", prefix, err, a.Output)
		}
	}
	return a.Text
}

// fails runs a command that has to fail.
func (x *client) fails(want ceph.Errno, prefix string, args ...any) {
	x.t.Helper()
	a, err := x.run(prefix, args...)
	if err != nil {
		x.t.Fatal(err)
	}
	if ceph.Errno(a.Result) != want || a.Text == "" {
		x.t.Errorf("%s %v: %d %q, want %d and a text", prefix, args, a.Result, a.Text, want)
	}
}

func decodeMonMap(t *testing.T, p []byte) *monmap.Map {
	m, err := monmap.Parse(p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestCommands walks a cluster's first hour.
func TestCommands(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.made.Admin)
	var status struct {
		FSID   string
		Health struct{ Checks map[string]any }
		OSDMap struct {
			Num int `json:"num_osds"`
		}
	}
	x.ok(&status, "status")
	if status.FSID != c.made.FSID.String() || len(status.Health.Checks) != 1 || status.Health.Checks["TOO_FEW_OSDS"] == nil {
		t.Errorf("%+v", status)
	}
	const uuid = "3f0c9a1e-4c0e-4b6e-9d5f-0f4f8e2a9b11"
	var made struct{ OSDID int32 }
	for range 2 { // asked twice it is the same
		x.ok(&made, "osd new", "uuid", uuid)
		if made.OSDID != 0 {
			t.Errorf("osd.%d", made.OSDID)
		}
	}
	x.fails(ceph.EEXIST, "osd new", "uuid", uuid, "id", "4")
	x.fails(ceph.EINVAL, "osd new", "uuid", "nonsense")
	x.ok(nil, "osd crush create-or-move", "id", 0, "weight", 0.5, "args", []string{"host=h", "root=default"})
	x.fails(ceph.ENOENT, "osd crush create-or-move", "id", 7, "weight", 0.5, "args", []string{"host=h", "root=default"})
	x.ok(nil, "osd crush set-device-class", "class", "ssd", "ids", []string{"0"})
	x.fails(ceph.EBUSY, "osd crush set-device-class", "class", "hdd", "ids", []string{"0"})
	var tree struct {
		Nodes []struct{ Name, Type, Status string }
	}
	x.ok(&tree, "osd tree")
	if len(tree.Nodes) != 3 || tree.Nodes[2].Name != "osd.0" || tree.Nodes[2].Status != "down" {
		t.Errorf("%+v", tree)
	}
	if text := x.ok(nil, "osd pool create", "pool", "p", "pg_num", 8); text != "pool 'p' created" {
		t.Error(text)
	}
	if text := x.ok(nil, "osd pool create", "pool", "p"); text != "pool 'p' already exists" {
		t.Error(text)
	}
	x.fails(ceph.EOPNOTSUPP, "osd pool create", "pool", "e", "pool_type", "erasure")
	x.fails(ceph.EPERM, "osd pool set", "pool", "p", "var", "size", "val", "1")
	x.ok(nil, "osd pool set", "pool", "p", "var", "size", "val", "1", "yes_i_really_mean_it", true)
	var size struct{ Size int }
	x.ok(&size, "osd pool get", "pool", "p", "var", "size")
	if size.Size != 1 {
		t.Errorf("%+v", size)
	}
	x.fails(ceph.EINVAL, "osd pool create", "pool", "wide", "size", 257)
	x.ok(nil, "osd pool set", "pool", "p", "var", "nosizechange", "val", "1")
	x.fails(ceph.EPERM, "osd pool set", "pool", "p", "var", "size", "val", "2")
	x.ok(nil, "osd pool set", "pool", "p", "var", "nosizechange", "val", "0")
	x.ok(nil, "osd pool set", "pool", "p", "var", "size", "val", "2")
	x.ok(nil, "osd pool application enable", "pool", "p", "app", "rbd")
	x.ok(nil, "osd pool rename", "srcpool", "p", "destpool", "q")
	x.ok(nil, "osd pool mksnap", "pool", "q", "snap", "s")
	x.fails(ceph.ENOENT, "osd pool mksnap", "pool", "p", "snap", "s")
	x.fails(ceph.EPERM, "osd pool rm", "pool", "q")
	x.ok(nil, "osd pool rm", "pool", "q", "pool2", "q", "yes_i_really_really_mean_it", true)
	var pools []string
	x.ok(&pools, "osd pool ls")
	if len(pools) != 0 {
		t.Error(pools)
	}
	x.fails(ceph.EINVAL, "no such command")
	for _, w := range []any{"nan", "inf", -1, 70000, 1e300} {
		x.fails(ceph.EINVAL, "osd crush reweight", "name", "osd.0", "weight", w)
		x.fails(ceph.EINVAL, "osd reweight", "id", 0, "weight", w)
		x.fails(ceph.EINVAL, "osd crush create-or-move", "id", 0, "weight", w, "args", []string{"host=h", "root=default"})
	}
	x.fails(ceph.EINVAL, "osd dump", "epoch", 1.5)
	for _, s := range []any{"nan", -1, 1e10, 1e300} {
		x.fails(ceph.EINVAL, "osd blocklist", "blocklistop", "add", "addr", "10.0.0.1:0/7", "expire", s)
	}
	x.ok(nil, "osd blocklist", "blocklistop", "add", "addr", "10.0.0.1:0/7", "expire", 1e9)
	x.fails(ceph.EINVAL, "osd pool create") // no pool
	x.fails(ceph.EINVAL, "osd set", "key", "nonsense")
	x.ok(nil, "osd set", "key", "noout")
	var health struct {
		Status string
		Checks map[string]struct{ Severity string }
	}
	x.ok(&health, "health", "detail", "detail")
	if health.Status != "HEALTH_WARN" || health.Checks["OSDMAP_FLAGS"].Severity != "HEALTH_WARN" {
		t.Errorf("%+v", health)
	}
	x.ok(nil, "osd unset", "key", "noout")
	x.ok(nil, "config set", "who", "osd", "name", "debug osd", "value", "5")
	var dump []struct{ Section, Name, Value string }
	x.ok(&dump, "config dump")
	if len(dump) != 1 || dump[0].Name != "debug_osd" || dump[0].Value != "5" {
		t.Errorf("%+v", dump)
	}
}

// TestRestart: a monitor that starts anew has what the last one was told, and
// clients go on by themselves.
func TestRestart(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.made.Admin)
	x.ok(nil, "osd pool create", "pool", "p", "pg_num", 4)
	x.ok(nil, "config-key set", "key", "k", "val", "v")
	epoch := c.m.State().OSD.Epoch
	c.m.Close()
	c.start()
	var pools []string
	x.ok(&pools, "osd pool ls")
	if !slices.Equal(pools, []string{"p"}) || c.m.State().OSD.Epoch != epoch {
		t.Errorf("%v, epoch %d, was %d", pools, c.m.State().OSD.Epoch, epoch)
	}
	if _, err := mon.Make(context.Background(), c.q.View("b"), mon.NewCluster{Monitors: []monmap.Monitor{{Name: "a"}}, Now: time.Now()}); !errors.Is(err, quorum.ErrConflict) {
		t.Errorf("a second cluster in one quorum: %v", err)
	}
}

// TestCaps: what caps do not grant is refused, and logins without a key fail.
func TestCaps(t *testing.T) {
	c := newCluster(t)
	admin := c.client("client.admin", c.made.Admin)
	var keys []struct{ Key string }
	admin.ok(&keys, "auth get-or-create", "entity", "client.r", "caps", []string{"mon", "allow r", "osd", "allow rw pool=p"})
	key, err := cephx.ParseKey(keys[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	r := c.client("client.r", key)
	r.ok(nil, "osd dump")
	r.fails(ceph.EACCES, "osd pool create", "pool", "p")
	r.fails(ceph.EACCES, "auth get-key", "entity", "client.admin")
	r.fails(ceph.EACCES, "config-key set", "key", "k", "val", "v")
	admin.fails(ceph.EINVAL, "auth add", "entity", "client.r", "caps", []string{"mon", "allow *"})
	admin.ok(nil, "auth rm", "entity", "client.r")

	other, err := cephx.NewKey(rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"client.admin", "client.nobody"} {
		x := c.client(name, other)
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		if _, err := x.c.FSID(ctx); err == nil {
			t.Errorf("%s with a wrong key is let in", name)
		}
		cancel()
	}
}

// TestSubscribe: maps come once or for ever, whole or as increments, and those
// make the whole one.
func TestSubscribe(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.made.Admin)
	x.c.Subscribe("osdmap", msg.Subscription{})
	first := <-x.maps
	if len(first.Full) != 1 {
		t.Fatalf("%d full maps", len(first.Full))
	}
	m, err := osdmap.Decode(first.Full[first.Newest])
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		x.ok(nil, "osd pool create", "pool", string(rune('a'+i)), "pg_num", 1)
		p := <-x.maps
		inc, err := osdmap.DecodeIncremental(p.Incrementals[m.Epoch+1])
		if err != nil {
			t.Fatal(err)
		}
		if m, err = m.Next(inc); err != nil {
			t.Fatal(err)
		}
	}
	if m.Epoch != c.m.State().OSD.Epoch || len(m.Pools) != 3 {
		t.Errorf("epoch %d with %d pools", m.Epoch, len(m.Pools))
	}
}

// TestSubscribeOnce: who asks once for OSD maps gets all there are, and for a while
// those that come, for the first may not say what it waits for. One that comes back
// to the monitor is shown the newest.
func TestSubscribeOnce(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.made.Admin)
	change := func(twice int) {
		for range twice {
			x.ok(nil, "osd set", "key", "noout")
			x.ok(nil, "osd unset", "key", "noout")
		}
	}
	next := c.m.State().OSD.Epoch + 1
	come := func() {
		t.Helper()
		for last := c.m.State().OSD.Epoch; next <= last; {
			select {
			case p := <-x.maps:
				for ; p.Incrementals[next] != nil; next++ {
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("epoch %d of %d does not come", next, last)
			}
		}
	}
	change(30) // more than one message holds
	x.c.Subscribe("osdmap", msg.Subscription{Start: uint64(next), Flags: msg.SubscribeOnce})
	come()
	change(2)
	come()
	c.ahead(60)
	change(2) // what is sent of one change goes before the answer to the next
	if n := len(x.maps); n != 1 {
		t.Errorf("%d maps later, want the last one", n)
	}
	<-x.maps
	next = c.m.State().OSD.Epoch
	x.c.Subscribe("monmap", msg.Subscription{Start: 2}) // as in a session that is not its first
	come()
	change(1)
	come()
}

// TestRace: changes from many sides at once all happen.
func TestRace(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.made.Admin)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if a, err := x.run("osd pool create", "pool", strings.Repeat("p", i+1), "pg_num", 1); err != nil || a.Result != 0 {
				t.Error(a, err)
			}
		})
	}
	wg.Wait()
	var pools []string
	x.ok(&pools, "osd pool ls")
	if len(pools) != 20 {
		t.Errorf("%d pools", len(pools))
	}
}

// TestRacePlaces: commands that put an OSD at a place do so whatever others, or the
// same sent once more, did meanwhile.
func TestRacePlaces(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.made.Admin)
	x.ok(nil, "osd new", "uuid", "3f0c9a1e-4c0e-4b6e-9d5f-0f4f8e2a9b11")
	var wg sync.WaitGroup
	for i := range 16 {
		x := c.client("client.admin", c.made.Admin)
		wg.Go(func() {
			prefix := []string{"osd crush create-or-move", "osd crush set"}[i%2]
			if a, err := x.run(prefix, "id", []any{0, "osd.0"}[i%2], "weight", 0.5, "args", []string{"host=h", "root=default"}); err != nil || a.Result != 0 {
				t.Errorf("%s: %+v, %v", prefix, a, err)
			}
		})
	}
	wg.Wait()
	var tree struct {
		Nodes []struct {
			Name   string
			Weight float64 `json:"crush_weight"`
		}
	}
	x.ok(&tree, "osd tree")
	found := 0
	for _, n := range tree.Nodes {
		if n.Name == "osd.0" && n.Weight == 0.5 {
			found++
		}
	}
	if found != 1 {
		t.Errorf("%+v", tree)
	}
}

// TestSignatures holds our commands against those of a real monitor: the same
// words, module and permissions, and of its arguments those we know, of the same
// name and type.
func TestSignatures(t *testing.T) {
	type signature struct {
		Prefix, Module, Perm string
		Args                 []mon.Argument
	}
	real := map[string]signature{}
	for line := range golden.Lines(t, golden.Files(t, "wire/command-signatures.jsonl")[0]) {
		var s signature
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		real[s.Prefix] = s
	}
	for _, c := range mon.Commands() {
		want, ok := real[c.Prefix]
		if c.Tell {
			continue
		}
		if !ok {
			t.Errorf("%q is no command of a real monitor", c.Prefix)
			continue
		}
		if c.Module != want.Module || c.Perm != want.Perm {
			t.Errorf("%q: module %s, perm %s, real ones %s, %s", c.Prefix, c.Module, c.Perm, want.Module, want.Perm)
		}
		for _, a := range c.Args {
			i := slices.IndexFunc(want.Args, func(w mon.Argument) bool { return w.Name == a.Name })
			if i < 0 || want.Args[i].Type != a.Type || want.Args[i].N != a.N || a.Req == "" && want.Args[i].Req == "false" {
				t.Errorf("%q: argument %+v, real ones %+v", c.Prefix, a, want.Args)
			}
		}
	}
}
