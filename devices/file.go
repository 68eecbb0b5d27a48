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
// Zeroer, Submitter and Identity. Its calls block the calling thread; where many
// run at once they go through the kernel's asynchronous I/O, if it has that.
type File struct {
	// Constant once open.
	f        *os.File
	fd       int // of f
	sys      syscalls
	path     string
	g        Geometry
	from     string // where the stripes come from
	notes    []string
	reported []string // what the kernel says of it
	block    bool     // a block device, not an image
	direct   bool
	readOnly bool
	model    string
	serial   string

	failed atomic.Pointer[error] // first failed Flush

	calls gate // what is in flight
	async asyncState
	shut  sync.Once
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

// Reported lists what the device reports of sizes and of what it is made of, for
// people: "minimum I/O 64 KiB". Nothing of an image file.
func (f *File) Reported() []string { return f.reported }

// Notes lists what an operator may want to know about this device: direct I/O
// refused, an alignment that cannot be had.
func (f *File) Notes() []string { return f.notes }

// Read fills v from block b onward. An error names device and blocks.
func (f *File) Read(ctx context.Context, b Block, v Vec) error {
	return f.move(ctx, readv, b, v)
}

// Write stores v from block b onward.
func (f *File) Write(ctx context.Context, b Block, v Vec) error {
	return f.move(ctx, writev, b, v)
}

func (f *File) move(ctx context.Context, dir direction, b Block, v Vec) error {
	if err := f.enter(ctx, dir, b, v); err != nil {
		return err
	}
	defer f.calls.leave()
	if fits(v) {
		n := f.async.depth.Add(1)
		defer f.async.depth.Add(-1)
		if r := f.ringFor(ctx, n); r != nil {
			return r.do(newCall(f, dir, b, v, nil))
		}
	}
	if err := f.transfer(dir, int64(b)*BlockSize, v); err != nil {
		return f.ioError(dir.op(), b, vecBlocks(v), err)
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
	if !f.calls.enter() {
		return ErrClosed
	}
	defer f.calls.leave()
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
func (f *File) Close() (err error) {
	f.shut.Do(func() {
		f.calls.close()
		f.async.close()
		err = f.f.Close()
	})
	return err
}

// enter checks an I/O and counts it in f.calls unless it fails.
func (f *File) enter(ctx context.Context, dir direction, b Block, v Vec) error {
	if err := f.g.Check(b, v); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !f.calls.enter() {
		return fmt.Errorf("%s: %w", f.path, ErrClosed)
	}
	if dir == writev {
		if err := f.writable(); err != nil {
			f.calls.leave()
			return f.ioError(OpWrite, b, vecBlocks(v), err)
		}
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
