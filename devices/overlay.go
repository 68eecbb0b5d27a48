package devices

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ErrOverlayFull is returned for a write an Overlay has no room for.
var ErrOverlayFull = errors.New("too much to keep in RAM")

// Overlay is a Device whose writes stay in RAM: the device below is read and
// never changed. It shows what a program would do to a device, for checks that
// must not. Flush and Close do nothing to the device below.
type Overlay struct {
	below Device
	limit int

	mu    sync.RWMutex
	pages map[Block]*[BlockSize]byte // nil once closed
}

// NewOverlay returns an overlay over below that keeps at most limit bytes of
// writes; a write beyond it fails with ErrOverlayFull.
func NewOverlay(below Device, limit int64) *Overlay {
	return &Overlay{below: below, limit: int(limit / BlockSize), pages: make(map[Block]*[BlockSize]byte)}
}

// Geometry is that of the device below.
func (o *Overlay) Geometry() Geometry { return o.below.Geometry() }

// Read reads what was written last, from below where nothing was. Blocks that
// are all in RAM are not read from below.
func (o *Overlay) Read(ctx context.Context, b Block, v Vec) error {
	g := o.below.Geometry()
	if err := g.Check(b, v); err != nil {
		return err
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.pages == nil {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	have := 0
	n := Block(vecBlocks(v))
	for i := range n {
		if o.pages[b+i] != nil {
			have++
		}
	}
	if Block(have) < n {
		if err := o.below.Read(ctx, b, v); err != nil {
			return err
		}
	}
	for _, p := range v {
		for ; len(p) > 0; p, b = p[BlockSize:], b+1 {
			if page := o.pages[b]; page != nil {
				copy(p, page[:])
			}
		}
	}
	return nil
}

// Write keeps v in RAM.
func (o *Overlay) Write(ctx context.Context, b Block, v Vec) error {
	g := o.below.Geometry()
	if err := g.Check(b, v); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pages == nil {
		return ErrClosed
	}
	for _, p := range v {
		for ; len(p) > 0; p, b = p[BlockSize:], b+1 {
			page := o.pages[b]
			if page == nil {
				if len(o.pages) >= o.limit {
					return fmt.Errorf("write block %d: %d blocks are in RAM already: %w", b, len(o.pages), ErrOverlayFull)
				}
				page = new([BlockSize]byte)
				o.pages[b] = page
			}
			copy(page[:], p)
		}
	}
	return nil
}

// Flush does nothing.
func (o *Overlay) Flush(ctx context.Context) error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.pages == nil {
		return ErrClosed
	}
	return ctx.Err()
}

// Close forgets what was written. The device below is its owner's.
func (o *Overlay) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pages = nil
	return nil
}
