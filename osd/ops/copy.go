package ops

import (
	"context"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd"
)

// Content is a whole object, as copy-from fetches it.
type Content struct {
	Data        []byte
	Extents     []osd.Extent // where in Data there is some
	MTime       ceph.Time
	Attrs       map[string][]byte
	Omap        map[string][]byte
	Header      []byte
	UserVersion uint64
	TruncateSeq uint32
	TruncateLen uint64
}

// opCopyFrom replaces the object by a copy of another.
func opCopyFrom(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	d := denc.NewDecoder(in.Data)
	name, loc := d.Str(), ceph.DecodeLocator(d)
	seq, size := uint32(0), uint64(0)
	if in.Code == msg.OpCopyFrom2 {
		seq, size = d.U32(), d.U64()
	}
	if d.Err() != nil {
		return 0, ceph.EINVAL
	}
	c := in.CopyFrom()
	if loc.Pool == r.v.name.Pool && loc.Namespace == r.v.name.Namespace && name == r.v.name.Name && c.Snap == ceph.NoSnap {
		return 0, ceph.EINVAL
	}
	if r.env.Fetch == nil {
		return 0, ceph.EOPNOTSUPP
	}
	src, err := r.env.Fetch(r.ctx, loc, name, c.Snap)
	if err != nil {
		return 0, fetchError{err}
	}
	if c.Version != 0 && c.Version != src.UserVersion {
		if c.Version < src.UserVersion {
			return 0, fetchError{ceph.ERANGE}
		}
		return 0, fetchError{ceph.EOVERFLOW}
	}
	v := r.v
	v.create()
	if err := v.truncate(0); err != nil {
		return 0, err
	}
	old, err := v.allAttrs()
	if err != nil {
		return 0, err
	}
	for name := range old {
		v.rmAttr(name)
	}
	if v.state.HasOmap {
		v.omapClear()
	}
	for name, p := range src.Attrs {
		if err := v.setAttr(name, p); err != nil {
			return 0, err
		}
	}
	for _, x := range src.Extents {
		if err := v.write(x.Off, src.Data[x.Off:x.Off+x.Len]); err != nil {
			return 0, err
		}
	}
	if n := uint64(len(src.Data)); n > v.state.Size {
		if err := v.truncate(n); err != nil {
			return 0, err
		}
	}
	if len(src.Omap) > 0 {
		if err := v.omapSet(src.Omap); err != nil {
			return 0, err
		}
	}
	if len(src.Header) > 0 {
		if err := v.setOmapHeader(src.Header); err != nil {
			return 0, err
		}
	}
	v.copied = src.UserVersion
	v.state.TruncateSeq, v.state.TruncateLen = src.TruncateSeq, src.TruncateLen
	if in.Code == msg.OpCopyFrom2 && c.Flags&copyTruncateSeq != 0 {
		v.state.TruncateSeq, v.state.TruncateLen = seq, size
	}
	return 0, nil
}

// fetchError is why a source could not be read. The real OSD gives such an
// operation the result of one under way, and the request the errno.
type fetchError struct{ error }

func (e fetchError) Unwrap() error { return e.error }

// copyTruncateSeq in the flags of copy-from2: the truncation it brings is meant.
const copyTruncateSeq = 0x20

// wholeTries is how often an object may change while it is read to be copied.
const wholeTries = 100

// Whole reads an object, or what a snapshot shows of it, to be copied: one version,
// whatever requests do to it meanwhile. EAGAIN if they do not let it.
func (e *Env) Whole(ctx context.Context, head ceph.HObject, snap ceph.SnapID) (*Content, error) {
	for range wholeTries {
		before, err := e.Load(ctx, head)
		if err != nil {
			return nil, err
		}
		c, err := e.whole(ctx, head, snap)
		if after, errAfter := e.Load(ctx, head); errAfter != nil {
			return nil, errAfter
		} else if before == nil && after == nil || before != nil && after != nil && before.Version == after.Version {
			return c, err
		}
	}
	return nil, ceph.EAGAIN
}

func (e *Env) whole(ctx context.Context, head ceph.HObject, snap ceph.SnapID) (*Content, error) {
	st, err := e.Load(ctx, head)
	if err != nil {
		return nil, err
	}
	name := head
	if snap != ceph.NoSnap {
		if name, st, err = e.resolve(ctx, head, st, snap); err != nil {
			return nil, err
		}
	}
	v := newView(ctx, e, name, st, nil)
	if err := v.must(); err != nil {
		return nil, err
	}
	c := &Content{MTime: st.MTime, UserVersion: st.UserVersion, TruncateSeq: st.TruncateSeq, TruncateLen: st.TruncateLen}
	if c.Data, err = v.read(0, st.Size); err != nil {
		return nil, err
	}
	if c.Extents, err = v.extents(0, st.Size); err != nil {
		return nil, err
	}
	if c.Attrs, err = v.allAttrs(); err != nil {
		return nil, err
	}
	if !st.HasOmap {
		return c, nil
	}
	if c.Header, err = v.omapHeader(); err != nil {
		return nil, err
	}
	c.Omap = map[string][]byte{}
	return c, e.Store.OmapIter(ctx, e.Coll, v.from, "", "", func(k string, p []byte) bool {
		c.Omap[k] = append([]byte{}, p...)
		return true
	})
}
