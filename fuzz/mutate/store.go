package mutate

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

// DeviceBytes is the size of every store here: little more than the least.
const DeviceBytes = 48 << 20

// Coll is the collection with the objects.
const Coll = ebofs.CollectionID("c")

// Object names an object of the stores.
func Object(n int) ebofs.ObjectID { return ebofs.NewObjectID(1, fmt.Sprintf("object %03d", n)) }

// Objects is how many there are, and Big the one with attributes, omap keys and
// extents enough for trees of two levels.
const (
	Objects = 60
	Big     = 1
)

// Store is a store on a device, and its places.
type Store struct {
	Mem   *devices.Mem
	Bytes uint64 // of its places

	classes []string
	places  map[string][]int
	all     []place
}

// Stores returns a store that was closed, and one whose log holds its last changes.
// They do not change, and are made once.
var Stores = sync.OnceValues(func() ([]*Store, error) {
	var list []*Store
	for _, unclean := range []bool{false, true} {
		mem, err := build(unclean)
		if err != nil {
			return nil, err
		}
		s := &Store{Mem: mem, places: make(map[string][]int)}
		if err := s.find(unclean); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
})

// Open is a device that its user leaves open.
type Open struct{ devices.Device }

// Close leaves the device open.
func (Open) Close() error { return nil }

// Options are those of every store here: one goroutine, and a clock that stands.
func Options() ebofs.Options {
	return ebofs.Options{Inline: true, MemoryBytes: 64 << 20, Now: noon}
}

func noon() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

func build(unclean bool) (*devices.Mem, error) {
	ctx := context.Background()
	mem := devices.NewMem(devices.MemOptions{Blocks: DeviceBytes / devices.BlockSize})
	_, err := ebofs.Format(ctx, Open{mem}, ebofs.FormatOptions{UUID: [16]byte{1}, DeviceUUID: [16]byte{2}, LogBytes: 4 << 20, Now: noon, Label: "fuzz"})
	if err != nil {
		return nil, err
	}
	s, err := ebofs.Open(ctx, Open{mem}, Options())
	if err != nil {
		return nil, err
	}
	for _, x := range contents() {
		if err := s.Apply(ctx, x); err != nil {
			return nil, err
		}
	}
	if err := s.Checkpoint(ctx); err != nil {
		return nil, err
	}
	for _, x := range changes() {
		if err := s.Apply(ctx, x); err != nil {
			return nil, err
		}
	}
	if unclean {
		return mem.Snapshot(), nil // as a crash now would leave it
	}
	return mem, s.Close(ctx)
}

func text(n int) []byte { return []byte(strings.Repeat("0123456789abcdef", n/16+1)[:n]) }

// contents fills the trees: collections, inline objects, placed data, two levels of
// attributes, omap and extents, values with blocks of their own.
func contents() (xs []*ebofs.Txn) {
	add := func(fn func(x *ebofs.Txn)) {
		x := ebofs.NewTxn()
		fn(x)
		xs = append(xs, x)
	}
	add(func(x *ebofs.Txn) {
		x.MkColl(Coll, ebofs.CollSpec{Shard: layout.NoShard, Pool: 1})
		for i := range 80 {
			x.MkColl(ebofs.CollectionID(fmt.Sprint("other", i)), ebofs.CollSpec{Shard: layout.NoShard, Pool: int64(i + 2)})
		}
		for i := range Objects {
			x.Write(Coll, Object(i), 0, text(100+i*25))
		}
	})
	add(func(x *ebofs.Txn) {
		for i := range 150 {
			x.SetAttr(Coll, Object(Big), fmt.Sprintf("attr%03d", i), text(300))
		}
		x.SetAttr(Coll, Object(Big), "long", text(20_000))
		kv := map[string][]byte{"long": text(20_000)}
		for i := range 300 {
			kv[fmt.Sprintf("key%04d", i)] = text(100)
		}
		x.OmapSet(Coll, Object(Big), kv)
		x.OmapSetHeader(Coll, Object(Big+1), text(40_000))
		for i := range 350 {
			x.Write(Coll, Object(Big), uint64(i)*300_000, text(700))
		}
		x.Write(Coll, Object(Big+2), 0, text(600_000))
	})
	return xs
}

// changes are what the unclean store has in its log.
func changes() (xs []*ebofs.Txn) {
	x := ebofs.NewTxn()
	x.Clone(Coll, Object(Big+2), Object(900))
	x.CloneRange(Coll, Object(Big+2), Object(901), 4096, 100_000, 0)
	y := ebofs.NewTxn()
	y.Write(Coll, Object(5), 10, text(3000))
	y.Write(Coll, Object(902), 0, text(300_000))
	y.SetAttr(Coll, Object(6), "late", text(50))
	y.OmapSet(Coll, Object(Big), map[string][]byte{"key0100": text(3), "zzz": nil})
	y.OmapRmRange(Coll, Object(Big), "key0010", "key0020")
	z := ebofs.NewTxn()
	z.Rename(Coll, Object(7), Object(903))
	z.Remove(Coll, Object(8))
	z.Truncate(Coll, Object(Big), 100_000_000)
	z.Zero(Coll, Object(Big+2), 5000, 70_000)
	return []*ebofs.Txn{x, y, z}
}

// read returns a copy of blocks.
func read(dev devices.Device, start, blocks uint64) ([]byte, error) {
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	f := pool.Get(int(blocks) * devices.BlockSize)
	defer f.Release()
	err := dev.Read(context.Background(), devices.Block(start), devices.Vec{f.Bytes()})
	return bytes.Clone(f.Bytes()), err
}

func write(dev devices.Device, start uint64, p []byte) error {
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	f := pool.Get(len(p))
	defer f.Release()
	copy(f.Bytes(), p)
	return dev.Write(context.Background(), devices.Block(start), devices.Vec{f.Bytes()})
}
