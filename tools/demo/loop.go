package demo

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// loopDevice is a loop device of ours.
type loopDevice struct {
	path string
	f    *os.File
}

// attach puts a free loop device over an image, with direct I/O if the file
// system can, and lets the kernel drop it with its last user.
func attach(image string) (*loopDevice, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	back, err := os.OpenFile(image, os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer back.Close()
	// Somebody else may take the free device first; then ask for another.
	for range 16 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("no free loop device: %w", err)
		}
		l := &loopDevice{path: fmt.Sprintf("/dev/loop%d", n)}
		if l.f, err = os.OpenFile(l.path, os.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(back.Fd()), Size: 4096}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
		err = unix.IoctlLoopConfigure(int(l.f.Fd()), &config)
		if errors.Is(err, unix.EINVAL) {
			config.Info.Flags &^= unix.LO_FLAGS_DIRECT_IO
			err = unix.IoctlLoopConfigure(int(l.f.Fd()), &config)
		}
		if err == nil {
			return l, nil
		}
		l.f.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("%s: %w", l.path, err)
		}
	}
	return nil, errors.New("every free loop device was taken by somebody else")
}

// detach lets the device go; the kernel frees it once nobody has it open.
func (l *loopDevice) detach() error { return l.f.Close() }
