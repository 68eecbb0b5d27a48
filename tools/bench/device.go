package bench

import (
	"context"
	"sync/atomic"

	"github.com/ncw/directio"

	"ebofs/devices"
)

// counted counts what a device is asked to do.
type counted struct {
	devices.Device
	written atomic.Int64 // bytes
	flushes atomic.Int64
}

func (c *counted) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	c.written.Add(int64(devices.VecBytes(v)))
	return c.Device.Write(ctx, b, v)
}

func (c *counted) Flush(ctx context.Context) error {
	c.flushes.Add(1)
	return c.Device.Flush(ctx)
}

// region is a run of blocks of a device, for raw I/O beside a store.
type region struct {
	dev    devices.Device
	start  devices.Block
	blocks uint64
}

// raw is one kind of raw I/O: bytes at once, in order or at random places,
// flushed or read.
type raw struct {
	bytes int
	write bool
	ops   int // operations of the engine that one I/O stands for
}

var (
	rawCommit  = raw{8 << 10, true, 1}
	rawRead    = raw{4 << 10, false, 1}
	rawWrite4M = raw{4 << 20, true, 1}
	rawRead4M  = raw{4 << 20, false, 1}
)

// fillBytes is how much fill writes at once.
const fillBytes = 1 << 20

// ordinary returns the memory of one I/O, of ordinary pages, as the engine's callers have here.
func ordinary(bytes int) devices.Vec {
	p := directio.AlignedBlock(bytes)[:bytes]
	for i := range p {
		p[i] = byte(i>>8) ^ byte(i)*7
	}
	return devices.Vec{p}
}

// lanes returns how many units of k each of depth callers has to itself.
func (r *region) lanes(k raw, depth int) uint64 {
	return r.blocks * devices.BlockSize / uint64(k.bytes) / uint64(depth)
}

// caller returns the I/O of caller w of depth. Writers go through the region
// side by side, like a log, and never touch the same blocks at once; readers go
// where random says.
func (r *region) caller(k raw, w, depth int, random func(n uint64) uint64, v devices.Vec) call {
	unit, lanes := uint64(k.bytes/devices.BlockSize), r.lanes(k, depth)
	next := uint64(0)
	return func(ctx context.Context) (int, int64, error) {
		if !k.write {
			at := r.start + devices.Block(random(r.blocks/unit)*unit)
			return k.ops, int64(k.bytes), r.dev.Read(ctx, at, v)
		}
		at := r.start + devices.Block((next%lanes*uint64(depth)+uint64(w))*unit)
		next++
		if err := r.dev.Write(ctx, at, v); err != nil {
			return 0, 0, err
		}
		return k.ops, int64(k.bytes), r.dev.Flush(ctx)
	}
}

// fill writes the first bytes of the device once.
func fill(ctx context.Context, dev devices.Device, bytes uint64, done func(uint64)) error {
	v := ordinary(fillBytes)
	const step = fillBytes / devices.BlockSize
	blocks := bytes / devices.BlockSize
	for b := uint64(0); b < blocks; b += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		if rest := blocks - b; rest < step {
			v[0] = v[0][:rest*devices.BlockSize]
		}
		if err := dev.Write(ctx, devices.Block(b), v); err != nil {
			return err
		}
		done(uint64(len(v[0])))
	}
	return dev.Flush(ctx)
}
