package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ebofs/tools/verb"
)

// marker is the file that makes a directory the demo's.
const marker = ".ebofs-demo"

// made are the names the demo makes in its directory.
func made() []string { return []string{"disk.img", "acked", "map.png"} }

// prepare makes the directory, or empties the one an earlier demo made.
func (d *demo) prepare() error {
	d.image, d.acked = filepath.Join(d.dir, "disk.img"), filepath.Join(d.dir, "acked")
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
	if err := d.removeMade(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.dir, marker), []byte("made by ebofs demo; ebofs demo --remove deletes what it made\n"), 0o644)
}

func (d *demo) isOurs() bool {
	_, err := os.Lstat(filepath.Join(d.dir, marker))
	return err == nil
}

func (d *demo) removeMade() error {
	for _, name := range made() {
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// removeAll is --remove. What somebody else put into the directory stays, and
// the directory with it.
func (d *demo) removeAll() error {
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

// findTree decides what to import and counts it.
func (d *demo) findTree(ctx context.Context) error {
	if d.tree == "" {
		root := ""
		if out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output(); err == nil {
			root = strings.TrimSpace(string(out))
		}
		for _, dir := range []string{filepath.Join(root, "src"), "/usr/local/go/src", "/usr/share", "/usr"} {
			if st, err := os.Stat(dir); err == nil && st.IsDir() && filepath.IsAbs(dir) {
				d.tree = dir
				break
			}
		}
	}
	err := filepath.WalkDir(d.tree, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil && path == d.tree:
			return err
		case err != nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case e.IsDir() || e.Type()&fs.ModeSymlink != 0:
			d.r.Entries++
		case e.Type().IsRegular():
			d.r.Entries++
			if info, err := e.Info(); err == nil {
				d.r.Bytes += info.Size()
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if d.r.Entries < 10 {
		return verb.Usage(fmt.Sprintf("--tree %s: only %d files and directories; take a larger one", d.tree, d.r.Entries))
	}
	return nil
}
