package devices

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spaceStep is the most one discard or zero call is asked for. These calls
// cannot be interrupted, so that a context is looked at between the steps.
const spaceStep = 1 << 30

// Discard gives up the blocks: BLKDISCARD, or a hole punched into an image.
// It returns errors.ErrUnsupported where Geometry.DiscardBytes is 0.
func (f *File) Discard(ctx context.Context, b Block, n uint64) error {
	return f.space(ctx, OpDiscard, b, n, func(off, n int64) error {
		if f.block {
			return ioctlRange(f.fd, unix.BLKDISCARD, off, n)
		}
		return unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
}

// Zero makes the blocks read as zeros: BLKZEROOUT, which the kernel does by
// writing where the device has no command for it, or fallocate on an image.
// It returns errors.ErrUnsupported on a file system that can do neither.
func (f *File) Zero(ctx context.Context, b Block, n uint64) error {
	return f.space(ctx, OpZero, b, n, func(off, n int64) error {
		if f.block {
			return ioctlRange(f.fd, unix.BLKZEROOUT, off, n)
		}
		// Keeping the blocks means that a later write needs no space; a hole is
		// what file systems without that can do.
		err := unix.Fallocate(f.fd, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, off, n)
		if errors.Is(err, errors.ErrUnsupported) {
			err = unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
		}
		return err
	})
}

// space runs call over the blocks in steps.
func (f *File) space(ctx context.Context, op Op, b Block, n uint64, call func(off, n int64) error) error {
	if err := f.g.CheckBlocks(b, n); err != nil {
		return fmt.Errorf("%s: %s: %w", f.path, op, err)
	}
	if !f.calls.enter() {
		return fmt.Errorf("%s: %w", f.path, ErrClosed)
	}
	defer f.calls.leave()
	if err := f.writable(); err != nil {
		return f.ioError(op, b, n, err)
	}
	for at, end := int64(b)*BlockSize, int64(uint64(b)+n)*BlockSize; at < end; at += spaceStep {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := retry(func() error { return call(at, min(spaceStep, end-at)) }); err != nil {
			return f.ioError(op, b, n, err)
		}
	}
	return nil
}

// ioctlRange is an ioctl on a byte range, given as {start, length}.
func ioctlRange(fd int, req uint, off, n int64) error {
	arg := [2]uint64{uint64(off), uint64(n)}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(req), uintptr(unsafe.Pointer(&arg))); errno != 0 {
		return errno
	}
	return nil
}
