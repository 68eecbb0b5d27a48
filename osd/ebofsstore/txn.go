package ebofsstore

import (
	"fmt"

	"ebofs/ebofs"
	"ebofs/osd"
)

// Convert makes t a transaction of ebofs, which shares its bytes. It returns
// osd.ErrUnsupported for an operation ebofs does not know.
func Convert(t *osd.Transaction) (*ebofs.Txn, error) {
	x := ebofs.NewTxn()
	for i := range t.Ops() {
		op := &t.Ops()[i]
		c, o, dest := ebofs.CollectionID(op.Coll), ebofs.ObjectID(op.Obj), ebofs.CollectionID(op.Dest)
		switch op.Kind {
		case osd.OpTouch:
			x.Touch(c, o)
		case osd.OpWrite:
			x.Write(c, o, op.Off, op.Data)
		case osd.OpZero:
			x.Zero(c, o, op.Off, op.Len)
		case osd.OpTruncate:
			x.Truncate(c, o, op.Off)
		case osd.OpRemove:
			x.Remove(c, o)
		case osd.OpSetAttrs:
			x.SetAttrs(c, o, op.Map)
		case osd.OpRmAttr:
			x.RmAttr(c, o, op.Name)
		case osd.OpRmAttrs:
			x.RmAttrs(c, o)
		case osd.OpOmapSet:
			x.OmapSet(c, o, op.Map)
		case osd.OpOmapRm:
			x.OmapRm(c, o, op.Keys)
		case osd.OpOmapRmRange:
			x.OmapRmRange(c, o, op.Name, op.Last)
		case osd.OpOmapClear:
			x.OmapClear(c, o)
		case osd.OpOmapSetHeader:
			x.OmapSetHeader(c, o, op.Data)
		case osd.OpSetAllocHint:
			x.SetAllocHint(c, o, op.ObjectBytes, op.WriteBytes, op.Flags)
		case osd.OpClone:
			x.Clone(c, o, ebofs.ObjectID(op.To))
		case osd.OpCloneRange:
			x.CloneRange(c, o, ebofs.ObjectID(op.To), op.Off, op.Len, op.ToOff)
		case osd.OpRename:
			x.Rename(c, o, ebofs.ObjectID(op.To))
		case osd.OpMkColl:
			x.MkColl(c, ebofs.CollSpec(op.Spec))
		case osd.OpRmColl:
			x.RmColl(c)
		case osd.OpSplitColl:
			x.SplitColl(c, op.Bits, op.Seed, dest)
		case osd.OpMergeColl:
			x.MergeColl(c, dest, op.Bits)
		case osd.OpRenameColl:
			x.RenameColl(c, dest)
		default:
			return nil, fmt.Errorf("operation %d of kind %d: %w", i, op.Kind, osd.ErrUnsupported)
		}
	}
	return x, nil
}
