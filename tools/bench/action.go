package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"ebofs/devices"
	"ebofs/tools/probe"
	"ebofs/tools/progress"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Schema of the JSON result.
const Schema = "ebofs.bench/1"

// Action returns "bench" of the verb "device".
func Action() verb.Action {
	return verb.Action{
		Name: "bench", Args: "DEV", Short: "measure the engine beside the raw device; erases DEV", Schema: Schema, Rows: "rows",
		New: func(fs *pflag.FlagSet) verb.Run {
			j := new(job)
			fs.BoolVarP(&j.ask.Force, "force", "f", false, "erase foreign signatures, or a file's data; never overrides \"in use\" or a store")
			fs.StringSliceVar(&j.ask.Destroy, "destroy", nil, "destroy `STORE`, named by the first 8 characters of its id or more")
			fs.StringSliceVar(&j.o.Workloads, "workload", nil, "measure only these `NAMES`, separated by commas")
			fs.IntSliceVar(&j.o.Depths, "depth", nil, "with so many callers: `NUMBERS` separated by commas; default 1,16,64, fewer where more tell nothing")
			fs.Float64Var(&j.seconds, "seconds", 2, "for each workload and depth, and as long for the raw device")
			fs.BoolVar(&j.explain, "explain", false, "say below each row what was written for what, and where the time of a transaction went")
			fs.Var(&j.bytes, "size", "use only so much of DEV; default 4 GiB")
			fs.Var(&j.memory, "memory", "budget of the store; default 2 GiB")
			return j.run
		},
	}
}

// job is one call of the action.
type job struct {
	ask           probe.Ask
	o             Options
	seconds       float64
	bytes, memory sizes.Size
	explain       bool
}

func (j *job) run(ctx context.Context, c *verb.Call) (err error) {
	if !(j.seconds > 0 && j.seconds < 86400) {
		return verb.Usage("--seconds: above 0 and below a day")
	}
	return scratch(ctx, c, "bench", j.ask, MinBytes, func(disk *probe.Disk, dev devices.Device) error {
		j.o.Duration = time.Duration(j.seconds * float64(time.Second))
		j.o.Bytes, j.o.MemoryBytes = j.bytes.Of(uint64(disk.Bytes)), int64(j.memory.Of(uint64(disk.Bytes)))
		return j.o.Validate(dev)
	}, func(dev devices.Device) error { return j.measure(ctx, c, dev, c.Args[0]) })
}

// scratch claims the device an action named may overwrite, has it checked against the
// options, erases what made it recognisable, and measures.
func scratch(ctx context.Context, c *verb.Call, name string, ask probe.Ask, least int64, check func(*probe.Disk, devices.Device) error, measure func(devices.Device) error) (err error) {
	path := c.Args[0]
	ask.Now, ask.MinBytes = c.Now(), least
	ask.Command = func(flags ...string) string {
		return c.Command("device", append(append([]string{name}, flags...), path)...)
	}
	dev, disk, warnings, err := store.Claim(ctx, path, ask)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	for _, w := range warnings {
		c.Notef("%s", w)
	}
	if err := check(disk, dev); err != nil {
		f := verb.Usage(err.Error())
		f.Hint = "Nothing was written."
		return f
	}
	// What made the device recognisable goes first, and the scratch store last:
	// nobody wants it, and the next run would have to be told so.
	if err := wipe(ctx, c, dev, disk, true); err != nil {
		return failure(path, err)
	}
	err = measure(dev)
	return errors.Join(err, wipe(context.WithoutCancel(ctx), c, dev, disk, false))
}

// wipe erases signatures, and says so if told to.
func wipe(ctx context.Context, c *verb.Call, dev *devices.File, disk *probe.Disk, say bool) error {
	b := store.NewBytes(ctx, dev)
	gone, err := probe.Wipe(b, b.Size(), disk.Sector, disk.Name)
	if err = errors.Join(err, b.Close()); err != nil {
		return err
	}
	for _, w := range gone {
		if say {
			c.Notef("%s: erased %s", dev.Path(), w.What)
		}
	}
	if !say && !disk.Block {
		// The next run would take what is left in a file for somebody's.
		if err := dev.Discard(ctx, 0, dev.Geometry().Blocks); err != nil {
			return err
		}
	}
	return dev.Flush(ctx)
}

// measure runs and prints each row when it is there.
func (j *job) measure(ctx context.Context, c *verb.Call, dev devices.Device, path string) error {
	meter := func() *progress.Meter {
		return progress.Start(progress.Options{Err: c.Err, Terminal: c.ErrTerminal, Columns: c.Columns, Name: c.Name() + ": " + path, Status: c.Status, Device: path})
	}
	m := meter()
	defer func() { m.Stop() }()
	phase := ""
	j.o.Progress = func(name string, done, total int64) {
		if name != phase {
			phase = name
			m.Phase(name, total, name == phaseFill)
		}
		if name == phaseFill {
			m.Set(0, done)
		} else {
			m.Set(done, 0)
		}
	}
	header := false
	j.o.OnRow = func(r Row) {
		m.Stop() // the bar and the table may share a terminal
		if !header {
			c.Printf("%s\n", Header())
			header = true
		}
		c.Printf("%s\n", r)
		if j.explain && r.Explained != nil {
			c.Printf("%s\n", r.Explained)
		}
		c.Flush()
		c.Row(r)
		m, phase = meter(), ""
	}
	rep, err := Run(ctx, dev, j.o)
	rep.Rows = nil // they were given one by one
	c.Set(rep)
	if err != nil && !errors.Is(err, context.Canceled) {
		return failure(path, err)
	}
	return err
}

// failure names the device; by then it has been overwritten.
func failure(path string, err error) error {
	f := probe.Explain(fmt.Errorf("%s: %w", path, err))
	f.Hint = "What it held before is gone."
	return f
}
