package crashdev

import (
	"context"
	"fmt"
	"math"
	"sync"

	"ebofs/devices"
	"ebofs/devices/internal/image"
)

// Device records every write and flush. It implements devices.Device,
// Discarder and Zeroer.
type Device struct {
	g    devices.Geometry
	gate func(ctx context.Context, op devices.Op, b devices.Block, n uint64)

	mu      sync.Mutex
	live    *image.Image // what Read sees
	durable *image.Image // what every crash leaves
	writes  []*write     // since New or Forget, in issue order
	pending []*write     // those not durable, in issue order
	snaps   []snap       // durable content after each Flush
	points  []Point
	seq     int // number of the next event
	tag     uint64
	closed  bool
}

// write is one recorded change.
type write struct {
	op      devices.Op // OpWrite, OpZero or OpDiscard
	b       uint64
	n       uint64 // blocks
	pages   []page // OpWrite: one per block; OpDiscard: the first block
	issued  int    // events
	done    int    // never, while in flight
	durable int    // when a Flush that covers it returned
}

// page is a block of a write with its fingerprint.
type page struct {
	data *image.Page
	sum  uint64
}

// never is the number of an event that has not happened.
const never = math.MaxInt

// snap is the durable content from event seq on.
type snap struct {
	seq   int
	img   *image.Image
	first int // index in Device.writes of the first write not durable
}

// Point is an instant at which the power may fail.
type Point struct {
	Seq int        // number of the event it follows
	Op  devices.Op // the event: a write, zero or discard issued; a flush returned
	B   devices.Block
	N   uint64
	// Mark tells that the event is a call of Mark, not of a device method.
	Mark bool
	// Tag is the argument of the last Mark up to here.
	Tag uint64
}

// String describes the point for reports of failures.
func (p Point) String() string {
	switch {
	case p.Mark:
		return fmt.Sprintf("event %d, mark %d", p.Seq, p.Tag)
	case p.Op == devices.OpFlush:
		return fmt.Sprintf("event %d, flush", p.Seq)
	}
	return fmt.Sprintf("event %d, %s %d~%d", p.Seq, p.Op, p.B, p.N)
}

// New returns a device that starts with the content and geometry of base,
// which is durable, and leaves base as it is. If base is a State, or a
// snapshot of one, this takes constant time, otherwise one pass over base.
func New(base *devices.Mem) *Device {
	img := base.Image().Tracked()
	d := &Device{g: base.Geometry(), live: img.Clone(), durable: img}
	d.snaps = []snap{{seq: -1, img: d.durable.Clone()}}
	return d
}

// SetGate makes every change and flush call fn after it was issued and before
// it takes effect, so that a test can hold it in flight. Call it before use.
func (d *Device) SetGate(fn func(ctx context.Context, op devices.Op, b devices.Block, n uint64)) {
	d.gate = fn
}

// Geometry returns the geometry of the base.
func (d *Device) Geometry() devices.Geometry { return d.g }

// Read fills v with what was written last.
func (d *Device) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	if err := d.g.Check(b, v); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return devices.ErrClosed
	}
	for _, p := range v {
		for ; len(p) > 0; p, b = p[devices.BlockSize:], b+1 {
			if page := d.live.Get(uint64(b)); page != nil {
				copy(p, page[:])
			} else {
				clear(p[:devices.BlockSize])
			}
		}
	}
	return nil
}

// Write records a copy of v.
func (d *Device) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	if err := d.g.Check(b, v); err != nil {
		return err
	}
	n := devices.VecBytes(v) / devices.BlockSize
	w := &write{op: devices.OpWrite, b: uint64(b), n: uint64(n), pages: make([]page, 0, n)}
	buf := make([]byte, n*devices.BlockSize)
	for at, i := 0, 0; i < len(v); i++ {
		at += copy(buf[at:], v[i])
	}
	for i := range n {
		p := (*image.Page)(buf[i*devices.BlockSize:])
		w.pages = append(w.pages, page{p, image.Sum(w.b+uint64(i), p)})
	}
	return d.change(ctx, w)
}

// Zero records that blocks become zeros.
func (d *Device) Zero(ctx context.Context, b devices.Block, n uint64) error {
	if err := d.g.CheckBlocks(b, n); err != nil {
		return err
	}
	return d.change(ctx, &write{op: devices.OpZero, b: uint64(b), n: n})
}

// Discard records that blocks lose their content: the first becomes noise,
// the others zeros, so that code counting on either is found out.
func (d *Device) Discard(ctx context.Context, b devices.Block, n uint64) error {
	if err := d.g.CheckBlocks(b, n); err != nil {
		return err
	}
	p := new(image.Page)
	image.Noise(uint64(b), p[:])
	return d.change(ctx, &write{op: devices.OpDiscard, b: uint64(b), n: n, pages: []page{{p, image.Sum(uint64(b), p)}}})
}

// change issues w, waits at the gate, and lets it take effect.
func (d *Device) change(ctx context.Context, w *write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.issue(w); err != nil {
		return err
	}
	if d.gate != nil {
		d.gate(ctx, w.op, devices.Block(w.b), w.n)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w.apply(d.live)
	w.done = d.seq
	d.seq++
	return nil
}

// issue records w as pending. Writes in flight that overlap are a bug of the
// engine, and their outcome would be nobody's to say, so that it panics.
func (d *Device) issue(w *write) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return devices.ErrClosed
	}
	for _, x := range d.pending {
		if x.done == never && x.b < w.b+w.n && w.b < x.b+x.n {
			panic(fmt.Sprintf("crashdev: %s of blocks %d~%d while a %s of %d~%d is in flight", w.op, w.b, w.n, x.op, x.b, x.n))
		}
	}
	w.issued, w.done, w.durable = d.seq, never, never
	d.writes = append(d.writes, w)
	d.pending = append(d.pending, w)
	d.pointLocked(Point{Op: w.op, B: devices.Block(w.b), N: w.n})
	return nil
}

// Flush makes durable what returned before it was called.
func (d *Device) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return devices.ErrClosed
	}
	began := d.seq
	d.seq++
	d.mu.Unlock()
	if d.gate != nil {
		d.gate(ctx, devices.OpFlush, 0, 0)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	still := d.pending[:0]
	for _, w := range d.pending {
		if w.done < began {
			w.durable = d.seq
			w.apply(d.durable)
		} else {
			still = append(still, w)
		}
	}
	clear(d.pending[len(still):])
	d.pending = still
	first := len(d.writes)
	for i := d.snaps[len(d.snaps)-1].first; i < first; i++ {
		if d.writes[i].durable == never {
			first = i
		}
	}
	d.snaps = append(d.snaps, snap{d.seq, d.durable.Clone(), first})
	d.pointLocked(Point{Op: devices.OpFlush})
	return nil
}

// Mark makes the present instant a point and tags it and those that follow,
// until the next Mark, with the caller's number: usually of what the workload
// has been promised. Call it when the promise was made.
func (d *Device) Mark(tag uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tag = tag
	d.pointLocked(Point{Mark: true})
}

// pointLocked adds a point for the event that happens now.
func (d *Device) pointLocked(p Point) {
	p.Seq, p.Tag = d.seq, d.tag
	d.seq++
	d.points = append(d.points, p)
}

// Points returns the instants so far at which a crash leaves new states, or
// the same states under a new tag.
func (d *Device) Points() []Point {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Point(nil), d.points...)
}

// Now returns the present as a point.
func (d *Device) Now() Point {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.points) == 0 {
		return Point{Seq: d.seq - 1, Mark: true, Tag: d.tag}
	}
	p := d.points[len(d.points)-1]
	p.Seq = d.seq - 1
	return p
}

// Pending returns the number of writes that a crash now may lose.
func (d *Device) Pending() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.pending)
}

// Forget drops all points so far and the memory of their writes. Without it a
// device keeps everything ever written.
func (d *Device) Forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.points = nil
	d.writes = append([]*write(nil), d.pending...)
	d.snaps = []snap{{seq: d.seq - 1, img: d.durable.Clone()}}
}

// Snapshot returns the content as Read sees it: what a clean stop leaves.
func (d *Device) Snapshot() *devices.Mem {
	d.mu.Lock()
	defer d.mu.Unlock()
	return devices.MemOf(d.g, d.live.Clone())
}

// Close refuses further I/O. Points and states stay available.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}

// apply puts the whole of w into img.
func (w *write) apply(img *image.Image) {
	if w.op != devices.OpWrite {
		img.Zero(w.b, w.n)
	}
	for i, p := range w.pages {
		img.Put(w.b+uint64(i), p.data, p.sum)
	}
}
