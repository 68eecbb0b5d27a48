package btree

import (
	"context"
	"fmt"
)

// Drop frees a tree in bounded steps: a call gives up at least one leaf and
// stops soon after maxEntries items or overflow values, or as many nodes, were
// seen. rest is the root of what is left, for the next call; done says that
// nothing is.
//
// If fn is not nil it is called for every item dropped, in order, with a nil
// val for an overflow value. Then leaves are read; else only inner nodes are,
// and leaves that hold overflow values. An error of fn ends the step like any
// other: see Sink.
//
// rest reaches only nodes that were there before, except for the inner nodes on
// the edge, which are written anew with the children that remain.
func Drop(ctx context.Context, ld Loader, cfg *Config, own *Owner, root Root, sink Sink, maxEntries int, fn func(key, val []byte) error) (rest Root, done bool, err error) {
	d := dropper{fn: fn, left: max(maxEntries, 1)}
	d.m = newMerger(ctx, cfg, own, ld, sink)
	defer d.m.close()
	switch root.Kind {
	case RootEmpty:
		return Root{}, true, nil
	case RootInline:
		in, err := openInlineOf(cfg, root.Inline)
		if err == nil {
			err = d.leaf(&in)
		}
		if err != nil {
			return root, false, fmt.Errorf("drop tree %q: %w", cfg.Name, err)
		}
		return Root{}, true, nil
	}
	err = d.visit(nil, child{ptr: root.Ptr, count: root.Count, bytes: root.Bytes})
	if err == nil {
		rest, err = d.m.finish(0)
	}
	if err != nil {
		return root, false, fmt.Errorf("drop tree %q: %w", cfg.Name, err)
	}
	return rest, rest.Kind == RootEmpty, nil
}

// dropper frees subtrees from the left until its budget is used up and passes
// the others on to the merger.
type dropper struct {
	m    *merger
	fn   func(key, val []byte) error
	left int
	key  []byte
}

func (d *dropper) visit(low []byte, c child) error {
	if d.left <= 0 {
		return d.m.pass(int(c.ptr.Level), low, c)
	}
	d.left--
	if c.ptr.Level > 0 || d.fn != nil || c.ptr.Flags&PtrOverflow != 0 {
		page, err := d.m.load(c.ptr)
		if err != nil {
			return d.m.leak(c.ptr, err)
		}
		defer page.Release()
		if !page.inner {
			if err := d.leaf(&page.body); err != nil {
				return err
			}
		}
		for i := 0; page.inner && i < page.n; i++ {
			if i > 0 {
				low = page.appendKey(nil, i-1)
			}
			if err := d.visit(low, page.child(i)); err != nil {
				return err
			}
		}
	}
	d.m.free(c.ptr)
	return nil
}

// leaf drops the items of a leaf.
func (d *dropper) leaf(b *body) error {
	d.left -= b.n
	for i := range b.n {
		val, over := b.value(i)
		if over {
			d.m.freeValue(b, i)
			val = nil
		}
		if d.fn == nil {
			continue
		}
		d.key = b.appendKey(d.key[:0], i)
		if err := d.fn(d.key, val); err != nil {
			return err
		}
	}
	return nil
}
