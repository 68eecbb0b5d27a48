package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/tools/verb"
)

// TestReadOnlyDevice: a device the kernel has read-only can be opened for
// writing; it is refused before anything is tried on it, and can be read.
func TestReadOnlyDevice(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("loop devices need root")
	}
	img := filepath.Join(t.TempDir(), "disk")
	f, err := devices.OpenFile(img, devices.FileOptions{CreateBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ebofs.Format(bg, f, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", "--read-only", img).Output()
	if err != nil {
		t.Skipf("no loop device to be had: %v", err)
	}
	dev := strings.TrimSpace(string(out))
	defer func() {
		if err := exec.Command("losetup", "--detach", dev).Run(); err != nil {
			t.Errorf("detach %s: %v", dev, err)
		}
	}()
	call(t, func(c *verb.Call) {
		var f *verb.Failure
		if s, err := Mount(bg, c, dev, Mode{Write: true}); !errors.As(err, &f) || f.Code != CodeReadOnly || f.Message != dev+": read-only" {
			t.Errorf("to write: %v", err)
			if err == nil {
				s.Close(bg)
			}
		}
		s, err := Mount(bg, c, dev, Mode{})
		if err != nil {
			t.Fatalf("to read: %v", err)
		}
		if err := s.Close(bg); err != nil {
			t.Error(err)
		}
	})
}
