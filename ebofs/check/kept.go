package check

import (
	"context"
	"fmt"

	"ebofs/ebofs/layout"
)

// checkKept checks the kept epochs: their root records at level quick, else each
// as a whole at the level of this check. One that is not whole is one problem,
// whatever is wrong with it: only the history is lost.
func (c *checker) checkKept(ctx context.Context) error {
	if c.root == nil || len(c.root.Kept) == 0 || c.o.Super != nil {
		return nil
	}
	ph := c.out.begin("kept epochs")
	defer c.out.end()
	ph.Note = fmt.Sprintf("%d to %d", c.root.Kept[0].Epoch(), c.root.Kept[len(c.root.Kept)-1].Epoch())
	if c.sb.Features.Incompat&layout.FeatMetadataOnly != 0 {
		ph.Note += ", not in an image"
		return nil
	}
	c.tell("kept epochs", 0)
	for i := range c.root.Kept {
		if err := c.checkEpoch(ctx, &c.root.Kept[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkEpoch(ctx context.Context, k *layout.KeptEpoch) error {
	p := Problem{Code: KeptBad, Where: fmt.Sprintf("kept epoch %d", k.Epoch()), Address: k.Root.Addr.Block(), Blocks: uint64(k.Root.Blocks), Expected: "a whole checkpoint"}
	if err := k.Within(&c.sb); err != nil {
		p.fill(err)
		c.out.add(p)
		return nil
	}
	sb := c.sb.At(k)
	r, err := Run(ctx, c.main.dev, Options{Super: &sb, Level: c.o.Level, MemoryBytes: c.o.MemoryBytes, Workers: c.o.Workers, MaxProblems: 16, Now: c.o.Now})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		p.fill(err)
	case r.Counts.Errors > 0:
		p.Found = fmt.Sprintf("%d problems", r.Counts.Errors)
		for i := range r.Problems {
			if r.Problems[i].Severity == "error" {
				p.Found += ", one of them: " + r.Problems[i].String()
				break
			}
		}
	case r.Complete:
		c.rep.Counts.Kept++
		c.rep.Counts.BytesRead += r.Counts.BytesRead
		return nil
	default:
		p.Found = "not all of it can be looked at"
	}
	c.out.add(p)
	return nil
}
