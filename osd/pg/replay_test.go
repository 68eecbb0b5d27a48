package pg

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd"
	"ebofs/osd/captured"
	_ "ebofs/osd/cls/all"
	"ebofs/osd/memstore"
	"ebofs/osd/ops"
)

// session is a client that keeps what it is sent.
type session struct {
	id   ceph.EntityID
	sent chan msg.Payload
}

func newSession(num int64) *session {
	return &session{ceph.EntityID{Type: ceph.TypeClient, Num: num}, make(chan msg.Payload, 100)}
}

func (s *session) Send(p msg.Payload)    { s.sent <- p }
func (s *session) Client() ceph.EntityID { return s.id }
func (s *session) Addr() ceph.Addr       { return ceph.Addr{Type: ceph.AddrAny} }

// pool is the PGs of captured pools, made when they are first asked for.
type pool struct {
	t     *testing.T
	store osd.ObjectStore
	pgs   map[ceph.PG]*PG
	epoch ceph.Epoch
}

func newPool(t *testing.T) *pool {
	p := &pool{t: t, store: memstore.New(memstore.Options{}), pgs: map[ceph.PG]*PG{}}
	t.Cleanup(func() {
		for _, g := range p.pgs {
			g.Close()
		}
		_ = p.store.Close(context.Background())
	})
	return p
}

func (p *pool) get(id ceph.PG) *PG {
	p.t.Helper()
	if g := p.pgs[id]; g != nil {
		return g
	}
	pgNum := uint32(4) // of the pools that were captured, but one
	if id.Seed >= pgNum {
		pgNum = 32
	}
	var txn osd.Transaction
	Create(&txn, id, pgNum, Info{Created: 1})
	ctx := context.Background()
	if err := osd.Apply(ctx, p.store, &txn); err != nil {
		p.t.Fatal(err)
	}
	g, err := Open(ctx, Config{
		Store: p.store, PG: id, PGNum: pgNum, Fetch: p.fetch,
		Epoch: func() ceph.Epoch { return p.epoch },
		After: func(time.Duration, func()) func() bool { return func() bool { return true } },
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.pgs[id] = g
	return g
}

func (p *pool) fetch(ctx context.Context, loc ceph.Locator, name string, snap ceph.SnapID) (*ops.Content, error) {
	for id, g := range p.pgs {
		if id.Pool != loc.Pool {
			continue
		}
		all, _, err := p.store.List(ctx, Collection(id), nil, nil, 1<<20)
		if err != nil {
			return nil, err
		}
		for _, o := range all {
			if h := ops.HObject(o); h.Name == name && h.Namespace == loc.Namespace && h.Snap == ceph.NoSnap {
				return g.env.Whole(ctx, h, snap)
			}
		}
	}
	return nil, ceph.ENOENT
}

// do submits a request and returns the reply.
func (p *pool) do(g *PG, req *ops.Request, from Session) *msg.OSDOpReply {
	p.t.Helper()
	done := make(chan *msg.OSDOpReply, 1)
	g.Submit(req, from, func(r *msg.OSDOpReply) { done <- r })
	select {
	case r := <-done:
		return r
	case <-time.After(time.Minute):
		p.t.Fatalf("%s: no reply", req.Name)
		return nil
	}
}

// TestReplies plays captured scenarios and wants the fronts of the replies, byte
// for byte: versions, flags and all. Before each write the PG is brought to the
// version it had, as not every request was captured.
func TestReplies(t *testing.T) {
	// Replies that may be different, and why.
	differ := map[string]int{
		"api-data": 0, "api-guard": 0, "api-omap": 0, "api-snap": 0, "rados-omap": 0, "fio-rados": 0, "watch-reconnect": 0,
		"rados-lock": 0, "rados-xattr": 0, "api-watchto": 0,
		"rbd-basic": 0, "rbd-snap-clone": 0, "rbd-snap-clone-v2": 0,

		"rados-object":      1, // copy-get
		"fio-rbd":           8, // reads of an object whose last writes were not captured
		"rbd-import-export": 3, // second deletes of objects whose first were not
	}
	for name, allowed := range differ {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			before, all := captured.Scenario(t, name)
			for i, c := range before {
				p.play(c, i)
			}
			bad := 0
			for i, c := range all {
				if d := p.play(c, len(before)+i); d != "" {
					bad++
					t.Logf("%s: %s: %s", c.Cmd, c.Name, d)
				}
			}
			if bad != allowed || len(all) == 0 {
				t.Errorf("%d of %d replies differ, want %d", bad, len(all), allowed)
			}
		})
	}
}

// play submits a request and says in what the reply differs from the captured
// one. Nth makes it one of its own: clients begin their tids anew.
func (p *pool) play(c *captured.Request, nth int) string {
	g := p.get(c.PG.PG)
	p.epoch = c.Reply.Epoch
	g.at(c.Reply, len(c.Snaps) > 0)
	s := newSession(c.Client.Num)
	req := &ops.Request{OSDOp: c.OSDOp, Client: s.id, Addr: c.Addr, ReqID: ceph.ReqID{Name: s.id, Tid: uint64(1000 + nth)}}
	return differs(p.do(g, req, s), c.Reply)
}

// at brings the PG to where it was before a captured reply, if what lies between
// was not captured. A write that may make a clone may take two versions.
func (p *PG) at(want *msg.OSDOpReply, mayClone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, takes := want.Replay, uint64(1)
	if mayClone {
		takes = 2
	}
	switch {
	case v.IsZero():
	case want.Result < 0:
		p.mu.last = ceph.EVersion{Version: v.Version - 1, Epoch: v.Epoch}
		if p.mu.lastUser < want.UserVersion {
			p.mu.lastUser = want.UserVersion
		}
	case len(want.Ops) > 0 && want.Ops[0].Code.Kind() == msg.KindPG:
		p.mu.last, p.mu.lastUser = v, want.UserVersion
	case p.mu.last.Version+takes < v.Version:
		p.mu.last = ceph.EVersion{Version: v.Version - 1, Epoch: v.Epoch}
		p.mu.lastUser = max(p.mu.lastUser, want.UserVersion-min(want.UserVersion, 1))
	}
}

func differs(got, want *msg.OSDOpReply) string {
	var a, b denc.Encoder
	for _, r := range []*msg.OSDOpReply{got, want} {
		for i := range r.Ops {
			if r.Ops[i].Code == msg.OpNotify || r.Ops[i].Code == msg.OpStat || r.Ops[i].Code == msg.OpListWatchers {
				r.Ops[i].Data = nil
			}
		}
	}
	got.Encode(&a)
	want.Encode(&b)
	if bytes.Equal(a.Bytes(), b.Bytes()) {
		return ""
	}
	return fmt.Sprintf("result %d replay %v bad %v user %d\nwant   %d replay %v bad %v user %d\n%x\n%x",
		got.Result, got.Replay, got.BadReplay, got.UserVersion, want.Result, want.Replay, want.BadReplay, want.UserVersion, a.Bytes(), b.Bytes())
}
