package repair

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"ebofs/btree"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// Blocks that clones share are counted in the refs tree (ebofs/refs.go), and all
// that is in it follows from the extents: a repair believes the records, and makes
// the counts what they say. A record may share its blocks if it is marked so. One
// of a removed object may too: it can be older than the clone. Where a record that
// may meets one that may not, there are two owners, and the second gets a copy: no
// object changes, whichever mark was wrong.

// mayShare reports whether blocks of a record may be mapped by other records.
func mayShare(flags uint8, trash bool) bool { return trash || flags&layout.BlockShared != 0 }

// claimData claims a block of data; false if something else has it that is not
// ready to share, or it may not be shared itself.
func (r *repairer) claimData(b uint64, share bool) bool {
	if !r.busy.add(b, 1) {
		return share && (r.shared.has(b) || planted.On(planted.SharedTwice))
	}
	if share {
		r.shared.addLazy(&r.place, b)
	}
	return true
}

var errUneven = errors.New("wrong totals, or counts that were given up")

// lookRefs looks at the tree of counts and claims its nodes. What is wrong with it
// costs nothing but the work to make it anew.
func (r *repairer) lookRefs(s *survey) error {
	var why error
	cfg, root := r.cfg(layout.TreeRefs), r.root.Refs
	plain := func(_, _ []byte, ext []btree.BlobExtent) error {
		if ext != nil && why == nil {
			why = fmt.Errorf("a count outside its node: %w", layout.ErrMalformed)
		}
		return nil
	}
	if root.Kind == btree.RootInline {
		if err := r.items(r.ctx, cfg, &btree.Owner{}, root, plain); err != nil {
			why = err
		}
	}
	w := &treeWalk{
		r: r, ctx: r.ctx, cfg: cfg, take: r.claimNode,
		leaf: func(_ *leaf, p *btree.Page) error { return p.Items(plain) },
		hole: func(h *hole) error { why = h.err; return nil },
	}
	if err := w.walk(root); err != nil {
		return err
	}
	if why == nil && w.uneven {
		why = errUneven
	}
	if s.refsBad = why != nil; s.refsBad {
		r.res.did(Action{Code: check.RefsBad, What: fmt.Sprintf("tree refs: %v: counted anew from what maps the blocks, nothing is lost", why)})
	}
	return r.ctx.Err()
}

// refCounts are the counts of a window of groups: as many as fit, from a first one on.
type refCounts struct {
	from, to uint64 // groups [from, to)
	most     int
	groups   map[uint64]*layout.RefGroup // 1 is counted here too
}

func newRefCounts(from uint64, most int) *refCounts {
	return &refCounts{from: from, to: math.MaxUint64, most: most, groups: make(map[uint64]*layout.RefGroup)}
}

// add counts one more extent that maps the block at a. If that takes too much memory
// the window is made smaller.
func (c *refCounts) add(a layout.Addr) {
	k := uint64(a) / layout.RefBlocks
	if k < c.from || k >= c.to {
		return
	}
	g := c.groups[k]
	if g == nil {
		g = new(layout.RefGroup)
		c.groups[k] = g
	}
	g.Count[uint64(a)%layout.RefBlocks]++
	if len(c.groups) > c.most {
		keys := slices.Sorted(maps.Keys(c.groups))
		c.to = keys[(len(keys)+1)/2]
		maps.DeleteFunc(c.groups, func(k uint64, _ *layout.RefGroup) bool { return k >= c.to })
	}
}

// refsMend brings the refs tree to what was counted, window by window.
type refsMend struct {
	r      *repairer
	bad    bool // it was begun anew, and that has been told
	groups int  // changed
}

func newRefsMend(r *repairer, s *survey) *refsMend {
	if s.refsBad {
		r.root.Refs = btree.Root{}
	}
	return &refsMend{r: r, bad: s.refsBad}
}

// window changes the groups of one window.
func (m *refsMend) window(c *refCounts) error {
	r := m.r
	t := btree.New(r.cfg(layout.TreeRefs), loader{r}, btree.Owner{}, r.root.Refs)
	for k, g := range c.groups {
		for i, n := range g.Count {
			if n < 2 {
				g.Count[i] = 0 // which needs none
			}
		}
		if g.Empty() {
			delete(c.groups, k)
		}
	}
	from := layout.Uint64Key(c.from)
	var to []byte // no bound
	if c.to != math.MaxUint64 {
		end := layout.Uint64Key(c.to)
		to = end[:]
	}
	var stale [][]byte
	var buf []byte
	var bad error
	err := t.Iter(r.ctx, from[:], to, func(key, val []byte) bool {
		k, err := layout.DecodeUint64Key(key)
		if g := c.groups[k]; err == nil && g != nil {
			if buf, bad = g.Append(buf[:0]); bytes.Equal(buf, val) {
				delete(c.groups, k) // as it should be
			}
		} else {
			stale = append(stale, bytes.Clone(key))
		}
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	if err != nil || planted.On(planted.RefsStale) {
		return err
	}
	for _, key := range stale {
		t.Delete(key)
	}
	for k, g := range c.groups {
		key := layout.Uint64Key(k)
		if buf, err = g.Append(buf[:0]); err != nil {
			return err
		}
		t.Put(key[:], buf)
	}
	m.groups += len(stale) + len(c.groups)
	if !t.Dirty() {
		return nil
	}
	t.Freeze()
	r.root.Refs, err = t.Reconcile(r.ctx, r.sink)
	return err
}

// done tells what was changed and marks a store that has shared blocks as one.
func (m *refsMend) done() {
	r := m.r
	if r.root.Refs.Kind != btree.RootEmpty {
		r.sb.Features.Incompat |= layout.FeatSharedBlocks
	}
	if m.groups > 0 && !m.bad {
		r.res.did(Action{Code: check.RefsBad, What: fmt.Sprintf("corrected how often shared blocks are mapped, in %d groups of %d", m.groups, layout.RefBlocks)})
	}
}
