package strict

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"ebofs/devices"
	"ebofs/devices/stripecheck"
	"ebofs/ebofs/layout"
)

// ErrPartial is the error of a write that fills a stripe of a zone in part.
var ErrPartial = errors.New("partial stripe write")

// Shape is what a device claims of its stripes, in bytes.
type Shape struct {
	Stripe uint32
	Unit   uint32 // 0: the stripe
	Align  uint64 // of the first boundary
}

// Device is a device of hard geometry that refuses partial stripes in zones.
type Device struct {
	*stripecheck.Device
	tally *Tally // constant

	mu      sync.Mutex
	zones   bool // place is set
	place   layout.Placement
	fixed   []layout.Extent // of place
	marks   []uint64        // slots of every size the store has had
	pending []violation     // pieces of before there was a place
}

// Open is New for a device with a store on it.
func Open(ctx context.Context, base devices.Device, shape Shape, tally *Tally) (*Device, error) {
	d, err := New(base, shape, tally)
	if err == nil {
		if sb := find(ctx, base); sb != nil {
			d.settle(sb)
		}
	}
	return d, err
}

// New wraps base, which keeps everything but its stripes, and counts into tally.
// What is on base is taken for nothing, as by mkfs.
func New(base devices.Device, shape Shape, tally *Tally) (*Device, error) {
	hard := true
	o := devices.Overrides{StripeBytes: shape.Stripe, UnitBytes: shape.Unit, AlignBytes: &shape.Align, Hard: &hard}
	if o.UnitBytes == 0 {
		o.UnitBytes = shape.Stripe
	}
	g, err := o.Apply(base.Geometry())
	if err != nil {
		return nil, err
	}
	d := &Device{tally: tally}
	d.Device = stripecheck.New(shaped{base, g})
	d.Judge = d.judge
	return d, nil
}

// shaped is a device that claims another geometry.
type shaped struct {
	devices.Device
	g devices.Geometry
}

// Geometry returns what is claimed.
func (s shaped) Geometry() devices.Geometry { return s.g }

// Zero passes on to the wrapped device.
func (s shaped) Zero(ctx context.Context, b devices.Block, n uint64) error {
	if z, ok := s.Device.(devices.Zeroer); ok {
		return z.Zero(ctx, b, n)
	}
	return errors.ErrUnsupported
}

// Discard passes on to the wrapped device.
func (s shaped) Discard(ctx context.Context, b devices.Block, n uint64) error {
	if x, ok := s.Device.(devices.Discarder); ok {
		return x.Discard(ctx, b, n)
	}
	return errors.ErrUnsupported
}

// find returns the newest superblock on dev, or nil. What is not sound is none.
func find(ctx context.Context, dev devices.Device) *layout.Superblock {
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	blocks := dev.Geometry().Blocks
	read := func(b uint64) ([]byte, error) {
		f := pool.Get(devices.BlockSize)
		defer f.Release()
		if err := dev.Read(ctx, devices.Block(b), f.Vec()); err != nil {
			return nil, err
		}
		return slices.Clone(f.Bytes()), nil
	}
	var labels []layout.Label
	for _, b := range layout.LabelBlocks(blocks) {
		p, err := read(b)
		if err != nil {
			continue
		}
		if l, err := layout.DecodeLabel(p); err == nil {
			labels = append(labels, l)
		}
	}
	_, sb, err := layout.Locate(blocks, labels, read)
	if err != nil || sb.Role != layout.RoleMain {
		return nil
	}
	return sb
}

// settle takes the place of everything from a superblock.
func (d *Device) settle(sb *layout.Superblock) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.place, d.zones = sb.Placement(), true
	d.fixed = d.place.Fixed()
	for _, size := range []uint64{sb.Blocks, sb.GrowingFrom} {
		if at := layout.SlotBlocks(size); size > 0 && !slices.Contains(d.marks, at[2]) {
			d.marks = append(d.marks, at[:]...)
		}
	}
}

// violation is a piece that may be wrong, and what its first block looks like.
type violation struct {
	stripecheck.Piece
	what string
}

func (v violation) Error() string {
	return fmt.Sprintf("%v: %s, blocks %d~%d of stripe %d~%d", ErrPartial, v.what, v.B, v.N, v.Start, v.End-v.Start)
}

func (v violation) Unwrap() error { return ErrPartial }

// judge refuses a partial stripe in a zone.
func (d *Device) judge(p stripecheck.Piece, v devices.Vec) error {
	first := block(v, p.At)
	if p.N == 1 {
		if sb, err := layout.DecodeSuperblock(first); err == nil && sb.Self.Block() == uint64(p.B) && sb.Role == layout.RoleMain {
			d.settle(&sb)
			if err := d.judgePending(); err != nil {
				return err
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	x := violation{Piece: p}
	if !p.Full() {
		x.what = looksLike(first)
	}
	if !d.zones {
		d.pending = append(d.pending, x)
		return nil
	}
	return d.oneLocked(x)
}

func (d *Device) judgePending() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	for _, x := range d.pending {
		if e := d.oneLocked(x); err == nil {
			err = e
		}
	}
	d.pending = nil
	return err
}

// oneLocked counts one piece and says whether it may be written.
func (d *Device) oneLocked(x violation) error {
	switch {
	case !d.inZoneLocked(x.Piece), x.N == 1 && x.what == zeros && slices.Contains(d.marks, uint64(x.B)):
		d.tally.Apart.Add(1)
	case x.Full():
		d.tally.Full.Add(1)
	default:
		return d.tally.partial(x)
	}
	return nil
}

// inZoneLocked reports whether any block of the piece belongs to a zone and is
// not taken for ever.
func (d *Device) inZoneLocked(p stripecheck.Piece) bool {
	lo, hi := max(uint64(p.B), d.place.ZoneStart), min(uint64(p.B)+p.N, d.place.ZoneEnd)
	if lo >= hi {
		return false
	}
	for _, f := range d.fixed {
		if start := f.Addr.Block(); start <= lo && hi <= start+f.Blocks {
			return false
		}
	}
	return true
}

// block returns the nth block of v.
func block(v devices.Vec, nth uint64) []byte {
	for _, p := range v {
		if n := uint64(len(p) / devices.BlockSize); nth < n {
			return p[nth*devices.BlockSize:][:devices.BlockSize]
		} else {
			nth -= n
		}
	}
	return nil
}

// zeros is what an empty block looks like.
const zeros = "zeros"

// looksLike names what a block seems to hold.
func looksLike(p []byte) string {
	switch string(p[:4]) {
	case "EBTN":
		return "tree node"
	case "EBrr", "EBzt", "EBzb", "EBsl":
		return layout.Kind(p[8]).String()
	case "EBOF":
		return "label or superblock"
	}
	if !slices.ContainsFunc(p, func(b byte) bool { return b != 0 }) {
		return zeros
	}
	return "data"
}
