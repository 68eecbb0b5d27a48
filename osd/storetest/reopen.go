package storetest

import (
	"testing"

	"ebofs/osd"
)

// testReopen reopens after each of many steps, so that every kind of change is
// once the last one before a close and once the first one after an open.
func testReopen(t *testing.T, f Factory) {
	b := open(t, f)
	if b.h.Reopen == nil {
		b.shut()
		t.Skip("the store keeps nothing")
	}
	const o = 20
	b.do(txn(func(x *osd.Transaction) {
		x.Write(c1, object(o), 0, fill(1, 100000))
		x.SetAttrs(c1, object(o), map[string][]byte{"a": fill(2, 20), "c": fill(3, 9000)})
		x.OmapSet(c1, object(o), map[string][]byte{"old": fill(4, 40), "zz": nil})
		x.OmapSetHeader(c1, object(o), fill(5, 50))
	}))
	for name, op := range objectOps(object(o)) {
		b.do(txn(op), name)
		for i := range 2 {
			if err := b.reopen(); err != nil {
				t.Fatalf("%s, reopened %d times: %v", name, i+1, err)
			}
			if err := b.compareAll(); err != nil {
				t.Fatalf("%s, reopened %d times: %v", name, i+1, err)
			}
		}
		b.do(txn(func(x *osd.Transaction) {
			x.Touch(c1, object(o))
			x.Touch(c1, object(999))
			x.Remove(c1, object(999))
		}))
	}
	b.do(txn(func(x *osd.Transaction) {
		x.Remove(c1, object(o))
		x.RmColl(c1)
	}))
	b.end()
}

// testClosed uses a store that was closed.
func testClosed(t *testing.T, f Factory) {
	b := open(t, f)
	o := b.next()
	b.do(txn(func(x *osd.Transaction) { x.Write(c1, o, 0, fill(1, 10)) }))
	b.shut()
	s, ctx := b.h.Store, b.ctx
	called := func() { t.Error("a closed store reported a transaction") }
	_, _, listed := s.List(ctx, c1, nil, nil, 1)
	for name, err := range map[string]error{
		"queue":       s.Queue(ctx, txn(func(x *osd.Transaction) { x.Touch(c1, o) }), called, func(error) { called() }),
		"sync":        s.Sync(ctx),
		"read":        second(s.Read(ctx, c1, o, 0, make([]byte, 10))),
		"stat":        second(s.Stat(ctx, c1, o)),
		"attr":        second(s.Attr(ctx, c1, o, "_")),
		"attrs":       second(s.Attrs(ctx, c1, o)),
		"fiemap":      second(s.Fiemap(ctx, c1, o, 0, 10)),
		"omap header": second(s.OmapHeader(ctx, c1, o)),
		"omap get":    second(s.OmapGet(ctx, c1, o, []string{"k"})),
		"omap check":  second(s.OmapCheck(ctx, c1, o, []string{"k"})),
		"omap iter":   s.OmapIter(ctx, c1, o, "", "", func(string, []byte) bool { return true }),
		"list":        listed,
		"collections": second(s.Collections(ctx)),
		"collection":  second(s.Collection(ctx, c1)),
		"statfs":      second(s.Statfs(ctx)),
		"close":       s.Close(ctx),
	} {
		if !isAny(err, osd.ErrClosed) {
			t.Errorf("%s of a closed store: %v, want %v", name, err, osd.ErrClosed)
		}
	}
}
