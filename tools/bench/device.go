package bench

import (
	"context"
	"math/rand/v2"
	"sync/atomic"

	"github.com/ncw/directio"

	"ebofs/devices"
	"ebofs/tools/bench/group"
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
// flushed, by each caller or with what others wrote, or read.
type raw struct {
	bytes int
	write bool
	ops   int // operations of the engine that one I/O stands for
	group bool
}

var (
	rawCommit  = raw{8 << 10, true, 1, false}
	rawGroup   = raw{4 << 10, true, 1, true}
	rawRead    = raw{4 << 10, false, 1, false}
	rawWrite4M = raw{4 << 20, true, 1, false}
	rawRead4M  = raw{4 << 20, false, 1, false}
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

// callers returns the I/O of each of depth callers, who have a vec each.
func (r *region) callers(ctx context.Context, k raw, depth int, rng func(worker int) *rand.Rand, vecs []devices.Vec) func(w int) call {
	if !k.group {
		return func(w int) call { return r.caller(k, w, depth, rng(w).Uint64N, vecs[w]) }
	}
	unit, next := uint64(k.bytes/devices.BlockSize), uint64(0)
	g := &group.Group{Max: min(depth, int(r.lanes(k, 1))), Commit: func(batch []*group.Entry) error {
		if n := uint64(len(batch)) * unit; next+n > r.blocks {
			next = 0
		}
		at := r.start + devices.Block(next)
		next += uint64(len(batch)) * unit
		v := make(devices.Vec, len(batch))
		for i, e := range batch {
			v[i] = e.V
		}
		if err := r.dev.Write(ctx, at, v); err != nil {
			return err
		}
		return r.dev.Flush(ctx)
	}}
	return func(w int) call {
		return func(context.Context) (int, int64, error) {
			return k.ops, int64(k.bytes), g.Put(uint64(w), vecs[w][0])
		}
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
