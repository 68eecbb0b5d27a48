package probe

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"ebofs/devices"
)

// User is somebody who uses a device, and the command that ends it.
type User struct {
	What string `json:"what"`           // "mounted on /home (sdb1)"
	Cure string `json:"cure,omitempty"` // "umount /home"; empty if unknown
}

// First says what to do before the device can be used: a process is better
// waited for.
func (u User) First() string {
	if strings.HasPrefix(u.Cure, "kill ") {
		return "Wait for it, or stop it: " + u.Cure
	}
	return "First: " + u.Cure
}

// system is where the kernel's view is read from; tests bring their own.
type system struct {
	sys, proc fs.FS
	holders   func(path string) []string
}

func thisSystem() system {
	return system{sys: os.DirFS("/sys"), proc: os.DirFS("/proc"), holders: devices.Holders}
}

// users lists who uses the device or image at p: what the kernel says of
// mounts, swap, stacked devices and locks, loop devices over an image, and, if
// it is busy although nobody was found, the processes that have it open.
func (y system) users(p string, busy bool) (list []User) {
	for _, what := range y.holders(p) {
		list = append(list, y.cure(what))
	}
	list = append(list, y.behind(p)...)
	if busy && list == nil {
		list = y.mounts(p)
	}
	if busy && list == nil {
		list = y.openers(p)
	}
	return list
}

// Behind lists the uses of an image file that no lock shows: a loop device over
// it, a swap file.
func Behind(p string) []User { return thisSystem().behind(p) }

func (y system) behind(p string) (list []User) {
	real, err := filepath.Abs(p)
	if err != nil {
		return nil
	}
	if r, err := filepath.EvalSymlinks(real); err == nil {
		real = r
	}
	loops, _ := fs.Glob(y.sys, "block/loop*/loop/backing_file")
	for _, l := range loops {
		if text := y.read(y.sys, l); strings.TrimSuffix(text, " (deleted)") == real {
			dev := "/dev/" + path.Base(path.Dir(path.Dir(l)))
			list = append(list, User{"behind " + dev, "losetup -d " + dev})
		}
	}
	for line := range strings.SplitSeq(y.read(y.proc, "swaps"), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == real && f[1] == "file" {
			list = append(list, User{"swap file", "swapoff " + real})
		}
	}
	return list
}

// mounts looks for mounts by the name of their source: file systems of several
// devices, such as btrfs, show a device number of their own.
func (y system) mounts(p string) (list []User) {
	for line := range strings.SplitSeq(y.read(y.proc, "self/mountinfo"), "\n") {
		// id parent major:minor root mount-point options… - type source options
		head, tail, ok := strings.Cut(line, " - ")
		h, f := strings.Fields(head), strings.Fields(tail)
		if ok && len(h) > 4 && len(f) > 1 && sameDevice(p, unoctal(f[1])) {
			list = append(list, y.cure(fmt.Sprintf("mounted on %s (%s)", h[4], path.Base(f[1]))))
		}
	}
	return list
}

// sameDevice reports whether two paths lead to one device or file.
func sameDevice(a, b string) bool {
	var x, z unix.Stat_t
	if unix.Stat(a, &x) != nil || unix.Stat(b, &z) != nil {
		return false
	}
	if x.Mode&unix.S_IFMT == unix.S_IFBLK {
		return z.Mode&unix.S_IFMT == unix.S_IFBLK && x.Rdev == z.Rdev
	}
	return x.Dev == z.Dev && x.Ino == z.Ino
}

var (
	mountedOn = regexp.MustCompile(`^mounted on (.*) \(([^()]+)\)$`)
	swapOn    = regexp.MustCompile(`^swap \(([^()]+)\)$`)
	lockedBy  = regexp.MustCompile(`^locked by (.*) \(pid ([0-9]+)\)$`)
	stacked   = regexp.MustCompile(`^([a-z]+[0-9]+|dm-[0-9]+) \(([^()]+)\)$`)
)

// cure adds to a holder the command that ends it, and to a device-mapper
// device its name.
func (y system) cure(what string) User {
	if m := mountedOn.FindStringSubmatch(what); m != nil {
		return User{what, "umount " + unoctal(m[1])}
	}
	if m := swapOn.FindStringSubmatch(what); m != nil {
		return User{what, "swapoff /dev/" + m[1]}
	}
	if m := lockedBy.FindStringSubmatch(what); m != nil {
		return User{what, "kill " + m[2]}
	}
	m := stacked.FindStringSubmatch(what)
	switch {
	case m == nil:
		return User{What: what}
	case strings.HasPrefix(m[1], "dm-"):
		name, id := y.read(y.sys, "block/"+m[1]+"/dm/name"), y.read(y.sys, "block/"+m[1]+"/dm/uuid")
		if name == "" {
			return User{What: "held by device-mapper " + what}
		}
		u := User{fmt.Sprintf("held by device-mapper %q (%s)", name, m[2]), "dmsetup remove " + name}
		switch {
		case strings.HasPrefix(id, "LVM-"):
			// Two dashes stand for one inside a name; one separates group and volume.
			group, _, _ := strings.Cut(strings.ReplaceAll(name, "--", "\x00"), "-")
			u = User{fmt.Sprintf("held by LVM volume %q (%s)", name, m[2]), "vgchange -an " + strings.ReplaceAll(group, "\x00", "-")}
		case strings.HasPrefix(id, "CRYPT-"):
			u = User{fmt.Sprintf("held by encrypted volume %q (%s)", name, m[2]), "cryptsetup close " + name}
		}
		return u
	case strings.HasPrefix(m[1], "md"):
		return User{"held by RAID " + what, "mdadm --stop /dev/" + m[1]}
	case strings.HasPrefix(m[1], "bcache"):
		return User{"held by " + what, "echo 1 > /sys/block/" + m[1] + "/bcache/stop"}
	}
	return User{What: "held by " + what}
}

// unoctal undoes the escapes of /proc/self/mountinfo.
func unoctal(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// openers lists the processes with an open descriptor of the device.
func (y system) openers(p string) (list []User) {
	var want unix.Stat_t
	if unix.Stat(p, &want) != nil {
		return nil
	}
	fds, _ := fs.Glob(y.proc, "[0-9]*/fd/*")
	seen := map[string]bool{fmt.Sprint(os.Getpid()): true}
	for _, fd := range fds {
		pid, _, _ := strings.Cut(fd, "/")
		if seen[pid] {
			continue
		}
		info, err := fs.Stat(y.proc, fd)
		if err != nil {
			continue
		}
		st, ok := sysStat(info)
		same := ok && st.Dev == want.Dev && st.Ino == want.Ino
		if ok && want.Mode&unix.S_IFMT == unix.S_IFBLK {
			same = st.Mode&unix.S_IFMT == unix.S_IFBLK && st.Rdev == want.Rdev
		}
		if same {
			seen[pid] = true
			list = append(list, User{fmt.Sprintf("open in %s (pid %s)", y.read(y.proc, pid+"/comm"), pid), "kill " + pid})
		}
	}
	return list
}

func (y system) read(fsys fs.FS, name string) string {
	p, err := fs.ReadFile(fsys, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(p))
}

// busy reports whether somebody holds the open device or image for himself:
// O_EXCL or a lock. It takes nothing.
func busy(p string, f *os.File, block bool) (bool, error) {
	if !block {
		lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
			return false, fmt.Errorf("%s: asking for locks: %w", p, err)
		}
		return lock.Type != unix.F_UNLCK, nil
	}
	ex, err := os.OpenFile(p, os.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer ex.Close()
	// udev holds a shared lock while it probes; a store's holder an exclusive one.
	if err := unix.Flock(int(ex.Fd()), unix.LOCK_SH|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, nil
}
