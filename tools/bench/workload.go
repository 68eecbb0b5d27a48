package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"ebofs/ebofs"
)

const (
	objectBytes = 4 << 20
	smallBytes  = 4 << 10

	pairKey   = 16 // a pair is 100 bytes
	pairValue = 84
	batch     = 16     // pairs set by one call
	iterate   = 1000   // pairs read by one call of omap_iter
	hotPairs  = 10_000 // of each object that omap_get and omap_iter read
	hotMaps   = 16
	setMaps   = 64
	ranges    = 10      // objects for omap_rmrange at least
	rangeKeys = 100_000 // of each at most
)

// workload is one thing to measure.
type workload struct {
	name   string
	depths []int // unless the options say others
	raw    raw
	cold   bool // open the store with the least memory, so that data is not cached
	writes bool // end each slice with a checkpoint
	sets   string
	// prepare, if set, is called before each slice, unmeasured.
	prepare func(b *bench, ctx context.Context, depth int) error
	// caller returns the calls of one caller.
	caller func(b *bench, rng *rand.Rand) call
}

var (
	smallDepths = []int{1, 16, 64}
	deepDepths  = []int{16, 64}
	largeDepths = []int{1, 16}
)

// workloads is the table of all, in the order they run.
func workloads() []workload {
	set := rawCommit
	set.ops = batch
	return []workload{
		{name: "write4k", depths: smallDepths, raw: rawCommit, writes: true, sets: "a", caller: (*bench).write4k},
		{name: "group4k", depths: deepDepths, raw: rawGroup, writes: true, sets: "a", caller: (*bench).write4k},
		{name: "randread4k", depths: smallDepths, raw: rawRead, cold: true, sets: "a", caller: (*bench).randRead4k},
		{name: "write4m", depths: largeDepths, raw: rawWrite4M, writes: true, sets: "b", caller: (*bench).write4m},
		{name: "read4m", depths: largeDepths, raw: rawRead4M, cold: true, sets: "b", caller: (*bench).read4m},
		{name: "create", depths: smallDepths, raw: rawCommit, writes: true, caller: (*bench).create},
		{name: "omap_set", depths: largeDepths, raw: set, writes: true, caller: (*bench).omapSet},
		{name: "omap_get", depths: largeDepths, raw: rawRead, prepare: (*bench).hotOmap, caller: (*bench).omapGet},
		{name: "omap_iter", depths: largeDepths, raw: rawRead, prepare: (*bench).hotOmap, caller: (*bench).omapIter},
		{name: "omap_rmrange", depths: []int{1}, raw: rawCommit, writes: true, prepare: (*bench).fillRanges, caller: (*bench).omapRmRange},
	}
}

// Workloads returns the names of all workloads in the order they run.
func Workloads() []string {
	var names []string
	for _, w := range workloads() {
		names = append(names, w.name)
	}
	return names
}

const coll ebofs.CollectionID = "bench"

func object(kind string, n uint64) ebofs.ObjectID {
	return ebofs.NewObjectID(1, fmt.Sprintf("%s.%08d", kind, n))
}

// write4k overwrites 4 KiB somewhere in set a and waits until it is durable.
func (b *bench) write4k(rng *rand.Rand) call {
	data := noise(rng, smallBytes)
	t := ebofs.NewTxn()
	return func(ctx context.Context) (int, int64, error) {
		t.Reset()
		off := rng.Uint64N(objectBytes/smallBytes) * smallBytes
		t.Write(coll, b.a[rng.IntN(len(b.a))], off, data)
		return 1, smallBytes, b.store.Apply(ctx, t)
	}
}

func (b *bench) randRead4k(rng *rand.Rand) call {
	p := make([]byte, smallBytes)
	return func(ctx context.Context) (int, int64, error) {
		off := rng.Uint64N(objectBytes/smallBytes) * smallBytes
		n, err := b.store.Read(ctx, coll, b.a[rng.IntN(len(b.a))], off, p)
		return 1, int64(n), whole(n, len(p), err)
	}
}

// write4m replaces the objects of set b one after the other.
func (b *bench) write4m(rng *rand.Rand) call {
	data := noise(rng, objectBytes)
	t := ebofs.NewTxn()
	return func(ctx context.Context) (int, int64, error) {
		t.Reset()
		t.Write(coll, b.b[b.next.Add(1)%uint64(len(b.b))], 0, data)
		return 1, objectBytes, b.store.Apply(ctx, t)
	}
}

func (b *bench) read4m(rng *rand.Rand) call {
	p := make([]byte, objectBytes)
	return func(ctx context.Context) (int, int64, error) {
		n, err := b.store.Read(ctx, coll, b.b[rng.IntN(len(b.b))], 0, p)
		return 1, int64(n), whole(n, len(p), err)
	}
}

// create makes an empty object with the attributes a cluster gives one.
func (b *bench) create(rng *rand.Rand) call {
	info, snaps := noise(rng, 250), noise(rng, 35)
	t := ebofs.NewTxn()
	return func(ctx context.Context) (int, int64, error) {
		t.Reset()
		o := object("new", b.created.Add(1))
		t.Touch(coll, o)
		t.SetAttr(coll, o, "_", info)
		t.SetAttr(coll, o, "snapset", snaps)
		return 1, int64(len(info) + len(snaps)), b.store.Apply(ctx, t)
	}
}

// omapSet adds pairs under new keys to one of a few objects.
func (b *bench) omapSet(rng *rand.Rand) call {
	value := noise(rng, pairValue)
	t := ebofs.NewTxn()
	return func(ctx context.Context) (int, int64, error) {
		t.Reset()
		pairs := make(map[string][]byte, batch)
		for range batch {
			pairs[fmt.Sprintf("%016x", rng.Uint64())] = value
		}
		t.OmapSet(coll, object("set", rng.Uint64N(setMaps)), pairs)
		return batch, batch * (pairKey + pairValue), b.store.Apply(ctx, t)
	}
}

func (b *bench) omapGet(rng *rand.Rand) call {
	var val []byte
	return func(ctx context.Context) (int, int64, error) {
		key := []byte(pairName(rng.IntN(hotPairs)))
		var err error
		val, _, err = b.store.OmapValue(ctx, coll, object("hot", rng.Uint64N(hotMaps)), key, val[:0])
		return 1, pairKey + pairValue, whole(len(val), pairValue, err)
	}
}

func (b *bench) omapIter(rng *rand.Rand) call {
	return func(ctx context.Context) (int, int64, error) {
		n := 0
		err := b.store.OmapIter(ctx, coll, object("hot", rng.Uint64N(hotMaps)), pairName(rng.IntN(hotPairs-iterate)), "",
			func(_, _ []byte) bool { n++; return n < iterate })
		return n, int64(n) * (pairKey + pairValue), whole(n, iterate, err)
	}
}

// omapRmRange empties the objects fillRanges made.
func (b *bench) omapRmRange(*rand.Rand) call {
	t := ebofs.NewTxn()
	return func(ctx context.Context) (int, int64, error) {
		n := b.ranges.next.Add(1)
		if n > b.ranges.end {
			return 0, 0, errExhausted
		}
		t.Reset()
		t.OmapRmRange(coll, object("range", n), pairName(0), "")
		return 1, int64(b.ranges.keys) * (pairKey + pairValue), b.store.Apply(ctx, t)
	}
}

// rangeState numbers the objects omap_rmrange has used up.
type rangeState struct {
	next atomic.Uint64
	end  uint64
	keys int
}

// fillRanges makes objects for one slice of omap_rmrange.
func (b *bench) fillRanges(ctx context.Context, depth int) error {
	n := max(ranges, depth)
	b.ranges.next.Store(b.ranges.end)
	b.ranges.keys = min(rangeKeys, max(1000, b.o.RangeKeys/n))
	for range n {
		b.ranges.end++
		if err := b.fillOmap(ctx, object("range", b.ranges.end), b.ranges.keys); err != nil {
			return err
		}
	}
	return b.store.Checkpoint(ctx)
}

// hotOmap makes, once, the objects that omap_get and omap_iter read.
func (b *bench) hotOmap(ctx context.Context, _ int) error {
	if b.hot {
		return nil
	}
	for n := range uint64(hotMaps) {
		if err := b.fillOmap(ctx, object("hot", n), hotPairs); err != nil {
			return err
		}
	}
	b.hot = true
	return b.store.Checkpoint(ctx)
}

func (b *bench) fillOmap(ctx context.Context, o ebofs.ObjectID, keys int) error {
	value := []byte(strings.Repeat("v", pairValue))
	for n := 0; n < keys; {
		pairs := make(map[string][]byte)
		for ; n < keys && len(pairs) < 1000; n++ {
			pairs[pairName(n)] = value
		}
		t := ebofs.NewTxn()
		t.OmapSet(coll, o, pairs)
		if err := b.store.Apply(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func pairName(n int) string { return fmt.Sprintf("key.%012d", n) }

// noise returns bytes that do not compress.
func noise(rng *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

// whole turns a short result into an error: a benchmark that reads nothing is fast.
func whole(n, want int, err error) error {
	if err == nil && n != want {
		err = fmt.Errorf("got %d of %d", n, want)
	}
	return err
}
