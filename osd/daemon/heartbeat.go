package daemon

import (
	"errors"
	"slices"
	"syscall"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
	"ebofs/cluster/osdmap"
)

const (
	// beatPeers is how many other OSDs are watched, beatEvery how often they are
	// pinged, beatGrace how long one may be silent: as OSDs of Ceph do, but for the
	// pace, which is twice theirs.
	beatPeers = 10
	beatEvery = 3 * time.Second
	beatGrace = 20 * time.Second
	// pingPadding makes a ping as long as a full packet: one that gets lost because
	// of its size has to show.
	pingPadding = 1946
)

// peer is another OSD that this one watches. Its fields are guarded by OSD.mu.
type peer struct {
	id       int32
	addrs    ceph.AddrVec // public ones
	links    []*link
	reported bool // as failed
}

// link is a way to a peer: its front or its back.
type link struct {
	peer  *peer
	to    ceph.AddrVec
	conn  *msgr.Conn
	waits time.Time // since when a ping has not been answered; zero: none
}

// beat pings other OSDs and reports those that are silent.
func (o *OSD) beat() {
	t := time.NewTicker(beatEvery)
	defer t.Stop()
	for {
		select {
		case <-o.ctx.Done():
			return
		case <-t.C:
		}
		o.mu.Lock()
		m, up := o.mu.m, o.mu.up
		o.mu.Unlock()
		if m == nil {
			continue
		}
		o.choosePeers(m, up)
		if up {
			o.pingPeers(m)
		}
	}
}

// choosePeers watches the OSDs that follow this one, and no longer those that are
// down or elsewhere.
func (o *OSD) choosePeers(m *osdmap.Map, up bool) {
	want := map[int32]bool{}
	for i := int32(1); up && i < m.MaxOSD && len(want) < beatPeers; i++ {
		if id := (o.cfg.ID + i) % m.MaxOSD; m.IsUp(id) && !m.HeartbeatFront[id].Msgr2().IsBlank() {
			want[id] = true
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, p := range o.mu.peers {
		if !want[id] || !p.addrs.Equal(m.Client[id]) {
			for _, l := range p.links {
				if l.conn != nil {
					l.conn.MarkDown()
				}
			}
			delete(o.mu.peers, id)
		}
	}
	for id := range want {
		if o.mu.peers[id] == nil {
			p := &peer{id: id, addrs: m.Client[id]}
			p.links = append(p.links, &link{peer: p, to: m.HeartbeatFront[id]})
			if b := m.HeartbeatBack[id]; !b.Msgr2().IsBlank() && b.Msgr2() != m.HeartbeatFront[id].Msgr2() {
				p.links = append(p.links, &link{peer: p, to: b})
			}
			o.mu.peers[id] = p
		}
	}
}

// pingPeers sends a ping over every link, and reports who has been silent.
func (o *OSD) pingPeers(m *osdmap.Map) {
	now := o.cfg.Now()
	ping := msg.Pack(o.ping(m, msg.PingPing, ceph.MakeTime(now), uint64(time.Since(o.began))))
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.mu.peers {
		var silent time.Duration
		for _, l := range p.links {
			if l.waits.IsZero() {
				l.waits = now
			}
			silent = max(silent, now.Sub(l.waits))
			if l.conn == nil || l.conn.Closed() {
				c, err := o.msgr.Connect(l.to, ceph.TypeOSD, msgr.LossyClient)
				if err != nil {
					continue
				}
				c.Attach(l)
				l.conn = c
			}
			_ = l.conn.Send(ping)
		}
		if silent > beatGrace {
			o.log.Warn("osd is silent", "osd", o.cfg.ID, "peer", p.id, "for", silent)
			o.failedLocked(p, msg.FailureFailed, silent)
		}
	}
}

func (o *OSD) ping(m *osdmap.Map, op uint8, stamp ceph.Time, mono uint64) *msg.OSDPing {
	return &msg.OSDPing{
		FSID: m.FSID, Epoch: m.Epoch, Op: op, Stamp: stamp, UpFrom: m.Infos[o.cfg.ID].UpFrom,
		MonoPing: mono, MonoSend: uint64(time.Since(o.began)), PadLength: pingPadding,
	}
}

// failedLocked reports a peer to the monitors, or takes that back.
func (o *OSD) failedLocked(p *peer, flags uint8, silent time.Duration) {
	p.reported = flags != 0
	_ = o.mon.Send(&msg.OSDFailure{
		Paxos: msg.NewPaxos(uint64(o.mu.m.Epoch)), FSID: o.mu.m.FSID, Target: p.id, Addrs: p.addrs, Epoch: o.mu.m.Epoch,
		Flags: flags, FailedFor: int32(silent / time.Second),
	})
}

// answerPing answers an OSD that watches this one.
func (o *OSD) answerPing(s *session, p *msg.OSDPing) {
	o.mu.Lock()
	m, up := o.mu.m, o.mu.up
	o.mu.Unlock()
	if up && p.Op == msg.PingPing && s.id.Type == ceph.TypeOSD && p.FSID == m.FSID {
		s.Send(o.ping(m, msg.PingReply, p.Stamp, p.MonoPing))
	}
}

// answered is told that a ping came back.
func (o *OSD) answered(l *link, p *msg.OSDPing) {
	if p.Op != msg.PingReply {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if l.waits.IsZero() || p.Stamp.Std().Before(l.waits) {
		return
	}
	l.waits = time.Time{}
	if l.peer.reported && !slices.ContainsFunc(l.peer.links, func(l *link) bool { return !l.waits.IsZero() }) {
		o.failedLocked(l.peer, 0, 0)
	}
}

// refused is told that nobody listens where a peer should: it is gone.
func (o *OSD) refused(l *link, err error) {
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.up && o.mu.peers[l.peer.id] == l.peer {
		o.log.Warn("osd is gone", "osd", o.cfg.ID, "peer", l.peer.id, "err", err)
		o.failedLocked(l.peer, msg.FailureFailed|msg.FailureImmediate, 0)
	}
}
