package wal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"ebofs/devices"
)

// disk is a device in memory that remembers what happened since it was made, so
// that a test can build any state a crash may leave. Writes that overlap in
// flight fail the test (R12).
type disk struct {
	t testing.TB

	mu       sync.Mutex
	img      []byte
	events   []event
	inFlight []event
	record   bool

	// hook, if set, may fail or hold an I/O before it happens; called unlocked.
	hook func(op string, b devices.Block, n int) error
}

// event is a write (data set) or a flush.
type event struct {
	block devices.Block
	data  []byte
}

func newDisk(t testing.TB, blocks uint64) *disk {
	return &disk{t: t, img: make([]byte, blocks*devices.BlockSize)}
}

func (d *disk) Geometry() devices.Geometry {
	return devices.Geometry{
		Blocks: uint64(len(d.img)) / devices.BlockSize, LogicalBytes: 512, PhysicalBytes: 4096, TearBytes: 512,
		CacheVolatile: true,
	}
}

func (d *disk) check(b devices.Block, v devices.Vec) error {
	if end := uint64(b)*devices.BlockSize + uint64(devices.VecBytes(v)); end > uint64(len(d.img)) {
		return fmt.Errorf("%d~%d: %w", b, devices.VecBytes(v), devices.ErrRange)
	}
	for _, p := range v {
		if len(p) == 0 || len(p)%devices.BlockSize != 0 || !aligned(p) {
			return fmt.Errorf("piece of %d bytes: %w", len(p), devices.ErrRange)
		}
	}
	return nil
}

func (d *disk) do(op string, b devices.Block, n int) error {
	if d.hook != nil {
		return d.hook(op, b, n)
	}
	return nil
}

func (d *disk) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	if err := errors.Join(d.check(b, v), d.do("read", b, devices.VecBytes(v)), ctx.Err()); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	off := int(b) * devices.BlockSize
	for _, p := range v {
		off += copy(p, d.img[off:])
	}
	return nil
}

func (d *disk) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	if err := d.check(b, v); err != nil {
		d.t.Errorf("write: %v", err)
		return err
	}
	e := event{b, slices.Concat(v...)}
	d.mu.Lock()
	for _, o := range d.inFlight {
		if e.block < o.end() && o.block < e.end() {
			d.t.Errorf("write %d..%d overlaps one in flight, %d..%d", e.block, e.end(), o.block, o.end())
		}
	}
	d.inFlight = append(d.inFlight, e)
	d.mu.Unlock()
	err := d.do("write", b, len(e.data))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight = slices.DeleteFunc(d.inFlight, func(o event) bool { return o.block == e.block })
	if err != nil {
		return err
	}
	copy(d.img[int(b)*devices.BlockSize:], e.data)
	if d.record {
		d.events = append(d.events, e)
	}
	return nil
}

func (e event) end() devices.Block { return e.block + devices.Block(len(e.data)/devices.BlockSize) }

func (d *disk) Flush(ctx context.Context) error {
	if err := d.do("flush", 0, 0); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.record {
		d.events = append(d.events, event{})
	}
	return nil
}

func (d *disk) Close() error { return nil }

// clone returns an independent disk with the same contents.
func (d *disk) clone() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &disk{t: d.t, img: slices.Clone(d.img)}
}

// block returns the memory of one block.
func (d *disk) block(b uint64) []byte {
	return d.img[b*devices.BlockSize : (b+1)*devices.BlockSize]
}
