package device

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/pflag"

	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/probe"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// LogAdded is the JSON of "add-log"; sizes in bytes.
type LogAdded struct {
	Device     string        `json:"device"`
	Store      string        `json:"store"`
	Log        string        `json:"log"`
	LogUUID    string        `json:"log_uuid"` // empty in a dry run
	LogBytes   uint64        `json:"log_bytes"`
	FreedBytes uint64        `json:"freed_bytes"` // of the old log, free for objects now
	LeftBytes  uint64        `json:"left_bytes"`  // of the old log, of no use any more
	Wiped      []probe.Wiped `json:"wiped"`
	DryRun     bool          `json:"dry_run"`
}

// addLogJob is one run of "add-log".
type addLogJob struct {
	ask  probe.Ask
	size sizes.Size
	dry  bool
}

func addLogFlags(fs *pflag.FlagSet) verb.Run {
	j := &addLogJob{}
	fs.BoolVarP(&j.ask.Force, "force", "f", false, "erase foreign signatures on LOG, or a file's data; never overrides \"in use\" or a store")
	fs.StringSliceVar(&j.ask.Destroy, "destroy", nil, "destroy `STORE` on LOG, named by the first 8 characters of its id or more")
	fs.Var(&j.size, "log-size", "`SIZE` of the log, instead of all that LOG has in one piece")
	fs.BoolVarP(&j.dry, "dry-run", "N", false, "check everything, say what would be done, write nothing")
	return j.run
}

func (j *addLogJob) run(ctx context.Context, c *verb.Call) (err error) {
	path, logPath := c.Args[0], c.Args[1]
	if a, err := os.Stat(path); err == nil {
		if b, err := os.Stat(logPath); err == nil && os.SameFile(a, b) {
			return verb.Usage("the log cannot be moved to the device it is on")
		}
	}
	if j.size.Percent > 0 {
		return verb.Usage("--log-size: no percentage here")
	}
	if err := store.Preflight(c, path, true); err != nil {
		return err
	}
	dev, err := store.Open(path, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	found, err := ebofs.Find(ctx, dev)
	if err != nil {
		return store.Explain(c, path, err)
	}
	fsid := found.Super.FSID
	if len(found.Super.Devices) > 1 {
		if d, err := probe.Look(logPath); err == nil && d.Store != nil && d.Store.DeviceUUID == found.Super.Devices[1].UUID.String() {
			c.Set(LogAdded{Device: path, Store: fsid.String(), Log: logPath, LogUUID: d.Store.DeviceUUID, LogBytes: found.Super.Rings[0].Blocks * layout.BlockSize, Wiped: []probe.Wiped{}, DryRun: j.dry})
			c.Printf("%s: nothing to do: the log of store %s is on %s; give it with --log\n", path, fsid.Short(), logPath)
			return nil
		}
		return &verb.Failure{Code: store.CodeLog, Message: path + ": store " + fsid.Short() + " has a log device already", Hint: "Nothing was written. A log is not moved from one device to another in this release."}
	}

	j.ask.Now, j.ask.MinBytes = c.Now(), layout.MinLogDeviceBytes
	j.ask.Command = func(flags ...string) string {
		return c.Command("device", append(append(append([]string{"add-log"}, c.Given("force", "destroy", "dry-run", "format")...), flags...), path, logPath)...)
	}
	log, disk, warnings, err := store.Claim(ctx, logPath, j.ask)
	var refusal *verb.Failure
	if errors.As(err, &refusal) && refusal.Code == probe.CodeStore && disk.Store != nil && disk.Store.ID == fsid.String() && disk.Store.Role == "log" {
		refusal.Message = logPath + ": is a log device of this very store, which does not use it: left by an add-log that was cut off, or the log of a copy"
		refusal.Hint = "Nothing was written. If there is no copy: " + j.ask.Command("--destroy", fsid.Short())
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	for _, w := range warnings {
		c.Notef("%s", w)
	}
	o := ebofs.AddLogOptions{LogBytes: j.size.Bytes, MemoryBytes: store.DefaultMemory, Now: c.Now}
	res := LogAdded{Device: path, Store: fsid.String(), Log: logPath, Wiped: []probe.Wiped{}, DryRun: j.dry}
	o.Prepare = func() error {
		b := store.NewBytes(ctx, log)
		gone, err := probe.Wipe(b, b.Size(), disk.Sector, logPath)
		res.Wiped = append(res.Wiped, gone...)
		for _, w := range gone {
			c.Notef("%s: erased %s", logPath, w.What)
		}
		return errors.Join(err, b.Close(), log.Flush(ctx))
	}
	r, err := ebofs.PlanAddLog(&found.Super, log, o)
	if err == nil && !j.dry {
		store.TuneHeap(o.MemoryBytes)
		if r, err = ebofs.AddLog(ctx, dev, log, o); err == nil {
			res.LogUUID = r.DeviceUUID.String()
		}
	}
	switch {
	case errors.Is(err, layout.ErrInvalid), errors.Is(err, layout.ErrTooSmall), errors.Is(err, ebofs.ErrInvalid):
		return &verb.Failure{Code: probe.CodeGeometry, Message: logPath + ": " + plainText(err), Hint: "Nothing was written.", Err: err}
	case err != nil:
		return store.Explain(c, path, err)
	}
	res.LogBytes, res.FreedBytes, res.LeftBytes = r.LogBlocks*layout.BlockSize, r.Freed*layout.BlockSize, r.Left*layout.BlockSize
	c.Set(res)
	if j.dry {
		c.Printf("%s: the log of store %s would move to %s: %s\n", path, fsid.Short(), logPath, sizes.Short(res.LogBytes))
	} else {
		c.Printf("%s: the log of store %s is on %s now: %s; give it with --log from now on\n", path, fsid.Short(), logPath, sizes.Short(res.LogBytes))
	}
	if res.FreedBytes > 0 {
		c.Printf("%s of the old log are free for objects\n", sizes.Short(res.FreedBytes))
	}
	if res.LeftBytes > 0 {
		c.Printf("%s of the old log lie before the first zone and stay unused\n", sizes.Short(res.LeftBytes))
	}
	if j.dry {
		c.Notef("dry run: nothing was written")
	}
	return nil
}
