package output

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"ebofs/tools/verb"
)

// File is an output file that is being written.
type File struct {
	f      *os.File
	path   string // as it was asked for
	target string // path without links; "" if f is no new file
	size   int64
}

// Create begins the file path. sources are the devices and files that the verb
// works on, none of which may be the output.
func Create(path string, sources ...string) (*File, error) {
	o := &File{path: path}
	old, err := look(path, sources)
	if err != nil {
		return nil, o.named(err)
	}
	if old != nil && (!old.Mode().IsRegular() || isDescriptor(path)) {
		if o.f, err = os.OpenFile(path, os.O_WRONLY, 0); err != nil {
			return nil, o.named(err)
		}
		return o, nil
	}
	if o.target, err = follow(path); err != nil {
		return nil, o.named(err)
	}
	part := filepath.Join(filepath.Dir(o.target), ".ebofs-part-"+rand.Text()[:12])
	if o.f, err = os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666); err != nil {
		return nil, o.named(err)
	}
	if old != nil {
		if err := o.takeAfter(old); err != nil {
			return nil, o.Done(err)
		}
	}
	return o, nil
}

// Write makes the file path of p.
func Write(path string, p []byte, sources ...string) error {
	o, err := Create(path, sources...)
	if err != nil {
		return err
	}
	_, err = o.Write(p)
	return o.Done(err)
}

// Write appends p.
func (o *File) Write(p []byte) (int, error) {
	n, err := o.f.Write(p)
	o.size += int64(n)
	return n, o.named(err)
}

// Size returns how much was written.
func (o *File) Size() int64 { return o.size }

// Done ends the file: if err, the outcome of making its content, is nil it is
// synced and gets its name, else it is removed. It returns err or what went wrong
// now.
func (o *File) Done(err error) error {
	if o.target == "" {
		return errors.Join(err, o.named(o.f.Close()))
	}
	if err == nil {
		err = o.named(o.f.Sync())
	}
	if closeErr := o.f.Close(); err == nil {
		err = o.named(closeErr)
	}
	if err == nil {
		err = o.named(os.Rename(o.f.Name(), o.target))
	}
	if err != nil {
		o.Discard()
		return err
	}
	// The file is there; how durable its name is, is the directory's affair.
	if dir, err := os.Open(filepath.Dir(o.target)); err == nil {
		_ = dir.Sync()
		dir.Close()
	}
	return nil
}

// Discard ends the file without a trace.
func (o *File) Discard() {
	_ = o.f.Close()
	if o.target != "" {
		_ = os.Remove(o.f.Name())
	}
}

// takeAfter gives the new file owner and mode of the old one.
func (o *File) takeAfter(old fs.FileInfo) error {
	if st, ok := old.Sys().(*syscall.Stat_t); ok {
		_ = o.f.Chown(int(st.Uid), int(st.Gid)) // root's privilege
	}
	return o.named(o.f.Chmod(old.Mode().Perm()))
}

// named turns an error about the hidden file into one about the file that was
// asked for.
func (o *File) named(err error) error {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return err
	}
	f := &verb.Failure{Code: verb.CodeIO, Message: fmt.Sprintf("%s: %v", o.path, no), Err: err}
	if o.target != "" {
		f.Hint = "It was not written; if there was such a file, it is as it was."
	}
	return f
}

// isDescriptor reports whether path names an open file of this process, into
// which others may write, too.
func isDescriptor(path string) bool {
	path = filepath.Clean(path)
	return path == "/dev/stdout" || path == "/dev/stderr" || strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/")
}

// follow returns where path leads, also if nothing is there.
func follow(path string) (string, error) {
	if path == "" || strings.HasSuffix(path, "/") {
		return "", syscall.EISDIR
	}
	for range 40 {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, filepath.Base(path))
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil // no link
		}
		if path = to; !filepath.IsAbs(to) {
			path = filepath.Join(dir, to)
		}
	}
	return "", syscall.ELOOP
}
