package devices_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/devices/devicetest"
)

// TestBlockDevice checks what only a block device does: exclusive opens, the
// geometry of the kernel, with and without sysfs.
func TestBlockDevice(t *testing.T) {
	path := devicetest.Loop(t, 8<<20)
	f, err := devices.OpenFile(path, devices.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g := f.Geometry()
	if !f.IsBlock() || g.Blocks != 2048 || g.LogicalBytes != 512 || g.StripeBytes != devices.DefaultStripeBytes || g.Hard {
		t.Errorf("geometry of a loop device: %+v", g)
	}
	if !f.Direct() || f.Path() != path || f.GeometryFrom() != "default" {
		t.Errorf("direct %v, path %s, from %s, notes %q", f.Direct(), f.Path(), f.GeometryFrom(), f.Notes())
	}
	_, err = devices.OpenFile(path, devices.FileOptions{})
	if !errors.Is(err, devices.ErrInUse) || !strings.Contains(err.Error(), "locked by") {
		t.Errorf("second open: %v", err)
	}
	ro, err := devices.OpenFile(path, devices.FileOptions{ReadOnly: true})
	if err != nil {
		t.Fatalf("reading beside a writer: %v", err)
	}
	if err := errors.Join(ro.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}

	hard := true
	f, err = devices.OpenFile(path, devices.FileOptions{Sysfs: fstest.MapFS{}, Geometry: devices.Overrides{StripeBytes: 256 << 10, Hard: &hard}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g = f.Geometry()
	if g.LogicalBytes != 512 || g.StripeBytes != 256<<10 || !g.Hard || f.GeometryFrom() != "options" || len(f.Notes()) != 1 {
		t.Errorf("without sysfs: %+v from %s, notes %q", g, f.GeometryFrom(), f.Notes())
	}
	if err := f.Flush(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestBlockLock: somebody probing the disk holds it for a moment.
func TestBlockLock(t *testing.T) {
	path := devicetest.Loop(t, 1<<20)
	udev, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer udev.Close()
	if err := unix.Flock(int(udev.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	_, err = devices.OpenFile(path, devices.FileOptions{LockTimeout: time.Nanosecond})
	if !errors.Is(err, devices.ErrInUse) {
		t.Errorf("open of a locked device: %v", err)
	}
	if err := unix.Flock(int(udev.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	f, err := devices.OpenFile(path, devices.FileOptions{LockTimeout: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
