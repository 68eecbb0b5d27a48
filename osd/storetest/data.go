package storetest

import (
	"testing"

	"ebofs/osd"
)

// testWrite writes every length at every offset, small ones in all pairs, each
// to an object of its own.
func testWrite(t *testing.T, f Factory) {
	b := open(t, f)
	write := func(off, n uint64) {
		b.do(txn(func(x *osd.Transaction) { x.Write(c1, b.next(), off, fill(off^n, int(n))) }), "write", off, n)
	}
	for _, off := range smallEdges {
		for _, n := range smallEdges {
			write(off, n)
		}
	}
	for _, n := range edges[len(edges)-6:] {
		for _, off := range []uint64{0, 1, 4095, 4096, 65537} {
			write(off, n)
		}
	}
	b.end()
}

// testOverwrite writes into objects of every size.
func testOverwrite(t *testing.T, f Factory) {
	b := open(t, f)
	sizes := []uint64{1, 513, 2048, 2049, 4096, 8193, 65536}
	for _, size := range sizes {
		for _, off := range []uint64{0, 1, 511, 2047, 2048, 4095, 4096, 8192, 65535} {
			for _, n := range []uint64{1, 512, 2049, 4096, 4097, 65536} {
				o := b.next()
				b.do(txn(func(x *osd.Transaction) { x.Write(c1, o, 0, fill(size, int(size))) }))
				b.do(txn(func(x *osd.Transaction) { x.Write(c1, o, off, fill(off+n, int(n))) }), "object of", size, "overwritten", off, n)
			}
		}
	}
	b.ok(b.checkpoint())
	// And once more, now that all of them are on the device.
	for i, id := range b.m.ids(c1) {
		off := edges[i%14]
		b.do(txn(func(x *osd.Transaction) { x.Write(c1, id, off, fill(uint64(i), i*37%9000)) }))
	}
	b.end()
}

// testZero zeroes ranges of objects of every size, across their end too.
func testZero(t *testing.T, f Factory) {
	b := open(t, f)
	for _, size := range []uint64{0, 1, 2048, 2049, 4096, 12289, 65536} {
		for _, off := range []uint64{0, 1, 512, 2048, 4095, 4096, 4097, 65536} {
			for _, n := range []uint64{0, 1, 512, 4095, 4096, 8192, 65537} {
				o := b.next()
				b.do(txn(func(x *osd.Transaction) {
					x.Write(c1, o, 0, fill(size, int(size)))
					x.Zero(c1, o, off, n)
				}), "object of", size, "zeroed", off, n)
			}
		}
	}
	b.do(txn(func(x *osd.Transaction) { x.Zero(c1, b.next(), 0, 0) }))
	b.do(txn(func(x *osd.Transaction) { x.Zero(c1, b.next(), 5000, 5000) }))
	b.ok(b.checkpoint())
	for i, id := range b.m.ids(c1) {
		off, n := smallEdges[i%len(smallEdges)], smallEdges[i/3%len(smallEdges)]
		b.do(txn(func(x *osd.Transaction) { x.Zero(c1, id, off, n) }), "zeroed from the device", off, n)
	}
	b.end()
}

// testTruncate cuts and grows every size to every other, then extends the
// object: what was cut off must not come back.
func testTruncate(t *testing.T, f Factory) {
	b := open(t, f)
	sizes := []uint64{0, 1, 511, 513, 2047, 2048, 2049, 4095, 4096, 4097, 65536, 70001}
	for _, checkpoint := range []bool{false, true} {
		type object struct {
			id   osd.ObjectID
			from uint64
		}
		for _, to := range sizes {
			var objs []object
			for _, from := range sizes {
				o := object{b.next(), from}
				objs = append(objs, o)
				b.do(txn(func(x *osd.Transaction) { x.Write(c1, o.id, 0, fill(from, int(from))) }))
			}
			if checkpoint {
				b.ok(b.checkpoint())
			}
			for i, o := range objs {
				b.do(txn(func(x *osd.Transaction) { x.Truncate(c1, o.id, to) }), "truncate", o.from, to)
				switch i % 3 {
				case 0:
					b.do(txn(func(x *osd.Transaction) { x.Truncate(c1, o.id, 80000) }))
				case 1:
					b.do(txn(func(x *osd.Transaction) { x.Write(c1, o.id, 75000, fill(1, 10)) }))
				case 2:
					b.do(txn(func(x *osd.Transaction) { x.Zero(c1, o.id, 72000, 3000) }))
				}
				b.ok(b.compareObject(o.id))
			}
		}
	}
	b.end()
}

// testPatterns writes one object in the ways programs do.
func testPatterns(t *testing.T, f Factory) {
	b := open(t, f)
	for _, p := range []struct {
		name string
		run  func(o osd.ObjectID, write func(off uint64, n int))
	}{
		{"append of odd lengths", func(o osd.ObjectID, write func(uint64, int)) {
			at := uint64(0)
			for i := range 200 {
				n := i*i%1777 + 1
				write(at, n)
				at += uint64(n)
			}
		}},
		{"append of one byte across a block's edge", func(o osd.ObjectID, write func(uint64, int)) {
			write(0, 4000)
			for i := range 200 {
				write(4000+uint64(i), 1)
			}
		}},
		{"blocks from the end", func(o osd.ObjectID, write func(uint64, int)) {
			for i := 63; i >= 0; i-- {
				write(uint64(i)*4096, 4096)
			}
		}},
		{"every other block, then the rest", func(o osd.ObjectID, write func(uint64, int)) {
			for i := 0; i < 64; i += 2 {
				write(uint64(i)*4096, 4096)
			}
			for i := 1; i < 64; i += 2 {
				write(uint64(i)*4096, 4096)
			}
		}},
		{"one block again and again", func(o osd.ObjectID, write func(uint64, int)) {
			write(0, 16384)
			for i := range 150 {
				write(4096+uint64(i%3), 4000)
			}
		}},
		{"overlapping halves", func(o osd.ObjectID, write func(uint64, int)) {
			for i := range 40 {
				write(uint64(i)*6000, 12000)
			}
		}},
		{"large ones with small ones on them", func(o osd.ObjectID, write func(uint64, int)) {
			for i := range 4 {
				write(uint64(i)<<18, 1<<18)
			}
			for i := range 60 {
				write(uint64(i)*17001, i*13+1)
			}
			write(100000, 300000)
			for i := range 60 {
				write(uint64(i)*16999+50, 4096)
			}
		}},
		{"one write over everything", func(o osd.ObjectID, write func(uint64, int)) {
			for i := range 30 {
				write(uint64(i)*5000, 100)
			}
			write(0, 200000)
			write(0, 1<<20)
		}},
	} {
		for _, every := range []int{0, 17} { // checkpoints in between
			o, i := b.next(), 0
			p.run(o, func(off uint64, n int) {
				i++
				b.do(txn(func(x *osd.Transaction) { x.Write(c1, o, off, fill(uint64(i)*31+off, n)) }), p.name, off, n)
				if every > 0 && i%every == 0 {
					b.ok(b.checkpoint())
				}
			})
			if err := b.compareObject(o); err != nil {
				t.Fatal(p.name, err)
			}
		}
	}
	b.end()
}

// testInline takes objects across the size up to which data may be stored with
// the metadata, in both directions, with checkpoints and reopening between.
func testInline(t *testing.T, f Factory) {
	b := open(t, f)
	steps := []struct {
		name string
		add  func(x *osd.Transaction, o osd.ObjectID)
	}{
		{"small", func(x *osd.Transaction, o osd.ObjectID) {
			x.Write(c1, o, 0, fill(1, 100))
			x.SetAttr(c1, o, "_", fill(2, 300))
			x.OmapSet(c1, o, map[string][]byte{"k": fill(3, 50)})
		}},
		{"at the limit", func(x *osd.Transaction, o osd.ObjectID) { x.Write(c1, o, 100, fill(4, 1948)) }},
		{"one over", func(x *osd.Transaction, o osd.ObjectID) { x.Write(c1, o, 2048, fill(5, 1)) }},
		{"cut back", func(x *osd.Transaction, o osd.ObjectID) { x.Truncate(c1, o, 2047) }},
		{"hole in front of a tail", func(x *osd.Transaction, o osd.ObjectID) { x.Write(c1, o, 20000, fill(6, 33)) }},
		{"zeroed head", func(x *osd.Transaction, o osd.ObjectID) { x.Zero(c1, o, 0, 19000) }},
		{"almost empty", func(x *osd.Transaction, o osd.ObjectID) { x.Truncate(c1, o, 1) }},
		{"empty", func(x *osd.Transaction, o osd.ObjectID) { x.Truncate(c1, o, 0) }},
		{"small again", func(x *osd.Transaction, o osd.ObjectID) { x.Write(c1, o, 700, fill(7, 700)) }},
		{"large attrs", func(x *osd.Transaction, o osd.ObjectID) { x.SetAttr(c1, o, "big", fill(8, 70000)) }},
		{"large", func(x *osd.Transaction, o osd.ObjectID) { x.Write(c1, o, 1000, fill(9, 300000)) }},
		{"no attrs", func(x *osd.Transaction, o osd.ObjectID) { x.RmAttrs(c1, o) }},
		{"no omap", func(x *osd.Transaction, o osd.ObjectID) { x.OmapClear(c1, o) }},
		{"back to one byte", func(x *osd.Transaction, o osd.ObjectID) { x.Truncate(c1, o, 1) }},
	}
	// Object i meets a checkpoint, or a reopening, after step i.
	objs := make([]osd.ObjectID, 2*len(steps)+1)
	for i := range objs {
		objs[i] = b.next()
	}
	for stop := range objs {
		o := objs[stop]
		for i, s := range steps {
			b.do(txn(func(x *osd.Transaction) { s.add(x, o) }), s.name)
			b.ok(b.compareObject(o))
			switch stop {
			case i:
				b.ok(b.checkpoint())
			case i + len(steps):
				b.ok(b.reopen())
			}
			b.ok(b.compareObject(o))
		}
	}
	// All steps in one transaction.
	all := b.next()
	b.do(txn(func(x *osd.Transaction) {
		for _, s := range steps[:11] {
			s.add(x, all)
		}
	}))
	b.end()
}

// testFar writes where the model's flat bytes do not reach: a hole costs
// nothing.
func testFar(t *testing.T, f Factory) {
	b := open(t, f)
	const far = 1 << 40
	o := object(0)
	check := func() {
		t.Helper()
		s := b.h.Store
		st, err := s.Stat(b.ctx, c1, o)
		if err != nil || st.SizeBytes != far+5000 {
			t.Fatalf("stat %+v, %v; want %d bytes", st, err, uint64(far+5000))
		}
		for _, r := range []struct {
			off  uint64
			n    int
			want []byte
		}{
			{0, 10, fill(1, 10)},
			{10, 100, make([]byte, 100)},
			{1 << 39, 100000, make([]byte, 100000)},
			{far - 100, 200, append(make([]byte, 100), fill(2, 100)...)},
			{far, 6000, fill(2, 5000)},
			{far + 5000, 10, nil},
			{1 << 43, 10, nil},
		} {
			p := make([]byte, r.n)
			n, err := s.Read(b.ctx, c1, o, r.off, p)
			if err != nil || n != len(r.want) || string(p[:n]) != string(r.want) {
				t.Fatalf("read %d~%d: %d bytes, %v; want %d", r.off, r.n, n, err, len(r.want))
			}
		}
		es, err := s.Fiemap(b.ctx, c1, o, 0, far+5000)
		var total uint64
		for _, e := range es {
			total += e.Len
		}
		if err != nil || len(es) < 2 || total > 4<<20 {
			t.Fatalf("fiemap %v, %v: a hole of a TiB should not be in it", es, err)
		}
	}
	apply := func(x *osd.Transaction) {
		t.Helper()
		b.ok(osd.Apply(b.ctx, b.h.Store, x))
	}
	apply(txn(func(x *osd.Transaction) {
		x.Write(c1, o, 0, fill(1, 10))
		x.Write(c1, o, far, fill(2, 5000))
	}))
	check()
	b.ok(b.checkpoint())
	check()
	b.ok(b.reopen())
	check()
	apply(txn(func(x *osd.Transaction) { x.Zero(c1, o, 4096, far-4096) }))
	check()
	apply(txn(func(x *osd.Transaction) {
		x.Truncate(c1, o, 10)
		x.Truncate(c1, o, far+5000)
		x.Write(c1, o, far, fill(2, 5000))
	}))
	check()
	// Offsets whose end does not exist.
	for name, x := range map[string]*osd.Transaction{
		"write":    txn(func(x *osd.Transaction) { x.Write(c1, o, ^uint64(0)-5, fill(0, 100)) }),
		"zero":     txn(func(x *osd.Transaction) { x.Zero(c1, o, 1, ^uint64(0)) }),
		"truncate": txn(func(x *osd.Transaction) { x.Truncate(c1, o, ^uint64(0)) }),
	} {
		if err := b.h.Store.Queue(b.ctx, x, nil, nil); !isAny(err, osd.ErrTooLarge, osd.ErrInvalid) {
			t.Errorf("%s behind the largest offset: %v", name, err)
		}
	}
	check()
	apply(txn(func(x *osd.Transaction) { x.Remove(c1, o) }))
	b.end()
}

// testReads reads all sorts of ranges of one object with holes.
func testReads(t *testing.T, f Factory) {
	b := open(t, f)
	o := b.next()
	b.do(txn(func(x *osd.Transaction) {
		x.Write(c1, o, 100, fill(1, 5000))
		x.Write(c1, o, 20480, fill(2, 8192))
		x.Write(c1, o, 65537, fill(3, 200000))
		x.Truncate(c1, o, 300000)
	}))
	for range 2 {
		m := b.m.objs[o]
		for _, off := range edges {
			for _, n := range edges {
				if err := b.compareData(c1, o, m, off, n); err != nil {
					t.Fatal(err)
				}
				if err := b.compareFiemap(c1, o, m, off, n); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.ok(b.compareFiemap(c1, o, m, 5000, 1<<60))
		b.ok(b.checkpoint())
	}
	b.end()
}
