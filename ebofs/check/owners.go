package check

import (
	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// owners walks the owners tree. Its groups are hints, so all that can be wrong of
// them is that they cannot be read.
func (w *walker) owners() error {
	return w.tree(layout.TreeOwners, btree.Owner{}, w.c.root.Owners, func(key, val []byte, ext []btree.BlobExtent) error {
		val, err := w.value(val, ext, "owners of blocks")
		if err != nil {
			return err
		}
		var group layout.OwnerGroup
		_, id, err := layout.DecodeOwnerKey(key)
		switch {
		case err != nil:
		case id != 0:
			_, err = layout.DecodeObjectKey(val)
		default:
			err = layout.DecodeOwnerGroup(val, &group)
		}
		if err != nil {
			p := Problem{Code: OwnersBad, Where: "owners of blocks", Tree: w.kind.String()}
			p.fill(err)
			w.report(p)
		}
		return nil
	})
}
