package uring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ring is one ring of the kernel, for one file. See the package about the
// thread it belongs to.
type Ring struct {
	fd         int
	registered bool   // the file
	entries    uint32 // most without a result
	rings      []byte // mapped: both queues but for the entries
	list       []byte // mapped: the entries

	sqHead, sqTail, cqHead, cqTail *uint32 // in rings
	sqMask, cqMask                 uint32
	sqes                           []entry  // in list
	cqes                           []result // in rings

	tail   uint32 // of the submission queue, with what Enter has not published
	flying uint32 // entries without a result
}

// New returns a ring for at most that many reads and writes at a time, for the
// file fd and others named by number. The error says why there is none: no
// such system call, switched off, filtered away, too old.
func New(entries, fd int) (*Ring, error) {
	var p params
	var errno unix.Errno
	r := &Ring{fd: -1}
	// The best first; a kernel refuses flags it does not know.
	for _, flags := range [...]uint32{setupSingleIssuer | setupDeferTaskrun, setupCoopTaskrun, 0} {
		var n uintptr
		p = params{flags: setupClamp | flags}
		n, _, errno = unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&p)), 0)
		if errno == 0 {
			r.fd = int(n)
			break
		}
		if errno != unix.EINVAL {
			break
		}
	}
	if errno != 0 {
		return nil, fmt.Errorf("io_uring: %w", errno)
	}
	r.entries = p.sqEntries
	if err := r.prepare(&p, fd); err != nil {
		return nil, errors.Join(fmt.Errorf("io_uring: %w", err), r.Close())
	}
	return r, nil
}

// prepare checks what the kernel can, maps the queues and tries them.
func (r *Ring) prepare(p *params, fd int) error {
	if p.features&featWanted != featWanted {
		return fmt.Errorf("features %#x of %#x: %w", p.features&featWanted, uint32(featWanted), errors.ErrUnsupported)
	}
	var pr probe
	if err := r.register(registerProbe, unsafe.Pointer(&pr), opsProbed); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	for _, op := range [...]int{opNop, opReadv, opWritev, opRead, opWrite} {
		if pr.ops[op].flags&opAbility == 0 {
			return fmt.Errorf("operation %d: %w", op, errors.ErrUnsupported)
		}
	}
	if err := r.mmap(p); err != nil {
		return err
	}
	file := int32(fd)
	if err := r.register(registerFiles, unsafe.Pointer(&file), 1); err != nil {
		return fmt.Errorf("register file: %w", err)
	}
	r.registered = true
	return r.try()
}

// mmap maps the queues (IORING_FEAT_SINGLE_MMAP: both in one).
func (r *Ring) mmap(p *params) (err error) {
	const prot, how = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	size := max(p.sq.array+p.sqEntries*4, p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(result{})))
	if r.rings, err = unix.Mmap(r.fd, offSQ, int(size), prot, how); err != nil {
		return fmt.Errorf("map queues: %w", err)
	}
	if r.list, err = unix.Mmap(r.fd, offEntries, int(p.sqEntries)*int(unsafe.Sizeof(entry{})), prot, how); err != nil {
		return fmt.Errorf("map entries: %w", err)
	}
	word := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.rings[off])) }
	r.sqHead, r.sqTail, r.sqMask = word(p.sq.head), word(p.sq.tail), *word(p.sq.mask)
	r.cqHead, r.cqTail, r.cqMask = word(p.cq.head), word(p.cq.tail), *word(p.cq.mask)
	for i := range p.sqEntries {
		*word(p.sq.array + 4*i) = i // position i always names entry i
	}
	r.sqes = unsafe.Slice((*entry)(unsafe.Pointer(&r.list[0])), p.sqEntries)
	r.cqes = unsafe.Slice((*result)(unsafe.Pointer(&r.rings[p.cq.cqes])), p.cqEntries)
	return nil
}

// try sends an entry that does nothing through the ring: a filter may allow the
// set-up and not the rest.
func (r *Ring) try() error {
	const user = 1<<64 - 1
	r.push(entry{op: opNop, user: user})
	if err := r.Enter(1); err != nil {
		return fmt.Errorf("enter: %w", err)
	}
	ok := false
	r.Reap(func(u uint64, n int, err error) { ok = u == user && n == 0 && err == nil })
	if !ok {
		return errors.New("no answer to an empty request")
	}
	return nil
}

// Free is how many more entries the ring takes now.
func (r *Ring) Free() int { return int(r.entries - r.flying) }

// Flying is how many entries have no result yet.
func (r *Ring) Flying() int { return int(r.flying) }

// Transfer adds a read or a write of p at byte off of the file given to New.
// There must be room.
func (r *Ring) Transfer(write bool, p []byte, off int64, user uint64) {
	op := uint8(opRead)
	if write {
		op = opWrite
	}
	r.push(entry{op: op, flags: fixedFile, off: uint64(off), addr: address(unsafe.Pointer(unsafe.SliceData(p))), len: uint32(len(p)), user: user})
}

// TransferVec is Transfer for several pieces of memory.
func (r *Ring) TransferVec(write bool, v []unix.Iovec, off int64, user uint64) {
	op := uint8(opReadv)
	if write {
		op = opWritev
	}
	r.push(entry{op: op, flags: fixedFile, off: uint64(off), addr: address(unsafe.Pointer(unsafe.SliceData(v))), len: uint32(len(v)), user: user})
}

// ReadFrom adds a read from another file, which need not have data yet, such as
// an eventfd. There must be room.
func (r *Ring) ReadFrom(fd int, p []byte, user uint64) {
	r.push(entry{op: opRead, fd: int32(fd), addr: address(unsafe.Pointer(unsafe.SliceData(p))), len: uint32(len(p)), user: user})
}

func address(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) }

func (r *Ring) push(e entry) {
	if r.flying == r.entries {
		panic("uring: more entries than the ring was made for")
	}
	r.sqes[r.tail&r.sqMask] = e
	r.tail++
	r.flying++
}

// Enter hands over what was added and returns when at least wait results are
// there, unless something keeps it from that: then it returns sooner, and the
// caller reaps and enters again. EINTR, EAGAIN and EBUSY are such things; with
// EAGAIN, and any other error, entries may stay to be handed over again.
func (r *Ring) Enter(wait int) error {
	atomic.StoreUint32(r.sqTail, r.tail)
	submit := r.tail - atomic.LoadUint32(r.sqHead)
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(submit), uintptr(wait), enterGetEvents, 0, 0)
	if errno != 0 && errno != unix.EINTR {
		return errno
	}
	return nil
}

// Reap calls fn for every result that is there, with the bytes moved or the
// error, and returns how many there were.
func (r *Ring) Reap(fn func(user uint64, n int, err error)) int {
	head, tail := *r.cqHead, atomic.LoadUint32(r.cqTail)
	n := int(tail - head)
	for ; head != tail; head++ {
		c := r.cqes[head&r.cqMask]
		atomic.StoreUint32(r.cqHead, head+1)
		r.flying--
		if c.res < 0 {
			fn(c.user, 0, unix.Errno(-c.res))
		} else {
			fn(c.user, int(c.res), nil)
		}
	}
	return n
}

func (r *Ring) register(what int, arg unsafe.Pointer, n int) error {
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), uintptr(what), uintptr(arg), uintptr(n), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// Close gives the ring back, and first the file: the kernel takes a ring down
// later, and the file's locks would live until then. Nothing may be in flight.
func (r *Ring) Close() error {
	var errs []error
	if r.registered {
		errs = append(errs, r.register(unregisterFiles, nil, 0))
	}
	for _, m := range [...][]byte{r.list, r.rings} {
		if m != nil {
			errs = append(errs, unix.Munmap(m))
		}
	}
	return errors.Join(append(errs, unix.Close(r.fd))...)
}
