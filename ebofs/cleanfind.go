package ebofs

import (
	"slices"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// Whose the blocks of a stripe are, as the cleaner asks: objects by the owners tree,
// believed only where their extents say the same; trees by the headers of nodes.

// find enters into c.plan who has the live blocks of the stripe at start, whose
// content is p. It reports false if one of them cannot be moved.
func (c *cleaning) find(start uint64, live []uint64, p []byte) (bool, error) {
	for _, z := range c.own[start] {
		if z < 0 {
			continue // written with every checkpoint
		}
		// To be written elsewhere it has to be there.
		if err := c.ck.s.space.ensure(c.ck.ctx, z); err != nil || c.ck.s.space.zones[z].lost {
			return false, err
		}
		c.plan.zones = append(c.plan.zones, z)
	}
	var group layout.OwnerGroup
	known := ^uint64(0)
	for i := 0; i < len(live); {
		a := layout.MakeAddr(0, live[i])
		key, at := layout.OwnerKey(a)
		if g := uint64(a) / layout.OwnerBlocks; g != known {
			if err := c.group(key[:], &group); err != nil {
				return false, err
			}
			known = g
		}
		ok, err := c.data(a, group.ID[at], group.Block[at])
		if err != nil {
			return false, err
		}
		if ok {
			i++
			continue
		}
		n, err := c.node(live[i], start, p)
		if n == 0 || err != nil {
			return false, err
		}
		for end := live[i] + n; i < len(live) && live[i] < end; i++ {
		}
	}
	return true, nil
}

func (c *cleaning) group(key []byte, g *layout.OwnerGroup) error {
	*g = layout.OwnerGroup{}
	val, ok, err := c.ck.s.owners.Get(c.ck.ctx, key, nil)
	if err != nil || !ok {
		return err
	}
	return layout.DecodeOwnerGroup(val, g)
}

// onode returns the onode of an object id, nil if there is none by now.
func (c *cleaning) onode(id uint64) (*onode, error) {
	if o := c.onodes[id]; o != nil {
		return o, nil
	}
	key := layout.IDKey(id)
	name, ok, err := c.ck.s.owners.Get(c.ck.ctx, key[:], nil)
	if err != nil || !ok {
		return nil, err
	}
	if _, err := layout.DecodeObjectKey(name); err != nil {
		return nil, err
	}
	o, has, err := c.named(name)
	if has != id {
		o = nil
	}
	return o, err
}

// named returns the onode of a key and the id of the object, nil if there is none.
func (c *cleaning) named(key []byte) (*onode, uint64, error) {
	o, err := c.ck.s.onodeOf(c.ck.ctx, key, true)
	if err != nil {
		return nil, 0, err
	}
	id := uint64(0)
	o.mu.RLock()
	if !o.loading && o.loadErr == nil && o.cur != nil {
		id = o.cur.id
	}
	o.mu.RUnlock()
	if id == 0 || c.onodes[id] != nil {
		o.refs.Add(-1)
	}
	if id == 0 {
		return nil, 0, nil
	}
	c.onodes[id] = o
	return o, id, nil
}

// data reports whether block of the object of that id lies at a, and can be moved;
// then it is entered.
func (c *cleaning) data(a layout.Addr, id, block uint64) (bool, error) {
	if id == 0 {
		return false, nil
	}
	o, err := c.onode(id)
	if o == nil || err != nil {
		return false, err
	}
	k := block / layout.ChunkBlocks
	chunk, err := c.chunk(o, k)
	if chunk == nil || err != nil {
		return false, err
	}
	i := block % layout.ChunkBlocks
	if chunk.Addr[i] != a || chunk.Flags[i]&layout.BlockDamaged != 0 {
		return false, nil
	}
	if chunk.Flags[i]&layout.BlockShared != 0 {
		n, err := c.count(a)
		if err != nil {
			return false, err
		}
		if n > 1 {
			if ok, err := c.family(o, a, block, n); err != nil || !ok {
				return false, err
			}
		}
		c.plan.shared[a] = n > 1
	}
	if n := len(c.plan.chunks); n == 0 || c.plan.chunks[n-1] != (chunkOf{o, id, k}) {
		c.plan.chunks = append(c.plan.chunks, chunkOf{o, id, k})
	}
	return true, nil
}

// familyMost is how many clones of an object are looked at.
const familyMost = 64

// family enters all n objects that share the block at a, if they are clones of o and
// hold it in the same place, as snapshots do. Else it reports false: the block stays.
func (c *cleaning) family(o *onode, a layout.Addr, block uint64, n uint32) (bool, error) {
	const version = 16 // bytes of a key behind the name: snapshot and generation
	stem := o.key[:len(o.key)-version]
	var names [][]byte
	err := c.ck.s.objects.Iter(c.ck.ctx, []byte(stem), nil, func(key, _ []byte) bool {
		if len(key) != len(o.key) || string(key[:len(stem)]) != stem || len(names) == familyMost {
			return false
		}
		names = append(names, slices.Clone(key))
		return true
	})
	if err != nil {
		return false, err
	}
	found := uint32(0)
	for _, name := range names {
		x, id, err := c.named(name)
		if err != nil {
			return false, err
		}
		if x == nil {
			continue
		}
		chunk, err := c.chunk(x, block/layout.ChunkBlocks)
		if err != nil {
			return false, err
		}
		if chunk != nil && chunk.Addr[block%layout.ChunkBlocks] == a {
			c.plan.chunks = append(c.plan.chunks, chunkOf{x, id, block / layout.ChunkBlocks})
			found++
		}
	}
	return found >= n, nil // more, if one is newer than the count
}

// chunk reads a record of an object's extents tree, nil if there is none.
func (c *cleaning) chunk(o *onode, k uint64) (*layout.Chunk, error) {
	o.mu.RLock()
	var t *btree.Tree
	if o.cur != nil {
		t = o.cur.extents
	}
	o.mu.RUnlock()
	if t == nil {
		return nil, nil
	}
	val, ok, err := t.Get(c.ck.ctx, chunkKey(k), nil)
	if err != nil || !ok {
		return nil, err
	}
	chunk := new(layout.Chunk)
	return chunk, layout.DecodeChunk(val, chunk)
}

// count returns how many extents map the block at a, 0 for not more than one.
func (c *cleaning) count(a layout.Addr) (uint32, error) {
	key, i := layout.RefKey(a)
	val, ok, err := c.ck.s.refs.Get(c.ck.ctx, key[:], nil)
	if err != nil || !ok {
		return 0, err
	}
	var g layout.RefGroup
	err = layout.DecodeRefGroup(val, &g)
	return g.Count[i], err
}

// node finds the node of a tree that holds block b of the stripe at start, whose
// content is p, enters it, and returns how many blocks of it there are from b on; 0
// if there is none that can be moved.
func (c *cleaning) node(b, start uint64, p []byte) (uint64, error) {
	page := c.page(b, start, p)
	if page == nil {
		return 0, nil
	}
	defer page.Release()
	s := c.ck.s
	_, kind, own := page.Identity()
	low, _ := page.Fences()
	n := nodeOf{kind: layout.TreeKind(kind), id: own.ID, key: slices.Clone(low)}
	switch n.kind {
	case layout.TreeObjects:
		n.tree = s.objects
	case layout.TreeCollections:
		n.tree = s.colls
	case layout.TreeTrash:
		n.tree = s.trash
	case layout.TreeRefs:
		n.tree = s.refs
	case layout.TreeOwners:
		n.tree = s.owners
	default:
		var err error
		if n.o, err = c.onode(own.ID); n.o == nil || err != nil {
			return 0, err
		}
	}
	c.plan.nodes = append(c.plan.nodes, n)
	return layout.Addr(page.Ptr().Addr).Block() + uint64(page.Ptr().Blocks) - b, nil
}

// page returns the page that block b is a part of, nil if there is none or it cannot
// be read.
func (c *cleaning) page(b, start uint64, p []byte) *btree.Page {
	const most = btree.MaxPageBytes / blockSize
	s := c.ck.s
	f := s.pool.Get(blockSize)
	defer f.Release()
	head := f.Bytes()
	for at := b; at+most > b && at >= s.place.ZoneStart; at-- {
		if at >= start {
			copy(head, p[(at-start)*blockSize:])
		} else if err := readRetry(c.ctx, s.main, devices.Block(at), head); err != nil {
			return nil
		}
		n := btree.PeekBlocks(head, uint64(layout.MakeAddr(0, at)))
		if n == 0 {
			continue
		}
		if uint64(n) <= b-at {
			return nil
		}
		buf := make([]byte, n*blockSize)
		g := s.pool.Get(len(buf))
		err := readRetry(c.ctx, s.main, devices.Block(at), g.Bytes())
		copy(buf, g.Bytes())
		g.Release()
		if err != nil {
			return nil
		}
		page, err := btree.ParsePage(buf)
		if err != nil {
			return nil
		}
		return page
	}
	return nil
}
