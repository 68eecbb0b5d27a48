package ebofs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/datacache"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/wal"
)

// Open mounts the store on dev. The devices stay the caller's, to be closed
// after the store.
//
// Reads are those of the root and of the log in use, whatever the number of
// objects. A writable open replays the log and marks the store in use before it
// returns; objects that the log changes are read afterwards. A crash at any point
// leaves the store as it was. It refuses a store whose log is damaged below what was committed,
// which a read-only open shows as far as it goes.
func Open(ctx context.Context, dev devices.Device, o Options) (*Store, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	found, err := Find(ctx, dev)
	if err != nil {
		return nil, err
	}
	if err := found.checkLabel(); err != nil && !o.ReadOnly {
		return nil, err
	}
	sched := devices.NewScheduler(dev)
	s := &Store{opt: o, main: sched, sched: sched, log: o.Logger, now: o.Now, super: found.Super, place: found.Super.Placement()}
	s.super.Generation = layout.LastGeneration(found.Slots, &found.Super)
	s.room = sync.NewCond(&s.roomMu)
	if err := s.mount(ctx, found.Slots); err != nil {
		if s.wal != nil {
			_ = s.wal.Close()
		}
		s.loading.Wait()
		return nil, errors.Join(err, s.free())
	}
	s.holds.durable(&s.super)
	s.start()
	return s, nil
}

// mount brings up the store that s.super describes. slots are what else was
// found on the device, for a read-only open of one whose root is damaged.
func (s *Store) mount(ctx context.Context, slots []layout.Candidate) error {
	if err := s.checkSuper(); err != nil {
		return err
	}
	if s.opt.AtEpoch != 0 {
		var err error
		if s.super, err = FindEpoch(ctx, s.main, &s.super, s.opt.AtEpoch); err != nil {
			return err
		}
		s.place, slots = s.super.Placement(), nil
	} else if err := s.findLog(ctx); err != nil {
		return err
	}
	roots, err := ReadRoots(ctx, s.main, &s.super)
	if err != nil && !roots.sound && s.opt.ReadOnly {
		roots, err = s.olderRoots(ctx, slots, err)
	}
	if err != nil {
		if !s.opt.ReadOnly || !roots.sound {
			return err
		}
		s.degrade(fmt.Sprintf("%v: free space is unknown", err))
		s.log.Error("free space is unknown", "err", err)
		roots.Zones, roots.Own = nil, nil
	}
	s.counters = roots.Record.Counters
	s.kept.init(&roots.Record, &s.super)
	s.metaBlocks.Store(s.counters.MetaBlocks)
	if err := s.budget(); err != nil {
		return err
	}
	if s.space, err = newSpace(s, roots.Record.ZoneTables, roots.Zones, roots.Own); err != nil {
		return err
	}
	s.space.resident = int(s.opt.MemoryBytes / 100 * 2 / residentZone)
	s.space.onLost, s.space.refuse = s.lostZone, s.opt.Refuse
	// Their pages have to fit into the reserve.
	s.mostShared = max(1024, s.space.reserve/4)
	s.openTrees(&roots.Record)
	s.epoch = s.super.Epoch + 1
	s.journals.begin(s.epoch)
	s.folded.Store(s.super.Epoch)
	s.txid = roots.Record.Cut
	s.nextID.Store(max(roots.Record.NextObjectID, 1) - 1)
	s.objectCount.Store(int64(roots.Record.Counters.Objects))
	if err := s.loadCollections(ctx); err != nil {
		return err
	}
	if s.super.GrowingFrom != 0 && !s.opt.ReadOnly {
		if err := s.settleGrow(ctx); err != nil {
			return fmt.Errorf("finish a grow: %w", err)
		}
	}
	return s.recover(ctx, &roots)
}

// olderRoots falls back on the superblock before s.super, whose root record gave
// cause. What the last checkpoint freed may have been used again since, so this
// is for looking and saving only; what was committed comes back as far as the
// log still reaches.
func (s *Store) olderRoots(ctx context.Context, slots []layout.Candidate, cause error) (Roots, error) {
	sb, err := layout.Best(slices.DeleteFunc(slices.Clone(slots), func(c layout.Candidate) bool {
		return c.Err == nil && c.Super.Root == s.super.Root
	}))
	if err != nil {
		return Roots{}, cause
	}
	roots, err := ReadRoots(ctx, s.main, sb)
	if !roots.sound {
		return roots, cause
	}
	s.degrade(fmt.Sprintf("%v: this is the store at epoch %d and what the log has since, not epoch %d", cause, sb.Epoch, s.super.Epoch))
	s.log.Error("root record is damaged", "err", cause, "epoch", sb.Epoch)
	s.super = *sb
	return roots, err
}

// checkSuper refuses a store this program or this device cannot serve.
func (s *Store) checkSuper() error {
	sb := &s.super
	if sb.Flags&layout.SuperFormatting != 0 {
		return fmt.Errorf("%w: mkfs did not finish", ErrNoStore)
	}
	if sb.Role != layout.RoleMain || sb.Index != 0 {
		return fmt.Errorf("device is the %v of store %s, not its main device: %w", sb.Role, sb.FSID.Short(), ErrInvalid)
	}
	if err := sb.Features.CheckRead(); err != nil {
		return err
	}
	if !s.opt.ReadOnly {
		if err := sb.Features.CheckWrite(); err != nil {
			return err
		}
		if sb.Features.Incompat&layout.FeatMetadataOnly != 0 && !s.opt.ReplayImage {
			return fmt.Errorf("%w: it can be looked at, not written: %w", ErrNoData, ErrReadOnly)
		}
	}
	if have := s.main.Geometry().Blocks; have < sb.Blocks {
		return fmt.Errorf("device has %d blocks, the store %d: truncated? %w", have, sb.Blocks, ErrCorrupt)
	}
	if len(sb.Rings) != 1 {
		return fmt.Errorf("store with %d logs: %w", len(sb.Rings), ErrUnsupported)
	}
	if w := GeometryChanged(s.main.Geometry(), sb); w != "" {
		s.log.Warn("stripes of the store are not whole ones of its device", "why", w)
	}
	s.noData = sb.Features.Incompat&layout.FeatMetadataOnly != 0
	s.unit = blockSize
	if sb.Hard() {
		s.unit = uint64(sb.StripeBytes)
	}
	return nil
}

// findLog decides which device holds the ring and checks that it is the right
// one. A store that was closed is read without it.
func (s *Store) findLog(ctx context.Context) error {
	idx := int(s.super.Rings[0].Start.Device())
	if idx == 0 {
		s.logAt = s.main
		return nil
	}
	if idx >= len(s.super.Devices) {
		return fmt.Errorf("log on device %d of %d: %w", idx, len(s.super.Devices), ErrCorrupt)
	}
	want := s.super.Devices[idx]
	if s.opt.LogDevice == nil && s.opt.ReadOnly && s.super.Clean() {
		return nil // all that its log held is in the checkpoint
	}
	if s.opt.LogDevice == nil {
		return fmt.Errorf("%w: store %s keeps its log on device %s", ErrLogMissing, s.super.FSID.Short(), want.UUID)
	}
	f, err := Find(ctx, s.opt.LogDevice)
	if err != nil {
		return fmt.Errorf("log device: %w", err)
	}
	if f.Super.FSID != s.super.FSID || f.Super.DeviceUUID != want.UUID || int(f.Super.Index) != idx {
		return fmt.Errorf("%w: this is device %d (%s) of store %s, wanted device %d (%s) of store %s", ErrLogMissing,
			f.Super.Index, f.Super.DeviceUUID, f.Super.FSID.Short(), idx, want.UUID, s.super.FSID.Short())
	}
	s.logSched = devices.NewScheduler(s.opt.LogDevice)
	s.logAt = s.logSched
	return nil
}

// budget divides the memory budget and makes the caches.
func (s *Store) budget() error {
	m := s.opt.MemoryBytes
	s.pool = devices.NewPool(devices.PoolOptions{KeepBytes: m / 16}) // what a checkpoint or detours take and give back
	s.detours.init(m / 16)
	s.pages = s.newPages(m / 100 * framesPercent)
	s.data = datacache.New(s.pool, m/100*dataPercent)
	s.shares.init(m, s.pages.Cache, s.data)
	s.journals.init(s.pool, s.shares.take)
	s.onodes.init(s.opt.MaxOnodes)
	s.loads = make(chan struct{}, maxLoads)
	s.wake, s.done = make(chan struct{}, 1), make(chan struct{})
	s.ringSize = int64(s.super.Rings[0].Blocks-1) * blockSize
	s.maxDirty = s.opt.MaxDirtyBytes
	if s.maxDirty == 0 {
		s.maxDirty = min(m/100*dirtyPercent, 512<<20)
	}
	s.maxDirty = min(s.maxDirty, s.ringSize)
	s.maxDirtyHeap = max(minDirtyHeap, m/100*dirtyHeapPercent)
	return nil
}

func (s *Store) openTrees(r *layout.RootRecord) {
	cfg := func(k layout.TreeKind) *btree.Config { return TreeConfig(k, s.super.FSID) }
	s.cfg = treeConfigs{
		objects: cfg(layout.TreeObjects), colls: cfg(layout.TreeCollections), trash: cfg(layout.TreeTrash), refs: cfg(layout.TreeRefs), owners: cfg(layout.TreeOwners),
		attrs: cfg(layout.TreeAttrs), omap: cfg(layout.TreeOmap), extents: cfg(layout.TreeExtents),
	}
	s.objects = btree.New(s.cfg.objects, s.pages, btree.Owner{}, r.Objects)
	s.colls = btree.New(s.cfg.colls, s.pages, btree.Owner{}, r.Collections)
	s.trash = btree.New(s.cfg.trash, s.pages, btree.Owner{}, r.Trash)
	s.refs = btree.New(s.cfg.refs, s.pages, btree.Owner{}, r.Refs)
	if s.super.Hard() {
		s.owners = btree.New(s.cfg.owners, s.pages, btree.Owner{}, r.Owners)
	}
}

// logConfig is the ring as incarnation inc writes it.
func (s *Store) logConfig(inc uint64) wal.Config {
	r := &s.super.Rings[0]
	c := wal.Config{
		Start: r.Start.Block(), Blocks: r.Blocks, FSID: s.super.FSID, Incarnation: inc,
		OnCommit: s.committed, Beside: s.land, Inline: s.opt.Inline, FlushNanos: &s.lat.LogFlush,
	}
	if s.logAt != s.main {
		c.DataFlush = s.main.Flush
	}
	return c
}
