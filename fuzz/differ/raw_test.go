package differ

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/denc"
	"ebofs/cluster/monc"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
	"ebofs/cluster/osdmap"
	"ebofs/fuzz/stock"
)

// raw is a client without librados: it sends requests that librados would not.
type raw struct {
	msgr.NopDispatcher
	t   *testing.T
	m   *msgr.Messenger
	mon *monc.Client

	mu   sync.Mutex
	cond *sync.Cond
	maps *osdmap.Map
	tid  uint64
	wait map[uint64]chan *msg.OSDOpReply
	lost int // connections
}

// dial connects a client without authentication to the cluster of a ceph.conf.
func dial(t *testing.T, conf string) *raw {
	t.Helper()
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	at := regexp.MustCompile(`mon_host = \[?v2:([0-9.:]+)`).FindSubmatch(text)
	if at == nil {
		t.Fatalf("%s names no monitor", conf)
	}
	auth, err := cephx.NewClient(cephx.ClientOptions{Name: ceph.EntityName{Type: ceph.TypeClient, ID: "admin"}, Methods: []cephx.Method{cephx.MethodNone}, MonModes: []cephx.Mode{cephx.ModeCRC}, Modes: []cephx.Mode{cephx.ModeCRC}, Services: uint32(ceph.TypeMon | ceph.TypeOSD), Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	x := &raw{t: t, wait: map[uint64]chan *msg.OSDOpReply{}}
	x.cond = sync.NewCond(&x.mu)
	if x.m, err = msgr.New(msgr.Options{Type: ceph.TypeClient, GID: -1, Dispatcher: x, ClientAuth: func(to ceph.EntityType) (msgr.ClientAuth, error) { return auth.Handshake(to) }}); err == nil {
		err = x.m.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	x.mon = monc.New(monc.Options{Monitors: []ceph.AddrVec{{ceph.MsgrAddr(netip.MustParseAddrPort(string(at[1])), 0)}}, Messenger: x.m, Auth: auth})
	x.mon.Start()
	t.Cleanup(func() { x.mon.Close(); x.m.Shutdown() })
	x.mon.Subscribe("osdmap", msg.Subscription{})
	return x
}

func (x *raw) HandleMessage(c *msgr.Conn, in *msg.Message) {
	p, err := msg.Unpack(in)
	if err != nil {
		return
	}
	switch p := p.(type) {
	case *msg.MonCommandAck:
		p.Output = slices.Clone(p.Output)
		x.mon.Answer(in.TID, p)
	case *msg.OSDMap:
		x.take(p)
	case *msg.OSDOpReply:
		for i := range p.Ops {
			p.Ops[i].Data = slices.Clone(p.Ops[i].Data)
		}
		x.mu.Lock()
		ch := x.wait[in.TID]
		delete(x.wait, in.TID)
		x.mu.Unlock()
		if ch != nil {
			ch <- p
		}
	default:
		x.mon.Handle(p)
	}
}

func (x *raw) HandleReset(c *msgr.Conn) {
	if !x.mon.Reset(c) {
		x.mu.Lock()
		x.lost++
		x.mu.Unlock()
	}
}

func (x *raw) take(p *msg.OSDMap) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for e, b := range p.Full {
		if m, err := osdmap.Decode(slices.Clone(b)); err == nil && (x.maps == nil || e > x.maps.Epoch) {
			x.maps = m
		}
	}
	for x.maps != nil && p.Incrementals[x.maps.Epoch+1] != nil {
		inc, err := osdmap.DecodeIncremental(slices.Clone(p.Incrementals[x.maps.Epoch+1]))
		if err == nil {
			x.maps, err = x.maps.Next(inc)
		}
		if err != nil {
			x.t.Error(err)
			return
		}
	}
	if x.maps != nil {
		x.mon.Got("osdmap", uint64(x.maps.Epoch))
	}
	x.cond.Broadcast()
}

// pool waits for a pool.
func (x *raw) pool(name string) ceph.PoolID {
	x.t.Helper()
	late := time.AfterFunc(20*time.Second, func() {
		x.mu.Lock()
		x.t.Errorf("no pool %s", name)
		x.maps = &osdmap.Map{PoolNames: map[ceph.PoolID]string{1: name}}
		x.cond.Broadcast()
		x.mu.Unlock()
	})
	defer late.Stop()
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		if x.maps != nil {
			for id, n := range x.maps.PoolNames {
				if n == name {
					return id
				}
			}
		}
		x.cond.Wait()
	}
}

// request is one that is to be sent, and how it is wrong.
type request struct {
	name, object string
	ops          []msg.Op
	change       func(*msg.OSDOp)
	ours         string // what ours answers, where Ceph's OSD would end itself
}

// send sends a request and shows the answer.
func (x *raw) send(pool ceph.PoolID, r request) string {
	x.t.Helper()
	x.mu.Lock()
	m := &msg.OSDOp{Locator: ceph.Locator{Pool: pool, Hash: -1, Namespace: "raw"}, Name: r.object, Ops: r.ops, Snap: ceph.NoSnap, Flags: msg.FlagOnDisk | msg.FlagKnownRedir, Epoch: x.maps.Epoch, MTime: ceph.MakeTime(time.Unix(1e9, 0)), Features: 0x3f01cfbffffdffff}
	for _, o := range r.ops {
		if o.Code.Writes() {
			m.Flags |= msg.FlagWrite
		} else {
			m.Flags |= msg.FlagRead
		}
	}
	pg, hash, err := x.maps.Object(m.Name, m.Locator)
	if err != nil {
		x.t.Fatal(err)
	}
	m.PG, m.Hash = ceph.ShardPG{PG: pg, Shard: ceph.NoShard}, hash
	if r.change != nil {
		r.change(m)
	}
	addr := x.maps.Client[0]
	x.tid++
	tid, ch := x.tid, make(chan *msg.OSDOpReply, 1)
	x.wait[tid] = ch
	lost := x.lost
	x.mu.Unlock()
	out := msg.Pack(m)
	out.TID = tid
	if err := x.m.Send(addr, ceph.TypeOSD, msgr.LossyClient, out); err != nil {
		return "not sent"
	}
	select {
	case a := <-ch:
		return showReply(a)
	case <-time.After(700 * time.Millisecond):
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.lost != lost {
			return "connection closed"
		}
		return "no answer"
	}
}

func showReply(r *msg.OSDOpReply) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d flags %x", r.Result, r.Flags)
	for i := range r.Ops {
		o := &r.Ops[i]
		fmt.Fprintf(&b, " | %x %d", uint16(o.Code), o.Result)
		if len(o.Data) > 100 {
			fmt.Fprintf(&b, " %d bytes %08x", len(o.Data), denc.CRC(0, o.Data))
		} else if len(o.Data) > 0 {
			fmt.Fprintf(&b, " %s", hex.EncodeToString(o.Data))
		}
	}
	return b.String()
}

func extent(code msg.OpCode, off, n uint64, data []byte) msg.Op {
	o := msg.Op{Code: code, Data: data}
	o.SetExtent(msg.Extent{Offset: off, Length: n})
	return o
}

func bare(code msg.OpCode) msg.Op { return msg.Op{Code: code} }

func put(text string) msg.Op {
	return extent(msg.OpWriteFull, 0, uint64(len(text)), []byte(text))
}

func write(off uint64, p []byte) msg.Op { return extent(msg.OpWrite, off, uint64(len(p)), p) }

func xattr(code msg.OpCode, name, value string, compare, mode uint8) msg.Op {
	o := msg.Op{Code: code, Data: []byte(name + value)}
	o.SetXattr(msg.Xattr{NameLength: uint32(len(name)), ValueLength: uint32(len(value)), Compare: compare, Mode: mode})
	return o
}

func number(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

func encoded(code msg.OpCode, put func(e *denc.Encoder)) msg.Op {
	var e denc.Encoder
	put(&e)
	return msg.Op{Code: code, Data: e.Bytes()}
}

func assert(v uint64) msg.Op {
	o := bare(msg.OpAssertVersion)
	binary.LittleEndian.PutUint64(o.Arg[8:], v)
	return o
}

func call(class, method, in string) msg.Op {
	o := msg.Op{Code: msg.OpCall, Data: []byte(class + method + in)}
	o.Arg[0], o.Arg[1] = uint8(len(class)), uint8(len(method))
	binary.LittleEndian.PutUint32(o.Arg[3:], uint32(len(in)))
	return o
}

// copyFrom copies an object of the namespace, at a version unless that is 0.
func copyFrom(from string, snap ceph.SnapID, version uint64) func(pool ceph.PoolID) msg.Op {
	return func(pool ceph.PoolID) msg.Op {
		o := encoded(msg.OpCopyFrom, func(e *denc.Encoder) {
			e.Str(from)
			ceph.Locator{Pool: pool, Hash: -1, Namespace: "raw"}.Encode(e)
		})
		binary.LittleEndian.PutUint64(o.Arg[0:], uint64(snap))
		binary.LittleEndian.PutUint64(o.Arg[8:], version)
		return o
	}
}

// requests are sent one after the other, to both clusters.
func requests(pool ceph.PoolID) []request {
	text := func(s ...string) func(*denc.Encoder) {
		return func(e *denc.Encoder) {
			for _, s := range s {
				e.Str(s)
			}
		}
	}
	snap := func(seq ceph.SnapID, list ...ceph.SnapID) func(*msg.OSDOp) {
		return func(m *msg.OSDOp) { m.SnapSeq, m.Snaps = seq, list }
	}
	at := func(s ceph.SnapID) func(*msg.OSDOp) { return func(m *msg.OSDOp) { m.Snap = s } }
	blocks := bytes.Repeat([]byte("0123456789abcdef"), 512)
	return []request{
		// What librados' C calls do not offer.
		{"write", "o", []msg.Op{put("hello")}, nil, ""},
		{"sparse read", "o", []msg.Op{extent(msg.OpSparseRead, 0, 100, nil)}, nil, ""},
		{"sparse read behind the end", "o", []msg.Op{extent(msg.OpSparseRead, 10, 10, nil)}, nil, ""},
		{"sparse read of nothing", "missing", []msg.Op{extent(msg.OpSparseRead, 0, 10, nil)}, nil, ""},
		{"large", "b", []msg.Op{write(65536, blocks)}, nil, ""},
		{"sparse read of blocks", "b", []msg.Op{extent(msg.OpSparseRead, 65536, 8192, nil)}, nil, ""},
		{"read of a hole", "b", []msg.Op{extent(msg.OpRead, 0, 4096, nil)}, nil, ""},
		{"header", "o", []msg.Op{{Code: msg.OpOmapSetHeader, Data: []byte("head")}}, nil, ""},
		{"get header", "o", []msg.Op{bare(msg.OpOmapGetHeader)}, nil, ""},
		{"clear header", "o", []msg.Op{bare(msg.OpOmapClear)}, nil, ""},
		{"no header", "o", []msg.Op{bare(msg.OpOmapGetHeader)}, nil, ""},
		{"header of what is missing", "missing", []msg.Op{bare(msg.OpOmapGetHeader)}, nil, ""},
		{"dirty", "o", []msg.Op{bare(msg.OpIsDirty)}, nil, ""},
		{"undirty", "o", []msg.Op{bare(msg.OpUndirty)}, nil, ""},
		{"watchers", "o", []msg.Op{bare(msg.OpListWatchers)}, nil, ""},
		{"number attr", "o", []msg.Op{xattr(msg.OpSetXattr, "n", "10", 0, 0)}, nil, ""},
		{"number is greater", "o", []msg.Op{xattr(msg.OpCmpXattr, "n", number(11), 3, 2)}, nil, ""},
		{"number is not greater", "o", []msg.Op{xattr(msg.OpCmpXattr, "n", number(9), 3, 2)}, nil, ""},
		{"number equal", "o", []msg.Op{xattr(msg.OpCmpXattr, "n", number(10), 1, 2)}, nil, ""},
		{"number of no attr", "o", []msg.Op{xattr(msg.OpCmpXattr, "none", number(0), 1, 2)}, nil, ""},
		{"compare in an unknown way", "o", []msg.Op{xattr(msg.OpCmpXattr, "n", "10", 9, 1)}, nil, ""},
		{"compare in an unknown mode", "o", []msg.Op{xattr(msg.OpCmpXattr, "n", "10", 1, 7)}, nil, ""},
		{"startsync", "o", []msg.Op{bare(msg.OpStartSync)}, nil, ""},
		{"reads and writes", "o", []msg.Op{extent(msg.OpRead, 0, 0, nil), xattr(msg.OpSetXattr, "a", "b", 0, 0), xattr(msg.OpGetXattr, "n", "", 0, 0)}, nil, ""},
		{"reads and writes, returned", "o", []msg.Op{extent(msg.OpRead, 0, 0, nil), xattr(msg.OpSetXattr, "a", "c", 0, 0)}, func(m *msg.OSDOp) { m.Flags |= msg.FlagReturnVec }, ""},
		{"too much returned", "b", []msg.Op{extent(msg.OpRead, 65536, 100, nil), xattr(msg.OpSetXattr, "a", "c", 0, 0)}, func(m *msg.OSDOp) { m.Flags |= msg.FlagReturnVec }, ""},

		// Snapshots, by number.
		{"first", "s", []msg.Op{put("first")}, nil, ""},
		{"second", "s", []msg.Op{put("second")}, snap(4, 4, 2), ""},
		{"list-snaps", "s", []msg.Op{bare(msg.OpListSnaps)}, at(ceph.SnapDir), ""},
		{"third", "s", []msg.Op{write(1, []byte("x"))}, snap(7, 7, 4), ""},
		{"list-snaps of three", "s", []msg.Op{bare(msg.OpListSnaps)}, at(ceph.SnapDir), ""},
		{"at 2", "s", []msg.Op{extent(msg.OpRead, 0, 0, nil)}, at(2), ""},
		{"at 3", "s", []msg.Op{extent(msg.OpRead, 0, 0, nil)}, at(3), ""},
		{"at 7", "s", []msg.Op{extent(msg.OpRead, 0, 0, nil)}, at(7), ""},
		{"delete", "s", []msg.Op{bare(msg.OpDelete)}, snap(7, 7, 4), ""},
		{"list-snaps without a head", "s", []msg.Op{bare(msg.OpListSnaps)}, at(ceph.SnapDir), ""},
		{"list-snaps of what is missing", "missing", []msg.Op{bare(msg.OpListSnaps)}, at(ceph.SnapDir), ""},
		{"list-snaps of the head", "o", []msg.Op{bare(msg.OpListSnaps)}, nil, ""},
		{"read of the list of snaps", "o", []msg.Op{extent(msg.OpRead, 0, 0, nil)}, at(ceph.SnapDir), ""},
		{"write to a snapshot", "o", []msg.Op{put("x")}, at(3), ""},

		// Copies.
		{"source", "from", []msg.Op{put("source"), xattr(msg.OpSetXattr, "a", "b", 0, 0), {Code: msg.OpOmapSetHeader, Data: []byte("head")}, encoded(msg.OpOmapSetVals, func(e *denc.Encoder) { e.U32(1); e.Str("k"); e.Str("v") })}, nil, ""},
		{"copy", "to", []msg.Op{copyFrom("from", ceph.NoSnap, 0)(pool)}, nil, ""},
		{"copied", "to", []msg.Op{extent(msg.OpRead, 0, 0, nil), bare(msg.OpGetXattrs), bare(msg.OpOmapGetHeader), encoded(msg.OpOmapGetVals, func(e *denc.Encoder) { e.Str(""); e.U64(9); e.Str("") })}, nil, ""},
		{"copy over something", "o", []msg.Op{copyFrom("from", ceph.NoSnap, 0)(pool)}, nil, ""},
		{"copied over", "o", []msg.Op{extent(msg.OpRead, 0, 0, nil), bare(msg.OpGetXattrs)}, nil, ""},
		{"copy of a snapshot", "old", []msg.Op{copyFrom("s", 4, 0)(pool)}, nil, ""},
		{"copied of a snapshot", "old", []msg.Op{extent(msg.OpRead, 0, 0, nil)}, nil, ""},
		{"copy of what is missing", "to", []msg.Op{copyFrom("missing", ceph.NoSnap, 0)(pool)}, nil, ""},
		{"copy of itself", "to", []msg.Op{copyFrom("to", ceph.NoSnap, 0)(pool)}, nil, ""},
		{"copy of a version to come", "to", []msg.Op{copyFrom("from", ceph.NoSnap, 1<<40)(pool)}, nil, ""},
		{"copy cut short", "to", []msg.Op{{Code: msg.OpCopyFrom, Data: []byte{1, 0}}}, nil, ""},
		{"still a copy", "to", []msg.Op{extent(msg.OpRead, 0, 0, nil)}, nil, ""},

		// Broken requests.
		{"lengths that differ", "o", []msg.Op{extent(msg.OpWrite, 0, 100, []byte("short"))}, nil, ""},
		{"full of other length", "o", []msg.Op{extent(msg.OpWriteFull, 0, 1, []byte("longer"))}, nil, ""},
		{"write at the end of numbers", "o", []msg.Op{write(1<<64-2, []byte("abcd"))}, nil, ""},
		{"xattr longer than the input", "o", []msg.Op{func() msg.Op {
			o := xattr(msg.OpGetXattr, "n", "", 0, 0)
			o.SetXattr(msg.Xattr{NameLength: 1000})
			return o
		}()}, nil, "-22 flags 400015 | 1301 -22"},
		{"no operations", "o", nil, nil, ""},
		{"keys cut short", "o", []msg.Op{{Code: msg.OpOmapGetKeys, Data: []byte{9, 0, 0}}}, nil, ""},
		{"vals cut short", "o", []msg.Op{{Code: msg.OpOmapGetVals, Data: []byte{1, 0, 0, 0, 'a'}}}, nil, ""},
		{"by keys of too many", "o", []msg.Op{{Code: msg.OpOmapGetByKeys, Data: []byte{0xff, 0xff, 0xff, 0xff}}}, nil, ""},
		{"set of too many", "o", []msg.Op{{Code: msg.OpOmapSetVals, Data: []byte{0xff, 0xff, 0xff, 0x7f}}}, nil, ""},
		{"rm of nothing said", "o", []msg.Op{bare(msg.OpOmapRmKeys)}, nil, ""},
		{"range cut short", "o", []msg.Op{encoded(msg.OpOmapRmKeyRange, text("a"))}, nil, ""},
		{"cmp cut short", "o", []msg.Op{{Code: msg.OpOmapCmp, Data: []byte{1, 0, 0, 0}}}, nil, ""},
		{"call of nothing", "o", []msg.Op{call("", "", "")}, nil, ""},
		{"call of what is not there", "o", []msg.Op{call("lock", "nosuch", "")}, nil, ""},
		{"call of an unknown class", "o", []msg.Op{call("nosuch", "method", "")}, nil, ""},
		{"call with garbage", "o", []msg.Op{call("lock", "lock", "\xff\xff\xff\xff\xff\xff")}, nil, ""},
		{"assert 0", "o", []msg.Op{assert(0)}, nil, ""},
		{"assert of a version to come", "o", []msg.Op{assert(1 << 40)}, nil, ""},
		{"unknown operation", "o", []msg.Op{bare(0x12fe)}, nil, ""},
		{"unknown write", "o", []msg.Op{bare(0x22fe)}, nil, ""},
		{"evict", "o", []msg.Op{bare(msg.OpCacheEvict)}, nil, ""},
		{"unknown after a write", "o", []msg.Op{put("not this"), bare(0x22fe)}, nil, ""},
		{"still", "o", []msg.Op{extent(msg.OpRead, 0, 0, nil)}, nil, ""},
		{"parallel exec", "o", []msg.Op{extent(msg.OpRead, 0, 0, nil)}, func(m *msg.OSDOp) { m.Flags |= msg.FlagParallelExec }, ""},
		{"name of 3000", "o", []msg.Op{put("x")}, func(m *msg.OSDOp) { m.Name = strings.Repeat("n", 3000) }, ""},
		{"namespace of 300", "o", []msg.Op{put("x")}, func(m *msg.OSDOp) { m.Locator.Namespace = strings.Repeat("n", 300) }, ""},
		{"flagged as a read", "o", []msg.Op{put("by a read")}, func(m *msg.OSDOp) { m.Flags = msg.FlagOnDisk | msg.FlagRead | msg.FlagKnownRedir }, ""},
		{"and is there", "o", []msg.Op{extent(msg.OpRead, 0, 0, nil)}, nil, ""},

		// For somebody else.
		{"of a PG that is not", "o", []msg.Op{extent(msg.OpRead, 0, 0, nil)}, func(m *msg.OSDOp) { m.PG.PG.Seed = 99 }, ""},
		{"of a pool that is not", "o", []msg.Op{extent(msg.OpRead, 0, 0, nil)}, func(m *msg.OSDOp) { m.PG.PG.Pool, m.Locator.Pool = 999, 999 }, ""},
		{"goes on", "o", []msg.Op{extent(msg.OpStat, 0, 0, nil)}, nil, ""},
		{"of a map to come", "o", []msg.Op{extent(msg.OpRead, 0, 0, nil)}, func(m *msg.OSDOp) { m.Epoch += 1000 }, ""},
	}
}

// TestRaw sends requests that librados would not, to both, and compares the answers.
func TestRaw(t *testing.T) {
	clusters := []string{stock.StartCeph(t).Conf, stock.StartOurs(t, stock.Cluster{}).Conf()}
	answers := make([][]string, 2)
	var wg sync.WaitGroup
	for i, conf := range clusters {
		x := dial(t, conf)
		a, err := x.mon.Command(context.Background(), map[string]any{"prefix": "osd pool create", "pool": "raw", "pg_num": 1})
		if err != nil || a.Result != 0 {
			t.Fatal(a, err)
		}
		pool := x.pool("raw")
		x.until(pool)
		wg.Go(func() {
			for _, r := range requests(pool) {
				answer := r.ours
				if i == 1 || answer == "" {
					answer = x.send(pool, r)
				}
				answers[i] = append(answers[i], answer)
			}
		})
	}
	wg.Wait()
	bad := 0
	for i, r := range requests(0) {
		if answers[0][i] != answers[1][i] {
			bad++
			t.Errorf("%s:\n  Ceph: %s\n  ours: %s", r.name, answers[0][i], answers[1][i])
		}
	}
	fmt.Printf("raw requests compared: %d\n", len(answers[0])-bad)
}

// until waits until the pool answers.
func (x *raw) until(pool ceph.PoolID) {
	x.t.Helper()
	got := ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got = x.send(pool, request{"first", "first", []msg.Op{put("x")}, nil, ""}); strings.HasPrefix(got, "0 ") {
			return
		}
	}
	x.t.Fatalf("the pool does not answer: %s", got)
}
