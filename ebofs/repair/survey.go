package repair

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"ebofs/btree"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// treeFix is what has to be done about one tree.
type treeFix struct {
	kind    layout.TreeKind
	own     btree.Owner
	empty   bool // nothing of it can be used
	regraft bool // its inner nodes are to be made anew
	leaves  []leaf
	holes   []hole
	drop    [][]byte // keys of items to remove
	chunks  map[uint64]*chunkFix
	item    itemFunc // looks at an item; nil: the caller does
}

// itemFunc looks at an item of a tree of one object, claims what it names and notes
// in t what is wrong.
type itemFunc func(t *treeFix, key, val []byte, ext []btree.BlobExtent) error

// chunkFix is what has to be done about one record of an extents tree. Masks have a
// bit for each block.
type chunkFix struct {
	whole bool   // the record cannot be read
	lost  uint64 // blocks that cannot be read, to be marked
	away  uint64 // of those: their address is not theirs either
	move  uint64 // blocks that somebody else uses too
	cut   uint64 // blocks beyond the end
}

// objectFix is what has to be done about one object.
type objectFix struct {
	key     []byte
	name    string
	why     check.Code
	remove  bool // the key names nothing
	replace bool // the onode cannot be read
	isolate bool // mark it: part of it is lost and nothing says which bytes
	newID   bool // another object has its id
	attrs   *treeFix
	omap    *treeFix
	extents *treeFix
}

func (f *objectFix) trees() []*treeFix {
	return slices.DeleteFunc([]*treeFix{f.attrs, f.omap, f.extents}, func(t *treeFix) bool { return t == nil })
}

// survey is what was found about the whole store.
type survey struct {
	colls, objects, trash treeFix
	cattrs                map[string]*treeFix // attrs of collections, by id
	fixes                 []*objectFix
	ranges                []layout.CollRange
	last                  int // of ranges, that held the last object
	orphans               []layout.ObjectKey
	holes                 [][2][]byte // lost ranges of object keys
	maxID                 uint64
	kept                  uint64 // objects that were marked before
	refsBad               bool   // the tree of counts is to be begun anew
}

// look surveys the store below r.root and claims what can be used.
func (r *repairer) look() (*survey, error) {
	s := &survey{cattrs: make(map[string]*treeFix), maxID: r.root.NextObjectID}
	r.ids = make(idSet)
	r.claimOwn()
	want := make(map[treeID]bool)
	for _, x := range [...]struct {
		t    *treeFix
		kind layout.TreeKind
	}{{&s.colls, layout.TreeCollections}, {&s.objects, layout.TreeObjects}, {&s.trash, layout.TreeTrash}} {
		if err := r.lookGlobal(x.t, x.kind); err != nil {
			return nil, err
		}
		x.t.wants(want)
	}
	if err := r.fillHoles(want, []*treeFix{&s.colls, &s.objects, &s.trash}); err != nil {
		return nil, err
	}
	r.tellGlobal(s)
	if err := r.lookCollections(s); err != nil {
		return nil, err
	}
	if err := r.lookObjects(s); err != nil {
		return nil, err
	}
	if err := r.lookTrash(s); err != nil {
		return nil, err
	}
	// Inner nodes of single objects: one scan for all of them.
	clear(want)
	var trees []*treeFix
	for _, f := range s.fixes {
		trees = append(trees, f.trees()...)
	}
	for _, t := range s.cattrs {
		trees = append(trees, t)
	}
	for _, t := range trees {
		t.wants(want)
	}
	if err := r.fillHoles(want, trees); err != nil {
		return nil, err
	}
	return s, r.lookRefs(s)
}

// claimOwn claims what the root record names, as far as it is known.
func (r *repairer) claimOwn() {
	for _, e := range r.ownExtents() {
		if r.inZones(e.Addr, e.Blocks) {
			r.busy.add(e.Addr.Block(), e.Blocks)
		}
	}
	for _, e := range r.fixed {
		r.busy.add(e.Addr.Block(), e.Blocks)
	}
	for _, e := range r.logged.Blocks {
		if r.inZones(e.Addr, e.Blocks) {
			r.busy.add(e.Addr.Block(), e.Blocks)
		}
	}
}

// wants adds what a scan is to look for.
func (t *treeFix) wants(want map[treeID]bool) {
	for i := range t.holes {
		if t.holes[i].ptr.Level > 0 {
			want[treeID{t.kind, t.own.ID}] = true
		}
	}
}

// fillHoles looks for the leaves below lost inner nodes.
func (r *repairer) fillHoles(want map[treeID]bool, trees []*treeFix) error {
	found, err := r.findLeaves(r.ctx, want)
	if err != nil {
		return err
	}
	for _, t := range trees {
		for i := range t.holes {
			h := &t.holes[i]
			if h.ptr.Level == 0 {
				continue
			}
			var count uint64
			for _, l := range h.within(found[treeID{t.kind, t.own.ID}]) {
				// Of a single object nothing in doubt is used.
				if l.doubt && t.item != nil || !r.claimNode(l.Ptr) {
					h.doubt = true
					continue
				}
				t.leaves = append(t.leaves, l)
				h.doubt = h.doubt || l.doubt
				count += l.Count
				if err := r.lookLeaf(t, &l); err != nil {
					return err
				}
			}
			h.found = count
			if !h.doubt && count == h.count {
				h.err = nil // all of it was found
			}
		}
		slices.SortFunc(t.leaves, compareLow)
	}
	return nil
}

// lookLeaf looks at the items of a leaf that a scan has found.
func (r *repairer) lookLeaf(t *treeFix, l *leaf) error {
	if t.item == nil {
		return nil
	}
	p, err := loader{r}.Load(r.ctx, r.cfg(t.kind), &t.own, l.Ptr)
	if err != nil {
		return fmt.Errorf("%v node at %v was sound a moment ago: %w", t.kind, layout.Addr(l.Ptr.Addr), err)
	}
	return p.Items(func(key, val []byte, ext []btree.BlobExtent) error { return t.item(t, key, val, ext) })
}

// lookGlobal goes over the nodes of a tree of the root record.
func (r *repairer) lookGlobal(t *treeFix, kind layout.TreeKind) error {
	t.kind = kind
	if leaves, ok := r.preset[kind]; ok {
		for _, l := range leaves {
			if r.claimNode(l.Ptr) {
				t.leaves = append(t.leaves, l)
			}
		}
		t.regraft = true
		return nil
	}
	root := *r.root.Root(kind)
	w := &treeWalk{
		r: r, ctx: r.ctx, cfg: r.cfg(kind), take: r.claimNode,
		leaf: func(l *leaf, _ *btree.Page) error { t.leaves = append(t.leaves, *l); return nil },
		hole: func(h *hole) error { t.holes = append(t.holes, *h); return nil },
	}
	if err := w.walk(root); err != nil {
		return err
	}
	t.regraft = w.uneven || len(t.holes) > 0
	if root.Kind == btree.RootInline {
		err := r.items(r.ctx, w.cfg, &t.own, root, nil)
		t.empty = err != nil
		return r.ctx.Err()
	}
	return nil
}

// tellGlobal reports what was lost of the trees of the root record.
func (r *repairer) tellGlobal(s *survey) {
	for _, t := range []*treeFix{&s.colls, &s.objects, &s.trash} {
		if t.empty {
			r.res.did(Action{Code: check.NodeForm, Lost: true, What: fmt.Sprintf("tree %v was inside the root record and does not decode: begun anew", t.kind)})
		}
		for i := range t.holes {
			h := &t.holes[i]
			a := Action{Code: check.NodeCRC}
			at := fmt.Sprintf("%v node at %v", t.kind, layout.Addr(h.ptr.Addr))
			switch {
			case h.err == nil:
				a.What = fmt.Sprintf("%s: made anew above its leaves, nothing is lost", at)
			case h.ptr.Level > 0:
				a.Lost, a.What = t.kind != layout.TreeTrash, fmt.Sprintf("%s: %v; what was found of its leaves may be old and is marked", at, h.err)
			default:
				a.Lost, a.What = t.kind != layout.TreeTrash, fmt.Sprintf("%s: %v; its %d entries%s are lost", at, h.err, h.count, fences(h.low, h.high))
				if t.kind == layout.TreeObjects {
					s.holes = append(s.holes, [2][]byte{h.low, h.high})
				}
			}
			if t.kind == layout.TreeObjects && h.err != nil && h.count > h.found {
				a.Gone = h.count - h.found
			}
			r.res.did(a)
		}
		if t.regraft && len(t.holes) == 0 && r.preset == nil {
			r.res.did(Action{Code: check.NodeTotals, What: fmt.Sprintf("inner nodes of tree %v made anew, with the right totals", t.kind)})
		}
	}
}

// fences prints a range of keys for a person.
func fences(low, high []byte) string {
	name := func(k []byte, open string) string {
		if k == nil {
			return open
		}
		return fmt.Sprintf("%q", k[:min(len(k), 40)])
	}
	return fmt.Sprintf(" from %s up to %s", name(low, "the first"), name(high, "the last"))
}

// each calls fn for every item of a tree of the root record that can be used.
func (r *repairer) each(t *treeFix, fn func(key, val []byte, ext []btree.BlobExtent, doubt bool) error) error {
	root := *r.root.Root(t.kind)
	cfg := r.cfg(t.kind)
	if root.Kind == btree.RootInline && !t.empty {
		return r.items(r.ctx, cfg, &t.own, root, func(key, val []byte, ext []btree.BlobExtent) error { return fn(key, val, ext, false) })
	}
	for i := range t.leaves {
		l := &t.leaves[i]
		p, err := loader{r}.Load(r.ctx, cfg, &t.own, l.Ptr)
		if err != nil {
			return fmt.Errorf("%v node at %v was sound a moment ago: %w", t.kind, layout.Addr(l.Ptr.Addr), err)
		}
		if err := p.Items(func(key, val []byte, ext []btree.BlobExtent) error { return fn(key, val, ext, l.doubt) }); err != nil {
			return err
		}
		r.progress("survey of "+t.kind.String(), uint64(i+1), uint64(len(t.leaves)))
	}
	return nil
}

// lookCollections looks at every collection.
func (r *repairer) lookCollections(s *survey) error {
	return r.each(&s.colls, func(key, val []byte, ext []btree.BlobExtent, doubt bool) error {
		lose := func(why any) {
			s.colls.drop = append(s.colls.drop, bytes.Clone(key))
			r.res.did(Action{Code: check.CollBad, Lost: true, What: fmt.Sprintf("collection %q: %v: removed, its objects are kept", key, why)})
		}
		val, err := r.longValue(val, ext)
		if err != nil {
			lose(err)
			return r.ctx.Err()
		}
		cn, err := layout.DecodeCnode(val)
		if err != nil {
			lose(err)
			return nil
		}
		if cn.Flags&layout.CnodeAwaitsSplit == 0 { // or it holds nothing yet
			for _, o := range s.ranges {
				if o.Overlaps(cn.Range) {
					lose("another collection holds the same objects")
					return nil
				}
			}
			s.ranges = append(s.ranges, cn.Range)
		}
		s.maxID = max(s.maxID, cn.ID)
		t, err := r.lookTree(layout.TreeAttrs, btree.Owner{ID: cn.ID}, cn.Attrs, r.plainItem)
		if t != nil {
			s.cattrs[string(key)] = t
		}
		return err
	})
}

// longValue returns the bytes of a value wherever they are, and claims them.
func (r *repairer) longValue(val []byte, ext []btree.BlobExtent) ([]byte, error) {
	if ext == nil {
		return val, nil
	}
	size := uint64(0)
	for _, e := range ext {
		size += uint64(e.Bytes)
		n := blocksOf(uint64(e.Bytes))
		a := layout.Addr(e.Addr)
		if !r.inZones(a, n) {
			return nil, fmt.Errorf("value at %v: %w", a, errOutside)
		}
		if r.busy.any(a.Block(), n) {
			return nil, errTwice
		}
	}
	buf := make([]byte, size)
	if err := (loader{r}).ReadBlob(r.ctx, ext, buf); err != nil {
		return nil, err
	}
	for _, e := range ext {
		r.busy.add(layout.Addr(e.Addr).Block(), blocksOf(uint64(e.Bytes)))
	}
	return buf, nil
}

// plainItem looks at an item of an attrs or omap tree.
func (r *repairer) plainItem(t *treeFix, key, _ []byte, ext []btree.BlobExtent) error {
	if ext == nil {
		return nil
	}
	if _, err := r.longValue(nil, ext); err != nil {
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		t.drop = append(t.drop, bytes.Clone(key))
	}
	return nil
}

// lookTree looks at a tree of one object and returns what is to be done about it;
// nil: nothing.
func (r *repairer) lookTree(kind layout.TreeKind, own btree.Owner, root btree.Root, item itemFunc) (*treeFix, error) {
	t := &treeFix{kind: kind, own: own, item: item}
	cfg := r.cfg(kind)
	switch root.Kind {
	case btree.RootEmpty:
		return nil, nil
	case btree.RootInline:
		err := r.items(r.ctx, cfg, &own, root, func(key, val []byte, ext []btree.BlobExtent) error { return item(t, key, val, ext) })
		if err != nil {
			if r.ctx.Err() != nil {
				return nil, r.ctx.Err()
			}
			var x *btree.CorruptError
			if !errors.As(err, &x) {
				return nil, err
			}
			t.empty = true
		}
	case btree.RootNode:
		w := &treeWalk{
			r: r, ctx: r.ctx, cfg: cfg, own: own, take: r.claimNode,
			leaf: func(l *leaf, p *btree.Page) error {
				if l.doubt { // its changes were lost: as good as gone
					t.holes = append(t.holes, hole{ptr: l.Ptr, count: l.Count, low: l.Low, high: l.High, err: errGivenUp, doubt: true})
					return nil
				}
				t.leaves = append(t.leaves, *l)
				return p.Items(func(key, val []byte, ext []btree.BlobExtent) error { return item(t, key, val, ext) })
			},
			hole: func(h *hole) error { t.holes = append(t.holes, *h); return nil },
		}
		if err := w.walk(root); err != nil {
			return nil, err
		}
		t.regraft = w.uneven || len(t.holes) > 0
	}
	if !t.empty && !t.regraft && t.drop == nil && t.chunks == nil {
		return nil, nil
	}
	return t, nil
}

var errGivenUp = errors.New("given up, with changes to it lost")

func (r *repairer) cfg(kind layout.TreeKind) *btree.Config { return ebofs.TreeConfig(kind, r.sb.FSID) }
