package devices

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// lockStep is the pause between attempts at a lock.
const lockStep = 100 * time.Millisecond

// lock takes the device for this handle alone: flock on a block device, which
// udev respects, and an open file description lock on an image, which works
// between two handles of one process and on network file systems.
func (f *File) lock(o FileOptions) error {
	try := f.lockImage
	wait := o.LockTimeout
	if f.block {
		try = f.lockBlock
		if wait == 0 {
			wait = defaultLockTimeout
		}
	}
	attempt := func() error { return retry(try) }
	err := f.untilLeft(o, attempt)
	for ; isLocked(err) && wait > 0; wait -= lockStep {
		o.sleep(min(lockStep, wait))
		err = attempt()
	}
	if isLocked(err) {
		return inUse(Holders(f.path))
	}
	return err
}

const (
	// leaveTimeout is how long to wait for a device whose last user has ended: the
	// kernel has its I/O in flight to end first, seconds on a disk others keep busy.
	leaveTimeout = 15 * time.Second
	// claimTimeout is that of a claim nobody is known to have, which may be a mount
	// nobody here can see.
	claimTimeout = 5 * time.Second
	leaveStep    = 5 * time.Millisecond // then twice as long each time, up to lockStep
)

// untilLeft calls attempt again as long as it fails because of a process that has
// ended, and not for ever. A lock nobody is known to have was given up after the
// attempt, so it is tried once more; unless its owner is where nobody here sees him, on
// another host or in a container.
func (f *File) untilLeft(o FileOptions, attempt func() error) error {
	unowned := false
	for waited, step := time.Duration(0), leaveStep; ; {
		err := attempt()
		claimed := errors.Is(err, unix.EBUSY)
		if !isLocked(err) && !claimed || waited >= leaveTimeout || claimed && waited >= claimTimeout {
			return err
		}
		switch h := findHolders(f.path); {
		case h.left(claimed):
			o.sleep(step)
			waited += step
			step = min(2*step, lockStep)
		case len(h.found) == 0 && !unowned:
			unowned = true
		default:
			return err
		}
	}
}

func isLocked(err error) bool { return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) }

func (f *File) lockBlock() error { return unix.Flock(f.fd, unix.LOCK_EX|unix.LOCK_NB) }

func (f *File) lockImage() error {
	all := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart} // length 0: to the end, wherever that is
	return unix.FcntlFlock(uintptr(f.fd), unix.F_OFD_SETLK, &all)
}
