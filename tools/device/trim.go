package device

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/pflag"

	"ebofs/ebofs"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Trimmed is the JSON of "trim"; sizes in bytes.
type Trimmed struct {
	Device    string  `json:"device"`
	Store     string  `json:"store"`
	Discarded uint64  `json:"discarded_bytes"`
	Commands  uint64  `json:"commands"`
	Skipped   uint64  `json:"skipped_bytes"` // free, but in runs that are too short
	Complete  bool    `json:"complete"`      // false: interrupted
	Seconds   float64 `json:"seconds"`
	DryRun    bool    `json:"dry_run"`
}

// trimJob is one run of "trim".
type trimJob struct {
	least, rate sizes.Size
	logPath     string
	dry         bool
}

func trimFlags(fs *pflag.FlagSet) verb.Run {
	j := &trimJob{}
	fs.Var(&j.least, "min", "leave runs shorter than `SIZE` alone, instead of 1 MiB")
	fs.Var(&j.rate, "rate", "at most `SIZE` a second")
	fs.StringVar(&j.logPath, "log", "", "`DEV` that holds the log")
	fs.BoolVarP(&j.dry, "dry-run", "N", false, "say how much would be discarded, discard nothing")
	return j.run
}

func (j *trimJob) run(ctx context.Context, c *verb.Call) (err error) {
	path := c.Args[0]
	if j.least.Percent > 0 || j.rate.Percent > 0 {
		return verb.Usage("--min and --rate: no percentage here")
	}
	s, err := store.Mount(ctx, c, path, store.Mode{Write: !j.dry, LogPath: j.logPath})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(context.WithoutCancel(ctx))) }()
	start := c.Now()
	r, err := s.Trim(ctx, ebofs.TrimOptions{MinBytes: j.least.Bytes, BytesPerSecond: j.rate.Bytes, DryRun: j.dry})
	took := c.Now().Sub(start)
	stopped := ctx.Err() != nil && errors.Is(err, ctx.Err())
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return &verb.Failure{Code: codeDiscard, Message: path + ": does not discard", Hint: "Nothing was written.", Err: err}
	case err != nil && !stopped:
		return store.Explain(c, path, err)
	}
	sb := s.Superblock()
	c.Set(Trimmed{Device: path, Store: sb.FSID.String(), Discarded: r.Bytes, Commands: r.Runs, Skipped: r.Skipped, Complete: !stopped, Seconds: took.Seconds(), DryRun: j.dry})
	if j.dry {
		c.Printf("%s: would discard about %s; %s more is free in runs too short\n", path, sizes.Human(r.Bytes), sizes.Human(r.Skipped))
		c.Notef("dry run: nothing was written")
		return err
	}
	c.Printf("%s: discarded %s that nothing uses, in %s; %s more is free in runs too short\n", path, sizes.Human(r.Bytes), sizes.Duration(took.Round(time.Millisecond)), sizes.Human(r.Skipped))
	return err
}
