package crash

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/ebofs/layout"
	"ebofs/fuzz/engine"
)

// growing is the engine on a store of 40 MiB that fills its part of a device of 61
// MiB and some: the last zone, which is short, becomes longer, and others follow.
// After every crash the store grows once more, if the crash left it small.
func growing(shape string) *Target {
	o := Engines[shape]
	o.SizeBytes = 40 << 20
	t := Engine(shape)
	t.DeviceBytes = 61<<20 + 28<<10
	t.Format = func(ctx context.Context, dev devices.Device) error { return engine.Format(ctx, dev, o) }
	t.Again = func(ctx context.Context, s Store) error {
		if err := Grow.Do(ctx, s); err != nil && !errors.Is(err, layout.ErrNoGain) {
			return err
		}
		if sb := s.(*engine.Store).Engine().Superblock(); sb.Blocks != t.DeviceBytes/devices.BlockSize || sb.GrowingFrom != 0 {
			return fmt.Errorf("store of %d blocks, growing from %d", sb.Blocks, sb.GrowingFrom)
		}
		return nil
	}
	return t
}

// named returns operations of the alphabet, and grow.
func named(t *testing.T, names ...string) []Op {
	t.Helper()
	var ops []Op
	for _, n := range names {
		i := slices.IndexFunc(Alphabet, func(op Op) bool { return op.Name == n })
		switch {
		case n == Grow.Name:
			ops = append(ops, Grow)
		case i >= 0:
			ops = append(ops, Alphabet[i])
		default:
			t.Fatalf("no operation %q", n)
		}
	}
	return ops
}

// TestGrow cuts the power at every write of a grow, alone and between others, and
// again inside what the next mount does about it.
func TestGrow(t *testing.T) {
	plan := Plan{DeepEvery: 8, NestEvery: 6, NestStates: 6}
	if testing.Short() {
		plan = Plan{Points: 12, States: 3, DeepEvery: 4, NestEvery: 4, NestStates: 2}
	}
	grow(t, "plain", plan, 1000)
	for _, shape := range []string{"raid", "flash"} {
		grow(t, shape, Plan{Points: 12, States: 3, DeepEvery: 4, NestEvery: 4, NestStates: 2}, 50)
	}
}

func grow(t *testing.T, shape string, plan Plan, floor int64) {
	t.Helper()
	began := time.Now()
	x, err := New(context.Background(), growing(shape))
	if err != nil {
		t.Fatal(err)
	}
	x.Run(context.Background(), func(yield func(Job) bool) {
		for _, w := range []Workload{
			{Ops: named(t, "grow"), Mode: 0},
			{Ops: named(t, "grow"), Mode: Close},
			{Ops: named(t, "create-large", "grow", "data-all"), From: 1, Mode: SyncEach | Checkpoint},
			{Ops: named(t, "big-overlap", "grow", "create-large", "remount", "data-unaligned"), From: 1, Mode: Close},
		} {
			if !yield(Job{w, plan}) {
				return
			}
		}
	})
	report(t, x, shape+", growing", began)
	if !testing.Short() && x.States() < floor {
		t.Errorf("%s: only %d states", shape, x.States())
	}
}

// TestGrowSlots tries, inside every state of a grow that tears a superblock or the
// label, every state that tears one in the mount after it.
func TestGrowSlots(t *testing.T) {
	if testing.Short() {
		t.Skip("covered in part by TestGrow")
	}
	began := time.Now()
	target := growing("plain")
	x, err := New(context.Background(), target)
	if err != nil {
		t.Fatal(err)
	}
	marks := append(slices.Collect(slotsOf(40<<20)), slices.Collect(slotsOf(target.DeviceBytes))...)
	plan := Plan{NestEvery: 1, NestStates: -1, Only: func(p crashdev.Point) bool {
		return p.Op == devices.OpWrite && p.N == 1 && slices.Contains(marks, p.B)
	}}
	x.Run(context.Background(), slices.Values([]Job{{Workload{Ops: named(t, "grow")}, plan}}))
	report(t, x, "growing", began)
}

// slotsOf yields label and superblock slots of a device.
func slotsOf(bytes uint64) iter.Seq[devices.Block] {
	return func(yield func(devices.Block) bool) {
		at := layout.SlotBlocks(bytes / devices.BlockSize)
		for _, b := range append(at[:], 0) {
			if !yield(devices.Block(b)) {
				return
			}
		}
	}
}
