package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"ebofs/devices"
	"ebofs/ebofs/image"
	"ebofs/tools/probe"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// restoring is one run of "restore".
type restoring struct {
	logPath string
	ask     probe.Ask
}

// restored is its JSON.
type restored struct {
	Image    string    `json:"image"`
	Device   string    `json:"device"`
	Log      string    `json:"log,omitempty"`
	Store    string    `json:"store"`
	Made     time.Time `json:"made"`
	Plain    bool      `json:"plain_names"`
	Blocks   uint64    `json:"blocks"`
	Withheld uint64    `json:"withheld"`
	Bytes    uint64    `json:"bytes"` // size of the store's device
	NoLog    bool      `json:"log_missing"`
	Seconds  float64   `json:"seconds"`
}

func (j *restoring) run(ctx context.Context, c *verb.Call) (err error) {
	file, path := c.Args[0], c.Args[1]
	start := c.Now()
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return errors.Join(err, &verb.Failure{Code: codeImage, Message: file + ": not a regular file", Hint: "Nothing was written."})
	}
	m := meter(c, file)
	defer m.Stop()
	m.Phase("verify", 0, false)
	contents, err := image.Verify(ctx, f)
	if err != nil {
		return explainFile(c, file, err)
	}
	places := map[uint8]string{0: path}
	for i := range contents.Devices {
		if i != 0 && j.logPath != "" {
			places[i] = j.logPath
		}
	}
	switch {
	case contents.Devices[0] == 0:
		return &verb.Failure{Code: codeImage, Message: file + ": there is no main device in it", Hint: "Nothing was written."}
	case j.logPath != "" && len(places) == 1:
		return verb.Usage("--log: there is no log device in the image")
	case len(places) < len(contents.Devices):
		c.Notef("%s: the log device in it is left out; with it: --log DEV", file)
	}
	var finish []func(bool) error
	defer func() {
		for _, fn := range finish {
			err = errors.Join(err, fn(err == nil))
		}
	}()
	to := map[uint8]image.Target{}
	for i, path := range places {
		dev, done, err := j.target(ctx, c, path, contents.Devices[i])
		if err != nil {
			return err
		}
		finish = append(finish, done)
		to[i] = image.Target{Device: dev, Fresh: true}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	m.Phase("write", 0, false)
	if err := image.Restore(ctx, f, to); err != nil {
		return explainFile(c, file, err)
	}
	m.Stop()
	r := restored{Image: file, Device: path, Log: j.logPath, Store: contents.FSID.String(), Made: contents.Made.UTC(), Plain: contents.Flags&image.PlainNames != 0, Blocks: contents.Blocks, Withheld: contents.Withheld,
		Bytes: contents.Devices[0] * devices.BlockSize, NoLog: contents.Flags&image.NoLog != 0, Seconds: c.Now().Sub(start).Seconds()}
	c.Set(r)
	c.Printf("%s: store %s without its data, as of %s\n", path, contents.FSID.Short(), r.Made.Format(time.RFC3339))
	if r.Withheld > 0 {
		c.Printf("%s: %d blocks were left out when it was saved; they read as damaged\n", path, r.Withheld)
	}
	if r.NoLog {
		c.Printf("%s: its log is on a device that is not in the image\n", path)
	}
	c.Printf("Next:  %s\n", c.Command("fsck", path))
	return nil
}

// target opens where a device of so many blocks goes: a new sparse file, or what
// mkfs would take, all of it zeroed. done ends it; a new file stays if ok.
func (j *restoring) target(ctx context.Context, c *verb.Call, path string, blocks uint64) (dev *devices.File, done func(ok bool) error, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		part := path + ".part"
		dev, err := devices.OpenFile(part, devices.FileOptions{CreateBytes: blocks * devices.BlockSize})
		if err != nil {
			return nil, nil, probe.Explain(err)
		}
		return dev, func(ok bool) error {
			err := dev.Close()
			if ok && err == nil {
				return os.Rename(part, path)
			}
			return errors.Join(err, os.Remove(part))
		}, nil
	}
	ask := j.ask
	ask.Now, ask.MinBytes = c.Now(), int64(blocks*devices.BlockSize)
	ask.Command = func(flags ...string) string {
		return c.Command("image", append(append(append([]string{"restore"}, c.Given("force", "destroy", "format")...), flags...), c.Args...)...)
	}
	dev, disk, warnings, err := store.Claim(ctx, path, ask)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range warnings {
		c.Notef("%s", w)
	}
	if err := empty(ctx, c, dev, disk); err != nil {
		f := probe.Explain(fmt.Errorf("%s: %w", path, err))
		f.Hint = "What it held before may be gone in part; there is no store on it."
		return nil, nil, errors.Join(f, dev.Close())
	}
	return dev, func(bool) error { return dev.Close() }, nil
}

// empty erases signatures, then everything else.
func empty(ctx context.Context, c *verb.Call, dev *devices.File, disk *probe.Disk) error {
	b := store.NewBytes(ctx, dev)
	gone, err := probe.Wipe(b, b.Size(), disk.Sector, disk.Name)
	if err = errors.Join(err, b.Close()); err != nil {
		return err
	}
	for _, w := range gone {
		c.Notef("%s: erased %s", dev.Path(), w.What)
	}
	if err := dev.Flush(ctx); err != nil {
		return err
	}
	const step = 1 << 30 / devices.BlockSize
	for at, n := uint64(0), dev.Geometry().Blocks; at < n; at += step {
		if err := dev.Zero(ctx, devices.Block(at), min(step, n-at)); err != nil {
			return err
		}
	}
	return nil
}
