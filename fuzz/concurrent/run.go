package concurrent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/fuzz/engine"
	"ebofs/fuzz/history"
	"ebofs/osd"
)

// plan is a run.
type plan struct {
	seed    uint64
	workers int
	calls   int // of each worker
	pairs   int // fewer make for more calls at once on each
	cuts    int // every so many calls one of the workers takes a cut; 0: none
	engine  engine.Options
	device  uint64 // bytes
	search  time.Duration
}

// run is a plan being carried out.
type run struct {
	plan
	dev   *crashdev.Device
	store osd.ObjectStore
	base  func(ctx context.Context) error // a checkpoint
	clock atomic.Int64

	mu struct {
		sync.Mutex
		calls [][]porcupine.Operation // of each pair
		order []*submitted            // in the order of the commit notices
		cuts  []*cut
		err   error // the first
	}
}

// submitted is a transaction and the tick of its call.
type submitted struct {
	txn    *osd.Transaction
	called int64
}

// cut is what a power cut left, as it was found.
type cut struct {
	what  string
	pic   history.Picture
	acked int   // so many of run.order were acknowledged before it
	tick  int64 // nothing called from here on is in it

	nested bool // it is of a recovery
}

// collections of the pairs, in turn.
var collections = []osd.CollectionID{"1.0_head", "2.0_head", "3.0_head"}

// place returns the collection of a pair and the names of its objects.
func place(i int) (osd.CollectionID, [2]osd.ObjectID) {
	k := i % len(collections)
	id := func(name string) osd.ObjectID {
		return osd.ObjectID{Shard: -1, Pool: int64(k + 1), Hash: uint32(i), Name: fmt.Sprint(name, i), Snap: 1<<64 - 2}
	}
	return collections[k], [2]osd.ObjectID{id("a"), id("b")}
}

func mkcolls() *osd.Transaction {
	t := new(osd.Transaction)
	for k, c := range collections {
		t.MkColl(c, osd.CollectionSpec{Shard: -1, Pool: int64(k + 1)})
	}
	return t
}

// result is what a run did.
type result struct {
	calls, cuts, nested int
}

// do carries out p and returns what broke a promise.
func (p plan) do(ctx context.Context) (res result, err error) {
	mem := devices.NewMem(devices.MemOptions{Blocks: p.device / devices.BlockSize})
	if err := engine.Format(ctx, mem, p.engine); err != nil {
		return res, err
	}
	r := &run{plan: p, dev: crashdev.New(mem)}
	r.mu.calls = make([][]porcupine.Operation, p.pairs)
	s, err := engine.Open(ctx, r.dev, p.engine)
	if err != nil {
		return res, err
	}
	r.store, r.base = s, s.Checkpoint
	if err := osd.Apply(ctx, s, mkcolls()); err != nil {
		return res, err
	}
	var wg sync.WaitGroup
	for w := range p.workers {
		wg.Go(func() {
			if err := r.work(ctx, w); err != nil {
				r.fail(fmt.Errorf("worker %d: %w", w, err))
			}
		})
	}
	wg.Wait()
	err = s.Sync(ctx)
	pic, drawn := history.Draw(ctx, s, history.Options{})
	err = errors.Join(err, drawn, s.Close(ctx), r.mu.err)
	if err == nil {
		err = errors.Join(r.judgeCalls(), r.judgeCuts(ctx, pic))
	}
	for _, c := range r.mu.calls {
		res.calls += len(c)
	}
	for _, c := range r.mu.cuts {
		res.cuts++
		if c.nested {
			res.nested++
		}
	}
	return res, err
}

func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.err == nil {
		r.mu.err = err
	}
}

func (r *run) failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.err != nil
}

// work is one worker.
func (r *run) work(ctx context.Context, w int) error {
	rnd := rand.New(rand.NewPCG(r.seed, uint64(w)))
	buf := make([]byte, maxCells*cellBytes)
	for i := range r.calls {
		if r.failed() {
			return nil
		}
		at := rnd.IntN(r.pairs)
		version := uint32(w*r.calls+i) + 1
		var err error
		switch n := rnd.IntN(100); {
		case n < 45:
			err = r.read(ctx, w, at, step{kind: readData + kind(rnd.IntN(4)), obj: rnd.IntN(2)}, buf)
		case n < 46:
			err = r.base(ctx)
		case n < 48:
			err = r.store.Sync(ctx)
		case n < 56:
			err = r.change(ctx, w, map[int]input{at: safe(rnd, version), rnd.IntN(r.pairs): safe(rnd, version)})
		default:
			err = r.change(ctx, w, map[int]input{at: change(rnd, version)})
		}
		if err == nil && r.cuts > 0 && (i*r.workers+w)%r.cuts == 0 {
			err = r.cut(ctx, rnd)
		}
		if err != nil {
			return fmt.Errorf("call %d on pair %d: %w", i, at, err)
		}
	}
	return nil
}

// safe returns steps on one object that no store refuses.
func safe(rnd *rand.Rand, version uint32) input {
	obj, in := rnd.IntN(2), input{}
	for range 1 + rnd.IntN(3) {
		in = append(in, arguments(rnd, step{kind: []kind{write, write, zero, setAttrs, setOmap}[rnd.IntN(5)], obj: obj, version: version}))
	}
	return in
}

// change returns steps on one object, or a clone.
func change(rnd *rand.Rand, version uint32) input {
	s := step{kind: kind(rnd.IntN(int(readData))), obj: rnd.IntN(2), version: version}
	switch {
	case s.kind == remove && rnd.IntN(3) > 0:
		s.kind = write // or there would rarely be anything to see
	case s.kind == clone || s.kind == cloneRange:
		return input{arguments(rnd, s)}
	}
	in := input{arguments(rnd, s)}
	if rnd.IntN(3) == 0 && s.kind != remove {
		more := safe(rnd, version)
		for i := range more {
			more[i].obj = s.obj
		}
		in = append(in, more...)
	}
	return in
}

// arguments fills in where s works: mostly a few cells, sometimes enough to go
// past the log.
func arguments(rnd *rand.Rand, s step) step {
	switch s.kind {
	case setAttrs, setOmap, rmOmap:
		s.at = rnd.IntN(keys)
		s.n = 1 + rnd.IntN(keys-s.at)
		return s
	}
	n := 1 + rnd.IntN(12)
	if rnd.IntN(4) == 0 {
		n = 1 + rnd.IntN(maxCells)
	}
	s.at = rnd.IntN(maxCells - n + 1)
	s.n = n
	return s
}

// change submits changes to some pairs as one transaction.
func (r *run) change(ctx context.Context, w int, ins map[int]input) error {
	x := &submitted{txn: new(osd.Transaction)}
	for at, in := range ins {
		c, ids := place(at)
		in.add(x.txn, c, ids)
	}
	x.called = r.clock.Add(1)
	err := r.store.Queue(ctx, x.txn, nil, func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil && r.mu.err == nil {
			r.mu.err = fmt.Errorf("commit: %w", err)
		}
		r.mu.order = append(r.mu.order, x)
	})
	returned := r.clock.Add(1)
	out := output{refused: errors.Is(err, osd.ErrNotFound) || errors.Is(err, osd.ErrInvalid)}
	if err != nil && !out.refused {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, in := range ins {
		r.mu.calls[at] = append(r.mu.calls[at], porcupine.Operation{ClientId: w, Input: in, Call: x.called, Output: out, Return: returned, Metadata: x})
	}
	return nil
}

// read does a read of one object.
func (r *run) read(ctx context.Context, w, at int, s step, buf []byte) error {
	c, ids := place(at)
	id := ids[s.obj]
	var out output
	var err error
	called := r.clock.Add(1)
	switch s.kind {
	case readData:
		var n int
		if n, err = r.store.Read(ctx, c, id, 0, buf); err == nil {
			out.cells, err = parse(buf[:n])
		}
	case readAttrs:
		var m map[string][]byte
		if m, err = r.store.Attrs(ctx, c, id); err == nil {
			out.values, err = versions(m)
		}
	case readOmap:
		var names []string
		for i := range keys {
			names = append(names, key(i))
		}
		var m map[string][]byte
		if m, err = r.store.OmapGet(ctx, c, id, names); err == nil {
			out.values, err = versions(m)
		}
	case readSize:
		var st osd.ObjectStat
		st, err = r.store.Stat(ctx, c, id)
		out.size = int(st.SizeBytes / cellBytes)
	}
	returned := r.clock.Add(1)
	if errors.Is(err, osd.ErrNotFound) {
		out, err = output{refused: true}, nil
	}
	if err != nil {
		return fmt.Errorf("%v: %w", input{s}, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.calls[at] = append(r.mu.calls[at], porcupine.Operation{ClientId: w, Input: input{s}, Call: called, Output: out, Return: returned})
	return nil
}
