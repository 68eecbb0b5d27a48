//go:build !race

package devices

import "golang.org/x/sys/unix"

// arenaBytes is one mapping: large enough that mappings stay few (the kernel
// allows 65,530), small enough to be given back. Untouched it costs nothing.
const arenaBytes = 64 << 20

// spares are mappings that the next pools take; nil: none are kept.
var spares chan []byte

// KeepArenas has up to n arenas of closed pools kept, with their memory, for the
// pools that follow. It is for tests that open and close thousands of stores, of
// whose time a fifth was page faults, and is called before any pool is made.
func KeepArenas(n int) { spares = make(chan []byte, n) }

// mapArena returns arenaBytes of memory outside the heap, or nil. Pages are taken
// from the system when first touched.
func mapArena() []byte {
	select {
	case p := <-spares:
		return p
	default:
	}
	p, err := unix.Mmap(-1, 0, arenaBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	return p
}

func unmapArena(p []byte) error {
	select {
	case spares <- p:
		return nil
	default:
		return unix.Munmap(p)
	}
}

// dontNeed gives the pages of p back to the system; they read as zeros
// afterwards. A failure only means that they stay.
func dontNeed(p []byte) { _ = unix.Madvise(p, unix.MADV_DONTNEED) }

// poison does nothing: it is for builds that look for use after release.
func (f *Frame) poison() {}
