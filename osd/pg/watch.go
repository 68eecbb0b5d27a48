package pg

import (
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/osd/ops"
)

// watcher is a watch in RAM: the object's State remembers it over restarts.
type watcher struct {
	key     ops.WatchKey
	timeout time.Duration
	conn    Session // nil: its client has not come back yet
	stop    func() bool
}

// Watcher is a watch as it is shown.
type Watcher struct {
	Object  ceph.HObject
	Key     ops.WatchKey
	Timeout uint32 // seconds
	Bound   bool   // its client is connected, at Addr
	Addr    ceph.Addr
}

// Watchers returns the watches that are known in RAM.
func (p *PG) Watchers() (list []Watcher) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, m := range p.mu.watches {
		for k, w := range m {
			x := Watcher{Object: name, Key: k, Timeout: uint32(w.timeout / time.Second), Bound: w.conn != nil}
			if x.Bound {
				x.Addr = w.conn.Addr()
			}
			list = append(list, x)
		}
	}
	return list
}

// notify is a notify that has not been answered by all.
type notify struct {
	ops.Notified
	from    Session
	pending map[ops.WatchKey]bool
	replies map[ops.WatchKey][]byte
	stop    func() bool
}

// notifyID returns an id that no notify has had: also not before a restart, for
// the epoch has grown then.
func (p *PG) notifyID() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.notified++
	return uint64(p.cfg.Epoch())<<32 | uint64(p.mu.notified)
}

// adoptLocked brings watches that an object's State remembers into RAM.
func (p *PG) adoptLocked(name ceph.HObject, st *ops.State) {
	if st == nil {
		return
	}
	for k, w := range st.Watches {
		if p.mu.watches[name][k] == nil {
			p.watchLocked(name, k, w.Timeout, nil)
		}
	}
}

// watchLocked registers a watch or binds it anew, and starts its time.
func (p *PG) watchLocked(name ceph.HObject, k ops.WatchKey, seconds uint32, conn Session) {
	m := p.mu.watches[name]
	if m == nil {
		m = map[ops.WatchKey]*watcher{}
		p.mu.watches[name] = m
	}
	w := m[k]
	if w == nil {
		w = &watcher{key: k, stop: func() bool { return true }}
		m[k] = w
	}
	w.timeout, w.conn = time.Duration(seconds)*time.Second, conn
	p.restartLocked(name, w)
}

func (p *PG) restartLocked(name ceph.HObject, w *watcher) {
	w.stop()
	if !p.mu.closed {
		w.stop = p.cfg.After(w.timeout, func() { p.expired(name, w) })
	}
}

// ping renews a watch: the client is there.
func (p *PG) ping(name ceph.HObject, k ops.WatchKey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.mu.watches[name][k]
	switch {
	case w == nil:
		return ceph.ENOTCONN
	case w.conn == nil:
		return ceph.ETIMEDOUT
	}
	p.restartLocked(name, w)
	return nil
}

// expired removes a watch whose client has not been heard of: as a request of
// that client, so that the object's State forgets it too.
func (p *PG) expired(name ceph.HObject, w *watcher) {
	p.mu.Lock()
	gone := p.mu.closed || p.mu.watches[name][w.key] != w
	p.mu.Unlock()
	if gone {
		return
	}
	m := &msg.OSDOp{
		PG: ceph.ShardPG{PG: p.cfg.PG, Shard: ceph.NoShard}, Hash: name.Hash, Name: name.Name, Snap: ceph.NoSnap,
		Locator: ceph.Locator{Pool: name.Pool, Key: name.Key, Namespace: name.Namespace, Hash: -1},
		Ops:     []msg.Op{{Code: msg.OpWatch}},
	}
	m.Ops[0].SetWatch(msg.Watch{Cookie: w.key.Cookie, Op: msg.WatchUnwatch})
	p.Submit(&ops.Request{OSDOp: m, Client: w.key.Client}, nil, func(*msg.OSDOpReply) {})
}

// Reset says that a session has ended: its watches wait for their clients to come
// back, until their time is up.
func (p *PG) Reset(conn Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, m := range p.mu.watches {
		for _, w := range m {
			if w.conn == conn {
				w.conn = nil
				p.restartLocked(name, w)
			}
		}
	}
}

// effects does what follows from a request, after its reply.
func (p *PG) effects(w *work, out *ops.Outcome) {
	if len(out.Effects) == 0 {
		return
	}
	var send []func()
	p.mu.Lock()
	for _, e := range out.Effects {
		switch e := e.(type) {
		case ops.Watched:
			p.watchLocked(e.Object, e.Key, e.Timeout, w.from)
		case ops.Unwatched:
			send = append(send, p.unwatchLocked(e.Object, e.Key)...)
		case ops.Disconnect:
			for _, k := range e.Keys {
				if o := p.mu.watches[e.Object][k]; o != nil && o.conn != nil {
					conn, cookie := o.conn, k.Cookie
					send = append(send, func() { conn.Send(&msg.WatchNotify{Op: msg.NotifyDisconnect, Cookie: cookie}) })
				}
				send = append(send, p.unwatchLocked(e.Object, k)...)
			}
		case ops.Notified:
			send = append(send, p.notifyLocked(w, e)...)
		case ops.NotifyAcked:
			if w.from != nil {
				send = append(send, p.ackLocked(e.NotifyID, ops.WatchKey{Client: w.req.Client, Cookie: e.Cookie}, e.Reply)...)
			}
		}
	}
	p.mu.Unlock()
	for _, f := range send {
		f()
	}
}

// unwatchLocked forgets a watch; notifies no longer wait for it.
func (p *PG) unwatchLocked(name ceph.HObject, k ops.WatchKey) (send []func()) {
	m := p.mu.watches[name]
	if o := m[k]; o != nil {
		o.stop()
		delete(m, k)
	}
	if len(m) == 0 {
		delete(p.mu.watches, name)
	}
	for id, n := range p.mu.notifies {
		if n.Object == name && n.pending[k] {
			delete(n.pending, k)
			send = append(send, p.completeLocked(id, false)...)
		}
	}
	return send
}

// notifyLocked tells every watcher, and waits for their answers. One whose
// client is away gets until the time is up.
func (p *PG) notifyLocked(w *work, e ops.Notified) (send []func()) {
	n := &notify{Notified: e, from: w.from, pending: map[ops.WatchKey]bool{}, replies: map[ops.WatchKey][]byte{}, stop: func() bool { return true }}
	p.mu.notifies[e.ID] = n
	for k, o := range p.mu.watches[e.Object] {
		n.pending[k] = true
		if conn := o.conn; conn != nil {
			m := &msg.WatchNotify{Op: msg.NotifyNotify, Cookie: k.Cookie, Version: e.Version, NotifyID: e.ID, Payload: e.Payload, Notifier: uint64(w.req.Client.Num)}
			send = append(send, func() { conn.Send(m) })
		}
	}
	if done := p.completeLocked(e.ID, false); done != nil {
		return append(send, done...)
	}
	n.stop = p.cfg.After(time.Duration(e.Timeout)*time.Second, func() {
		p.mu.Lock()
		send := p.completeLocked(e.ID, true)
		p.mu.Unlock()
		for _, f := range send {
			f()
		}
	})
	return send
}

func (p *PG) ackLocked(id uint64, k ops.WatchKey, reply []byte) []func() {
	n := p.mu.notifies[id]
	if n == nil || !n.pending[k] {
		return nil
	}
	delete(n.pending, k)
	n.replies[k] = reply
	return p.completeLocked(id, false)
}

// completeLocked tells the notifier that all have answered, or, if late is set,
// who has not. nil: some are still to answer.
func (p *PG) completeLocked(id uint64, late bool) []func() {
	n := p.mu.notifies[id]
	if n == nil || len(n.pending) > 0 && !late {
		return nil
	}
	n.stop()
	delete(p.mu.notifies, id)
	if n.from == nil {
		return nil
	}
	// Watches are named the other way round here: by client, then cookie.
	byClient := func(a, b ops.WatchKey) int {
		if c := a.Client.Compare(b.Client); c != 0 {
			return c
		}
		return a.Compare(b)
	}
	put := func(e *denc.Encoder, k ops.WatchKey) {
		e.U64(uint64(k.Client.Num))
		e.U64(k.Cookie)
	}
	var e denc.Encoder
	denc.PutMapFunc(&e, n.replies, byClient, put, (*denc.Encoder).Blob)
	denc.PutMapFunc(&e, n.pending, byClient, put, func(*denc.Encoder, bool) {})
	m := &msg.WatchNotify{Op: msg.NotifyComplete, Cookie: n.Cookie, Version: n.Version, NotifyID: id, Replies: e.Bytes(), Notifier: uint64(n.from.Client().Num)}
	if len(n.pending) > 0 {
		m.Result = int32(ceph.ETIMEDOUT)
	}
	return []func(){func() { n.from.Send(m) }}
}
