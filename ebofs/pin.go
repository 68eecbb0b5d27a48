package ebofs

import (
	"context"
	"errors"
	"slices"
	"sync"

	"ebofs/ebofs/layout"
)

// ErrPinExpired says that blocks of a pinned checkpoint may have been used again.
var ErrPinExpired = errors.New("checkpoint is not pinned any more: the store needed the space")

// Pin holds a checkpoint for somebody who reads it from the device, beside a
// store that goes on: while it holds, no block that checkpoint reaches is used
// again. It never costs the store an operation that would succeed without it:
// when space is short it expires.
//
//	Pin ──▶ held ── space is short, store closed ──▶ expired
//	          └──── Close ──▶ closed
//
// What was read from the device before Err returned nil is what the checkpoint
// holds; what was read after may be anything.
type Pin struct {
	s       *Store
	super   layout.Superblock
	expired chan struct{} // closed after cause is set
	cause   error
}

// holds are the pins of a store. Limbo of an epoch after the oldest pinned one is
// not given back (I2): a pinned checkpoint may reach it.
type holds struct {
	mu    sync.Mutex
	super layout.Superblock // newest durable; what a new pin gets
	pins  []*Pin            // that hold; epochs ascending
}

// Pin pins the newest durable checkpoint. Whoever wants newer changes in it
// calls Checkpoint before. Close must be called.
func (s *Store) Pin() (*Pin, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	h := &s.holds
	h.mu.Lock()
	defer h.mu.Unlock()
	p := &Pin{s: s, super: h.super, expired: make(chan struct{})}
	p.super.Rings = slices.Clone(p.super.Rings)
	p.super.Devices = slices.Clone(p.super.Devices)
	h.pins = append(h.pins, p)
	return p, nil
}

// Superblock is the superblock of the pinned checkpoint. The device does not hold
// it for long.
func (p *Pin) Superblock() layout.Superblock { return p.super }

// Expired is closed when the pin does not hold any more.
func (p *Pin) Expired() <-chan struct{} { return p.expired }

// Err returns nil while the pin holds, else why it does not: ErrPinExpired when
// the store wanted the space, or ErrClosed.
func (p *Pin) Err() error {
	select {
	case <-p.expired:
		return p.cause
	default:
		return nil
	}
}

// Close ends the pin and lets the store use what only it held. Further calls do
// nothing.
func (p *Pin) Close() {
	p.s.holds.end(ErrClosed, func(q *Pin) bool { return q == p })
	// If a checkpoint runs, it or the checkpointer's next look does this.
	if p.s.ckptMu.TryLock() {
		p.s.tryRelease(context.Background())
		p.s.ckptMu.Unlock()
	}
}

// end ends the pins that which names, and reports whether there were any.
func (h *holds) end(cause error, which func(*Pin) bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.pins)
	h.pins = slices.DeleteFunc(h.pins, func(p *Pin) bool {
		if !which(p) {
			return false
		}
		p.cause = cause
		close(p.expired)
		return true
	})
	return len(h.pins) < n
}

// durable makes the checkpoint of sb the one that new pins get.
func (h *holds) durable(sb *layout.Superblock) {
	h.mu.Lock()
	h.super = *sb
	h.mu.Unlock()
}

// oldest returns the epoch of the oldest pin, or ^0. A later pin is of no earlier
// one.
func (h *holds) oldest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pins) == 0 {
		return ^uint64(0)
	}
	return h.pins[0].super.Epoch
}

// expirePins ends the pins that keep limbo back and reports whether there were
// any. ckptMu is held.
func (s *Store) expirePins() bool {
	if !s.holds.end(ErrPinExpired, func(p *Pin) bool { return p.super.Epoch < s.limbo.want }) {
		return false
	}
	s.log.Info("pinned checkpoints expire: space is short", "epoch", s.limbo.want)
	return true
}
