package ebofs

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"ebofs/devices"
)

// DefragOptions say how far and how fast free space is brought together.
type DefragOptions struct {
	// Score is the goal: the share of the free space that may lie outside wholly
	// free stripes. 0: DefaultScore for a run on demand; of Options.Defrag, that
	// nothing is done.
	Score float64
	// BytesPerSecond bounds what is moved, on average; 0: as fast as the device. On soft
	// geometry that of Options.Defrag gives way to whoever writes, with any rate.
	BytesPerSecond uint64
	// Objects has one pass through all objects bring together, too, what of an object
	// lies in many pieces: each 256 KiB of it whose pieces are below 64 KiB, on average.
	// Not on hard geometry.
	Objects bool

	polite bool                                             // give way
	pause  func(ctx context.Context, d time.Duration) error // for tests
}

// DefaultScore is the goal of a defragmentation that names none.
const DefaultScore = 0.2

// DefragProgress is how far a defragmentation is.
type DefragProgress struct {
	Score   float64 `json:"score"` // now
	Goal    float64 `json:"goal"`
	Bytes   uint64  `json:"moved_bytes"`
	Pass    int     `json:"pass"`
	Objects uint64  `json:"objects"` // gone through in this pass
	Total   uint64  `json:"total"`
}

// DefragResult says what a defragmentation did.
type DefragResult struct {
	Before  float64 `json:"before"` // scores
	After   float64 `json:"after"`
	Goal    float64 `json:"goal"`
	Bytes   uint64  `json:"moved_bytes"` // of objects
	Passes  int     `json:"passes"`
	Chunks  uint64  `json:"gathered_chunks"`   // of objects, 256 KiB each, that lay in many pieces
	Failed  uint64  `json:"unreadable_blocks"` // left where they are
	Reached bool    `json:"reached"`
	Why     string  `json:"why,omitempty"` // it was not reached

	wanted uint64 // bytes of objects and trees in the stripes that were to be emptied
}

// defragState is what a store knows of its defragmentation.
type defragState struct {
	sweep  *sweep       // what the next checkpoint is to move; guarded by ckptMu
	busy   atomic.Bool  // somebody defragments
	demand atomic.Int32 // runs on demand, for which the one in the background makes room
	moved  atomic.Int64 // blocks, since the store was opened
}

const (
	defragStep  = 64 << 20               // most bytes one checkpoint moves
	defragEvery = 500 * time.Millisecond // what a rate is divided into
	defragPause = 100 * time.Millisecond // how long nobody looks whether it is to end
	defragTries = 2                      // passes without gain that end it
	defragGain  = 0.005                  // of the score
)

// In the background a defragmentation begins a little below its goal and goes on for a
// little more, so that others can go on meanwhile, who scatter.
const (
	ahead   = 0.9
	further = 0.75
)

// Why a defragmentation ends short of its goal.
const (
	defragNoSpace = "space is too short to move anything"
	defragNoGain  = "what is left cannot be moved, or is scattered as fast as it is brought together"
)

// ErrDefragRuns is the error of a second defragmentation at the same time.
var ErrDefragRuns = errors.New("a defragmentation runs already")

func (o *DefragOptions) fill() error {
	if o.Score < 0 || o.Score >= 1 {
		return fmt.Errorf("score %v is not from 0 to 1: %w", o.Score, ErrInvalid)
	}
	if o.pause == nil {
		o.pause = pause
	}
	return nil
}

// Defragment brings free space together while the store goes on working, until the
// score is not above o.Score or nothing more is to be gained. Progress, if not nil, is
// told after each step. Cancelling ctx ends it after the checkpoint under way, with
// what was done so far; a crash loses nothing.
func (s *Store) Defragment(ctx context.Context, o DefragOptions, progress func(DefragProgress)) (DefragResult, error) {
	if o.Score == 0 {
		o.Score = DefaultScore
	}
	if err := o.fill(); err != nil {
		return DefragResult{}, err
	}
	if err := s.enter(); err != nil {
		return DefragResult{}, err
	}
	defer s.leave()
	if err := s.writable(); err != nil {
		return DefragResult{}, err
	}
	if o.Objects && s.space.hard {
		return DefragResult{}, fmt.Errorf("objects in pieces are not brought together on hard geometry: %w", errors.ErrUnsupported)
	}
	if s.defrag.demand.Add(1) > 1 {
		s.defrag.demand.Add(-1)
		return DefragResult{}, ErrDefragRuns
	}
	defer s.defrag.demand.Add(-1)
	for !s.defrag.busy.CompareAndSwap(false, true) { // the one in the background ends soon
		if err := pause(ctx, time.Millisecond); err != nil {
			return DefragResult{}, err
		}
	}
	defer s.defrag.busy.Store(false)
	return s.defragment(ctx, o, progress, s.writable)
}

// defragment makes passes until the goal is reached. check says why it ends early.
func (s *Store) defragment(ctx context.Context, o DefragOptions, progress func(DefragProgress), check func() error) (DefragResult, error) {
	r := DefragResult{Before: s.Score(), Goal: o.Score}
	begun := time.Now()
	w := &sweep{s: s, score: o.Score, gather: o.Objects, tried: make(map[uint64]struct{})}
	note := func() {
		r.After, r.Bytes, r.Chunks, r.Failed = s.Score(), w.moved*blockSize, w.gathered, w.failed
		r.Reached = r.After <= o.Score && !w.gather
		if progress != nil {
			progress(DefragProgress{Score: r.After, Goal: o.Score, Bytes: r.Bytes, Pass: r.Passes, Objects: w.objects, Total: max(w.objects, uint64(s.objectCount.Load()))})
		}
	}
	way := giveWay{s: s}
	best, idle := r.Before, 0
	for note(); !r.Reached; {
		if err := cmpErr(ctx.Err(), check()); err != nil {
			return r, err
		}
		ok, err := w.choose(ctx)
		if err != nil {
			return r, err
		}
		if !ok || s.space.hard && idle > 0 && w.chosen == 0 {
			if r.Why = defragNoGain; w.short {
				r.Why = defragNoSpace
			}
			return r, nil
		}
		r.Passes++
		r.wanted += w.wanted * blockSize
		for short := 0; !w.done; {
			if err := cmpErr(ctx.Err(), check()); err != nil {
				return r, err
			}
			before := w.moved
			if err := s.sweepStep(ctx, w, o); err != nil {
				return r, err
			}
			note()
			if s.space.hard { // each checkpoint of the cleaner is a pass
				w.done = true
			}
			if o.polite {
				if err := way.after((w.moved-before)*blockSize, func() error { return cmpErr(check(), o.pause(ctx, defragPause)) }); err != nil {
					return r, err
				}
			}
			var due time.Duration // what is left of it, after giving way
			if o.BytesPerSecond > 0 {
				due = time.Duration(float64(r.Bytes)/float64(o.BytesPerSecond)*float64(time.Second)) - time.Since(begun)
			}
			if w.moved > before || !w.short {
				short = 0
			} else if short++; short > defragTries {
				r.Why = defragNoSpace
				return r, nil
			} else {
				due = max(due, defragEvery)
			}
			for ; due > 0; due -= defragPause { // who closes the store does not wait for it
				if err := cmpErr(check(), o.pause(ctx, min(due, defragPause))); err != nil {
					return r, err
				}
			}
		}
		if err := s.settleLimbo(ctx); err != nil {
			return r, err
		}
		gathering := w.gather
		w.gather = false // one pass
		note()
		if gathering {
			best = r.After
			continue
		}
		if r.After > best-defragGain {
			if idle++; idle == defragTries && !r.Reached {
				r.Why = defragNoGain
				return r, nil
			}
		} else {
			idle = 0
		}
		best = min(best, r.After)
	}
	return r, nil
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepStep takes a checkpoint that moves what one may.
func (s *Store) sweepStep(ctx context.Context, w *sweep, o DefragOptions) error {
	step := min(uint64(defragStep), uint64(s.maxDirty))
	if o.BytesPerSecond > 0 {
		step = min(step, max(o.BytesPerSecond/uint64(time.Second/defragEvery), 256<<10))
	}
	if o.polite {
		step = min(step, politeStep)
	}
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	if w.budget = step / blockSize; !s.space.hard {
		w.budget = min(w.budget, s.space.room(s.metaBlocks.Load())/2)
	}
	if w.short = w.budget == 0; w.short {
		return nil
	}
	before := w.moved
	w.chosen, s.defrag.sweep = 0, w
	err := s.checkpointLocked(ctx, false, nil)
	s.defrag.sweep = nil
	s.defrag.moved.Add(int64(w.moved - before))
	return err
}

// settleLimbo waits, not for ever, until what the last checkpoint freed can be used.
func (s *Store) settleLimbo(ctx context.Context) error {
	for range 50 {
		s.ckptMu.Lock()
		ok := s.tryRelease(ctx)
		s.ckptMu.Unlock()
		if ok || s.opt.Inline {
			break
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// errYield ends a defragmentation in the background for one on demand.
var errYield = errors.New("somebody else defragments")

// defragmenter keeps the score of a mounted store below its goal.
func (s *Store) defragmenter(o DefragOptions) {
	o.Objects = false // never by itself: it writes data again for reads alone
	goal := o.Score
	begin := goal
	if o.polite = !s.space.hard; o.polite { // on hard geometry the cleaner has a pace of its own
		begin, o.Score = goal*ahead, goal*further
	}
	ctx, cancel := s.whileOpen(devices.ClassClean)
	defer cancel()
	ctx = patiently(ctx)
	every := min(max(s.opt.CheckpointInterval/4, time.Millisecond), time.Second/4)
	wait := every
	for o.pause(ctx, wait) == nil {
		if s.failure() != nil {
			return
		}
		if s.Score() <= begin {
			wait = every
			continue
		}
		if s.defrag.demand.Load() > 0 || !s.defrag.busy.CompareAndSwap(false, true) {
			continue
		}
		began, user := time.Now(), s.metrics.UserBytes.Load()
		r, err := s.defragment(ctx, o, nil, func() error {
			if s.defrag.demand.Load() > 0 {
				return errYield
			}
			return s.failure()
		})
		s.defrag.busy.Store(false)
		if r.Bytes > 0 {
			s.log.Info("free space was brought together", "before", r.Before, "after", r.After, "goal", goal, "bytes", r.Bytes)
		}
		switch {
		case r.Reached || errors.Is(err, errYield):
			wait = every
		case o.polite && err == nil && !r.stuck(uint64(s.metrics.UserBytes.Load()-user)):
			wait = max(every, time.Since(began)) // half of the time at most
		default:
			wait = min(2*wait, max(every, 4*s.opt.CheckpointInterval))
		}
	}
}

// stuck says that trying again soon would gain nothing: most of what was to be moved
// could not be, and others have written too little to have replaced it.
func (r *DefragResult) stuck(written uint64) bool {
	return 2*r.Bytes <= r.wanted && written < r.wanted || r.wanted == 0
}

// Defragmenting says whether free space is being brought together, and how many bytes
// were moved for that since the store was opened.
func (s *Store) Defragmenting() (running bool, moved int64) {
	return s.defrag.busy.Load(), s.defrag.moved.Load() * blockSize
}
