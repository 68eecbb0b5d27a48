package crash

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"ebofs/devices/crashdev"
	"ebofs/fuzz/history"
	"ebofs/osd"
)

// Workload is a list of operations and how they are spaced.
type Workload struct {
	// Title stands for the operations in Name where they are too many to list;
	// empty: their names do.
	Title string
	Ops   []Op
	Mode  Mode
	// From is the operation from whose call on crashes are tried; those before it
	// are left to shorter workloads.
	From int
}

// Mode says what happens between and after the operations of a workload.
type Mode uint8

// The modes combine.
const (
	SyncEach   Mode = 1 << iota // wait for the commit of each operation before the next
	Checkpoint                  // at the end
	Close                       // at the very end

	AllModes = 1 << iota // one more than the largest combination
)

// Name identifies the workload and everything random about it.
func (w *Workload) Name() string {
	names := make([]string, len(w.Ops))
	for i, op := range w.Ops {
		names[i] = op.Name
	}
	title := w.Title
	if title == "" {
		title = strings.Join(names, ",")
	}
	return fmt.Sprintf("%s/mode=%d", title, w.Mode)
}

// seed is what the random choices of a workload are drawn from.
func (w *Workload) seed() uint64 {
	h := fnv.New64a()
	h.Write([]byte(w.Name()))
	return h.Sum64()
}

// trace is what happened while a workload ran.
type trace struct {
	dev  *crashdev.Device
	hist *history.History
	// step is the transaction of the history that each call of Queue became; 0 for
	// a call that was refused.
	step []int
	// acks is the call that each acknowledgement was for, in order.
	acks []int
	// marks is what had been promised at each tag of the device.
	marks []mark
	// from is the first tag of interest.
	from uint64
}

// mark is a moment: how many calls of Queue had begun, how many
// acknowledgements had come.
type mark struct{ calls, acks int }

// expectation is what a state may hold.
type expectation struct {
	hist      *history.History
	submitted int
	acked     map[int]bool
}

// at returns what a state under a tag may hold.
func (t *trace) at(tag uint64) expectation {
	m := t.marks[tag]
	e := expectation{hist: t.hist, acked: map[int]bool{}}
	for _, s := range t.step[:m.calls] {
		e.submitted = max(e.submitted, s)
	}
	for _, call := range t.acks[:m.acks] {
		e.acked[t.step[call]] = true
	}
	return e
}

// mark notes the present moment.
func (t *trace) mark() {
	t.marks = append(t.marks, mark{len(t.step), len(t.acks)})
	t.dev.Mark(uint64(len(t.marks) - 1))
}

// run runs w on a device that starts as b.
func (w *Workload) run(ctx context.Context, target *Target, b *base) (*trace, error) {
	t := &trace{dev: crashdev.New(b.mem), hist: history.New()}
	for _, txn := range setup() {
		if err := t.hist.Submit(ctx, txn); err != nil {
			return nil, err
		}
	}
	t.hist.Base()
	t.mark()

	dev := &mortal{keepOpen: keepOpen{t.dev}}
	s, err := target.Open(ctx, dev)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	for i, op := range w.Ops {
		if i == w.From && i > 0 {
			t.mark()
			t.from = uint64(len(t.marks) - 1)
		}
		switch {
		case op.Name == remount:
			if err := s.Close(ctx); err != nil {
				return nil, fmt.Errorf("operation %d: close: %w", i, err)
			}
			if s, err = target.Open(ctx, dev); err != nil {
				return nil, fmt.Errorf("operation %d: open: %w", i, err)
			}
		case op.Do != nil:
			err = op.Do(ctx, s)
		default:
			err = t.submit(ctx, s, op.Build(uint64(i+1)))
		}
		if err != nil {
			return nil, fmt.Errorf("operation %d, %s: %w", i, op.Name, err)
		}
		if w.Mode&SyncEach != 0 {
			if err := s.Sync(ctx); err != nil {
				return nil, fmt.Errorf("sync after operation %d: %w", i, err)
			}
		}
	}
	if err := s.Sync(ctx); err != nil {
		return nil, fmt.Errorf("sync: %w", err)
	}
	if w.Mode&Checkpoint != 0 {
		if err := s.Checkpoint(ctx); err != nil {
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
	}
	if w.Mode&Close == 0 {
		dev.kill(ctx, s)
	} else if err := s.Close(ctx); err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	return t, nil
}

// submit queues txn and compares the outcome with the history's. A store may
// refuse for space what the history, which has no bound, accepts.
func (t *trace) submit(ctx context.Context, s Store, txn *osd.Transaction) error {
	call := len(t.step)
	t.step = append(t.step, 0)
	t.mark()
	var failed error
	err := s.Queue(ctx, txn, nil, func(err error) {
		if err != nil {
			failed = fmt.Errorf("commit: %w", err)
			return
		}
		t.acks = append(t.acks, call)
		t.mark()
	})
	switch {
	case failed != nil:
		return failed
	case errors.Is(err, osd.ErrNoSpace):
		return nil
	}
	want := t.hist.Submit(ctx, txn)
	if err == nil && want == nil {
		t.step[call] = t.hist.Submitted()
		return nil
	}
	if kind := refusal(err); kind != nil && (kind == refusal(want) || refusal(want) != nil && txn.Len() > 1) {
		return nil // of several steps that cannot be done a store may name any
	}
	return fmt.Errorf("the store answers %q, the reference %q", fmt.Sprint(err), fmt.Sprint(want))
}

// refusal returns for what a transaction was refused, nil for anything else.
func refusal(err error) error {
	for _, kind := range []error{osd.ErrNotFound, osd.ErrExists, osd.ErrNotEmpty, osd.ErrInvalid} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}
