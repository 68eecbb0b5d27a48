package devices

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// File is a block device or an image file, read and written past the page
// cache where the file system allows it. It implements Device, Discarder,
// Zeroer and Identity. Its calls block the calling thread.
//
// Lock order: none; mu is held for reading across I/O so that Close waits for
// what is in flight.
type File struct {
	// Constant once open.
	f        *os.File
	fd       int // of f
	sys      syscalls
	path     string
	g        Geometry
	from     string // where the stripes come from
	notes    []string
	block    bool // a block device, not an image
	direct   bool
	readOnly bool
	model    string
	serial   string

	failed atomic.Pointer[error] // first failed Flush

	mu     sync.RWMutex
	closed bool // guarded by mu
}

// Geometry returns what was found out, or overridden, at OpenFile.
func (f *File) Geometry() Geometry { return f.g }

// Path returns the path given to OpenFile.
func (f *File) Path() string { return f.path }

// Model returns what the disk calls itself; empty for images and where unknown.
func (f *File) Model() string { return f.model }

// Serial returns the serial number of the disk; empty as for Model.
func (f *File) Serial() string { return f.serial }

// IsBlock tells a block device from an image file.
func (f *File) IsBlock() bool { return f.block }

// Direct tells whether I/O passes the page cache by; if not, Notes says why.
func (f *File) Direct() bool { return f.direct }

// GeometryFrom says in a few words where the stripes come from, such as
// "default", "options" or "optimal I/O size".
func (f *File) GeometryFrom() string { return f.from }

// Notes lists what an operator may want to know about this device: direct I/O
// refused, an alignment that cannot be had.
func (f *File) Notes() []string { return f.notes }

// Read fills v from block b onward. An error names device and blocks.
func (f *File) Read(ctx context.Context, b Block, v Vec) error {
	if err := f.enter(ctx, b, v); err != nil {
		return err
	}
	defer f.mu.RUnlock()
	if err := f.transfer(readv, int64(b)*BlockSize, v); err != nil {
		return f.ioError(OpRead, b, vecBlocks(v), err)
	}
	return nil
}

// Write stores v from block b onward.
func (f *File) Write(ctx context.Context, b Block, v Vec) error {
	if err := f.enter(ctx, b, v); err != nil {
		return err
	}
	defer f.mu.RUnlock()
	if err := f.writable(); err != nil {
		return f.ioError(OpWrite, b, vecBlocks(v), err)
	}
	if err := f.transfer(writev, int64(b)*BlockSize, v); err != nil {
		return f.ioError(OpWrite, b, vecBlocks(v), err)
	}
	return nil
}

// Flush makes every write durable that returned before, by fdatasync. A
// failure is final: the kernel reports it once and forgets the pages, so that
// the next fdatasync would succeed and mean nothing.
func (f *File) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return ErrClosed
	}
	if f.readOnly {
		return nil // nothing was written through this handle
	}
	if err := f.failed.Load(); err != nil {
		return *err
	}
	err := f.sys.fdatasync()
	for err == unix.EINTR {
		err = f.sys.fdatasync()
	}
	if err != nil {
		first := fmt.Errorf("%s: flush: %w", f.path, err)
		f.failed.CompareAndSwap(nil, &first)
	}
	// A flush that ran beside the failed one may have missed its writes, too.
	if first := f.failed.Load(); first != nil {
		return *first
	}
	return nil
}

// Close waits for I/O in flight and releases the device and its locks.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	return f.f.Close()
}

// enter checks an I/O and leaves f.mu held for reading unless it fails.
func (f *File) enter(ctx context.Context, b Block, v Vec) error {
	if err := f.g.Check(b, v); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.RLock()
	if f.closed {
		f.mu.RUnlock()
		return fmt.Errorf("%s: %w", f.path, ErrClosed)
	}
	return nil
}

// writable returns why f takes no writes.
func (f *File) writable() error {
	if f.readOnly {
		return ErrReadOnly
	}
	if err := f.failed.Load(); err != nil {
		return fmt.Errorf("%w: %w", errFlushed, *err)
	}
	return nil
}

func (f *File) ioError(op Op, b Block, n uint64, err error) error {
	return fmt.Errorf("%s: %s blocks %d~%d: %w", f.path, op, b, n, err)
}
