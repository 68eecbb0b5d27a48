package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// config describes the trees of a kind as the format fixes them; page sizes are the
// writer's business.
func config(kind layout.TreeKind, fsid layout.UUID) *btree.Config {
	c := &btree.Config{Name: kind.String(), Kind: uint8(kind)}
	for i := 7; i >= 0; i-- {
		c.FSID = c.FSID<<8 | uint64(fsid[i])
	}
	switch kind {
	case layout.TreeTrash, layout.TreeRefs, layout.TreeExtents:
		c.FixedKey, c.Cmp = 8, btree.Uint64
	case layout.TreeOwners:
		c.FixedKey = layout.OwnerKeyBytes
	}
	return c
}

// walker walks trees for one goroutine.
type walker struct {
	c   *checker
	ctx context.Context
	p   *pass
	n   Counts

	key    []byte           // encoded key of the object at hand
	obj    layout.ObjectKey // decoded
	named  bool             // the object at hand has a name: it is no trash
	size   uint64
	kind   layout.TreeKind // of the tree at hand
	root   btree.Ptr       // likewise
	epochs [64]uint64      // of the last node of each level
	onode  layout.Onode
	verify bool // the data of the object at hand
	shared bool // the data at hand may be claimed again: it is counted
	known  bool // the data and long values at hand were verified before
	deep   dataReader

	// Bound once: a method value made for each object would be garbage.
	onNode                  func(*btree.Node) error
	onDamage                func(*btree.Node, error) error
	onAttr, onOmap, onChunk func(key, val []byte, ext []btree.BlobExtent) error
}

func newWalker(ctx context.Context, c *checker, p *pass) *walker {
	w := &walker{c: c, ctx: ctx, p: p}
	w.onNode, w.onDamage = w.visitNode, w.visitDamage
	w.onAttr, w.onOmap, w.onChunk = w.attr, w.omapKey, w.chunk
	return w
}

// collRange is the range of keys of a collection.
type collRange struct {
	lo, hi []byte
	id     string
}

// walk goes over all trees once.
func (c *checker) walk(ctx context.Context, p *pass) error {
	c.progress.Store(0)
	clear(c.ids)
	main := newWalker(ctx, c, p)
	for _, e := range c.own {
		main.claimOwn(e)
	}
	ranges, err := main.collections()
	if err == nil {
		err = main.objects(ranges)
	}
	if err == nil {
		err = main.trash()
	}
	if err == nil {
		err = main.refs()
	}
	if err == nil {
		err = main.owners()
	}
	main.done()
	return err
}

// done adds what the walker counted to its pass.
func (w *walker) done() {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	n := &w.p.counts
	n.Collections += w.n.Collections
	n.Objects += w.n.Objects
	n.Bytes += w.n.Bytes
	n.Attrs += w.n.Attrs
	n.OmapKeys += w.n.OmapKeys
	n.Nodes += w.n.Nodes
	n.MetaBlocks += w.n.MetaBlocks
	n.DataBlocks += w.n.DataBlocks
	n.Trash += w.n.Trash
	n.TrashBlocks += w.n.TrashBlocks
	n.DataChecked += w.n.DataChecked
}

// report records a problem of the first pass.
func (w *walker) report(p Problem) {
	if w.p.first {
		w.c.out.add(p)
	}
}

// objectPart names a part of the object at hand.
func (w *walker) objectPart(off, n uint64) []Object {
	if !w.named {
		return nil
	}
	return []Object{{Name: w.obj.Name, Key: w.obj.String(), Offset: off, Length: n}}
}

// claim records that e has an owner: what, and of the object at hand the bytes at
// off. It reports false, and a problem, if e is nowhere blocks may be.
func (w *walker) claim(e layout.Extent, what string, off uint64, isData bool) bool {
	if err := w.c.inZones(e); err != nil {
		p := Problem{Code: Range, Where: what, Tree: w.kind.String(), Device: e.Addr.Device(), Address: e.Addr.Block(), Blocks: e.Blocks, Objects: w.objectPart(off, 0)}
		if isData {
			p.Objects = w.objectPart(off, e.Blocks*layout.BlockSize)
		}
		p.fill(err)
		w.report(p)
		return false
	}
	b := e.Addr.Block()
	if w.p.resolve {
		w.p.suspects.in(b, e.Blocks, func(s uint64) {
			o := owner{what: what}
			if w.named {
				o.obj = &w.objectPart(off, 0)[0]
				if isData {
					o.obj.Offset, o.obj.Length = off+(s-b)*layout.BlockSize, layout.BlockSize
				}
			}
			w.p.suspects.note(s, o)
		})
		return true
	}
	if isData && w.shared {
		w.p.m.share(b, e.Blocks)
		return true
	}
	w.p.m.claim(b, e.Blocks, func(s uint64) { w.p.suspects.add(s, UsedTwice) })
	return true
}

// claimOwn claims what the root record names.
func (w *walker) claimOwn(e layout.Extent) {
	if w.c.inZones(e) == nil { // reported when it was read
		w.claim(e, "root record, zone table or bitmap", 0, false)
	}
}

// tree walks one tree; item is called for every entry.
func (w *walker) tree(kind layout.TreeKind, own btree.Owner, root btree.Root, item func(key, val []byte, ext []btree.BlobExtent) error) error {
	if root.Kind == btree.RootEmpty {
		return nil
	}
	was, wasRoot := w.kind, w.root
	w.kind, w.root = kind, root.Ptr
	defer func() { w.kind, w.root = was, wasRoot }()
	return btree.Walk(w.ctx, &w.c.ld, w.c.configs[kind], &own, root, btree.Visitor{Node: w.onNode, Item: item, Damage: w.onDamage})
}

// visitNode is told of every good node of the tree at hand.
func (w *walker) visitNode(n *btree.Node) error {
	if n.Ptr.Addr == 0 {
		return nil // inside its holder
	}
	limit := w.c.sb.Epoch
	if n.Ptr != w.root {
		limit = w.epochs[(n.Ptr.Level+1)%64]
	}
	w.epochs[n.Ptr.Level%64] = n.Ptr.Epoch
	w.node(n, limit)
	return nil
}

// visitDamage is told of every other one.
func (w *walker) visitDamage(n *btree.Node, err error) error {
	if w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	w.c.broken.Store(true)
	if w.kind == layout.TreeRefs {
		w.c.refsBroken.Store(true)
	}
	w.damage(n, err)
	return nil
}

// node counts and claims a good node.
func (w *walker) node(n *btree.Node, limit uint64) {
	w.n.Nodes++
	w.n.MetaBlocks += uint64(n.Ptr.Blocks)
	e := layout.Extent{Addr: layout.Addr(n.Ptr.Addr), Blocks: uint64(n.Ptr.Blocks)}
	w.claim(e, "node of tree "+w.kind.String(), 0, false)
	if n.Ptr.Epoch > limit {
		w.report(Problem{Code: NodeStale, Where: w.kind.String() + " node", Tree: w.kind.String(), Device: e.Addr.Device(), Address: e.Addr.Block(), Blocks: e.Blocks,
			Expected: fmt.Sprintf("epoch at most %d, its parent's", limit), Found: fmt.Sprintf("epoch %d", n.Ptr.Epoch), Objects: w.objectPart(0, 0)})
	}
}

// damage reports a node that could not be used.
func (w *walker) damage(n *btree.Node, err error) {
	if !w.p.first {
		return
	}
	a := layout.Addr(n.Ptr.Addr)
	p := Problem{Code: nodeCode(err), Where: w.kind.String() + " node", Tree: w.kind.String(), Device: a.Device(), Address: a.Block(), Blocks: uint64(n.Ptr.Blocks)}
	switch {
	case n.Ptr.Addr == 0:
		p.Where = w.kind.String() + " inside its holder"
	case n.Ptr.Level > 0 && n.Ptr.Readable() == nil:
		p.Repair = RepairHere // its leaves are there to be found
	case w.kind == layout.TreeTrash || w.kind == layout.TreeRefs:
		p.Repair = RepairHere
	}
	var x *btree.CorruptError
	if errors.As(err, &x) {
		p.Expected, p.Found = x.Want, x.Field+" "+x.Got
	} else {
		p.fill(err)
	}
	switch {
	case w.kind == layout.TreeExtents:
		lo, hi := chunkBounds(n.Low, n.High, w.size)
		p.Objects = w.objectPart(lo, hi-lo)
	case w.named:
		p.Objects = w.objectPart(0, 0)
		p.Where += " with keys" + keyRange(n.Low, n.High)
	case w.kind == layout.TreeObjects:
		p.Where += fmt.Sprintf(" with %d objects, keys%s", n.Count, keyRange(n.Low, n.High))
	default:
		p.Where += " with keys" + keyRange(n.Low, n.High)
	}
	w.c.out.add(p)
}

// chunkBounds turns fences of an extents tree into bytes of the object.
func chunkBounds(low, high []byte, size uint64) (from, to uint64) {
	const span = layout.ChunkBlocks * layout.BlockSize
	to = size
	if k, err := layout.DecodeUint64Key(low); err == nil && k < size/span+1 {
		from = min(k*span, size)
	}
	if k, err := layout.DecodeUint64Key(high); err == nil && k < size/span+1 {
		to = min(k*span, size)
	}
	return from, max(from, to)
}

// keyRange prints fences for a person.
func keyRange(low, high []byte) string {
	name := func(k []byte, open string) string {
		if k == nil {
			return open
		}
		if len(k) > 40 {
			k = k[:40]
		}
		return fmt.Sprintf("%q", k)
	}
	return fmt.Sprintf(" from %s up to %s", name(low, "the first"), name(high, "the last"))
}

// nodeCode tells the ways a node can be wrong apart.
func nodeCode(err error) Code {
	var failed readFailed
	var x *btree.CorruptError
	switch {
	case errors.Is(err, errRange) || errors.Is(err, errOutside):
		return Range
	case errors.As(err, &failed):
		return NodeRead
	case !errors.As(err, &x):
		return NodeForm
	}
	switch x.Field {
	case "crc":
		if strings.Contains(x.Want, "parent") {
			return NodeStale
		}
		return NodeCRC
	case "magic", "page size":
		return NodeCRC
	case "epoch":
		return NodeStale
	case "state":
		return NodeLost
	case "self address", "fsid":
		return NodePlace
	case "tree kind", "owner", "comparator", "item sizes":
		return NodeOwner
	case "totals", "inline totals":
		return NodeTotals
	}
	return NodeForm
}

// collections walks the collections tree and returns the ranges that hold objects,
// ascending.
func (w *walker) collections() ([]collRange, error) {
	var rs []collRange
	err := w.tree(layout.TreeCollections, btree.Owner{}, w.c.root.Collections, func(key, val []byte, ext []btree.BlobExtent) error {
		w.n.Collections++
		where := fmt.Sprintf("collection %q", key)
		val, err := w.value(val, ext, "collection record")
		if err != nil {
			return err
		}
		cn, err := layout.DecodeCnode(val)
		if err == nil && (len(key) == 0 || len(key) > layout.MaxCollectionID || !utf8.Valid(key)) {
			err = &layout.Corruption{Kind: "collection id", Got: fmt.Sprintf("%d bytes", len(key)), Err: layout.ErrMalformed}
		}
		if err != nil {
			p := Problem{Code: CollBad, Where: where, Tree: w.kind.String()}
			p.fill(err)
			w.report(p)
			w.c.broken.Store(true)
			return nil
		}
		if cn.Flags&layout.CnodeAwaitsSplit == 0 { // or it holds nothing yet
			lo, hi := cn.Range.Bounds()
			rs = append(rs, collRange{lo, hi, string(key)})
			if lo, hi := cn.Range.TempBounds(); lo != nil {
				rs = append(rs, collRange{lo, hi, string(key)})
			}
		}
		return w.tree(layout.TreeAttrs, btree.Owner{ID: cn.ID}, cn.Attrs, w.onAttr)
	})
	slices.SortFunc(rs, func(a, b collRange) int { return bytes.Compare(a.lo, b.lo) })
	for i := 1; i < len(rs); i++ {
		if rs[i-1].hi == nil || bytes.Compare(rs[i].lo, rs[i-1].hi) < 0 {
			w.report(Problem{Code: CollBad, Where: fmt.Sprintf("collection %q", rs[i].id), Tree: layout.TreeCollections.String(), Expected: "a range of its own", Found: fmt.Sprintf("objects that are also %q's", rs[i-1].id)})
		}
	}
	return rs, err
}

// inRanges reports whether a key lies in one of the ranges. Ranges may be broken;
// then the one that begins last before the key decides.
func inRanges(rs []collRange, key []byte) bool {
	i, ok := slices.BinarySearchFunc(rs, key, func(r collRange, k []byte) int { return bytes.Compare(r.lo, k) })
	if !ok {
		i--
	}
	return i >= 0 && (rs[i].hi == nil || bytes.Compare(key, rs[i].hi) < 0)
}

// batch is a few entries of the objects tree on their way to a worker.
type batch struct {
	n     int // its number in this pass
	arena []byte
	at    []int // ends of key and value, in turns
	ext   map[int][]btree.BlobExtent
}

func (b *batch) add(key, val []byte, ext []btree.BlobExtent) {
	if ext != nil {
		if b.ext == nil {
			b.ext = make(map[int][]btree.BlobExtent)
		}
		b.ext[len(b.at)/2] = ext
	}
	b.arena = append(b.arena, key...)
	b.at = append(b.at, len(b.arena))
	b.arena = append(b.arena, val...)
	b.at = append(b.at, len(b.arena))
}

func (b *batch) len() int { return len(b.at) / 2 }

func (b *batch) item(i int) (key, val []byte) {
	from := 0
	if i > 0 {
		from = b.at[2*i-1]
	}
	k, v := b.at[2*i], b.at[2*i+1]
	return b.arena[from:k:k], b.arena[k:v:v]
}

// objects walks the objects tree on this goroutine and has workers look at what is
// in it.
func (w *walker) objects(ranges []collRange) error {
	ctx, cancel := context.WithCancelCause(w.ctx)
	defer cancel(nil)
	workers, step := w.c.o.Workers, 256
	if w.c.o.Level == Deep && w.p.first {
		workers, step = 2*workers, 16 // they wait for the device, and for long
	}
	work := make(chan *batch, 2*workers)
	pool := sync.Pool{New: func() any { return new(batch) }}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			x := newWalker(ctx, w.c, w.p)
			defer x.done()
			for b := range work {
				var last []byte
				for i := range b.len() {
					key, val := b.item(i)
					if err := x.object(key, val, b.ext[i], ranges); err != nil {
						cancel(err)
						last = nil
						break
					}
					last = key
				}
				if w.p.first && last != nil {
					w.c.at.looked(b.n, last)
				}
				w.c.progress.Add(uint64(b.len()))
				w.c.tell("trees", w.p.n)
				*b = batch{arena: b.arena[:0], at: b.at[:0]}
				pool.Put(b)
			}
		})
	}
	cur := pool.Get().(*batch)
	sent := 0
	send := func() error {
		cur.n = sent
		sent++
		select {
		case work <- cur:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		cur = pool.Get().(*batch)
		return nil
	}
	outer := w.ctx
	w.ctx = ctx
	err := w.tree(layout.TreeObjects, btree.Owner{}, w.c.root.Objects, func(key, val []byte, ext []btree.BlobExtent) error {
		cur.add(key, val, ext)
		if cur.len() >= step || len(cur.arena) >= 128<<10 {
			return send()
		}
		return nil
	})
	w.ctx = outer
	if err == nil && cur.len() > 0 {
		err = send()
	}
	close(work)
	wg.Wait()
	if cause := context.Cause(ctx); err == nil && cause != nil {
		err = cause
	}
	w.c.tell("trees", w.p.n)
	return err
}

// trash walks the removed objects whose space is not yet free.
func (w *walker) trash() error {
	return w.tree(layout.TreeTrash, btree.Owner{}, w.c.root.Trash, func(key, val []byte, ext []btree.BlobExtent) error {
		w.n.Trash++
		val, err := w.value(val, ext, "trash record")
		if err != nil {
			return err
		}
		t, err := layout.DecodeTrash(val)
		if id, kerr := layout.DecodeUint64Key(key); err == nil && (kerr != nil || id != t.ID) {
			err = &layout.Corruption{Kind: "trash", Field: "object id", Got: fmt.Sprint(t.ID), Want: fmt.Sprint(id), Err: layout.ErrMalformed}
		}
		if err != nil {
			p := Problem{Code: TrashBad, Where: "removed object", Tree: w.kind.String()}
			p.fill(err)
			w.report(p)
			w.c.broken.Store(true)
			return nil
		}
		w.size, w.known = layout.MaxObjectBytes, false
		before := w.n.DataBlocks
		err = w.trees(t.ID, &t.Attrs, &t.Omap, &t.Extents, false)
		w.n.TrashBlocks += w.n.DataBlocks - before
		return err
	})
}
