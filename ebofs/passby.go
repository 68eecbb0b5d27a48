package ebofs

import (
	"context"
	"encoding/binary"
	"fmt"
	"unsafe"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// unchanged is the body of every object whose record says all there is.
var unchanged body

// readPassing is Read of the object of x.key, which had no onode a moment ago: it was
// clean, and is read from its record without making one. A change that comes meanwhile
// makes one, and the read was before it. ok is false where the record does not say
// enough, and the caller goes the long way: it has inline data, or points to more
// extents, or it is damaged, or there is none.
func (s *Store) readPassing(ctx context.Context, x *scratch, off uint64, p []byte) (n int, ok bool, err error) {
	t := s.guard.enter()
	defer s.guard.leave(t)
	if ok, err = s.record(ctx, x); !ok || err != nil {
		return 0, err != nil, err
	}
	on := &x.onode
	if off >= on.Size || len(p) == 0 {
		return 0, true, nil
	}
	p = p[:min(uint64(len(p)), on.Size-off)]
	end := off + uint64(len(p))
	key := unsafe.String(unsafe.SliceData(x.key), len(x.key)) // nobody keeps it
	if blk := off >> blockShift; blk == (end-1)>>blockShift {
		var val []byte
		if val, err = s.inlineChunk(x, off>>chunkShift); err == nil {
			err = s.readMapped(ctx, key, x.at, blk, val, off, p)
		}
	} else {
		var list []fetch
		for k := off >> chunkShift; k<<chunkShift < end && err == nil; k++ {
			var val []byte
			if val, err = s.inlineChunk(x, k); err == nil {
				list, err = unchanged.mapChunk(val, max(off, k<<chunkShift), min(end, (k+1)<<chunkShift), off, p, list)
			}
		}
		if err == nil {
			err = s.fetchAll(ctx, key, x.at, list, off, p)
		}
	}
	if err != nil {
		return 0, true, fmt.Errorf("object %s: %w", objectName(key), err)
	}
	return len(p), true, nil
}

// record reads the record of x.key into x and says whether the onode there holds all of
// its extents.
func (s *Store) record(ctx context.Context, x *scratch) (ok bool, err error) {
	var known bool
	if x.val, x.at, ok, known = s.objects.GetPlaced(x.key, x.val); !known {
		if x.val, ok, err = s.objects.Get(ctx, x.key, x.val); err != nil {
			return false, fmt.Errorf("object %s: %w", objectName(string(x.key)), err)
		}
	}
	on := &x.onode
	return ok && on.Decode(x.val) == nil && on.Flags&layout.OnodeDamaged == 0 && on.Inline == nil && on.Extents.Kind == btree.RootInline, nil
}

// inlineChunk returns the extents record of chunk k of the object in x, nil if there is none.
func (s *Store) inlineChunk(x *scratch, k uint64) ([]byte, error) {
	binary.BigEndian.PutUint64(x.chunk[:], k)
	val, _, err := btree.GetInline(s.cfg.extents, &x.onode.Extents, x.chunk[:8])
	return val, err
}
