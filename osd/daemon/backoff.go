package daemon

import (
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
)

// blockAfter is for how long requests for a PG that is not served wait here: as
// long as one takes to be opened, split or waited for by the monitors. Then their
// clients are told to keep them, for what waits here keeps a session from being read.
const blockAfter = 2 * time.Second

// backoff is a PG whose requests a client was told to keep.
type backoff struct {
	id         uint64
	begin, end ceph.HObject
}

// keptBackLocked reports whether a request for PG id, which is not served, is its
// client's to keep, and tells the client if it does not know. What of its requests
// waits here is dropped then: it makes them again, in their order.
func (o *OSD) keptBackLocked(s *session, id ceph.PG, p *place) bool {
	if s.backoffs[id] != nil {
		return true // made before the client knew
	}
	if o.cfg.Now().Sub(p.unserved) < o.cfg.BlockAfter {
		return false
	}
	pool := o.mu.m.Pools[id.Pool]
	o.mu.backoff++
	b := &backoff{id: o.mu.backoff}
	b.begin, b.end = id.Range(pool.PGNum)
	if s.backoffs == nil {
		s.backoffs = map[ceph.PG]*backoff{}
	}
	s.backoffs[id] = b
	o.sayLocked(s, id, msg.BackoffBlock, b)
	p.waiting = s.forget(p.waiting)
	return true
}

// unblockLocked has clients make the requests that they were told to keep, if their
// PG is served, or is here no more.
func (o *OSD) unblockLocked() {
	for s := range o.mu.sessions {
		for id, b := range s.backoffs {
			if o.mu.pgs[id] != nil || o.mu.places[id] == nil {
				delete(s.backoffs, id)
				o.sayLocked(s, id, msg.BackoffUnblock, b)
			}
		}
	}
}

func (o *OSD) sayLocked(s *session, id ceph.PG, op uint8, b *backoff) {
	s.Send(&msg.OSDBackoff{PG: ceph.ShardPG{PG: id, Shard: ceph.NoShard}, Epoch: o.mu.m.Epoch, Op: op, ID: b.id, Begin: b.begin, End: b.end})
}
