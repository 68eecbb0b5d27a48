package repair

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// tally is the recount of the repaired store.
type tally struct {
	r        *repairer
	counters layout.Counters
	blocks   blockSet // in use
	shared   blockSet // of those: mapped by records that may share them
	refs     *refCounts
	free     uint64
}

// recount walks the repaired trees, which must be sound by now, and counts; the
// refs tree is brought to what it finds. It takes one walk more for each window of
// counts that does not fit in memory.
func (r *repairer) recount(s *survey) (t *tally, err error) {
	refs := newRefsMend(r, s)
	for from := uint64(0); ; {
		counts := newRefCounts(from, r.o.RefGroups)
		if t, err = r.walkAll(counts); err != nil {
			return nil, err
		}
		if err := refs.window(counts); err != nil {
			return nil, fmt.Errorf("tree %v: %w", layout.TreeRefs, err)
		}
		if from = counts.to; from == math.MaxUint64 {
			break
		}
	}
	refs.done()
	return t, t.tree(layout.TreeRefs, btree.Owner{}, r.root.Refs, nil)
}

// walkAll walks all trees but that of the counts, which counts collects.
func (r *repairer) walkAll(counts *refCounts) (*tally, error) {
	t := &tally{r: r, blocks: newBlockSet(&r.place), refs: counts}
	c := &t.counters
	err := t.tree(layout.TreeCollections, btree.Owner{}, r.root.Collections, func(key, val []byte) error {
		c.Collections++
		cn, err := layout.DecodeCnode(bytes.Clone(val))
		if err != nil {
			return err
		}
		return t.tree(layout.TreeAttrs, btree.Owner{ID: cn.ID}, cn.Attrs, nil)
	})
	if err != nil {
		return t, err
	}
	err = t.tree(layout.TreeObjects, btree.Owner{}, r.root.Objects, func(key, val []byte) error {
		on, err := layout.DecodeOnode(bytes.Clone(val))
		if err != nil {
			return err
		}
		if c.Objects++; c.Objects%1024 == 0 {
			r.progress("recount", c.Objects, 0)
		}
		c.LogicalBytes += on.Size
		return t.trees(btree.Owner{ID: on.ID}, on.Attrs, on.Omap, on.Extents, false)
	})
	if err != nil {
		return t, err
	}
	before := c.DataBlocks
	err = t.tree(layout.TreeTrash, btree.Owner{}, r.root.Trash, func(key, val []byte) error {
		x, err := layout.DecodeTrash(bytes.Clone(val))
		if err != nil {
			return err
		}
		c.TrashObjects++
		return t.trees(btree.Owner{ID: x.ID}, x.Attrs, x.Omap, x.Extents, true)
	})
	c.TrashBlocks = c.DataBlocks - before
	return t, err
}

// claim notes blocks that nothing else may use.
func (t *tally) claim(a layout.Addr, n uint64) error {
	if !t.r.inZones(a, n) || !t.blocks.add(a.Block(), n) {
		return fmt.Errorf("blocks %v: outside, or used twice: %w", layout.Extent{Addr: a, Blocks: n}, layout.ErrCorrupt)
	}
	return nil
}

// share notes one more extent that maps blocks which others of its kind may map too.
func (t *tally) share(a layout.Addr, n uint64) error {
	for ; n > 0; a, n = a+1, n-1 {
		switch b := a.Block(); {
		case !t.r.inZones(a, 1), t.blocks.has(b) && !t.shared.has(b):
			return t.claim(a, 1) // which says so
		case t.blocks.add(b, 1):
			t.shared.addLazy(&t.r.place, b)
			t.counters.DataBlocks++
		}
		t.refs.add(a)
	}
	return nil
}

// tree walks one tree and claims its nodes and long values.
func (t *tally) tree(kind layout.TreeKind, own btree.Owner, root btree.Root, item func(key, val []byte) error) error {
	r := t.r
	err := btree.Walk(r.ctx, loader{r}, r.cfg(kind), &own, root, btree.Visitor{
		Node: func(n *btree.Node) error {
			if n.Ptr.Addr == 0 {
				return nil
			}
			t.counters.MetaBlocks += uint64(n.Ptr.Blocks)
			return t.claim(layout.Addr(n.Ptr.Addr), uint64(n.Ptr.Blocks))
		},
		Item: func(key, val []byte, ext []btree.BlobExtent) error {
			size := uint64(0)
			for _, e := range ext {
				n := blocksOf(uint64(e.Bytes))
				if err := t.claim(layout.Addr(e.Addr), n); err != nil {
					return err
				}
				t.counters.DataBlocks += n
				size += uint64(e.Bytes)
			}
			if item == nil {
				return nil
			}
			if ext != nil {
				val = make([]byte, size)
				if err := (loader{r}).ReadBlob(r.ctx, ext, val); err != nil {
					return err
				}
			}
			return item(key, val)
		},
	})
	if err != nil {
		return fmt.Errorf("recount of tree %v of object id %d: %w", kind, own.ID, err)
	}
	return nil
}

// trees walks the trees of one object.
func (t *tally) trees(own btree.Owner, attrs, omap, extents btree.Root, trash bool) error {
	return errors.Join(
		t.tree(layout.TreeAttrs, own, attrs, nil),
		t.tree(layout.TreeOmap, own, omap, nil),
		t.tree(layout.TreeExtents, own, extents, func(key, val []byte) error {
			var bad error
			err := layout.ChunkRuns(val, func(run *layout.Run) bool {
				if mayShare(run.Flags, trash) {
					bad = t.share(run.Addr, uint64(run.Blocks))
				} else if bad = t.claim(run.Addr, uint64(run.Blocks)); bad == nil {
					t.counters.DataBlocks += uint64(run.Blocks)
				}
				return bad == nil
			})
			return errors.Join(err, bad)
		}))
}
