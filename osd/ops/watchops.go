package ops

import (
	"maps"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
)

// Effect is what has to be done, beside replying, when a request has happened.
type Effect interface{ effect() }

// Watched says that a watch is there, on the connection of the request.
type Watched struct {
	Object  ceph.HObject
	Key     WatchKey
	Timeout uint32 // seconds
}

// Unwatched says that a watch is gone, as its client wanted.
type Unwatched struct {
	Object ceph.HObject
	Key    WatchKey
}

// Disconnect says that watches are gone because the object is; their clients
// have to be told.
type Disconnect struct {
	Object ceph.HObject
	Keys   []WatchKey
}

// Notified says that all watchers of an object have to be told something.
type Notified struct {
	Object  ceph.HObject
	Cookie  uint64
	ID      uint64
	Timeout uint32 // seconds
	Payload []byte
	Version uint64 // user version of the object
}

// NotifyAcked says that a watcher has answered a notify.
type NotifyAcked struct {
	Object   ceph.HObject
	NotifyID uint64
	Cookie   uint64 // of the watch
	Reply    []byte
}

func (Watched) effect()     {}
func (Unwatched) effect()   {}
func (Disconnect) effect()  {}
func (Notified) effect()    {}
func (NotifyAcked) effect() {}

func keysOf(w map[WatchKey]Watch) []WatchKey {
	return slices.SortedFunc(maps.Keys(w), WatchKey.Compare)
}

// opWatch registers, renews or ends a watch.
func opWatch(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	if err := r.v.must(); err != nil {
		return 0, err
	}
	w := in.Watch()
	st := r.v.state
	key := WatchKey{r.req.Client, w.Cookie}
	_, known := st.Watches[key]
	timeout := w.Timeout
	if timeout == 0 {
		timeout = DefaultWatchSeconds
	}
	switch w.Op {
	case msg.WatchWatch, msg.WatchLegacy:
	case msg.WatchReconnect:
		if !known {
			return 0, ceph.ENOTCONN
		}
	case msg.WatchPing:
		switch {
		case !known:
			return 0, ceph.ENOTCONN
		case r.env.Ping == nil:
			return 0, nil
		}
		return 0, r.env.Ping(r.v.name, key)
	case msg.WatchUnwatch:
		if known {
			delete(st.Watches, key)
			r.v.changed = true
		}
		r.out.Effects = append(r.out.Effects, Unwatched{r.v.name, key})
		return 0, nil
	default:
		return 0, ceph.EINVAL
	}
	if st.Watches == nil {
		st.Watches = map[WatchKey]Watch{}
	}
	st.Watches[key] = Watch{timeout, r.req.Addr}
	r.v.changed = true
	r.out.Effects = append(r.out.Effects, Watched{r.v.name, key, timeout})
	return 0, nil
}

// opNotify tells all watchers something; the answer has an id by which they
// acknowledge.
func opNotify(r *run, in, out *msg.Op) (ceph.Errno, error) {
	d := denc.NewDecoder(in.Data)
	d.U32() // version
	timeout, payload := d.U32(), d.Bytes()
	if d.Err() != nil {
		return 0, ceph.EINVAL
	}
	if err := r.v.must(); err != nil {
		return 0, err
	}
	if timeout == 0 {
		timeout = DefaultWatchSeconds
	}
	if r.env.NotifyID == nil {
		return 0, ceph.EOPNOTSUPP
	}
	n := Notified{r.v.name, in.Watch().Cookie, r.env.NotifyID(), timeout, payload, r.v.state.UserVersion}
	out.Data = le.AppendUint64(nil, n.ID)
	r.out.Effects = append(r.out.Effects, n)
	return 0, nil
}

func opNotifyAck(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	if err := r.v.must(); err != nil {
		return 0, err
	}
	a := NotifyAcked{Object: r.v.name, Cookie: in.Watch().Cookie}
	if d := denc.NewDecoder(in.Data); d.Left() >= 16 {
		a.NotifyID, a.Cookie = d.U64(), d.U64()
		if d.Left() > 0 {
			a.Reply = d.Bytes()
		}
		if d.Err() != nil {
			return 0, ceph.EINVAL
		}
	}
	r.out.Effects = append(r.out.Effects, a)
	return 0, nil
}

func opListWatchers(r *run, _, out *msg.Op) (ceph.Errno, error) {
	if err := r.v.must(); err != nil {
		return 0, err
	}
	var e denc.Encoder
	m := e.Begin(1, 1)
	denc.PutSlice(&e, keysOf(r.v.state.Watches), func(e *denc.Encoder, k WatchKey) {
		w := r.v.state.Watches[k]
		m := e.Begin(2, 1)
		k.Client.Encode(e)
		e.U64(k.Cookie)
		e.U32(w.Timeout)
		w.Addr.Encode(e)
		e.End(m)
	})
	e.End(m)
	out.Data = e.Bytes()
	return 0, nil
}
