package btree

import (
	"context"
	"fmt"
)

// leafOf returns the leaf of root that may hold key: an inline page (page is
// nil) or a pinned one.
func leafOf(ctx context.Context, cfg *Config, ld Loader, own *Owner, root *Root, key []byte) (in body, page *Page, err error) {
	if root.Kind == RootInline {
		in, err = openInlineOf(cfg, root.Inline)
		return in, nil, err
	}
	p := root.Ptr
	for {
		page, err = ld.Load(ctx, cfg, own, p)
		if err != nil {
			return body{}, nil, fmt.Errorf("tree %q level %d: %w", cfg.Name, p.Level, err)
		}
		if !page.inner {
			return body{}, page, nil
		}
		p = page.child(page.childOf(key)).ptr
		page.Release()
	}
}

// getPages is Tree.Get of what lies on media.
func getPages(ctx context.Context, cfg *Config, ld Loader, own *Owner, root *Root, key, dst []byte) ([]byte, bool, error) {
	in, page, err := leafOf(ctx, cfg, ld, own, root, key)
	if err != nil {
		return dst, false, err
	}
	b := &in
	if page != nil {
		defer page.Release()
		b = &page.body
	}
	i, found := b.search(key)
	if !found {
		return dst, false, nil
	}
	val, over := b.value(i)
	if !over {
		return append(dst, val...), true, nil
	}
	dst, err = appendBlob(ctx, ld, val, dst)
	return dst, err == nil, err
}

// hasPages is Tree.Has of what lies on media.
func hasPages(ctx context.Context, cfg *Config, ld Loader, own *Owner, root *Root, key []byte) (bool, error) {
	in, page, err := leafOf(ctx, cfg, ld, own, root, key)
	if err != nil {
		return false, err
	}
	if page == nil {
		_, found := in.search(key)
		return found, nil
	}
	_, found := page.search(key)
	page.Release()
	return found, nil
}

// GetInline returns the value of key in a tree of kind cfg all of which is root, an
// inline one, and whether it has one. The value lies in the root.
func GetInline(cfg *Config, root *Root, key []byte) (val []byte, ok bool, err error) {
	in, err := openInlineOf(cfg, root.Inline)
	if err != nil {
		return nil, false, err
	}
	i, found := in.search(key)
	if !found {
		return nil, false, nil
	}
	val, over := in.value(i)
	return val, !over, nil
}

// getResident is getPages without I/O.
func (t *Tree) getResident(root *Root, key, dst []byte) (val []byte, at Place, ok, known bool) {
	if root.Kind == RootInline {
		in, err := openInlineOf(t.cfg, root.Inline)
		if err != nil {
			return dst, Place{}, false, false
		}
		val, _, ok, known = residentValue(&in, key, dst)
		return val, Place{}, ok, known
	}
	page := t.leafResident(root, key)
	if page == nil {
		return dst, Place{}, false, false
	}
	val, i, ok, known := residentValue(&page.body, key, dst)
	if ok {
		at = Place{page.ptr.Addr, i, page.n}
	}
	page.Release()
	return val, at, ok, known
}

// leafResident is leafOf of a root that is not inline, without I/O; nil: there would
// be some.
func (t *Tree) leafResident(root *Root, key []byte) *Page {
	p := root.Ptr
	for {
		page := t.ld.Resident(p)
		if page == nil || !page.inner {
			return page
		}
		p = page.child(page.childOf(key)).ptr
		page.Release()
	}
}

// residentValue looks key up in a leaf, where it is item i; an overflow value is not
// known.
func residentValue(b *body, key, dst []byte) (val []byte, i int, ok, known bool) {
	i, found := b.search(key)
	if !found {
		return dst, i, false, true
	}
	v, over := b.value(i)
	if over {
		return dst, i, false, false
	}
	return append(dst, v...), i, true, true
}

// Place is where a key lies on media: item Item of the Items that the leaf at
// address Leaf has.
type Place struct {
	Leaf        uint64
	Item, Items int
}

// PlaceResident returns the place of key, as far as that needs no I/O: ok is
// false, too, if there is none.
func (t *Tree) PlaceResident(key []byte) (at Place, ok bool) {
	t.mu.RLock()
	root := t.root
	t.mu.RUnlock()
	if root == nil || root.Kind == RootInline {
		return Place{}, false
	}
	page := t.leafResident(root, key)
	if page == nil {
		return Place{}, false
	}
	i, ok := page.search(key)
	at = Place{page.ptr.Addr, i, page.n}
	page.Release()
	return at, ok
}
