package ebofs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/datacache"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/wal"
)

// Store is one mounted object store.
//
// Lock order, outermost first:
//
//	ckptMu                   one checkpoint at a time
//	  structMu               collections appear and vanish under it
//	    collection.queue     several at once: in order of their ids
//	      gate               read: a transaction applies; write: an epoch ends
//	        onode.mu         several at once: in order of their keys
//	          locks of btree.Tree, space.mu, dirtyList, logMu, onodeShard, holds
//	          journal.mu, journals.mu, shares.mu in this order; streams.mu; strips.mu
//	            shards of the data cache and of the pages
//
// Only ckptMu, structMu, collection.queue, space.load and strips.filling, which is
// outside of that one, may be held across device I/O; the gate and onode.mu for reading, by a clone, what it has read a
// moment before. A transaction that clones waits for the fold of a checkpoint
// with its queues held: checkpoints take neither structMu nor queues.
type Store struct {
	opt             Options
	main            devices.Device
	logAt           devices.Device     // where the ring is: main, or the log device; nil: it is not needed
	sched, logSched *devices.Scheduler // main and logAt, as what they are; nil: main has the log
	place           layout.Placement
	log             *slog.Logger
	now             func() time.Time

	pool      *devices.Pool
	pages     *pages
	data      *datacache.Cache
	shares    shares
	streams   streams
	space     *space
	lostZones int      // bitmaps given up; guarded by the space's load lock
	wal       *wal.Log // nil: read-only

	cfg     treeConfigs
	objects *btree.Tree
	colls   *btree.Tree
	trash   *btree.Tree
	refs    *btree.Tree // the checkpointer's alone
	owners  *btree.Tree // likewise; nil on soft geometry

	onodes      onodeTable
	dirty       dirtyList
	journals    journals
	objectCount atomic.Int64
	nextID      atomic.Uint64
	metaBlocks  atomic.Uint64
	loads       chan struct{} // bounds background loads
	loading     sync.WaitGroup
	opening     atomic.Int64 // onodes whose load has not ended

	structMu  sync.RWMutex
	collMap   atomic.Pointer[collectionMap] // replaced under structMu
	collsLost error                         // why a read-only store lacks collections; nil: it has them all

	gate   sync.RWMutex
	epoch  uint64        // the open epoch; written with the gate closed
	folded atomic.Uint64 // newest epoch whose objects are all folded: see clone.go

	logMu   sync.Mutex
	txid    uint64  // last given; written under logMu and the gate
	lastLSN wal.LSN // likewise
	notices []notice

	strips  strips
	detours detours
	trail   trail

	inflight atomic.Int64 // bytes of admitted records not yet in the log
	noData   bool         // made by image restore; set by Open, as the next two
	unit     uint64       // bytes: the least written directly
	ringSize int64
	maxDirty int64

	maxDirtyHeap int64 // of onodes that wait for a checkpoint

	room    *sync.Cond // signalled when there may be room: see waitRoom
	roomMu  sync.Mutex // innermost but for dirtyList and the log's own
	waiters atomic.Int32
	guard   guard
	holds   holds
	limbo   limboState
	metrics counters
	lat     Latencies

	ckptMu      sync.Mutex
	super       layout.Superblock // newest durable; guarded by ckptMu
	counters    layout.Counters   // of the newest durable root record
	incarnation uint64
	kept        keeper
	mostShared  uint64      // groups of reference counts that removed objects may change in a checkpoint
	trashLeft   atomic.Bool // removed objects are waiting for the next checkpoint
	cleaner     cleaner
	defrag      defragState
	discards    discards

	failed   atomic.Pointer[error] // first error that stopped the store
	closed   atomic.Bool
	ops      atomic.Int64 // operations that use caches or devices; Close waits for them
	degraded string       // why a read-only store is not all there

	wake chan struct{} // a checkpoint is wanted
	done chan struct{}
	bg   sync.WaitGroup
	fin  finisher
}

// treeConfigs are the configurations of the store's trees.
type treeConfigs struct {
	objects, colls, trash *btree.Config
	refs, owners          *btree.Config
	attrs, omap, extents  *btree.Config
}

// limboState follows freed blocks from durable to reusable.
type limboState struct {
	want   uint64 // newest durable epoch
	period uint64 // epoch whose grace period is running or over
	done   uint64 // epochs up to here are released
}

// TreeConfig returns how the trees of a kind are laid out in the store fsid,
// for tools that read them.
func TreeConfig(kind layout.TreeKind, fsid layout.UUID) *btree.Config {
	c := &btree.Config{Name: kind.String(), Kind: uint8(kind), FSID: fsidLow(fsid)}
	switch kind {
	case layout.TreeObjects:
		c.LeafBytes, c.OverflowBytes = 16<<10, 12<<10
	case layout.TreeCollections:
		c.LeafBytes, c.InlineBytes = 8<<10, 2<<10 // a few collections cost no node
	case layout.TreeTrash:
		c.LeafBytes, c.FixedKey, c.Cmp = 8<<10, 8, btree.Uint64
		c.OverflowBytes = 8 << 10
	case layout.TreeRefs:
		c.LeafBytes, c.FixedKey, c.Cmp = 8<<10, 8, btree.Uint64
	case layout.TreeOwners:
		c.LeafBytes, c.FixedKey = 16<<10, layout.OwnerKeyBytes
		c.OverflowBytes = 8 << 10
	case layout.TreeAttrs:
		c.LeafBytes, c.InlineBytes = 8<<10, 1<<10
	case layout.TreeOmap:
		c.LeafBytes, c.InlineBytes = 16<<10, 1<<10
	case layout.TreeExtents:
		c.LeafBytes, c.InlineBytes, c.FixedKey, c.Cmp = 8<<10, 2<<10, 8, btree.Uint64
		c.Diff = true
	}
	return c
}

func fsidLow(u layout.UUID) uint64 {
	var v uint64
	for i := 7; i >= 0; i-- {
		v = v<<8 | uint64(u[i])
	}
	return v
}

// fail stops the store after a device error or a bug that makes going on
// unsafe: it stays readable and refuses changes until it is reopened.
func (s *Store) fail(err error) {
	if s.failed.CompareAndSwap(nil, &err) {
		s.log.Error("store is read-only until it is reopened", "err", err)
	}
	s.wakeRoom()
}

// failure returns the error that stopped the store, or nil.
func (s *Store) failure() error {
	if p := s.failed.Load(); p != nil {
		return fmt.Errorf("%w: stopped by: %w", ErrReadOnly, *p)
	}
	return nil
}

// Options returns what the store was opened with, defaults filled in.
func (s *Store) Options() Options {
	o := s.opt
	o.MaxDirtyBytes = s.maxDirty
	return o
}

// Err returns why the store refuses changes, nil if it takes them.
func (s *Store) Err() error { return s.writable() }

func (s *Store) writable() error {
	if s.closed.Load() {
		return ErrClosed
	}
	if s.opt.ReadOnly {
		return ErrReadOnly
	}
	return s.failure()
}

func (s *Store) readable() error {
	if s.closed.Load() {
		return ErrClosed
	}
	return nil
}

// Degraded says what a read-only open could not bring back; empty if nothing.
func (s *Store) Degraded() string { return s.degraded }

// degrade adds a reason to Degraded.
func (s *Store) degrade(why string) {
	s.degraded = strings.TrimPrefix(s.degraded+"; "+why, "; ")
}

// Superblock returns the newest durable superblock. It does not wait for a
// checkpoint that runs.
func (s *Store) Superblock() layout.Superblock {
	s.holds.mu.Lock()
	defer s.holds.mu.Unlock()
	return s.holds.super
}

// enter begins an operation that uses caches or devices, leave ends it.
func (s *Store) enter() error {
	s.ops.Add(1)
	if s.closed.Load() {
		s.ops.Add(-1)
		return ErrClosed
	}
	return nil
}

// Without goroutines of its own the store tells commits here, where nothing is
// held: a callback may use the store.
func (s *Store) leave() {
	s.ops.Add(-1)
	if s.opt.Inline {
		s.fin.run()
	}
}

// Close refuses new operations, waits for those under way, checkpoints, marks
// the store clean and releases everything but the devices, which are the
// caller's. A stopped store is closed without writing.
func (s *Store) Close(ctx context.Context) error { return s.shut(ctx, s.closeClean) }

// shut is Close that ends a store that may be written with last.
func (s *Store) shut(ctx context.Context, last func(ctx context.Context) error) error {
	if !s.closed.CompareAndSwap(false, true) {
		return ErrClosed
	}
	for wait := 10 * time.Microsecond; s.ops.Load() != 0; wait = min(2*wait, time.Millisecond) {
		s.wakeRoom() // whoever waits for room finds the store closed
		time.Sleep(wait)
	}
	s.loading.Wait()
	s.holds.end(ErrClosed, func(*Pin) bool { return true })
	var err error
	if !s.opt.ReadOnly {
		s.stopBackground()
		if err = s.failure(); err == nil {
			err = last(ctx)
		}
	}
	if s.wal != nil {
		if e := s.wal.Close(); err == nil && e != nil && !errors.Is(e, wal.ErrClosed) {
			err = e
		}
	}
	s.fin.stop()
	return errors.Join(err, s.free())
}

// closeClean checkpoints until nothing is left to do, then marks the store.
func (s *Store) closeClean(ctx context.Context) error {
	for range 8 {
		if err := s.checkpoint(ctx, true); err != nil {
			return err
		}
		if !s.trashLeft.Load() && !s.cleaner.left.Load() {
			return nil
		}
	}
	return nil
}

// free gives back caches and pool.
func (s *Store) free() error {
	var err error
	if s.pages != nil {
		s.pages.Clear()
	}
	if s.data != nil {
		s.data.Close()
	}
	s.journals.close()
	s.strips.drop()
	if s.pool != nil {
		err = errors.Join(err, s.pool.Close())
	}
	return err
}

// Sync returns when everything applied before the call is committed.
func (s *Store) Sync(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.writable(); err != nil {
		return err
	}
	s.logMu.Lock()
	last := s.lastLSN
	s.logMu.Unlock()
	if last == 0 {
		return nil
	}
	return s.wal.Wait(ctx, last)
}
