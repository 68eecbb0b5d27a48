package btree

import (
	"bytes"
	"context"
	"fmt"
)

// Leaf is a leaf on media that Graft puts under new inner nodes.
type Leaf struct {
	Ptr       Ptr
	Low, High []byte // its fences; empty is unbounded
	Count     uint64 // items
	Bytes     uint64 // of keys and values, overflow values included
}

// LeafOf describes a leaf that has been read. It panics if p is an inner node.
func LeafOf(p *Page) Leaf {
	if p.inner {
		panic("btree: LeafOf of an inner node")
	}
	low, high := p.Fences()
	return Leaf{Ptr: p.ptr, Low: bytes.Clone(low), High: bytes.Clone(high), Count: uint64(p.n), Bytes: leafBytes(&p.body)}
}

// CheckIn compares the page with what its parent says of it: the range its keys
// are in, nil being unbounded, and the totals below it. It is what Walk checks of
// a node beyond ParsePage and Page.Check.
func (p *Page) CheckIn(want Ptr, count, bytes uint64, low, high []byte) error {
	w := walker{}
	return w.check(p, child{ptr: want, count: count, bytes: bytes}, low, high)
}

// Graft makes a tree of leaves that are on media already: it writes inner nodes
// only. The leaves ascend and do not overlap; what lies between them belongs to
// the leaf before it, or to the first, and holds no key. Repair uses it.
func Graft(ctx context.Context, cfg *Config, own *Owner, sink Sink, leaves []Leaf) (Root, error) {
	m := newMerger(ctx, cfg, own, nil, sink)
	defer m.close()
	m.bulk = true
	for i := range leaves {
		l := &leaves[i]
		if l.Ptr.Level != 0 || l.Ptr.Addr == 0 {
			return Root{}, fmt.Errorf("graft of tree %q: %d is no leaf: %w", cfg.Name, l.Ptr.Addr, ErrInvalid)
		}
		low := l.Low
		if i == 0 {
			low = nil
		} else if b := &leaves[i-1]; len(b.High) == 0 || bytes.Compare(b.High, low) > 0 {
			return Root{}, fmt.Errorf("graft of tree %q: leaf from %x behind one up to %x: %w", cfg.Name, low, b.High, ErrOrder)
		}
		if err := m.addChild(1, low, child{ptr: l.Ptr, count: l.Count, bytes: l.Bytes}, false); err != nil {
			return Root{}, err
		}
	}
	return m.finish(0)
}

// Items calls fn for every item of a leaf, in order: ext is nil, or val is nil and
// ext says where the value is. The slices are valid during the call.
func (p *Page) Items(fn func(key, val []byte, ext []BlobExtent) error) error {
	var key []byte
	for i := range p.n {
		key = p.appendKey(key[:0], i)
		val, over := p.value(i)
		var ext []BlobExtent
		if over {
			val, ext = nil, overflowExtents(val)
		}
		if err := fn(key, val, ext); err != nil {
			return err
		}
	}
	return nil
}
