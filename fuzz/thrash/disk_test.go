package thrash

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/devices/devicetest"
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
	image, err := os.OpenFile(d.file.Path(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer image.Close()
	d.loop, err = devicetest.Attach(image)
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
