package sweep

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"ebofs/devices"
	"ebofs/devices/faultdev"
	"ebofs/fuzz/crash"
	"ebofs/fuzz/engine"
	"ebofs/fuzz/history"
	"ebofs/osd"
)

// run is one workload with one fault.
type run struct {
	w     *Workload
	ref   *reference
	tap   *tap
	main  *device
	dev   devices.Device // main, as the store opens it
	log   *device        // nil without a log device
	opt   engine.Options
	buf   []byte
	taken []bool // transactions the store took
	acked []bool // and acknowledged
	done  int    // operations that were begun
	short bool   // some transaction was refused for space
	fail  error  // what stopped the store
	free  uint64 // bytes free before the store was closed; 0: it has stopped
}

// hangAfter is the time in which a run that takes milliseconds has surely ended.
const hangAfter = 60 * time.Second

// Run runs w with one fault and returns how often each kind could have failed,
// or what promise was broken.
func Run(ctx context.Context, w *Workload, ref *reference, reg *Registry, f Fault, buf []byte) (count [kinds]uint64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	watch := time.AfterFunc(hangAfter, func() { panic(fmt.Sprintf("%s with fault %v hangs", w.Name(), f)) })
	defer watch.Stop()
	r := &run{w: w, ref: ref, tap: &tap{reg: reg, w: w, fault: f}, opt: shapes[w.base.shape], buf: buf,
		taken: make([]bool, len(w.Ops)), acked: make([]bool, len(w.Ops))}
	r.main = &device{tap: r.tap, mem: w.base.mem.Snapshot()}
	if w.base.log != nil {
		r.log = &device{tap: r.tap, mem: w.base.log.Snapshot()}
		r.opt.LogDevice = r.log
	}
	r.opt.Refuse = r.tap.refuse
	if r.dev, err = engine.Strict(ctx, r.main, r.opt); err != nil {
		return count, err
	}
	r.opt.Hard = false // dev is
	r.tap.armed = w.Mount
	s, err := engine.Open(ctx, r.dev, r.opt)
	r.tap.armed = true
	if err != nil {
		s, r.fail = nil, err
	} else {
		s, err = r.operate(ctx, s)
		if err != nil {
			return r.tap.count, err
		}
	}
	r.tap.armed = false
	count = r.tap.count
	if f.Nth > 0 && r.tap.hit == 0 {
		return count, errors.New("the fault was never met: the workload is not the same every time")
	}
	if err := r.stopped(ctx, s); err != nil {
		return count, err
	}
	return count, r.healed(ctx)
}

// operate does the operations and closes the store. It returns the store if that
// has stopped on the way, with r.fail set.
func (r *run) operate(ctx context.Context, s *engine.Store) (*engine.Store, error) {
	for i, op := range r.w.Ops {
		r.done = i + 1
		var err error
		switch {
		case op.Name == look:
			err = r.look(ctx, s, i)
		case op.Build == nil && op.Do == nil: // remount
			if err = s.Close(ctx); err == nil {
				s, err = engine.Open(ctx, r.dev, r.opt)
			}
		case op.Do != nil:
			err = op.Do(ctx, s)
		default:
			err = r.submit(ctx, s, i, op)
			if errors.Is(err, osd.ErrNoSpace) && !errors.Is(err, osd.ErrReadOnly) {
				r.short = true
				if err = r.untouched(ctx, s, op); err != nil {
					return s, fmt.Errorf("operation %d, %s, was refused: %w", i, op.Name, err)
				}
				continue
			}
			want := r.ref.errs[i]
			if r.short {
				want = err // its objects may be others than those of the reference
				if !refusal(err) {
					want = nil
				}
			}
			if sameAnswer(err, want) {
				r.taken[i] = err == nil
				continue
			}
			if want != nil && err == nil {
				return s, fmt.Errorf("operation %d, %s, was taken; the reference says %w", i, op.Name, want)
			}
		}
		if err != nil {
			r.fail = fmt.Errorf("operation %d, %s: %w", i, op.Name, err)
			return s, nil
		}
	}
	if err := s.Checkpoint(ctx); err != nil {
		r.fail = fmt.Errorf("checkpoint: %w", err)
		return s, nil
	}
	st, err := s.Engine().Statfs()
	if err != nil {
		return s, err
	}
	if st.Promised != 0 {
		return s, fmt.Errorf("%d bytes stay promised to nobody", st.Promised)
	}
	r.free = st.Free + st.Limbo
	if err := s.Close(ctx); err != nil {
		r.fail, r.free = fmt.Errorf("close: %w", err), 0
	}
	return nil, nil
}

// look reads everything. Wrong contents are an error of their own kind: they
// show as one that does not name its cause.
func (r *run) look(ctx context.Context, s *engine.Store, i int) error {
	got, err := history.Draw(ctx, s, history.Options{Buffer: r.buf})
	if err != nil || r.short {
		return err
	}
	return r.ref.hist.Check(got, r.ref.step[i], func(k int) bool { return k == r.ref.step[i] })
}

// refusal reports whether err is an answer about objects, not about the store.
func refusal(err error) bool {
	return sameAnswer(err, err) && err != nil
}

// submit queues one transaction and waits for it.
func (r *run) submit(ctx context.Context, s *engine.Store, i int, op crash.Op) error {
	var commit error
	told := 0
	err := s.Queue(ctx, op.Build(uint64(i+1)), nil, func(err error) {
		told++
		commit = err
		r.acked[i] = err == nil
	})
	switch {
	case told > 1:
		return fmt.Errorf("its commit was told %d times", told)
	case err == nil && told == 0:
		return errors.New("its commit was never told")
	case err == nil && commit != nil:
		r.taken[i] = true // applied, and perhaps in the log
		return commit
	case err != nil && told > 0 && commit == nil:
		return fmt.Errorf("committed, and then: %w", err)
	case err != nil && told > 0:
		r.taken[i] = true
	}
	return err
}

// untouched wants the collections a refused transaction names to be as they were
// before it.
func (r *run) untouched(ctx context.Context, s *engine.Store, op crash.Op) error {
	armed := r.tap.armed
	r.tap.armed = false
	defer func() { r.tap.armed = armed }()
	want, err := refer(ctx, r.w, func(i int) bool { return i < r.done-1 && r.taken[i] })
	if err != nil {
		return err
	}
	got, err := history.Draw(ctx, s, history.Options{Buffer: r.buf})
	if err != nil {
		return err
	}
	for c, w := range want.hist.Last() {
		if err := history.Same(c, got[c], w); err != nil {
			return err
		}
	}
	if len(got) != len(want.hist.Last()) {
		return fmt.Errorf("%d collections, want %d", len(got), len(want.hist.Last()))
	}
	return nil
}

// mayStop says whether the fault is one that a store may stop for.
func (f Fault) mayStop() bool {
	switch f.Kind {
	case Read:
		return f.For == 0 // fewer are tried again
	case Space:
		return f.For == 0
	}
	return true
}

// mustStop says whether it is one that a store has to stop for.
func (f Fault) mustStop() bool { return f.Kind == Write || f.Kind == Flush }

// stopped checks a store after the fault: it refuses changes if something went
// wrong, says why, and can be closed.
func (r *run) stopped(ctx context.Context, s *engine.Store) error {
	f := r.tap.fault
	switch {
	case f.Nth == 0 && r.fail != nil:
		return fmt.Errorf("without a fault: %w", r.fail)
	case r.fail == nil && f.Nth > 0 && f.mustStop():
		return errors.New("nobody was told")
	case r.fail == nil:
		return nil
	case !f.mayStop():
		return fmt.Errorf("the store stopped: %w", r.fail)
	case f.Kind != Space && !errors.Is(r.fail, faultdev.ErrInjected):
		return fmt.Errorf("the error hides its cause: %w", r.fail)
	case f.Kind == Space && !errors.Is(r.fail, osd.ErrNoSpace):
		return fmt.Errorf("the error hides its cause: %w", r.fail)
	}
	if s == nil {
		return nil
	}
	late := new(osd.Transaction)
	late.MkColl("late", osd.CollectionSpec{Shard: -1, Pool: 77})
	if f.mustStop() {
		if err := osd.Apply(ctx, s, late); !errors.Is(err, osd.ErrReadOnly) && !errors.Is(err, osd.ErrClosed) {
			return fmt.Errorf("a transaction on a stopped store: %v", err)
		}
	}
	_ = s.Close(ctx) // says again why it stopped, or nothing
	return nil
}

// healed mounts what is left on devices that work.
func (r *run) healed(ctx context.Context) error {
	main := keepOpen{r.main.mem.(*devices.Mem)}
	o := shapes[r.w.base.shape]
	var log devices.Device
	if r.log != nil {
		log = keepOpen{r.log.mem.(*devices.Mem)}
		o.LogDevice = log
	}
	ref := r.ref
	if r.short {
		var err error
		if ref, err = refer(ctx, r.w, func(i int) bool { return r.taken[i] }); err != nil {
			return err
		}
	}
	s, err := engine.Open(ctx, main, o)
	if err != nil {
		return fmt.Errorf("mount afterwards: %w", err)
	}
	if st, err := s.Engine().Statfs(); err != nil || r.free != 0 && st.Free+st.Limbo != r.free {
		return fmt.Errorf("%d bytes were free when the store was closed, %d are when it is mounted again (%v)", r.free, st.Free+st.Limbo, err)
	}
	found, err := history.Draw(ctx, s, history.Options{Buffer: r.buf})
	if err != nil {
		return fmt.Errorf("after the mount: %w", err)
	}
	submitted, acked := 0, map[int]bool{}
	for i := range r.done {
		submitted = ref.step[i]
		if r.acked[i] {
			acked[ref.step[i]] = true
		}
	}
	if err := ref.hist.Check(found, submitted, func(i int) bool { return acked[i] }); err != nil {
		return err
	}
	if err := s.Close(ctx); err != nil {
		return fmt.Errorf("close afterwards: %w", err)
	}
	return engine.CheckWith(ctx, main, log, true, false)
}
