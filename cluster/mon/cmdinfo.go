package mon

import (
	"fmt"

	"ebofs/cluster/ceph"
)

func init() {
	add("mon", "r", "fsid", "show cluster FSID/UUID", cmdFSID)
	add("mon", "r", "version", "show mon daemon version", cmdVersion)
	add("mon", "r", "versions", "count daemons by their version", cmdVersions)
	add("mon", "r", "features", "count sessions by what they understand", cmdFeatures)
	add("mon", "r", "node ls [type:CephChoices=all|osd|mon|mds|mgr]", "list hosts and what runs on them", cmdNodeLs)
}

func cmdFSID(c *call) error {
	id := c.st.MonMap.FSID.String()
	return c.print(map[string]string{"fsid": id}, func() string { return id + "\n" })
}

func cmdVersion(c *call) error {
	return c.print(map[string]string{"version": Version}, func() string { return Version + "\n" })
}

func cmdVersions(c *call) error {
	j := struct {
		Mon     map[string]int `json:"mon"`
		Mgr     map[string]int `json:"mgr"`
		OSD     map[string]int `json:"osd"`
		MDS     map[string]int `json:"mds"`
		Overall map[string]int `json:"overall"`
	}{tally("ceph_version", c.monMeta()), map[string]int{}, tally("ceph_version", c.osdMeta()), map[string]int{}, map[string]int{}}
	for _, m := range []map[string]int{j.Mon, j.OSD} {
		for k, n := range m {
			j.Overall[k] += n
		}
	}
	return c.print(j, nil)
}

// featureRow is how many sessions understand the same.
type featureRow struct {
	Features string `json:"features"`
	Release  string `json:"release"`
	Num      int    `json:"num"`
}

// featureMap counts sessions by type and by what they understand.
func (m *Monitor) featureMap(st *State) map[string][]featureRow {
	out := map[string][]featureRow{}
	count := func(typ ceph.EntityType, features uint64, n int) {
		text, list := fmt.Sprintf("0x%x", features), out[typ.String()]
		for i := range list {
			if list[i].Features == text {
				list[i].Num += n
				return
			}
		}
		out[typ.String()] = append(list, featureRow{text, "luminous", n})
	}
	count(ceph.TypeMon, allFeatures, len(m.quorum(st)))
	for _, s := range m.sessions() {
		if p := s.conn.Peer(); p.ID.Type != ceph.TypeMon {
			count(p.ID.Type, p.Features, 1)
		}
	}
	return out
}

func cmdFeatures(c *call) error { return c.print(c.m.featureMap(c.st), nil) }

// sessions returns those that are open.
func (m *Monitor) sessions() []*session {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*session, 0, len(m.mu.sessions))
	for s := range m.mu.sessions {
		list = append(list, s)
	}
	return list
}

func cmdNodeLs(c *call) error {
	mons, osds := map[string][]string{}, map[string][]int32{}
	for _, name := range c.st.MonMap.Ranks {
		host := c.st.MonMeta[name]["hostname"]
		mons[host] = append(mons[host], name)
	}
	for _, id := range c.ids(c.st.OSD) {
		if host := c.st.Meta[id]["hostname"]; host != "" {
			osds[host] = append(osds[host], id)
		}
	}
	switch t, _ := c.str("type"); t {
	case "mon":
		return c.print(mons, nil)
	case "osd":
		return c.print(osds, nil)
	case "mds", "mgr":
		return c.print(empty{}, nil)
	}
	return c.print(map[string]any{"mon": mons, "osd": osds, "mgr": empty{}}, nil)
}
