package ebofs

import (
	"context"
	"fmt"
	"time"

	"ebofs/internal/invariants"
	"ebofs/internal/planted"
)

// Admission keeps what waits for the next checkpoint within bounds: bytes in
// the log, the time to replay it, journaled bytes and the heap of dirty onodes, and free
// space. From half
// of a bound on a checkpoint is asked for; at the bound itself callers wait
// here, before they hold anything, never inside a transaction.

// What a mount after a crash takes is what the log takes to be replayed: nothing
// else depends on what was done before. Measured on a virtual core of 2.5 GHz
// (fuzz/scale): 6 µs a record, the reads of the log at 1 GB/s.
const (
	replayFull   = 2 * time.Second
	replayRecord = 10 * time.Microsecond
	replayByte   = 2 * time.Nanosecond
	// replayRead is for a change that reads two objects: on a disk that is not busy.
	replayRead = 500 * time.Microsecond
)

// replayCost is what the changes of one transaction take.
func replayCost(cs []change) time.Duration {
	d := replayRecord
	for i := range cs {
		if cs[i].code == opRename || cs[i].code.clones() {
			d += replayRead
		}
	}
	return d
}

// admit reserves log and space for a transaction that also writes direct
// blocks beside the log. It returns ErrNoSpace before anything has changed.
func (s *Store) admit(ctx context.Context, p *pass, direct uint64) error {
	s.takeBack()
	cost := s.wal.Cost(int(p.record)) // never less than the log takes
	for {
		if err := s.writable(); err != nil {
			return err
		}
		half, full := s.admitLog(p, cost)
		switch {
		case half && s.opt.Inline:
			if err := s.checkpoint(ctx, false); err != nil {
				return err
			}
			if full {
				if _, full = s.admitLog(p, cost); full {
					return fmt.Errorf("transaction needs %d bytes of log: %w", p.record, ErrTooLarge)
				}
			}
		case half:
			s.kick()
		}
		if !full {
			return s.admitSpace(ctx, p, direct)
		}
		if err := s.waitRoom(ctx, cost); err != nil {
			return err
		}
	}
}

// admitLog is load, and takes that much of the log for p if nothing is full:
// two callers never take the same room.
func (s *Store) admitLog(p *pass, cost int64) (half, full bool) {
	s.roomMu.Lock()
	defer s.roomMu.Unlock()
	if half, full = s.load(cost); !full {
		p.admitted = cost
		s.inflight.Add(cost)
	}
	return half, full
}

// load says whether a budget is half used, and whether one is used up, if a
// transaction took that much more of the log.
func (s *Store) load(cost int64) (half, full bool) {
	w := s.dirty.pressure()
	// In this order: a record that is appended in between counts twice, not never.
	inflight := s.inflight.Load()
	free := s.wal.Free() - inflight - cost
	replay := w.replay + time.Duration(s.ringSize-free)*replayByte
	bytes, heap := w.data+w.heap, w.inHeap()
	half = s.space.scarce() || !s.opt.Inline && (s.space.spent.Load() || s.space.strained.Load()) || bytes > s.maxDirty/2 || heap > s.maxDirtyHeap/2 || free < s.ringSize/2 || replay > replayFull/2
	full = bytes > s.maxDirty || heap > s.maxDirtyHeap || free < s.ringSize/8 || replay > replayFull
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
	// What is held back is not given up for what would not fit anyway.
	helps := func() bool {
		n := s.space.counts()
		return want.data <= n.free+n.limbo
	}
	// Removed objects give their space back over several checkpoints, and kept
	// epochs go half by half.
	// With hard geometry each cleans a part, of which others at work may take all.
	defer s.space.ask(want.data)()
	for try, more := 0, false; try < 3 || s.trashLeft.Load() || more; try++ {
		before := s.space.usable()
		ok, err := s.reclaim(ctx, take, helps)
		if ok || err != nil {
			return err
		}
		s.ckptMu.Lock()
		more = s.kept.yield > 0 || s.space.usable() > before || s.cleaner.won > 0 && try < maxCleanings
		s.ckptMu.Unlock()
	}
	// What Trim holds at this moment is free all the same.
	s.space.trimMu.Lock()
	ok := take()
	s.space.trimMu.Unlock()
	if ok {
		return nil
	}
	n := s.space.counts()
	// With others at work the room may go to them; alone it is there.
	alone := s.opt.Inline && s.opt.Refuse == nil && s.lostZones == 0
	invariants.Check(!p.frees || len(p.changes) != 1 || !alone,
		"an operation that frees is refused: %d blocks free, %d wanted, bound %d", n.free, want.data+want.meta(s.metaBlocks.Load()), n.freeing)
	return fmt.Errorf("%w: %d blocks free, %d of them reserved, %d being freed, %d wanted", ErrNoSpace, n.free, n.reserve, n.limbo, want.data+want.meta(s.metaBlocks.Load()))
}

// maxCleanings is how many checkpoints that clean somebody waits for, while others
// take what they win.
const maxCleanings = 64

// reclaim makes freed space usable, by a checkpoint and the end of the readers
// that might still look at it, and reports whether take then found enough. take
// is called between checkpoints: while one runs, blocks it has already used
// count as promised too, and a full store would refuse what frees it. Of many who
// come at once the first takes the checkpoint for all. If that does not do, and helps
// says that it may, pins and kept epochs yield.
func (s *Store) reclaim(ctx context.Context, take, helps func() bool) (bool, error) {
	s.ckptMu.Lock()
	if take() {
		s.ckptMu.Unlock()
		return true, nil
	}
	err := s.checkpointLocked(ctx, false, nil)
	s.ckptMu.Unlock()
	if err != nil {
		return false, err
	}
	for range 50 {
		s.ckptMu.Lock()
		done := s.tryRelease(ctx)
		ok := take()
		if !ok && helps() && s.relieve() {
			done = s.tryRelease(ctx)
			ok = take()
		}
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

// waitRoom returns when a checkpoint has finished, when there is room for that
// much of the log, or when the store has stopped.
func (s *Store) waitRoom(ctx context.Context, cost int64) error {
	s.kick()
	stop := context.AfterFunc(ctx, s.wakeRoom)
	defer stop()
	s.waiters.Add(1)
	defer s.waiters.Add(-1)
	s.roomMu.Lock()
	defer s.roomMu.Unlock()
	before := s.metrics.Checkpoints.Load()
	for s.metrics.Checkpoints.Load() == before && s.writable() == nil && ctx.Err() == nil {
		if _, full := s.load(cost); !full {
			return nil
		}
		s.room.Wait()
	}
	return ctx.Err()
}

// wakeRoom has everybody in waitRoom look again. What they look at was changed
// before; with the lock nobody is between looking and waiting.
func (s *Store) wakeRoom() {
	s.roomMu.Lock()
	s.room.Broadcast()
	s.roomMu.Unlock()
}

// kick asks for a checkpoint.
func (s *Store) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// releaseLimbo starts giving back what epoch freed. ckptMu is held.
func (s *Store) releaseLimbo(ctx context.Context, epoch uint64) {
	s.limbo.want = epoch
	s.holds.durable(&s.super)
	s.tryRelease(ctx)
}

// limboLimit returns the newest epoch whose limbo neither pins nor kept epochs
// hold. What it allows once it allows for ever: what is pinned or kept later is
// later. ckptMu is held.
func (s *Store) limboLimit() uint64 {
	if planted.On(planted.KeptReleased) {
		return min(s.limbo.want, s.holds.oldest())
	}
	return min(s.limbo.want, s.holds.oldest(), s.kept.oldest())
}

// tryRelease goes on with it as far as readers, pins and kept epochs allow, and
// reports whether readers keep nothing back. ckptMu is held.
func (s *Store) tryRelease(ctx context.Context) bool {
	give := turnsOf(ctx)
	for s.limbo.done < s.limboLimit() {
		if s.limbo.period <= s.limbo.done {
			s.limbo.period = s.limboLimit()
			s.guard.begin()
		}
		if !s.guard.ended() {
			return false
		}
		free := s.space.durable(s.limbo.period)
		s.discards.add(free)
		for _, e := range free {
			give.did(extentTime)
			s.data.Drop(e.Start, int(e.Blocks))
			s.pages.Drop(e.Start, int(e.Blocks))
		}
		s.limbo.done = s.limbo.period
	}
	return true
}
