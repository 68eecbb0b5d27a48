package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/tools/store"
)

// AgeOptions say how old a store is made and what is measured of it. The zero
// value takes some minutes.
type AgeOptions struct {
	Fill     float64       // share of the store in use, above 0, up to 0.99; 0: 0.8
	Rounds   float64       // so often its space is written while it ages; 0: 4
	Seed     uint64        // of what the ager does
	Duration time.Duration // of each cell and side; 0: 2 s
	Turns    int           // raw, fresh and aged take turns so often; 0: 4
	Defrag   bool          // in the background while it ages, and objects at its end

	Bytes       uint64 // of the device to use; 0: 8 GiB, or all of a smaller one
	MemoryBytes int64  // of each of the two stores; 0: 512 MiB
	StripeBytes uint32 // 0: as the device reports
	Hard        *bool  // nil: as the device reports

	Cells []Cell // what is measured; none: AgeCells()

	OnState  func(State)
	OnRow    func(AgeRow)
	Progress func(phase string, done, total int64)

	watch func(devices.Device) (devices.Device, error) // goes below each store; for tests
}

// Cell is one thing to measure: durable overwrites at random places, or reads,
// of so many bytes by so many callers.
type Cell struct {
	Read  bool
	Bytes int
	Depth int
}

// AgeCells are the cells measured by default.
func AgeCells() []Cell {
	return []Cell{
		{true, 4 << 10, 16}, {true, 64 << 10, 16}, {true, 1 << 20, 4}, {true, 4 << 20, 4},
		{false, 4 << 10, 16}, {false, 4 << 10, 64}, {false, 64 << 10, 16}, {false, 1 << 20, 4}, {false, 4 << 20, 4},
	}
}

// SizeCells are writes of 4 KiB to 16 MiB, for the picture.
func SizeCells() (list []Cell) {
	for n := 4 << 10; n <= 16<<20; n *= 2 {
		list = append(list, Cell{false, n, 16})
	}
	return list
}

// MinAgeBytes is the smallest device to age a store on.
const MinAgeBytes = 256 << 20

// agers is how many callers age the store.
const agers = 16

// complete returns o with defaults filled in.
func (o AgeOptions) complete(dev devices.Device) (AgeOptions, error) {
	var errs []error
	if o.Fill == 0 {
		o.Fill = 0.8
	}
	if !(o.Fill > 0 && o.Fill <= 0.99) {
		errs = append(errs, fmt.Errorf("fill %.3g, want above 0 and at most 0.99: %w", o.Fill, ErrOptions))
	}
	if o.Rounds == 0 {
		o.Rounds = 4
	}
	if !(o.Rounds > 0 && o.Rounds <= 1e6) || o.Duration < 0 || o.Turns < 0 || o.MemoryBytes < 0 {
		errs = append(errs, fmt.Errorf("negative duration, turns or memory, or rounds not within 0 to a million: %w", ErrOptions))
	}
	o.Duration, o.Turns = cmp.Or(o.Duration, 2*time.Second), cmp.Or(o.Turns, 4)
	o.MemoryBytes = cmp.Or(o.MemoryBytes, 512<<20)
	if o.Cells == nil {
		o.Cells = AgeCells()
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	size := dev.Geometry().Blocks * devices.BlockSize
	if o.Bytes == 0 || o.Bytes > size {
		o.Bytes = min(size, max(o.Bytes, 8<<30))
	}
	if o.Bytes < MinAgeBytes {
		errs = append(errs, fmt.Errorf("%d bytes, want at least %d: %w", o.Bytes, MinAgeBytes, ErrTooSmall))
	}
	o.Bytes &^= 1<<20 - 1
	unit := uint64(0)
	for _, c := range o.Cells {
		if c.Bytes < smallBytes || c.Bytes > 16<<20 || c.Bytes&(c.Bytes-1) != 0 || c.Depth < 1 || c.Depth > 1024 {
			errs = append(errs, fmt.Errorf("%d bytes at depth %d, want a power of two from 4 KiB to 16 MiB and a depth up to 1024: %w", c.Bytes, c.Depth, ErrOptions))
		}
		unit = max(unit, uint64(c.Bytes))
	}
	if 4*unit > o.freshBytes()/4 {
		errs = append(errs, fmt.Errorf("%d bytes are too few to measure I/O of %d: %w", o.Bytes, unit, ErrTooSmall))
	}
	_, err := devices.Overrides{StripeBytes: o.StripeBytes, Hard: o.Hard}.Apply(dev.Geometry())
	return o, errors.Join(append(errs, err)...)
}

// The device: 5/8 the store that is aged, 2/8 one that stays fresh, 1/8 for raw
// I/O.
func (o *AgeOptions) agedBytes() uint64  { return o.Bytes / 8 * 5 &^ (1<<20 - 1) }
func (o *AgeOptions) freshBytes() uint64 { return o.Bytes / 8 * 2 &^ (1<<20 - 1) }

// Validate says what is wrong with o for dev, before anything is written.
func (o AgeOptions) Validate(dev devices.Device) error {
	_, err := o.complete(dev)
	return err
}

// aging is one run.
type aging struct {
	o          AgeOptions
	raw        *region
	fresh, old *subject
	largest    uint64 // object measured
	noise      []byte
}

// subject is one of the two stores.
type subject struct {
	name  string
	dev   *window
	store *ebofs.Store
	set   []ebofs.ObjectID // measured
	cold  bool

	defrag bool // in the background

	refused atomic.Int64 // writes of the cell
}

// Age makes a store old and measures it beside a fresh one and the raw device, in
// turns. It overwrites the first AgeOptions.Bytes of dev. With an error the report
// holds what is complete.
func Age(ctx context.Context, dev devices.Device, o AgeOptions) (rep AgeReport, err error) {
	if o, err = o.complete(dev); err != nil {
		return rep, err
	}
	a := &aging{o: o}
	rep = AgeReport{Bytes: int64(o.Bytes), StoreBytes: int64(o.agedBytes()), Seconds: o.Duration.Seconds(), Processors: runtime.NumCPU(),
		Fill: o.Fill, Rounds: o.Rounds, Seed: o.Seed}
	if err := a.prepare(ctx, dev); err != nil {
		return rep, err
	}
	defer func() {
		err = errors.Join(err, a.fresh.close(context.WithoutCancel(ctx)), a.old.close(context.WithoutCancel(ctx)))
	}()
	g := a.old.dev.g
	rep.StripeBytes, rep.Hard = int64(g.StripeBytes), g.Hard

	state := func(s State, err error) error {
		if err == nil {
			rep.States = append(rep.States, s)
			if o.OnState != nil {
				o.OnState(s)
			}
		}
		return err
	}
	if rep.Ageing, err = a.age(ctx, state); err != nil {
		return rep, cmp.Or(context.Cause(ctx), err)
	}
	for i, c := range o.Cells {
		o.Progress(c.String(), int64(i), int64(len(o.Cells)))
		rows, err := a.cell(ctx, c)
		if err != nil {
			return rep, cmp.Or(context.Cause(ctx), fmt.Errorf("%s: %w", c, err))
		}
		rep.Rows = append(rep.Rows, rows...)
		for _, r := range rows {
			if o.OnRow != nil {
				o.OnRow(r)
			}
		}
	}
	return rep, state(a.old.state(ctx, "measured", nil))
}

// prepare writes the device once and makes both stores and what is measured on
// them.
func (a *aging) prepare(ctx context.Context, dev devices.Device) error {
	o := &a.o
	filled := int64(0)
	err := fill(ctx, dev, o.Bytes, func(n uint64) {
		filled += int64(n)
		o.Progress(phaseFill, filled, int64(o.Bytes))
	})
	if err != nil {
		return fmt.Errorf("fill the device: %w", err)
	}
	over := devices.Overrides{StripeBytes: o.StripeBytes, Hard: o.Hard}
	at := uint64(0)
	for _, s := range []struct {
		name  string
		bytes uint64
		to    **subject
	}{{"aged", o.agedBytes(), &a.old}, {"fresh", o.freshBytes(), &a.fresh}} {
		w, err := newWindow(dev, at/devices.BlockSize, s.bytes/devices.BlockSize, over)
		if err != nil {
			return err
		}
		if o.watch != nil {
			d, err := o.watch(w)
			if err != nil {
				return err
			}
			if w, err = newWindow(d, 0, s.bytes/devices.BlockSize, over); err != nil {
				return err
			}
		}
		at += s.bytes
		*s.to = &subject{name: s.name, dev: w, defrag: o.Defrag && s.to == &a.old}
		// Both have the same log, so that they checkpoint as often.
		f := ebofs.FormatOptions{Label: "bench", OSD: -1, LogBytes: min(o.freshBytes()/8, 1<<30)}
		if _, err := ebofs.Format(ctx, w, f); err != nil {
			return fmt.Errorf("format a scratch store: %w", err)
		}
	}
	a.raw = &region{dev, devices.Block(at / devices.BlockSize), (o.Bytes - at) / devices.BlockSize}
	for _, c := range o.Cells {
		a.largest = max(a.largest, uint64(c.Bytes))
	}
	a.largest = max(a.largest, 4<<20)
	if 4*a.largest > o.freshBytes()/4 {
		a.largest = 1 << 20
	}
	a.noise = noise(rand.New(rand.NewPCG(o.Seed, 1)), int(a.largest))
	for _, s := range []*subject{a.fresh, a.old} {
		if err := s.open(ctx, o.MemoryBytes, false); err != nil {
			return err
		}
		t := ebofs.NewTxn()
		t.MkColl(coll, ebofs.CollSpec{Shard: -1, Pool: 1})
		if err := s.store.Apply(ctx, t); err != nil {
			return err
		}
		for n := range o.freshBytes() / 4 / a.largest {
			t := ebofs.NewTxn()
			t.Write(coll, object("measured", n), 0, a.noise)
			if err := s.store.Apply(ctx, t); err != nil {
				return err
			}
			s.set = append(s.set, object("measured", n))
		}
		if err := s.store.Checkpoint(ctx); err != nil {
			return err
		}
	}
	return nil
}

// open opens the store with its memory, or with the least for reads from the device.
func (s *subject) open(ctx context.Context, memory int64, cold bool) (err error) {
	if s.store != nil && s.cold == cold {
		return nil
	}
	if err := s.close(ctx); err != nil {
		return err
	}
	s.cold = cold
	o := ebofs.Options{MemoryBytes: memory}
	if s.defrag {
		o.Defrag.Score = ebofs.DefaultScore
	}
	if cold {
		o = ebofs.Options{MemoryBytes: coldMemory}
	}
	store.TuneHeap(2 * o.MemoryBytes)
	s.store, err = ebofs.Open(ctx, s.dev, o)
	if err != nil {
		err = fmt.Errorf("open the %s store: %w", s.name, err)
	}
	return err
}

func (s *subject) close(ctx context.Context) error {
	if s == nil || s.store == nil {
		return nil
	}
	defer func() { s.store = nil }()
	return s.store.Close(ctx)
}

// age fills the store and makes it old.
func (a *aging) age(ctx context.Context, state func(State, error) error) (g Ageing, err error) {
	s, o := a.old, &a.o
	st, err := s.store.Statfs()
	if err != nil {
		return g, err
	}
	usable := st.Used + st.Limbo + st.Available
	m := newMix(s.store, s.set, a.largest, agers, o.Seed, usable)
	m.held.Store(int64(len(s.set)) * int64(a.largest))
	m.level.Store(int64(o.Fill * float64(usable)))
	report := func(phase string, done func() int64, total int64) func() {
		ctx, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			tick := time.NewTicker(time.Second / 4)
			defer tick.Stop()
			for {
				o.Progress(phase, min(done(), total), total)
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
		}()
		return func() { stop(); <-ended }
	}
	stop := report("fill the store", m.held.Load, m.level.Load())
	err = m.fill(ctx)
	stop()
	if err != nil {
		return g, fmt.Errorf("fill the store: %w", err)
	}
	if err := m.adjust(ctx, o.Fill); err != nil {
		return g, err
	}
	if err := state(s.state(ctx, "filled", m)); err != nil {
		return g, err
	}
	begin, before, cpu := time.Now(), s.store.Metrics(), cpuTime()
	total := int64(o.Rounds * float64(usable))
	stop = report("age the store", func() int64 { return m.user.Load() }, m.user.Load()+total)
	// What an object takes beside its bytes changes with age.
	const steps = 16
	for range steps {
		if err = m.age(ctx, total/steps); err == nil {
			err = m.adjust(ctx, o.Fill)
		}
		if err != nil {
			break
		}
	}
	stop()
	if err != nil {
		return g, fmt.Errorf("age the store: %w", err)
	}
	after := s.store.Metrics()
	w := after.Written.Sub(before.Written)
	g = Ageing{
		Seconds: time.Since(begin).Seconds(), CPUSeconds: (cpuTime() - cpu).Seconds(), Steps: m.steps.Load(), Refused: m.full.Load(),
		UserBytes: after.UserBytes - before.UserBytes, Written: byPurpose(w),
	}
	g.WriteAmp = float64(w.Total()) / float64(max(1, g.UserBytes))
	if err := state(s.state(ctx, "aged", m)); err != nil || !o.Defrag {
		return g, err
	}
	r, err := s.store.Defragment(ctx, ebofs.DefragOptions{Objects: !s.dev.g.Hard}, func(p ebofs.DefragProgress) {
		o.Progress("defragment the store", int64(p.Objects), int64(p.Total))
	})
	if err != nil {
		return g, fmt.Errorf("defragment the store: %w", err)
	}
	g.Defrag = &r
	return g, state(s.state(ctx, "defragmented", m))
}

// adjust takes a checkpoint and sets the level of the mix so that the store comes
// to that share of use.
func (m *mix) adjust(ctx context.Context, fill float64) error {
	if err := m.store.Checkpoint(ctx); err != nil {
		return err
	}
	st, err := m.store.Statfs()
	if err != nil {
		return err
	}
	usable := float64(st.Used + st.Limbo + st.Available)
	m.level.Store(int64(fill*usable) - (int64(st.Used) - m.held.Load()))
	return nil
}

// sampled is how many objects are looked at for fragments.
const sampled = 2000

// state describes the store; of the mix's objects, some.
func (s *subject) state(ctx context.Context, name string, m *mix) (State, error) {
	// Limbo is free space nobody has been given back yet.
	for range 2 {
		if err := s.store.Checkpoint(ctx); err != nil {
			return State{}, err
		}
	}
	st, err := s.store.Statfs()
	if err != nil {
		return State{}, err
	}
	f := s.store.FreeSpace()
	r := State{
		Name: name, Objects: uint64(st.Objects), Used: int64(st.Used), Available: int64(st.Available), Limbo: int64(st.Limbo), Meta: int64(st.Meta),
		Fill: float64(st.Used) / float64(st.Used+st.Limbo+st.Available), Score: f.Score, LargestFree: int64(f.Largest) * devices.BlockSize,
		FreeRuns: map[string]int64{},
	}
	for k, n := range f.Runs.Runs {
		if n > 0 {
			r.FreeRuns[fmt.Sprint(uint64(devices.BlockSize)<<k)] = int64(n)
		}
	}
	ids := slices.Clone(s.set)
	if m != nil {
		for _, c := range m.callers {
			for _, o := range c.live[:min(len(c.live), sampled/len(m.callers))] {
				ids = append(ids, o.id)
			}
		}
	}
	runs, blocks := 0, 0
	for _, id := range ids {
		n, b, err := s.store.Fragments(ctx, coll, id)
		if err != nil {
			return r, err
		}
		runs, blocks = runs+n, blocks+b
	}
	r.Fragments = float64(runs) / float64(len(ids))
	r.FragmentBytes = float64(blocks) * devices.BlockSize / float64(max(1, runs))
	return r, nil
}

func (c Cell) String() string {
	what := "write"
	if c.Read {
		what = "read"
	}
	return fmt.Sprintf("%s %s, depth %d", what, sizeName(c.Bytes), c.Depth)
}

// cell measures one cell, raw, fresh and aged in turns.
func (a *aging) cell(ctx context.Context, c Cell) ([]AgeRow, error) {
	o := &a.o
	subjects := []*subject{a.fresh, a.old}
	for _, s := range subjects {
		if err := s.open(ctx, o.MemoryBytes, c.Read); err != nil {
			return nil, err
		}
	}
	k := raw{c.Bytes, !c.Read, 1, false}
	depth := min(c.Depth, int(a.raw.lanes(k, 1)))
	vecs := make([]devices.Vec, depth)
	for i := range vecs {
		vecs[i] = ordinary(c.Bytes)
	}
	var bare side
	sides := make([]side, len(subjects))
	tallies := make([]tally, len(subjects))
	d := o.Duration / time.Duration(o.Turns)
	for turn := range o.Turns {
		rng := func(worker int) *rand.Rand { return rand.New(rand.NewPCG(uint64(turn)^o.Seed, uint64(worker))) }
		cpu := cpuTime()
		err := bare.runRaw(ctx, depth, d, func(i int) call { return a.raw.caller(k, i, depth, rng(i).Uint64N, vecs[i]) })
		if err != nil {
			return nil, fmt.Errorf("raw: %w", err)
		}
		bare.cpu += cpuTime() - cpu
		for n := range subjects {
			i := (n + turn) % len(subjects)
			s := subjects[i]
			before := s.tally()
			cpu := cpuTime()
			if err := sides[i].run(ctx, depth, d, func(i int) call { return a.caller(s, c, rng(i)) }); err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			if !c.Read {
				// What was left for later counts, in time too.
				begin := time.Now()
				if err := s.store.Checkpoint(ctx); err != nil {
					return nil, err
				}
				sides[i].elapsed += time.Since(begin)
			}
			sides[i].cpu += cpuTime() - cpu
			tallies[i] = tallies[i].add(s.tally().sub(before))
		}
	}
	var rows []AgeRow
	for i, s := range subjects {
		row := ageRowOf(s.name, c, depth, &bare, &sides[i], &tallies[i])
		row.Refused = s.refused.Swap(0)
		rows = append(rows, row)
	}
	return rows, nil
}

// caller returns the calls of one caller.
func (a *aging) caller(s *subject, c Cell, rng *rand.Rand) call {
	places := a.largest / uint64(c.Bytes)
	if c.Read {
		p := make([]byte, c.Bytes)
		return func(ctx context.Context) (int, int64, error) {
			n, err := s.store.Read(ctx, coll, s.set[rng.IntN(len(s.set))], rng.Uint64N(places)*uint64(c.Bytes), p)
			return 1, int64(n), whole(n, len(p), err)
		}
	}
	t := ebofs.NewTxn()
	return func(ctx context.Context) (int, int64, error) {
		t.Reset()
		t.Write(coll, s.set[rng.IntN(len(s.set))], rng.Uint64N(places)*uint64(c.Bytes), a.noise[:c.Bytes])
		err := s.store.Apply(ctx, t)
		if errors.Is(err, ebofs.ErrNoSpace) { // a store almost full may have no room for many at once
			s.refused.Add(1)
			return 0, 0, nil
		}
		return 1, int64(c.Bytes), err
	}
}

// tally is what a store and its device have counted.
type tally struct {
	written                ebofs.Written
	bytes                  int64 // at the device
	writes, reads, flushes int64
}

func (s *subject) tally() tally {
	return tally{s.store.Metrics().Written, s.dev.written.Load(), s.dev.writes.Load(), s.dev.reads.Load(), s.dev.flushes.Load()}
}

func (t tally) sub(u tally) tally {
	return tally{t.written.Sub(u.written), t.bytes - u.bytes, t.writes - u.writes, t.reads - u.reads, t.flushes - u.flushes}
}

func (t tally) add(u tally) tally {
	return tally{t.written.Add(u.written), t.bytes + u.bytes, t.writes + u.writes, t.reads + u.reads, t.flushes + u.flushes}
}
