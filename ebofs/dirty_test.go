//go:build !race && !invariants

package ebofs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"ebofs/devices"
)

// TestDirtyFootprint compares what onodes that wait for a checkpoint are said to take of
// the heap with what they take, before it and while it has frozen them and writes.
func TestDirtyFootprint(t *testing.T) {
	const objects = 6000
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	info, snaps, block := bytes.Repeat([]byte{1}, 250), bytes.Repeat([]byte{2}, 35), make([]byte, blockSize)
	long := make([]byte, 2*inlineBytes)
	attrs := func(x *Txn, o ObjectID) {
		x.SetAttr(mainColl, o, "_", info)
		x.SetAttr(mainColl, o, "snapset", snaps)
	}
	for _, kind := range []struct {
		name   string
		fill   func(x *Txn, o ObjectID)
		before func(x *Txn, o ObjectID) // what was there at a mount
	}{
		{name: "empty", fill: func(x *Txn, o ObjectID) { x.Touch(mainColl, o) }},
		{name: "a block", fill: func(x *Txn, o ObjectID) { x.Write(mainColl, o, 0, block) }},
		{name: "a block and the attributes of a cluster", fill: func(x *Txn, o ObjectID) {
			x.Write(mainColl, o, 0, block)
			attrs(x, o)
		}},
		{name: "an omap of ten keys", fill: func(x *Txn, o ObjectID) {
			pairs := map[string][]byte{}
			for i := range 10 {
				pairs[fmt.Sprintf("key.%d", i)] = snaps
			}
			x.OmapSet(mainColl, o, pairs)
		}},
		{
			name:   "a block of an object that is there",
			fill:   func(x *Txn, o ObjectID) { x.Write(mainColl, o, 0, block) },
			before: func(x *Txn, o ObjectID) { x.Write(mainColl, o, 0, block) },
		},
		{
			name: "a block and attributes of one",
			fill: func(x *Txn, o ObjectID) {
				x.Write(mainColl, o, 0, block)
				attrs(x, o)
			},
			before: func(x *Txn, o ObjectID) {
				x.Write(mainColl, o, 0, block)
				attrs(x, o)
			},
		},
		{
			name:   "truncated",
			fill:   func(x *Txn, o ObjectID) { x.Truncate(mainColl, o, 0) },
			before: func(x *Txn, o ObjectID) { x.Write(mainColl, o, 1<<20-uint64(len(long)), long) },
		},
		{
			name:   "a hole across chunks",
			fill:   func(x *Txn, o ObjectID) { x.Zero(mainColl, o, 4096, 1<<20-8192) },
			before: func(x *Txn, o ObjectID) { x.Write(mainColl, o, 1<<20-uint64(len(long)), long) },
		},
	} {
		t.Run(kind.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image") // a device in RAM would be on the heap
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, 1<<30); err != nil {
				t.Fatal(err)
			}
			dev, err := devices.OpenFile(path, devices.FileOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer dev.Close()
			held := &heldFlush{Device: dev}
			o := quiet()
			o.DirectFrom = 1
			s := newStore(t, held, FormatOptions{LogBytes: 256 << 20}, o)
			defer func() { closeStore(t, s) }()
			all := func(change func(x *Txn, o ObjectID)) {
				for i := 0; i < objects; i += 10 {
					apply(t, s, func(x *Txn) {
						for j := range 10 {
							change(x, oid(fmt.Sprintf("object.%08d", i+j)))
						}
					})
				}
			}
			if kind.before != nil {
				all(kind.before)
				closeStore(t, s)
				s = open(t, held, o)
			}
			before := heap()
			all(kind.fill)
			w := s.dirty.pressure()
			said := w.inHeap()
			if w.onodes != objects || s.Metrics().Checkpoints > 0 {
				t.Fatalf("%d onodes wait after %d checkpoints", w.onodes, s.Metrics().Checkpoints)
			}
			live := heap() - before
			frozen := int64(0)
			held.flush = func() { frozen = max(frozen, heap()-before) }
			mustCheckpoint(t, s)
			held.flush = nil
			t.Logf("an object: %d bytes, %d while it is written, said to be %d", live/objects, frozen/objects, said/objects)
			if max(live, frozen) > said*5/4 || said > 3*live {
				t.Errorf("%d bytes wait, %d while they are written; said to be %d", live, frozen, said)
			}
		})
	}
}

// heldFlush calls flush before each.
type heldFlush struct {
	devices.Device
	flush func()
}

func (d *heldFlush) Flush(ctx context.Context) error {
	if d.flush != nil {
		d.flush()
	}
	return d.Device.Flush(ctx)
}
