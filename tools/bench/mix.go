package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"ebofs/ebofs"
)

// mix is what makes a store old: objects of many sizes that come, grow, shrink,
// are overwritten and go, at a level of use that stays. Each of its callers has
// objects of its own, so that a caller knows what they are without asking; all
// overwrite parts of the objects that are measured, which stay.
//
//	an object     4 of 10: 4–64 KiB, 3: 64 KiB–1 MiB, 2: 1–4 MiB, 1: 4 MiB whole
//	a step        4 of 12: overwrite a part, 4 KiB–256 KiB, a quarter of them
//	              unaligned; 2: sixteen 4 KiB blocks of one object; 1: append;
//	              1: truncate; 1: replace the whole; 2: remove, and make another;
//	              1: attributes and pairs
//	which object  9 of 10 steps: one of the tenth that is hot
type mix struct {
	store  *ebofs.Store
	shared []ebofs.ObjectID // measured, setBytes each
	size   uint64           // of each of shared
	noise  []byte           // what is written

	largest uint64       // object
	level   atomic.Int64 // bytes of objects to keep to
	held    atomic.Int64 // bytes of objects, in whole blocks
	user    atomic.Int64 // bytes written
	steps   atomic.Int64
	full    atomic.Int64 // steps the store had no room for

	callers []*ager
}

// ager is one caller of a mix.
type ager struct {
	m    *mix
	rng  *rand.Rand
	id   int
	next int
	live []aged
	txn  *ebofs.Txn
}

// aged is one object.
type aged struct {
	id   ebofs.ObjectID
	size uint64
}

func newMix(s *ebofs.Store, shared []ebofs.ObjectID, size uint64, callers int, seed uint64, usable uint64) *mix {
	m := &mix{store: s, shared: shared, size: size, largest: max(64<<10, min(4<<20, usable/256))}
	m.noise = noise(rand.New(rand.NewPCG(seed, math.MaxUint64)), int(m.largest)+smallBytes)
	for i := range callers {
		m.callers = append(m.callers, &ager{m: m, rng: rand.New(rand.NewPCG(seed, uint64(i))), id: i, txn: ebofs.NewTxn()})
	}
	return m
}

// run has every caller step until done says so or something fails.
func (m *mix) run(ctx context.Context, step func(*ager, context.Context) error, done func() bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, a := range m.callers {
		wg.Go(func() {
			for !done() {
				err := ctx.Err()
				if err == nil {
					err = step(a, ctx)
				}
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// fill makes objects until the level is reached.
func (m *mix) fill(ctx context.Context) error {
	return m.run(ctx, (*ager).make, func() bool { return m.held.Load() >= m.level.Load() })
}

// age steps until that many bytes were written.
func (m *mix) age(ctx context.Context, bytes int64) error {
	end := m.user.Load() + bytes
	return m.run(ctx, (*ager).step, func() bool { return m.user.Load() >= end })
}

// logUniform returns a number from lo to hi, each order of magnitude as likely.
func logUniform(rng *rand.Rand, lo, hi uint64) uint64 {
	if hi <= lo {
		return hi
	}
	return min(hi, uint64(math.Exp(math.Log(float64(lo))+rng.Float64()*math.Log(float64(hi)/float64(lo)))))
}

// objectSize draws the size of a new object.
func (a *ager) objectSize() uint64 {
	top := a.m.largest
	switch n := a.rng.IntN(10); {
	case n < 4:
		return logUniform(a.rng, 4<<10, top/64)
	case n < 7:
		return logUniform(a.rng, top/64, top/4)
	case n < 9:
		return logUniform(a.rng, top/4, top)
	}
	return top
}

// data returns n bytes to write, which begin anywhere in the noise.
func (a *ager) data(n uint64) []byte {
	at := a.rng.Uint64N(uint64(len(a.m.noise)) - n + 1)
	return a.m.noise[at : at+n]
}

// apply commits the transaction and counts. A full store is no error: something
// is removed instead.
func (a *ager) apply(ctx context.Context, bytes uint64) (done bool, err error) {
	err = a.m.store.Apply(ctx, a.txn)
	a.txn.Reset()
	if errors.Is(err, ebofs.ErrNoSpace) {
		a.m.full.Add(1)
		return false, a.remove(ctx)
	}
	if err == nil {
		a.m.user.Add(int64(bytes))
		a.m.steps.Add(1)
	}
	return err == nil, err
}

// resize notes that an object has another size.
func (a *ager) resize(o *aged, size uint64) {
	a.m.held.Add(int64(blockCeil(size)) - int64(blockCeil(o.size)))
	o.size = size
}

func blockCeil(n uint64) uint64 { return (n + smallBytes - 1) &^ (smallBytes - 1) }

// make makes an object with the attributes a cluster gives one.
func (a *ager) make(ctx context.Context) error {
	o := aged{id: ebofs.NewObjectID(1, fmt.Sprintf("aged.%d.%d", a.id, a.next))}
	size := a.objectSize()
	a.next++
	a.txn.SetAttr(coll, o.id, "_", a.data(250))
	a.txn.Write(coll, o.id, 0, a.data(size))
	ok, err := a.apply(ctx, size)
	if ok {
		a.resize(&o, size)
		a.live = append(a.live, o)
	}
	return err
}

// remove removes an object, any of them.
func (a *ager) remove(ctx context.Context) error {
	if len(a.live) == 0 {
		return nil
	}
	i := a.rng.IntN(len(a.live))
	o := a.live[i]
	a.live[i] = a.live[len(a.live)-1]
	a.live = a.live[:len(a.live)-1]
	a.txn.Remove(coll, o.id)
	err := a.m.store.Apply(ctx, a.txn)
	a.txn.Reset()
	if err == nil {
		a.resize(&o, 0)
		a.m.steps.Add(1)
	}
	return err
}

// pick returns an object to change, most often a hot one.
func (a *ager) pick() *aged {
	n := len(a.live)
	if a.rng.IntN(10) > 0 {
		n = (n + 9) / 10
	}
	return &a.live[a.rng.IntN(n)]
}

// step does one thing to the store.
func (a *ager) step(ctx context.Context) error {
	held, level := a.m.held.Load(), a.m.level.Load()
	switch n := a.rng.IntN(14); {
	case held > level:
		return a.remove(ctx)
	case len(a.live) == 0 || held < level-level/50:
		return a.make(ctx)
	case n < 4:
		return a.overwrite(ctx)
	case n < 6:
		return a.scatter(ctx)
	case n < 7:
		return a.append(ctx)
	case n < 8:
		return a.truncate(ctx)
	case n < 9:
		return a.replace(ctx)
	case n < 11:
		if err := a.remove(ctx); err != nil {
			return err
		}
		return a.make(ctx)
	case n < 12:
		return a.describe(ctx)
	}
	return a.touch(ctx)
}

// span draws a part of size bytes to overwrite.
func (a *ager) span(size uint64) (off, n uint64) {
	n = min(logUniform(a.rng, 4<<10, 256<<10), size)
	if a.rng.IntN(4) > 0 {
		n = max(n&^(smallBytes-1), min(n, smallBytes))
		return a.rng.Uint64N(size-n+1) &^ (smallBytes - 1), n
	}
	return a.rng.Uint64N(size - n + 1), n
}

func (a *ager) overwrite(ctx context.Context) error {
	o := a.pick()
	off, n := a.span(o.size)
	a.txn.Write(coll, o.id, off, a.data(n))
	_, err := a.apply(ctx, n)
	return err
}

// touch overwrites a part of an object that is measured.
func (a *ager) touch(ctx context.Context) error {
	off, n := a.span(a.m.size)
	a.txn.Write(coll, a.m.shared[a.rng.IntN(len(a.m.shared))], off, a.data(n))
	_, err := a.apply(ctx, n)
	return err
}

func (a *ager) scatter(ctx context.Context) error {
	o := a.pick()
	for range 16 {
		off := a.rng.Uint64N(o.size) &^ (smallBytes - 1)
		a.txn.Write(coll, o.id, off, a.data(min(smallBytes, o.size-off)))
	}
	_, err := a.apply(ctx, 16*smallBytes)
	return err
}

func (a *ager) append(ctx context.Context) error {
	o := a.pick()
	n := min(logUniform(a.rng, 4<<10, 128<<10), 2*a.m.largest-min(o.size, 2*a.m.largest))
	if n == 0 {
		return a.replace(ctx)
	}
	a.txn.Write(coll, o.id, o.size, a.data(n))
	ok, err := a.apply(ctx, n)
	if ok {
		a.resize(o, o.size+n)
	}
	return err
}

func (a *ager) truncate(ctx context.Context) error {
	o := a.pick()
	size := 1 + a.rng.Uint64N(o.size)
	a.txn.Truncate(coll, o.id, size)
	ok, err := a.apply(ctx, 0)
	if ok {
		a.resize(o, size)
	}
	return err
}

func (a *ager) replace(ctx context.Context) error {
	o := a.pick()
	size := a.objectSize()
	a.txn.Truncate(coll, o.id, 0)
	a.txn.Write(coll, o.id, 0, a.data(size))
	ok, err := a.apply(ctx, size)
	if ok {
		a.resize(o, size)
	}
	return err
}

func (a *ager) describe(ctx context.Context) error {
	o := a.pick()
	pairs := map[string][]byte{}
	for range 8 {
		pairs[pairName(a.rng.IntN(200))] = a.data(pairValue)
	}
	a.txn.SetAttr(coll, o.id, "_", a.data(250))
	a.txn.OmapSet(coll, o.id, pairs)
	_, err := a.apply(ctx, 8*(pairKey+pairValue)+250)
	return err
}
