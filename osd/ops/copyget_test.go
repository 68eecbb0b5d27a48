package ops

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd"
)

// TestCopyGetGolden reads what an OSD of 16.2.15 answered to another, as `rados
// cppool` was at work.
func TestCopyGetGolden(t *testing.T) {
	p, err := hex.DecodeString("0805fe00000005000000000000009b00036b944ee228000000000500000068656c6c6f0000000001010f000000010500000000000000010000000001" +
		"0000000000000000000000000000000001000000b3448e65ffffffff0400000002021500000008461400000000000004000000000000000000000000000000000000000202150000000843140000000000000c00000000000000000000000a000000000000000202150000000843140000000000000b000000000000000000000009000000000000000202150000000843140000000000000a00000000000000000000000800000000000000000000000000000000000000000000000100000000000000efffffff")
	if err != nil {
		t.Fatal(err)
	}
	var g copyGet
	if op := g.op(8 << 20); hex.EncodeToString(op.Data) != "01010f000000000000000000000000000000000000" || op.CopyGet() != 8<<20 {
		t.Errorf("request %x", op.Data)
	}
	c, err := g.take(p, 10)
	if err != nil || c == nil || string(c.Data) != "hello" || c.UserVersion != 10 || c.MTime.Sec != 0x6b03009b {
		t.Fatalf("%v %+v", err, c)
	}
	for i := range p {
		var g copyGet
		if _, err := g.take(p[:i], 10); err == nil {
			t.Fatalf("the first %d bytes of %d are taken", i, len(p))
		}
	}
}

// TestCopyGet copies an object in small parts and gets all of it.
func TestCopyGet(t *testing.T) {
	ps := newPGs(t)
	e := ps.env(ceph.PG{Pool: 1})
	ctx := context.Background()
	h := ceph.HObject{Pool: 1, Name: "o", Snap: ceph.NoSnap}
	st := &State{Info: Info{Size: 10000, HasOmap: true, UserVersion: 7}}
	var txn osd.Transaction
	data := bytes.Repeat([]byte("0123456789"), 1000)
	txn.Write(e.Coll, Key(h), 0, data)
	kv := map[string][]byte{}
	for i := range 300 {
		kv[fmt.Sprint("k", i)] = bytes.Repeat([]byte{byte(i)}, i)
	}
	txn.OmapSet(e.Coll, Key(h), kv)
	txn.OmapSetHeader(e.Coll, Key(h), []byte("head"))
	txn.SetAttr(e.Coll, Key(h), userPrefix+"a", []byte("b"))
	txn.SetAttr(e.Coll, Key(h), StateAttr, encodeState(st))
	if err := osd.Apply(ctx, e.Store, &txn); err != nil {
		t.Fatal(err)
	}
	var g copyGet
	for parts := 1; ; parts++ {
		req := &Request{OSDOp: &msg.OSDOp{Name: "o", Locator: ceph.Locator{Pool: 1, Hash: -1}, Snap: ceph.NoSnap, Ops: []msg.Op{g.op(1000)}}}
		out := Run(ctx, e, req, st)
		if out.Result != 0 {
			t.Fatal(out.Result)
		}
		c, err := g.take(out.Ops[0].Data, out.UserVersion)
		if err != nil {
			t.Fatal(err)
		}
		if c == nil {
			continue
		}
		if parts < 40 || !bytes.Equal(c.Data, data) || len(c.Omap) != 300 || string(c.Omap["k9"]) != string(kv["k9"]) || string(c.Header) != "head" || string(c.Attrs["a"]) != "b" || c.UserVersion != 7 {
			t.Errorf("%d parts: %d bytes, %d keys, header %q, attrs %q", parts, len(c.Data), len(c.Omap), c.Header, c.Attrs)
		}
		return
	}
}

// copyGet asks for an object in parts, as the OSD does that is to have the copy.
type copyGet struct {
	content Content
	cursor  copyCursor
}

// op returns the operation that reads the next part, at most most bytes.
func (g *copyGet) op(most uint64) msg.Op {
	var e denc.Encoder
	g.cursor.encode(&e)
	o := msg.Op{Code: msg.OpCopyGet, Data: e.Bytes()}
	o.SetCopyGet(most)
	return o
}

// take takes what was answered. Once the object is whole it is returned.
func (g *copyGet) take(p []byte, version uint64) (*Content, error) {
	d := denc.NewDecoder(p)
	s := d.Begin(8)
	if s.Version < 8 && d.Err() == nil {
		d.Failf("part of an object of version %d, want 8", s.Version)
	}
	c := &g.content
	before := g.cursor
	size := d.U64()
	c.MTime = ceph.DecodeTime(d)
	for name, v := range denc.Map(d, 8, (*denc.Decoder).Str, (*denc.Decoder).Bytes) {
		if c.Attrs == nil {
			c.Attrs = map[string][]byte{}
		}
		c.Attrs[name] = append([]byte{}, v...)
	}
	data := d.Bytes()
	if q := d.Bytes(); len(q) > 0 {
		kv := denc.NewDecoder(q)
		if c.Omap == nil {
			c.Omap = map[string][]byte{}
		}
		for range kv.Count(8) {
			k := kv.Str()
			c.Omap[k] = append([]byte{}, kv.Bytes()...)
		}
		if err := kv.Finish(); err != nil {
			return nil, err
		}
	}
	g.cursor = decodeCopyCursor(d)
	if h := d.Bytes(); len(h) > 0 {
		c.Header = append([]byte{}, h...)
	}
	snaps(d)
	d.U64()
	for range 3 {
		d.U32()
	}
	for range d.Count(35) {
		ceph.DecodeReqID(d)
		d.U64()
	}
	c.TruncateSeq, c.TruncateLen = d.U32(), d.U64()
	d.End(s)
	switch {
	case d.Err() != nil:
		return nil, d.Err()
	case size > MaxObjectBytes || uint64(len(c.Data)+len(data)) > size:
		return nil, ceph.EFBIG
	case c.UserVersion != 0 && c.UserVersion != version:
		return nil, ceph.EAGAIN // it was changed between two parts
	case g.cursor == before && !(g.cursor.attrs && g.cursor.data && g.cursor.omapDone):
		return nil, ceph.EIO // no progress
	}
	c.UserVersion = version
	if len(data) > 0 {
		c.Extents = unite(append(c.Extents, osd.Extent{Off: uint64(len(c.Data)), Len: uint64(len(data))}))
		c.Data = append(c.Data, data...)
	}
	if !(g.cursor.attrs && g.cursor.data && g.cursor.omapDone) {
		return nil, nil
	}
	if uint64(len(c.Data)) < size {
		return nil, ceph.EIO
	}
	return c, nil
}
