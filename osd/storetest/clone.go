package storetest

import (
	"testing"

	"ebofs/osd"
)

// testClone clones objects and ranges, changes either side, and removes them in
// either order.
func testClone(t *testing.T, f Factory) {
	b := open(t, f)
	o, a, z := object(10), object(11), object(12)
	b.do(txn(func(x *osd.Transaction) {
		x.Write(c1, o, 100, fill(1, 200000))
		x.SetAttr(c1, o, "_", fill(2, 200))
		x.OmapSet(c1, o, map[string][]byte{"k": fill(3, 30)})
		x.OmapSetHeader(c1, o, fill(4, 40))
		x.Write(c1, a, 0, fill(5, 5000))
		x.SetAttr(c1, a, "gone", fill(6, 60))
	}))
	clone := txn(func(x *osd.Transaction) { x.Clone(c1, o, a) })
	part := txn(func(x *osd.Transaction) { x.CloneRange(c1, o, z, 50, 70000, 1000) })
	for round := range 2 {
		b.do(clone)
		b.do(part)
		b.settle()
		b.do(txn(func(x *osd.Transaction) { x.Write(c1, o, 4000, fill(7, 9000)) }))
		b.ok(b.compareAll())
		b.do(txn(func(x *osd.Transaction) { x.Write(c1, a, 12000, fill(8, 9001)) }))
		b.do(txn(func(x *osd.Transaction) { x.OmapSet(c1, a, map[string][]byte{"only a": nil}) }))
		b.do(txn(func(x *osd.Transaction) { // a clone of a clone, with changes around it
			x.Write(c1, a, 65536, fill(9, 4096))
			x.Clone(c1, a, object(13))
			x.Write(c1, a, 65536+1, fill(10, 4096))
		}))
		b.settle()
		for _, r := range [][3]uint64{{0, 4096, 8192}, {1, 4095, 4096}, {511, 100000, 65537}, {0, 0, 5}, {199999, 101, 0}} {
			b.do(txn(func(x *osd.Transaction) { x.CloneRange(c1, o, z, r[0], r[1], r[2]) }), "range", r)
			b.ok(b.compareObject(z))
		}
		b.do(txn(func(x *osd.Transaction) { x.CloneRange(c1, o, o, 0, 50000, 100000) }))
		b.refused(osd.ErrInvalid, txn(func(x *osd.Transaction) { x.CloneRange(c1, o, o, 0, 50000, 40000) }))
		b.refused(osd.ErrInvalid, txn(func(x *osd.Transaction) { x.CloneRange(c1, o, z, 900000, 60000, 0) }))
		b.refused(osd.ErrInvalid, txn(func(x *osd.Transaction) { x.Clone(c1, o, o) }))
		b.refused(osd.ErrNotFound, txn(func(x *osd.Transaction) { x.Clone(c1, object(50), a) }))
		b.settle()
		first, then := o, a
		if round == 1 {
			first, then = a, o
		}
		b.do(txn(func(x *osd.Transaction) { x.Remove(c1, first) }))
		b.settle()
		b.do(txn(func(x *osd.Transaction) { x.Remove(c1, then) }))
		b.settle()
		b.do(txn(func(x *osd.Transaction) {
			x.Write(c1, o, 0, fill(uint64(round), 250000))
			x.Zero(c1, o, 8192, 30000)
		}))
	}
	b.end()
}
