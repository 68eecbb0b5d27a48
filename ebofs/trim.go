package ebofs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ebofs/allocator"
	"ebofs/devices"
	"ebofs/internal/planted"
)

// TrimOptions say what Trim discards. The zero value works.
type TrimOptions struct {
	// MinBytes is the shortest run worth a command. Default 1 MiB: a disk maps in
	// larger units, and many short commands take longer than they gain.
	MinBytes uint64
	// BytesPerSecond bounds how fast it goes, on average; 0: as fast as the device.
	BytesPerSecond uint64
	// DryRun counts and discards nothing. Of a read-only store and device it is an
	// estimate: what the log names counts as free, the device's units are not known.
	DryRun bool
	// Progress, if set, is told how many blocks of zones are done.
	Progress func(done, total uint64)

	pause func(ctx context.Context, d time.Duration) error // for tests
}

// TrimResult says what Trim did.
type TrimResult struct {
	Bytes   uint64 // discarded
	Runs    uint64 // in so many commands
	Skipped uint64 // bytes that are free and were left alone: short, unaligned, wanted at that moment
}

// minDiscard is the shortest run worth a command, in bytes, unless somebody says.
const minDiscard = 1 << 20

// trimStep is the most one command gives up, in bytes: what it covers cannot be
// handed out meanwhile, and a command cannot be interrupted.
const trimStep = 64 << 20

// Trim tells the device of a mounted store which blocks hold nothing, while the store
// goes on working. Discarded is only what is free: not what is in limbo, since an
// older superblock, a reader or a pin may reach it, nor what a record of the log
// names, nor the stash. Nothing is lost by a crash in between, and cancelling ctx ends
// it between two commands with what was done so far.
//
// It returns errors.ErrUnsupported on a device that does not discard.
func (s *Store) Trim(ctx context.Context, o TrimOptions) (TrimResult, error) {
	var r TrimResult
	if err := s.enter(); err != nil {
		return r, err
	}
	defer s.leave()
	if err := s.writable(); err != nil && !(o.DryRun && s.opt.ReadOnly) {
		return r, err
	}
	g := s.main.Geometry()
	dev, ok := s.main.(devices.Discarder)
	if !o.DryRun && (!ok || g.DiscardBytes == 0) {
		return r, fmt.Errorf("the device does not discard: %w", errors.ErrUnsupported)
	}
	t := trim{s: s, dev: dev, o: o, r: &r, unit: max(1, (uint64(g.DiscardBytes)+blockSize-1)/blockSize), begun: time.Now()}
	if t.o.MinBytes == 0 {
		t.o.MinBytes = minDiscard
	}
	if t.o.pause == nil {
		t.o.pause = pause
	}
	return r, t.run(ctx)
}

// trim is one run of Trim.
type trim struct {
	s     *Store
	dev   devices.Discarder
	o     TrimOptions
	r     *TrimResult
	unit  uint64 // blocks: what the device discards in
	begun time.Time
}

func (t *trim) run(ctx context.Context) error {
	sp := t.s.space
	var runs []allocator.Extent
	for z, done := 0, uint64(0); ; z++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		sp.mu.Lock()
		zones, total := sp.a.Zones(), sp.place.ZoneEnd-sp.place.ZoneStart
		sp.mu.Unlock()
		if t.o.Progress != nil {
			t.o.Progress(done, total)
		}
		if z == zones {
			return nil
		}
		err := sp.retry(ctx, func() (err error) {
			runs, err = sp.a.RunsOf(z, runs[:0])
			done += sp.a.ZoneExtent(z).Blocks
			return err
		})
		if err != nil {
			return fmt.Errorf("zone %d: %w", z, err)
		}
		for _, e := range runs {
			if err := t.discard(ctx, e); err != nil {
				return err
			}
		}
	}
}

// discard gives up what of a free run is worth it, in steps.
func (t *trim) discard(ctx context.Context, e allocator.Extent) error {
	first := (e.Start + t.unit - 1) / t.unit * t.unit
	end := e.End() / t.unit * t.unit
	least := max(t.o.MinBytes/blockSize, t.unit)
	if end < first || end-first < least {
		t.r.Skipped += e.Blocks * blockSize
		return nil
	}
	t.r.Skipped += (e.Blocks - (end - first)) * blockSize
	step := max(trimStep/blockSize/t.unit, 1) * t.unit
	for first < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.s.failure(); err != nil {
			return err
		}
		part := allocator.Extent{Start: first, Blocks: min(step, end-first)}
		ok, err := t.s.space.whileHeld(part, t.s.metaBlocks.Load(), func() error {
			if t.o.DryRun {
				return nil
			}
			return t.dev.Discard(ctx, devices.Block(part.Start), part.Blocks)
		})
		if err != nil {
			return fmt.Errorf("discard: %w", err)
		}
		first += part.Blocks
		if !ok {
			t.r.Skipped += part.Blocks * blockSize
			continue
		}
		t.r.Bytes += part.Blocks * blockSize
		t.r.Runs++
		if t.o.BytesPerSecond > 0 {
			due := time.Duration(float64(t.r.Bytes) / float64(t.o.BytesPerSecond) * float64(time.Second))
			if err := t.o.pause(ctx, due-time.Since(t.begun)); err != nil {
				return err
			}
		}
	}
	return nil
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// whileHeld runs fn while nobody can be given the blocks of e, if they are still free
// and what transactions were promised can be kept without them. trimMu is held
// meanwhile, so that whoever would be refused for space can wait for their return.
func (s *space) whileHeld(e allocator.Extent, metaBlocks uint64, fn func() error) (ok bool, err error) {
	s.trimMu.Lock()
	defer s.trimMu.Unlock()
	if planted.On(planted.TrimLimbo) {
		return true, fn()
	}
	s.mu.Lock()
	ok = s.spareLocked(e.Blocks, metaBlocks) && s.a.MarkUsed(e) == nil
	s.mu.Unlock()
	if !ok {
		return false, nil
	}
	err = fn()
	s.release([]allocator.Extent{e})
	return true, err
}

// spareLocked reports whether every promise is kept by free stripes even without so
// many blocks, as promise asks for, and the stash can be filled: then no checkpoint
// needs them. mu is held.
func (s *space) spareLocked(blocks, metaBlocks uint64) bool {
	return blocks <= s.roomLocked(metaBlocks)
}

// roomLocked returns the most blocks spareLocked would agree to. mu is held.
func (s *space) roomLocked(metaBlocks uint64) uint64 {
	want := s.tokens.data + s.tokens.meta(metaBlocks) + checkpointBlocks(&s.place)
	want += s.reserve - min(s.reserve, s.stashed) + 2*s.stripe
	have := s.a.FreeStripes() * s.stripe
	return have - min(have, want)
}
