package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// disk is a loop device with direct I/O over a file without a name. The kernel
// takes both away when nobody has them open any more.
type disk struct {
	image *os.File
	loop  *os.File
	bytes int64
}

// newDisk makes a disk of that size on the file system of dir.
func newDisk(ctx context.Context, dir string, bytes int64) (_ *disk, err error) {
	f, err := os.CreateTemp(dir, ".peers-*")
	if err != nil {
		return nil, err
	}
	d := &disk{bytes: bytes}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	// Open it once more for direct I/O, then take its name away.
	d.image, err = os.OpenFile(f.Name(), os.O_RDWR|unix.O_DIRECT, 0)
	if err = errors.Join(err, f.Truncate(bytes), f.Close(), os.Remove(f.Name())); err != nil {
		return nil, fmt.Errorf("%s: no file for direct I/O: %w", dir, err)
	}
	if err := d.fill(ctx); err != nil {
		return nil, err
	}
	d.loop, err = attach(d.image)
	return d, err
}

// attach puts a free loop device over the image.
func attach(image *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("no loop devices here: %w", err)
	}
	defer control.Close()
	for range 16 { // others may take the free device first
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("no free loop device: %w", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		c := unix.LoopConfig{Fd: uint32(image.Fd())}
		c.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &c); err == nil {
			return loop, tune(loop.Name())
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("%s: %w", loop.Name(), err)
		}
	}
	return nil, errors.New("no free loop device: others were faster")
}

// tune makes the device what a flash disk is. Discards would give blocks of the
// file back, and the next peer would pay for getting them again.
func tune(loop string) error {
	return errors.Join(setQueue(loop, "discard_max_bytes", 0), setQueue(loop, "rotational", 0))
}

// setQueue sets an attribute of the device's queue.
func setQueue(dev, name string, n int) error {
	return os.WriteFile(filepath.Join("/sys/block", filepath.Base(dev), "queue", name), []byte(strconv.Itoa(n)), 0)
}

func (d *disk) close() (err error) {
	if d.loop != nil {
		err = d.loop.Close()
	}
	if d.image != nil {
		err = errors.Join(err, d.image.Close())
	}
	return err
}

// fill writes what of the file is a hole, or reads as zeros because it was never
// written, so that no peer pays for blocks that another has not touched.
func (d *disk) fill(ctx context.Context) error {
	const step = 1 << 20
	p := aligned(step)
	defer unix.Munmap(p)
	noise(p, 1)
	fd, from := int(d.image.Fd()), int64(0)
	for from < d.bytes && ctx.Err() == nil {
		hole, err := unix.Seek(fd, from, unix.SEEK_HOLE)
		if err != nil || hole >= d.bytes {
			return err
		}
		data, err := unix.Seek(fd, hole, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			data, err = d.bytes, nil
		}
		if err != nil {
			return err
		}
		for from = hole; from < data && ctx.Err() == nil; from += step {
			if _, err := d.image.WriteAt(p[:min(step, data-from)], from); err != nil {
				return fmt.Errorf("write the file behind the loop device: %w", err)
			}
		}
	}
	return errors.Join(context.Cause(ctx), d.image.Sync())
}

// ready waits until a child that ended has let go of the device, and makes it as
// it was in the beginning.
func (d *disk) ready(ctx context.Context) error {
	const most, poll = time.Minute, 20 * time.Millisecond // what was not written back goes out first
	for end := time.Now().Add(most); ; time.Sleep(poll) {
		f, err := os.OpenFile(d.loop.Name(), os.O_RDWR|unix.O_EXCL, 0)
		if err == nil {
			err = unix.IoctlSetInt(int(f.Fd()), unix.BLKFLSBUF, 0)
			if err = errors.Join(err, f.Close()); err != nil {
				return err
			}
			return d.fill(ctx)
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return err
		}
	}
}

// noise fills p with bytes that do not compress.
func noise(p []byte, seed uint64) {
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(p)
}
