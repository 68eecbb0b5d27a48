package ebofs

import (
	"context"
	"fmt"
	"time"
)

// Admission keeps what waits for the next checkpoint within bounds: bytes in
// the log, journaled bytes and dirty onodes in RAM, and free space. From half
// of a bound on a checkpoint is asked for; at the bound itself callers wait
// here, before they hold anything, never inside a transaction.

// admit reserves log and space for a transaction that also writes direct
// blocks beside the log. It returns ErrNoSpace before anything has changed.
func (s *Store) admit(ctx context.Context, p *pass, direct uint64) error {
	for {
		if err := s.writable(); err != nil {
			return err
		}
		cost := s.wal.Cost(int(p.record))
		used, full := s.load(cost)
		if used {
			if s.opt.Inline {
				if err := s.checkpoint(ctx, false); err != nil {
					return err
				}
				_, full = s.load(cost)
				if full {
					return fmt.Errorf("transaction needs %d bytes of log: %w", p.record, ErrTooLarge)
				}
			} else {
				s.kick()
			}
		}
		if !full {
			break
		}
		if err := s.waitRoom(ctx); err != nil {
			return err
		}
	}
	p.admitted = s.wal.Cost(int(p.record)) // never less than the log takes
	s.inflight.Add(p.admitted)
	return s.admitSpace(ctx, p, direct)
}

// load says whether a budget is half used, and whether one is used up, if a
// transaction took that much more of the log.
func (s *Store) load(cost int64) (half, full bool) {
	onodes, bytes := s.dirty.pressure()
	free := s.wal.Free() - s.inflight.Load() - cost
	half = bytes > s.maxDirty/2 || onodes > maxDirtyOnodes/2 || free < s.ringSize/2
	full = bytes > s.maxDirty || onodes > maxDirtyOnodes || free < s.ringSize/8
	return half, full
}

// admitSpace reserves the blocks. When they are not there, a checkpoint may
// bring freed ones back; after that the store is full.
func (s *Store) admitSpace(ctx context.Context, p *pass, direct uint64) error {
	want := p.tokens
	want.data += direct // until they are allocated
	p.tokens = spaceTokens{}
	take := func() bool {
		if !s.space.promise(want, p.longest, p.frees, s.metaBlocks.Load()) {
			return false
		}
		p.tokens = want
		return true
	}
	if take() {
		return nil
	}
	for range 3 {
		if ok, err := s.reclaim(ctx, take); ok || err != nil {
			return err
		}
	}
	free, limbo, _ := s.space.counts()
	return fmt.Errorf("%w: %d blocks free, %d of them reserved, %d being freed, %d wanted", ErrNoSpace, free, s.space.reserve, limbo, want.data+want.meta(s.metaBlocks.Load()))
}

// reclaim makes freed space usable, by a checkpoint and the end of the readers
// that might still look at it, and reports whether take then found enough. take
// is called between checkpoints: while one runs, blocks it has already used
// count as promised too, and a full store would refuse what frees it.
func (s *Store) reclaim(ctx context.Context, take func() bool) (bool, error) {
	if err := s.checkpoint(ctx, false); err != nil {
		return false, err
	}
	for range 50 {
		s.ckptMu.Lock()
		done := s.tryRelease()
		ok := take()
		s.ckptMu.Unlock()
		if ok || done || s.opt.Inline {
			return ok, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return false, nil
}

// waitRoom returns when a checkpoint has finished or the store has stopped.
func (s *Store) waitRoom(ctx context.Context) error {
	s.kick()
	stop := context.AfterFunc(ctx, s.room.Broadcast)
	defer stop()
	s.roomMu.Lock()
	defer s.roomMu.Unlock()
	before := s.metrics.Checkpoints.Load()
	for s.metrics.Checkpoints.Load() == before && s.writable() == nil && ctx.Err() == nil {
		if _, full := s.load(0); !full {
			return nil
		}
		s.room.Wait()
	}
	return ctx.Err()
}

// kick asks for a checkpoint.
func (s *Store) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// releaseLimbo starts giving back what epoch freed. ckptMu is held.
func (s *Store) releaseLimbo(epoch uint64) {
	s.limbo.want = epoch
	s.tryRelease()
}

// tryRelease goes on with it as far as readers allow and reports whether
// nothing is left. ckptMu is held.
func (s *Store) tryRelease() bool {
	for s.limbo.done < s.limbo.want {
		if s.limbo.period <= s.limbo.done {
			s.limbo.period = s.limbo.want
			s.guard.begin()
		}
		if !s.guard.ended() {
			return false
		}
		for _, e := range s.space.durable(s.limbo.period) {
			s.data.Drop(e.Start, int(e.Blocks))
			s.pages.Drop(e.Start, int(e.Blocks))
		}
		s.limbo.done = s.limbo.period
	}
	return true
}
