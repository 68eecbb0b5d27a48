package monmap

import (
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// Features of the monitors' cluster: what clients look at to know what they may
// expect. Bits: 0 kraken, 1 luminous, 2 mimic (configuration is handed out),
// 3 osdmap-prune, 4 nautilus, 5 octopus, 6 pacific, 7 pinging.
const Features uint64 = 0xff

// Release is the number of the release whose protocol the monitors speak: 16,
// pacific.
const Release uint8 = 16

// Monitor is one monitor.
type Monitor struct {
	Name     string
	Addrs    ceph.AddrVec
	Priority uint16
	Weight   uint16
	Location map[string]string // of the CRUSH map: level to name
}

// Map is the map of the monitors. A map is not changed once it is handed out.
type Map struct {
	FSID        ceph.UUID
	Epoch       ceph.Epoch
	LastChanged ceph.Time
	Created     ceph.Time
	Persistent  uint64 // features
	Optional    uint64 // likewise
	Monitors    map[string]Monitor
	Ranks       []string // names in the order of their ranks
	MinRelease  uint8
	Removed     []int32 // ranks
	Strategy    uint8   // of elections: 1 classic
	Disallowed  []string
	Stretch     bool
	Tiebreaker  string
	MarkedDown  []string
}

// Rank returns the rank of the monitor of that name, −1 if there is none.
func (m *Map) Rank(name string) int { return slices.Index(m.Ranks, name) }

// At returns the monitor of a rank, in the range of Ranks.
func (m *Map) At(rank int) Monitor { return m.Monitors[m.Ranks[rank]] }

func putFeatures(e *denc.Encoder, bits uint64) {
	mark := e.Begin(1, 1)
	e.U64(bits)
	e.End(mark)
}

func features(d *denc.Decoder) uint64 {
	s := d.Begin(1)
	defer d.End(s)
	return d.U64()
}

func (m Monitor) encode(e *denc.Encoder) {
	mark := e.Begin(5, 1)
	e.Str(m.Name)
	m.Addrs.Encode(e)
	e.U16(m.Priority)
	e.U16(m.Weight)
	denc.PutMap(e, m.Location, (*denc.Encoder).Str, (*denc.Encoder).Str)
	e.End(mark)
}

func decodeMonitor(d *denc.Decoder) (m Monitor) {
	s := d.Begin(5)
	m.Name, m.Addrs, m.Priority = d.Str(), ceph.DecodeAddrVec(d), d.U16()
	if s.Version >= 4 {
		m.Weight = d.U16()
	}
	if s.Version >= 5 {
		m.Location = denc.Map(d, 8, (*denc.Decoder).Str, (*denc.Decoder).Str)
	}
	d.End(s)
	return m
}

// Encode appends the map, v9.
func (m *Map) Encode(e *denc.Encoder) {
	mark := e.Begin(9, 6)
	m.FSID.Encode(e)
	e.U32(uint32(m.Epoch))
	m.LastChanged.Encode(e)
	m.Created.Encode(e)
	putFeatures(e, m.Persistent)
	putFeatures(e, m.Optional)
	denc.PutMap(e, m.Monitors, (*denc.Encoder).Str, func(e *denc.Encoder, m Monitor) { m.encode(e) })
	denc.PutSlice(e, m.Ranks, (*denc.Encoder).Str)
	e.U8(m.MinRelease)
	denc.PutSlice(e, m.Removed, (*denc.Encoder).I32)
	e.U8(m.Strategy)
	denc.PutSlice(e, m.Disallowed, (*denc.Encoder).Str)
	e.Bool(m.Stretch)
	e.Str(m.Tiebreaker)
	denc.PutSlice(e, m.MarkedDown, (*denc.Encoder).Str)
	e.End(mark)
}

// Decode reads a map, v9 or newer.
func Decode(d *denc.Decoder) *Map {
	m := &Map{}
	s := d.Begin(9)
	if s.Version < 9 && d.Err() == nil {
		d.Failf("monitor map of version %d, want 9", s.Version)
	}
	m.FSID, m.Epoch, m.LastChanged, m.Created = ceph.DecodeUUID(d), ceph.Epoch(d.U32()), ceph.DecodeTime(d), ceph.DecodeTime(d)
	m.Persistent, m.Optional = features(d), features(d)
	m.Monitors = denc.Map(d, 14, (*denc.Decoder).Str, decodeMonitor)
	m.Ranks = denc.Slice(d, 4, (*denc.Decoder).Str)
	m.MinRelease, m.Removed = d.U8(), denc.Slice(d, 4, (*denc.Decoder).I32)
	m.Strategy, m.Disallowed = d.U8(), denc.Slice(d, 4, (*denc.Decoder).Str)
	m.Stretch, m.Tiebreaker = d.Bool(), d.Str()
	m.MarkedDown = denc.Slice(d, 4, (*denc.Decoder).Str)
	d.End(s)
	if len(m.Ranks) != len(m.Monitors) {
		d.Failf("%d ranks of %d monitors", len(m.Ranks), len(m.Monitors))
	}
	seen := make(map[string]bool, len(m.Ranks))
	for _, name := range m.Ranks {
		if _, ok := m.Monitors[name]; !ok || seen[name] {
			d.Failf("rank of %q, which is no monitor or has another", name)
		}
		seen[name] = true
	}
	return m
}

// Parse reads a map that is all of p.
func Parse(p []byte) (*Map, error) {
	d := denc.NewDecoder(p)
	m := Decode(d)
	return m, d.Finish()
}
