package osdmap

import (
	"encoding/binary"
	"fmt"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/denc"
)

// Unchanged stands where an increment leaves a number as it is.
const (
	Unchanged      = -1
	UnchangedSmall = 0xff // for releases
)

// Features are what an encoding is chosen by; these choose the one of this package.
const Features = 0x0f00088010212a04

// Incremental is what makes the map of an epoch from the one before. See
// NewIncremental for one that changes nothing.
type Incremental struct {
	FSID      ceph.UUID
	Epoch     ceph.Epoch
	Modified  ceph.Time
	PoolMax   int64
	Flags     int32
	FullMap   []byte // not empty: replaces everything
	Crush     []byte // not empty: replaces the CRUSH map
	MaxOSD    int32
	Pools     map[ceph.PoolID]*Pool // wholly replaced
	PoolNames map[ceph.PoolID]string
	OldPools  []ceph.PoolID

	UpClient         map[int32]ceph.AddrVec // has come up
	UpCluster        map[int32]ceph.AddrVec
	UpHeartbeatBack  map[int32]ceph.AddrVec
	UpHeartbeatFront map[int32]ceph.AddrVec
	States           map[int32]State // bits that turn over
	Weights          map[int32]crush.Weight
	Affinity         map[int32]uint32
	PGTemp           map[ceph.PG][]int32 // none: removed
	PrimaryTemp      map[ceph.PG]int32   // −1: removed
	Profiles         map[string]map[string]string
	OldProfiles      []string
	Upmap            map[ceph.PG][]int32
	OldUpmap         []ceph.PG
	UpmapItems       map[ceph.PG][]Remap
	OldUpmapItems    []ceph.PG
	RemovedSnaps     map[ceph.PoolID]Intervals
	PurgedSnaps      map[ceph.PoolID]Intervals
	LastUp, LastIn   ceph.Time // never: unchanged

	UpThru            map[int32]ceph.Epoch
	CleanIntervals    map[int32]CleanInterval
	Lost              map[int32]ceph.Epoch
	Blocklist         map[ceph.Addr]ceph.Time
	OldBlocklist      []ceph.Addr
	Snapshot          string
	UUIDs             map[int32]ceph.UUID
	XInfos            map[int32]XInfo
	Features          uint64
	NearFullRatio     float32 // < 0: unchanged
	FullRatio         float32
	BackfillFullRatio float32
	MinCompatClient   uint8
	RequireRelease    uint8
	NodeFlags         map[int32]State // 0: removed
	ClassFlags        map[int32]State
	Stretch           *Stretch

	// FullChecksum is that of the full map that comes out. 0 leaves it open.
	FullChecksum uint32
}

// CleanInterval is when an OSD last shut down cleanly.
type CleanInterval struct{ Begin, End ceph.Epoch }

// NewIncremental returns the increment behind m that changes nothing.
func NewIncremental(m *Map, now ceph.Time) *Incremental {
	return &Incremental{
		FSID: m.FSID, Epoch: m.Epoch + 1, Modified: now, PoolMax: Unchanged, Flags: Unchanged, MaxOSD: Unchanged, Features: Features,
		NearFullRatio: Unchanged, FullRatio: Unchanged, BackfillFullRatio: Unchanged, MinCompatClient: UnchangedSmall, RequireRelease: UnchangedSmall,
	}
}

const (
	incVersion       = 8
	incCompat        = 7
	incClientVersion = 8
)

// Encode writes the increment in the one form that Ceph writes.
func (n *Incremental) Encode() []byte {
	e := &encoder{}
	w := e.Begin(incVersion, incCompat)
	n.encodeClient(e)
	n.encodeOSD(e)
	at := e.Len()
	e.U32(0)
	e.U32(n.FullChecksum)
	e.End(w)
	p := e.Bytes()
	binary.LittleEndian.PutUint32(p[at:], denc.CRC(denc.CRC(0xffffffff, p[:at]), p[at+4:]))
	return p
}

func putEpoch(e *encoder, v ceph.Epoch) { e.U32(uint32(v)) }
func getEpoch(d *decoder) ceph.Epoch    { return ceph.Epoch(d.U32()) }

func encodePGs(e *encoder, v []ceph.PG) {
	denc.PutSlice(e, v, func(e *encoder, p ceph.PG) { p.Encode(e) })
}
func decodePGs(d *decoder) []ceph.PG { return denc.Slice(d, 17, ceph.DecodePG) }

func (n *Incremental) encodeClient(e *encoder) {
	s := e.Begin(incClientVersion, 1)
	n.FSID.Encode(e)
	e.U32(uint32(n.Epoch))
	n.Modified.Encode(e)
	e.I64(n.PoolMax)
	e.I32(n.Flags)
	e.Blob(n.FullMap)
	e.Blob(n.Crush)
	e.I32(n.MaxOSD)
	encodePools(e, n.Pools)
	denc.PutMap(e, n.PoolNames, encodePool, (*encoder).Str)
	denc.PutSlice(e, n.OldPools, encodePool)
	putByID(e, n.UpClient, encodeAddrs)
	putStates(e, n.States)
	putByID(e, n.Weights, (*encoder).U32)
	putPGs(e, n.PGTemp, encodeOSDs)
	putPGs(e, n.PrimaryTemp, (*encoder).I32)
	putByID(e, n.Affinity, (*encoder).U32)
	encodeProfiles(e, n.Profiles)
	denc.PutSlice(e, n.OldProfiles, (*encoder).Str)
	putPGs(e, n.Upmap, encodeOSDs)
	encodePGs(e, n.OldUpmap)
	putPGs(e, n.UpmapItems, encodeRemaps)
	encodePGs(e, n.OldUpmapItems)
	encodeSnaps(e, n.RemovedSnaps)
	encodeSnaps(e, n.PurgedSnaps)
	n.LastUp.Encode(e)
	n.LastIn.Encode(e)
	e.End(s)
}

func (n *Incremental) encodeOSD(e *encoder) {
	version := uint8(osdVersion)
	if n.Stretch != nil {
		version = stretchVersion
	}
	s := e.Begin(version, 1)
	putByID(e, n.UpHeartbeatBack, encodeAddrs)
	putByID(e, n.UpThru, putEpoch)
	putByID(e, n.CleanIntervals, func(e *encoder, c CleanInterval) {
		putEpoch(e, c.Begin)
		putEpoch(e, c.End)
	})
	putByID(e, n.Lost, putEpoch)
	encodeBlocklist(e, n.Blocklist)
	denc.PutSlice(e, n.OldBlocklist, func(e *encoder, a ceph.Addr) { a.Encode(e) })
	putByID(e, n.UpCluster, encodeAddrs)
	e.Str(n.Snapshot)
	putByID(e, n.UUIDs, encodeUUID)
	putByID(e, n.XInfos, func(e *encoder, x XInfo) { x.encode(e) })
	putByID(e, n.UpHeartbeatFront, encodeAddrs)
	e.U64(n.Features)
	e.F32(n.NearFullRatio)
	e.F32(n.FullRatio)
	e.F32(n.BackfillFullRatio)
	e.U8(n.MinCompatClient)
	e.U8(n.RequireRelease)
	putStates(e, n.NodeFlags)
	putStates(e, n.ClassFlags)
	n.Stretch.encode(e)
	e.End(s)
}

// DecodeIncremental reads an increment: all of p, its checksum as well.
func DecodeIncremental(p []byte) (*Incremental, error) {
	n := &Incremental{}
	d := denc.NewDecoder(p)
	w := d.Begin(incVersion)
	n.decodeClient(d)
	n.decodeOSD(d)
	at := d.Offset()
	sum := d.U32()
	n.FullChecksum = d.U32()
	d.End(w)
	err := d.Finish()
	if err == nil {
		err = checksum("increment", sum, denc.CRC(denc.CRC(0xffffffff, p[:at]), p[at+4:]))
	}
	if err != nil {
		return nil, fmt.Errorf("osd map increment: %w", err)
	}
	return n, nil
}

func (n *Incremental) decodeClient(d *decoder) {
	s := d.Begin(incClientVersion)
	old(d, s, incClientVersion)
	n.FSID, n.Epoch, n.Modified = ceph.DecodeUUID(d), getEpoch(d), ceph.DecodeTime(d)
	n.PoolMax, n.Flags = d.I64(), d.I32()
	n.FullMap, n.Crush = slices.Clone(d.Bytes()), slices.Clone(d.Bytes())
	n.MaxOSD = d.I32()
	n.Pools = decodePools(d)
	n.PoolNames = denc.Map(d, 12, decodePoolID, (*decoder).Str)
	n.OldPools = denc.Slice(d, 8, decodePoolID)
	n.UpClient = getByID(d, 5, ceph.DecodeAddrVec)
	n.States = getStates(d)
	n.Weights = getByID(d, 4, (*decoder).U32)
	n.PGTemp, n.PrimaryTemp = getPGs(d, decodeOSDs), getPGs(d, (*decoder).I32)
	n.Affinity = getByID(d, 4, (*decoder).U32)
	n.Profiles = decodeProfiles(d)
	n.OldProfiles = denc.Slice(d, 4, (*decoder).Str)
	n.Upmap, n.OldUpmap = getPGs(d, decodeOSDs), decodePGs(d)
	n.UpmapItems, n.OldUpmapItems = getPGs(d, decodeRemaps), decodePGs(d)
	n.RemovedSnaps, n.PurgedSnaps = decodeSnaps(d), decodeSnaps(d)
	n.LastUp, n.LastIn = ceph.DecodeTime(d), ceph.DecodeTime(d)
	d.End(s)
}

func (n *Incremental) decodeOSD(d *decoder) {
	s := d.Begin(stretchVersion)
	old(d, s, osdVersion)
	n.UpHeartbeatBack = getByID(d, 5, ceph.DecodeAddrVec)
	n.UpThru = getByID(d, 4, getEpoch)
	n.CleanIntervals = getByID(d, 8, func(d *decoder) CleanInterval { return CleanInterval{getEpoch(d), getEpoch(d)} })
	n.Lost = getByID(d, 4, getEpoch)
	n.Blocklist = decodeBlocklist(d)
	n.OldBlocklist = denc.Slice(d, 8, ceph.DecodeAddr)
	n.UpCluster = getByID(d, 5, ceph.DecodeAddrVec)
	n.Snapshot = d.Str()
	n.UUIDs = getByID(d, 16, ceph.DecodeUUID)
	n.XInfos = getByID(d, 46, decodeXInfo)
	n.UpHeartbeatFront = getByID(d, 5, ceph.DecodeAddrVec)
	n.Features = d.U64()
	n.NearFullRatio, n.FullRatio, n.BackfillFullRatio = d.F32(), d.F32(), d.F32()
	n.MinCompatClient, n.RequireRelease = d.U8(), d.U8()
	n.NodeFlags, n.ClassFlags = getStates(d), getStates(d)
	if s.Version >= stretchVersion {
		n.Stretch = decodeStretch(d)
	}
	d.End(s)
}
