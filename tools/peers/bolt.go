package main

import (
	"math"
	"path/filepath"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"ebofs/tools/bench/group"
)

const boltSetting = "v1.5 on ext4; the free list is not written (its default writes it with every commit); what waits is one Update, as by Batch but without its delay; " +
	"file mapped at once for the whole device; opened read-only when cold, since opening for writes reads all of it; the page cache has no budget"

var bucket = []byte("b")

type bolt struct {
	db    *bbolt.DB
	bytes int // of a value
	group.Group
}

func openBolt(o setup) (backend, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(o.dir, &st); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(filepath.Join(o.dir, "db"), 0o644, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, NoFreelistSync: true,
		InitialMmapSize: int(min(st.Blocks*uint64(st.Bsize), math.MaxInt)),
		ReadOnly:        o.cold,
	})
	if err != nil {
		return nil, err
	}
	b := &bolt{db: db, bytes: o.bytes}
	b.Group = group.Group{Commit: b.update, Max: 1024}
	if o.fresh {
		err = db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket(bucket)
			return err
		})
	}
	return b, err
}

func (b *bolt) update(batch []*group.Entry) error {
	return b.db.Update(func(tx *bbolt.Tx) error {
		bk := tx.Bucket(bucket)
		for _, e := range batch {
			k := keyOf(e.I)
			if err := bk.Put(k[:], e.V); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bolt) load(n uint64, value func(uint64, []byte)) error {
	b.db.NoSync = true
	defer func() { b.db.NoSync = false }()
	var batch []*group.Entry
	var size int
	for i := range n {
		v := make([]byte, b.bytes)
		value(i, v)
		batch, size = append(batch, &group.Entry{I: i, V: v}), size+len(v)
		if size >= 64<<20 || i == n-1 {
			if err := b.update(batch); err != nil {
				return err
			}
			batch, size = batch[:0], 0
		}
	}
	return nil
}

func (b *bolt) put(i uint64, v []byte) error { return b.Group.Put(i, v) }

func (b *bolt) get(i uint64, p []byte) error {
	return b.db.View(func(tx *bbolt.Tx) error {
		k := keyOf(i)
		v := tx.Bucket(bucket).Get(k[:])
		return short(copy(p, v), len(p), nil)
	})
}

func (b *bolt) scan(fn func([]byte) bool) error {
	return b.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		for k, v := c.First(); k != nil && fn(v); k, v = c.Next() {
		}
		return nil
	})
}

func (b *bolt) settle() error { return b.db.Sync() }
func (b *bolt) close() error  { return b.db.Close() }
