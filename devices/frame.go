package devices

import (
	"sync/atomic"

	"github.com/ncw/directio"
)

// Frame is one piece of memory of a Pool, aligned to BlockSize. It lives until
// as many Releases were called as there are references: the one Get gave and
// one per Retain. Afterwards nobody may touch its memory.
//
// References may be taken and dropped on any goroutine; who may write the
// bytes is the users' business.
type Frame struct {
	more  atomic.Int32 // references beyond the first
	vec   [1][]byte    // the bytes handed out, nil in a free frame; an array, so that Vec does not allocate
	mem   []byte       // all of it
	pool  *Pool
	shard *shard
	slab  *slab  // nil: heap memory, not kept
	next  *Frame // in slab.free
	who   origin
}

// Bytes returns the memory: the size asked of Get, in whole blocks.
func (f *Frame) Bytes() []byte { return f.vec[0] }

// Vec returns the memory as the Vec of one I/O without allocating. The caller
// must not change the slice of slices.
func (f *Frame) Vec() Vec { return f.vec[:] }

// Retain adds a reference. The caller must hold one.
func (f *Frame) Retain() {
	if f.vec[0] == nil {
		panic("devices: retain of a released frame")
	}
	f.more.Add(1)
}

// Release drops a reference; the last one returns the memory to the pool.
func (f *Frame) Release() {
	if f.vec[0] == nil {
		panic("devices: release of a released frame")
	}
	// The usual case is one reference, which needs no write to shared memory.
	// Of several releases at once, the one that gets below zero is the last.
	if f.more.Load() > 0 && f.more.Add(-1) >= 0 {
		return
	}
	if f.more.Load() != 0 {
		f.more.Store(0)
	}
	f.poison()
	f.who.forget()
	f.vec[0] = nil
	f.pool.put(f)
}

// hand gives the frame its first reference and its length.
func (f *Frame) hand(n int) {
	f.vec[0] = f.mem[:n]
	f.who.note()
}

// heapAligned returns n bytes of heap memory aligned to BlockSize.
func heapAligned(n int) []byte { return directio.AlignedBlock(n)[:n:n] }
