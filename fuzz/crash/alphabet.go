package crash

import (
	"context"
	"fmt"

	"ebofs/fuzz/history"
	"ebofs/osd"
)

// Op is one letter of the alphabet: a transaction, or something done to the
// store between transactions.
type Op struct {
	Name string
	// Build returns the transaction; version makes its data unlike that of other
	// places in the list.
	Build func(version uint64) *osd.Transaction
	// Do is done instead of a transaction: a checkpoint, a wait.
	Do func(ctx context.Context, s Store) error
}

// The collections of the base. left and right are the halves of one range.
const (
	collMain  = osd.CollectionID("1.0_head")
	collSide  = osd.CollectionID("2.0_head")
	collLeft  = osd.CollectionID("3.0_head")
	collRight = osd.CollectionID("3.1_head")
	collFresh = osd.CollectionID("4.0_head") // not in the base
	collSplit = osd.CollectionID("1.1_head") // not in the base
)

func object(pool int64, hash uint32, name string) osd.ObjectID {
	return osd.ObjectID{Shard: -1, Pool: pool, Hash: hash, Name: name, Snap: 1<<64 - 2}
}

// The objects of the base, one for each way of being stored.
var (
	objTiny  = object(1, 0x10, "tiny")  // some bytes, inline
	objData  = object(1, 0x21, "data")  // 70,000 bytes, ends inside a block
	objBig   = object(1, 0x32, "big")   // 768 KiB in whole stripes
	objMeta  = object(1, 0x43, "meta")  // attrs, omap, header
	objSide  = object(2, 0x54, "side")  // alone in its collection
	objLeft  = object(3, 0x10, "left")  // even hash
	objRight = object(3, 0x21, "right") // odd hash
	objNew   = object(1, 0x76, "new")   // not in the base
)

// Alphabet is every operation the exhaustive workloads are made of.
var Alphabet = []Op{
	one("touch", func(t *osd.Transaction, v uint64) { t.Touch(collMain, objNew) }),
	write("create-inline", objNew, 0, 100),
	write("create-block", objNew, 0, 4096),
	write("create-unaligned", objNew, 1000, 70_001),
	write("create-stripes", objNew, 0, 256<<10),
	write("create-large", objNew, 5000, 1<<20),
	write("create-far", objNew, 1<<30, 4097),
	write("data-block", objData, 8192, 4096),
	write("data-unaligned", objData, 6001, 5000),
	write("data-append", objData, 70_000, 10_000),
	write("data-all", objData, 0, 128<<10),
	write("tiny-grow", objTiny, 50, 9000),
	write("tiny-patch", objTiny, 10, 20),
	write("big-stripe", objBig, 256<<10, 256<<10),
	write("big-overlap", objBig, 200_000, 300_001),
	one("data-zero", func(t *osd.Transaction, v uint64) { t.Zero(collMain, objData, 4096, 8192) }),
	one("data-zero-unaligned", func(t *osd.Transaction, v uint64) { t.Zero(collMain, objData, 3001, 9000) }),
	one("big-zero", func(t *osd.Transaction, v uint64) { t.Zero(collMain, objBig, 0, 512<<10) }),
	one("new-zero", func(t *osd.Transaction, v uint64) { t.Zero(collMain, objNew, 5000, 100_000) }),
	one("data-empty", func(t *osd.Transaction, v uint64) { t.Truncate(collMain, objData, 0) }),
	one("data-shorter", func(t *osd.Transaction, v uint64) { t.Truncate(collMain, objData, 5001) }),
	one("data-longer", func(t *osd.Transaction, v uint64) { t.Truncate(collMain, objData, 300_000) }),
	one("tiny-shorter", func(t *osd.Transaction, v uint64) { t.Truncate(collMain, objTiny, 10) }),
	one("tiny-remove", func(t *osd.Transaction, v uint64) { t.Remove(collMain, objTiny) }),
	one("data-remove", func(t *osd.Transaction, v uint64) { t.Remove(collMain, objData) }),
	one("big-remove", func(t *osd.Transaction, v uint64) { t.Remove(collMain, objBig) }),
	one("meta-remove", func(t *osd.Transaction, v uint64) { t.Remove(collMain, objMeta) }),
	one("setattr", func(t *osd.Transaction, v uint64) { t.SetAttr(collMain, objTiny, "one", bytes20(v)) }),
	one("setattrs", func(t *osd.Transaction, v uint64) { t.SetAttrs(collMain, objMeta, history.Values("attr", 20, 300, v)) }),
	one("setattr-large", func(t *osd.Transaction, v uint64) {
		t.SetAttr(collMain, objData, "large", history.Tagged(objData, 0, v, 20_000))
	}),
	one("rmattr", func(t *osd.Transaction, v uint64) { t.RmAttr(collMain, objMeta, "attr0003") }),
	one("rmattrs", func(t *osd.Transaction, v uint64) { t.RmAttrs(collMain, objMeta) }),
	one("omap-few", func(t *osd.Transaction, v uint64) { t.OmapSet(collMain, objTiny, history.Values("key", 3, 30, v)) }),
	one("omap-many", func(t *osd.Transaction, v uint64) { t.OmapSet(collMain, objMeta, history.Values("key", 100, 100, v)) }),
	one("omap-large", func(t *osd.Transaction, v uint64) {
		t.OmapSet(collMain, objMeta, map[string][]byte{"large": history.Tagged(objMeta, 0, v, 10_000)})
	}),
	one("omap-rm", func(t *osd.Transaction, v uint64) {
		t.OmapRm(collMain, objMeta, []string{"key0001", "key0002", "missing"})
	}),
	one("omap-rmrange", func(t *osd.Transaction, v uint64) { t.OmapRmRange(collMain, objMeta, "key0010", "key0030") }),
	one("omap-clear", func(t *osd.Transaction, v uint64) { t.OmapClear(collMain, objMeta) }),
	one("omap-header", func(t *osd.Transaction, v uint64) { t.OmapSetHeader(collMain, objMeta, bytes20(v)) }),
	one("hint", func(t *osd.Transaction, v uint64) { t.SetAllocHint(collMain, objNew, 4<<20, 4096, 1) }),
	one("rename", func(t *osd.Transaction, v uint64) { t.Rename(collMain, objData, objNew) }),
	one("clone", func(t *osd.Transaction, v uint64) { t.Clone(collMain, objData, objNew) }),
	one("clone-over", func(t *osd.Transaction, v uint64) { t.Clone(collMain, objBig, objData) }),
	one("clone-range", func(t *osd.Transaction, v uint64) { t.CloneRange(collMain, objBig, objTiny, 8292, 150_000, 100) }),
	one("mkcoll", func(t *osd.Transaction, v uint64) {
		t.MkColl(collFresh, osd.CollectionSpec{Shard: -1, Pool: 4})
	}),
	one("rmcoll", func(t *osd.Transaction, v uint64) {
		t.Remove(collSide, objSide)
		t.RmColl(collSide)
	}),
	one("split", func(t *osd.Transaction, v uint64) { t.SplitColl(collMain, 1, 1, collSplit) }),
	one("merge", func(t *osd.Transaction, v uint64) { t.MergeColl(collRight, collLeft, 0) }),
	one("renamecoll", func(t *osd.Transaction, v uint64) { t.RenameColl(collSide, collFresh) }),
	one("osd-write", func(t *osd.Transaction, v uint64) {
		t.Write(collMain, objBig, 12_288, history.Tagged(objBig, 12_288, v, 8192))
		t.SetAttrs(collMain, objBig, history.Values("_", 2, 250, v))
		t.OmapSet(collMain, objMeta, history.Values(fmt.Sprintf("log%04d.", v), 2, 180, v))
	}),
	one("two-collections", func(t *osd.Transaction, v uint64) {
		t.Write(collMain, objNew, 0, history.Tagged(objNew, 0, v, 20_000))
		t.Remove(collSide, objSide)
		t.SetAttr(collLeft, objLeft, "moved", bytes20(v))
	}),
	{Name: "checkpoint", Do: func(ctx context.Context, s Store) error { return s.Checkpoint(ctx) }},
	{Name: remount},
	{Name: "sync", Do: func(ctx context.Context, s Store) error { return s.Sync(ctx) }},
}

// remount is the Op that closes the store and opens it again.
const remount = "remount"

// one returns an Op of one transaction.
func one(name string, build func(t *osd.Transaction, version uint64)) Op {
	return Op{Name: name, Build: func(version uint64) *osd.Transaction {
		t := new(osd.Transaction)
		build(t, version)
		return t
	}}
}

// write returns an Op that writes n bytes at off of an object in collMain.
func write(name string, id osd.ObjectID, off uint64, n int) Op {
	return one(name, func(t *osd.Transaction, v uint64) {
		t.Write(collMain, id, off, history.Tagged(id, off, v, n))
	})
}

// bytes20 returns a short value that names its version.
func bytes20(version uint64) []byte { return fmt.Appendf(nil, "version %12d", version) }
