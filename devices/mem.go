package devices

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"ebofs/devices/internal/image"
	"ebofs/internal/planted"
)

// MemOptions describe a memory device. Only Blocks must be given.
type MemOptions struct {
	// Blocks is the size, in blocks.
	Blocks uint64
	// Geometry is what the device reports; nil means DefaultGeometry with 4 KiB
	// discards and zeroing. Its Blocks is replaced by the field above unless
	// that is 0.
	Geometry *Geometry
	// Hook, if set, is called for every I/O while it is in flight and before it
	// takes effect; an error fails the I/O with nothing done. It may block, to
	// hold an I/O in flight. n is 0 for OpFlush.
	Hook func(ctx context.Context, op Op, b Block, n uint64) error
	// Overlap is called with a description when two writes in flight overlap;
	// nil means panic, because that is a bug of the engine and never of the
	// device.
	Overlap func(what string)
}

// Mem is a device in memory, the reference for the contract of Device: sparse,
// and cheap to copy. Nothing about it is volatile: what Write stored is there
// as long as the Mem is. For crashes see package crashdev.
//
// It checks that no two writes (zeroing and discards included) in flight
// overlap.
type Mem struct {
	g        Geometry
	opts     MemOptions
	inflight ranges

	mu struct {
		sync.RWMutex
		img    *image.Image
		closed bool
		failed error // first failed Flush
	}
}

// NewMem returns a device full of zeros.
func NewMem(o MemOptions) *Mem { return newMem(o, nil) }

// newMem returns a device over img, or over zeros if that is nil.
func newMem(o MemOptions, img *image.Image) *Mem {
	m := &Mem{opts: o}
	if o.Geometry != nil {
		m.g = *o.Geometry
	} else {
		m.g = DefaultGeometry(o.Blocks)
		m.g.DiscardBytes, m.g.ZeroBytes = BlockSize, BlockSize
	}
	if o.Blocks != 0 {
		m.g.Blocks = o.Blocks
	}
	if img == nil {
		img = image.New(m.g.Blocks)
	}
	m.mu.img = img
	return m
}

// Geometry returns what the options said.
func (m *Mem) Geometry() Geometry { return m.g }

// Read copies blocks into v; blocks never written are zeros.
func (m *Mem) Read(ctx context.Context, b Block, v Vec) error {
	if err := m.g.Check(b, v); err != nil {
		return err
	}
	if err := m.hook(ctx, OpRead, b, vecBlocks(v)); err != nil {
		return err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.mu.closed {
		return ErrClosed
	}
	for _, p := range v {
		for ; len(p) > 0; p, b = p[BlockSize:], b+1 {
			if page := m.mu.img.Get(uint64(b)); page != nil {
				copy(p, page[:])
			} else {
				clear(p[:BlockSize])
			}
		}
	}
	return nil
}

// Write copies v into the device.
func (m *Mem) Write(ctx context.Context, b Block, v Vec) error {
	if err := m.g.Check(b, v); err != nil {
		return err
	}
	n := vecBlocks(v)
	m.enter(OpWrite, b, n)
	defer m.inflight.remove(b, n)
	if err := m.hook(ctx, OpWrite, b, n); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.writableLocked(); err != nil {
		return err
	}
	for _, p := range v {
		for ; len(p) > 0; p, b = p[BlockSize:], b+1 {
			m.mu.img.Write(uint64(b), p)
		}
	}
	return nil
}

// Discard makes the blocks read as zeros except the first, which becomes
// noise, so that code counting on either content is found out.
func (m *Mem) Discard(ctx context.Context, b Block, n uint64) error {
	return m.change(ctx, OpDiscard, b, n, func(img *image.Image) {
		img.Zero(uint64(b), n)
		var p image.Page
		image.Noise(uint64(b), p[:])
		img.Write(uint64(b), p[:])
	})
}

// Zero makes the blocks read as zeros and gives their memory back.
func (m *Mem) Zero(ctx context.Context, b Block, n uint64) error {
	return m.change(ctx, OpZero, b, n, func(img *image.Image) { img.Zero(uint64(b), n) })
}

// change runs do on the image as one write of blocks [b, b+n).
func (m *Mem) change(ctx context.Context, op Op, b Block, n uint64, do func(*image.Image)) error {
	if err := m.g.CheckBlocks(b, n); err != nil {
		return err
	}
	m.enter(op, b, n)
	defer m.inflight.remove(b, n)
	if err := m.hook(ctx, op, b, n); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.writableLocked(); err != nil {
		return err
	}
	do(m.mu.img)
	return nil
}

// Flush does nothing but obey the hook, whose error sticks.
func (m *Mem) Flush(ctx context.Context) error {
	m.mu.RLock()
	closed, failed := m.mu.closed, m.mu.failed
	m.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	if failed != nil {
		return failed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := m.hook(ctx, OpFlush, 0, 0)
	if err == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if planted.On(planted.DeviceFlushForgotten) {
		return fmt.Errorf("flush: %w", err)
	}
	if m.mu.failed == nil {
		m.mu.failed = fmt.Errorf("flush: %w", err)
	}
	return m.mu.failed
}

// Close refuses everything that follows, except Snapshot and Hash.
func (m *Mem) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.closed = true
	return nil
}

// Snapshot returns an independent device with the present content and the
// same geometry, in constant time. It has no hook. It works on a closed
// device, too: that is how a test opens it again.
func (m *Mem) Snapshot() *Mem {
	return MemOf(m.g, m.Image())
}

// MemOf returns a device of that geometry over img, which it owns from now on.
// It is for the packages below devices; others cannot name the type.
func MemOf(g Geometry, img *image.Image) *Mem { return newMem(MemOptions{Geometry: &g}, img) }

// Image returns a copy of the content in constant time, for the packages below
// devices.
func (m *Mem) Image() *image.Image {
	m.mu.Lock() // cloning changes its source
	defer m.mu.Unlock()
	return m.mu.img.Clone()
}

// Hash returns a fingerprint of the content: equal for equal contents, zeros
// and blocks never written being the same. It reads everything, except on
// devices that came from package crashdev and snapshots of them, where it is
// at hand.
func (m *Mem) Hash() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mu.img.Hash()
}

// hook lets the options look at an I/O before it takes effect.
func (m *Mem) hook(ctx context.Context, op Op, b Block, n uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.opts.Hook == nil {
		return nil
	}
	return m.opts.Hook(ctx, op, b, n)
}

// errFlushed is why a device refuses writes after a failed flush.
var errFlushed = errors.New("an earlier flush failed")

func (m *Mem) writableLocked() error {
	switch {
	case m.mu.closed:
		return ErrClosed
	case m.mu.failed != nil:
		return fmt.Errorf("%w: %w", errFlushed, m.mu.failed)
	}
	return nil
}

// enter notes a write in flight and reports one it overlaps.
func (m *Mem) enter(op Op, b Block, n uint64) {
	at, length, ok := m.inflight.add(b, n)
	if !ok {
		return
	}
	what := fmt.Sprintf("devices: %s of blocks %d~%d while a write of %d~%d is in flight", op, b, n, at, length)
	if m.opts.Overlap == nil {
		panic(what)
	}
	m.opts.Overlap(what)
}
