package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/tools/store"
)

// Options say what is measured. The zero value measures everything in about
// three minutes.
type Options struct {
	Workloads []string      // names of Workloads(); none: all
	Depths    []int         // callers, each 1 to 1024; none: those of the workload
	Duration  time.Duration // of each workload, depth and side; 0: 2 s
	Rounds    int           // raw and engine take turns so often; 0: 3

	Bytes       uint64 // of the device to use; 0: 4 GiB, or all of a smaller one
	MemoryBytes int64  // of the store; 0: the engine's default
	RangeKeys   int    // pairs prepared for omap_rmrange; 0: a million

	// OnRow is called with each row when it is complete, Progress before and
	// while something takes time; either may be nil.
	OnRow    func(Row)
	Progress func(phase string, done, total int64)
}

// MinBytes is the smallest device to measure on: below it the log and the
// objects are too small for the figures to mean anything.
const MinBytes = 256 << 20

// coldMemory is the engine's least budget, for workloads that read from the
// device.
const coldMemory = 64 << 20

var (
	// ErrOptions is wrapped by errors about options that make no sense.
	ErrOptions = errors.New("invalid option")
	// ErrTooSmall is returned for a device below MinBytes.
	ErrTooSmall = errors.New("device is too small to measure on")
)

// complete returns o with defaults filled in, and the workloads chosen.
func (o Options) complete(dev devices.Device) (Options, []workload, error) {
	var errs []error
	all := workloads()
	var chosen []workload
	for _, name := range o.Workloads {
		if !slices.ContainsFunc(all, func(w workload) bool { return w.name == name }) {
			errs = append(errs, fmt.Errorf("no workload %q; there are %s: %w", name, strings.Join(Workloads(), ", "), ErrOptions))
		}
	}
	for _, w := range all {
		if len(o.Workloads) == 0 || slices.Contains(o.Workloads, w.name) {
			if len(o.Depths) > 0 {
				w.depths = o.Depths
			}
			chosen = append(chosen, w)
		}
	}
	for _, d := range o.Depths {
		if d < 1 || d > 1024 {
			errs = append(errs, fmt.Errorf("depth %d, want 1 to 1024: %w", d, ErrOptions))
		}
	}
	if o.Duration < 0 || o.Rounds < 0 || o.RangeKeys < 0 {
		errs = append(errs, fmt.Errorf("negative duration, rounds or range keys: %w", ErrOptions))
	}
	if o.Duration == 0 {
		o.Duration = 2 * time.Second
	}
	if o.Rounds == 0 {
		o.Rounds = 3
	}
	if o.RangeKeys == 0 {
		o.RangeKeys = 1_000_000
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	size := dev.Geometry().Blocks * devices.BlockSize
	if o.Bytes == 0 || o.Bytes > size {
		o.Bytes = min(size, max(o.Bytes, 4<<30))
	}
	if o.Bytes < MinBytes {
		errs = append(errs, fmt.Errorf("%d bytes, want at least %d: %w", o.Bytes, MinBytes, ErrTooSmall))
	}
	o.Bytes &^= objectBytes - 1
	for i, w := range chosen {
		chosen[i].depths = slices.DeleteFunc(slices.Clone(w.depths), func(d int) bool {
			tooDeep := d > 0 && o.rawRegion(dev).lanes(w.raw, d) == 0
			if tooDeep && len(o.Depths) > 0 && o.Bytes >= MinBytes {
				errs = append(errs, fmt.Errorf("%d bytes are not enough for %s at depth %d: %w", o.Bytes, w.name, d, ErrTooSmall))
			}
			return tooDeep
		})
	}
	return o, chosen, errors.Join(errs...)
}

// storeBytes is the part of Bytes the scratch store gets.
func (o Options) storeBytes() uint64 { return o.Bytes / 8 * 7 &^ (objectBytes - 1) }

// rawRegion is the rest.
func (o Options) rawRegion(dev devices.Device) *region {
	return &region{dev, devices.Block(o.storeBytes() / devices.BlockSize), (o.Bytes - o.storeBytes()) / devices.BlockSize}
}

// Validate says what is wrong with o for dev, before anything is written.
func (o Options) Validate(dev devices.Device) error {
	_, _, err := o.complete(dev)
	return err
}

// phaseFill is the phase whose progress is in bytes.
const phaseFill = "fill"

// bench is one run.
type bench struct {
	o     Options
	dev   *counted // of the store
	raw   *region
	disk  disk // below dev
	store *ebofs.Store
	cold  bool // how store was opened

	a, b []ebofs.ObjectID // 4 MiB objects; nil until they are needed
	next atomic.Uint64    // of b, for write4m

	created atomic.Uint64
	ranges  rangeState
	hot     bool
}

// Run overwrites the first Options.Bytes of dev with a scratch store and
// measures. The device stays open and belongs to the caller; the store on it is
// closed. With an error the report holds the rows that are complete.
func Run(ctx context.Context, dev devices.Device, o Options) (rep Report, err error) {
	o, chosen, err := o.complete(dev)
	if err != nil {
		return rep, err
	}
	storeBytes := o.storeBytes()
	b := &bench{o: o, dev: &counted{Device: dev}, disk: diskOf(dev), raw: o.rawRegion(dev)}
	rep = Report{Bytes: int64(o.Bytes), StoreBytes: int64(storeBytes), Seconds: o.Duration.Seconds(), Processors: runtime.NumCPU()}

	filled := int64(0)
	err = fill(ctx, dev, o.Bytes, func(n uint64) {
		filled += int64(n)
		o.Progress(phaseFill, filled, int64(o.Bytes))
	})
	if err != nil {
		return rep, fmt.Errorf("fill the device: %w", err)
	}
	format := ebofs.FormatOptions{Label: "bench", OSD: -1, SizeBytes: storeBytes, LogBytes: storeBytes / 8}
	if _, err := ebofs.Format(ctx, b.dev, format); err != nil {
		return rep, fmt.Errorf("format a scratch store: %w", err)
	}
	defer func() {
		if b.store != nil {
			err = errors.Join(err, b.store.Close(context.WithoutCancel(ctx)))
		}
	}()
	cells, done := int64(0), int64(0)
	for _, w := range chosen {
		cells += int64(len(w.depths))
	}
	for _, w := range chosen {
		for _, depth := range w.depths {
			o.Progress(fmt.Sprintf("%s, depth %d", w.name, depth), done, cells)
			row, err := b.cell(ctx, w, depth)
			if ctx.Err() != nil {
				return rep, context.Cause(ctx) // whatever it looks like from within
			}
			if err != nil {
				return rep, fmt.Errorf("%s at depth %d: %w", w.name, depth, err)
			}
			rep.Rows = append(rep.Rows, row)
			if done++; o.OnRow != nil {
				o.OnRow(row)
			}
		}
	}
	return rep, nil
}

// open makes sure that the store is open in the way w wants, and filled.
func (b *bench) open(ctx context.Context, w workload) (err error) {
	if b.store != nil && b.cold != w.cold {
		err = b.store.Close(ctx)
		if b.store = nil; err != nil {
			return err
		}
	}
	if b.store == nil {
		o := ebofs.Options{MemoryBytes: b.o.MemoryBytes}
		if w.cold {
			o.MemoryBytes = coldMemory
		}
		store.TuneHeap(cmp.Or(b.o.MemoryBytes, ebofs.DefaultMemory))
		if b.store, err = ebofs.Open(ctx, b.dev, o); err != nil {
			return fmt.Errorf("open the scratch store: %w", err)
		}
		b.cold = w.cold
	}
	if !b.store.CollectionExists(coll) {
		t := ebofs.NewTxn()
		t.MkColl(coll, ebofs.CollSpec{Shard: -1, Pool: 1})
		if err := b.store.Apply(ctx, t); err != nil {
			return err
		}
	}
	for name, set := range map[string]*[]ebofs.ObjectID{"a": &b.a, "b": &b.b} {
		if strings.Contains(w.sets, name) && *set == nil {
			if *set, err = b.fillSet(ctx, name); err != nil {
				return fmt.Errorf("write objects to measure on: %w", err)
			}
		}
	}
	return nil
}

// fillSet writes a seventh of the store as objects.
func (b *bench) fillSet(ctx context.Context, name string) (set []ebofs.ObjectID, err error) {
	n := b.o.Bytes / 8 / objectBytes
	data := noise(rand.New(rand.NewPCG(1, 1)), objectBytes)
	for i := range n {
		b.o.Progress("objects", int64(i), int64(n))
		o := object(name, i)
		t := ebofs.NewTxn()
		t.Write(coll, o, 0, data)
		if err := b.store.Apply(ctx, t); err != nil {
			return nil, err
		}
		set = append(set, o)
	}
	return set, b.store.Checkpoint(ctx)
}

// cell measures one workload at one depth, raw and engine in turns.
func (b *bench) cell(ctx context.Context, w workload, depth int) (Row, error) {
	var raw, engine side
	if err := b.open(ctx, w); err != nil {
		return Row{}, err
	}
	vecs := make([]devices.Vec, depth)
	for i := range vecs {
		vecs[i] = ordinary(w.raw.bytes)
	}
	written, flushes := int64(0), int64(0)
	var seen observed
	seen.begin(b.store.Latencies())
	d := b.o.Duration / time.Duration(b.o.Rounds)
	for round := range b.o.Rounds {
		rng := func(worker int) *rand.Rand { return rand.New(rand.NewPCG(uint64(round), uint64(worker))) }
		cpu := cpuTime()
		if err := raw.runRaw(ctx, depth, d, b.raw.callers(ctx, w.raw, depth, rng, vecs)); err != nil {
			return Row{}, fmt.Errorf("raw: %w", err)
		}
		raw.cpu += cpuTime() - cpu
		if w.prepare != nil {
			if err := w.prepare(b, ctx, depth); err != nil {
				return Row{}, err
			}
		}
		before := b.glance()
		written -= b.dev.written.Load()
		flushes -= b.dev.flushes.Load()
		cpu = cpuTime()
		if err := engine.run(ctx, depth, d, func(i int) call { return w.caller(b, rng(i)) }); err != nil {
			return Row{}, err
		}
		if w.writes {
			if err := b.store.Checkpoint(ctx); err != nil {
				return Row{}, err
			}
		}
		engine.cpu += cpuTime() - cpu
		written += b.dev.written.Load()
		flushes += b.dev.flushes.Load()
		seen.slice(before, b.glance())
	}
	row := rowOf(w, depth, &raw, &engine, written, flushes)
	if w.writes {
		row.Explained = seen.end(b.store.Latencies(), b.disk)
	}
	return row, nil
}

func rowOf(w workload, depth int, raw, engine *side, written, flushes int64) Row {
	const us, mib = 1e3, 1 << 20
	r := Row{
		Workload: w.name, Depth: depth, Ops: engine.ops,
		OpsPerS: engine.perSecond(float64(engine.ops)), MiBPerS: engine.perSecond(float64(engine.bytes)) / mib,
		P50US: float64(engine.latency.Quantile(0.5)) / us, P99US: float64(engine.latency.Quantile(0.99)) / us,
		CPUUS: engine.each(float64(engine.cpu)) / us,

		RawOpsPerS: raw.perSecond(float64(raw.ops)), RawMiBPerS: raw.perSecond(float64(raw.bytes)) / mib,
		RawP50US: float64(raw.latency.Quantile(0.5)) / us, RawP99US: float64(raw.latency.Quantile(0.99)) / us,
		RawCPUUS: raw.each(float64(raw.cpu)) / us,
	}
	if w.writes && engine.bytes > 0 {
		r.WriteAmp = float64(written) / float64(engine.bytes)
		r.Flushes = engine.each(float64(flushes))
	}
	if r.RawOpsPerS > 0 {
		r.RatioRaw = r.OpsPerS / r.RawOpsPerS
	}
	return r
}
