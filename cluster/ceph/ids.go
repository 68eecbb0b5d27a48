package ceph

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"ebofs/cluster/denc"
)

// UUID is 16 bytes in the order of the text form: the id of a cluster (fsid) or
// of an OSD's store.
type UUID [16]byte

// IsZero reports whether u is unset.
func (u UUID) IsZero() bool { return u == UUID{} }

// String returns the usual 36 characters.
func (u UUID) String() string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ParseUUID reads the 36 characters.
func ParseUUID(s string) (u UUID, err error) {
	p, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(p) != 16 || len(s) != 36 {
		return u, fmt.Errorf("uuid %q: want 8-4-4-4-12 hexadecimal digits", s)
	}
	return UUID(p), nil
}

// Encode appends the bytes.
func (u UUID) Encode(e *denc.Encoder) { e.Raw(u[:]) }

// DecodeUUID reads a UUID.
func DecodeUUID(d *denc.Decoder) (u UUID) {
	copy(u[:], d.Raw(16))
	return u
}

// Epoch numbers the versions of a cluster map. It is not an epoch of a store.
type Epoch uint32

// PoolID numbers a pool; real ones are ≥ 1.
type PoolID int64

// Pools that are not pools.
const (
	NoPool  PoolID = -1 << 63 // of the least HObject
	TempGap PoolID = -2       // pool of temporary objects of pool p is TempGap − p
)

// SnapID numbers a snapshot.
type SnapID uint64

// Snapshots that are not snapshots.
const (
	MaxSnap SnapID = 1<<64 - 3
	NoSnap  SnapID = 1<<64 - 2 // the head: the object as it is now
	SnapDir SnapID = 1<<64 - 1
)

// String returns "head", "snapdir" or hexadecimal digits.
func (s SnapID) String() string {
	switch s {
	case NoSnap:
		return "head"
	case SnapDir:
		return "snapdir"
	}
	return strconv.FormatUint(uint64(s), 16)
}

// EVersion orders the writes of a PG: by map epoch, then by version. (eversion_t:
// the version comes first on the wire.)
type EVersion struct {
	Version uint64
	Epoch   Epoch
}

// Compare orders by epoch, then version.
func (v EVersion) Compare(o EVersion) int {
	return cmp.Or(cmp.Compare(v.Epoch, o.Epoch), cmp.Compare(v.Version, o.Version))
}

// IsZero reports whether v is before every write.
func (v EVersion) IsZero() bool { return v == EVersion{} }

// String returns EPOCH'VERSION.
func (v EVersion) String() string { return fmt.Sprintf("%d'%d", v.Epoch, v.Version) }

// Encode appends the twelve bytes.
func (v EVersion) Encode(e *denc.Encoder) {
	e.U64(v.Version)
	e.U32(uint32(v.Epoch))
}

// DecodeEVersion reads an EVersion.
func DecodeEVersion(d *denc.Decoder) EVersion { return EVersion{d.U64(), Epoch(d.U32())} }

// ReqID names one request of a client for ever, so that a repeated one is known.
// (osd_reqid_t.)
type ReqID struct {
	Name        EntityID
	Tid         uint64
	Incarnation int32
}

// String returns NAME.INCARNATION:TID.
func (r ReqID) String() string { return fmt.Sprintf("%v.%d:%d", r.Name, r.Incarnation, r.Tid) }

// Encode appends struct v2.
func (r ReqID) Encode(e *denc.Encoder) {
	m := e.Begin(2, 2)
	r.Name.Encode(e)
	e.U64(r.Tid)
	e.I32(r.Incarnation)
	e.End(m)
}

// DecodeReqID reads a ReqID.
func DecodeReqID(d *denc.Decoder) (r ReqID) {
	s := d.Begin(2)
	r = ReqID{DecodeEntityID(d), d.U64(), d.I32()}
	d.End(s)
	return r
}

// PG names a placement group: a pool and the low bits of the hashes it holds.
// (pg_t; the preferred OSD of old is always −1.)
type PG struct {
	Pool PoolID
	Seed uint32
}

// ParsePG reads POOL.SEED, the seed in hexadecimal.
func ParsePG(s string) (PG, error) {
	pool, seed, ok := strings.Cut(s, ".")
	p, err1 := strconv.ParseInt(pool, 10, 64)
	h, err2 := strconv.ParseUint(seed, 16, 32)
	if !ok || err1 != nil || err2 != nil || p < 0 {
		return PG{}, fmt.Errorf("pg %q: want POOL.SEED, as 2.1f", s)
	}
	return PG{PoolID(p), uint32(h)}, nil
}

// String returns POOL.SEED, the seed in hexadecimal.
func (p PG) String() string { return fmt.Sprintf("%d.%x", p.Pool, p.Seed) }

// Compare orders by pool, then seed.
func (p PG) Compare(o PG) int {
	return cmp.Or(cmp.Compare(p.Pool, o.Pool), cmp.Compare(p.Seed, o.Seed))
}

// Encode appends the 17 bytes.
func (p PG) Encode(e *denc.Encoder) {
	e.U8(1)
	e.I64(int64(p.Pool))
	e.U32(p.Seed)
	e.I32(-1)
}

// DecodePG reads a PG.
func DecodePG(d *denc.Decoder) PG {
	if v := d.U8(); v != 1 && d.Err() == nil {
		d.Failf("pg of version %d, want 1", v)
	}
	p := PG{PoolID(d.I64()), d.U32()}
	if n := d.I32(); n != -1 && d.Err() == nil {
		d.Failf("pg with preferred osd %d, want -1", n)
	}
	return p
}

// Bits returns how many low bits of a hash decide that an object belongs to p, in
// a pool of pgNum PGs.
func (p PG) Bits(pgNum uint32) int {
	n := bits.Len32(pgNum)
	if n == 0 {
		return 0
	}
	half := uint32(1) << (n - 1)
	if p.Seed&(half-1) < pgNum&(half-1) {
		return n
	}
	return n - 1
}

// NoShard is the shard of replicated pools.
const NoShard int8 = -1

// ShardPG is a PG and which shard of it, NoShard in replicated pools. (spg_t.)
type ShardPG struct {
	PG    PG
	Shard int8
}

// String returns the PG, with sN behind it for shard N.
func (p ShardPG) String() string {
	if p.Shard == NoShard {
		return p.PG.String()
	}
	return fmt.Sprintf("%vs%d", p.PG, p.Shard)
}

// Compare orders by PG, then shard.
func (p ShardPG) Compare(o ShardPG) int {
	return cmp.Or(p.PG.Compare(o.PG), cmp.Compare(p.Shard, o.Shard))
}

// Encode appends struct v1.
func (p ShardPG) Encode(e *denc.Encoder) {
	m := e.Begin(1, 1)
	p.PG.Encode(e)
	e.I8(p.Shard)
	e.End(m)
}

// DecodeShardPG reads a ShardPG.
func DecodeShardPG(d *denc.Decoder) (p ShardPG) {
	s := d.Begin(1)
	p = ShardPG{DecodePG(d), d.I8()}
	d.End(s)
	return p
}
