package crash

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/fuzz/history"
	"ebofs/osd"
)

// depth says how much is done with one state.
type depth struct {
	deep   bool // ballast is read, fsck reads data, fsck also before recovery
	nested int  // how often to crash again inside recovery
}

// visitor opens states. It belongs to one goroutine.
type visitor struct {
	target *Target
	base   *base
	buf    []byte
}

// visit opens one state and returns what is wrong with it. For d.nested > 0 it
// returns the trace of the recovery, on which the caller crashes again.
func (v *visitor) visit(ctx context.Context, mem *devices.Mem, e expectation, d depth) (recovery *crashdev.Device, points []crashdev.Point, err error) {
	var dev devices.Device = mem
	if d.nested > 0 {
		recovery = crashdev.New(mem)
		dev = keepOpen{recovery}
	} else {
		dev = memOpen{mem}
	}
	defer func() {
		// A store that panics on what a crash left breaks its promise like any
		// other fault, and the line that repeats it must not be lost.
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if d.deep && v.target.Check != nil {
		if err := v.target.Check(ctx, dev, true, true); err != nil {
			return nil, nil, fmt.Errorf("check before recovery: %w", err)
		}
	}
	s, err := v.target.Open(ctx, dev)
	if err != nil {
		return nil, nil, fmt.Errorf("open: %w", err)
	}
	if recovery != nil {
		points = recovery.Points()
	}
	found, err := v.compare(ctx, s, e, d.deep)
	if err != nil {
		return nil, nil, err
	}
	if err := v.goOn(ctx, s, found, d.deep); err != nil {
		return nil, nil, fmt.Errorf("after recovery: %w", err)
	}
	if v.target.Again != nil {
		if err := v.target.Again(ctx, s); err != nil {
			return nil, nil, fmt.Errorf("again, after recovery: %w", err)
		}
	}
	if err := s.Close(ctx); err != nil {
		return nil, nil, fmt.Errorf("close after recovery: %w", err)
	}
	if v.target.Check != nil {
		if err := v.target.Check(ctx, dev, d.deep, false); err != nil {
			return nil, nil, fmt.Errorf("check after recovery: %w", err)
		}
	}
	return recovery, points, nil
}

// compare draws what s holds and compares it with what is expected.
func (v *visitor) compare(ctx context.Context, s Store, e expectation, deep bool) (history.Picture, error) {
	o := history.Options{Buffer: v.buf}
	if !deep {
		o.SkipData = func(c osd.CollectionID) bool { return c == collBallast }
	}
	found, err := history.Draw(ctx, s, o)
	if err != nil {
		return nil, err
	}
	if err := history.Same(collBallast, found[collBallast], v.base.ballast); err != nil {
		return nil, err
	}
	delete(found, collBallast)
	return found, e.hist.Check(found, e.submitted, func(i int) bool { return e.acked[i] })
}

// after returns what is done to every store that came back: the recovered free
// space is used, by both write paths and by metadata, before the last step
// removes a part of it again.
func after() []*osd.Transaction {
	t, u, w := new(osd.Transaction), new(osd.Transaction), new(osd.Transaction)
	a, b := object(8, 1, "after-a"), object(8, 2, "after-b")
	t.MkColl(collAfter, osd.CollectionSpec{Shard: -1, Pool: 8})
	t.Write(collAfter, a, 0, history.Tagged(a, 0, 1, 256<<10))
	u.Write(collAfter, a, 3000, history.Tagged(a, 3000, 2, 9000))
	u.Write(collAfter, b, 100, history.Tagged(b, 100, 2, 30_000))
	u.SetAttrs(collAfter, b, history.Values("attr", 3, 50, 2))
	u.OmapSet(collAfter, a, history.Values("key", 20, 50, 2))
	w.Truncate(collAfter, b, 10_000)
	w.OmapRmRange(collAfter, a, "key0005", "key0010")
	return []*osd.Transaction{t, u, w}
}

// afterPicture is what those leave.
func afterPicture(ctx context.Context) (*history.Collection, error) {
	h := history.New()
	for _, t := range after() {
		if err := h.Submit(ctx, t); err != nil {
			return nil, err
		}
	}
	return h.Last()[collAfter], nil
}

// goOn works with the recovered store: what it had stays as found, what is added
// is right. Unless deep, data of the former is not read a second time.
func (v *visitor) goOn(ctx context.Context, s Store, found history.Picture, deep bool) error {
	full := false
	for i, t := range after() {
		err := osd.Apply(ctx, s, t)
		if errors.Is(err, osd.ErrNoSpace) {
			full = true
			break
		}
		if err != nil {
			return fmt.Errorf("transaction %d: %w", i, err)
		}
		if i == 1 {
			if err := s.Checkpoint(ctx); err != nil {
				return fmt.Errorf("checkpoint: %w", err)
			}
		}
	}
	now, err := history.Draw(ctx, s, history.Options{Buffer: v.buf, SkipData: func(c osd.CollectionID) bool {
		return c == collBallast || !deep && c != collAfter
	}})
	if err != nil {
		return err
	}
	if !full {
		if err := history.Same(collAfter, now[collAfter], v.base.after); err != nil {
			return err
		}
	}
	delete(now, collAfter)
	delete(now, collBallast)
	for c := range found {
		if err := history.Same(c, now[c], found[c]); err != nil {
			return fmt.Errorf("changed by what was written since: %w", err)
		}
	}
	if len(now) != len(found) {
		return fmt.Errorf("%d collections, want %d", len(now), len(found))
	}
	return nil
}

// memOpen is a device that its user cannot close, so that it can be checked.
type memOpen struct{ *devices.Mem }

// Close leaves the device open.
func (memOpen) Close() error { return nil }
