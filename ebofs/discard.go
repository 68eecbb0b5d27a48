package ebofs

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"ebofs/allocator"
	"ebofs/devices"
)

// What limbo gives back is discarded while the store goes on, if Options say so: later,
// together with what is free beside it, in runs worth a command, at a rate. Held as in
// Trim. A crash forgets what was to be discarded, and so does too long a list; Trim
// finds both.

// mostFreed bounds the list, in extents: 1 MiB of RAM.
const mostFreed = 64 << 10

// discards is what was freed and not discarded since.
type discards struct {
	on   bool
	mu   sync.Mutex
	list []allocator.Extent
}

// add notes blocks that became free.
func (d *discards) add(list []allocator.Extent) {
	if !d.on {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, list[:min(len(list), mostFreed-min(mostFreed, len(d.list)))]...)
}

// take returns the list, by address, and begins a new one.
func (d *discards) take() []allocator.Extent {
	d.mu.Lock()
	list := d.list
	d.list = nil
	d.mu.Unlock()
	slices.SortFunc(list, func(a, b allocator.Extent) int { return cmp.Compare(a.Start, b.Start) })
	return list
}

// startDiscards begins discarding if it is wanted and the device can.
func (s *Store) startDiscards() {
	rate := s.opt.DiscardBytesPerSecond
	if rate == 0 {
		return
	}
	t := s.discarder(rate)
	if t == nil {
		s.log.Warn("the device does not discard")
		return
	}
	s.discards.on = true
	s.bg.Go(func() {
		ctx, cancel := s.whileOpen(devices.ClassScrub)
		defer cancel()
		for pause(ctx, max(s.opt.CheckpointInterval, time.Millisecond)) == nil && s.failure() == nil {
			if err := s.discardFreed(ctx, t); err != nil && ctx.Err() == nil {
				s.log.Warn("nothing more is discarded until the store is opened again", "err", err)
				return
			}
		}
	})
}

// discarder returns what discards at a rate, nil if the device does not.
func (s *Store) discarder(rate uint64) *trim {
	g := s.main.Geometry()
	dev, ok := s.main.(devices.Discarder)
	if !ok || g.DiscardBytes == 0 {
		return nil
	}
	return &trim{s: s, dev: dev, o: TrimOptions{MinBytes: minDiscard, BytesPerSecond: rate, pause: pause}, r: new(TrimResult), unit: max(1, (uint64(g.DiscardBytes)+blockSize-1)/blockSize)}
}

// discardFreed discards what was freed since the last time: of each free run the part
// between the first and the last such block. Parts too short wait for more.
func (s *Store) discardFreed(ctx context.Context, t *trim) error {
	t.begun, *t.r = time.Now(), TrimResult{}
	sp := s.space
	least := max(t.o.MinBytes/blockSize, t.unit)
	var short []allocator.Extent
	list := s.discards.take()
	var runs []allocator.Extent
	for len(list) > 0 {
		z := sp.zoneOf(list[0].Start)
		err := sp.retry(ctx, func() (err error) {
			runs, err = sp.a.RunsOf(z, runs[:0])
			return err
		})
		if err != nil {
			return err
		}
		start, blocks := sp.place.Zone(uint32(z))
		n, _ := slices.BinarySearchFunc(list, start+uint64(blocks), func(e allocator.Extent, b uint64) int { return cmp.Compare(e.Start, b) })
		part := list[:n]
		list = list[n:]
		for _, run := range runs {
			var hull allocator.Extent
			for len(part) > 0 && part[0].Start < run.End() {
				if lo, hi := max(part[0].Start, run.Start), min(part[0].End(), run.End()); lo < hi {
					if hull.Blocks == 0 {
						hull.Start = lo
					}
					hull.Blocks = hi - hull.Start
				}
				if part[0].End() > run.End() {
					break // it may have some of the next
				}
				part = part[1:]
			}
			if hull.Blocks == 0 {
				continue
			}
			// What is free beside it fills the device's units.
			lo, hi := max(run.Start, hull.Start/t.unit*t.unit), min(run.End(), (hull.End()+t.unit-1)/t.unit*t.unit)
			if hull = (allocator.Extent{Start: lo, Blocks: hi - lo}); hull.End()/t.unit*t.unit < (hull.Start+t.unit-1)/t.unit*t.unit+least {
				short = append(short, hull)
				continue
			}
			before := t.r.Bytes
			if err := t.discard(ctx, hull); err != nil {
				return err
			}
			s.metrics.Discarded.Add(int64(t.r.Bytes - before))
		}
	}
	s.discards.add(short)
	return nil
}
