package btree

import (
	"bytes"
	"context"
	"fmt"
)

// pageIter walks the items on media below one root, forwards or backwards. It
// holds the pages of one path pinned.
type pageIter struct {
	cfg  *Config
	ld   Loader
	own  *Owner
	root *Root  // nil: empty
	stop []byte // nodes of keys from here on are not loaded; nil: none
	low  []byte // scratch

	path [maxLevel + 1]pathStep // path[0] is the root
	d    int                    // depth of the leaf; -1: not in a leaf
	in   body                   // of an inline root; then d stays -1
	leaf *body                  // where the iterator is; nil: not on an item
	i    int                    // item of leaf
	key  []byte                 // of the item; changes with every move
}

type pathStep struct {
	page *Page
	i    int // child taken
}

// reset releases everything and turns to another root.
func (it *pageIter) reset(root *Root) {
	it.release(0)
	it.root, it.leaf, it.in = root, nil, body{}
}

// release unpins the pages from depth d down.
func (it *pageIter) release(d int) {
	for ; it.d >= d; it.d-- {
		it.path[it.d].page.Release()
		it.path[it.d].page = nil
	}
}

// valid says whether the iterator is on an item.
func (it *pageIter) valid() bool { return it.leaf != nil }

// value is the value of the item; over says that it is a descriptor.
func (it *pageIter) value() (val []byte, over bool) { return it.leaf.value(it.i) }

func (it *pageIter) setKey() { it.key = it.leaf.appendKey(it.key[:0], it.i) }

// load pushes the page p names.
func (it *pageIter) load(ctx context.Context, p Ptr) (*Page, error) {
	page, err := it.ld.Load(ctx, it.cfg, it.own, p)
	if err != nil {
		return nil, fmt.Errorf("tree %q level %d: %w", it.cfg.Name, p.Level, err)
	}
	it.d++
	it.path[it.d].page = page
	return page, nil
}

// descend goes from p to a leaf, by pick in every inner node.
func (it *pageIter) descend(ctx context.Context, p Ptr, pick func(*body) int) error {
	it.leaf = nil
	for {
		page, err := it.load(ctx, p)
		if err != nil {
			return err
		}
		if !page.inner {
			it.leaf = &page.body
			return nil
		}
		i := pick(&page.body)
		it.path[it.d].i = i
		p = page.child(i).ptr
	}
}

func firstChild(*body) int  { return 0 }
func lastChild(b *body) int { return b.n - 1 }

// find goes from the root to a leaf, by pick in every inner node.
func (it *pageIter) find(ctx context.Context, pick func(*body) int) error {
	it.leaf = nil
	if it.root == nil {
		return nil
	}
	if it.root.Kind == RootInline {
		if it.in.buf == nil {
			in, err := openInlineOf(it.cfg, it.root.Inline)
			if err != nil {
				return err
			}
			it.in = in
		}
		it.leaf = &it.in
		return nil
	}
	it.release(0)
	return it.descend(ctx, it.root.Ptr, pick)
}

// seek moves to the first item not below key.
func (it *pageIter) seek(ctx context.Context, key []byte) error {
	if it.leaf != nil && it.d >= 0 && bytes.Compare(it.key, key) <= 0 {
		if i, _ := it.leaf.search(key); i < it.leaf.n { // still in this leaf
			it.i = i
			it.setKey()
			return nil
		}
	}
	if err := it.find(ctx, func(b *body) int { return b.childOf(key) }); err != nil || it.leaf == nil {
		return err
	}
	it.i, _ = it.leaf.search(key)
	if it.i < it.leaf.n {
		it.setKey()
		return nil
	}
	it.i--
	return it.next(ctx)
}

// seekLT moves to the last item below key.
func (it *pageIter) seekLT(ctx context.Context, key []byte) error {
	if err := it.find(ctx, func(b *body) int { return b.childOf(key) }); err != nil || it.leaf == nil {
		return err
	}
	it.i, _ = it.leaf.search(key)
	return it.prev(ctx)
}

// last moves to the last item.
func (it *pageIter) last(ctx context.Context) error {
	if err := it.find(ctx, lastChild); err != nil || it.leaf == nil {
		return err
	}
	it.i = it.leaf.n
	return it.prev(ctx)
}

// next moves to the next item.
func (it *pageIter) next(ctx context.Context) error {
	if it.i++; it.i < it.leaf.n {
		it.setKey()
		return nil
	}
	d := it.d - 1
	for d >= 0 && it.path[d].i+1 >= it.path[d].page.n {
		d--
	}
	if d < 0 {
		it.leaf = nil
		return nil
	}
	if up := it.path[d].page; it.stop != nil {
		if it.low = up.appendKey(it.low[:0], it.path[d].i); bytes.Compare(it.low, it.stop) >= 0 {
			it.leaf = nil // what follows is nobody's business, and may be damaged
			return nil
		}
	}
	it.release(d + 1)
	it.path[d].i++
	if err := it.descend(ctx, it.path[d].page.child(it.path[d].i).ptr, firstChild); err != nil {
		return err
	}
	it.i = 0
	it.setKey()
	return nil
}

// prev moves to the item before.
func (it *pageIter) prev(ctx context.Context) error {
	if it.i--; it.i >= 0 {
		it.setKey()
		return nil
	}
	d := it.d - 1
	for d >= 0 && it.path[d].i == 0 {
		d--
	}
	if d < 0 {
		it.leaf = nil
		return nil
	}
	it.release(d + 1)
	it.path[d].i--
	if err := it.descend(ctx, it.path[d].page.child(it.path[d].i).ptr, lastChild); err != nil {
		return err
	}
	it.i = it.leaf.n - 1
	it.setKey()
	return nil
}
