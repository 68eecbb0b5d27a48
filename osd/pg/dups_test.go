package pg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd"
	"ebofs/osd/memstore"
	"ebofs/osd/ops"
)

// asked is a request and how it was answered at first.
type asked struct {
	*ops.Request
	reply *msg.OSDOpReply
}

// again repeats requests and expects the same replies.
func (b *bench) again(s *session, all []asked) {
	b.t.Helper()
	for _, a := range all {
		if d := differs(b.wait(b.submit(a.Request, s)), a.reply); d != "" {
			b.t.Errorf("%s: repeated: %s", a.Ops[0].Code, d)
		}
	}
}

// telling is requests on an object that are answered in different ways, each with its
// reply; all would come to something else if they were done again.
func (b *bench) telling(s *session, name string) (all []asked) {
	b.t.Helper()
	vec := func(r *ops.Request) *ops.Request { r.Flags |= msg.FlagReturnVec; return r }
	truncate := msg.Op{Code: msg.OpTruncate}
	truncate.SetExtent(msg.Extent{Offset: 2})
	for _, x := range []struct {
		req  *ops.Request
		want ceph.Errno
	}{
		{b.request(s, name, msg.Op{Code: msg.OpDelete}), ceph.ENOENT},
		{b.request(s, name, appendOp("one")), 0},
		{b.request(s, name, msg.Op{Code: msg.OpStat}, msg.Op{Code: msg.OpCreate, Flags: msg.OpFlagExcl}), ceph.EEXIST},
		{vec(b.request(s, name, msg.Op{Code: msg.OpStat}, appendOp("two"))), 0},
		{b.request(s, name, truncate), 0},
		{b.request(s, name, appendOp("three")), 0},
	} {
		r := b.wait(b.submit(x.req, s))
		if r.Result != int32(x.want) {
			b.t.Fatalf("%s: %d, want %d", x.req.Ops[0].Code, r.Result, x.want)
		}
		all = append(all, asked{x.req, r})
	}
	return all
}

const told = "onthree" // what telling leaves

func (b *bench) expect(s *session, name, want string) {
	b.t.Helper()
	if got := string(b.do(s, name, readOp()).Ops[0].Data); got != want {
		b.t.Errorf("%s is %q, want %q", name, got, want)
	}
}

// reopen opens the PG with other bounds, 0 for the greatest.
func (b *bench) reopen(logLength, known int) {
	b.Close()
	b.logLength, b.known = logLength, known
	b.open()
}

// keys returns how many entries and batches of dups are in the store.
func (b *bench) keys() (entries, batches int) {
	b.t.Helper()
	err := b.store.OmapIter(context.Background(), b.env.Coll, metaObject(testPG), "", "", func(k string, _ []byte) bool {
		switch {
		case k < lastLogKey:
			entries++
		case strings.HasPrefix(k, firstDupKey):
			batches++
		}
		return true
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return entries, batches
}

// TestDups: of 3000 requests each is known, however short the log, also over a restart,
// and is answered as it was.
func TestDups(t *testing.T) {
	b := newBench(t)
	b.reopen(250, 0)
	s := newSession(1)
	all := b.telling(s, "a")
	for range remembered - len(all) {
		b.do(s, "other", writeOp(0, "x"))
	}
	st := b.Status()
	if st.LogEntries >= 250+logSlack || st.LogEntries+st.Dups != remembered {
		t.Errorf("%d entries and %d dups", st.LogEntries, st.Dups)
	}
	if p := all[3].reply.Ops[0]; len(p.Data) == 0 {
		t.Error("no request had an output")
	}
	b.again(s, all)
	b.expect(s, "a", told)
	b.reopen(250, 0)
	if got := b.Status(); got.Dups != st.Dups || got.LogEntries != st.LogEntries {
		t.Errorf("after a restart %d entries and %d dups, had %d and %d", got.LogEntries, got.Dups, st.LogEntries, st.Dups)
	}
	b.again(s, all)
	b.expect(s, "a", told)
}

// TestDupsBound: what is too old is forgotten, in RAM and in the store, and what its OSD
// does not let a PG know.
func TestDupsBound(t *testing.T) {
	b := newBench(t)
	s := newSession(1)
	for _, c := range []struct{ known, most int }{{0, remembered}, {1000, 1000}, {100, 0}} {
		b.reopen(250, c.known)
		first := asked{Request: b.request(s, "a", appendOp("+"))}
		first.reply = b.wait(b.submit(first.Request, s))
		for range remembered + 3*logSlack {
			b.do(s, "other", writeOp(0, "x"))
		}
		st := b.Status()
		if n := st.LogEntries + st.Dups; n < max(c.most, 250) || n > max(c.most, 250)+2*logSlack {
			t.Errorf("%d to be known: %d entries and %d dups", c.known, st.LogEntries, st.Dups)
		}
		if d := &b.mu.log.dups; len(d.index) != d.n {
			t.Errorf("%d to be known: %d of %d dups are found", c.known, len(d.index), d.n)
		}
		entries, batches := b.keys()
		if most := (st.Dups + logSlack - 1) / logSlack; entries != st.LogEntries || batches != most {
			t.Errorf("%d to be known: keys of %d entries and %d batches, want %d and %d", c.known, entries, batches, st.LogEntries, most)
		}
		if r := b.wait(b.submit(first.Request, s)); r.Replay == first.reply.Replay {
			t.Errorf("%d to be known: it was known after %d more", c.known, remembered+3*logSlack)
		}
	}
}

// TestDupsSplit: requests of before a split are known on both sides of it, whether
// their entries were there, went along as dups, or were dups already.
func TestDupsSplit(t *testing.T) {
	for name, length := range map[string]int{"dups": 250, "entries": 0} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.reopen(length, 0)
			s := newSession(1)
			// Objects in PGs 0, 1, 2 and 3 of four: the hash is the length of the name.
			names := []string{"four", "fives", "sixsix", "sevenok"}
			var all [4][]asked
			for i, n := range names {
				all[i] = b.telling(s, n)
			}
			for i := range remembered - 24 { // hardly any in PG 0; entries of half a kilobyte
				b.do(s, names[1+i%3]+strings.Repeat("+", 400), writeOp(0, "x"))
			}
			b.Close()
			parts, err := Split(context.Background(), b.store, testPG, 4, 10)
			if err != nil || len(parts) != 3 {
				t.Fatal(parts, err)
			}
			known := 0
			for i, n := range names {
				b.pg, b.pgNum = ceph.PG{Pool: testPG.Pool, Seed: uint32(i)}, 4
				b.open()
				for _, a := range all[i] {
					a.PG.PG, a.reply.PG = b.pg, b.pg
				}
				b.again(s, all[i])
				b.expect(s, n, told)
				st := b.Status()
				if i == 1 && st.Dups == 0 {
					t.Error("all entries went along")
				}
				if i >= 2 { // of which nothing was split off
					known += st.LogEntries + st.Dups
				}
				b.Close()
			}
			if want := 2 * ((remembered-24)/3 + 7); known > want { // each has an entry of nobody's
				t.Errorf("two parts know %d requests, want %d: others' objects are others'", known, want)
			}
			b.open()
		})
	}
}

// TestDupsAtomic: whatever the store has taken when it stops, all requests are known
// that are to be.
func TestDupsAtomic(t *testing.T) {
	const known = 700
	b := newBench(t)
	rec := &recorder{ObjectStore: b.store.ObjectStore}
	b.store.ObjectStore = rec
	b.reopen(250, known)
	s := newSession(1)
	var ids []ceph.ReqID
	for range 2 * known {
		r := b.request(s, "a", appendOp("x"))
		ids = append(ids, r.ReqID)
		b.wait(b.submit(r, s))
	}
	ctx := context.Background()
	replica := memstore.New(memstore.Options{})
	defer replica.Close(ctx)
	var t0 osd.Transaction
	Create(&t0, testPG, 1, Info{})
	must(t, osd.Apply(ctx, replica, &t0))
	trims := 0
	for i, x := range rec.list {
		must(t, osd.Apply(ctx, replica, x))
		trim := slices.ContainsFunc(x.Ops(), func(o osd.Op) bool { return o.Kind == osd.OpOmapRmRange })
		if trim {
			trims++
		} else if i%100 != 0 {
			continue
		}
		_, l, err := load(ctx, replica, Collection(testPG), testPG)
		must(t, err)
		for _, id := range ids[max(0, i+1-known) : i+1] {
			if l.find(id) == nil {
				t.Fatalf("after transaction %d: %v is not known", i, id)
			}
		}
	}
	if trims < 4 {
		t.Errorf("%d trims", trims)
	}
}

// recorder keeps what is queued.
type recorder struct {
	osd.ObjectStore
	list []*osd.Transaction
}

func (r *recorder) Queue(ctx context.Context, t *osd.Transaction, applied func(), committed func(error)) error {
	r.list = append(r.list, t)
	return r.ObjectStore.Queue(ctx, t, applied, committed)
}

// TestDupsDurable: a request that is under way is not trimmed, so who repeats it waits.
func TestDupsDurable(t *testing.T) {
	b := newBench(t)
	b.reopen(20, 0)
	s := newSession(1)
	b.do(s, "a", writeOp(0, "x"))
	b.store.hold()
	first := b.request(s, "a", appendOp("y"))
	all := []chan *msg.OSDOpReply{b.submit(first, s)}
	for range 3 * logSlack {
		all = append(all, b.submit(b.request(s, "a", appendOp("z")), s))
	}
	until(t, func() bool { return b.Status().Last.Version == uint64(len(all)+1) })
	repeated := b.submit(first, s)
	if len(repeated) > 0 {
		t.Error("a request is answered that is not durable")
	}
	b.store.let()
	for _, c := range append(all, repeated) {
		if r := b.wait(c); r.Result != 0 {
			t.Fatal(r.Result)
		}
	}
	b.do(s, "a", appendOp("."))
	if st := b.Status(); st.LogEntries > 20+logSlack {
		t.Errorf("%d entries", st.LogEntries)
	}
	b.expect(s, "a", "xy"+strings.Repeat("z", 3*logSlack)+".")
}

// TestDupsRefused: a request happens although there is no room for the dups of a trim,
// which comes later and forgets nothing.
func TestDupsRefused(t *testing.T) {
	b := newBench(t)
	b.store.ObjectStore = &noDups{ObjectStore: b.store.ObjectStore, left: 1}
	b.reopen(20, 0)
	s := newSession(1)
	all := b.telling(s, "a")
	for range 20 + 2*logSlack {
		if r := b.do(s, "other", writeOp(0, "x")); r.Result != 0 {
			t.Fatal(ceph.Errno(r.Result))
		}
	}
	if st := b.Status(); st.Dups == 0 || st.LogEntries >= 20+logSlack {
		t.Errorf("%d entries, %d dups", st.LogEntries, st.Dups)
	}
	b.reopen(20, 0)
	b.again(s, all)
	b.expect(s, "a", told)
}

// noDups is a store that has no room for batches so many times.
type noDups struct {
	osd.ObjectStore
	left int
}

func (n *noDups) Queue(ctx context.Context, t *osd.Transaction, applied func(), committed func(error)) error {
	for _, op := range t.Ops() {
		for k := range op.Map {
			if strings.HasPrefix(k, firstDupKey) {
				if n.left--; n.left >= 0 {
					return osd.ErrNoSpace
				}
			}
		}
	}
	return n.ObjectStore.Queue(ctx, t, applied, committed)
}

// TestDupsLong: a dup does not grow with what its request read or how many operations
// it had, and has the result in any case.
func TestDupsLong(t *testing.T) {
	many := Entry{ReqID: ceph.ReqID{Tid: 1}, Result: -17, Results: make([]int32, maxDupOps+1), Outputs: make([][]byte, maxDupOps+1), Codes: make([]msg.OpCode, maxDupOps+1)}
	long := Entry{ReqID: ceph.ReqID{Tid: 2}, Result: -17, Results: []int32{3, -17}, Outputs: [][]byte{make([]byte, maxDupOutput), make([]byte, maxDupOutput+1)}, Codes: make([]msg.OpCode, 2)}
	d := newDups()
	d.add(newBatch([]*Entry{&many, &long}))
	if n := d.find(many.ReqID); n == nil || n.Result != -17 || len(n.Results) != 0 {
		t.Errorf("%+v", n)
	}
	if n := d.find(long.ReqID); n == nil || n.Result != -17 || !slices.Equal(n.Results, long.Results) || len(n.Outputs[0]) != maxDupOutput || len(n.Outputs[1]) != 0 {
		t.Errorf("%+v", n)
	}
}

// TestDupsDamaged: what cannot be dups is said, with PG and key.
func TestDupsDamaged(t *testing.T) {
	good := newBatch([]*Entry{{ReqID: ceph.ReqID{Tid: 1}, Version: ceph.EVersion{Version: 7, Epoch: 1}}})
	for name, kv := range map[string]map[string][]byte{
		"short":   {good.key: good.value[:len(good.value)-1]},
		"another": {firstDupKey + logKey(ceph.EVersion{Version: 8, Epoch: 1}): good.value},
		"empty":   {firstDupKey: {1, 1, 4, 0, 0, 0, 0, 0, 0, 0}},
		"strange": {firstDupKey + "x": []byte("nonsense")},
	} {
		b := newBench(t)
		var x osd.Transaction
		x.OmapSet(Collection(testPG), metaObject(testPG), kv)
		must(t, osd.Apply(context.Background(), b.store.ObjectStore, &x))
		_, err := Open(context.Background(), Config{Store: b.store, PG: testPG, PGNum: 1})
		for key := range maps.Keys(kv) {
			if !errors.Is(err, denc.ErrMalformed) || !strings.Contains(err.Error(), fmt.Sprintf("pg %v: dups %s: ", testPG, key)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestDupsMemory: a dup takes less than 100 bytes, also after many came and went.
func TestDupsMemory(t *testing.T) {
	const pgs, most = 100, remembered
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	all := make([]dups, pgs)
	for i := range all {
		d := newDups()
		for v := uint64(1); v < 5*most; {
			var list []*Entry
			for range dupsInBatch {
				list = append(list, &Entry{ReqID: ceph.ReqID{Name: ceph.EntityID{Type: ceph.TypeClient, Num: int64(4000 + v%7)}, Tid: v}, Version: ceph.EVersion{Version: v, Epoch: 9}, UserVersion: v})
				v++
			}
			d.add(newBatch(list))
			for d.n-dupsInBatch >= most {
				d.drop(1)
			}
		}
		all[i] = d
	}
	each := float64(heap()-before) / float64(pgs*all[0].n)
	t.Logf("%.1f bytes a dup, %d dups in each of %d", each, all[0].n, pgs)
	if each > 100 {
		t.Errorf("%.1f bytes a dup, want at most 100", each)
	}
	runtime.KeepAlive(all)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
