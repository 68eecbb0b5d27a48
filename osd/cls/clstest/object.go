package clstest

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd"
	"ebofs/osd/memstore"
	"ebofs/osd/ops"
)

// Object is an object that may be missing, as it is at first, with who works on
// it and when.
type Object struct {
	Client ceph.EntityID // client.1 at first
	Addr   ceph.Addr
	Now    time.Time

	t       testing.TB
	env     *ops.Env
	name    string
	version uint64
}

// maxObject keeps tests small that do anything at all.
const maxObject = 1 << 20

// New returns a missing object with a name.
func New(t testing.TB, name string) *Object {
	t.Helper()
	ctx := context.Background()
	store := memstore.New(memstore.Options{})
	t.Cleanup(func() { _ = store.Close(ctx) })
	pg := ceph.PG{Pool: 1}
	o := &Object{Client: ceph.EntityID{Type: ceph.TypeClient, Num: 1}, Now: time.Unix(1_700_000_000, 0), t: t, name: name}
	o.env = &ops.Env{Store: store, Coll: "1.0", PG: pg, MaxObject: maxObject, Now: func() time.Time { return o.Now }}
	o.env.Begin, o.env.End = pg.Range(1)
	var txn osd.Transaction
	txn.MkColl(o.env.Coll, osd.CollectionSpec{Shard: -1, Pool: 1})
	if err := osd.Apply(ctx, store, &txn); err != nil {
		t.Fatal(err)
	}
	return o
}

// Call calls one method, in a request of its own, and returns what a client gets.
// Outputs of methods that write are dropped, as by an OSD.
func (o *Object) Call(class, method string, in []byte) ([]byte, error) {
	op := msg.Op{Code: msg.OpCall, Data: append([]byte(class+method), in...)}
	op.Arg[0], op.Arg[1] = uint8(len(class)), uint8(len(method))
	binary.LittleEndian.PutUint32(op.Arg[3:], uint32(len(in)))
	return o.do(op)
}

// Write replaces the object's data.
func (o *Object) Write(p []byte) {
	o.t.Helper()
	op := msg.Op{Code: msg.OpWriteFull, Data: p}
	op.SetExtent(msg.Extent{Length: uint64(len(p))})
	if _, err := o.do(op); err != nil {
		o.t.Fatal(err)
	}
}

// Read returns the object's data; ENOENT if it is missing.
func (o *Object) Read() ([]byte, error) {
	return o.do(msg.Op{Code: msg.OpRead})
}

// Omap stores keys, as older software or a fault would.
func (o *Object) Omap(kv map[string][]byte) {
	o.t.Helper()
	var e denc.Encoder
	denc.PutMap(&e, kv, (*denc.Encoder).Str, (*denc.Encoder).Blob)
	op := msg.Op{Code: msg.OpOmapSetVals, Data: e.Bytes()}
	if _, err := o.do(op); err != nil {
		o.t.Fatal(err)
	}
}

// Attr stores an attr likewise.
func (o *Object) Attr(name string, value []byte) {
	o.t.Helper()
	op := msg.Op{Code: msg.OpSetXattr, Data: append([]byte(name), value...)}
	op.SetXattr(msg.Xattr{NameLength: uint32(len(name)), ValueLength: uint32(len(value))})
	if _, err := o.do(op); err != nil {
		o.t.Fatal(err)
	}
}

func (o *Object) do(op msg.Op) ([]byte, error) {
	o.t.Helper()
	ctx := context.Background()
	m := &msg.OSDOp{Name: o.name, Snap: ceph.NoSnap, Ops: []msg.Op{op}}
	m.Locator = ceph.Locator{Pool: 1, Hash: -1}
	req := &ops.Request{OSDOp: m, Client: o.Client, Addr: o.Addr}
	if e := req.Refuse(); e != 0 {
		return nil, e
	}
	head, err := o.env.Load(ctx, req.Head())
	if err != nil {
		o.t.Fatal(err)
	}
	out := ops.Run(ctx, o.env, req, head)
	if out.Result < 0 {
		return nil, out.Result
	}
	if out.Writes {
		o.version++
		txn := out.Seal(req, ceph.EVersion{Version: o.version, Epoch: 1}, o.version-1)
		if err := osd.Apply(ctx, o.env.Store, txn); err != nil {
			o.t.Fatal(err)
		}
	}
	return out.Ops[0].Data, nil
}
