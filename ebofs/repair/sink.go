package repair

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// sink is where new nodes, values and structures go: to blocks that neither the
// store as it was nor the repaired one uses. It gathers writes and hands them on
// in bulk, and finds what it holds for the loader.
type sink struct {
	r       *repairer
	epoch   uint64
	at      [2]uint64 // where the next search begins, by pass
	failed  [2]uint64 // the shortest run of which there was none, likewise; 0: not yet
	pending map[uint64][]byte
	bytes   int
	written uint64 // blocks
}

// maxPending is how much is gathered before it is written.
const maxPending = 8 << 20

func newSink(r *repairer, epoch uint64) *sink {
	return &sink{r: r, epoch: epoch, at: [2]uint64{r.place.ZoneStart, r.place.ZoneStart}, pending: make(map[uint64][]byte)}
}

var _ btree.Sink = (*sink)(nil)

// Epoch is that of the checkpoint being made.
func (s *sink) Epoch() uint64 { return s.epoch }

// Alloc takes a run of free blocks.
func (s *sink) Alloc(blocks int) (uint64, error) {
	b, err := s.take(uint64(blocks))
	return uint64(layout.MakeAddr(0, b)), err
}

// take finds n blocks in a row: first among those that no bitmap calls used, then
// among those that only nobody was found to use, since what could not be read may
// be worth a second look.
func (s *sink) take(n uint64) (uint64, error) {
	for pass := range s.at {
		if f := s.failed[pass]; f != 0 && n >= f {
			continue // nothing is ever given back
		}
		from := s.at[pass]
		for _, span := range [...][2]uint64{{from, s.r.place.ZoneEnd}, {s.r.place.ZoneStart, from}} {
			if b, ok := s.search(span[0], span[1], n, pass > 0); ok {
				s.r.busy.add(b, n)
				if n == 1 || pass > 0 {
					s.at[pass] = b + n
				} else {
					s.at[pass] = max(from, b) // leave small holes to small runs
				}
				return b, nil
			}
		}
		s.failed[pass] = n
	}
	return 0, fmt.Errorf("no %d free blocks in a row: %w", n, btree.ErrNoRun)
}

func (s *sink) search(b, end, n uint64, desperate bool) (uint64, bool) {
	for run := uint64(0); b < end; b++ {
		if i := b - s.r.busy.first; i%64 == 0 && b+64 <= end && s.r.busy.words[i/64] == ^uint64(0) {
			run, b = 0, b+63
			continue
		}
		if s.r.busy.has(b) || !desperate && s.r.used.has(b) {
			run = 0
			continue
		}
		if run++; run == n {
			return b + 1 - n, true
		}
	}
	return 0, false
}

// Write gathers a node.
func (s *sink) Write(addr uint64, page []byte) error {
	return s.put(layout.Addr(addr).Block(), bytes.Clone(page))
}

// put gathers whole blocks, which are its own from now on.
func (s *sink) put(b uint64, p []byte) error {
	s.pending[b] = p
	if s.bytes += len(p); s.bytes >= maxPending {
		return s.flush(s.r.ctx)
	}
	return nil
}

// Free does nothing: what is free is found when everything is done.
func (s *sink) Free(uint64, int) {}

// WriteBlob stores an overflow value in as few runs as there are.
func (s *sink) WriteBlob(data []byte) ([]btree.BlobExtent, error) {
	var ext []btree.BlobExtent
	for want := blocksOf(uint64(len(data))); len(data) > 0; {
		n := min(want, blocksOf(uint64(len(data))))
		b, err := s.take(n)
		if err != nil && n > 1 {
			want = n / 2
			continue
		}
		if err != nil {
			return nil, err
		}
		k := min(uint64(len(data)), n*layout.BlockSize)
		p := make([]byte, n*layout.BlockSize)
		copy(p, data[:k])
		ext = append(ext, btree.BlobExtent{Addr: uint64(layout.MakeAddr(0, b)), Bytes: uint32(k), CRC: layout.CRC(data[:k])})
		if err := s.put(b, p); err != nil {
			return nil, err
		}
		data = data[k:]
	}
	return ext, nil
}

// FreeBlob does nothing, like Free.
func (s *sink) FreeBlob([]btree.BlobExtent) {}

// find returns what is gathered for block b.
func (s *sink) find(b uint64) []byte { return s.pending[b] }

// flush writes what is gathered, in order of address.
func (s *sink) flush(ctx context.Context) error {
	at := make([]uint64, 0, len(s.pending))
	keep := make([]layout.Extent, 0, len(s.pending))
	for b := range s.pending {
		at = append(at, b)
	}
	slices.Sort(at)
	for _, b := range at {
		keep = append(keep, layout.Extent{Addr: layout.MakeAddr(0, b), Blocks: uint64(len(s.pending[b]) / layout.BlockSize)})
	}
	if err := s.r.d.keep(ctx, keep); err != nil {
		return err
	}
	for _, b := range at {
		if err := s.r.d.write(ctx, b, s.pending[b]); err != nil {
			return err
		}
		s.written += uint64(len(s.pending[b]) / layout.BlockSize)
		delete(s.pending, b)
	}
	s.bytes = 0
	return nil
}

// blocksOf returns how many blocks hold n bytes.
func blocksOf(n uint64) uint64 { return (n + layout.BlockSize - 1) / layout.BlockSize }
