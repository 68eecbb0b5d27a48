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

	"ebofs/tools/blockmap"
	"ebofs/tools/fsck"
	"ebofs/tools/mkfs"
	"ebofs/tools/object"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// story is the engine alone: import, kill, mount, verify, check, draw.
type story struct {
	*place
	tree   string
	size   sizes.Size
	noLoop bool

	image  string // of the store
	device string // the image, or the loop device over it
	acked  string // the child's journal
	r      result
}

// result is the JSON.
type result struct {
	Directory    string  `json:"directory"`
	Image        string  `json:"image"`
	Device       string  `json:"device"`
	Tree         string  `json:"tree"`
	Entries      int     `json:"entries"` // files, directories and links in the tree
	Bytes        int64   `json:"bytes"`
	AckedAtKill  int     `json:"acked_at_kill"`
	MountSeconds float64 `json:"mount_seconds"`
	ObjectsFound int64   `json:"objects_found"` // after the kill
	Objects      int64   `json:"objects"`       // in the end
	Seconds      float64 `json:"seconds"`
}

func (d *story) run(ctx context.Context) (err error) {
	if err := d.findTree(ctx); err != nil {
		return err
	}
	if err := d.prepare(true); err != nil {
		return err
	}
	d.image, d.acked = filepath.Join(d.dir, "disk.img"), filepath.Join(d.dir, "acked")
	d.r.Directory, d.r.Image, d.r.Tree = d.dir, d.image, d.tree
	detach, err := d.makeDevice()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, detach()) }()
	d.r.Device = d.device

	for _, step := range []func(context.Context) error{d.format, d.importAndKill, d.mount, d.verify, d.finish, d.check, d.picture} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				return context.Canceled
			}
			return err
		}
	}
	d.r.Seconds = d.c.Now().Sub(d.began).Seconds()
	d.c.Set(d.r)
	d.next()
	return nil
}

// makeDevice makes the image and, as root, a loop device over it.
func (d *story) makeDevice() (detach func() error, err error) {
	size := d.size.Of(0)
	if size == 0 {
		// Room for the tree, its metadata and a log, and for some more of each.
		size = max(1<<30, uint64(d.r.Bytes)*2)
	}
	d.title("an image of %s", sizes.Short(size))
	f, err := os.OpenFile(d.image, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(int64(size)), f.Close()); err != nil {
		return nil, err
	}
	d.device = d.image
	detach = func() error { return nil }
	if os.Geteuid() != 0 || d.noLoop {
		d.c.Printf("   %s, sparse; as root a loop device over it would be used\n", d.image)
		return detach, nil
	}
	loop, err := attach(d.image)
	if err != nil {
		d.c.Printf("   %s, sparse; no loop device to be had (%v), so the image itself is used\n", d.image, err)
		return detach, nil
	}
	d.device = loop.path
	d.c.Printf("   %s, sparse, and %s over it with direct I/O\n", d.image, d.device)
	return loop.detach, nil
}

func (d *story) format(ctx context.Context) error {
	d.title("a store on it")
	return d.verbRun(ctx, "mkfs", mkfs.Main, "--label", "demo", d.device)
}

// mount opens the store as a daemon would and says how long that took.
func (d *story) mount(ctx context.Context) error {
	d.title("mounting what the killed process left")
	start := d.c.Now()
	s, err := store.Mount(ctx, d.c, d.device, store.Mode{Write: true})
	if err != nil {
		return err
	}
	took := d.c.Now().Sub(start)
	d.r.MountSeconds = took.Seconds()
	st, err := s.Statfs()
	if err = errors.Join(err, s.Close(ctx)); err != nil {
		return store.Explain(d.c, d.device, err)
	}
	d.r.ObjectsFound = st.Objects
	d.c.Printf("   mounted in %s, log replayed: %d objects, %d were acknowledged\n", sizes.Duration(took), st.Objects, d.r.AckedAtKill)
	if st.Objects < int64(d.r.AckedAtKill) {
		return d.failed("%d objects after the kill, %d were acknowledged", st.Objects, d.r.AckedAtKill)
	}
	return nil
}

func (d *story) verify(ctx context.Context) error {
	d.title("comparing every acknowledged object with its SHA-256")
	return d.verbRun(ctx, "object", object.Main, d.device, "export", "--verify", d.acked)
}

func (d *story) finish(ctx context.Context) error {
	d.title("finishing the import, and comparing again")
	if err := d.verbRun(ctx, "object", object.Main, d.device, "import", "--resume", "--acked", d.acked, d.tree); err != nil {
		return err
	}
	if err := d.verbRun(ctx, "object", object.Main, d.device, "export", "--verify", d.acked); err != nil {
		return err
	}
	n, err := countNames(d.acked)
	if err != nil {
		return err
	}
	d.r.Objects = int64(n)
	if n < d.r.Entries {
		return d.failed("%d objects in the end, the tree has %d files, directories and links", n, d.r.Entries)
	}
	return nil
}

func (d *story) check(ctx context.Context) error {
	d.title("checking every node, every block and every checksum")
	return d.verbRun(ctx, "fsck", fsck.Main, "--level", "deep", d.device)
}

func (d *story) picture(ctx context.Context) error {
	d.title("what the device is used for")
	return d.verbRun(ctx, "map", blockmap.Main, "--rows", "16", "--png", filepath.Join(d.dir, "map.png"), d.device)
}

// next says what to try, on the image, which stays.
func (d *story) next() {
	d.c.Printf("\nDone in %s: nothing acknowledged was lost. The image stays; to try next:\n", sizes.Duration(d.c.Now().Sub(d.began)))
	for _, args := range [][]string{
		{"object", d.image, "ls", "--long"},
		{"object", d.image, "export", filepath.Join(d.dir, "tree")},
		{"map", "--rows", "40", d.image},
		{"device", "ls"},
		{"mkfs", "--help"},
		{"demo", "--remove"},
	} {
		if args[0] == "demo" && d.dir != "ebofs-demo" {
			args = append(args, "--dir", d.dir)
		}
		d.c.Printf("   %s\n", d.c.Command(args[0], args[1:]...))
	}
}

// findTree decides what to import and counts it.
func (d *story) findTree(ctx context.Context) error {
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
