package devices

import (
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

const (
	slabBytes    = hugeBytes / 2
	mostBytes    = slabBytes // of a frame of a slab
	evenClasses  = 6         // of 1 to 6 blocks: what is kept for long, as nodes are, is mostly that small
	numClasses   = evenClasses + 6
	firstDoubled = 32 << 10 // of the others, each twice the one before, up to mostBytes
	largeFrom    = 64 << 10 // there are few of these at a time: all are of one shard
	maxShards    = 8        // more would scatter free frames for little less waiting
	leastKept    = 16 << 20 // see PoolOptions.KeepBytes
	keptByShard  = 16 << 20 // of what is kept: each shard may have slabs of which it uses little
)

// HugePages reports whether the system has huge pages for frames, of the size of two slabs.
var HugePages = sync.OnceValue(func() bool {
	const dir = "/sys/kernel/mm/transparent_hugepage/"
	enabled, err := os.ReadFile(dir + "enabled")
	if err != nil || strings.Contains(string(enabled), "[never]") {
		return false
	}
	size, err := os.ReadFile(dir + "hpage_pmd_size")
	return err == nil && strings.TrimSpace(string(size)) == strconv.Itoa(hugeBytes)
})

// classFor returns the smallest class for n bytes, which are whole blocks, at least
// one and at most mostBytes.
func classFor(n int) int {
	if blocks := n / BlockSize; blocks <= evenClasses {
		return blocks - 1
	}
	return evenClasses + bits.Len(uint(n-1)/firstDoubled)
}

// classBytes is the size of its frames.
func classBytes(class int) int {
	if class < evenClasses {
		return (class + 1) * BlockSize
	}
	return firstDoubled << (class - evenClasses)
}

// PoolOptions are the limits of a Pool. The zero value works.
type PoolOptions struct {
	// MaxBytes is what the owner means to use, in bytes of frames; 0 means no
	// limit. It refuses nothing (see Get): it is what Stats measures against.
	MaxBytes int64
	// KeepBytes is how much memory nobody uses is kept, so that steady use costs no
	// page fault though what is in use goes up and down; 0, and less than 16 MiB, is
	// 16 MiB. It does not add to the most that was ever in use. Beyond it halves of huge
	// pages stay whose other half is in use, and the one page that is next.
	KeepBytes int64
}

// Pool hands out frames: pieces of memory that are aligned for direct I/O,
// counted and reference counted, outside the garbage collected heap.
//
// Frames come in classes of 1 to 6 blocks, then of powers of two up to 1 MiB.
// They are cut from slabs of mapped arenas; a slab serves one class of one
// shard while any of its frames is in use and goes back to the common list
// afterwards. Two slabs are a huge page where the system has them: a long transfer of
// pages of 4 KiB is as many segments for the kernel and the device, and who looks at a
// node waits for the page table before the node (docs/decisions/huge-pages.md). So the
// memory of both comes and goes at once: beyond a few, free pairs are given back to the
// system; an arena that is free as a whole is unmapped. A goroutine has the system give the
// memory of one pair more than is in use, for a huge page can take milliseconds.
//
// Under the race detector arenas are heap memory, which it can see, and a
// released frame is overwritten so that use after release shows.
//
// Lock order: shard.mu, then Pool.mu. All methods may run at once.
type Pool struct {
	max    int64   // constant
	keep   int     // bytes of free slabs, constant
	shards []shard // length constant, a power of two

	mu struct {
		sync.Mutex
		arenas []*arena
		warm   []*slab // free, memory resident
		cold   []*slab // the first of each free pair whose memory was given back
		closed bool

		touching bool // a goroutine of touches runs
	}
	touches sync.WaitGroup // of touchLocked
}

// shard is one set of free frames. A frame always returns to its own shard.
type shard struct {
	mu      sync.Mutex
	partial [numClasses]*slab // slabs with a free frame, and maybe used ones
	frames  int               // in use, including frames of no slab
	bytes   int64             // of these, whole classes
	_       [64]byte          // keeps neighbours off this cache line
}

// NewPool returns an empty pool; memory is mapped when frames are asked for.
func NewPool(o PoolOptions) *Pool {
	keep := max(leastKept, int(o.KeepBytes))
	n := 1
	for n < min(runtime.NumCPU(), runtime.GOMAXPROCS(0), maxShards, keep/keptByShard) {
		n *= 2
	}
	return &Pool{max: o.MaxBytes, keep: keep, shards: make([]shard, n)}
}

// Get returns a frame of n bytes rounded up to whole blocks, with one
// reference and undefined content. It never fails and never waits: admission
// is the business of whoever owns the budget, and a checkpoint that must not
// block asks too. What goes beyond MaxBytes is counted in Stats. Frames above
// 1 MiB, and frames of a closed pool or a system out of mappings, are heap
// memory.
func (p *Pool) Get(n int) *Frame {
	n = max(n, 1)
	n = (n + BlockSize - 1) &^ (BlockSize - 1)
	s := &p.shards[rand.Uint32()&uint32(len(p.shards)-1)]
	if n > mostBytes {
		return p.heapFrame(s, n)
	}
	class := classFor(n)
	if classBytes(class) >= largeFrom {
		s = &p.shards[0]
	}
	s.mu.Lock()
	sl := s.partial[class]
	if sl == nil {
		if sl = p.takeSlab(s, class); sl == nil {
			s.mu.Unlock()
			return p.heapFrame(s, n)
		}
		s.link(sl)
	}
	f := sl.free
	sl.free = f.next
	f.next = nil
	if sl.used++; sl.free == nil {
		s.unlink(sl)
	}
	s.frames++
	s.bytes += int64(len(f.mem))
	s.mu.Unlock()
	f.hand(n)
	return f
}

// heapFrame returns a frame of garbage collected memory.
func (p *Pool) heapFrame(s *shard, n int) *Frame {
	f := &Frame{shard: s, pool: p, mem: heapAligned(n)}
	s.mu.Lock()
	s.frames++
	s.bytes += int64(n)
	s.mu.Unlock()
	f.hand(n)
	return f
}

// put takes back a frame nobody refers to.
func (p *Pool) put(f *Frame) {
	s, sl := f.shard, f.slab
	s.mu.Lock()
	s.frames--
	s.bytes -= int64(len(f.mem))
	if sl == nil {
		s.mu.Unlock()
		return
	}
	if sl.free == nil {
		s.link(sl)
	}
	f.next = sl.free
	sl.free = f
	// The last slab of a class stays, or a lone frame would move a slab each time.
	if sl.used--; sl.used == 0 && (sl.prev != nil || sl.next != nil) {
		s.unlink(sl)
		p.giveSlab(sl)
	}
	s.mu.Unlock()
}

// InUse returns the number of frames not yet released and the memory they
// hold, in bytes, rounded up to their classes.
func (p *Pool) InUse() (frames int, bytes int64) {
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		frames += s.frames
		bytes += s.bytes
		s.mu.Unlock()
	}
	return frames, bytes
}

// PoolStats is what a pool holds at one moment.
type PoolStats struct {
	Frames        int   // frames in use
	Bytes         int64 // memory of the frames in use
	OverBytes     int64 // the part of Bytes beyond PoolOptions.MaxBytes
	ResidentBytes int64 // slabs that may hold memory: used, kept by a shard, warm, or about to be
	ReservedBytes int64 // address space of the arenas
}

// Stats returns the sums of the pool; they are taken shard by shard, so they
// are exact only while nobody uses it.
func (p *Pool) Stats() PoolStats {
	var st PoolStats
	st.Frames, st.Bytes = p.InUse()
	if p.max > 0 {
		st.OverBytes = max(0, st.Bytes-p.max)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.mu.arenas {
		st.ReservedBytes += int64(len(a.mem))
	}
	st.ResidentBytes = st.ReservedBytes - int64(len(p.mu.cold)*hugeBytes)
	return st
}

// ErrLeak is the reason Close gives when frames were not released.
var ErrLeak = errors.New("frames not released")

// Close unmaps the arenas. Frames still in use are a leak: they are reported,
// with where they were taken in builds with the race detector or the
// invariants tag, and their arenas stay mapped so that using them is no fault.
func (p *Pool) Close() error {
	frames, bytes := p.InUse()
	p.mu.Lock()
	closed := p.mu.closed
	p.mu.closed = true
	p.mu.Unlock()
	p.touches.Wait() // none begins in a closed pool
	if closed {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if frames > 0 {
		return fmt.Errorf("pool: %d frames, %d bytes: %w%s", frames, bytes, ErrLeak, p.originsLocked())
	}
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock() // against the order, but nobody may use a pool being closed
		s.partial = [numClasses]*slab{}
		s.mu.Unlock()
	}
	var errs []error
	for _, a := range p.mu.arenas {
		errs = append(errs, a.mapping.unmap())
	}
	p.mu.arenas, p.mu.warm, p.mu.cold = nil, nil, nil
	return errors.Join(errs...)
}
