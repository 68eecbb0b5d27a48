//go:build !race

package devices

import "golang.org/x/sys/unix"

// arenaBytes is one mapping: large enough that mappings stay few (the kernel
// allows 65,530), small enough to be given back. Untouched it costs nothing.
const arenaBytes = 64 << 20

// mapArena returns n bytes of zeroed memory outside the heap, or nil. Pages
// are taken from the system when first touched.
func mapArena(n int) []byte {
	p, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	return p
}

func unmapArena(p []byte) error { return unix.Munmap(p) }

// dontNeed gives the pages of p back to the system; they read as zeros
// afterwards. A failure only means that they stay.
func dontNeed(p []byte) { _ = unix.Madvise(p, unix.MADV_DONTNEED) }

// poison does nothing: it is for builds that look for use after release.
func (f *Frame) poison() {}
