package ebofs

import (
	"context"
	"sync"
	"time"

	"ebofs/devices"
)

// start runs the background work of a writable store: the checkpointer and the
// finisher. An inline store has none but what Open does for it, nor has a read-only one.
func (s *Store) start() {
	if s.opt.ReadOnly {
		return
	}
	s.lend()
	s.startWarm()
	if s.opt.Inline {
		return
	}
	s.bg.Go(s.checkpointer)
	s.startDiscards()
	if s.opt.Defrag.Score > 0 {
		s.bg.Go(func() { s.defragmenter(s.opt.Defrag) })
	}
	s.fin.start()
}

// whileOpen returns a context for background work of a class, which ends with the
// store or when cancel is called.
func (s *Store) whileOpen(class devices.Class) (ctx context.Context, cancel context.CancelFunc) {
	ctx, cancel = context.WithCancel(devices.WithClass(context.Background(), class))
	s.bg.Go(func() {
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, cancel
}

// stopBackground ends the checkpointer; the finisher goes on until Close has
// told everybody.
func (s *Store) stopBackground() {
	if s.opt.Inline {
		return
	}
	close(s.done)
	s.bg.Wait()
}

// checkpointer takes checkpoints when a budget asks for one and when changes
// have waited for long enough, and ends grace periods that readers held up.
func (s *Store) checkpointer() {
	ctx := patiently(context.Background())
	tick := time.NewTicker(max(s.opt.CheckpointInterval/4, time.Millisecond))
	defer tick.Stop()
	last := time.Now()
	var soon, again <-chan time.Time // to end a grace period; to go on with trash
	for {
		select {
		case <-s.done:
			return
		case <-s.wake:
			// Records still on their way to the log gain nothing by a checkpoint.
			if half, _ := s.load(-s.inflight.Load()); !half {
				continue
			}
		case <-soon:
			soon = nil
			s.ckptMu.Lock()
			done := s.tryRelease(ctx)
			s.ckptMu.Unlock()
			if !done {
				soon = time.After(2 * time.Millisecond)
			}
			continue
		case <-again:
		case <-tick.C:
			if soon == nil && s.limboLeft() { // a pin was closed while a checkpoint ran
				soon = time.After(0)
			}
			n := s.lend()
			if n == 0 {
				s.journals.idle()
			}
			if n == 0 || time.Since(last) < s.opt.CheckpointInterval {
				continue
			}
		}
		if s.checkpoint(ctx, false) != nil {
			return // the store has stopped and has said so
		}
		last = time.Now()
		if s.limboLeft() {
			soon = time.After(2 * time.Millisecond)
		}
		if again = nil; s.trashLeft.Load() || s.cleaner.more.Load() || s.cleaner.left.Load() {
			again = time.After(20 * time.Millisecond)
		}
	}
}

func (s *Store) limboLeft() bool {
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	return s.limbo.done < s.limboLimit()
}

// finisher calls commit callbacks away from the log, in order: on a goroutine of
// its own, or where run is called.
type finisher struct {
	mu      sync.Mutex
	queue   []func()
	running bool
	wake    chan struct{}
	ended   chan struct{}
	stopMu  sync.Once
}

func (f *finisher) start() {
	f.wake, f.ended = make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(f.ended)
		for range f.wake {
			f.run()
		}
		f.run()
	}()
}

// run calls what is queued, in the caller's goroutine. Called by a callback it
// leaves that to the one that called it.
func (f *finisher) run() {
	f.mu.Lock()
	if f.running {
		f.mu.Unlock()
		return
	}
	f.running = true
	for len(f.queue) > 0 {
		q := f.queue
		f.queue = nil
		f.mu.Unlock()
		for _, fn := range q {
			fn()
		}
		f.mu.Lock()
	}
	f.running = false
	f.mu.Unlock()
}

// tell has fns called with err, in order.
func (f *finisher) tell(err error, fns []func(error)) {
	f.mu.Lock()
	for _, fn := range fns {
		f.queue = append(f.queue, func() { fn(err) })
	}
	f.mu.Unlock()
	if f.wake == nil {
		return
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// stop returns when every callback has been called. Nothing is told afterwards.
func (f *finisher) stop() {
	if f.wake == nil {
		f.run()
		return
	}
	f.stopMu.Do(func() { close(f.wake) })
	<-f.ended
}
