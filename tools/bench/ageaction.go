package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ebofs/devices"
	"ebofs/tools/probe"
	"ebofs/tools/progress"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// AgeSchema of the JSON result.
const AgeSchema = "ebofs.age/1"

// AgeAction returns "age" of the verb "device".
func AgeAction() verb.Action {
	return verb.Action{
		Name: "age", Args: "DEV", Short: "measure an old, full store beside a fresh one and the raw device; erases DEV", Schema: AgeSchema, Rows: "rows",
		New: func(fs *pflag.FlagSet) verb.Run {
			j := new(ageJob)
			fs.BoolVarP(&j.ask.Force, "force", "f", false, "erase foreign signatures, or a file's data; never overrides \"in use\" or a store")
			fs.StringSliceVar(&j.ask.Destroy, "destroy", nil, "destroy `STORE`, named by the first 8 characters of its id or more")
			fs.StringVar(&j.fill, "fill", "80%", "keep so much of the store in use: `SHARE`, up to 99%")
			fs.Float64Var(&j.o.Rounds, "rounds", 4, "write the store's space so often to age it")
			fs.Uint64Var(&j.o.Seed, "seed", 1, "of what is done to it")
			fs.Float64Var(&j.seconds, "seconds", 2, "for each row, and as long for the raw device")
			fs.Var(&j.bytes, "size", "use only so much of DEV; default 8 GiB")
			fs.Var(&j.memory, "memory", "budget of each of the two stores; default 512 MiB")
			fs.Var(&j.stripe, "stripe", "format the stores with this stripe; default: as the device reports")
			fs.BoolVar(&j.hard, "hard", false, "format them for hard geometry: whole stripes only")
			fs.BoolVar(&j.o.Defrag, "defrag", false, "defragment in the background while it ages, and objects at its end")
			fs.BoolVar(&j.sizes, "sizes", false, "measure durable writes of 4 KiB to 16 MiB instead of the usual rows")
			fs.StringVar(&j.svg, "svg", "", "draw throughput against write size into `FILE`, figures beside it in a .json; implies --sizes")
			return j.run
		},
	}
}

// ageJob is one call of the action.
type ageJob struct {
	ask                   probe.Ask
	o                     AgeOptions
	fill, svg             string
	seconds               float64
	hard, sizes           bool
	bytes, memory, stripe sizes.Size
}

func (j *ageJob) run(ctx context.Context, c *verb.Call) (err error) {
	if !(j.seconds > 0 && j.seconds < 86400) {
		return verb.Usage("--seconds: above 0 and below a day")
	}
	share, isShare := strings.CutSuffix(j.fill, "%")
	fill, err := strconv.ParseFloat(share, 64)
	if err != nil || !isShare || !(fill > 0 && fill <= 99) {
		return verb.Usage(fmt.Sprintf("--fill %s: want a share above 0%% and up to 99%%", j.fill))
	}
	j.o.Fill = fill / 100
	if j.sizes || j.svg != "" {
		j.o.Cells = SizeCells()
	}
	if j.svg != "" {
		// Better now than when everything has been measured.
		f, err := os.OpenFile(j.svg, os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return verb.Usage("--svg: " + err.Error())
		}
	}
	return scratch(ctx, c, "age", j.ask, MinAgeBytes, func(disk *probe.Disk, dev devices.Device) error {
		whole := uint64(disk.Bytes)
		j.o.Duration = time.Duration(j.seconds * float64(time.Second))
		j.o.Bytes, j.o.MemoryBytes, j.o.StripeBytes = j.bytes.Of(whole), int64(j.memory.Of(whole)), uint32(j.stripe.Of(whole))
		if j.hard {
			j.o.Hard = &j.hard
		}
		return j.o.Validate(dev)
	}, func(dev devices.Device) error { return j.measure(ctx, c, dev, c.Args[0]) })
}

// measure ages and prints what is there as it comes.
func (j *ageJob) measure(ctx context.Context, c *verb.Call, dev devices.Device, path string) error {
	meter := func() *progress.Meter {
		return progress.Start(progress.Options{Err: c.Err, Terminal: c.ErrTerminal, Columns: c.Columns, Name: c.Name() + ": " + path, Status: c.Status, Device: path})
	}
	m := meter()
	defer func() { m.Stop() }()
	phase := ""
	j.o.Progress = func(name string, done, total int64) {
		ofBytes := total > 1<<20
		if name != phase {
			phase = name
			m.Phase(name, total, ofBytes)
		}
		if ofBytes {
			m.Set(0, done)
		} else {
			m.Set(done, 0)
		}
	}
	say := func(line string) {
		m.Stop() // the bar and the table may share a terminal
		c.Printf("%s\n", line)
		c.Flush()
		m, phase = meter(), ""
	}
	j.o.OnState = func(s State) { say(s.String()) }
	header := false
	j.o.OnRow = func(r AgeRow) {
		if !header {
			say(AgeHeader())
			header = true
		}
		say(r.String())
		c.Row(r)
	}
	rep, err := Age(ctx, dev, j.o)
	rows := rep.Rows
	rep.Rows = nil // they were given one by one
	c.Set(rep)
	if err == nil {
		say(rep.Ageing.String())
		if j.svg != "" {
			rep.Rows = rows
			err = rep.draw(j.svg)
		}
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return failure(path, err)
	}
	return err
}
