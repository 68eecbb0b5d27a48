package osdmap

import (
	"encoding/binary"
	"fmt"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/denc"
)

// State is what holds of an OSD.
type State uint32

// The states of OSDs.
const (
	Exists       State = 1 << 0
	Up           State = 1 << 1
	AutoOut      State = 1 << 2
	New          State = 1 << 3
	Full         State = 1 << 4
	NearFull     State = 1 << 5
	BackfillFull State = 1 << 6
	Destroyed    State = 1 << 7
	NoUp         State = 1 << 8
	NoDown       State = 1 << 9
	NoIn         State = 1 << 10
	NoOut        State = 1 << 11
)

// Flags hold of the whole cluster.
type Flags uint32

// The flags.
const (
	FlagPauseRead       Flags = 1 << 2
	FlagPauseWrite      Flags = 1 << 3
	FlagPauseRecovery   Flags = 1 << 4
	FlagNoUp            Flags = 1 << 5
	FlagNoDown          Flags = 1 << 6
	FlagNoOut           Flags = 1 << 7
	FlagNoIn            Flags = 1 << 8
	FlagNoBackfill      Flags = 1 << 9
	FlagNoRecover       Flags = 1 << 10
	FlagNoScrub         Flags = 1 << 11
	FlagNoDeepScrub     Flags = 1 << 12
	FlagNoTierAgent     Flags = 1 << 13
	FlagNoRebalance     Flags = 1 << 14
	FlagSortBitwise     Flags = 1 << 15
	FlagRecoveryDeletes Flags = 1 << 19
	FlagPurgedSnapdirs  Flags = 1 << 20
	FlagNoSnapTrim      Flags = 1 << 21
	FlagPGLogHardLimit  Flags = 1 << 22
	FlagsOfEveryCluster       = FlagSortBitwise | FlagRecoveryDeletes | FlagPurgedSnapdirs | FlagPGLogHardLimit
)

// DefaultAffinity is the affinity of an OSD that has no other: it becomes primary
// as often as its place says.
const DefaultAffinity = 0x10000

// Map is the map of one epoch.
type Map struct {
	FSID              ceph.UUID
	Epoch             ceph.Epoch
	Created, Modified ceph.Time
	Pools             map[ceph.PoolID]*Pool
	PoolNames         map[ceph.PoolID]string
	PoolMax           int32 // the highest id there ever was
	Flags             Flags
	MaxOSD            int32
	States            []State
	Weights           []crush.Weight // how much of each OSD is in
	Affinity          []uint32       // empty: all have DefaultAffinity
	Client            []ceph.AddrVec // for clients, and so on
	Cluster           []ceph.AddrVec
	HeartbeatBack     []ceph.AddrVec
	HeartbeatFront    []ceph.AddrVec
	Infos             []Info
	XInfos            []XInfo
	UUIDs             []ceph.UUID
	PGTemp            map[ceph.PG][]int32
	PrimaryTemp       map[ceph.PG]int32
	Upmap             map[ceph.PG][]int32
	UpmapItems        map[ceph.PG][]Remap
	Crush             []byte // encoded; see crush.Decode
	CrushVersion      int32
	Profiles          map[string]map[string]string // of erasure codes
	NewRemovedSnaps   map[ceph.PoolID]Intervals    // of this epoch
	NewPurgedSnaps    map[ceph.PoolID]Intervals
	RemovedSnapsQueue map[ceph.PoolID]Intervals
	LastUp, LastIn    ceph.Time
	Blocklist         map[ceph.Addr]ceph.Time // until when
	SnapshotEpoch     ceph.Epoch
	Snapshot          string
	NearFullRatio     float32
	FullRatio         float32
	BackfillFullRatio float32
	MinCompatClient   uint8
	RequireRelease    uint8
	NodeFlags         map[int32]State // by bucket
	ClassFlags        map[int32]State // by device class
	Stretch           *Stretch        // nil outside of stretch mode
	checksum          uint32
}

// Stretch is the state of a cluster of two sites.
type Stretch struct {
	Enabled              bool
	Buckets              uint32
	Degraded, Recovering uint32
	Bucket               int32
}

const (
	mapVersion     = 8
	mapCompat      = 7
	clientVersion  = 9
	osdVersion     = 9
	stretchVersion = 10
)

// Checksum returns the CRC that Decode found or Encode wrote last.
func (m *Map) Checksum() uint32 { return m.checksum }

// Encode writes the map in the one form that Ceph writes and keeps its checksum.
func (m *Map) Encode() []byte {
	e := &encoder{}
	w := e.Begin(mapVersion, mapCompat)
	m.encodeClient(e)
	m.encodeOSD(e)
	at := e.Len()
	e.U32(0)
	e.End(w)
	p := e.Bytes()
	m.checksum = denc.CRC(0xffffffff, p[:at])
	binary.LittleEndian.PutUint32(p[at:], m.checksum)
	return p
}

func (m *Map) encodeClient(e *encoder) {
	s := e.Begin(clientVersion, 1)
	m.FSID.Encode(e)
	e.U32(uint32(m.Epoch))
	m.Created.Encode(e)
	m.Modified.Encode(e)
	encodePools(e, m.Pools)
	denc.PutMap(e, m.PoolNames, encodePool, (*encoder).Str)
	e.I32(m.PoolMax)
	e.U32(uint32(m.Flags))
	e.I32(m.MaxOSD)
	denc.PutSlice(e, m.States, func(e *encoder, s State) { e.U32(uint32(s)) })
	denc.PutSlice(e, m.Weights, (*encoder).U32)
	denc.PutSlice(e, m.Client, encodeAddrs)
	putPGs(e, m.PGTemp, encodeOSDs)
	putPGs(e, m.PrimaryTemp, (*encoder).I32)
	denc.PutSlice(e, m.Affinity, (*encoder).U32)
	e.Blob(m.Crush)
	encodeProfiles(e, m.Profiles)
	putPGs(e, m.Upmap, encodeOSDs)
	putPGs(e, m.UpmapItems, encodeRemaps)
	e.I32(m.CrushVersion)
	encodeSnaps(e, m.NewRemovedSnaps)
	encodeSnaps(e, m.NewPurgedSnaps)
	m.LastUp.Encode(e)
	m.LastIn.Encode(e)
	e.End(s)
}

func (m *Map) encodeOSD(e *encoder) {
	version := uint8(osdVersion)
	if m.Stretch != nil {
		version = stretchVersion
	}
	s := e.Begin(version, 1)
	denc.PutSlice(e, m.HeartbeatBack, encodeAddrs)
	denc.PutSlice(e, m.Infos, func(e *encoder, i Info) { i.encode(e) })
	encodeBlocklist(e, m.Blocklist)
	denc.PutSlice(e, m.Cluster, encodeAddrs)
	e.U32(uint32(m.SnapshotEpoch))
	e.Str(m.Snapshot)
	denc.PutSlice(e, m.UUIDs, encodeUUID)
	denc.PutSlice(e, m.XInfos, func(e *encoder, x XInfo) { x.encode(e) })
	denc.PutSlice(e, m.HeartbeatFront, encodeAddrs)
	e.F32(m.NearFullRatio)
	e.F32(m.FullRatio)
	e.F32(m.BackfillFullRatio)
	e.U8(m.MinCompatClient)
	e.U8(m.RequireRelease)
	encodeSnaps(e, m.RemovedSnapsQueue)
	putStates(e, m.NodeFlags)
	putStates(e, m.ClassFlags)
	m.Stretch.encode(e)
	e.End(s)
}

func putStates(e *encoder, m map[int32]State) {
	putByID(e, m, func(e *encoder, s State) { e.U32(uint32(s)) })
}

func getStates(d *decoder) map[int32]State {
	return getByID(d, 4, func(d *decoder) State { return State(d.U32()) })
}

func (s *Stretch) encode(e *encoder) {
	if s == nil {
		return
	}
	e.Bool(s.Enabled)
	e.U32(s.Buckets)
	e.U32(s.Degraded)
	e.U32(s.Recovering)
	e.I32(s.Bucket)
}

func decodeStretch(d *decoder) *Stretch {
	return &Stretch{d.Bool(), d.U32(), d.U32(), d.U32(), d.I32()}
}

// Decode reads a full map: all of p, its checksum and the CRUSH map in it as well.
func Decode(p []byte) (*Map, error) {
	m := &Map{}
	d := denc.NewDecoder(p)
	w := d.Begin(mapVersion)
	m.decodeClient(d)
	m.decodeOSD(d)
	at := d.Offset()
	m.checksum = d.U32()
	behind := d.Offset()
	d.End(w)
	err := d.Finish()
	if err == nil {
		err = checksum("full map", m.checksum, denc.CRC(denc.CRC(0xffffffff, p[:at]), p[behind:]))
	}
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, fmt.Errorf("osd map: %w", err)
	}
	return m, nil
}

func (m *Map) decodeClient(d *decoder) {
	s := d.Begin(clientVersion)
	old(d, s, clientVersion)
	m.FSID, m.Epoch = ceph.DecodeUUID(d), ceph.Epoch(d.U32())
	m.Created, m.Modified = ceph.DecodeTime(d), ceph.DecodeTime(d)
	m.Pools = decodePools(d)
	m.PoolNames = denc.Map(d, 12, decodePoolID, (*decoder).Str)
	m.PoolMax, m.Flags, m.MaxOSD = d.I32(), Flags(d.U32()), d.I32()
	m.States = denc.Slice(d, 4, func(d *decoder) State { return State(d.U32()) })
	m.Weights = denc.Slice(d, 4, (*decoder).U32)
	m.Client = denc.Slice(d, 5, ceph.DecodeAddrVec)
	m.PGTemp, m.PrimaryTemp = getPGs(d, decodeOSDs), getPGs(d, (*decoder).I32)
	m.Affinity = denc.Slice(d, 4, (*decoder).U32)
	m.Crush = slices.Clone(d.Bytes())
	m.Profiles = decodeProfiles(d)
	m.Upmap, m.UpmapItems = getPGs(d, decodeOSDs), getPGs(d, decodeRemaps)
	m.CrushVersion = d.I32()
	m.NewRemovedSnaps, m.NewPurgedSnaps = decodeSnaps(d), decodeSnaps(d)
	m.LastUp, m.LastIn = ceph.DecodeTime(d), ceph.DecodeTime(d)
	d.End(s)
}

func (m *Map) decodeOSD(d *decoder) {
	s := d.Begin(stretchVersion)
	old(d, s, osdVersion)
	m.HeartbeatBack = denc.Slice(d, 5, ceph.DecodeAddrVec)
	m.Infos = denc.Slice(d, 25, decodeInfo)
	m.Blocklist = decodeBlocklist(d)
	m.Cluster = denc.Slice(d, 5, ceph.DecodeAddrVec)
	m.SnapshotEpoch, m.Snapshot = ceph.Epoch(d.U32()), d.Str()
	m.UUIDs = denc.Slice(d, 16, ceph.DecodeUUID)
	m.XInfos = denc.Slice(d, 46, decodeXInfo)
	m.HeartbeatFront = denc.Slice(d, 5, ceph.DecodeAddrVec)
	m.NearFullRatio, m.FullRatio, m.BackfillFullRatio = d.F32(), d.F32(), d.F32()
	m.MinCompatClient, m.RequireRelease = d.U8(), d.U8()
	m.RemovedSnapsQueue = decodeSnaps(d)
	m.NodeFlags, m.ClassFlags = getStates(d), getStates(d)
	if s.Version >= stretchVersion {
		m.Stretch = decodeStretch(d)
	}
	d.End(s)
}

// old refuses a struct of a release before the one this package reads.
func old(d *decoder, s denc.Struct, version uint8) {
	if d.Err() == nil && s.Version < version {
		d.Failf("struct of version %d, older than %d", s.Version, version)
	}
}

// check holds I1.
func (m *Map) check() error {
	for what, n := range map[string]int{
		"states": len(m.States), "weights": len(m.Weights), "client addresses": len(m.Client), "cluster addresses": len(m.Cluster),
		"heartbeat addresses": len(m.HeartbeatBack), "front addresses": len(m.HeartbeatFront), "infos": len(m.Infos), "extra infos": len(m.XInfos), "uuids": len(m.UUIDs),
	} {
		if n != int(m.MaxOSD) {
			return fmt.Errorf("%d %s for %d OSDs: %w", n, what, m.MaxOSD, denc.ErrMalformed)
		}
	}
	if n := len(m.Affinity); n != 0 && n != int(m.MaxOSD) {
		return fmt.Errorf("%d affinities for %d OSDs: %w", n, m.MaxOSD, denc.ErrMalformed)
	}
	if _, err := crush.Decode(m.Crush); err != nil {
		return err
	}
	return nil
}

// State returns the state of an OSD, 0 if there is none.
func (m *Map) State(osd int32) State {
	if osd < 0 || int(osd) >= len(m.States) {
		return 0
	}
	return m.States[osd]
}

// Exists reports whether there is such an OSD.
func (m *Map) Exists(osd int32) bool { return m.State(osd)&Exists != 0 }

// IsUp reports whether the OSD exists and is up.
func (m *Map) IsUp(osd int32) bool { return m.State(osd)&(Exists|Up) == Exists|Up }
