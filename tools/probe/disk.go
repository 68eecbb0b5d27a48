package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Disk is a device or image file: what it is, who uses it, what it holds.
type Disk struct {
	Path       string `json:"path"`
	Name       string `json:"name"` // the kernel's: "sdb"; of an image its file name
	Block      bool   `json:"block"`
	Whole      string `json:"whole,omitempty"` // the disk this is a partition of
	Sector     int64  `json:"sector_bytes"`
	Model      string `json:"model,omitempty"`
	Serial     string `json:"serial,omitempty"`
	Rotational bool   `json:"rotational"`
	ReadOnly   bool   `json:"read_only"`
	Users      []User `json:"users"`
	InUse      bool   `json:"in_use"`
	// DataAt is where unknown data begins in a regular file in which nothing was
	// recognised; nil: there is none, or nobody has looked (see FirstData).
	DataAt *int64 `json:"-"`
	// Geometry is nil unless LookGeometry was asked.
	Geometry *Geometry `json:"geometry,omitempty"`
	Report
}

var (
	// ErrNotDevice is returned for a path that is neither a block device nor a
	// regular file.
	ErrNotDevice = errors.New("not a block device or regular file")
	// ErrEmpty is returned for a device of no bytes: a loop device without a
	// file, a card reader without a card.
	ErrEmpty = errors.New("holds no bytes")
)

// Look examines the device or image file at p.
func Look(p string) (*Disk, error) { return look(thisSystem(), p) }

func look(y system, p string) (*Disk, error) {
	st, err := os.Stat(p)
	if err != nil {
		return nil, trimPath(p, err)
	}
	block := st.Mode()&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice
	if !block && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: it is a %s", p, ErrNotDevice, kindOf(st.Mode()))
	}
	f, err := os.OpenFile(p, os.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, trimPath(p, err)
	}
	defer f.Close()
	d := &Disk{Path: p, Name: filepath.Base(p), Block: block, Sector: 512}
	size := st.Size()
	if block {
		if size, err = d.askKernel(y, int(f.Fd()), st); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	} else {
		d.ReadOnly = unix.Access(p, unix.W_OK) != nil
	}
	if size == 0 {
		return nil, fmt.Errorf("%s: %w", p, ErrEmpty)
	}
	if d.InUse, err = busy(p, f, block); err != nil {
		return nil, trimPath(p, err)
	}
	d.Users = y.users(p, d.InUse)
	d.InUse = d.InUse || d.Users != nil
	d.Report = Examine(f, size, d.Sector, d.Name)
	return d, nil
}

// askKernel fills in what ioctls and sysfs know of a block device.
func (d *Disk) askKernel(y system, fd int, info fs.FileInfo) (size int64, err error) {
	if size, err = ioctlSize(fd); err != nil {
		return 0, fmt.Errorf("size: %w", err)
	}
	if n, err := unix.IoctlGetInt(fd, unix.BLKSSZGET); err == nil && n > 0 {
		d.Sector = int64(n)
	}
	if ro, err := unix.IoctlGetUint32(fd, unix.BLKROGET); err == nil {
		d.ReadOnly = ro != 0
	}
	st, ok := sysStat(info)
	if !ok {
		return size, nil
	}
	dir := fmt.Sprintf("dev/block/%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	for line := range strings.SplitSeq(y.read(y.sys, dir+"/uevent"), "\n") {
		if name, ok := strings.CutPrefix(line, "DEVNAME="); ok {
			d.Name = name
		}
	}
	// What describes the hardware stands with the whole disk.
	if whole, _ := fs.Glob(y.sys, "block/*/"+d.Name+"/partition"); whole != nil {
		dir = path.Dir(path.Dir(whole[0]))
		d.Whole = path.Base(dir)
	}
	d.fromSysfs(y, dir)
	return size, nil
}

// fromSysfs reads what the disk at dir says of itself.
func (d *Disk) fromSysfs(y system, dir string) {
	d.Model = strings.Join(strings.Fields(y.read(y.sys, dir+"/device/vendor")+" "+y.read(y.sys, dir+"/device/model")), " ")
	if strings.HasPrefix(d.Model, "0x") || strings.HasPrefix(d.Model, "ATA ") {
		_, d.Model, _ = strings.Cut(d.Model, " ")
	}
	d.Serial = y.read(y.sys, dir+"/device/serial")
	if d.Serial == "" {
		d.Serial = y.read(y.sys, dir+"/serial")
	}
	if file := y.read(y.sys, dir+"/loop/backing_file"); file != "" {
		d.Model = "loop of " + file
	}
	d.Rotational = y.read(y.sys, dir+"/queue/rotational") == "1"
}

func ioctlSize(fd int) (int64, error) {
	n, err := unix.IoctlGetInt(fd, unix.BLKGETSIZE64)
	return int64(n), err
}

func sysStat(info fs.FileInfo) (*syscall.Stat_t, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	return st, ok
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeCharDevice != 0:
		return "character device"
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "special file"
}

// trimPath names p once.
func trimPath(p string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("%s: %w", p, err)
}

// Listed is one disk of the machine, or why it could not be looked at.
type Listed struct {
	Path string
	Disk *Disk // nil if Err is set
	Err  error
}

// Disks looks at every disk of the machine that holds bytes, in the order of
// their names. Partitions are reported with their disk.
func Disks() ([]Listed, error) { return disks(thisSystem(), "/dev") }

func disks(y system, dev string) (list []Listed, err error) {
	entries, err := fs.ReadDir(y.sys, "block")
	if err != nil {
		return nil, fmt.Errorf("listing disks: %w", err)
	}
	var names []string
	for _, e := range entries {
		if n, _ := strconv.ParseUint(y.read(y.sys, "block/"+e.Name()+"/size"), 10, 64); n > 0 {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, byNumber)
	for _, n := range names {
		p := path.Join(dev, strings.ReplaceAll(n, "!", "/"))
		d, err := look(y, p)
		list = append(list, Listed{p, d, err})
	}
	return list, nil
}

// byNumber orders loop2 before loop10.
func byNumber(a, b string) int {
	pa, na := splitNumber(a)
	pb, nb := splitNumber(b)
	if pa != pb {
		return strings.Compare(pa, pb)
	}
	return na - nb
}

func splitNumber(s string) (string, int) {
	p := strings.TrimRight(s, "0123456789")
	n, _ := strconv.Atoi(s[len(p):])
	return p, n
}
