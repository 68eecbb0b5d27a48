package layout

import (
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

// checkPlacement verifies everything that must hold of a plan.
func checkPlacement(t *testing.T, p Placement, what string) {
	t.Helper()
	fail := func(format string, a ...any) {
		t.Helper()
		t.Fatalf("%s: %s\n%+v", what, fmt.Sprintf(format, a...), p)
	}
	const safe = 2 << 20 / BlockSize // L7
	for _, s := range p.Slots {
		if s < safe || s >= p.Blocks-safe {
			fail("slot %d within 2 MiB of an end", s)
		}
		if s >= p.HeadEnd && s < p.TailStart {
			fail("slot %d outside head and tail", s)
		}
	}
	if p.Slots[1] >= p.Slots[2] {
		fail("slots overlap")
	}
	s := uint64(p.StripeBlocks)
	aligned := func(b uint64) bool { return b >= p.AlignBlocks && (b-p.AlignBlocks)%s == 0 }
	if p.RingBlocks > 0 {
		if !aligned(p.RingStart) || p.RingStart < p.HeadEnd || p.RingStart+p.RingBlocks > p.TailStart {
			fail("ring misplaced")
		}
		for _, l := range p.Labels {
			if l >= p.RingStart && l < p.RingStart+p.RingBlocks {
				fail("label copy %d inside the ring", l)
			}
		}
	}
	if p.Zones == 0 {
		return
	}
	if !aligned(p.ZoneStart) || !aligned(p.ZoneEnd) || uint64(p.ZoneBlocks)%s != 0 || p.ZoneStart < p.HeadEnd || p.ZoneEnd > p.TailStart {
		fail("zones misplaced")
	}
	if p.ZoneBlocks*BlockSize/BlockSize != p.ZoneBlocks || p.ZoneBlocks > MaxZoneBlocks {
		fail("zone too large")
	}
	at := p.ZoneStart
	for z := range p.Zones {
		start, n := p.Zone(z)
		if start != at || n == 0 || n > p.ZoneBlocks || uint64(n)%s != 0 || z+1 < p.Zones && n != p.ZoneBlocks {
			fail("zone %d is %d~%d, want it at %d", z, start, n, at)
		}
		if got, ok := p.ZoneOf(start + uint64(n) - 1); !ok || got != z {
			fail("ZoneOf the end of %d is %d", z, got)
		}
		at = start + uint64(n)
	}
	if at != p.ZoneEnd {
		fail("zones end at %d", at)
	}
	if p.TailStart-p.ZoneEnd >= s {
		fail("a stripe is lost before the tail")
	}
	if _, ok := p.ZoneOf(p.ZoneEnd); ok {
		fail("ZoneOf(ZoneEnd)")
	}
	// Every special block is outside the zones or in Fixed, and nothing else is.
	last := uint64(0)
	fixed := func(b uint64) bool {
		for _, f := range p.Fixed() {
			if f.Contains(MakeAddr(0, b)) {
				return true
			}
		}
		return false
	}
	sum := uint64(0)
	for _, f := range p.Fixed() {
		b := f.Addr.Block()
		if b < last || b < p.ZoneStart || b+f.Blocks > p.ZoneEnd {
			fail("fixed %v out of order or place", f)
		}
		last, sum = b+f.Blocks, sum+f.Blocks
	}
	want := uint64(0)
	for _, l := range p.Labels {
		if _, ok := p.ZoneOf(l); ok {
			want++
			if !fixed(l) {
				fail("label copy %d may be allocated", l)
			}
		}
	}
	if _, ok := p.ZoneOf(p.RingStart); ok && p.RingBlocks > 0 {
		want += p.RingBlocks
		if !fixed(p.RingStart) || !fixed(p.RingStart+p.RingBlocks-1) {
			fail("ring may be allocated")
		}
	}
	if sum != want {
		fail("%d blocks fixed, want %d", sum, want)
	}
}

func TestPlanTable(t *testing.T) {
	const mib, gib, tib = 1 << 20, 1 << 30, 1 << 40
	for _, c := range []struct {
		size          uint64
		o             PlanOptions
		zones         uint32
		zone, ring    uint64
		ringStart     uint64
		labels, fixed int
	}{
		{32 * mib, PlanOptions{}, 16, 1216 * 1024, 4 * mib, 5 * mib, 1, 0},
		{64 * mib, PlanOptions{}, 16, 47 * 64 << 10, 8 * mib, 5 * mib, 1, 0},
		{1 * gib, PlanOptions{}, 16, 951 * 64 << 10, 64 * mib, 5 * mib, 1, 0},
		{2 * gib, PlanOptions{}, 16, 1975 * 64 << 10, 64 * mib, 5 * mib, 2, 1},
		{20 * gib, PlanOptions{}, 20, gib, 640 * mib, 5 * mib, 3, 2},
		{100 * gib, PlanOptions{}, 100, gib, 3200 * mib, gib + 3*mib + 64<<10, 3, 3},
		{16 * tib, PlanOptions{}, 16384, gib, 4 * gib, gib + 3*mib + 64<<10, 5, 5},
		{16 * tib, PlanOptions{StripeBytes: 768 << 10, Hard: true}, 16388, 1365 * 768 << 10, 5462 * 768 << 10, 1370 * 768 << 10, 5, 5},
		{20 * gib, PlanOptions{ExternalLog: true}, 20, gib, 0, 0, 3, 2},
		{20 * gib, PlanOptions{LogBytes: 8 * gib}, 20, gib, 8 * gib, gib + 3*mib + 64<<10, 3, 3},
		{20 * gib, PlanOptions{ZoneBytes: 256 * mib}, 78, 256 * mib, 640 * mib, 5 * mib, 3, 2},
	} {
		p, err := Plan(c.size/BlockSize, c.o)
		if err != nil {
			t.Errorf("%d %+v: %v", c.size, c.o, err)
			continue
		}
		checkPlacement(t, p, fmt.Sprint(c.size))
		got := fmt.Sprint(p.Zones, uint64(p.ZoneBlocks)*BlockSize, p.RingBlocks*BlockSize, p.RingStart*BlockSize, len(p.Labels), len(p.Fixed()))
		if want := fmt.Sprint(c.zones, c.zone, c.ring, c.ringStart, c.labels, c.fixed); got != want {
			t.Errorf("%d %+v: zones, zone, ring, ring start, labels, fixed:\n got %s\nwant %s", c.size, c.o, got, want)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, c := range []struct {
		size uint64
		o    PlanOptions
		want error
		text string
	}{
		{0, PlanOptions{}, ErrTooSmall, "need at least 33554432"},
		{32<<20 - BlockSize, PlanOptions{}, ErrTooSmall, "33550336 bytes, need at least 33554432"},
		{64 << 20, PlanOptions{StripeBytes: 64 << 20}, ErrTooSmall, "for stripes of 67108864"},
		{64 << 20, PlanOptions{StripeBytes: 8 << 20}, ErrTooSmall, "for stripes of 8388608"},
		{1 << 30, PlanOptions{StripeBytes: 4095}, ErrInvalid, "stripe of 4095"},
		{1 << 30, PlanOptions{StripeBytes: 128 << 20}, ErrInvalid, "stripe"},
		{1 << 30, PlanOptions{AlignBytes: 512}, ErrInvalid, "alignment 512"},
		{1 << 30, PlanOptions{LogBytes: 1 << 20}, ErrInvalid, "log of 1048576"},
		{1 << 30, PlanOptions{LogBytes: 600 << 20}, ErrInvalid, "log of 629145600"},
		{1 << 30, PlanOptions{LogBytes: 64 << 20, ExternalLog: true}, ErrInvalid, "external log"},
		{1 << 30, PlanOptions{ZoneBytes: 1 << 30}, ErrInvalid, "1 zones"},
		{1 << 50, PlanOptions{ZoneBytes: 1 << 20}, ErrInvalid, "zones of 1048576"},
	} {
		_, err := Plan(c.size/BlockSize, c.o)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%d %+v: %v, want %q: %v", c.size, c.o, err, c.text, c.want)
		}
	}
	if _, err := PlanLog(8<<20/BlockSize, PlanOptions{}); !errors.Is(err, ErrTooSmall) {
		t.Error(err)
	}
	if _, err := PlanLog(64<<20/BlockSize, PlanOptions{LogBytes: 63 << 20}); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

func TestPlanRandom(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewSource(seed))
	planned := 0
	for i := range 5000 {
		size := uint64(32<<20) << r.Intn(20)
		size += uint64(r.Int63n(int64(size)))
		o := PlanOptions{StripeBytes: uint32(1+r.Intn(64)) * BlockSize, Hard: r.Intn(2) == 0}
		switch r.Intn(4) {
		case 0:
			o.StripeBytes *= 16
		case 1:
			o.StripeBytes = 0
		}
		if r.Intn(2) == 0 {
			o.AlignBytes = uint64(r.Intn(100000)) * BlockSize
		}
		plan := Plan
		switch r.Intn(6) {
		case 0:
			o.ExternalLog = true
		case 1:
			o.LogBytes = uint64(r.Int63n(int64(size/2))) + 4<<20
		case 2:
			plan = PlanLog
		}
		p, err := plan(size/BlockSize, o)
		if err != nil {
			if !errors.Is(err, ErrTooSmall) && !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			continue
		}
		planned++
		what := fmt.Sprintf("seed %d step %d: %d %+v", seed, i, size, o)
		checkPlacement(t, p, what)
		if p.Zones == 0 {
			continue
		}
		// The superblock is the only truth afterwards: it must give the same plan back.
		s := testSuper()
		s.SetPlacement(p)
		s.Devices[0].Blocks = p.Blocks
		if o.Hard {
			s.GeometryFlags = GeometryHard
		}
		s.Rings = nil
		if p.RingBlocks > 0 {
			s.Rings = []Ring{{Start: MakeAddr(0, p.RingStart), Blocks: p.RingBlocks}}
		}
		s.Root = Ref{MakeAddr(0, p.ZoneStart), 1, 1, 1}
		s.Self = MakeAddr(0, p.Slots[2])
		var b [BlockSize]byte
		if err := s.Encode(b[:]); err != nil {
			t.Fatal(what, err)
		}
		d, err := DecodeSuperblock(b[:])
		if err != nil {
			t.Fatal(what, err)
		}
		if got := d.Placement(); fmt.Sprint(got) != fmt.Sprint(p) {
			t.Fatalf("%s:\n got %+v\nwant %+v", what, got, p)
		}
	}
	if planned < 2000 {
		t.Fatalf("only %d plans", planned)
	}
}
