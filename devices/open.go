package devices

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/ncw/directio"
	"golang.org/x/sys/unix"
)

// ErrNotDevice is returned for a path that is neither a block device nor a
// regular file.
var ErrNotDevice = errors.New("not a block device or regular file")

// Frames are aligned to BlockSize and hold whole blocks; this does not compile
// unless that satisfies direct I/O.
const _ = -uint(BlockSize%directio.AlignSize + BlockSize%directio.BlockSize)

// defaultLockTimeout is how long to wait for a lock on a block device: udev
// probes a disk for a moment whenever somebody closed it.
const defaultLockTimeout = 10 * time.Second

// FileOptions say how to open a device or an image. The zero value opens it
// for writing, for nobody else to use.
type FileOptions struct {
	// ReadOnly opens without writing and without locks: looking at a store must
	// be possible while somebody uses it.
	ReadOnly bool
	// Shared leaves out O_EXCL and locks on a writable device.
	Shared bool
	// CreateBytes, if not 0, makes an image of that size, or lets an existing
	// image grow to it. It is no business of block devices, and shrinks nothing.
	CreateBytes uint64
	// LockTimeout is how long to try for the lock; 0 means 10 s for a block
	// device and one attempt for an image, which nobody probes. Before that a device
	// whose last user has just ended is waited for, up to 15 s.
	LockTimeout time.Duration
	// Geometry replaces what the device reports.
	Geometry Overrides
	// Sysfs is where to read what the kernel knows; nil means /sys.
	Sysfs fs.FS

	sleep func(time.Duration) // between attempts to lock; for tests
	ring  ringUse             // likewise
}

// OpenFile opens a block device or an image file. Errors name the path and
// what is wrong with it; ErrInUse comes with who uses it, if that can be found.
func OpenFile(path string, o FileOptions) (*File, error) {
	if o.Sysfs == nil {
		o.Sysfs = os.DirFS("/sys")
	}
	if o.sleep == nil {
		o.sleep = time.Sleep
	}
	f := &File{path: path, readOnly: o.ReadOnly}
	f.async.use = o.ring
	f.async.from, f.async.until = ringDepths(runtime.GOMAXPROCS(0))
	err := f.open(o)
	if err != nil {
		if f.f != nil {
			f.f.Close()
		}
		var pe *fs.PathError
		if errors.As(err, &pe) && pe.Path == path {
			err = pe.Err // the path is named below
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// open goes from the path to a usable File.
func (f *File) open(o FileOptions) error {
	created, err := f.openDescriptor(o)
	if err != nil {
		return err
	}
	if !o.ReadOnly && !o.Shared {
		if err := f.lock(o); err != nil {
			return err
		}
	}
	if err := f.measure(o); err != nil {
		return err
	}
	f.tryDirect()
	if created {
		return syncCreated(f.f)
	}
	return nil
}

// openDescriptor opens the path, with direct I/O if it can be had, creating
// the image if it is wanted and absent.
func (f *File) openDescriptor(o FileOptions) (created bool, err error) {
	st, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) && o.CreateBytes > 0 && !o.ReadOnly {
		created = true
	} else if err != nil {
		return false, err
	} else if f.block = isBlock(st.Mode()); !f.block && !st.Mode().IsRegular() {
		return false, fmt.Errorf("%w: %s", ErrNotDevice, kind(st.Mode()))
	}
	flag := os.O_RDWR
	switch {
	case o.ReadOnly:
		flag = os.O_RDONLY
	case created:
		flag |= os.O_CREATE | os.O_EXCL | unix.O_NOFOLLOW
	case f.block && !o.Shared:
		flag |= os.O_EXCL
	}
	f.direct = true
	err = f.untilLeft(o, func() (err error) {
		f.f, err = directio.OpenFile(f.path, flag, 0o600)
		return err
	})
	if errors.Is(err, unix.EINVAL) {
		f.direct = false
		if created {
			flag &^= os.O_EXCL // some file systems make the file, then refuse the flag
		}
		f.f, err = os.OpenFile(f.path, flag, 0o600)
	}
	switch {
	case errors.Is(err, unix.EBUSY):
		return false, inUse(Holders(f.path))
	case errors.Is(err, unix.EROFS):
		return false, fmt.Errorf("%w: %w", ErrReadOnly, err)
	case err != nil:
		return false, err
	}
	f.fd = int(f.f.Fd())
	f.sys = descriptor(f.fd)
	if st, err = f.f.Stat(); err != nil {
		return false, err
	}
	if isBlock(st.Mode()) != f.block {
		return false, errors.New("was replaced while it was opened")
	}
	return created, nil
}

// measure finds size and geometry, and lets an image grow.
func (f *File) measure(o FileOptions) error {
	var g Geometry
	var err error
	if f.block {
		g, err = f.blockGeometry(o.Sysfs)
	} else {
		g, err = f.imageGeometry(o)
	}
	if err != nil {
		return err
	}
	if g.Blocks == 0 {
		return fmt.Errorf("holds no block of %d bytes", BlockSize)
	}
	if o.Geometry != (Overrides{}) {
		f.from = "options"
	}
	if f.g, err = o.Geometry.Apply(g); err != nil {
		return fmt.Errorf("geometry: %w", err)
	}
	return nil
}

// blockGeometry asks sysfs, or the device itself if there is none.
func (f *File) blockGeometry(sysfs fs.FS) (g Geometry, err error) {
	bytes, err := blockBytes(f.fd)
	if err != nil {
		return g, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return g, err
	}
	var l limits
	if dir, err := sysBlock(sysfs, unix.Major(st.Rdev), unix.Minor(st.Rdev)); err == nil {
		l = dir.limits()
		f.model, f.serial = dir.identity()
		if l.sequential {
			return g, fmt.Errorf("zoned device, host-managed: %w", errors.ErrUnsupported)
		}
	} else {
		l = ioctlLimits(f.fd)
		f.notes = append(f.notes, "no sysfs; geometry from the device alone")
	}
	g, from, notes := l.geometry(bytes)
	f.from, f.notes, f.reported = from, append(f.notes, notes...), l.reported()
	return g, nil
}

// imageGeometry grows the image if that was asked for and finds out whether
// its file system can punch holes.
func (f *File) imageGeometry(o FileOptions) (g Geometry, err error) {
	st, err := f.f.Stat()
	if err != nil {
		return g, err
	}
	size := uint64(st.Size())
	if o.CreateBytes > size && !o.ReadOnly {
		if err := f.f.Truncate(int64(o.CreateBytes)); err != nil {
			return g, fmt.Errorf("grow to %d bytes: %w", o.CreateBytes, err)
		}
		size = o.CreateBytes
	}
	g = DefaultGeometry(size / BlockSize)
	f.from = "default"
	// Behind the end there is nothing to lose.
	past := int64(size+BlockSize) &^ (BlockSize - 1)
	if !o.ReadOnly && unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, past, BlockSize) == nil {
		g.DiscardBytes, g.ZeroBytes = BlockSize, BlockSize
	}
	return g, nil
}

// tryDirect reads a block, because some file systems take the flag and refuse
// the I/O, and goes through the page cache if there is no other way.
func (f *File) tryDirect() {
	if f.direct {
		if _, err := f.sys.pread(heapAligned(BlockSize), 0); err != unix.EINVAL {
			return
		}
		if flags, err := unix.FcntlInt(uintptr(f.fd), unix.F_GETFL, 0); err == nil {
			_, _ = unix.FcntlInt(uintptr(f.fd), unix.F_SETFL, flags&^unix.O_DIRECT)
		}
		f.direct = false
	}
	f.notes = append(f.notes, "direct I/O refused; reads and writes go through the page cache")
}

// syncCreated makes a new image survive a crash: its size and its name.
func syncCreated(f *os.File) error {
	if err := f.Sync(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// inUse wraps ErrInUse with who uses the device.
func inUse(holders []string) error {
	if len(holders) == 0 {
		return ErrInUse
	}
	return fmt.Errorf("%w: %s", ErrInUse, strings.Join(holders, ", "))
}

func isBlock(m fs.FileMode) bool { return m&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice }

// kind names what is no device.
func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "it is a directory"
	case m&fs.ModeCharDevice != 0:
		return "it is a character device"
	case m&fs.ModeNamedPipe != 0:
		return "it is a pipe"
	case m&fs.ModeSocket != 0:
		return "it is a socket"
	}
	return "it is " + m.Type().String()
}
