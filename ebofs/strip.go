package ebofs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"ebofs/allocator"
	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/wal"
	"ebofs/internal/planted"
)

// A strip is a run of fresh blocks for small direct writes, with their data in RAM
// until the log writes it beside their records. Blocks are given out one behind the
// other, so that what one flush commits is mostly one write. Why: docs/decisions/strips.md.
//
//	berth   a transaction takes blocks and copies its data there
//	land    the log's leader writes those of a group
//	leave   they are on the device, or the transaction was refused
//
// Between berth and land whoever reads these blocks reads the strip.
type strip struct {
	run    allocator.Extent
	frame  *devices.Frame
	used   uint64                   // blocks given out, from the front
	aboard int                      // those not landed or left yet
	flying [stripBlocks / 64]uint64 // which these are
}

// stripBlocks is the most a strip has: 1 MiB, which a device takes at full speed.
const stripBlocks = 256

// Strips take this part of the memory budget at most, but for so many: callers who wait
// for their commits have far less aboard, those who do not could have any amount.
const (
	stripsPart  = 64
	stripsLeast = 4
)

// strips are those with blocks not on the device yet, and the one that has room.
//
// Locks: filling before mu, both before those of space.
type strips struct {
	filling sync.Mutex // held by who makes a strip
	mu      sync.RWMutex
	open    *strip // nil: none
	all     []*strip
	aboard  atomic.Int64 // blocks
}

// berth copies small data to blocks it takes for p, and says where, in memory of p; nil
// if nobody can be promised that much space or memory.
func (s *Store) berth(p *pass, data []byte) []placed {
	n := uint64(len(data)) / blockSize
	addr, dst := s.strips.take(n)
	if dst == nil {
		s.strips.filling.Lock()
		if addr, dst = s.strips.take(n); dst == nil && s.newStrip(n) {
			addr, dst = s.strips.take(n)
		}
		s.strips.filling.Unlock()
	}
	if dst == nil {
		return nil
	}
	copy(dst, data)
	p.placed = append(p.placed, allocator.Extent{Start: addr, Blocks: n})
	p.beside = append(p.beside, wal.Beside{Start: addr, Blocks: n})
	sum := len(p.crcs)
	for i := 0; i < len(dst); i += blockSize {
		p.crcs = append(p.crcs, layout.CRC(dst[i:i+blockSize]))
	}
	at := len(p.spots)
	p.spots = append(p.spots, placed{layout.MakeAddr(0, addr), p.crcs[sum:len(p.crcs):len(p.crcs)]})
	return p.spots[at : at+1 : at+1]
}

// newStrip opens a strip with room for n blocks, and reports whether there is one. What
// is left of the one before goes back.
func (s *Store) newStrip(n uint64) bool {
	if s.strips.count() >= max(stripsLeast, int(s.opt.MemoryBytes/stripsPart/(stripBlocks*blockSize))) {
		return false
	}
	s.endStrip()
	if !s.space.promise(spaceTokens{data: stripBlocks}, 0, false, s.metaBlocks.Load()) {
		return false
	}
	e, err := s.space.runPromised(context.Background(), allocator.Hot, int(max(n, min(s.space.stripe, stripBlocks))), stripBlocks)
	if err != nil {
		s.space.fulfil(spaceTokens{data: stripBlocks})
		return false
	}
	s.strips.begin(&strip{run: e, frame: s.pool.Get(int(e.Blocks * blockSize))})
	return true
}

// count returns how many strips there are.
func (g *strips) count() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.all)
}

// endStrip gives back what nobody took of the open strip.
func (s *Store) endStrip() {
	if rest := s.strips.end(); rest.Blocks > 0 {
		s.space.release([]allocator.Extent{rest})
	}
}

// begin opens st; no other is open.
func (g *strips) begin(st *strip) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = st
	g.all = append(g.all, st)
}

// end closes the open strip and returns what nobody took of it.
func (g *strips) end() (rest allocator.Extent) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if st := g.open; st != nil {
		g.open = nil
		rest = allocator.Extent{Start: st.run.Start + st.used, Blocks: st.run.Blocks - st.used}
		st.run.Blocks = st.used
		g.retireLocked(st)
	}
	return rest
}

// take gives out n blocks of the open strip; dst is nil if it has not so many.
func (g *strips) take(n uint64) (addr uint64, dst []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	st := g.open
	if st == nil || st.run.Blocks-st.used < n {
		return 0, nil
	}
	at := st.used
	st.used += n
	st.aboard += int(n)
	g.aboard.Add(int64(n))
	for i := at; i < st.used; i++ {
		st.flying[i/64] |= 1 << (i % 64)
	}
	return st.run.Start + at, st.bytes(at, n)
}

// bytes are the data of n blocks.
func (st *strip) bytes(at, n uint64) []byte {
	return st.frame.Bytes()[at*blockSize : (at+n)*blockSize]
}

// leave ends the stay of blocks that are on the device, or will never be.
func (g *strips) leave(list []wal.Beside) {
	if len(list) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range list {
		st := g.holderLocked(b.Start)
		for i := b.Start - st.run.Start; i < b.Start-st.run.Start+b.Blocks; i++ {
			st.flying[i/64] &^= 1 << (i % 64)
		}
		st.aboard -= int(b.Blocks)
		g.aboard.Add(-int64(b.Blocks))
		g.retireLocked(st)
	}
}

// retireLocked forgets st if nothing is aboard and nothing will be.
func (g *strips) retireLocked(st *strip) {
	if st == g.open || st.aboard > 0 {
		return
	}
	g.all = slices.DeleteFunc(g.all, func(x *strip) bool { return x == st })
	st.frame.Release()
}

// holderLocked returns the strip that holds block addr, nil if there is none. An older
// one may have had the block before it came back to be given out again.
func (g *strips) holderLocked(addr uint64) *strip {
	for _, st := range g.all {
		if st.holds(addr) {
			return st
		}
	}
	return nil
}

// drop gives back all memory; nobody uses the store any more.
func (g *strips) drop() {
	for _, st := range g.all {
		st.frame.Release()
	}
	g.all, g.open = nil, nil
}

// land writes what lies beside a group of the log.
func (s *Store) land(ctx context.Context, list []wal.Beside) error {
	slices.SortFunc(list, func(a, b wal.Beside) int { return cmp.Compare(a.Start, b.Start) })
	runs := s.strips.runs(list)
	err := s.each(len(runs), func(i int) error {
		r := &runs[i]
		s.metrics.written.add(WriteDirect, len(r.data), len(r.data))
		s.countStripes(r.start, uint64(len(r.data)/blockSize))
		if err := s.main.Write(ctx, devices.Block(r.start), devices.Vec{r.data}); err != nil {
			return fmt.Errorf("write %d blocks at %d: %w", len(r.data)/blockSize, r.start, err)
		}
		return nil
	})
	if err == nil {
		s.strips.leave(list)
	}
	return err
}

// stripRun is data to be written at once.
type stripRun struct {
	start uint64
	data  []byte
}

// runs joins neighbours of a sorted list that lie in one strip.
func (g *strips) runs(list []wal.Beside) (runs []stripRun) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for i := 0; i < len(list); {
		st := g.holderLocked(list[i].Start)
		start, n := list[i].Start, uint64(0)
		for ; i < len(list) && list[i].Start == start+n && st.holds(start+n); i++ {
			n += list[i].Blocks
		}
		runs = append(runs, stripRun{start, st.bytes(start-st.run.Start, n)})
	}
	return runs
}

// readMain reads neighbouring blocks of data, as they are. All of them are mapped, or a
// transaction could just be copying data there.
func (s *Store) readMain(ctx context.Context, addr layout.Addr, p []byte) error {
	if s.strips.aboard.Load() == 0 || planted.On(planted.StripUnseen) || !s.strips.holdAny(addr.Block(), uint64(len(p)/blockSize)) {
		return s.readDevice(ctx, addr.Block(), p)
	}
	from := 0 // what the device has, up to i
	for i := 0; i <= len(p); i += blockSize {
		if i < len(p) && !s.strips.read(addr.Block()+uint64(i/blockSize), p[i:i+blockSize]) {
			continue
		}
		if from < i {
			if err := s.readDevice(ctx, addr.Block()+uint64(from/blockSize), p[from:i]); err != nil {
				return err
			}
		}
		from = i + blockSize
	}
	return nil
}

// readDevice reads neighbouring blocks of data that are on the device.
func (s *Store) readDevice(ctx context.Context, start uint64, p []byte) error {
	return s.main.Read(ctx, devices.Block(start), devices.Vec{p})
}

// holdAny reports whether strips hold some of n blocks from addr on.
func (g *strips) holdAny(addr, n uint64) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, st := range g.all {
		for at := max(addr, st.run.Start); at < min(addr+n, st.run.Start+st.used); at++ {
			if st.holds(at) {
				return true
			}
		}
	}
	return false
}

// holds reports whether block addr is one of the strip that is not on the device yet.
func (st *strip) holds(addr uint64) bool {
	i := addr - st.run.Start
	return i < st.used && st.flying[i/64]>>(i%64)&1 == 1
}

// read fills p with block addr if that is not on the device yet.
func (g *strips) read(addr uint64, p []byte) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	st := g.holderLocked(addr)
	if st == nil {
		return false
	}
	copy(p, st.bytes(addr-st.run.Start, 1))
	return true
}
