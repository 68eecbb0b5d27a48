package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// longest is the longest slice the kernel gives, in nanoseconds.
const longest = 100e6

// Patient gives the calling goroutine a patient thread, until it ends. It returns false
// where the kernel has none, and nothing has changed then.
func Patient() bool {
	runtime.LockOSThread()
	if askSlice(longest) == nil {
		return true
	}
	runtime.UnlockOSThread()
	return false
}

// askSlice asks for slices of so many nanoseconds for the calling thread.
func askSlice(nanos uint64) error {
	a, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return err
	}
	if a.Policy != unix.SCHED_NORMAL && a.Policy != unix.SCHED_BATCH {
		return unix.EINVAL // the field is something else for others
	}
	a.Runtime = nanos
	if err := unix.SchedSetAttr(0, a, 0); err != nil {
		return err
	}
	if a, err = unix.SchedGetAttr(0, 0); err == nil && a.Runtime != nanos {
		err = unix.ENOSYS // older kernels take it and do nothing
	}
	return err
}
