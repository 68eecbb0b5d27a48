package allocator

import (
	"errors"
	"testing"
)

// oneZone returns an allocator of one zone of 64 blocks of which the first 32
// are used, not loaded.
func oneZone(t *testing.T) *Allocator {
	t.Helper()
	a, err := New(Config{Blocks: 64, ZoneBlocks: 64, StripeBlocks: 16}, []ZoneSummary{{32, 2}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func mustCheck(t *testing.T, a *Allocator, err error, want string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Check(); err != nil {
		t.Fatal(err)
	}
	if got := a.String(); want != "" && got != want {
		t.Fatalf("got\n%swant\n%s", got, want)
	}
}

// TestLoadOlderOrNewer loads a bitmap from before and from after blocks were
// freed, marked and released: the result is the same.
func TestLoadOlderOrNewer(t *testing.T) {
	for name, bitmap := range map[string]uint64{
		"before": 0xffffffff,
		"after":  0xffff0000 | 3<<40, // 0~8 is in limbo, 8~8 released, 40~2 marked
	} {
		t.Run(name, func(t *testing.T) {
			a := oneZone(t)
			mustCheck(t, a, a.Free(Extent{8, 8}, 1), "")
			a.Durable(1)
			mustCheck(t, a, a.Free(Extent{0, 8}, 2), "")
			mustCheck(t, a, a.MarkUsed(Extent{40, 2}), "")
			mustCheck(t, a, a.Load(0, []uint64{bitmap}), "free   [8~8 32~8 42~22]\nlimbo  [0~8] of epoch 2\n")
		})
	}
}

// TestUnloadedTurns sends the same blocks through all states and back while
// the zone is not loaded.
func TestUnloadedTurns(t *testing.T) {
	a := oneZone(t)
	e := Extent{0, 16}
	for epoch := uint64(1); epoch < 4; epoch++ {
		mustCheck(t, a, a.Free(e, epoch), "")
		if err := a.Free(Extent{15, 2}, epoch); !errors.Is(err, ErrNotUsed) {
			t.Fatalf("free of limbo: %v", err)
		}
		if err := a.MarkUsed(Extent{15, 1}); !errors.Is(err, ErrUsed) {
			t.Fatalf("mark of limbo: %v", err)
		}
		a.Durable(epoch)
		if err := a.Release(Extent{15, 2}); !errors.Is(err, ErrNotUsed) {
			t.Fatalf("release of free blocks: %v", err)
		}
		if a.FreeBlocks() != 48 || a.FreeStripes() != 3 {
			t.Fatalf("%d blocks and %d stripes free", a.FreeBlocks(), a.FreeStripes())
		}
		mustCheck(t, a, a.MarkUsed(e), "")
		if err := a.MarkUsed(Extent{15, 1}); !errors.Is(err, ErrUsed) {
			t.Fatalf("marked twice: %v", err)
		}
		mustCheck(t, a, a.Release(e), "")
		mustCheck(t, a, a.MarkUsed(e), "")
	}
	mustCheck(t, a, a.Load(0, []uint64{0xffffffff}), "free   [32~32]\n")
}

// TestLoadTooManyStripes: without changes the free stripes must fit exactly.
func TestLoadTooManyStripes(t *testing.T) {
	a, err := New(Config{Blocks: 64, ZoneBlocks: 64, StripeBlocks: 16}, []ZoneSummary{{32, 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Load(0, []uint64{0xffffffff}); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("two free stripes, summary has one: %v", err)
	}
}

// TestFewFreeStripes: under 2 % free stripes data on soft geometry goes to the
// zone with most room, whole stripe or not; from 2 % on to a free stripe.
func TestFewFreeStripes(t *testing.T) {
	for _, tc := range []struct {
		extra Extent // made a free stripe too
		want  Extent
	}{
		{want: Extent{73, 3}},
		{extra: Extent{128, 4}, want: Extent{128, 3}},
	} {
		a, err := New(Config{Blocks: 256, ZoneBlocks: 64, StripeBlocks: 4}, nil)
		if err != nil {
			t.Fatal(err)
		}
		// All of 64 stripes but one is used in part: 1.6 %.
		mustCheck(t, a, a.MarkUsed(Extent{0, 256}), "")
		for _, e := range []Extent{{73, 3}, {77, 3}, {192, 4}, tc.extra} {
			if e.Blocks > 0 {
				mustCheck(t, a, a.Release(e), "")
			}
		}
		out, err := a.Alloc(Hot, 3, 0, nil)
		if err != nil || len(out) != 1 || out[0] != tc.want {
			t.Errorf("got %v, %v, want %v", out, err, tc.want)
		}
	}
}
