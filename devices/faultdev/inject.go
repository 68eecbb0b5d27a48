package faultdev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/ncw/directio"

	"ebofs/devices"
)

// Read reads, unless a rule has it otherwise.
func (d *Device) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	if err := d.g.Check(b, v); err != nil {
		return err
	}
	n := blocks(v)
	r, random := d.fire(ctx, devices.OpRead, b, n)
	if r == nil {
		return d.base.Read(ctx, b, v)
	}
	switch r.Kind {
	case Short:
		if n > 1 {
			if err := d.base.Read(ctx, b, cut(v, n/2)); err != nil {
				return err
			}
		}
		return injected(devices.OpRead, b, n, io.ErrUnexpectedEOF)
	case Zeros:
		for _, p := range v {
			clear(p)
		}
		return ctx.Err()
	case Misdirect:
		return d.base.Read(ctx, d.elsewhere(r, b, n), v)
	case Stale, Flip:
		if err := d.base.Read(ctx, b, v); err != nil {
			return err
		}
		if r.Kind == Flip {
			flip(v, random)
		} else {
			d.makeStale(r, b, v)
		}
		return nil
	}
	if err := d.common(ctx, r, devices.OpRead, b, n); err != nil {
		return err
	}
	return d.base.Read(ctx, b, v)
}

// Write writes, unless a rule has it otherwise.
func (d *Device) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	if err := d.g.Check(b, v); err != nil {
		return err
	}
	n := blocks(v)
	r, random := d.fire(ctx, devices.OpWrite, b, n)
	if err := d.failure(); err != nil {
		return err
	}
	if err := d.keepBefore(ctx, b, n); err != nil {
		return err
	}
	if r == nil {
		return d.base.Write(ctx, b, v)
	}
	switch r.Kind {
	case Short:
		if n > 1 {
			if err := d.base.Write(ctx, b, cut(v, n/2)); err != nil {
				return err
			}
		}
		return injected(devices.OpWrite, b, n, io.ErrShortWrite)
	case Flip:
		c := copyVec(v)
		flip(c, random)
		return d.base.Write(ctx, b, c)
	case Misdirect:
		return d.base.Write(ctx, d.elsewhere(r, b, n), v)
	}
	if done, err := d.change(ctx, r, devices.OpWrite, b, n); done {
		return err
	}
	return d.base.Write(ctx, b, v)
}

// Zero zeroes, unless a rule has it otherwise.
func (d *Device) Zero(ctx context.Context, b devices.Block, n uint64) error {
	z, ok := d.base.(devices.Zeroer)
	if !ok {
		return fmt.Errorf("zero: %w", errors.ErrUnsupported)
	}
	return d.space(ctx, devices.OpZero, b, n, z.Zero)
}

// Discard discards, unless a rule has it otherwise.
func (d *Device) Discard(ctx context.Context, b devices.Block, n uint64) error {
	x, ok := d.base.(devices.Discarder)
	if !ok {
		return fmt.Errorf("discard: %w", errors.ErrUnsupported)
	}
	return d.space(ctx, devices.OpDiscard, b, n, x.Discard)
}

func (d *Device) space(ctx context.Context, op devices.Op, b devices.Block, n uint64, do func(context.Context, devices.Block, uint64) error) error {
	if err := d.g.CheckBlocks(b, n); err != nil {
		return err
	}
	r, _ := d.fire(ctx, op, b, n)
	if err := d.failure(); err != nil {
		return err
	}
	if r != nil {
		if done, err := d.change(ctx, r, op, b, n); done {
			return err
		}
	}
	if err := d.keepBefore(ctx, b, n); err != nil {
		return err
	}
	return do(ctx, b, n)
}

// Flush flushes, unless a rule has it otherwise.
func (d *Device) Flush(ctx context.Context) error {
	r, _ := d.fire(ctx, devices.OpFlush, 0, 0)
	d.mu.Lock()
	failed := d.failed
	d.mu.Unlock()
	if failed != nil {
		return failed
	}
	if r == nil {
		return d.base.Flush(ctx)
	}
	if r.Kind == Lie {
		return ctx.Err()
	}
	if err := d.common(ctx, r, devices.OpFlush, 0, 0); err != nil {
		if !errors.Is(err, ErrInjected) {
			return err // cancelled while it hung: nothing was tried
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.failed == nil {
			d.failed = err
		}
		return d.failed
	}
	return d.base.Flush(ctx)
}

// change does what kinds mean for writes, zeroes and discards alike.
func (d *Device) change(ctx context.Context, r *Rule, op devices.Op, b devices.Block, n uint64) (done bool, err error) {
	switch r.Kind {
	case Drop:
		return true, ctx.Err()
	case Full:
		return true, injected(op, b, n, syscall.ENOSPC)
	}
	err = d.common(ctx, r, op, b, n)
	return err != nil, err
}

// common does what kinds mean for every operation; nil means to go on.
func (d *Device) common(ctx context.Context, r *Rule, op devices.Op, b devices.Block, n uint64) error {
	switch r.Kind {
	case EIO:
		return injected(op, b, n, syscall.EIO)
	case Slow:
		if d.delay != nil {
			d.delay(ctx, op)
		}
	case Hang:
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.release:
		}
	}
	return nil
}

// failure returns why no more writes are accepted.
func (d *Device) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == nil {
		return nil
	}
	return fmt.Errorf("an earlier flush failed: %w", d.failed)
}

func injected(op devices.Op, b devices.Block, n uint64, err error) error {
	return fmt.Errorf("%s blocks %d~%d: %w: %w", op, b, n, ErrInjected, err)
}

// elsewhere returns where a misdirected I/O goes, kept inside the device.
func (d *Device) elsewhere(r *Rule, b devices.Block, n uint64) devices.Block {
	by := r.By
	if by == 0 {
		by = 1
	}
	to := int64(b) + by
	if to < 0 || uint64(to)+n > d.g.Blocks {
		to = int64(b) - by
	}
	return devices.Block(max(0, min(to, int64(d.g.Blocks-n))))
}

// flip inverts one bit of v.
func flip(v devices.Vec, random uint64) {
	bit := random % uint64(devices.VecBytes(v)*8)
	for _, p := range v {
		if size := uint64(len(p)) * 8; bit >= size {
			bit -= size
			continue
		}
		p[bit/8] ^= 1 << (bit % 8)
		return
	}
}

func blocks(v devices.Vec) uint64 { return uint64(devices.VecBytes(v) / devices.BlockSize) }

// cut returns the first n blocks of v.
func cut(v devices.Vec, n uint64) (c devices.Vec) {
	left := int(n) * devices.BlockSize
	for _, p := range v {
		p = p[:min(len(p), left)]
		if left -= len(p); len(p) > 0 {
			c = append(c, p)
		}
	}
	return c
}

// copyVec returns a copy of v in one slice.
func copyVec(v devices.Vec) devices.Vec {
	p := directio.AlignedBlock(devices.VecBytes(v))
	at := 0
	for _, q := range v {
		at += copy(p[at:], q)
	}
	return devices.Vec{p}
}
