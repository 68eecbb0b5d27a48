package devices

import (
	"errors"
	"fmt"
)

// DefaultStripeBytes is the stripe of a device that reports none. Large enough
// that a disk spends more time writing than seeking to it, small enough that a
// padded stripe wastes little.
const DefaultStripeBytes = 64 << 10

// MaxStripeBytes is the largest stripe worth believing: zones are 16 MiB at
// least, and some USB bridges report 32 MiB less one sector for "unknown".
const MaxStripeBytes = 16 << 20

// MinTearBytes is the smallest unit any disk writes as a whole: one sector.
const MinTearBytes = 512

// DefaultGeometry is the geometry of a device of that many blocks that reports
// nothing of itself: 512-byte sectors that may tear, soft stripes of 64 KiB,
// a volatile cache.
func DefaultGeometry(blocks uint64) Geometry {
	return Geometry{
		Blocks:        blocks,
		LogicalBytes:  MinTearBytes,
		PhysicalBytes: BlockSize,
		TearBytes:     MinTearBytes,
		UnitBytes:     BlockSize,
		StripeBytes:   DefaultStripeBytes,
		CacheVolatile: true,
	}
}

// Bytes returns the size of the device in bytes.
func (g Geometry) Bytes() uint64 { return g.Blocks * BlockSize }

// Validate lists everything about g the engine cannot work with.
func (g Geometry) Validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(g.Blocks > 0, "no whole block of %d bytes", BlockSize)
	bad(g.Blocks < 1<<56, "%d blocks, more than an address can name", g.Blocks)
	bad(g.LogicalBytes > 0 && BlockSize%g.LogicalBytes == 0, "logical block %d is no divisor of %d", g.LogicalBytes, BlockSize)
	bad(g.TearBytes >= MinTearBytes && g.TearBytes%MinTearBytes == 0, "writes tear at %d, no multiple of %d", g.TearBytes, MinTearBytes)
	bad(g.UnitBytes > 0 && g.UnitBytes%BlockSize == 0, "unit %d is no multiple of %d", g.UnitBytes, BlockSize)
	bad(g.UnitBytes > 0 && g.StripeBytes > 0 && g.StripeBytes%g.UnitBytes == 0, "stripe %d is no multiple of unit %d", g.StripeBytes, g.UnitBytes)
	bad(g.StripeBytes <= MaxStripeBytes, "stripe %d above %d", g.StripeBytes, MaxStripeBytes)
	bad(g.AlignBytes%BlockSize == 0, "alignment %d is no multiple of %d", g.AlignBytes, BlockSize)
	bad(g.StripeBytes == 0 || g.AlignBytes < uint64(g.StripeBytes), "alignment %d not below stripe %d", g.AlignBytes, g.StripeBytes)
	return errors.Join(errs...)
}

// Overrides replaces what a device says of its stripes. The zero value
// replaces nothing.
type Overrides struct {
	TearBytes   uint32  // 0: as reported
	UnitBytes   uint32  // 0: as reported, or StripeBytes if that is no multiple of it
	StripeBytes uint32  // 0: as reported
	AlignBytes  *uint64 // nil: as reported, modulo StripeBytes
	Hard        *bool   // nil: as reported
}

// Apply returns g with the overrides in place, or every reason why that is no
// geometry.
func (o Overrides) Apply(g Geometry) (Geometry, error) {
	if o.TearBytes != 0 {
		g.TearBytes = o.TearBytes
	}
	if o.StripeBytes != 0 {
		g.StripeBytes = o.StripeBytes
		if g.UnitBytes == 0 || g.StripeBytes%g.UnitBytes != 0 {
			g.UnitBytes = g.StripeBytes
		}
		g.AlignBytes %= uint64(g.StripeBytes)
	}
	if o.UnitBytes != 0 {
		g.UnitBytes = o.UnitBytes
	}
	if o.AlignBytes != nil {
		g.AlignBytes = *o.AlignBytes
	}
	if o.Hard != nil {
		g.Hard = *o.Hard
	}
	return g, g.Validate()
}
