package concurrent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/fuzz/engine"
	"ebofs/fuzz/history"
)

// cut takes a state that a power cut now could leave and looks at it. One in four
// is cut again while it recovers.
func (r *run) cut(ctx context.Context, rnd *rand.Rand) error {
	r.mu.Lock()
	c := &cut{acked: len(r.mu.order)}
	r.mu.Unlock()
	st := r.dev.Clone(rnd.Uint64())
	c.tick = r.clock.Add(1)
	c.what = st.String()
	mem := st.Mem
	if rnd.IntN(4) == 0 {
		again, err := r.again(ctx, mem, rnd)
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		c.nested, c.what, mem = true, c.what+": in its recovery: "+again.String(), again.Mem
	}
	var err error
	if c.pic, err = r.visit(ctx, mem); err != nil {
		return fmt.Errorf("%s: %w", c.what, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.cuts = append(r.mu.cuts, c)
	return nil
}

// again opens mem and cuts its recovery somewhere.
func (r *run) again(ctx context.Context, mem *devices.Mem, rnd *rand.Rand) (*crashdev.State, error) {
	dev := crashdev.New(mem)
	o := r.engine
	o.Background = false
	s, err := engine.Open(ctx, dev, o)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	points := dev.Points()
	if err := s.Close(ctx); err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	if len(points) == 0 {
		points = dev.Points()
	}
	var last *crashdev.State
	for st := range dev.States(points[rnd.IntN(len(points))], crashdev.Policy{Limit: 3, Seed: rnd.Uint64()}) {
		last = st
	}
	return last, nil
}

// visit opens a cut, draws what it holds, closes and checks it.
func (r *run) visit(ctx context.Context, mem *devices.Mem) (history.Picture, error) {
	dev := keepOpen{mem}
	o := r.engine
	o.Background = false
	s, err := engine.Open(ctx, dev, o)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	pic, err := history.Draw(ctx, s, history.Options{})
	if err != nil {
		return nil, err
	}
	if err := s.Close(ctx); err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	return pic, engine.Check(ctx, dev, true, false)
}

// keepOpen is a device that its user cannot close, so that it can be checked.
type keepOpen struct{ *devices.Mem }

// Close leaves the device open.
func (keepOpen) Close() error { return nil }

// judgeCalls looks for an order of the calls on each pair that explains them (I1).
func (r *run) judgeCalls() error {
	place := map[*submitted]int{}
	for i, x := range r.mu.order {
		place[x] = i + 1
	}
	for at, calls := range r.mu.calls {
		if err := number(calls, place); err != nil {
			return fmt.Errorf("pair %d: %w", at, err)
		}
		if err := judge(calls, r.search); err != nil {
			return fmt.Errorf("pair %d: %w", at, err)
		}
	}
	return nil
}

// number tells each change which of its pair's it is.
func number(calls []porcupine.Operation, place map[*submitted]int) error {
	var changes []*porcupine.Operation
	for i := range calls {
		x, ok := calls[i].Metadata.(*submitted)
		if !ok || calls[i].Output.(output).refused {
			continue
		}
		if place[x] == 0 {
			return fmt.Errorf("%v: applied, and never committed", calls[i].Input)
		}
		changes = append(changes, &calls[i])
	}
	slices.SortFunc(changes, func(a, b *porcupine.Operation) int {
		return place[a.Metadata.(*submitted)] - place[b.Metadata.(*submitted)]
	})
	for i, c := range changes {
		c.Output = output{nth: i + 1}
	}
	return nil
}

// judge asks porcupine.
func judge(calls []porcupine.Operation, within time.Duration) error {
	verdict, info := porcupine.CheckOperationsVerbose(model, calls, within)
	switch verdict {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("%d calls: undecided after %v", len(calls), within)
	}
	return fmt.Errorf("%d calls are not linearizable; behind the longest order that is:\n%s", len(calls), stuck(calls, info))
}

// stuck says where the search for an order ended: the last calls of the longest
// one found, and those that could have been next.
func stuck(calls []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []porcupine.Operation
	for _, orders := range info.PartialLinearizationsOperations() {
		for _, o := range orders {
			if len(o) > len(longest) {
				longest = o
			}
		}
	}
	in := map[int64]bool{} // ticks of calls: no two calls of one pair share one
	for _, c := range longest {
		in[c.Call] = true
	}
	first := int64(1 << 62) // return of the earliest that is left
	for _, c := range calls {
		if !in[c.Call] {
			first = min(first, c.Return)
		}
	}
	var b strings.Builder
	line := func(c porcupine.Operation) {
		fmt.Fprintf(&b, "  worker %d, %d to %d: %v: %v\n", c.ClientId, c.Call, c.Return, c.Input, c.Output)
	}
	for _, c := range longest[max(0, len(longest)-12):] {
		line(c)
	}
	b.WriteString("of these none can be next:\n")
	for _, c := range calls {
		if !in[c.Call] && c.Call < first {
			line(c)
		}
	}
	return b.String()
}

// judgeCuts compares every cut, and what the store held in the end, with the
// history of transactions in the order of their commits (I2).
func (r *run) judgeCuts(ctx context.Context, end history.Picture) error {
	h := history.New()
	if err := h.Submit(ctx, mkcolls()); err != nil {
		return err
	}
	h.Base()
	for i, x := range r.mu.order {
		if err := h.Submit(ctx, x.txn); err != nil {
			return fmt.Errorf("transaction %d of the commit order cannot follow those before it: %w", i+1, err)
		}
	}
	all := func(int) bool { return true }
	if err := h.Check(end, h.Submitted(), all); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	for _, c := range r.mu.cuts {
		last := len(r.mu.order)
		for last > c.acked && r.mu.order[last-1].called >= c.tick {
			last--
		}
		if err := h.Check(c.pic, last, func(i int) bool { return i <= c.acked }); err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
	}
	return nil
}
