package mon

import (
	"fmt"
	"maps"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

// creating is what is left to make of a new pool: the PGs that no OSD has said it
// made. An OSD makes those only, so that a PG that was somewhere is never begun
// anew elsewhere. While there are any, the pool has the flag PoolCreating.
type creating struct {
	since ceph.Epoch
	left  []uint32 // seeds, ascending
}

func creatingKey(id ceph.PoolID) string { return fmt.Sprintf("%s%d", prefixCreating, id) }

func (c creating) encode() []byte {
	var e denc.Encoder
	m := e.Begin(1, 1)
	e.U32(uint32(c.since))
	denc.PutSlice(&e, c.left, (*denc.Encoder).U32)
	e.End(m)
	return e.Bytes()
}

func decodeCreating(p []byte) (c creating, err error) {
	d := denc.NewDecoder(p)
	s := d.Begin(1)
	c.since, c.left = ceph.Epoch(d.U32()), denc.Slice(d, 4, (*denc.Decoder).U32)
	d.End(s)
	return c, d.Finish()
}

// createPGs has all PGs of a new pool made.
func (c *Change) createPGs(id ceph.PoolID, p *osdmap.Pool) {
	n := creating{since: c.Inc().Epoch}
	for seed := range p.PGNum {
		n.left = append(n.left, seed)
	}
	p.Flags |= osdmap.PoolCreating
	c.Put(creatingKey(id), n.encode())
}

// publishCreates tells an OSD of the PGs to make that it is primary of.
func (m *Monitor) publishCreates(s *session, st *State, w *sub) bool {
	peer := s.conn.Peer()
	if peer.ID.Type != ceph.TypeOSD || uint64(st.OSD.Epoch) < w.next {
		return false
	}
	w.next = uint64(st.OSD.Epoch) + 1
	if len(st.Creating) == 0 {
		return false
	}
	pl, err := osdmap.NewPlacer(st.OSD)
	if err != nil {
		m.log.Error("placement", "err", err)
		return false
	}
	out := &msg.OSDPGCreate2{Epoch: st.OSD.Epoch, PGs: map[ceph.ShardPG]msg.PGCreate{}}
	var work osdmap.Work
	for id, n := range st.Creating {
		pool := st.OSD.Pools[id]
		if pool == nil {
			continue
		}
		for _, seed := range n.left {
			pg := ceph.PG{Pool: id, Seed: seed}
			if at, err := pl.Place(&work, pg); err == nil && at.ActingPrimary == int32(peer.ID.Num) {
				out.PGs[ceph.ShardPG{PG: pg, Shard: ceph.NoShard}] = msg.PGCreate{Created: n.since, Stamp: pool.Created}
			}
		}
	}
	if len(out.PGs) == 0 {
		return false
	}
	s.send(out)
	return true
}

// made is told that a PG exists. PGs of one pool come by the hundred: those that
// come while a change is on its way go with the next.
func (m *Monitor) made(pg ceph.PG) {
	m.mu.Lock()
	busy := m.mu.made != nil
	if !busy {
		m.mu.made = map[ceph.PG]struct{}{}
	}
	m.mu.made[pg] = struct{}{}
	m.mu.Unlock()
	if !busy {
		m.wg.Go(m.noteMade)
	}
}

func (m *Monitor) noteMade() {
	for {
		m.mu.Lock()
		set := m.mu.made
		if len(set) == 0 {
			m.mu.made = nil
			m.mu.Unlock()
			return
		}
		m.mu.made = map[ceph.PG]struct{}{}
		m.mu.Unlock()
		_, err := m.change(m.ctx, func(c *Change) error {
			for id := range pools(set) {
				n, ok := c.State.Creating[id]
				if !ok || c.State.OSD.Pools[id] == nil {
					continue
				}
				left := slices.DeleteFunc(slices.Clone(n.left), func(seed uint32) bool {
					_, yes := set[ceph.PG{Pool: id, Seed: seed}]
					return yes
				})
				switch {
				case len(left) == 0:
					c.Delete(creatingKey(id))
					c.Pool(id).Flags &^= osdmap.PoolCreating
				case len(left) < len(n.left):
					n.left = left
					c.Put(creatingKey(id), n.encode())
				}
			}
			return nil
		})
		if err != nil { // its OSD tells again with the next session or map
			m.log.Warn("pgs that were made are not noted", "pgs", len(set), "err", err)
		}
	}
}

func pools(set map[ceph.PG]struct{}) map[ceph.PoolID]bool {
	out := map[ceph.PoolID]bool{}
	for pg := range maps.Keys(set) {
		out[pg.Pool] = true
	}
	return out
}
