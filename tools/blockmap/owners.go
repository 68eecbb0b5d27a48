package blockmap

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/store"
)

// Owner is an object with blocks in a stretch of a device.
type Owner struct {
	Name   string `json:"name"`
	Key    string `json:"key"` // as dump and object take it
	Blocks uint64 `json:"blocks"`
}

// errEnough ends a walk early.
var errEnough = errors.New("enough")

// Owners returns objects that own blocks of [start, start+n) in the checkpoint of sb,
// those with the most first; more says that there are others beside so many. It reads
// the objects one after the other until it has found them.
func Owners(ctx context.Context, dev devices.Device, sb *layout.Superblock, start, n uint64, most int) (list []Owner, more bool, err error) {
	roots, err := ebofs.ReadRoots(ctx, dev, sb)
	if err != nil {
		return nil, false, err
	}
	l := &loader{b: store.NewBytes(ctx, dev), limit: sb.Blocks}
	defer l.b.Close()
	w := &walker{ctx: ctx, l: l, fsid: sb.FSID}
	err = w.tree(layout.TreeObjects, btree.Owner{}, roots.Record.Objects, func(key, val []byte, ext []btree.BlobExtent) error {
		if ext != nil {
			val = l.long(ctx, ext)
		}
		if w.onode.Decode(val) != nil {
			return nil // fsck's business
		}
		blocks, err := w.within(&w.onode, start, n)
		if err != nil || blocks == 0 {
			return err
		}
		k, err := layout.DecodeObjectKey(key)
		if err != nil {
			return nil
		}
		if len(list) == most {
			more = true
			return errEnough
		}
		list = append(list, Owner{k.Name, k.String(), blocks})
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	slices.SortStableFunc(list, func(a, b Owner) int { return cmp.Compare(b.Blocks, a.Blocks) })
	return list, more, err
}

// within counts the blocks of an object that lie in [start, start+n).
func (w *walker) within(o *layout.Onode, start, n uint64) (blocks uint64, err error) {
	id, extents := o.ID, o.Extents
	err = w.tree(layout.TreeExtents, btree.Owner{ID: id}, extents, func(_, val []byte, ext []btree.BlobExtent) error {
		if ext != nil {
			val = w.l.long(w.ctx, ext)
		}
		return layout.ChunkRuns(val, func(r *layout.Run) bool {
			if r.Addr.Device() == 0 {
				from, to := max(start, r.Addr.Block()), min(start+n, r.Addr.Block()+uint64(r.Blocks))
				if from < to {
					blocks += to - from
				}
			}
			return true
		})
	})
	if errors.Is(err, ebofs.ErrCorrupt) { // fsck's business, too
		err = nil
	}
	return blocks, err
}
