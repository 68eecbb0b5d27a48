package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

const filesSetting = "a file per object in 256 directories; default features and noatime; put: O_DIRECT write and fsync; overwrite: " +
	"in place with fdatasync, which is not atomic as all others are; get: open, pread, close, O_DIRECT when cold; settled by syncfs; the page cache has no budget"

// files keeps one file per object, in 256 directories named for the first byte of
// the key.
type files struct {
	setup
	dirs [256]int
}

func openFiles(o setup) (backend, error) {
	f := &files{setup: o}
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

func (f *files) openAt(i uint64, flags int) (int, error) {
	k := keyOf(i)
	return unix.Openat(f.dirs[nibble(k[0])<<4|nibble(k[1])], string(k[2:]), flags|unix.O_CLOEXEC, 0o644)
}

func (f *files) write(i uint64, v []byte, flags int, sync func(int) error) error {
	fd, err := f.openAt(i, unix.O_WRONLY|flags)
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
		return f.write(i, v, unix.O_CREAT, func(int) error { return nil })
	})
}

func (f *files) put(i uint64, v []byte) error {
	if i < f.n {
		return f.write(i, v, unix.O_DIRECT, unix.Fdatasync)
	}
	return f.write(i, v, unix.O_CREAT|unix.O_EXCL|unix.O_DIRECT, unix.Fsync)
}

func (f *files) get(i uint64, p []byte) error {
	flags := unix.O_RDONLY
	if f.cold {
		flags |= unix.O_DIRECT
	}
	fd, err := f.openAt(i, flags)
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
