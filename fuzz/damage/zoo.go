package damage

import (
	"context"
	"fmt"

	"ebofs/devices"
	"ebofs/fuzz/engine"
	"ebofs/fuzz/history"
	"ebofs/osd"
)

// deviceBytes is the size of the zoo's device: the least on which the label has a
// copy. What is not written costs nothing.
const deviceBytes = 1100 << 20

var options = engine.Options{LogBytes: 4 << 20}

const coll = osd.CollectionID("1.0_head")

func object(name string, n int) osd.ObjectID {
	return osd.ObjectID{Shard: -1, Pool: 1, Hash: uint32(n) * 0x9e3779b1, Name: fmt.Sprint(name, n), Snap: 1<<64 - 2}
}

// The objects of the zoo: enough small ones for a second leaf, and one with many
// extents, attrs and omap keys each.
const (
	inlines = 24
	sparse  = 330 // pieces, each in a record of the extents tree of its own
)

var (
	objSparse, objAttrs, objOmap, objData = object("sparse", 1), object("attrs", 2), object("omap", 3), object("data", 4)
	objSource, objClone, objPart          = object("source", 5), object("clone", 6), object("part", 7)
)

// contents returns the transactions that fill the zoo, for a version of all
// values.
func contents(version uint64) []*osd.Transaction {
	t := new(osd.Transaction)
	for n := range inlines {
		id := object("inline", n)
		t.Write(coll, id, 0, history.Tagged(id, 0, version, 1500))
	}
	t.Write(coll, objData, 0, history.Tagged(objData, 0, version, 150_000))
	u := new(osd.Transaction)
	for k := range sparse {
		off := uint64(k) * (256 << 10)
		u.Write(coll, objSparse, off, history.Tagged(objSparse, off, version, 700))
	}
	u.SetAttrs(coll, objAttrs, history.Values("attr", 24, 700, version))
	u.SetAttr(coll, objAttrs, "long", history.Tagged(objAttrs, 0, version, 17_000))
	v := new(osd.Transaction)
	v.OmapSet(coll, objOmap, history.Values("key", 200, 200, version))
	v.OmapSet(coll, objOmap, map[string][]byte{"long": history.Tagged(objOmap, 0, version, 13_000)})
	v.OmapSetHeader(coll, objOmap, history.Tagged(objOmap, 0, version, 50))
	w := new(osd.Transaction)
	w.Write(coll, objSource, 0, history.Tagged(objSource, 0, version, 100_000))
	w.Clone(coll, objSource, objClone)
	w.CloneRange(coll, objSource, objPart, 40_960, 50_000, 8192)
	w.Write(coll, objClone, 20_000, history.Tagged(objClone, 20_000, version, 9000))
	return []*osd.Transaction{t, u, v, w}
}

// touches returns one transaction for every object that changes a little of
// everything it has: the next state of the zoo.
func touches() []*osd.Transaction {
	var ts []*osd.Transaction
	change := func(id osd.ObjectID, f func(t *osd.Transaction)) {
		t := new(osd.Transaction)
		f(t)
		t.SetAttr(coll, id, "touched", []byte("yes"))
		ts = append(ts, t)
	}
	for n := range inlines {
		id := object("inline", n)
		change(id, func(t *osd.Transaction) { t.Write(coll, id, 700, history.Tagged(id, 700, 9, 100)) })
	}
	change(objData, func(t *osd.Transaction) { t.Write(coll, objData, 5000, history.Tagged(objData, 5000, 9, 9000)) })
	change(objSparse, func(t *osd.Transaction) {
		for k := 3; k < sparse; k += 60 {
			off := uint64(k)*(256<<10) + 100
			t.Write(coll, objSparse, off, history.Tagged(objSparse, off, 9, 200))
		}
	})
	for _, id := range []osd.ObjectID{objSource, objClone, objPart} {
		change(id, func(t *osd.Transaction) { t.Write(coll, id, 30_000, history.Tagged(id, 30_000, 9, 3000)) })
	}
	change(objAttrs, func(t *osd.Transaction) { t.RmAttr(coll, objAttrs, "attr0003") })
	change(objOmap, func(t *osd.Transaction) {
		t.OmapSet(coll, objOmap, map[string][]byte{"key0100": []byte("new"), "zzz": []byte("z")})
	})
	return ts
}

// zoo is the store whose images are damaged. It does not change.
type zoo struct {
	options engine.Options
	unclean bool
	mem     *devices.Mem
	older   *devices.Mem     // as it was some checkpoints ago
	hist    *history.History // its last step is what mem holds
	next    history.Picture  // after all touches
	rows    map[string][]run // blocks by class
	before  map[string][]run // likewise, of older
}

// newZoo makes the zoo. An unclean one has its last transactions in the log.
func newZoo(ctx context.Context, options engine.Options, unclean bool) (*zoo, error) {
	mem := devices.NewMem(devices.MemOptions{Blocks: deviceBytes / devices.BlockSize})
	if err := engine.Format(ctx, open{mem}, options); err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	s, err := engine.Open(ctx, open{mem}, options)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	z := &zoo{options: options, unclean: unclean, hist: history.New()}
	do := func(ts ...*osd.Transaction) error {
		for _, t := range ts {
			if err := osd.Apply(ctx, s, t); err != nil {
				return err
			}
			if err := z.hist.Submit(ctx, t); err != nil {
				return err
			}
		}
		return nil
	}
	t := new(osd.Transaction)
	t.MkColl(coll, osd.CollectionSpec{Shard: -1, Pool: 1})
	for i := range 60 {
		t.MkColl(osd.CollectionID(fmt.Sprintf("%d.0_head", i+2)), osd.CollectionSpec{Shard: -1, Pool: int64(i + 2)})
	}
	if err := do(t); err != nil {
		return nil, err
	}
	for version := range uint64(3) { // the checkpoints before last write where the last will again
		if err := do(contents(version)...); err != nil {
			return nil, err
		}
		if err := s.Checkpoint(ctx); err != nil {
			return nil, err
		}
		if version == 1 {
			z.older = mem.Snapshot()
		}
	}
	z.hist.Base()
	if unclean {
		if err := do(touches()[:8]...); err != nil {
			return nil, err
		}
		z.mem = mem.Snapshot()
		if err := s.Close(ctx); err != nil {
			return nil, err
		}
	} else {
		if err := s.Close(ctx); err != nil {
			return nil, err
		}
		z.mem = mem.Snapshot()
	}
	if z.rows, err = classify(ctx, z.mem, unclean); err != nil {
		return nil, fmt.Errorf("classify: %w", err)
	}
	if z.before, err = classify(ctx, z.older, false); err != nil {
		return nil, fmt.Errorf("classify the older: %w", err)
	}
	z.next, err = z.nextPicture(ctx)
	return z, err
}

// nextPicture returns what the zoo is after all touches.
func (z *zoo) nextPicture(ctx context.Context) (history.Picture, error) {
	mem := open{z.mem.Snapshot()}
	s, err := engine.Open(ctx, mem, z.options)
	if err != nil {
		return nil, err
	}
	for _, t := range touches() {
		if err := osd.Apply(ctx, s, t); err != nil {
			return nil, err
		}
	}
	pic, err := history.Draw(ctx, s, history.Options{})
	if err != nil {
		return nil, err
	}
	return pic, s.Close(ctx)
}

// open is a device that its user leaves open.
type open struct{ devices.Device }

// Close leaves the device open.
func (open) Close() error { return nil }
