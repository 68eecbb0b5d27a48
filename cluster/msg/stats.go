package msg

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// ObjectSum counts what a PG or pool holds and has done. (object_stat_sum_t v20;
// the order is that of the wire.)
type ObjectSum struct {
	Bytes, Objects, Clones, Copies              int64
	MissingOnPrimary, Degraded, Unfound         int64
	Reads, ReadKB, Writes, WriteKB              int64
	ScrubErrors                                 int64
	RecoveredObjects, RecoveredBytes            int64
	RecoveredKeys                               int64
	ShallowScrubErrors, DeepScrubErrors         int64
	Dirty, Whiteouts, OmapObjects               int64
	HitSetArchive, Misplaced, HitSetBytes       int64
	Flush, FlushKB, Evict, EvictKB, Promote     int64
	FlushHigh, FlushLow, EvictSome, EvictFull   int32
	Pinned, Missing, LegacySnapsets, LargeOmaps int64
	Manifest, OmapBytes, OmapKeys, Repaired     int64
}

// wide returns the fields before and after the four narrow ones.
func (s *ObjectSum) wide() (before, after []*int64) {
	return []*int64{
			&s.Bytes, &s.Objects, &s.Clones, &s.Copies, &s.MissingOnPrimary, &s.Degraded, &s.Unfound, &s.Reads, &s.ReadKB, &s.Writes, &s.WriteKB,
			&s.ScrubErrors, &s.RecoveredObjects, &s.RecoveredBytes, &s.RecoveredKeys, &s.ShallowScrubErrors, &s.DeepScrubErrors, &s.Dirty,
			&s.Whiteouts, &s.OmapObjects, &s.HitSetArchive, &s.Misplaced, &s.HitSetBytes, &s.Flush, &s.FlushKB, &s.Evict, &s.EvictKB, &s.Promote,
		}, []*int64{
			&s.Pinned, &s.Missing, &s.LegacySnapsets, &s.LargeOmaps, &s.Manifest, &s.OmapBytes, &s.OmapKeys, &s.Repaired,
		}
}

func (s *ObjectSum) narrow() [4]*int32 {
	return [4]*int32{&s.FlushHigh, &s.FlushLow, &s.EvictSome, &s.EvictFull}
}

// Add adds o to s, field by field.
func (s *ObjectSum) Add(o *ObjectSum) {
	s1, s2 := s.wide()
	o1, o2 := o.wide()
	for i := range s1 {
		*s1[i] += *o1[i]
	}
	for i := range s2 {
		*s2[i] += *o2[i]
	}
	n, m := s.narrow(), o.narrow()
	for i := range n {
		*n[i] += *m[i]
	}
}

// Encode appends a collection of one sum: object_stat_collection_t v2.
func (s *ObjectSum) Encode(e *denc.Encoder) {
	outer := e.Begin(2, 2)
	inner := e.Begin(20, 14)
	before, after := s.wide()
	for _, v := range before {
		e.I64(*v)
	}
	for _, v := range s.narrow() {
		e.I32(*v)
	}
	for _, v := range after {
		e.I64(*v)
	}
	e.End(inner)
	e.U32(0)
	e.End(outer)
}

// DecodeObjectSum reads a collection of one sum.
func DecodeObjectSum(d *denc.Decoder) (s ObjectSum) {
	outer := d.Begin(2)
	inner := d.Begin(20)
	if inner.Version < 20 && d.Err() == nil {
		d.Failf("object statistics of version %d, want 20", inner.Version)
	}
	before, after := s.wide()
	for _, v := range before {
		*v = d.I64()
	}
	for _, v := range s.narrow() {
		*v = d.I32()
	}
	for _, v := range after {
		*v = d.I64()
	}
	d.End(inner)
	if n := d.U32(); n != 0 {
		d.Failf("object statistics in %d categories", n)
	}
	d.End(outer)
	return s
}

// StoreStatfs is how full a store is, in bytes. (store_statfs_t v1.)
type StoreStatfs struct {
	Total, Available, Reserved, Allocated, Stored int64
	Compressed, CompressedAllocated               int64
	CompressedOriginal, Omap, Internal            int64
}

func (s *StoreStatfs) fields() [10]*int64 {
	return [10]*int64{&s.Total, &s.Available, &s.Reserved, &s.Allocated, &s.Stored,
		&s.Compressed, &s.CompressedAllocated, &s.CompressedOriginal, &s.Omap, &s.Internal}
}

// Encode appends the ten numbers.
func (s *StoreStatfs) Encode(e *denc.Encoder) {
	m := e.Begin(1, 1)
	for _, v := range s.fields() {
		e.I64(*v)
	}
	e.End(m)
}

// DecodeStoreStatfs reads a StoreStatfs.
func DecodeStoreStatfs(d *denc.Decoder) (s StoreStatfs) {
	m := d.Begin(1)
	for _, v := range s.fields() {
		*v = d.I64()
	}
	d.End(m)
	return s
}

// PoolStat is the sum of a pool's PGs. (pool_stat_t v7.)
type PoolStat struct {
	Sum             ObjectSum
	LogSize, OnDisk int64
	Up, Acting      int32
	Store           StoreStatfs
	Stores          uint32
}

// Encode appends the statistics.
func (p *PoolStat) Encode(e *denc.Encoder) {
	m := e.Begin(7, 5)
	p.Sum.Encode(e)
	e.I64(p.LogSize)
	e.I64(p.OnDisk)
	e.I32(p.Up)
	e.I32(p.Acting)
	p.Store.Encode(e)
	e.U32(p.Stores)
	e.End(m)
}

// DecodePoolStat reads a PoolStat.
func DecodePoolStat(d *denc.Decoder) (p PoolStat) {
	s := d.Begin(7)
	p = PoolStat{DecodeObjectSum(d), d.I64(), d.I64(), d.I32(), d.I32(), DecodeStoreStatfs(d), d.U32()}
	d.End(s)
	return p
}

// PGState is the bits of a PG's state.
type PGState uint64

// States a PG can be in, several at once.
const (
	PGCreating PGState = 1 << iota
	PGActive
	PGClean
	_
	PGDown
	PGRecoveryUnfound
	PGBackfillUnfound
	PGPremerge
	PGScrubbing
	_
	PGDegraded
	PGInconsistent
	PGPeering
	PGRepair
	PGRecovering
	PGBackfillWait
	PGIncomplete
	PGStale
	PGRemapped
	PGDeepScrub
	PGBackfilling
	PGBackfillTooFull
	PGRecoveryWait
	PGUndersized
	PGActivating
	PGPeered
	PGSnaptrim
	PGSnaptrimWait
	PGRecoveryTooFull
	PGSnaptrimError
	PGForcedRecovery
	PGForcedBackfill
	PGFailedRepair
	PGLaggy
	PGWait
)

// PGStat is what the primary of a PG reports of it. (pg_stat_t v26.)
type PGStat struct {
	Version                       ceph.EVersion
	ReportedSeq                   uint64
	ReportedEpoch                 ceph.Epoch
	State                         PGState
	LogStart, OnDiskLogStart      ceph.EVersion
	Created, LastEpochClean       ceph.Epoch
	Parent                        ceph.PG
	ParentSplitBits               uint32
	LastScrub                     ceph.EVersion
	LastScrubStamp                ceph.Time
	Sum                           ObjectSum
	LogSize, OnDiskLogSize        int64
	Up, Acting                    []int32
	LastFresh, LastChange         ceph.Time
	LastActive, LastClean         ceph.Time
	LastUnstale                   ceph.Time
	MappingEpoch                  ceph.Epoch
	LastDeepScrub                 ceph.EVersion
	LastDeepScrubStamp            ceph.Time
	StatsInvalid                  bool
	LastCleanScrubStamp           ceph.Time
	LastBecameActive              ceph.Time
	DirtyStatsInvalid             bool
	UpPrimary, ActingPrimary      int32
	OmapStatsInvalid              bool
	HitSetStatsInvalid            bool
	BlockedBy                     []int32
	LastUndegraded, LastFullsized ceph.Time
	HitSetBytesInvalid            bool
	LastPeered, LastBecamePeered  ceph.Time
	PinStatsInvalid               bool
	SnapTrimQueue                 uint32
	PurgedSnaps                   []Interval
	ManifestStatsInvalid          bool
	AvailNoMissing                []PGShard
	LocationCounts                []byte // encoded; nil: none
}

// Interval is a range of snapshot ids.
type Interval struct{ Start, Length uint64 }

// PGShard is an OSD and which shard of a PG it has.
type PGShard struct {
	OSD   int32
	Shard int8
}

func putInterval(e *denc.Encoder, i Interval) { e.U64(i.Start); e.U64(i.Length) }
func interval(d *denc.Decoder) Interval       { return Interval{d.U64(), d.U64()} }

func putShard(e *denc.Encoder, s PGShard) {
	m := e.Begin(1, 1)
	e.I32(s.OSD)
	e.I8(s.Shard)
	e.End(m)
}

func shard(d *denc.Decoder) (p PGShard) {
	s := d.Begin(1)
	p = PGShard{d.I32(), d.I8()}
	d.End(s)
	return p
}

// Encode appends the statistics.
func (p *PGStat) Encode(e *denc.Encoder) {
	i32s := func(v []int32) { denc.PutSlice(e, v, (*denc.Encoder).I32) }
	m := e.Begin(26, 22)
	p.Version.Encode(e)
	e.U64(p.ReportedSeq)
	e.U32(uint32(p.ReportedEpoch))
	e.U32(uint32(p.State))
	p.LogStart.Encode(e)
	p.OnDiskLogStart.Encode(e)
	e.U32(uint32(p.Created))
	e.U32(uint32(p.LastEpochClean))
	p.Parent.Encode(e)
	e.U32(p.ParentSplitBits)
	p.LastScrub.Encode(e)
	p.LastScrubStamp.Encode(e)
	p.Sum.Encode(e)
	e.I64(p.LogSize)
	e.I64(p.OnDiskLogSize)
	i32s(p.Up)
	i32s(p.Acting)
	for _, t := range [...]ceph.Time{p.LastFresh, p.LastChange, p.LastActive, p.LastClean, p.LastUnstale} {
		t.Encode(e)
	}
	e.U32(uint32(p.MappingEpoch))
	p.LastDeepScrub.Encode(e)
	p.LastDeepScrubStamp.Encode(e)
	e.Bool(p.StatsInvalid)
	p.LastCleanScrubStamp.Encode(e)
	p.LastBecameActive.Encode(e)
	e.Bool(p.DirtyStatsInvalid)
	e.I32(p.UpPrimary)
	e.I32(p.ActingPrimary)
	e.Bool(p.OmapStatsInvalid)
	e.Bool(p.HitSetStatsInvalid)
	i32s(p.BlockedBy)
	p.LastUndegraded.Encode(e)
	p.LastFullsized.Encode(e)
	e.Bool(p.HitSetBytesInvalid)
	p.LastPeered.Encode(e)
	p.LastBecamePeered.Encode(e)
	e.Bool(p.PinStatsInvalid)
	e.U32(p.SnapTrimQueue)
	e.U32(uint32(p.State >> 32))
	denc.PutSlice(e, p.PurgedSnaps, putInterval)
	e.Bool(p.ManifestStatsInvalid)
	denc.PutSlice(e, p.AvailNoMissing, putShard)
	if p.LocationCounts == nil {
		e.U32(0)
	} else {
		e.Raw(p.LocationCounts)
	}
	e.End(m)
}

// DecodePGStat reads a PGStat.
func DecodePGStat(d *denc.Decoder) (p PGStat) {
	i32s := func() []int32 { return denc.Slice(d, 4, (*denc.Decoder).I32) }
	s := d.Begin(26)
	if s.Version < 26 && d.Err() == nil {
		d.Failf("pg statistics of version %d, want 26", s.Version)
	}
	p.Version, p.ReportedSeq, p.ReportedEpoch = ceph.DecodeEVersion(d), d.U64(), ceph.Epoch(d.U32())
	p.State = PGState(d.U32())
	p.LogStart, p.OnDiskLogStart = ceph.DecodeEVersion(d), ceph.DecodeEVersion(d)
	p.Created, p.LastEpochClean = ceph.Epoch(d.U32()), ceph.Epoch(d.U32())
	p.Parent, p.ParentSplitBits = ceph.DecodePG(d), d.U32()
	p.LastScrub, p.LastScrubStamp = ceph.DecodeEVersion(d), ceph.DecodeTime(d)
	p.Sum, p.LogSize, p.OnDiskLogSize = DecodeObjectSum(d), d.I64(), d.I64()
	p.Up, p.Acting = i32s(), i32s()
	for _, t := range [...]*ceph.Time{&p.LastFresh, &p.LastChange, &p.LastActive, &p.LastClean, &p.LastUnstale} {
		*t = ceph.DecodeTime(d)
	}
	p.MappingEpoch, p.LastDeepScrub, p.LastDeepScrubStamp = ceph.Epoch(d.U32()), ceph.DecodeEVersion(d), ceph.DecodeTime(d)
	p.StatsInvalid, p.LastCleanScrubStamp, p.LastBecameActive = d.Bool(), ceph.DecodeTime(d), ceph.DecodeTime(d)
	p.DirtyStatsInvalid, p.UpPrimary, p.ActingPrimary = d.Bool(), d.I32(), d.I32()
	p.OmapStatsInvalid, p.HitSetStatsInvalid, p.BlockedBy = d.Bool(), d.Bool(), i32s()
	p.LastUndegraded, p.LastFullsized, p.HitSetBytesInvalid = ceph.DecodeTime(d), ceph.DecodeTime(d), d.Bool()
	p.LastPeered, p.LastBecamePeered, p.PinStatsInvalid = ceph.DecodeTime(d), ceph.DecodeTime(d), d.Bool()
	p.SnapTrimQueue = d.U32()
	p.State |= PGState(d.U32()) << 32
	p.PurgedSnaps = denc.Slice(d, 16, interval)
	p.ManifestStatsInvalid, p.AvailNoMissing = d.Bool(), denc.Slice(d, 11, shard)
	if rest := d.Raw(d.Left()); len(rest) > 4 {
		p.LocationCounts = rest
	}
	d.End(s)
	return p
}
