package thrash

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/devices/faultfs"
)

// disk is a loop device over a file over a device that can lose power.
type disk struct {
	dir   string
	crash *crashdev.Device
	file  *faultfs.Server
	loop  *os.File // holds the loop device, which goes when nobody does
}

func newDisk(t testing.TB, bytes uint64) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("loop devices and mounts need root")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("no FUSE: %v", err)
	}
	d := &disk{dir: t.TempDir()}
	t.Cleanup(func() {
		if err := d.off(); err != nil {
			t.Error(err)
		}
	})
	err := d.on(devices.NewMem(devices.MemOptions{Blocks: bytes / devices.BlockSize}))
	if errors.Is(err, os.ErrPermission) {
		t.Skip(err) // in a container, say
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// path is the loop device.
func (d *disk) path() string { return d.loop.Name() }

// on starts with what mem holds.
func (d *disk) on(mem *devices.Mem) error {
	d.crash = crashdev.New(mem)
	dir, err := os.MkdirTemp(d.dir, "mount")
	if err != nil {
		return err
	}
	if d.file, err = faultfs.Mount(dir, d.crash); err != nil {
		return err
	}
	d.loop, err = attach(d.file.Path())
	return err
}

// off takes everything down; nothing may use the disk any more.
func (d *disk) off() error {
	if d.loop != nil {
		d.loop.Close()
		d.loop = nil
	}
	if d.file == nil {
		return nil
	}
	err := d.file.Close()
	if err == nil {
		err = os.Remove(filepath.Dir(d.file.Path()))
	}
	d.file = nil
	return err
}

// cut takes the power away; powered brings it back with what seed decides is
// left.
func (d *disk) cut() { d.file.Cut() }

func (d *disk) powered(seed uint64) error {
	state := d.crash.Clone(seed)
	if err := d.off(); err != nil {
		return err
	}
	return d.on(state.Mem)
}

// attach makes a loop device of 4 KiB sectors over file. It goes with its last
// user.
func attach(file string) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var last error
	for range 20 { // others may take the free device first
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("no free loop device: %w", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		c := unix.LoopConfig{Fd: uint32(f.Fd()), Size: devices.BlockSize}
		c.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
		last = unix.IoctlLoopConfigure(int(loop.Fd()), &c)
		if errors.Is(last, unix.EINVAL) { // no direct I/O to this file on this kernel
			c.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
			last = unix.IoctlLoopConfigure(int(loop.Fd()), &c)
		}
		if last == nil {
			return loop, nil
		}
		loop.Close()
	}
	return nil, fmt.Errorf("attach %s: %w", file, last)
}
