package allocator

import (
	"errors"
	"math"
	"testing"
)

func TestConfigRefused(t *testing.T) {
	good := Config{First: 1280, Blocks: 1000, ZoneBlocks: 64, StripeBlocks: 16}
	if _, err := New(good, nil); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no blocks":                  func(c *Config) { c.Blocks = 0 },
		"end above 2^64":             func(c *Config) { c.First = math.MaxUint64 - 10 },
		"no stripe":                  func(c *Config) { c.StripeBlocks = 0 },
		"stripe above 16 bits":       func(c *Config) { c.StripeBlocks, c.ZoneBlocks = 1<<16, 1<<17 },
		"no zone":                    func(c *Config) { c.ZoneBlocks = 0 },
		"zone no multiple of stripe": func(c *Config) { c.ZoneBlocks = 72 },
		"zone above 2^31":            func(c *Config) { c.ZoneBlocks = 1<<31 + 16 },
		"too many zones":             func(c *Config) { c.Blocks = 1 << 56; c.ZoneBlocks = 16 },
	} {
		c := good
		change(&c)
		if _, err := New(c, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want %v", name, err, ErrInvalid)
		}
	}
}

func TestSummariesRefused(t *testing.T) {
	cfg := Config{Blocks: 100, ZoneBlocks: 64, StripeBlocks: 16}
	for name, s := range map[string]ZoneSummary{
		"more blocks than there are":     {65, 4},
		"more stripes than there are":    {64, 5},
		"more in stripes than in blocks": {31, 2},
		"empty without its stripes":      {64, 3},
	} {
		if _, err := New(cfg, []ZoneSummary{s, {36, 2}}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want %v", name, err, ErrCorrupt)
		}
	}
	if _, err := New(cfg, make([]ZoneSummary, 3)); !errors.Is(err, ErrInvalid) {
		t.Errorf("three summaries for two zones: %v, want %v", err, ErrInvalid)
	}
	if _, err := New(cfg, []ZoneSummary{{64, 4}, {36, 2}}); err != nil {
		t.Error(err)
	}
}

// TestLoadRefused checks what a failed Load leaves behind: nothing.
func TestLoadRefused(t *testing.T) {
	a, err := New(Config{Blocks: 100, ZoneBlocks: 64, StripeBlocks: 16}, []ZoneSummary{{40, 2}, {36, 2}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		zone int
		used []uint64
		want error
	}{
		"no such zone":       {2, []uint64{0}, ErrInvalid},
		"negative":           {-1, []uint64{0}, ErrInvalid},
		"too long":           {0, []uint64{1<<24 - 1, 0}, ErrInvalid},
		"too many used":      {0, []uint64{1<<25 - 1}, ErrCorrupt},
		"too few used":       {0, []uint64{1<<23 - 1}, ErrCorrupt},
		"too few in stripes": {0, []uint64{1<<8 - 1 | (1<<16-1)<<40}, ErrCorrupt},
	} {
		if err := a.Load(tc.zone, tc.used); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if err := a.Check(); err != nil || a.Loaded(0) {
			t.Fatalf("%s: check %v, loaded %v", name, err, a.Loaded(0))
		}
	}
	if err := a.Load(0, []uint64{1<<24 - 1}); err != nil {
		t.Fatal(err)
	}
	if err := a.Load(0, []uint64{1<<24 - 1}); !errors.Is(err, ErrInvalid) {
		t.Errorf("loaded twice: %v, want %v", err, ErrInvalid)
	}
	// Bits behind the end of the short last zone mean nothing.
	if err := a.Load(1, []uint64{0xfffffff << 36}); err != nil {
		t.Fatal(err)
	}
}

func TestBadRequests(t *testing.T) {
	a, err := New(Config{First: 10, Blocks: 100, ZoneBlocks: 64, StripeBlocks: 16}, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := a.String()
	for _, n := range []int{0, -1, math.MinInt, 1<<31 + 1, math.MaxInt} {
		if _, err := a.Alloc(Hot, n, 0, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("alloc of %d: %v", n, err)
		}
		if _, err := a.AllocStripes(Hot, n, 0); !errors.Is(err, ErrInvalid) {
			t.Errorf("stripes of %d: %v", n, err)
		}
		if _, err := a.AllocRun(Hot, n, n, 0); !errors.Is(err, ErrInvalid) {
			t.Errorf("run of %d: %v", n, err)
		}
	}
	if _, err := a.AllocRun(Hot, 2, 1, 0); !errors.Is(err, ErrInvalid) {
		t.Errorf("run of 2..1: %v", err)
	}
	if _, err := a.Alloc(classes, 1, 0, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("class %d: %v", classes, err)
	}
	if _, err := a.Alloc(Hot, 1<<31, 0, nil); !errors.Is(err, ErrNoSpace) {
		t.Errorf("2^31 blocks: %v", err)
	}
	for _, e := range []Extent{{}, {10, 0}, {9, 1}, {9, 2}, {110, 1}, {109, 2}, {10, 101}, {10, math.MaxUint64}, {math.MaxUint64, 2}, {math.MaxUint64, math.MaxUint64}} {
		for name, err := range map[string]error{"mark": a.MarkUsed(e), "free": a.Free(e, 1), "release": a.Release(e)} {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%s %v: %v, want %v", name, e, err, ErrInvalid)
			}
		}
	}
	// A hint outside the zones is no hint.
	for _, hint := range []uint64{1, 9, 110, math.MaxUint64} {
		out, err := a.Alloc(Hot, 1, hint, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Release(out[0]); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.String(); got != before {
		t.Errorf("got\n%s, want\n%s", got, before)
	}
}

// TestAllocKeepsBuffer checks that extents of the caller's buffer stay as they
// are, even if the new ones follow on, and that a failure gives the buffer back.
func TestAllocKeepsBuffer(t *testing.T) {
	a, err := New(Config{Blocks: 128, ZoneBlocks: 64, StripeBlocks: 16}, nil)
	if err != nil {
		t.Fatal(err)
	}
	buf := []Extent{{60, 4}}
	if buf, err = a.Alloc(Hot, 4, 0, buf); err != nil || len(buf) != 2 || buf[1] != (Extent{64, 4}) {
		t.Fatalf("got %v, %v", buf, err)
	}
	if buf, err = a.Alloc(Hot, 125, 0, buf); !errors.Is(err, ErrNoSpace) || len(buf) != 2 {
		t.Fatalf("got %v, %v", buf, err)
	}
}

// TestNoAllocations checks the usual cases: no garbage once buffers have grown.
func TestNoAllocations(t *testing.T) {
	a, err := New(Config{Blocks: 1 << 16, ZoneBlocks: 1 << 12, StripeBlocks: 16}, nil)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]Extent, 0, 4)
	if n := testing.AllocsPerRun(100, func() {
		out, err := a.AppendStripes(Big, 16, 0, buf[:0])
		if err != nil || a.Release(out[0]) != nil {
			t.Fatal(err)
		}
		e, err := a.AllocRun(Meta, 1, 16, 0)
		if err != nil || a.Release(e) != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
