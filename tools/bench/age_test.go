package bench

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/ebofs/check"
	"ebofs/ebofs/strict"
)

var ageSeed = flag.Uint64("age-seed", uint64(time.Now().UnixNano())%1e6, "of the ager")

// TestAge makes small stores old, at several levels of use, on soft geometry and as on
// a RAID: what was counted adds up to what the device saw, the level is held, free
// space is not in crumbs, and the store that comes out is sound.
func TestAge(t *testing.T) {
	t.Logf("again with: go test ./tools/bench -run TestAge -args -age-seed %d", *ageSeed)
	hard := true
	for _, c := range []struct {
		name   string
		o      AgeOptions
		score  float64 // at most, when aged
		refuse bool    // the store may have no room at times
	}{
		{"soft", AgeOptions{Fill: 0.8, Rounds: 0.7}, 0.95, false},
		{"defragmented", AgeOptions{Fill: 0.7, Rounds: 0.7, Defrag: true}, 0.95, false},
		{"full", AgeOptions{Fill: 0.97, Rounds: 0.2}, 1, true},
		{"hard", AgeOptions{Fill: 0.8, Rounds: 0.2, StripeBytes: 320 << 10, Hard: &hard}, 1, true},
		{"flash", AgeOptions{Fill: 0.8, Rounds: 0.2, StripeBytes: 16 << 10, Hard: &hard}, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := devices.NewMem(devices.MemOptions{Blocks: MinAgeBytes / devices.BlockSize})
			o := c.o
			o.Seed, o.Duration, o.MemoryBytes, o.Turns = *ageSeed, 50*time.Millisecond, 64<<20, 2
			o.Cells = []Cell{{true, 64 << 10, 4}, {false, 4 << 10, 8}, {false, 1 << 20, 4}}
			tally := new(strict.Tally)
			if o.Hard != nil {
				o.watch = func(dev devices.Device) (devices.Device, error) {
					return strict.New(dev, strict.Shape{Stripe: o.StripeBytes}, tally)
				}
				defer func() {
					fmt.Println(tally)
					if err := tally.Err(); err != nil || tally.Full.Load() == 0 {
						t.Errorf("%v: %v", tally, err)
					}
				}()
			}
			rep, err := Age(context.Background(), dev, o)
			if err != nil {
				t.Fatal(err)
			}
			states := 3
			if o.Defrag {
				states++
				was, is := rep.States[1], rep.States[2]
				if r := rep.Ageing.Defrag; r == nil || r.Chunks == 0 || is.Name != "defragmented" || is.Fragments > was.Fragments*0.8 {
					t.Errorf("%+v: %v, then %v", r, was, is)
				}
			}
			if len(rep.States) != states || len(rep.Rows) != 2*len(o.Cells) {
				t.Fatalf("%d states, %d rows", len(rep.States), len(rep.Rows))
			}
			for _, s := range rep.States {
				t.Log(s)
			}
			t.Log(rep.Ageing)
			old := rep.States[1]
			if old.Name != "aged" || old.Fill < o.Fill-0.04 || old.Fill > o.Fill+0.04 {
				t.Errorf("%s at %.3f, want %.3f", old.Name, old.Fill, o.Fill)
			}
			if old.Score > c.score || old.Fragments < 1 || old.Objects == 0 {
				t.Errorf("aged: %+v", old)
			}
			if rep.Ageing.Refused > 0 && !c.refuse {
				t.Errorf("%d steps found no room", rep.Ageing.Refused)
			}
			for _, r := range rep.Rows {
				t.Log(r)
				sum := int64(0)
				for _, n := range r.Written {
					sum += n
				}
				// The background writes beside any row, and as one begins or ends: defragmentation
				// much, a checkpoint that goes on with what one before it left its last blocks.
				wrote, off := (r.Op == "write") == (sum > 0), sum-r.Device
				switch {
				case o.Defrag && max(off, -off) <= 8<<20:
					wrote, off = wrote || r.Op == "read", 0
				case sum > 0 && max(off, -off) <= 16<<10:
					off = 0
				}
				if off != 0 || r.Ops == 0 || r.RawOpsPerS == 0 || r.IOs == 0 || !wrote {
					t.Errorf("%d bytes by purpose, %d at the device: %+v", sum, r.Device, r)
				}
			}
			w, err := newWindow(dev, 0, uint64(rep.StoreBytes)/devices.BlockSize, devices.Overrides{StripeBytes: o.StripeBytes, Hard: o.Hard})
			if err != nil {
				t.Fatal(err)
			}
			report, err := check.Run(context.Background(), w, check.Options{Level: check.Deep, Workers: 1})
			if err != nil || len(report.Problems) > 0 {
				t.Errorf("check of the aged store: %v %+v", err, report)
			}
		})
	}
}

// TestAgeOptions lists what is refused.
func TestAgeOptions(t *testing.T) {
	big, small := devices.NewMem(devices.MemOptions{Blocks: 1 << 20}), devices.NewMem(devices.MemOptions{Blocks: 1 << 10})
	for _, c := range []struct {
		dev  devices.Device
		o    AgeOptions
		text string
	}{
		{small, AgeOptions{}, "too small"},
		{big, AgeOptions{Bytes: 256 << 20, Cells: SizeCells()}, "too few to measure"},
		{big, AgeOptions{Fill: 1}, "fill 1"},
		{big, AgeOptions{Fill: -1}, "fill -1"},
		{big, AgeOptions{Rounds: -1}, "negative"},
		{big, AgeOptions{Cells: []Cell{{false, 5000, 1}}}, "power of two"},
		{big, AgeOptions{Cells: []Cell{{false, 4096, 0}}}, "depth 0"},
		{big, AgeOptions{StripeBytes: 5000}, "unit 5000"},
	} {
		if err := c.o.Validate(c.dev); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.text)
		}
	}
	if err := (AgeOptions{}).Validate(big); err != nil {
		t.Error(err)
	}
	if n := len(SizeCells()); fmt.Sprint(SizeCells()[n-1]) != "write 16 MiB, depth 16" || n != 13 {
		t.Error(SizeCells())
	}
}
