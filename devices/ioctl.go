package devices

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctlNumber asks a block device for a number of type T.
func ioctlNumber[T uint16 | int32 | uint32 | uint64](fd int, req uint) (T, error) {
	var n T
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(req), uintptr(unsafe.Pointer(&n))); errno != 0 {
		return 0, errno
	}
	return n, nil
}

// blockBytes returns the size of a block device.
func blockBytes(fd int) (uint64, error) {
	n, err := ioctlNumber[uint64](fd, unix.BLKGETSIZE64)
	if err != nil {
		return 0, fmt.Errorf("size: %w", err)
	}
	return n, nil
}

// ioctlLimits fills in what the kernel tells without sysfs, as in a container
// that has none. What fails to answer stays unreported.
func ioctlLimits(fd int) limits {
	l := limits{volatile: true}
	if n, err := ioctlNumber[int32](fd, unix.BLKSSZGET); err == nil && n > 0 {
		l.logical = uint64(n)
	}
	if n, err := ioctlNumber[uint32](fd, unix.BLKPBSZGET); err == nil {
		l.physical = uint64(n)
	}
	if n, err := ioctlNumber[uint32](fd, unix.BLKIOMIN); err == nil {
		l.ioMin = uint64(n)
	}
	if n, err := ioctlNumber[uint32](fd, unix.BLKIOOPT); err == nil {
		l.ioOpt = uint64(n)
	}
	if n, err := ioctlNumber[int32](fd, unix.BLKALIGNOFF); err == nil && n > 0 {
		l.alignOff = uint64(n)
	}
	if n, err := ioctlNumber[uint16](fd, unix.BLKROTATIONAL); err == nil {
		l.rotational = n != 0
	}
	return l
}
