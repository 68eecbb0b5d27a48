package ebofs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"ebofs/allocator"
	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/wal"
	"ebofs/internal/planted"
)

// checkpoint is the making of one epoch: everything transactions up to the cut
// changed goes into new blocks, and one superblock write makes it the state
// the store starts from.
//
//	cut → wait for its log → fold → object trees → global trees
//	    → bitmaps, zone table, root record → flush → superblocks → flush → release
//
// Until the superblock is written the previous epoch is intact (I1), so an
// error anywhere before stops the store and loses nothing.
type checkpoint struct {
	s     *Store
	ctx   context.Context
	epoch uint64
	cut   uint64    // last transaction in it
	tail  wal.Pos   // where the log of later transactions starts
	clean bool      // the store is being closed
	relay *relayout // what lies where changes with this epoch; nil: it stays

	victims  map[uint64]*victim    // stripes being cleaned, by first block
	owners   map[uint64]*ownerEdit // what the owners tree learns
	names    []ownerName
	judged   int  // frees that writeOwners has seen
	ownedAll bool // the owners tree is complete with it

	fold     folder
	meta     gatherer
	nodePack packer // on hard geometry, for all that goes through meta
	sink     metaSink

	nodes  map[uint64]int     // node runs written by this checkpoint, by first block
	allocs []allocator.Extent // data blocks the new state uses and the old one does not
	frees  []allocator.Extent // blocks the old state uses and the new one does not
	dead   []allocator.Extent // blocks neither of them uses

	unmapped []allocator.Extent  // data blocks dropped that were not marked as shared
	shared   map[uint64]*sharing // changes of reference counts, see refs.go
	groups   groups
	refsLost bool // some of the counts cannot be read

	dataAlloced, dataFreed, metaFreed uint64
	logical                           int64 // change of the sum of object sizes
	unreadable                        int   // things the device gave no answer for, see giveup.go
	lostKeys                          []keyRange
	ahead                             sync.WaitGroup // reads of leaves, see Prefetch
	reaped                            int            // work done on trash, in entries

	turns turns // it is the one that computes for long

	publish []pendingRoot
	root    layout.RootRecord
}

// pendingRoot is a reconciled tree whose pages are not all on the device yet.
type pendingRoot struct {
	tree *btree.Tree
	root btree.Root
}

// reapEntries bounds the work one checkpoint does for removed objects.
const reapEntries = 64 << 10

// reapBatch is how many records of the trash are in RAM at once.
const reapBatch = 1024

// Checkpoint makes everything committed so far part of the durable trees. It
// returns when that is durable; transactions go on meanwhile.
func (s *Store) Checkpoint(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.writable(); err != nil {
		return err
	}
	return s.checkpoint(ctx, false)
}

func (s *Store) checkpoint(ctx context.Context, clean bool) error {
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	return s.checkpointLocked(ctx, clean, nil)
}

// checkpointLocked is checkpoint with ckptMu held, and perhaps a change of what lies
// where.
func (s *Store) checkpointLocked(ctx context.Context, clean bool, relay *relayout) error {
	if err := s.failure(); err != nil {
		return err
	}
	for again := true; again; again = s.kept.yield > 0 {
		begin := time.Now()
		// From here on the caller's patience no longer matters: half a checkpoint
		// would stop the store.
		ck := &checkpoint{s: s, ctx: devices.WithClass(context.WithoutCancel(ctx), devices.ClassCheckpoint), clean: clean, relay: relay, nodes: make(map[uint64]int), turns: turnsOf(ctx)}
		if err := ck.run(); err != nil {
			err = fmt.Errorf("checkpoint %d: %w", ck.epoch, err)
			s.fail(err)
			return err
		}
		s.metrics.Checkpoints.Add(1)
		s.metrics.CheckpointNanos.Add(int64(time.Since(begin)))
		since(&s.lat.Checkpoint, begin)
		s.wakeRoom()
		relay = nil // done
	}
	return nil
}

func (ck *checkpoint) run() error {
	s := ck.s
	defer ck.ahead.Wait()
	ck.fold = folder{ck: ck, out: ck.gather(), cold: ck.gather()}
	if s.defrag.sweep != nil { // nobody waits for it
		ck.fold.cold.ctx = devices.WithClass(ck.ctx, devices.ClassClean)
	}
	defer ck.fold.out.close()
	defer ck.fold.cold.close()
	ck.fold.moved = packer{ctx: ck.ctx, space: s.space, class: allocator.Cold, out: &ck.fold.cold}
	ck.fold.fresh = packer{ctx: ck.ctx, space: s.space, class: allocator.Hot, out: &ck.fold.out}
	ck.meta = ck.gather()
	defer ck.meta.close()
	ck.nodePack = packer{ctx: ck.ctx, space: s.space, class: allocator.Meta, out: &ck.meta}
	ck.sink = metaSink{ck: ck}

	defer ck.letGo()
	if err := ck.chooseVictims(); err != nil {
		return fmt.Errorf("cleaning: %w", err)
	}
	if err := ck.sweep(); err != nil {
		return fmt.Errorf("defragmentation: %w", err)
	}
	if err := ck.takeCut(); err != nil {
		return err
	}
	work := s.dirty.take(ck.epoch)
	versions, err := ck.foldObjects(work.onodes)
	if err != nil {
		return err
	}
	s.folded.Store(ck.epoch)
	s.wakeRoom()                  // clones may wait for it
	work = s.dirty.take(ck.epoch) // with what stubs dropped that were loaded since
	if err := ck.encodeObjects(versions); err != nil {
		return err
	}
	if err := ck.loseObjects(work.lost); err != nil {
		return err
	}
	if err := ck.reap(work.removed); err != nil {
		return err
	}
	for _, d := range work.dead {
		ck.drop(d)
	}
	if err := ck.settleShared(); err != nil {
		return err
	}
	if err := ck.writeOwners(); err != nil {
		return err
	}
	if err := ck.globalTrees(); err != nil {
		return err
	}
	if err := ck.writeRoot(); err != nil {
		return err
	}
	ck.finish(work)
	return nil
}

// takeCut ends the epoch: every transaction applied so far belongs to it. The
// gate is closed for that moment only.
func (ck *checkpoint) takeCut() error {
	s := ck.s
	s.endStrip()
	s.gate.Lock()
	ck.epoch, ck.cut = s.epoch, s.txid
	last := s.lastLSN
	ck.tail = wal.Pos{Block: s.super.Rings[0].TailBlock, Seq: s.super.Rings[0].TailSeq}
	if s.wal != nil {
		ck.tail = s.wal.Cut()
	}
	s.objects.Freeze()
	s.colls.Freeze()
	s.trash.Freeze()
	s.epoch++
	s.space.begin()
	s.journals.begin(s.epoch)
	s.gate.Unlock()
	if s.wal != nil && last > 0 {
		if err := s.wal.Wait(ck.ctx, last); err != nil {
			return err
		}
	}
	return nil
}

// foldObjects freezes every object dirty at the cut and merges its overlay
// into fresh stripes. Objects come in key order, so that neighbours in a
// listing are neighbours on the device.
func (ck *checkpoint) foldObjects(onodes []*onode) ([]*version, error) {
	slices.SortFunc(onodes, func(a, b *onode) int { return cmp.Compare(a.key, b.key) })
	versions := make([]*version, 0, len(onodes))
	for _, o := range onodes {
		o.waitLoaded()
		o.mu.Lock()
		v := o.frozen
		if v == nil || v.epoch != ck.epoch {
			if v = nil; o.epoch == ck.epoch {
				v = ck.s.freezeLocked(o)
				o.epoch = 0
			}
		}
		o.mu.Unlock()
		if v == nil || v.body == nil {
			continue // damaged, or removed: its key is deleted already
		}
		if err := ck.fold.fold(v); err != nil {
			return nil, err
		}
		versions = append(versions, v)
	}
	return versions, ck.fold.install()
}

// encodeObjects reconciles every object's own trees and puts the onode into
// the object tree.
func (ck *checkpoint) encodeObjects(versions []*version) error {
	var key, buf []byte
	var on layout.Onode
	for _, v := range versions {
		ck.turns.did(recordTime)
		b := v.body
		on = layout.Onode{
			ID: b.id, Size: b.size, Flags: b.flags, Hint: layout.AllocHint{ObjectSize: b.hintSize, WriteSize: b.hintIO},
			OmapHeader: b.header, Inline: b.inline,
		}
		for _, t := range [...]struct {
			tree *btree.Tree
			root *btree.Root
		}{{b.attrs, &on.Attrs}, {b.omap, &on.Omap}, {b.extents, &on.Extents}} {
			root, err := ck.reconcile(t.tree)
			if err != nil {
				return fmt.Errorf("object %s: %w", objectName(v.key), err)
			}
			*t.root = root
		}
		var err error
		if buf, err = on.Append(buf[:0]); err != nil {
			return fmt.Errorf("object %s: %w", objectName(v.key), err)
		}
		ck.named(v, on.Extents.Kind != btree.RootEmpty)
		ck.logical += int64(b.size) - int64(v.from.savedSize)
		v.from.savedSize = b.size // the checkpointer's own field
		key = append(key[:0], v.key...)
		ck.s.objects.AppendFrozen(key, buf)
	}
	return nil
}

// reconcile merges a tree's frozen delta into pages; nil is an empty tree.
func (ck *checkpoint) reconcile(t *btree.Tree) (btree.Root, error) {
	if t == nil {
		return btree.Root{}, nil
	}
	if !t.Frozen() {
		return t.Root(), nil
	}
	root, err := t.Reconcile(ck.ctx, &ck.sink)
	if err != nil {
		return root, err
	}
	ck.publish = append(ck.publish, pendingRoot{t, root})
	if len(ck.publish) >= 4096 {
		err = ck.publishAll()
	}
	return root, err
}

// flushMeta writes what metadata was gathered.
func (ck *checkpoint) flushMeta() error {
	if err := ck.nodePack.seal(); err != nil {
		return err
	}
	return ck.meta.flush()
}

// publishAll shows reconciled trees to readers once their pages are written.
func (ck *checkpoint) publishAll() error {
	if err := ck.flushMeta(); err != nil {
		return err
	}
	for _, p := range ck.publish {
		p.tree.Publish(p.root)
	}
	clear(ck.publish)
	ck.publish = ck.publish[:0]
	return nil
}

// reap frees what removed objects held, a bounded amount each checkpoint. What
// does not fit waits in the trash tree.
func (ck *checkpoint) reap(removed []*body) error {
	s := ck.s
	s.trashLeft.Store(false)
	limit := reapEntries
	if ck.clean {
		limit = 1 << 62
	}
	for lo := []byte(nil); ; {
		var old []layout.Trash
		more := false
		err := s.trash.Iter(ck.ctx, lo, nil, func(key, val []byte) bool {
			if more = len(old) == reapBatch; more {
				lo = slices.Clone(key)
				return false
			}
			t, err := layout.DecodeTrash(slices.Clone(val))
			if err != nil {
				s.log.Warn("trash record unreadable, its space stays used", "err", err)
				return true
			}
			old = append(old, t)
			return true
		})
		if err != nil {
			return fmt.Errorf("trash: %w", err)
		}
		for i := range old {
			if err := ck.reapOne(&old[i], limit, true); err != nil {
				return err
			}
		}
		if !more {
			break
		}
		if ck.reaped >= limit {
			s.trashLeft.Store(true)
			break
		}
	}
	for _, b := range removed {
		t := layout.Trash{ID: b.id, Size: b.savedSize, Attrs: rootOf(b.attrs), Omap: rootOf(b.omap), Extents: rootOf(b.extents)}
		ck.logical -= int64(b.savedSize)
		ck.unnamed(b)
		if err := ck.reapOne(&t, limit, false); err != nil {
			return err
		}
	}
	return nil
}

// reapOne frees up to the rest of limit of one removed object.
func (ck *checkpoint) reapOne(t *layout.Trash, limit int, stored bool) error {
	s := ck.s
	key := layout.Uint64Key(t.ID)
	done := true
	for _, part := range [...]struct {
		cfg  *btree.Config
		root *btree.Root
		data bool
	}{{s.cfg.extents, &t.Extents, true}, {s.cfg.omap, &t.Omap, false}, {s.cfg.attrs, &t.Attrs, false}} {
		if part.root.Kind == btree.RootEmpty {
			continue
		}
		counted := part.data && s.refs.Root().Kind != btree.RootEmpty && !planted.On(planted.TrashOwned)
		if ck.reaped >= limit || counted && ck.crowded() {
			done = false
			break
		}
		n, most := 0, limit-ck.reaped
		var each func(key, val []byte) error
		if part.data {
			each = func(_, val []byte) error {
				n++
				return ck.diffChunk(val, nil)
			}
			if counted {
				each = func(_, val []byte) error {
					n++
					return ck.unshareChunk(val)
				}
				most = min(most, sharedStep)
			}
		}
		own := btree.Owner{ID: t.ID}
		rest, ok, err := btree.Drop(ck.ctx, s.pages, part.cfg, &own, *part.root, &ck.sink, most, each)
		ck.reaped += n + 1
		if err != nil {
			// A damaged page costs space, not the store: fsck finds what leaks.
			s.log.Warn("removed object is damaged, its space stays used", "oid", t.ID, "err", err)
			*part.root = btree.Root{}
			continue
		}
		if !ok {
			*part.root, done = rest, false
			break
		}
		*part.root = btree.Root{}
	}
	switch {
	case done && stored:
		s.trash.DeleteFrozen(key[:])
	case !done:
		s.trashLeft.Store(true)
		val, err := t.Append(nil)
		if err != nil {
			return err
		}
		s.trash.PutFrozen(key[:], val)
	}
	return nil
}

// globalTrees reconciles the trees the root record names.
func (ck *checkpoint) globalTrees() error {
	s := ck.s
	for _, t := range [...]struct {
		tree *btree.Tree
		root *btree.Root
	}{{s.colls, &ck.root.Collections}, {s.objects, &ck.root.Objects}, {s.trash, &ck.root.Trash}, {s.refs, &ck.root.Refs}, {s.owners, &ck.root.Owners}} {
		if t.tree == nil {
			continue
		}
		root, err := ck.reconcile(t.tree)
		if err != nil {
			return fmt.Errorf("tree %s: %w", t.tree.Config().Name, err)
		}
		*t.root = root
	}
	return ck.publishAll()
}

// writeRoot writes what names the new trees, and last the superblock.
func (ck *checkpoint) writeRoot() error {
	s := ck.s
	newMeta := uint64(0)
	for start, n := range ck.nodes {
		ck.allocs = append(ck.allocs, allocator.Extent{Start: start, Blocks: uint64(n)})
		newMeta += uint64(n)
	}
	c := &ck.root.Counters
	*c = s.counters
	c.Collections = ck.root.Collections.Count
	c.Objects = ck.root.Objects.Count
	c.LogicalBytes = uint64(int64(c.LogicalBytes) + ck.logical)
	c.DataBlocks += ck.dataAlloced - ck.dataFreed
	c.MetaBlocks += newMeta - ck.metaFreed
	c.TrashObjects = ck.root.Trash.Count
	ck.root.Cut = ck.cut
	ck.root.NextObjectID = s.nextID.Load() + 1
	ck.choose()

	if ck.relay != nil {
		s.space.relayout(ck.relay.place)
	}
	ref, err := s.space.save(ck)
	if err != nil {
		return err
	}
	if err := ck.flushMeta(); err != nil {
		return err
	}
	if !planted.On(planted.SuperNoFlush) {
		if err := s.main.Flush(ck.ctx); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
	}
	sb := s.super
	sb.Generation++
	sb.Epoch = ck.epoch
	sb.Root = ref
	sb.Features.Incompat |= layout.FeatDenseOnodes // of an older store, from its first checkpoint on
	if len(ck.shared) > 0 {
		sb.Features.Incompat |= layout.FeatSharedBlocks
	}
	if ck.ownedAll {
		sb.Features.Incompat |= layout.FeatOwnerIndex
	}
	if sb.Features.Compat &^= layout.FeatKeptEpochs; ck.root.Keep > 0 {
		sb.Features.Compat |= layout.FeatKeptEpochs
	}
	sb.Flags &^= layout.SuperClean
	if ck.clean {
		sb.Flags |= layout.SuperClean
	}
	sb.Rings = append([]layout.Ring(nil), sb.Rings...)
	r := &sb.Rings[0]
	r.Incarnation = s.incarnation
	r.TailBlock, r.TailSeq, r.PrevCRC = ck.tail.Block, ck.tail.Seq, 0
	write := s.writeSuper
	if ck.relay != nil {
		ck.relay.edit(&sb)
		s.place = ck.relay.place
		if ck.relay.grows() {
			write = s.writeGrown
		}
	}
	if err := write(ck.ctx, &sb); err != nil {
		return err
	}
	s.super = sb
	s.kept.yield = 0
	s.kept.init(&ck.root, &sb)
	s.counters = *c
	s.metaBlocks.Store(c.MetaBlocks)
	if !ck.relay.grows() {
		return nil
	}
	if err := s.settleGrow(ck.ctx); err != nil {
		return fmt.Errorf("grow: %w", err)
	}
	return s.space.extend(ck.ctx, &ck.relay.from)
}

// writeSuper writes a superblock to its two slots and makes it durable.
func (s *Store) writeSuper(ctx context.Context, sb *layout.Superblock) error {
	head, tail := s.place.SlotsOf(sb.Generation)
	return s.writeSuperTo(ctx, sb, head, tail)
}

// writeSuperTo writes a superblock to slots and makes it durable.
func (s *Store) writeSuperTo(ctx context.Context, sb *layout.Superblock, slots ...uint64) error {
	f := s.pool.Get(blockSize)
	defer f.Release()
	sb.Written = s.now()
	for _, b := range slots {
		sb.Self = layout.MakeAddr(0, b)
		if err := sb.Encode(f.Bytes()); err != nil {
			return err
		}
		s.metrics.written.add(WriteSuper, blockSize, blockSize)
		if err := s.main.Write(ctx, devices.Block(b), devices.Vec{f.Bytes()}); err != nil {
			return fmt.Errorf("superblock at block %d: %w", b, err)
		}
	}
	if planted.On(planted.SuperUnflushed) {
		return nil
	}
	if err := s.main.Flush(ctx); err != nil {
		return fmt.Errorf("flush of the superblock: %w", err)
	}
	return nil
}

// finish gives back what only the previous epoch needed.
func (ck *checkpoint) finish(work dirtyEpoch) {
	s := ck.s
	if s.wal != nil {
		s.wal.SetTail(ck.tail)
	}
	for _, o := range work.onodes {
		o.mu.Lock()
		if o.frozen != nil && o.frozen.epoch == ck.epoch {
			o.frozen = nil
		}
		o.mu.Unlock()
		o.refs.Add(-1)
	}
	ck.ahead.Wait() // what is freed may be used again
	ck.dropLost()
	ck.cleaned()
	ck.findStale()
	s.space.fulfil(work.tokens)
	s.dirty.done(ck.epoch)
	s.journals.end(ck.epoch)
	s.releaseLimbo(ck.ctx, ck.epoch)
	s.space.unload()
	if !ck.clean {
		if err := s.refill(ck.ctx); err != nil {
			s.log.Warn("reserve not filled", "err", err)
		}
	}
	s.space.had.Store(s.space.usable())
}
