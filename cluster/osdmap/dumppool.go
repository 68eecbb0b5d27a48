package osdmap

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
)

// DumpPool is a pool.
type DumpPool struct {
	ID                  ceph.PoolID                  `json:"pool"`
	Name                string                       `json:"pool_name"`
	Created             string                       `json:"create_time"`
	Flags               PoolFlags                    `json:"flags"`
	FlagsNames          string                       `json:"flags_names"`
	Type                crush.RuleType               `json:"type"`
	Size                uint8                        `json:"size"`
	MinSize             uint8                        `json:"min_size"`
	CrushRule           uint8                        `json:"crush_rule"`
	StretchCount        uint32                       `json:"peering_crush_bucket_count"`
	StretchTarget       uint32                       `json:"peering_crush_bucket_target"`
	StretchBarrier      uint32                       `json:"peering_crush_bucket_barrier"`
	StretchMember       int32                        `json:"peering_crush_bucket_mandatory_member"`
	ObjectHash          crush.NameHash               `json:"object_hash"`
	Autoscale           string                       `json:"pg_autoscale_mode"`
	PGNum               uint32                       `json:"pg_num"`
	PGPNum              uint32                       `json:"pg_placement_num"`
	PGPNumTarget        uint32                       `json:"pg_placement_num_target"`
	PGNumTarget         uint32                       `json:"pg_num_target"`
	PGNumPending        uint32                       `json:"pg_num_pending"`
	LastMerge           DumpMerge                    `json:"last_pg_merge_meta"`
	LastChange          string                       `json:"last_change"`
	LastResend          string                       `json:"last_force_op_resend"`
	LastResendNautilus  string                       `json:"last_force_op_resend_prenautilus"`
	LastResendLuminous  string                       `json:"last_force_op_resend_preluminous"`
	AUID                uint64                       `json:"auid"`
	SnapMode            string                       `json:"snap_mode"`
	SnapSeq             ceph.SnapID                  `json:"snap_seq"`
	SnapEpoch           ceph.Epoch                   `json:"snap_epoch"`
	Snaps               []DumpPoolSnap               `json:"pool_snaps"`
	RemovedSnaps        string                       `json:"removed_snaps"`
	QuotaBytes          uint64                       `json:"quota_max_bytes"`
	QuotaObjects        uint64                       `json:"quota_max_objects"`
	Tiers               []uint64                     `json:"tiers"`
	TierOf              ceph.PoolID                  `json:"tier_of"`
	ReadTier            ceph.PoolID                  `json:"read_tier"`
	WriteTier           ceph.PoolID                  `json:"write_tier"`
	CacheMode           string                       `json:"cache_mode"`
	TargetMaxBytes      uint64                       `json:"target_max_bytes"`
	TargetMaxObjects    uint64                       `json:"target_max_objects"`
	DirtyRatioMicro     uint32                       `json:"cache_target_dirty_ratio_micro"`
	DirtyHighRatioMicro uint32                       `json:"cache_target_dirty_high_ratio_micro"`
	FullRatioMicro      uint32                       `json:"cache_target_full_ratio_micro"`
	MinFlushAge         uint32                       `json:"cache_min_flush_age"`
	MinEvictAge         uint32                       `json:"cache_min_evict_age"`
	ErasureProfile      string                       `json:"erasure_code_profile"`
	HitSet              map[string]string            `json:"hit_set_params"`
	HitSetPeriod        uint32                       `json:"hit_set_period"`
	HitSetCount         uint32                       `json:"hit_set_count"`
	GMTHitSet           bool                         `json:"use_gmt_hitset"`
	MinReadRecency      uint32                       `json:"min_read_recency_for_promote"`
	MinWriteRecency     uint32                       `json:"min_write_recency_for_promote"`
	HitSetDecay         uint32                       `json:"hit_set_grade_decay_rate"`
	HitSetSearch        uint32                       `json:"hit_set_search_last_n"`
	Grades              []uint32                     `json:"grade_table"` // of hit sets, which there are none of
	StripeWidth         uint32                       `json:"stripe_width"`
	ExpectedObjects     uint64                       `json:"expected_num_objects"`
	FastRead            bool                         `json:"fast_read"`
	Options             map[string]any               `json:"options"`
	Applications        map[string]map[string]string `json:"application_metadata"`
}

// DumpMerge is how the last merge of PGs went.
type DumpMerge struct {
	Source        string     `json:"source_pgid"`
	ReadyEpoch    ceph.Epoch `json:"ready_epoch"`
	LastStarted   ceph.Epoch `json:"last_epoch_started"`
	LastClean     ceph.Epoch `json:"last_epoch_clean"`
	SourceVersion string     `json:"source_version"`
	TargetVersion string     `json:"target_version"`
}

// DumpPoolSnap is a snapshot of a pool.
type DumpPoolSnap struct {
	ID   ceph.SnapID `json:"snapid"`
	Time string      `json:"stamp"`
	Name string      `json:"name"`
}

var cacheModes = []string{"none", "writeback", "forward", "readonly", "readforward", "readproxy", "proxy"}
var autoscaleModes = []string{"off", "warn", "on"}

var hitSetTypes = []string{"none", "explicit_hash", "explicit_object", "bloom"}

// optionNames are those of pool options by key.
var optionNames = []string{"scrub_min_interval", "scrub_max_interval", "deep_scrub_interval", "recovery_priority", "recovery_op_priority", "scrub_priority",
	"compression_mode", "compression_algorithm", "compression_required_ratio", "compression_max_blob_size", "compression_min_blob_size",
	"csum_type", "csum_max_block", "csum_min_block", "fingerprint_algorithm", "pg_num_min", "target_size_bytes", "target_size_ratio", "pg_autoscale_bias",
	"read_lease_interval", "dedup_tier", "dedup_chunk_algorithm", "dedup_cdc_chunk_size", "pg_num_max"}

// word returns that of a number, or the number.
func word[N ~uint8 | ~int32](n N, table []string) string {
	if n >= 0 && int(n) < len(table) {
		return table[n]
	}
	return strconv.Itoa(int(n))
}

// DumpPool returns a pool that exists in the shape of a dump.
func (m *Map) DumpPool(id ceph.PoolID) DumpPool {
	p := m.Pools[id]
	g := p.LastMerge
	d := DumpPool{
		ID: id, Name: m.PoolNames[id], Created: p.Created.String(), Flags: p.Flags, FlagsNames: strings.Join(names(uint64(p.Flags), poolFlagNames), ","),
		Type: p.Type, Size: p.Size, MinSize: p.MinSize, CrushRule: p.CrushRule, StretchMember: crush.None, ObjectHash: p.ObjectHash, Autoscale: word(p.Autoscale, autoscaleModes),
		PGNum: p.PGNum, PGPNum: p.PGPNum, PGPNumTarget: p.PGPNumTarget, PGNumTarget: p.PGNumTarget, PGNumPending: p.PGNumPending,
		LastMerge:  DumpMerge{g.Source.String(), g.ReadyEpoch, g.LastEpochStarted, g.LastEpochClean, g.SourceVersion.String(), g.TargetVersion.String()},
		LastChange: fmt.Sprint(p.LastChange), LastResend: fmt.Sprint(p.LastResend), LastResendNautilus: fmt.Sprint(p.LastResendPreNautilus), LastResendLuminous: fmt.Sprint(p.LastResendPreLuminous),
		AUID: p.AUID, SnapMode: "selfmanaged", SnapSeq: p.SnapSeq, SnapEpoch: p.SnapEpoch, Snaps: []DumpPoolSnap{}, RemovedSnaps: p.RemovedSnaps.String(),
		QuotaBytes: p.QuotaBytes, QuotaObjects: p.QuotaObjects, Tiers: append([]uint64{}, p.Tiers...), TierOf: p.TierOf, ReadTier: p.ReadTier, WriteTier: p.WriteTier, CacheMode: word(p.CacheMode, cacheModes),
		TargetMaxBytes: p.TargetMaxBytes, TargetMaxObjects: p.TargetMaxObjects, DirtyRatioMicro: p.DirtyRatioMicro, DirtyHighRatioMicro: p.DirtyHighRatioMicro, FullRatioMicro: p.FullRatioMicro,
		MinFlushAge: p.MinFlushAge, MinEvictAge: p.MinEvictAge, ErasureProfile: p.ErasureProfile, HitSet: map[string]string{"type": word(p.HitSet.Type, hitSetTypes)},
		HitSetPeriod: p.HitSetPeriod, HitSetCount: p.HitSetCount, GMTHitSet: p.GMTHitSet, MinReadRecency: p.MinReadRecency, MinWriteRecency: p.MinWriteRecency,
		HitSetDecay: p.HitSetDecay, HitSetSearch: p.HitSetSearch, Grades: []uint32{}, StripeWidth: p.StripeWidth, ExpectedObjects: p.ExpectedObjects, FastRead: p.FastRead,
		Options: map[string]any{}, Applications: map[string]map[string]string{},
	}
	if p.Flags&PoolSnaps != 0 {
		d.SnapMode = "pool"
	}
	for _, id := range slices.Sorted(maps.Keys(p.Snaps)) {
		s := p.Snaps[id]
		d.Snaps = append(d.Snaps, DumpPoolSnap{s.ID, s.Time.String(), s.Name})
	}
	for _, o := range p.Options {
		d.Options[word(o.Key, optionNames)] = o.value()
	}
	for name, keys := range p.Applications {
		d.Applications[name] = map[string]string{}
		maps.Copy(d.Applications[name], keys)
	}
	return d
}

// value is what the option is set to.
func (o PoolOption) value() any {
	switch {
	case o.Kind == OptionText:
		return o.Text
	case o.Kind == OptionInt:
		return o.Int
	default:
		return o.Double
	}
}

// String returns the set as Ceph prints it: [2~1,5~3].
func (v Intervals) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, r := range v {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%x~%x", r.Start, r.Length)
	}
	b.WriteByte(']')
	return b.String()
}
