package mon

import (
	"errors"
	"maps"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

// poolOp does what librados asks of pools: snapshots, and pools themselves.
func (m *Monitor) poolOp(s *session, in *msg.Message, p *msg.PoolOp) {
	r := &msg.PoolOpReply{FSID: m.State().MonMap.FSID}
	var st *State
	err := error(fail(ceph.EPERM, "access denied"))
	need := "r"
	if p.Op == msg.PoolOpCreate || p.Op == msg.PoolOpDelete {
		need = "w"
	}
	if m.ours(p.FSID) && m.allowed(s, "osd", need) {
		st, err = m.change(m.ctx, func(c *Change) error {
			r.Output = nil
			return m.changePool(c, p, r)
		})
	}
	if st == nil {
		st = m.State()
	}
	r.Epoch, r.Paxos = st.OSD.Epoch, msg.NewPaxos(uint64(st.OSD.Epoch))
	if err != nil {
		r.Result, r.Output = int32(ceph.EIO), nil
		var e ceph.Errno
		if errors.As(err, &e) {
			r.Result = int32(e)
		}
	}
	s.reply(in, r)
}

func (m *Monitor) changePool(c *Change, p *msg.PoolOp, r *msg.PoolOpReply) error {
	id := ceph.PoolID(p.Pool)
	if p.Op == msg.PoolOpCreate {
		return m.createPool(c, p)
	}
	if c.State.OSD.Pools[id] == nil {
		return fail(ceph.ENOENT, "there is no pool %d", id)
	}
	switch p.Op {
	case msg.PoolOpDelete:
		return m.dropPool(c, id)
	case msg.PoolOpMkSnap:
		return c.makeSnap(id, p.Name)
	case msg.PoolOpRmSnap:
		return c.removeSnap(id, p.Name)
	case msg.PoolOpCreateSnapID:
		snap, err := c.makeSelfManaged(id)
		var e denc.Encoder
		e.U64(uint64(snap))
		r.Output = e.Bytes()
		return err
	case msg.PoolOpDeleteSnapID:
		return c.removeSelfManaged(id, p.Snap)
	}
	return fail(ceph.EOPNOTSUPP, "pool operation %#x", p.Op)
}

// createPool makes a pool as the options say. That it is there already is no error.
func (m *Monitor) createPool(c *Change, p *msg.PoolOp) error {
	if _, ok := poolByName(c.State.OSD, p.Name); ok {
		return nil
	}
	rule := ""
	if p.Rule >= 0 {
		cm, err := c.CrushMap()
		if err != nil {
			return err
		}
		if rule = cm.RuleNames[int32(p.Rule)]; rule == "" {
			return fail(ceph.ENOENT, "there is no rule %d", p.Rule)
		}
	}
	pgs := m.cfg.Options.Int("osd_pool_default_pg_num")
	if p.Name == "" || pgs < 1 || pgs > maxPGs {
		return fail(ceph.EINVAL, "pool '%s' with %d PGs: want a name, 1 to %d PGs", p.Name, pgs, maxPGs)
	}
	_, err := m.newPool(c, p.Name, rule, 0, uint32(pgs), uint32(pgs))
	return err
}

// makeSnap takes a snapshot of a pool. That it is there already is no error, as
// a client may ask twice.
func (c *Change) makeSnap(id ceph.PoolID, name string) error {
	old := c.State.OSD.Pools[id]
	switch {
	case old.Flags&osdmap.PoolSelfManagedSnaps != 0:
		return fail(ceph.EINVAL, "pool %s is in unmanaged snaps mode", c.State.OSD.PoolNames[id])
	}
	for _, s := range old.Snaps {
		if s.Name == name {
			return nil
		}
	}
	p := c.Pool(id)
	p.Flags |= osdmap.PoolSnaps
	p.SnapSeq++
	p.SnapEpoch = c.Inc().Epoch
	if p.Snaps == nil {
		p.Snaps = map[ceph.SnapID]osdmap.PoolSnap{}
	}
	p.Snaps[p.SnapSeq] = osdmap.PoolSnap{ID: p.SnapSeq, Time: c.Now, Name: name}
	return nil
}

func (c *Change) removeSnap(id ceph.PoolID, name string) error {
	old := c.State.OSD.Pools[id]
	if old.Flags&osdmap.PoolSelfManagedSnaps != 0 {
		return fail(ceph.EINVAL, "pool %s is in unmanaged snaps mode", c.State.OSD.PoolNames[id])
	}
	for _, snap := range slices.Sorted(maps.Keys(old.Snaps)) {
		if old.Snaps[snap].Name == name {
			p := c.Pool(id)
			delete(p.Snaps, snap)
			p.SnapEpoch = c.Inc().Epoch
			c.removed(id, snap)
			return nil
		}
	}
	return nil
}

func (c *Change) makeSelfManaged(id ceph.PoolID) (ceph.SnapID, error) {
	if c.State.OSD.Pools[id].Flags&osdmap.PoolSnaps != 0 {
		return 0, fail(ceph.EINVAL, "pool %s is in pool snaps mode", c.State.OSD.PoolNames[id])
	}
	p := c.Pool(id)
	if p.Flags&osdmap.PoolSelfManagedSnaps == 0 && p.SnapSeq == 0 {
		p.SnapSeq = 1 // ids begin at 2, as on a real cluster
	}
	p.Flags |= osdmap.PoolSelfManagedSnaps
	p.SnapSeq++
	p.SnapEpoch = c.Inc().Epoch
	return p.SnapSeq, nil
}

func (c *Change) removeSelfManaged(id ceph.PoolID, snap ceph.SnapID) error {
	old := c.State.OSD.Pools[id]
	switch {
	case old.Flags&osdmap.PoolSnaps != 0:
		return fail(ceph.EINVAL, "pool %s is in pool snaps mode", c.State.OSD.PoolNames[id])
	case snap == 0 || snap > old.SnapSeq:
		return fail(ceph.ENOENT, "pool %s never had a snapshot %d", c.State.OSD.PoolNames[id], snap)
	}
	c.Pool(id).SnapEpoch = c.Inc().Epoch
	c.removed(id, snap)
	return nil
}

// removed tells the OSDs of a snapshot to be trimmed.
func (c *Change) removed(id ceph.PoolID, snap ceph.SnapID) {
	inc := c.Inc()
	if inc.RemovedSnaps == nil {
		inc.RemovedSnaps = map[ceph.PoolID]osdmap.Intervals{}
	}
	one := osdmap.Intervals{{Start: uint64(snap), Length: 1}}
	if !c.State.OSD.RemovedSnapsQueue[id].Contains(uint64(snap)) {
		inc.RemovedSnaps[id] = inc.RemovedSnaps[id].With(one)
	}
}
