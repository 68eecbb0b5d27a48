package check

import (
	"fmt"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// object looks at one entry of the objects tree.
func (w *walker) object(key, val []byte, ext []btree.BlobExtent, ranges []collRange) error {
	w.kind = layout.TreeObjects
	w.named = false
	w.n.Objects++
	var err error
	if w.obj, err = layout.DecodeObjectKey(key); err != nil {
		p := Problem{Code: KeyBad, Where: fmt.Sprintf("object key %x", key), Tree: w.kind.String()}
		p.fill(err)
		w.report(p)
		w.obj = layout.ObjectKey{Name: fmt.Sprintf("%x", key)}
	}
	w.named, w.key = true, key
	if w.p.first && err == nil && !inRanges(ranges, key) {
		w.report(Problem{Code: Orphan, Where: "object", Tree: w.kind.String(), Expected: "a collection that holds " + w.obj.String(), Found: "none", Objects: w.objectPart(0, 0)})
	}
	if val, err = w.value(val, ext, "onode"); err != nil {
		return err
	}
	if err := w.onode.Decode(val); err != nil {
		p := Problem{Code: OnodeBad, Where: "onode", Tree: w.kind.String(), Objects: w.objectPart(0, 0)}
		p.fill(err)
		w.report(p)
		w.c.broken.Store(true)
		return nil
	}
	o := &w.onode
	w.size = o.Size
	w.known = w.c.at.known(key)
	w.n.Bytes += o.Size
	if o.Flags&layout.OnodeDamaged != 0 {
		w.report(Problem{Code: ObjectDamaged, Where: "onode", Tree: w.kind.String(), Found: "marked as damaged", Expected: "a sound object", Objects: w.objectPart(0, 0)})
	}
	switch {
	case o.ID > w.c.root.NextObjectID:
		w.report(Problem{Code: IDBad, Where: "onode", Tree: w.kind.String(), Expected: fmt.Sprintf("an id up to %d", w.c.root.NextObjectID), Found: fmt.Sprintf("id %d", o.ID), Objects: w.objectPart(0, 0)})
	case w.c.seenID(o.ID):
		// Its trees are not walked: a million onodes that share one large tree
		// would keep us busy for ever (C2).
		w.report(Problem{Code: IDBad, Where: "onode", Tree: w.kind.String(), Expected: "an id of its own", Found: fmt.Sprintf("id %d, which another object has", o.ID), Objects: w.objectPart(0, 0)})
		w.c.broken.Store(true)
		return nil
	}
	return w.trees(o.ID, &o.Attrs, &o.Omap, &o.Extents, w.p.first && w.c.o.Level == Deep && !w.known && !w.c.noData())
}

// trees walks the trees of one object.
func (w *walker) trees(id uint64, attrs, omap, extents *btree.Root, deep bool) error {
	own := btree.Owner{ID: id}
	w.verify = deep
	if err := w.tree(layout.TreeAttrs, own, *attrs, w.onAttr); err != nil {
		return err
	}
	if err := w.tree(layout.TreeOmap, own, *omap, w.onOmap); err != nil {
		return err
	}
	return w.tree(layout.TreeExtents, own, *extents, w.onChunk)
}

func (w *walker) attr(key, val []byte, ext []btree.BlobExtent) error {
	w.n.Attrs++
	if ext == nil {
		return nil
	}
	return w.longValue(ext, fmt.Sprintf("attribute %q", key))
}

func (w *walker) omapKey(key, val []byte, ext []btree.BlobExtent) error {
	w.n.OmapKeys++
	if ext == nil {
		return nil
	}
	return w.longValue(ext, fmt.Sprintf("omap value %q", key))
}

// claimValue claims the blocks of an overflow value.
func (w *walker) claimValue(ext []btree.BlobExtent, what string) bool {
	ok := true
	for _, e := range ext {
		n := blocksOf(uint64(e.Bytes))
		if w.claim(layout.Extent{Addr: layout.Addr(e.Addr), Blocks: n}, what, 0, false) {
			w.n.DataBlocks += n
		} else {
			ok = false
		}
	}
	return ok
}

// longValue claims an overflow value and, at level deep, verifies it.
func (w *walker) longValue(ext []btree.BlobExtent, what string) error {
	if !w.claimValue(ext, what) || w.c.o.Level != Deep || !w.p.first || w.known {
		return nil
	}
	_, err := w.readValue(ext, what)
	return err
}

// value returns the bytes of an entry that are needed now, wherever they are; nil if
// they cannot be had, which is reported.
func (w *walker) value(val []byte, ext []btree.BlobExtent, what string) ([]byte, error) {
	if ext == nil {
		return val, nil
	}
	if !w.claimValue(ext, what) {
		return nil, nil
	}
	return w.readValue(ext, what)
}

func (w *walker) readValue(ext []btree.BlobExtent, what string) ([]byte, error) {
	size := uint64(0)
	for _, e := range ext {
		size += uint64(e.Bytes)
	}
	buf := make([]byte, size)
	err := w.c.ld.ReadBlob(w.ctx, ext, buf)
	if err == nil {
		w.n.DataChecked += blocksOf(size)
		return buf, nil
	}
	if w.ctx.Err() != nil {
		return nil, w.ctx.Err()
	}
	a := layout.Addr(ext[0].Addr)
	p := Problem{Code: ValueBad, Where: what, Tree: w.kind.String(), Device: a.Device(), Address: a.Block(), Blocks: blocksOf(size), Objects: w.objectPart(0, 0)}
	p.fill(err)
	w.report(p)
	return nil, nil
}

// chunk looks at one record of an extents tree.
func (w *walker) chunk(key, val []byte, ext []btree.BlobExtent) error {
	idx, err := layout.DecodeUint64Key(key)
	if err != nil {
		return nil // fixed by the tree's configuration; a page with other keys is refused
	}
	if val, err = w.value(val, ext, "extent record"); err != nil {
		return err
	}
	base := idx * layout.ChunkBlocks
	end := blocksOf(w.size)
	var failed error
	err = layout.ChunkRuns(val, func(r *layout.Run) bool {
		blk := base + uint64(r.First)
		off, n := blk*layout.BlockSize, uint64(r.Blocks)*layout.BlockSize
		// Removed objects may have been written before they were cloned.
		w.shared = w.c.root.Refs.Kind != btree.RootEmpty && (r.Flags&layout.BlockShared != 0 || !w.named)
		if !w.claim(r.Extent(), "data", off, true) {
			return true
		}
		if !w.shared { // else compareRefs counts them, each once
			w.n.DataBlocks += uint64(r.Blocks)
		}
		if !w.p.first {
			return true
		}
		if blk+uint64(r.Blocks) > end {
			w.report(Problem{Code: BeyondEnd, Where: "data", Tree: w.kind.String(), Address: r.Addr.Block(), Blocks: uint64(r.Blocks),
				Expected: fmt.Sprintf("nothing behind byte %d", w.size), Found: fmt.Sprintf("bytes %d~%d", off, n), Objects: w.objectPart(off, n)})
		}
		if r.Flags&layout.BlockDamaged != 0 {
			w.report(Problem{Code: DataDamaged, Where: "data", Tree: w.kind.String(), Address: r.Addr.Block(), Blocks: uint64(r.Blocks), Expected: "sound blocks", Found: "marked as damaged", Objects: w.objectPart(off, n)})
		}
		if w.verify && r.Flags&layout.BlockDamaged == 0 {
			failed = w.verifyRun(r, off)
		}
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		p := Problem{Code: ChunkBad, Where: "extent record", Tree: w.kind.String(), Objects: w.objectPart(base*layout.BlockSize, layout.ChunkBlocks*layout.BlockSize)}
		p.fill(err)
		w.report(p)
		w.c.broken.Store(true)
	}
	return nil
}
