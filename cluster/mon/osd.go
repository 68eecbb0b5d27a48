package mon

import (
	"context"
	"maps"
	"slices"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

// handleOSD does the messages of OSDs. Ceph's monitors answer most mistakes by
// silence; the reason is in the log.
func (m *Monitor) handleOSD(s *session, in *msg.Message, p msg.Payload) {
	peer := s.conn.Peer()
	if peer.ID.Type != ceph.TypeOSD || !m.allowed(s, "osd", "x") {
		m.log.Debug("message is not for this peer", "from", peer.ID, "type", in.Type)
		return
	}
	osd := int32(peer.ID.Num)
	switch p := p.(type) {
	case *msg.OSDBoot:
		in.Hold()
		m.background(in, func() { m.boot(s, osd, p) })
	case *msg.OSDAlive:
		in.Hold()
		m.background(in, func() { m.alive(s, osd, p) })
	case *msg.OSDPGTemp:
		in.Hold()
		m.background(in, func() { m.pgTemp(s, osd, p) })
	case *msg.OSDMarkMeDown:
		in.Hold()
		m.background(in, func() { m.markMeDown(s, in, osd, p) })
	case *msg.OSDFailure:
		if !m.knowsFailed(osd, p) {
			m.sendMap(s, min(p.Epoch, m.State().OSD.Epoch-1))
			return
		}
		m.forward(osd, in)
		m.heardOf(osd, p)
	case *msg.OSDBeacon, *msg.PGStats, *msg.MgrReport:
		m.forward(osd, in)
		m.heardOf(osd, p)
	case *msg.OSDFull:
		in.Hold()
		m.background(in, func() { m.osdFull(s, osd, p) })
	case *msg.OSDPGCreated:
		m.made(p.PG)
	}
}

// sendMap sends a session what changed since epoch, or all.
func (m *Monitor) sendMap(s *session, since ceph.Epoch) {
	m.publishMap(s, m.State(), &sub{next: uint64(since) + 1})
}

// boot marks an OSD up.
func (m *Monitor) boot(s *session, osd int32, p *msg.OSDBoot) {
	public := s.conn.Peer().Addrs
	why := ""
	st, err := m.change(m.ctx, func(c *Change) error {
		why = ""
		now := c.State.OSD
		switch {
		case p.Super.Cluster != c.State.MonMap.FSID:
			why = "it is of another cluster"
		case public.Msgr2().IsBlank():
			why = "it has no address"
		case osd < 0 || osd >= now.MaxOSD || !now.Exists(osd):
			why = "there is no OSD of that id"
		case !now.UUIDs[osd].IsZero() && now.UUIDs[osd] != p.Super.OSDID:
			why = "its id belongs to an OSD of another uuid"
		case now.Flags&osdmap.FlagNoUp != 0 || now.States[osd]&osdmap.NoUp != 0:
			why = "noup is set"
		}
		if why != "" {
			return nil
		}
		if now.IsUp(osd) && now.Client[osd].Equal(public) && now.Cluster[osd].Equal(p.Cluster) {
			return nil
		}
		switch { // said twice, or by an earlier life of it: it may have stopped since
		case now.Client[osd].Equal(public) && p.Version < uint64(now.Infos[osd].UpFrom):
			why = "it was up later than that"
		case s.conn.Closed():
			why = "it has gone away"
		}
		if why != "" {
			return nil
		}
		return m.bootChange(c, osd, public, p)
	})
	if why == "" && err == nil {
		m.stats.beacon(osd, m.cfg.Now())
		m.sendMap(s, min(ceph.Epoch(p.Version), st.OSD.Epoch-1))
		return
	}
	m.log.Warn("boot is ignored", "osd", osd, "addr", public, "why", why, "err", err)
}

func (m *Monitor) bootChange(c *Change, osd int32, public ceph.AddrVec, p *msg.OSDBoot) error {
	now, inc := c.State.OSD, c.Inc()
	if now.IsUp(osd) { // another life of it: first down, in an epoch of its own
		inc.States = map[int32]osdmap.State{osd: osdmap.Up}
		c.Log(m.line(c.Now, "cluster", msg.LogInfo, "osd.%d marked down: it boots anew", osd))
		// Clients get both at once. One that learns of the first alone has nobody to send
		// to, and looks for a newer map every five seconds only.
		m.reboots.Add(1)
		return m.after(c, func(err error) {
			if err == nil {
				m.bootAgain(osd, public, p)
			}
			m.reboots.Add(-1)
			m.publishAll()
		})
	}
	inc.UpClient = map[int32]ceph.AddrVec{osd: public}
	inc.UpCluster = map[int32]ceph.AddrVec{osd: p.Cluster}
	inc.UpHeartbeatBack = map[int32]ceph.AddrVec{osd: p.HBBack}
	inc.UpHeartbeatFront = map[int32]ceph.AddrVec{osd: p.HBFront}
	inc.LastUp = c.Now
	if now.UUIDs[osd].IsZero() && !p.Super.OSDID.IsZero() {
		inc.UUIDs = map[int32]ceph.UUID{osd: p.Super.OSDID}
	}
	// A weight takes New and AutoOut away.
	if now.States[osd]&(osdmap.New|osdmap.AutoOut) != 0 && now.Weights[osd] == 0 && now.Flags&osdmap.FlagNoIn == 0 && now.States[osd]&osdmap.NoIn == 0 {
		inc.Weights = map[int32]crush.Weight{osd: crush.One}
		inc.LastIn = c.Now
	}
	if x := now.XInfos[osd]; x.Features != p.Features {
		x.Features = p.Features
		inc.XInfos = map[int32]osdmap.XInfo{osd: x}
	}
	if p.Super.Mounted > now.Infos[osd].CleanBegin {
		inc.CleanIntervals = map[int32]osdmap.CleanInterval{osd: {Begin: p.Super.Mounted, End: p.Super.CleanThru}}
	}
	meta := maps.Clone(p.Metadata)
	c.Put(osdKey(osd), encodeMeta(meta))
	c.Log(m.line(c.Now, "cluster", msg.LogInfo, "osd.%d %v boot", osd, public))
	return nil
}

// alive raises up_thru.
func (m *Monitor) alive(s *session, osd int32, p *msg.OSDAlive) {
	st, err := m.change(m.ctx, func(c *Change) error {
		now := c.State.OSD
		if !now.IsUp(osd) || !now.Client[osd].Equal(s.conn.Peer().Addrs) || now.Infos[osd].UpThru >= ceph.Epoch(p.Version) {
			return nil
		}
		c.Inc().UpThru = map[int32]ceph.Epoch{osd: ceph.Epoch(p.Version)}
		return nil
	})
	if err == nil {
		m.sendMap(s, min(ceph.Epoch(p.Version), st.OSD.Epoch-1))
	}
}

// pgTemp lets the OSDs that have a PG act for it until those that the map says have
// it too.
func (m *Monitor) pgTemp(s *session, osd int32, p *msg.OSDPGTemp) {
	st, err := m.change(m.ctx, func(c *Change) error {
		now := c.State.OSD
		if !now.IsUp(osd) || !now.Client[osd].Equal(s.conn.Peer().Addrs) {
			return nil
		}
		for pg, list := range p.PGs {
			pool := now.Pools[pg.Pool]
			if pool == nil || pg.Seed >= pool.PGNum || slices.Equal(now.PGTemp[pg], list) || slices.ContainsFunc(list, func(o int32) bool { return !now.Exists(o) }) {
				continue
			}
			if c.Inc().PGTemp == nil {
				c.Inc().PGTemp = map[ceph.PG][]int32{}
			}
			c.Inc().PGTemp[pg] = slices.Clone(list)
		}
		return nil
	})
	if err == nil {
		m.sendMap(s, min(p.Epoch, st.OSD.Epoch-1))
	}
}

// markMeDown marks an OSD down that stops.
func (m *Monitor) markMeDown(s *session, in *msg.Message, osd int32, p *msg.OSDMarkMeDown) {
	if !m.ours(p.FSID) || p.Target != osd {
		return
	}
	st, err := m.change(m.ctx, func(c *Change) error {
		if now := c.State.OSD; now.IsUp(osd) && now.Client[osd].Equal(p.Addrs) {
			if m.down(c, osd, "it stops") && p.Dead { // nothing of it reads any more: nobody waits for its leases
				x := now.XInfos[osd]
				x.DeadEpoch = p.Epoch
				c.Inc().XInfos = map[int32]osdmap.XInfo{osd: x}
			}
		}
		return nil
	})
	if err == nil && p.RequestAck {
		ack := *p
		ack.Paxos, ack.RequestAck, ack.Epoch = msg.NewPaxos(uint64(st.OSD.Epoch)), false, st.OSD.Epoch
		s.reply(in, &ack)
	}
}

// down marks an OSD down, unless that is forbidden.
func (m *Monitor) down(c *Change, osd int32, why string) bool {
	if now := c.State.OSD; now.Flags&osdmap.FlagNoDown != 0 || now.States[osd]&osdmap.NoDown != 0 {
		return false
	}
	inc := c.Inc()
	if inc.States == nil {
		inc.States = map[int32]osdmap.State{}
	}
	inc.States[osd] |= osdmap.Up
	c.Log(m.line(c.Now, "cluster", msg.LogInfo, "osd.%d marked down: %s", osd, why))
	return true
}

// knowsFailed reports whether a report of failure is about an OSD that is up, by one
// that is.
func (m *Monitor) knowsFailed(by int32, p *msg.OSDFailure) bool {
	now := m.State().OSD
	return m.ours(p.FSID) && p.Target >= 0 && p.Target < now.MaxOSD && now.IsUp(p.Target) && now.IsUp(by) && now.Client[p.Target].Equal(p.Addrs)
}

// markFailed marks an OSD down that does not answer others.
func (m *Monitor) markFailed(p *msg.OSDFailure) {
	_, err := m.change(m.ctx, func(c *Change) error {
		if c.State.OSD.IsUp(p.Target) && c.State.OSD.Client[p.Target].Equal(p.Addrs) {
			m.down(c, p.Target, "others report it as failed")
		}
		return nil
	})
	if err != nil {
		m.log.Warn("failed OSD is not marked down", "osd", p.Target, "err", err)
	}
}

// host returns where an OSD said it runs: reports of one host count once.
func (m *Monitor) host(st *State, osd int32) string { return st.Meta[osd]["hostname"] }

// markSilent marks OSDs down that have not been heard of.
func (m *Monitor) markSilent(ctx context.Context) error {
	now := m.cfg.Now()
	var silent []int32
	st := m.State()
	for osd := range st.OSD.MaxOSD {
		if st.OSD.IsUp(osd) && m.stats.silent(osd, now) > m.cfg.DownAfter {
			silent = append(silent, osd)
		}
	}
	if len(silent) == 0 {
		return nil
	}
	_, err := m.change(ctx, func(c *Change) error {
		for _, osd := range silent {
			if c.State.OSD.IsUp(osd) {
				m.down(c, osd, "it has not been heard of for "+m.cfg.DownAfter.Round(time.Second).String())
			}
		}
		return nil
	})
	return err
}

// after runs f when the change is in, or will not be.
func (m *Monitor) after(c *Change, f func(error)) error {
	rev := c.State.Rev
	m.wg.Go(func() {
		ctx, cancel := context.WithTimeout(m.ctx, 5*time.Second) // it may have failed
		defer cancel()
		f(m.waitRev(ctx, rev+1))
	})
	return nil
}

// bootAgain is the second half of the boot of an OSD that was up.
func (m *Monitor) bootAgain(osd int32, public ceph.AddrVec, p *msg.OSDBoot) {
	_, err := m.change(m.ctx, func(c *Change) error {
		if c.State.OSD.IsUp(osd) {
			return nil
		}
		return m.bootChange(c, osd, public, p)
	})
	if err != nil {
		m.log.Warn("boot failed", "osd", osd, "err", err)
	}
}
