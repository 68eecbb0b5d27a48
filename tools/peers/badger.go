package main

import (
	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"ebofs/tools/bench/group"
)

const badgerSetting = "v4.9 on ext4; values of 1 KiB and more in the value log, which here costs less than its default of 1 MiB and whose garbage nobody collects in so short a time; no compression as the values are noise, and so no block cache, as its manual says: tables are mapped, the page cache has no budget; " +
	"what waits is one transaction, since each of its own is synced by itself; SyncWrites; read-ahead of the device is off for small values except in scans, or each sync of the mapped log would write up to 1 MiB, and as large as a value for large ones; settled by Close and Open, which flush the memtable"

type badg struct {
	db    *badger.DB
	opt   badger.Options
	bytes int
	group.Group
}

func openBadger(o setup) (backend, error) {
	opt := badger.DefaultOptions(o.dir + "/db").WithSyncWrites(true).WithValueThreshold(1 << 10).WithLogger(nil).
		WithCompression(options.None).WithBlockCacheSize(0).
		WithNumVersionsToKeep(1).WithDetectConflicts(false).WithMetricsEnabled(false)
	b := &badg{opt: opt, bytes: o.bytes}
	// A transaction holds at most 15 % of a memtable.
	b.Group = group.Group{Commit: b.update, Max: max(1, min(1024, int(opt.MemTableSize)/8/(o.bytes+1024)))}
	var err error
	b.db, err = badger.Open(opt)
	return b, err
}

func (b *badg) update(batch []*group.Entry) error {
	tx := b.db.NewTransaction(true)
	defer tx.Discard()
	for _, e := range batch {
		k := keyOf(e.I)
		if err := tx.Set(k[:], e.V); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (b *badg) load(n uint64, value func(uint64, []byte)) error {
	w := b.db.NewWriteBatch()
	defer w.Cancel()
	for i := range n {
		k, v := keyOf(i), make([]byte, b.bytes)
		value(i, v)
		if err := w.Set(k[:], v); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return b.db.Flatten(2)
}

func (b *badg) put(i uint64, v []byte) error { return b.Group.Put(i, v) }

func (b *badg) get(i uint64, p []byte) error {
	return b.db.View(func(tx *badger.Txn) error {
		k := keyOf(i)
		it, err := tx.Get(k[:])
		if err != nil {
			return err
		}
		return it.Value(func(v []byte) error { return short(copy(p, v), len(p), nil) })
	})
}

func (b *badg) scan(fn func([]byte) bool) error {
	return b.db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			more := true
			if err := it.Item().Value(func(v []byte) error { more = fn(v); return nil }); err != nil || !more {
				return err
			}
		}
		return nil
	})
}

func (b *badg) settle() (err error) {
	if err := b.db.Close(); err != nil {
		return err
	}
	b.db, err = badger.Open(b.opt)
	return err
}

func (b *badg) close() error { return b.db.Close() }
