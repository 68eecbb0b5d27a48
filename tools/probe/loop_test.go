package probe

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ebofs/devices"
)

// loop attaches a file to a loop device for the time of the test.
func loop(t *testing.T, img string, flags ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("loop devices need root")
	}
	out, err := exec.Command("losetup", append(append([]string{"--find", "--show"}, flags...), img)...).Output()
	if err != nil {
		t.Skipf("no loop device to be had: %v", err)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if err := exec.Command("losetup", "--detach", dev).Run(); err != nil {
			t.Errorf("detach %s: %v", dev, err)
		}
	})
	return dev
}

func sized(t *testing.T, n int64) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(n); err != nil {
		t.Fatal(err)
	}
	return img
}

// TestLoop: what the kernel says of a block device, its partitions and users.
func TestLoop(t *testing.T) {
	img := sized(t, 64<<20)
	f, err := os.OpenFile(img, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := extAt(gptTable(disk(64*mib), []string{"a", "b"}, [][2]uint64{{2048, 20479}, {20480, 40959}}), mib, 4, 0x40, 0, "backup")
	for _, p := range m.pieces {
		if _, err := f.WriteAt(p.p, p.at); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	dev := loop(t, img, "--partscan")

	d, err := Look(dev)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(dev)
	if d.InUse || d.Name != name || !d.Block || d.Bytes != 64*mib || d.Sector != 512 || !strings.HasPrefix(d.Model, "loop of ") {
		t.Fatalf("%+v", d)
	}
	if got, want := Join(d.Findings), "a GPT partition table with 2 partitions ("+name+`p1 ext4 "backup", `+name+"p2 unknown)"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	if on, err := Look(img); err != nil || !on.InUse || on.Users[0].What != "behind "+dev {
		t.Errorf("the file behind %s: %+v, %v", dev, on, err)
	}

	// A user of a partition makes the disk busy.
	part := dev + "p1"
	if _, err := os.Stat(part); err == nil {
		h, err := os.OpenFile(part, os.O_RDONLY|unix.O_EXCL, 0)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := Look(dev); err != nil || !d.InUse {
			t.Errorf("partition held: %+v, %v", d, err)
		}
		if p, err := Look(part); err != nil || !p.InUse || p.Whole != name || Join(p.Findings) != `an ext4 file system "backup"` {
			t.Errorf("partition itself: %+v, %v", p, err)
		}
		h.Close()
	}

	// A holder of the whole disk, and of its lock only.
	h, err := devices.OpenFile(dev, devices.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := Look(dev); err != nil || !d.InUse || !strings.Contains(d.Users[0].What, "pid") {
		t.Errorf("disk held: %+v, %v", d, err)
	}
	h.Close()
	l, err := os.Open(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := unix.Flock(int(l.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if d, err := Look(dev); err != nil || !d.InUse {
		t.Errorf("disk locked: %+v, %v", d, err)
	}
	unix.Flock(int(l.Fd()), unix.LOCK_UN)
	if d, err := Look(dev); err != nil || d.InUse {
		t.Errorf("disk let go: %+v, %v", d, err)
	}
}

// TestMounted: a mounted disk names the mount point.
func TestMounted(t *testing.T) {
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("mkfs.ext4 is not installed")
	}
	img := sized(t, 16<<20)
	dev := loop(t, img)
	if out, err := exec.Command("mkfs.ext4", "-q", dev).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	dir := t.TempDir()
	if err := unix.Mount(dev, dir, "ext4", unix.MS_RDONLY, ""); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	defer unix.Unmount(dir, 0)
	d, err := Look(dev)
	if err != nil || !d.InUse || len(d.Users) == 0 || d.Users[0] != (User{"mounted on " + dir + " (" + filepath.Base(dev) + ")", "umount " + dir}) {
		t.Fatalf("%+v, %v", d, err)
	}
}

// TestReadOnlyDisk: the kernel's read-only flag is seen.
func TestReadOnlyDisk(t *testing.T) {
	dev := loop(t, sized(t, 16<<20), "--read-only")
	if d, err := Look(dev); err != nil || !d.ReadOnly {
		t.Fatalf("%+v, %v", d, err)
	}
}
