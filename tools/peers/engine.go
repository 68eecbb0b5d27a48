package main

import (
	"context"
	"errors"
	"sync"

	"ebofs/devices"
	"ebofs/ebofs"
)

const (
	coll     ebofs.CollectionID = "peers"
	logBytes                    = 256 << 20
)

// engine is the store of this project.
type engine struct {
	dev   *devices.File
	s     *ebofs.Store
	bytes int
	txns  sync.Pool
}

func openEngine(o setup) (_ backend, err error) {
	ctx := context.Background()
	e := &engine{bytes: o.bytes}
	e.txns.New = func() any { return ebofs.NewTxn() }
	if e.dev, err = devices.OpenFile(o.dev, devices.FileOptions{}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.dev.Close())
		}
	}()
	if o.fresh {
		f := ebofs.FormatOptions{Label: "peers", OSD: -1, LogBytes: min(logBytes, e.dev.Geometry().Bytes()/8)}
		if _, err := ebofs.Format(ctx, e.dev, f); err != nil {
			return nil, err
		}
	}
	if e.s, err = ebofs.Open(ctx, e.dev, ebofs.Options{MemoryBytes: o.memory, Warm: true}); err != nil {
		return nil, err
	}
	if o.fresh {
		t := ebofs.NewTxn()
		t.MkColl(coll, ebofs.CollSpec{Shard: -1, Pool: 1})
		err = e.s.Apply(ctx, t)
	}
	return e, err
}

func object(i uint64) ebofs.ObjectID {
	k := keyOf(i)
	return ebofs.NewObjectID(1, string(k[:]))
}

func (e *engine) load(n uint64, value func(uint64, []byte)) error {
	return spread(n, value, e.bytes, e.put)
}

func (e *engine) put(i uint64, v []byte) error {
	t := e.txns.Get().(*ebofs.Txn)
	t.Reset()
	t.Write(coll, object(i), 0, v)
	err := e.s.Apply(context.Background(), t)
	e.txns.Put(t)
	return err
}

func (e *engine) get(i uint64, p []byte) error {
	n, err := e.s.Read(context.Background(), coll, object(i), 0, p)
	return short(n, len(p), err)
}

func (e *engine) scan(fn func([]byte) bool) error {
	ctx, p := context.Background(), aligned(e.bytes)
	var start *ebofs.ObjectID
	for {
		list, next, err := e.s.List(ctx, coll, start, nil, 1024)
		if err != nil {
			return err
		}
		for _, id := range list {
			n, err := e.s.Read(ctx, coll, id, 0, p)
			if err = short(n, len(p), err); err != nil {
				return err
			}
			if !fn(p) {
				return nil
			}
		}
		if start = next; next == nil {
			return nil
		}
	}
}

func (e *engine) settle() error { return e.s.Checkpoint(context.Background()) }

func (e *engine) close() error {
	return errors.Join(e.s.Close(context.Background()), e.dev.Close())
}
