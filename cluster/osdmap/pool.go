package osdmap

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/denc"
	"slices"
)

// PoolFlags are properties of a pool.
type PoolFlags uint64

// The flags of pools.
const (
	PoolHashPSPool       PoolFlags = 1 << 0 // PGs of different pools are placed independently
	PoolFull             PoolFlags = 1 << 1
	PoolECOverwrites     PoolFlags = 1 << 2
	PoolIncompleteClones PoolFlags = 1 << 3
	PoolNoDelete         PoolFlags = 1 << 4
	PoolNoPGChange       PoolFlags = 1 << 5
	PoolNoSizeChange     PoolFlags = 1 << 6
	PoolFadviseDontneed  PoolFlags = 1 << 7
	PoolNoScrub          PoolFlags = 1 << 8
	PoolNoDeepScrub      PoolFlags = 1 << 9
	PoolFullQuota        PoolFlags = 1 << 10
	PoolNearFull         PoolFlags = 1 << 11
	PoolBackfillFull     PoolFlags = 1 << 12
	PoolSelfManagedSnaps PoolFlags = 1 << 13
	PoolSnaps            PoolFlags = 1 << 14
	PoolCreating         PoolFlags = 1 << 15
	PoolEIO              PoolFlags = 1 << 16
	PoolBulk             PoolFlags = 1 << 17 // will be large: for autoscalers
)

// Pool is a pool. (pg_pool_t.) See NewPool for the values of a new one.
type Pool struct {
	Type                  crush.RuleType
	Size, MinSize         uint8
	CrushRule             uint8
	ObjectHash            crush.NameHash
	PGNum, PGPNum         uint32
	PGNumTarget           uint32 // what PGNum and PGPNum are on the way to
	PGPNumTarget          uint32
	PGNumPending          uint32 // < PGNum while PGs are merged
	LastChange            ceph.Epoch
	SnapSeq               ceph.SnapID
	SnapEpoch             ceph.Epoch
	Snaps                 map[ceph.SnapID]PoolSnap // of the pool itself
	RemovedSnaps          Intervals                // empty since Octopus
	AUID                  uint64
	Flags                 PoolFlags
	QuotaBytes            uint64
	QuotaObjects          uint64
	Tiers                 []uint64
	TierOf                ceph.PoolID // −1: none, as the next two
	ReadTier, WriteTier   ceph.PoolID
	CacheMode             uint8
	Properties            map[string]string // always empty
	HitSet                HitSet
	HitSetPeriod          uint32
	HitSetCount           uint32
	StripeWidth           uint32
	TargetMaxBytes        uint64
	TargetMaxObjects      uint64
	DirtyRatioMicro       uint32
	FullRatioMicro        uint32
	MinFlushAge           uint32
	MinEvictAge           uint32
	ErasureProfile        string
	LastResendPreLuminous ceph.Epoch
	MinReadRecency        uint32
	ExpectedObjects       uint64
	DirtyHighRatioMicro   uint32
	MinWriteRecency       uint32
	GMTHitSet             bool
	FastRead              bool
	HitSetDecay           uint32
	HitSetSearch          uint32
	Options               []PoolOption // ascending by Key
	LastResendPreNautilus ceph.Epoch
	Applications          map[string]map[string]string
	Created               ceph.Time
	LastResend            ceph.Epoch // ops sent before have to be sent again
	Autoscale             uint8      // 0 off, 1 warn, 2 on
	LastMerge             Merge
}

// HitSet is the type of hit sets of a cache pool; only none is known here, the
// parameters of others are kept as they are.
type HitSet struct {
	Type   uint8
	Params []byte
}

// PoolSnap is a snapshot of a pool.
type PoolSnap struct {
	ID   ceph.SnapID
	Time ceph.Time
	Name string
}

// PoolOption is a setting of a pool; the kind says which value is meant.
type PoolOption struct {
	Key    int32
	Kind   OptionKind
	Text   string
	Int    int64
	Double float64
}

// OptionKind is the type of a PoolOption.
type OptionKind int32

// The kinds of options.
const (
	OptionText   OptionKind = 0
	OptionInt    OptionKind = 1
	OptionDouble OptionKind = 2
)

// Merge is how the last merge of PGs of a pool went.
type Merge struct {
	Source                       ceph.PG
	ReadyEpoch                   ceph.Epoch
	LastEpochStarted             ceph.Epoch
	LastEpochClean               ceph.Epoch
	SourceVersion, TargetVersion ceph.EVersion
}

// NewPool returns a pool as a new one is, but for its type, sizes, rule and PGs.
func NewPool() *Pool {
	return &Pool{
		Type: crush.Replicated, ObjectHash: crush.NameHashRjenkins, Flags: PoolHashPSPool,
		TierOf: -1, ReadTier: -1, WriteTier: -1,
		DirtyRatioMicro: 400000, DirtyHighRatioMicro: 600000, FullRatioMicro: 800000, GMTHitSet: true,
	}
}

// IsErasure reports whether the positions of a PG's OSDs have a meaning.
func (p *Pool) IsErasure() bool { return p.Type == crush.Erasure }

const poolVersion = 29

// encode writes struct v29: the fields in the order they came to be in Ceph.
func (p *Pool) encode(e *denc.Encoder) {
	m := e.Begin(poolVersion, 5)
	e.U8(uint8(p.Type))
	e.U8(p.Size)
	e.U8(p.CrushRule)
	e.U8(uint8(p.ObjectHash))
	e.U32(p.PGNum)
	e.U32(p.PGPNum)
	e.Zero(8) // localized PGs
	e.U32(uint32(p.LastChange))
	e.U64(uint64(p.SnapSeq))
	e.U32(uint32(p.SnapEpoch))
	denc.PutMap(e, p.Snaps, func(e *denc.Encoder, id ceph.SnapID) { e.U64(uint64(id)) }, encodeSnap)
	p.RemovedSnaps.encode(e)
	e.U64(p.AUID)
	e.U64(uint64(p.Flags))
	e.U32(0)
	e.U8(p.MinSize)
	e.U64(p.QuotaBytes)
	e.U64(p.QuotaObjects)
	denc.PutSlice(e, p.Tiers, (*denc.Encoder).U64)
	e.I64(int64(p.TierOf))
	e.U8(p.CacheMode)
	e.I64(int64(p.ReadTier))
	e.I64(int64(p.WriteTier))
	encodeTexts(e, p.Properties)
	h := e.Begin(1, 1)
	e.U8(p.HitSet.Type)
	e.Raw(p.HitSet.Params)
	e.End(h)
	e.U32(p.HitSetPeriod)
	e.U32(p.HitSetCount)
	e.U32(p.StripeWidth)
	e.U64(p.TargetMaxBytes)
	e.U64(p.TargetMaxObjects)
	e.U32(p.DirtyRatioMicro)
	e.U32(p.FullRatioMicro)
	e.U32(p.MinFlushAge)
	e.U32(p.MinEvictAge)
	e.Str(p.ErasureProfile)
	e.U32(uint32(p.LastResendPreLuminous))
	e.U32(p.MinReadRecency)
	e.U64(p.ExpectedObjects)
	e.U32(p.DirtyHighRatioMicro)
	e.U32(p.MinWriteRecency)
	e.Bool(p.GMTHitSet)
	e.Bool(p.FastRead)
	e.U32(p.HitSetDecay)
	e.U32(p.HitSetSearch)
	o := e.Begin(2, 1)
	denc.PutSlice(e, p.Options, encodeOption)
	e.End(o)
	e.U32(uint32(p.LastResendPreNautilus))
	denc.PutMap(e, p.Applications, (*denc.Encoder).Str, encodeTexts)
	p.Created.Encode(e)
	e.U32(p.PGNumTarget)
	e.U32(p.PGPNumTarget)
	e.U32(p.PGNumPending)
	e.Zero(8) // of merging as it was before it was released
	e.U32(uint32(p.LastResend))
	e.U8(p.Autoscale)
	p.LastMerge.encode(e)
	e.End(m)
}

func decodePool(d *denc.Decoder) *Pool {
	p := &Pool{}
	s := d.Begin(poolVersion)
	if d.Err() == nil && s.Version < poolVersion {
		d.Failf("pool of version %d, older than %d", s.Version, poolVersion)
	}
	p.Type, p.Size, p.CrushRule, p.ObjectHash = crush.RuleType(d.U8()), d.U8(), d.U8(), crush.NameHash(d.U8())
	p.PGNum, p.PGPNum = d.U32(), d.U32()
	zero(d, 8)
	p.LastChange, p.SnapSeq, p.SnapEpoch = ceph.Epoch(d.U32()), ceph.SnapID(d.U64()), ceph.Epoch(d.U32())
	p.Snaps = denc.Map(d, 8, func(d *denc.Decoder) ceph.SnapID { return ceph.SnapID(d.U64()) }, decodeSnap)
	p.RemovedSnaps = decodeIntervals(d)
	p.AUID, p.Flags = d.U64(), PoolFlags(d.U64())
	zero(d, 4)
	p.MinSize, p.QuotaBytes, p.QuotaObjects = d.U8(), d.U64(), d.U64()
	p.Tiers = denc.Slice(d, 8, (*denc.Decoder).U64)
	p.TierOf, p.CacheMode = ceph.PoolID(d.I64()), d.U8()
	p.ReadTier, p.WriteTier = ceph.PoolID(d.I64()), ceph.PoolID(d.I64())
	p.Properties = decodeTexts(d)
	h := d.Begin(1)
	p.HitSet.Type = d.U8()
	if h.Version == 1 && p.HitSet.Type != 0 {
		p.HitSet.Params = append([]byte(nil), d.Raw(d.Left())...)
	}
	d.End(h)
	p.HitSetPeriod, p.HitSetCount, p.StripeWidth = d.U32(), d.U32(), d.U32()
	p.TargetMaxBytes, p.TargetMaxObjects = d.U64(), d.U64()
	p.DirtyRatioMicro, p.FullRatioMicro, p.MinFlushAge, p.MinEvictAge = d.U32(), d.U32(), d.U32(), d.U32()
	p.ErasureProfile, p.LastResendPreLuminous = d.Str(), ceph.Epoch(d.U32())
	p.MinReadRecency, p.ExpectedObjects, p.DirtyHighRatioMicro, p.MinWriteRecency = d.U32(), d.U64(), d.U32(), d.U32()
	p.GMTHitSet, p.FastRead = d.Bool(), d.Bool()
	p.HitSetDecay, p.HitSetSearch = d.U32(), d.U32()
	o := d.Begin(2)
	p.Options = denc.Slice(d, 12, decodeOption)
	d.End(o)
	p.LastResendPreNautilus = ceph.Epoch(d.U32())
	p.Applications = denc.Map(d, 8, (*denc.Decoder).Str, decodeTexts)
	p.Created = ceph.DecodeTime(d)
	p.PGNumTarget, p.PGPNumTarget, p.PGNumPending = d.U32(), d.U32(), d.U32()
	zero(d, 8)
	p.LastResend, p.Autoscale = ceph.Epoch(d.U32()), d.U8()
	p.LastMerge = decodeMerge(d)
	d.End(s)
	return p
}

// zero reads n bytes that must be 0, so that nothing is lost.
func zero(d *denc.Decoder, n int) {
	for _, b := range d.Raw(n) {
		if b != 0 {
			d.Failf("%d in a field that is always 0", b)
		}
	}
}

func encodeSnap(e *denc.Encoder, s PoolSnap) {
	m := e.Begin(2, 2)
	e.U64(uint64(s.ID))
	s.Time.Encode(e)
	e.Str(s.Name)
	e.End(m)
}

func decodeSnap(d *denc.Decoder) PoolSnap {
	s := d.Begin(2)
	snap := PoolSnap{ceph.SnapID(d.U64()), ceph.DecodeTime(d), d.Str()}
	d.End(s)
	return snap
}

func encodeOption(e *denc.Encoder, o PoolOption) {
	e.I32(o.Key)
	e.I32(int32(o.Kind))
	switch o.Kind {
	case OptionText:
		e.Str(o.Text)
	case OptionInt:
		e.I64(o.Int)
	case OptionDouble:
		e.F64(o.Double)
	}
}

func decodeOption(d *denc.Decoder) PoolOption {
	o := PoolOption{Key: d.I32(), Kind: OptionKind(d.I32())}
	switch o.Kind {
	case OptionText:
		o.Text = d.Str()
	case OptionInt:
		o.Int = d.I64()
	case OptionDouble:
		o.Double = d.F64()
	default:
		d.Failf("pool option %d of unknown kind %d", o.Key, o.Kind)
	}
	return o
}

func (g Merge) encode(e *denc.Encoder) {
	m := e.Begin(1, 1)
	g.Source.Encode(e)
	e.U32(uint32(g.ReadyEpoch))
	e.U32(uint32(g.LastEpochStarted))
	e.U32(uint32(g.LastEpochClean))
	g.SourceVersion.Encode(e)
	g.TargetVersion.Encode(e)
	e.End(m)
}

func decodeMerge(d *denc.Decoder) Merge {
	s := d.Begin(1)
	g := Merge{ceph.DecodePG(d), ceph.Epoch(d.U32()), ceph.Epoch(d.U32()), ceph.Epoch(d.U32()), ceph.DecodeEVersion(d), ceph.DecodeEVersion(d)}
	d.End(s)
	return g
}

// OptionKey returns the key of a pool's option by its name, −1 if there is none.
func OptionKey(name string) int32 { return int32(slices.Index(optionNames, name)) }

// Option returns the value of an option, and whether it is set.
func (p *Pool) Option(key int32) (any, bool) {
	for _, o := range p.Options {
		if o.Key == key {
			return o.value(), true
		}
	}
	return nil, false
}

// SetOption sets an option, or takes it away.
func (p *Pool) SetOption(o PoolOption, unset bool) {
	p.Options = slices.DeleteFunc(slices.Clone(p.Options), func(x PoolOption) bool { return x.Key == o.Key })
	if unset {
		return
	}
	i := slices.IndexFunc(p.Options, func(x PoolOption) bool { return x.Key > o.Key })
	if i < 0 {
		i = len(p.Options)
	}
	p.Options = slices.Insert(p.Options, i, o)
}
