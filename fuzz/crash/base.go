package crash

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/fuzz/history"
	"ebofs/osd"
)

// base is a formatted, populated and cleanly closed store that workloads start
// from. It never changes.
type base struct {
	mem     *devices.Mem
	ballast *history.Collection // what fills the store; no workload touches it
	after   *history.Collection // what the operations after recovery leave
}

// The collections that no alphabet names: ballast fills the store, and the
// operations after a recovery use a fresh one.
const (
	collBallast = osd.CollectionID("ballast")
	collAfter   = osd.CollectionID("after")
)

// slackBytes is the least the ballast leaves free: enough for most operations,
// so little that freed extents are soon reused and some operations are refused.
const slackBytes = 1 << 20

// ballastBytes is the size of one ballast object.
const ballastBytes = 1 << 20

// setup returns the transactions that make the contents of the base.
func setup() []*osd.Transaction {
	t := new(osd.Transaction)
	t.MkColl(collMain, osd.CollectionSpec{Shard: -1, Pool: 1})
	t.MkColl(collSide, osd.CollectionSpec{Shard: -1, Pool: 2})
	t.MkColl(collLeft, osd.CollectionSpec{Shard: -1, Pool: 3, Bits: 1, Seed: 0})
	t.MkColl(collRight, osd.CollectionSpec{Shard: -1, Pool: 3, Bits: 1, Seed: 1})
	u := new(osd.Transaction)
	put := func(c osd.CollectionID, id osd.ObjectID, n int) {
		u.Write(c, id, 0, history.Tagged(id, 0, 0, n))
	}
	put(collMain, objTiny, 100)
	put(collMain, objData, 70_000)
	put(collMain, objBig, 768<<10)
	put(collSide, objSide, 5000)
	put(collLeft, objLeft, 300)
	put(collRight, objRight, 40_000)
	u.SetAttrs(collMain, objMeta, history.Values("attr", 8, 100, 0))
	u.OmapSet(collMain, objMeta, history.Values("key", 40, 60, 0))
	u.OmapSetHeader(collMain, objMeta, bytes20(0))
	return []*osd.Transaction{t, u}
}

// newBase formats a store and fills it.
func newBase(ctx context.Context, target *Target) (*base, error) {
	dev := crashdev.New(devices.NewMem(devices.MemOptions{Blocks: target.DeviceBytes / devices.BlockSize}))
	if err := target.Format(ctx, keepOpen{dev}); err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	s, err := target.Open(ctx, keepOpen{dev})
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	for _, t := range setup() {
		if err := osd.Apply(ctx, s, t); err != nil {
			return nil, fmt.Errorf("set up: %w", err)
		}
	}
	if err := fill(ctx, s, target.Ballast); err != nil {
		return nil, fmt.Errorf("ballast: %w", err)
	}
	pic, err := history.Draw(ctx, s, history.Options{})
	if err != nil {
		return nil, err
	}
	if err := s.Close(ctx); err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	b := &base{mem: dev.Snapshot(), ballast: pic[collBallast]}
	b.after, err = afterPicture(ctx)
	return b, err
}

// fill writes ballast until little is free, or limit bytes if that is not 0.
func fill(ctx context.Context, s Store, limit uint64) error {
	t := new(osd.Transaction)
	t.MkColl(collBallast, osd.CollectionSpec{Shard: -1, Pool: 9})
	if err := osd.Apply(ctx, s, t); err != nil {
		return err
	}
	for i, written := 0, uint64(0); limit == 0 || written < limit; i++ {
		if err := s.Checkpoint(ctx); err != nil {
			return err
		}
		st, err := s.Statfs(ctx)
		if err != nil {
			return err
		}
		if limit == 0 && st.FreeBytes < slackBytes+ballastBytes {
			return nil
		}
		t := new(osd.Transaction)
		id := object(9, uint32(i), fmt.Sprintf("ballast%d", i))
		t.Write(collBallast, id, 0, history.Tagged(id, 0, 0, ballastBytes))
		if err := osd.Apply(ctx, s, t); errors.Is(err, osd.ErrNoSpace) {
			return nil
		} else if err != nil {
			return err
		}
		written += ballastBytes
	}
	return nil
}

// keepOpen is a device that its user cannot close, so that the trace goes on.
type keepOpen struct{ *crashdev.Device }

// Close leaves the device open.
func (keepOpen) Close() error { return nil }

// mortal is a device that a store can be killed on: after kill it takes nothing.
type mortal struct {
	keepOpen
	dead atomic.Bool
}

var errKilled = errors.New("killed")

func (d *mortal) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	if d.dead.Load() {
		return errKilled
	}
	return d.keepOpen.Write(ctx, b, v)
}

func (d *mortal) Flush(ctx context.Context) error {
	if d.dead.Load() {
		return errKilled
	}
	return d.keepOpen.Flush(ctx)
}

// kill ends a store so that the trace has nothing of it and its memory is given back.
func (d *mortal) kill(ctx context.Context, s Store) {
	d.dead.Store(true)
	_ = s.Close(ctx) // it fails: the device is gone
}
