package repair

import (
	"bytes"
	"context"
	"errors"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// hole is a subtree that cannot be used.
type hole struct {
	ptr          btree.Ptr
	count, bytes uint64 // what its parent says is below
	found        uint64 // of count, in leaves a scan has found
	low, high    []byte // nil: unbounded
	err          error
	doubt        bool // it was given up: what is found of it is not to be believed
}

// leaf is one that can be used.
type leaf struct {
	btree.Leaf
	doubt bool // below a node that was given up, or perhaps an old version
}

// treeWalk goes over the nodes of one tree as far as they can be read. It differs
// from btree.Walk in what it does about damage: totals that are wrong are noted
// only, and what lies below a node that was given up is visited, in doubt.
type treeWalk struct {
	r    *repairer
	ctx  context.Context
	cfg  *btree.Config
	own  btree.Owner
	take func(p btree.Ptr) bool // claims a good node; false: another has it
	leaf func(l *leaf, p *btree.Page) error
	hole func(h *hole) error

	uneven bool // some totals are wrong, or a mark stands in the tree: inner nodes are to be made anew
}

var errTwice = errors.New("another structure uses these blocks")

func (w *treeWalk) walk(root btree.Root) error {
	if root.Kind != btree.RootNode {
		return nil
	}
	return w.visit(root.Ptr, root.Count, root.Bytes, nil, nil, false)
}

func (w *treeWalk) visit(p btree.Ptr, count, size uint64, low, high []byte, doubt bool) error {
	if p.Flags&btree.PtrDamaged != 0 {
		p.Flags &^= btree.PtrDamaged
		doubt, w.uneven = true, true
	}
	page, err := loader{w.r}.Load(w.ctx, w.cfg, &w.own, p)
	if err == nil {
		err = page.CheckIn(p, count, size, low, high)
		var x *btree.CorruptError
		if errors.As(err, &x) && x.Field == "totals" {
			w.uneven, err = true, nil
		}
	}
	if err == nil && w.take != nil && !w.take(p) {
		err = errTwice
	}
	if err != nil {
		if w.ctx.Err() != nil {
			return w.ctx.Err()
		}
		return w.hole(&hole{ptr: p, count: count, bytes: size, low: bytes.Clone(low), high: bytes.Clone(high), err: err, doubt: doubt})
	}
	if page.Level() == 0 {
		return w.leaf(&leaf{btree.LeafOf(page), doubt}, page)
	}
	for i := range page.Len() {
		end := high
		if i+1 < page.Len() {
			end = page.AppendKey(nil, i)
		}
		c, n, b := page.Child(i)
		if err := w.visit(c, n, b, low, end, doubt); err != nil {
			return err
		}
		low = end
	}
	return nil
}

// items calls fn for what a leaf or an inline root holds.
func (r *repairer) items(ctx context.Context, cfg *btree.Config, own *btree.Owner, root btree.Root, fn func(key, val []byte, ext []btree.BlobExtent) error) error {
	return btree.Walk(ctx, loader{r}, cfg, own, root, btree.Visitor{Item: fn})
}

// claimNode marks the blocks of a node busy; false if another structure has them.
func (r *repairer) claimNode(p btree.Ptr) bool {
	b := layout.Addr(p.Addr).Block()
	if r.busy.any(b, uint64(p.Blocks)) {
		return false
	}
	r.busy.add(b, uint64(p.Blocks))
	return true
}
