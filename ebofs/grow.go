package ebofs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"ebofs/allocator"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// A grow makes more of the device part of the store. It is a checkpoint whose
// superblock names the new size; docs/decisions/grow.md has the order of writes and
// what a crash between any two of them leaves.
//
//	zero new slots ─ flush ─ checkpoint ─ H slot ─ flush ─ Z slot ─ flush     new size in force
//	   ─ the other slots ─ flush ─ labels, block 0 last ─ zero old Z slots ─ flush
//	   ─ superblock that says so ─ flush ─ space handed out
//
// From the first H slot on the new size is in force; until the last superblock
// GrowingFrom is set, and whoever mounts the store for writing does the rest first.

// GrowResult says what a grow did or would do.
type GrowResult struct {
	From, To layout.Placement
	// NewLabels are the blocks of label copies there were not before.
	NewLabels []uint64
	Reserve   uint64 // blocks
}

// PlanGrow decides what Grow would make of the store of sb on a device of so many
// blocks, and writes nothing; sizeBytes as for Grow.
func PlanGrow(sb *layout.Superblock, deviceBlocks, sizeBytes uint64) (GrowResult, error) {
	r := GrowResult{From: sb.Placement()}
	if sb.Role != layout.RoleMain {
		return r, fmt.Errorf("device is the %v of store %s, not its main device: %w", sb.Role, sb.FSID.Short(), ErrInvalid)
	}
	blocks := deviceBlocks
	if sizeBytes != 0 {
		if blocks = sizeBytes / blockSize; blocks > deviceBlocks {
			return r, fmt.Errorf("size of %d bytes on a device of %d: %w", sizeBytes, deviceBlocks*blockSize, ErrInvalid)
		}
	}
	var err error
	if r.To, err = r.From.Grow(blocks); err != nil {
		return r, err
	}
	r.Reserve = reserveBlocks(&r.To)
	for _, b := range r.To.Labels {
		if !slices.Contains(r.From.Labels, b) {
			r.NewLabels = append(r.NewLabels, b)
		}
	}
	return r, nil
}

// Grow lets a mounted store use its device up to sizeBytes, 0 for all of it, while
// it goes on working. It is durable when Grow returns. A crash before leaves the old
// size or the new one, with all that was committed, and Grow may be called again.
//
// It returns layout.ErrNoGain when there is nothing to win, ErrInvalid for a size it
// cannot have, ErrNoSpace when a block in use lies where a label copy belongs; then
// nothing has changed.
func (s *Store) Grow(ctx context.Context, sizeBytes uint64) (GrowResult, error) {
	if err := s.enter(); err != nil {
		return GrowResult{}, err
	}
	defer s.leave()
	if err := s.writable(); err != nil {
		return GrowResult{}, err
	}
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	r, err := PlanGrow(&s.super, s.main.Geometry().Blocks, sizeBytes)
	if err != nil {
		return r, err
	}
	if err := s.prepareGrow(ctx, &r); err != nil {
		return r, err
	}
	return r, s.checkpointLocked(ctx, false, &relayout{place: r.To, from: r.From, edit: func(sb *layout.Superblock) {
		sb.GrowingFrom = r.From.Blocks
		sb.SetPlacement(r.To)
		sb.Devices = slices.Clone(sb.Devices)
		sb.Devices[0].Blocks = r.To.Blocks
	}})
}

// prepareGrow does what may fail or wait: it takes the places of new labels out of
// the free space, loads the zone that becomes longer, and zeroes what lies where new
// slots and labels will be, lest something that somebody left there is taken for ours.
func (s *Store) prepareGrow(ctx context.Context, r *GrowResult) error {
	if err := s.space.ensure(ctx, int(r.From.Zones)-1); err != nil {
		return err
	}
	for i, b := range r.NewLabels {
		if b >= r.From.ZoneEnd {
			continue
		}
		if err := s.takeLabel(ctx, b); err != nil {
			for _, b := range r.NewLabels[:i] {
				if b < r.From.ZoneEnd {
					s.space.release([]allocator.Extent{{Start: b, Blocks: 1}})
				}
			}
			return fmt.Errorf("block %d, where a label copy belongs, is in use; a size that is %d bytes smaller or larger does without it: %w", b, 8<<20, err)
		}
	}
	fresh := slices.DeleteFunc(slices.Concat(r.To.Slots[2:], r.NewLabels), func(b uint64) bool { return b < r.From.Blocks })
	if err := s.zero(ctx, fresh); err != nil {
		s.fail(err)
		return err
	}
	return nil
}

// takeLabel takes a block for a label copy, also out of the stash.
func (s *Store) takeLabel(ctx context.Context, b uint64) error {
	if err := s.space.ensure(ctx, s.space.zoneOf(b)); err != nil {
		return err
	}
	s.space.unstash(b)
	err := s.space.markUsed(ctx, allocator.Extent{Start: b, Blocks: 1})
	if errors.Is(err, allocator.ErrUsed) {
		err = ErrNoSpace
	}
	return errors.Join(err, s.space.refill(ctx))
}

// zero writes zeros to blocks and makes them durable.
func (s *Store) zero(ctx context.Context, blocks []uint64) error {
	f := s.pool.Get(blockSize)
	defer f.Release()
	clear(f.Bytes())
	for _, b := range blocks {
		s.metrics.written.add(WriteSuper, blockSize, blockSize)
		if err := s.main.Write(ctx, devices.Block(b), devices.Vec{f.Bytes()}); err != nil {
			return err
		}
	}
	return s.main.Flush(ctx)
}

// writeGrown writes the first superblock of the new size, head slot first: were both
// in flight at once, a crash could leave the tail slot alone, at a place where the
// store of the old size would never find and never replace it.
func (s *Store) writeGrown(ctx context.Context, sb *layout.Superblock) error {
	head, tail := s.place.SlotsOf(sb.Generation)
	for _, b := range [...]uint64{head, tail} {
		if err := s.writeSuperTo(ctx, sb, b); err != nil {
			return err
		}
	}
	return nil
}

// settleGrow finishes a grow whose superblock is durable: both pairs of slots and
// the labels name the new size, and the slots near the old end are gone, before
// anything else is written there. ckptMu is held, or the store being mounted.
func (s *Store) settleGrow(ctx context.Context) error {
	old := layout.SlotBlocks(s.super.GrowingFrom)
	step := func(growing uint64) error {
		sb := s.super
		sb.Generation++
		sb.GrowingFrom = growing
		if err := s.writeSuper(ctx, &sb); err != nil {
			return err
		}
		s.super = sb
		return nil
	}
	if err := step(s.super.GrowingFrom); err != nil {
		return err
	}
	sb := &s.super
	l := layout.Label{
		FSID: sb.FSID, DeviceUUID: sb.DeviceUUID, Index: sb.Index, Role: sb.Role, Blocks: sb.Blocks,
		Created: sb.Created, Slots: s.place.Slots, Text: sb.Text, Cluster: sb.Cluster,
	}
	labels := len(s.place.Labels) * blockSize
	s.metrics.written.add(WriteSuper, labels, labels)
	if err := writeLabels(ctx, s.main, s.pool, &l, s.place.Labels); err != nil {
		return err
	}
	gone := slices.DeleteFunc(old[2:], func(b uint64) bool { return slices.Contains(s.place.Labels, b) })
	if err := s.zero(ctx, gone); err != nil {
		return err
	}
	if err := step(0); err != nil {
		return err
	}
	s.log.Info("store has grown", "blocks", s.super.Blocks)
	return nil
}

// relayout is a change of what lies where, made by a checkpoint: a larger device, or
// none of the log on it.
type relayout struct {
	place layout.Placement
	from  layout.Placement // before
	edit  func(sb *layout.Superblock)
}

// grows reports whether it is a grow.
func (r *relayout) grows() bool { return r != nil && r.place.Blocks > r.from.Blocks }

// relayout makes place the one the durable picture is drawn of. The allocator
// learns of new space from extend, once that is durable.
func (s *space) relayout(place layout.Placement) {
	s.load.Lock()
	defer s.load.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.zones) - 1
	_, had := s.place.Zone(uint32(last))
	s.place = place
	s.fixed = s.fixed[:0:0]
	for _, e := range place.Fixed() {
		s.fixed = append(s.fixed, allocator.Extent{Start: e.Addr.Block(), Blocks: e.Blocks})
	}
	if zs := &s.zones[last]; !zs.lost {
		if _, now := place.Zone(uint32(last)); now != had {
			zs.bits = append(zs.bits, make([]uint64, int(now+63)/64-len(zs.bits))...)
			zs.dirty = true
		}
	}
	for z := last + 1; z < int(place.Zones); z++ {
		_, blocks := place.Zone(uint32(z))
		s.zones = append(s.zones, zoneSpace{entry: layout.ZoneEntry{FreeBlocks: blocks, FreeStripes: s.freeStripes(z, nil)}})
	}
}

// extend hands out what relayout added behind the zones of before.
func (s *space) extend(ctx context.Context, before *layout.Placement) error {
	s.mu.Lock()
	err := s.a.Grow(s.place.ZoneEnd - s.place.ZoneStart)
	s.reserve = reserveBlocks(&s.place)
	s.mu.Unlock()
	for _, e := range slices.Concat(s.own, s.fixed) {
		if e.Start >= before.ZoneEnd {
			err = cmp.Or(err, s.markUsed(ctx, e))
		}
	}
	return err
}
