package daemon

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

// keptIncrements is how many increments of the map are kept for clients that have
// an older one; one that is further behind gets the whole map.
const keptIncrements = 100

// keepIncrements keeps what came with a message. Only follow calls it.
func (o *OSD) keepIncrements(p *msg.OSDMap) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for e, b := range p.Incrementals {
		o.mu.incs[e] = b
		delete(o.mu.incs, e-keptIncrements)
	}
}

// share sends a client whose request was made with map has what it lacks, once: a
// client does not ask the monitors for maps of its own accord, and a request that
// is dropped for its old map is made again only with a newer one.
func (o *OSD) share(s *session, has ceph.Epoch) {
	o.mu.Lock()
	m := o.mu.m
	s.epoch = max(s.epoch, has)
	from := s.epoch
	if m == nil || from >= m.Epoch {
		o.mu.Unlock()
		return
	}
	s.epoch = m.Epoch
	out := &msg.OSDMap{FSID: m.FSID, Oldest: m.Epoch, Newest: m.Epoch, Incrementals: map[ceph.Epoch][]byte{}}
	for e := from + 1; e <= m.Epoch; e++ {
		b := o.mu.incs[e]
		if b == nil {
			out.Incrementals = nil
			break
		}
		out.Incrementals[e] = b
		out.Oldest = min(out.Oldest, e)
	}
	o.mu.Unlock()
	if out.Incrementals == nil {
		out.Full = map[ceph.Epoch][]byte{m.Epoch: encodeMap(m)}
	}
	s.Send(out)
}

// encodeMap encodes a map that others may be looking at: Encode notes the checksum
// in what it encodes.
func encodeMap(m *osdmap.Map) []byte {
	c := *m
	return c.Encode()
}
