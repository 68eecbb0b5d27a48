package mon

import (
	"fmt"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
)

// sumJSON is a sum of objects as dumps have it.
type sumJSON struct {
	Bytes              int64 `json:"num_bytes"`
	Objects            int64 `json:"num_objects"`
	Clones             int64 `json:"num_object_clones"`
	Copies             int64 `json:"num_object_copies"`
	MissingOnPrimary   int64 `json:"num_objects_missing_on_primary"`
	Missing            int64 `json:"num_objects_missing"`
	Degraded           int64 `json:"num_objects_degraded"`
	Misplaced          int64 `json:"num_objects_misplaced"`
	Unfound            int64 `json:"num_objects_unfound"`
	Dirty              int64 `json:"num_objects_dirty"`
	Whiteouts          int64 `json:"num_whiteouts"`
	Reads              int64 `json:"num_read"`
	ReadKB             int64 `json:"num_read_kb"`
	Writes             int64 `json:"num_write"`
	WriteKB            int64 `json:"num_write_kb"`
	ScrubErrors        int64 `json:"num_scrub_errors"`
	ShallowScrubErrors int64 `json:"num_shallow_scrub_errors"`
	DeepScrubErrors    int64 `json:"num_deep_scrub_errors"`
	RecoveredObjects   int64 `json:"num_objects_recovered"`
	RecoveredBytes     int64 `json:"num_bytes_recovered"`
	RecoveredKeys      int64 `json:"num_keys_recovered"`
	OmapObjects        int64 `json:"num_objects_omap"`
	HitSetArchive      int64 `json:"num_objects_hit_set_archive"`
	HitSetBytes        int64 `json:"num_bytes_hit_set_archive"`
	Flush              int64 `json:"num_flush"`
	FlushKB            int64 `json:"num_flush_kb"`
	Evict              int64 `json:"num_evict"`
	EvictKB            int64 `json:"num_evict_kb"`
	Promote            int64 `json:"num_promote"`
	FlushHigh          int32 `json:"num_flush_mode_high"`
	FlushLow           int32 `json:"num_flush_mode_low"`
	EvictSome          int32 `json:"num_evict_mode_some"`
	EvictFull          int32 `json:"num_evict_mode_full"`
	Pinned             int64 `json:"num_objects_pinned"`
	LegacySnapsets     int64 `json:"num_legacy_snapsets"`
	LargeOmaps         int64 `json:"num_large_omap_objects"`
	Manifest           int64 `json:"num_objects_manifest"`
	OmapBytes          int64 `json:"num_omap_bytes"`
	OmapKeys           int64 `json:"num_omap_keys"`
	Repaired           int64 `json:"num_objects_repaired"`
}

func newSum(s *msg.ObjectSum) sumJSON {
	return sumJSON{
		Bytes: s.Bytes, Objects: s.Objects, Clones: s.Clones, Copies: s.Copies, MissingOnPrimary: s.MissingOnPrimary, Missing: s.Missing, Degraded: s.Degraded,
		Misplaced: s.Misplaced, Unfound: s.Unfound, Dirty: s.Dirty, Whiteouts: s.Whiteouts, Reads: s.Reads, ReadKB: s.ReadKB, Writes: s.Writes, WriteKB: s.WriteKB,
		ScrubErrors: s.ScrubErrors, ShallowScrubErrors: s.ShallowScrubErrors, DeepScrubErrors: s.DeepScrubErrors, RecoveredObjects: s.RecoveredObjects,
		RecoveredBytes: s.RecoveredBytes, RecoveredKeys: s.RecoveredKeys, OmapObjects: s.OmapObjects, HitSetArchive: s.HitSetArchive, HitSetBytes: s.HitSetBytes,
		Flush: s.Flush, FlushKB: s.FlushKB, Evict: s.Evict, EvictKB: s.EvictKB, Promote: s.Promote, FlushHigh: s.FlushHigh, FlushLow: s.FlushLow, EvictSome: s.EvictSome,
		EvictFull: s.EvictFull, Pinned: s.Pinned, LegacySnapsets: s.LegacySnapsets, LargeOmaps: s.LargeOmaps, Manifest: s.Manifest, OmapBytes: s.OmapBytes, OmapKeys: s.OmapKeys, Repaired: s.Repaired,
	}
}

// storeJSON is how full a store is, as dumps have it.
type storeJSON struct {
	Total               int64 `json:"total"`
	Available           int64 `json:"available"`
	Reserved            int64 `json:"internally_reserved"`
	Allocated           int64 `json:"allocated"`
	Stored              int64 `json:"data_stored"`
	Compressed          int64 `json:"data_compressed"`
	CompressedAllocated int64 `json:"data_compressed_allocated"`
	CompressedOriginal  int64 `json:"data_compressed_original"`
	Omap                int64 `json:"omap_allocated"`
	Internal            int64 `json:"internal_metadata"`
}

// poolSumJSON is a sum over PGs.
type poolSumJSON struct {
	Sum    sumJSON   `json:"stat_sum"`
	Store  storeJSON `json:"store_stats"`
	Log    int64     `json:"log_size"`
	OnDisk int64     `json:"ondisk_log_size"`
	Up     int       `json:"up"`
	Acting int       `json:"acting"`
	Stores int       `json:"num_store_stats"`
}

func (p *poolSumJSON) add(s *msg.PGStat) {
	p.Log, p.OnDisk = p.Log+s.LogSize, p.OnDisk+s.OnDiskLogSize
	p.Up, p.Acting = p.Up+len(s.Up), p.Acting+len(s.Acting)
}

// pgJSON is a PG as dumps have it.
type pgJSON struct {
	ID                   string     `json:"pgid"`
	Version              string     `json:"version"`
	ReportedSeq          uint64     `json:"reported_seq"`
	ReportedEpoch        ceph.Epoch `json:"reported_epoch"`
	State                string     `json:"state"`
	LastFresh            string     `json:"last_fresh"`
	LastChange           string     `json:"last_change"`
	LastActive           string     `json:"last_active"`
	LastPeered           string     `json:"last_peered"`
	LastClean            string     `json:"last_clean"`
	LastBecameActive     string     `json:"last_became_active"`
	LastBecamePeered     string     `json:"last_became_peered"`
	LastUnstale          string     `json:"last_unstale"`
	LastUndegraded       string     `json:"last_undegraded"`
	LastFullsized        string     `json:"last_fullsized"`
	MappingEpoch         ceph.Epoch `json:"mapping_epoch"`
	LogStart             string     `json:"log_start"`
	OnDiskLogStart       string     `json:"ondisk_log_start"`
	Created              ceph.Epoch `json:"created"`
	LastEpochClean       ceph.Epoch `json:"last_epoch_clean"`
	Parent               string     `json:"parent"`
	ParentSplitBits      uint32     `json:"parent_split_bits"`
	LastScrub            string     `json:"last_scrub"`
	LastScrubStamp       string     `json:"last_scrub_stamp"`
	LastDeepScrub        string     `json:"last_deep_scrub"`
	LastDeepScrubStamp   string     `json:"last_deep_scrub_stamp"`
	LastCleanScrubStamp  string     `json:"last_clean_scrub_stamp"`
	LogSize              int64      `json:"log_size"`
	OnDiskLogSize        int64      `json:"ondisk_log_size"`
	StatsInvalid         bool       `json:"stats_invalid"`
	DirtyStatsInvalid    bool       `json:"dirty_stats_invalid"`
	OmapStatsInvalid     bool       `json:"omap_stats_invalid"`
	HitSetStatsInvalid   bool       `json:"hitset_stats_invalid"`
	HitSetBytesInvalid   bool       `json:"hitset_bytes_stats_invalid"`
	PinStatsInvalid      bool       `json:"pin_stats_invalid"`
	ManifestStatsInvalid bool       `json:"manifest_stats_invalid"`
	SnapTrimQueue        uint32     `json:"snaptrimq_len"`
	Sum                  sumJSON    `json:"stat_sum"`
	Up                   []int32    `json:"up"`
	Acting               []int32    `json:"acting"`
	AvailNoMissing       []string   `json:"avail_no_missing"`
	Locations            []string   `json:"object_location_counts"`
	BlockedBy            []int32    `json:"blocked_by"`
	UpPrimary            int32      `json:"up_primary"`
	ActingPrimary        int32      `json:"acting_primary"`
	PurgedSnaps          []string   `json:"purged_snaps"`
}

func list[T any](v []T) []T { return append([]T{}, v...) }

func newPG(id ceph.PG, s msg.PGStat) pgJSON {
	j := pgJSON{
		ID: id.String(), Version: s.Version.String(), ReportedSeq: s.ReportedSeq, ReportedEpoch: s.ReportedEpoch, State: stateName(s.State),
		LastFresh: s.LastFresh.String(), LastChange: s.LastChange.String(), LastActive: s.LastActive.String(), LastPeered: s.LastPeered.String(), LastClean: s.LastClean.String(),
		LastBecameActive: s.LastBecameActive.String(), LastBecamePeered: s.LastBecamePeered.String(), LastUnstale: s.LastUnstale.String(), LastUndegraded: s.LastUndegraded.String(),
		LastFullsized: s.LastFullsized.String(), MappingEpoch: s.MappingEpoch, LogStart: s.LogStart.String(), OnDiskLogStart: s.OnDiskLogStart.String(), Created: s.Created,
		LastEpochClean: s.LastEpochClean, Parent: s.Parent.String(), ParentSplitBits: s.ParentSplitBits, LastScrub: s.LastScrub.String(), LastScrubStamp: s.LastScrubStamp.String(),
		LastDeepScrub: s.LastDeepScrub.String(), LastDeepScrubStamp: s.LastDeepScrubStamp.String(), LastCleanScrubStamp: s.LastCleanScrubStamp.String(),
		LogSize: s.LogSize, OnDiskLogSize: s.OnDiskLogSize, StatsInvalid: s.StatsInvalid, DirtyStatsInvalid: s.DirtyStatsInvalid, OmapStatsInvalid: s.OmapStatsInvalid,
		HitSetStatsInvalid: s.HitSetStatsInvalid, HitSetBytesInvalid: s.HitSetBytesInvalid, PinStatsInvalid: s.PinStatsInvalid, ManifestStatsInvalid: s.ManifestStatsInvalid,
		SnapTrimQueue: s.SnapTrimQueue, Sum: newSum(&s.Sum), Up: list(s.Up), Acting: list(s.Acting), AvailNoMissing: []string{}, Locations: []string{}, BlockedBy: list(s.BlockedBy),
		UpPrimary: s.UpPrimary, ActingPrimary: s.ActingPrimary, PurgedSnaps: []string{},
	}
	for _, p := range s.AvailNoMissing {
		j.AvailNoMissing = append(j.AvailNoMissing, fmt.Sprint(p))
	}
	return j
}

// osdJSON is an OSD as dumps have it.
type osdJSON struct {
	OSD      *int32     `json:"osd,omitempty"`
	UpFrom   ceph.Epoch `json:"up_from"`
	Seq      uint64     `json:"seq"`
	PGs      uint32     `json:"num_pgs"`
	OSDs     uint32     `json:"num_osds"`
	PerPool  uint32     `json:"num_per_pool_osds"`
	PerOmap  uint32     `json:"num_per_pool_omap_osds"`
	KB       int64      `json:"kb"`
	KBUsed   int64      `json:"kb_used"`
	KBData   int64      `json:"kb_used_data"`
	KBOmap   int64      `json:"kb_used_omap"`
	KBMeta   int64      `json:"kb_used_meta"`
	KBAvail  int64      `json:"kb_avail"`
	Store    storeJSON  `json:"statfs"`
	Peers    []int32    `json:"hb_peers"`
	Queue    int32      `json:"snap_trim_queue_len"`
	Trimming int32      `json:"num_snap_trimming"`
	Repaired uint64     `json:"num_shards_repaired"`
	Ages     agesJSON   `json:"op_queue_age_hist"`
	Perf     perfJSON   `json:"perf_stat"`
	Alerts   []string   `json:"alerts"`
	Pings    []string   `json:"network_ping_times"`
}

type agesJSON struct {
	Histogram []int32 `json:"histogram"`
	Upper     int64   `json:"upper_bound"`
}

type perfJSON struct {
	CommitMillis uint32 `json:"commit_latency_ms"`
	ApplyMillis  uint32 `json:"apply_latency_ms"`
	CommitNanos  uint64 `json:"commit_latency_ns"`
	ApplyNanos   uint64 `json:"apply_latency_ns"`
}

func newPerf(s msg.OSDStat) perfJSON {
	return perfJSON{s.CommitMillis, s.ApplyMillis, uint64(s.CommitMillis) * 1e6, uint64(s.ApplyMillis) * 1e6}
}

func newOSD(id *int32, s msg.OSDStat) osdJSON {
	return osdJSON{
		OSD: id, UpFrom: s.UpFrom, Seq: s.Seq, PGs: s.PGs, OSDs: s.OSDs, PerPool: s.PerPool, PerOmap: s.PerPoolOm, KB: s.KB, KBUsed: s.KBUsed, KBData: s.KBData, KBOmap: s.KBOmap,
		KBMeta: s.KBMeta, KBAvail: s.KBAvail, Store: storeJSON(s.Store), Peers: list(s.Peers), Queue: s.SnapTrimQueue, Trimming: s.Trimming, Repaired: s.Repaired,
		Ages: agesJSON{list(s.QueueAges), 1 << len(s.QueueAges)}, Perf: newPerf(s), Alerts: []string{}, Pings: []string{},
	}
}

// addOSD sums OSDs.
func addOSD(a *msg.OSDStat, b *msg.OSDStat) {
	a.PGs, a.OSDs, a.PerPool, a.PerPoolOm = a.PGs+b.PGs, a.OSDs+1, a.PerPool+b.PerPool, a.PerPoolOm+b.PerPoolOm
	a.KB, a.KBUsed, a.KBData, a.KBOmap, a.KBMeta, a.KBAvail = a.KB+b.KB, a.KBUsed+b.KBUsed, a.KBData+b.KBData, a.KBOmap+b.KBOmap, a.KBMeta+b.KBMeta, a.KBAvail+b.KBAvail
	a.SnapTrimQueue, a.Trimming, a.Repaired = a.SnapTrimQueue+b.SnapTrimQueue, a.Trimming+b.Trimming, a.Repaired+b.Repaired
	a.CommitMillis, a.ApplyMillis = a.CommitMillis+b.CommitMillis, a.ApplyMillis+b.ApplyMillis
	s, o := &a.Store, &b.Store
	s.Total, s.Available, s.Reserved, s.Allocated, s.Stored = s.Total+o.Total, s.Available+o.Available, s.Reserved+o.Reserved, s.Allocated+o.Allocated, s.Stored+o.Stored
	s.Compressed, s.CompressedAllocated, s.CompressedOriginal = s.Compressed+o.Compressed, s.CompressedAllocated+o.CompressedAllocated, s.CompressedOriginal+o.CompressedOriginal
	s.Omap, s.Internal = s.Omap+o.Omap, s.Internal+o.Internal
}
