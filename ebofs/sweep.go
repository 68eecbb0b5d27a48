package ebofs

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"ebofs/allocator"
	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// A sweep gets whole stripes back where partial ones may be written, and where
// nobody says whose data a block holds: it chooses sparse stripes, goes through all
// objects in order of their keys, a bounded number with each checkpoint, and has
// that checkpoint move every block that lies in one of them; at last it touches the
// nodes of the global trees that do. If it gathers, chunks of objects that lie in
// many pieces are moved as well, each to one place. As with the cleaner a crash leaves
// all moves of a checkpoint or none, and whoever overwrites what is being moved wins.
//
// Blocks shared with a clone, parts of long values, and blocks that fail their
// checksum stay where they are, and with them their stripe.
type sweep struct {
	s     *Store
	score float64 // wanted

	gather   bool   // chunks in many pieces are moved, too
	gathered uint64 // such chunks

	victims map[uint64]struct{} // stripes, by first block
	wanted  uint64              // blocks in use there
	tried   map[uint64]struct{} // by earlier sweeps of this run, which did not empty them
	key     []byte              // of the object to go on with
	chunk   uint64              // of that object
	tree    int                 // of the global trees to go on with, len(s.globals()) for none
	low     []byte              // where
	objects uint64              // gone through
	done    bool

	budget   uint64 // blocks that the next checkpoint may move
	promised uint64 // blocks space was promised for, that are not moved yet
	moved    uint64 // blocks
	failed   uint64 // blocks that could not be read
	short    bool   // space was short
	chosen   int    // stripes the cleaner works on, on hard geometry
	unshared map[layout.Addr]struct{}
}

const (
	sweepObjects = 4096    // most objects one checkpoint looks at
	sweepStripes = 1 << 18 // most stripes one sweep empties: 16 GiB of the usual ones, in 10 MB of RAM
	sweepRun     = 16      // blocks: chunks in shorter pieces, on average, are gathered
)

// lack returns how many free stripes are missing to a score.
func (s *space) lack(score float64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	want := uint64((1 - score) * float64(s.a.FreeBlocks()) / float64(s.stripe))
	return want - min(want, s.a.FreeStripes())
}

// room returns how many blocks can be moved while free stripes keep every promise.
func (s *space) room(metaBlocks uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roomLocked(metaBlocks)
}

// sparseIn returns the sparse stripes of a zone, and whether there is such a zone.
func (s *space) sparseIn(ctx context.Context, zone int) (list []allocator.Stripe, ok bool, err error) {
	err = s.retry(ctx, func() (err error) {
		if ok = zone < s.a.Zones(); ok {
			list, err = s.a.SparseIn(zone, nil)
		}
		return err
	})
	return list, ok, err
}

// choose begins a sweep: it takes the stripes with fewest used blocks, as many as
// the score needs and there is room for. It reports false if there are none.
func (w *sweep) choose(ctx context.Context) (bool, error) {
	s := w.s
	c := &cleaning{ck: &checkpoint{s: s}, own: make(map[uint64][]int), stripe: s.space.stripe}
	var all []allocator.Stripe
	cut := func() {
		slices.SortFunc(all, func(a, b allocator.Stripe) int { return int(a.Used) - int(b.Used) })
		all = all[:min(len(all), sweepStripes)]
	}
	for z, more := 0, true; more; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		s.ckptMu.Lock() // for the bitmaps that go again
		c.findOwn()
		for range 64 {
			list, ok, err := s.space.sparseIn(ctx, z)
			if err != nil {
				s.ckptMu.Unlock()
				return false, err
			}
			if more = ok; !more {
				break
			}
			for _, v := range list {
				if _, tried := w.tried[v.Start]; !tried && !c.fixed[v.Start] {
					all = append(all, v)
				}
			}
			z++
		}
		s.space.unload()
		s.ckptMu.Unlock()
		if len(all) > 2*sweepStripes {
			cut()
		}
	}
	cut()
	w.key, w.chunk, w.tree, w.low, w.objects, w.done = nil, 0, -1, nil, 0, false
	if s.space.hard { // the cleaner chooses, of zones that are loaded
		return len(all) > 0, nil
	}
	want := s.space.lack(w.score)
	want = (want + want/8 + 2) * s.space.stripe // some will not become empty
	room := s.space.room(s.metaBlocks.Load()) / 2
	w.short = room < s.space.stripe
	w.victims = make(map[uint64]struct{})
	w.wanted = 0
	for won := uint64(0); len(all) > 0 && won < want && w.wanted+uint64(all[0].Used) <= room; all = all[1:] {
		won += s.space.stripe - uint64(all[0].Used)
		w.wanted += uint64(all[0].Used)
		w.victims[all[0].Start] = struct{}{}
	}
	if len(w.tried) > 4*sweepStripes {
		return false, nil
	}
	for start := range w.victims {
		w.tried[start] = struct{}{}
	}
	return len(w.victims) > 0 || w.gather, nil
}

// at says that block a lies in a stripe being emptied.
func (w *sweep) at(a layout.Addr) bool {
	if a == 0 {
		return false
	}
	_, ok := w.victims[w.s.space.stripeOf(a.Block())]
	return ok
}

// wants says that a block of data is to be moved, one of a chunk that is as a whole
// or of another.
func (w *sweep) wants(a layout.Addr, flags uint8, whole bool) bool {
	switch {
	case a == 0 || flags&layout.BlockDamaged != 0:
		return false
	case flags&layout.BlockShared != 0:
		_, ok := w.unshared[a]
		return ok && w.at(a)
	}
	return whole || w.at(a)
}

// scattered says that a chunk lies in many pieces, as far as blocks go that can be
// moved without a look at who shares them.
func scattered(c *layout.Chunk) bool {
	blocks, pieces, next := 0, 0, layout.Addr(0)
	for i, a := range c.Addr {
		if a == 0 || c.Flags[i]&(layout.BlockDamaged|layout.BlockShared) != 0 {
			continue
		}
		if blocks++; a != next {
			pieces++
		}
		next = a + 1
	}
	return pieces > max(1, blocks/sweepRun)
}

// sweep has the next objects take part in a checkpoint that moves blocks of them.
func (ck *checkpoint) sweep() error {
	s := ck.s
	w := s.defrag.sweep
	if w == nil || s.space.hard || w.done || w.budget == 0 || ck.relay != nil || ck.clean {
		return nil
	}
	defer func() { w.budget = 0 }()
	w.promised, w.unshared = 0, make(map[layout.Addr]struct{})
	c := &cleaning{ck: ck, own: make(map[uint64][]int), stripe: s.space.stripe}
	for looked := 0; looked < sweepObjects && w.tree < 0; {
		type entry struct{ key, val []byte }
		var batch []entry
		more := false
		err := s.objects.Iter(ck.ctx, w.key, nil, func(key, val []byte) bool {
			if more = len(batch) == 256; more {
				return false
			}
			batch = append(batch, entry{slices.Clone(key), slices.Clone(val)})
			return true
		})
		if err != nil && w.mind(ck, err) != nil {
			return err
		}
		for _, e := range batch {
			if w.budget == 0 {
				return nil
			}
			on, err := layout.DecodeOnode(e.val)
			if err == nil {
				var full bool
				if full, err = w.object(c, e.key, &on); full {
					w.key = e.key
					return nil
				}
			}
			if err != nil && w.mind(ck, err) != nil {
				return err
			}
			looked++
			w.objects++
			w.key, w.chunk = append(e.key, 0), 0
		}
		if !more { // or the tree is damaged there, and what lies behind stays
			w.tree = 0
		}
	}
	if w.tree < 0 {
		return nil
	}
	return w.global(c)
}

// mind returns an error for which a checkpoint does not go on: the device is away.
// Otherwise something is damaged, and stays where it is.
func (w *sweep) mind(ck *checkpoint, err error) error {
	if !errors.Is(err, ErrCorrupt) && w.s.outage(ck.ctx, err) {
		return err
	}
	w.s.log.Debug("defragmentation leaves out what is damaged", "err", err)
	return nil
}

// object has what the object of key has in stripes being emptied take part. full
// says that the checkpoint has enough to do before it came to the object's end.
func (w *sweep) object(c *cleaning, key []byte, on *layout.Onode) (full bool, err error) {
	s, ctx := w.s, c.ck.ctx
	own := ownerOf(string(key), on.ID)
	scan := s.pages.Cache.Scan()
	chunks := make(map[uint64]bool) // true: as a whole
	live, whole := uint64(0), uint64(0)
	var unshared []layout.Addr
	next := w.chunk
	var failed error
	extents := btree.New(s.cfg.extents, scan, own, on.Extents)
	err = extents.Iter(ctx, chunkKey(w.chunk), nil, func(key, val []byte) bool {
		var chunk layout.Chunk
		k, err := layout.DecodeUint64Key(key)
		if err == nil {
			err = layout.DecodeChunk(val, &chunk)
		}
		if failed = err; err != nil {
			return false
		}
		if full = live >= w.budget; full {
			next = k
			return false
		}
		n := uint64(0)
		gather := w.gather && scattered(&chunk)
		for i, a := range chunk.Addr {
			if flags := chunk.Flags[i]; w.at(a) && flags&(layout.BlockShared|layout.BlockDamaged) == layout.BlockShared {
				if holders, err := c.count(a); err != nil || holders > 1 {
					continue
				}
				unshared = append(unshared, a)
				n++
			} else if w.wants(a, flags, gather) {
				n++
			}
		}
		if n > 0 {
			chunks[k] = gather
			live += n
		}
		if gather {
			whole++
		}
		return true
	})
	if err = errors.Join(err, failed); err != nil {
		return false, err
	}
	var nodes [3][][]byte
	if !full {
		for i, t := range [...]struct {
			cfg  *btree.Config
			root btree.Root
		}{{s.cfg.attrs, on.Attrs}, {s.cfg.omap, on.Omap}, {s.cfg.extents, on.Extents}} {
			_, err := w.nodes(ctx, t.cfg, &own, t.root, nil, func(low []byte, _ uint64) bool {
				nodes[i] = append(nodes[i], low)
				return true
			})
			if err != nil {
				return false, err
			}
		}
	}
	touched := len(nodes[0]) + len(nodes[1]) + len(nodes[2])
	if len(chunks) == 0 && touched == 0 {
		return full, nil
	}
	if !w.promise(live, len(chunks)+touched) {
		return true, nil // goes on with the same object
	}
	o, err := s.onodeOf(ctx, key, true)
	if err != nil {
		return false, err
	}
	defer o.refs.Add(-1)
	s.takePart(o, on.ID, func(b *body) {
		for k, whole := range chunks {
			b.move(k, whole)
		}
		for i, t := range [...]*btree.Tree{b.attrs, b.omap, b.extents} {
			for _, low := range nodes[i] {
				if t != nil {
					t.Touch(low)
				}
			}
		}
	})
	for _, a := range unshared {
		w.unshared[a] = struct{}{}
	}
	w.chunk = next
	w.gathered += whole
	return full, nil
}

// promise takes the space for moving so many blocks, or says that it is short.
func (w *sweep) promise(live uint64, paths int) bool {
	s := w.s
	t := spaceTokens{data: live, path: 12 * uint64(paths), growth: 1 + uint64(paths)*denseLoss*2/blockSize}
	meta := s.metaBlocks.Load()
	if w.short = s.space.room(meta) < live || !s.space.promise(t, 0, false, meta); w.short {
		w.budget = 0
		return false
	}
	s.gate.RLock()
	s.dirty.account(s.epoch, burden{tokens: t})
	s.gate.RUnlock()
	w.promised += live
	w.budget -= min(w.budget, live+uint64(paths))
	return true
}

// global touches the nodes of the global trees and the bitmaps that lie in stripes
// being emptied, which ends the sweep.
func (w *sweep) global(c *cleaning) error {
	s, ctx := w.s, c.ck.ctx
	trees := [...]*btree.Tree{s.objects, s.colls, s.trash, s.refs}
	for ; w.tree < len(trees); w.tree, w.low = w.tree+1, nil {
		t := trees[w.tree]
		own := t.Owner()
		full, err := w.nodes(ctx, t.Config(), &own, t.Root(), w.low, func(low []byte, blocks uint64) bool {
			if w.budget == 0 || !w.promise(0, 1) {
				w.low = low
				return false
			}
			t.Touch(low)
			return true
		})
		if err != nil && w.mind(c.ck, err) != nil {
			return err
		}
		if full {
			return nil
		}
	}
	c.findOwn()
	for start := range w.victims {
		for _, z := range c.own[start] {
			if z < 0 {
				continue // written with every checkpoint
			}
			if err := s.space.ensure(ctx, z); err != nil {
				return err
			}
			if !s.space.zones[z].lost {
				s.space.zones[z].dirty = true
			}
		}
	}
	w.done = true
	return nil
}

// nodes calls fn with the lowest key of every node at root, from the key lo on, that
// lies in a stripe being emptied. Leaves are not read. It reports true if fn ended it.
func (w *sweep) nodes(ctx context.Context, cfg *btree.Config, own *btree.Owner, root btree.Root, lo []byte, fn func(low []byte, blocks uint64) bool) (ended bool, err error) {
	if root.Kind != btree.RootNode {
		return false, nil
	}
	var visit func(p btree.Ptr, low []byte) error
	visit = func(p btree.Ptr, low []byte) error {
		a := layout.Addr(p.Addr)
		for b := a; b < a+layout.Addr(p.Blocks); b++ {
			if w.at(b) {
				ended = !fn(low, uint64(p.Blocks))
				break
			}
		}
		if ended || p.Level == 0 {
			return nil
		}
		page, err := w.s.pages.Load(ctx, cfg, own, p)
		if err != nil {
			return err
		}
		defer page.Release()
		for i := 0; i < page.Len() && !ended; i++ {
			if i+1 < page.Len() && bytes.Compare(page.AppendKey(nil, i), lo) <= 0 {
				continue // all before lo
			}
			child, _, _ := page.Child(i)
			first := low
			if i > 0 {
				first = page.AppendKey(nil, i-1)
			}
			if err := visit(child, first); err != nil {
				return err
			}
		}
		return nil
	}
	err = visit(root.Ptr, nil)
	return ended, err
}

// readAhead is what a sweep has read of a chunk.
type readAhead struct {
	frame *devices.Frame
	run   allocator.Extent
}

func (r *readAhead) release() {
	if r.frame != nil {
		r.frame.Release()
	}
	*r = readAhead{}
}

// swept returns what block i of a chunk holds, block of the object, if a sweep wants
// it moved; nil if it stays where it is, as one does that fails its checksum.
func (f *folder) swept(v *version, c *layout.Chunk, i, block uint64) ([]byte, error) {
	s := f.ck.s
	w := s.defrag.sweep
	if w == nil || w.promised == 0 {
		return nil, nil
	}
	whole, ok := v.body.moves[block/layout.ChunkBlocks]
	if !ok || !w.wants(c.Addr[i], c.Flags[i], whole) {
		return nil, nil
	}
	r := &f.ahead
	if r.frame == nil {
		r.frame = s.pool.Get(layout.ChunkBlocks * blockSize)
	}
	b := c.Addr[i].Block()
	ctx := devices.WithClass(f.ck.ctx, devices.ClassClean)
	if b < r.run.Start || b >= r.run.End() {
		n := uint64(1)
		for i+n < layout.ChunkBlocks && c.Addr[i+n] == c.Addr[i]+layout.Addr(n) && w.wants(c.Addr[i+n], c.Flags[i+n], whole) {
			n++
		}
		r.run = allocator.Extent{Start: b, Blocks: n}
		if err := readRetry(ctx, s.main, devices.Block(b), r.frame.Bytes()[:n*blockSize]); err != nil {
			r.run.Blocks = 0 // one by one
		}
	}
	var p []byte
	if r.run.Blocks > 0 {
		p = r.frame.Bytes()[(b-r.run.Start)*blockSize:][:blockSize]
	}
	if p == nil || layout.CRC(p) != c.CRC[i] {
		r.run.Blocks = 0
		p = r.frame.Bytes()[:blockSize]
		if err := s.readData(ctx, c.Addr[i], c.CRC[i], p, v.key); err != nil {
			if s.outage(f.ck.ctx, err) {
				return nil, err
			}
			w.failed++
			s.log.Warn("a block stays where it is", "oid", objectName(v.key), "addr", c.Addr[i], "err", err)
			return nil, nil
		}
	}
	w.promised--
	w.moved++
	return p, nil
}
