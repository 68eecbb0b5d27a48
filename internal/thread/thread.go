package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// long is the slice of a patient thread, in nanoseconds: longer than any the kernel gives
// by itself. Before Linux 6.17 who is ready already, and has not just woken up, may wait
// for it to end.
const long = 6e6

// Patient gives the calling goroutine a patient thread, until it ends. It returns false
// where the kernel has none, and nothing has changed then.
func Patient() bool {
	runtime.LockOSThread()
	if askLong() == nil {
		return true
	}
	runtime.UnlockOSThread()
	return false
}

// askLong asks for long slices for the calling thread.
func askLong() error {
	a, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return err
	}
	if a.Policy != unix.SCHED_NORMAL && a.Policy != unix.SCHED_BATCH {
		return unix.EINVAL // the field is something else for others
	}
	if a.Runtime == 0 {
		return unix.ENOSYS // an older kernel, which would take it and do nothing
	}
	a.Runtime = long
	return unix.SchedSetAttr(0, a, 0)
}
