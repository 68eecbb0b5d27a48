package memstore

import (
	"fmt"
	"maps"
	"unicode/utf8"

	"ebofs/osd"
)

// view is the state as a transaction sees and changes it.
type view struct {
	st    *state
	colls map[osd.CollectionID]osd.CollectionSpec // a copy; nil: as in st
	objs  map[osd.ObjectID]*object                // copies of what was touched; nil: removed
}

// table returns the collections for reading.
func (v *view) table() map[osd.CollectionID]osd.CollectionSpec {
	if v.colls != nil {
		return v.colls
	}
	return v.st.colls
}

// edit returns the collections for changing.
func (v *view) edit() map[osd.CollectionID]osd.CollectionSpec {
	if v.colls == nil {
		v.colls = maps.Clone(v.st.colls)
	}
	return v.colls
}

func (v *view) spec(c osd.CollectionID) (osd.CollectionSpec, error) {
	s, ok := v.table()[c]
	if !ok {
		return s, fmt.Errorf("collection %q: %w", c, osd.ErrNotFound)
	}
	return s, nil
}

// object returns o for changing, nil if it does not exist.
func (v *view) object(c osd.CollectionID, id osd.ObjectID) (*object, error) {
	s, err := v.spec(c)
	if err != nil {
		return nil, err
	}
	if !s.Contains(id) {
		return nil, fmt.Errorf("object %v outside of collection %q: %w", id, c, osd.ErrInvalid)
	}
	o, touched := v.objs[id]
	if !touched {
		if old := v.st.objs[id]; old != nil {
			o = old.copy()
			v.objs[id] = o
		}
	}
	return o, nil
}

func (v *view) apply(op *osd.Op) error {
	switch op.Kind {
	case osd.OpMkColl, osd.OpRmColl, osd.OpSplitColl, osd.OpMergeColl, osd.OpRenameColl:
		return v.applyColl(op)
	}
	o, err := v.object(op.Coll, op.Obj)
	if err != nil {
		return err
	}
	if o == nil {
		switch op.Kind {
		case osd.OpTouch, osd.OpWrite, osd.OpZero, osd.OpSetAttrs, osd.OpOmapSet, osd.OpOmapSetHeader, osd.OpSetAllocHint:
			o = newObject()
			v.objs[op.Obj] = o
		default:
			return fmt.Errorf("object %v: %w", op.Obj, osd.ErrNotFound)
		}
	}
	switch op.Kind {
	case osd.OpTouch, osd.OpSetAllocHint:
	case osd.OpWrite:
		if err := inRange(op.Off, uint64(len(op.Data))); err != nil {
			return err
		}
		o.write(op.Off, op.Data)
	case osd.OpZero:
		if err := inRange(op.Off, op.Len); err != nil {
			return err
		}
		o.zero(op.Off, op.Len)
	case osd.OpTruncate:
		if err := inRange(op.Off, 0); err != nil {
			return err
		}
		o.truncate(op.Off)
	case osd.OpRemove:
		v.objs[op.Obj] = nil
	case osd.OpSetAttrs:
		maps.Copy(o.attrs, op.Map)
	case osd.OpRmAttr:
		delete(o.attrs, op.Name)
	case osd.OpRmAttrs:
		clear(o.attrs)
	case osd.OpOmapSet:
		maps.Copy(o.omap, op.Map)
	case osd.OpOmapRm:
		for _, k := range op.Keys {
			delete(o.omap, k)
		}
	case osd.OpOmapRmRange:
		for _, k := range o.keys(op.Name, op.Last) {
			delete(o.omap, k)
		}
	case osd.OpOmapClear:
		clear(o.omap)
		o.header = nil
	case osd.OpOmapSetHeader:
		o.header = op.Data
	case osd.OpClone, osd.OpCloneRange, osd.OpRename:
		return v.applyTwo(op, o)
	default:
		return fmt.Errorf("operation %d: %w", op.Kind, osd.ErrUnsupported)
	}
	return nil
}

// applyTwo applies what concerns op.To beside o.
func (v *view) applyTwo(op *osd.Op, o *object) error {
	to, err := v.object(op.Coll, op.To)
	if err != nil {
		return err
	}
	switch op.Kind {
	case osd.OpRename:
		if to != nil {
			return fmt.Errorf("object %v: %w", op.To, osd.ErrExists)
		}
		v.objs[op.To] = o
		v.objs[op.Obj] = nil
	case osd.OpClone:
		if op.To == op.Obj {
			return fmt.Errorf("clone of %v onto itself: %w", op.Obj, osd.ErrInvalid)
		}
		o.own = nil // the pages are now those of two objects
		v.objs[op.To] = o.copy()
	case osd.OpCloneRange:
		if err := inRange(op.Off, op.Len); err != nil {
			return err
		}
		if err := inRange(op.ToOff, op.Len); err != nil {
			return err
		}
		if op.Off+op.Len > o.size || op.To == op.Obj && op.Off < op.ToOff+op.Len && op.ToOff < op.Off+op.Len {
			return fmt.Errorf("clone of %d~%d to %d: %w", op.Off, op.Len, op.ToOff, osd.ErrInvalid)
		}
		if to == nil {
			to = newObject()
			v.objs[op.To] = to
		}
		// By its extents, so that holes stay holes.
		es := o.extents(op.Off, op.Len)
		to.zero(op.ToOff, op.Len)
		for _, e := range es {
			p := make([]byte, e.Len)
			o.read(e.Off, p)
			to.write(op.ToOff+e.Off-op.Off, p)
		}
	}
	return nil
}

func (v *view) applyColl(op *osd.Op) error {
	switch op.Kind {
	case osd.OpMkColl:
		return v.mkcoll(op.Coll, op.Spec)
	case osd.OpRmColl:
		s, err := v.spec(op.Coll)
		if err != nil {
			return err
		}
		if !v.empty(s) {
			return fmt.Errorf("collection %q: %w", op.Coll, osd.ErrNotEmpty)
		}
		delete(v.edit(), op.Coll)
	case osd.OpSplitColl:
		s, err := v.spec(op.Coll)
		if err != nil {
			return err
		}
		if s.Bits >= 32 {
			return fmt.Errorf("split of %d bits: %w", s.Bits, osd.ErrInvalid)
		}
		lower, upper := s.Split()
		if op.Dest == op.Coll || op.Bits != upper.Bits || op.Seed != upper.Seed {
			return fmt.Errorf("split of %d bits %#x to %d bits %#x: %w", s.Bits, s.Seed, op.Bits, op.Seed, osd.ErrInvalid)
		}
		if err := v.free(op.Dest); err != nil {
			return err
		}
		v.edit()[op.Coll] = lower
		v.edit()[op.Dest] = upper
	case osd.OpMergeColl:
		s, err := v.spec(op.Coll)
		if err != nil {
			return err
		}
		d, err := v.spec(op.Dest)
		if err != nil {
			return err
		}
		if !s.Siblings(d) || op.Bits != s.Bits-1 {
			return fmt.Errorf("merge of %q and %q to %d bits: %w", op.Coll, op.Dest, op.Bits, osd.ErrInvalid)
		}
		delete(v.edit(), op.Coll)
		v.edit()[op.Dest] = s.Merged()
	case osd.OpRenameColl:
		s, err := v.spec(op.Coll)
		if err != nil {
			return err
		}
		if op.Dest == op.Coll {
			return fmt.Errorf("collection %q renamed to itself: %w", op.Coll, osd.ErrInvalid)
		}
		if err := v.free(op.Dest); err != nil {
			return err
		}
		delete(v.edit(), op.Coll)
		v.edit()[op.Dest] = s
	}
	return nil
}

func (v *view) mkcoll(c osd.CollectionID, spec osd.CollectionSpec) error {
	if !spec.Valid() {
		return fmt.Errorf("collection of %d bits %#x: %w", spec.Bits, spec.Seed, osd.ErrInvalid)
	}
	if err := v.free(c); err != nil {
		return err
	}
	for id, s := range v.table() {
		if s.Overlaps(spec) {
			return fmt.Errorf("collection %q overlaps %q: %w", c, id, osd.ErrInvalid)
		}
	}
	v.edit()[c] = spec
	return nil
}

// free says whether a collection may be called c.
func (v *view) free(c osd.CollectionID) error {
	if len(c) == 0 || len(c) > 255 || !utf8.ValidString(string(c)) {
		return fmt.Errorf("collection id %q: %w", c, osd.ErrInvalid)
	}
	if _, ok := v.table()[c]; ok {
		return fmt.Errorf("collection %q: %w", c, osd.ErrExists)
	}
	return nil
}

// empty says whether no object lies in s.
func (v *view) empty(s osd.CollectionSpec) bool {
	for id, o := range v.objs {
		if o != nil && s.Contains(id) {
			return false
		}
	}
	for id := range v.st.objs {
		if _, touched := v.objs[id]; !touched && s.Contains(id) {
			return false
		}
	}
	return true
}

// growth is by how many bytes the state becomes larger.
func (v *view) growth() int64 {
	var n int64
	for id, o := range v.objs {
		if old := v.st.objs[id]; old != nil {
			n -= int64(old.bytes())
		}
		if o != nil {
			n += int64(o.bytes())
		}
	}
	return n
}

func inRange(off, n uint64) error {
	if off > osd.MaxObjectBytes || n > osd.MaxObjectBytes-off {
		return fmt.Errorf("bytes %d~%d: %w", off, n, osd.ErrTooLarge)
	}
	return nil
}
