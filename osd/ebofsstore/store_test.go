package ebofsstore_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/strict"
	"ebofs/osd"
	"ebofs/osd/ebofsstore"
	"ebofs/osd/storetest"
)

// set is one way to format and open a store.
type set struct {
	name   string
	format ebofs.FormatOptions
	open   ebofs.Options
	log    bool // on a device of its own
	file   bool // an image file instead of memory
	raid   bool // whole stripes only, as on a RAID-5 of six disks
	flash  bool // whole units only, of 16 KiB
}

var (
	hard = true
	sets = []set{
		{name: "default"},
		{name: "inline", open: ebofs.Options{Inline: true}},
		{name: "tiny caches", open: ebofs.Options{MemoryBytes: 64 << 20, MaxOnodes: 8, MaxDirtyBytes: 256 << 10}},
		{name: "tiny ring", format: ebofs.FormatOptions{LogBytes: 8 << 20}},
		{name: "hard stripes", format: ebofs.FormatOptions{StripeBytes: 64 << 10, Hard: &hard}},
		{name: "log device", log: true},
		{name: "image file", file: true},
		{name: "raid", raid: true},
	}
	// variants are for the model alone: how each pair of them could get into each
	// other's way.
	variants = []set{
		{name: "inline, tiny caches", open: ebofs.Options{Inline: true, MemoryBytes: 64 << 20, MaxOnodes: 8, MaxDirtyBytes: 256 << 10}},
		{name: "inline, tiny ring", format: ebofs.FormatOptions{LogBytes: 8 << 20}, open: ebofs.Options{Inline: true}},
		{name: "inline, hard stripes", format: ebofs.FormatOptions{StripeBytes: 64 << 10, Hard: &hard}, open: ebofs.Options{Inline: true}},
		{name: "inline, log device", log: true, open: ebofs.Options{Inline: true}},
		{name: "one onode", open: ebofs.Options{MaxOnodes: 1}},
		{name: "one onode, inline", open: ebofs.Options{MaxOnodes: 1, Inline: true}},
		{name: "hardly any dirty data", open: ebofs.Options{MaxDirtyBytes: 16 << 10}},
		{name: "checkpoints all the time", open: ebofs.Options{CheckpointInterval: time.Millisecond}},
		{name: "checkpoints all the time, tiny caches", open: ebofs.Options{CheckpointInterval: time.Millisecond, MemoryBytes: 64 << 20, MaxOnodes: 8}},
		{name: "checkpoints all the time, log device", log: true, open: ebofs.Options{CheckpointInterval: time.Millisecond}},
		{name: "kept epochs", format: ebofs.FormatOptions{KeepEpochs: 3}, open: ebofs.Options{Inline: true, MaxDirtyBytes: 256 << 10}},
		{name: "kept epochs, checkpoints all the time", format: ebofs.FormatOptions{KeepEpochs: 8}, open: ebofs.Options{CheckpointInterval: time.Millisecond}},
		{name: "small stripes", format: ebofs.FormatOptions{StripeBytes: 16 << 10}},
		{name: "large stripes", format: ebofs.FormatOptions{StripeBytes: 1 << 20}},
		{name: "large hard stripes", format: ebofs.FormatOptions{StripeBytes: 256 << 10, Hard: &hard}},
		{name: "hard stripes, tiny caches", format: ebofs.FormatOptions{StripeBytes: 64 << 10, Hard: &hard}, open: ebofs.Options{MemoryBytes: 64 << 20, MaxOnodes: 8, MaxDirtyBytes: 256 << 10}},
		{name: "small stripes, tiny ring", format: ebofs.FormatOptions{StripeBytes: 16 << 10, LogBytes: 8 << 20}},
		{name: "log device, tiny caches", log: true, open: ebofs.Options{MemoryBytes: 64 << 20, MaxOnodes: 8, MaxDirtyBytes: 256 << 10}},
		{name: "log device, hard stripes", log: true, format: ebofs.FormatOptions{StripeBytes: 64 << 10, Hard: &hard}},
		{name: "image file, tiny caches", file: true, open: ebofs.Options{MemoryBytes: 64 << 20, MaxOnodes: 8, MaxDirtyBytes: 256 << 10}},
		{name: "image file, inline, log device", file: true, log: true, open: ebofs.Options{Inline: true}},
		{name: "flash", flash: true},
		{name: "raid, inline, tiny caches", raid: true, open: ebofs.Options{Inline: true, MemoryBytes: 64 << 20, MaxOnodes: 8, MaxDirtyBytes: 256 << 10}},
		{name: "flash, checkpoints all the time", flash: true, open: ebofs.Options{CheckpointInterval: time.Millisecond}},
		{name: "raid, kept epochs, log device", raid: true, log: true, format: ebofs.FormatOptions{KeepEpochs: 3}, open: ebofs.Options{MaxDirtyBytes: 256 << 10}},
		{name: "flash, image file", flash: true, file: true},
		{name: "small data direct", open: ebofs.Options{DirectFrom: 1, MaxOnodes: 1}},
		{name: "small data direct, inline, log device", log: true, open: ebofs.Options{DirectFrom: 1, Inline: true, MaxDirtyBytes: 256 << 10}},
		{name: "small data direct, checkpoints all the time", open: ebofs.Options{DirectFrom: 1, CheckpointInterval: time.Millisecond}},
		{name: "part of the device", format: ebofs.FormatOptions{SizeBytes: 700<<20 + 12288}},
	}
)

// TestMain fails if a partial stripe was written where package strict watched.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(strict.All.Report(m.Run()))
}

const (
	largeBytes = 2 << 30 // sparse: only what is written costs memory
	smallBytes = 128 << 20
	logBytes   = 128 << 20
)

// handle formats and opens a store of the set.
func (o set) handle(t testing.TB, size uint64) *storetest.Handle {
	t.Helper()
	ctx := context.Background()
	dev := o.device(t, size)
	format, open := o.format, o.open
	if o.raid || o.flash || o.format.Hard != nil {
		shape := strict.Shape{Stripe: o.format.StripeBytes}
		switch {
		case o.raid:
			shape = strict.Shape{Stripe: 5 * 64 << 10, Unit: 64 << 10, Align: 72 << 10}
		case o.flash:
			shape = strict.Shape{Stripe: 16 << 10}
		}
		var err error
		if dev, err = strict.New(dev, shape, strict.All); err != nil {
			t.Fatal(err)
		}
	}
	if o.log {
		log := o.device(t, logBytes)
		format.LogDevice, open.LogDevice = log, log
	}
	if _, err := ebofs.Format(ctx, dev, format); err != nil {
		t.Fatal(err)
	}
	h := &storetest.Handle{}
	var s *ebofs.Store
	mount := func() (osd.ObjectStore, error) {
		n, err := ebofs.Open(ctx, dev, open)
		if err != nil {
			return nil, err
		}
		s = n
		return ebofsstore.New(s), nil
	}
	h.Reopen = func(ctx context.Context) (osd.ObjectStore, error) {
		if err := s.Close(ctx); err != nil {
			return nil, err
		}
		return mount()
	}
	h.Check = func(ctx context.Context) error {
		r, err := check.Run(ctx, dev, check.Options{Level: check.Deep, LogDevice: open.LogDevice})
		if err != nil {
			return err
		}
		for _, p := range r.Problems {
			return fmt.Errorf("%d errors, %d warnings, the first: %+v", r.Counts.Errors, r.Counts.Warnings, p)
		}
		return nil
	}
	h.Checkpoint = func(ctx context.Context) error { return s.Checkpoint(ctx) }
	var err error
	if h.Store, err = mount(); err != nil {
		t.Fatal(err)
	}
	return h
}

func (o set) device(t testing.TB, size uint64) devices.Device {
	if !o.file {
		return devices.NewMem(devices.MemOptions{Blocks: size / devices.BlockSize})
	}
	f, err := devices.OpenFile(filepath.Join(t.TempDir(), "image"), devices.FileOptions{CreateBytes: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func (o set) factory() storetest.Factory {
	return storetest.Factory{
		Serial:   o.open.Inline,
		New:      func(t testing.TB) *storetest.Handle { return o.handle(t, largeBytes) },
		NewSmall: func(t testing.TB) *storetest.Handle { return o.handle(t, smallBytes) },
	}
}

var all = flag.Bool("all", false, "run the suite on every set of options, not on the default ones alone")

func TestSuite(t *testing.T) {
	for i, o := range sets {
		t.Run(o.name, func(t *testing.T) {
			if i > 0 && !*all {
				t.Skip("run with -all")
			}
			storetest.Run(t, o.factory())
		})
	}
}

func TestScripts(t *testing.T) {
	for _, o := range slices.Concat(sets, variants) {
		t.Run(o.name, func(t *testing.T) { storetest.RunScripts(t, o.factory()) })
	}
}

func TestModelFull(t *testing.T) {
	for _, o := range sets {
		t.Run(o.name, func(t *testing.T) { storetest.RunModelFull(t, o.factory(), 1, 1500) })
	}
}

// TestModel gives the same operations to stores of every set and variant.
func TestModel(t *testing.T) {
	for i, o := range slices.Concat(sets, variants) {
		if testing.Short() && i >= len(sets) && i%5 != 0 {
			continue
		}
		t.Run(o.name, func(t *testing.T) { storetest.RunModel(t, o.factory(), 2, 3000) })
	}
}

var soak = flag.Duration("soak", 0, "give stores random operations for so long")
var firstSeed = flag.Uint64("seed", 1, "first seed of them")

// TestSoak goes on with other seeds, each on the next set of options.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("no -soak given")
	}
	all := slices.Concat(sets, variants)
	next, ops, failures := *firstSeed, 0, 0
	for began := time.Now(); time.Since(began) < *soak; next++ {
		o := all[next%uint64(len(all))]
		if err := flag.Set("storetest.seed", fmt.Sprint(next)); err != nil {
			t.Fatal(err)
		}
		ok := t.Run(fmt.Sprintf("%s/seed=%d", o.name, next), func(t *testing.T) {
			ops += storetest.RunModel(t, o.factory(), 1, 20_000)
		})
		if !ok {
			failures++
		}
	}
	fmt.Printf("soak: seeds %d-%d counts operations %d failures %d\n", *firstSeed, next-1, ops, failures)
}
