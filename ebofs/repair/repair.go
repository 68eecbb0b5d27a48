package repair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// Mode says what may be done without asking.
type Mode int

// The modes.
const (
	// Safe replays the log, restores label and superblock copies from sound ones
	// and rebuilds counters. It decides nothing that could be decided otherwise.
	Safe Mode = iota
	// All does what Safe does and everything else.
	All
)

// Options say what Run may do. The zero value is a safe repair.
type Options struct {
	Mode Mode
	// Deep verifies all data and marks what is damaged; otherwise data is looked
	// at only where something else gives reason to.
	Deep bool
	// Overwrite allows writing to the start of a device that holds something other
	// than this store's label, as after an accident.
	Overwrite bool
	// ClearEnds clears, in mode All, what does not belong at the ends of the device
	// even if the label is sound.
	ClearEnds bool
	// DropEpochs allows a repair that loses something to drop the kept epochs, as every
	// new checkpoint of a repair does: they may be all there is of what is lost.
	DropEpochs bool
	// LogDevice is the device that holds the log if it is not the main one.
	LogDevice devices.Device
	// FSID picks a store for salvage if traces of several are found; zero: the one
	// with most traces.
	FSID layout.UUID
	// Found is what a check of the store said; nil if it could not be checked.
	Found *check.Report
	// PlaceholderBlocks bounds the blocks that stand for lost parts of one object;
	// an object that would need more is set apart as a whole. Default 16384, 64
	// MiB: free space is worth more than the rest of such an object.
	PlaceholderBlocks int
	// RefGroups bounds the memory for counting who maps shared blocks: the groups of
	// 64 blocks, some 350 bytes each, that one walk counts. If there are more, further
	// walks count the rest. Default 262144: 90 MiB for 64 GiB of shared data.
	RefGroups int
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Logger takes what the store says while it replays its log; default: none.
	Logger *slog.Logger
	// Progress is called from time to time.
	Progress func(phase string, done, total uint64)
}

// Action is something that was done.
type Action struct {
	Code   check.Code     `json:"code"` // of the problem it cures, or the nearest
	What   string         `json:"what"`
	Lost   bool           `json:"lost"`           // something is not there any more or cannot be read
	Gone   uint64         `json:"gone,omitempty"` // objects that are not listed any more
	Object []check.Object `json:"objects,omitempty"`
}

// Result is what Run did and what it would not do.
type Result struct {
	Actions []Action `json:"actions"`
	Omitted uint64   `json:"omitted,omitempty"` // actions beyond the first 10000
	Refused []string `json:"refused,omitempty"` // what was not done, and what allows it
	Lost    uint64   `json:"lost"`              // actions that say so
	Gone    uint64   `json:"gone"`              // objects that are not listed any more
	// Doubtful says that a salvage had to put leaves together without proof that
	// none is missing: if one was damaged, an older version of it, with older
	// objects, may stand in its place.
	Doubtful bool `json:"doubtful,omitempty"`
}

const maxActions = 10000

func (r *Result) did(a Action) {
	if a.Lost {
		r.Lost++
	}
	r.Gone += a.Gone
	if len(r.Actions) >= maxActions {
		r.Omitted++
		return
	}
	r.Actions = append(r.Actions, a)
}

// ErrForeign is returned if something else may live on the device now.
var ErrForeign = errors.New("the start of the device holds something else")

// ErrNothing is returned by a salvage that found no trace of a store.
var ErrNothing = errors.New("no trace of a store")

// repairer is one run.
type repairer struct {
	ctx context.Context
	o   Options
	res Result
	d   *device

	sb    layout.Superblock
	last  uint64 // generation to count on from
	place layout.Placement
	fixed []layout.Extent
	root  layout.RootRecord

	busy blockSet // in use by the store as it is, or by what repair made
	used blockSet // in use according to the bitmaps that can be read
	sink *sink
	ids  idSet

	shared blockSet // of busy: data whose records may share it

	logged   ebofs.LogContent // what the log will bring at the next mount
	replayed bool
	salvaged bool
	unjoined []string                   // keys of objects that records change which cannot be replayed
	preset   map[layout.TreeKind][]leaf // salvage: what the trees of the root record consist of
}

// Run repairs the store on dev as far as o.Mode allows. Writes go to dev: give it
// an Undo to be able to take them back. An error means that the repair could not be
// finished; the store is then as it was or as a part of the repair left it, and Run
// may be called again.
func Run(ctx context.Context, dev devices.Device, o Options) (*Result, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PlaceholderBlocks == 0 {
		o.PlaceholderBlocks = 16384
	}
	if o.RefGroups == 0 {
		o.RefGroups = 1 << 18
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &repairer{ctx: ctx, o: o, res: Result{Actions: []Action{}}, d: &device{dev: dev, pool: devices.NewPool(devices.PoolOptions{})}}
	err := r.run()
	if f, ok := dev.(interface {
		Finish(ctx context.Context) error
	}); ok && err == nil {
		err = f.Finish(ctx)
	}
	return &r.res, errors.Join(err, r.d.pool.Close())
}

func (r *repairer) run() error {
	found, err := ebofs.Find(r.ctx, r.d.dev)
	if err != nil {
		if r.o.Mode != All || !salvageable(err) {
			return err
		}
		return r.salvage(nil, &found)
	}
	r.sb = found.Super
	if r.sb.Flags&layout.SuperFormatting != 0 {
		return fmt.Errorf("mkfs did not finish: %w", ebofs.ErrNoStore)
	}
	if r.sb.Role != layout.RoleMain || r.sb.Index != 0 {
		return fmt.Errorf("this is the %v device of store %v, repair its main device: %w", r.sb.Role, r.sb.FSID.Short(), ebofs.ErrNoStore)
	}
	if err := r.sb.Features.CheckWrite(); err != nil {
		return err
	}
	if have := r.d.dev.Geometry().Blocks; have < r.sb.Blocks {
		return fmt.Errorf("the device has %d blocks, the store %d: give it its size back first", have, r.sb.Blocks)
	}
	r.last = layout.LastGeneration(found.Slots, &found.Super)
	if err := r.bind(); err != nil {
		return err
	}
	if err := r.restoreLabels(&found); err != nil {
		return err
	}
	roots, rootErr := ebofs.ReadRoots(r.ctx, r.d.dev, &r.sb)
	if rootErr == nil && !r.sb.Clean() {
		if err := r.replay(); err != nil {
			if r.o.Mode != All || r.ctx.Err() != nil {
				return fmt.Errorf("replay the log: %w", err)
			}
			// It may be what is damaged that stands in the way.
			if err := r.readLog(); err != nil {
				return err
			}
		} else if roots, rootErr = ebofs.ReadRoots(r.ctx, r.d.dev, &r.sb); rootErr != nil {
			return rootErr
		}
	} else if rootErr != nil && !r.sb.Clean() {
		if err := r.readLog(); err != nil {
			return err
		}
	}
	if r.o.Mode == Safe {
		return r.runSafe(rootErr)
	}
	if rootErr != nil && !roots.Sound() {
		return r.salvage(&r.sb, &found)
	}
	r.root = roots.Record
	// The labels name the new size; what was near the old end is space from now on.
	r.sb.GrowingFrom = 0
	return r.rebuild(rootErr)
}

// bind tells an Undo whose device it is.
func (r *repairer) bind() error {
	r.place = r.sb.Placement()
	r.fixed = r.place.Fixed()
	if b, ok := r.d.dev.(interface {
		Bind(ctx context.Context, fsid, device layout.UUID) error
	}); ok {
		return b.Bind(r.ctx, r.sb.FSID, r.sb.DeviceUUID)
	}
	return nil
}

// progress reports how far a phase is.
func (r *repairer) progress(phase string, done, total uint64) {
	if r.o.Progress != nil {
		r.o.Progress(phase, done, total)
	}
}

func (r *repairer) fsidLow() uint64 { return le.Uint64(r.sb.FSID[:8]) }

// counts are the codes whose cure is a recount.
func onlyCounters(rep *check.Report) (any, only bool) {
	only = rep.Omitted == 0
	for i := range rep.Problems {
		switch rep.Problems[i].Code {
		case check.Counter, check.ZoneCount:
			any = true
		case check.LabelBad, check.LabelOther, check.SuperBad:
		default:
			only = false
		}
	}
	return any, only
}

// runSafe ends a safe repair: superblocks and counters.
func (r *repairer) runSafe(rootErr error) error {
	if rep := r.o.Found; rep != nil {
		if any, only := onlyCounters(rep); any && only && rootErr == nil {
			roots, err := ebofs.ReadRoots(r.ctx, r.d.dev, &r.sb)
			if err != nil {
				return err
			}
			r.root = roots.Record
			return r.rebuild(nil)
		}
	}
	return r.restoreSlots()
}
