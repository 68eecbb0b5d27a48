package btree

import (
	"bytes"
	"context"
	"fmt"
)

// Node describes a node to a Visitor.
type Node struct {
	Ptr       Ptr    // zero Addr: an inline root
	Low, High []byte // range the parent routes here; nil: unbounded
	Items     int    // of a leaf, or children
	Count     uint64 // items in all leaves below, as the parent has it
	Used      int    // bytes that are not padding
	Page      *Page  // nil for an inline root; valid during the call
}

// Visitor is told what Walk finds. Any func may be nil. An error other than from
// Damage ends the walk.
type Visitor struct {
	// Node is called for every good node, parents before children.
	Node func(n *Node) error
	// Item is called for every item in order. ext is nil, or val is nil and ext
	// says where the value is.
	Item func(key, val []byte, ext []BlobExtent) error
	// Damage is called for a node that cannot be used, or that contradicts its
	// parent; n has no Page. If it returns nil the walk goes on behind the
	// subtree; without it the first damage ends the walk.
	Damage func(n *Node, err error) error
}

// Walk visits every node and item below root and checks all that can be checked:
// what ParsePage and Page.Check do, fences inside the parent's range, keys in
// order and inside the fences, and the totals of every subtree. It does not read
// overflow values.
func Walk(ctx context.Context, ld Loader, cfg *Config, own *Owner, root Root, v Visitor) error {
	w := walker{ctx: ctx, ld: ld, cfg: cfg, own: own, v: v}
	switch root.Kind {
	case RootEmpty:
		return nil
	case RootInline:
		return w.inline(root)
	}
	_, err := w.visit(child{ptr: root.Ptr, count: root.Count, bytes: root.Bytes}, nil, nil)
	return err
}

// Verify is Walk that stops at the first damage.
func Verify(ctx context.Context, ld Loader, cfg *Config, own *Owner, root Root) error {
	return Walk(ctx, ld, cfg, own, root, Visitor{})
}

type walker struct {
	ctx context.Context
	ld  Loader
	cfg *Config
	own *Owner
	v   Visitor
	key []byte
}

func (w *walker) inline(root Root) error {
	n := &Node{Items: int(root.Count), Used: len(root.Inline)}
	in, err := openInlineOf(w.cfg, root.Inline)
	if err == nil {
		err = in.checkRecords(0)
	}
	if err == nil {
		err = in.checkOrder(0)
	}
	if err == nil {
		if size := leafBytes(&in); uint64(in.n) != root.Count || size != root.Bytes {
			err = corrupt(0, "inline totals", fmt.Sprint(root.Count, " items ", root.Bytes, " bytes"), fmt.Sprint(in.n, " items ", size, " bytes"))
		}
	}
	if err != nil {
		return w.damage(n, err)
	}
	if w.v.Node != nil {
		if err := w.v.Node(n); err != nil {
			return err
		}
	}
	return w.items(&in)
}

// damage hands err to the visitor.
func (w *walker) damage(n *Node, err error) error {
	if w.v.Damage == nil {
		return err
	}
	n.Page = nil
	return w.v.Damage(n, err)
}

func leafBytes(b *body) uint64 {
	var size uint64
	for i := range b.n {
		size += b.itemBytes(i)
	}
	return size
}

func (w *walker) items(b *body) error {
	if w.v.Item == nil {
		return nil
	}
	for i := range b.n {
		w.key = b.appendKey(w.key[:0], i)
		val, over := b.value(i)
		var ext []BlobExtent
		if over {
			val, ext = nil, overflowExtents(val)
		}
		if err := w.v.Item(w.key, val, ext); err != nil {
			return err
		}
	}
	return nil
}

// visit walks the subtree c with keys in [low, high). whole says that nothing
// in it was damaged.
func (w *walker) visit(c child, low, high []byte) (whole bool, err error) {
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	n := &Node{Ptr: c.ptr, Low: low, High: high, Count: c.count}
	page, err := w.ld.Load(w.ctx, w.cfg, w.own, c.ptr)
	if err != nil {
		if ctxErr := w.ctx.Err(); ctxErr != nil {
			return false, ctxErr
		}
		return false, w.damage(n, err)
	}
	defer page.Release()
	n.Items, n.Used, n.Page = page.n, page.end, page
	if err := w.check(page, c, low, high); err != nil {
		return false, w.damage(n, err)
	}
	if w.v.Node != nil {
		if err := w.v.Node(n); err != nil {
			return false, err
		}
	}
	if !page.inner {
		return true, w.items(&page.body)
	}
	whole = true
	for i := range page.n {
		end := high
		if i+1 < page.n {
			end = page.appendKey(nil, i)
		}
		ok, err := w.visit(page.child(i), low, end)
		if err != nil {
			return false, err
		}
		whole = whole && ok
		low = end
	}
	return whole, nil
}

// check compares a page with its parent's view of it.
func (w *walker) check(page *Page, c child, low, high []byte) error {
	addr := c.ptr.Addr
	if err := page.checkOrder(addr); err != nil {
		return err
	}
	fl, fh := page.Fences()
	if bytes.Compare(fl, low) < 0 || high != nil && (len(fh) == 0 || bytes.Compare(fh, high) > 0) {
		return corrupt(addr, "fences", fmt.Sprintf("inside [%x, %x)", low, high), fmt.Sprintf("[%x, %x)", fl, fh))
	}
	if k := page.numKeys(); k > 0 {
		first, last := page.appendKey(nil, 0), page.appendKey(nil, k-1)
		if bytes.Compare(first, fl) < 0 || len(fh) > 0 && bytes.Compare(last, fh) >= 0 {
			return corrupt(addr, "keys", fmt.Sprintf("inside the fences [%x, %x)", fl, fh), fmt.Sprintf("%x to %x", first, last))
		}
	}
	var count, size uint64
	over := false
	for i := range page.n {
		if page.inner {
			k := page.child(i)
			count, size = count+k.count, size+k.bytes
			continue
		}
		_, o := page.value(i)
		over = over || o
	}
	if !page.inner {
		count, size = uint64(page.n), leafBytes(&page.body)
		if over != (page.ptr.Flags&PtrOverflow != 0) {
			return corrupt(addr, "overflow flag", over, !over)
		}
	}
	if count != c.count || size != c.bytes {
		return corrupt(addr, "totals", fmt.Sprint(c.count, " items ", c.bytes, " bytes"), fmt.Sprint(count, " items ", size, " bytes"))
	}
	return nil
}
