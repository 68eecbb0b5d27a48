package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	filesSetting = "a file per object in 256 directories; default features and noatime; put: O_DIRECT write and fsync; overwrite: " +
		"a new file in the same way, renamed over the old one, and fsync of the directory; get: open, pread, close, O_DIRECT when cold; settled by syncfs; " +
		"the page cache has no budget"
	tornSetting = "overwrite: O_DIRECT and fdatasync, after a crash part new, part old; else as above"
)

// files keeps one file per object, in 256 directories named for the first byte of
// the key.
type files struct {
	setup
	dirs  [256]int
	stage atomic.Uint64 // names files that replace others
	torn  bool          // overwrites are in place
}

// filesOf opens files whose overwrites are in place, or replace the file as a whole.
func filesOf(torn bool) func(setup) (backend, error) {
	return func(o setup) (backend, error) { return openFiles(o, torn) }
}

func openFiles(o setup, torn bool) (backend, error) {
	f := &files{setup: o, torn: torn}
	for i := range f.dirs {
		path := filepath.Join(o.dir, fmt.Sprintf("%02x", i))
		if o.fresh {
			if err := os.Mkdir(path, 0o755); err != nil {
				return nil, err
			}
		}
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		f.dirs[i] = fd
	}
	return f, nil
}

func nibble(c byte) int {
	if c >= 'a' {
		return int(c-'a') + 10
	}
	return int(c - '0')
}

// place returns the directory of object i and its name there.
func (f *files) place(i uint64) (dir int, name string) {
	k := keyOf(i)
	return f.dirs[nibble(k[0])<<4|nibble(k[1])], string(k[2:])
}

func (f *files) write(dir int, name string, v []byte, flags int, sync func(int) error) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CLOEXEC|flags, 0o644)
	if err != nil {
		return err
	}
	m, err := unix.Write(fd, v)
	if err = short(m, len(v), err); err == nil {
		err = sync(fd)
	}
	if e := unix.Close(fd); err == nil {
		err = e
	}
	return err
}

func (f *files) load(n uint64, value func(uint64, []byte)) error {
	return spread(n, value, f.bytes, func(i uint64, v []byte) error {
		dir, name := f.place(i)
		return f.write(dir, name, v, unix.O_CREAT, func(int) error { return nil })
	})
}

func (f *files) put(i uint64, v []byte) error {
	dir, name := f.place(i)
	const fresh = unix.O_CREAT | unix.O_EXCL | unix.O_DIRECT
	switch {
	case i >= f.n:
		return f.write(dir, name, v, fresh, unix.Fsync)
	case f.torn:
		return f.write(dir, name, v, unix.O_DIRECT, unix.Fdatasync)
	}
	next := fmt.Sprintf("%s.%d", name, f.stage.Add(1))
	if err := f.write(dir, next, v, fresh, unix.Fsync); err != nil {
		return err
	}
	if err := unix.Renameat(dir, next, dir, name); err != nil {
		return err
	}
	return unix.Fsync(dir)
}

func (f *files) get(i uint64, p []byte) error {
	flags := unix.O_RDONLY
	if f.cold {
		flags |= unix.O_DIRECT
	}
	dir, name := f.place(i)
	fd, err := unix.Openat(dir, name, unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return err
	}
	m, err := unix.Pread(fd, p, 0)
	unix.Close(fd)
	return short(m, len(p), err)
}

func (f *files) scan(fn func([]byte) bool) error {
	p := aligned(f.bytes)
	for d := range f.dirs {
		dir := filepath.Join(f.dir, fmt.Sprintf("%02x", d))
		list, err := os.ReadDir(dir) // sorted
		if err != nil {
			return err
		}
		for _, e := range list {
			fd, err := unix.Openat(f.dirs[d], e.Name(), unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			m, err := unix.Pread(fd, p, 0)
			unix.Close(fd)
			if err = short(m, len(p), err); err != nil {
				return err
			}
			if !fn(p) {
				return nil
			}
		}
	}
	return nil
}

func (f *files) settle() error { return unix.Syncfs(f.dirs[0]) }

func (f *files) close() error {
	for _, fd := range f.dirs {
		unix.Close(fd)
	}
	return nil
}

// spread loads n objects with several callers.
func spread(n uint64, value func(uint64, []byte), bytes int, put func(uint64, []byte) error) error {
	callers := min(64, max(2, (64<<20)/bytes))
	return each(callers, func(w int) error {
		p := aligned(bytes)
		defer unix.Munmap(p)
		for i := uint64(w); i < n; i += uint64(callers) {
			value(i, p)
			if err := put(i, p); err != nil {
				return err
			}
			runtime.KeepAlive(p)
		}
		return nil
	})
}
