package osdmap

import "ebofs/cluster/ceph"

// DumpOSD is an OSD that exists.
type DumpOSD struct {
	OSD            int32      `json:"osd"`
	UUID           string     `json:"uuid"`
	Up             int        `json:"up"`
	In             int        `json:"in"`
	Weight         float64    `json:"weight"`
	Affinity       float64    `json:"primary_affinity"`
	CleanBegin     ceph.Epoch `json:"last_clean_begin"`
	CleanEnd       ceph.Epoch `json:"last_clean_end"`
	UpFrom         ceph.Epoch `json:"up_from"`
	UpThru         ceph.Epoch `json:"up_thru"`
	DownAt         ceph.Epoch `json:"down_at"`
	LostAt         ceph.Epoch `json:"lost_at"`
	Public         DumpAddrs  `json:"public_addrs"`
	Cluster        DumpAddrs  `json:"cluster_addrs"`
	HeartbeatBack  DumpAddrs  `json:"heartbeat_back_addrs"`
	HeartbeatFront DumpAddrs  `json:"heartbeat_front_addrs"`
	PublicOne      string     `json:"public_addr"`
	ClusterOne     string     `json:"cluster_addr"`
	BackOne        string     `json:"heartbeat_back_addr"`
	FrontOne       string     `json:"heartbeat_front_addr"`
	State          []string   `json:"state"`
}

// DumpAddrs is all addresses of an OSD.
type DumpAddrs struct {
	Addrs []DumpAddr `json:"addrvec"`
}

// DumpAddr is one of them.
type DumpAddr struct {
	Type  string `json:"type"`
	Addr  string `json:"addr"`
	Nonce uint32 `json:"nonce"`
}

// DumpXInfo is what else is known of an OSD.
type DumpXInfo struct {
	OSD             int32      `json:"osd"`
	DownStamp       string     `json:"down_stamp"`
	Laggy           float64    `json:"laggy_probability"`
	LaggyInterval   uint32     `json:"laggy_interval"`
	Features        uint64     `json:"features"`
	OldWeight       uint32     `json:"old_weight"`
	LastPurgedSnaps string     `json:"last_purged_snaps_scrub"`
	DeadEpoch       ceph.Epoch `json:"dead_epoch"`
}

// StateNames returns what holds of an OSD, by name.
func (m *Map) StateNames(osd int32) []string { return sorted(names(uint64(m.States[osd]), stateNames)) }

// DumpOSD returns an OSD that exists in the shape of a dump.
func (m *Map) DumpOSD(osd int32) DumpOSD {
	affinity := uint32(DefaultAffinity)
	if len(m.Affinity) > 0 {
		affinity = m.Affinity[osd]
	}
	i := m.Infos[osd]
	d := DumpOSD{
		OSD: osd, UUID: m.UUIDs[osd].String(), Weight: float64(m.Weights[osd]) / 0x10000, Affinity: float64(affinity) / DefaultAffinity,
		CleanBegin: i.CleanBegin, CleanEnd: i.CleanEnd, UpFrom: i.UpFrom, UpThru: i.UpThru, DownAt: i.DownAt, LostAt: i.LostAt,
		Public: dumpAddrs(m.Client[osd]), Cluster: dumpAddrs(m.Cluster[osd]), HeartbeatBack: dumpAddrs(m.HeartbeatBack[osd]), HeartbeatFront: dumpAddrs(m.HeartbeatFront[osd]),
		PublicOne: one(m.Client[osd]), ClusterOne: one(m.Cluster[osd]), BackOne: one(m.HeartbeatBack[osd]), FrontOne: one(m.HeartbeatFront[osd]),
		State: m.StateNames(osd),
	}
	if m.IsUp(osd) {
		d.Up = 1
	}
	if m.Weights[osd] > 0 {
		d.In = 1
	}
	return d
}

func dumpAddrs(v ceph.AddrVec) DumpAddrs {
	d := DumpAddrs{Addrs: []DumpAddr{}}
	for _, a := range v {
		d.Addrs = append(d.Addrs, DumpAddr{a.Type.String(), a.IP.String(), a.Nonce})
	}
	return d
}

// one is the address that clients of old would use, or the first.
func one(v ceph.AddrVec) string {
	for _, a := range v {
		if a.Type == ceph.AddrLegacy {
			return bare(a)
		}
	}
	if len(v) > 0 {
		return bare(v[0])
	}
	return bare(ceph.Addr{})
}

func (m *Map) dumpXInfo(osd int32) DumpXInfo {
	x := m.XInfos[osd]
	return DumpXInfo{
		OSD: osd, DownStamp: x.DownStamp.String(), Laggy: float64(float32(x.Laggy) / 0xffffffff), LaggyInterval: x.LaggyInterval,
		Features: x.Features, OldWeight: x.OldWeight, LastPurgedSnaps: x.LastPurgedSnaps.String(), DeadEpoch: x.DeadEpoch,
	}
}
