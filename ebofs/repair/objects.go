package repair

import (
	"bytes"
	"fmt"
	"math"

	"ebofs/btree"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// lookObjects looks at every object.
func (r *repairer) lookObjects(s *survey) error {
	return r.each(&s.objects, func(key, val []byte, ext []btree.BlobExtent, doubt bool) error {
		f, err := r.lookObject(s, key, val, ext)
		if err != nil {
			return err
		}
		if doubt {
			if f == nil {
				f = &objectFix{}
			}
			f.isolate, f.why = true, check.NodeStale
		}
		if f != nil {
			f.key = bytes.Clone(key)
			if f.name == "" {
				f.name = fmt.Sprintf("%x", key)
			}
			s.fixes = append(s.fixes, f)
		}
		return nil
	})
}

// holds reports whether a collection holds the object. Objects come in order, so it
// is mostly the one that held the object before.
func (s *survey) holds(k *layout.ObjectKey) bool {
	if s.last < len(s.ranges) && s.ranges[s.last].Contains(k) {
		return true
	}
	for i := range s.ranges {
		if s.ranges[i].Contains(k) {
			s.last = i
			return true
		}
	}
	return false
}

// lookObject looks at one entry of the objects tree; nil: nothing is wrong.
func (r *repairer) lookObject(s *survey, key, val []byte, ext []btree.BlobExtent) (*objectFix, error) {
	k, err := layout.DecodeObjectKey(key)
	if err != nil {
		return &objectFix{why: check.KeyBad, remove: true}, nil
	}
	if !s.holds(&k) {
		s.orphans = append(s.orphans, k)
	}
	f := &objectFix{name: k.Name}
	val, err = r.longValue(val, ext)
	if err != nil {
		f.replace, f.isolate, f.why = true, true, check.ValueBad
		return f, r.ctx.Err()
	}
	on, err := layout.DecodeOnode(bytes.Clone(val))
	if err != nil {
		f.replace, f.isolate, f.why = true, true, check.OnodeBad
		return f, nil
	}
	if on.Flags&layout.OnodeDamaged != 0 {
		s.kept++
	}
	s.maxID = max(s.maxID, on.ID)
	if !r.ids.add(on.ID) {
		f.replace, f.isolate, f.newID, f.why = true, true, true, check.IDBad
		return f, nil
	}
	own := layout.OwnerOf(key, on.ID)
	if f.attrs, err = r.lookTree(layout.TreeAttrs, own, on.Attrs, r.plainItem); err != nil {
		return nil, err
	}
	if f.omap, err = r.lookTree(layout.TreeOmap, own, on.Omap, r.plainItem); err != nil {
		return nil, err
	}
	if f.extents, err = r.lookTree(layout.TreeExtents, own, on.Extents, func(t *treeFix, key, val []byte, ext []btree.BlobExtent) error {
		return r.lookChunk(t, on.Size, false, key, val, ext)
	}); err != nil {
		return nil, err
	}
	for _, t := range []*treeFix{f.attrs, f.omap} {
		if t != nil {
			f.why = check.NodeCRC
		}
	}
	if f.extents != nil {
		f.why = check.DataCRC
	}
	if f.why == "" {
		return nil, nil
	}
	return f, nil
}

// lookChunk looks at one record of an extents tree; of trash nobody wants the data.
func (r *repairer) lookChunk(t *treeFix, size uint64, trash bool, key, val []byte, ext []btree.BlobExtent) error {
	idx, err := layout.DecodeUint64Key(key)
	if err != nil {
		return err // fixed by the tree's configuration
	}
	var fix chunkFix
	if val, err = r.longValue(val, ext); err != nil && r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	var c layout.Chunk
	if err != nil || layout.DecodeChunk(val, &c) != nil {
		fix.whole = true
	} else if err := r.lookBlocks(&fix, &c, idx, size, trash); err != nil {
		return err
	}
	if fix != (chunkFix{}) {
		if t.chunks == nil {
			t.chunks = make(map[uint64]*chunkFix)
		}
		t.chunks[idx] = &fix
	}
	return nil
}

func (r *repairer) lookBlocks(fix *chunkFix, c *layout.Chunk, idx, size uint64, trash bool) error {
	end := blocksOf(size)
	for i := 0; i < layout.ChunkBlocks; {
		a := c.Addr[i]
		if a.IsNone() {
			i++
			continue
		}
		n := 1
		for i+n < layout.ChunkBlocks && c.Addr[i+n] == a+layout.Addr(n) {
			n++
		}
		for j := i; j < i+n; j++ {
			bit := uint64(1) << j
			switch {
			case idx > math.MaxUint64/layout.ChunkBlocks-1 || idx*layout.ChunkBlocks+uint64(j) >= end:
				fix.cut |= bit
			case !r.inZones(c.Addr[j], 1):
				fix.lost |= bit
				fix.away |= bit
			case !r.claimData(c.Addr[j].Block(), mayShare(c.Flags[j], trash)):
				fix.move |= bit
			}
		}
		if r.o.Deep && !trash {
			if err := r.verify(fix, c, i, n); err != nil {
				return err
			}
		}
		i += n
	}
	return nil
}

// verify reads blocks that follow each other and notes those that are not what
// their checksums say.
func (r *repairer) verify(fix *chunkFix, c *layout.Chunk, i, n int) error {
	skip := fix.cut | fix.away | fix.move
	p, err := r.d.read(r.ctx, c.Addr[i].Block(), n)
	for j := range n {
		bit := uint64(1) << (i + j)
		if skip&bit != 0 || c.Flags[i+j]&layout.BlockDamaged != 0 {
			continue
		}
		if err == nil && layout.CRC(p[j*layout.BlockSize:(j+1)*layout.BlockSize]) == c.CRC[i+j] {
			continue
		}
		if r.sound(c.Addr[i+j], c.CRC[i+j]) == nil {
			fix.lost |= bit
		}
	}
	return r.ctx.Err()
}

// sound returns the content of a block of data, nil if it is not what its checksum
// says.
func (r *repairer) sound(a layout.Addr, crc uint32) []byte {
	p, err := r.d.readChecked(r.ctx, a.Block(), 1, func(p []byte) error {
		if layout.CRC(p) != crc {
			return layout.ErrBadCRC
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return p
}

// lookTrash looks at the removed objects whose space is not yet free. One that has
// anything wrong is forgotten: nobody wants it, and its space is found free.
func (r *repairer) lookTrash(s *survey) error {
	return r.each(&s.trash, func(key, val []byte, ext []btree.BlobExtent, doubt bool) error {
		bad := doubt
		val, err := r.longValue(val, ext)
		var t layout.Trash
		if err == nil {
			t, err = layout.DecodeTrash(bytes.Clone(val))
		}
		if id, kerr := layout.DecodeUint64Key(key); err != nil || kerr != nil || id != t.ID {
			bad = true
		} else if bad = bad || !r.ids.add(t.ID); !bad {
			own := btree.Owner{ID: t.ID}
			s.maxID = max(s.maxID, t.ID)
			for _, x := range [...]struct {
				kind layout.TreeKind
				root btree.Root
				item itemFunc
			}{{layout.TreeAttrs, t.Attrs, r.plainItem}, {layout.TreeOmap, t.Omap, r.plainItem}, {layout.TreeExtents, t.Extents,
				func(t *treeFix, key, val []byte, ext []btree.BlobExtent) error {
					return r.lookChunk(t, layout.MaxObjectBytes, true, key, val, ext)
				}}} {
				f, err := r.lookTree(x.kind, own, x.root, x.item)
				if err != nil {
					return err
				}
				bad = bad || f != nil
			}
		}
		if bad {
			s.trash.drop = append(s.trash.drop, bytes.Clone(key))
			r.res.did(Action{Code: check.TrashBad, What: "forgot a removed object that is damaged; its space is free"})
		}
		return r.ctx.Err()
	})
}
