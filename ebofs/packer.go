package ebofs

import (
	"context"
	"errors"

	"ebofs/allocator"
	"ebofs/internal/invariants"
)

// packer hands out fresh blocks one behind the other, for data and nodes of one
// kind that a checkpoint writes through one gatherer.
//
// On hard geometry it takes whole stripes and sees to it that they are written
// as a whole: who ends in the middle of one seals it with zeros. Their blocks are
// free, and of use to nobody until the rest of the stripe is free as well: the
// cleaner gets them back.
type packer struct {
	ctx   context.Context
	space *space
	class allocator.Class
	out   *gatherer
	run   allocator.Extent // blocks taken and not yet handed out
	short int              // halvings of packBlocks: runs longer than what is left were not to be had
}

// packBlocks is how many blocks a packer takes at once: long runs, and few calls
// of the allocator.
const packBlocks = runBytes / blockSize

// take hands out n neighbouring blocks.
func (f *packer) take(n uint64) (start uint64, err error) {
	if f.run.Blocks < n {
		if err := f.more(n); err != nil {
			return 0, err
		}
	}
	start = f.run.Start
	f.run.Start += n
	f.run.Blocks -= n
	return start, nil
}

// more takes the next run: a long one while there is any, then whatever has n blocks,
// the longest first. A length that was not to be had is not asked for again: a search
// of the whole store that fails costs more than the block. If the run goes on where the
// last one ends they are one.
func (f *packer) more(n uint64) error {
	least := n
	if f.space.hard {
		least = roundUp(n, f.space.stripe)
	}
	for {
		want, alloc := max(packBlocks>>f.short, least), f.space.allocRun
		if f.space.hard {
			want = roundUp(want, f.space.stripe)
		}
		most := want
		if want < f.space.stripe {
			most = 2*want - 1 // no run is longer
		}
		if want == least {
			alloc = f.space.allocHard
		}
		e, err := alloc(f.ctx, f.class, int(want), int(most), f.run.Start+f.run.Blocks)
		if err == nil {
			return f.goOn(e)
		}
		if !errors.Is(err, ErrNoSpace) || want == least {
			return err
		}
		f.short++
	}
}

// goOn makes e the run at hand, behind the present one if they meet.
func (f *packer) goOn(e allocator.Extent) error {
	if f.run.Blocks > 0 && f.run.End() == e.Start {
		f.run.Blocks += e.Blocks
		return nil
	}
	if err := f.seal(); err != nil {
		return err
	}
	f.run = e
	return nil
}

// seal ends the stripe at hand with zeros and gives back what is left. What was
// handed out must have been added to the gatherer.
func (f *packer) seal() error {
	if f.run.Blocks == 0 {
		return nil
	}
	rest := f.run
	f.run.Blocks = 0
	if f.space.hard {
		stripe := f.space.stripe
		pad := (stripe - (rest.Start+stripe-f.space.stripeAt)%stripe) % stripe
		for b := rest.Start; b < rest.Start+pad; b++ {
			p, err := f.out.room(b, blockSize, WritePadding, 0)
			if err != nil {
				return err
			}
			clear(p)
		}
		invariants.Check(pad <= rest.Blocks, "a stripe ends %d blocks behind %v", pad, rest)
	}
	f.space.release([]allocator.Extent{rest})
	return nil
}

func roundUp(n, unit uint64) uint64 { return (n + unit - 1) / unit * unit }
