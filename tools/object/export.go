package object

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"ebofs/ebofs"
	"ebofs/tools/output"
	"ebofs/tools/progress"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// exporter is "export".
type exporter struct {
	jobs   int
	verify string

	c     *verb.Call
	s     *session
	meter *progress.Meter
	root  *os.Root

	mu   sync.Mutex
	dirs []dirTimes // to be given their mode and time at the end

	files, links, bad, good atomic.Int64
	bytes                   atomic.Int64
	parts                   atomic.Int64 // makes names of files being written
}

type dirTimes struct {
	name string
	meta fileMeta
}

// exportResult is the JSON of "export".
type exportResult struct {
	Collection  string  `json:"collection"`
	Files       int64   `json:"files"`
	Directories int64   `json:"directories"`
	Symlinks    int64   `json:"symlinks"`
	Bytes       int64   `json:"bytes"`
	Verified    int64   `json:"verified"`
	Wrong       int64   `json:"wrong"`  // differ from the journal, or missing
	Failed      int64   `json:"failed"` // could not be exported
	Seconds     float64 `json:"seconds"`
}

func exportFlags(fs *pflag.FlagSet) job {
	j := &exporter{}
	fs.IntVarP(&j.jobs, "jobs", "j", 16, "objects in flight at once: `N`")
	fs.StringVar(&j.verify, "verify", "", "compare every object that the journal `FILE` of import --acked names with the SHA-256 there; without DIR nothing is exported")
	return j
}

func (*exporter) write(*verb.Call) bool { return false }

func (j *exporter) check(c *verb.Call) error {
	if j.jobs < 1 || j.jobs > 4096 {
		return verb.Usage("--jobs: 1 to 4096")
	}
	if len(c.Args) < 2 && j.verify == "" {
		return verb.Usage("DIR or --verify is missing")
	}
	return nil
}

func (j *exporter) run(ctx context.Context, c *verb.Call, s *session) error {
	j.c, j.s = c, s
	if err := s.open(ctx); err != nil {
		return err
	}
	start := c.Now()
	j.meter = progress.Start(progress.Options{Err: c.Err, Terminal: c.ErrTerminal, Columns: c.Columns, Name: c.Name() + ": " + s.Path, Status: c.Status})
	defer j.meter.Stop()
	var err error
	var failed int64
	if j.verify != "" {
		err = j.compare(ctx)
	}
	if err == nil && len(c.Args) > 1 {
		failed, err = j.export(ctx, c.Args[1])
	}
	j.meter.Stop()
	r := exportResult{Collection: string(s.coll), Files: j.files.Load(), Directories: int64(len(j.dirs)), Symlinks: j.links.Load(), Bytes: j.bytes.Load(),
		Verified: j.good.Load(), Wrong: j.bad.Load(), Failed: failed, Seconds: c.Now().Sub(start).Seconds()}
	c.Set(r)
	took := sizes.Duration(time.Duration(r.Seconds * float64(time.Second)))
	switch {
	case err != nil:
		return err
	case r.Wrong > 0:
		return &verb.Failure{Code: "E-VERIFY", Message: fmt.Sprintf("%s: %d of %d objects differ from %s, named above", s.Path, r.Wrong, r.Wrong+r.Verified, j.verify),
			Hint: "All that is damaged: " + c.Command("fsck", "--level", "deep", s.Path)}
	case failed > 0:
		return &verb.Failure{Code: verb.CodeFailed, Message: fmt.Sprintf("%s: %d objects not exported, named above; %d files written", s.Path, failed, r.Files)}
	}
	if j.verify != "" {
		c.Printf("%s: %d objects are as acknowledged\n", s.Path, r.Verified)
	}
	if len(c.Args) > 1 {
		c.Printf("%s: %d files, %d directories, %d links, %s exported in %s\n", s.Path, r.Files, r.Directories, r.Symlinks, sizes.Human(uint64(r.Bytes)), took)
	}
	return nil
}

// parallel runs do for every value next yields, until it says stop or ctx ends.
func parallel[T any](ctx context.Context, jobs int, next func(yield func(T) error) error, do func(T)) error {
	queue := make(chan T, jobs)
	var all sync.WaitGroup
	for range jobs {
		all.Go(func() {
			for v := range queue {
				do(v)
			}
		})
	}
	err := next(func(v T) error {
		select {
		case queue <- v:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(queue)
	all.Wait()
	return err
}

// compare reads every object the journal names.
func (j *exporter) compare(ctx context.Context) error {
	f, err := os.Open(j.verify)
	if err != nil {
		return err
	}
	defer f.Close()
	last := map[string]Acked{}
	var total int64
	if _, _, err := scanJournal(f, j.s.Superblock().FSID.String(), func(a Acked) error {
		total += a.Size - last[a.Name].Size
		if last[a.Name] = a; a.SHA256 == notKnown {
			delete(last, a.Name)
		}
		return nil
	}); err != nil {
		return explainJournal(j.verify, err)
	}
	j.meter.Phase("verify", total, true)
	return parallel(ctx, j.jobs, func(yield func(Acked) error) error {
		for _, a := range last {
			if err := yield(a); err != nil {
				return err
			}
		}
		return nil
	}, func(a Acked) {
		if ctx.Err() != nil {
			return
		}
		if err := j.compareOne(ctx, a); err != nil && ctx.Err() == nil {
			j.bad.Add(1)
			j.meter.Println(fmt.Sprintf("%s: %s: %v", j.c.Name(), printable(a.Name), err))
			return
		}
		j.good.Add(1)
		j.meter.Add(1, a.Size)
	})
}

func (j *exporter) compareOne(ctx context.Context, a Acked) error {
	h := sha256.New()
	n, err := j.s.copyOut(ctx, ebofs.NewObjectID(j.s.pool, a.Name), h)
	switch {
	case errors.Is(err, ebofs.ErrNotFound):
		return errors.New("acknowledged, but not there")
	case err != nil:
		return err
	case n != a.Size:
		return fmt.Errorf("%d bytes, acknowledged %d", n, a.Size)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != a.SHA256 {
		return fmt.Errorf("sha256 %s, acknowledged %s", got, a.SHA256)
	}
	return nil
}

// export writes the collection below dir. Modes and times of directories come
// last: writing into one would change its time, and its mode may forbid it.
func (j *exporter) export(ctx context.Context, dir string) (failed int64, err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, err
	}
	if j.root, err = os.OpenRoot(dir); err != nil {
		return 0, err
	}
	defer j.root.Close()
	st, err := j.s.Statfs()
	if err != nil {
		return 0, err
	}
	j.meter.Phase("export", int64(st.Stored), true)
	var fails atomic.Int64
	err = parallel(ctx, j.jobs, func(yield func(ebofs.ObjectID) error) error {
		return j.s.each(ctx, func(id *ebofs.ObjectID) error { return yield(*id) })
	}, func(id ebofs.ObjectID) {
		if err := j.exportOne(ctx, id); err != nil && ctx.Err() == nil {
			fails.Add(1)
			j.meter.Println(fmt.Sprintf("%s: %s: not exported: %v", j.c.Name(), printable(id.Name), err))
		}
	})
	if err != nil {
		return fails.Load(), err
	}
	// Deepest first, so that no parent is closed to us.
	slices.SortFunc(j.dirs, func(a, b dirTimes) int { return strings.Compare(b.name, a.name) })
	for _, d := range j.dirs {
		if err := j.finish(d.name, &d.meta); err != nil {
			return fails.Load(), err
		}
	}
	return fails.Load(), nil
}

// exportOne writes one object. Objects come in the order of their hashes, so
// whoever comes first makes the directories above.
func (j *exporter) exportOne(ctx context.Context, id ebofs.ObjectID) error {
	name := j.s.name(&id)
	if !isPath(name) {
		return &verb.Failure{Code: store.CodeName, Message: "the name is no path below a directory"}
	}
	attrs, err := j.s.GetAttrs(ctx, j.s.coll, id)
	if err != nil {
		return err
	}
	meta, isFile := decodeMeta(attrs)
	if isFile && meta.isDir() {
		if err := j.mkdir(name); err != nil {
			return err
		}
		j.mu.Lock()
		j.dirs = append(j.dirs, dirTimes{name, meta})
		j.mu.Unlock()
		return nil
	}
	if name == "." {
		return &verb.Failure{Code: store.CodeName, Message: "the name stands for the directory itself"}
	}
	if err := j.mkdir(path.Dir(name)); err != nil {
		return err
	}
	// A file that may not be read may be replaced all the same; a store may not. To
	// look at every small file would take as long as to write it.
	const noStore = 4 << 20 // bytes; any has superblocks as far as that from both ends
	var refusal *verb.Failure
	if st, err := j.root.Lstat(name); err == nil && st.Mode().IsRegular() && st.Size() >= noStore && errors.As(output.Check(filepath.Join(j.root.Name(), name), j.s.Path), &refusal) {
		return refusal
	}
	part, err := j.part(ctx, id, path.Dir(name), isFile, &meta)
	if err != nil {
		return err
	}
	// Only now is what was there lost: it may be a better copy than ours was, a
	// file that is read-only, or a link to elsewhere.
	if st, err := j.root.Lstat(name); err == nil && st.IsDir() {
		_ = j.root.Remove(name) // an empty one may go
	}
	if err := j.root.Rename(part, name); err != nil {
		_ = j.root.Remove(part)
		return err
	}
	if isFile && meta.isSymlink() {
		j.links.Add(1)
	} else {
		j.files.Add(1)
	}
	j.meter.Add(1, 0)
	return nil
}

// part writes an object whole, mode and time included, under a name of its own
// in dir; of one that cannot be read nothing is left.
func (j *exporter) part(ctx context.Context, id ebofs.ObjectID, dir string, isFile bool, meta *fileMeta) (name string, err error) {
	defer func() {
		if err != nil && name != "" {
			_ = j.root.Remove(name)
		}
	}()
	link := isFile && meta.isSymlink()
	var f *os.File
	for {
		name = path.Join(dir, fmt.Sprintf(".ebofs-part-%d-%d", os.Getpid(), j.parts.Add(1)))
		if link {
			err = j.root.Symlink(meta.target, name)
		} else {
			f, err = j.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	if link {
		return name, j.finish(name, meta)
	}
	n, err := j.s.copyOut(ctx, id, &counted{f, j.meter})
	if err = errors.Join(err, f.Close()); err != nil {
		return name, err
	}
	j.bytes.Add(n)
	if !isFile {
		return name, j.root.Chmod(name, 0o644)
	}
	return name, j.finish(name, meta)
}

// isPath reports whether an object's name is a path below a directory.
func isPath(name string) bool { return name == path.Clean(name) && fs.ValidPath(name) }

// mkdir makes a directory and those above it, open to us for now.
func (j *exporter) mkdir(name string) error {
	if name == "." {
		return nil
	}
	return j.root.MkdirAll(name, 0o700)
}

// finish sets mode and time; a link has no mode of its own.
func (j *exporter) finish(name string, meta *fileMeta) error {
	if meta.isSymlink() {
		dir, err := j.root.Open(path.Dir(name))
		if err != nil {
			return err
		}
		defer dir.Close()
		t := unix.NsecToTimespec(meta.mtime.UnixNano())
		return unix.UtimesNanoAt(int(dir.Fd()), path.Base(name), []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
	}
	mode := fs.FileMode(meta.mode & 0o777)
	for bit, m := range map[uint32]fs.FileMode{unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky} {
		if meta.mode&bit != 0 {
			mode |= m
		}
	}
	if err := j.root.Chmod(name, mode); err != nil {
		return err
	}
	return j.root.Chtimes(name, meta.mtime, meta.mtime)
}

// counted tells the meter what is written.
type counted struct {
	w     io.Writer
	meter *progress.Meter
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.meter.Add(0, int64(n))
	return n, err
}
