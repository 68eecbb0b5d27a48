package ebofs

import (
	"context"
	"sync/atomic"
	"time"

	"ebofs/btree"
	"ebofs/devices"
)

// warmLeaves reads the leaves of the object tree into the page cache, as many as have room,
// so that who reads an object for the first time since the mount waits for its data
// alone: one after the other, each of the first reads in a hundred objects would wait
// for a leaf, too. It is background I/O and stands back behind all others. A page that
// is not sound is left to whoever asks for it, and a device that fails is left alone.
// See docs/decisions/warm.md.
func (s *Store) warmLeaves(ctx context.Context) {
	begin := time.Now()
	var leaves atomic.Int64
	var full atomic.Bool
	var key []byte
	for more := true; more && !full.Load(); more = key != nil {
		// An inner page is read for all who want it: none may wait for the background.
		t := s.guard.enter()
		list, next, err := s.objects.Leaves(context.Background(), key, nil)
		s.guard.leave(t)
		if err == nil {
			own, runs := s.objects.Owner(), btree.Runs(list)
			// Without the guard: a page that was freed and written again meanwhile is
			// not the one its parent names.
			err = s.each(len(runs), func(i int) error {
				for !full.Load() {
					no, err := s.pages.Fill(ctx, s.cfg.objects, &own, runs[i])
					if !no {
						leaves.Add(int64(len(runs[i])))
						return err
					}
					full.CompareAndSwap(false, !s.shares.spare())
				}
				return nil
			})
		}
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn("leaves are read when they are asked for", "err", err)
			}
			return
		}
		key = next
	}
	s.log.Debug("leaves read ahead of their use", "leaves", leaves.Load(), "all", !full.Load(), "took", time.Since(begin))
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
