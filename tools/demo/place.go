package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ebofs/tools/daemon"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// place is the directory a demo works in, and how it tells its story.
type place struct {
	dir   string
	c     *verb.Call
	step  int
	began time.Time
}

// marker is the file that makes a directory the demo's.
const marker = ".ebofs-demo"

// made are the names the demo makes in its directory, as patterns.
var made = []string{
	"disk.img", "acked", "map.png", // the store alone
	"ceph.conf", "keyring", "new.conf", "new-*.img", "mon.a", "osd.*.img", "run", "*.log", "page.png", "photo", "photo.back", "disk.back",
}

// prepare makes the directory. One that an earlier demo made is emptied if it is to
// be fresh.
func (d *place) prepare(fresh bool) error {
	entries, err := os.ReadDir(d.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(d.dir, 0o755); err != nil {
			return err
		}
	case err != nil:
		return err
	case len(entries) > 0 && !d.isOurs():
		return &verb.Failure{Code: "E-DEMO", Message: d.dir + ": is not empty and was not made by the demo", Hint: "Nothing was written. Another place: " + d.c.Command("demo", "--dir", "DIRECTORY")}
	}
	if fresh {
		if err := d.removeMade(); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(d.dir, marker), []byte("made by ebofs demo; ebofs demo --remove deletes what it made\n"), 0o644)
}

// idle refuses a directory in which a demo is running.
func (d *place) idle() error {
	if pid := daemon.Holder(filepath.Join(d.dir, "mon.a")); pid != "" {
		return &verb.Failure{Code: "E-DEMO", Message: fmt.Sprintf("%s: a demo is running there, pid %s", d.dir, pid), Hint: "Nothing was done. Stop it first: kill " + pid}
	}
	return nil
}

func (d *place) isOurs() bool {
	_, err := os.Lstat(filepath.Join(d.dir, marker))
	return err == nil
}

func (d *place) removeMade() error {
	if err := d.idle(); err != nil {
		return err
	}
	for _, name := range made {
		list, err := filepath.Glob(filepath.Join(d.dir, name))
		if err != nil {
			return err
		}
		for _, path := range list {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeAll is --remove. What somebody else put into the directory stays, and
// the directory with it.
func (d *place) removeAll() error {
	if _, err := os.Lstat(d.dir); errors.Is(err, fs.ErrNotExist) {
		d.c.Printf("%s: not there\n", d.dir)
		return nil
	}
	if !d.isOurs() {
		return &verb.Failure{Code: "E-DEMO", Message: d.dir + ": was not made by the demo", Hint: "Nothing was removed."}
	}
	if err := d.removeMade(); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(d.dir, marker)); err != nil {
		return err
	}
	if err := os.Remove(d.dir); err != nil {
		d.c.Printf("%s: removed what the demo made; other files in it stay\n", d.dir)
		return nil
	}
	d.c.Printf("%s: removed\n", d.dir)
	return nil
}

// title begins a step.
func (d *place) title(format string, args ...any) {
	d.step++
	if d.step > 1 {
		d.c.Printf("\n")
	}
	d.c.Printf("%d  %s\n", d.step, fmt.Sprintf(format, args...))
	d.c.Flush()
}

// verbRun runs another verb as the command line would, its output indented;
// any exit code but 0 fails the demo.
func (d *place) verbRun(ctx context.Context, name string, main func(context.Context, []string, verb.Streams) int, args ...string) error {
	d.c.Printf("   $ %s\n", d.c.Command(name, args...))
	d.c.Flush()
	start := d.c.Now()
	s := d.c.Streams
	out := &indent{w: d.c}
	s.Out, s.OutTerminal = out, false
	if s.Columns > 6 {
		s.Columns -= 3
	}
	if d.c.Color {
		args = append(args, "--color=always")
	}
	code := main(ctx, args, s)
	out.end()
	d.c.Flush()
	if code != 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return d.failed("`%s` ended with exit code %d", d.c.Command(name, args...), code)
	}
	d.c.Printf("   (%s)\n", sizes.Duration(d.c.Now().Sub(start)))
	return nil
}

// failed is the failure of a step that must not fail.
func (d *place) failed(format string, args ...any) error {
	return &verb.Failure{Code: "E-DEMO", Message: fmt.Sprintf("step %d: %s", d.step, fmt.Sprintf(format, args...)), Hint: "What it made is kept in " + d.dir + "."}
}

// indent puts three blanks before each line.
type indent struct {
	w    *verb.Call
	line []byte
}

func (i *indent) Write(p []byte) (int, error) {
	i.line = append(i.line, p...)
	for {
		end := strings.IndexByte(string(i.line), '\n')
		if end < 0 {
			return len(p), nil
		}
		i.w.Printf("   %s\n", i.line[:end])
		i.line = i.line[end+1:]
	}
}

func (i *indent) end() {
	if len(i.line) > 0 {
		i.w.Printf("   %s\n", i.line)
	}
}
