package msg

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

func init() {
	register(TypeOSDPing, 5, decodeOSDPing)
	register(TypeOSDBoot, 7, decodeOSDBoot)
	register(TypeOSDFailure, 4, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &OSDFailure{paxos(d), ceph.DecodeUUID(d), d.I32(), ceph.DecodeAddrVec(d), ceph.Epoch(d.U32()), d.U8(), d.I32()}
	})
	register(TypeOSDAlive, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &OSDAlive{paxos(d), ceph.Epoch(d.U32())}
	})
	register(TypeOSDMarkMeDown, 4, decodeOSDMarkMeDown)
	register(TypeOSDBeacon, 3, decodeOSDBeacon)
	register(TypeOSDPGTemp, 2, func(d *denc.Decoder, version uint16, _ []byte) Payload {
		m := &OSDPGTemp{Paxos: paxos(d), Epoch: ceph.Epoch(d.U32())}
		m.PGs = denc.Map(d, 21, ceph.DecodePG, func(d *denc.Decoder) []int32 { return denc.Slice(d, 4, (*denc.Decoder).I32) })
		m.Forced = version >= 2 && d.Bool()
		return m
	})
	register(TypeOSDPGCreated, 1, func(d *denc.Decoder, _ uint16, _ []byte) Payload {
		return &OSDPGCreated{paxos(d), ceph.DecodePG(d)}
	})
	register(TypeOSDPGCreate2, 2, decodeOSDPGCreate2)
}

// FeatureSet is what a store's format needs of its reader.
type FeatureSet struct {
	Mask  uint64
	Names map[uint64]string
}

func (f FeatureSet) encode(e *denc.Encoder) {
	e.U64(f.Mask)
	denc.PutMap(e, f.Names, (*denc.Encoder).U64, (*denc.Encoder).Str)
}

func featureSet(d *denc.Decoder) FeatureSet {
	return FeatureSet{d.U64(), denc.Map(d, 12, (*denc.Decoder).U64, (*denc.Decoder).Str)}
}

// Superblock is what an OSD tells the monitors of its store as it boots.
// (OSDSuperblock v10.)
type Superblock struct {
	Cluster                  ceph.UUID
	OSD                      int32
	Current, Oldest, Newest  ceph.Epoch // of OSD maps
	Weight                   float64
	Compat, ROCompat, Incomp FeatureSet
	CleanThru, Mounted       ceph.Epoch
	OSDID                    ceph.UUID // the uuid registered for this OSD
	LastMapMarkedFull        ceph.Epoch
	Pool                     uint32 // 0
	PurgedSnapsLast          ceph.Epoch
	LastPurgedSnapsScrub     ceph.Time
	ClusterOldest            ceph.Epoch // since version 10
}

// Encode appends the superblock.
func (s *Superblock) Encode(e *denc.Encoder) {
	m := e.Begin(10, 5)
	s.Cluster.Encode(e)
	e.I32(s.OSD)
	e.U32(uint32(s.Current))
	e.U32(uint32(s.Oldest))
	e.U32(uint32(s.Newest))
	e.F64(s.Weight)
	s.Compat.encode(e)
	s.ROCompat.encode(e)
	s.Incomp.encode(e)
	e.U32(uint32(s.CleanThru))
	e.U32(uint32(s.Mounted))
	s.OSDID.Encode(e)
	e.U32(uint32(s.LastMapMarkedFull))
	e.U32(s.Pool)
	e.U32(uint32(s.PurgedSnapsLast))
	s.LastPurgedSnapsScrub.Encode(e)
	e.U32(uint32(s.ClusterOldest))
	e.End(m)
}

// DecodeSuperblock reads a Superblock of version 9 or newer.
func DecodeSuperblock(d *denc.Decoder) (s Superblock) {
	v := d.Begin(10)
	if v.Version < 9 && d.Err() == nil {
		d.Failf("superblock of version %d, want 9", v.Version)
	}
	s.Cluster, s.OSD = ceph.DecodeUUID(d), d.I32()
	s.Current, s.Oldest, s.Newest, s.Weight = ceph.Epoch(d.U32()), ceph.Epoch(d.U32()), ceph.Epoch(d.U32()), d.F64()
	s.Compat, s.ROCompat, s.Incomp = featureSet(d), featureSet(d), featureSet(d)
	s.CleanThru, s.Mounted, s.OSDID = ceph.Epoch(d.U32()), ceph.Epoch(d.U32()), ceph.DecodeUUID(d)
	s.LastMapMarkedFull, s.Pool = ceph.Epoch(d.U32()), d.U32()
	s.PurgedSnapsLast, s.LastPurgedSnapsScrub = ceph.Epoch(d.U32()), ceph.DecodeTime(d)
	if v.Version >= 10 {
		s.ClusterOldest = ceph.Epoch(d.U32())
	}
	d.End(v)
	return s
}

// OSDBoot asks the monitors to mark an OSD up. (Front v7.)
type OSDBoot struct {
	Paxos // Version: the newest map the OSD has
	Super Superblock
	// Where it listens, beside the public addresses of the session.
	HBBack, Cluster, HBFront ceph.AddrVec
	BootEpoch                ceph.Epoch
	Metadata                 map[string]string
	Features                 uint64
}

// Kind returns osd_boot v7.
func (m *OSDBoot) Kind() Kind { return Kind{TypeOSDBoot, 7, 7} }

// Encode appends the front.
func (m *OSDBoot) Encode(e *denc.Encoder) {
	m.encode(e)
	m.Super.Encode(e)
	m.HBBack.Encode(e)
	m.Cluster.Encode(e)
	e.U32(uint32(m.BootEpoch))
	m.HBFront.Encode(e)
	denc.PutMap(e, m.Metadata, (*denc.Encoder).Str, (*denc.Encoder).Str)
	e.U64(m.Features)
}

func decodeOSDBoot(d *denc.Decoder, version uint16, _ []byte) Payload {
	if version < 7 {
		d.Failf("version %d, want 7", version)
	}
	m := &OSDBoot{Paxos: paxos(d), Super: DecodeSuperblock(d)}
	m.HBBack, m.Cluster, m.BootEpoch, m.HBFront = ceph.DecodeAddrVec(d), ceph.DecodeAddrVec(d), ceph.Epoch(d.U32()), ceph.DecodeAddrVec(d)
	m.Metadata, m.Features = denc.Map(d, 8, (*denc.Decoder).Str, (*denc.Decoder).Str), d.U64()
	return m
}

// OSDAlive asks for up_thru to be raised, which peering needs.
type OSDAlive struct {
	Paxos
	Want ceph.Epoch
}

// Kind returns osd_alive v1.
func (m *OSDAlive) Kind() Kind { return Kind{TypeOSDAlive, 1, 1} }

// Encode appends the front.
func (m *OSDAlive) Encode(e *denc.Encoder) {
	m.encode(e)
	e.U32(uint32(m.Want))
}

// Flags of OSDFailure; none: the report is taken back.
const (
	FailureFailed    uint8 = 1
	FailureImmediate uint8 = 2 // the connection was refused: no need to wait
)

// OSDFailure reports another OSD as failed. (Front v4.)
type OSDFailure struct {
	Paxos
	FSID      ceph.UUID
	Target    int32
	Addrs     ceph.AddrVec // public ones of the target
	Epoch     ceph.Epoch
	Flags     uint8
	FailedFor int32 // seconds
}

// Kind returns osd_failure v4.
func (m *OSDFailure) Kind() Kind { return Kind{TypeOSDFailure, 4, 4} }

// Encode appends the front.
func (m *OSDFailure) Encode(e *denc.Encoder) {
	m.encode(e)
	m.FSID.Encode(e)
	e.I32(m.Target)
	m.Addrs.Encode(e)
	e.U32(uint32(m.Epoch))
	e.U8(m.Flags)
	e.I32(m.FailedFor)
}

// OSDMarkMeDown asks to be marked down, and is the answer too. (Front v4.)
type OSDMarkMeDown struct {
	Paxos
	FSID       ceph.UUID
	Target     int32
	Addrs      ceph.AddrVec
	Epoch      ceph.Epoch
	RequestAck bool
	Dead       bool // nothing of it is left running
}

// Kind returns osd_mark_me_down v4.
func (m *OSDMarkMeDown) Kind() Kind { return Kind{TypeOSDMarkMeDown, 4, 3} }

// Encode appends the front.
func (m *OSDMarkMeDown) Encode(e *denc.Encoder) {
	m.encode(e)
	m.FSID.Encode(e)
	e.I32(m.Target)
	m.Addrs.Encode(e)
	e.U32(uint32(m.Epoch))
	e.Bool(m.RequestAck)
	e.Bool(m.Dead)
}

func decodeOSDMarkMeDown(d *denc.Decoder, version uint16, _ []byte) Payload {
	m := &OSDMarkMeDown{Paxos: paxos(d), FSID: ceph.DecodeUUID(d), Target: d.I32(), Addrs: ceph.DecodeAddrVec(d), Epoch: ceph.Epoch(d.U32()), RequestAck: d.Bool()}
	if version >= 4 {
		m.Dead = d.Bool()
	}
	return m
}

// OSDBeacon says that an OSD is alive, and from which epoch on its PGs need
// maps. (Front v3.)
type OSDBeacon struct {
	Paxos
	PGs                  []ceph.PG
	MinLastEpochClean    ceph.Epoch
	LastPurgedSnapsScrub ceph.Time
	Interval             uint32 // seconds to the next one
}

// Kind returns osd_beacon v3.
func (m *OSDBeacon) Kind() Kind { return Kind{TypeOSDBeacon, 3, 1} }

// Encode appends the front.
func (m *OSDBeacon) Encode(e *denc.Encoder) {
	m.encode(e)
	denc.PutSlice(e, m.PGs, func(e *denc.Encoder, p ceph.PG) { p.Encode(e) })
	e.U32(uint32(m.MinLastEpochClean))
	m.LastPurgedSnapsScrub.Encode(e)
	e.U32(m.Interval)
}

func decodeOSDBeacon(d *denc.Decoder, version uint16, _ []byte) Payload {
	m := &OSDBeacon{Paxos: paxos(d), PGs: denc.Slice(d, 17, ceph.DecodePG), MinLastEpochClean: ceph.Epoch(d.U32())}
	if version >= 2 {
		m.LastPurgedSnapsScrub = ceph.DecodeTime(d)
	}
	if version >= 3 {
		m.Interval = d.U32()
	}
	return m
}

// OSDPGTemp asks for other OSDs to act for PGs than the map would have: those that
// are to act do not have it yet. None takes a request back. (Front v2.)
type OSDPGTemp struct {
	Paxos
	Epoch  ceph.Epoch // of the map
	PGs    map[ceph.PG][]int32
	Forced bool
}

// Kind returns osd_pgtemp v2.
func (m *OSDPGTemp) Kind() Kind { return Kind{TypeOSDPGTemp, 2, 1} }

// Encode appends the front.
func (m *OSDPGTemp) Encode(e *denc.Encoder) {
	m.encode(e)
	e.U32(uint32(m.Epoch))
	denc.PutMapFunc(e, m.PGs, ceph.PG.Compare, func(e *denc.Encoder, p ceph.PG) { p.Encode(e) }, func(e *denc.Encoder, l []int32) { denc.PutSlice(e, l, (*denc.Encoder).I32) })
	e.Bool(m.Forced)
}

// OSDPGCreated says that a new PG exists.
type OSDPGCreated struct {
	Paxos
	PG ceph.PG
}

// Kind returns osd_pg_created v1.
func (m *OSDPGCreated) Kind() Kind { return Kind{TypeOSDPGCreated, 1, 1} }

// Encode appends the front.
func (m *OSDPGCreated) Encode(e *denc.Encoder) {
	m.encode(e)
	m.PG.Encode(e)
}

// PGCreate is a PG to make: when the monitors decided so.
type PGCreate struct {
	Created ceph.Epoch
	Stamp   ceph.Time
}

// OSDPGCreate2 tells an OSD which PGs to make. (Front v2.)
type OSDPGCreate2 struct {
	Epoch ceph.Epoch
	PGs   map[ceph.ShardPG]PGCreate
	// Extra is the history of each, encoded: what followed PGs in the front.
	Extra []byte
}

// Kind returns osd_pg_create2 v2.
func (m *OSDPGCreate2) Kind() Kind { return Kind{TypeOSDPGCreate2, 2, 1} }

// Encode appends the front.
func (m *OSDPGCreate2) Encode(e *denc.Encoder) {
	e.U32(uint32(m.Epoch))
	denc.PutMapFunc(e, m.PGs, ceph.ShardPG.Compare, func(e *denc.Encoder, p ceph.ShardPG) { p.Encode(e) }, func(e *denc.Encoder, c PGCreate) {
		e.U32(uint32(c.Created))
		c.Stamp.Encode(e)
	})
	if m.Extra == nil {
		e.U32(0)
	} else {
		e.Raw(m.Extra)
	}
}

func decodeOSDPGCreate2(d *denc.Decoder, version uint16, _ []byte) Payload {
	m := &OSDPGCreate2{Epoch: ceph.Epoch(d.U32())}
	m.PGs = denc.Map(d, 36, ceph.DecodeShardPG, func(d *denc.Decoder) PGCreate { return PGCreate{ceph.Epoch(d.U32()), ceph.DecodeTime(d)} })
	if rest := d.Raw(d.Left()); version >= 2 && len(rest) > 4 {
		m.Extra = rest
	}
	return m
}

// What an OSDPing is.
const (
	PingYouDied uint8 = 2
	PingPing    uint8 = 4
	PingReply   uint8 = 5
)

// OSDPing is a heartbeat between OSDs. (Front v5.)
type OSDPing struct {
	FSID      ceph.UUID
	Epoch     ceph.Epoch // of the map
	Op        uint8
	Stamp     ceph.Time // of the ping, echoed
	UpFrom    ceph.Epoch
	MonoPing  uint64 // nanoseconds of the pinger's clock, echoed
	MonoSend  uint64 // nanoseconds of the sender's clock
	DeltaUB   *int64 // bound of the clocks' difference
	PadLength uint32 // zero bytes, so that a ping is as long as a full packet
}

// Kind returns osd_ping v5.
func (m *OSDPing) Kind() Kind { return Kind{TypeOSDPing, 5, 4} }

// Encode appends the front.
func (m *OSDPing) Encode(e *denc.Encoder) {
	m.FSID.Encode(e)
	e.U32(uint32(m.Epoch))
	e.U8(m.Op)
	m.Stamp.Encode(e)
	e.U32(m.PadLength)
	e.U32(uint32(m.UpFrom))
	e.U64(m.MonoPing)
	e.U64(m.MonoSend)
	e.Bool(m.DeltaUB != nil)
	if m.DeltaUB != nil {
		e.I64(*m.DeltaUB)
	}
	e.Zero(int(m.PadLength))
}

func decodeOSDPing(d *denc.Decoder, version uint16, _ []byte) Payload {
	if version < 5 {
		d.Failf("version %d, want 5", version)
	}
	m := &OSDPing{FSID: ceph.DecodeUUID(d), Epoch: ceph.Epoch(d.U32()), Op: d.U8(), Stamp: ceph.DecodeTime(d), PadLength: d.U32()}
	m.UpFrom, m.MonoPing, m.MonoSend = ceph.Epoch(d.U32()), d.U64(), d.U64()
	if d.Bool() {
		v := d.I64()
		m.DeltaUB = &v
	}
	d.Skip(int(m.PadLength))
	return m
}
