package ebofs_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
)

// TestGeometryChanged: a mount says when the stripes of the store are no longer those
// of the device, and otherwise nothing.
func TestGeometryChanged(t *testing.T) {
	shape := func(stripe uint32, align uint64, hard bool) devices.Overrides {
		return devices.Overrides{StripeBytes: stripe, UnitBytes: 16 << 10, AlignBytes: &align, Hard: &hard}
	}
	for _, c := range []struct {
		name         string
		made, opened devices.Overrides
		want         string
	}{
		{"as made", shape(320<<10, 72<<10, true), shape(320<<10, 72<<10, true), ""},
		{"soft", shape(64<<10, 0, false), shape(128<<10, 0, false), ""},
		{"a disk of its own now", shape(320<<10, 72<<10, true), shape(64<<10, 0, false), ""},
		{"several of its stripes in one of ours", shape(320<<10, 72<<10, true), shape(64<<10, 8<<10, true), ""},
		{"another shape", shape(320<<10, 0, true), shape(256<<10, 0, true), "the device reports hard stripes of 262144 bytes from byte 0 on, the store was made for hard ones of 327680"},
		{"moved", shape(320<<10, 0, true), shape(320<<10, 64<<10, true), "327680 bytes from byte 65536 on"},
		{"onto an array", shape(64<<10, 0, false), shape(320<<10, 0, true), "was made for soft ones of 65536"},
	} {
		g := devices.DefaultGeometry(64 << 20 / devices.BlockSize)
		of := func(o devices.Overrides) devices.Geometry {
			g, err := o.Apply(g)
			if err != nil {
				t.Fatal(c.name, err)
			}
			return g
		}
		made := of(c.made)
		mem := devices.NewMem(devices.MemOptions{Geometry: &made})
		if _, err := ebofs.Format(bg, mem, ebofs.FormatOptions{}); err != nil {
			t.Fatal(c.name, err)
		}
		var log bytes.Buffer
		s, err := ebofs.Open(bg, claims{mem, of(c.opened)}, ebofs.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		if err != nil {
			t.Fatal(c.name, err)
		}
		if err := s.Close(bg); err != nil {
			t.Fatal(c.name, err)
		}
		if said := log.String(); c.want == "" && said != "" || !strings.Contains(said, c.want) || c.want != "" && strings.Count(said, "\n") != 1 {
			t.Errorf("%s: %q, want %q", c.name, said, c.want)
		}
	}
}

// claims is a device that reports another geometry.
type claims struct {
	devices.Device
	g devices.Geometry
}

func (c claims) Geometry() devices.Geometry { return c.g }

// TestShape: what mkfs makes of options and report.
func TestShape(t *testing.T) {
	yes := true
	at := func(n uint64) *uint64 { return &n }
	g := devices.DefaultGeometry(64 << 20 / devices.BlockSize)
	g.UnitBytes, g.StripeBytes, g.AlignBytes = 16<<10, 128<<10, 40<<10
	for _, c := range []struct {
		o    ebofs.FormatOptions
		want string
	}{
		{ebofs.FormatOptions{}, "32 10 16384 false"},
		{ebofs.FormatOptions{StripeBytes: 32 << 10}, "8 2 16384 false"},
		{ebofs.FormatOptions{StripeBytes: 20 << 10, Hard: &yes}, "5 0 20480 true"},
		{ebofs.FormatOptions{StripeBytes: 320 << 10, UnitBytes: 64 << 10, AlignBytes: at(72 << 10), Hard: &yes}, "80 18 65536 true"},
		{ebofs.FormatOptions{UnitBytes: 128 << 10, AlignBytes: at(0)}, "32 0 131072 false"},
		{ebofs.FormatOptions{UnitBytes: 5000}, "unit of 5000 bytes: not a multiple of 4096: invalid"},
		{ebofs.FormatOptions{UnitBytes: 48 << 10}, "unit of 49152 bytes: the stripe of 131072 bytes is no multiple of it: invalid"},
		{ebofs.FormatOptions{AlignBytes: at(128 << 10)}, "alignment of 131072 bytes: not below the stripe of 131072 bytes: invalid"},
		{ebofs.FormatOptions{AlignBytes: at(100)}, "alignment 100: not a multiple of 4096: invalid"},
		{ebofs.FormatOptions{StripeBytes: 10000}, "stripe of 10000 bytes: not a multiple of 4096 up to 67108864: invalid"},
		{ebofs.FormatOptions{StripeBytes: 128 << 20}, "stripe of 134217728 bytes: not a multiple of 4096 up to 67108864: invalid"},
	} {
		info, err := ebofs.PlanFormat(devices.NewMem(devices.MemOptions{Geometry: &g}), c.o)
		got := fmt.Sprint(info.Placement.StripeBlocks, info.Placement.AlignBlocks, info.Unit, info.Hard)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v: %s, want %s", c.o, got, c.want)
		}
	}
}
