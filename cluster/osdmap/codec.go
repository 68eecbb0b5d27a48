package osdmap

import (
	"cmp"
	"fmt"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// Interval is a range of snapshot ids.
type Interval struct{ Start, Length uint64 }

// Intervals is a set of snapshot ids: ascending ranges that do not touch.
type Intervals []Interval

func (v Intervals) encode(e *denc.Encoder) {
	denc.PutSlice(e, v, func(e *denc.Encoder, i Interval) {
		e.U64(i.Start)
		e.U64(i.Length)
	})
}

func decodeIntervals(d *denc.Decoder) Intervals {
	v := denc.Slice(d, 16, func(d *denc.Decoder) Interval { return Interval{d.U64(), d.U64()} })
	for i, r := range v {
		if r.Length == 0 || r.Start+r.Length < r.Start || i > 0 && r.Start <= v[i-1].Start+v[i-1].Length {
			d.Failf("intervals that overlap or touch, at %d~%d", r.Start, r.Length)
			return nil
		}
	}
	return v
}

// cut splits v into what lies outside and inside of the range [start, end).
func (v Intervals) cut(start, end uint64) (outside Intervals) {
	for _, r := range v {
		if stop := r.Start + r.Length; stop <= start || r.Start >= end {
			outside = append(outside, r)
		} else {
			if r.Start < start {
				outside = append(outside, Interval{r.Start, start - r.Start})
			}
			if stop > end {
				outside = append(outside, Interval{end, stop - end})
			}
		}
	}
	return outside
}

// Contains reports whether id is in v.
func (v Intervals) Contains(id uint64) bool {
	for _, r := range v {
		if id >= r.Start && id-r.Start < r.Length {
			return true
		}
	}
	return false
}

// Within returns what of v is in o too.
func (v Intervals) Within(o Intervals) Intervals { return v.Without(v.Without(o)) }

// Len returns how many ids are in v.
func (v Intervals) Len() (n uint64) {
	for _, r := range v {
		n += r.Length
	}
	return n
}

// Without returns v without the ids of o.
func (v Intervals) Without(o Intervals) Intervals {
	for _, r := range o {
		v = v.cut(r.Start, r.Start+r.Length)
	}
	return v
}

// With returns v and the ids of o.
func (v Intervals) With(o Intervals) Intervals {
	for _, r := range o {
		start, end := r.Start, r.Start+r.Length
		var out Intervals
		placed := false
		for _, s := range v {
			stop := s.Start + s.Length
			switch {
			case stop < start:
				out = append(out, s)
			case s.Start > end:
				if !placed {
					out = append(out, Interval{start, end - start})
					placed = true
				}
				out = append(out, s)
			default: // they touch
				start, end = min(start, s.Start), max(end, stop)
			}
		}
		if !placed {
			out = append(out, Interval{start, end - start})
		}
		v = out
	}
	return v
}

// Short names for the fields that maps have many of.

type encoder = denc.Encoder
type decoder = denc.Decoder

func encodeTexts(e *encoder, m map[string]string) { denc.PutMap(e, m, (*encoder).Str, (*encoder).Str) }
func decodeTexts(d *decoder) map[string]string {
	return denc.Map(d, 8, (*decoder).Str, (*decoder).Str)
}

func encodePool(e *encoder, id ceph.PoolID) { e.I64(int64(id)) }
func decodePoolID(d *decoder) ceph.PoolID   { return ceph.PoolID(d.I64()) }

func encodePools(e *encoder, m map[ceph.PoolID]*Pool) {
	denc.PutMap(e, m, encodePool, func(e *encoder, p *Pool) { p.encode(e) })
}

func decodePools(d *decoder) map[ceph.PoolID]*Pool { return denc.Map(d, 14, decodePoolID, decodePool) }

func encodeSnaps(e *encoder, m map[ceph.PoolID]Intervals) {
	denc.PutMap(e, m, encodePool, func(e *encoder, v Intervals) { v.encode(e) })
}

func decodeSnaps(d *decoder) map[ceph.PoolID]Intervals {
	return denc.Map(d, 12, decodePoolID, decodeIntervals)
}

func encodeOSDs(e *encoder, v []int32) { denc.PutSlice(e, v, (*encoder).I32) }
func decodeOSDs(d *decoder) []int32    { return denc.Slice(d, 4, (*decoder).I32) }

// putPGs writes a map by PG.
func putPGs[V any](e *encoder, m map[ceph.PG]V, value func(*encoder, V)) {
	denc.PutMapFunc(e, m, ceph.PG.Compare, func(e *encoder, p ceph.PG) { p.Encode(e) }, value)
}

// getPGs reads a map by PG.
func getPGs[V any](d *decoder, value func(*decoder) V) map[ceph.PG]V {
	return denc.Map(d, 17, ceph.DecodePG, value)
}

// Remap moves the copy of a PG from one OSD to another.
type Remap struct{ From, To int32 }

func encodeRemaps(e *encoder, v []Remap) {
	denc.PutSlice(e, v, func(e *encoder, r Remap) {
		e.I32(r.From)
		e.I32(r.To)
	})
}

func decodeRemaps(d *decoder) []Remap {
	return denc.Slice(d, 8, func(d *decoder) Remap { return Remap{d.I32(), d.I32()} })
}

func encodeAddrs(e *encoder, v ceph.AddrVec) { v.Encode(e) }

func encodeUUID(e *encoder, u ceph.UUID) { u.Encode(e) }

// encodeBlocklist writes addresses in the order Ceph keeps them.
func encodeBlocklist(e *encoder, m map[ceph.Addr]ceph.Time) {
	denc.PutMapFunc(e, m, ceph.Addr.CompareMemory, func(e *encoder, a ceph.Addr) { a.Encode(e) }, func(e *encoder, t ceph.Time) { t.Encode(e) })
}

func decodeBlocklist(d *decoder) map[ceph.Addr]ceph.Time {
	return denc.Map(d, 16, ceph.DecodeAddr, ceph.DecodeTime)
}

func encodeProfiles(e *encoder, m map[string]map[string]string) {
	denc.PutMap(e, m, (*encoder).Str, encodeTexts)
}

func decodeProfiles(d *decoder) map[string]map[string]string {
	return denc.Map(d, 8, (*decoder).Str, decodeTexts)
}

// putByID and getByID are maps by a signed number, of OSDs, buckets or classes.
func putByID[K ~int32, V any](e *encoder, m map[K]V, value func(*encoder, V)) {
	denc.PutMapFunc(e, m, cmp.Compare[K], func(e *encoder, k K) { e.I32(int32(k)) }, value)
}

func getByID[V any](d *decoder, least int, value func(*decoder) V) map[int32]V {
	return denc.Map(d, 4+least, (*decoder).I32, value)
}

// Info is what is known of the lives of an OSD. (osd_info_t.)
type Info struct {
	CleanBegin, CleanEnd ceph.Epoch // last interval it was shut down cleanly behind
	UpFrom, UpThru       ceph.Epoch
	DownAt, LostAt       ceph.Epoch
}

func (i Info) encode(e *encoder) {
	e.U8(1)
	for _, v := range []ceph.Epoch{i.CleanBegin, i.CleanEnd, i.UpFrom, i.UpThru, i.DownAt, i.LostAt} {
		e.U32(uint32(v))
	}
}

func decodeInfo(d *decoder) Info {
	if v := d.U8(); v != 1 {
		d.Failf("osd info of version %d", v)
	}
	epoch := func() ceph.Epoch { return ceph.Epoch(d.U32()) }
	return Info{epoch(), epoch(), epoch(), epoch(), epoch(), epoch()}
}

// XInfo is more of it. (osd_xinfo_t.)
type XInfo struct {
	DownStamp       ceph.Time
	Laggy           uint32 // probability of being late with heartbeats, × 0xffffffff
	LaggyInterval   uint32
	Features        uint64
	OldWeight       uint32 // before it was taken out by itself
	LastPurgedSnaps ceph.Time
	DeadEpoch       ceph.Epoch
}

func (x XInfo) encode(e *encoder) {
	m := e.Begin(4, 1)
	x.DownStamp.Encode(e)
	e.U32(x.Laggy)
	e.U32(x.LaggyInterval)
	e.U64(x.Features)
	e.U32(x.OldWeight)
	x.LastPurgedSnaps.Encode(e)
	e.U32(uint32(x.DeadEpoch))
	e.End(m)
}

func decodeXInfo(d *decoder) XInfo {
	s := d.Begin(4)
	if d.Err() == nil && s.Version < 4 {
		d.Failf("osd xinfo of version %d", s.Version)
	}
	x := XInfo{ceph.DecodeTime(d), d.U32(), d.U32(), d.U64(), d.U32(), ceph.DecodeTime(d), ceph.Epoch(d.U32())}
	d.End(s)
	return x
}

// checksum compares a checksum with that of the bytes around it.
func checksum(what string, got, want uint32) error {
	if got != want {
		return fmt.Errorf("%s: checksum %08x, computed %08x: %w", what, got, want, denc.ErrMalformed)
	}
	return nil
}
