package pg

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd"
	"ebofs/osd/memstore"
	"ebofs/osd/ops"
)

// lazy is a store that commits when it is told to.
type lazy struct {
	osd.ObjectStore
	mu      sync.Mutex
	held    bool
	waiting []func()
	refuse  error // what Queue answers, once
}

func (l *lazy) Queue(ctx context.Context, t *osd.Transaction, applied func(), committed func(error)) error {
	l.mu.Lock()
	err := l.refuse
	l.refuse = nil
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.ObjectStore.Queue(ctx, t, applied, func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.held {
			l.waiting = append(l.waiting, func() { committed(err) })
			return
		}
		go committed(err)
	})
}

func (l *lazy) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = true
}

func (l *lazy) let() {
	l.mu.Lock()
	l.held = false
	w := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	for _, f := range w {
		f()
	}
}

// timers are what After was asked for, in order.
type timers struct {
	mu   sync.Mutex
	list []*timer
}

type timer struct {
	d    time.Duration
	f    func()
	done bool
}

func (t *timers) after(d time.Duration, f func()) func() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := &timer{d: d, f: f}
	t.list = append(t.list, n)
	return func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		was := n.done
		n.done = true
		return !was
	}
}

// fire lets all that run of duration d or less end.
func (t *timers) fire(d time.Duration) (n int) {
	t.mu.Lock()
	var due []func()
	for _, x := range t.list {
		if !x.done && x.d <= d {
			x.done = true
			due = append(due, x.f)
		}
	}
	t.mu.Unlock()
	for _, f := range due {
		f()
	}
	return len(due)
}

// bench is a PG of its own.
type bench struct {
	*PG
	t      testing.TB
	store  *lazy
	timers *timers
	tid    uint64

	pg    ceph.PG
	pgNum uint32
	// logLength and known are of Config; 0: as many as may be.
	logLength, known int
}

var testPG = ceph.PG{Pool: 3}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, pg: testPG, pgNum: 1, store: &lazy{ObjectStore: memstore.New(memstore.Options{})}, timers: &timers{}}
	var txn osd.Transaction
	Create(&txn, testPG, 1, Info{Created: 7})
	if err := osd.Apply(context.Background(), b.store.ObjectStore, &txn); err != nil {
		t.Fatal(err)
	}
	b.open()
	t.Cleanup(func() { b.Close(); _ = b.store.Close(context.Background()) })
	return b
}

func (b *bench) open() {
	cfg := Config{Store: b.store, PG: b.pg, PGNum: b.pgNum, Epoch: func() ceph.Epoch { return 9 }, After: b.timers.after}
	if b.logLength > 0 {
		cfg.LogLength = func() int { return b.logLength }
	}
	if b.known > 0 {
		cfg.Known = func() int { return b.known }
	}
	var err error
	b.PG, err = Open(context.Background(), cfg)
	if err != nil {
		b.t.Fatal(err)
	}
}

// request is operations of a client on an object, with a new tid.
func (b *bench) request(s *session, name string, list ...msg.Op) *ops.Request {
	b.tid++
	return &ops.Request{
		OSDOp: &msg.OSDOp{
			PG: ceph.ShardPG{PG: testPG, Shard: ceph.NoShard}, Name: name, Hash: uint32(len(name)), Snap: ceph.NoSnap,
			Locator: ceph.Locator{Pool: testPG.Pool, Hash: -1}, Ops: list,
		},
		Client: s.id, Addr: s.Addr(), ReqID: ceph.ReqID{Name: s.id, Tid: b.tid},
	}
}

// submit starts a request; the reply comes out of the channel.
func (b *bench) submit(req *ops.Request, s Session) chan *msg.OSDOpReply {
	c := make(chan *msg.OSDOpReply, 2)
	b.Submit(req, s, func(r *msg.OSDOpReply) { c <- r })
	return c
}

func (b *bench) wait(c chan *msg.OSDOpReply) *msg.OSDOpReply {
	b.t.Helper()
	select {
	case r := <-c:
		return r
	case <-time.After(time.Minute):
		b.t.Fatal("no reply")
		return nil
	}
}

func (b *bench) do(s *session, name string, list ...msg.Op) *msg.OSDOpReply {
	b.t.Helper()
	return b.wait(b.submit(b.request(s, name, list...), s))
}

func writeOp(off uint64, data string) msg.Op {
	o := msg.Op{Code: msg.OpWrite, Data: []byte(data)}
	o.SetExtent(msg.Extent{Offset: off, Length: uint64(len(data))})
	return o
}

func appendOp(data string) msg.Op {
	o := writeOp(0, data)
	o.Code = msg.OpAppend
	return o
}

func readOp() msg.Op { return msg.Op{Code: msg.OpRead} }

// TestOrder: requests on one object happen in their order, and a read shows a
// write only when it is committed.
func TestOrder(t *testing.T) {
	b := newBench(t)
	s := newSession(1)
	b.do(s, "a", writeOp(0, "-"))
	b.store.hold()
	var replies []chan *msg.OSDOpReply
	want := "-"
	var reads []string
	for i := range 20 {
		if i%5 == 4 {
			replies = append(replies, b.submit(b.request(s, "a", readOp()), s))
			reads = append(reads, want)
			continue
		}
		c := string(rune('a' + i))
		want += c
		replies = append(replies, b.submit(b.request(s, "a", appendOp(c)), s))
	}
	other := b.submit(b.request(s, "other", readOp()), s)
	if r := b.wait(other); r.Result != int32(ceph.ENOENT) {
		t.Errorf("another object waits, or %d", r.Result)
	}
	for i, c := range replies {
		if len(c) > 0 {
			t.Errorf("request %d is answered and nothing is committed", i)
		}
	}
	b.store.let()
	for i, c := range replies {
		r := b.wait(c)
		if r.Result != 0 {
			t.Fatalf("request %d: %d", i, r.Result)
		}
		if i%5 == 4 {
			if got := string(r.Ops[0].Data); got != reads[0] {
				t.Errorf("read %d: %q, want %q", i, got, reads[0])
			}
			reads = reads[1:]
		}
	}
}

// TestRepeated: a repeated request is answered and not done again, whether the
// first is under way, done, or done before a restart, and failed ones likewise.
func TestRepeated(t *testing.T) {
	b := newBench(t)
	s := newSession(1)
	b.do(s, "a", writeOp(0, "x"))
	first := b.request(s, "a", appendOp("y"))
	b.store.hold()
	c1, c2 := b.submit(first, s), b.submit(first, s)
	b.store.let()
	r1, r2 := b.wait(c1), b.wait(c2)
	excl := msg.Op{Code: msg.OpCreate, Flags: msg.OpFlagExcl}
	failing := b.request(s, "a", excl)
	f1 := b.wait(b.submit(failing, s))
	if f1.Result != int32(ceph.EEXIST) {
		t.Fatalf("exclusive create: %d", f1.Result)
	}
	b.do(s, "a", msg.Op{Code: msg.OpDelete})
	status := b.Status()
	b.Close()
	b.open()
	if got := b.Status(); got.Last != status.Last || got.Stats != status.Stats || got.Created != 7 {
		t.Errorf("after a restart %+v, want %+v", got, status)
	}
	r3, f2 := b.wait(b.submit(first, s)), b.wait(b.submit(failing, s))
	for _, r := range []*msg.OSDOpReply{r2, r3} {
		if r.Replay != r1.Replay || r.UserVersion != r1.UserVersion || r.Result != 0 {
			t.Errorf("repeated: %v %d, want %v %d", r.Replay, r.UserVersion, r1.Replay, r1.UserVersion)
		}
	}
	if f2.Result != f1.Result || f2.Replay != f1.Replay || f2.Ops[0].Result != f1.Ops[0].Result {
		t.Errorf("repeated failure: %+v, want %+v", f2, f1)
	}
	if r := b.do(s, "a", readOp()); r.Result != int32(ceph.ENOENT) {
		t.Errorf("a repeated request was done again: %d", r.Result)
	}
}

// TestRefused: a transaction the store refuses leaves no version and no log.
func TestRefused(t *testing.T) {
	b := newBench(t)
	s := newSession(1)
	b.do(s, "a", writeOp(0, "x"))
	before := b.Status()
	for err, want := range map[error]ceph.Errno{osd.ErrNoSpace: ceph.ENOSPC, osd.ErrTooLarge: ceph.EFBIG} {
		b.store.mu.Lock()
		b.store.refuse = err
		b.store.mu.Unlock()
		req := b.request(s, "a", writeOp(0, "yyy"))
		if r := b.wait(b.submit(req, s)); r.Result != int32(want) {
			t.Errorf("%v: %d, want %d", err, r.Result, want)
		}
		after := b.Status()
		after.Stats.Reads, after.Stats.ReadKB = before.Stats.Reads, before.Stats.ReadKB
		if after != before {
			t.Errorf("%v: %+v, want %+v", err, after, before)
		}
		if r := b.do(s, "a", readOp()); string(r.Ops[0].Data) != "x" {
			t.Errorf("%v: reads %q", err, r.Ops[0].Data)
		}
	}
	failed := make(chan error, 1)
	b.cfg.Failed = func(err error) { failed <- err }
	b.store.refuse = osd.ErrReadOnly
	c := b.submit(b.request(s, "a", writeOp(0, "z")), s)
	if err := <-failed; !errors.Is(err, osd.ErrReadOnly) || len(c) != 0 {
		t.Errorf("a store that failed: %v, replies %d", err, len(c))
	}
}

// TestTrim: the log stays bounded, in RAM and in the store.
func TestTrim(t *testing.T) {
	b := newBench(t)
	s := newSession(1)
	n := logLength + 2*logSlack
	for range n {
		b.do(s, "a", writeOp(0, "x"))
	}
	st := b.Status()
	if st.Last.Version != uint64(n) || st.LogEntries > logLength+logSlack {
		t.Errorf("%+v", st)
	}
	b.cfg.LogLength = func() int { return 100 } // its OSD has many PGs
	b.do(s, "a", writeOp(0, "x"))
	if st = b.Status(); st.LogEntries > 100+logSlack {
		t.Errorf("%d entries, want 100", st.LogEntries)
	}
	b.Close()
	b.open()
	if got := b.Status(); got.LogEntries != st.LogEntries || got.LogStart != st.LogStart || got.Last != st.Last {
		t.Errorf("after a restart %+v, want %+v", got, st)
	}
}

func watchOp(cookie uint64, op uint8) msg.Op {
	o := msg.Op{Code: msg.OpWatch}
	o.SetWatch(msg.Watch{Cookie: cookie, Op: op, Timeout: 10})
	return o
}

func notifyOp(cookie uint64, text string) msg.Op {
	var e denc.Encoder
	e.U32(1)
	e.U32(20)
	e.Str(text)
	o := msg.Op{Code: msg.OpNotify, Data: e.Bytes()}
	o.SetWatch(msg.Watch{Cookie: cookie})
	return o
}

func ackOp(id, cookie uint64, text string) msg.Op {
	var e denc.Encoder
	e.U64(id)
	e.U64(cookie)
	e.Str(text)
	return msg.Op{Code: msg.OpNotifyAck, Data: e.Bytes()}
}

func (b *bench) sent(s *session) *msg.WatchNotify {
	b.t.Helper()
	select {
	case m := <-s.sent:
		return m.(*msg.WatchNotify)
	case <-time.After(time.Minute):
		b.t.Fatal("nothing was sent")
		return nil
	}
}

// completion reads who answered a notify and who did not.
func completion(t *testing.T, p []byte) (answered map[int64]string, late []int64) {
	d := denc.NewDecoder(p)
	answered = map[int64]string{}
	for range d.Count(20) {
		num := int64(d.U64())
		d.U64()
		answered[num] = d.Str()
	}
	for range d.Count(16) {
		late = append(late, int64(d.U64()))
		d.U64()
	}
	if err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	return answered, late
}

func TestWatch(t *testing.T) {
	b := newBench(t)
	w1, w2, n := newSession(1), newSession(2), newSession(3)
	b.do(n, "o", writeOp(0, "x"))
	b.do(w1, "o", watchOp(11, msg.WatchWatch))
	b.do(w2, "o", watchOp(22, msg.WatchWatch))

	// Both hear of it, one answers, the other is late.
	r := b.do(n, "o", notifyOp(5, "hello"))
	id := le64(r.Ops[0].Data)
	m1, m2 := b.sent(w1), b.sent(w2)
	if m1.Op != msg.NotifyNotify || m1.Cookie != 11 || m2.Cookie != 22 || string(m1.Payload) != "hello" || m1.NotifyID != id {
		t.Fatalf("%+v %+v", m1, m2)
	}
	b.do(w1, "o", ackOp(id, 11, "here"))
	if len(n.sent) != 0 {
		t.Fatal("told that all have answered")
	}
	b.timers.fire(20 * time.Second) // the watches, too: nobody has pinged
	done := b.sent(n)
	answered, late := completion(t, done.Replies)
	if done.Op != msg.NotifyComplete || done.Cookie != 5 || answered[1] != "here" || !slices.Equal(late, []int64{2}) && len(late) != 0 {
		t.Fatalf("%+v: %v %v", done, answered, late)
	}
	until(t, func() bool { return b.Status().Watches == 0 }) // removed by requests of their own
	if r := b.do(w1, "o", watchOp(11, msg.WatchPing)); r.Result != int32(ceph.ENOTCONN) {
		t.Errorf("ping of a watch that is gone: %d", r.Result)
	}

	// A watch survives a restart, unbound, until its client is back.
	b.do(w1, "o", watchOp(11, msg.WatchWatch))
	b.Close()
	b.open()
	if r := b.do(w1, "o", watchOp(11, msg.WatchPing)); r.Result != int32(ceph.ETIMEDOUT) {
		t.Errorf("ping of an unbound watch: %d", r.Result)
	}
	if r := b.do(w1, "o", watchOp(11, msg.WatchReconnect)); r.Result != 0 {
		t.Errorf("reconnect: %d", r.Result)
	}
	if r := b.do(w2, "o", watchOp(22, msg.WatchReconnect)); r.Result != int32(ceph.ENOTCONN) {
		t.Errorf("reconnect of a watch that is gone: %d", r.Result)
	}

	// The object goes: its watchers are told; a notify with none ends at once.
	b.do(n, "o", msg.Op{Code: msg.OpDelete})
	if m := b.sent(w1); m.Op != msg.NotifyDisconnect || m.Cookie != 11 {
		t.Errorf("%+v", m)
	}
	b.do(n, "o", writeOp(0, "again"))
	b.do(n, "o", notifyOp(6, ""))
	if m := b.sent(n); m.Op != msg.NotifyComplete || m.Cookie != 6 || m.Result != 0 {
		t.Errorf("%+v", m)
	}
}

func le64(p []byte) uint64 { return denc.NewDecoder(p).U64() }

// TestReset: a connection that breaks leaves its watches; the time runs.
func TestReset(t *testing.T) {
	b := newBench(t)
	s := newSession(1)
	b.do(s, "o", writeOp(0, "x"), watchOp(1, msg.WatchWatch))
	b.Reset(s)
	if r := b.do(s, "o", watchOp(1, msg.WatchPing)); r.Result != int32(ceph.ETIMEDOUT) {
		t.Errorf("ping after a reset: %d", r.Result)
	}
	if n := b.timers.fire(10 * time.Second); n != 1 {
		t.Errorf("%d timers", n)
	}
	until(t, func() bool { return b.Status().Watches == 0 })
}

// until waits for other goroutines to bring cond about.
func until(t *testing.T, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come about in a minute")
		}
	}
}
