package output

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/devices/devicetest"
	"ebofs/ebofs"
	"ebofs/tools/verb"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// only expects the files of the working directory, by name, and no others.
func only(t *testing.T, want map[string]string) {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := want[f.Name()]; !ok {
			t.Errorf("%s is there", f.Name())
		}
	}
	for name, text := range want {
		if p, err := os.ReadFile(name); err != nil || string(p) != text {
			t.Errorf("%s: %.40q, %v, want %.40q", name, p, err, text)
		}
	}
}

func TestReplace(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "old", "what was there, longer than the new")
	if err := os.Chmod("old", 0o640); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"link": "old", "chain": "link", "dangling": "made"} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := Write("chain", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if err := Write("dangling", []byte("made")); err != nil {
		t.Fatal(err)
	}
	only(t, map[string]string{"old": "new", "link": "new", "chain": "new", "made": "made", "dangling": "made"})
	if st, err := os.Stat("old"); err != nil || st.Mode().Perm() != 0o640 {
		t.Error(st.Mode(), err)
	}
	if to, err := os.Readlink("chain"); err != nil || to != "link" {
		t.Error(to, err)
	}
	// What fails, or is given up, changes nothing.
	broken := errors.New("broken")
	for _, name := range []string{"link", "new"} {
		f, err := Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("half")); err != nil || f.Size() != 4 {
			t.Fatal(err, f.Size())
		}
		if err := f.Done(broken); err != broken {
			t.Error(err)
		}
		if f, err = Create(name); err != nil {
			t.Fatal(err)
		}
		f.Discard()
	}
	for _, name := range []string{"", "none/x", "dir/"} {
		if err := Write(name, []byte("x")); err == nil || strings.Contains(err.Error(), "part") {
			t.Errorf("%q: %v", name, err)
		}
	}
	only(t, map[string]string{"old": "new", "link": "new", "chain": "new", "made": "made", "dangling": "made"})
	if err := Write("/dev/null", []byte("x")); err != nil {
		t.Error(err)
	}
}

// TestRefuse: neither a store nor what is read is written over, by any name.
func TestRefuse(t *testing.T) {
	t.Chdir(t.TempDir())
	dev, err := devices.OpenFile("v.img", devices.FileOptions{CreateBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ebofs.Format(context.Background(), dev, ebofs.FormatOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, "notes", "no store")
	for name, to := range map[string]string{"lnk.img": "v.img", "notes2": "notes"} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link("v.img", "hard.img"); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile("v.img")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, source, want string }{
		{"v.img", "v.img", "v.img: not written over: it is what this command works on"},
		{"lnk.img", "v.img", "lnk.img: not written over: it is v.img, which this command works on"},
		{"hard.img", "v.img", "hard.img: not written over: it is v.img, which this command works on"},
		{"v.img", "", "v.img: not written over: it holds store "},
		{"lnk.img", "", "lnk.img: not written over: it holds store "},
		{"notes2", "notes", "notes2: not written over: it is notes, which this command works on"},
		{".", "", ".: not written over: it is a directory"},
	} {
		var f *verb.Failure
		if err := Write(c.path, []byte("x"), c.source); !errors.As(err, &f) || f.Code != CodeOutput || !strings.HasPrefix(f.Message, c.want) {
			t.Errorf("%s: %v, want %s", c.path, err, c.want)
		}
	}
	// What is left of a store counts, too.
	torn := append([]byte(nil), before...)
	torn[200] ^= 1
	clear(torn[3<<20:])
	write(t, "torn.img", string(torn))
	if err := Write("torn.img", []byte("x")); err == nil || !strings.Contains(err.Error(), "holds store") {
		t.Error(err)
	}
	only(t, map[string]string{"v.img": string(before), "lnk.img": string(before), "hard.img": string(before), "torn.img": string(torn), "notes": "no store", "notes2": "no store"})
}

// TestRefuseDevice: nor is a block device, or the file a loop device is made of.
func TestRefuseDevice(t *testing.T) {
	image := devicetest.Image(t, 8<<20)
	loop := devicetest.LoopOn(t, image)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(loop, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{loop: "it is a block device", link: "it is a block device", image: "it is in use (behind " + loop} {
		if err := Write(path, []byte("x")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	p, err := os.ReadFile(image)
	if err != nil || len(p) != 8<<20 || strings.Trim(string(p), "\x00") != "" {
		t.Errorf("%d bytes, %v", len(p), err)
	}
}

// TestFull: a full disk leaves what was there, and nothing new.
func TestFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("inside", func(t *testing.T) {
		t.Chdir(dir)
		write(t, "old", "old")
		for _, name := range []string{"old", "new"} {
			var f *verb.Failure
			err := Write(name, make([]byte, 1<<20))
			if !errors.As(err, &f) || f.Code != verb.CodeIO || f.Message != name+": no space left on device" || !errors.Is(err, syscall.ENOSPC) {
				t.Error(err)
			}
		}
		only(t, map[string]string{"old": "old"})
	})
}
