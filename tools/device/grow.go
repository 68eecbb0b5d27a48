package device

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/probe"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Grown is the JSON of "grow"; sizes in bytes, places in bytes from the start.
type Grown struct {
	Device    string   `json:"device"`
	Store     string   `json:"store"`
	Grown     bool     `json:"grown"` // false: there was nothing to do, or a dry run
	FromBytes uint64   `json:"from_bytes"`
	ToBytes   uint64   `json:"to_bytes"`
	ZoneBytes uint64   `json:"zone_bytes"`
	ZonesFrom uint32   `json:"zones_from"`
	ZonesTo   uint32   `json:"zones_to"`
	Gained    uint64   `json:"gained_bytes"` // of zones
	Reserve   uint64   `json:"reserve_bytes"`
	NewLabels []uint64 `json:"new_labels"`
	DryRun    bool     `json:"dry_run"`
}

// growJob is one run of "grow".
type growJob struct {
	size    sizes.Size
	logPath string
	dry     bool
}

func growFlags(fs *pflag.FlagSet) verb.Run {
	j := &growJob{}
	fs.Var(&j.size, "size", "grow to `SIZE`, instead of to all of DEV")
	fs.StringVar(&j.logPath, "log", "", "`DEV` that holds the log")
	fs.BoolVarP(&j.dry, "dry-run", "N", false, "say what would become of it, write nothing")
	return j.run
}

func (j *growJob) run(ctx context.Context, c *verb.Call) (err error) {
	path := c.Args[0]
	s, err := store.Mount(ctx, c, path, store.Mode{Write: !j.dry, LogPath: j.logPath})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(context.WithoutCancel(ctx))) }()
	sb := s.Superblock()
	blocks := s.Device().Geometry().Blocks
	want := j.size.Of(blocks * layout.BlockSize)
	if j.size.Given() && want < layout.BlockSize {
		return verb.Usage("--size: too small")
	}
	r, err := ebofs.PlanGrow(&sb, blocks, want)
	if err == nil && !j.dry {
		r, err = s.Grow(ctx, want)
	}
	res := Grown{
		Device: path, Store: sb.FSID.String(), Grown: err == nil && !j.dry, DryRun: j.dry, FromBytes: sb.Blocks * layout.BlockSize, NewLabels: []uint64{},
		ZoneBytes: uint64(sb.ZoneBlocks) * layout.BlockSize, ZonesFrom: sb.Zones, ZonesTo: sb.Zones,
	}
	res.ToBytes = res.FromBytes
	switch {
	case errors.Is(err, layout.ErrNoGain):
		c.Set(res)
		whole := want
		if whole == 0 {
			whole = blocks * layout.BlockSize
		}
		c.Printf("%s: nothing to do: store %s has %s of %s\n", path, sb.FSID.Short(), sizes.Human(res.FromBytes), sizes.Human(whole))
		return nil
	case err != nil:
		return j.failure(ctx, c, path, err)
	}
	res.ToBytes, res.ZonesTo, res.Reserve = r.To.Blocks*layout.BlockSize, r.To.Zones, r.Reserve*layout.BlockSize
	res.Gained = (r.To.ZoneEnd - r.From.ZoneEnd) * layout.BlockSize
	for _, b := range r.NewLabels {
		res.NewLabels = append(res.NewLabels, b*layout.BlockSize)
	}
	c.Set(res)
	word := "grew"
	if j.dry {
		word = "would grow"
	}
	c.Printf("%s: store %s %s from %s to %s: %s more for objects\n", path, sb.FSID.Short(), word, sizes.Human(res.FromBytes), sizes.Human(res.ToBytes), sizes.Human(res.Gained))
	line := fmt.Sprintf("zones %d → %d × %s · reserve %s · superblocks 3 and 4 MiB from the new end", res.ZonesFrom, res.ZonesTo, sizes.Short(res.ZoneBytes), sizes.Short(res.Reserve))
	if n := len(res.NewLabels); n == 1 {
		line += " · 1 label copy more"
	} else if n > 1 {
		line += fmt.Sprintf(" · %d label copies more", n)
	}
	c.Printf("%s\n", line)
	if j.dry {
		c.Notef("dry run: nothing was written")
	}
	return nil
}

// failure names what is wrong with the size, or says what a grow that was cut off
// leaves.
func (j *growJob) failure(ctx context.Context, c *verb.Call, path string, err error) error {
	switch {
	case errors.Is(err, layout.ErrInvalid), errors.Is(err, ebofs.ErrInvalid):
		return &verb.Failure{Code: probe.CodeGeometry, Message: path + ": " + plainText(err), Hint: "Nothing was written.", Err: err}
	case errors.Is(err, ebofs.ErrNoSpace):
		return &verb.Failure{Code: store.CodeNoSpace, Message: path + ": " + plainText(err), Hint: "The store is as it was.", Err: err}
	}
	return store.Explain(c, path, err)
}
