package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ebofs/tools/blockmap"
	"ebofs/tools/fsck"
	"ebofs/tools/mkfs"
	"ebofs/tools/object"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Verb describes "demo".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "demo", Short: "show it all on an image: format, import, kill, mount, verify, check", Schema: "ebofs.demo/1",
		Long: `Makes an image in a directory of its own (as root, with a loop device over it), formats it, imports a tree of files by a child process that is killed with SIGKILL half-way, mounts it again, compares every acknowledged object with its SHA-256, finishes the import, checks everything and draws the map.

Needs no configuration and touches nothing else. The image stays for you to look at; --remove deletes it.`,
		New: func(fs *pflag.FlagSet) verb.Run {
			d := &demo{}
			fs.StringVar(&d.dir, "dir", "ebofs-demo", "`DIRECTORY` to work in")
			fs.StringVar(&d.tree, "tree", "", "import the files below `DIR`; default: the source of Go")
			fs.Var(&d.size, "size", "`SIZE` of the image; default: 1GiB, or as much as the tree needs")
			fs.BoolVar(&d.noLoop, "no-loop", false, "use the image itself, also as root")
			fs.BoolVar(&d.remove, "remove", false, "delete what an earlier demo made, and nothing else")
			return d.run
		},
		Examples: []verb.Example{
			{Command: "ebofs demo", Text: "the whole story"},
			{Command: "ebofs demo --tree /usr/share --dir /tmp/demo", Text: "other files, another place"},
			{Command: "ebofs demo --remove", Text: "tidies up"},
		},
		SeeAlso: []string{"mkfs", "object", "fsck", "map"},
	}
}

type demo struct {
	dir, tree      string
	size           sizes.Size
	noLoop, remove bool

	c      *verb.Call
	image  string // of the store
	device string // the image, or the loop device over it
	acked  string // the child's journal
	r      result
	step   int
	begin  time.Time
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

func (d *demo) run(ctx context.Context, c *verb.Call) (err error) {
	d.c, d.begin = c, c.Now()
	if d.remove {
		return d.removeAll()
	}
	if err := d.findTree(ctx); err != nil {
		return err
	}
	if err := d.prepare(); err != nil {
		return err
	}
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
	d.r.Seconds = c.Now().Sub(d.begin).Seconds()
	c.Set(d.r)
	d.next()
	return nil
}

// title begins a step.
func (d *demo) title(format string, args ...any) {
	d.step++
	if d.step > 1 {
		d.c.Printf("\n")
	}
	d.c.Printf("%d  %s\n", d.step, fmt.Sprintf(format, args...))
	d.c.Flush()
}

// verbRun runs another verb as the command line would, its output indented;
// any exit code but 0 fails the demo.
func (d *demo) verbRun(ctx context.Context, name string, main func(context.Context, []string, verb.Streams) int, args ...string) error {
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
func (d *demo) failed(format string, args ...any) error {
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

// makeDevice makes the image and, as root, a loop device over it.
func (d *demo) makeDevice() (detach func() error, err error) {
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

func (d *demo) format(ctx context.Context) error {
	d.title("a store on it")
	return d.verbRun(ctx, "mkfs", mkfs.Main, "--label", "demo", d.device)
}

// mount opens the store as a daemon would and says how long that took.
func (d *demo) mount(ctx context.Context) error {
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

func (d *demo) verify(ctx context.Context) error {
	d.title("comparing every acknowledged object with its SHA-256")
	return d.verbRun(ctx, "object", object.Main, d.device, "export", "--verify", d.acked)
}

func (d *demo) finish(ctx context.Context) error {
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

func (d *demo) check(ctx context.Context) error {
	d.title("checking every node, every block and every checksum")
	return d.verbRun(ctx, "fsck", fsck.Main, "--level", "deep", d.device)
}

func (d *demo) picture(ctx context.Context) error {
	d.title("what the device is used for")
	return d.verbRun(ctx, "map", blockmap.Main, "--rows", "16", "--png", filepath.Join(d.dir, "map.png"), d.device)
}

// next says what to try, on the image, which stays.
func (d *demo) next() {
	d.c.Printf("\nDone in %s: nothing acknowledged was lost. The image stays; to try next:\n", sizes.Duration(d.c.Now().Sub(d.begin)))
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
