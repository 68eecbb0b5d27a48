package devices

import (
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// maxTransfer is the most one system call is asked for: the kernel stops at
	// 2 GiB less a page, which would look like a short transfer.
	maxTransfer = 1 << 30
	// maxVectors is IOV_MAX of Linux.
	maxVectors = 1024
)

// syscalls are the system calls of a File. They return what the kernel
// returns: short counts and EINTR included.
type syscalls interface {
	pread(p []byte, off int64) (int, error)
	pwrite(p []byte, off int64) (int, error)
	preadv(v [][]byte, off int64) (int, error)
	pwritev(v [][]byte, off int64) (int, error)
	fdatasync() error
}

// descriptor is the real thing.
type descriptor int

func (d descriptor) pread(p []byte, off int64) (int, error)     { return unix.Pread(int(d), p, off) }
func (d descriptor) pwrite(p []byte, off int64) (int, error)    { return unix.Pwrite(int(d), p, off) }
func (d descriptor) preadv(v [][]byte, off int64) (int, error)  { return unix.Preadv(int(d), v, off) }
func (d descriptor) pwritev(v [][]byte, off int64) (int, error) { return unix.Pwritev(int(d), v, off) }
func (d descriptor) fdatasync() error                           { return unix.Fdatasync(int(d)) }

// direction of a transfer.
type direction bool

const (
	readv  direction = false
	writev direction = true
)

func (d direction) op() Op {
	if d == writev {
		return OpWrite
	}
	return OpRead
}

// batches holds the slices of slices for vectored calls, so that splitting a
// Vec neither changes it nor allocates.
var batches = sync.Pool{New: func() any { return new([maxVectors][]byte) }}

// transfer moves all of v at byte offset off or fails. Short transfers are
// continued from the last whole sector; one that moves no sector is an error,
// because it would do so for ever (a device or file that became smaller).
func (f *File) transfer(dir direction, off int64, v Vec) error {
	if len(v) == 1 && len(v[0]) <= maxTransfer {
		n, err := f.one(dir, v[0], off)
		if err != nil || n == len(v[0]) {
			return err
		}
		return f.rest(dir, off, v, n)
	}
	return f.rest(dir, off, v, 0)
}

// rest moves v but for its first done bytes, in as many calls as it takes.
func (f *File) rest(dir direction, off int64, v Vec, done int) error {
	batch := batches.Get().(*[maxVectors][]byte)
	defer func() {
		clear(batch[:])
		batches.Put(batch)
	}()
	for {
		done &^= int(f.g.LogicalBytes) - 1 // direct I/O continues at a sector
		want := gather(batch, v, done)
		if len(want) == 0 {
			return nil
		}
		n, err := f.call(dir, want, off+int64(done))
		if err != nil {
			return err
		}
		if n < int(f.g.LogicalBytes) {
			if dir == readv {
				return io.ErrUnexpectedEOF
			}
			return io.ErrShortWrite
		}
		done += n
	}
}

// gather fills batch with the part of v behind its first skip bytes, up to
// the limits of one call, and returns what it used of batch.
func gather(batch *[maxVectors][]byte, v Vec, skip int) [][]byte {
	n, room := 0, maxTransfer
	for _, p := range v {
		if skip >= len(p) {
			skip -= len(p)
			continue
		}
		p = p[skip:]
		skip = 0
		if len(p) > room {
			p = p[:room]
		}
		if len(p) == 0 || n == maxVectors {
			break
		}
		batch[n] = p
		n++
		room -= len(p)
	}
	return batch[:n]
}

// call makes one system call for the whole of v.
func (f *File) call(dir direction, v [][]byte, off int64) (n int, err error) {
	if len(v) == 1 {
		return f.one(dir, v[0], off)
	}
	for {
		if dir == writev {
			n, err = f.sys.pwritev(v, off)
		} else {
			n, err = f.sys.preadv(v, off)
		}
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// one makes one system call for p.
func (f *File) one(dir direction, p []byte, off int64) (n int, err error) {
	for {
		if dir == writev {
			n, err = f.sys.pwrite(p, off)
		} else {
			n, err = f.sys.pread(p, off)
		}
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// retry repeats a call while a signal interrupts it.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
