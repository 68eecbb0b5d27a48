package ops

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/golden"
	"ebofs/cluster/msg"
	"ebofs/osd"
	_ "ebofs/osd/cls/all"
	"ebofs/osd/memstore"
)

// captured is a request of an unmodified client and the real OSD's reply.
type captured struct {
	Cmd, Conn string
	Req, Rep  *struct {
		Type, Version, Compat uint16
		Tid                   uint64
		Front                 string
		Data                  *string
		DataHead              string `json:"data_head"`
		DataLen               int    `json:"data_len"`
	}
}

func (c *captured) unpack(t *testing.T, reply bool) msg.Payload {
	t.Helper()
	f := c.Req
	if reply {
		f = c.Rep
	}
	front, err := hex.DecodeString(f.Front)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, f.DataLen)
	kept := f.DataHead
	if f.Data != nil {
		kept = *f.Data
	}
	p, _ := hex.DecodeString(kept)
	for i := copy(data, p); i < len(data); i++ {
		data[i] = 0xa5 // was not kept; bulk data is hardly zeros
	}
	m, err := msg.Unpack(&msg.Message{Type: msg.Type(f.Type), Version: f.Version, Compat: f.Compat, Front: front, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

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

	"api-full-pool": 3, // that a pool is full is looked at before
	"api-list":      2, // objects that were there before change where a page ends
	"api-read":      1, // copy-get
	"rados-lock":    0, "fio-rbd": 0, "rbd-basic": 0, "rbd-snap-clone-v2": 0,

	"rados-bench":   3, // writes of objects that are read were not captured
	"rados-erasure": 4, // an erasure-coded pool
	"rados-object":  1, // read of an object whose write was not captured

	"rbd-snap-clone":    8,  // list-snaps of objects whose writes were not captured
	"rbd-import-export": 23, // 18 likewise; updates of an object map (3), deletes (2)
}

// TestReplay plays whole captured scenarios and wants every result, errno and
// output of the real OSD.
func TestReplay(t *testing.T) {
	for _, file := range golden.Files(t, "ops/*.jsonl*") {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		allowed, ok := differ[name]
		if !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			p := newPGs(t)
			for _, earlier := range before[name] {
				p.play(golden.Files(t, "ops/"+earlier+".jsonl*")[0], func(string) {})
			}
			bad := 0
			n := p.play(file, func(d string) { bad++; t.Log(d) })
			if bad != allowed {
				t.Errorf("%d of %d requests differ, want %d", bad, n, allowed)
			}
		})
	}
}

// before is what was captured earlier in the same pool.
var before = map[string][]string{
	"rbd-snap-clone":    {"rbd-basic"},
	"rbd-snap-clone-v2": {"rbd-basic", "rbd-snap-clone"},
	"rbd-import-export": {"rbd-basic", "rbd-snap-clone", "rbd-snap-clone-v2"},
}

// play carries out the requests of a file, says of each reply that differs from
// the captured one in what, and returns how many there are.
func (p *pgs) play(file string, differ func(string)) (n int) {
	p.t.Helper()
	who := callersOf(p.t, file)
	for line := range golden.Lines(p.t, file) {
		var c captured
		if err := json.Unmarshal(line, &c); err != nil {
			p.t.Fatal(err)
		}
		if c.Req == nil || c.Rep == nil || c.Req.Type != uint16(msg.TypeOSDOp) {
			continue
		}
		m := c.unpack(p.t, false).(*msg.OSDOp)
		want := c.unpack(p.t, true).(*msg.OSDOpReply)
		if !m.MTime.IsZero() {
			p.now = m.MTime.Std()
		}
		w := who.of(c.Conn)
		got := p.do(&Request{OSDOp: m, Client: w.client, Addr: w.addr}, want)
		n++
		if c.Req.Data == nil && c.Req.DataLen > 0 {
			p.part[m.Name] = true
		}
		if d := p.differs(got, want, m, c.Rep.Data != nil || c.Rep.DataLen == 0); d != "" {
			differ(fmt.Sprintf("%s: %s %v: %s", c.Cmd, m.Name, codes(m), d))
		}
	}
	return n
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
			same = sameCall(&m.Ops[i], g.Data, w.Data)
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
