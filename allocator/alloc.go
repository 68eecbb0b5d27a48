package allocator

import "fmt"

// AllocStripes takes blocks, rounded up to whole stripes, of wholly free
// stripes in as few runs as it finds, the first near hint. hint is a block
// number, best the end of the object's previous extent, and counts only if its
// zone is loaded; 0 is no hint. Without enough free stripes it takes nothing:
// ErrNoSpace.
func (a *Allocator) AllocStripes(class Class, blocks int, hint uint64) ([]Extent, error) {
	return a.AppendStripes(class, blocks, hint, nil)
}

// AppendStripes is AllocStripes that appends to buf, for callers that keep one.
func (a *Allocator) AppendStripes(class Class, blocks int, hint uint64, buf []Extent) ([]Extent, error) {
	if err := a.checkRequest(class, blocks); err != nil {
		return buf, err
	}
	n := a.stripesFor(blocks)
	if hint == 0 {
		// The usual case without its layers: the next free stripes.
		c := &a.cursors[class]
		if e, ok := a.runIn(class, c.zone, byStripe, c.pos, n, n); ok {
			return append(buf, e), nil
		}
	}
	return a.allocUnits(class, byStripe, n, hint, buf)
}

// AllocRun takes one run of least to most blocks, next fit from where the class
// last allocated or from hint. A run lies in one zone.
//
// On soft geometry META takes the first run there is; data goes on in the
// stripe it has open or begins a free one, and takes holes when fewer than 2 %
// of the stripes are free or no row of them is long enough. On hard geometry
// all get whole stripes, so a multiple of the stripe must lie between least and
// most (else ErrInvalid): who fills them with less pads them himself.
func (a *Allocator) AllocRun(class Class, least, most int, hint uint64) (Extent, error) {
	if err := a.checkRequest(class, least); err != nil {
		return Extent{}, err
	}
	if most < least {
		return Extent{}, fmt.Errorf("allocate %d..%d blocks: %w", least, most, ErrInvalid)
	}
	limit := uint32(min(uint64(most), uint64(a.cfg.ZoneBlocks)))
	if a.cfg.Hard && uint64(most)/uint64(a.cfg.StripeBlocks) < uint64(a.stripesFor(least)) {
		return Extent{}, fmt.Errorf("allocate %d..%d blocks of %v in stripes of %d: %w", least, most, class, a.cfg.StripeBlocks, ErrInvalid)
	}
	if uint64(least) > a.free || uint64(least) > uint64(a.cfg.ZoneBlocks) {
		return Extent{}, a.noSpace(class, least)
	}
	if a.cfg.Hard {
		return a.run(class, byStripe, a.stripesFor(least), limit/a.cfg.StripeBlocks, hint, true)
	}
	if a.crowded(class) {
		if uint32(least) > a.cfg.StripeBlocks {
			return Extent{}, a.noSpace(class, least)
		}
		return a.run(class, byBlock, uint32(least), limit, hint, true)
	}
	if a.wantsFresh(class) {
		if e, err := a.openRun(class, uint32(least), limit, hint); !isNoSpace(err) {
			return e, err
		}
	}
	return a.run(class, byBlock, uint32(least), limit, hint, true)
}

// Alloc appends to buf extents of exactly blocks blocks, in as few runs as is
// sensible, or takes nothing; what buf holds already stays as it is. Data on soft geometry goes to free stripes, small
// pieces one behind the other, while 2 % of the stripes are free, and to holes
// afterwards; META goes to holes of its zone. On hard geometry blocks must be
// a multiple of the stripe (else ErrInvalid).
func (a *Allocator) Alloc(class Class, blocks int, hint uint64, buf []Extent) ([]Extent, error) {
	if err := a.checkRequest(class, blocks); err != nil {
		return buf, err
	}
	n := uint32(blocks)
	if a.cfg.Hard && n%a.cfg.StripeBlocks != 0 {
		return buf, fmt.Errorf("allocate %d blocks of %v in stripes of %d: %w", blocks, class, a.cfg.StripeBlocks, ErrInvalid)
	}
	if uint64(blocks) > a.free {
		return buf, a.noSpace(class, blocks)
	}
	if a.cfg.Hard {
		return a.allocUnits(class, byStripe, a.stripesFor(blocks), hint, buf)
	}
	if a.wantsFresh(class) {
		out, err := a.fresh(class, n, hint, buf)
		if !isNoSpace(err) {
			return out, err
		}
	}
	return a.allocUnits(class, byBlock, n, hint, buf)
}

// wantsFresh reports whether class is to fill fresh stripes before it plugs
// holes: data while 2 % of the stripes are free.
func (a *Allocator) wantsFresh(class Class) bool {
	return class != Meta && a.freeStripes*50 >= a.totalStripes
}

// crowded reports whether class is to leave long runs for large writes: what is
// folded does as well in any run of a stripe's length, wherever that begins. So it is
// on soft geometry while fewer than a quarter of the stripes are free.
func (a *Allocator) crowded(class Class) bool {
	return class == Hot && !a.cfg.Hard && a.freeStripes*4 < a.totalStripes
}

// fresh takes exactly n blocks of wholly free stripes and of the open one.
func (a *Allocator) fresh(class Class, n uint32, hint uint64, buf []Extent) ([]Extent, error) {
	if n < a.cfg.StripeBlocks {
		e, err := a.openRun(class, n, n, hint)
		if err != nil {
			return buf, err
		}
		return append(buf, e), nil
	}
	out, err := a.allocUnits(class, byStripe, a.stripesFor(int(n)), hint, buf)
	if err != nil {
		return buf, err
	}
	a.trim(class, &out[len(out)-1], a.stripesFor(int(n))*a.cfg.StripeBlocks-n)
	return out, nil
}

// openRun takes one run of least to most blocks that begins where the class
// stopped inside a stripe, or else at the start of a wholly free stripe; it
// ends in wholly free stripes.
func (a *Allocator) openRun(class Class, least, most uint32, hint uint64) (Extent, error) {
	c := &a.cursors[class]
	if e, ok := a.runAt(class, hint, least, most); ok {
		return e, nil
	}
	if c.zone >= 0 {
		if e, ok := a.runAt(class, a.zoneStart(c.zone)+uint64(c.pos), least, most); ok {
			return e, nil
		}
	}
	e, err := a.run(class, byStripe, a.stripesFor(int(least)), a.stripesFor(int(most)), hint, false)
	if err == nil && e.Blocks > uint64(most) {
		a.trim(class, &e, uint32(e.Blocks)-most)
	}
	return e, err
}

// runAt takes a run at exactly block at, if that is inside a stripe begun
// before, and the rest of that stripe and wholly free ones behind it hold it.
func (a *Allocator) runAt(class Class, at uint64, least, most uint32) (Extent, bool) {
	i := a.ZoneOf(at)
	if i < 0 {
		return Extent{}, false
	}
	b := a.loadedBody(i)
	lo := uint32(at - a.zoneStart(i))
	if b == nil || lo < a.lead {
		return Extent{}, false
	}
	size := a.cfg.StripeBlocks
	s := uint32(a.stripeDiv.quo(uint64(lo - a.lead)))
	end := a.lead + (s+1)*size
	if s >= b.stripes || end-lo == size || !allClear(b.bits, lo, end-lo) {
		return Extent{}, false
	}
	for s++; end-lo < most && s < b.stripes && allClear(b.broken, s, 1); s++ {
		end += size
	}
	n := min(end-lo, most)
	if n < least {
		return Extent{}, false
	}
	return a.take(class, i, b, lo, n), true
}

// trim gives the last n blocks of *e back, which was taken last.
func (a *Allocator) trim(class Class, e *Extent, n uint32) {
	if n == 0 {
		return
	}
	e.Blocks -= uint64(n)
	a.release(Extent{e.End(), uint64(n)})
	a.cursors[class].pos -= n
}

// take marks blocks of loaded zone i used and moves the cursor behind them.
func (a *Allocator) take(class Class, i int, b *zoneBody, lo, n uint32) Extent {
	a.setUsed(i, b, lo, n)
	a.cursors[class] = cursor{i, lo + n}
	return a.extent(i, lo, n)
}

// takeUnits is take for units of a grain.
func (a *Allocator) takeUnits(class Class, i int, b *zoneBody, g grain, u, n uint32) Extent {
	if g == byBlock {
		return a.take(class, i, b, u, n)
	}
	size := a.cfg.StripeBlocks
	lo, blocks := a.lead+u*size, n*size
	setBits(b.bits, lo, blocks)
	setBits(b.broken, u, n)
	for k := range b.stripeUsed[u : u+n] {
		b.stripeUsed[int(u)+k] = uint16(size)
	}
	a.touch(b)
	z := &a.zones[i]
	z.free -= blocks
	z.freeStripes -= n
	a.free -= uint64(blocks)
	a.freeStripes -= uint64(n)
	a.cursors[class] = cursor{i, lo + blocks}
	return a.extent(i, lo, blocks)
}

// stripesFor returns how many stripes hold n blocks.
func (a *Allocator) stripesFor(n int) uint32 {
	return uint32(a.stripeDiv.quo(uint64(n) + uint64(a.cfg.StripeBlocks) - 1))
}

// checkRequest returns what is wrong with a request, or nil.
func (a *Allocator) checkRequest(class Class, blocks int) error {
	if class < classes && uint64(blocks-1) < 1<<31 {
		return nil
	}
	return a.badRequest(class, blocks)
}

func (a *Allocator) badRequest(class Class, blocks int) error {
	return fmt.Errorf("allocate %d blocks of %v: %w", blocks, class, ErrInvalid)
}

// noSpace returns the ErrNoSpace of a request.
func (a *Allocator) noSpace(class Class, blocks int) error {
	return fmt.Errorf("allocate %d blocks of %v, %d blocks and %d stripes free: %w",
		blocks, class, a.free, a.freeStripes, ErrNoSpace)
}
