//go:build !race

package devices

import (
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// arenaBytes is one mapping: large enough that mappings stay few (the kernel
// allows 65,530), small enough to be given back. Untouched it costs nothing.
const arenaBytes = 64 << 20

// spares are mappings that the next pools take; nil: none are kept.
var spares [grains]chan mapping

// KeepArenas has up to n arenas of either grain of closed pools kept, with their memory, for the
// pools that follow. It is for tests that open and close thousands of stores, of
// whose time a fifth was page faults, and is called before any pool is made.
func KeepArenas(n int) {
	for g := range spares {
		spares[g] = make(chan mapping, n)
	}
}

// mapArena returns arenaBytes of memory outside the heap, false if the system has
// none. Pages are taken from the system when first touched.
func mapArena(g grain) (mapping, bool) {
	select {
	case m := <-spares[g]:
		return m, true
	default:
	}
	align := 0
	if g == coarse {
		align = g.slabBytes()
	}
	p, err := unix.Mmap(-1, 0, arenaBytes+align, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return mapping{}, false
	}
	m := mapping{grain: g, mem: p, whole: p}
	if g == coarse {
		skip := -uintptr(unsafe.Pointer(unsafe.SliceData(p))) % uintptr(align)
		m.mem = p[skip:][:arenaBytes]
		// A system without them has ordinary pages.
		_ = unix.Madvise(m.mem, unix.MADV_HUGEPAGE)
		changeArenas(func(list []uintptr) []uintptr { return append(list, address(m.mem)) })
	}
	return m, true
}

// coarseArenas are the addresses of those that are mapped, in order; the slice is never
// changed in place.
var coarseArenas struct {
	sync.Mutex // for who changes them
	list       atomic.Pointer[[]uintptr]
}

func changeArenas(change func([]uintptr) []uintptr) {
	c := &coarseArenas
	c.Lock()
	defer c.Unlock()
	var list []uintptr
	if old := c.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = change(list)
	slices.Sort(list)
	c.list.Store(&list)
}

func address(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }

// InHugeFrame reports whether p is in a frame that lies on huge pages, if the system has
// any.
func InHugeFrame(p []byte) bool {
	list := coarseArenas.list.Load()
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
	case spares[m.grain] <- *m:
		return nil
	default:
		if m.grain == coarse {
			changeArenas(func(list []uintptr) []uintptr {
				return slices.DeleteFunc(list, func(at uintptr) bool { return at == address(m.mem) })
			})
		}
		return unix.Munmap(m.whole)
	}
}

// dontNeed gives the pages of p back to the system; they read as zeros
// afterwards. A failure only means that they stay.
func dontNeed(p []byte) { _ = unix.Madvise(p, unix.MADV_DONTNEED) }

// poison does nothing: it is for builds that look for use after release.
func (f *Frame) poison() {}
