package mon_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/mon"
	"ebofs/cluster/monc"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
	"ebofs/cluster/osdmap"
)

// fakeOSD is what monitors see of an OSD: it boots, and reports PGs that are
// active and clean.
type fakeOSD struct {
	*client
	id   int32
	uuid ceph.UUID
	seq  uint64
	// state and sum, if set, are what it reports of PGs.
	state msg.PGState
	sum   msg.ObjectSum
}

// login makes a session of an entity that has a key.
func (c *cluster) login(name ceph.EntityName, key cephx.Key, gid int64, monitors ...ceph.AddrVec) *client {
	c.t.Helper()
	auth, err := cephx.NewClient(cephx.ClientOptions{
		Name: name, Key: key, Methods: []cephx.Method{cephx.MethodCephX}, MonModes: []cephx.Mode{cephx.ModeSecure}, Modes: []cephx.Mode{cephx.ModeSecure},
		Services: uint32(ceph.TypeMon | ceph.TypeOSD), Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	x := &client{t: c.t, maps: make(chan *msg.OSDMap, 1000), log: make(chan *msg.Log, 1000), other: make(chan msg.Payload, 1000)}
	o := msgr.Options{Type: name.Type, GID: gid, Dispatcher: x, ClientAuth: func(to ceph.EntityType) (msgr.ClientAuth, error) { return auth.Handshake(to) }}
	if name.Type != ceph.TypeClient { // it has an address
		o.Nonce = uint32(gid) + 1
		o.ServerAuth = func() msgr.ServerAuth { return nil }
	}
	if x.m, err = msgr.New(o); err != nil {
		c.t.Fatal(err)
	}
	if name.Type != ceph.TypeClient {
		if err := x.m.Bind(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := x.m.Start(); err != nil {
		c.t.Fatal(err)
	}
	if len(monitors) == 0 {
		monitors = []ceph.AddrVec{c.addrs()}
	}
	x.c = monc.New(monc.Options{Monitors: monitors, Messenger: x.m, Auth: auth})
	x.c.Start()
	c.t.Cleanup(func() { x.c.Close(); x.m.Shutdown() })
	return x
}

// osd makes an OSD and boots it.
func (c *cluster) osd(id int32, host string, monitors ...ceph.AddrVec) *fakeOSD {
	c.t.Helper()
	name := ceph.EntityName{Type: ceph.TypeOSD, ID: fmt.Sprint(id)}
	key, err := cephx.NewKey(rand.Reader, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	caps := map[ceph.EntityType]string{ceph.TypeMon: "allow profile osd", ceph.TypeMgr: "allow profile osd", ceph.TypeOSD: "allow *"}
	if err := c.m.AddEntity(context.Background(), name, cephx.Entity{Key: key, Caps: caps}); err != nil {
		c.t.Fatal(err)
	}
	o := &fakeOSD{client: c.login(name, key, int64(id), monitors...), id: id}
	o.uuid[0], o.uuid[15] = 0xee, byte(id)
	o.ok(nil, "osd new", "uuid", o.uuid.String(), "id", id)
	o.ok(nil, "osd crush create-or-move", "id", id, "weight", 0.01, "args", []string{"host=" + host, "root=default"})
	o.ok(nil, "osd crush set-device-class", "class", "hdd", "ids", []string{fmt.Sprint(id)})
	o.boot(c, host)
	return o
}

// boot says that the OSD is there, and waits until the map says it too.
func (o *fakeOSD) boot(c *cluster, host string) {
	o.t.Helper()
	st := c.m.State()
	b := &msg.OSDBoot{
		Paxos: msg.NewPaxos(uint64(st.OSD.Epoch)), Super: msg.Superblock{Cluster: st.MonMap.FSID, OSD: o.id, OSDID: o.uuid, Weight: 1},
		HBBack: o.m.Addrs(), Cluster: o.m.Addrs(), HBFront: o.m.Addrs(), BootEpoch: st.OSD.Epoch, Features: osdmap.Features,
		Metadata: map[string]string{"hostname": host, "ceph_version": mon.Version, "ceph_version_short": "16.2.15", "ceph_release": "pacific", "osd_objectstore": "ebofs", "devices": "vdb", "device_ids": "vdb=SN1"},
	}
	if err := o.c.Send(b); err != nil {
		o.t.Fatal(err)
	}
	c.until(func(st *mon.State) bool { return st.OSD.IsUp(o.id) })
}

// until waits until the state is so.
func (c *cluster) until(ok func(*mon.State) bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := c.m.Wait(ctx, ok); err != nil {
		c.t.Fatal(err)
	}
}

// made tells that the PGs of pools exist that it is primary of.
func (o *fakeOSD) made(m *osdmap.Map) {
	o.t.Helper()
	pl, err := osdmap.NewPlacer(m)
	if err != nil {
		o.t.Fatal(err)
	}
	var w osdmap.Work
	for id, pool := range m.Pools {
		for seed := range pool.PGNum {
			pg := ceph.PG{Pool: id, Seed: seed}
			if at, err := pl.Place(&w, pg); err == nil && at.ActingPrimary == o.id && pool.Flags&osdmap.PoolCreating != 0 {
				if err := o.c.Send(&msg.OSDPGCreated{Paxos: msg.NewPaxos(uint64(m.Epoch)), PG: pg}); err != nil {
					o.t.Fatal(err)
				}
			}
		}
	}
}

// report tells of the PGs that the OSD is primary of, and returns when the monitor
// knows it.
func (o *fakeOSD) report(m *osdmap.Map) {
	o.t.Helper()
	pl, err := osdmap.NewPlacer(m)
	if err != nil {
		o.t.Fatal(err)
	}
	o.seq++
	now := ceph.MakeTime(time.Now())
	p := &msg.PGStats{Paxos: msg.NewPaxos(0), FSID: m.FSID, Epoch: m.Epoch, PGs: map[ceph.PG]msg.PGStat{}}
	p.OSD = msg.OSDStat{
		KB: 1 << 20, KBUsed: 1 << 10, KBAvail: 1<<20 - 1<<10, KBData: 1 << 9, KBMeta: 1 << 9, UpFrom: m.Infos[o.id].UpFrom, Seq: uint64(m.Infos[o.id].UpFrom)<<32 | o.seq, OSDs: 1,
		Store: msg.StoreStatfs{Total: 1 << 30, Available: 1<<30 - 1<<20, Allocated: 1 << 20, Stored: 1 << 20}, CommitMillis: 1, ApplyMillis: 1,
	}
	var w osdmap.Work
	for id, pool := range m.Pools {
		for seed := range pool.PGNum {
			pg := ceph.PG{Pool: id, Seed: seed}
			at, err := pl.Place(&w, pg)
			if err != nil {
				o.t.Fatal(err)
			}
			if at.ActingPrimary != o.id {
				continue
			}
			state := msg.PGActive | msg.PGClean
			if len(at.Acting) < int(pool.Size) {
				state = msg.PGActive | msg.PGUndersized | msg.PGDegraded
			}
			sum := msg.ObjectSum{Objects: 1, Bytes: 4096, Copies: 1}
			if o.state != 0 {
				state, sum = o.state, o.sum
			}
			p.PGs[pg] = msg.PGStat{
				State: state, ReportedSeq: o.seq, ReportedEpoch: m.Epoch, Created: pool.LastChange, LastEpochClean: m.Epoch, Sum: sum,
				Up: slices.Clone(at.Up), Acting: slices.Clone(at.Acting), UpPrimary: at.UpPrimary, ActingPrimary: at.ActingPrimary, MappingEpoch: m.Epoch, LastFresh: now, LastChange: now, LastActive: now, LastClean: now,
			}
		}
	}
	p.OSD.PGs = uint32(len(p.PGs))
	if err := o.c.Send(p); err != nil {
		o.t.Fatal(err)
	}
	o.ok(nil, "osd ls") // behind it on the same session
}

// withOSDs is a cluster with OSDs that are up.
func withOSDs(t *testing.T, n int) (*cluster, *client, []*fakeOSD) {
	t.Helper()
	c := newClusterWith(t, map[string]string{"osd_pool_default_size": "1"})
	var list []*fakeOSD
	for id := range n {
		list = append(list, c.osd(int32(id), fmt.Sprintf("host%d", id)))
	}
	return c, c.client("client.admin", c.made.Admin), list
}

// failed reports another OSD as failed for long.
func (o *fakeOSD) failed(st *mon.State, target int32) {
	o.t.Helper()
	p := &msg.OSDFailure{Paxos: msg.NewPaxos(uint64(st.OSD.Epoch)), FSID: st.MonMap.FSID, Target: target, Addrs: st.OSD.Client[target], Epoch: st.OSD.Epoch, Flags: msg.FailureFailed, FailedFor: 60}
	if err := o.c.Send(p); err != nil {
		o.t.Log(err) // between two sessions
	}
}
