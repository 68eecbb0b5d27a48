package ebofs

import (
	"context"
	"errors"
	"fmt"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/internal/invariants"
	"ebofs/internal/planted"
)

// readTries is how often a read that fails or fails its checksum is tried: some
// devices answer wrongly once (R10).
const readTries = 3

// readRetry reads p, whole blocks in aligned memory, from block b on.
func readRetry(ctx context.Context, dev devices.Device, b devices.Block, p []byte) error {
	return readChecked(ctx, dev, b, p, nil)
}

// readChecked is readRetry of something check can tell from damage.
func readChecked(ctx context.Context, dev devices.Device, b devices.Block, p []byte, check func() error) error {
	var err error
	for range readTries {
		if err = dev.Read(ctx, b, devices.Vec{p}); err == nil {
			if check == nil {
				return nil
			}
			if err = check(); err == nil || !errors.Is(err, ErrCorrupt) {
				return err
			}
			continue
		}
		if ctx.Err() != nil || errors.Is(err, devices.ErrRange) {
			return err
		}
		err = fmt.Errorf("read %d blocks at %d: %w", len(p)/blockSize, b, err)
		if planted.On(planted.ReadOnce) {
			return err
		}
	}
	return err
}

// runBytes is the largest write the gatherer issues: from there on a larger one
// costs the same CPU a byte.
const runBytes = 1 << 20

// gatherer collects blocks bound for consecutive addresses into large writes, several
// of them under way at a time. Nothing added is on the device before flush returns.
//
// With a unit it writes whole units only: whoever adds to it begins each run of
// blocks at the beginning of a unit and ends it at the end of one, and flushes
// only there (packer).
type gatherer struct {
	ctx   context.Context
	dev   devices.Device
	pool  *devices.Pool
	frame *devices.Frame
	sent  *flight // nil: each write is waited for
	unit  int     // bytes; 0: any number of blocks
	start uint64  // device block of the first byte of frame
	n     int     // bytes in frame
	count *written
	wrote func(start, blocks uint64) // counts each write; nil: nobody
}

// unitPiece is what is added at a time to a gatherer that has a unit: beside an
// unfinished unit there is always room for it.
const unitPiece = btree.MaxPageBytes

// gather returns a gatherer for the main device.
func (ck *checkpoint) gather() gatherer {
	s := ck.s
	g := gatherer{ctx: ck.ctx, dev: s.main, pool: s.pool, count: &s.metrics.written, wrote: s.countStripes}
	size := runBytes
	if s.space.hard {
		g.unit = int(s.space.stripe) * blockSize
		size = max(size, g.unit+unitPiece)
	}
	g.frame = s.pool.Get(size)
	if !s.opt.Inline {
		g.sent = newFlight()
	}
	return g
}

// most returns the longest piece to add at a time.
func (g *gatherer) most() int {
	if g.unit > 0 {
		return unitPiece
	}
	return runBytes
}

// room returns the memory for n bytes at device block b; the caller fills all
// of it before the next call. n is whole blocks, at most as many as most says; all
// but the first used are padding.
func (g *gatherer) room(b uint64, n int, as Purpose, used int) ([]byte, error) {
	if g.n > 0 && (b != g.start+uint64(g.n/blockSize) || g.n+n > len(g.frame.Bytes())) {
		whole := g.n
		if g.unit > 0 {
			whole -= g.n % g.unit
		}
		if err := g.write(whole); err != nil {
			return nil, err
		}
	}
	if g.n == 0 {
		g.start = b
	}
	p := g.frame.Bytes()[g.n : g.n+n]
	g.n += n
	g.count.add(as, n, used)
	return p, nil
}

// add writes p, whole blocks, to device block b.
func (g *gatherer) add(b uint64, p []byte, as Purpose) error {
	for len(p) > 0 {
		n := min(len(p), g.most())
		m, err := g.room(b, n, as, n)
		if err != nil {
			return err
		}
		copy(m, p)
		p = p[n:]
		b += uint64(n / blockSize)
	}
	return nil
}

// flush writes what was gathered and waits for all of it. It is not a barrier of the
// device.
func (g *gatherer) flush() error {
	invariants.Check(g.unit == 0 || g.n%g.unit == 0, "%d bytes in units of %d", g.n, g.unit)
	err := g.write(g.n)
	if g.sent != nil {
		err = errors.Join(err, g.sent.land())
	}
	return err
}

// copyMax is the largest write that is copied out of the frame, so that a frame for
// large ones is not tied up; more is handed over with it.
const copyMax = 128 << 10

// write starts the write of the first n bytes of what was gathered and keeps the
// rest. Errors come with the next flush.
func (g *gatherer) write(n int) error {
	if n == 0 {
		return nil
	}
	start, p, rest := g.start, g.frame.Bytes()[:n], g.frame.Bytes()[n:g.n]
	if g.wrote != nil {
		g.wrote(start, uint64(n/blockSize))
	}
	g.start, g.n = start+uint64(n/blockSize), len(rest)
	if g.sent == nil {
		err := g.send(start, p)
		copy(p, rest)
		return err
	}
	out := g.frame
	if n <= copyMax {
		out = g.pool.Get(n)
		copy(out.Bytes(), p)
	} else {
		g.frame = g.pool.Get(len(out.Bytes()))
	}
	copy(g.frame.Bytes(), rest)
	g.sent.start(func() error {
		defer out.Release()
		return g.send(start, out.Bytes()[:n])
	})
	return nil
}

func (g *gatherer) send(start uint64, p []byte) error {
	if err := g.dev.Write(g.ctx, devices.Block(start), devices.Vec{p}); err != nil && !planted.On(planted.WriteSwallowed) {
		return fmt.Errorf("write %d blocks at %d: %w", len(p)/blockSize, start, err)
	}
	return nil
}

// close waits for what is under way and gives the memory back.
func (g *gatherer) close() {
	if g.sent != nil {
		_ = g.sent.land()
	}
	g.frame.Release()
}

// checkBlock compares a block of data with its checksum.
func checkBlock(addr layout.Addr, p []byte, want uint32, object string) error {
	if got := layout.CRC(p); got != want {
		return &CorruptError{
			Device: int(addr.Device()), Block: devices.Block(addr.Block()), Kind: "data",
			Want: fmt.Sprintf("crc %08x", want), Got: fmt.Sprintf("crc %08x", got), Object: object,
		}
	}
	return nil
}
