package devices

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestPoolModel takes and returns frames of all sizes at random. Every frame
// carries a mark in each block; a mark changed by somebody else means that two
// frames share memory.
func TestPoolModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := NewPool(PoolOptions{MaxBytes: 8 << 20, KeepBytes: maxShards * keptByShard})
	type held struct {
		f    *Frame
		mark byte
	}
	var all []held
	var bytes int64
	for i := range 4000 {
		if len(all) > 0 && r.IntN(100) < 45+len(all)/8 {
			k := r.IntN(len(all))
			h := all[k]
			for at := 0; at < len(h.f.Bytes()); at += BlockSize {
				if h.f.Bytes()[at] != h.mark {
					t.Fatalf("step %d: frame of %d bytes was changed at %d", i, len(h.f.Bytes()), at)
				}
			}
			bytes -= int64(len(h.f.mem))
			h.f.Release()
			all[k] = all[len(all)-1]
			all = all[:len(all)-1]
			continue
		}
		n := 1 << r.IntN(22) // to 2 MiB, beyond the classes
		n += r.IntN(n)
		f := p.Get(n)
		b := f.Bytes()
		if len(b) < n || len(b) >= n+BlockSize || len(b)%BlockSize != 0 || uintptr(unsafe.Pointer(&b[0]))%BlockSize != 0 {
			t.Fatalf("Get(%d) returned %d bytes at %p", n, len(b), b)
		}
		if cap(b) > len(f.mem) || &f.Vec()[0][0] != &b[0] {
			t.Fatalf("Get(%d): bytes reach outside the frame", n)
		}
		h := held{f, byte(i)}
		for at := 0; at < len(b); at += BlockSize {
			b[at] = h.mark
		}
		all = append(all, h)
		bytes += int64(len(f.mem))
		if frames, got := p.InUse(); frames != len(all) || got != bytes {
			t.Fatalf("step %d: in use %d frames %d bytes, want %d and %d", i, frames, got, len(all), bytes)
		}
		if over := p.Stats().OverBytes; over != max(0, bytes-8<<20) {
			t.Fatalf("over by %d with %d bytes in use", over, bytes)
		}
	}
	for _, h := range all {
		h.f.Release()
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	f := p.Get(1) // after Close: served, from the heap
	f.Release()
}

// TestPoolClasses takes a frame of every size: one of a node's size wastes nothing,
// and none more than half.
func TestPoolClasses(t *testing.T) {
	p := NewPool(PoolOptions{})
	for blocks := 1; blocks <= mostBytes/BlockSize; blocks++ {
		n := blocks * BlockSize
		f := p.Get(n)
		if got := len(f.mem); got < n || got >= 2*n || blocks <= evenClasses && got != n {
			t.Errorf("%d bytes take a frame of %d", n, got)
		}
		f.Release()
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPoolGivesBack fills several arenas and checks that next to nothing stays
// resident once all is released.
func TestPoolGivesBack(t *testing.T) {
	p := NewPool(PoolOptions{})
	var all []*Frame
	for range 3 * arenaBytes / (16 << 10) {
		all = append(all, p.Get(16<<10))
	}
	if st := p.Stats(); st.ReservedBytes < 3*arenaBytes || st.ResidentBytes < 3*arenaBytes {
		t.Fatalf("all in use: %+v", st)
	}
	for _, f := range all {
		f.Release()
	}
	st := p.Stats()
	if st.ResidentBytes > leastKept+2*hugeBytes || st.ReservedBytes > 2*arenaBytes+leastKept>>20*arenaBytes/4 {
		t.Errorf("all released: %+v", st)
	}
	if st.Frames != 0 || st.Bytes != 0 {
		t.Errorf("all released: %+v", st)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestPoolLeak(t *testing.T) {
	p := NewPool(PoolOptions{})
	f, big := p.Get(5000), p.Get(3<<20)
	err := p.Close()
	if !errors.Is(err, ErrLeak) || !strings.Contains(err.Error(), "2 frames, 3153920 bytes") {
		t.Errorf("close with leaks: %v", err)
	}
	f.Bytes()[0] = 1 // still mapped
	f.Release()
	big.Release()
	if n, b := p.InUse(); n != 0 || b != 0 {
		t.Errorf("in use %d, %d", n, b)
	}
}

func TestFrameReferences(t *testing.T) {
	p := NewPool(PoolOptions{})
	defer p.Close()
	f := p.Get(BlockSize)
	f.Retain()
	f.Release()
	if n, _ := p.InUse(); n != 1 {
		t.Fatalf("%d frames in use with one reference left", n)
	}
	f.Release()
	for name, misuse := range map[string]func(){"release": f.Release, "retain": f.Retain} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s of a released frame went unnoticed", name)
				}
			}()
			misuse()
		}()
	}
}

// TestPoolConcurrent passes frames between goroutines.
func TestPoolConcurrent(t *testing.T) {
	p := NewPool(PoolOptions{KeepBytes: maxShards * keptByShard})
	if len(p.shards) < 2 && min(runtime.NumCPU(), runtime.GOMAXPROCS(0)) > 1 {
		t.Error("one shard for several processors")
	}
	pass := make(chan *Frame, 64)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 3))
			for range 3000 {
				f := p.Get(BlockSize << r.IntN(5))
				f.Bytes()[0] = byte(g)
				f.Retain()
				pass <- f
				f.Release()
				(<-pass).Release()
			}
		})
	}
	wg.Wait()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestPoolAllocations(t *testing.T) {
	p := NewPool(PoolOptions{})
	defer p.Close()
	p.Get(BlockSize).Release()
	for range 200 { // every shard has a slab now
		p.Get(BlockSize).Release()
	}
	if n := testing.AllocsPerRun(1000, func() { p.Get(BlockSize).Release() }); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
}

func BenchmarkPool(b *testing.B) {
	p := NewPool(PoolOptions{})
	defer p.Close()
	b.ReportAllocs()
	for b.Loop() {
		p.Get(BlockSize).Release()
	}
}

func BenchmarkPoolParallel(b *testing.B) {
	p := NewPool(PoolOptions{KeepBytes: maxShards * keptByShard})
	defer p.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p.Get(BlockSize).Release()
		}
	})
}

// TestPoolKeeps releases more than is kept and takes it again: what was kept is not
// given back, and the rest is.
func TestPoolKeeps(t *testing.T) {
	const kept = 40
	p := NewPool(PoolOptions{KeepBytes: kept << 20})
	var all []*Frame
	for range kept + 60 {
		all = append(all, p.Get(1<<20))
	}
	for _, f := range all {
		f.Release()
	}
	const page = hugeBytes >> 20 // with the last of it a whole arena may go
	if n := p.Stats().ResidentBytes >> 20; n < kept-page || n > kept+page {
		t.Errorf("%d MiB resident once all is released, want %d", n, kept)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// TestPoolHuge has frames of all sizes lie in slabs that are huge pages, aligned to them, of
// memory for which they were asked for.
func TestPoolHuge(t *testing.T) {
	p := NewPool(PoolOptions{})
	var all []*Frame
	for n := BlockSize; n <= mostBytes; n *= 2 {
		f := p.Get(n)
		if got := InFrame(f.Bytes()); got == raceEnabled {
			t.Errorf("%d bytes in a frame: %v", n, got)
		}
		lo, hi := uintptr(unsafe.Pointer(&f.slab.mem[0])), uintptr(unsafe.Pointer(&f.slab.twin.mem[0]))
		if lo, hi = min(lo, hi), max(lo, hi); hi-lo != slabBytes || lo%hugeBytes != 0 && !raceEnabled {
			t.Errorf("%d bytes in slabs at %#x and %#x", n, lo, hi)
		}
		if !raceEnabled && HugePages() && !strings.Contains(flagsAt(t, lo), " hg") {
			t.Errorf("%d bytes in memory of flags%s", n, flagsAt(t, lo))
		}
		all = append(all, f)
	}
	for _, f := range all {
		f.Release()
	}
	if InFrame(make([]byte, BlockSize)) {
		t.Error("memory of the heap counts as a frame")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// flagsAt is what the kernel says of the mapping that has an address.
func flagsAt(t *testing.T, at uintptr) string {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	within := false
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			within = from <= at && at < to
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && within {
			return flags
		}
	}
	t.Fatalf("no mapping has %#x", at)
	return ""
}

// TestPoolTwins releases one half of each huge page: none is given back while the other
// half is in use, which keeps what is in it, and the halves are the next to be taken.
func TestPoolTwins(t *testing.T) {
	const pairs = 30
	p := NewPool(PoolOptions{})
	var frames [2][pairs]*Frame // halves of the same page, as they are handed out
	for i := range 2 * pairs {
		f := p.Get(slabBytes)
		f.Bytes()[0] = byte(i)
		frames[i%2][i/2] = f
	}
	full := p.Stats().ResidentBytes
	for i, f := range frames[0] {
		if f.slab.twin != frames[1][i].slab {
			t.Fatal("halves of a page are not handed out one after the other")
		}
		f.Release()
	}
	if st := p.Stats(); st.ResidentBytes != full || st.Bytes != pairs*slabBytes {
		t.Errorf("half of each page in use: %+v, was %d resident", st, full)
	}
	for i := range frames[0] {
		frames[0][i] = p.Get(slabBytes)
	}
	if n := p.Stats().ResidentBytes; n != full {
		t.Errorf("%d resident when the halves are taken again, was %d", n, full)
	}
	for i, f := range frames[1] {
		if f.Bytes()[0] != byte(2*i+1) {
			t.Errorf("page %d: what was in use was given back", i)
		}
		f.Release()
		frames[0][i].Release()
	}
	if n := p.Stats().ResidentBytes; n > leastKept+2*hugeBytes {
		t.Errorf("%d resident when all is released", n)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// TestPoolAhead takes all of a huge page: the next one is resident before somebody takes
// it, and no more. A pool that is closed meanwhile waits for that.
func TestPoolAhead(t *testing.T) {
	if !HugePages() {
		t.Skip("no huge pages of this size")
	}
	p := NewPool(PoolOptions{})
	var both [2]*Frame
	for n := range both {
		both[n] = p.Get(slabBytes)
		p.touches.Wait()
		if got, want := p.Stats().ResidentBytes, int64(n/2+1+n%2)*hugeBytes; got != want {
			t.Errorf("%d halves taken: %d resident, want %d", n+1, got, want)
		}
	}
	for _, sl := range p.mu.warm {
		if n := resident(t, sl.mem); n != slabBytes {
			t.Errorf("%d of %d bytes of half of the next page are resident", n, slabBytes)
		}
	}
	if len(p.mu.warm) != 2 {
		t.Errorf("%d halves are next", len(p.mu.warm))
	}
	closed := func(p *Pool, frames ...*Frame) {
		for _, f := range frames {
			f.Release()
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if p.mu.touching || p.mu.warm != nil { // without the lock: nobody is left
			t.Fatal("a closed pool has a page taken")
		}
	}
	closed(p, both[:]...)
	for range 100 {
		p := NewPool(PoolOptions{})
		closed(p, p.Get(slabBytes), p.Get(slabBytes))
	}
}

// resident returns how much of p is in memory, in bytes.
func resident(t *testing.T, p []byte) (n int) {
	t.Helper()
	if raceEnabled {
		return len(p) // which the heap has zeroed, or will
	}
	pages := make([]byte, len(p)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), uintptr(unsafe.Pointer(&pages[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	for _, x := range pages {
		n += int(x&1) * os.Getpagesize()
	}
	return n
}

// TestPoolOneStock has memory kept of large frames serve small ones, and the other way
// round: both together are never more than what was in use at the most.
func TestPoolOneStock(t *testing.T) {
	const most = 32 << 20
	p := NewPool(PoolOptions{KeepBytes: most})
	for range 3 {
		for _, size := range []int{16 << 10, mostBytes} {
			var all []*Frame
			for range most / size {
				all = append(all, p.Get(size))
			}
			if n := p.Stats().ResidentBytes; n > most+(maxShards+1)*slabBytes {
				t.Errorf("%d MiB resident of %d in use", n>>20, most>>20)
			}
			for _, f := range all {
				f.Release()
			}
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
