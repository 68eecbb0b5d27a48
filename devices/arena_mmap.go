//go:build !race

package devices

import (
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// arenaBytes is one mapping: large enough that mappings stay few (the kernel
	// allows 65,530), small enough to be given back. Untouched it costs nothing.
	arenaBytes = 64 << 20
	hugeBytes  = 2 << 20 // a huge page
)

// spares are mappings that the next pools take; nil: none are kept.
var spares chan mapping

// KeepArenas has up to n arenas of closed pools kept, with their memory, for the
// pools that follow. It is for tests that open and close thousands of stores, of
// whose time a fifth was page faults, and is called before any pool is made.
func KeepArenas(n int) {
	spares = make(chan mapping, n)
}

// mapArena returns arenaBytes of memory outside the heap, false if the system has
// none. Pages are taken from the system when first touched, huge ones if it has any.
func mapArena() (mapping, bool) {
	select {
	case m := <-spares:
		return m, true
	default:
	}
	p, err := unix.Mmap(-1, 0, arenaBytes+hugeBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return mapping{}, false
	}
	m := mapping{mem: p[-address(p)%hugeBytes:][:arenaBytes], whole: p}
	if HugePages() {
		_ = unix.Madvise(m.mem, unix.MADV_HUGEPAGE) // else ordinary ones
	}
	changeArenas(func(list []uintptr) []uintptr { return append(list, address(m.mem)) })
	return m, true
}

// arenas are the addresses of those that are mapped, in order; the slice is never
// changed in place.
var arenas struct {
	sync.Mutex // for who changes them
	list       atomic.Pointer[[]uintptr]
}

func changeArenas(change func([]uintptr) []uintptr) {
	arenas.Lock()
	defer arenas.Unlock()
	var list []uintptr
	if old := arenas.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = change(list)
	slices.Sort(list)
	arenas.list.Store(&list)
}

func address(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }

// InFrame reports whether p is in a frame, which lies on huge pages if the system has any.
func InFrame(p []byte) bool {
	list := arenas.list.Load()
	if list == nil {
		return false
	}
	at := address(p)
	i, found := slices.BinarySearch(*list, at)
	if !found {
		i--
	}
	return i >= 0 && at-(*list)[i] < arenaBytes
}

func (m *mapping) unmap() error {
	select {
	case spares <- *m:
		return nil
	default:
		changeArenas(func(list []uintptr) []uintptr {
			return slices.DeleteFunc(list, func(at uintptr) bool { return at == address(m.mem) })
		})
		return unix.Munmap(m.whole)
	}
}

// dontNeed gives the pages of p back to the system; they read as zeros
// afterwards. A failure only means that they stay.
func dontNeed(p []byte) { _ = unix.Madvise(p, unix.MADV_DONTNEED) }

// touch has the system give p its memory. If it cannot, whoever uses p waits for that.
func touch(p []byte) { _ = unix.Madvise(p, unix.MADV_POPULATE_WRITE) }

// poison does nothing: it is for builds that look for use after release.
func (f *Frame) poison() {}
