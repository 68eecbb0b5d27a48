package sweep

import (
	"context"
	"fmt"
	"syscall"

	"ebofs/devices"
	"ebofs/devices/faultdev"
)

// Kind is what fails.
type Kind uint8

// The kinds of faults.
const (
	Read Kind = iota
	Write
	Flush
	Space // an allocation or a promise of space
	kinds
)

// String returns the name of the kind.
func (k Kind) String() string { return [...]string{"read", "write", "flush", "space"}[k] }

// Fault says which I/O or allocation of a run fails. The zero value is none.
type Fault struct {
	Kind Kind
	Nth  uint64 // from 1; 0: none
	For  uint64 // how many in a row; 0: all that follow
}

// String returns the fault as failures name it.
func (f Fault) String() string {
	if f.Nth == 0 {
		return "none"
	}
	if f.For == 0 {
		return fmt.Sprintf("%v %d and all that follow", f.Kind, f.Nth)
	}
	return fmt.Sprintf("%v %d for %d", f.Kind, f.Nth, f.For)
}

// hits reports whether the nth of its kind fails.
func (f Fault) hits(n uint64) bool { return f.Nth > 0 && n >= f.Nth && (f.For == 0 || n < f.Nth+f.For) }

// tap counts what the devices of a store and its allocator are asked for, and
// fails it as the fault says.
type tap struct {
	reg   *Registry
	w     *Workload
	fault Fault
	armed bool // count and fail
	count [kinds]uint64
	hit   uint64
}

// strike counts one and reports whether it fails.
func (t *tap) strike(k Kind, op string) bool {
	if !t.armed {
		return false
	}
	t.count[k]++
	fails := t.fault.Kind == k && t.fault.hits(t.count[k])
	if fails {
		t.hit++
	}
	t.reg.note(op, place{t.w, k, t.count[k]}, t.fault.Nth == 0, fails)
	return fails
}

// refuse is the Refuse of a store's options.
func (t *tap) refuse(kind string) bool { return t.strike(Space, kind) }

// device is one of the store's devices as the store sees it. It outlives the
// store: Close does nothing.
type device struct {
	*tap
	mem    devices.Device
	failed error // first failed flush
}

func injected(op string) error {
	return fmt.Errorf("%s: %w: %w", op, faultdev.ErrInjected, syscall.EIO)
}

// Geometry returns that of the memory below.
func (d *device) Geometry() devices.Geometry { return d.mem.Geometry() }

// Close leaves the memory open.
func (d *device) Close() error { return nil }

// Read reads, or fails.
func (d *device) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	if d.strike(Read, "read") {
		return injected("read")
	}
	return d.mem.Read(ctx, b, v)
}

// Write writes; a failing one leaves half of what it was given, as the contract
// allows.
func (d *device) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	fails := d.strike(Write, "write")
	if d.failed != nil {
		return fmt.Errorf("an earlier flush failed: %w", d.failed)
	}
	if !fails {
		return d.mem.Write(ctx, b, v)
	}
	if half := devices.VecBytes(v[:1]) / devices.BlockSize / 2; half > 0 {
		if err := d.mem.Write(ctx, b, devices.Vec{v[0][:half*devices.BlockSize]}); err != nil {
			return err
		}
	}
	return injected("write")
}

// Flush flushes, or fails for good.
func (d *device) Flush(ctx context.Context) error {
	fails := d.strike(Flush, "flush")
	if d.failed != nil {
		return d.failed
	}
	if fails {
		d.failed = injected("flush")
		return d.failed
	}
	return d.mem.Flush(ctx)
}
