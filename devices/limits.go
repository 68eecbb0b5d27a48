package devices

import (
	"fmt"
	"strings"
)

// limits is what a block device reports about itself, in bytes, before any
// conclusion is drawn. Zero means not reported.
type limits struct {
	name       string // kernel name of the whole disk, such as "nvme0n1"
	bytes      uint64 // of the device, or of the partition if it is one
	logical    uint64
	physical   uint64
	ioMin      uint64
	ioOpt      uint64
	chunk      uint64 // boundary that I/O should not cross, or the zone size
	stream     uint64 // write stream granularity: a reclaim unit
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
	raid       raid // an array the kernel makes of several devices
	mapped     bool // by device mapper: sizes are handed on from below, or invented

	below []*limits // what the device is made of
	at    uint64    // where the data of a member of an array begins on it
}

// raid is an array of md or LVM.
type raid struct {
	level  string // "raid5"; empty: none
	chunk  uint64
	disks  uint64
	parity uint64 // chunks in a row that are no data
}

// stripes is the conclusion from limits.
type stripes struct {
	unit, stripe uint64
	hard         bool
	from         string
	at           uint64 // the device begins so many bytes behind a boundary
	adrift       bool   // at is not known
}

// believable tells whether a reported size can be a unit or a stripe.
func believable(n uint64) bool { return n > 0 && n%BlockSize == 0 && n <= MaxStripeBytes }

// stripes decides what is filled as a whole. A device for which partial
// stripes are expensive says so by its RAID level, by a write granularity
// above a block, or by a minimum that is a part of its optimum; a mirror, a row of
// disks or a mapping is as expensive as what it is made of. The size of erase
// blocks (reclaim units) is left aside on purpose: small stripes clean cheaper.
// Rotation decides nothing.
func (l *limits) stripes() stripes {
	s, ok := l.own()
	if !ok {
		s, ok = l.inherited()
	}
	if !ok {
		s = l.soft()
	}
	s.at = (s.at + l.start) % s.stripe
	return s
}

// own is the conclusion from what a disk or an array of parity says of itself.
func (l *limits) own() (stripes, bool) {
	at := func(s stripes) (stripes, bool) {
		s.hard, s.at = true, (s.stripe-l.alignOff%s.stripe)%s.stripe
		return s, true
	}
	switch data := l.raid.disks - l.raid.parity; {
	case l.raid.parity > 0 && l.raid.disks > l.raid.parity && believable(l.raid.chunk) && believable(l.raid.chunk*data):
		return at(stripes{unit: l.raid.chunk, stripe: l.raid.chunk * data,
			from: fmt.Sprintf("%s, %d data disks of %d KiB chunks", l.raid.level, data, l.raid.chunk>>10)})
	case strings.HasPrefix(l.name, "nvme") && l.ioMin > BlockSize && believable(l.ioMin):
		return at(stripes{unit: l.ioMin, stripe: l.ioMin, from: "preferred write granularity"})
	case len(l.below) > 0:
		return stripes{}, false // the rest was handed on
	case l.physical > BlockSize && believable(l.physical):
		return at(stripes{unit: l.physical, stripe: l.physical, from: "physical block size"})
	case l.raid.level == "" && !l.mapped && l.ioMin > max(BlockSize, l.physical) && l.ioOpt > l.ioMin && l.ioOpt%l.ioMin == 0 && believable(l.ioMin) && believable(l.ioOpt):
		return at(stripes{unit: l.ioMin, stripe: l.ioOpt, from: "minimum and optimal I/O size"})
	}
	return stripes{}, false
}

// inherited is the widest hard stripe among what the device is made of. Where the
// device begins on it is known of a member of an array, which says so, and of a
// mapping as large as what is below: multipath, or encryption without a header.
func (l *limits) inherited() (best stripes, ok bool) {
	for _, b := range l.below {
		s := b.stripes()
		if !s.hard || ok && s.stripe <= best.stripe {
			continue
		}
		s.at = (s.at + b.at) % s.stripe
		s.adrift = s.adrift || l.mapped && b.bytes != l.bytes || l.raid.chunk%s.stripe != 0
		if _, own := b.own(); own {
			s.from += " of " + b.name
		}
		best, ok = s, true
	}
	return best, ok
}

// soft is the conclusion for a device that writes blocks as well as stripes.
func (l *limits) soft() stripes {
	s := stripes{unit: BlockSize, stripe: DefaultStripeBytes, from: "default"}
	switch {
	case believable(l.ioOpt):
		s.stripe, s.from = atLeastDefault(l.ioOpt), "optimal I/O size"
	case !l.zoned && believable(l.chunk):
		s.stripe, s.from = atLeastDefault(l.chunk), "I/O boundary"
	}
	s.at = (s.stripe - l.alignOff%s.stripe) % s.stripe
	return s
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

	g.AlignBytes = (s.stripe - s.at) % s.stripe
	if off := g.AlignBytes % BlockSize; off != 0 {
		notes = append(notes, fmt.Sprintf("starts %d bytes off the blocks of the disk; stripes cannot be aligned", off))
		g.AlignBytes = 0
	}
	if s.adrift {
		notes = append(notes, "where it begins on the stripes of what it lies on is not known; tell by --align")
	}
	return g, s.from, notes
}

// reported lists what the device says of itself, for people.
func (l *limits) reported() (list []string) {
	for _, f := range []struct {
		what  string
		bytes uint64
	}{
		{"logical block", l.logical}, {"physical block", l.physical}, {"minimum I/O", l.ioMin}, {"optimal I/O", l.ioOpt}, {"I/O boundary", l.chunk},
		{"write stream granularity", l.stream}, {"discard granularity", l.discard}, {"first aligned byte", l.alignOff}, {"partition starts at", l.start},
	} {
		if f.bytes != 0 {
			list = append(list, f.what+" "+size(f.bytes))
		}
	}
	if l.raid.level != "" {
		what := fmt.Sprintf("%s of %d disks", l.raid.level, l.raid.disks)
		if l.raid.chunk > 0 {
			what += ", chunks of " + size(l.raid.chunk)
		}
		list = append(list, what)
	}
	for _, b := range l.below {
		list = append(list, "lies on "+b.name)
	}
	return list
}

// size prints n in the largest unit that leaves it whole.
func size(n uint64) string {
	for i, unit := range [...]string{"GiB", "MiB", "KiB"} {
		if u := uint64(1) << (10 * (3 - i)); n >= u && n%u == 0 {
			return fmt.Sprintf("%d %s", n/u, unit)
		}
	}
	return fmt.Sprint(n)
}

// clip32 returns n, or the largest whole number of blocks a uint32 holds.
func clip32(n uint64) uint32 { return uint32(min(n, 1<<32-BlockSize)) }
