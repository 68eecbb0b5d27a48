package ebofs

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// Options say how a store is opened. The zero value works.
type Options struct {
	// ReadOnly opens without writing anything: the log is replayed in RAM.
	// Damage that a writable open refuses is reported by Degraded.
	ReadOnly bool

	// AtEpoch, with ReadOnly, opens the store as that checkpoint left it, without
	// its log: the newest or a kept one. 0: as it is now. ErrNotFound says which
	// there are.
	AtEpoch uint64

	// LogDevice is where the log lies if mkfs put it on a device of its own. A
	// store that was closed can be read without it.
	LogDevice devices.Device

	// ReplayImage allows a writable open of an image without data (package image),
	// as fsck needs one, on top of it, to see what the log brings. The data such a
	// store folds is zeros.
	// Such a mount ends with a checkpoint and leaves the log as it is.
	ReplayImage bool

	// MemoryBytes is the budget for everything the store keeps in RAM.
	// Default DefaultMemory, at least 64 MiB. Of it dirty data takes up to 20 %,
	// object data 4 to 15 % and node pages 25 to 36 %, as there is use for them: together
	// 40 %, and more only while pages have their 25; onodes take 8 %; the rest is for the Go heap. While few changes wait
	// for a checkpoint and the heap of the process is small, pages have up to 15 % more. A program that owns its
	// process gives the runtime half of it as memory limit.
	MemoryBytes int64

	// CheckpointInterval is the age at which changes are checkpointed though no
	// budget asks for it. Default 30 s: long enough to be rare on a busy store,
	// short enough that an idle one soon has an empty log.
	CheckpointInterval time.Duration

	// Defrag keeps the score of free space below a goal while the store is mounted;
	// the zero value leaves it alone. Its Objects counts for nothing here.
	Defrag DefragOptions

	// Warm has the leaves that say where objects are read in the background after
	// Open, as many as pages have room for, so that first reads need not; with Inline
	// all of that before Open returns. A store that is opened for a moment has no use of
	// it, and with ReadOnly nothing is read.
	Warm bool

	// DiscardBytesPerSecond has what is freed discarded while the store is mounted, so
	// many bytes a second at most, in runs of at least 1 MiB. 0: only Trim discards.
	DiscardBytesPerSecond uint64

	// Inline runs everything in the caller's goroutine, checkpoints included,
	// in an order that depends on the calls alone: for simulation and crash
	// tests. One goroutine at a time may use such a store.
	Inline bool

	// DirectFrom is how many transactions the log commits with one flush when small
	// writes begin to go straight to their place beside the log, and not through it
	// (docs/decisions/strips.md). Default 7, with Inline never; negative: never. On
	// hard geometry checkpoints pack all small data into whole stripes.
	DirectFrom int

	// MaxOnodes bounds the onodes kept decoded; 0 derives it from MemoryBytes.
	MaxOnodes int

	// MaxDirtyBytes bounds what changes keep in RAM between checkpoints, journaled data
	// before all, in bytes; 0 derives it from MemoryBytes and the size of the log.
	MaxDirtyBytes int64

	// Refuse, if set, is asked before every allocation and every promise of
	// space, named by its kind; true refuses it as a full device would. For
	// tests; nil costs nothing. It must not use the store.
	Refuse func(kind string) bool

	// Logger receives what happens; default: nothing is logged.
	Logger *slog.Logger

	// Now is the clock; default time.Now. Only pacing and time stamps use it.
	Now func() time.Time

	heapBytes func() int64 // what the heap has of the memory; for tests
}

const defaultDirectFrom = 7

// DefaultMemory is the default of Options.MemoryBytes.
const DefaultMemory = 2 << 30

const (
	minMemory      = 64 << 20
	onodeFootprint = 1 << 10 // measured: a decoded onode with its trees and table entry
	// Onodes that wait for a checkpoint may have dirtyHeapPercent of the memory, and
	// minDirtyHeap at least, for on a large store each change falls into a leaf of its own
	// unless there are many. dirtyFootprint is for one of them while its checkpoint writes
	// it, beside burden.heap (measured: TestDirtyFootprint).
	dirtyHeapPercent = 25
	minDirtyHeap     = 80 << 20
	dirtyFootprint   = 1536
)

func (o *Options) fill() error {
	var errs []error
	if o.MemoryBytes == 0 {
		o.MemoryBytes = DefaultMemory
	}
	if o.MemoryBytes < minMemory {
		errs = append(errs, fmt.Errorf("memory budget %d is below the least, %d", o.MemoryBytes, int64(minMemory)))
	}
	if o.CheckpointInterval == 0 {
		o.CheckpointInterval = 30 * time.Second
	}
	if o.DirectFrom == 0 && !o.Inline {
		o.DirectFrom = defaultDirectFrom
	}
	if o.CheckpointInterval < 0 || o.MaxOnodes < 0 || o.MaxDirtyBytes < 0 {
		errs = append(errs, errors.New("negative limit"))
	}
	if o.AtEpoch != 0 && !o.ReadOnly {
		errs = append(errs, errors.New("an earlier epoch can only be read"))
	}
	if err := o.Defrag.fill(); err != nil {
		errs = append(errs, err)
	}
	if o.MaxOnodes == 0 {
		o.MaxOnodes = int(o.MemoryBytes / 100 * 8 / onodeFootprint)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.heapBytes == nil {
		o.heapBytes = heapBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return nil
}

// FormatOptions say what mkfs makes. The zero value works.
type FormatOptions struct {
	UUID       [16]byte // store id; zero: a random one
	DeviceUUID [16]byte // zero: a random one
	Label      string   // at most 64 bytes
	Cluster    [16]byte
	OSD        int64 // -1: none; 0 is OSD 0 if Cluster is set

	SizeBytes uint64 // use only so much of the device; 0: all
	LogBytes  uint64 // 0: a 32nd of the device within 64 MiB to 4 GiB
	// What is filled as a whole, instead of what the device reports.
	StripeBytes uint32  // 0: as reported
	UnitBytes   uint32  // a part of it; 0: as reported, or the stripe if that is no multiple of it
	AlignBytes  *uint64 // first boundary, below the stripe; nil: as reported, modulo the stripe
	Hard        *bool   // partial stripes are expensive; nil: as reported
	// SlackPercent is the share of the store that is never reported as free, 1 to
	// layout.MaxSlack. 0: 8 on hard geometry, where cleaning gets dear as the store
	// fills up, else 1.
	SlackPercent uint8

	KeepEpochs int // so many earlier checkpoints stay readable; 0: none

	LogDevice devices.Device // the log gets this device to itself

	Now func() time.Time
}

// Info is what mkfs decided.
type Info struct {
	UUID       layout.UUID
	DeviceUUID layout.UUID
	Blocks     uint64
	Placement  layout.Placement
	Unit       uint32 // bytes
	Hard       bool
	LogBlocks  uint64
	Reserve    uint64 // blocks
}
