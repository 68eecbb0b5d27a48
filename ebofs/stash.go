package ebofs

import (
	"context"
	"errors"
	"slices"

	"ebofs/allocator"
	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// The stash is the reserve, taken out of the allocator in long runs: a count of
// free blocks would not do, because tree nodes need neighbouring ones, and on a
// full store what is free are single holes. It is taken anew at every mount
// and is free space as far as the device knows. Checkpoints fall back on it;
// afterwards it is filled up again, if need be from the very runs that the
// checkpoint's old nodes gave back, long ones first and at last single blocks:
// pages are cut to what there is.
//
// Admission keeps two promises: what transactions need in data is free, and
// what their checkpoint needs in nodes is in the stash or in free stripes. So a
// checkpoint of admitted transactions never fails for space (G8).

// spaceTokens bounds what the checkpoint of a transaction allocates, in blocks.
type spaceTokens struct {
	data   uint64 // blocks of objects and long values
	path   uint64 // copies of nodes that exist
	growth uint64 // nodes for what is new
}

func (t *spaceTokens) add(u spaceTokens) {
	t.data += u.data
	t.path += u.path
	t.growth += u.growth
}

func (t *spaceTokens) sub(u spaceTokens) {
	t.data -= u.data
	t.path -= u.path
	t.growth -= u.growth
}

// meta is the bound on node blocks: the growth, what onodes gain that are less dense
// included, and copies of old nodes, of which there are at most all, each written at most a
// quarter larger.
func (t spaceTokens) meta(metaBlocks uint64) uint64 {
	return t.growth + min(t.path, metaBlocks+metaBlocks/4+64)
}

// checkpointBlocks is what a checkpoint allocates whatever is in it: inner
// nodes of the global trees, the bitmaps of all zones, zone table and root
// record.
func checkpointBlocks(p *layout.Placement) uint64 {
	bitmap := uint64(p.ZoneBlocks)/8/blockSize + 1
	table := uint64(p.Zones)*layout.ZoneEntryBytes/blockSize + 1
	return 96 + uint64(p.Zones)*bitmap + table + layout.MaxRootBlocks
}

// reserveBlocks is the size of the stash: 64 MiB, on small devices a sixteenth,
// but always several checkpoints.
func reserveBlocks(p *layout.Placement) uint64 {
	n := max(min(64<<20/blockSize, (p.ZoneEnd-p.ZoneStart)/16), 3*checkpointBlocks(p))
	if p.HardStripes {
		n = roundUp(n, uint64(p.StripeBlocks)) + 2*sealedStripes*uint64(p.StripeBlocks)
	}
	return n
}

// ReserveBlocks is how many of a store's free blocks are kept for removing, truncating
// and checkpoints.
func ReserveBlocks(p layout.Placement) uint64 { return reserveBlocks(&p) }

// freeingBlocks is the most that the checkpoint of one operation that frees
// takes: its edges, its path, and what every checkpoint takes. Transactions that
// need space leave so much of the stash that such an operation is never refused,
// however full the store is (see admitSpace, which asserts it).
func freeingBlocks(p *layout.Placement) uint64 {
	const edges, path, growth = 2, 36, 1 // see pass.cost
	return edges + path + growth + checkpointBlocks(p)
}

// maxScattered is the longest value, in blocks, that is sure to fit into the
// holes of a store almost full.
const maxScattered = btree.MaxBlobExtents

// refill takes what the stash lacks, in the longest runs there are, but nothing
// that transactions were promised.
func (s *space) refill(ctx context.Context) error {
	steps := [...]uint64{s.stripe, 16, 9, 6, 4, 2, 1}
	for _, least := range steps {
		if s.hard {
			least = roundUp(least, s.stripe)
		}
		for {
			s.mu.Lock()
			want := s.reserve - min(s.reserve, s.stashed)
			spare := s.a.FreeBlocks() - min(s.a.FreeBlocks(), s.tokens.data)
			if s.hard {
				want = roundUp(want, s.stripe)
				spare = s.freeLocked() - min(s.freeLocked(), s.tokens.data)
			}
			s.mu.Unlock()
			n := min(want, spare, uint64(s.place.ZoneBlocks))
			if s.hard {
				n = n / s.stripe * s.stripe
			}
			if n == 0 || n < least && (want > least || s.hard) {
				break
			}
			e, err := s.allocRun(ctx, allocator.Meta, int(min(least, n)), int(n), 0)
			if errors.Is(err, ErrNoSpace) {
				break
			}
			if err != nil {
				return err
			}
			s.mu.Lock()
			s.stash = append(s.stash, e)
			s.stashed += e.Blocks
			s.mu.Unlock()
		}
	}
	return nil
}

// stashShort reports whether the stash is less than it should be.
func (s *space) stashShort() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stashed < s.reserve
}

// unstashLocked takes between least and most neighbouring blocks out of the
// stash, from the shortest run that has the least. mu is held.
func (s *space) unstashLocked(least, most uint64) (allocator.Extent, bool) {
	if s.refused("stash") {
		return allocator.Extent{}, false
	}
	if s.hard { // asked for in whole stripes, and kept in them
		most = most / s.stripe * s.stripe
	}
	best := -1
	for i, e := range s.stash {
		if e.Blocks >= least && (best < 0 || e.Blocks < s.stash[best].Blocks) {
			best = i
		}
	}
	if best < 0 {
		return allocator.Extent{}, false
	}
	e := &s.stash[best]
	n := min(most, e.Blocks)
	out := allocator.Extent{Start: e.Start, Blocks: n}
	e.Start += n
	e.Blocks -= n
	if e.Blocks == 0 {
		s.stash = append(s.stash[:best], s.stash[best+1:]...)
	}
	s.stashed -= n
	return out, true
}

// unstash gives the run of the stash back that block b lies in, if there is one.
func (s *space) unstash(b uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range s.stash {
		if e.Start <= b && b < e.End() {
			s.stash = slices.Delete(s.stash, i, i+1)
			s.stashed -= e.Blocks
			_ = s.a.Release(e) // we were given it
			return
		}
	}
}

// promise reserves t for a transaction if it can be kept together with all
// earlier ones. Transactions that only give space back may use the stash, for
// the edges they journal too; the others want it nearly full.
//
// Once half of what free stripes have for transactions is promised, and half of what the
// stash has, it is time for a checkpoint, before somebody has to wait for one.
//
// A long value must fit one page's list of runs however scattered the holes
// are; longest is the largest of t, in blocks.
func (s *space) promise(t spaceTokens, longest uint64, freeing bool, metaBlocks uint64) bool {
	if s.refused("promise") {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.tokens
	all.add(t)
	meta := all.meta(metaBlocks) + checkpointBlocks(&s.place) + s.spare
	if s.hard {
		if !s.promiseStripes(all, meta, freeing) {
			return false
		}
		s.tokens = all
		return true
	}
	free, stripes := s.a.FreeBlocks(), s.a.FreeStripes()*uint64(s.place.StripeBlocks)
	short := all.data - min(all.data, free)
	if all.data+meta > stripes {
		if meta+short > s.stashed || short > 0 && !freeing || longest > maxScattered {
			return false
		}
		if !freeing && (s.stashed < s.reserve-s.reserve/4 || meta+short+freeingBlocks(&s.place) > s.stashed) {
			return false
		}
	}
	always := checkpointBlocks(&s.place) + s.spare + freeingBlocks(&s.place)
	half := func(promised, have uint64) bool { return 2*promised > have-min(have, always) }
	s.strained.Store(half(all.data+all.meta(metaBlocks), stripes) && half(all.meta(metaBlocks)+short, s.stashed))
	s.tokens = all
	return true
}

// freeLocked returns the free blocks that can be used: on hard geometry those in
// wholly free stripes. mu is held.
func (s *space) freeLocked() uint64 {
	if s.hard {
		return s.a.FreeStripes() * s.stripe
	}
	return s.a.FreeBlocks()
}

// promiseStripes is promise on hard geometry, where nothing is scattered: what is
// free, or in the stash, is whole stripes. Beside what transactions need there has
// to be room to seal the stripes a checkpoint ends in. The slack is never promised
// to transactions that need space: without it, cleaning would write the whole store
// to win a stripe. mu is held.
func (s *space) promiseStripes(all spaceTokens, meta uint64, freeing bool) bool {
	need := all.data + meta + sealedStripes*s.stripe
	free := s.a.FreeStripes() * s.stripe
	if freeing {
		return need <= free+s.stashed
	}
	if all.data+s.place.SlackBlocks+s.reserve > s.a.FreeBlocks()+s.stashed {
		return false
	}
	if need <= free {
		return true
	}
	return s.stashed >= s.reserve-s.reserve/4 && need-free+freeingBlocks(&s.place)+sealedStripes*s.stripe <= s.stashed
}

// sealedStripes is how many stripes a checkpoint begins and may not fill: those at
// the end of folded, moved and tree blocks, each in up to two runs that do not meet.
const sealedStripes = 6

// fulfil takes back what a finished checkpoint, or a refused transaction, was
// promised.
func (s *space) fulfil(t spaceTokens) {
	s.mu.Lock()
	s.tokens.sub(t)
	s.strained.Store(false) // the next promise knows
	s.mu.Unlock()
}
