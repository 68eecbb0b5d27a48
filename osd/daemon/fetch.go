package daemon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
	"ebofs/cluster/osdmap"
	"ebofs/osd"
	"ebofs/osd/ops"
)

const (
	// fetchIn is how long a copy waits for its source. Two copies, each of the other's
	// target on another OSD, wait for each other; it ends that.
	fetchIn = 30 * time.Second
	// fetchAgain is how often another OSD is asked again: it does not answer a request
	// that is not for it, nor over a connection that broke.
	fetchAgain = 2 * time.Second
	// fetchBytes is what one answer brings of data.
	fetchBytes = 8 << 20
)

// fetches is the requests to other OSDs that wait for an answer. This OSD is their
// client.
type fetches struct {
	sync.Mutex
	tid  uint64
	wait map[uint64]chan *msg.OSDOpReply
}

// fetch reads an object, here or elsewhere, to be copied.
func (o *OSD) fetch(ctx context.Context, loc ceph.Locator, name string, snap ceph.SnapID) (*ops.Content, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchIn)
	defer cancel()
	c := &ops.Content{Attrs: map[string][]byte{}, Omap: map[string][]byte{}}
	after := ""
	for more := true; more; {
		o.mu.Lock()
		m := o.mu.m
		o.mu.Unlock()
		pg, hash, err := m.Object(name, loc)
		if err != nil {
			return nil, ceph.ENOENT
		}
		o.mu.Lock()
		g := o.mu.pgs[pg]
		o.mu.Unlock()
		if g != nil && c.UserVersion == 0 {
			h := ceph.HObject{Pool: loc.Pool, Hash: hash, Namespace: loc.Namespace, Name: name, Snap: ceph.NoSnap}
			if loc.Key != name {
				h.Key = loc.Key
			}
			return g.Whole(ctx, h, snap)
		}
		if more, after, err = o.fetchPart(ctx, c, loc, name, snap, after); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// fetchPart asks for the next bytes and keys of an object: all of it belongs to one
// version. It reports whether there is more.
func (o *OSD) fetchPart(ctx context.Context, c *ops.Content, loc ceph.Locator, name string, snap ceph.SnapID, after string) (bool, string, error) {
	var keys denc.Encoder
	keys.Str(after)
	keys.U64(1024)
	keys.Str("")
	list := []msg.Op{{Code: msg.OpStat}, {Code: msg.OpSparseRead}, {Code: msg.OpGetXattrs}, {Code: msg.OpOmapGetHeader}, {Code: msg.OpOmapGetVals, Data: keys.Bytes()}}
	at := uint64(len(c.Data))
	list[1].SetExtent(msg.Extent{Offset: at, Length: fetchBytes})
	if c.UserVersion != 0 {
		same := msg.Op{Code: msg.OpAssertVersion}
		binary.LittleEndian.PutUint64(same.Arg[8:], c.UserVersion)
		list = append(list, same)
	}
	r, err := o.ask(ctx, loc, name, snap, list)
	if err != nil {
		return false, "", err
	}
	switch e := ceph.Errno(r.Result); {
	case e == ceph.ERANGE || e == ceph.EOVERFLOW: // changed meanwhile: the client asks again
		return false, "", ceph.EAGAIN
	case e < 0:
		return false, "", e
	case len(r.Ops) != len(list):
		return false, "", fmt.Errorf("answer to %d operations has %d", len(list), len(r.Ops))
	}
	d := denc.NewDecoder(r.Ops[0].Data)
	size := d.U64()
	c.MTime, c.UserVersion = ceph.DecodeTime(d), r.UserVersion
	err = d.Err()
	d = denc.NewDecoder(r.Ops[1].Data)
	extents := denc.Slice(d, 16, func(d *denc.Decoder) osd.Extent { return osd.Extent{Off: d.U64(), Len: d.U64()} })
	data := d.Bytes()
	end := min(size, at+fetchBytes)
	c.Data = append(c.Data, make([]byte, max(end, at)-at)...)
	for _, x := range extents {
		if x.Off < at || x.Len > uint64(len(data)) || x.Off > end || x.Len > end-x.Off {
			return false, "", errors.New("sparse read brings something else")
		}
		copy(c.Data[x.Off:], data[:x.Len])
		data = data[x.Len:]
	}
	c.Extents = append(c.Extents, extents...)
	err = errors.Join(err, d.Err())
	d = denc.NewDecoder(r.Ops[2].Data)
	maps.Copy(c.Attrs, denc.Map(d, 8, (*denc.Decoder).Str, (*denc.Decoder).Bytes))
	err = errors.Join(err, d.Err())
	c.Header = r.Ops[3].Data
	d = denc.NewDecoder(r.Ops[4].Data)
	for range d.U32() {
		after = d.Str()
		c.Omap[after] = d.Bytes()
		if d.Err() != nil {
			break
		}
	}
	more := d.Bool()
	return more || end < size, after, errors.Join(err, d.Err())
}

// ask sends a request to the OSD that has an object, as its client, until it answers.
func (o *OSD) ask(ctx context.Context, loc ceph.Locator, name string, snap ceph.SnapID, list []msg.Op) (*msg.OSDOpReply, error) {
	answer := make(chan *msg.OSDOpReply, 1)
	o.fetches.Lock()
	o.fetches.tid++
	tid := o.fetches.tid
	o.fetches.wait[tid] = answer
	o.fetches.Unlock()
	defer func() {
		o.fetches.Lock()
		delete(o.fetches.wait, tid)
		o.fetches.Unlock()
	}()
	again := time.NewTicker(fetchAgain)
	defer again.Stop()
	for try := int32(0); ; try++ {
		o.mu.Lock()
		m, placer := o.mu.m, o.mu.placer
		o.mu.Unlock()
		pg, hash, err := m.Object(name, loc)
		if err != nil {
			return nil, ceph.ENOENT
		}
		var w osdmap.Work
		at, err := placer.Place(&w, pg)
		if err == nil && at.ActingPrimary >= 0 && m.IsUp(at.ActingPrimary) {
			out := msg.Pack(&msg.OSDOp{
				PG: ceph.ShardPG{PG: pg, Shard: -1}, Hash: hash, Epoch: m.Epoch, Flags: msg.FlagOnDisk | msg.FlagRead | msg.FlagKnownRedir,
				Locator: loc, Name: name, Ops: list, Snap: snap, Retry: try,
			})
			out.TID = tid
			if c, err := o.msgr.Connect(m.Client[at.ActingPrimary], ceph.TypeOSD, msgr.LossyClient); err == nil {
				_ = c.Send(out)
			}
		}
		select {
		case r := <-answer:
			return r, nil
		case <-again.C:
		case <-ctx.Done():
			return nil, ceph.ETIMEDOUT
		}
	}
}

// fetched takes an answer.
func (o *OSD) fetched(in *msg.Message, r *msg.OSDOpReply) {
	o.fetches.Lock()
	answer := o.fetches.wait[in.TID]
	o.fetches.Unlock()
	if answer == nil {
		return
	}
	for i := range r.Ops {
		r.Ops[i].Data = append([]byte(nil), r.Ops[i].Data...)
	}
	select {
	case answer <- r:
	default: // answered twice
	}
}
