package strict

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs/layout"
)

const stripe = 5 * 64 << 10 // RAID-5 of six

// rig is a device of 1.2 GiB, so that a label copy lies in a zone.
type rig struct {
	t     *testing.T
	mem   *devices.Mem
	dev   *Device
	tally *Tally
	pool  *devices.Pool
	sb    layout.Superblock
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, tally: new(Tally), pool: devices.NewPool(devices.PoolOptions{})}
	t.Cleanup(func() { r.pool.Close() })
	r.mem = devices.NewMem(devices.MemOptions{Blocks: 1200 << 20 / devices.BlockSize})
	var err error
	if r.dev, err = New(r.mem, Shape{Stripe: stripe, Unit: 64 << 10, Align: 8192}, r.tally); err != nil {
		t.Fatal(err)
	}
	g := r.dev.Geometry()
	if !g.Hard || g.StripeBytes != stripe || g.UnitBytes != 64<<10 || g.AlignBytes != 8192 || g.Blocks != r.mem.Geometry().Blocks {
		t.Fatalf("geometry %+v", g)
	}
	place, err := layout.Plan(g.Blocks, layout.PlanOptions{StripeBytes: stripe, AlignBytes: 8192, Hard: true})
	if err != nil {
		t.Fatal(err)
	}
	r.sb = layout.Superblock{
		FSID: layout.UUID{1}, DeviceUUID: layout.UUID{2}, Role: layout.RoleMain, UnitBytes: 64 << 10, Generation: 1, Epoch: 1, OSD: -1,
		GeometryFlags: layout.GeometryHard, Features: layout.Features{Incompat: layout.FeatHardGeometry},
		Devices: []layout.DeviceEntry{{UUID: layout.UUID{2}, Blocks: g.Blocks, Role: layout.RoleMain}},
		Rings:   []layout.Ring{{Start: layout.MakeAddr(0, place.RingStart), Blocks: place.RingBlocks, Incarnation: 1, TailSeq: 1}},
	}
	r.sb.SetPlacement(place)
	return r
}

// write writes n blocks of b, the first of which begins with text, and wants an
// error with these words, or none.
func (r *rig) write(b, n uint64, text, want string) {
	r.t.Helper()
	f := r.pool.Get(int(n) * devices.BlockSize)
	defer f.Release()
	clear(f.Bytes())
	copy(f.Bytes(), text)
	err := r.dev.Write(context.Background(), devices.Block(b), f.Vec())
	if (err == nil) != (want == "") || err != nil && (!errors.Is(err, ErrPartial) || !strings.Contains(err.Error(), want)) {
		r.t.Errorf("write of %d~%d: %v, want %q", b, n, err, want)
	}
}

// super writes the superblock to a slot.
func (r *rig) super(slot int, want string) {
	r.t.Helper()
	b := r.dev.Geometry().Blocks // of the device
	at := layout.SlotBlocks(min(b, r.sb.Blocks))[slot]
	r.sb.Self = layout.MakeAddr(0, at)
	f := r.pool.Get(devices.BlockSize)
	defer f.Release()
	if err := r.sb.Encode(f.Bytes()); err != nil {
		r.t.Fatal(err)
	}
	r.write(at, 1, string(f.Bytes()), want)
}

func (r *rig) counts(want string) {
	r.t.Helper()
	if got := fmt.Sprintf("full stripes: %s", want); r.tally.String() != got {
		r.t.Errorf("counts %q, want %q", r.tally, got)
	}
}

// TestJudge: I1, I2, in zones and apart from them.
func TestJudge(t *testing.T) {
	r := newRig(t)
	r.super(0, "")
	z, s := r.sb.ZoneStart, uint64(stripe/devices.BlockSize)
	label := layout.LabelBlocks(r.sb.Blocks)[1]
	if z >= label || label >= r.sb.ZoneEnd {
		t.Fatalf("label copy at %d, zones %d..%d", label, z, r.sb.ZoneEnd)
	}
	r.write(z, s, "", "")
	r.write(z, 3*s, "", "")
	r.counts("4 partial: 0 apart: 1")
	r.write(z, s-1, "EBTN", fmt.Sprintf("tree node, blocks %d~%d of stripe %d~%d", z, s-1, z, s))
	r.write(z+s-1, s+1, "EBzb\x00\x00\x00\x00\x03", fmt.Sprintf("zone bitmap, blocks %d~1", z+s-1))
	r.write(z+s, s+1, "", fmt.Sprintf("zeros, blocks %d~1", z+2*s))
	r.write(z+5, 1, "some", "data")
	r.counts("5 partial: 4 apart: 1")
	r.write(0, 1, "EBOFSlbl", "")
	r.write(label, 1, "EBOFSlbl", "")
	r.write(label+1, 1, "", "zeros")
	r.write(r.sb.Rings[0].Start.Block()+3, 2, "log", "")
	r.write(r.sb.Rings[0].Start.Block()+r.sb.Rings[0].Blocks-1, 2, "log over its end", "zeros")
	if err := r.tally.Err(); !errors.Is(err, ErrPartial) || !strings.Contains(err.Error(), "tree node, blocks") || !strings.Contains(err.Error(), "6 in all") {
		t.Errorf("verdict %v", err)
	}
	var out strings.Builder
	if code := r.tally.report(&out, 0); code != 1 || !strings.Contains(out.String(), "FAIL: 6 in all") {
		t.Errorf("exit code %d: %s", code, &out)
	}
	// Another device on the same memory finds the places by itself.
	r.tally = new(Tally)
	var err error
	if r.dev, err = Open(context.Background(), r.mem, Shape{Stripe: stripe, Align: 8192}, r.tally); err != nil {
		t.Fatal(err)
	}
	r.write(z, s, "", "")
	r.write(z, 1, "x", "data")
	r.counts("1 partial: 1 apart: 0")
}

// TestPending: what mkfs writes before the first superblock is judged with it.
func TestPending(t *testing.T) {
	for _, whole := range []bool{true, false} {
		r := newRig(t)
		s := uint64(stripe / devices.BlockSize)
		r.write(layout.SlotBlocks(r.sb.Blocks)[0], 1, "", "")
		r.write(r.sb.ZoneStart, s, "EBTN", "")
		if whole {
			r.super(0, "")
			r.counts("1 partial: 0 apart: 2")
			continue
		}
		r.write(r.sb.ZoneStart+s, 1, "EBrr\x00\x00\x00\x00\x01", "")
		r.super(0, "root record")
	}
}

// TestGrow: the slots at the old end may be zeroed, and nothing else there in part.
func TestGrow(t *testing.T) {
	r := newRig(t)
	old := uint64(600 << 20 / devices.BlockSize)
	whole := r.sb.Placement()
	small, err := layout.Plan(old, layout.PlanOptions{StripeBytes: stripe, AlignBytes: 8192, Hard: true})
	if err != nil {
		t.Fatal(err)
	}
	set := func(p layout.Placement) {
		r.sb.SetPlacement(p)
		r.sb.Devices[0].Blocks = p.Blocks
		r.sb.Rings[0].Start, r.sb.Rings[0].Blocks = layout.MakeAddr(0, p.RingStart), p.RingBlocks
	}
	set(small)
	r.super(0, "")
	end := layout.SlotBlocks(old)[3]
	r.write(end, 1, "x", "")
	grown, err := small.Grow(whole.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	set(grown)
	r.sb.Generation, r.sb.GrowingFrom = 2, old
	r.super(0, "")
	r.write(end, 1, "", "")
	r.write(end, 1, "x", "data")
	r.write(end-1, 1, "", "zeros")
}
