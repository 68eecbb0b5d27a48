package sweep

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"ebofs/devices"
	"ebofs/fuzz/crash"
	"ebofs/fuzz/engine"
	"ebofs/fuzz/history"
	"ebofs/osd"
)

// shapes are the stores that are swept, by name.
//
//	plain   everything stays in RAM between checkpoints
//	tight   two onodes in RAM, a checkpoint after every 256 KiB: loads and
//	        evictions in every place
//	log     the log lies on a device of its own, small data goes straight to its place
//	raid    as tight, in whole stripes of a RAID-5, 5 × 64 KiB
//	grow    the device is larger than the store; for TestGrow alone
var shapes = map[string]engine.Options{
	"plain": {LogBytes: 4 << 20},
	"tight": {LogBytes: 4 << 20, StripeBytes: 16 << 10, MaxOnodes: 2, DirtyBytes: 256 << 10},
	"log":   {LogBytes: 4 << 20, DirectFrom: 1, Warm: true},
	"raid":  engine.Options{LogBytes: 4 << 20, MaxOnodes: 2, DirtyBytes: 256 << 10}.OnRAID(),
	"grow":  {LogBytes: 4 << 20, SizeBytes: deviceBytes},
}

// deviceBytes is the size of a store, and of its log device: the least that takes
// every operation of the alphabet.
const deviceBytes = 40 << 20

// base is a store that workloads start from.
type base struct {
	shape    string
	mem, log *devices.Mem // log: nil without a log device
}

// newBase makes the store of a shape with what the alphabet names. An unclean one
// was left with all of that in its log.
func newBase(ctx context.Context, shape string, unclean bool) (*base, error) {
	o := shapes[shape]
	size := uint64(deviceBytes)
	if o.SizeBytes != 0 {
		size += 20 << 20
	}
	b := &base{shape: shape, mem: devices.NewMem(devices.MemOptions{Blocks: size / devices.BlockSize})}
	if shape == "log" {
		b.log = devices.NewMem(devices.MemOptions{Blocks: deviceBytes / devices.BlockSize})
		o.LogDevice = keepOpen{b.log}
	}
	if err := engine.Format(ctx, keepOpen{b.mem}, o); err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	s, err := engine.Open(ctx, keepOpen{b.mem}, o)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	for _, t := range crash.Setup() {
		if err := osd.Apply(ctx, s, t); err != nil {
			return nil, fmt.Errorf("set up: %w", err)
		}
	}
	if unclean {
		b.mem = b.mem.Snapshot()
		if b.log != nil {
			b.log = b.log.Snapshot()
		}
	}
	return b, s.Close(ctx)
}

// keepOpen is a device that its store cannot close.
type keepOpen struct{ *devices.Mem }

// Close leaves the device open.
func (keepOpen) Close() error { return nil }

// Workload is a list of operations on a base.
type Workload struct {
	Ops   []crash.Op
	Mount bool // faults begin with the mount, not after it
	base  *base
	title string
}

// Name identifies the workload.
func (w *Workload) Name() string {
	title := w.title
	if title == "" {
		names := make([]string, len(w.Ops))
		for i, op := range w.Ops {
			names[i] = op.Name
		}
		title = strings.Join(names, ",")
	}
	return w.base.shape + "/" + title
}

// look is the operation that reads everything; it is not of the alphabet.
const look = "look"

// refused is an operation that is refused after its data has been written: what
// it took on the way has to be given back.
var refused = crash.Op{Name: "refused-write", Build: func(version uint64) *osd.Transaction {
	const c = osd.CollectionID("1.0_head")
	id := osd.ObjectID{Shard: -1, Pool: 1, Hash: 7, Name: "refused", Snap: 1<<64 - 2}
	missing := id
	missing.Name = "missing"
	t := new(osd.Transaction)
	t.Write(c, id, 0, history.Tagged(id, 0, version, 300_000))
	t.Remove(c, missing)
	return t
}}

// letter returns the operation of that name.
func letter(name string) crash.Op {
	if name == look {
		return crash.Op{Name: look}
	}
	for _, op := range crash.Alphabet {
		if op.Name == name {
			return op
		}
	}
	panic("no operation " + name)
}

// Random returns the workload of a seed: n operations, with a checkpoint or a
// remount now and then, as the alphabet has them.
func Random(b *base, seed uint64, n int) *Workload {
	r := rand.New(rand.NewPCG(seed, 11))
	w := &Workload{base: b, title: fmt.Sprintf("random seed=%d n=%d", seed, n)}
	for range n {
		w.Ops = append(w.Ops, crash.Alphabet[r.IntN(len(crash.Alphabet))])
	}
	w.Ops = append(w.Ops, letter("checkpoint"))
	return w
}

// reference is what a workload comes to without faults.
type reference struct {
	hist *history.History
	step []int   // of each operation; that of the one before if it was none
	errs []error // what each operation answers, nil or a refusal
}

// refer runs w on the history alone. taken says which transactions the store
// took; nil means all that are possible.
func refer(ctx context.Context, w *Workload, taken func(i int) bool) (*reference, error) {
	r := &reference{hist: history.New(), step: make([]int, len(w.Ops)), errs: make([]error, len(w.Ops))}
	for _, t := range crash.Setup() {
		if err := r.hist.Submit(ctx, t); err != nil {
			return nil, err
		}
	}
	r.hist.Base()
	for i, op := range w.Ops {
		if op.Build != nil && (taken == nil || taken(i)) {
			r.errs[i] = r.hist.Submit(ctx, op.Build(uint64(i+1)))
		}
		r.step[i] = r.hist.Submitted()
	}
	return r, nil
}

// sameAnswer reports whether two errors are one refusal in the words of osd.
func sameAnswer(got, want error) bool {
	if got == nil || want == nil {
		return got == nil && want == nil
	}
	for _, sentinel := range []error{osd.ErrNotFound, osd.ErrExists, osd.ErrNotEmpty, osd.ErrInvalid, osd.ErrUnsupported} {
		if errors.Is(got, sentinel) && errors.Is(want, sentinel) {
			return true
		}
	}
	return false
}
