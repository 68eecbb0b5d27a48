package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"ebofs/osd"
)

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
}

// testAttrs sets attrs of every size, many of them, and takes them away.
func testAttrs(t *testing.T, f Factory) {
	b := open(t, f)
	sizes := b.next()
	for i, n := range edges {
		b.do(txn(func(x *osd.Transaction) { x.SetAttr(c1, sizes, fmt.Sprintf("size%d", n), fill(uint64(i), int(n))) }), "attr of", n)
	}
	b.do(txn(func(x *osd.Transaction) { x.SetAttr(c1, b.next(), "nil", nil) }))

	names := b.next()
	b.do(txn(func(x *osd.Transaction) {
		for i, name := range []string{"a", "aa", "a\x00", "\x00", "\xff", "ü/ö", " ", string(fill(3, osd.MaxAttrNameBytes))} {
			x.SetAttr(c1, names, name, fill(uint64(i), i*10))
		}
	}))

	many := b.next()
	b.do(txn(func(x *osd.Transaction) {
		for i := range 2000 {
			x.SetAttr(c1, many, fmt.Sprintf("%04d", i*7%2000), fill(uint64(i), i%40))
		}
	}))
	b.settle()

	// Replace: larger, smaller, empty.
	m := map[string][]byte{}
	for i, n := range edges {
		m[fmt.Sprintf("size%d", n)] = fill(uint64(i)+50, int(edges[len(edges)-1-i]))
		if i < 6 || i%6 == 5 || i == len(edges)-1 { // large ones one by one: a log may be small
			b.do(txn(func(x *osd.Transaction) { x.SetAttrs(c1, sizes, m) }))
			m = map[string][]byte{}
		}
	}
	b.ok(b.compareObject(sizes))
	for i := range 1990 {
		b.do(txn(func(x *osd.Transaction) { x.RmAttr(c1, many, fmt.Sprintf("%04d", i)) }))
	}
	b.do(txn(func(x *osd.Transaction) { x.RmAttr(c1, many, "never there") }))
	b.settle()

	b.do(txn(func(x *osd.Transaction) {
		x.RmAttrs(c1, sizes)
		x.SetAttr(c1, sizes, "only", fill(1, 10))
	}))
	b.do(txn(func(x *osd.Transaction) { x.RmAttrs(c1, many) }))
	b.do(txn(func(x *osd.Transaction) { x.RmAttrs(c1, many) }))
	b.settle()

	// What a read returned is the caller's to change.
	v, err := b.h.Store.Attr(b.ctx, c1, sizes, "only")
	b.ok(err)
	clear(v)
	all, err := b.h.Store.Attrs(b.ctx, c1, sizes)
	b.ok(err)
	for _, v := range all {
		clear(v)
	}
	maps.DeleteFunc(all, func(string, []byte) bool { return true })
	if _, err := b.h.Store.Attr(b.ctx, c1, sizes, "other"); !errors.Is(err, osd.ErrNoAttr) {
		t.Errorf("missing attr: %v, want %v", err, osd.ErrNoAttr)
	}
	b.end()
}
