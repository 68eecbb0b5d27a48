package stripecheck

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"ebofs/devices"
)

// Class is a named range of blocks [B, B+N).
type Class struct {
	Name string
	B    devices.Block
	N    uint64
}

// Stats are the counts of one class.
type Stats struct {
	Pieces  uint64 // parts of writes: one per stripe they touch
	Blocks  uint64 // blocks written
	Full    uint64 // pieces that cover their stripe
	Partial uint64 // pieces that do not
	RMW     uint64 // partial pieces that cost a read-modify-write
}

// Piece is the part of one write that lies in one stripe.
type Piece struct {
	B          devices.Block
	N          uint64        // blocks
	Start, End devices.Block // the stripe
	At         uint64        // the piece's first block in the write, counted from its own first
}

// Full tells whether the piece covers its stripe.
func (p Piece) Full() bool { return p.B == p.Start && p.B+devices.Block(p.N) == p.End }

// Device counts the writes that go through it.
type Device struct {
	devices.Device
	g devices.Geometry

	// Judge, if set before the first write, is shown every piece of a write before
	// that is done. Its error refuses the write.
	Judge func(Piece, devices.Vec) error

	mu      sync.Mutex
	classes []Class
	stats   map[string]*Stats
}

// New wraps base. Classes that overlap are taken in the order given.
func New(base devices.Device, classes ...Class) *Device {
	return &Device{Device: base, g: base.Geometry(), classes: classes, stats: map[string]*Stats{}}
}

// SetClasses replaces the classes from the next write on, as when a zone
// changes hands; counts stay with their names.
func (d *Device) SetClasses(classes ...Class) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.classes = classes
}

// Stats returns the counts by name of class; "" is what no class contains.
func (d *Device) Stats() map[string]Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := make(map[string]Stats, len(d.stats))
	for name, s := range d.stats {
		m[name] = *s
	}
	return m
}

// Reset sets all counts to zero.
func (d *Device) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.stats)
}

// Write counts the write and does it.
func (d *Device) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	if err := d.g.Check(b, v); err != nil {
		return err
	}
	n := uint64(devices.VecBytes(v) / devices.BlockSize)
	if d.Judge != nil {
		for p := range d.pieces(uint64(b), n) {
			if err := d.Judge(p, v); err != nil {
				return err
			}
		}
	}
	d.count(uint64(b), n)
	return d.Device.Write(ctx, b, v)
}

// Zero passes on to the wrapped device.
func (d *Device) Zero(ctx context.Context, b devices.Block, n uint64) error {
	if z, ok := d.Device.(devices.Zeroer); ok {
		return z.Zero(ctx, b, n)
	}
	return fmt.Errorf("zero: %w", errors.ErrUnsupported)
}

// Discard passes on to the wrapped device.
func (d *Device) Discard(ctx context.Context, b devices.Block, n uint64) error {
	if x, ok := d.Device.(devices.Discarder); ok {
		return x.Discard(ctx, b, n)
	}
	return fmt.Errorf("discard: %w", errors.ErrUnsupported)
}

// pieces cuts blocks [b, b+n) at the stripes.
func (d *Device) pieces(b, n uint64) iter.Seq[Piece] {
	return func(yield func(Piece) bool) {
		for at := uint64(0); at < n; {
			start, end := d.stripe(b + at)
			p := Piece{devices.Block(b + at), min(n-at, end-b-at), devices.Block(start), devices.Block(end), at}
			if !yield(p) {
				return
			}
			at += p.N
		}
	}
}

// count counts the pieces of blocks [b, b+n).
func (d *Device) count(b, n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p := range d.pieces(b, n) {
		s := d.classLocked(uint64(p.B))
		s.Pieces++
		s.Blocks += p.N
		switch {
		case p.Full():
			s.Full++
		case d.g.Hard || !d.onUnit(uint64(p.B)) || !d.onUnit(uint64(p.B)+p.N):
			s.RMW++
			fallthrough
		default:
			s.Partial++
		}
	}
}

// stripe returns the blocks [start, end) of the stripe that contains b.
func (d *Device) stripe(b uint64) (start, end uint64) {
	align, size := d.g.AlignBytes/devices.BlockSize, uint64(d.g.StripeBytes)/devices.BlockSize
	if b < align {
		return 0, min(align, d.g.Blocks)
	}
	start = b - (b-align)%size
	return start, min(start+size, d.g.Blocks)
}

// onUnit tells whether block b begins a unit; the end of the device does, too.
func (d *Device) onUnit(b uint64) bool {
	align, unit := d.g.AlignBytes/devices.BlockSize, uint64(d.g.UnitBytes)/devices.BlockSize
	return b == d.g.Blocks || (b+unit-align%unit)%unit == 0
}

// classLocked returns the counts of the class of block b.
func (d *Device) classLocked(b uint64) *Stats {
	name := ""
	for _, c := range d.classes {
		if b >= uint64(c.B) && b-uint64(c.B) < c.N {
			name = c.Name
			break
		}
	}
	s := d.stats[name]
	if s == nil {
		s = new(Stats)
		d.stats[name] = s
	}
	return s
}
