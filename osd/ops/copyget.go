package ops

import (
	"math"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
)

// copyCursor is how much of an object a copier has: first attrs, then data, then
// the map.
type copyCursor struct {
	attrs    bool
	off      uint64
	data     bool
	omap     string // the last key
	omapDone bool
}

func (c copyCursor) encode(e *denc.Encoder) {
	m := e.Begin(1, 1)
	e.Bool(c.attrs)
	e.U64(c.off)
	e.Bool(c.data)
	e.Str(c.omap)
	e.Bool(c.omapDone)
	e.End(m)
}

func decodeCopyCursor(d *denc.Decoder) (c copyCursor) {
	s := d.Begin(1)
	c = copyCursor{d.Bool(), d.U64(), d.Bool(), d.Str(), d.Bool()}
	d.End(s)
	return c
}

// opCopyGet returns the next part of an object for another OSD that copies it.
func opCopyGet(r *run, in, out *msg.Op) (ceph.Errno, error) {
	v := r.v
	if err := v.must(); err != nil {
		return 0, err
	}
	d := denc.NewDecoder(in.Data)
	c := decodeCopyCursor(d)
	if d.Err() != nil || c.off > v.state.Size {
		return 0, ceph.EINVAL
	}
	left := int(min(in.CopyGet(), MaxWriteBytes))
	var attrs map[string][]byte
	var data, header []byte
	var pairs denc.Encoder
	count := pairs.Open()
	n := uint32(0)
	if !c.attrs {
		var err error
		if attrs, err = v.allAttrs(); err != nil {
			return 0, err
		}
		for name, p := range attrs {
			left -= len(name) + len(p)
		}
		c.attrs = true
	}
	if !c.data && left > 0 {
		p, err := v.read(c.off, min(uint64(left), v.state.Size-c.off))
		if err != nil {
			return 0, err
		}
		data, left = p, left-len(p)
		c.off += uint64(len(p))
		c.data = c.off == v.state.Size
	}
	if c.data && !c.omapDone && left > 0 {
		if !v.state.HasOmap {
			c.omapDone = true
		} else {
			var err error
			if c.omap == "" {
				if header, err = v.omapHeader(); err != nil {
					return 0, err
				}
			}
			list, more, err := v.omapVals(c.omap, "", math.MaxInt, left)
			if err != nil {
				return 0, err
			}
			for _, kv := range list {
				pairs.Str(kv.Key)
				pairs.Blob(kv.Value)
				n, c.omap = n+1, kv.Key
			}
			c.omapDone = !more
		}
	}
	le.PutUint32(pairs.Bytes()[count:], n)

	var e denc.Encoder
	m := e.Begin(8, 5)
	e.U64(v.state.Size)
	v.state.MTime.Encode(&e)
	denc.PutMap(&e, attrs, (*denc.Encoder).Str, (*denc.Encoder).Blob)
	e.Blob(data)
	if n == 0 {
		e.Blob(nil)
	} else {
		e.Blob(pairs.Bytes())
	}
	c.encode(&e)
	e.Blob(header)
	putSnaps(&e, v.state.Snaps)
	e.U64(uint64(v.state.Seq))
	e.U32(0)              // no digests of data and map
	e.U32(math.MaxUint32) // that of data
	e.U32(math.MaxUint32) // that of the map
	e.U32(0)              // requests that were done: only caches go on with them
	e.U32(v.state.TruncateSeq)
	e.U64(v.state.TruncateLen)
	e.U32(0) // results of those requests
	e.End(m)
	out.Data = e.Bytes()
	r.out.Stats.ReadOps++
	r.out.Stats.ReadBytes += int64(len(data))
	return 0, nil
}
