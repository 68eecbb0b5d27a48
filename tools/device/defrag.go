package device

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/pflag"

	"ebofs/ebofs"
	"ebofs/tools/progress"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Defragmented is the JSON of "defrag".
type Defragmented struct {
	Device   string `json:"device"`
	Store    string `json:"store"`
	Complete bool   `json:"complete"` // false: interrupted
	ebofs.DefragResult
	Seconds float64 `json:"seconds"`
}

// defragJob is one run of "defrag".
type defragJob struct {
	score   float64
	rate    sizes.Size
	objects bool
	logPath string
}

func defragFlags(fs *pflag.FlagSet) verb.Run {
	j := &defragJob{}
	fs.Float64Var(&j.score, "score", ebofs.DefaultScore, "go on until no more than this `SHARE` of the free space, 0 to 1, lies outside of whole stripes")
	fs.Var(&j.rate, "rate", "move at most `SIZE` a second")
	fs.BoolVar(&j.objects, "objects", false, "also bring together what of an object lies in many pieces, below 64 KiB on average; not on hard geometry")
	fs.StringVar(&j.logPath, "log", "", "`DEV` that holds the log")
	return j.run
}

func (j *defragJob) run(ctx context.Context, c *verb.Call) (err error) {
	path := c.Args[0]
	if j.rate.Percent > 0 {
		return verb.Usage("--rate: no percentage here")
	}
	if !(j.score > 0 && j.score < 1) {
		return verb.Usage("--score: above 0 and below 1")
	}
	s, err := store.Mount(ctx, c, path, store.Mode{Write: true, LogPath: j.logPath})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(context.WithoutCancel(ctx))) }()
	meter := progress.Start(progress.Options{Err: c.Err, Terminal: c.ErrTerminal, Columns: c.Columns, Name: c.Name() + ": " + path, Status: c.Status})
	start, pass := c.Now(), -1
	r, err := s.Defragment(ctx, ebofs.DefragOptions{Score: j.score, BytesPerSecond: j.rate.Bytes, Objects: j.objects}, func(p ebofs.DefragProgress) {
		if p.Pass != pass {
			pass = p.Pass
			meter.Phase("defrag", int64(p.Total), false)
		}
		meter.Set(int64(p.Objects), int64(p.Bytes))
	})
	meter.Stop()
	took := c.Now().Sub(start)
	stopped := ctx.Err() != nil && errors.Is(err, ctx.Err())
	if err != nil && !stopped {
		return store.Explain(c, path, err)
	}
	sb := s.Superblock()
	c.Set(Defragmented{Device: path, Store: sb.FSID.String(), Complete: !stopped, DefragResult: r, Seconds: took.Seconds()})
	c.Printf("%s: score %.3f, was %.3f; moved %s in %s\n", path, r.After, r.Before, sizes.Human(r.Bytes), sizes.Duration(took.Round(time.Millisecond)))
	if j.objects {
		c.Printf("%s: %s of objects lay in many pieces and were brought together\n", path, sizes.Human(r.Chunks<<18))
	}
	switch {
	case stopped:
	case !r.Reached:
		c.Notef("%s: the goal, %v, is not reached: %s", path, r.Goal, r.Why)
	case r.Bytes == 0:
		c.Notef("%s: nothing to be done: the goal is %v", path, r.Goal)
	}
	if r.Failed > 0 {
		c.Notef("%s: %d blocks cannot be read and stay where they are; which: %s", path, r.Failed, c.Command("fsck", "--level", "deep", path))
	}
	return err
}
