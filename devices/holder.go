package devices

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Holders lists who uses a block device, one of its partitions, or an image,
// as far as the kernel tells: "mounted on /home (sdb1)", "md0 (sdb)",
// "swap (sdb2)", "locked by ebofs (pid 812)". An empty list does not mean that
// nobody does.
func Holders(path string) []string { return findHolders(path).found }

func findHolders(path string) (h holders) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return h
	}
	h = holders{sys: os.DirFS("/sys"), proc: os.DirFS("/proc")}
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		h.block(unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	h.locks(unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	return h
}

// holders collects users from the kernel's file systems.
type holders struct {
	sys, proc fs.FS
	found     []string
	gone      bool // a process that is not there any more has a lock
}

// left says whether all that is known to use the device or image is a process that
// has ended: the kernel may close the files of a process a moment after the process is
// gone, as with an io_uring or with I/O in flight. It gives up their locks before their
// claims on a device, so of a device that is claimed it is enough that nobody is known
// to use it.
func (h *holders) left(claimed bool) bool {
	return h.gone && len(h.found) == 1 || claimed && len(h.found) == 0
}

// block looks at a device and its partitions: who is built on them, what is
// mounted or swapped to.
func (h *holders) block(major, minor uint32) {
	d, err := sysBlock(h.sys, major, minor)
	if err != nil {
		return
	}
	numbers := map[string]string{d.text("dev"): d.name()} // "8:17" to "sdb1"
	names := map[string]bool{d.name(): true}
	dirs := []sysDir{d}
	for _, name := range d.list(".") {
		if p := (sysDir{d.fsys, path.Join(d.path, name)}); p.has("partition") {
			numbers[p.text("dev")] = name
			names[name] = true
			dirs = append(dirs, p)
		}
	}
	for _, d := range dirs {
		for _, name := range d.list("holders") {
			h.add("%s (%s)", name, d.name())
		}
	}
	// mountinfo: id, parent, major:minor, root, mount point, …, "-", type, source
	for _, line := range h.lines("self/mountinfo") {
		if f := strings.Fields(line); len(f) > 4 && numbers[f[2]] != "" {
			h.add("mounted on %s (%s)", f[4], numbers[f[2]])
		}
	}
	for _, line := range h.lines("swaps") {
		if f := strings.Fields(line); len(f) > 0 && strings.HasPrefix(f[0], "/dev/") && names[path.Base(f[0])] {
			h.add("swap (%s)", path.Base(f[0]))
		}
	}
}

// locks looks for the processes that hold a lock on the file or device node.
// Locks of open file descriptions belong to no process: their pid is -1.
func (h *holders) locks(major, minor uint32, inode uint64) {
	want := fmt.Sprintf("%02x:%02x:%d", major, minor, inode)
	for _, line := range h.lines("locks") {
		// 1: FLOCK ADVISORY WRITE 812 00:05:123 0 EOF
		f := strings.Fields(line)
		if len(f) < 6 || f[5] != want {
			continue
		}
		pid := f[4]
		if pid == "-1" {
			pid = h.descriptorOwner(want)
		}
		if _, err := fs.Stat(h.proc, pid); pid == "" || errors.Is(err, fs.ErrNotExist) {
			h.gone = true
			h.add("locked by a process")
		} else {
			h.add("locked by %s (pid %s)", h.text(pid+"/comm"), pid)
		}
	}
}

// descriptorOwner returns the process with an open file description that holds
// a lock on the inode, or "". It looks at every process it may look at.
func (h *holders) descriptorOwner(inode string) string {
	pids, _ := fs.Glob(h.proc, "[0-9]*")
	for _, pid := range pids {
		infos, _ := fs.Glob(h.proc, pid+"/fdinfo/*")
		for _, info := range infos {
			for _, line := range h.lines(info) {
				if strings.HasPrefix(line, "lock:") && strings.Contains(line, " "+inode+" ") {
					return pid
				}
			}
		}
	}
	return ""
}

func (h *holders) add(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	for _, t := range h.found {
		if s == t {
			return
		}
	}
	h.found = append(h.found, s)
}

func (h *holders) text(name string) string {
	p, err := fs.ReadFile(h.proc, name)
	if err != nil {
		return "a process"
	}
	return strings.TrimSpace(string(p))
}

func (h *holders) lines(name string) []string {
	p, err := fs.ReadFile(h.proc, name)
	if err != nil {
		return nil
	}
	return strings.Split(string(p), "\n")
}
