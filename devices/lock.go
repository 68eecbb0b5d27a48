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
	attempt := f.lockImage
	wait := o.LockTimeout
	if f.block {
		attempt = f.lockBlock
		if wait == 0 {
			wait = defaultLockTimeout
		}
	}
	for ; ; wait -= lockStep {
		err := retry(attempt)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES):
			return err
		case wait <= 0:
			return inUse(Holders(f.path))
		}
		o.sleep(min(lockStep, wait))
	}
}

func (f *File) lockBlock() error { return unix.Flock(f.fd, unix.LOCK_EX|unix.LOCK_NB) }

func (f *File) lockImage() error {
	all := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart} // length 0: to the end, wherever that is
	return unix.FcntlFlock(uintptr(f.fd), unix.F_OFD_SETLK, &all)
}
