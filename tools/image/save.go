package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"ebofs/ebofs/image"
	"ebofs/tools/output"
	"ebofs/tools/probe"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// saving is one run of "save".
type saving struct {
	logPath      string
	plain, force bool
}

// saved is its JSON.
type saved struct {
	Device string `json:"device"`
	Image  string `json:"image"`
	Bytes  int64  `json:"bytes"` // of the file
	InUse  bool   `json:"in_use"`
	image.Saved
	Seconds float64 `json:"seconds"`
}

func (j *saving) run(ctx context.Context, c *verb.Call) (err error) {
	path, file := c.Args[0], c.Args[1]
	start := c.Now()
	r := saved{Device: path, Image: file}
	if err := output.Check(file, path, j.logPath); err != nil {
		return err
	}
	if st, err := os.Stat(file); err == nil && (!j.force || !st.Mode().IsRegular()) {
		f := &verb.Failure{Code: store.CodeExists, Message: file + ": there is such a file already", Hint: "Nothing was written. Give another name, or --force.", Err: fs.ErrExist}
		if !st.Mode().IsRegular() {
			f.Hint = "Nothing was written. It is no regular file, so it is not replaced."
		}
		return f
	}
	o := image.SaveOptions{PlainNames: j.plain, Now: c.Now}
	dev, err := store.Open(path, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	if j.logPath != "" {
		log, err := store.Open(j.logPath, false)
		if err != nil {
			return err
		}
		defer log.Close()
		o.LogDevice = log
	}
	if d, err := probe.Look(path); err == nil && d.InUse {
		r.InUse = true
		c.Notef("%s: in use: what changes meanwhile may look like damage in the image", path)
	}
	m := meter(c, path)
	defer m.Stop()
	m.Phase("names", 0, false)
	phase := "names"
	o.Progress = func(p string, nodes uint64) {
		if p != phase {
			phase = p
			m.Phase(p, 0, false)
		}
		m.Set(int64(nodes), 0)
	}
	f, err := output.Create(file, path, j.logPath)
	if err != nil {
		return err
	}
	r.Saved, err = image.Save(ctx, dev, f, o)
	m.Stop()
	if err := f.Done(store.Explain(c, path, err)); err != nil {
		return err
	}
	r.Bytes = f.Size()
	r.Seconds = c.Now().Sub(start).Seconds()
	c.Set(r)
	j.print(c, &r)
	return nil
}

func (j *saving) print(c *verb.Call, r *saved) {
	names := "names as they are"
	if !r.Plain {
		names = fmt.Sprintf("%d names scrambled", r.Names)
	}
	c.Printf("%s: %d nodes, %s, no data: %s in %s\n", r.Image, r.Nodes, names, sizes.Human(uint64(r.Bytes)), sizes.Duration(time.Duration(r.Seconds*float64(time.Second))))
	if r.Withheld > 0 {
		c.Printf("%s: %d blocks are unreadable or too damaged to tell metadata from data; they are left out\n", r.Image, r.Withheld)
	}
	if r.Log == "missing" {
		c.Printf("%s: the log is on another device and not in the image; with it: --log DEV\n", r.Image)
	}
}
