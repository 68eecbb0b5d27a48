package ebofs

import (
	"context"
	"errors"
	"fmt"

	"ebofs/allocator"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// writeDirect puts the data of path D on the device, in fresh stripes nothing
// names yet.
func (s *Store) writeDirect(ctx context.Context, p *pass) error {
	for i := range p.changes {
		c := &p.changes[i]
		if c.code != opPlace || c.place != nil { // those have their berth
			continue
		}
		from := len(p.placed)
		blocks := c.n >> blockShift
		runs, err := s.allocDirect(ctx, int(blocks), p.placed)
		if err != nil {
			return err
		}
		p.placed = runs
		p.tokens.data -= blocks
		c.place = make([]placed, len(runs)-from)
		if err := s.writeRuns(ctx, runs[from:], c.data, c.place); err != nil {
			return err
		}
		c.data = nil
	}
	return nil
}

// allocDirect is allocPromised for data. On hard geometry what was promised may be in
// the stash, which is for checkpoints, or have gone to the fold of one that went on
// meanwhile; then checkpoints that clean are waited for.
func (s *Store) allocDirect(ctx context.Context, blocks int, buf []allocator.Extent) (runs []allocator.Extent, err error) {
	take := func() bool {
		runs, err = s.space.allocPromised(ctx, allocator.Big, blocks, buf)
		return err == nil
	}
	if take() || !s.space.hard {
		return runs, err
	}
	defer s.space.ask(uint64(blocks))()
	for try := 0; errors.Is(err, ErrNoSpace) && try < maxCleanings; try++ {
		if _, e := s.reclaim(ctx, take, func() bool { return true }); e != nil {
			return buf, e
		}
	}
	return runs, err
}

// writeRuns writes data to runs, side by side, and says in place where it is.
func (s *Store) writeRuns(ctx context.Context, runs []allocator.Extent, data []byte, place []placed) error {
	parts := make([][]byte, len(runs))
	for i, r := range runs {
		n := r.Blocks * blockSize
		parts[i], data = data[:n], data[n:]
	}
	return s.each(len(runs), func(i int) error {
		r := runs[i]
		crcs, err := s.writeSummed(ctx, r.Start, parts[i])
		if err != nil {
			if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
				s.fail(fmt.Errorf("write %d blocks at %d: %w", r.Blocks, r.Start, err))
				return s.failure()
			}
			return err
		}
		place[i] = placed{layout.MakeAddr(0, r.Start), crcs}
		return nil
	})
}

// overlapMin is the least write whose checksums are computed while the device
// is busy with it; below it the hand-over costs more than it wins.
const overlapMin = 512 << 10

// writeSummed writes data to consecutive blocks and returns their checksums.
func (s *Store) writeSummed(ctx context.Context, start uint64, data []byte) ([]uint32, error) {
	s.metrics.written.add(WriteDirect, len(data), len(data))
	s.countStripes(start, uint64(len(data)/blockSize))
	crcs := make([]uint32, len(data)/blockSize)
	sum := func() {
		for j := range crcs {
			crcs[j] = layout.ColdCRC(data[j*blockSize : (j+1)*blockSize])
		}
	}
	if s.opt.Inline || len(data) < overlapMin {
		sum()
		return crcs, s.writeRun(ctx, start, data)
	}
	// The sums are the quicker half: whoever does the write need not be woken.
	done := make(chan struct{})
	go func() { sum(); close(done) }()
	err := s.writeRun(ctx, start, data)
	<-done
	return crcs, err
}

// writeRun writes data to consecutive blocks, through a frame if the caller's
// memory is not aligned.
func (s *Store) writeRun(ctx context.Context, start uint64, data []byte) error {
	if aligned(data) {
		v := devices.Vec{data}
		if s.detours.take(data) {
			defer s.detours.give(len(data))
			copied, release := s.onHugePages(data)
			defer release()
			v = copied
		}
		return s.main.Write(ctx, devices.Block(start), v)
	}
	most := max(runBytes/int(s.unit), 1) * int(s.unit)
	f := s.pool.Get(min(len(data), most))
	defer f.Release()
	for len(data) > 0 {
		n := copy(f.Bytes(), data[:min(len(data), most)])
		if err := s.main.Write(ctx, devices.Block(start), devices.Vec{f.Bytes()[:n]}); err != nil {
			return err
		}
		data = data[n:]
		start += uint64(n / blockSize)
	}
	return nil
}
