package ebofs

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"ebofs/btree"
	"ebofs/devices"
)

// warmGivesUp is how many reads may fail before the device is left alone.
const warmGivesUp = 8

// warmLeaves reads the leaves of the object tree into the page cache, as many as have room,
// so that who reads an object for the first time since the mount waits for its data
// alone: one after the other, each of the first reads in a hundred objects would wait
// for a leaf, too. It is background I/O and stands back behind all others. What is
// not sound or cannot be read is left to whoever asks for it. See docs/decisions/warm.md.
func (s *Store) warmLeaves(ctx context.Context) {
	begin := time.Now()
	var read, failed atomic.Int64 // leaves; reads
	var full atomic.Bool
	var key []byte
	for more := true; more && !full.Load(); more = key != nil {
		// An inner page is read for all who want it: none may wait for the background.
		t := s.guard.enter()
		list, next, err := s.objects.Leaves(context.Background(), key, nil)
		s.guard.leave(t)
		key = next
		if errors.Is(err, ErrCorrupt) {
			continue
		}
		if err == nil {
			own, runs := s.objects.Owner(), btree.Runs(list)
			// Without the guard: a page that was freed and written again meanwhile is
			// not the one its parent names.
			err = s.each(len(runs), func(i int) error {
				no, err := s.fillPages(ctx, &own, runs[i], &full)
				switch {
				case err == nil && !no:
					read.Add(int64(len(runs[i])))
				case err != nil && ctx.Err() == nil && failed.Add(1) < warmGivesUp:
					err = nil
				}
				return err
			})
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.log.Warn("leaves are read when they are asked for, for the device fails", "err", err)
			return
		}
	}
	if n := failed.Load(); n > 0 {
		s.log.Warn("some leaves could not be read", "reads", n)
	}
	s.log.Debug("leaves read ahead of their use", "leaves", read.Load(), "all", !full.Load(), "took", time.Since(begin))
}

// fillPages reads a run of leaves into the page cache. There is no room for it if that is
// full, or if it is now though object data gave up what it has no use of.
func (s *Store) fillPages(ctx context.Context, own *btree.Owner, run []btree.Ptr, full *atomic.Bool) (no bool, err error) {
	for !full.Load() {
		had := s.shares.pagesBudget()
		if no, err := s.pages.Fill(ctx, s.cfg.objects, own, run); !no {
			return false, err
		}
		if !s.shares.spare(had) {
			full.Store(true)
		}
	}
	return true, nil
}

// startWarm begins warmLeaves if it is wanted.
func (s *Store) startWarm() {
	switch {
	case !s.opt.Warm:
	case s.opt.Inline:
		s.warmLeaves(devices.WithClass(context.Background(), devices.ClassScrub))
	default:
		s.bg.Go(func() {
			ctx, cancel := s.whileOpen(devices.ClassScrub)
			defer cancel()
			s.warmLeaves(ctx)
		})
	}
}
