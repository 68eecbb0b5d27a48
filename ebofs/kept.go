package ebofs

import (
	"context"
	"fmt"
	"slices"

	"ebofs/allocator"
	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// Kept epochs are the last checkpoints that differ from their successors: the
// root record names them, and while the newest durable one does, no block they
// reach is used again. So an earlier state of the store can be read, to look at
// what a wrong delete or a bad write destroyed.
//
// Nothing else is on disk: which blocks a kept epoch uses is in its own zone
// bitmaps. At run time its blocks are in limbo, which is not given back beyond the
// oldest kept epoch; a mount puts them there.
//
// Like pins they never cost an operation that would succeed without them. When
// space is short, or the reserve is, the next checkpoint names fewer of them, and
// once that is durable their blocks are free.

// keeper says which epochs are kept; guarded by ckptMu.
type keeper struct {
	want  uint16             // how many; RootRecord.Keep
	list  []layout.KeptEpoch // of the newest durable root record, oldest first
	yield int                // so many of the oldest go with the next checkpoint
	self  layout.KeptEpoch   // what the next checkpoint says of the newest durable one
	cut   uint64             // of that one
}

// init takes over what the newest durable root record says.
func (k *keeper) init(r *layout.RootRecord, sb *layout.Superblock) {
	k.want, k.list, k.cut = r.Keep, r.Kept, r.Cut
	k.self = layout.KeptEpoch{Root: sb.Root, Generation: sb.Generation, Written: sb.Written, Blocks: sb.Blocks, ZoneEnd: sb.ZoneEnd}
}

// next returns what the checkpoint of cut is to keep. One that no transaction
// separates from its successor is the same state, and is not listed.
func (k *keeper) next(cut uint64) []layout.KeptEpoch {
	if k.yield > 0 {
		return slices.Clone(k.list[min(k.yield, len(k.list)):])
	}
	list := slices.Clone(k.list)
	if cut != k.cut && !k.self.Root.IsNone() {
		list = append(list, k.self)
	}
	return list[max(0, len(list)-int(k.want)):]
}

// oldest returns the epoch of the oldest kept, or ^0.
func (k *keeper) oldest() uint64 {
	if len(k.list) == 0 {
		return ^uint64(0)
	}
	return k.list[0].Epoch()
}

// choose sets what the checkpoint keeps. With too little space to hold anything
// back that is nothing: the checkpoint after this one could not be written.
func (ck *checkpoint) choose() {
	s := ck.s
	ck.root.Keep, ck.root.Kept = s.kept.want, s.kept.next(ck.cut)
	if ck.relay != nil && !ck.relay.grows() {
		ck.root.Kept = nil // where the log was, their zones have a hole that is none any more
	}
	if !s.space.holds(len(ck.root.Kept) > 0, s.metaBlocks.Load()) {
		ck.root.Kept = nil
	}
	if n := len(s.kept.list); n > 0 && (len(ck.root.Kept) == 0 || s.kept.yield > 0) {
		s.log.Info("kept epochs are dropped: space is short", "epoch", ck.epoch, "kept", len(ck.root.Kept), "before", n)
	}
}

// relieve ends what holds limbo back longest, because space is short: pins at
// once, or the older half of the kept epochs, which needs a checkpoint. It reports
// whether either was there. ckptMu is held.
func (s *Store) relieve() bool {
	if n := len(s.kept.list); n > 0 && s.kept.oldest() <= s.holds.oldest() {
		s.kept.yield = max(s.kept.yield, (n+1)/2)
		return true
	}
	return s.expirePins()
}

// refill fills the reserve up. What pins and kept epochs hold back goes first;
// the latter all at once, for each checkpoint takes of the reserve. ckptMu is held.
func (s *Store) refill(ctx context.Context) error {
	err := s.space.refill(ctx)
	if err == nil && s.space.stashShort() && s.expirePins() {
		s.tryRelease(ctx)
		err = s.space.refill(ctx)
	}
	if err == nil && s.space.stashShort() {
		s.kept.yield = len(s.kept.list)
	}
	return err
}

// holdKept takes the blocks of the kept epochs out of the free space, at a mount
// and after the log has taken its own. What cannot be read, or is used by
// something newer in spite of all, is dropped with all that is older, by a
// checkpoint before anything is taken.
func (s *Store) holdKept(ctx context.Context, newer *Roots) error {
	if planted.On(planted.KeptForgotten) {
		return nil
	}
	epoch := s.super.Epoch
	for i := len(s.kept.list) - 1; i >= 0; i-- {
		k := &s.kept.list[i]
		roots, err := s.readKept(ctx, k)
		if err == nil {
			err = s.space.hold(ctx, &roots, newer, epoch)
		}
		if err != nil {
			if ctx.Err() != nil || s.outage(ctx, err) {
				return fmt.Errorf("kept epoch %d: %w", k.Epoch(), err) // another mount may be able to read it
			}
			s.log.Warn("kept epochs are dropped", "epoch", k.Epoch(), "err", err)
			s.kept.yield = i + 1
			return nil
		}
		newer, epoch = &roots, k.Epoch()
	}
	return nil
}

// readKept reads the root record and zone tables of a kept epoch.
func (s *Store) readKept(ctx context.Context, k *layout.KeptEpoch) (Roots, error) {
	if err := k.Within(&s.super); err != nil {
		return Roots{}, err
	}
	sb := s.super.At(k)
	return ReadRoots(ctx, s.main, &sb)
}

// hold puts blocks that the checkpoint of old uses and that of newer does not into
// the limbo of newer's epoch.
func (s *space) hold(ctx context.Context, old, newer *Roots, epoch uint64) error {
	keep := func(e allocator.Extent) (err error) {
		s.split(e, func(z int, _, _ uint64) {
			if err == nil {
				err = s.ensure(ctx, z) // what is used there shows
			}
		})
		if err == nil {
			err = s.markUsed(ctx, e)
		}
		if err == nil {
			err = s.free(e, epoch)
		}
		return err
	}
	own := make(map[layout.Addr]bool, len(newer.Own))
	for _, e := range newer.Own {
		own[e.Addr] = true
	}
	for _, e := range old.Own {
		if !own[e.Addr] {
			if err := keep(allocator.Extent{Start: e.Addr.Block(), Blocks: e.Blocks}); err != nil {
				return fmt.Errorf("own blocks %v: %w", e, err)
			}
		}
	}
	for z := range old.Zones {
		var after layout.ZoneEntry
		if z < len(newer.Zones) {
			after = newer.Zones[z]
		}
		if old.Zones[z].Bitmap == after.Bitmap || old.Zones[z].Bitmap.IsNone() || after.Flags&layout.ZoneLost != 0 {
			continue
		}
		was, err := s.readBitmap(ctx, z, old.Zones[z].Bitmap)
		if err != nil {
			return err
		}
		is, err := s.readBitmap(ctx, z, after.Bitmap)
		if err != nil {
			return err
		}
		for i := range is.Bits[:min(len(is.Bits), len(was.Bits))] {
			was.Bits[i] &^= is.Bits[i]
		}
		start, _ := s.place.Zone(uint32(z))
		was.Runs(func(first, n uint32) {
			if err == nil {
				err = keep(allocator.Extent{Start: start + uint64(first), Blocks: uint64(n)})
			}
		})
		if err != nil {
			return fmt.Errorf("zone %d: %w", z, err)
		}
	}
	return nil
}

// readBitmap reads what ref, an entry of zone z, names. The zone may have been
// smaller then.
func (s *space) readBitmap(ctx context.Context, z int, ref layout.Ref) (*layout.ZoneBitmap, error) {
	_, blocks := s.place.Zone(uint32(z))
	bm := &layout.ZoneBitmap{Zone: uint32(z), Blocks: blocks}
	if ref.IsNone() {
		return bm, nil
	}
	f := s.pool.Get(int(ref.Blocks) * blockSize)
	defer f.Release()
	err := readChecked(ctx, s.dev, devices.Block(ref.Addr.Block()), f.Bytes(), func() (err error) {
		bm, err = layout.DecodeZoneBitmap(f.Bytes(), s.fsid, ref)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bitmap of zone %d: %w", z, err)
	}
	if bm.Zone != uint32(z) || bm.Blocks > blocks {
		return nil, fmt.Errorf("bitmap of zone %d names zone %d of %d blocks: %w", z, bm.Zone, bm.Blocks, ErrCorrupt)
	}
	return bm, nil
}

// holds notes whether the checkpoint about to be written holds anything back. It
// reports false if the space would not do: what was promised, the rest of that
// checkpoint and all of the next, which may have to give up what it holds.
func (s *space) holds(back bool, metaBlocks uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare = 0
	if !back {
		return true
	}
	one := checkpointBlocks(&s.place)
	want := s.tokens.meta(metaBlocks) + 2*one
	if s.hard {
		want += 2 * sealedStripes * s.stripe
	}
	if want > s.stashed && s.tokens.data+want > s.a.FreeStripes()*s.stripe {
		return false
	}
	s.spare = one
	return true
}

// SetKeepEpochs changes how many epochs are kept, 0 for none. It returns when that
// is durable.
func (s *Store) SetKeepEpochs(ctx context.Context, n int) error {
	if n < 0 || n > layout.MaxKept {
		return fmt.Errorf("%d kept epochs: at most %d: %w", n, layout.MaxKept, ErrInvalid)
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.writable(); err != nil {
		return err
	}
	s.ckptMu.Lock()
	s.kept.want = uint16(n)
	s.ckptMu.Unlock()
	return s.checkpoint(ctx, false)
}

// KeptEpochs returns how many epochs are to be kept, and those that are, oldest
// first.
func (s *Store) KeptEpochs() (want int, list []layout.KeptEpoch) {
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	return int(s.kept.want), slices.Clone(s.kept.list)
}

// FindEpoch returns the superblock of an epoch that sb, the newest, or its root
// record still names. Else the error, ErrNotFound, says which there are.
func FindEpoch(ctx context.Context, dev devices.Device, sb *layout.Superblock, epoch uint64) (layout.Superblock, error) {
	if epoch == sb.Epoch {
		at := *sb
		at.Flags |= layout.SuperClean
		return at, nil
	}
	roots, err := ReadRoots(ctx, dev, sb)
	if !roots.sound {
		return layout.Superblock{}, err
	}
	there := ""
	for i := range roots.Record.Kept {
		k := &roots.Record.Kept[i]
		if k.Epoch() == epoch {
			return sb.At(k), k.Within(sb)
		}
		there += fmt.Sprintf("%d, ", k.Epoch())
	}
	return layout.Superblock{}, fmt.Errorf("epoch %d is not kept, there are %s%d: %w", epoch, there, sb.Epoch, ErrNotFound)
}
