package ops

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd"
	"ebofs/osd/captured"
	_ "ebofs/osd/cls/all"
	"ebofs/osd/memstore"
)

// pgs is every PG of the captured pools; a pool is a collection of one store.
type pgs struct {
	t     *testing.T
	store osd.ObjectStore
	envs  map[ceph.PG]*Env
	pools map[ceph.PoolID]bool
	vers  map[ceph.PG]uint64
	ids   uint64
	part  map[string]bool // objects whose content was not captured as a whole
	now   time.Time       // class methods store times
}

func newPGs(t *testing.T) *pgs {
	s := memstore.New(memstore.Options{})
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return &pgs{t: t, store: s, envs: map[ceph.PG]*Env{}, pools: map[ceph.PoolID]bool{}, vers: map[ceph.PG]uint64{}, part: map[string]bool{}, now: captureTime}
}

// captureTime is when the captures were made.
var captureTime = time.Unix(1795358839, 0)

// env returns the environment of a PG, made when first asked for.
func (p *pgs) env(pg ceph.PG) *Env {
	if e := p.envs[pg]; e != nil {
		return e
	}
	e := &Env{
		Store: p.store, Coll: osd.CollectionID(fmt.Sprint(pg.Pool)), PG: pg,
		NotifyID: func() uint64 { p.ids++; return p.ids },
		Now:      func() time.Time { return p.now },
		Fetch:    p.fetch,
	}
	e.Begin, e.End = pg.Range(pgNum)
	if !p.pools[pg.Pool] {
		p.pools[pg.Pool] = true
		var txn osd.Transaction
		txn.MkColl(e.Coll, osd.CollectionSpec{Shard: -1, Pool: int64(pg.Pool)})
		if err := osd.Apply(context.Background(), p.store, &txn); err != nil {
			p.t.Fatal(err)
		}
	}
	p.envs[pg] = e
	return e
}

// pgNum is what most of the captured pools have.
const pgNum = 4

// fetch reads an object of the captured pools for a copy. Where it lies is found
// by looking at all there are.
func (p *pgs) fetch(ctx context.Context, loc ceph.Locator, name string, snap ceph.SnapID) (*Content, error) {
	e := p.env(ceph.PG{Pool: loc.Pool})
	ids, _, err := p.store.List(ctx, e.Coll, nil, nil, 1<<20)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if h := HObject(id); h.Name == name && h.Namespace == loc.Namespace && h.Snap == ceph.NoSnap {
			return e.Whole(ctx, h, snap)
		}
	}
	return nil, ceph.ENOENT
}

// do carries out one request and queues what it comes to.
func (p *pgs) do(req *Request, want *msg.OSDOpReply) *Outcome {
	p.t.Helper()
	ctx := context.Background()
	pg := req.PG.PG
	e := p.env(pg)
	if err := req.Refuse(); err != 0 {
		return &Outcome{Result: err, Ops: make([]msg.Op, len(req.Ops))}
	}
	head, err := e.Load(ctx, req.Head())
	if err != nil {
		p.t.Fatal(err)
	}
	out := Run(ctx, e, req, head)
	if out.Result < 0 || !out.Writes {
		return out
	}
	at := want.Replay
	if at.IsZero() {
		at = ceph.EVersion{Version: p.vers[pg] + 1, Epoch: 1}
	}
	txn := out.Seal(req, at, p.vers[pg])
	if err := osd.Apply(ctx, p.store, txn); err != nil {
		p.t.Fatalf("%s %v: %v", req.Name, req.Ops, err)
	}
	p.vers[pg] = at.Version
	return out
}

// differ is how many requests of a file may come to something else, and why. Files
// that are not here are not replayed.
var differ = map[string]int{
	"api-data": 0, "api-guard": 0, "api-omap": 0, "api-snap": 0, "api-watch": 0, "api-watchto": 0,
	"fio-rados": 0, "rados-ls": 0, "rados-omap": 0, "watch-reconnect": 0, "backoff": 0,
	"rados-lock": 0, "rados-xattr": 0, "fio-rbd": 0, "rbd-basic": 0, "rbd-snap-clone": 0, "rbd-snap-clone-v2": 0,

	"api-full-pool": 3, // that a pool is full is looked at before
	"api-list":      2, // objects that were there before change where a page ends
	"api-read":      2, // copy-get; a class that is none, of an OSD told to load any

	"rados-bench":   3, // writes of objects that are read were not captured
	"rados-erasure": 4, // an erasure-coded pool
	"rados-object":  1, // read of an object whose write was not captured

	// deletes (2) and updates of an object map, which is loaded three times
	"rbd-import-export": 5,
}

// TestReplay plays whole captured scenarios and wants every result, errno and
// output of the real OSD.
func TestReplay(t *testing.T) {
	for name, allowed := range differ {
		t.Run(name, func(t *testing.T) {
			p := newPGs(t)
			before, all := captured.Scenario(t, name)
			for _, c := range before {
				p.play(c)
			}
			bad := 0
			for _, c := range all {
				if d := p.play(c); d != "" {
					bad++
					t.Logf("%s: %s %v: %s", c.Cmd, c.Name, codes(c.OSDOp), d)
				}
			}
			if bad != allowed {
				t.Errorf("%d of %d requests differ, want %d", bad, len(all), allowed)
			}
		})
	}
}

// play carries out a request and says in what the reply differs from the captured
// one.
func (p *pgs) play(c *captured.Request) string {
	p.t.Helper()
	if !c.MTime.IsZero() {
		p.now = c.MTime.Std()
	}
	p.part[c.Name] = p.part[c.Name] || !c.Whole
	got := p.do(&Request{OSDOp: c.OSDOp, Client: c.Client, Addr: c.Addr}, c.Reply)
	return p.differs(got, c.Reply, c.OSDOp, c.WholeReply)
}

func codes(m *msg.OSDOp) (s []string) {
	for i := range m.Ops {
		s = append(s, m.Ops[i].Code.String())
	}
	return s
}

// differs says in what an outcome is not the captured reply. Of a reply that was
// not captured as a whole, or of an object written by such requests, only the
// length of outputs is compared.
func (p *pgs) differs(got *Outcome, want *msg.OSDOpReply, m *msg.OSDOp, whole bool) string {
	if int32(got.Result) != want.Result {
		return fmt.Sprintf("result %d, want %d", got.Result, want.Result)
	}
	for i := range want.Ops {
		g, w, code := &got.Ops[i], &want.Ops[i], m.Ops[i].Code
		if g.Result != w.Result {
			return fmt.Sprintf("op %d %v: result %d, want %d", i, code, g.Result, w.Result)
		}
		same := bytes.Equal(g.Data, w.Data)
		switch code {
		case msg.OpPGNList:
			same = sameList(g.Data, w.Data, want.Result == 1)
		case msg.OpListWatchers:
			same = len(w.Data) < 10 && len(g.Data) == 0 || len(g.Data) >= 10 && bytes.Equal(g.Data[6:10], w.Data[6:10]) // how many
		case msg.OpNotify:
			same = len(g.Data) == len(w.Data)
		case msg.OpMapExt:
			same = true // where a store has holes is its own affair
		case msg.OpSparseRead:
			same = !whole || p.part[m.Name] || bytes.Equal(dense(g.Data), dense(w.Data))
		case msg.OpCall:
			same = sameCall(captured.Method(&m.Ops[i]), g.Data, w.Data)
		case msg.OpStat:
			same = len(g.Data) == len(w.Data) && (len(g.Data) < 8 || bytes.Equal(g.Data[:8], w.Data[:8]))
		default:
			if !whole || p.part[m.Name] {
				same = len(g.Data) == len(w.Data)
			}
		}
		if !same {
			return fmt.Sprintf("op %d %v: output\n%x, want\n%x", i, code, g.Data, w.Data)
		}
	}
	return ""
}

// sameList compares listings. Objects that were there before the capture began are
// not known, so those in both have to come in the same order; a PG that is through
// has the same end.
func sameList(got, want []byte, through bool) bool {
	read := func(p []byte) (h ceph.HObject, names []listed) {
		d := denc.NewDecoder(p)
		s := d.Begin(1)
		h = ceph.DecodeHObject(d)
		names = denc.Slice(d, 12, func(d *denc.Decoder) listed { return listed{d.Str(), d.Str(), d.Str()} })
		d.End(s)
		return h, names
	}
	end1, names1 := read(got)
	end2, names2 := read(want)
	common := func(a, b []listed) (out []listed) {
		for _, l := range a {
			if slices.Contains(b, l) {
				out = append(out, l)
			}
		}
		return out
	}
	return slices.Equal(common(names1, names2), common(names2, names1)) && (!through || end1 == end2)
}

// dense is the content a sparse read describes, from the object's start.
func dense(p []byte) (out []byte) {
	d := denc.NewDecoder(p)
	list := denc.Slice(d, 16, extent)
	data := d.Bytes()
	for _, x := range list {
		out = append(out, make([]byte, max(x.Off+x.Len, uint64(len(out)))-uint64(len(out)))...)
		n := copy(out[x.Off:x.Off+x.Len], data)
		data = data[n:]
	}
	return bytes.TrimRight(out, "\x00")
}
