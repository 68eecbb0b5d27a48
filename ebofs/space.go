package ebofs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"ebofs/allocator"
	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// space hands out blocks of the main device and keeps two pictures of them:
//
//	allocator   what may be handed out now: excludes limbo, blocks placed by
//	            transactions no checkpoint has seen, and our own blocks
//	zone.bits   what the last checkpoint's objects and trees use: what goes to disk
//
// Own blocks (zone bitmaps, zone table, root record) and fixed ones (label
// copies inside zones) are in the first picture only: the root record names
// them, so no bitmap has to describe itself.
//
// A zone's bitmap is read when the zone is allocated from or freed into, and dropped
// again when many are loaded (space_unload.go).
//
// Locks: load is taken before mu and may be held across device reads. trimMu is taken
// before mu and held across a discard, by Trim and by whoever waits for one.
type space struct {
	dev   devices.Device
	pool  *devices.Pool
	fsid  layout.UUID
	place layout.Placement
	hard  bool // whole stripes only are taken and written

	stripe, stripeAt uint64 // constant, unlike the rest of place

	load   sync.Mutex
	trimMu sync.Mutex
	mu     sync.Mutex
	a      *allocator.Allocator

	zones  []zoneSpace                       // fields other than loaded and lost are the checkpointer's alone
	onLost func(zone int, cause error) error // asked whether to go on without a bitmap
	refuse func(kind string) bool            // Options.Refuse
	table  []layout.Ref
	own    []allocator.Extent // of the durable checkpoint
	fixed  []allocator.Extent

	resident int // zones that may stay loaded

	reserve  uint64 // blocks the stash should hold
	spare    uint64 // room for one more checkpoint, while kept epochs hold something back; see holds
	tokens   spaceTokens
	taken    uint64             // blocks of direct data since the last cut
	spent    atomic.Bool        // that is much of what was free
	strained atomic.Bool        // half of what can be promised is
	demand   uint64             // blocks somebody waits for
	had      atomic.Uint64      // what usable was after the last checkpoint
	stash    []allocator.Extent // taken from the allocator, for hard times; see stash.go
	stashed  uint64             // blocks in it
}

// zoneSpace is one zone as the durable checkpoint has it.
type zoneSpace struct {
	entry  layout.ZoneEntry
	bits   []uint64 // nil: not loaded
	dirty  bool     // bits differ from what entry.Bitmap names
	loaded bool     // the allocator has it; guarded by mu
	lost   bool     // the bitmap cannot be read: all is used, nothing is booked; guarded by mu
}

// newSpace opens the free space described by a root record's zone table.
func newSpace(st *Store, table []layout.Ref, zones []layout.ZoneEntry, own []layout.Extent) (*space, error) {
	place := st.place
	s := &space{
		dev: st.main, pool: st.pool, fsid: st.super.FSID, place: place, hard: st.super.Hard(), stripe: uint64(place.StripeBlocks), stripeAt: place.AlignBlocks,
		table: table, reserve: reserveBlocks(&place),
	}
	s.zones = make([]zoneSpace, place.Zones)
	var sums []allocator.ZoneSummary
	if zones != nil {
		sums = make([]allocator.ZoneSummary, place.Zones)
		for z := range s.zones {
			s.zones[z].entry = zones[z]
			s.zones[z].lost = zones[z].Flags&layout.ZoneLost != 0
			sums[z] = allocator.ZoneSummary{Free: zones[z].FreeBlocks, FreeStripes: zones[z].FreeStripes}
		}
	}
	for _, e := range own {
		s.own = append(s.own, allocator.Extent{Start: e.Addr.Block(), Blocks: e.Blocks})
	}
	for _, e := range place.Fixed() {
		s.fixed = append(s.fixed, allocator.Extent{Start: e.Addr.Block(), Blocks: e.Blocks})
	}
	var err error
	s.a, err = allocator.New(allocator.Config{
		First: place.ZoneStart, Blocks: place.ZoneEnd - place.ZoneStart, ZoneBlocks: place.ZoneBlocks,
		StripeBlocks: place.StripeBlocks, AlignBlocks: place.AlignBlocks, Hard: s.hard,
	}, sums)
	if err != nil {
		return nil, err
	}
	if zones == nil { // a fresh store: what the allocator counts is the truth
		for z := range s.zones {
			sum := s.a.Summary(z)
			s.zones[z].entry = layout.ZoneEntry{FreeBlocks: sum.Free, FreeStripes: sum.FreeStripes}
		}
	}
	return s, nil
}

// zoneOf returns the zone of a block, which lies in one.
func (s *space) zoneOf(b uint64) int {
	z, _ := s.place.ZoneOf(b)
	return int(z)
}

// inZones returns an error for blocks that do not lie in zones.
func (s *space) inZones(e allocator.Extent) error {
	if e.Blocks == 0 || e.Start < s.place.ZoneStart || e.Start > s.place.ZoneEnd || e.Blocks > s.place.ZoneEnd-e.Start {
		return fmt.Errorf("blocks %v lie outside the zones: %w", e, ErrCorrupt)
	}
	return nil
}

// split calls fn for the parts of e within one zone each.
func (s *space) split(e allocator.Extent, fn func(zone int, first, n uint64)) {
	for e.Blocks > 0 {
		z := s.zoneOf(e.Start)
		start, blocks := s.place.Zone(uint32(z))
		n := min(e.Blocks, start+uint64(blocks)-e.Start)
		fn(z, e.Start-start, n)
		e.Start += n
		e.Blocks -= n
	}
}

// ensure loads zone z into both pictures, or gives it up.
func (s *space) ensure(ctx context.Context, z int) error {
	s.load.Lock()
	defer s.load.Unlock()
	s.mu.Lock()
	loaded, lost := s.zones[z].loaded, s.zones[z].lost
	s.mu.Unlock()
	if loaded {
		return nil
	}
	var err error
	if !lost {
		if err = s.loadZone(ctx, z); err == nil || ctx.Err() != nil {
			return err
		}
		if err := s.onLost(z, err); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones[z].loaded, s.zones[z].lost = true, true
	if s.a.Loaded(z) {
		return nil
	}
	return s.a.Lose(z)
}

// loadZone reads the bitmap of zone z.
func (s *space) loadZone(ctx context.Context, z int) error {
	zs := &s.zones[z]
	_, blocks := s.place.Zone(uint32(z))
	used := make([]uint64, (blocks+63)/64)
	if ref := zs.entry.Bitmap; !ref.IsNone() {
		f := s.pool.Get(int(ref.Blocks) * blockSize)
		defer f.Release()
		var bm *layout.ZoneBitmap
		err := readChecked(ctx, s.dev, devices.Block(ref.Addr.Block()), f.Bytes(), func() (err error) {
			bm, err = layout.DecodeZoneBitmap(f.Bytes(), s.fsid, ref)
			return err
		})
		if err != nil {
			return fmt.Errorf("bitmap of zone %d: %w", z, err)
		}
		if bm.Zone != uint32(z) || bm.Blocks != blocks {
			return fmt.Errorf("bitmap of zone %d names zone %d of %d blocks: %w", z, bm.Zone, bm.Blocks, ErrCorrupt)
		}
		copy(used, bm.Bits)
	}
	durable := used
	used = s.withOwn(z, used)
	s.mu.Lock()
	defer s.mu.Unlock()
	// A wholly free zone counts as loaded from the start; one that a grow is about to
	// add is none of the allocator's yet.
	if z < s.a.Zones() && !s.a.Loaded(z) {
		if err := s.a.Load(z, used); err != nil {
			return fmt.Errorf("zone %d: %w", z, err)
		}
	}
	zs.bits = durable
	zs.loaded = true
	return nil
}

// retry calls step with mu held until it needs no further zone.
func (s *space) retry(ctx context.Context, step func() error) error {
	for {
		s.mu.Lock()
		err := step()
		s.mu.Unlock()
		var need allocator.NeedZone
		if !errors.As(err, &need) {
			if errors.Is(err, allocator.ErrNoSpace) {
				return ErrNoSpace
			}
			return err
		}
		if err := s.ensure(ctx, need.Zone); err != nil {
			return err
		}
	}
}

// refused asks whether a test wants an allocation of that kind to fail.
func (s *space) refused(kind string) bool { return s.refuse != nil && s.refuse(kind) }

// alloc appends exactly blocks blocks of class to buf, in as few runs as
// sensible, or returns ErrNoSpace and nothing.
func (s *space) alloc(ctx context.Context, class allocator.Class, blocks int, hint uint64, buf []allocator.Extent) ([]allocator.Extent, error) {
	if s.refused("blocks") {
		return buf, ErrNoSpace
	}
	var out []allocator.Extent
	err := s.retry(ctx, func() (err error) {
		out, err = s.a.Alloc(class, blocks, hint, buf)
		return err
	})
	return out, err
}

// allocPromised is alloc of blocks that were promised as data. The promise ends
// in the same moment, so that no block counts twice.
func (s *space) allocPromised(ctx context.Context, class allocator.Class, blocks int, buf []allocator.Extent) ([]allocator.Extent, error) {
	if s.refused("promised") {
		return buf, ErrNoSpace
	}
	var out []allocator.Extent
	err := s.retry(ctx, func() (err error) {
		if out, err = s.a.Alloc(class, blocks, 0, buf); err == nil {
			s.tokens.data -= uint64(blocks)
			s.takeLocked(uint64(blocks))
		}
		return err
	})
	return out, err
}

// runPromised is allocPromised of one run of least to most blocks, of which most were
// promised.
func (s *space) runPromised(ctx context.Context, class allocator.Class, least, most int) (e allocator.Extent, err error) {
	if s.refused("promised") {
		return e, ErrNoSpace
	}
	err = s.retry(ctx, func() (err error) {
		if e, err = s.a.AllocRun(class, least, most, 0); err == nil {
			s.tokens.data -= uint64(most)
			s.takeLocked(e.Blocks)
		}
		return err
	})
	return e, err
}

// takeLocked counts blocks of direct data. What they replace is free only after the
// next checkpoint, and nothing else asks for one soon, for they take little log: once
// a fifth of the free space went to them it is time, before the last whole stripes are
// used up and crumbs are taken. mu is held.
func (s *space) takeLocked(blocks uint64) {
	s.taken += blocks
	if s.taken > max(s.a.FreeBlocks()/4, scarceBlocks) {
		s.spent.Store(true)
	}
}

// scarceBlocks is the least to take a checkpoint for: 16 MiB take longer to write.
const scarceBlocks = 16 << 20 / blockSize

// begin starts counting anew, at the cut of a checkpoint.
func (s *space) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = 0
	s.spent.Store(false)
}

// allocRun returns one run of between least and most blocks.
func (s *space) allocRun(ctx context.Context, class allocator.Class, least, most int, hint uint64) (allocator.Extent, error) {
	if s.refused("run") {
		return allocator.Extent{}, ErrNoSpace
	}
	var e allocator.Extent
	err := s.retry(ctx, func() (err error) {
		e, err = s.a.AllocRun(class, least, most, hint)
		return err
	})
	return e, err
}

// allocHard is allocRun for a checkpoint, which must not fail: it falls back on
// the stash.
func (s *space) allocHard(ctx context.Context, class allocator.Class, least, most int, hint uint64) (allocator.Extent, error) {
	e, err := s.allocRun(ctx, class, least, most, hint)
	if errors.Is(err, ErrNoSpace) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if e, ok := s.unstashLocked(uint64(least), uint64(most)); ok {
			return e, nil
		}
	}
	return e, err
}

// markUsed takes blocks that a log record names.
func (s *space) markUsed(ctx context.Context, e allocator.Extent) (err error) {
	s.split(e, func(z int, first, n uint64) {
		start, _ := s.place.Zone(uint32(z))
		part := allocator.Extent{Start: start + first, Blocks: n}
		err = cmp.Or(err, s.retry(ctx, func() error {
			if s.zones[z].lost {
				return nil
			}
			return s.a.MarkUsed(part)
		}))
	})
	return err
}

// takeFixed takes the fixed blocks out of a fresh, wholly free space; in an
// older one the summaries leave them out.
func (s *space) takeFixed(ctx context.Context) error {
	for _, e := range s.fixed {
		if err := s.markUsed(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// free puts blocks into the limbo of epoch.
func (s *space) free(e allocator.Extent, epoch uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if planted.On(planted.LimboReuse) {
		return s.a.Release(e)
	}
	return s.a.Free(e, epoch)
}

// release gives back blocks nothing durable or readable ever named.
func (s *space) release(list []allocator.Extent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range list {
		// An extent we were just given: it cannot be refused.
		_ = s.a.Release(e)
	}
}

// durable ends the limbo of all epochs ≤ epoch and returns what became free.
func (s *space) durable(epoch uint64) []allocator.Extent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.a.Durable(epoch)
}

// spaceCounts are blocks of a space.
type spaceCounts struct {
	total    uint64
	free     uint64 // the stash among them
	limbo    uint64
	promised uint64 // to transactions as data
	reserve  uint64
	freeing  uint64 // see freeingBlocks
}

func (s *space) counts() spaceCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	free, limbo := s.a.FreeBlocks(), s.a.LimboBlocks()
	return spaceCounts{
		total: free + limbo + s.a.UsedBlocks(), free: free + s.stashed, limbo: limbo,
		promised: s.tokens.data, reserve: s.reserve,
		freeing: freeingBlocks(&s.place),
	}
}

// limboOf returns the blocks freed in the epochs after one up to another.
func (s *space) limboOf(after, upTo uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.a.LimboOf(after, upTo)
}

// setBits marks n bits from first used.
func setBits(w []uint64, first, n uint64) {
	for ; n > 0 && first%64 != 0; first, n = first+1, n-1 {
		w[first/64] |= 1 << (first % 64)
	}
	for ; n >= 64; first, n = first+64, n-64 {
		w[first/64] = ^uint64(0)
	}
	for ; n > 0; first, n = first+1, n-1 {
		w[first/64] |= 1 << (first % 64)
	}
}

// clearBits marks n bits from first free.
func clearBits(w []uint64, first, n uint64) {
	for ; n > 0; first, n = first+1, n-1 {
		w[first/64] &^= 1 << (first % 64)
	}
}

// countBits returns how many of n bits from first are set.
func countBits(w []uint64, first, n uint64) (set uint64) {
	for ; n > 0 && first%64 != 0; first, n = first+1, n-1 {
		set += w[first/64] >> (first % 64) & 1
	}
	for ; n >= 64; first, n = first+64, n-64 {
		set += uint64(bits.OnesCount64(w[first/64]))
	}
	for ; n > 0; first, n = first+1, n-1 {
		set += w[first/64] >> (first % 64) & 1
	}
	return set
}
