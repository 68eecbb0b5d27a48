package bench

import (
	"context"
	"sync/atomic"

	"ebofs/devices"
)

// window is a part of a device as a device of its own, counted, with a geometry
// that may be another than the device's.
type window struct {
	dev     devices.Device
	start   devices.Block
	g       devices.Geometry
	written atomic.Int64 // bytes
	writes  atomic.Int64
	reads   atomic.Int64
	flushes atomic.Int64
}

func newWindow(dev devices.Device, start, blocks uint64, o devices.Overrides) (*window, error) {
	w := &window{dev: dev, start: devices.Block(start), g: dev.Geometry()}
	w.g.Blocks = blocks
	if s := uint64(w.g.StripeBytes); s > 0 {
		w.g.AlignBytes = (w.g.AlignBytes + s - start*devices.BlockSize%s) % s
	}
	var err error
	w.g, err = o.Apply(w.g)
	return w, err
}

func (w *window) Geometry() devices.Geometry { return w.g }

func (w *window) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	if err := w.g.Check(b, v); err != nil {
		return err
	}
	w.reads.Add(1)
	return w.dev.Read(ctx, w.start+b, v)
}

func (w *window) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	if err := w.g.Check(b, v); err != nil {
		return err
	}
	w.writes.Add(1)
	w.written.Add(int64(devices.VecBytes(v)))
	return w.dev.Write(ctx, w.start+b, v)
}

func (w *window) Flush(ctx context.Context) error {
	w.flushes.Add(1)
	return w.dev.Flush(ctx)
}

// Close leaves the device open: it is not the window's.
func (w *window) Close() error { return nil }
