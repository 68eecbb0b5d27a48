package devicetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Image returns the path of a new sparse image file of that size, which goes
// with the test.
func Image(t testing.TB, bytes int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, bytes); err != nil {
		t.Fatal(err)
	}
	return path
}

// Loop returns the path of a loop device over a new image of that size; see
// LoopOn.
func Loop(t testing.TB, bytes int64) string {
	t.Helper()
	return LoopOn(t, Image(t, bytes))
}

// LoopOn returns the path of a loop device over a file, with direct I/O if its
// file system allows it. The test is skipped where loop devices cannot be made.
// The device goes with the test; the kernel also takes it down by itself when
// the last process that has it open dies.
func LoopOn(t testing.TB, file string) string {
	t.Helper()
	image, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	loop, err := Attach(image)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { loop.Close() })
	return loop.Name()
}

// Attach returns a free loop device over image, with direct I/O if the file
// system allows it. It goes when nobody has it open any more.
func Attach(image *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("no loop devices: %w", err)
	}
	defer control.Close()
	const attempts = 20 // others may take the free device first
	for range attempts {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("no free loop device: %w", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = attach(loop, image)
		if err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("%s: %w", loop.Name(), err)
		}
	}
	return nil, errors.New("no free loop device: others were faster")
}

// attach ties the image to the loop device until its last close.
func attach(loop, image *os.File) error {
	c := unix.LoopConfig{Fd: uint32(image.Fd())}
	c.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
	err := unix.IoctlLoopConfigure(int(loop.Fd()), &c)
	if errors.Is(err, unix.EINVAL) {
		c.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &c)
	}
	return err
}
