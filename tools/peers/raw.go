package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"ebofs/tools/bench/group"
)

// scanBytes is how much the raw device and its like read at once.
const scanBytes = 1 << 20

// raw is the device itself: the objects side by side, then a log that wraps.
type raw struct {
	fd    int
	bytes int64
	n     uint64
	slots uint64 // of the log
	next  atomic.Uint64
}

func openRaw(o setup) (backend, error) {
	fd, err := unix.Open(o.dev, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	size, err := unix.Seek(fd, 0, 2)
	r := &raw{fd: fd, bytes: int64(o.bytes), n: o.n, slots: uint64(size)/uint64(o.bytes) - o.n}
	return r, err
}

func (r *raw) at(i uint64) int64 { return int64(i) * r.bytes }

func (r *raw) load(n uint64, value func(uint64, []byte)) error {
	p := aligned(int(r.bytes))
	for i := range n {
		value(i, p)
		if m, err := unix.Pwrite(r.fd, p, r.at(i)); err != nil || m != len(p) {
			return short(m, len(p), err)
		}
	}
	return nil
}

// put appends a new object, and writes one that was loaded in place.
func (r *raw) put(i uint64, v []byte) error {
	if i >= r.n {
		i = r.n + (r.next.Add(1)-1)%r.slots
	}
	m, err := unix.Pwrite(r.fd, v, r.at(i))
	if err = short(m, len(v), err); err != nil {
		return err
	}
	return unix.Fdatasync(r.fd)
}

func (r *raw) get(i uint64, p []byte) error {
	m, err := unix.Pread(r.fd, p, r.at(i))
	return short(m, len(p), err)
}

func (r *raw) scan(fn func([]byte) bool) error {
	p := aligned(max(scanBytes, int(r.bytes)))
	for off, end := int64(0), r.at(r.n); off < end; off += int64(len(p)) {
		p = p[:min(int64(len(p)), end-off)]
		m, err := unix.Pread(r.fd, p, off)
		if err = short(m, len(p), err); err != nil {
			return err
		}
		for at := int64(0); at < int64(len(p)); at += r.bytes {
			if !fn(p[at : at+r.bytes]) {
				return nil
			}
		}
	}
	return nil
}

func (r *raw) settle() error { return unix.Fdatasync(r.fd) }
func (r *raw) close() error  { return unix.Close(r.fd) }

// grouped is raw with group commit.
type grouped struct {
	*raw
	group.Group
	at  uint64 // slot of the log that comes next
	vec [][]byte
}

// maxVec is the kernel's limit for one pwritev.
const maxVec = 1024

func openGroup(o setup) (backend, error) {
	s, err := openRaw(o)
	if err != nil {
		return nil, err
	}
	g := &grouped{raw: s.(*raw)}
	g.Group = group.Group{Commit: g.append, Max: maxVec}
	return g, nil
}

func (g *grouped) put(i uint64, v []byte) error { return g.Group.Put(i, v) }

func (g *grouped) append(batch []*group.Entry) error {
	if uint64(len(batch)) > g.slots {
		return errors.New("device too small for one commit")
	}
	if g.at+uint64(len(batch)) > g.slots {
		g.at = 0
	}
	g.vec = g.vec[:0]
	for _, e := range batch {
		g.vec = append(g.vec, e.V)
	}
	m, err := unix.Pwritev(g.fd, g.vec, g.raw.at(g.n+g.at))
	if err = short(m, len(batch)*int(g.bytes), err); err != nil {
		return err
	}
	g.at += uint64(len(batch))
	return unix.Fdatasync(g.fd)
}

// aligned returns memory for direct I/O that lives as long as the process.
func aligned(n int) []byte {
	p, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		panic(fmt.Sprintf("no memory for %d bytes: %v", n, err))
	}
	return p
}

// onHugePages is aligned for memory that the kernel takes from its huge pages.
func onHugePages(n int) []byte {
	const page = 2 << 20
	p, err := unix.Mmap(-1, 0, n+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err == nil {
		p = p[-uintptr(unsafe.Pointer(unsafe.SliceData(p)))%page:]
		err = unix.Madvise(p, unix.MADV_HUGEPAGE)
	}
	if err != nil {
		panic(fmt.Sprintf("no memory for %d bytes: %v", n, err))
	}
	return p[:n]
}
