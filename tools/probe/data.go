package probe

import (
	"context"
	"errors"
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// FirstData returns where the first byte of the regular file at path stands that is
// not zero; found is false if there is none. Holes are not read, so a sparse file
// costs next to nothing; ctx ends the reading of a long file of zeros.
func FirstData(ctx context.Context, path string) (at int64, found bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false, trimPath(path, err)
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for end := int64(0); ; {
		if at >= end {
			start, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
			switch {
			case errors.Is(err, unix.ENXIO):
				return 0, false, nil
			case err != nil: // a file system that does not know its holes
				start, end = at, math.MaxInt64
			default:
				if end, err = unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE); err != nil {
					end = math.MaxInt64
				}
			}
			at = start
		}
		if err := ctx.Err(); err != nil {
			return 0, false, err
		}
		n, err := f.ReadAt(buf[:min(int64(len(buf)), end-at)], at)
		for i, b := range buf[:n] {
			if b != 0 {
				return at + int64(i), true, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return 0, false, nil
		}
		if err != nil {
			return 0, false, trimPath(path, err)
		}
		at += int64(n)
	}
}
