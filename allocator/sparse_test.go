package allocator

import (
	"errors"
	"slices"
	"testing"
)

// TestSparseIn: stripes neither free nor full, of the zone asked about, and a zone
// that may have some has to be loaded first.
func TestSparseIn(t *testing.T) {
	cfg := Config{First: 16, Blocks: 128, ZoneBlocks: 64, StripeBlocks: 16}
	a, err := New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []Extent{{16, 16}, {35, 2}, {48, 15}, {80, 1}} {
		if err := a.MarkUsed(e); err != nil {
			t.Fatal(err)
		}
	}
	for zone, want := range [][]Stripe{{{32, 2}, {48, 15}}, {{80, 1}}} {
		if got, err := a.SparseIn(zone, nil); err != nil || !slices.Equal(got, want) {
			t.Errorf("zone %d: %v, %v, want %v", zone, got, err, want)
		}
	}
	a, err = New(cfg, []ZoneSummary{{Free: 40, FreeStripes: 1}, {Free: 32, FreeStripes: 2}})
	if err != nil {
		t.Fatal(err)
	}
	var need NeedZone
	if _, err := a.SparseIn(0, nil); !errors.As(err, &need) || need.Zone != 0 {
		t.Errorf("zone not loaded: %v", err)
	}
	if got, err := a.SparseIn(1, nil); err != nil || len(got) != 0 {
		t.Errorf("zone of whole stripes: %v, %v", got, err)
	}
}
