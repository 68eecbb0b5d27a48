package msg

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

func init() {
	register(TypePGStats, 2, decodePGStats)
	register(TypeMgrOpen, 3, decodeMgrOpen)
	register(TypeMgrConfigure, 4, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &MgrConfigure{d.U32(), d.U32(), d.Raw(d.Left())}
	})
	register(TypeMgrReport, 9, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &MgrReport{Daemon: d.Str(), Body: d.Raw(d.Left())}
	})
	register(TypeMgrMap, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload { return decodeMgrMap(d) })
	register(TypeMgrClose, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload { return &MgrClose{d.Str(), d.Str()} })
}

// OSDStat is what an OSD reports of itself. (osd_stat_t v14.)
type OSDStat struct {
	KB, KBUsed, KBAvail      int64
	SnapTrimQueue, Trimming  int32
	Peers                    []int32 // heartbeats
	QueueAges                []int32 // histogram: bin i counts operations of age < 2^i ms
	CommitMillis             uint32
	ApplyMillis              uint32
	UpFrom                   ceph.Epoch
	Seq                      uint64 // UpFrom << 32 | counter
	PGs                      uint32
	KBData, KBOmap, KBMeta   int64
	Store                    StoreStatfs
	Alerts                   map[int32]map[string]string
	Repaired                 uint64
	OSDs, PerPool, PerPoolOm uint32
	HeartbeatTimes           []byte // encoded entries behind their count; nil: none
}

// Encode appends the statistics.
func (o *OSDStat) Encode(e *denc.Encoder) {
	m := e.Begin(14, 2)
	e.I64(o.KB)
	e.I64(o.KBUsed)
	e.I64(o.KBAvail)
	e.I32(o.SnapTrimQueue)
	e.I32(o.Trimming)
	denc.PutSlice(e, o.Peers, (*denc.Encoder).I32)
	e.U32(0)
	h := e.Begin(1, 1)
	denc.PutSlice(e, o.QueueAges, (*denc.Encoder).I32)
	e.End(h)
	p := e.Begin(1, 1)
	e.U32(o.CommitMillis)
	e.U32(o.ApplyMillis)
	e.End(p)
	e.U32(uint32(o.UpFrom))
	e.U64(o.Seq)
	e.U32(o.PGs)
	e.I64(o.KBData)
	e.I64(o.KBOmap)
	e.I64(o.KBMeta)
	o.Store.Encode(e)
	denc.PutMap(e, o.Alerts, (*denc.Encoder).I32, func(e *denc.Encoder, a map[string]string) {
		denc.PutMap(e, a, (*denc.Encoder).Str, (*denc.Encoder).Str)
	})
	e.U64(o.Repaired)
	e.U32(o.OSDs)
	e.U32(o.PerPool)
	e.U32(o.PerPoolOm)
	if o.HeartbeatTimes == nil {
		e.U32(0)
	} else {
		e.Raw(o.HeartbeatTimes)
	}
	e.End(m)
}

// DecodeOSDStat reads an OSDStat.
func DecodeOSDStat(d *denc.Decoder) (o OSDStat) {
	s := d.Begin(14)
	if s.Version < 14 && d.Err() == nil {
		d.Failf("osd statistics of version %d, want 14", s.Version)
	}
	o.KB, o.KBUsed, o.KBAvail, o.SnapTrimQueue, o.Trimming = d.I64(), d.I64(), d.I64(), d.I32(), d.I32()
	o.Peers = denc.Slice(d, 4, (*denc.Decoder).I32)
	if n := d.U32(); n != 0 {
		d.Failf("%d peers of an old kind", n)
	}
	h := d.Begin(1)
	o.QueueAges = denc.Slice(d, 4, (*denc.Decoder).I32)
	d.End(h)
	p := d.Begin(1)
	o.CommitMillis, o.ApplyMillis = d.U32(), d.U32()
	d.End(p)
	o.UpFrom, o.Seq, o.PGs = ceph.Epoch(d.U32()), d.U64(), d.U32()
	o.KBData, o.KBOmap, o.KBMeta, o.Store = d.I64(), d.I64(), d.I64(), DecodeStoreStatfs(d)
	o.Alerts = denc.Map(d, 8, (*denc.Decoder).I32, func(d *denc.Decoder) map[string]string {
		return denc.Map(d, 8, (*denc.Decoder).Str, (*denc.Decoder).Str)
	})
	o.Repaired, o.OSDs, o.PerPool, o.PerPoolOm = d.U64(), d.U32(), d.U32(), d.U32()
	if rest := d.Raw(d.Left()); len(rest) > 4 {
		o.HeartbeatTimes = rest
	}
	d.End(s)
	return o
}

// PoolOSD is a pool on an OSD.
type PoolOSD struct {
	Pool ceph.PoolID
	OSD  int32
}

// PGStats is an OSD's report: of itself, and of the PGs it is primary of. (Front
// v2.)
type PGStats struct {
	Paxos
	FSID    ceph.UUID
	OSD     OSDStat
	PGs     map[ceph.PG]PGStat
	Epoch   ceph.Epoch
	HadMap  ceph.Time
	PerPool map[ceph.PoolID]StoreStatfs
}

// Kind returns pg_stats v2.
func (m *PGStats) Kind() Kind { return Kind{TypePGStats, 2, 1} }

// Encode appends the front.
func (m *PGStats) Encode(e *denc.Encoder) {
	m.encode(e)
	m.FSID.Encode(e)
	m.OSD.Encode(e)
	denc.PutMapFunc(e, m.PGs, ceph.PG.Compare, func(e *denc.Encoder, p ceph.PG) { p.Encode(e) }, func(e *denc.Encoder, s PGStat) { s.Encode(e) })
	e.U32(uint32(m.Epoch))
	m.HadMap.Encode(e)
	denc.PutMap(e, m.PerPool, func(e *denc.Encoder, p ceph.PoolID) { e.I64(int64(p)) }, func(e *denc.Encoder, s StoreStatfs) { s.Encode(e) })
}

func decodePGStats(d *denc.Decoder, version uint16, _ []byte) Payload {
	m := &PGStats{Paxos: paxos(d), FSID: ceph.DecodeUUID(d), OSD: DecodeOSDStat(d)}
	m.PGs = denc.Map(d, 500, ceph.DecodePG, DecodePGStat)
	m.Epoch, m.HadMap = ceph.Epoch(d.U32()), ceph.DecodeTime(d)
	if version >= 2 {
		m.PerPool = denc.Map(d, 94, func(d *denc.Decoder) ceph.PoolID { return ceph.PoolID(d.I64()) }, DecodeStoreStatfs)
	}
	return m
}

// MgrOpen begins a daemon's session with the manager. (Front v3.)
type MgrOpen struct {
	Daemon   string
	Service  string // "" of daemons the cluster knows itself
	Metadata map[string]string
	Status   map[string]string
	IsExtra  bool // a service of its own kind: Metadata and Status are there
	Config   []byte
	Defaults []byte
}

// Kind returns mgr_open v3.
func (m *MgrOpen) Kind() Kind { return Kind{TypeMgrOpen, 3, 1} }

// Encode appends the front.
func (m *MgrOpen) Encode(e *denc.Encoder) {
	e.Str(m.Daemon)
	e.Str(m.Service)
	e.Bool(m.IsExtra)
	if m.IsExtra {
		denc.PutMap(e, m.Metadata, (*denc.Encoder).Str, (*denc.Encoder).Str)
		denc.PutMap(e, m.Status, (*denc.Encoder).Str, (*denc.Encoder).Str)
	}
	e.Blob(m.Config)
	e.Blob(m.Defaults)
}

func decodeMgrOpen(d *denc.Decoder, version uint16, _ []byte) Payload {
	if version < 3 {
		d.Failf("version %d, want 3", version)
	}
	m := &MgrOpen{Daemon: d.Str(), Service: d.Str(), IsExtra: d.Bool()}
	if m.IsExtra {
		m.Metadata = denc.Map(d, 8, (*denc.Decoder).Str, (*denc.Decoder).Str)
		m.Status = denc.Map(d, 8, (*denc.Decoder).Str, (*denc.Decoder).Str)
	}
	m.Config, m.Defaults = d.Bytes(), d.Bytes()
	return m
}

// MgrConfigure tells a daemon how often to report. (Front v4.)
type MgrConfigure struct {
	Period    uint32 // seconds
	Threshold uint32 // least priority of counters to report
	Queries   []byte // what follows, encoded; nil: none
}

// Kind returns mgr_configure v4.
func (m *MgrConfigure) Kind() Kind { return Kind{TypeMgrConfigure, 4, 1} }

// Encode appends the front.
func (m *MgrConfigure) Encode(e *denc.Encoder) {
	e.U32(m.Period)
	e.U32(m.Threshold)
	if len(m.Queries) == 0 {
		e.Zero(5) // no queries of performance, no configuration of metrics
		return
	}
	e.Raw(m.Queries)
}

// MgrReport carries a daemon's counters. Body is all behind the name, encoded; nil
// is a report of Health alone. (Front v9.)
type MgrReport struct {
	Daemon string
	Body   []byte
	Health []HealthMetric // not read by Unpack: see Metrics
}

// Kind returns mgr_report v9.
func (m *MgrReport) Kind() Kind { return Kind{TypeMgrReport, 9, 1} }

// Encode appends the front.
func (m *MgrReport) Encode(e *denc.Encoder) {
	e.Str(m.Daemon)
	if len(m.Body) > 0 {
		e.Raw(m.Body)
		return
	}
	e.U32(0) // counter types
	packed := e.Open()
	e.End(e.Begin(1, 1))
	e.End(packed)
	e.U32(0) // undeclared names
	e.Str("")
	e.Bool(false) // status
	denc.PutSlice(e, m.Health, func(e *denc.Encoder, h HealthMetric) { h.encode(e) })
	e.Blob(nil)   // configuration
	e.U32(0)      // reports of performance
	e.Bool(false) // tasks
	e.Bool(false) // metrics
}

// MgrClose ends a session; it is echoed.
type MgrClose struct{ Daemon, Service string }

// Kind returns mgr_close v1.
func (m *MgrClose) Kind() Kind { return Kind{TypeMgrClose, 1, 1} }

// Encode appends the front.
func (m *MgrClose) Encode(e *denc.Encoder) {
	e.Str(m.Daemon)
	e.Str(m.Service)
}

// MgrMap says which manager is active. (MgrMap v12; v11 is read.)
type MgrMap struct {
	Epoch     ceph.Epoch
	Active    ceph.AddrVec
	GID       uint64
	Available bool
	Name      string
	Features  uint64 // of the active manager; written only if Rest is nil
	// Rest is what follows the name, encoded: standbys, modules, services. nil is
	// none of them.
	Rest []byte
}

// Kind returns mgr_map v1.
func (m *MgrMap) Kind() Kind { return Kind{TypeMgrMap, 1, 1} }

// Encode appends the front.
func (m *MgrMap) Encode(e *denc.Encoder) {
	s := e.Begin(12, 6)
	e.U32(uint32(m.Epoch))
	m.Active.Encode(e)
	e.U64(m.GID)
	e.Bool(m.Available)
	e.Str(m.Name)
	if m.Rest != nil {
		e.Raw(m.Rest)
	} else {
		e.Zero(4 * 4) // standbys, modules, services, information about modules
		ceph.Time{}.Encode(e)
		e.U32(0) // always-on modules
		e.U64(m.Features)
		e.Zero(3 * 4) // last failure, clients, names of clients
	}
	e.End(s)
}

func decodeMgrMap(d *denc.Decoder) *MgrMap {
	s := d.Begin(12)
	if s.Version < 11 && d.Err() == nil {
		d.Failf("manager map of version %d, want 11", s.Version)
	}
	m := &MgrMap{Epoch: ceph.Epoch(d.U32()), Active: ceph.DecodeAddrVec(d), GID: d.U64(), Available: d.Bool(), Name: d.Str()}
	m.Rest = d.Raw(d.Left())
	d.End(s)
	return m
}
