package ops

import (
	"context"
	"errors"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/osd"
	"ebofs/osd/track"
)

// Limits of an OSD, as Ceph's default configuration has them.
const (
	MaxObjectBytes    = 128 << 20 // osd_max_object_size
	MaxWriteBytes     = 90 << 20  // osd_max_write_size, of one request
	MaxNameBytes      = 2048
	MaxNamespaceBytes = 256
	MaxAttrNameBytes  = 100 // osd_max_attr_name_len
	MaxListEntries    = 1024

	// DefaultWatchSeconds is what a watch or notify without a timeout gets.
	DefaultWatchSeconds = 30

	maxReturnBytes = 64 // of output a write may return
)

// Env is the PG in which requests are carried out. It is not changed while one
// is.
type Env struct {
	Store osd.ObjectStore
	Coll  osd.CollectionID
	PG    ceph.PG
	Begin ceph.HObject // range of the PG's objects
	End   ceph.HObject

	// MaxObject bounds the size of objects; 0: MaxObjectBytes.
	MaxObject uint64
	// PoolSnaps is the snapshot context of a pool with snapshots of its own, for
	// requests that bring none; the zero value: the pool has none.
	PoolSnaps SnapContext
	// Removed tells snapshots that have been deleted; nil: none.
	Removed func(ceph.SnapID) bool
	// Fetch reads an object, here or elsewhere, to be copied; nil: EOPNOTSUPP.
	Fetch func(ctx context.Context, loc ceph.Locator, name string, snap ceph.SnapID) (*Content, error)
	// NotifyID returns an id for a notify that no other has; nil: no notifies.
	NotifyID func() uint64
	// Ping renews a watch: ETIMEDOUT if no connection has it; nil: all have one.
	Ping func(h ceph.HObject, k WatchKey) error
	// Scrubbed returns what the last scrub has found, nil if there was none; nil:
	// there is none.
	Scrubbed func() *ScrubLog
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// SnapContext is the snapshots a write has to keep the object for: Snaps newest
// first, Seq not below any of them.
type SnapContext struct {
	Seq   ceph.SnapID
	Snaps []ceph.SnapID
}

// Request is a client's request with what the session knows of it.
type Request struct {
	*msg.OSDOp
	Client ceph.EntityID // whose request it is
	Addr   ceph.Addr     // where from
	ReqID  ceph.ReqID    // explicit, or derived from client and tid
	Op     *track.Op     // is told how far the request has come; nil: nobody is
	// Alone says that nothing else is under way, nor behind it: who brings the request
	// may as well do it.
	Alone bool
}

// Key returns the store's name of h.
func Key(h ceph.HObject) osd.ObjectID {
	return osd.ObjectID{
		Shard: -1, Pool: int64(h.Pool), Hash: h.Hash, Namespace: h.Namespace, Key: h.Key, Name: h.Name,
		Snap: uint64(h.Snap), Generation: noGeneration,
	}
}

// noGeneration is the generation of every object in a replicated pool.
const noGeneration = 1<<64 - 1

// HObject is the inverse of Key.
func HObject(o osd.ObjectID) ceph.HObject {
	return ceph.HObject{Pool: ceph.PoolID(o.Pool), Hash: o.Hash, Namespace: o.Namespace, Key: o.Key, Name: o.Name, Snap: ceph.SnapID(o.Snap)}
}

// Head returns the name of the object a request is about.
func (r *Request) Head() ceph.HObject {
	h := ceph.HObject{Pool: r.Locator.Pool, Hash: r.Hash, Namespace: r.Locator.Namespace, Name: r.Name, Snap: ceph.NoSnap}
	if r.Locator.Key != r.Name {
		h.Key = r.Locator.Key
	}
	return h
}

func (e *Env) now() ceph.Time {
	if e.Now != nil {
		return ceph.MakeTime(e.Now())
	}
	return ceph.MakeTime(time.Now())
}

func (e *Env) maxObject() uint64 {
	if e.MaxObject != 0 {
		return e.MaxObject
	}
	return MaxObjectBytes
}

// errno translates an error of the store, or of a class, to what a client gets.
func errno(err error) ceph.Errno {
	var e ceph.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e
	case errors.Is(err, osd.ErrNotFound):
		return ceph.ENOENT
	case errors.Is(err, osd.ErrNoAttr):
		return ceph.ENODATA
	case errors.Is(err, osd.ErrNoSpace):
		return ceph.ENOSPC
	case errors.Is(err, osd.ErrTooLarge):
		return ceph.EFBIG
	case errors.Is(err, osd.ErrInvalid):
		return ceph.EINVAL
	case errors.Is(err, osd.ErrUnsupported):
		return ceph.EOPNOTSUPP
	case errors.Is(err, osd.ErrReadOnly):
		return ceph.EROFS
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ceph.EINTR
	}
	return ceph.EIO
}

// Load returns the State of an object in the store, nil if there is none.
func (e *Env) Load(ctx context.Context, h ceph.HObject) (*State, error) {
	p, err := e.Store.Attr(ctx, e.Coll, Key(h), StateAttr)
	switch {
	case errors.Is(err, osd.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return DecodeState(p)
}
