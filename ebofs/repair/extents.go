package repair

import (
	"errors"
	"math/bits"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// mendExtents makes the new map of an object's data. Blocks that are lost are marked
// as damaged: reads of them fail until they are overwritten, and nobody takes zeros
// or old bytes for them. A lost block whose own address is not known gets a
// placeholder, since a mark needs a block to stand on. It returns the number of
// blocks lost; -1: the whole object has to be set apart.
func (r *repairer) mendExtents(f *treeFix, on *layout.Onode) (lost int, err error) {
	room := r.o.PlaceholderBlocks
	apart := f.empty && on.Size > 0
	end := blocksOf(on.Size)
	chunks := (end + layout.ChunkBlocks - 1) / layout.ChunkBlocks
	root, err := r.mendTree(f, on.Extents, func(t *btree.Tree) error {
		for idx, fix := range f.chunks {
			n, err := r.mendChunk(t, idx, end, fix, &room)
			if errors.Is(err, btree.ErrNoRun) {
				apart, err = true, nil
			}
			if err != nil {
				return err
			}
			lost += n
		}
		for _, h := range f.lostChunks(chunks) {
			for idx := h[0]; idx < h[1] && !apart; idx++ {
				key := layout.Uint64Key(idx)
				if has, err := t.Has(r.ctx, key[:]); err != nil {
					return err
				} else if has {
					continue // found again, and in no doubt
				}
				n, err := r.mendChunk(t, idx, end, &chunkFix{whole: true}, &room)
				if errors.Is(err, btree.ErrNoRun) {
					apart = true
					break
				}
				if err != nil {
					return err
				}
				lost += n
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	on.Extents = root
	if apart {
		return -1, nil
	}
	return lost, nil
}

// lostChunks returns the ranges of chunks of which nothing is known.
func (t *treeFix) lostChunks(chunks uint64) [][2]uint64 {
	var list [][2]uint64
	for i := range t.holes {
		h := &t.holes[i]
		if h.err == nil {
			continue
		}
		lo, hi := uint64(0), chunks
		if k, err := layout.DecodeUint64Key(h.low); err == nil {
			lo = k
		}
		if k, err := layout.DecodeUint64Key(h.high); err == nil {
			hi = min(hi, k)
		}
		list = append(list, [2]uint64{lo, hi})
	}
	return list
}

// mendChunk writes one record anew. ErrNoRun says that there was no space for some
// blocks of it: the record is without them, and the object has to be set apart.
func (r *repairer) mendChunk(t *btree.Tree, idx, end uint64, fix *chunkFix, room *int) (lost int, err error) {
	key := layout.Uint64Key(idx)
	var c layout.Chunk
	if !fix.whole {
		val, ok, err := t.Get(r.ctx, key[:], nil)
		if err != nil || !ok {
			return 0, errors.Join(err, errGivenUp)
		}
		if err := layout.DecodeChunk(val, &c); err != nil {
			return 0, err
		}
	} else if first := idx * layout.ChunkBlocks; first < end {
		n := min(end-first, layout.ChunkBlocks)
		fix.lost = ^uint64(0) >> (layout.ChunkBlocks - n)
		fix.away = fix.lost
	} else {
		t.Delete(key[:])
		return 0, nil
	}
	var short error
	unmap := func(i int) { c.Addr[i], c.CRC[i], c.Flags[i] = 0, 0, 0 }
	for i := range layout.ChunkBlocks {
		bit := uint64(1) << i
		switch {
		case fix.cut&bit != 0:
			unmap(i)
		case fix.move&bit != 0:
			// Whoever is right about the block: a copy of sound content is.
			p := r.sound(c.Addr[i], c.CRC[i])
			if c.Flags[i]&layout.BlockDamaged != 0 {
				p = nil
			}
			b, err := r.sink.take(1)
			if err != nil {
				short = err
				unmap(i)
				continue
			}
			c.Addr[i] = layout.MakeAddr(0, b)
			c.Flags[i] &^= layout.BlockShared
			if p == nil {
				c.Flags[i] |= layout.BlockDamaged
				lost++
				continue
			}
			if err := r.sink.put(b, p); err != nil {
				return 0, err
			}
		case fix.away&bit == 0 && fix.lost&bit != 0:
			c.Flags[i] |= layout.BlockDamaged
			lost++
		}
	}
	if n := bits.OnesCount64(fix.away); n > 0 {
		var err error
		if *room -= n; *room < 0 {
			err = btree.ErrNoRun
		} else if err = r.placeholders(&c, fix.away); err == nil {
			lost += n
		}
		if err != nil {
			short = err
			for m := fix.away; m != 0; m &= m - 1 {
				unmap(bits.TrailingZeros64(m))
			}
		}
	}
	if c.Mapped() == 0 {
		t.Delete(key[:])
		return lost, short
	}
	val, err := c.Append(nil)
	if err != nil {
		return 0, err
	}
	t.Put(key[:], val)
	return lost, short
}

// placeholders gives the blocks of a mask fresh addresses, together if possible.
func (r *repairer) placeholders(c *layout.Chunk, mask uint64) error {
	n := uint64(bits.OnesCount64(mask))
	run, err := r.sink.take(n)
	if err != nil {
		run = 0
	}
	for i := range layout.ChunkBlocks {
		if mask>>i&1 == 0 {
			continue
		}
		b := run
		if run == 0 {
			if b, err = r.sink.take(1); err != nil {
				return err
			}
		} else {
			run++
		}
		c.Addr[i], c.CRC[i], c.Flags[i] = layout.MakeAddr(0, b), 0, layout.BlockDamaged
	}
	return nil
}
