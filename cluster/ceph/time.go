package ceph

import (
	"time"

	"ebofs/cluster/denc"
)

// Time is seconds and nanoseconds since 1970, UTC, as Ceph writes it: good until
// 2106. The zero value is "never". (utime_t.)
type Time struct {
	Sec  uint32
	Nsec uint32
}

// MakeTime converts t; what is before 1970 becomes the zero value.
func MakeTime(t time.Time) Time {
	if t.IsZero() || t.Unix() < 0 {
		return Time{}
	}
	return Time{uint32(t.Unix()), uint32(t.Nanosecond())}
}

// IsZero reports whether t is "never".
func (t Time) IsZero() bool { return t == Time{} }

// Std converts to the standard library's time; "never" becomes its zero value.
func (t Time) Std() time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.Unix(int64(t.Sec), int64(t.Nsec)).UTC()
}

// String prints as Ceph's JSON does: 2026-01-02T03:04:05.000006+0000, and
// 0.000000 for "never".
func (t Time) String() string {
	if t.IsZero() {
		return "0.000000"
	}
	return time.Unix(int64(t.Sec), int64(t.Nsec)).UTC().Format("2006-01-02T15:04:05.000000+0000")
}

// Encode appends the eight bytes.
func (t Time) Encode(e *denc.Encoder) {
	e.U32(t.Sec)
	e.U32(t.Nsec)
}

// DecodeTime reads a Time.
func DecodeTime(d *denc.Decoder) Time { return Time{d.U32(), d.U32()} }
