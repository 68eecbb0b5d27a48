package object

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"ebofs/ebofs"
	"ebofs/tools/progress"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// importer is "import".
type importer struct {
	jobs   int
	acked  string
	resume bool

	s       *session
	meter   *progress.Meter
	journal *journal
	known   map[string]Acked // what the journal said at the start
	c       *verb.Call

	files, dirs, links, skipped, failed atomic.Int64
	bytes                               atomic.Int64
	damaged                             atomic.Bool // some failed for damage of the store
	stop                                context.CancelCauseFunc
}

// importResult is the JSON of "import".
type importResult struct {
	Collection  string  `json:"collection"`
	Files       int64   `json:"files"`
	Directories int64   `json:"directories"`
	Symlinks    int64   `json:"symlinks"`
	Bytes       int64   `json:"bytes"`
	Skipped     int64   `json:"skipped"` // by --resume
	Failed      int64   `json:"failed"`
	Complete    bool    `json:"complete"` // the whole tree was visited
	Seconds     float64 `json:"seconds"`
}

func importFlags(fs *pflag.FlagSet) job {
	j := &importer{}
	fs.IntVarP(&j.jobs, "jobs", "j", 32, "files in flight at once: `N`")
	fs.StringVar(&j.acked, "acked", "", "append \"sha256 size name\" to `FILE` for each object, once it is committed; its first line names the store")
	fs.BoolVar(&j.resume, "resume", false, "leave objects alone whose size, mode and modification time are the file's")
	return j
}

func (*importer) write(*verb.Call) bool { return true }

func (j *importer) check(c *verb.Call) error {
	if j.jobs < 1 || j.jobs > 4096 {
		return verb.Usage("--jobs: 1 to 4096")
	}
	st, err := os.Stat(c.Args[1])
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return verb.Usage(c.Args[1] + ": not a directory")
	}
	return nil
}

func (j *importer) run(ctx context.Context, c *verb.Call, s *session) (err error) {
	root := c.Args[1]
	j.c, j.s = c, s
	if j.acked != "" {
		if j.journal, j.known, err = openJournal(j.acked, s.Superblock().FSID.String(), s.Path); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, j.journal.close()) }()
	}
	if err := s.create(ctx); err != nil {
		return err
	}
	start := c.Now()
	j.meter = progress.Start(progress.Options{Err: c.Err, Terminal: c.ErrTerminal, Columns: c.Columns, Name: c.Name() + ": " + s.Path, Status: c.Status})
	defer j.meter.Stop()
	j.meter.Phase("import", 0, true)

	// work ends on SIGINT or on the first error that concerns the store; what
	// is in flight then is finished under a context that does not end.
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	j.stop = stop
	var workers, measuring sync.WaitGroup
	if c.ErrTerminal {
		measuring.Go(func() { j.measure(work, root) })
	}
	queue := make(chan entry, j.jobs)
	for range j.jobs {
		workers.Go(func() {
			w := worker{importer: j, ctx: context.WithoutCancel(ctx), buf: make([]byte, firstBuffer)}
			for e := range queue {
				if work.Err() == nil {
					w.one(e)
				}
			}
		})
	}
	walkErr := j.walk(work, root, queue)
	close(queue)
	workers.Wait()
	cause := context.Cause(work)
	stop(nil)
	measuring.Wait()
	j.meter.Stop()

	r := importResult{Collection: string(s.coll), Files: j.files.Load(), Directories: j.dirs.Load(), Symlinks: j.links.Load(),
		Bytes: j.bytes.Load(), Skipped: j.skipped.Load(), Failed: j.failed.Load(), Complete: cause == nil && walkErr == nil, Seconds: c.Now().Sub(start).Seconds()}
	c.Set(r)
	line := r.String()
	switch {
	case ctx.Err() != nil:
		return &verb.Failure{Code: verb.CodeCancelled, Message: fmt.Sprintf("%s: interrupted: %s", s.Path, line), Hint: "To go on: " + j.again(root), Err: ctx.Err()}
	case errors.Is(cause, ebofs.ErrNoSpace):
		full := s.Path + ": the store is full"
		var why *verb.Failure // names the object that was to be replaced
		if errors.As(cause, &why) {
			full = why.Message
		}
		f := &verb.Failure{Code: store.CodeNoSpace, Message: fmt.Sprintf("%s: %s; the rest was not stored", full, line),
			Hint: "What was stored stays. To see how full it is: " + c.Command("map", s.Path), Err: cause}
		if j.jobs > 1 {
			// What is under way counts for more than it will take.
			f.Hint = "What was stored stays. One file at a time may fit a few more: " + j.again(root, "-j", "1")
		}
		return f
	case cause != nil:
		return fmt.Errorf("%w; %s", cause, line)
	case walkErr != nil:
		return walkErr
	case r.Failed > 0:
		f := &verb.Failure{Code: "E-IMPORT", Message: fmt.Sprintf("%s: %d not imported, named above; %s", s.Path, r.Failed, line)}
		if j.damaged.Load() {
			f.Hint = "All that is damaged: " + c.Command("fsck", "--level", "deep", s.Path)
		}
		return f
	}
	c.Printf("%s: %s\n", s.Path, line)
	return nil
}

// String says what was stored: "5230 files, 61.2 MiB stored in 4.1 s".
func (r importResult) String() string {
	s := fmt.Sprintf("%d files, %d directories, %d links, %s stored in %s", r.Files, r.Directories, r.Symlinks, sizes.Human(uint64(r.Bytes)), sizes.Duration(time.Duration(r.Seconds*float64(time.Second))))
	if r.Skipped > 0 {
		s += fmt.Sprintf(", %d were there already", r.Skipped)
	}
	return s
}

// again is the command that goes on, with more flags.
func (j *importer) again(root string, flags ...string) string {
	args := append([]string{j.s.Path, "import", "--resume"}, flags...)
	if j.s.coll != DefaultCollection {
		args = append(args, "--collection", string(j.s.coll))
	}
	if j.acked != "" {
		args = append(args, "--acked", j.acked)
	}
	return j.c.Command("object", append(args, root)...)
}

// entry is one file, directory or link to import.
type entry struct {
	path string // to open
	name string // of the object
	info fs.FileInfo
}

// walk sends every entry below root to queue, directories before what is in
// them, until ctx ends. What cannot be read is reported and passed over.
func (j *importer) walk(ctx context.Context, root string, queue chan<- entry) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return fs.SkipAll
		}
		name, relErr := filepath.Rel(root, path)
		if err == nil {
			err = relErr
		}
		var info fs.FileInfo
		if err == nil {
			info, err = d.Info()
		}
		if err == nil && path == root {
			info, err = os.Stat(root) // a link to the directory stands for it
		}
		if err != nil {
			j.report(path, err)
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		select {
		case queue <- entry{path, filepath.ToSlash(name), info}:
			return nil
		case <-ctx.Done():
			return fs.SkipAll
		}
	})
}

// measure adds up the tree for the progress bar.
func (j *importer) measure(ctx context.Context, root string) {
	var total int64
	_ = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return fs.SkipAll
		}
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	if ctx.Err() == nil {
		j.meter.SetTotal(total)
	}
}

// report names one file that is not imported.
func (j *importer) report(path string, err error) {
	j.failed.Add(1)
	if errors.Is(err, ebofs.ErrCorrupt) {
		j.damaged.Store(true)
	}
	var f *verb.Failure
	var pe *fs.PathError
	text := err.Error()
	switch {
	case errors.As(err, &f):
		text = f.Message
	case errors.As(err, &pe) && pe.Path == path:
		text = pe.Err.Error()
	}
	j.meter.Println(fmt.Sprintf("%s: %s: not imported: %s", j.c.Name(), printable(shorten(path)), text))
}

// fatal ends the import: err concerns the store, not a file.
func (j *importer) fatal(err error) { j.stop(&storeError{err}) }

// storeError marks why work ended.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }
