package stripecheck

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"ebofs/devices"
	"ebofs/devices/devicetest"
)

func TestDevice(t *testing.T) {
	devicetest.Run(t, devicetest.Config{
		New: func(t *testing.T, blocks uint64) devices.Device {
			return New(devices.NewMem(devices.MemOptions{Blocks: blocks}))
		},
	})
}

// TestCounts writes single ranges to a device of 50 blocks with stripes of 16
// from block 4 on: [0,4) [4,20) [20,36) [36,50).
func TestCounts(t *testing.T) {
	g := devices.DefaultGeometry(50)
	g.AlignBytes = 4 * devices.BlockSize
	raid := g
	raid.Hard, raid.UnitBytes = true, 16<<10
	units := g
	units.UnitBytes = 16 << 10
	p := devices.NewPool(devices.PoolOptions{})
	defer p.Close()
	for _, c := range []struct {
		name string
		g    devices.Geometry
		b, n int
		want Stats
	}{
		{"full", raid, 4, 16, Stats{Pieces: 1, Blocks: 16, Full: 1}},
		{"two full", raid, 4, 32, Stats{Pieces: 2, Blocks: 32, Full: 2}},
		{"head and tail", raid, 0, 50, Stats{Pieces: 4, Blocks: 50, Full: 4}},
		{"one block", raid, 5, 1, Stats{Pieces: 1, Blocks: 1, Partial: 1, RMW: 1}},
		{"whole unit", raid, 8, 4, Stats{Pieces: 1, Blocks: 4, Partial: 1, RMW: 1}},
		{"across", raid, 19, 18, Stats{Pieces: 3, Blocks: 18, Full: 1, Partial: 2, RMW: 2}},
		{"soft block", g, 5, 1, Stats{Pieces: 1, Blocks: 1, Partial: 1}},
		{"soft unit", units, 8, 4, Stats{Pieces: 1, Blocks: 4, Partial: 1}},
		{"soft part of a unit", units, 8, 5, Stats{Pieces: 1, Blocks: 5, Partial: 1, RMW: 1}},
		{"soft end", units, 44, 6, Stats{Pieces: 1, Blocks: 6, Partial: 1}},
	} {
		d := New(devices.NewMem(devices.MemOptions{Geometry: &c.g}))
		f := p.Get(c.n * devices.BlockSize)
		if err := d.Write(context.Background(), devices.Block(c.b), f.Vec()); err != nil {
			t.Fatal(err)
		}
		f.Release()
		if got := d.Stats(); len(got) != 1 || got[""] != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		d.Reset()
		if len(d.Stats()) != 0 {
			t.Errorf("%s: counts after reset", c.name)
		}
	}
}

// TestClasses: I1.
func TestClasses(t *testing.T) {
	d := New(devices.NewMem(devices.MemOptions{Blocks: 64}), Class{"super", 1, 1}, Class{"log", 0, 16})
	p := devices.NewPool(devices.PoolOptions{})
	defer p.Close()
	f := p.Get(2 * devices.BlockSize)
	defer f.Release()
	for _, b := range []devices.Block{0, 1, 2, 15, 40} {
		if err := d.Write(context.Background(), b, f.Vec()); err != nil {
			t.Fatal(err)
		}
	}
	d.SetClasses()
	if err := d.Write(context.Background(), 0, f.Vec()); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(context.Background(), 63, f.Vec()); !errors.Is(err, devices.ErrRange) {
		t.Errorf("out of range: %v", err)
	}
	got := d.Stats()
	if s := fmt.Sprint(got["super"].Pieces, got["log"].Pieces, got[""].Pieces); s != "1 3 3" {
		t.Errorf("pieces of super, log and the rest: %s in %v", s, got)
	}
}

// TestJudge: I2, and where pieces lie.
func TestJudge(t *testing.T) {
	g := devices.DefaultGeometry(50)
	g.AlignBytes = 4 * devices.BlockSize
	d := New(devices.NewMem(devices.MemOptions{Geometry: &g}))
	no := errors.New("no")
	var seen []string
	d.Judge = func(p Piece, v devices.Vec) error {
		seen = append(seen, fmt.Sprint(p.B, p.N, p.Start, p.End, p.At, p.Full()))
		if !p.Full() && p.Start == 20 {
			return no
		}
		return nil
	}
	p := devices.NewPool(devices.PoolOptions{})
	defer p.Close()
	f := p.Get(18 * devices.BlockSize)
	defer f.Release()
	if err := d.Write(context.Background(), 19, f.Vec()); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(context.Background(), 21, f.Vec()); !errors.Is(err, no) {
		t.Fatalf("refused write: %v", err)
	}
	if want := "[19 1 4 20 0 false 20 16 20 36 1 true 36 1 36 50 17 false 21 15 20 36 0 false]"; fmt.Sprint(seen) != want {
		t.Errorf("pieces %v\nwant   %v", seen, want)
	}
	if s := d.Stats()[""]; s.Pieces != 3 {
		t.Errorf("counts of a refused write: %+v", s)
	}
}
