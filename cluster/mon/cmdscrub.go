package mon

import (
	"fmt"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

// scrubKinds are the ways of scrubbing: what they are called and what is asked for.
var scrubKinds = []struct {
	name, help   string
	deep, repair bool
}{{"scrub", "scrub", false, false}, {"deep-scrub", "deep-scrub", true, false}, {"repair", "repair", true, true}}

func init() {
	for _, k := range scrubKinds {
		want := msg.OSDScrub2{Deep: k.deep, Repair: k.repair}
		add("pg", "rw", "pg "+k.name+" pgid:CephPgid", "start "+k.help+" on <pgid>", func(c *call) error { return c.scrubPG(k.name, want) })
		add("osd", "rw", "osd "+k.name+" who:CephString", "initiate "+k.help+" on osd <who>, or use <all|any> to "+k.help+" all", func(c *call) error { return c.scrubOSD(k.name, want) })
	}
}

// scrubPG has the primary of a PG scrub it.
func (c *call) scrubPG(kind string, want msg.OSDScrub2) error {
	text, _ := c.str("pgid")
	id, err := ceph.ParsePG(text)
	if err != nil {
		return fail(ceph.EINVAL, "invalid pgid '%s'", text)
	}
	if p := c.st.OSD.Pools[id.Pool]; p == nil || id.Seed >= p.PGNum {
		return fail(ceph.ENOENT, "pg %v does not exist", id)
	}
	primaries, err := primaryOf(c.st.OSD)
	if err != nil {
		return err
	}
	osd, ok := primaries[id]
	if !ok {
		return fail(ceph.EAGAIN, "pg %v has no primary osd", id)
	}
	if !c.m.sendScrub(c.st, osd, want, []ceph.PG{id}) {
		return fail(ceph.EAGAIN, "pg %v primary osd.%d is not currently connected", id, osd)
	}
	c.text = fmt.Sprintf("instructing pg %v on osd.%d to %s", id, osd, kind)
	return nil
}

// scrubOSD has an OSD, or all of them, scrub all PGs they are primary of.
func (c *call) scrubOSD(kind string, want msg.OSDScrub2) error {
	who, _ := c.str("who")
	var osds []int32
	if who == "*" || who == "all" || who == "any" {
		for osd := range c.st.OSD.MaxOSD {
			if c.st.OSD.IsUp(osd) {
				osds = append(osds, osd)
			}
		}
	} else {
		osd, err := osdID(who)
		if err != nil {
			return err
		}
		if !c.st.OSD.IsUp(osd) {
			return fail(ceph.EAGAIN, "osd.%d is not up", osd)
		}
		osds = []int32{osd}
	}
	primaries, err := primaryOf(c.st.OSD)
	if err != nil {
		return err
	}
	var sent []string
	for _, osd := range osds {
		var list []ceph.PG
		for id, at := range primaries {
			if at == osd {
				list = append(list, id)
			}
		}
		slices.SortFunc(list, ceph.PG.Compare)
		if !c.m.sendScrub(c.st, osd, want, list) {
			return fail(ceph.EAGAIN, "osd.%d is not currently connected", osd)
		}
		sent = append(sent, fmt.Sprint(osd))
	}
	c.text = fmt.Sprintf("instructed osd(s) %s to %s", strings.Join(sent, ","), kind)
	return nil
}

// primaryOf returns the acting primary of every PG that has one.
func primaryOf(m *osdmap.Map) (map[ceph.PG]int32, error) {
	pl, err := osdmap.NewPlacer(m)
	if err != nil {
		return nil, err
	}
	out := map[ceph.PG]int32{}
	var w osdmap.Work
	for id, pool := range m.Pools {
		for seed := range pool.PGNum {
			pg := ceph.PG{Pool: id, Seed: seed}
			if at, err := pl.Place(&w, pg); err == nil && at.ActingPrimary >= 0 {
				out[pg] = at.ActingPrimary
			}
		}
	}
	return out, nil
}

// sendScrub sends an OSD what to scrub, by this monitor or by the one it has a
// session with; false: there is none.
func (m *Monitor) sendScrub(st *State, osd int32, want msg.OSDScrub2, list []ceph.PG) bool {
	want.FSID, want.Epoch = st.MonMap.FSID, st.OSD.Epoch
	for _, id := range list {
		want.PGs = append(want.PGs, ceph.ShardPG{PG: id, Shard: ceph.NoShard})
	}
	if m.toOSD(osd, &want) {
		return true
	}
	if len(m.quorum(st)) < 2 {
		return false
	}
	out := msg.Pack(&want)
	m.tellPeers(&msg.MonPeer{OSD: osd, Type: out.Type, Version: out.Version, Compat: out.Compat, Front: out.Front})
	return true
}

// toOSD sends an OSD a message if it has a session with this monitor.
func (m *Monitor) toOSD(osd int32, p msg.Payload) bool {
	at := m.State().OSD
	if !at.IsUp(osd) {
		return false
	}
	for _, s := range m.sessions() {
		if peer := s.conn.Peer(); peer.ID.Type == ceph.TypeOSD && peer.ID.Num == int64(osd) && peer.Addrs.Equal(at.Client[osd]) {
			s.send(p)
			return true
		}
	}
	return false
}

// scrubChecks are the health checks of what scrubs have found.
func scrubChecks(sum *summary) []check {
	n := sum.Sum.ScrubErrors
	if n == 0 {
		return nil
	}
	scrubErrors := check{Code: "OSD_SCRUB_ERRORS", Severity: healthErr, Summary: fmt.Sprintf("%d scrub errors", n), Count: int(n)}
	return []check{scrubErrors}
}
