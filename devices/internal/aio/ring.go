package aio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ring is one ring of the kernel, for one file.
type Ring struct {
	ctx   uintptr // the kernel's name for it
	fd    uint32
	flags uint32
}

// New returns a ring for at most that many requests at a time, for the file fd. With
// nowait a request that would have to wait while it is handed over ends with EAGAIN.
// The error says why there is none: no such system call, filtered away, too many rings
// in the system (fs.aio-max-nr), a file that cannot do without waiting.
func New(requests, fd int, nowait bool) (*Ring, error) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, errors.New("io_setup: not on big-endian machines") // where Request differs
	}
	r := &Ring{fd: uint32(fd)}
	if nowait {
		r.flags = rwfNowait
	}
	if _, _, errno := unix.Syscall(unix.SYS_IO_SETUP, uintptr(requests), uintptr(unsafe.Pointer(&r.ctx)), 0); errno != 0 {
		return nil, fmt.Errorf("io_setup: %w", errno)
	}
	if err := r.try(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// try sends a request that moves nothing through the ring: a filter may allow the
// set-up and not the rest, and a file may not know nowait.
func (r *Ring) try() error {
	q := new(Request)
	r.Nothing(q, 0)
	if _, err := r.Submit([]*Request{q}); err != nil {
		return fmt.Errorf("io_submit: %w", err)
	}
	got := make([]Result, 1)
	for n := 0; n == 0; {
		var err error
		if n, err = r.Wait(got); err != nil {
			return fmt.Errorf("io_getevents: %w", err)
		}
	}
	if _, err := got[0].Moved(); err != nil {
		return fmt.Errorf("an empty request: %w", err)
	}
	return nil
}

// Transfer makes q a read or a write of p at byte off.
func (r *Ring) Transfer(q *Request, write bool, p []byte, off int64, user uint64) {
	op := uint16(opPread)
	if write {
		op = opPwrite
	}
	*q = Request{op: op, fd: r.fd, flags: r.flags, off: off, addr: address(unsafe.Pointer(unsafe.SliceData(p))), len: uint64(len(p)), user: user}
}

// TransferVec is Transfer for several pieces of memory.
func (r *Ring) TransferVec(q *Request, write bool, v []unix.Iovec, off int64, user uint64) {
	op := uint16(opPreadv)
	if write {
		op = opPwritev
	}
	*q = Request{op: op, fd: r.fd, flags: r.flags, off: off, addr: address(unsafe.Pointer(unsafe.SliceData(v))), len: uint64(len(v)), user: user}
}

// Nothing makes q a read of no bytes: it has a result at once.
func (r *Ring) Nothing(q *Request, user uint64) { r.Transfer(q, false, nil, 0, user) }

// User returns the number q was made with.
func (q *Request) User() uint64 { return q.user }

func address(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) }

// Submit hands over the requests of list, which is not empty, and returns how many the
// kernel took; the error is why it took none. EAGAIN is a shortage, which will pass;
// any other is of the first of list, which will have no result.
func (r *Ring) Submit(list []*Request) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, r.ctx, uintptr(len(list)), uintptr(unsafe.Pointer(unsafe.SliceData(list))))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Wait waits for a result, and fills list with as many as there are. A signal may end
// it with none.
func (r *Ring) Wait(list []Result) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_IO_GETEVENTS, r.ctx, 1, uintptr(len(list)), uintptr(unsafe.Pointer(unsafe.SliceData(list))), 0, 0)
	if errno == unix.EINTR {
		return 0, nil
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Moved returns the bytes moved, or the error.
func (x *Result) Moved() (int, error) {
	if x.res < 0 {
		return 0, unix.Errno(-x.res)
	}
	return int(x.res), nil
}

// Close gives the ring back. Nothing may be in flight, and nobody in Wait.
func (r *Ring) Close() error {
	if _, _, errno := unix.Syscall(unix.SYS_IO_DESTROY, r.ctx, 0, 0); errno != 0 {
		return fmt.Errorf("io_destroy: %w", errno)
	}
	return nil
}
