package pg

import (
	"context"
	"fmt"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/osd"
	"ebofs/osd/ops"
)

// trimStep is how many objects are listed between two looks at whether to go on.
const trimStep = 256

// Trim drops deleted snapshots from all clones of the PG; removed tells which. Each
// object is changed by a request of the PG's own, one after the other, so clients
// are held up by one at most. What a crash interrupts is begun anew and finds the
// rest: done is the number of objects changed. Objects that cannot be read are left,
// and the first of their errors returned in the end.
func (p *PG) Trim(ctx context.Context, removed func(ceph.SnapID) bool) (done int, err error) {
	begin := ops.Key(p.env.Begin)
	begin.Generation = 0
	var last ceph.HObject
	for start := &begin; start != nil; {
		ids, next, e := p.cfg.Store.List(ctx, p.env.Coll, start, nil, trimStep)
		if e != nil {
			return done, fmt.Errorf("pg %v: %w", p.cfg.PG, e)
		}
		for _, id := range ids {
			clone := ops.HObject(id)
			if clone.Snap == ceph.NoSnap || clone.Snap == ceph.SnapDir || clone.Name == "" || clone.Pool < 0 {
				continue
			}
			head := clone
			if head.Snap = ceph.NoSnap; head == last {
				continue // an earlier clone had it trimmed
			}
			st, e := p.env.Load(ctx, clone)
			if e == nil && (st == nil || !anyOf(st.Snaps, removed)) {
				continue
			}
			if e == nil {
				last = head
				e = p.trimOne(ctx, head, removed)
			}
			switch {
			case e == nil:
				done++
			case ctx.Err() != nil || p.ctx.Err() != nil:
				return done, context.Canceled
			case err == nil:
				err = fmt.Errorf("pg %v: %v: %w", p.cfg.PG, clone, e)
			}
		}
		start = next
	}
	return done, err
}

// anyOf reports whether one of the snapshots is removed, or there is none at all.
func anyOf(snaps []ceph.SnapID, removed func(ceph.SnapID) bool) bool {
	for _, s := range snaps {
		if removed(s) {
			return true
		}
	}
	return len(snaps) == 0
}

// trimOne has one object trimmed, in its turn, and waits until that is committed.
func (p *PG) trimOne(ctx context.Context, head ceph.HObject, removed func(ceph.SnapID) bool) error {
	result := make(chan error, 1)
	w := &work{req: p.own(head), writes: true, waits: true, reply: func(r *msg.OSDOpReply) {
		if r == nil {
			result <- context.Canceled
			return
		}
		if r.Result < 0 {
			result <- ceph.Errno(r.Result)
			return
		}
		result <- nil
	}}
	w.run = func(ctx context.Context, e *ops.Env, st *ops.State) *ops.Outcome {
		return e.Trim(ctx, head, st, removed)
	}
	p.enqueue(w)
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	case <-p.ctx.Done():
	}
	return context.Canceled
}

// own makes a request of nobody's about an object.
func (p *PG) own(name ceph.HObject) *ops.Request {
	return &ops.Request{OSDOp: &msg.OSDOp{
		PG: ceph.ShardPG{PG: p.cfg.PG, Shard: ceph.NoShard}, Hash: name.Hash, Name: name.Name, Snap: ceph.NoSnap,
		Locator: ceph.Locator{Pool: name.Pool, Key: name.Key, Namespace: name.Namespace, Hash: -1},
	}}
}

// Purged returns the deleted snapshots of which the PG has nothing any more and
// which it was told to remember.
func (p *PG) Purged() []msg.Interval {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.info.Purged
}

// SetPurged remembers them, over restarts.
func (p *PG) SetPurged(ctx context.Context, list []msg.Interval) error {
	return p.changeInfo(ctx, func(i *Info) { i.Purged = list })
}

// changeInfo changes what the PG knows of itself: in the store, then in RAM.
func (p *PG) changeInfo(ctx context.Context, change func(*Info)) error {
	p.infoMu.Lock()
	defer p.infoMu.Unlock()
	p.mu.Lock()
	info := p.info
	p.mu.Unlock()
	change(&info)
	t := &osd.Transaction{}
	t.OmapSet(p.env.Coll, metaObject(p.cfg.PG), map[string][]byte{infoKey: info.encode()})
	if err := osd.Apply(ctx, p.cfg.Store, t); err != nil {
		return fmt.Errorf("pg %v: %w", p.cfg.PG, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.info = info
	return nil
}
