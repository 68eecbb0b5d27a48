package devices

import "fmt"

// limits is what a block device reports about itself, in bytes, before any
// conclusion is drawn. Zero means not reported.
type limits struct {
	name       string // kernel name of the whole disk, such as "nvme0n1"
	logical    uint64
	physical   uint64
	ioMin      uint64
	ioOpt      uint64
	chunk      uint64 // boundary that I/O should not cross, or the zone size
	alignOff   uint64 // first aligned byte of the whole disk
	start      uint64 // where a partition starts on its disk
	discard    uint64 // granularity; 0 if discards are refused
	zeroMax    uint64
	maxIO      uint64
	zoned      bool
	sequential bool // zones take writes at one place only
	volatile   bool
	fua        bool
	rotational bool
	raid       raid // md array at or below the device
}

// raid is an md array.
type raid struct {
	level string // "raid5"; empty: none
	chunk uint64
	disks uint64
}

// parity returns the number of parity chunks in a stripe of the array.
func (r raid) parity() uint64 {
	switch r.level {
	case "raid4", "raid5":
		return 1
	case "raid6":
		return 2
	}
	return 0
}

// stripes is the conclusion from limits.
type stripes struct {
	unit, stripe uint64
	hard         bool
	from         string
}

// believable tells whether a reported size can be a unit or a stripe.
func believable(n uint64) bool { return n > 0 && n%BlockSize == 0 && n <= MaxStripeBytes }

// stripes decides what is filled as a whole. A device for which partial
// stripes are expensive says so by its RAID level, by a write granularity
// above a block, or by a minimum that is a part of its optimum. The size of
// erase blocks (reclaim units, write_stream_granularity) is left aside on
// purpose: small stripes clean cheaper. Rotation decides nothing.
func (l *limits) stripes() stripes {
	unit := uint64(BlockSize)
	switch data := l.raid.disks - l.raid.parity(); {
	case l.raid.parity() > 0 && l.raid.disks > l.raid.parity() && believable(l.raid.chunk) && believable(l.raid.chunk*data):
		return stripes{l.raid.chunk, l.raid.chunk * data, true, fmt.Sprintf("md %s, %d data disks of %d KiB chunks", l.raid.level, data, l.raid.chunk>>10)}
	case len(l.name) >= 4 && l.name[:4] == "nvme" && l.ioMin > BlockSize && believable(l.ioMin):
		return stripes{l.ioMin, l.ioMin, true, "preferred write granularity"}
	case l.physical > BlockSize && believable(l.physical):
		return stripes{l.physical, l.physical, true, "physical block size"}
	case l.raid.level == "" && l.ioMin > max(BlockSize, l.physical) && l.ioOpt > l.ioMin && l.ioOpt%l.ioMin == 0 && believable(l.ioMin) && believable(l.ioOpt):
		return stripes{l.ioMin, l.ioOpt, true, "minimum and optimal I/O size"}
	case believable(l.ioOpt):
		return stripes{unit, atLeastDefault(l.ioOpt), false, "optimal I/O size"}
	case !l.zoned && believable(l.chunk):
		return stripes{unit, atLeastDefault(l.chunk), false, "I/O boundary"}
	}
	return stripes{unit, DefaultStripeBytes, false, "default"}
}

// atLeastDefault returns the smallest multiple of n that is no smaller than
// the default stripe.
func atLeastDefault(n uint64) uint64 { return (DefaultStripeBytes + n - 1) / n * n }

// geometry returns the geometry of a device of that size, where its stripes
// come from, and what an operator should know.
func (l *limits) geometry(bytes uint64) (g Geometry, from string, notes []string) {
	s := l.stripes()
	g = DefaultGeometry(bytes / BlockSize)
	g.UnitBytes, g.StripeBytes, g.Hard = uint32(s.unit), uint32(s.stripe), s.hard
	if l.logical > 0 {
		g.LogicalBytes = uint32(l.logical)
		g.TearBytes = uint32(max(l.logical, MinTearBytes))
	}
	g.PhysicalBytes = uint32(max(l.physical, uint64(g.LogicalBytes)))
	g.CacheVolatile, g.FUA, g.Rotational = l.volatile, l.fua, l.rotational
	g.DiscardBytes = clip32(l.discard)
	if l.zeroMax > 0 {
		g.ZeroBytes = g.LogicalBytes
	}
	g.MaxIOBytes = clip32(l.maxIO)

	// Stripe boundaries lie at alignOff + k*stripe of the disk; we start at start.
	align := (l.alignOff%s.stripe + s.stripe - l.start%s.stripe) % s.stripe
	if align%BlockSize != 0 {
		notes = append(notes, fmt.Sprintf("starts %d bytes off the blocks of the disk; stripes cannot be aligned", align%BlockSize))
		align = 0
	}
	g.AlignBytes = align
	return g, s.from, notes
}

// clip32 returns n, or the largest whole number of blocks a uint32 holds.
func clip32(n uint64) uint32 { return uint32(min(n, 1<<32-BlockSize)) }
